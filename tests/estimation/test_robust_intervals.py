"""What a robust loss says it knows: its intervals hold the truth as often as they say, also where noise repeats itself.

Strengths of the arm from moments, which are linear in them.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from mjx_msm import identify
from mjx_msm.estimation.residuals.moment import MomentTerm, moment_term
from mjx_msm.estimation.robust import FREEDOM, student_weights, told
from mjx_msm.knowledge.log_posterior import posterior_of
from mjx_msm.knowledge.posterior_draws import completed_draws
from mjx_msm.knowledge.profile_likelihood import profile
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.synthetic import synthetic_trials

STRENGTH = ("muscle/*/max_isometric_force",)
RATE = 100.0
DRAWS = 30


@pytest.fixture(scope="module")
def exact(arm):
    """Two trials, their moments without noise, and the true z."""
    trials = synthetic_trials(arm, arm.nominal, count=2, duration=2.0, rate=RATE, seed=4)
    blank = [replace(t, moment_coordinates=arm.coordinates, moment=np.zeros_like(t.position)) for t in trials]
    own = {m: {m: 1.0} for m in arm.muscles}
    space = parameter_space(arm.nominal.with_channels(arm.muscles), STRENGTH)
    term = moment_term(arm, space, [record(arm, t, own) for t in blank], RATE)
    moments = term.evaluate(space.prior_mean, np.ones(2))
    return [replace(t, moment=moments[term.trial == i]) for i, t in enumerate(blank)], space.prior_mean


def identified(arm, exact, noise):
    """From moments with 2 N·m of noise, of a shape that `noise` draws."""
    trials = [replace(t, moment=t.moment + 2.0 * noise(t.moment.shape)) for t in exact]
    none = dict.fromkeys(STRENGTH, "none")
    return trials, identify(
        arm, trials, free=STRENGTH, residuals=("moment",), rate=RATE, loss="student", priors=none
    )  # fmt: skip


def repeating(rng, shape, rho=0.9):
    """Student's noise that repeats itself: quantiles of an AR(1) process."""
    normal = lfilter([1.0], [1.0, -rho], rng.standard_normal((shape[0] + 100, shape[1])), axis=0)[100:]
    return stats.t.ppf(stats.norm.cdf(normal * np.sqrt(1 - rho**2)), FREEDOM)


def trusting(trust) -> MomentTerm:
    """A term of which nothing but the weights of its samples is asked."""
    term = object.__new__(MomentTerm)
    for name, value in {"trust": trust, "mask": np.ones_like(trust)}.items():
        object.__setattr__(term, name, value)
    return term


def test_a_sample_tells_what_student_says():
    """(ν + 1)/(ν + 3) of the weighted squares, of slope and of variance; all of it where every weight is one."""
    residual = stats.t.rvs(FREEDOM, scale=3.0, size=(40_000, 1), random_state=2)
    weight, _ = student_weights(residual[:, 0])
    samples, slope, square = told(trusting(weight[:, None]), residual)
    np.testing.assert_allclose(samples, weight[:, None] * residual)
    np.testing.assert_allclose([slope[0], square[0]], (FREEDOM + 1) / (FREEDOM + 3), rtol=0.02)
    _, slope, square = told(trusting(np.ones_like(residual)), residual)
    np.testing.assert_allclose(slope, 2 * FREEDOM / (FREEDOM + 1) - 1)
    np.testing.assert_allclose(square, 1.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::mjx_msm.common.errors.InputWarning")
@pytest.mark.parametrize("kind", ["student", "repeating"])
def test_intervals_hold_the_truth(arm, exact, kind):
    trials, truth = exact
    found = []
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        noise = {
            "student": lambda shape, rng=rng: stats.t.rvs(FREEDOM, size=shape, random_state=rng),
            "repeating": lambda shape, rng=rng: repeating(rng, shape),
        }[kind]
        _, result = identified(arm, trials, noise)
        found.append((np.array(result.z) - truth) / np.sqrt(np.diag(np.array(result.covariance))))
    found = np.array(found)
    assert 0.90 <= np.mean(np.abs(found) < 1.96) <= 0.99
    assert 0.85 < np.sqrt(np.mean(found**2)) < 1.15


@pytest.fixture(scope="module")
def spoilt(arm, exact):
    """A hundredth of the moments 100 N·m off."""
    rng = np.random.default_rng(5)
    trials, result = identified(
        arm, exact[0], lambda shape: rng.standard_normal(shape) + 50.0 * (rng.random(shape) < 0.01)
    )
    return trials, result


@pytest.mark.filterwarnings("ignore::mjx_msm.common.errors.InputWarning")
def test_the_profile_is_of_the_loss_that_the_estimate_was_made_with(arm, spoilt):
    trials, result = spoilt
    posterior, z = posterior_of(arm, trials, result), np.array(result.z)
    _, gradient, _ = posterior(z)
    step = 1e-5 * np.eye(len(z))
    slope = [(posterior(z + s)[0] - posterior(z - s)[0]) / 2e-5 for s in step]
    np.testing.assert_allclose(gradient, slope, atol=1e-3 * np.sqrt(np.diag(posterior.information(z))).max())
    off = z + 0.3 * np.sqrt(np.diag(np.array(result.covariance)))
    slope = [(posterior(off + s)[0] - posterior(off - s)[0]) / 2e-5 for s in step]
    np.testing.assert_allclose(posterior(off)[1], slope, rtol=1e-3)
    found = profile(arm, trials, result, result.estimates[0].path)
    assert not found.better
    assert found.estimate == pytest.approx(result.estimates[0].value, rel=1e-3)
    width = result.estimates[0].high - result.estimates[0].low
    np.testing.assert_allclose([found.low, found.high], found.laplace, atol=0.15 * width)


@pytest.mark.filterwarnings("ignore::mjx_msm.common.errors.InputWarning")
def test_draws_are_not_drawn_to_what_is_absurd(arm, spoilt):
    """Where the model is linear a draw stays where it is, whatever is among the moments."""
    trials, result = spoilt
    result = replace(result, samples=result.samples[:6])
    done = completed_draws(arm, trials, result)
    apart = np.array(result.samples) - np.array(result.z)
    np.testing.assert_allclose(np.array(done.samples), result.samples, atol=0.1 * np.abs(apart).max())
