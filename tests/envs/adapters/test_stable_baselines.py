"""Many people at once for stable-baselines3: its own vector environment over single ones is what has to come out."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_REACH, KNEE_EXO

COUNT, LIMIT = 3, 12


@pytest.fixture(scope="module")
def envs():
    from mjx_msm.envs.adapters.stable_baselines import StableBaselinesVecEnv

    people = gymnasium.make_vec(ARM_REACH, num_envs=COUNT, max_episode_steps=LIMIT)
    return StableBaselinesVecEnv(people)


@pytest.mark.rl
def test_it_says_what_theirs_says(envs) -> None:
    """Types, shapes and keys of stable-baselines3's own, step for step and across the end of episodes."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    def make():
        return gymnasium.make(ARM_REACH, max_episode_steps=LIMIT)

    theirs = DummyVecEnv([make] * COUNT)
    assert envs.num_envs == theirs.num_envs
    assert envs.observation_space == theirs.observation_space
    assert envs.action_space == theirs.action_space
    assert envs.get_attr("render_mode") == theirs.get_attr("render_mode")
    assert envs.get_attr("num_envs", indices=[0, 2]) == [COUNT] * 2
    assert envs.env_is_wrapped(gymnasium.wrappers.RecordVideo) == [False] * COUNT
    draws = np.full(8, 0.3)
    theirs.seed(7), envs.seed(7)
    theirs.set_options({"draws": draws})
    envs.set_options({"draws": np.tile(draws, (COUNT, 1))})
    first = (theirs.reset(), envs.reset())
    np.testing.assert_allclose(*first, atol=1e-6)
    assert [set(x) for x in envs.reset_infos] == [set(x) for x in theirs.reset_infos]
    rng = np.random.default_rng(0)
    for step in range(2 * LIMIT + 3):
        actions = rng.uniform(-1, 1, (COUNT, *envs.action_space.shape)).astype(np.float32)
        want, got = theirs.step(actions), envs.step(actions)
        for a, b in zip(want[:3], got[:3], strict=True):
            assert (a.shape, a.dtype, type(a)) == (b.shape, b.dtype, type(b))
        assert want[2].tolist() == got[2].tolist() == [step % LIMIT == LIMIT - 1] * COUNT
        for a, b in zip(want[3], got[3], strict=True):
            assert set(a) - set(b) == set()
            assert set(b) - set(a) <= {"summary"}  # it knows of its time limit, theirs is a wrapper's
            assert all(type(a[name]) is type(b[name]) for name in a)
            assert a["TimeLimit.truncated"] == b["TimeLimit.truncated"]
        if step < LIMIT - 1:
            np.testing.assert_allclose(want[0], got[0], atol=2e-4)
            np.testing.assert_allclose(want[1], got[1], atol=2e-3)
            np.testing.assert_allclose(want[3][1]["hand"], got[3][1]["hand"], atol=2e-4)
        if step == LIMIT - 1:
            last = [[infos[i]["terminal_observation"] for i in range(COUNT)] for infos in (want[3], got[3])]
            np.testing.assert_allclose(*last, atol=2e-4)
            assert np.abs(got[0] - last[1]).max() > 0.1  # the next episode has begun
            assert envs.reset_infos[0]["time"] == 0.0
            assert got[3][0]["summary"]["effort_peak"] > 0
    theirs.close()


@pytest.mark.rl
def test_seeds_reproduce(envs) -> None:
    def play(seed: int) -> list:
        envs.seed(seed)
        out = [envs.reset()]
        for _ in range(LIMIT + 2):
            out += envs.step(np.full((COUNT, *envs.action_space.shape), 0.1, np.float32))[:3]
        return out

    one, two, other = play(1), play(1), play(2)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0][0], one[0][1])


@pytest.mark.rl
def test_their_wrappers_and_their_ppo_work_on_it(envs, tmp_path) -> None:
    from stable_baselines3 import PPO
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor, VecNormalize

    wrapped = VecNormalize(VecCheckNan(VecMonitor(envs), raise_exception=True))
    model = PPO("MlpPolicy", wrapped, n_steps=2 * LIMIT, batch_size=24, n_epochs=1, seed=0, device="cpu")
    model.learn(4 * LIMIT * COUNT)
    assert model.num_timesteps == 4 * LIMIT * COUNT
    assert [e["l"] for e in model.ep_info_buffer] == [LIMIT] * 4 * COUNT
    model.save(tmp_path / "policy.zip")
    again = PPO.load(tmp_path / "policy.zip", env=wrapped, device="cpu")
    mean, _ = evaluate_policy(again, wrapped, n_eval_episodes=COUNT, warn=False)
    assert np.isfinite(mean)


@pytest.mark.rl
def test_one_line_for_what_cannot_be(envs) -> None:
    from mjx_msm.envs.adapters.stable_baselines import StableBaselinesVecEnv

    with pytest.raises(InputError, match=r"takes what gymnasium\.make_vec makes"):
        StableBaselinesVecEnv(gymnasium.make(KNEE_EXO))
    with pytest.raises(InputError, match="'gravity' cannot be set"):
        envs.set_attr("gravity", 1.0)
    with pytest.raises(InputError, match="'render' cannot be called"):
        envs.env_method("render")
    envs.set_options([{"draws": 1}, {}, {}])
    with pytest.raises(InputError, match="give the same options to all"):
        envs.reset()
    envs.set_options({})


def test_without_stable_baselines3_it_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['stable_baselines3'] = None\n"
        "try:\n"
        "    import mjx_msm.envs.adapters.stable_baselines\n"
        "except ImportError as e:\n"
        "    print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'mjx-msm[rl]'" in done.stdout
    assert done.stdout.count("\n") == 1
