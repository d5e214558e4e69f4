"""`gymnasium.make_vec`: many people at once in JAX, beside the single environments; compiled once, for the arm."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, ARM_STRIKE, KNEE_EXO
from mjx_msm.envs.adapters.vector import TaskVectorEnv
from mjx_msm.envs.tasks.arm_reach import REACH
from mjx_msm.person.space import parameter_space

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


@pytest.mark.parametrize("id", [KNEE_EXO, ARM_REACH, ARM_STRIKE, ARM_CO_TRANSPORT])
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


@pytest.mark.slow
def test_single_precision_stays_close_to_c() -> None:
    """An episode of full length in float32 beside C MuJoCo's float64, under actions that are held and that jump.

    Measured: where excitation jumps every period, 2e-6 rad at most (8 arms); where it is held for half a second, 2e-6
    rad in the median and 3.4e-4 rad and 0.03 rad/s in the worst, for a moment (36 arms).
    It comes before the tests whose fixture asks for double precision.
    """
    rng, count = np.random.default_rng(0), 4
    vector = gymnasium.make_vec(ARM_REACH, num_envs=count)
    single = [gymnasium.make(ARM_REACH).unwrapped for _ in range(count)]
    draws = rng.uniform(0, 1, (count, vector.unwrapped.task.draws))
    vector.reset(seed=0, options={"draws": draws})
    for env, u in zip(single, draws, strict=True):
        env.reset(options={"draws": u})
    held = np.arange(count) < 2
    action = np.zeros(vector.action_space.shape, np.float32)
    for k in range(vector.unwrapped.task.length):
        fresh = rng.uniform(-1, 1, action.shape).astype(np.float32)
        action = np.where((held & (k % 25 > 0))[:, None], action, fresh)
        observation, reward, terminated, truncated, infos = vector.step(action)
        theirs = [env.step(a) for env, a in zip(single, action, strict=True)]
        engine = vector.unwrapped._state.engine
        assert engine.position.dtype == np.float32
        np.testing.assert_allclose(engine.position, [env.data.qpos for env in single], rtol=0, atol=1e-3)
        np.testing.assert_allclose(engine.velocity, [env.data.qvel for env in single], rtol=0, atol=0.1)
        np.testing.assert_allclose(reward, [t[1] for t in theirs], rtol=0, atol=1e-2)
        assert np.isfinite(observation).all()
        assert not terminated.any()
    assert truncated.all()
    for name in ("distance_rms", "effort_rms", "hand_speed_peak", "metabolic_power_integral"):
        np.testing.assert_allclose(infos["summary"][name], [env.summary()[name] for env in single], rtol=1e-3)


@pytest.mark.slow
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


def test_options_hold_for_one_episode(vector) -> None:
    """As in the single environment; then comes whoever is drawn, undisturbed, and `info` says who."""
    single = [
        gymnasium.make(ARM_REACH, targets=1, subject=str(vector.unwrapped.task.people.folder)) for _ in range(COUNT)
    ]
    draws = np.random.default_rng(1).uniform(0, 1, (COUNT, vector.unwrapped.task.draws))
    wrong = {"tremor": 0.2, "payload": 1.0, "delay": 0.04}
    _, infos = vector.reset(seed=4, options={"person": [4, 0, 2], "draws": draws, "disturbance": wrong})
    np.testing.assert_array_equal(infos["person"], [4, 0, 2])
    assert infos["_person"].all()
    for i, env in enumerate(single):
        env.reset(options={"person": [4, 0, 2][i], "draws": draws[i], "disturbance": wrong})
    for episode in range(2):
        for _ in range(LIMIT):
            action = np.full(vector.action_space.shape, -0.5, np.float32)
            observation, _, _, truncated, infos = vector.step(action)
            theirs = [env.step(a)[0] for env, a in zip(single, action, strict=True)]
            np.testing.assert_allclose(observation, theirs, rtol=1e-5, atol=1e-5)
            assert "person" not in infos
        assert truncated.all()
        if episode == 0:
            _, _, _, _, infos = vector.step(action)
            assert infos["_person"].all()
            for i, env in enumerate(single):
                env.reset(options={"person": int(infos["person"][i]), "draws": draws_of(vector, i)})


def test_parameters_are_people_too(vector) -> None:
    """Of one for everybody, with the person's own names or the world's; or of each."""
    people = vector.unwrapped.task.people
    forces = []
    for person in (people.draw(3), jax.tree.map(lambda x: x[:COUNT], people.drawn), 3):
        vector.reset(seed=0, options={"person": person})
        forces.append([person_of(vector, i).muscle.max_isometric_force for i in range(COUNT)])
    np.testing.assert_array_equal(forces[0], forces[2])
    assert np.ptp(forces[0], axis=0).max() == 0
    np.testing.assert_array_equal(forces[1][2], vector.unwrapped.twin.people.muscle.max_isometric_force[2])


def test_a_lane_is_its_seeds(vector) -> None:
    """Person, plan and all that follows, through the next reset, whatever the other lanes do."""

    def play(seed: list[int]) -> np.ndarray:
        observation, infos = vector.reset(seed=seed)
        out = [np.column_stack([observation, infos["person"]])]
        for _ in range(LIMIT + 3):
            observation, *_, infos = vector.step(np.zeros(vector.action_space.shape, np.float32))
            out.append(np.column_stack([observation, infos.get("person", np.zeros(COUNT))]))
        observation, infos = vector.reset()
        return np.array([*out, np.column_stack([observation, infos["person"]])])

    first, other = play([5, 6, 7]), play([7, 5, 8])
    np.testing.assert_array_equal(first[:, [2, 0]], other[:, [0, 1]])
    assert not np.array_equal(first[:, 1], other[:, 2])
    assert not np.array_equal(first[0], first[-1])


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
    single = gymnasium.make(ARM_REACH, targets=1).unwrapped
    single.reset(options={"person": person_of(vector, 1), "draws": draws_of(vector, 1)})
    zero = np.zeros(vector.action_space.shape, np.float32)
    for _ in range(3):
        vector.step(zero)
        single.step(zero[1])
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
    # What was before is summarised, as in the single environment; nothing is measured.
    single.data.qvel[0] = np.nan
    *_, info = single.step(zero[1])
    assert list(infos["failure"]) == [None, info["failure"], None]
    np.testing.assert_array_equal(infos["_failure"], [False, True, False])
    assert info["summary"]["distance_peak"] > 0.01
    for name, value in info["summary"].items():
        assert infos["summary"][name][1] == pytest.approx(value, rel=1e-6, abs=1e-9), name
    np.testing.assert_array_equal(infos["_distance"], [True, False, True])
    assert all(np.isfinite(infos[name]).all() for name in inner.task.summarised)
    before = observation
    observation, reward, terminated, _, infos = vector.step(zero)
    assert not terminated.any()
    assert "failure" not in infos
    np.testing.assert_array_equal(infos["_person"], [False, True, False])
    assert infos["_distance"].all()
    assert reward[1] == 0.0
    assert (reward[[0, 2]] != 0.0).all()
    assert np.isfinite(observation).all()
    assert np.abs(observation[[0, 2], :2] - before[[0, 2], :2]).max() < 0.2  # these go on


def test_nothing_is_compiled_twice(vector) -> None:
    vector.reset(seed=0)
    for _ in range(LIMIT + 2):
        vector.step(np.zeros(vector.action_space.shape, np.float32))
    draws = np.full((COUNT, vector.unwrapped.task.draws), 0.5)
    vector.reset(seed=[1, 2, 3], options={"disturbance": {"tremor": 0.1}, "person": [0, 1, 2], "draws": draws})
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
    for options, words in (
        ({"disturbance": {"tremour": 1.0}}, "no 'tremour'"),
        ({"disturbance": {"slip": 1.0}}, "disturbance slip disturbs nothing here"),
        ({"draws": [[0.5] * 4] * 2}, "draws: give 3 rows of 4 numbers"),
        ({"draws": 0.5}, "draws: give 3 rows of 4 numbers"),
        ({"draws": [[0.5] * 4, [0.5] * 4, [0.5] * 3]}, "draws: give 4 numbers between 0 and 1"),
        ({"draws": np.full((3, 4), np.nan)}, "draws: give 4 numbers between 0 and 1"),
        ({"person": [0, 1]}, r"person \[0, 1\]: give Parameters"),
        ({"person": "Ann"}, "person 'Ann': give Parameters"),
        ({"person": [0, 1, 10**6]}, "person 1000000: .* has draws 0 to"),
        ({"person": vector.unwrapped.task.people.drawn}, "leading axes"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            vector.reset(options=options)
        assert "\n" not in str(caught.value)
    for seed in ([1, 2], [1, 2, "a"]):
        with pytest.raises(InputError, match="give a whole number, or a list of 3"):
            vector.reset(seed=seed)
    with pytest.raises(InputError, match="num_envs = 0"):
        gymnasium.make_vec(ARM_REACH, num_envs=0)
    with pytest.raises(InputError, match="no identification"):
        gymnasium.make_vec(ARM_REACH, num_envs=2, sample_posterior=True)
    with pytest.raises(gymnasium.error.ResetNeeded, match="before reset"):
        gymnasium.make_vec(ARM_REACH, num_envs=1).step(np.zeros((1, 6)))
    with pytest.raises(InputError, match="no identification"):
        gymnasium.make_vec(ARM_REACH, num_envs=2).reset(options={"person": 0})


def test_pictures_a_second_are_actions_a_second() -> None:
    assert gymnasium.make_vec(ARM_REACH, num_envs=1, rate=25).metadata["render_fps"] == 25
