"""`gymnasium.make_vec`: many people at once in JAX, beside the single environments; compiled once, for the arm."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, KNEE_EXO
from mjx_msm.envs.arm_reach import REACH
from mjx_msm.envs.vector import TaskVectorEnv
from mjx_msm.errors import InputError
from mjx_msm.parameters import parameter_space

COUNT, LIMIT = 3, 30


@pytest.fixture(scope="module")
def vector(tmp_path_factory, arm, result_of):
    """Three of a cohort whose forearm and biceps are known to some 10 %, for 30 periods each."""
    folder = tmp_path_factory.mktemp("cohort")
    space = parameter_space(arm.nominal, ["muscle/BIClong/max_isometric_force", "body/forearm/mass"])
    result_of(space, np.eye(2) / 0.1**2).save(folder / "identification.json")
    with jax.enable_x64(True):
        made = gymnasium.make_vec(
            ARM_REACH, num_envs=COUNT, subject=str(folder), sample_posterior=True, max_episode_steps=LIMIT, targets=1
        )
        yield made
        made.close()


def person_of(vector: TaskVectorEnv, lane: int):
    return jax.tree.map(lambda x: np.asarray(x[lane]), vector.unwrapped._state.person)


def draws_of(vector: TaskVectorEnv, lane: int) -> np.ndarray:
    """The random numbers that an episode's plan was made from, from the plan."""
    plan = vector.unwrapped._state.plan
    angles = np.concatenate([np.asarray(plan.start)[lane][None], np.asarray(plan.angles)[lane]])
    return np.clip(((angles - REACH[:, 0]) / (REACH[:, 1] - REACH[:, 0])).ravel(), 0.0, 1.0)


@pytest.mark.parametrize("id", [KNEE_EXO, ARM_REACH, ARM_CO_TRANSPORT])
def test_make_vec_makes_ours_by_default(id: str) -> None:
    vector = gymnasium.make_vec(id, num_envs=4)
    assert isinstance(vector.unwrapped, TaskVectorEnv)
    assert vector.num_envs == 4
    assert vector.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert vector.spec.id == id
    single = gymnasium.make(id)
    assert vector.single_observation_space == single.observation_space
    assert vector.single_action_space == single.action_space
    assert vector.observation_space.shape == (4, *single.observation_space.shape)
    vector.close()
    vector.close()


def test_an_episode_and_the_next_are_the_single_environments(vector) -> None:
    """Through truncation and the reset in the step after, with the people and plans that were drawn."""
    rng = np.random.default_rng(0)
    single = [gymnasium.make(ARM_REACH, targets=1).unwrapped for _ in range(COUNT)]
    observation, _ = vector.reset(seed=3)
    forces = []

    def start() -> np.ndarray:
        options = [{"person": person_of(vector, i), "draws": draws_of(vector, i)} for i in range(COUNT)]
        forces.append([float(o["person"].muscle.max_isometric_force[3]) for o in options])
        return np.stack([env.reset(options=o)[0] for env, o in zip(single, options, strict=True)])

    np.testing.assert_allclose(observation, start(), atol=1e-5)
    for _ in range(2):
        rows = []
        for k in range(1, LIMIT + 1):
            actions = rng.uniform(-1, 1, vector.action_space.shape).astype(np.float32)
            observation, reward, terminated, truncated, infos = vector.step(actions)
            theirs = [env.step(a) for env, a in zip(single, actions, strict=True)]
            assert vector.observation_space.contains(observation)
            np.testing.assert_allclose(observation, [t[0] for t in theirs], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(reward, [t[1] for t in theirs], rtol=1e-6)
            assert not terminated.any()
            assert (truncated == (k == LIMIT)).all()
            for name in theirs[0][4].keys() - {"summary"}:
                np.testing.assert_allclose(infos[name], [t[4][name] for t in theirs], rtol=1e-5, atol=1e-6)
                assert infos[f"_{name}"].all()
            rows.append(infos["distance"])
            assert ("summary" in infos) == (k == LIMIT)
        for name, column in infos["summary"].items():
            if not name.startswith("_"):
                np.testing.assert_allclose(column, [env.summary()[name] for env in single], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(infos["summary"]["distance_peak"], np.max(rows, axis=0))
        assert infos["_summary"].all()
        # The step after starts anew: its action is ignored, its reward 0.
        observation, reward, terminated, truncated, infos = vector.step(np.ones_like(actions))
        assert not reward.any()
        assert not (terminated | truncated).any()
        assert "summary" not in infos
        np.testing.assert_allclose(observation, start(), atol=1e-5)
    # Everybody is somebody else, and again after every reset.
    assert len({f for row in forces for f in row}) > COUNT
    assert len(set(forces[0])) == COUNT
    assert not np.array_equal(forces[0], forces[1])


def test_seeds_reproduce_to_the_bit(vector) -> None:
    def play(seed: int) -> np.ndarray:
        out = [vector.reset(seed=seed)[0]]
        for _ in range(LIMIT + 3):
            out.append(vector.step(np.zeros(vector.action_space.shape, np.float32))[0])
        return np.array(out)

    first = play(1)
    np.testing.assert_array_equal(first, play(1))
    assert not np.array_equal(first, play(2))


def test_only_who_ended_starts_anew_and_is_summarised(vector) -> None:
    vector.reset(seed=0)
    zero = np.zeros(vector.action_space.shape, np.float32)
    vector.step(zero)
    # One lane's state is broken.
    inner = vector.unwrapped
    state = inner._state
    with jax.enable_x64(True):
        velocity = state.engine.velocity.at[1, 0].set(jnp.nan)
        inner._state = jax.tree.map(lambda x: velocity if x is state.engine.velocity else x, state)
    observation, reward, terminated, truncated, infos = vector.step(zero)
    np.testing.assert_array_equal(terminated, [False, True, False])
    assert not truncated.any()
    assert reward[1] == -100.0
    assert vector.observation_space.contains(observation)
    np.testing.assert_array_equal(infos["_summary"], [False, True, False])
    before = observation
    observation, reward, terminated, *_ = vector.step(zero)
    assert not terminated.any()
    assert reward[1] == 0.0
    assert (reward[[0, 2]] != 0.0).all()
    assert np.isfinite(observation).all()
    assert np.abs(observation[[0, 2], :2] - before[[0, 2], :2]).max() < 0.2  # these go on


def test_nothing_is_compiled_twice(vector) -> None:
    vector.reset(seed=0)
    for _ in range(LIMIT + 2):
        vector.step(np.zeros(vector.action_space.shape, np.float32))
    vector.reset(options={"disturbance": {"tremor": 0.1}})
    vector.step(np.zeros(vector.action_space.shape, np.float32))
    assert vector.unwrapped._step._cache_size() == 1
    assert vector.unwrapped._reset._cache_size() == 1


def test_a_wrapper_counts_returns(vector) -> None:
    wrapped = RecordEpisodeStatistics(vector)
    wrapped.reset(seed=0)
    total = np.zeros(COUNT)
    for _ in range(LIMIT):
        _, reward, _, truncated, infos = wrapped.step(np.zeros(vector.action_space.shape, np.float32))
        total += reward
    assert truncated.all()
    np.testing.assert_allclose(infos["episode"]["r"], total, rtol=1e-6)
    np.testing.assert_array_equal(infos["episode"]["l"], LIMIT)


def test_errors_name_the_environment_and_the_fix(vector) -> None:
    vector.reset(seed=0)
    bad = np.zeros(vector.action_space.shape, np.float32)
    with pytest.raises(InputError, match=r"actions have shape \(2, 6\); give shape \(3, 6\)"):
        vector.step(bad[:2])
    bad[1, 4] = np.nan
    with pytest.raises(InputError, match="action 'excitation_BICshort' of environment 1 is nan"):
        vector.step(bad)
    with pytest.raises(InputError, match="'seed' is not known"):
        vector.reset(options={"seed": 1})
    with pytest.raises(InputError, match="no 'tremour'"):
        vector.reset(options={"disturbance": {"tremour": 1.0}})
    with pytest.raises(InputError, match="num_envs = 0"):
        gymnasium.make_vec(ARM_REACH, num_envs=0)
    with pytest.raises(InputError, match="no identification"):
        gymnasium.make_vec(ARM_REACH, num_envs=2, sample_posterior=True)
    with pytest.raises(InputError, match="before reset"):
        gymnasium.make_vec(ARM_REACH, num_envs=1).step(np.zeros((1, 6)))
