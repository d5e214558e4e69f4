"""Errors of the EMG as unknowns: what a recording then tells, by dense algebra, and parameters that are not bent."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.activation_sensitivities import activation_derivatives
from mjx_msm.dynamics.excitation import corrected
from mjx_msm.dynamics.simulation import simulate_motion
from mjx_msm.estimation.envelope_error import knot_spacing
from mjx_msm.estimation.residuals.motion import motion_term
from mjx_msm.identification.identify import identify
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.emg import EmgNoise
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.synthetic import synthetic_trials

NOISE = EmgNoise(relative=0.05, absolute=0.02)
FREE = ("muscle/*/max_isometric_force", "body/forearm/mass", "emg/BRA/gain", "muscle/TRIlat/deactivation_time_constant")
SCALE = np.array([0.004, 0.006])
HORIZON = 75
"""Two windows a trial: the second one's activation remembers what came before."""


@pytest.fixture(scope="module")
def own(arm):
    return {m: {m: 1.0} for m in arm.muscles}


@pytest.fixture(scope="module")
def recordings(arm, own):
    trials = synthetic_trials(arm, arm.nominal, count=2, duration=0.3, seed=5)
    return tuple(record(arm, t, own) for t in trials)


@pytest.fixture(scope="module")
def space(arm):
    return parameter_space(arm.nominal.with_channels(arm.muscles), FREE)


@pytest.fixture(scope="module")
def z(arm, space):
    with float64():
        return np.asarray(space.pack(arm.nominal.with_channels(arm.muscles)))


@pytest.fixture(scope="module")
def term(arm, space, recordings):
    return motion_term(arm, space, recordings, HORIZON, NOISE)


@pytest.fixture(scope="module")
def settled(term, z):
    """The expansion about z and the nuisance unknowns that suit it best."""
    expansion = term.expand(z)
    for _ in range(8):
        expansion.reduce(SCALE)
        expansion = term.expand(z, expansion.follow(np.zeros_like(z)))
    return expansion


@jit
def simulated(arm, space, points, envelope, mixing, deviation, lines, begin):
    """Positions in a window from (state, knots, z), each by a plain simulation of its own."""

    def one(x):
        state, knots, z = jnp.split(x, [4, len(x) - space.size])
        error = deviation * (lines @ knots.reshape(-1, envelope.shape[1]))
        stages = activation_derivatives(arm, space, z, envelope[None], mixing, (), error[None])[1][0]
        stages = jax.lax.dynamic_slice_in_dim(stages, begin, HORIZON)
        return simulate_motion(arm, space.unpack(z), state[:2], state[2:], stages, jnp.zeros((HORIZON, 4, 0)))[0]

    return jax.vmap(one)(points)


def dense(arm, space, recordings, term, z, states):
    """Residuals' derivative, whitened, by (state and knots of every window, z): differences of plain simulations."""
    steps, blocks = knot_spacing(NOISE, arm.timestep), []
    size = np.sqrt(NOISE.correlation_time / (steps * arm.timestep))
    count = -(-HORIZON // steps) + 1
    for w in range(term.windows):
        first = np.flatnonzero(term.window == w)[0]
        r, begin = recordings[term.recording[first]], int(term.start[first])
        clock = (np.arange(len(r.envelope)) - begin) / steps
        lines = np.stack([np.interp(clock, np.arange(count), c) for c in np.eye(count)], -1)
        deviation = size * np.hypot(NOISE.absolute, NOISE.relative * r.envelope)
        at = np.concatenate([states[first, :4], np.zeros(count * len(arm.muscles)), z])
        step = 1e-5 * np.eye(len(at))
        with float64():
            rest = map(jnp.asarray, (r.envelope, r.mixing, deviation, lines, begin))
            ends = np.asarray(simulated(arm, space, jnp.asarray(np.concatenate([at + step, at - step])), *rest))
        jacobian = (ends[: len(at)] - ends[len(at) :]) / 2e-5 / SCALE
        if begin + HORIZON < r.last:
            jacobian = jacobian[:, :-1]  # the sample that two windows share counts for the later one
        blocks.append(jacobian.reshape(len(at), -1).T)
    return blocks


@pytest.fixture(scope="module")
def blocks(arm, space, recordings, term, z, settled):
    return dense(arm, space, recordings, term, z, settled.states)


@pytest.mark.slow
def test_information_is_that_of_the_residuals_full_covariance(term, z, settled, blocks):
    """F = Jᵀ (I + Jᵤ Jᵤᵀ)⁻¹ J with unknown initial states, window by window."""
    parts = settled.reduce(SCALE)
    found = np.einsum("cij,c->ij", parts.hessian, SCALE**-2.0) + parts.nuisance.hessian[0]
    expected = []
    for block in blocks:
        state, error, by_z = np.split(block, [4, block.shape[1] - len(z)], axis=1)
        inverse = np.linalg.inv(np.eye(len(block)) + error @ error.T)
        full = np.concatenate([state, by_z], 1)
        full = full.T @ inverse @ full
        expected.append(full[4:, 4:] - full[4:, :4] @ np.linalg.solve(full[:4, :4], full[:4, 4:]))
    unit = 1 / np.sqrt(np.diag(found))
    np.testing.assert_allclose(unit[:, None] * found * unit, unit[:, None] * np.sum(expected, 0) * unit, atol=2e-4)
    np.testing.assert_allclose(settled.information(SCALE).sum(0), found, rtol=1e-9)
    exact = sum(b[:, -len(z) :].T @ b[:, -len(z) :] for b in blocks)
    assert np.all(np.diag(found) < 0.5 * np.diag(exact))  # it does make a difference


def test_knots_are_counted_as_far_as_the_data_determine_them(term, z, settled, blocks):
    total = 0.0
    for block in blocks:
        nuisance = block[:, : -len(z)]
        data, prior = nuisance.T @ nuisance, np.ones(nuisance.shape[1])
        prior[:4] = 0.0
        total += np.trace(np.linalg.solve(data + np.diag(prior), data)) - 4
    assert 10 < total < 0.7 * sum(b.shape[1] - len(z) for b in blocks)
    np.testing.assert_allclose(settled.absorbed(SCALE).sum(), total, rtol=1e-3)


def test_knots_and_states_follow_the_parameters_as_dense_least_squares_has_it(term, z, settled):
    """About another point, the quadratic's minimum over the nuisance is what a step there leads to."""
    change = 0.1 * np.random.default_rng(0).standard_normal(len(z))
    parts = settled.reduce(SCALE)
    promised = sum(
        float(np.sum((p.squares + 2 * p.gradient @ change + change @ p.hessian @ change) / s**2))
        for p, s in ((parts, SCALE), (parts.nuisance, np.ones(1)))
    )
    there = term.expand(z + change, settled.follow(change)).reduce(SCALE)
    reached = float(np.sum(there.squares / SCALE**2) + there.nuisance.squares[0])
    at_rest = float(np.sum(parts.squares / SCALE**2) + parts.nuisance.squares[0])
    assert reached - at_rest > 1.0
    np.testing.assert_allclose(reached, promised, rtol=0.1)


@pytest.mark.slow
def test_errors_of_no_size_are_exact_emg(arm, space, recordings, term, z):
    away = z + 0.05
    plain = motion_term(arm, space, recordings, HORIZON)
    a, b = term.with_exact_emg(), plain
    for t in (a, b):
        assert np.isfinite(t.evaluate(away, SCALE)).all()
    squares = [np.sum(t.evaluate(away, SCALE) ** 2, axis=0) for t in (a, b)]
    np.testing.assert_allclose(*squares, rtol=1e-6)


def test_a_corrected_signal_stays_inside():
    with float64():
        signal, error = (jnp.asarray(x) for x in np.meshgrid([0.0, 0.02, 0.3, 0.99, 1.0], np.linspace(-2, 2, 401)))
        value = np.asarray(corrected(signal, error))
    assert value.min() >= 0
    assert value.max() <= 1
    assert np.all(np.diff(value, axis=0) >= 0)
    middle = np.abs(np.linspace(-2, 2, 401)) < 0.149
    np.testing.assert_allclose(value[middle, 2], 0.3 + np.linspace(-2, 2, 401)[middle], rtol=1e-12)


# Estimates -------------------------------------------------------------------------------------------------

MUSCLES_AND_MASS = ("muscle/*/max_isometric_force", "body/forearm/mass")


@pytest.fixture(scope="module")
def noisy(arm):
    return synthetic_trials(
        arm, arm.nominal, count=3, duration=1.2, seed=8, angle_noise=np.deg2rad(0.3), emg_noise=(0.05, 0.02)
    )


@pytest.fixture(scope="module")
def result(arm, noisy):
    return identify(arm, noisy, free=MUSCLES_AND_MASS, emg_noise=NOISE)


@pytest.mark.slow
def test_parameters_are_not_bent_to_explain_errors_of_the_emg(arm, noisy, result):
    values = arm.nominal.to_dict()
    exact = identify(arm, noisy, free=MUSCLES_AND_MASS)
    off = [np.log([r[e.path].value / values[e.path] for e in r.estimates]) for r in (result, exact)]
    sd = np.sqrt(np.diag(result.covariance))
    assert np.mean((off[0] / sd) ** 2) < 2.5
    assert np.sqrt(np.mean(off[0] ** 2)) < 0.8 * np.sqrt(np.mean(off[1] ** 2))
    noise = result.stages[-1].noise
    for scale in noise.values():  # what is left of the residual is the angles' own noise
        assert scale == pytest.approx(np.deg2rad(0.3), rel=0.08)
    assert min(exact.stages[-1].noise.values()) > 2 * max(noise.values())


def test_a_result_remembers_the_noise(result, tmp_path):
    assert Identification.load(result.save(tmp_path / "result.json")).emg_noise == NOISE


def test_what_does_not_fit_is_refused(arm, noisy):
    with pytest.raises(InputError, match="relative is -1"):
        EmgNoise(relative=-1)
    with pytest.raises(InputError, match="both 0"):
        EmgNoise()
    with pytest.raises(InputError, match="band is 0"):
        EmgNoise(0.1, band=0)
    with pytest.raises(InputError, match="motion residual alone"):
        identify(arm, noisy, free=MUSCLES_AND_MASS, residuals=("acceleration",), emg_noise=NOISE)


@pytest.mark.slow
def test_a_gap_before_the_motion_keeps_its_emg(arm, own):
    """A window that starts inside a recording takes over the activation from before."""
    (trial,) = synthetic_trials(arm, arm.nominal, count=1, duration=0.5, seed=2)
    late = replace(trial, position=np.where(np.arange(len(trial.time))[:, None] < 60, np.nan, trial.position))
    r = record(arm, late, own)
    space = parameter_space(arm.nominal.with_channels(arm.muscles), MUSCLES_AND_MASS)
    with float64():
        z = np.asarray(space.pack(arm.nominal.with_channels(arm.muscles)))
        a, b = (motion_term(arm, space, [r], 1000, n) for n in (NOISE, None))
        every = b.activations(z)[0][0]
        found = a._interval_activations(z, a.first_guess())[0]
    steps = a.target.shape[1] - 1
    for k, start in enumerate(a.start):
        count = min(steps, r.last - start)
        np.testing.assert_allclose(found[k, :count], every[start : start + count], rtol=0, atol=1e-12)
