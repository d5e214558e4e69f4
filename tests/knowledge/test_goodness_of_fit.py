"""Tests of fit: silent on white noise, not on what is left of a wrong model."""

import numpy as np
import pytest
from scipy.signal import lfilter

from mjx_msm.knowledge.goodness_of_fit import fit_tests

COUNT = 800


@pytest.fixture(scope="module")
def signals():
    t = np.linspace(0, 16, COUNT)
    return {"the angle of knee": np.sin(6 * t), "the speed of knee": np.cos(6 * t), "EMG of calf": np.sin(2.3 * t) ** 4}


def test_white_noise_is_nothing_against_a_model(signals):
    said = [fit_tests(np.random.default_rng(k).normal(0, 3, COUNT), 0.02, signals) for k in range(200)]
    assert sum(map(bool, said)) <= 4


def test_what_repeats_itself_is_not_white(signals):
    """An AR(1) process of coefficient ρ has (1 + ρ)/(1 − ρ) samples per independent one: 9 here, 0.18 s."""
    noise = np.random.default_rng(1).normal(0, 1, 20 * COUNT)
    residual = lfilter([1.0], [1.0, -0.8], noise)
    (said,) = fit_tests(residual, 0.02, {})
    seconds = float(said.split("over ")[1].split(" s")[0])
    assert seconds == pytest.approx(0.18, rel=0.15)


@pytest.mark.parametrize("name", ["the angle of knee", "the speed of knee", "EMG of calf"])
def test_what_it_goes_with_is_named(signals, name):
    noise = np.random.default_rng(2).normal(0, 1, COUNT)
    said = fit_tests(noise + 1.5 * signals[name] - 0.7 * signals[name] ** 2, 0.02, signals)
    shares = [s for s in said if "goes with" in s]
    assert shares[0].endswith(name)


def test_a_signal_that_never_changes_explains_nothing():
    assert fit_tests(np.random.default_rng(3).normal(0, 1, 400), 0.02, {"the angle of hip": np.full(400, 0.3)}) == ()
