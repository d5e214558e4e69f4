"""Recordings in windows: every instant keeps its past."""

import numpy as np

from mjx_msm.estimation.residuals.pieces import windows


def test_every_instant_sees_what_it_saw():
    rng = np.random.default_rng(0)
    envelope, lead = rng.random((2, 1000, 3)), 50
    sample, recording = np.arange(7, 1000, 9), rng.integers(0, 2, 111)
    cut, window, place = windows(envelope, recording, sample, lead)
    assert 2 * 2 <= len(cut) <= 2 * 4  # by parts of at least four leads
    np.testing.assert_array_equal(cut[window, place], envelope[recording, sample])
    for r, s, w, p in zip(recording, sample, window, place, strict=True):
        past = min(s, lead)  # to the beginning, or far enough to forget
        np.testing.assert_array_equal(cut[w, p - past : p + 1], envelope[r, s - past : s + 1])


def test_short_recordings_stay_whole():
    envelope, sample = np.random.default_rng(0).random((2, 300, 3)), np.array([4, 250])
    cut, window, place = windows(envelope, np.array([0, 1]), sample, 50)
    np.testing.assert_array_equal(cut, envelope[:, :251])
    np.testing.assert_array_equal(window, [0, 1])
    np.testing.assert_array_equal(place, sample)
