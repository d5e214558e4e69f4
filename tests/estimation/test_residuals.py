"""Residual terms: zero at the truth, right derivatives, and nothing counted that was not measured."""

import logging
from dataclasses import replace
from functools import cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from mjx_msm.common.compiled import COMPILER_OPTIONS, float64
from mjx_msm.dynamics.activation_sensitivities import activation_derivatives
from mjx_msm.dynamics.simulation import simulate_motion
from mjx_msm.estimation.least_squares import minimise
from mjx_msm.estimation.residuals import motion_differences
from mjx_msm.estimation.residuals.acceleration import acceleration_term
from mjx_msm.estimation.residuals.instants import INSTANTS
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.estimation.residuals.motion import LANES, motion_term
from mjx_msm.estimation.residuals.motion_differences import motion_slopes
from mjx_msm.estimation.residuals.pieces import padded
from mjx_msm.estimation.residuals.term import Quadratic
from mjx_msm.person.model import load_model
from mjx_msm.person.parameters import matching
from mjx_msm.person.personalisation import personalised_spec
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.replay import replay
from mjx_msm.recordings.synthetic import synthetic_trials

pytestmark = pytest.mark.usefixtures("hardly_optimised")

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
    activation = replay(m, trial.time, trial.emg, trial.position[0], trial.velocity[0], trial.emg[0])[2]
    d, moment = mujoco.MjData(m), np.full_like(trial.position, np.nan)
    for k in range(len(trial.time) - 1):
        d.qpos[:], d.qvel[:], d.act[:] = trial.position[k], trial.velocity[k], activation[k]
        mujoco.mj_forward(m, d)
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


@pytest.mark.slow
def test_motion_of_the_truth_is_the_recording(motion, at_truth, space):
    assert np.abs(motion.evaluate(at_truth, ONE)).max() < 1e-12
    assert rms(motion.evaluate(space.prior_mean, ONE)) > 1e-3


@pytest.mark.slow
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

SCALE = np.array([0.02, 0.05])
H = 1e-5


def closed(term, z, scale):
    """The expansion about z and the initial states that suit it best."""
    states = None
    for _ in range(60):
        expansion = term.expand(z, states)
        expansion.reduce(scale)
        before, states = expansion.states, expansion.follow(np.zeros(term.space.size))
        if np.abs(states - before).max() < 1e-9:
            break
    return expansion


class SingleShooting:
    """The oracle: windows simulated from end to end by the plain rollout, initial states eliminated densely."""

    def __init__(self, model, space, recordings, horizon):
        self.model, self.space = model, space
        spans = [
            (i, begin, min(begin + horizon, r.last))
            for i, r in enumerate(recordings)
            for begin in range(r.first, r.last, horizon)
        ]
        steps = max(stop - begin for _, begin, stop in spans)
        self.trial = np.array([i for i, *_ in spans])
        self.index = np.array([begin + np.arange(steps + 1) for _, begin, _ in spans])
        longest = max(len(r.position) for r in recordings)
        self.envelope = padded([r.envelope for r in recordings], longest + steps)
        self.mixing = recordings[0].mixing

        def rows(name):
            return padded([getattr(r, name) for r in recordings], longest + steps)[self.trial[:, None], self.index]

        free, held = model.host.free_index, model.host.held_index
        self.target, self.start = rows("position"), rows("smooth_position")[:, 0]
        self.speed, self.held = rows("smooth_velocity")[:, 0], np.zeros((len(spans), steps, 4, len(held)))
        for w, (i, begin, stop) in enumerate(spans):
            r = recordings[i]
            known = slice(r.first, r.last + 1)
            curve = CubicSpline(model.timestep * np.arange(r.first, r.last + 1), r.smooth_position[known][:, held])
            time = model.timestep * np.arange(begin, stop)
            self.speed[w, held] = curve(time[0], 1)
            for stage, reach in enumerate((0, 0.5, 0.5, 1)):
                self.held[w, : stop - begin, stage] = curve(time + reach * model.timestep, 2)
        self.mask = rows("weight")
        for w, (i, begin, stop) in enumerate(spans):  # the last sample belongs to the window that starts there
            self.mask[w, stop - begin + (stop == recordings[i].last) :] = 0
        self.states = np.concatenate([self.start[:, free], self.speed[:, free]], 1)

    def residual(self, z, states):
        """Of many (z, states) at once."""
        with float64():
            return np.asarray(self.simulate(self, np.asarray(z), np.asarray(states)))

    @staticmethod
    @partial(eqx.filter_jit, compiler_options={**COMPILER_OPTIONS, "xla_backend_optimization_level": 1})
    def simulate(self, z, states):
        model, free = self.model, self.model.host.free_index
        n = len(free)

        def one(z, states):
            parameters = self.space.unpack(z)
            stages = activation_derivatives(model, self.space, z, self.envelope, self.mixing, ())[1]
            activation = stages[self.trial[:, None], self.index[:, :-1]]
            q = jnp.asarray(self.start).at[:, free].set(states[:, :n])
            v = jnp.asarray(self.speed).at[:, free].set(states[:, n:])
            run = jax.vmap(lambda *lane: simulate_motion(model, parameters, *lane)[0])
            return (run(q, v, activation, jnp.asarray(self.held))[..., free] - self.target) * self.mask

        return jax.lax.map(lambda x: one(*x), (z, states), batch_size=8)

    def jacobian(self, z, states):
        """Residual (window, sample, coordinate) and its derivative by (initial state, z), last axis."""
        m, n = self.space.size, states.shape[1]
        steps = np.concatenate([np.zeros((n, m)), np.eye(m)]), np.concatenate([np.eye(n), np.zeros((m, n))])
        zs = np.concatenate([z[None], *(z + s * H * steps[0] for s in (1, -1))])
        xs = np.concatenate([states[None], *(states + s * H * steps[1][:, None] for s in (1, -1))])
        every = self.residual(zs, xs)
        ahead, behind = np.split(every[1:], 2)
        return every[0], np.moveaxis(ahead - behind, 0, -1) / (2 * H)

    def solve(self, z, scale):
        """Best initial states by Gauss–Newton on the whole windows."""
        states = self.states
        for _ in range(40):
            r, jacobian = self.jacobian(z, states)
            step = self.eliminate(r, jacobian, scale)[..., -1]
            states = states + step
            if np.abs(step).max() < 1e-9:
                break
        return states

    def eliminate(self, r, jacobian, scale):
        """The states that suit a change of z best: (window, state, (δz, 1))."""
        n = self.states.shape[1]
        rows = np.concatenate([jacobian, r[..., None]], -1) / scale[:, None]
        rows = rows.reshape(len(rows), -1, rows.shape[-1])
        return -np.stack([np.linalg.lstsq(x[:, :n], x[:, n:], rcond=None)[0] for x in rows])

    def quadratic(self, z, states, scale):
        r, jacobian = self.jacobian(z, states)
        best = self.eliminate(r, jacobian, scale)
        n = self.states.shape[1]
        rows = np.concatenate([jacobian[..., n:], r[..., None]], -1)
        rows = rows + np.einsum("wkcs,wsp->wkcp", jacobian[..., :n], best)
        sums = np.einsum("wkcp,wkcq->cpq", rows, rows)
        return Quadratic(sums[:, -1, -1], sums[:, :-1, -1], sums[:, :-1, :-1])


def assert_same(found, expected, tolerance):
    for name in ("squares", "gradient", "hessian"):
        a, b = getattr(found, name), getattr(expected, name)
        size = np.abs(b).max(axis=tuple(range(1, b.ndim)), keepdims=True)
        assert (np.abs(a - b) <= tolerance * size + 1e-12).all(), f"{name}: {np.max(np.abs(a - b) / size):.3g}"


@pytest.fixture(scope="module")
def driven(arm, trials):
    """EMG of three channels with gains, a common delay, and tied and free time constants; a hole in the motion."""
    channels = ("extensors", "flexors", "brachialis")
    share = {"TRI": {"extensors": 1.0}, "BIC": {"flexors": 0.8}, "BRA": {"flexors": 0.3, "brachialis": 0.7}}
    emg_map = {m: share[m[:3]] for m in arm.muscles}
    free = (
        "emg/*/gain", "emg/*/delay", "muscle/*/activation_time_constant", "muscle/BRA/deactivation_time_constant",
        "muscle/B*/tendon_slack_length", "body/forearm/mass", "joint/*/damping",
    )  # fmt: skip
    tied = ("emg/*/delay", "muscle/*/activation_time_constant")
    space = parameter_space(arm.nominal.with_channels(channels), free, tied=tied)
    hole = trials[0].position.copy()
    hole[120:180, 1] = np.nan
    hole[300:310] = np.nan
    changed = [replace(trials[0], position=hole), trials[1]]
    first = [arm.muscles.index(m) for m in ("TRIlong", "BIClong", "BRA")]
    changed = [replace(t, channels=channels, emg=t.emg[:, first]) for t in changed]
    z = (
        space.prior_mean
        + 0.2 * np.where(np.isfinite(space.prior_scale), space.prior_scale, 0) * directions(space, 1)[0]
    )
    z[space.paths.index("emg/*/delay")] = 0.0133
    for path in ("joint/shoulder_elev/damping", "joint/elbow_flex/damping"):
        z[space.paths.index(path)] += 0.3
    return space, [record(arm, t, emg_map) for t in changed], space.clip(z, 1e-3)


@pytest.fixture(scope="module")
def walking():
    """The knee alone moves; hip and ankle follow the recording."""
    knee = load_model("knee", free=["knee_angle"], prescribed=["hip_flexion", "ankle_angle"], timestep=0.002)
    space = parameter_space(
        knee.nominal.with_channels(knee.muscles), ("muscle/*/max_isometric_force", "body/tibia/mass")
    )
    (trial,) = synthetic_trials(knee, knee.nominal, count=1, duration=0.4, seed=0)
    own = {m: {m: 1.0} for m in knee.muscles}
    return knee, space, [record(knee, trial, own)], space.prior_mean + 0.5 * directions(space, 1)[0]


def unbroken(term, z):
    """The expansion where every interval starts where the one before it ended, from the recorded initial states."""
    states = term.recorded_states()
    for k in range(int(term.place.max()) + 1):
        expansion = term.expand(z, states)
        follows = np.flatnonzero(term.place == k + 1)
        states[follows] = expansion.end[follows - 1]
    return expansion


@pytest.fixture(scope="module")
def single(arm, driven):
    """The oracle of `driven` by horizon, each compiled for once."""
    space, recordings, _ = driven
    return cache(lambda horizon: SingleShooting(arm, space, recordings, horizon))


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [HORIZON, 10_000], ids=["short windows", "whole trials"])
def test_multiple_shooting_has_the_information_of_single_shooting(arm, driven, single, horizon):
    """Squares, gradient and Hessian with the initial states eliminated, away from any truth and any optimum."""
    space, recordings, z = driven
    term, oracle = motion_term(arm, space, recordings, horizon), single(horizon)
    assert len(oracle.states) == term.windows
    expansion = unbroken(term, z)
    assert expansion.defect == 0
    assert_same(expansion.reduce(SCALE), oracle.quadratic(z, oracle.states, SCALE), 2e-5)


@pytest.mark.slow
def test_residuals_are_those_of_the_best_initial_states(arm, driven, single):
    space, recordings, z = driven
    term, oracle = motion_term(arm, space, recordings, HORIZON), single(HORIZON)
    states = oracle.solve(z, SCALE)
    expansion = closed(term, z, SCALE)
    assert expansion.defect < 1e-18
    np.testing.assert_allclose(expansion.states[term.place == 0], states, rtol=0, atol=2e-4)
    assert_same(expansion.reduce(SCALE), oracle.quadratic(z, states, SCALE), 2e-5)
    residual, expected = term.evaluate(z, SCALE), oracle.jacobian(z, states)[0]  # which is compiled already
    np.testing.assert_allclose(expansion.reduce(SCALE).squares, (residual**2).sum(axis=0), rtol=1e-6)
    measured = term.weight.any(axis=1)
    np.testing.assert_allclose(residual[measured], expected[oracle.mask.any(axis=2)], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_prescribed_coordinates_in_multiple_shooting(walking):
    knee, space, recordings, z = walking
    scale = np.array([0.03])
    term, oracle = motion_term(knee, space, recordings, 10_000), SingleShooting(knee, space, recordings, 10_000)
    states = oracle.solve(z, scale)
    expansion = closed(term, z, scale)
    np.testing.assert_allclose(expansion.states[term.place == 0], states, rtol=0, atol=1e-6)
    assert_same(expansion.reduce(scale), oracle.quadratic(z, states, scale), 2e-5)


def test_the_quadratic_is_that_of_the_reduced_residual_where_it_vanishes(motion, at_truth, space):
    """Initial states eliminated: differences of `evaluate`, each end solved for its initial states."""
    found = closed(motion, at_truth, SCALE).reduce(SCALE)
    assert np.abs(found.squares).max() < 1e-18
    tangents = directions(space)
    ends = [[motion.evaluate(at_truth + s * 1e-4 * t, SCALE) for s in (1, -1)] for t in tangents]
    numeric = np.stack([(a - b) / 2e-4 for a, b in ends], -1)
    expected = np.einsum("rcp,rcq->cpq", numeric, numeric)
    np.testing.assert_allclose(
        np.einsum("pi,cij,qj->cpq", tangents, found.hessian, tangents), expected, rtol=2e-3, atol=2e-3 * expected.max()
    )


def test_gradient_of_the_motion_cost_is_exact_everywhere(motion, at_truth, space):
    """Variable projection drops a term of the Hessian, never of the gradient."""
    h = 1e-4
    z = at_truth + 0.5 * directions(space, 4)[3]
    gradient = (closed(motion, z, SCALE).reduce(SCALE).gradient / SCALE[:, None] ** 2).sum(axis=0)
    for t in directions(space):
        cost = [0.5 * np.sum((motion.evaluate(z + s * h * t, SCALE) / SCALE) ** 2) for s in (1, -1)]
        assert gradient @ t == pytest.approx((cost[0] - cost[1]) / (2 * h), rel=2e-3, abs=1e-4 * np.abs(gradient @ t))


def test_states_follow_a_change_of_the_parameters(motion, at_truth, space):
    """What `follow` predicts is what a new solution finds, to second order."""
    expansion = closed(motion, at_truth, SCALE)
    expansion.reduce(SCALE)
    errors = []
    for size in (0.1, 0.05):
        change = size * directions(space)[0]
        exact = closed(motion, at_truth + change, SCALE).states
        errors.append(np.abs(expansion.follow(change) - exact).max())
        assert errors[-1] < 0.2 * np.abs(expansion.states - exact).max()
    assert errors[1] < 0.35 * errors[0]


def test_differences_of_intervals_are_the_derivatives_of_the_unbroken_motion(motion, at_truth, space):
    """By the closed forms: squares of the slopes are the matrix of the reduced residual."""
    scale, step = np.array([0.02, 0.05]), 1e-5
    z = at_truth + 0.02 * directions(space, 1)[0]
    others = [(motion, z + step * one, step) for one in np.eye(space.size)]
    residual, slopes = motion_slopes(motion, z, scale, None, others)
    np.testing.assert_allclose(residual, motion.simulate(z, scale)[0], atol=1e-7)
    expected = closed(motion, z, scale).reduce(scale).hessian
    found = np.einsum("iscj,isck->cjk", slopes, slopes)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_states_that_do_not_settle_are_simulated_anew_for_everyone(motion, at_truth, space, monkeypatch):
    monkeypatch.setattr(motion_differences, "CLOSING", 0)
    z, scale, step = at_truth, np.array([0.02, 0.05]), 0.01
    moved = z + step * (np.arange(space.size) == 0)
    residual, slopes = motion_slopes(motion, z, scale, None, [(motion, moved, step)])
    np.testing.assert_array_equal(residual, motion.simulate(z, scale)[0])
    np.testing.assert_array_equal(slopes[..., 0], (motion.simulate(moved, scale)[0] - residual) / step)


def test_states_that_ran_away_cost_the_point_only(motion, at_truth, space, monkeypatch):
    """The elimination may be singular (two of 800 far starts met one): that is no answer, and no error."""

    def singular(self, scale):
        raise np.linalg.LinAlgError("Singular matrix")

    expansion = motion.expand(at_truth)
    monkeypatch.setattr("mjx_msm.estimation.residuals.motion_expansion.MotionExpansion._solve", singular)
    assert not np.isfinite(expansion.reduce(SCALE).squares).any()
    solution = minimise([motion], space, at_truth, limit=5)
    assert not np.isfinite(solution.cost)
    np.testing.assert_array_equal(solution.z, at_truth)


def test_gaps_close_from_poor_states(motion, at_truth, space):
    """Gauss–Newton on states alone: quadratic convergence of gaps and squares."""
    rng = np.random.default_rng(0)
    states = motion.recorded_states()
    states = states + rng.normal(size=states.shape) * [0.02, 0.02, 0.2, 0.2]
    defects = []
    for _ in range(5):
        expansion = motion.expand(at_truth, states)
        expansion.reduce(SCALE)
        defects.append(expansion.defect)
        states = expansion.follow(np.zeros(space.size))
    assert defects[0] > 1e-3
    assert defects[-1] < 1e-20
    assert motion.expand(at_truth, states).reduce(SCALE).squares.max() < 1e-18


def test_what_evaluate_says_does_not_depend_on_what_it_was_asked_before(arm, space, recordings, at_truth):
    term = motion_term(arm, space, recordings, 10_000)
    other = motion_term(arm, space, recordings, 10_000)
    other.evaluate(space.prior_mean, SCALE)
    other.evaluate(space.prior_mean + 0.3, SCALE)
    assert np.abs(term.evaluate(at_truth, SCALE)).max() < 1e-9
    assert np.abs(other.evaluate(at_truth, SCALE)).max() < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("make", [moment_term, acceleration_term])
@pytest.mark.parametrize("emg", [False, True])
def test_quadratics_of_the_direct_terms_equal_differences(arm, space, recordings, driven, make, emg):
    if emg:
        space, recordings, z = driven
    else:
        z = space.prior_mean + 0.3 * directions(space, 5)[4]
    term, h = make(arm, space, recordings, RATE), 1e-6
    found = term.expand(z).reduce(ONE)
    rows = [term.evaluate(z, ONE)]
    for t in np.eye(space.size):
        rows.append((term.evaluate(z + h * t, ONE) - term.evaluate(z - h * t, ONE)) / (2 * h))
    rows = np.stack(rows, -1)
    assert not rows[term.weight == 0].any()
    sums = np.einsum("rcp,rcq->cpq", rows, rows)
    assert_same(found, Quadratic(sums[:, 0, 0], sums[:, 1:, 0], sums[:, 1:, 1:]), 1e-5)
    assert found.squares.min() > 0
    weighted = term.expand(z).reduce(np.array([0.5, 2.0]))  # no nuisance: weights are the caller's business
    np.testing.assert_array_equal(weighted.hessian, found.hessian)


@pytest.mark.slow
def test_long_recordings_are_taken_in_parts(arm, space, recordings, at_truth):
    """More instants and intervals than one call handles: the sums are those of the parts, by the same functions."""
    z, times = at_truth + 0.02, 5
    for make, extent in (
        (lambda r: acceleration_term(arm, space, r, RATE), INSTANTS),
        (lambda r: motion_term(arm, space, r, HORIZON), LANES),
    ):
        once, often = make(recordings), make(recordings * times)
        assert (len(often.window) if hasattr(often, "window") else len(often.sample)) > extent
        assert len(often.trial) == times * len(once.trial)
        one, many = once.expand(z).reduce(ONE), often.expand(z).reduce(ONE)
        for name in ("squares", "gradient", "hessian"):
            expected = times * getattr(one, name)
            np.testing.assert_allclose(
                getattr(many, name), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max(), err_msg=name
            )
        parts = often.evaluate(z, ONE).reshape(times, *once.evaluate(z, ONE).shape)
        np.testing.assert_allclose(parts, np.broadcast_to(once.evaluate(z, ONE), parts.shape), rtol=0, atol=1e-9)


def test_other_numbers_do_not_compile_again(arm, space, recordings, motion, moment, caplog):
    z = space.prior_mean
    terms = (motion, moment, acceleration_term(arm, space, recordings, RATE))
    for term in terms:
        term.expand(z).reduce(ONE)
        term.evaluate(z, ONE)
    other = motion_term(arm, space, recordings[1:], 10_000)  # other recordings, windows and gaps
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        for term in (*terms, other):
            expansion = term.expand(z + 0.01)
            expansion.reduce(SCALE)
            term.expand(z + 0.02, expansion.follow(np.full(space.size, 0.01)))
            term.evaluate(z + 0.03, ONE)
    names = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling")]
    assert not [n for n in names if any(f in n for f in ("_condense", "_simulated", "_instants", "_path", "factors"))]


def test_what_is_compiled_ahead_is_what_is_used(arm, driven, caplog):
    space, recordings, z = driven
    for term in (motion_term(arm, space, recordings, HORIZON), acceleration_term(arm, space, recordings, 100.0)):
        for job in term.compile_jobs(z):
            job()
        with caplog.at_level(logging.WARNING), jax.log_compiles():
            term.expand(z)
    names = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling")]
    own = ("_condense", "_simulated", "_path", "_geometries", "_instants")
    assert not [n for n in names if any(f in n for f in own)]


# What counts -----------------------------------------------------------------------------------------------


def test_every_measured_sample_counts_once(arm, space, recordings, motion):
    """Neighbouring segments share a sample; trials have their own length; horizons need not divide it."""
    measured = sum(r.weight.sum(axis=0) for r in recordings)
    for horizon in (HORIZON, 33, 250, 400, 10_000):
        term = motion_term(arm, space, recordings, horizon)
        np.testing.assert_array_equal(term.weight.sum(axis=0), measured)
        for i, r in enumerate(recordings):
            assert term.weight[term.trial == i].sum() == r.weight.sum()
        windows = sum(-(-(r.last - r.first) // min(horizon, 400)) for r in recordings)
        assert term.eliminated == 2 * term.windows == 2 * windows
        assert np.all(np.diff(term.window) <= 1)
        assert np.all(term.place[np.flatnonzero(np.diff(term.window)) + 1] == 0)
    windows = [len(np.unique(motion.window[motion.recording == i])) for i in (0, 1)]
    assert windows == [8, 5]


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
    one, other = (motion_term(arm, space, [r, gap[1]], HORIZON) for r in (gap[0], garbage))
    assert_same(closed(one, z, ONE).reduce(ONE), closed(other, z, ONE).reduce(ONE), 1e-9)
    residual = one.evaluate(z, ONE)
    np.testing.assert_allclose(residual, other.evaluate(z, ONE), rtol=0, atol=1e-9)
    assert not residual[one.weight == 0].any()
    assert np.abs(one.evaluate(at_truth, ONE)).max() < 1e-11  # the truth still fits the rest
    # windows without a gap are what they were
    untouched = ~np.isin(np.repeat(one.window, one.mask.shape[1]), [2, 3])
    np.testing.assert_allclose(residual[untouched], motion.evaluate(z, ONE)[untouched], rtol=0, atol=1e-6)


def test_missing_moments_have_no_weight(moment, trials, space):
    assert moment.weight.shape == moment.signal().shape
    measured = [np.isfinite(t.moment[::STRIDE, 0]).sum() for t in trials]
    assert [moment.weight[moment.trial == i, 0].sum() for i in (0, 1)] == measured
    assert not moment.evaluate(space.prior_mean, ONE)[moment.weight == 0].any()


def test_the_edges_of_a_recording_are_left_out_of_accelerations(arm, space, recordings):
    term = acceleration_term(arm, space, recordings, 500.0)
    assert np.all(term.weight == 1)
    for i, r in enumerate(recordings):
        used = term.sample[term.trial == i]
        assert used[0] == r.first + 25
        assert used[-1] == r.last - 25
