"""Everybody replays their own EMG: person k is the same in a single environment, the vector one and verification."""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.envs import KNEE_EXO
from mjx_msm.envs.human.leg import JOINTS
from mjx_msm.envs.human.own_emg import SHARED, _through, own_excitation
from mjx_msm.person.model import load_model
from mjx_msm.person.parameters import EmgParameters
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.verification.campaign import prepare
from mjx_msm.verification.episode import POINT, Rehearsal

CHANNELS = ("front", "back")
PERIODS = 8
FREE = ("muscle/vaslat/max_isometric_force", "emg/*/gain")
SCENARIO = """
seconds = 0.16

[environment]
task = "walk"
strength = 1.0

[scenarios.undisturbed]

[violations.behind]
measure = "tracking_error"
above = 0.2
"""


@pytest.fixture(scope="module")
def walker(tmp_path_factory, result_of):
    """A folder about somebody who walked, whose EMG gains are known to some 20 %, linear from EMG to excitation."""
    folder = tmp_path_factory.mktemp("own_emg")
    model = load_model("knee", prescribed=("hip_flexion", "ankle_angle"))
    nominal = model.nominal.with_channels(CHANNELS).updated({f"emg/{c}/shape": 0.0 for c in CHANNELS})
    space = parameter_space(nominal, FREE)
    emg_map = {muscle: {CHANNELS[i % 2]: 1.0} for i, muscle in enumerate(model.muscles)}
    result = result_of(
        space, np.eye(space.size) / 0.2**2, source="knee", free=model.free, prescribed=model.prescribed,
        channels=CHANNELS, emg_map=emg_map, seed=1,
    )  # fmt: skip
    result.save(folder / "identification.json")
    result.export(folder / "model.xml")
    t = np.arange(0.0, 0.3, 0.002)
    signal = {c: 0.15 + 0.1 * np.sin(rate * t) for c, rate in zip(CHANNELS, (9.0, 14.0), strict=True)}
    columns = {f"excitation/{m}": signal[CHANNELS[i % 2]] for i, m in enumerate(model.muscles)}
    columns |= {f"position/{j}": 0.3 + 0.1 * np.sin(rate * t) for j, rate in zip(JOINTS, (4.0, 6.0, 5.0), strict=True)}
    write_csv(folder / "excitation.csv", t, columns)
    return folder


def walk(env, **options) -> np.ndarray:
    """What the muscles are excited with, (period, muscle)."""
    env.reset(seed=0, options=options)
    seen = []
    for _ in range(PERIODS):
        env.step(np.zeros(1))
        seen.append(env.data.ctrl[:12].copy())
    return np.array(seen)


@pytest.mark.slow
def test_replayed_excitations_differ_as_gains_do(walker) -> None:
    env = gymnasium.make(KNEE_EXO, subject=walker, strength=1.0).unwrapped
    people = env.task.people
    own = people.identification.personalised().emg.gain
    nominal = walk(env)
    ratios = []
    for k in range(3):
        ratio = np.asarray(people.draw(k).emg.gain) / own
        np.testing.assert_allclose(walk(env, person=k), nominal * np.tile(ratio, 6), rtol=1e-9)
        ratios.append(ratio)
    assert np.std(ratios, axis=0).min() > 0.03
    np.testing.assert_array_equal(walk(env), nominal)
    # Somebody else's parameters, with and without what was recorded of them.
    person = people.draw(1)
    np.testing.assert_array_equal(walk(env, person=person), nominal)
    table = env.task.recorded[1]
    np.testing.assert_array_equal(walk(env, person=person, recorded=table), table[:PERIODS])


def test_drawn_at_every_reset(walker) -> None:
    env = gymnasium.make(KNEE_EXO, subject=walker, strength=1.0, sample_posterior=True).unwrapped
    for seed in range(3):
        _, info = env.reset(seed=seed)
        env.step(np.zeros(1))
        np.testing.assert_array_equal(env.data.ctrl[:12], env.task.recorded[info["person"], 0])


@pytest.mark.slow
def test_side_by_side_everybody_replays_their_own(walker) -> None:
    """Also after the next reset, which is in the shape of a step."""
    import jax
    import jax.numpy as jnp

    vector = gymnasium.make_vec(KNEE_EXO, num_envs=3, subject=walker, strength=1.0, sample_posterior=True).unwrapped
    _, infos = vector.reset(seed=2)
    state, own = vector._state, vector.task.recorded
    np.testing.assert_allclose(state.plan.recorded, own[infos["person"]], rtol=1e-6)
    assert np.ptp(own[infos["person"], 0], axis=0).min() > 0
    table = vector.task.recording.table(vector.task.world.muscles, vector.task.period)
    np.testing.assert_allclose(vector._replayed(jnp.array([1, -1])), [own[1], table], rtol=1e-6)
    after, *_ = jax.eval_shape(vector._step_all, state, jnp.zeros((3, 1)), jnp.zeros(3, bool), vector._who)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)


def test_verification_tries_the_environments_people(walker, tmp_path) -> None:
    (tmp_path / "plan.toml").write_text(SCENARIO)
    campaign = prepare("KneeExo", subject=walker, controller="zero", people=3, scenarios=tmp_path / "plan.toml")
    rehearsal = Rehearsal(campaign.stage)
    env = gymnasium.make(KNEE_EXO, subject=walker, task="walk", strength=1.0).unwrapped
    for episode in reversed(campaign.episodes):  # the point estimate after somebody who was drawn
        seen: list[np.ndarray] = []
        course = rehearsal.run(episode, lambda e, _, seen=seen: seen.append(e.data.ctrl[:12].copy()))
        options = {} if episode.person == POINT else {"person": episode.person}
        np.testing.assert_array_equal(seen, walk(env, **options))
        if episode.person != POINT:
            assert course.summary == env.summary()


def test_without_estimated_emg_all_replay_the_same(walker, result_of) -> None:
    task = gymnasium.make(KNEE_EXO, subject=walker).unwrapped.task
    model, result = load_model("knee"), task.people.identification
    space = parameter_space(model.nominal.with_channels(CHANNELS), FREE[:1])
    other = result_of(
        space, np.eye(1) / 0.01, source="knee", free=model.free, channels=CHANNELS, emg_map=result.emg_map
    )
    draws = np.array(other.samples)
    assert own_excitation(other, draws, task.recording, task.world.muscles, task.period) == (None, "")


def test_channels_that_cannot_be_told_apart_are_shared(walker, result_of) -> None:
    task = gymnasium.make(KNEE_EXO, subject=walker).unwrapped.task
    model = load_model("knee")
    space = parameter_space(model.nominal.with_channels(CHANNELS), FREE)
    mixed = {muscle: dict.fromkeys(CHANNELS, 0.5) for muscle in model.muscles}
    other = result_of(
        space, np.eye(space.size) / 0.01, source="knee", free=model.free, channels=CHANNELS, emg_map=mixed
    )
    draws = np.array(other.samples)
    assert own_excitation(other, draws, task.recording, task.world.muscles, task.period) == (None, SHARED)


@pytest.mark.parametrize(
    "bad", ["none", np.zeros((3, 5)), np.zeros(12), np.zeros((0, 12)), np.full((3, 12), np.nan), np.full((3, 12), -0.3)]
)
def test_recordings_that_cannot_be_used(walker, bad) -> None:
    env = gymnasium.make(KNEE_EXO, subject=walker)
    with pytest.raises(InputError, match=r"recorded: give numbers from 0 to 1 of shape \(period, 12\)"):
        env.reset(options={"recorded": bad})


@pytest.mark.slow
def test_one_emg_model_undone_and_anothers_applied() -> None:
    """It is the other's applied to the recorded envelope."""
    import jax

    from mjx_msm.dynamics.excitation import excitation

    time = 0.002 * np.arange(500)
    envelope = 0.3 + 0.2 * np.sin(2 * np.pi * np.stack([1.0 * time, 1.7 * time], axis=-1))
    mixing = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    emg = SimpleNamespace(
        gain=np.array([[0.8, 1.3], [0.5, 1.5], [0.8, 1.3]]),
        delay=np.array([[0.02, 0.02], [0.05, 0.05], [0.0, 0.0]]),
        shape=np.array([[-1.0, 0.0], [-2.0, -0.5], [-0.3, 0.0]]),
    )
    with jax.enable_x64(True):
        direct = [
            np.asarray(excitation(EmgParameters(g, d, a), envelope, mixing, 0.002))
            for g, d, a in zip(emg.gain, emg.delay, emg.shape, strict=True)
        ]
    found = _through(time, direct[0], mixing, emg)
    inside = slice(30, -30)  # beyond its ends the recording is not known
    for x, wanted in zip(found, direct, strict=True):
        assert np.abs(x - wanted)[inside].max() < 1e-12
    assert np.abs(direct[1] - direct[0]).max() > 0.1
