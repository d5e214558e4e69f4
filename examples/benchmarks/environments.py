"""How fast the environments step: beside a bare MuJoCo loop, beside MyoSuite, and many people at once.

    python examples/benchmarks/environments.py [--quick] [--json FILE]

A step is one control period, 20 ms. The bare loop is what anyone would write: 20 calls of `mujoco.mj_step` on the same
model, and position, velocity and activation as one float32 vector; it has no human, no robot controller and no
measures. Both take turns in one process, and each figure is the least of many repeats.

MyoSuite needs other versions of its dependencies, so it runs in an environment of its own: give that one's Python as
MYOSUITE_PYTHON (``pip install myosuite "mujoco==3.17.*"`` in it). On a machine with an accelerator that JAX sees, the
vectorised environment runs there, with 4096 people.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium as gym
import jax
import mujoco
import numpy as np
from table import Row, row, run

import mjx_msm.envs as envs

HERE = Path(__file__).resolve().parent
NAMES = (envs.ARM_REACH, envs.ARM_CO_TRANSPORT, envs.KNEE_EXO)
PERIOD = 0.02
"""Of control [s]."""


def in_turns(jobs: dict[str, Callable[[], object]], repeats: int, calls: int) -> dict[str, float]:
    """Least time of a call of each job, which take turns [s]."""
    best = dict.fromkeys(jobs, np.inf)
    for _ in range(repeats):
        for name, job in jobs.items():
            began = time.perf_counter()
            for _ in range(calls):
                job()
            best[name] = min(best[name], (time.perf_counter() - began) / calls)
    return best


def single(name: str, repeats: int) -> dict[str, float]:
    """Time of a step of one environment, and of the bare loop on its model [s]."""
    env = gym.make(name, disable_env_checker=True)
    env.reset(seed=0)
    model = env.unwrapped.model  # type: ignore[attr-defined]
    data = mujoco.MjData(model)
    data.qpos[:] = env.unwrapped.data.qpos  # type: ignore[attr-defined]
    action, steps = np.zeros(env.action_space.shape or (), np.float32), round(PERIOD / model.opt.timestep)

    def ours() -> None:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset(seed=0)

    def bare() -> np.ndarray:
        for _ in range(steps):
            mujoco.mj_step(model, data)
        return np.concatenate([data.qpos, data.qvel, data.act]).astype(np.float32)

    found = in_turns({"ours": ours, "bare": bare}, repeats, 25)
    env.close()
    return found


def many(name: str, count: int, repeats: int) -> float:
    """Steps of single people a second, `count` of them at once in JAX."""
    env = gym.make_vec(name, num_envs=count)
    env.reset(seed=0)
    actions = np.zeros(env.action_space.shape or (), np.float32)
    env.step(actions)
    found = in_turns({"step": lambda: env.step(actions)}, repeats, 3)
    env.close()
    return count / found["step"]


def processes(name: str, count: int, repeats: int) -> float:
    """Steps of single people a second, `count` processes of one environment each."""
    env = gym.make_vec(name, num_envs=count, vectorization_mode="async")
    env.reset(seed=0)
    actions = np.zeros(env.action_space.shape or (), np.float32)
    env.step(actions)
    found = in_turns({"step": lambda: env.step(actions)}, repeats, 10)
    env.close()
    return count / found["step"]


def myosuite() -> float | None:
    """Time MyoSuite's elbow environment takes for a simulated second [s], if it is there."""
    python = os.environ.get("MYOSUITE_PYTHON")
    if not python:
        return None
    done = subprocess.run(
        [python, str(HERE / "myosuite_elbow.py")], capture_output=True, text=True, check=True, cwd=HERE
    )
    return float(done.stdout.split()[-1])


def rows(quick: bool) -> Iterator[Row]:
    repeats = 10 if quick else 40
    reach = np.inf
    for name in NAMES:
        found = single(name, repeats)
        short = name.split("/")[1]
        if name == envs.ARM_REACH:
            reach = found["ours"]
        yield row(f"{short}: steps/s over a bare mj_step loop's", found["bare"] / found["ours"], at_least=0.8)
        yield row(f"{short}: steps of 20 ms", 1 / found["ours"], "1/s")
    elbow = myosuite()
    if elbow is not None:
        ratio = reach / PERIOD / elbow
        yield row("ArmReach: time for a simulated second over MyoSuite's elbow", ratio, at_most=1.0)
    people = 256
    for name in NAMES[-1:] if quick else NAMES:
        short = name.split("/")[1]
        ours = many(name, people, 3 if quick else 10)
        # Forked workers must not find JAX's threads: they get a fresh interpreter.
        script = (
            f"from environments import processes; print(max(processes({name!r}, n, {repeats // 5}) for n in (2, 8)))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=HERE)
        theirs = float(done.stdout.split()[-1])
        yield row(f"{short}: {people} people in JAX over AsyncVectorEnv", ours / theirs, at_least=1.0, n=people)
        yield row(f"{short}: {people} people in JAX, steps of 20 ms", ours, "1/s", n=people)
    device = jax.devices()[0]
    if device.platform != "cpu":
        for name in NAMES:
            found = many(name, 4096, 5)
            yield row(f"{name.split('/')[1]}: 4096 people on {device.device_kind}", found, "1/s", n=4096)


if __name__ == "__main__":
    run(__doc__, rows)
