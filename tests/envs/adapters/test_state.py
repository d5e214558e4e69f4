"""An episode can be kept and gone back to: what comes then is the same to the bit, whatever was under way."""

import copy
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, KNEE_EXO
from mjx_msm.envs.controllers import controller
from mjx_msm.person.space import parameter_space

RICH = {"nerve_delay": 0.06, "reflex": True, "fatigue": True}
LATE = {"noise": 1.0, "delay": 0.04, "command_delay": 0.02}
CASES = {
    "reach": (ARM_REACH, {}, {}),
    "reach tracking": (
        ARM_REACH,
        {"payload": 0.5, "human": {**RICH, "tracking": True}, "sensing": LATE},
        {"disturbance": {"tremor": 0.1, "payload": 0.3}},
    ),
    "admittance": (ARM_CO_TRANSPORT, {}, {}),
    "torque": (
        ARM_CO_TRANSPORT,
        {"robot": "torque", "human": RICH, "emg": True, "sensing": LATE},
        {"disturbance": {"delay": 0.04, "tremor": 0.1, "stall": 1.0, "onset": 0.5, "duration": 0.1}},
    ),
    "seated": (KNEE_EXO, {}, {}),
    "swing": (
        KNEE_EXO,
        {"task": "swing", "human": RICH, "load": 1.0, "sensing": LATE},
        {"disturbance": {"slip": 0.5, "onset": 0.3, "duration": 0.5, "emg_dropout": 1.0}},
    ),
    "both": (KNEE_EXO, {"action_mode": "both", "rate": 100}, {}),
}
BEFORE, AFTER = 30, 30


def follow(env: gymnasium.Env, actions: np.ndarray) -> list:
    """All that comes back, of this episode and of the beginning of the next one."""
    out: list = []
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        out += [observation, reward, terminated, truncated, info]
    out.append(env.unwrapped.summary())
    observation, info = env.reset()
    return [*out, observation, info]


def same(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return np.array_equal(a, b)


def alike(one: list, other: list) -> bool:
    return all(same(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_episode_goes_on_from_a_state_as_it_did(case: str) -> None:
    id, arguments, options = CASES[case]
    env = gymnasium.make(id, **arguments)
    env.reset(seed=3, options=options)
    actions = np.random.default_rng(0).uniform(-1, 1, (BEFORE + AFTER, *env.action_space.shape)).astype(np.float32)
    for action in actions[:BEFORE]:
        env.step(action)
    bare = env.unwrapped
    state, by_copy, by_pickle = bare.get_state(), copy.deepcopy(env), pickle.loads(pickle.dumps(env))
    stored = pickle.dumps(state)
    expected = follow(env, actions[BEFORE:])
    assert alike(expected, follow(by_copy, actions[BEFORE:]))
    assert alike(expected, follow(by_pickle, actions[BEFORE:]))
    for other in (bare, gymnasium.make(id, **arguments).unwrapped):
        for kept in (state, pickle.loads(stored)):  # twice: what was gone back to has not changed
            other.set_state(kept)
            assert alike(expected, follow(other, actions[BEFORE:]))
    # A copy is on its own: the original did not move on with it.
    bare.set_state(state)
    by_copy = copy.deepcopy(bare)
    follow(by_copy, actions[BEFORE:])
    assert alike(expected, follow(bare, actions[BEFORE:]))


def test_the_person_goes_with_the_state(arm) -> None:
    """Somebody else's body in the model, and the nominal person's afterwards."""
    space = parameter_space(arm.nominal, ["muscle/*/max_isometric_force", "body/*/mass"])
    with float64():
        person = space.unpack(space.prior_mean + 0.3)
    env = gymnasium.make(ARM_REACH).unwrapped
    env.reset(seed=1, options={"person": person})
    heavy, state = env.model.body_mass.copy(), env.get_state()
    actions = np.zeros((10, *env.action_space.shape), np.float32)
    expected = [env.step(a)[0] for a in actions]
    env.reset(seed=1)
    assert not np.array_equal(env.model.body_mass, heavy)
    other = gymnasium.make(ARM_REACH).unwrapped
    for one in (env, other, copy.deepcopy(other)):
        one.set_state(state)
        assert np.array_equal(one.model.body_mass, heavy)
        assert alike(expected, [one.step(a)[0] for a in actions])
    env.reset(seed=1)  # and leaves no trace
    assert np.array_equal(env.model.body_mass, gymnasium.make(ARM_REACH).unwrapped.model.body_mass)


def test_a_controller_is_copied_in_the_middle() -> None:
    env = gymnasium.make(ARM_REACH).unwrapped
    act = controller("reaching", env)
    observation, _ = env.reset(seed=2)
    act.reset()
    for _ in range(20):
        observation = env.step(act(observation))[0]
    pairs = [(copy.deepcopy(env), copy.deepcopy(act)), pickle.loads(pickle.dumps((env, act)))]
    pairs.append((env, act))
    ends = []
    for one, its in pairs:
        seen = observation
        for _ in range(90):  # beyond the next target
            seen = one.step(its(seen))[0]
        ends.append(seen)
    assert np.array_equal(ends[0], ends[2])
    assert np.array_equal(ends[1], ends[2])


def test_spaces_of_a_copy_draw_what_the_original_would() -> None:
    env = gymnasium.make(KNEE_EXO)
    env.action_space.seed(5)
    env.reset(seed=0)
    env.action_space.sample()
    others = (copy.deepcopy(env.unwrapped), pickle.loads(pickle.dumps(env.unwrapped)))
    drawn = env.action_space.sample()
    for other in others:
        assert np.array_equal(other.action_space.sample(), drawn)
        assert other.spec == env.unwrapped.spec


def test_what_is_no_state() -> None:
    env, other = gymnasium.make(KNEE_EXO).unwrapped, gymnasium.make(ARM_REACH).unwrapped
    with pytest.raises(ResetNeeded, match="get_state was called before reset"):
        env.get_state()
    env.reset(seed=0)
    for wrong, words in (
        (3, "takes what get_state returned, not int"),
        (pickle.dumps(env.get_state()), "not bytes"),
    ):
        with pytest.raises(InputError, match=words):
            env.set_state(wrong)
    with pytest.raises(InputError, match=r"of another environment \(KneeExo"):
        other.set_state(env.get_state())
    before = pickle.loads(pickle.dumps(gymnasium.make(KNEE_EXO, strength=0.3).unwrapped))
    with pytest.raises(ResetNeeded):
        before.step(np.zeros(1))


# The end of an episode -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["truncated", "terminated"])
def test_a_step_after_the_end_warns_once_as_gymnasium_does(how: str) -> None:
    env = gymnasium.make(ARM_REACH, targets=1).unwrapped
    idle = np.full(env.action_space.shape, -1.0, np.float32)
    for _ in range(2):  # and again in the next episode
        env.reset(seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if how == "terminated":
                env.step(idle)
                env.data.qvel[0] = np.nan
                assert env.step(idle)[2]
            else:
                assert [env.step(idle)[3] for _ in range(75)][-1]
        ended = copy.deepcopy(env)
        with pytest.warns(UserWarning, match="after the end of the episode"):
            env.step(idle)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env.step(idle)
        with pytest.warns(UserWarning, match="after the end"):
            ended.step(idle)


def test_before_reset_it_is_gymnasiums_error() -> None:
    for env in (gymnasium.make(KNEE_EXO), gymnasium.make(KNEE_EXO).unwrapped):
        with pytest.raises(ResetNeeded):
            env.step(np.zeros(1, np.float32))
    with pytest.raises(ResetNeeded, match="render was called before reset"):
        gymnasium.make(KNEE_EXO, render_mode="rgb_array").unwrapped.render()


# Many at once ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowd():
    made = gymnasium.make_vec(ARM_REACH, num_envs=3, max_episode_steps=12, sensing=LATE, human=RICH).unwrapped
    made.reset(seed=4)
    return made


@pytest.mark.slow
def test_many_go_on_from_a_state_as_they_did(crowd) -> None:
    """Across the end of episodes, and from a pickled state."""
    rng = np.random.default_rng(1)
    actions = rng.uniform(-1, 1, (20, *crowd.action_space.shape)).astype(np.float32)
    crowd.reset(seed=4)
    for action in actions[:5]:
        crowd.step(action)

    def on(vector) -> list:
        out = [x for action in actions[5:] for x in vector.step(action)]
        return [*out, *vector.reset()]

    state, other = crowd.get_state(), copy.deepcopy(crowd)
    stored = pickle.dumps(state)
    expected = on(crowd)
    assert alike(expected, on(other))
    for kept in (state, pickle.loads(stored)):
        crowd.set_state(kept)
        assert alike(expected, on(crowd))
    with pytest.raises(InputError, match="takes what get_state returned, not NoneType"):
        crowd.set_state(None)
    with pytest.raises(InputError, match="another environment"):
        gymnasium.make_vec(ARM_REACH, num_envs=2).unwrapped.set_state(state)


@pytest.mark.slow
def test_many_are_pickled_in_the_middle(crowd) -> None:
    crowd.reset(seed=4)
    action = np.full(crowd.action_space.shape, 0.2, np.float32)
    crowd.step(action)
    other = pickle.loads(pickle.dumps(crowd))
    assert other.spec == crowd.spec
    assert alike([x for _ in range(3) for x in crowd.step(action)], [x for _ in range(3) for x in other.step(action)])


@pytest.mark.slow
def test_a_mask_starts_some_anew_and_leaves_the_rest(crowd) -> None:
    crowd.reset(seed=4)
    action = np.full(crowd.action_space.shape, 0.2, np.float32)
    for _ in range(6):
        before = crowd.step(action)[0]
    state = crowd.get_state()
    mask = np.array([False, True, False])
    observation, infos = crowd.reset(options={"reset_mask": mask})
    assert np.array_equal(observation[~mask], before[~mask])
    assert not np.array_equal(observation[mask], before[mask])
    assert infos["time"].tolist() == [infos["time"][0], 0.0, infos["time"][0]]
    went = [crowd.step(action) for _ in range(6)]
    assert [step[3].tolist() for step in went] == [[False] * 3] * 5 + [[True, False, True]]
    crowd.set_state(state)
    untouched = [crowd.step(action) for _ in range(6)]
    for a, b in zip(went, untouched, strict=True):  # the others did not notice
        assert np.array_equal(a[0][~mask], b[0][~mask])
    for options, words in (
        ({"reset_mask": mask[:2]}, "give 3 of True or False"),
        ({"reset_mask": [0, 1, 0]}, "give 3 of True or False"),
        ({"reset_mask": mask, "draws": None}, "does not go with draws"),
    ):
        with pytest.raises(InputError, match=words):
            crowd.reset(options=options)
    with pytest.raises(InputError, match="does not go with seed"):
        crowd.reset(seed=1, options={"reset_mask": mask})
    with pytest.raises(ResetNeeded, match="reset all first"):
        gymnasium.make_vec(ARM_REACH, num_envs=3).unwrapped.reset(options={"reset_mask": mask})
