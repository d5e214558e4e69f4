"""Train a robot with PPO of stable-baselines3, and set it against random actions and the baseline controllers.

    python examples/05_train_robot.py                                    # the knee exoskeleton
    python examples/05_train_robot.py KneeExo --with subject=runs/walk   # on an identified leg
    python examples/05_train_robot.py ArmCoTransport                     # the robot that carries a beam with a person
    python examples/05_train_robot.py ArmReach                           # the muscles of the arm

Needs `pip install "mjx-msm[rl]"`. Takes minutes on two cores. Writes the policy and a video to `runs/train/`; the
policy is a controller for `mjx_msm.envs.controllers` and `mjx-msm verify`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from stable_baselines3 import PPO  # pyright: ignore[reportMissingImports]
from stable_baselines3.common.env_util import make_vec_env  # pyright: ignore[reportMissingImports]
from stable_baselines3.common.running_mean_std import RunningMeanStd  # pyright: ignore[reportMissingImports]
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize  # pyright: ignore[reportMissingImports]

import mjx_msm as msm
from mjx_msm.envs.controllers import Controller, controller, names

# Steps to train for, how far ahead an action counts (discount of a control period), mean and standard deviation of
# the actions that are tried at first (muscles near rest), what else than the return an episode is judged by, and
# arguments of the environment.
SETTINGS: dict[str, dict[str, Any]] = {
    "KneeExo": {
        "steps": 100_000,
        "discount": 0.95,
        "first": (0.0, 0.4),
        "measure": "tracking_error_rms",
        "arguments": {},
    },
    "ArmCoTransport": {
        "steps": 100_000,
        "discount": 0.95,
        "first": (0.0, 0.14),
        "measure": "path_error_rms",
        # With zero, `robot="admittance"` is as good as the person's strength allows: nothing is left to learn.
        "arguments": {"robot": "torque"},
    },
    "ArmReach": {
        "steps": 150_000,
        "discount": 0.97,
        "first": (-0.7, 0.3),
        "measure": "distance_rms",
        "arguments": {},
    },
}
ENVIRONMENTS = 4
FIRST_SEED = 1000  # of the episodes that everyone is judged by


class Random:
    """Any action."""

    def __init__(self, space: gym.Space):
        self.space = space

    def reset(self) -> None:
        """Begin the sequence anew."""
        self.space.seed(0)

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        return self.space.sample()


def play(env: Any, act: Controller, seed: int, frames: list[np.ndarray] | None = None) -> float:
    """Return of an episode; `frames`: where to put every second one."""
    act.reset()
    observation, _ = env.reset(seed=seed)
    total, step, over = 0.0, 0, False
    while not over:
        if frames is not None and step % 2 == 0:
            frames.append(env.render())
        observation, reward, terminated, truncated, _ = env.step(act(observation))
        total, step, over = total + float(reward), step + 1, terminated or truncated
    return total


def judge(env: Any, act: Controller, episodes: int, measure: str) -> str:
    """Return and measure: mean and standard deviation over episodes."""
    found = [(play(env, act, FIRST_SEED + i), env.unwrapped.summary()[measure]) for i in range(episodes)]
    (total, value), (spread, _) = np.mean(found, axis=0), np.std(found, axis=0)
    return f"{total:9.1f} ± {spread:6.1f}   {value:.4f}"


def fold(model: PPO, envs: VecNormalize) -> None:
    """Make the scaling of observations a part of the policy's first layers, so that it acts on plain observations.

    W (x − μ)/σ + b = (W/σ) x + (b − (W/σ) μ)
    """
    assert isinstance(envs.obs_rms, RunningMeanStd)  # not one for every part of a dictionary
    mean = torch.as_tensor(envs.obs_rms.mean, dtype=torch.float32)
    deviation = torch.as_tensor(np.sqrt(envs.obs_rms.var + envs.epsilon), dtype=torch.float32)
    with torch.no_grad():
        for net in (model.policy.mlp_extractor.policy_net, model.policy.mlp_extractor.value_net):
            first = net[0]
            assert isinstance(first, torch.nn.Linear)
            first.weight.div_(deviation)
            first.bias.sub_(first.weight @ mean)


def argument(text: str) -> tuple[str, Any]:
    """NAME=VALUE, a number or a text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", nargs="?", default="KneeExo", choices=SETTINGS)
    parser.add_argument("--with", dest="arguments", nargs="*", default=[], metavar="NAME=VALUE", type=argument)
    parser.add_argument("--steps", type=int, help="of training")
    parser.add_argument("--episodes", type=int, default=5, help="that everyone is judged by")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/train"))
    options = parser.parse_args()
    setting = SETTINGS[options.environment]
    arguments = setting["arguments"] | dict(options.arguments)
    steps, discount, measure = options.steps or setting["steps"], setting["discount"], setting["measure"]
    mean, spread = setting["first"]
    name, policy = f"mjx_msm/{options.environment}-v0", options.out / f"{options.environment}.zip"

    torch.set_num_threads(1)  # the nets are small
    envs = make_vec_env(name, ENVIRONMENTS, seed=options.seed, env_kwargs=arguments, vec_env_cls=SubprocVecEnv)
    # Not clipped, so that it can become part of the policy.
    envs = VecNormalize(envs, gamma=discount, clip_obs=np.inf)
    model = PPO(
        "MlpPolicy",
        envs,
        n_steps=512,
        batch_size=256,
        gamma=discount,
        gae_lambda=0.9,
        learning_rate=lambda left: 1e-3 * left,
        policy_kwargs={"net_arch": [64, 64], "log_std_init": np.log(spread)},
        seed=options.seed,
        device="cpu",
        verbose=1,
    )
    head = model.policy.action_net
    assert isinstance(head, torch.nn.Linear)
    torch.nn.init.constant_(head.bias, mean)
    options.out.mkdir(parents=True, exist_ok=True)
    model.save(policy)
    env = gym.make(name, render_mode="rgb_array", **arguments)
    acts = {"random": Random(env.action_space)} | {baseline: controller(baseline, env) for baseline in names(env)}
    acts["untrained policy"] = controller(policy, env, trust=True)  # we saved it

    begin = time.perf_counter()
    model.learn(steps, log_interval=5)
    seconds = time.perf_counter() - begin
    fold(model, envs)
    envs.close()
    model.save(policy)
    acts["trained policy"] = controller(policy, env, trust=True)  # we saved it

    print(f"{model.num_timesteps} steps in {seconds:.0f} s, {model.num_timesteps / seconds:.0f} a second")
    print(f"return of {options.episodes} episodes, the same for all, mean ± standard deviation; {measure}")
    for label, act in acts.items():
        print(f"  {label:22} {judge(env, act, options.episodes, measure)}", flush=True)
    frames: list[np.ndarray] = []
    play(env, acts["trained policy"], FIRST_SEED, frames)
    print(policy, msm.video(policy.with_suffix(".mp4"), frames, fps=env.metadata["render_fps"] / 2), sep="\n")
    env.close()


if __name__ == "__main__":
    main()
