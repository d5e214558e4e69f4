"""Draws that are completed: they go through recorded moments as linear theory promises, and stay where it holds."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm.estimation.least_squares import minimise as real_minimise
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.identification.identify import identify
from mjx_msm.knowledge.posterior_draws import completed_draws
from mjx_msm.knowledge.records import Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.synthetic import synthetic_trials

STRENGTH = ("muscle/*/max_isometric_force",)
CURVED = (*STRENGTH, "muscle/*/optimal_fiber_length", "muscle/*/tendon_slack_length")
DRAWS = 12


@pytest.fixture(scope="module")
def arm():
    return load_model("arm")


@pytest.fixture(scope="module")
def trials(arm):
    """A second of motion with the moments of the nominal arm, 4 N·m of noise on them."""
    (trial,) = synthetic_trials(arm, arm.nominal, count=1, duration=1.0, rate=250, seed=4)
    blank = replace(trial, moment_coordinates=arm.coordinates, moment=np.zeros_like(trial.position))
    own = {m: {m: 1.0} for m in arm.muscles}
    space = parameter_space(arm.nominal.with_channels(arm.muscles), STRENGTH)
    term = moment_term(arm, space, [record(arm, blank, own)], 250.0)
    exact = term.evaluate(np.array([space.prior_mean[k] for k in range(space.size)]), np.ones(2))
    noise = 4.0 * np.random.default_rng(0).standard_normal(exact.shape)
    return (replace(blank, moment=exact + noise),)


def of(arm, trials, free):
    result = identify(arm, trials, free=free, residuals=("moment",), rate=50.0)
    return replace(result, samples=result.samples[:DRAWS])


@pytest.fixture(scope="module")
def curved(arm, trials):
    return of(arm, trials, CURVED)


def off(arm, trials, result, completed):
    """How far the change of the moments is from J (z_s − ẑ), root mean square [N·m]; before and after."""
    own = {m: {m: 1.0} for m in arm.muscles}
    space, one, z = result.space(arm), np.ones(2), np.array(result.z)
    term = moment_term(arm, space, [record(arm, t, own) for t in trials], result.rate)
    at = term.evaluate(z, one)
    found = []
    for draw, done in zip(np.array(result.samples), np.array(completed.samples), strict=True):
        step = 1e-4 * (draw - z)
        promised = (term.evaluate(z + step, one) - term.evaluate(z - step, one)) / 2e-4
        found.append([np.sqrt(np.mean((term.evaluate(x, one) - at - promised) ** 2)) for x in (draw, done)])
    return np.array(found).T


def test_the_moments_change_as_promised(arm, trials, curved, tmp_path):
    told = []
    completed = completed_draws(arm, trials, curved, told.append)
    assert told == list(range(1, DRAWS + 1))
    before, after = off(arm, trials, curved, completed)
    before, after = (np.sqrt(np.mean(x**2)) for x in (before, after))
    assert before > 0.5  # else there is nothing to see
    assert after < 0.4 * before
    space = curved.space(arm)
    moved = np.abs(np.array(completed.samples) - np.array(curved.samples)) / space.prior_scale
    assert moved.max() < 4.0
    assert not curved.completed
    assert completed.completed
    assert replace(completed, samples=(), completed=False) == replace(curved, samples=())
    assert completed_draws(arm, trials, completed) is completed
    loaded = Identification.load(completed.save(tmp_path / "identification.json"))
    assert loaded == completed
    again = completed_draws(arm, trials, curved)
    assert again.samples == completed.samples


def test_where_the_model_is_linear_draws_stay(arm, trials):
    """Strength by itself: moments are linear in it, and its logarithm is nearly so where it is well known."""
    result = of(arm, trials, STRENGTH)
    sharp = replace(result, samples=tuple(map(tuple, 0.98 * np.array(result.z) + 0.02 * np.array(result.samples))))
    completed = completed_draws(arm, trials, sharp)
    apart = np.array(sharp.samples) - np.array(result.z)
    np.testing.assert_allclose(
        np.array(completed.samples) - np.array(sharp.samples), 0, atol=0.05 * np.abs(apart).max()
    )


def test_draws_do_not_pile_up_on_bounds(arm, trials):
    """Bounds so narrow that half of the completed draws would end on one."""
    narrow = {p: {"factor": [0.93, 1.07]} for p in CURVED}
    result = identify(arm, trials, free=CURVED, residuals=("moment",), rate=50.0, bounds=narrow)
    result = replace(result, samples=result.samples[:DRAWS])
    space, draws = result.space(arm), np.array(result.samples)
    completed = np.array(completed_draws(arm, trials, result).samples)
    for side in (space.lower, space.upper):
        assert (np.abs(completed - side) > 0.099 * np.abs(draws - side)).all()


def test_an_interruption_is_passed_on(arm, trials, curved, monkeypatch):
    def interrupted(*arguments, **settings):
        solution = real_minimise(*arguments, **settings)
        solution.interrupted = True
        return solution

    monkeypatch.setattr("mjx_msm.estimation.checkpoint.minimise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        completed_draws(arm, trials, curved)


def test_what_is_left_alone(arm, trials, curved):
    for other in (
        replace(curved, residuals=("motion",)),
        replace(curved, residuals=("moment", "motion")),
        replace(curved, outcome=Outcome.INTERRUPTED),
    ):
        assert completed_draws(arm, trials, other) is other
