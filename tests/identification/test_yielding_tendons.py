"""Muscles with tendons that yield, found again from what they did: moments, accelerations, motion."""

from dataclasses import replace

import equinox as eqx
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.estimation.residuals.acceleration import acceleration_term
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.estimation.residuals.stepped_motion import stepped_motion_term
from mjx_msm.identification.identify import identify
from mjx_msm.identification.problem import Problem
from mjx_msm.knowledge.records import Outcome
from mjx_msm.person.model import load_model
from mjx_msm.person.muscle import AbstractMuscle, MujocoMuscle
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.emg import EmgNoise
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.settings import Settings
from mjx_msm.recordings.synthetic import synthetic_trials

FREE = ("muscle/*/optimal_fiber_length", "muscle/*/tendon_slack_length", "muscle/BIC*/tendon_strain")


@pytest.fixture(scope="module")
def soft():
    return load_model("arm", muscle="degroote-compliant", integrator="RK4")


@pytest.fixture(scope="module")
def truth(soft):
    rng, p = np.random.default_rng(1), soft.nominal
    fields = ("optimal_fiber_length", "tendon_slack_length", "tendon_strain")
    change = [
        getattr(p.muscle, f) * np.exp(s * rng.normal(size=6)) for f, s in zip(fields, (0.08, 0.02, 0.2), strict=True)
    ]
    changed = eqx.tree_at(lambda q: [getattr(q.muscle, f) for f in fields], p, change)
    held = [f"muscle/{m}/tendon_strain" for m in soft.muscles if not m.startswith("BIC")]
    return changed.updated({path: 0.049 for path in held})


@pytest.fixture(scope="module")
def trials(soft, truth):
    return synthetic_trials(soft, truth, count=1, duration=0.6, seed=3)


def errors(result, truth):
    true = truth.to_dict()
    return np.array([abs(e.value / true[e.path] - 1) for e in result.estimates])


@pytest.mark.slow
def test_moments_give_the_tendons_back(soft, truth, trials):
    own = {m: {m: 1.0} for m in soft.muscles}
    space = parameter_space(truth.with_channels(soft.muscles), FREE)
    blank = replace(trials[0], moment_coordinates=soft.coordinates, moment=np.zeros_like(trials[0].position))
    term = moment_term(soft, space, [record(soft, blank, own)], 250.0)
    moment = np.full_like(blank.position, np.nan)
    clock = np.rint((blank.time - blank.time[0]) / soft.timestep).astype(int)
    moment[np.searchsorted(clock, term.sample)] = term.evaluate(np.asarray(space.prior_mean), np.ones(2))
    known = replace(blank, moment=moment)
    result = identify(soft, [known], free=FREE, residuals=("moment",), rate=250.0, held="exact")
    assert result.outcome is Outcome.CONVERGED
    assert max(abs(e.start / truth.to_dict()[e.path] - 1) for e in result.estimates) > 0.1
    assert errors(result, truth).max() < 1e-4
    assert result.evidence is not None


@pytest.mark.slow
def test_accelerations_have_exact_derivatives(soft, truth, trials):
    """And stand where the recording does, as far as a spline follows it."""
    problem = Problem.build(soft, trials[:1], Settings(free=FREE))
    term, space = acceleration_term(soft, problem.space, problem.recordings, 100.0), problem.space
    rng, one, step = np.random.default_rng(0), np.ones(2), 1e-5
    z = space.clip(space.prior_mean + 0.3 * space.prior_scale * rng.normal(size=space.size))
    found, residual = term.expand(z).reduce(one), term.evaluate(z, one)
    for d in rng.normal(size=(3, space.size)) * space.prior_scale:
        slope = (term.evaluate(z + step * d, one) - term.evaluate(z - step * d, one)) / (2 * step)
        np.testing.assert_allclose(found.gradient @ d, np.sum(residual * slope, 0), rtol=1e-5)
        np.testing.assert_allclose(d @ found.hessian @ d, np.sum(slope**2, 0), rtol=1e-5)


@pytest.mark.slow
def test_motion_has_exact_derivatives_also_of_what_muscles_remember(soft, truth, trials):
    """Of two windows, the second from what the recorded first has made of the fibers; the truth is without error."""
    whole, steps = trials[0], 50
    short = {k: getattr(whole, k)[: 2 * steps + 1] for k in ("time", "position", "velocity", "emg")}
    own = {m: {m: 1.0} for m in soft.muscles}
    space = parameter_space(truth.with_channels(soft.muscles), FREE)
    term = stepped_motion_term(soft, space, [record(soft, replace(whole, **short), own)], steps)
    assert term.start.tolist() == [0, steps]
    real, rng, step = np.asarray(space.prior_mean), np.random.default_rng(0), 1e-5
    assert np.abs(term.expand(real).residual).max() < 1e-11
    z = space.clip(real + 0.3 * space.prior_scale * rng.normal(size=space.size))
    states = term.first + 0.05 * rng.normal(size=term.first.shape)
    found = term.expand(z, states)
    for _ in range(3):
        by_z, by_state = space.prior_scale * rng.normal(size=space.size), rng.normal(size=states.shape)
        by_state *= 0.1
        ahead, back = (term.expand(z + k * step * by_z, states + k * step * by_state).residual for k in (1, -1))
        slope = (ahead - back) / (2 * step)
        expected = found.by_z @ by_z + np.einsum("wscj,wj->wsc", found.by_state, by_state)
        np.testing.assert_allclose(expected, slope, rtol=0, atol=1e-6 * np.abs(slope).max())


def test_what_is_not_there_is_said(soft, trials):
    with pytest.raises(InputError, match="a noise of the EMG is not there for muscle model 'degroote-compliant'"):
        Problem.build(soft, trials, Settings(free=FREE, emg_noise=EmgNoise(relative=0.1)))

    class Own(AbstractMuscle):
        def tension(self, *at):
            return MujocoMuscle().tension(*at)

        def activation_rate(self, *at):
            return MujocoMuscle().activation_rate(*at)

        def begin(self, *at):
            return ()

    with pytest.raises(InputError, match="identification is not there for muscle model 'Own'"):
        Problem.build(load_model("arm", muscle=Own()), trials, Settings(free=FREE))
