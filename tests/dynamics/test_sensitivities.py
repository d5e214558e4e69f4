"""Structured sensitivities against dense automatic differentiation and differences of the plain equations."""

import logging
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm.common.compiled import COMPILER_OPTIONS, float64
from mjx_msm.dynamics.activation_sensitivities import activation_derivatives, activation_pairs
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.sensitivities import (
    acceleration_derivatives,
    chain,
    entries_of,
    factors,
    path_derivatives,
)
from mjx_msm.dynamics.simulation import (
    activate,
    generalised_force,
    mechanics,
    muscle_tension,
    solve_acceleration,
    spatial_inertia,
)
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space

pytestmark = pytest.mark.usefixtures("hardly_optimised")

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


def values_of_activation(*arguments):
    """Without derivatives, for differences."""
    return np.asarray(activation_derivatives(*arguments, ())[0])


def inside(space, seed):
    """A point well within the bounds, off every kink."""
    rng = np.random.default_rng(seed)
    z = space.clip(space.prior_mean + 0.3 * space.prior_scale * rng.uniform(-1, 1, space.size), 0.05)
    return np.where(["delay" in p for p in space.paths], 0.0133, z)


QUICK = {**COMPILER_OPTIONS, "xla_backend_optimization_level": 0}  # compiles in half the time, runs long enough once


@partial(eqx.filter_jit, compiler_options=QUICK)
def linearised(model, space, pairs, z, q, v, activation, held, activation_by_pair):
    """As the residuals use it: paths first, everything else from there."""
    along = path_derivatives(model, q)
    moving = (q, v, activation, held, activation_by_pair)
    return along, acceleration_derivatives(model, space, factors(space, z), pairs, *along, *moving)


class Case:
    """A model, a free set and smooth recordings of everything the derivatives are taken at."""

    def __init__(self, model, space, mixing, z, span):
        self.model, self.space, self.mixing, self.z = model, space, mixing, z
        self.pairs = activation_pairs(space, mixing)
        rng = np.random.default_rng(3)
        t = model.timestep * np.arange(SAMPLES)[:, None]
        self.envelope = 0.35 + 0.25 * np.sin(40 * t + rng.uniform(0, 6, mixing.shape[1]))[None]
        count = len(model.coordinates)
        self.q = rng.uniform(*np.transpose(span), (SAMPLES, count))
        self.v = rng.uniform(-3, 3, (SAMPLES, count))
        self.held = rng.uniform(-20, 20, (SAMPLES, len(model.host.held_index)))
        with float64():
            self.a = values_of_activation(model, space, z, self.envelope, mixing)[0]
            self.a_z = np.asarray(activation_derivatives(model, space, z, self.envelope, mixing, self.pairs)[2])[0]

    def run(self, z, q, v, activation):
        return self.everything(z, q, v, activation, self.held, self.a_z)[1]

    def everything(self, *arguments):
        with float64():
            arrays = (jnp.asarray(x) for x in arguments)
            return jax.tree.map(np.asarray, linearised(self.model, self.space, self.pairs, *arrays))

    def at(self, z, q=None, v=None):
        """Accelerations alone, for differences; activation follows z."""
        with float64():
            activation = values_of_activation(self.model, self.space, z, self.envelope, self.mixing)[0]
        d = self.run(z, self.q if q is None else q, self.v if v is None else v, activation)
        return d.acceleration  # with the derivatives, since that function is compiled already

    def derivatives(self):
        return self.run(self.z, self.q, self.v, self.a)


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
    model = load_model("knee", free=["knee_angle"], prescribed=["hip_flexion", "ankle_angle"], passive=["knee_angle"])
    free = ("muscle/*/max_isometric_force", "muscle/*/tendon_slack_length", "body/tibia/mass", "emg/*/gain",
            "joint/*_passive_*")  # fmt: skip
    space = parameter_space(model.nominal.with_channels(("all",)), free)
    return Case(model, space, np.ones((len(model.muscles), 1)), inside(space, 1), [(-0.3, 0.9)] * 3)


@pytest.fixture(scope="module")
def arm_derivatives(arm_case):
    return arm_case.derivatives()


def activations(case, parameters):
    """As they are written down: EMG to excitation, excitation to activation."""
    drive = excitation(parameters.emg, jnp.asarray(case.envelope[0]), case.mixing, case.model.timestep)
    return activate(case.model, parameters, drive[0], drive)


def plain(case):
    """Accelerations at every instant from the free state and z, by the equations as they are written."""
    model, space, free = case.model, case.space, case.model.host.free_index
    n = len(free)

    def accelerations(x, z):
        parameters = space.unpack(z)
        inertia = spatial_inertia(parameters.body)

        def one(q, v, a, x, held):
            q, v = q.at[free].set(x[:n]), v.at[free].set(x[n:])
            terms = mechanics(model, parameters, inertia, geometry(model, q, v), q, v)
            force = generalised_force(terms, muscle_tension(model, parameters, terms, v, a))
            return solve_acceleration(model, parameters, terms, force, held)

        rows = jnp.asarray(case.q), jnp.asarray(case.v), activations(case, parameters)[0], x, jnp.asarray(case.held)
        return jax.vmap(one)(*rows)

    return accelerations


@pytest.mark.slow
def test_every_kind_of_parameter_is_covered(arm_case):
    space = arm_case.space
    assert {(s.group, s.field) for s in space.scalars} >= {
        ("muscle", f) for f in ("max_isometric_force", "activation_time_constant", "passive_force_scale")
    } | {("body", f) for f in ("mass", "com", "inertia")} | {("joint", "damping"), ("emg", "delay")}
    assert space.size == len(space.scalars) - 2 - 5 - 2  # tied ones share an entry
    assert {entry for _, entry in arm_case.pairs} & {*entries_of(space, "body", "joint")} == set()
    assert np.all((arm_case.z > space.lower) & (arm_case.z < space.upper))


@pytest.mark.slow
def test_accelerations_and_jacobians_equal_dense_differentiation(arm_case, arm_derivatives):
    case, d = arm_case, arm_derivatives
    free = case.model.host.free_index
    with float64():
        x = jnp.asarray(np.concatenate([case.q[:, free], case.v[:, free]], 1))
        function = plain(case)

        @partial(jax.jit, compiler_options=QUICK)
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
    """The same numbers without automatic differentiation: tangents of the geometry itself are on trial too."""
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


@pytest.mark.slow
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
    """Pair by pair; and a muscle without a pair for an entry does not depend on it."""
    case, h = arm_case, 1e-6
    assert case.a_z.shape == (SAMPLES, len(case.pairs))
    assert len(set(case.pairs)) == len(case.pairs)

    def run(z):
        with float64():
            return values_of_activation(case.model, case.space, z, case.envelope, case.mixing)[0]

    for entry, path in enumerate(case.space.paths):
        t = np.eye(case.space.size)[entry]
        numeric = (run(case.z + h * t) - run(case.z - h * t)) / (2 * h)
        expected = np.zeros_like(numeric)
        for k, (muscle, own) in enumerate(case.pairs):
            if own == entry:
                expected[:, muscle] = case.a_z[:, k]
        np.testing.assert_allclose(expected, numeric, rtol=1e-5, atol=1e-7, err_msg=path)
    assert np.abs(case.a_z).max(axis=0).min() > 0  # no pair for nothing


@pytest.mark.parametrize("free", [1, 3])
def test_a_chain_is_a_product_of_matrices(free):
    """RK4 on y' = C(t) y + D(t) z with y = (q, v), C = [[0, 1], [A_q, A_v]], D = [0; B], written out."""
    rng, steps, entries, h = np.random.default_rng(8), 6, 4, 0.1
    a, b = (rng.normal(size=(2 * steps + 1, free, n)) for n in (2 * free, entries))
    with float64():
        found = chain(jnp.asarray(a[None]), jnp.asarray(b[None]), h)
    positions, last_velocity = (np.asarray(x[0]) for x in found)
    state, columns = np.eye(2 * free, 2 * free + entries), 2 * free + entries
    np.testing.assert_array_equal(positions[0], state[:free])

    def rate(a, b, y):
        forced = np.zeros((free, columns))
        forced[:, 2 * free :] = b
        return np.concatenate([y[free:], a @ y + forced])

    for k in range(steps):
        start, half, end = ((a[2 * k + i], b[2 * k + i]) for i in range(3))
        first = rate(*start, state)
        second = rate(*half, state + h / 2 * first)
        third = rate(*half, state + h / 2 * second)
        last = rate(*end, state + h * third)
        state = state + h / 6 * (first + 2 * second + 2 * third + last)
        np.testing.assert_allclose(positions[k + 1], state[:free], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(last_velocity, state[free:], rtol=1e-12, atol=1e-13)


def test_path_derivatives_follow_the_free_coordinates(knee_case):
    """Only the free coordinates' derivatives, which come first."""
    case, h = knee_case, 1e-6
    step = h * (np.arange(len(case.model.coordinates)) == case.model.host.free_index[0])
    rest = case.v, case.a, case.held, case.a_z
    (_, ahead), (plus, _), (minus, _) = (
        case.everything(case.z, q, *rest)[0] for q in (case.q, case.q + step, case.q - step)
    )
    for name in ("length", "slope"):
        numeric = (getattr(plus, name) - getattr(minus, name)) / (2 * h)
        assert getattr(ahead, name).shape == (1, *numeric.shape)
        np.testing.assert_allclose(getattr(ahead, name)[0], numeric, rtol=1e-5, atol=1e-7)


def test_rows_do_not_depend_on_their_neighbours(arm_case, arm_derivatives):
    """Instants are lanes of their own: in another order every row is what it was."""
    case, order = arm_case, np.random.default_rng(9).permutation(SAMPLES)
    rows = (x[order] for x in (case.q, case.v, case.a, case.held, case.a_z))
    _, d = case.everything(case.z, *rows)
    for name in ("acceleration", "by_state", "by_parameters"):
        expected = np.asarray(getattr(arm_derivatives, name))[order]
        np.testing.assert_allclose(getattr(d, name), expected, rtol=1e-13, atol=1e-13 * np.abs(expected).max())


def test_other_numbers_do_not_compile_again(arm_case, arm_derivatives, caplog):
    case = arm_case
    with caplog.at_level(logging.WARNING), jax.log_compiles(), float64():
        case.run(0.99 * case.z, 0.9 * case.q, 0.9 * case.v, 0.9 * case.a)
        values_of_activation(case.model, case.space, 0.99 * case.z, 0.5 * case.envelope, case.mixing)
        activation_derivatives(case.model, case.space, 0.99 * case.z, 0.5 * case.envelope, case.mixing, case.pairs)
    assert not [r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling")]


def test_a_free_set_without_activation_or_inertia(arm):
    """Strength alone: neither activation nor the skeleton depends on it."""
    nominal = arm.nominal.with_channels(arm.muscles)
    space = parameter_space(nominal, ["muscle/*/max_isometric_force"])
    assert activation_pairs(space, np.eye(6)) == ()
    assert len(entries_of(space, "body", "joint", "emg")) == 0
    with float64():
        z = np.asarray(space.pack(nominal))
        activation, stages, nothing = activation_derivatives(arm, space, z, np.ones((2, 5, 6)), np.eye(6), ())
        at = factors(space, z)
    assert activation.shape == (2, 5, 6)
    assert stages.shape == (2, 4, 4, 6)
    assert nothing.shape == (2, 5, 0)
    assert at.inertia_by_entry.shape == (*at.inertia.shape, 0)


def test_factors_are_the_inertias_and_their_derivatives(arm_case):
    case, h = arm_case, 1e-6
    entries = entries_of(case.space, "body")
    assert len(entries) == 2 + 3 + 6
    with float64():
        at = factors(case.space, case.z)
        for k, entry in enumerate(entries):
            t = h * np.eye(case.space.size)[entry]
            plus, minus = (np.asarray(factors(case.space, case.z + s * t).inertia) for s in (1, -1))
            numeric = (plus - minus) / (2 * h)
            np.testing.assert_allclose(at.inertia_by_entry[..., k], numeric, rtol=1e-6, atol=1e-8)
