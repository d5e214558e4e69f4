"""The environments as Gymnasium citizens: its own checks, spaces, seeds, specs, pickles, pictures, wrappers, errors."""

import pickle
import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import imageio.v3 as iio
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics, RecordVideo

from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, ARM_STRIKE, KNEE_EXO, functional, make_task
from mjx_msm.envs.tasks.disturbance import Disturbance
from mjx_msm.views.video import video

EVERY = (KNEE_EXO, ARM_REACH, ARM_STRIKE, ARM_CO_TRANSPORT)
VARIANTS = (
    (KNEE_EXO, {}),
    (KNEE_EXO, {"task": "swing", "action_mode": "human", "metabolics": "umberger2010"}),
    (KNEE_EXO, {"action_mode": "both", "load": 2.0, "sensing": {"noise": 1.0, "delay": 0.04, "command_delay": 0.02}}),
    (KNEE_EXO, {"exoskeleton": {"torque_limit": 15.0, "friction": 0.1}}),
    (ARM_REACH, {}),
    (ARM_REACH, {"payload": 1.0, "targets": 2, "sensing": {"noise": 1.0}}),
    (ARM_STRIKE, {"sensing": {"noise": 1.0}}),
    (ARM_CO_TRANSPORT, {}),
    (ARM_CO_TRANSPORT, {"robot": "torque", "emg": True, "sensing": {"noise": 1.0, "delay": 0.02}}),
    (ARM_CO_TRANSPORT, {"action_mode": "human"}),
    (ARM_CO_TRANSPORT, {"action_mode": "both", "robot": "torque", "transport": {"beam_mass": 2.0}}),
)


def play(env: gymnasium.Env, seed: int, steps: int = 25) -> list:
    """Everything that comes back from random actions."""
    observation, info = env.reset(seed=seed)
    rng, out = np.random.default_rng(7), [observation, info]
    shape = env.action_space.shape
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(rng.uniform(-0.3, 0.3, shape).astype(np.float32))
        assert env.observation_space.contains(observation)
        assert not truncated
        out += [observation, reward, terminated, info]
        if terminated:
            break
    return out


def same(a, b) -> bool:
    """To the bit, also inside dictionaries."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return np.array_equal(a, b)


def test_registering_loads_nothing_heavy() -> None:
    code = "import sys, mjx_msm.envs; print([m for m in ('jax', 'mujoco', 'matplotlib', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_single_environment_needs_no_jax() -> None:
    code = (
        "import sys, gymnasium, mjx_msm.envs\n"
        f"for id in {EVERY}:\n"
        "    env = gymnasium.make(id); env.reset(seed=0); env.step(env.action_space.sample()); env.close()\n"
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert not done.stderr.strip()


@pytest.mark.parametrize(("id", "arguments"), VARIANTS)
def test_gymnasium_has_no_complaint(id: str, arguments: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(f"mjx_msm.envs:{id}", **arguments)
        # Its render check would open a window.
        check_env(env.unwrapped, skip_render_check=True)
        play(env, 0)
    env.close()


@pytest.mark.parametrize(("id", "arguments"), VARIANTS)
def test_seeds_reproduce_to_the_bit(id: str, arguments: dict) -> None:
    env = gymnasium.make(id, **arguments)
    first = play(env, 3)
    assert all(same(a, b) for a, b in zip(first, play(env, 3), strict=True))
    assert all(same(a, b) for a, b in zip(first, play(gymnasium.make(id, **arguments), 3), strict=True))
    again = pickle.loads(pickle.dumps(env.unwrapped))
    assert all(same(a, b) for a, b in zip(first, play(again, 3), strict=True))
    other = play(gymnasium.make(id, **arguments), 4)
    assert not all(same(a, b) for a, b in zip(first, other, strict=False))
    # Without a seed, the next episode is another one.
    following, _ = env.reset()
    for _ in range(20):
        following, *_ = env.step(np.zeros(env.action_space.shape, np.float32))
    env.reset(seed=3)
    for _ in range(20):
        seeded, *_ = env.step(np.zeros(env.action_space.shape, np.float32))
    assert not np.array_equal(following, seeded)


@pytest.mark.parametrize(("id", "arguments"), VARIANTS)
def test_spaces_say_what_the_names_say(id: str, arguments: dict) -> None:
    env = gymnasium.make(id, **arguments).unwrapped
    for space, names in (
        (env.action_space, env.action_names),
        (env.observation_space, env.observation_names),
    ):
        assert space.dtype == np.float32
        assert space.shape == (len(names),)
        assert len(set(names)) == len(names)
        assert np.isfinite(space.low).all()
        assert np.isfinite(space.high).all()
        assert (space.low < space.high).all()


@pytest.mark.parametrize("id", EVERY)
def test_a_spec_makes_it_again(id: str) -> None:
    arguments = {
        KNEE_EXO: {"strength": 0.3},
        ARM_REACH: {"targets": 2},
        ARM_STRIKE: {"rate": 100},
        ARM_CO_TRANSPORT: {"robot": "torque"},
    }[id]
    env = gymnasium.make(id, **arguments)
    assert env.spec is not None
    assert env.spec.kwargs == arguments
    again = env.spec.make()
    assert again.observation_space == env.observation_space
    assert all(same(a, b) for a, b in zip(play(env, 1), play(again, 1), strict=True))
    from_text = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert all(same(a, b) for a, b in zip(play(env, 1), play(from_text, 1), strict=True))


# Reset's options -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", EVERY)
def test_draws_make_the_episode(id: str) -> None:
    env = gymnasium.make(id).unwrapped
    draws = np.full(env.task.draws, 0.25)
    # Sensors are without noise here: the plan is all that is random.
    first, _ = env.reset(seed=1, options={"draws": draws})
    second, _ = env.reset(seed=2, options={"draws": list(draws)})
    other, _ = env.reset(seed=1, options={"draws": 1.0 - draws})
    assert np.array_equal(first, second)
    for _ in range(20):
        still = np.zeros(env.action_space.shape)
        other, *_ = env.step(still)
    env.reset(options={"draws": draws})
    for _ in range(20):
        first, *_ = env.step(still)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"draw": [0.5]}, "'draw' is not known"),
        ({"draws": [0.5] * 30}, "numbers between 0 and 1"),
        ({"draws": [2.0, 0.5, 0.5]}, "numbers between 0 and 1"),
        ({"draws": [np.nan, 0.5, 0.5]}, "numbers between 0 and 1"),
        ({"draws": "all"}, "numbers between 0 and 1"),
        ({"disturbance": {"tremour": 0.1}}, "no 'tremour'"),
        ({"disturbance": {"tremor": "much"}}, "tremor = 'much'; give a number between 0 and 1"),
        ({"disturbance": {"delay": 0.5}}, "delay = 0.5; give a number between 0 and 0.2"),
        ({"disturbance": {"payload": -1.0}}, "payload = -1.0"),
        ({"disturbance": {"onset": np.nan}}, "onset = nan"),
        ({"disturbance": {"payload": np.inf}}, "payload = inf; give a finite number, zero or more"),
        ({"disturbance": {"tremor_frequency": np.inf}}, "tremor_frequency = inf"),
        ({"disturbance": {"tremor_frequency": 25.0}}, "25.0; give less than 25 Hz, half of the actions a second"),
        ({"disturbance": Disturbance(payload=np.nan)}, "payload = nan"),
        ({"disturbance": 3}, "disturbance 3: give"),
        ({"person": 0}, "no identification"),
        ({"person": "Ann"}, "person 'Ann': give Parameters"),
        ("tremor", "reset options = 'tremor'; give a mapping"),
        ([("draws", 0.5)], "give a mapping"),
    ],
)
def test_reset_options_that_cannot_be(options: Any, words: str) -> None:
    env = gymnasium.make(KNEE_EXO).unwrapped
    with pytest.raises(InputError, match=words):
        env.reset(seed=0, options=options)
    env.reset(seed=0)  # nothing is broken by it
    env.step(np.zeros(1, np.float32))


# Actions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", EVERY)
def test_bad_actions(id: str) -> None:
    env = gymnasium.make(id, disable_env_checker=True).unwrapped
    count = env.action_space.shape[0]
    with pytest.raises(gymnasium.error.ResetNeeded, match="before reset"):
        env.step(np.zeros(count))
    env.reset(seed=0)
    bad = np.zeros(count)
    bad[-1] = np.nan
    for action, words in (
        (bad, f"action '{env.action_names[-1]}' is nan; give finite numbers"),
        (np.where(np.isnan(bad), -np.inf, bad), f"action '{env.action_names[-1]}' is -inf"),
        (np.zeros(count + 1), rf"shape \({count + 1},\); give shape \({count},\): {env.action_names[0]}"),
        (0.5, r"shape \(\)"),
        (["a"] * count, "not numbers"),
        (None, "action"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            env.step(action)
        assert "\n" not in str(caught.value)
    env.step(np.zeros(count))  # and goes on


@pytest.mark.parametrize("id", EVERY)
def test_actions_beyond_their_bounds_are_taken_to_them(id: str) -> None:
    env = gymnasium.make(id, disable_env_checker=True)
    ends = []
    for size in (1.0, 5.0):
        env.reset(seed=0)
        action = size * np.where(np.arange(env.action_space.shape[0]) % 2, 1.0, -1.0)
        ends.append([env.step(action) for _ in range(5)][-1])
    assert all(same(a, b) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize("id", EVERY)
def test_a_state_that_is_not_finite_terminates(id: str) -> None:
    env = gymnasium.make(id).unwrapped
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.zeros(env.action_space.shape, np.float32))
    before = env.summary()
    env.data.qvel[1] = np.nan
    observation, reward, terminated, truncated, info = env.step(np.zeros(env.action_space.shape, np.float32))
    assert terminated
    assert not truncated
    assert reward == (-16.0 * (env.task.length - 3) if id == ARM_CO_TRANSPORT else -100.0)
    assert info == {"failure": "not finite", "summary": before}
    assert np.isfinite(list(before.values())).all()
    assert env.observation_space.contains(observation)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert not env.step(np.zeros(env.action_space.shape, np.float32))[2]


# Episodes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "arguments", "periods"),
    [(KNEE_EXO, {}, 500), (ARM_REACH, {"targets": 2}, 150), (ARM_STRIKE, {}, 100), (ARM_CO_TRANSPORT, {}, 212)],
)
def test_an_episode_ends_once_with_its_summary(id: str, arguments: dict, periods: int) -> None:
    task = make_task(id, **arguments)
    assert task.length in (None, periods)
    env = RecordEpisodeStatistics(gymnasium.make(id, **arguments))
    env.reset(seed=0)
    steps, total, truncated = 0, 0.0, False
    while not truncated:
        _, reward, terminated, truncated, info = env.step(np.zeros(env.action_space.shape, np.float32))
        assert not terminated
        assert ("summary" in info) == truncated
        steps, total = steps + 1, total + reward
    assert steps == periods
    assert info["episode"]["l"] == periods
    assert info["episode"]["r"] == pytest.approx(total)
    assert info["summary"] == env.unwrapped.summary()


def test_wrappers_see_a_single_time_limit() -> None:
    env = gymnasium.make(KNEE_EXO, max_episode_steps=20)
    env.reset(seed=0)
    ends = [env.step(np.zeros(1, np.float32))[3] for _ in range(20)]
    assert ends == [False] * 19 + [True]


# Several at once, in processes -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("id", EVERY)
def test_in_processes_the_same_as_in_one(id: str) -> None:
    def makers() -> list:
        return [lambda: gymnasium.make(id) for _ in range(2)]

    rng, seen = np.random.default_rng(0), []
    with warnings.catch_warnings():
        # Forking while JAX has threads is what the default context does; the children here use no JAX.
        warnings.filterwarnings("ignore", message=".*fork.*", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        vectors = (SyncVectorEnv(makers()), AsyncVectorEnv(makers()))
    actions = rng.uniform(-0.3, 0.3, (10, 2, *vectors[0].single_action_space.shape)).astype(np.float32)
    for vector in vectors:
        out = [vector.reset(seed=[5, 6])[0]]
        for action in actions:
            observation, reward, *_, info = vector.step(action)
            out += [observation, reward, info["effort"]]
        vector.close()
        seen.append(out)
    assert all(np.array_equal(a, b) for a, b in zip(*seen, strict=True))
    assert not np.array_equal(seen[0][-3][0], seen[0][-3][1])


# Pictures --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("id", EVERY)
def test_frames(id: str) -> None:
    env = gymnasium.make(id, render_mode="rgb_array", width=160, height=120)
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (120, 160, 3)
    assert first.dtype == np.uint8
    assert first.std() > 10  # there is something to be seen
    for _ in range(30):
        env.step(env.action_space.high)
    assert (np.abs(env.render().astype(int) - first).max(axis=-1) > 40).mean() > 0.002  # and it moved
    env.close()
    env.close()
    env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), first)  # closing frees the picture, not the environment
    env.close()


def test_video(tmp_path) -> None:
    env = gymnasium.make(ARM_REACH, render_mode="rgb_array", width=160, height=120)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        video = RecordVideo(env, str(tmp_path / "video"), video_length=10, disable_logger=True)
        video.reset(seed=0)
        for _ in range(12):
            video.step(video.action_space.sample())
        video.close()
    (film,) = tmp_path.glob("video/*.mp4")
    assert iio.immeta(film)["fps"] == env.metadata["render_fps"] == 50
    assert len(list(iio.imiter(film))) == 10


def test_a_film_needs_no_moviepy(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of an environment, written by imageio."""
    monkeypatch.setitem(sys.modules, "moviepy", None)
    env = gymnasium.make(ARM_REACH, render_mode="rgb_array", width=160, height=120)
    env.reset(seed=0)
    frames = [env.step(env.action_space.high) and env.render() for _ in range(10)]
    film = video(tmp_path / "episode.mp4", frames, env.metadata["render_fps"])
    assert len(list(iio.imiter(film))) == 10


def test_rendering_without_a_mode_warns() -> None:
    env = gymnasium.make(KNEE_EXO).unwrapped
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


def test_a_window_without_a_screen_is_one_error() -> None:
    """In a process of its own, since what is at stake is the process."""
    code = (
        "import gymnasium, mjx_msm.envs\n"
        "from mjx_msm.common.errors import InputError\n"
        f"env = gymnasium.make('{KNEE_EXO}', render_mode='human')\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        env.reset(seed=0)\n"
        "    except InputError as e:\n"
        "        print(e)\n"
        "env.close(); env.close()\n"
        "env = gymnasium.make('" + KNEE_EXO + "'); env.reset(seed=0); print('alive')"
    )
    nothing = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=nothing)
    assert done.returncode == 0, done.stderr
    first, second, last = done.stdout.strip().splitlines()
    assert first == second
    assert 'render_mode "human" needs a screen' in first
    assert '"rgb_array"' in first
    assert last == "alive"


# Arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "arguments", "words"),
    [
        (KNEE_EXO, {"render_mode": "ascii"}, "render_mode 'ascii'"),
        (
            KNEE_EXO,
            {"foo": 1},
            r"KneeExo has no argument 'foo'; choose from: subject, task, human, .*, width, ",
        ),
        (KNEE_EXO, {"loads": 1}, r"KneeExo has no argument 'loads'; did you mean 'load'\?"),
        (
            ARM_REACH,
            {"robot": "torque"},
            "ArmReach has no argument 'robot'; choose from: subject, human, rate",
        ),
        (ARM_CO_TRANSPORT, {"payload": 1.0}, "ArmCoTransport has no argument 'payload'"),
        (KNEE_EXO, {"task": "run"}, "task 'run' is unknown; choose one of seated, swing, walk"),
        (KNEE_EXO, {"task": "walk"}, "needs a recording"),
        (KNEE_EXO, {"strength": -1.0}, "strength -1.0"),
        (KNEE_EXO, {"strength": float("nan")}, "strength nan"),
        (KNEE_EXO, {"action_mode": "me"}, "action_mode 'me'"),
        (KNEE_EXO, {"load": -1.0}, "load = -1.0"),
        (KNEE_EXO, {"load": "a"}, "load = 'a'"),
        (KNEE_EXO, {"strength": "a"}, "strength 'a'"),
        (KNEE_EXO, {"sensing": 3}, "sensing = 3"),
        (KNEE_EXO, {"human": 3}, "human = 3"),
        (ARM_CO_TRANSPORT, {"strength": "a"}, "strength 'a'"),
        (KNEE_EXO, {"metabolics": "hill"}, "metabolics 'hill'"),
        (KNEE_EXO, {"exoskeleton": {"torque": 1.0}}, "no 'torque'"),
        (KNEE_EXO, {"sensing": {"lag": 1.0}}, "no 'lag'"),
        (KNEE_EXO, {"sensing": {"delay": -0.1}}, "delay = -0.1"),
        (KNEE_EXO, {"sample_posterior": True}, "no identification"),
        (ARM_REACH, {"payload": float("inf")}, "payload = inf"),
        (ARM_REACH, {"payload": "a"}, "payload = 'a'"),
        (ARM_REACH, {"sensing": 3}, "sensing = 3"),
        (ARM_REACH, {"human": 3}, "human = 3"),
        (ARM_REACH, {"targets": 0}, "targets = 0"),
        (ARM_REACH, {"targets": True}, "targets = True"),
        (ARM_REACH, {"targets": 1.5}, "targets = 1.5"),
        (ARM_REACH, {"metabolics": "hill"}, "metabolics 'hill'"),
        (ARM_CO_TRANSPORT, {"robot": "hydraulic"}, "robot 'hydraulic'"),
        (ARM_CO_TRANSPORT, {"action_mode": "me"}, "action_mode 'me'"),
        (ARM_CO_TRANSPORT, {"transport": {"mass": 1.0}}, "no 'mass'"),
        (ARM_CO_TRANSPORT, {"path": {"duration": 0.0}}, "duration = 0.0"),
        (ARM_CO_TRANSPORT, {"path": {"start_x": 3.0}}, "reach"),
        (ARM_CO_TRANSPORT, {"metabolics": "hill"}, "metabolics 'hill'"),
    ],
)
def test_arguments_that_cannot_be(id: str, arguments: dict, words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium says its own about render modes
        with pytest.raises(InputError, match=words) as caught:
            gymnasium.make(id, **arguments)
    assert "\n" not in str(caught.value)


def test_many_and_pure_functions_name_an_argument_they_do_not_have() -> None:
    for id, name, words in (
        (ARM_REACH, "foo", "; choose from: subject, human, rate, payload, targets, sensing, metabolics"),
        (KNEE_EXO, "camera", "; choose from: subject, task, human"),
        (ARM_REACH, "target", r"; did you mean 'targets'\?"),
    ):
        what = rf"^{id} has no argument '{name}'{words}"
        with pytest.raises(InputError, match=what) as caught:
            functional.make(id, **{name: 1})
        assert "\n" not in str(caught.value)
        with pytest.raises(InputError, match=what) as caught:
            gymnasium.make_vec(id, num_envs=2, **{name: 1})
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"'max_steps'; did you mean 'max_episode_steps'\?"):
        gymnasium.make_vec(ARM_REACH, num_envs=2, max_steps=3)
    for count in (0, 1.5, "two", True):
        with pytest.raises(InputError, match=f"num_envs = {count!r}; give a whole number"):
            gymnasium.make_vec(ARM_REACH, num_envs=count)


def test_a_task_that_is_not_ours() -> None:
    with pytest.raises(InputError, match="'CartPole-v1' is not one of"):
        make_task("CartPole-v1")
