"""Residual terms: zero at the truth, right derivatives, and nothing counted that was not measured."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from mjx_msm.compiled import float64
from mjx_msm.parameters import parameter_space
from mjx_msm.personalisation import personalised_spec
from mjx_msm.recording import record
from mjx_msm.residuals import acceleration_term, moment_term, motion_term
from mjx_msm.synthetic import matching, synthetic_trials

FREE = ("muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length", "body/forearm/mass")
HORIZON, STRIDE = 50, 2
RATE = 500.0 / STRIDE  # the arm steps every 2 ms
ONE = np.ones(2)


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.fixture(scope="module")
def truth(arm):
    rng, nominal = np.random.default_rng(1), arm.nominal.to_dict()
    return arm.nominal.updated({p: nominal[p] * (1 + 0.1 * rng.uniform(-1, 1)) for p in matching(arm.nominal, FREE)})


def net_moment(arm, truth, trial):
    """What muscles and passive joints produce together, by inverse dynamics in C; NaN at the last sample."""
    m = personalised_spec(arm, truth).compile()
    m.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_INVDISCRETE
    d = mujoco.MjData(m)
    moment = np.full_like(trial.position, np.nan)
    for k in range(len(trial.time) - 1):
        d.qpos[:], d.qvel[:] = trial.position[k], trial.velocity[k]
        d.qacc[:] = (trial.velocity[k + 1] - trial.velocity[k]) / m.opt.timestep
        mujoco.mj_inverse(m, d)
        moment[k] = d.qfrc_inverse + d.qfrc_passive
    return moment


def shortened(trial, samples):
    cut = {k: getattr(trial, k)[:samples] for k in ("time", "position", "velocity", "emg")}
    return replace(trial, name="short", **cut)


@pytest.fixture(scope="module")
def trials(arm, truth):
    """Noise-free trials of different length, with their moments."""
    long, short = synthetic_trials(arm, truth, count=2, duration=0.8, seed=3)
    both = (long, shortened(short, 251))
    return tuple(replace(t, moment_coordinates=arm.coordinates, moment=net_moment(arm, truth, t)) for t in both)


@pytest.fixture(scope="module")
def own(arm):
    return {m: {m: 1.0} for m in arm.muscles}


@pytest.fixture(scope="module")
def recordings(arm, trials, own):
    return tuple(record(arm, t, own) for t in trials)


@pytest.fixture(scope="module")
def space(arm):
    return parameter_space(arm.nominal.with_channels(arm.muscles), FREE)


@pytest.fixture(scope="module")
def at_truth(arm, truth, space):
    with float64():
        return np.asarray(space.pack(truth.with_channels(arm.muscles)))


@pytest.fixture(scope="module")
def motion(arm, space, recordings):
    return motion_term(arm, space, recordings, HORIZON)


@pytest.fixture(scope="module")
def moment(arm, space, recordings):
    return moment_term(arm, space, recordings, RATE)


def directions(space, count=3):
    return np.random.default_rng(9).uniform(-1, 1, (count, space.size)) * 0.1


# At the truth ----------------------------------------------------------------------------------------------


def test_motion_of_the_truth_is_the_recording(motion, at_truth, space):
    assert np.abs(motion.evaluate(at_truth, ONE)).max() < 1e-12
    assert rms(motion.evaluate(space.prior_mean, ONE)) > 1e-3


def test_moment_of_the_truth_is_inverse_dynamics(arm, space, recordings, trials, at_truth):
    """With the recorded states in place of the splines through them, C and the term agree to round-off."""
    exact = [
        replace(r, smooth_position=t.position, smooth_velocity=t.velocity)
        for r, t in zip(recordings, trials, strict=True)
    ]
    term = moment_term(arm, space, exact, RATE)
    signal = rms(term.signal())
    assert signal > 1.0
    assert np.abs(term.evaluate(at_truth, ONE)).max() < 1e-9 * signal
    assert rms(term.evaluate(space.prior_mean, ONE)) > 0.02 * signal


def test_moment_of_the_truth_through_splines(moment, at_truth):
    assert rms(moment.evaluate(at_truth, ONE)) < 0.005 * rms(moment.signal())


def test_acceleration_of_the_truth_is_near_the_recorded_one(arm, space, recordings, at_truth):
    term = acceleration_term(arm, space, recordings, RATE)
    used = term.weight > 0
    true, generic = (term.evaluate(z, ONE)[used] for z in (at_truth, space.prior_mean))
    assert rms(true) < 0.03 * rms(term.signal()[used])
    assert rms(generic) > 5 * rms(true)


# Derivatives -----------------------------------------------------------------------------------------------


def test_projected_jacobian_of_the_motion_is_exact_where_the_residual_vanishes(motion, at_truth, space):
    """Initial states eliminated: differences of the reduced residual, each end solved for its initial states."""
    scale = np.array([0.02, 0.05])
    residual, jacobian = motion.linearise(at_truth, scale)
    assert np.abs(residual).max() < 1e-9
    h = 1e-5
    for t in directions(space):
        ends = [motion.evaluate(at_truth + s * h * t, scale) / scale for s in (1, -1)]
        numeric = (ends[0] - ends[1]) / (2 * h)
        np.testing.assert_allclose(jacobian @ t, numeric, rtol=1e-3, atol=1e-4 * np.abs(numeric).max())


def test_gradient_of_the_motion_cost_is_exact_everywhere(motion, at_truth, space):
    """Kaufman's Jacobian drops a term of the Hessian, never of the gradient."""
    scale, h = np.array([0.02, 0.05]), 1e-4
    z = at_truth + 0.5 * directions(space, 4)[3]
    residual, jacobian = motion.linearise(z, scale)
    gradient = np.einsum("sc,scz->z", residual, jacobian)
    for t in directions(space):
        cost = [0.5 * np.sum((motion.evaluate(z + s * h * t, scale) / scale) ** 2) for s in (1, -1)]
        assert gradient @ t == pytest.approx((cost[0] - cost[1]) / (2 * h), rel=2e-3, abs=1e-4 * np.abs(gradient @ t))


@pytest.mark.parametrize("make", [moment_term, acceleration_term])
def test_jacobians_of_the_direct_terms_equal_differences(arm, space, recordings, make):
    term, h = make(arm, space, recordings, RATE), 1e-6
    z, scale = space.prior_mean + 0.3 * directions(space, 5)[4], np.array([0.5, 2.0])
    residual, jacobian = term.linearise(z, scale)
    np.testing.assert_allclose(residual, term.evaluate(z, scale) / scale, rtol=1e-9, atol=1e-12)
    assert not jacobian[term.weight == 0].any()
    for t in directions(space, 2):
        numeric = (term.evaluate(z + h * t, scale) - term.evaluate(z - h * t, scale)) / scale / (2 * h)
        np.testing.assert_allclose(jacobian @ t, numeric, rtol=1e-5, atol=1e-6 * np.abs(numeric).max())


# What counts -----------------------------------------------------------------------------------------------


def test_every_measured_sample_counts_once(arm, space, recordings, motion):
    """Neighbouring segments share a sample; trials have their own length; horizons need not divide it."""
    measured = sum(r.weight.sum(axis=0) for r in recordings)
    for horizon in (HORIZON, 33, 250, 400, 10_000):
        term = motion_term(arm, space, recordings, horizon)
        np.testing.assert_array_equal(term.weight.sum(axis=0), measured)
        for i, r in enumerate(recordings):
            assert term.weight[term.trial == i].sum() == r.weight.sum()
        assert term.eliminated == 2 * len(term.start)
    assert np.array_equal(np.bincount(motion.recording), [8, 5])


def test_upsampled_recordings_count_their_own_samples(arm, space, trials, own):
    sparse = [
        replace(t, **{k: getattr(t, k)[::5] for k in ("time", "position", "velocity", "emg", "moment")}) for t in trials
    ]
    recordings = [record(arm, t, own) for t in sparse]
    assert motion_term(arm, space, recordings, HORIZON).weight.sum() == 2 * sum(len(t.time) for t in sparse)


def test_what_was_not_measured_changes_nothing(arm, space, trials, own, motion, at_truth):
    """A gap: no residual there, and whatever stands in for the data does not matter."""
    hole = trials[0].position.copy()
    hole[120:180, 1] = np.nan
    z = at_truth + 0.05
    gap = [record(arm, replace(trials[0], position=hole), own), record(arm, trials[1], own)]
    assert not gap[0].weight[120:180, 1].any()
    garbage = replace(gap[0], position=np.where(gap[0].weight > 0, gap[0].position, 1e3))
    residuals = [motion_term(arm, space, [r, gap[1]], HORIZON) for r in (gap[0], garbage)]
    one, other = (t.linearise(z, ONE) for t in residuals)
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    unmeasured = residuals[0].weight == 0
    assert not one[0][unmeasured].any()
    assert np.abs(one[1][unmeasured]).max() < 1e-12 * np.abs(one[1]).max()
    assert np.abs(residuals[0].evaluate(at_truth, ONE)).max() < 1e-11  # the truth still fits the rest
    # segments without a gap are what they were
    untouched = motion.linearise(z, ONE)[0].reshape(13, -1)
    np.testing.assert_allclose(one[0].reshape(13, -1)[[0, 1, 5, 9, 12]], untouched[[0, 1, 5, 9, 12]], atol=1e-6)


def test_missing_moments_have_no_weight(moment, trials, space):
    assert moment.weight.shape == moment.signal().shape
    measured = [np.isfinite(t.moment[::STRIDE, 0]).sum() for t in trials]
    assert [moment.weight[moment.trial == i, 0].sum() for i in (0, 1)] == measured
    assert not moment.evaluate(space.prior_mean, ONE)[moment.weight == 0].any()


def test_the_edges_of_a_recording_are_left_out_of_accelerations(arm, space, recordings):
    term = acceleration_term(arm, space, recordings, 500.0)
    assert np.all(term.weight == 1)
    for i, r in enumerate(recordings):
        used = term.at.sample[term.trial == i]
        assert used[0] == r.first + 25
        assert used[-1] == r.last - 25
