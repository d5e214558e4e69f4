"""Every trial at its own noise: as efficient as if the scales were known, and nothing changes where they are alike."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import mjx_msm as msm
from mjx_msm.estimation import noise_by_trial, robust
from mjx_msm.estimation.least_squares import Solution
from mjx_msm.estimation.noise_by_trial import MOST, relative_scales, scales_of
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
    squares, three = np.array([1.0, np.inf, 2.0]), np.ones(3)  # after a step that went too far
    np.testing.assert_array_equal(scales_of(squares, 50 * three, 0.5, three).relative, three)


@pytest.mark.parametrize(
    ("sd", "between", "bound", "on_it"),
    [((1.0, 2.5, 0.4), 0.2, MOST, 0), ((1.0, 10.0, 0.05), 2.0, MOST, 2), ((1.0, 2.5, 0.4), 0.2, 1.0, 3)],
    ids=["alone", "two on the bound", "one scale"],
)
def test_scales_are_the_least_of_what_is_said_to_be_minimised(monkeypatch, sd, between, bound, on_it):
    """By another minimiser; with the derivatives that the solver takes them for."""
    monkeypatch.setattr(noise_by_trial, "MOST", bound)
    rng = np.random.default_rng(5)
    count, repeats = np.array([40.0, 0.0, 90.0, 25.0]), np.array([2.0, 1.0, 5.0, 1.0])
    noise = np.array([sd[0], 1.0, *sd[1:]])[:, None]
    rows, target = rng.normal(size=(4, 30, 2)), rng.normal(0, noise, (4, 30))
    seen = np.flatnonzero(count)

    def squares(x):
        return np.where(count > 0, np.sum((rows @ x - target) ** 2, axis=1) * count / 30, 0.0)

    def concentrated(x):
        """As the solver has it: pooled, and what own scales save."""
        s = squares(x)
        return count.sum() * (0.5 * np.log(s.sum() / count.sum()) + scales_of(s, count, between, repeats).cost)

    def plain(about, x):
        m, away = about[0], about[1:]
        pull = repeats[seen] * away**2 / (2 * between)
        return np.sum(count[seen] * (m + away) + 0.5 * squares(x)[seen] * np.exp(-2 * (m + away)) + pull)

    x, most = np.array([0.3, -0.2]) * min(sd), np.log(bound)
    bounds = [(None, None), *[(-most, most)] * 3]
    found = minimize(plain, np.zeros(4), args=(x,), bounds=bounds, tol=1e-14, options={"maxiter": 10000})
    own = scales_of(squares(x), count, between, repeats)
    s = np.sqrt(squares(x).sum() / count.sum())
    np.testing.assert_allclose(own.relative[seen] * s, np.exp(found.x[0] + found.x[1:]), rtol=1e-4)
    assert concentrated(x) + 0.5 * count.sum() == pytest.approx(found.fun, abs=1e-8)
    assert np.sum(np.abs(found.x[1:]) >= most - 1e-9) == on_it
    assert own.relative[1] == 1.0

    def half(x, i):
        return count[i] / 30 * rows[i].T @ (rows[i] @ x - target[i])

    pushes = np.stack([half(x, i) / own.relative[i] ** 2 for i in range(4)]) / s**2
    h = 1e-3 * min(sd)
    step = h * np.eye(2)
    slope = [(concentrated(x + d) - concentrated(x - d)) / (2 * h) for d in step]
    np.testing.assert_allclose(pushes.sum(axis=0), slope, rtol=1e-5)
    plainly = sum(count[i] / 30 * rows[i].T @ rows[i] / (own.relative[i] * s) ** 2 for i in range(4))
    bend = [[(concentrated(x + a + b) - concentrated(x + a - b) - concentrated(x - a + b) + concentrated(x - a - b))
             / (4 * h**2) for a in step] for b in step]  # fmt: skip
    np.testing.assert_allclose(plainly - 4 * pushes.T @ own.inverse @ pushes, bend, rtol=1e-4)


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
    alone = [replace(term, mask=term.mask * (term.recording == i)[:, None]) for i in range(2)]
    information = sum(
        t.expand(z).reduce(one).hessian.sum(axis=0) / s**2 for t, s in zip(alone, sd, strict=True)
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


@pytest.mark.parametrize(("by", "converged"), [(1.0, False), (0.05, True)])
def test_weights_that_do_not_settle_are_not_called_converged(monkeypatch, by, converged):
    """They move by as much in every turn."""
    monkeypatch.setattr(robust, "MomentTerm", SimpleNamespace)
    monkeypatch.setattr(robust, "_weighed", lambda term, *given: term)
    monkeypatch.setattr(robust, "_change", lambda before, after: by)

    def solved(*given):
        return Solution(np.zeros(1), [np.ones(1)], cost=1.0, evaluations=1, converged=True)

    terms: Any = [SimpleNamespace()]
    assert robust.robust(terms, solved(), solved)[1].converged == converged
