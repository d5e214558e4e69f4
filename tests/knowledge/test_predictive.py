"""Signals simulated by people of a posterior: of the model itself where there is nothing to doubt."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.identification.identify import identify
from mjx_msm.knowledge.log_posterior import posterior_of
from mjx_msm.knowledge.predictive import posterior_predictive
from mjx_msm.person.model import load_model
from mjx_msm.recordings.synthetic import synthetic_subject, synthetic_trials


@pytest.fixture(scope="module")
def arm():
    return load_model("arm")


@pytest.fixture(scope="module")
def trials(arm):
    someone = synthetic_subject(arm, seed=1)
    two = synthetic_trials(arm, someone, count=2, duration=0.6, rate=250, seed=4)
    return tuple(replace(t, name=name, time=t.time + 3.0) for t, name in zip(two, ("reach", "lift"), strict=True))


@pytest.fixture(scope="module")
def result(arm, trials):
    return identify(arm, trials, free=["muscle/*/max_isometric_force"], residuals=("acceleration",), rate=50.0)


def test_it_meets_what_the_estimate_saw(arm, trials):
    """Where a trial lacks a channel, too, the result is the mode of its posterior, and signals are of its trials."""
    emg = trials[0].emg.copy()
    emg[:, 0] = np.nan
    lacking = (replace(trials[0], emg=emg), trials[1])
    with pytest.warns(InputWarning, match="has no samples"):
        result = identify(arm, lacking, free=["muscle/*/max_isometric_force"], residuals=("acceleration",), rate=50.0)
    gradient = posterior_of(arm, lacking, result)(np.array(result.z))[1]
    assert np.abs(gradient * np.sqrt(np.diag(result.covariance))).max() < 0.05
    (signal,) = posterior_predictive(arm, lacking, result, draws=2)
    assert set(signal.trial) == {fit.trial for fit in result.fits}


def test_signals_follow_the_recording(arm, trials, result):
    (signal,) = posterior_predictive(arm, trials, result, draws=7)
    assert (signal.kind, signal.coordinates) == ("acceleration", arm.free)
    assert signal.simulated.shape == (7, *signal.observed.shape)
    assert set(signal.trial) == {"reach", "lift"}
    assert signal.time.min() >= 3.0
    assert signal.time.max() <= trials[0].time[-1]
    for fit in result.fits:
        at, c = np.array(signal.trial) == fit.trial, signal.coordinates.index(fit.coordinate)
        off = signal.observed[at, c] - signal.simulated[:, at, c].mean(axis=0)
        assert np.sqrt(np.nanmean(off**2)) == pytest.approx(fit.identified, rel=0.05)


def test_replicates_are_as_far_off_as_the_recording_is(arm, trials, result):
    (signal,) = posterior_predictive(arm, trials, result, draws=7)
    drawn = signal.replicated(seed=2)
    off = np.nanstd(drawn - signal.simulated, axis=(0, 1))
    assert off == pytest.approx(signal.noise[0], rel=0.1)


def test_trials_are_replicated_with_their_own_noise(arm, trials):
    """Moments of one trial have six times the noise of the other's."""
    rng, made = np.random.default_rng(0), []
    for trial, sd in zip(trials, (2.0, 12.0), strict=True):
        noise = rng.normal(0, sd, trial.position.shape)
        made.append(replace(trial, moment_coordinates=arm.coordinates, moment=noise))
    found = identify(arm, made, free=["muscle/*/max_isometric_force"], residuals=("moment",), rate=100.0)
    (signal,) = posterior_predictive(arm, made, found, draws=7)
    assert signal.noise.shape == signal.observed.shape
    reach = np.array(signal.trial) == "reach"
    at = [(signal.observed - signal.simulated.mean(axis=0))[rows].std() for rows in (reach, ~reach)]
    drawn = signal.replicated(seed=2) - signal.simulated
    again = [drawn[:, rows].std() for rows in (reach, ~reach)]
    assert at[1] / at[0] > 1.5
    assert again[1] / again[0] == pytest.approx(at[1] / at[0], rel=0.25)


def test_noise_of_a_robust_loss_has_its_tails(arm, trials, result):
    """The mean of t² is ν/(ν − 2)."""
    (signal,) = posterior_predictive(arm, trials, result, draws=7)
    drawn = replace(signal, freedom=8.0).replicated(seed=2)
    assert np.nanstd(drawn - signal.simulated, axis=(0, 1)) == pytest.approx(signal.noise[0] * np.sqrt(8 / 6), rel=0.15)


def test_the_tree_holds_them(arm, trials, result):
    signals = posterior_predictive(arm, trials, result, draws=7)
    tree = result.to_arviz(signals, seed=5)
    predicted = tree["posterior_predictive"]["acceleration"]
    assert predicted.values[0] == pytest.approx(signals[0].replicated(5), nan_ok=True)
    assert predicted.sizes["acceleration_coordinate"] == 2
    lift = tree["observed_data"]["acceleration"].sel(acceleration_sample=predicted["acceleration_trial"] == "lift")
    rows = np.array(signals[0].trial) == "lift"
    assert lift.values == pytest.approx(signals[0].observed[rows], nan_ok=True)
    assert lift["acceleration_time"].values == pytest.approx(signals[0].time[rows])


@pytest.mark.parametrize("draws", [0, -3])
def test_draws_must_be_some(arm, trials, result, draws):
    with pytest.raises(InputError, match="at least 1"):
        posterior_predictive(arm, trials, result, draws=draws)
