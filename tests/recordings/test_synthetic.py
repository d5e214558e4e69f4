"""Synthetic subjects and trials: exact where they say so, honest about their noise, off the stops, recoverable."""

import numpy as np
import pytest

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import State, rollout
from mjx_msm.identification.identify import identify
from mjx_msm.knowledge.records import Outcome
from mjx_msm.person.inspection import coordinate_range, muscle_and_bone
from mjx_msm.person.model import load_model
from mjx_msm.person.parameters import matching
from mjx_msm.recordings.synthetic import synthetic_subject, synthetic_trials

SHAPE = {"count": 2, "duration": 0.5}


@pytest.fixture(scope="module")
def arm():
    return load_model("arm")


def test_the_truth_is_near_the_model(arm):
    truth = synthetic_subject(arm, seed=1, spread=0.1).to_dict()
    nominal = arm.nominal.to_dict()
    moved = set(matching(arm.nominal, muscle_and_bone(arm)))
    assert len(moved) == 3 * 6 + 2 * 2
    for path, value in nominal.items():
        ratio = truth[path] / value if value else 1.0
        assert abs(ratio - 1) <= 0.1
        assert (truth[path] != value) == (path in moved), path
    assert truth != synthetic_subject(arm, seed=2, spread=0.1).to_dict()
    assert synthetic_subject(arm, seed=1, spread=0.0).to_dict() == nominal


@pytest.mark.slow
@pytest.mark.parametrize("rate", [500.0, 100.0])
def test_a_trial_without_noise_is_a_rollout(arm, rate):
    truth = synthetic_subject(arm, seed=0)
    trial = synthetic_trials(arm, truth, seed=3, rate=rate, **SHAPE)[1]
    step = round(500 / rate)
    clock = np.arange(250 + 1) * arm.timestep
    drive = np.stack([np.interp(clock, trial.time, u) for u in trial.emg.T], -1)
    with float64():
        start = State(trial.position[0], trial.velocity[0], trial.emg[0])
        simulated = rollout(arm, truth, start, drive)  # one step more: in its last one excitation is constant
    np.testing.assert_allclose(simulated.position[:251:step], trial.position, atol=1e-12)
    np.testing.assert_allclose(simulated.velocity[:251:step], trial.velocity, atol=1e-10)


def test_a_rate_that_does_not_divide_the_clock(arm):
    """200 Hz of a 500 Hz simulation: every second sample is one of its steps, those between lie on the curve."""
    truth = synthetic_subject(arm, seed=0)
    trial = synthetic_trials(arm, truth, seed=3, rate=200.0, **SHAPE)[1]
    assert trial.timestep == pytest.approx(0.005)
    assert len(trial.time) == 101
    clock = np.arange(250 + 1) * arm.timestep
    drive = np.stack([np.interp(clock, trial.time, u) for u in trial.emg.T], -1)
    with float64():
        simulated = rollout(arm, truth, State(trial.position[0], trial.velocity[0], trial.emg[0]), drive)
    q = np.asarray(simulated.position)[:251]
    np.testing.assert_allclose(q[::5], trial.position[::2], atol=1e-10)
    between = (9 * (q[2:-1:5] + q[3::5]) - q[1:-2:5] - np.concatenate([q[4::5]])) / 16
    np.testing.assert_allclose(between, trial.position[1::2], atol=1e-6)
    assert np.ptp(trial.position, axis=0).min() > 0.1


def test_trials_keep_off_the_stops_and_move(arm):
    trials = synthetic_trials(arm, synthetic_subject(arm, seed=0), seed=0, **SHAPE)
    for trial in trials:
        for c, q in zip(trial.coordinates, trial.position.T, strict=True):
            low, high = coordinate_range(arm, c)
            assert low < q.min() < q.max() - 0.1
            assert q.max() < high
        assert trial.emg.min() >= 0
        assert trial.emg.max() <= 1
    assert not np.array_equal(trials[0].emg, trials[1].emg)


def test_noise_has_the_size_it_says(arm):
    truth = synthetic_subject(arm, seed=0)
    clean = synthetic_trials(arm, truth, seed=5, **SHAPE)
    noisy = synthetic_trials(arm, truth, seed=5, angle_noise=0.01, emg_noise=(0.0, 0.02), **SHAPE)
    again = synthetic_trials(arm, truth, seed=5, angle_noise=0.01, emg_noise=(0.0, 0.02), **SHAPE)
    angle = np.concatenate([n.position - c.position for n, c in zip(noisy, clean, strict=True)])
    emg = np.concatenate([n.emg - c.emg for n, c in zip(noisy, clean, strict=True)])
    assert np.std(angle) == pytest.approx(0.01, rel=0.1)
    assert np.std(emg) == pytest.approx(0.02, rel=0.35)  # smooth, so few independent samples
    assert np.std(np.diff(emg, axis=0)) < 0.3 * np.std(emg)
    assert noisy[0].velocity is None
    assert all(np.array_equal(a.position, b.position) for a, b in zip(noisy, again, strict=True))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rate": 900.0}, "clock"),
        ({"duration": 0.01}, "20"),
        ({"count": 0}, "count"),
        ({"angle_noise": -1.0}, "noise"),
    ],
)
def test_what_cannot_be_recorded_is_said(arm, change, word):
    with pytest.raises(InputError, match=word):
        synthetic_trials(arm, arm.nominal, **{**SHAPE, **change})


def test_too_different_a_person_is_refused(arm):
    with pytest.raises(InputError, match="spread"):
        synthetic_subject(arm, seed=0, spread=0.5)


@pytest.mark.slow
def test_prescribed_coordinates_start_from_rest():
    knee = load_model("knee", free=["knee_angle"], prescribed=["hip_flexion", "ankle_angle"], timestep=0.002)
    trial = synthetic_trials(knee, knee.nominal, count=1, duration=0.5, seed=0)[0]
    assert trial.coordinates == ("hip_flexion", "knee_angle", "ankle_angle")
    speed = np.abs(np.diff(trial.position[:, [0, 2]], axis=0)) / 0.002
    assert speed[:5].max() < 0.02 < speed.max()


@pytest.mark.slow
def test_identify_recovers_the_truth(arm):
    """A motion without noise, three unknowns: the estimate is the truth."""
    freed = ["muscle/BRA/max_isometric_force", "muscle/BIClong/optimal_fiber_length", "body/forearm/mass"]
    person = synthetic_subject(arm, seed=4).to_dict()
    truth = arm.nominal.updated({p: person[p] for p in freed})
    trials = synthetic_trials(arm, truth, seed=0, **SHAPE)
    result = identify(arm, trials[:1], free=freed)
    assert result.outcome is Outcome.CONVERGED
    for path in freed:
        assert result[path].value == pytest.approx(person[path], rel=1e-3), path
        assert result[path].start != pytest.approx(person[path], rel=1e-3)
