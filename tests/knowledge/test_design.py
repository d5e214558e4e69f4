"""Designed sessions: information that adds up and is right, criteria that only improve, motions within comfort."""

import json
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import State, rollout
from mjx_msm.knowledge.design.comfort import Comfort
from mjx_msm.knowledge.design.experiment import design_experiment
from mjx_msm.knowledge.design.forecast import forecast, worst_of
from mjx_msm.knowledge.design.information import ANGLE_NOISE, information
from mjx_msm.knowledge.design.rehearsal import perform
from mjx_msm.knowledge.design.session import Design
from mjx_msm.knowledge.design.task import Task
from mjx_msm.person.inspection import coordinate_range
from mjx_msm.person.model import load_model
from mjx_msm.person.payload import parameters_with_payload, with_payload
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.synthetic import synthetic_trials

FREE = ["muscle/BRA/max_isometric_force", "body/forearm/mass"]
SMALL = {"trials": 2, "duration": 0.6, "payloads": (1.0,)}  # one model, to compile for it once
COMFORT = Comfort(speed=6.0, slope=3.0, excitation=(0.02, 0.4))


@pytest.fixture(scope="module")
def space(arm):
    return parameter_space(arm.nominal, FREE)


@pytest.fixture(scope="module")
def design(arm, space):
    return design_experiment(arm, space, 192, seed=1, comfort=COMFORT, **SMALL)


@pytest.mark.slow
def test_information_of_trials_adds_up(arm, space, design):
    assert design.informations.shape == (2, 2, 2)
    np.testing.assert_allclose(design.informations.sum(0), design.forecast.information, rtol=1e-12)
    again = information(arm, space, design.trials)  # from the trials as they are recorded
    np.testing.assert_allclose(again, design.informations, rtol=0.02)
    known = design_experiment(
        arm, space, 64, seed=1, comfort=COMFORT, known=design.forecast.information, **SMALL
    )  # fmt: skip
    total = design.forecast.information + known.informations.sum(0)
    np.testing.assert_allclose(known.forecast.information, total, rtol=1e-12)
    assert known.worst.after < design.worst.after


@pytest.mark.slow
def test_information_by_finite_differences(arm, space, design):
    """J of the simulated angles with respect to (initial state, z), the initial state eliminated by least squares."""
    task, model = design.tasks[0], with_payload(arm, 1.0)
    clock = arm.timestep * np.arange(round(task.time[-1] / arm.timestep) + 1)
    drive = np.stack([np.interp(clock, task.time, u) for u in task.excitation.T], -1)[:-1]
    start = np.array([*task.posture.values(), 0.0, 0.0])
    with float64():
        z = np.asarray(space.pack(arm.nominal))

        def angles(x):
            person = parameters_with_payload(space.unpack(x[4:]), model, task.payload)
            out = rollout(model, person, State(x[:2], x[2:4], drive[0]), drive)
            return np.asarray(out.position)[::5].ravel()

        x = np.concatenate([start, z])
        jacobian = np.stack([(angles(x + e) - angles(x - e)) / 2e-5 for e in 1e-5 * np.eye(6)], -1)
    state, own = jacobian[:, :4], jacobian[:, 4:]
    left = own - state @ np.linalg.lstsq(state, own, rcond=None)[0]
    np.testing.assert_allclose(design.informations[0], left.T @ left / ANGLE_NOISE**2, rtol=1e-4)


def test_the_criterion_never_decreases(design):
    evaluations, score = np.transpose(design.history)
    assert np.all(np.diff(evaluations) >= 0)
    assert np.all(np.diff(score) > 0)
    assert evaluations[-1] <= 192
    assert score[-1] == pytest.approx(-np.log(design.worst.after), rel=1e-6)


@pytest.mark.slow
def test_the_motion_stays_within_comfort(arm, design):
    for trial, task in zip(perform(arm, arm.nominal, design.tasks), design.tasks, strict=True):
        np.testing.assert_allclose(trial.position, design.trials[design.tasks.index(task)].position, atol=1e-9)
        assert trial.velocity is not None
        assert np.abs(trial.velocity).max() <= COMFORT.speed
        for name, angle in zip(trial.coordinates, trial.position.T, strict=True):
            low, high = coordinate_range(arm, name)
            assert low + 0.05 * (high - low) <= angle.min() <= angle.max() <= high - 0.05 * (high - low)
        assert task.excitation.min() >= COMFORT.excitation[0]
        assert task.excitation.max() <= COMFORT.excitation[1]
        assert np.abs(np.diff(task.excitation, axis=0)).max() * design.rate <= COMFORT.slope * (1 + 1e-9)
        assert task.payload in SMALL["payloads"]


def test_the_same_seed_gives_the_same_session(arm, space, design):
    again = design_experiment(arm, space, 192, seed=1, comfort=COMFORT, **SMALL)
    assert again.history == design.history
    for a, b in zip(again.trials, design.trials, strict=True):
        np.testing.assert_array_equal(a.emg, b.emg)
        np.testing.assert_array_equal(a.position, b.position)
    other = design_experiment(arm, space, 64, seed=2, comfort=COMFORT, **SMALL)
    assert not np.array_equal(other.trials[0].emg, design.trials[0].emg)


@pytest.mark.slow
def test_better_than_random_excitation(arm, space, design):
    """With the same weight in the hand, as long and as often."""
    drawn = synthetic_trials(arm, arm.nominal, count=6, duration=0.6, rate=100, seed=0)
    tasks = [
        Task(t.name, dict(zip(t.coordinates, t.position[0], strict=True)), 1.0, t.channels, t.time, t.emg)
        for t in drawn
    ]
    each = information(arm, space, perform(arm, arm.nominal, tasks))
    worst = [forecast(space, each[k : k + 2].sum(0)).worst.after for k in (0, 2, 4)]
    assert np.median(worst) > 2 * design.worst.after


def test_information_gain_is_the_other_criterion(arm, space):
    design = design_experiment(arm, space, 96, criterion="D", comfort=COMFORT, **SMALL)
    scaled = np.diag(space.prior_scale) @ design.forecast.information @ np.diag(space.prior_scale)
    assert design.history[-1][1] == pytest.approx(0.5 * np.linalg.slogdet(np.eye(2) + scaled)[1])


def test_an_interrupt_keeps_the_best(arm, space):
    def stop(progress):
        if progress.evaluations >= 112:
            raise KeyboardInterrupt

    design = design_experiment(arm, space, 192, seed=1, comfort=COMFORT, listener=stop, **SMALL)
    assert design.interrupted
    assert len(design.trials) == 2
    assert design.history[-1][0] <= 112


def test_what_nothing_determines_is_named(arm):
    space = parameter_space(arm.nominal, FREE, priors={"*": "none"})
    nothing = forecast(space, np.diag([1e4, 0.0]))
    assert nothing["body/forearm/mass"].after == np.inf
    assert not nothing["body/forearm/mass"].determined
    assert nothing["muscle/BRA/max_isometric_force"].after == pytest.approx(0.0196, rel=1e-3)
    assert nothing.undetermined == ("mass of forearm",)
    with pytest.raises(KeyError):
        nothing["body/humerus/mass"]


def test_it_prints_and_saves(design, tmp_path):
    assert "muscle/BRA/max_isometric_force" in str(design)
    assert "worst" in str(design)
    data = json.loads(design.save(tmp_path).read_text())
    assert [t["payload"] for t in data["trials"]] == [t.payload for t in design.tasks]
    for trial in data["trials"]:
        assert (tmp_path / trial["emg"]).is_file()
        assert (tmp_path / trial["motion"]).is_file()
    np.testing.assert_allclose(data["covariance"], design.forecast.covariance)


def same(a, b):
    """Equal to the last bit, arrays and what holds them included."""
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=True)
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_what_was_saved_is_what_is_read(design, tmp_path):
    path = design.save(tmp_path)
    loaded = Design.load(tmp_path)
    for f in fields(design):
        assert same(getattr(loaded, f.name), getattr(design, f.name)), f.name
    assert str(Design.load(path)) == str(design)
    infinite = replace(design.forecast, covariance=np.diag([1.0, np.inf]))
    assert same(Design.load(replace(design, forecast=infinite).save(tmp_path)).forecast, infinite)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.unlink(), "no such design"),
        (lambda p: p.write_text("{"), "not valid JSON"),
        (lambda p: p.write_text("[]"), "not a design"),
        (lambda p: p.write_text(p.read_text().replace('"rate"', '"tempo"')), r"damaged \('rate' is missing\)"),
        (lambda p: (p.parent / "design1_emg.csv").unlink(), "design1_emg.csv: no such file"),
    ],
)
def test_a_damaged_design_is_refused_in_one_line(design, tmp_path, damage, message):
    path = design.save(tmp_path)
    damage(path)
    with pytest.raises(InputError, match=message) as error:
        Design.load(path)
    assert "\n" not in str(error.value)


def test_sessions_compare_by_what_at_least_one_determines(arm):
    """What neither says anything of does not count; what one leaves open counts against it."""
    space = parameter_space(arm.nominal, [*FREE, "body/humerus/mass"], priors={"*": "none"})
    order = [space.paths.index(p) for p in (*FREE, "body/humerus/mass")]

    def session(*sd):
        f = np.zeros((3, 3))
        f[order, order] = [0.0 if s is None else s**-2 for s in sd]
        return forecast(space, f)

    good, poor = session(0.01, 0.02, None), session(0.03, None, None)
    assert (good.worst.path, poor.worst.path) == (FREE[1], FREE[0])
    best, worst = worst_of([good, poor])
    assert best.after == pytest.approx(0.0392, rel=1e-3)
    assert worst.after == np.inf
    assert str(worst) == "body/forearm/mass not determined"
    assert str(best) == "body/forearm/mass ±3.92 %"
    with pytest.raises(InputError, match="no session determines"):
        worst_of([session(None, None, None)])
    with pytest.raises(InputError, match="different unknowns"):
        worst_of([good, forecast(parameter_space(arm.nominal, FREE), np.eye(2))])


@pytest.mark.slow
def test_channels_that_drive_several_muscles_and_a_coordinate_that_is_held():
    """One electrode for the flexors, one for the extensors, the shoulder held where it starts."""
    model = load_model("arm", free=["elbow_flex"], prescribed=["shoulder_elev"])
    emg_map = {m: {"extend": 1.0} if m.startswith("TRI") else {"flex": 0.8, "extend": 0.1} for m in model.muscles}
    space = parameter_space(model.nominal, FREE)
    made = design_experiment(
        model, space, 64, trials=2, duration=0.6, comfort=COMFORT, emg_map=emg_map, criterion="D", seed=1
    )
    assert all(t.channels == ("extend", "flex") for t in made.tasks)
    shoulder = model.coordinates.index("shoulder_elev")
    for trial, task in zip(perform(model, model.nominal, made.tasks, emg_map=emg_map), made.tasks, strict=True):
        planned = made.trials[made.tasks.index(task)]
        np.testing.assert_allclose(trial.position, planned.position, atol=1e-9)
        assert np.ptp(trial.position[:, shoulder]) == 0
        assert trial.position[0, shoulder] == task.posture["shoulder_elev"]
        assert np.ptp(trial.position[:, 1 - shoulder]) > 0.02
    again = information(model, space, made.trials, emg_map=emg_map)
    np.testing.assert_allclose(again, made.informations, rtol=0.02)
    space_of_channels = parameter_space(model.nominal.with_channels(("extend", "flex")), [*FREE, "emg/*/gain"])
    gains = information(model, space_of_channels, made.trials, emg_map=emg_map)
    assert np.linalg.matrix_rank(gains.sum(0)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"criterion": "A"}, "criterion 'A' is unknown; choose one of D, worst"),
        ({"trials": 0}, "trials = 0"),
        ({"budget": 3}, "budget = 3 candidates is too small"),
        ({"rate": 333.0}, "rate 333 Hz does not divide"),
        ({"duration": 0.05}, "duration 0.05 s is 5 samples"),
        ({"angle_noise": 0.0}, "angle_noise 0 rad must be positive"),
        ({"payloads": (-1.0,)}, "payloads"),
        ({"known": np.eye(3)}, "known has shape"),
        ({"z": np.zeros(3)}, "z has shape"),
    ],
)
def test_errors_name_the_argument_and_the_fix(arm, space, arguments, message):
    with pytest.raises(InputError, match=message) as error:
        design_experiment(arm, space, **{"budget": 64, **arguments})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"excitation": (0.5, 0.1)}, {"margin": 0.6}, {"speed": 0.0}, {"slope": -1.0}])
def test_comfort_is_checked(wrong):
    with pytest.raises(InputError, match="comfort"):
        Comfort(**wrong)
