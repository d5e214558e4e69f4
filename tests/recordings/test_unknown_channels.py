"""Channels that one trial did not record: found, filled in from what goes with them, and said; others left alone."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm import InputError
from mjx_msm.recordings.trial import Trial
from mjx_msm.recordings.unknown_channels import ALIKE, CARRIED, filled_in

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
    first, second, third = loose(trials)
    found, (note,) = filled_in([first, spoilt(second, "zero"), third], CHANNELS, instants=instants)
    assert "goes with nothing else" in note
    assert float(note.split("r = ")[1].split(" ")[0]) < ALIKE
    if instants:
        assert np.isnan(found[1].moment).all()
        assert np.isfinite(found[0].moment).all()
    else:
        assert [t.name for t in found] == ["walk1", "walk3"]


def loose(trials):
    """A channel that goes with nothing."""
    rng = np.random.default_rng(4)
    return [replace(t, emg=np.column_stack([rng.random(len(t.time)), t.emg[:, 1:]])) for t in trials]


def interrupted(trial, begin, end):
    emg = trial.emg.copy()
    emg[begin:end, 0] = np.nan
    return replace(trial, emg=emg)


def test_what_goes_with_nothing_is_not_judged_by(trials):
    """Nor are held-out trials, nor where no trial is whole; and what it drove acts on after it."""
    made_up = loose(trials)
    found, (note,) = filled_in([interrupted(made_up[0], 100, 200)], CHANNELS, made_up[1:], instants=True)
    assert "moments there do not count" in note
    end = 200 + round(CARRIED * RATE)
    assert np.isnan(found[0].moment[100:end]).all()
    assert np.isfinite(found[0].moment[:100]).all()
    assert np.isfinite(found[0].moment[end:]).all()
    assert filled_in([interrupted(made_up[0], 100, 200)], CHANNELS, made_up[1:])[0] == ()
    every = [interrupted(t, 100, 200) for t in made_up]
    assert all(np.isnan(t.moment[100:200]).all() for t in filled_in(every, CHANNELS, instants=True)[0])
    with pytest.raises(InputError, match=r"trial 'walk1'.*left out.*nothing is left.*\"unmeasured\""):
        filled_in(every, CHANNELS)


def test_a_posture_has_the_emg_it_was_given(trials):
    still = trials[0].position * 0 + 0.3
    held = replace(trials[0], position=still, emg=np.broadcast_to([0.3, 0.0, 0.2], trials[0].emg.shape))
    assert filled_in((held, trials[1]), CHANNELS)[1] == ()
    moved = replace(held, position=trials[0].position)
    assert len(filled_in((moved, *trials[1:]), CHANNELS)[1]) == 3
    dead = replace(held, emg=np.column_stack([trials[0].emg[:, 0], 0 * trials[0].time, trials[0].emg[:, 2]]))
    (note,) = filled_in((dead, *trials[1:]), CHANNELS)[1]
    assert "'hamstrings' is flat at 0" in note


def test_a_channel_without_a_column_is_one_without_samples(trials):
    without = replace(trials[1], channels=CHANNELS[1:], emg=trials[1].emg[:, 1:])
    found, notes = filled_in((trials[0], without, trials[2]), CHANNELS)
    full, said = filled_in((trials[0], spoilt(trials[1], "missing"), trials[2]), CHANNELS)
    assert notes == said
    np.testing.assert_array_equal(found[1].emg[:, found[1].channels.index("vasti")], full[1].emg[:, 0])


def test_a_channel_that_no_trial_recorded_is_refused(trials):
    words = r"trial 'walk1': EMG channel 'vasti' has no samples, and no trial has recorded it.*\"unmeasured\""
    with pytest.raises(InputError, match=words):
        filled_in([spoilt(t, "missing") for t in trials], CHANNELS)
    with pytest.raises(InputError, match=r"'vasti' has no samples, and only 30 of its samples go with .*\(50 are"):
        filled_in([spoilt(trials[0], "missing"), interrupted(trials[1], 30, None)], CHANNELS)
