"""What is off in every cycle is told with its size and place; noise and what happens once are not."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from mjx_msm.knowledge.cycle_error import in_words, mean_errors

COUNT = np.linspace(0.0, 12.0, 1201)
NOISE = np.random.default_rng(0).normal(0.0, 1.0, len(COUNT))


def test_an_error_of_every_cycle_is_told_with_its_sign_and_place():
    part = COUNT % 1.0
    error = NOISE - 12.0 * ((part > 0.5) & (part < 0.7)) + 6.0 * ((part > 0.1) & (part < 0.25))
    first, second = mean_errors(COUNT, error)
    assert first == pytest.approx((0.1, 0.25, 6.0), abs=0.7)
    assert second == pytest.approx((0.5, 0.7, -12.0), abs=0.7)
    assert in_words((second,), "N·m").startswith("on average 12 N·m too low from 5")


def test_noise_and_one_bad_cycle_are_no_pattern():
    assert mean_errors(COUNT, NOISE) == ()
    once = NOISE + 40.0 * ((COUNT > 3.4) & (COUNT < 3.6))
    assert mean_errors(COUNT, once) == ()
    assert mean_errors(COUNT[:150], NOISE[:150] + 50.0) == ()  # of one cycle nothing repeats itself
    assert in_words((), "N·m") == ""


@pytest.mark.parametrize("cycles", [3, 5, 12])
def test_of_few_cycles_noise_that_lasts_is_no_pattern_either(cycles):
    """Errors that last for a tenth of the cycle: of three cycles, some stretch is alike in all by chance."""
    rng, count = np.random.default_rng(0), np.linspace(0.0, cycles, 100 * cycles + 1)
    each = [gaussian_filter1d(rng.normal(size=len(count) + 200), 6.0)[100:-100] for _ in range(200)]
    assert sum(bool(mean_errors(count, error)) for error in each) <= 0.08 * len(each)
    alike = 10.0 * np.std(each[0]) * np.sin(2.0 * np.pi * count)
    assert mean_errors(count, each[0] + (5.0 if cycles == 3 else 1.0) * alike)


def test_cycles_with_gaps_are_left_out():
    error = np.where((COUNT % 1 > 0.4) & (COUNT % 1 < 0.6), 9.0, 0.0) + NOISE
    error[500:700] = np.nan
    ((begin, end, size),) = mean_errors(COUNT, error)
    assert (begin, end) == pytest.approx((0.4, 0.6), abs=0.02)
    assert size == pytest.approx(9.0, abs=0.7)
