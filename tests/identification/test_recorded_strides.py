"""The real job, reduced: strides of a person on a treadmill, by the benchmark's own problem."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mjx_msm.estimation import noise_by_trial
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.identification.problem import Problem
from mjx_msm.identification.repetition import times_by_trial
from mjx_msm.knowledge.log_posterior import Posterior
from mjx_msm.knowledge.records import Outcome
from mjx_msm.study.identification import identify_study
from mjx_msm.study.settings import settings, study_model

BENCHMARKS = Path(__file__).resolve().parents[2] / "examples" / "benchmarks"


@pytest.fixture(scope="module")
def strides(data_dir):
    if not (data_dir / "treadmill").is_dir():
        pytest.skip(f"no treadmill/ in {data_dir}: the recorded strides are not there")
    sys.path.insert(0, str(BENCHMARKS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MJX_MSM_DATA", str(data_dir))
        try:
            import treadmill
        finally:
            sys.path.remove(str(BENCHMARKS))
        return treadmill.strides()


@pytest.fixture(scope="module")
def identified(strides):
    """The result at one noise for all strides, the moments it is from, and its posterior."""
    model = study_model(strides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise_by_trial, "MOST", 1.0)  # a bound that leaves one scale
        result = identify_study(strides, model, held="exact")
    problem = Problem.build(model, strides.trials, settings(strides, model))
    term = moment_term(model, problem.space, problem.recordings, problem.settings.rate)
    return result, term, Posterior([term], problem.space, np.array(result.z))


@pytest.mark.slow
def test_eight_strides_converge(identified):
    """Gauss–Newton with the same tolerance needs 124 evaluations here, and more than 400 on neighbouring strides."""
    result, _, posterior = identified
    assert len(result.z) == 41
    assert result.outcome is Outcome.CONVERGED
    assert result.stages[-1].evaluations <= 40
    held_out = [f.identified for f in result.fits if f.role == "held-out"]
    assert len(held_out) == 8
    assert np.sqrt(np.mean(np.square(held_out))) < 5.5  # N·m; 4.86 as it was with Gauss–Newton

    z, space = np.array(result.z), posterior.space
    best = posterior(z)[0]
    sd = 1.0 / np.sqrt(np.diag(posterior.information(z)) + space.prior_scale**-2.0)
    # No step along one parameter, inside the bounds, does better. A delay moves envelopes that are linear between the
    # samples of a clock, so that the cost has kinks, which no derivative sees: across one more may be gained.
    for k, path in enumerate(space.paths):
        gain = 1e-3 if path.endswith("/delay") else 1e-4
        for step in (-0.05, 0.05):
            there = z.copy()
            there[k] = np.clip(z[k] + step * sd[k], space.lower[k], space.upper[k])
            assert posterior(there)[0] > best - gain


@pytest.mark.slow
def test_more_starts_find_a_deeper_basin_that_predicts_better(strides):
    """Of 24 starts six came to the deepest known, 27 in log posterior below what the model itself leads to."""
    model = study_model(strides)
    one, searched = (identify_study(strides, model, held="exact", starts=n) for n in (1, 8))
    assert searched.stages[-1].cost < one.stages[-1].cost - 10
    later = [np.mean([f.identified**2 for f in r.fits if f.role == "held-out"]) for r in (one, searched)]
    assert later[1] < later[0]


@pytest.mark.slow
def test_what_is_known_has_the_curvature_of_the_posterior(identified):
    """By differences of the gradient of its negative logarithm over two fifths of a standard deviation, which have
    many kinks within: measured, shares are within 0.008 of theirs and standard deviations within 3 %, but for that of
    the delay, 6.4 %. It moves envelopes that are linear between samples, so that its curvature is nothing but kinks:
    over a tenth of a standard deviation it comes out by a third smaller."""
    result, term, posterior = identified
    z, precision = np.array(result.z), np.diag(posterior.space.prior_scale**-2.0)
    steps = 0.2 / np.sqrt(np.diag(posterior.information(z) + precision))
    (scale,) = posterior.weighed(z)[1]
    ends = [[term.expand(z + s * e).reduce(scale).gradient for s in (-1, 1)] for e in np.diag(steps)]
    pairs = zip(ends, steps, strict=True)
    curvature = np.array([((b - a) / scale[:, None] ** 2).sum(axis=0) / (2 * s) for (a, b), s in pairs]) + precision
    curvature = 0.5 * (curvature + curvature.T)
    bread = np.linalg.inv(curvature)
    shares = [e.data_share for e in result.estimates]
    np.testing.assert_allclose(shares, np.clip(1 - np.diag(bread @ precision), 0, 1), atol=1e-2)
    times = times_by_trial(term, term.evaluate(z, scale))[:, 0]
    alone = [replace(term, mask=term.mask * (term.recording == i)[:, None]) for i in range(len(times))]
    score = precision + sum(
        tau * t.expand(z).reduce(scale).hessian[0] / scale[0] ** 2 for t, tau in zip(alone, times, strict=True)
    )
    sd, expected = (np.sqrt(np.diag(x)) for x in (np.array(result.covariance), bread @ score @ bread))
    delay = np.array([path.endswith("/delay") for path in posterior.space.paths])
    np.testing.assert_allclose(sd[~delay], expected[~delay], rtol=0.06)
    np.testing.assert_allclose(sd[delay], expected[delay], rtol=0.1)
    flat = np.linalg.inv(posterior.information(z) + precision)
    ratio = np.sqrt(np.diag(result.covariance) / np.diag(flat @ score @ flat))
    assert ratio.min() < 0.5 < 1.0 < ratio.max()  # Gauss–Newton alone would not do
