"""Channels that one trial did not record: found, filled in from what goes with them, and said; others left alone."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm import InputError
from mjx_msm.recordings.trial import Trial
from mjx_msm.recordings.unknown_channels import ALIKE, filled_in

CHANNELS = ("vasti", "hamstrings", "calf")
RATE = 100.0


def strides(name, seed, seconds=8.0):
    """A periodic motion whose three muscles go with it, each stride a little other than the last."""
    rng, t = np.random.default_rng(seed), np.arange(0, seconds, 1 / RATE)
    phase = 2 * np.pi * t + 0.2 * np.sin(0.7 * t + seed)
    emg = [0.02 + a * np.exp(2 * (np.cos(phase - p) - 1)) for a, p in ((0.6, 0.5), (0.4, 2.5), (0.5, 4.0))]
    emg = np.clip(np.stack(emg, -1) * (1 + 0.05 * rng.standard_normal((len(t), 3))), 0, 1)
    position = (0.5 * np.sin(phase) + 0.2 * np.cos(2 * phase))[:, None]
    return Trial(name=name, time=t, coordinates=("knee",), position=position, channels=CHANNELS, emg=emg,
                 moment=np.sin(phase)[:, None], moment_coordinates=("knee",))  # fmt: skip


@pytest.fixture(scope="module")
def trials():
    return tuple(strides(f"walk{k}", k) for k in (1, 2, 3))


def spoilt(trial, how):
    emg = trial.emg.copy()
    emg[:, 0] = {"missing": np.nan, "zero": 0.0, "cut off": np.minimum(emg[:, 0], 0.2)}[how]
    return replace(trial, emg=emg)


@pytest.mark.parametrize(
    ("how", "words"), [("missing", "has no samples"), ("zero", "is flat at 0"), ("cut off", "is cut off at 0.2")]
)
def test_a_channel_of_one_trial_is_filled_in_and_said(trials, how, words):
    found, (note,) = filled_in((trials[0], spoilt(trials[1], how), trials[2]), CHANNELS)
    assert note.startswith(f"trial 'walk2': EMG channel 'vasti' {words}")
    assert float(note.split("r = ")[1].split(" ")[0]) > 0.9
    assert found[0] is trials[0]
    assert found[2] is trials[2]
    np.testing.assert_array_equal(found[1].emg[:, 1:], trials[1].emg[:, 1:])
    error = found[1].emg[:, 0] - trials[1].emg[:, 0]
    assert np.sqrt(np.mean(error**2)) < 0.25 * np.std(trials[1].emg[:, 0])


def test_nothing_is_filled_in_where_nothing_is_wrong(trials):
    assert filled_in(trials, CHANNELS) == (trials, ())
    silent = tuple(replace(t, emg=t.emg * [0, 1, 1]) for t in trials)  # in no trial: what it is, a map says
    assert filled_in(silent, CHANNELS) == (silent, ())
    quiet = replace(trials[1], emg=np.where(trials[1].emg > 0.1, 0.3 * trials[1].emg, trials[1].emg))
    assert filled_in((trials[0], quiet), CHANNELS)[1] == ()  # weak, and not cut off
    short = trials[0].emg.copy()
    short[100:105] = np.nan
    assert filled_in((replace(trials[0], emg=short), trials[1]), CHANNELS)[1] == ()  # a line bridges it
    assert filled_in((trials[0], spoilt(trials[1], "zero")), CHANNELS[1:])[1] == ()  # nobody listens to it


def test_a_held_out_trial_is_filled_in_from_the_others(trials):
    found, (note,) = filled_in((spoilt(trials[0], "zero"),), CHANNELS, trials[1:])
    assert "'walk1'" in note
    assert np.corrcoef(found[0].emg[:, 0], trials[0].emg[:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("instants", [True, False])
def test_what_goes_with_nothing_is_not_made_up(trials, instants):
    rng = np.random.default_rng(4)
    loose = [replace(t, emg=np.column_stack([rng.random(len(t.time)), t.emg[:, 1:]])) for t in trials]
    found, (note,) = filled_in([loose[0], spoilt(loose[1], "zero"), loose[2]], CHANNELS, instants=instants)
    assert "goes with nothing else" in note
    assert float(note.split("r = ")[1].split(" ")[0]) < ALIKE
    if instants:
        assert np.isnan(found[1].moment).all()
        assert np.isfinite(found[0].moment).all()
    else:
        assert [t.name for t in found] == ["walk1", "walk3"]


def test_a_channel_that_no_trial_recorded_is_refused(trials):
    with pytest.raises(InputError, match=r"trial 'walk1': EMG channel 'vasti' has no samples.*\"unmeasured\""):
        filled_in([spoilt(t, "missing") for t in trials], CHANNELS)
