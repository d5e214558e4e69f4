"""stable-baselines3 finds nothing to complain about, steps the environments in processes, and learns. Extra [rl]."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, KNEE_EXO
from mjx_msm.envs.controllers import controller

pytestmark = pytest.mark.rl

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "05_train_robot.py"
MADE = [
    (KNEE_EXO, {}),
    (KNEE_EXO, {"task": "swing", "sensing": {"noise": 1.0, "delay": 0.02}}),
    (KNEE_EXO, {"action_mode": "human"}),
    (KNEE_EXO, {"action_mode": "both"}),
    (ARM_CO_TRANSPORT, {}),
    (ARM_CO_TRANSPORT, {"robot": "torque", "emg": True}),
    (ARM_CO_TRANSPORT, {"action_mode": "human"}),
    (ARM_CO_TRANSPORT, {"robot": "torque", "action_mode": "both"}),
    (ARM_REACH, {}),
    (ARM_REACH, {"payload": 1.0}),
]


@pytest.mark.parametrize(("id", "arguments"), MADE)
def test_the_checker_is_silent(id: str, arguments: dict) -> None:
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(id, render_mode="rgb_array", **arguments)
        check_env(env)
        env.close()


@pytest.mark.parametrize("id", [KNEE_EXO, ARM_CO_TRANSPORT, ARM_REACH])
def test_processes_step_the_same_environments(id: str) -> None:
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    runs = []
    for kind in (DummyVecEnv, SubprocVecEnv):
        # A process that does not run this file has to be told where the environment is registered.
        envs = make_vec_env(f"mjx_msm.envs:{id}", 2, seed=5, vec_env_cls=kind)
        rng = np.random.default_rng(0)
        seen = [envs.reset()]
        for _ in range(230 if id == ARM_REACH else 30):  # ArmReach's episode ends after 225
            observation, reward, done, infos = envs.step(rng.uniform(-1, 1, (2, *envs.action_space.shape)))
            seen += [observation, np.float32(reward)]  # which processes send it back as
            for i in np.flatnonzero(done):
                assert infos[i]["TimeLimit.truncated"]
                assert infos[i]["terminal_observation"].shape == envs.observation_space.shape
                assert infos[i]["summary"]
        envs.close()
        runs.append(seen)
    one, other = runs[0][-2]
    assert not np.array_equal(one, other)  # two seeds
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_saved_policy_is_a_controller(tmp_path) -> None:
    from stable_baselines3 import PPO

    env = gymnasium.make(ARM_REACH)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, seed=0, device="cpu")
    model.save(tmp_path / "reach.zip")
    act = controller(tmp_path / "reach.zip", env, trust=True)
    act.reset()
    observation, _ = env.reset(seed=0)
    for _ in range(5):
        action = act(observation)
        assert action in env.action_space
        np.testing.assert_array_equal(action, model.predict(observation, deterministic=True)[0])
        observation = env.step(action)[0]
    with pytest.raises(InputError, match=r"observation_space of shape \(14,\), this environment has \(29,\)"):
        controller(tmp_path / "reach.zip", gymnasium.make(KNEE_EXO), trust=True)
    (tmp_path / "broken.zip").write_bytes(b"not a zip")
    with pytest.raises(InputError, match="cannot be read"):
        controller(tmp_path / "broken.zip", env, trust=True)


@pytest.mark.parametrize(
    ("robot", "steps", "part"),
    [("KneeExo", 10_240, 0.4), ("ArmCoTransport", 14_336, 0.7), ("ArmReach", 16_384, 0.8)],
)
def test_the_example_learns(robot: str, steps: int, part: float, tmp_path) -> None:
    """**Arguments:** `part`: of the cost of random actions, and of a policy before its training, that may be left."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), robot, "--steps", str(steps), "--episodes", "2", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = re.findall(r"^  (\S+(?: policy)?) +(-?[0-9.]+) ±", done.stdout, re.M)
    returns = {name: float(value) for name, value in rows}
    assert returns["trained policy"] > part * returns["random"], done.stdout
    assert returns["trained policy"] > part * returns["untrained policy"], done.stdout
    assert (tmp_path / f"{robot}.mp4").stat().st_size > 10_000
    # The policy that was saved is the one that was judged, in a new process and on plain observations.
    arguments = {"robot": "torque"} if robot == "ArmCoTransport" else {}
    env = gymnasium.make(f"mjx_msm/{robot}-v0", **arguments)
    act = controller(tmp_path / f"{robot}.zip", env, trust=True)
    totals = []
    for seed in (1000, 1001):  # the example's
        observation, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(act(observation))
            total, over = total + float(reward), terminated or truncated
        totals.append(total)
    assert np.mean(totals) == pytest.approx(returns["trained policy"], abs=0.1)
