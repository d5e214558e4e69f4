"""The real job, reduced: strides of a person on a treadmill, by the benchmark's own problem."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.identification.problem import Problem
from mjx_msm.knowledge.profile_likelihood import Posterior
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


@pytest.mark.slow
def test_eight_strides_converge(strides):
    """Gauss–Newton with the same tolerance needs 124 evaluations here, and more than 400 on neighbouring strides."""
    model = study_model(strides)
    result = identify_study(strides, model)
    assert len(result.z) == 41
    assert result.outcome is Outcome.CONVERGED
    assert result.stages[-1].evaluations <= 40
    held_out = [f.identified for f in result.fits if f.role == "held-out"]
    assert len(held_out) == 8
    assert np.sqrt(np.mean(np.square(held_out))) < 5.5  # N·m; 4.86 as it was with Gauss–Newton

    problem = Problem.build(model, strides.trials, settings(strides, model))
    z = np.array(result.z)
    term = moment_term(model, problem.space, problem.recordings, problem.settings.rate)
    posterior = Posterior([term], problem.space, z)
    best = posterior(z)[0]
    sd = 1.0 / np.sqrt(np.diag(posterior.information(z)) + problem.space.prior_scale**-2.0)
    for k in range(len(z)):  # no step along one parameter, inside the bounds, does better
        for step in (-0.05, 0.05):
            there = z.copy()
            there[k] = np.clip(z[k] + step * sd[k], problem.space.lower[k], problem.space.upper[k])
            assert posterior(there)[0] > best - 1e-4
