"""Sums of squared moments and their derivatives against dense automatic differentiation of the moments themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm.common.compiled import COMPILER_OPTIONS, float64, jit
from mjx_msm.dynamics.activation_expansion import lanes_of
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.moment_sensitivities import OfTrials, activations, instants, moment_sums, moments_by
from mjx_msm.dynamics.simulation import mechanics, muscle_tension, spatial_inertia
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space

CHANNELS = ("front", "back", "calf")
FREE = ("muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length", "muscle/*/tendon_slack_length",
        "muscle/*/max_contraction_velocity", "muscle/*/passive_force_scale", "muscle/*/deactivation_time_constant",
        "emg/*/gain", "emg/*/delay", "emg/*/shape", "joint/*/damping", "joint/*/stiffness",
        "strap/*/lever")  # fmt: skip
TIED = ("muscle/vas*/max_isometric_force", "emg/*/delay")
SAMPLES, COUNT = 40, 12
QUICK = {**COMPILER_OPTIONS, "xla_backend_optimization_level": 0}  # what runs once: compiled in two thirds of the time


class Case:
    def __init__(self, muscle):
        self.model = load_model("knee", muscle=muscle, free=["knee_angle", "ankle_angle"], prescribed=["hip_flexion"])
        self.space = parameter_space(
            self.model.nominal.with_channels(CHANNELS).with_levers({"ankle_angle": 0.2}), FREE, tied=TIED
        )
        rng, t = np.random.default_rng(4), self.model.timestep * np.arange(SAMPLES)[:, None, None]
        share = {"rec": [1, 0, 0], "vas": [0.7, 0, 0.2], "bfl": [0, 1, 0], "bfs": [0, 0.8, 0.1], "sem": [0, 1, 0]}
        self.mixing = np.array([share.get(m[:3], [0, 0, 1]) for m in self.model.muscles], float)
        self.envelope = 0.3 + 0.2 * np.sin(80 * t + rng.uniform(0, 6, (1, 2, 3)))
        self.q, self.v = rng.uniform(0.1, 0.8, (COUNT, 3)), rng.uniform(-3, 3, (COUNT, 3))
        self.sample, self.recording = rng.integers(5, SAMPLES, COUNT), rng.integers(0, 2, COUNT)
        z = self.space.clip(self.space.prior_mean + 0.2 * self.space.prior_scale * rng.uniform(-1, 1, self.space.size))
        self.z = np.where([p.endswith("delay") for p in self.space.paths], 0.0073, z)
        self.z = np.where([p.endswith("shape") for p in self.space.paths], -0.8, self.z)
        self.target, self.mask = rng.normal(0, 30, (COUNT, 2)), rng.uniform(0.3, 1.0, (COUNT, 2))
        self.mask[:3, 0] = 0.0
        with float64():
            self.at = instants(self.model, self.sample, self.recording, self.q, self.v)
        acting = np.abs(self.at.moment_arm).max((0, 1)) > 0
        self.lanes = lanes_of(self.model, self.space, self.mixing, acting)

        own = [np.flatnonzero(self.recording == k) for k in range(self.envelope.shape[1])]
        blocks = [part for rows in own for part in np.split(rows, [5])]  # those of five and of all others
        instant = np.full((len(blocks), max(map(len, blocks))), COUNT)
        for k, part in enumerate(blocks):
            instant[k, : len(part)] = part
        self.trials = OfTrials(np.eye(len(own)), instant, np.repeat(np.eye(len(own)), 2, axis=0))

    def moments(self, z):
        return self.moments_of(self.envelope, z)

    def moments_of(self, envelope, z):
        active = activations(self.model, self.space, z, envelope, self.mixing, self.lanes, self.at)
        return moments_by(self.model, self.space, z, active, self.lanes, self.at)


@pytest.fixture(scope="module", params=["mujoco", "degroote"])
def case(request):
    return Case(request.param)


@jit
def at_rest(model, parameters, position, velocity):
    """Generalised forces of passive joints and muscles without activation, state by state."""
    inertia, nothing = spatial_inertia(parameters.body), jnp.zeros(len(model.muscles))

    def one(q, v):
        terms = mechanics(model, parameters, inertia, geometry(model, q, v), q, v)
        return terms.passive + terms.moment_arm.T @ muscle_tension(model, parameters, terms, v, nothing)

    return jax.vmap(one)(position, velocity)


def test_moments_are_those_of_the_equations_of_motion(case):
    """At rest, EMG aside: activations are checked elsewhere."""
    with float64():
        found, silent = (np.asarray(case.moments_of(share * case.envelope, case.z)) for share in (1, 0))
        parameters = case.space.unpack(jnp.asarray(case.z))
        whole = np.asarray(at_rest(case.model, parameters, case.q, case.v))[:, case.model.host.free_index]
    share = [1.0, 0.2 / float(np.asarray(parameters.strap.lever)[0])]  # of the ankle, measured as a force
    np.testing.assert_allclose(silent, whole * share, atol=1e-9)
    assert np.abs(found - silent).max() > 1.0


def test_sums_and_second_derivatives_are_those_of_automatic_differentiation(case):
    with float64():
        z = jnp.asarray(case.z)
        lead = case.model, case.space, z, case.envelope, case.mixing, case.lanes, case.at
        sums = moment_sums(*lead, case.trials, case.target, case.mask)

        def half(z):
            found = 0.5 * ((case.moments(z) - case.target) * case.mask) ** 2
            return jnp.stack([found[case.recording == k].sum(0) for k in range(case.envelope.shape[1])])

        squares, gradient, hessian, curvature, residual = (np.asarray(x) for x in sums)

        def plain(z):
            return case.moments(z), half(z), jax.jacfwd(half)(z), jax.jacfwd(jax.jacfwd(half))(z)

        moments, value, slope, dense = map(np.asarray, jax.jit(plain, compiler_options=QUICK)(z))
        np.testing.assert_allclose(residual, moments - case.target, atol=1e-12)
        np.testing.assert_allclose(squares, 2 * value, rtol=1e-12)
    assert np.abs(gradient - slope).max() < 1e-10 * np.abs(slope).max()
    assert np.abs(hessian + curvature - dense).max() < 1e-10 * np.abs(dense).max()
    assert np.abs(curvature).max() > 0.01 * np.abs(dense).max()  # else there is nothing to see
