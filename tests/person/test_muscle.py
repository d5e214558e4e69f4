"""Muscle models against MuJoCo's C functions, OpenSim and SymPy, and against their own derivatives.

The oracles are required: a missing `opensim` or `sympy` (the `test` extra) fails these tests.
"""

from dataclasses import fields
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import opensim
import pytest
import sympy
from scipy.integrate import solve_ivp
from sympy.physics import biomechanics
from sympy.physics.mechanics import LinearPathway, Point, ReferenceFrame, dynamicsymbols

from mjx_msm.person import degroote as dg
from mjx_msm.person import muscle as mm

MODELS = (
    mm.MujocoMuscle(),
    mm.MujocoMuscle(lmin=0.4, lmax=1.8, fvmax=1.5, tausmooth=0.2),
    dg.DeGrooteFregly2016(fiber_damping=0.1, activation_smoothing=3.0),
)
NAMES = ("mujoco", "mujoco-shaped", "degroote")
UNUSED = {  # parameters without effect
    "mujoco": 3,  # pennation and both strains
    "mujoco-shaped": 3,
    "degroote": 1,  # strain of the tendon
}
PARAMETERS = tuple(field.name for field in fields(mm.MuscleParameters))
each_model = pytest.mark.parametrize("model", MODELS, ids=NAMES)


opensim.Logger.removeFileSink()  # it would leave an opensim.log where the tests are run
opensim.Logger.setLevelString("error")  # it would report every state beyond the maximum velocity


@eqx.filter_jit
def tension(model, parameters, activation, path_length, path_velocity):
    return model.tension(parameters, activation, path_length, path_velocity)


@eqx.filter_jit
def activation_rate(model, parameters, excitation, activation):
    return model.activation_rate(parameters, excitation, activation)


@pytest.fixture(autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


def make_parameters(count: int, seed: int = 0, dtype: type = np.float64) -> mm.MuscleParameters:
    """NumPy arrays: setting up the tests then compiles nothing."""
    rng = np.random.default_rng(seed)

    def draw(low, high):
        return rng.uniform(low, high, count).astype(dtype)

    return mm.MuscleParameters(
        max_isometric_force=draw(300, 5000),
        optimal_fiber_length=draw(0.05, 0.2),
        tendon_slack_length=draw(0.05, 0.45),
        max_contraction_velocity=draw(6, 15),
        passive_force_scale=draw(0.5, 2.0),
        pennation_angle=draw(0.05, 0.5),
        activation_time_constant=draw(0.008, 0.02),
        deactivation_time_constant=draw(0.03, 0.08),
        passive_fiber_strain=draw(0.5, 0.7),
        tendon_strain=draw(0.03, 0.07),
    )


def path_of(parameters, length, velocity):
    """Path length [m] and velocity [m/s] at normalized lengths and velocities along the tendon."""
    optimal = parameters.optimal_fiber_length
    return (
        parameters.tendon_slack_length + length * optimal,
        velocity * optimal * parameters.max_contraction_velocity,
    )


# ------------------------------------------------------------------------------ MuJoCo's C


def c_prm(parameters, i, lengthrange, shape):
    lmin, lmax, fvmax = shape
    r = (lengthrange - parameters.tendon_slack_length[i]) / parameters.optimal_fiber_length[i]
    force, vmax = parameters.max_isometric_force[i], parameters.max_contraction_velocity[i]
    fpmax = mm.FPMAX * parameters.passive_force_scale[i]
    return np.array([r[0], r[1], force, 200, lmin, lmax, vmax, fpmax, fvmax], float)


def test_mujoco_tension_equals_c():
    count = 6
    parameters = make_parameters(count)
    rng = np.random.default_rng(1)
    lmin, lmax, fvmax = rng.uniform([[0.3], [1.3], [1.1]], [[0.7], [1.9], [1.6]], (3, count))
    lmin[0], lmax[0], fvmax[0] = 0.5, 1.6, 1.2
    model = mm.MujocoMuscle(lmin=lmin, lmax=lmax, fvmax=fvmax)
    kinks = np.stack([lmin, (lmin + 1) / 2, np.ones(count), (1 + lmax) / 2, lmax])
    lengths = np.concatenate([np.linspace(-0.3, 2.5, 57)[:, None] + np.zeros(count), kinks])
    velocities = np.concatenate([np.linspace(-1.5, 1.0, 26)[:, None] + np.zeros(count), [fvmax - 1]])
    activation = rng.uniform(0, 1, (len(lengths), len(velocities), count))
    x, v = path_of(parameters, lengths[:, None], velocities[None])
    x, v = np.broadcast_arrays(x, v)
    ours = tension(model, parameters, activation, x, v)
    theirs = np.empty_like(activation)
    for i in range(count):
        lengthrange = np.array([x[..., i].min(), x[..., i].max()]) + 0.01 * (i - 2)
        prm = c_prm(parameters, i, lengthrange, (lmin[i], lmax[i], fvmax[i]))
        for at in np.ndindex(activation.shape[:2]):
            gain = mujoco.mju_muscleGain(x[*at, i], v[*at, i], lengthrange, 1.0, prm)
            bias = mujoco.mju_muscleBias(x[*at, i], lengthrange, 1.0, prm)
            theirs[*at, i] = -(gain * activation[*at, i] + bias)
    assert np.abs(ours - theirs).max() > 0  # two computations, not one
    assert np.abs((ours - theirs) / parameters.max_isometric_force).max() < 1e-12
    assert np.min(ours) >= 0


def test_mujoco_curves_equal_c_at_the_very_kinks():
    prm = np.array([0, 2, 1, 1, 0.5, 1.75, 4, mm.FPMAX, 1.25])  # all kinks are binary fractions
    unit = np.array([0.0, 2.0])
    for length in (0.5, 0.75, 1.0, 1.375, 1.75):
        for velocity in (-1.0, 0.0, 0.25):
            gain = -mujoco.mju_muscleGain(length, 4 * velocity, unit, 1, prm)
            curves = mm.mujoco_active_force_length(np.array(length), 0.5, 1.75)
            assert curves * mm.mujoco_force_velocity(jnp.asarray(velocity), 1.25) == gain
        bias = -mujoco.mju_muscleBias(length, unit, 1, prm)
        assert mm.mujoco_passive_force_length(jnp.asarray(length), 1.75) == bias


@pytest.mark.parametrize("tausmooth", [0.0, 1e-16, 0.02, 0.3])
def test_mujoco_activation_rate_equals_c(tausmooth):
    parameters = make_parameters(1)
    taus = (parameters.activation_time_constant[0], parameters.deactivation_time_constant[0])
    prm = np.array([*taus, tausmooth], float)
    grid = np.concatenate([np.linspace(-0.3, 1.3, 33), [0.5, 0.51, 0.49, 0.65]])
    u, a = np.meshgrid(grid, grid, indexing="ij")
    model = mm.MujocoMuscle(tausmooth=tausmooth)
    ours = activation_rate(model, parameters, u[..., None], a[..., None])[..., 0]
    theirs = np.vectorize(lambda u, a: mujoco.mju_muscleDynamics(u, a, prm))(u, a)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_mujoco_muscle_is_the_actuator_of_a_compiled_model():
    """The map from parameters to MJCF, through the compiler and mj_forward."""
    parameters = make_parameters(1, seed=5)
    slack, optimal = parameters.tendon_slack_length[0], parameters.optimal_fiber_length[0]
    low, high = slack + 0.4 * optimal, slack + 1.7 * optimal
    prm = c_prm(parameters, 0, np.array([low, high]), (0.5, 1.6, 1.2))
    taus = f"{parameters.activation_time_constant[0]} {parameters.deactivation_time_constant[0]}"
    xml = f"""
    <mujoco><worldbody>
      <site name="a"/>
      <body><joint type="slide" axis="1 0 0"/><geom size=".1"/><site name="b"/></body>
    </worldbody>
    <tendon><spatial name="t"><site site="a"/><site site="b"/></spatial></tendon>
    <actuator><muscle tendon="t" lengthrange="{low} {high}" range="{prm[0]} {prm[1]}" force="{prm[2]}"
      vmax="{prm[6]}" fpmax="{prm[7]}" timeconst="{taus}"/></actuator></mujoco>"""
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)
    ours = mm.MujocoMuscle()
    for length, velocity, u, a in ((0.8, -0.3, 1.0, 0.2), (1.3, 0.1, 0.1, 0.9), (1.5, 0.5, 0.4, 0.4)):
        x, v = path_of(parameters, length, velocity)
        data.qpos, data.qvel, data.ctrl, data.act = x, v, u, a
        mujoco.mj_forward(model, data)
        force = tension(ours, parameters, np.array([a]), x, v)
        np.testing.assert_allclose(force, -data.actuator_force, rtol=1e-11)
        rate = activation_rate(ours, parameters, np.array([u]), np.array([a]))
        np.testing.assert_allclose(rate, data.act_dot, rtol=1e-11, atol=1e-11)


# ------------------------------------------------------------------------------ De Groote-Fregly


def test_degroote_curves_at_published_points():
    for curve, at, value, digits in (
        (dg.active_force_length, 1.0, 1.0, 1e-12),
        (dg.force_velocity, -1.0, 0.0, 1e-9),
        (dg.force_velocity, 0.0, 1.0, 1e-9),
        (dg.force_velocity, 1.0, 1.794, 5e-4),
        (dg.passive_force_length, 0.2, 0.0, 1e-15),
        (dg.passive_force_length, 1.0, 0.0182, 5e-5),
        (dg.passive_force_length, 1.6, 1.0, 1e-12),
    ):
        assert abs(curve(jnp.asarray(at)) - value) < digits, (curve, at)


def sympy_curve(cls, constants):
    x = sympy.Symbol("x")
    return sympy.lambdify(x, cls(x, *constants).doit(), "numpy")


SYMPY_ACTIVE = [constant for row in dg.ACTIVE for constant in row]


def test_degroote_curves_equal_sympy():
    length = np.linspace(0.2, 1.8, 161)
    velocity = np.linspace(-1.5, 1.5, 151)
    active = sympy_curve(biomechanics.FiberForceLengthActiveDeGroote2016, SYMPY_ACTIVE)
    np.testing.assert_allclose(dg.active_force_length(length), active(length), atol=1e-14)
    fv = sympy_curve(biomechanics.FiberForceVelocityDeGroote2016, dg.FORCE_VELOCITY)
    np.testing.assert_allclose(dg.force_velocity(velocity), fv(velocity), atol=1e-14)
    # SymPy has the paper's passive curve, 0 at length 1; OpenSim's is 0 at 0.2. Both are affine in one exp.
    passive = sympy_curve(biomechanics.FiberForceLengthPassiveDeGroote2016, (0.6, 4.0))
    offset, peak = np.exp(4 * (0.2 - 1) / 0.6), np.exp(4.0)
    expected = (passive(length) * (peak - 1) + 1 - offset) / (peak - offset)
    np.testing.assert_allclose(dg.passive_force_length(length), expected, atol=1e-14)


def test_degroote_muscle_equals_sympy():
    """Active force, damping and activation rate of SymPy's `MusculotendonDeGroote2016`, rigid tendon."""
    q = dynamicsymbols("q")
    frame, origin, insertion = ReferenceFrame("N"), Point("O"), Point("P")
    insertion.set_pos(origin, q * frame.x)
    symbols = sympy.symbols("slack force optimal vmax pennation damping x v a e ta td b", positive=True)
    slack, force, optimal, vmax, pennation, damping, x, v, a, e, ta, td, b = symbols
    dynamics = biomechanics.FirstOrderActivationDeGroote2016("m", ta, td, b)
    muscle = biomechanics.MusculotendonDeGroote2016(
        "m",
        LinearPathway(origin, insertion),
        dynamics,
        musculotendon_dynamics=biomechanics.MusculotendonFormulation.RIGID_TENDON,
        tendon_slack_length=slack,
        peak_isometric_force=force,
        optimal_fiber_length=optimal,
        maximal_fiber_velocity=vmax,
        optimal_pennation_angle=pennation,
        fiber_damping_coefficient=damping,
    )
    states = {q.diff(): v, q: x, dynamics.a: a, dynamics.e: e}
    constants = {}
    for prefix, values in (("fl_M_act", SYMPY_ACTIVE), ("fv_M", dg.FORCE_VELOCITY), ("fl_M_pas", (0.6, 4))):
        constants |= {sympy.Symbol(f"c_{i}_{prefix}_m"): value for i, value in enumerate(values)}
    their_tension = sympy.lambdify(symbols, -muscle.force.subs(states).subs(constants).doit(), "numpy")
    their_rate = sympy.lambdify(symbols, dynamics.rhs()[0].subs(states).doit(), "numpy")

    p = make_parameters(5, seed=3)
    rng = np.random.default_rng(3)
    length, velocity, act, exc = rng.uniform(
        [[[0.3]], [[-1]], [[0]], [[0]]], [[[1.7]], [[1]], [[1]], [[1]]], (4, 40, 5)
    )
    xs, vs = path_of(p, length, velocity)
    model = dg.DeGrooteFregly2016(fiber_damping=0.1)

    def theirs(function, a, damping=0.1, smoothing=10.0):
        return function(
            *(p.tendon_slack_length, p.max_isometric_force, p.optimal_fiber_length),
            p.max_contraction_velocity * p.optimal_fiber_length,
            *(p.pennation_angle, damping, xs, vs, a, exc),
            *(p.activation_time_constant, p.deactivation_time_constant, smoothing),
        )

    def ours(a):
        return tension(model, p, a, xs, vs)

    # The passive curves differ (see above): compare what activation and damping add to a passive muscle.
    # SymPy projects the fiber force with the angle at optimal length, OpenSim and the model with the
    # present one.
    cos = length / np.sqrt(length**2 + np.sin(p.pennation_angle) ** 2) / np.cos(p.pennation_angle)
    added = (theirs(their_tension, act) - theirs(their_tension, 0 * act, damping=0.0)) * cos
    still = tension(model, p, 0 * act, xs, 0 * vs)
    assert np.abs((ours(act) - still - added) / p.max_isometric_force).max() < 1e-12
    for smoothing in (0.1, 10.0):
        ours_rate = activation_rate(dg.DeGrooteFregly2016(activation_smoothing=smoothing), p, exc, act)
        np.testing.assert_allclose(ours_rate, theirs(their_rate, act, smoothing=smoothing), rtol=1e-12)


class OpenSimMuscle:
    """One rigid-tendon `DeGrooteFregly2016Muscle` along a slider."""

    def __init__(self, p: mm.MuscleParameters, i: int, damping: float):
        self.model = opensim.Model()
        body = opensim.Body("body", 1.0, opensim.Vec3(0), opensim.Inertia(1, 1, 1))
        self.model.addBody(body)
        joint = opensim.SliderJoint("joint", self.model.getGround(), body)
        joint.updCoordinate().setName("x")
        self.model.addJoint(joint)
        muscle = opensim.DeGrooteFregly2016Muscle()
        muscle.setName("m")
        muscle.set_max_isometric_force(float(p.max_isometric_force[i]))
        muscle.set_optimal_fiber_length(float(p.optimal_fiber_length[i]))
        muscle.set_tendon_slack_length(float(p.tendon_slack_length[i]))
        muscle.set_max_contraction_velocity(float(p.max_contraction_velocity[i]))
        muscle.set_pennation_angle_at_optimal(float(p.pennation_angle[i]))
        muscle.set_passive_fiber_strain_at_one_norm_force(float(p.passive_fiber_strain[i]))
        muscle.set_fiber_damping(damping)
        muscle.set_ignore_tendon_compliance(True)
        muscle.addNewPathPoint("origin", self.model.updGround(), opensim.Vec3(0))
        muscle.addNewPathPoint("insertion", body, opensim.Vec3(0))
        self.model.addForce(muscle)
        self.state = self.model.initSystem()
        self.coordinate = self.model.updCoordinateSet().get("x")
        self.muscle = opensim.DeGrooteFregly2016Muscle.safeDownCast(self.model.getMuscles().get(0))

    def __call__(self, length: float, velocity: float, activation: float) -> tuple[float, float]:
        """Tension [N] and fiber length [m]."""
        self.coordinate.setValue(self.state, length, False)
        self.coordinate.setSpeedValue(self.state, velocity)
        self.muscle.setActivation(self.state, activation)
        self.model.realizeDynamics(self.state)
        return self.muscle.getActuation(self.state), self.muscle.getFiberLength(self.state)


@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_degroote_muscle_equals_opensim(damping):
    """Tension and fiber length. Not the activation rate: OpenSim 4.6 gives every muscle of a process the time
    constants of the first one (a `static` in its source); SymPy's is the oracle for it."""
    p = make_parameters(4, seed=7)
    one = np.ones(4)
    p = mm.MuscleParameters(
        **{name: getattr(p, name) for name in PARAMETERS[:4]},
        passive_force_scale=one,
        pennation_angle=np.array([0.0, 0.15, 0.4, 0.7]),
        **{name: getattr(p, name) for name in PARAMETERS[6:]},
    )
    model = dg.DeGrooteFregly2016(fiber_damping=damping)
    grid = np.meshgrid(np.linspace(0.2, 1.7, 16), np.linspace(-1.2, 1.2, 9), [0.01, 0.3, 1.0], indexing="ij")
    length, velocity, activation = (g.reshape(-1, 1) * np.ones(4) for g in grid)
    x, v = path_of(p, length, velocity)
    ours = tension(model, p, activation, x, v)
    fiber = model.normalized_fiber_length(p, x) * p.optimal_fiber_length
    for i in range(4):
        reference = OpenSimMuscle(p, i, damping)
        rows = zip(x[:, i].tolist(), v[:, i].tolist(), activation[:, i].tolist(), strict=True)
        theirs = np.array([reference(*row) for row in rows])
        assert np.abs(ours[:, i] - theirs[:, 0]).max() < 1e-9 * p.max_isometric_force[i]
        assert np.abs(fiber[:, i] - theirs[:, 1]).max() < 1e-12


def test_degroote_on_a_slack_path():
    """Short paths: no jump into the slack region, shorter fiber on a shorter path, and hardly any tension."""
    p = make_parameters(3, seed=2)
    p = eqx.tree_at(lambda p: p.pennation_angle, p, np.array([0.0, 0.2, 0.6]))
    p = eqx.tree_at(lambda p: p.passive_force_scale, p, np.ones(3))
    model = dg.DeGrooteFregly2016()
    length = np.concatenate([[-1e6], np.linspace(-5, 0.5, 20001)])[:, None] * np.ones(3)
    x, step = path_of(p, length, 0.0)[0], length[2, 0] - length[1, 0]

    @jax.jit
    def fiber_and_slope(x):
        slope = p.optimal_fiber_length + jnp.zeros_like(x)
        return jax.jvp(lambda x: model.normalized_fiber_length(p, x), (x,), (slope,))

    fiber, slope = (np.asarray(z) for z in fiber_and_slope(x))
    assert (np.diff(fiber, axis=0) > 0).all()
    assert (slope > 0).all()
    np.testing.assert_allclose(fiber[0], np.hypot(0.1, np.sin(p.pennation_angle)), rtol=1e-9)
    # The tension's fiber velocity is the derivative of the fiber length: what shortening at half the maximum
    # velocity leaves of the active force is the force-velocity curve at that derivative.
    still, moving, passive = (
        np.asarray(tension(model, p, activation + 0 * x, x, path_of(p, length, velocity)[1] + 0 * x))
        for activation, velocity in ((1.0, 0.0), (1.0, -0.5), (0.0, 0.0))
    )
    multiplier = (moving - passive) / (still - passive)
    np.testing.assert_allclose(multiplier, dg.force_velocity(-0.5 * slope), rtol=1e-9)
    # The documented bounds; and no jump of the tension, its first or its second derivative: the greatest
    # change from one point of the grid to the next halves with the step.
    for force, low, high in ((passive, -5e-5, 0), (still, 0, 0.006)):
        normalized = force / np.asarray(p.max_isometric_force)
        assert low < normalized[length[:, 0] < 0, 0].min()
        assert normalized[length[:, 0] < 0, 0].max() < high
        for order in (0, 1, 2):
            fine, coarse = (
                np.abs(np.diff(normalized[1::n], order + 1, axis=0) / (n * step) ** order).max() for n in (1, 2)
            )
            assert fine < 0.55 * coarse


# ------------------------------------------------------------------------------ derivatives


def ordinary_points(p, count=25, seed=11):
    rng = np.random.default_rng(seed)
    muscles = p.max_isometric_force.shape[0]
    length, velocity = rng.uniform(-0.2, 1.9, (count, muscles)), rng.uniform(-1.2, 1.2, (count, muscles))
    x, v = path_of(p, length, velocity)
    u, a = rng.uniform(0.02, 0.98, (2, count, muscles))
    return u, a, x, v


def kink_points(p, model, dtype=np.float64):
    """Every corner and joint of both models, crossed; (n, muscle)."""
    lmin, lmax = getattr(model, "lmin", 0.5), getattr(model, "lmax", 1.6)
    fvmax = getattr(model, "fvmax", 1.2)
    lengths = [-30, -1, 0, 0.1, 0.149470, 0.2, lmin, (1 + lmin) / 2, 1, (1 + lmax) / 2, lmax, 3]
    velocities = [-3, -1, 0, fvmax - 1, 3]
    levels = [-0.2, 0.0, 0.5, 0.6, 1.0, 1.2]  # 0.6 - 0.5 is half of tausmooth = 0.2
    grids = np.meshgrid(lengths, velocities, levels, levels, indexing="ij")
    ones = np.ones(p.max_isometric_force.shape[0])
    length, velocity, u, a = ((g.reshape(-1, 1) * ones).astype(dtype) for g in grids)
    x, v = path_of(p, length, velocity)
    return u, a, x, v


def outputs(model):
    """Tension and rate, scaled to numbers near 1, as a function of every input."""

    def function(p, u, a, x, v):
        return model.tension(p, a, x, v) / 1000, model.activation_rate(p, u, a) / 100

    return function


def spread(p, points):
    """Parameters with a copy of each muscle for every state: all outputs are then elementwise."""
    return jax.tree.map(lambda leaf: leaf + np.zeros_like(points[0]), p)


@each_model
def test_derivatives_equal_central_differences(model):
    """Forward against central differences, and reverse against forward, for every parameter and state."""
    p = make_parameters(4, seed=4)
    points = ordinary_points(p)
    leaves, tree = jax.tree.flatten((spread(p, points), *points))
    scales = [np.abs(leaf).mean() for leaf in leaves]

    def function(leaves):
        return jnp.stack(outputs(model)(*jax.tree.unflatten(tree, leaves)))

    @jax.jit
    def derivatives(leaves):
        directions = [
            jnp.zeros((len(leaves), *leaf.shape)).at[i].set(scale)
            for i, (leaf, scale) in enumerate(zip(leaves, scales, strict=True))
        ]
        forward = jax.vmap(lambda t: jax.jvp(function, (leaves,), (t,))[1])(directions)
        values, pullback = jax.vjp(function, leaves)
        one_hot = jnp.stack([jnp.zeros_like(values).at[k].set(1) for k in range(2)])
        (reverse,) = jax.vmap(pullback)(one_hot)
        reverse = jnp.stack([scale * leaf for leaf, scale in zip(reverse, scales, strict=True)])
        high, low = (
            jax.vmap(lambda t, h=h: function([z + h * d for z, d in zip(leaves, t, strict=True)]))(directions)
            for h in (1e-6, -1e-6)
        )
        return forward, reverse, (high - low) / 2e-6

    forward, reverse, differences = (np.asarray(z) for z in derivatives(leaves))
    size = 1 + np.abs(forward)
    acting = np.max(np.abs(forward) > 0.01, axis=(1, 2, 3)).sum()
    assert acting == len(leaves) - UNUSED[NAMES[MODELS.index(model)]]
    assert np.max(np.abs(forward - differences) / size) < 2e-5
    assert np.max(np.abs(forward - reverse) / size) < 1e-12


@each_model
@pytest.mark.parametrize(
    ("dtype", "x64"),
    [(np.float32, False), (np.float32, True), (np.float64, True)],
    ids=["float32", "float32-in-x64", "float64"],
)
def test_derivatives_are_finite_at_kinks(model, dtype, x64):
    with jax.enable_x64(x64):
        p = make_parameters(2, seed=4, dtype=dtype)
        points = kink_points(p, model, dtype)
        leaves, tree = jax.tree.flatten((spread(p, points), *points))
        assert all(leaf.dtype == dtype for leaf in leaves)

        def function(leaves):
            return outputs(model)(*jax.tree.unflatten(tree, leaves))

        @jax.jit
        def everything(leaves):
            values, pullback = jax.vjp(function, leaves)
            cotangents = pullback(jax.tree.map(jnp.ones_like, values))
            one_hot = [jnp.zeros((len(leaves), *leaf.shape), dtype).at[i].set(1) for i, leaf in enumerate(leaves)]
            tangents = jax.vmap(lambda t: jax.jvp(function, (leaves,), (t,))[1])(one_hot)
            return values, cotangents, tangents

        for array in jax.tree.leaves(everything(leaves)):
            assert array.dtype == dtype  # float32 stays float32 under x64
            assert jnp.isfinite(array).all()


@each_model
def test_tension_derivatives_at_kinks_are_the_derivatives(model):
    """The curves have continuous slopes, so that central differences hold at the joints of their pieces."""
    p = make_parameters(2, seed=4)
    _, a, x, v = kink_points(p, model)
    steps = (p.optimal_fiber_length, p.optimal_fiber_length * p.max_contraction_velocity)
    for direction in ((steps[0] + 0 * x, 0 * x), (0 * x, steps[1] + 0 * x)):
        slope = jax.jvp(lambda x, v: tension(model, p, a, x, v), (x, v), direction)[1]
        high, low = (tension(model, p, a, x + h * direction[0], v + h * direction[1]) for h in (1e-6, -1e-6))
        assert jnp.max(jnp.abs(slope - (high - low) / 2e-6) / p.max_isometric_force) < 1e-4


@each_model
def test_clipping_keeps_the_derivative_from_inside(model):
    p = make_parameters(1)
    rate = jax.jit(lambda u, a: activation_rate(model, p, u[None], jnp.array([a]))[0])
    slope = jax.jit(jax.grad(rate))
    u0, u1 = jnp.array(0.0), jnp.array(1.0)
    for u, inwards in ((u0, 1e-6), (u1, -1e-6)):
        one_sided = (rate(u + inwards, 0.4) - rate(u, 0.4)) / inwards
        np.testing.assert_allclose(slope(u, 0.4), one_sided, rtol=1e-4)
        outside = u - 1e5 * inwards
        assert slope(outside, 0.4) == 0
        assert rate(outside, 0.4) == rate(u, 0.4)


# ------------------------------------------------------------------------------ activation dynamics


def test_mujoco_activation_follows_the_closed_form():
    """Hard switching can be integrated: rise to 1 and decay to 0 as time over activation."""
    p = make_parameters(1)
    model = mm.MujocoMuscle()
    rise, fall = p.activation_time_constant[0], p.deactivation_time_constant[0]
    for u, start, end in ((1.0, 0.1, 0.95), (0.0, 0.9, 0.05)):
        if u == 1:
            time = rise * (2 * np.log((1 - start) / (1 - end)) - 1.5 * (end - start))
        else:
            time = 2 * fall * np.log(start * (0.5 + 1.5 * end) / (end * (0.5 + 1.5 * start)))
        rate = jax.jit(lambda a, u=u: model.activation_rate(p, jnp.array([u]), a))
        solution = solve_ivp(lambda t, a, rate=rate: np.asarray(rate(a)), (0, time), [start], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(solution.y[0, -1], end, atol=1e-7)


@each_model
def test_activation_settles_at_the_clipped_excitation(model):
    p = make_parameters(1)
    u = jnp.linspace(-0.5, 1.5, 9)[:, None]
    start = jnp.array([0.0, 0.5, 1.0])
    a = jnp.zeros_like(u) + start
    end, _ = jax.lax.scan(lambda a, _: (a + 1e-3 * model.activation_rate(p, u, a), None), a, length=3000)
    settled = np.clip(u, 0, 1) + 0 * start
    np.testing.assert_allclose(end, settled, atol=1e-7)
    assert (activation_rate(model, p, u, settled) == 0).all()


@each_model
@pytest.mark.parametrize(("order", "counts"), [(1, (200, 400, 800)), (4, (20, 40, 80))])
def test_activation_converges_with_the_integrators_order(model, order, counts):
    """Explicit Euler and the classical Runge-Kutta rule on a rising activation."""
    p = make_parameters(1)
    u, duration = jnp.array([0.8]), 0.05
    rate = lambda a: model.activation_rate(p, u, a)  # noqa: E731

    def step(a, h):
        k1 = rate(a)
        if order == 1:
            return a + h * k1
        k2 = rate(a + h / 2 * k1)
        k3 = rate(a + h / 2 * k2)
        return a + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(a + h * k3))

    def final(count):
        h = duration / count
        return jax.lax.scan(lambda a, _: (step(a, h), None), jnp.array([0.1]), length=count)[0][0]

    ends = [final(count) for count in (*counts, 2 * counts[-1])]
    errors = [abs(a - b) for a, b in pairwise(ends)]
    orders = [np.log2(a / b) for a, b in pairwise(errors)]
    np.testing.assert_allclose(orders, order, atol=0.3)


# ------------------------------------------------------------------------------ the classes


@each_model
def test_batches_broadcast(model):
    p = make_parameters(3)
    u, a, x, v = ordinary_points(p, count=8)
    shape = (2, 4, 3)
    batched = tension(model, p, *(z.reshape(shape) for z in (a, x, v)))
    assert batched.shape == shape
    assert activation_rate(model, p, u.reshape(shape), a.reshape(shape)).shape == shape
    mapped = jax.jit(jax.vmap(model.tension, in_axes=(None, 0, 0, 0)))(p, a, x, v)
    np.testing.assert_allclose(batched.reshape(8, 3), mapped, rtol=1e-14)


def test_model_is_a_pytree_argument():
    """Another shape of the curves is another argument value, not another compilation."""
    p = make_parameters(2)
    _, a, x, v = ordinary_points(p)
    compiled = jax.jit(lambda model: model.tension(p, a, x, v))
    for fvmax in (1.2, 1.4):
        model = mm.MujocoMuscle(fvmax=fvmax)
        np.testing.assert_allclose(compiled(model), tension(model, p, a, x, v), rtol=1e-13)
    assert compiled._cache_size() == 1


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [
        (mm.MujocoMuscle, "lmin", 1.0),
        (mm.MujocoMuscle, "lmax", np.array([1.6, 0.9])),
        (mm.MujocoMuscle, "fvmax", 0.9),
        (mm.MujocoMuscle, "tausmooth", -0.1),
        (mm.MujocoMuscle, "lmin", np.nan),
        (dg.DeGrooteFregly2016, "fiber_damping", -0.1),
        (dg.DeGrooteFregly2016, "activation_smoothing", 0.0),
    ],
)
def test_impossible_shapes_are_refused_by_name(cls, field, value):
    with pytest.raises(ValueError, match=rf"{cls.__name__}\.{field} = .*choose {field}"):
        cls(**{field: value})
