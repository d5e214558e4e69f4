"""Every trial at its own noise: as efficient as if the scales were known, and nothing changes where they are alike."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.estimation import noise_by_trial, robust
from mjx_msm.estimation.least_squares import TOLERANCE, Solution
from mjx_msm.estimation.noise_by_trial import MOST, relative_scales
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.identification.problem import Problem
from mjx_msm.knowledge.log_posterior import posterior_of
from mjx_msm.recordings.settings import Settings
from mjx_msm.recordings.subject_file.loading import load_subject
from mjx_msm.study.settings import settings, study_model


def test_scales_are_those_of_the_noise():
    rng = np.random.default_rng(0)
    left = [rng.normal(0, sd, 2000) for sd in (1.0, 4.0, 2.0)]
    found = relative_scales(left)
    np.testing.assert_allclose(found / found[0], [1.0, 4.0, 2.0], rtol=0.06)
    squares = np.array([np.mean(r**2) for r in left])
    assert np.mean(squares / found**2) == pytest.approx(squares.mean())  # the noise of all stays what it is


def test_trials_that_are_alike_keep_one_scale():
    rng = np.random.default_rng(1)
    spread = [np.ptp(np.log(relative_scales([rng.normal(0, 1, 200) for _ in range(4)]))) for _ in range(200)]
    assert np.median(spread) < 0.03  # of what chance alone makes of the root mean squares: 0.1
    assert np.quantile(spread, 0.95) < 0.2


def test_a_short_trial_does_not_rule():
    rng = np.random.default_rng(2)
    long = [rng.normal(0, sd, 4000) for sd in (1.0, 1.5, 2.0, 3.0)]
    lucky = 0.5 * rng.normal(0, 1, 5)
    own = np.sqrt([np.mean(r**2) for r in (*long, lucky)])
    found = relative_scales([*long, lucky])
    assert found[-1] / found[0] > 1.1 * own[-1] / own[0]
    np.testing.assert_allclose(found[:4] / found[0], own[:4] / own[0], rtol=0.02)


def test_what_cannot_be_weighed_is_left_alone():
    one = np.random.default_rng(3).normal(size=50)
    np.testing.assert_array_equal(relative_scales([one]), [1.0])
    np.testing.assert_array_equal(relative_scales([one, 0.0 * one]), [1.0, 1.0])  # a trial that is explained exactly
    assert np.ptp(np.log(relative_scales([one, 1e6 * one, 1e-6 * one]))) <= 2 * np.log(MOST) + 1e-12


@pytest.mark.slow
def test_as_efficient_as_with_known_scales(arm):
    """Moments of one trial have six times the noise of the other's: the covariance is the best there is."""
    someone, sd = msm.synthetic_subject(arm, seed=4), (0.2, 1.2)
    asked = Settings(free=("muscle/*/max_isometric_force",), residuals=("moment",), rate=250.0)
    still = msm.synthetic_trials(arm, someone, count=2, duration=1.0, rate=250, seed=4)
    still = [replace(t, moment_coordinates=arm.coordinates, moment=np.zeros_like(t.position)) for t in still]
    problem, one = Problem.build(arm, still, asked), np.ones(2)
    truth = np.array([someone.to_dict()[path] for path in problem.space.paths])
    blank = moment_term(problem.model, problem.space, problem.recordings, asked.rate)
    made, rng = blank.evaluate(np.log(truth), one), np.random.default_rng(4)
    trials = []
    for i, trial in enumerate(still):
        noise = rng.normal(0, sd[i], trial.position.shape)
        trials.append(replace(trial, moment=made[blank.trial == i] + noise))
    result = msm.identify(arm, trials, settings=asked)
    problem, z = Problem.build(arm, trials, asked), np.array(result.z)
    term = moment_term(problem.model, problem.space, problem.recordings, asked.rate)
    information = sum(
        term.only(i).expand(z).reduce(one).hessian.sum(axis=0) / s**2 for i, s in enumerate(sd)
    ) + np.diag(problem.space.prior_scale**-2.0)
    best = np.sqrt(np.diag(np.linalg.inv(information)))
    np.testing.assert_allclose(np.sqrt(np.diag(result.covariance)), best, rtol=0.2)
    assert np.all(np.abs(z - np.log(truth)) < 4 * best)
    again = posterior_of(arm, trials, result).minimise(z)  # a profile knows the scales, too
    np.testing.assert_allclose(again.z, z, atol=0.02 * best.min())


@pytest.mark.slow
def test_walks_are_not_bent_by_a_run(data_dir, monkeypatch):
    """Eight seconds of two walks and a run, judged by the eight after: the run's moments are several times as far off,
    and at one scale the walks pay for it."""
    if not (data_dir / "treadmill").is_dir():
        pytest.skip(f"no treadmill/ in {data_dir}: the recorded walks are not there")
    monkeypatch.setenv("MJX_MSM_DATA", str(data_dir))
    study = load_subject(Path(__file__).resolve().parents[2] / "examples" / "treadmill" / "subject.toml")
    model, asked = study_model(study), replace(settings(study), rate=25.0)

    def part(t, start, stop, name):
        rows = slice(round(start / t.timestep), round(stop / t.timestep))
        return replace(
            t, name=name, time=t.time[rows], position=t.position[rows], emg=t.emg[rows], moment=t.moment[rows]
        )

    every = [*study.trials, *study.held_out]
    learnt = [part(t, 0, 8, t.name) for t in every]
    asked_of = [part(t, 8, 16, f"{t.name}, later") for t in every]

    def errors():
        result = msm.identify(model, learnt, held_out=asked_of, settings=asked)
        return np.array([f.identified for f in result.fits if f.role == "held-out"])

    own = errors()
    monkeypatch.setattr(noise_by_trial, "MOST", 1.0)  # one scale for all
    one = errors()
    assert np.all(own[:2] < 0.9 * one[:2])
    assert np.all(own[:2] < [5.0, 6.0])  # N·m


class Drifting:
    """Scales that move by as much in every turn."""

    def __init__(self, monkeypatch, module, name, by):
        monkeypatch.setattr(module, "MomentTerm", SimpleNamespace)
        monkeypatch.setattr(module, name, lambda term, *given: term)
        monkeypatch.setattr(module, "_change", lambda before, after: by)
        self.tolerances = []

    def again(self, terms, before, *, tolerance=TOLERANCE):
        self.tolerances.append(tolerance)
        return Solution(np.zeros(1), [np.ones(1)], cost=1.0, evaluations=1, converged=True)


@pytest.mark.parametrize(("by", "converged"), [(0.5, False), (0.025, True)])
def test_turns_that_do_not_settle_are_not_called_converged(monkeypatch, by, converged):
    """And what is returned is solved at the full tolerance."""
    drifting = Drifting(monkeypatch, noise_by_trial, "at_own_scales", by)
    begin = Solution(np.zeros(1), [np.ones(1)], cost=1.0, converged=True)
    found = noise_by_trial.noise_by_trial([SimpleNamespace()], begin, drifting.again)[1]
    assert found.converged == converged
    assert drifting.tolerances[-1] == TOLERANCE
    assert found.evaluations == len(drifting.tolerances)
    drifting = Drifting(monkeypatch, robust, "_weighed", 2 * by)
    found = robust.robust([SimpleNamespace()], begin, drifting.again)[1]
    assert found.converged == converged
