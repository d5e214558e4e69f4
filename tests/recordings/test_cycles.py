"""Cycles: a known phase is found again, and what does not repeat itself has none."""

import numpy as np
import pytest

from mjx_msm.recordings.cycles import cycle_phase

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
