"""Structured sensitivities against dense automatic differentiation and differences of the plain equations."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm import sensitivities
from mjx_msm.compiled import float64, jit
from mjx_msm.model import load_model
from mjx_msm.parameters import parameter_space
from mjx_msm.sensitivities import (
    acceleration_derivatives,
    activation_derivatives,
    activation_entries,
    activations,
    chain,
    mechanical_entries,
    recorded_activations,
)
from mjx_msm.simulation import (
    device_body,
    generalised_force,
    mechanics,
    muscle_tension,
    simulate_motion,
    solve_acceleration,
)

CHANNELS = ("flexors", "extensors", "brachialis")
EVERY_KIND = (
    "muscle/*/max_isometric_force",
    "muscle/*/optimal_fiber_length",
    "muscle/*/tendon_slack_length",
    "muscle/*/max_contraction_velocity",
    "muscle/*/passive_force_scale",
    "muscle/*/activation_time_constant",
    "muscle/*/deactivation_time_constant",
    "body/*/mass",
    "body/forearm/com",
    "body/forearm/inertia",
    "joint/*/damping",
    "joint/*/stiffness",
    "emg/*/gain",
    "emg/*/delay",
    "emg/*/shape",
)
TIED = ("muscle/TRI*/max_isometric_force", "muscle/*/activation_time_constant", "emg/*/delay")
SAMPLES = 24


def inside(space, seed):
    """A point well within the bounds, off every kink."""
    rng = np.random.default_rng(seed)
    z = space.clip(space.prior_mean + 0.3 * space.prior_scale * rng.uniform(-1, 1, space.size), 0.05)
    return np.where(["delay" in p for p in space.paths], 0.0133, z)


class Case:
    """A model, a free set and smooth recordings of everything the derivatives are taken at."""

    def __init__(self, model, space, mixing, z, span):
        self.model, self.space, self.mixing, self.z = model, space, mixing, z
        rng = np.random.default_rng(3)
        t = model.timestep * np.arange(SAMPLES)[:, None]
        self.envelope = 0.35 + 0.25 * np.sin(40 * t + rng.uniform(0, 6, mixing.shape[1]))[None]
        count = len(model.coordinates)
        self.q = rng.uniform(*np.transpose(span), (SAMPLES, count))
        self.v = rng.uniform(-3, 3, (SAMPLES, count))
        self.held = rng.uniform(-20, 20, (SAMPLES, len(model.host.held_index)))
        with float64():
            self.a = np.asarray(recorded_activations(model, space, z, self.envelope, mixing))[0]
            self.a_z = np.asarray(activation_derivatives(model, space, z, self.envelope, mixing))[0]

    def at(self, z, q=None, v=None, activation=None):
        """Accelerations alone, for differences; activation follows z unless given."""
        with float64():
            if activation is None:
                activation = np.asarray(recorded_activations(self.model, self.space, z, self.envelope, self.mixing))[0]
            q, v = (self.q if q is None else q), (self.v if v is None else v)
            d = acceleration_derivatives(self.model, self.space, z, q, v, activation, self.held, self.a_z)
        return d.acceleration  # with the derivatives, since that function is compiled already

    def derivatives(self):
        with float64():
            return acceleration_derivatives(self.model, self.space, self.z, self.q, self.v, self.a, self.held, self.a_z)


@pytest.fixture(scope="module")
def arm_case(arm):
    space = parameter_space(arm.nominal.with_channels(CHANNELS), EVERY_KIND, tied=TIED)
    share = {"TRI": [0, 1, 0], "BIC": [0.9, 0, 0.1], "BRA": [0.4, 0, 0.6]}
    return Case(
        arm,
        space,
        np.array([share[m[:3]] for m in arm.muscles], dtype=float),
        inside(space, 0),
        [(-0.6, 2.0), (0.1, 2.4)],
    )


@pytest.fixture(scope="module")
def knee_case():
    model = load_model("knee", free=["knee_angle"], prescribed=["hip_flexion", "ankle_angle"])
    free = ("muscle/*/max_isometric_force", "muscle/*/tendon_slack_length", "emg/*/gain")
    space = parameter_space(model.nominal.with_channels(("all",)), free)
    return Case(model, space, np.ones((len(model.muscles), 1)), inside(space, 1), [(-0.3, 0.9)] * 3)


@pytest.fixture(scope="module")
def arm_derivatives(arm_case):
    return arm_case.derivatives()


def plain(case):
    """Accelerations at every instant from the free state and z, by the equations as they are written."""
    model, space, free = case.model, case.space, case.model.host.free_index
    n = len(free)

    def accelerations(x, z):
        parameters = space.unpack(z)
        body = device_body(model, parameters)
        activation = activations(model, parameters, jnp.asarray(case.envelope[0]), case.mixing)

        def one(q, v, a, x, held):
            q, v = q.at[free].set(x[:n]), v.at[free].set(x[n:])
            terms = mechanics(model, body, q, v)
            force = generalised_force(terms, muscle_tension(model, parameters, terms, v, a))
            return solve_acceleration(model, parameters, terms, force, held)

        return jax.vmap(one)(jnp.asarray(case.q), jnp.asarray(case.v), activation, x, jnp.asarray(case.held))

    return accelerations


def test_every_kind_of_parameter_is_covered(arm_case):
    space = arm_case.space
    assert {(s.group, s.field) for s in space.scalars} >= {
        ("muscle", f) for f in ("max_isometric_force", "activation_time_constant", "passive_force_scale")
    } | {("body", f) for f in ("mass", "com", "inertia")} | {("joint", "damping"), ("emg", "delay")}
    assert space.size == len(space.scalars) - 2 - 5 - 2  # tied ones share an entry
    assert set(activation_entries(space)) & set(mechanical_entries(space)) == set()
    assert np.all((arm_case.z > space.lower) & (arm_case.z < space.upper))


def test_accelerations_and_jacobians_equal_dense_differentiation(arm_case, arm_derivatives):
    case, d = arm_case, arm_derivatives
    free = case.model.host.free_index
    with float64():
        x = jnp.asarray(np.concatenate([case.q[:, free], case.v[:, free]], 1))
        function = plain(case)

        @jit
        def dense(x, z):
            def push(t):
                return jax.jvp(function, (x, z), (jnp.broadcast_to(t[: x.shape[1]], x.shape), t[x.shape[1] :]))

            return jax.vmap(push, out_axes=(None, -1))(jnp.eye(x.shape[1] + z.shape[0]))

        value, both = map(np.asarray, dense(x, jnp.asarray(case.z)))
        by_state, by_z = both[..., : x.shape[1]], both[..., x.shape[1] :]
    np.testing.assert_allclose(d.acceleration, value, rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(d.by_state, by_state, rtol=1e-9, atol=1e-9 * np.abs(by_state).max())
    seen = {path for path, effect in zip(case.space.paths, np.abs(by_z).max(axis=(0, 1)), strict=True) if effect > 0}
    unseen = set(case.space.paths) - seen  # of these the case proves nothing: passive forces of slack muscles
    assert all(path.endswith("passive_force_scale") for path in unseen)
    assert len(unseen) <= 3
    for k, path in enumerate(case.space.paths):
        size = np.abs(by_z[..., k]).max()
        np.testing.assert_allclose(d.by_parameters[..., k], by_z[..., k], rtol=1e-8, atol=1e-10 * size, err_msg=path)


def test_jacobians_equal_differences_of_the_accelerations(arm_case, arm_derivatives):
    """The same numbers without automatic differentiation: tangents of MJX itself are on trial too."""
    case, d, h = arm_case, arm_derivatives, 1e-6
    rng = np.random.default_rng(5)
    for _ in range(3):
        t = rng.uniform(-1, 1, case.space.size) * case.space.prior_scale
        numeric = (case.at(case.z + h * t) - case.at(case.z - h * t)) / (2 * h)
        np.testing.assert_allclose(d.by_parameters @ t, numeric, rtol=1e-6, atol=1e-6 * np.abs(numeric).max())
    for i, _ in enumerate(case.model.coordinates):
        step = h * np.eye(len(case.model.coordinates))[i]
        by_q = (case.at(case.z, q=case.q + step) - case.at(case.z, q=case.q - step)) / (2 * h)
        by_v = (case.at(case.z, v=case.v + step) - case.at(case.z, v=case.v - step)) / (2 * h)
        for column, numeric in ((i, by_q), (len(case.model.free) + i, by_v)):
            np.testing.assert_allclose(
                d.by_state[..., column], numeric, rtol=1e-5, atol=1e-6 * np.abs(d.by_state).max()
            )


def test_prescribed_coordinates(knee_case):
    """Hip and ankle move as they are told; only the knee has an acceleration and a state."""
    case, h = knee_case, 1e-6
    d = case.derivatives()
    assert d.acceleration.shape == (SAMPLES, 1)
    assert d.by_state.shape == (SAMPLES, 1, 2)
    t = np.random.default_rng(6).uniform(-1, 1, case.space.size) * case.space.prior_scale
    numeric = (case.at(case.z + h * t) - case.at(case.z - h * t)) / (2 * h)
    np.testing.assert_allclose(d.by_parameters @ t, numeric, rtol=1e-6, atol=1e-6 * np.abs(numeric).max())
    step = h * (np.arange(len(case.model.coordinates)) == case.model.host.free_index[0])
    for column, change in enumerate(({"q": step}, {"v": step})):
        ends = [case.at(case.z, **{k: getattr(case, k) + sign * s for k, s in change.items()}) for sign in (1, -1)]
        numeric = (ends[0] - ends[1]) / (2 * h)
        np.testing.assert_allclose(
            d.by_state[..., column], numeric, rtol=1e-5, atol=1e-6 * np.abs(d.by_state[..., column]).max()
        )


def test_activations_equal_differences(arm_case):
    case, h = arm_case, 1e-6
    entries = activation_entries(case.space)
    assert case.a_z.shape == (SAMPLES, 6, len(entries))

    def run(z):
        with float64():
            return np.asarray(recorded_activations(case.model, case.space, z, case.envelope, case.mixing))[0]

    for k, entry in enumerate(entries):
        t = np.eye(case.space.size)[entry]
        numeric = (run(case.z + h * t) - run(case.z - h * t)) / (2 * h)
        np.testing.assert_allclose(case.a_z[..., k], numeric, rtol=1e-5, atol=1e-7, err_msg=case.space.paths[entry])
    other = np.setdiff1d(np.arange(case.space.size), entries)
    assert np.array_equal(run(case.z), run(case.z + 0.01 * np.isin(np.arange(case.space.size), other)))


def test_chained_derivatives_equal_those_of_the_simulation(arm_case):
    """Twenty steps: tangents in the initial state and in every parameter, activation included."""
    case, steps, h = arm_case, 20, arm_case.model.timestep
    model, space, z = case.model, case.space, case.z
    start_q, start_v = np.array([0.3, 0.9]), np.array([1.0, -2.0])
    rng = np.random.default_rng(7)
    tangents = rng.uniform(-1, 1, (3, 4 + space.size))
    tangents[:, 4:] *= space.prior_scale
    with float64():

        def motion(x):
            parameters = space.unpack(x[4:])
            a = activations(model, parameters, jnp.asarray(case.envelope[0]), case.mixing)[:steps]
            return simulate_motion(model, parameters, x[:2], x[2:4], a, jnp.zeros((steps + 1, 0)))[:2]

        @jit
        def forward(x, tangents):
            return jax.vmap(lambda t: jax.jvp(motion, (x,), (t,)), out_axes=(None, 0))(tangents)

        x = jnp.asarray(np.concatenate([start_q, start_v, z]))
        (q, v), (expected, _) = forward(x, jnp.asarray(tangents))
        q, v, expected = map(np.asarray, (q, v, expected))
        d = acceleration_derivatives(
            model, space, z, q[:-1], v[:-1], case.a[:steps], np.zeros((steps, 0)), case.a_z[:steps]
        )
        by_start, by_z = chain(d.by_state[None], d.by_parameters[None], h)
        state_only, none = chain(d.by_state[None], None, h)
    assert none is None
    np.testing.assert_allclose(np.asarray(state_only), np.asarray(by_start), rtol=1e-13, atol=1e-15)
    got = np.einsum("scx,tx->tsc", by_start[0], tangents[:, :4]) + np.einsum("scz,tz->tsc", by_z[0], tangents[:, 4:])
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())


def test_chunks_are_padded_without_a_trace(arm_case, arm_derivatives):
    """Any number of instants, over several chunks: every row is what it is alone."""
    case = arm_case
    many = sensitivities.CHUNK + 37
    index = np.arange(many) % SAMPLES
    at = [x[index] for x in (case.q, case.v, case.a, case.held, case.a_z)]
    with float64():
        d = acceleration_derivatives(case.model, case.space, case.z, *at)
    for name in ("acceleration", "by_state", "by_parameters"):
        assert getattr(d, name).shape[0] == many
        np.testing.assert_array_equal(getattr(d, name), getattr(arm_derivatives, name)[index])


def test_other_numbers_and_counts_do_not_compile_again(arm_case, arm_derivatives, caplog):
    case = arm_case
    with caplog.at_level(logging.WARNING), jax.log_compiles(), float64():
        acceleration_derivatives(
            case.model, case.space, 0.99 * case.z, case.q[:9], case.v[:9], case.a[:9], case.held[:9], case.a_z[:9]
        )
        activation_derivatives(case.model, case.space, 0.99 * case.z, 0.5 * case.envelope, case.mixing)
    assert not [
        r for r in caplog.records if "Compiling jit(_linearise" in r.message or "Compiling jit(act" in r.message
    ]
    assert not [r for r in caplog.records if r.message.startswith("Compiling")]


def test_a_free_set_without_activation_or_mechanics(arm):
    """Strength alone: neither activation nor the skeleton depends on it."""
    space = parameter_space(arm.nominal, ["muscle/*/max_isometric_force"])
    assert len(activation_entries(space)) == 0
    assert len(mechanical_entries(space)) == 0
    with float64():
        z = np.asarray(space.pack(arm.nominal))
        nothing = activation_derivatives(arm, space, z, np.ones((2, 5, 6)), np.eye(6))
    assert nothing.shape == (2, 5, 6, 0)
