"""Cycles: a known phase is found again, and what does not repeat itself has none."""

import numpy as np
import pytest

from mjx_msm.recordings.cycles import by_cycle, cycle_count, cycle_phase

TIME = np.arange(0.0, 8.0, 0.01)


@pytest.mark.parametrize("start", [0.0, 0.3, 0.9])
def test_the_phase_of_a_periodic_curve_is_its_phase(start):
    """The lesser peak, as of a knee in stance, begins no cycle; the parts before and after the peaks are continued."""
    true = (TIME / 1.1 - start) % 1.0
    angle = np.cos(2 * np.pi * true) + 0.3 * np.cos(4 * np.pi * true)
    found = cycle_phase(TIME, angle)
    assert found is not None
    off = (found - true + 0.5) % 1.0 - 0.5
    assert np.abs(off).max() < 0.02  # a sample's rounding of the peaks is 0.5 %


def test_cycles_of_changing_duration_go_from_peak_to_peak():
    count = TIME / 1.1 + 0.05 * np.sin(TIME)
    found = cycle_phase(TIME, np.cos(2 * np.pi * count))
    assert found is not None
    off = (found - count + 0.5) % 1.0 - 0.5
    between = (count > 1) & (count < np.floor(count[-1]))
    assert np.abs(off[between]).max() < 0.01
    assert np.abs(off).max() < 0.05  # beyond the outer peaks, at the median duration


@pytest.mark.parametrize(
    "angle",
    [
        np.zeros_like(TIME),
        TIME,
        np.cos(2 * np.pi * TIME / 4.0),  # two cycles
        np.cos(2 * np.pi * (TIME / 8.0) ** 2 * 8),  # slower, then faster
    ],
)
def test_what_does_not_repeat_itself_has_no_phase(angle):
    assert cycle_phase(TIME, angle) is None


def test_a_signal_is_cut_into_its_whole_cycles():
    """Every cycle has its own size; a gap is one in its own cycle alone."""
    count = cycle_count(TIME, np.cos(2 * np.pi * (TIME / 1.1 - 0.3)))
    assert count is not None
    signal = np.floor(count) + count % 1.0
    whole = by_cycle(count, signal, 11)
    assert whole.shape == (np.floor(count[-1]) - np.ceil(count[0]), 11)
    begin = np.ceil(count[0]) + np.arange(len(whole))
    np.testing.assert_allclose(whole, begin[:, None] + np.linspace(0, 1, 11), atol=1e-9)
    gone = by_cycle(count, np.where((count > 2.35) & (count < 2.65), np.nan, signal), 11)
    at = int(2 - begin[0])
    assert np.flatnonzero(np.isnan(gone).any(axis=1)).tolist() == [at]
    assert np.flatnonzero(np.isnan(gone[at])).tolist() == [4, 5, 6]
    assert np.isnan(by_cycle(count, np.full_like(TIME, np.nan))).all()
