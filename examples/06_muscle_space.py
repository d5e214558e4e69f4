"""Learn to strike a ball with muscles, by back-propagation through the rollout, and film it.

    python examples/06_muscle_space.py                # mjx_msm/ArmStrike-v0
    python examples/06_muscle_space.py ArmReach

Some minutes on two cores, half of it compiling. Writes the policy, a controller for `mjx_msm.envs.controllers`, and a
video to `runs/muscle_space/`. How many samples PPO needs for as much: `examples/benchmarks/muscle_space.py`.
"""

import argparse
from pathlib import Path

import gymnasium as gym
import numpy as np

import mjx_msm as msm
from mjx_msm.envs import functional
from mjx_msm.envs.controllers import controller
from mjx_msm.envs.controllers.backpropagation import train

# Arguments of the environment, control periods that are learnt from, what an episode is judged by in its end, steps of
# the ascent and their length.
SETTINGS = {
    "ArmStrike": ({}, 70, "scored", 100, 3e-3),
    "ArmReach": ({"targets": 1}, 75, "reached", 240, 1e-2),
}
FIRST_SEED, FILMED = 1000, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", nargs="?", default="ArmStrike", choices=SETTINGS)
    parser.add_argument("--iterations", type=int, help="by default the task's own")
    parser.add_argument("--episodes", type=int, default=20, help="that it is judged by")
    parser.add_argument("--out", type=Path, default=Path("runs/muscle_space"))
    options = parser.parse_args()
    arguments, periods, measure, iterations, rate = SETTINGS[options.environment]
    name = f"mjx_msm/{options.environment}-v0"

    def tell(samples: int, value: float, _: object) -> None:
        if samples // (8 * periods) % 10 == 0:
            print(f"{samples:7d} samples, mean return {value:8.1f}", flush=True)

    twin = functional.make(name, **arguments)
    learnt = train(twin, periods=periods, iterations=options.iterations or iterations, rate=rate, listener=tell)
    options.out.mkdir(parents=True, exist_ok=True)
    path = learnt.result.save(options.out / f"{options.environment}.npz")

    env = gym.make(name, render_mode="rgb_array", **arguments)
    act, frames, ends = controller(path, env), [], []
    for k in range(options.episodes):
        observation, info = env.reset(seed=FIRST_SEED + k)
        over, step = False, 0
        while not over:
            if k < FILMED and step % 2 == 0:
                frames.append(np.asarray(env.render()))
            observation, _, terminated, truncated, info = env.step(act(observation))
            over, step = terminated or truncated, step + 1
        ends.append(float(info[measure]))
    print(
        f"{measure} in {100 * np.mean(ends):.0f} % of {options.episodes} episodes, after {learnt.samples[-1]} samples"
    )
    print(path, msm.video(path.with_suffix(".mp4"), frames, fps=env.metadata["render_fps"] / 2), sep="\n")
    env.close()


if __name__ == "__main__":
    main()
