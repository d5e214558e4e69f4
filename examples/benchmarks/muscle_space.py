"""How many samples muscles take to be controlled: with the derivatives of the rollout, and by PPO.

    python examples/benchmarks/muscle_space.py [--quick] [--json FILE]

The same two tasks for both: to bring the hand to a target and keep it there, and to strike a ball that is to stop at
one. A policy is judged by a hundred episodes that it has not seen, nor its settings, in C MuJoCo: the hand within 3 cm
at the end, the ball within 5 cm. A sample is a control period of an episode. Back-propagation takes 4 episodes a step
to reach (chosen, with its rate, on other episodes and another seed) and 8 to strike, PPO (of stable-baselines3) has the
settings of `examples/05_train_robot.py`, four environments, normalised observations, muscles near rest at first, ten
times as many samples at most, and is judged every 10 000. Needs the extras bench and rl.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from table import Row, row, run

from mjx_msm.envs import ARM_REACH, ARM_STRIKE
from mjx_msm.envs.controllers.backpropagation import train
from mjx_msm.envs.functional import make

WANTED = 0.8
"""Share of episodes that makes a success."""
JUDGED, FIRST_SEED = 100, 5000
EVERY = 3000
"""Samples of back-propagation between two judgements."""
DISCOUNT, FIRST, SPREAD = 0.97, -0.7, 0.3

Policy = Callable[[np.ndarray], np.ndarray]


class Task(NamedTuple):
    name: str
    id: str
    arguments: dict[str, Any]
    measure: str
    periods: int
    """Of an episode, that are learnt from with derivatives."""
    episodes: int
    """Before every step."""
    iterations: int
    rate: float
    """Of Adam."""


TASKS = (
    Task("reach", ARM_REACH, {"targets": 1}, "reached", 75, 4, 200, 1e-2),
    Task("strike", ARM_STRIKE, {}, "scored", 70, 8, 120, 3e-3),
)


class Judged(NamedTuple):
    samples: int
    share: float
    """Of episodes that succeeded."""


def judge(task: Task, policy: Policy) -> float:
    env, ends = gymnasium.make(task.id, **task.arguments), []
    for k in range(JUDGED):
        observation, info = env.reset(seed=FIRST_SEED + k)
        over = False
        while not over:
            observation, _, terminated, truncated, info = env.step(np.asarray(policy(observation), np.float32))
            over = terminated or truncated
        ends.append(float(info[task.measure]))
    return float(np.mean(ends))


def backpropagated(task: Task, iterations: int, seed: int) -> list[Judged]:
    found: list[Judged] = []

    def hear(samples: int, _: float, network: Any) -> None:
        if samples >= EVERY * len(found):
            found.append(Judged(samples, judge(task, lambda seen: network(np.asarray(seen, float)))))
            print(f"  {task.name}, derivatives: {found[-1]}", file=sys.stderr, flush=True)

    learnt = train(
        make(task.id, **task.arguments),
        episodes=task.episodes,
        periods=task.periods,
        iterations=iterations,
        rate=task.rate,
        seed=seed,
        listener=hear,
    )
    last = judge(task, lambda seen: learnt.result(np.asarray(seen, float)))
    return [*found, Judged(learnt.samples[-1], last)]


def ppo(task: Task, most: int, seed: int) -> list[Judged]:
    """Ends once it succeeds."""
    import torch  # pyright: ignore[reportMissingImports]
    from stable_baselines3 import PPO  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.callbacks import BaseCallback  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.env_util import make_vec_env  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.vec_env import VecNormalize  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    envs = VecNormalize(make_vec_env(task.id, 4, seed=seed, env_kwargs=task.arguments), gamma=DISCOUNT, clip_obs=np.inf)
    model = PPO(
        "MlpPolicy",
        envs,
        n_steps=512,
        batch_size=256,
        gamma=DISCOUNT,
        gae_lambda=0.9,
        learning_rate=lambda left: 1e-3 * left,
        policy_kwargs={"net_arch": [64, 64], "log_std_init": np.log(SPREAD)},
        seed=seed,
        device="cpu",
    )
    head = model.policy.action_net
    assert isinstance(head, torch.nn.Linear)
    torch.nn.init.constant_(head.bias, FIRST)
    found: list[Judged] = []

    def act(seen: np.ndarray) -> np.ndarray:
        normal: Any = envs.normalize_obs(seen)
        return model.predict(normal, deterministic=True)[0]

    class Judge(BaseCallback):
        def _on_step(self) -> bool:
            return not found or found[-1].share < WANTED

        def _on_rollout_end(self) -> None:
            if not found or self.num_timesteps - found[-1].samples >= 10_000:
                found.append(Judged(self.num_timesteps, judge(task, act)))
                print(f"  {task.name}, PPO: {found[-1]}", file=sys.stderr, flush=True)

    model.learn(most, callback=Judge())
    return [*found, Judged(model.num_timesteps, judge(task, act))]


def first(found: list[Judged]) -> int | None:
    """Samples until a success."""
    return next((j.samples for j in found if j.share >= WANTED), None)


def rows(quick: bool) -> Iterator[Row]:
    for task in TASKS[1:] if quick else TASKS:
        ours = backpropagated(task, 40 if quick else task.iterations, seed=0)
        reached = first(ours)
        best = max(j.share for j in ours)
        yield row(f"{task.name}: success with derivatives", 100 * best, "%", at_least=100 * WANTED, n=JUDGED)
        if reached is None:
            continue
        yield row(f"{task.name}: samples to {100 * WANTED:.0f} % with derivatives", reached)
        theirs = ppo(task, 10 * reached, seed=0)
        took = first(theirs)
        spent = took or theirs[-1].samples
        yield row(
            f"{task.name}: success of PPO with {spent} samples", 100 * max(j.share for j in theirs), "%", n=JUDGED
        )
        bound = "" if took else ", at most (PPO did not get there)"
        yield row(f"{task.name}: our samples over PPO's{bound}", reached / spent, at_most=0.1 + 1e-9)


if __name__ == "__main__":
    run(__doc__, rows)
