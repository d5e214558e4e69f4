"""Tendons that yield, against OpenSim and SymPy, against a stiff integrator, and against their own derivatives."""

import dataclasses

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import mujoco
import numpy as np
import opensim
import pytest
import sympy
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from sympy.physics import biomechanics

from mjx_msm.common.compiled import jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import State, initial_state, rollout
from mjx_msm.person import compliant_tendon
from mjx_msm.person import degroote as dg
from mjx_msm.person.compliant_tendon import Balance, CompliantTendon, backward_difference, span
from mjx_msm.person.model import load_model, model_of, muscle_constants, muscle_name, with_muscle_constants
from mjx_msm.person.muscle import MujocoMuscle, MuscleParameters

opensim.Logger.removeFileSink()
opensim.Logger.setLevelString("error")

pytestmark = pytest.mark.usefixtures("x64")


def make_parameters(count: int, seed: int = 0, tendon=(0.3, 10.0)) -> MuscleParameters:
    """`tendon`: range of l_slack over l_opt."""
    rng = np.random.default_rng(seed)
    optimal = rng.uniform(0.05, 0.2, count)
    return MuscleParameters(
        max_isometric_force=rng.uniform(300, 5000, count),
        optimal_fiber_length=optimal,
        tendon_slack_length=optimal * rng.uniform(*tendon, count),
        max_contraction_velocity=rng.uniform(6, 15, count),
        passive_force_scale=np.ones(count),
        pennation_angle=rng.uniform(0.0, 0.5, count),
        activation_time_constant=np.full(count, 0.01),
        deactivation_time_constant=np.full(count, 0.04),
        passive_fiber_strain=rng.uniform(0.5, 0.7, count),
        tendon_strain=rng.uniform(0.03, 0.1, count),
    )


# Curves and equilibrium -------------------------------------------------------------------------------------


def test_the_tendon_curve_is_sympys_and_has_its_inverse():
    tendon, length = dg.DeGrooteTendon(), np.linspace(0.97, 1.12, 61)
    for strain in (0.033, 0.049, 0.1):
        x = sympy.Symbol("x")
        curve = biomechanics.TendonForceLengthDeGroote2016(x, *dg.TENDON, sympy.log(6) / strain)
        theirs = sympy.lambdify(x, curve.doit(), "numpy")
        force = tendon.force(length, strain)
        assert isinstance(force, np.ndarray)  # NumPy in, NumPy out
        np.testing.assert_allclose(force, theirs(length), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(tendon.force(jnp.asarray(length), strain), force, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(tendon.length(force, strain), length, rtol=1e-14)
        assert tendon.force(np.array(1 + strain), strain) == pytest.approx(1.0, abs=1e-12)


class OpenSimMuscle:
    """One `DeGrooteFregly2016Muscle` with a compliant tendon along a slider."""

    def __init__(self, p: MuscleParameters, i: int, damping: float):
        self.model = opensim.Model()
        body = opensim.Body("body", 1.0, opensim.Vec3(0), opensim.Inertia(1, 1, 1))
        self.model.addBody(body)
        joint = opensim.SliderJoint("joint", self.model.getGround(), body)
        joint.updCoordinate().setName("x")
        self.model.addJoint(joint)
        muscle = opensim_muscle(p, i, damping)
        muscle.addNewPathPoint("origin", self.model.updGround(), opensim.Vec3(0))
        muscle.addNewPathPoint("insertion", body, opensim.Vec3(0))
        self.model.addForce(muscle)
        self.state = self.model.initSystem()
        self.coordinate = self.model.updCoordinateSet().get("x")
        self.muscle = opensim.DeGrooteFregly2016Muscle.safeDownCast(self.model.getMuscles().get(0))

    def __call__(self, length: float, activation: float) -> tuple[float, float]:
        """Tension [N] and fiber length [m] at rest."""
        self.coordinate.setValue(self.state, length, False)
        self.coordinate.setSpeedValue(self.state, 0.0)
        self.muscle.setActivation(self.state, activation)
        self.model.realizeVelocity(self.state)
        self.muscle.computeEquilibrium(self.state)
        self.model.realizeDynamics(self.state)
        return self.muscle.getActuation(self.state), self.muscle.getFiberLength(self.state)


def opensim_muscle(p: MuscleParameters, i: int, damping: float) -> opensim.DeGrooteFregly2016Muscle:
    muscle = opensim.DeGrooteFregly2016Muscle()
    muscle.setName(f"m{i}")
    muscle.set_max_isometric_force(float(p.max_isometric_force[i]))
    muscle.set_optimal_fiber_length(float(p.optimal_fiber_length[i]))
    muscle.set_tendon_slack_length(float(p.tendon_slack_length[i]))
    muscle.set_max_contraction_velocity(float(p.max_contraction_velocity[i]))
    muscle.set_pennation_angle_at_optimal(float(p.pennation_angle[i]))
    muscle.set_passive_fiber_strain_at_one_norm_force(float(p.passive_fiber_strain[i]))
    muscle.set_tendon_strain_at_one_norm_force(float(p.tendon_strain[i]))
    muscle.set_fiber_damping(damping)
    muscle.set_ignore_tendon_compliance(False)
    muscle.set_tendon_compliance_dynamics_mode("explicit")
    return muscle


def test_equilibrium_is_opensims():
    p, rng = make_parameters(12, seed=1), np.random.default_rng(2)
    law = CompliantTendon(dg.DeGrooteFregly2016(fiber_damping=0.1))
    path = p.tendon_slack_length + p.optimal_fiber_length * rng.uniform(0.4, 1.1, (5, 12))
    activation = rng.uniform(0.01, 1.0, (5, 12))
    strain = jax.jit(law.balance)(p, activation, path, np.zeros_like(path))
    fiber = np.asarray(law.fibers.normalized_fiber_length(p, span(p, path, strain))) * p.optimal_fiber_length
    tension = np.asarray(law.tension_at(p, strain))
    for i in range(12):
        reference = OpenSimMuscle(p, i, 0.1)
        theirs = np.array([reference(float(x), float(a)) for x, a in zip(path[:, i], activation[:, i], strict=True)])
        np.testing.assert_allclose(fiber[:, i], theirs[:, 1], rtol=1e-8)
        assert np.abs(tension[:, i] - theirs[:, 0]).max() < 1e-8 * p.max_isometric_force[i]


# Steps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fibers", "h", "seed", "count"),
    [
        (dg.DeGrooteFregly2016(), 2e-3, 0, 20_000),
        (dg.DeGrooteFregly2016(fiber_damping=0.1), 5e-4, 2, 20_000),
        (MujocoMuscle(), 5e-4, 3, 4_000),
    ],
)
def test_a_step_finds_its_balance_from_anywhere(fibers, h, seed, count):
    """After jumps of path and activation that no motion makes, none is left unbalanced."""
    rng = np.random.default_rng(seed)
    p, law = make_parameters(count, seed=5 + seed), CompliantTendon(fibers)
    path = p.tendon_slack_length + p.optimal_fiber_length * rng.uniform(-0.5, 1.8, count)
    later = path + 0.1 * p.optimal_fiber_length * rng.normal(size=count)
    first, second = rng.uniform(0, 1, (2, count)) * (rng.uniform(size=(2, count)) > 0.1)
    memory = jax.jit(law.begin, static_argnums=4)(p, first, path, np.zeros(count), h)
    strain = jax.jit(law.advance, static_argnums=4)(p, memory, second, later, h, h)
    now, last, before = (w * np.ones(count) for w in backward_difference(h, h))
    held = Balance(second, later, now, last * memory.last + before * memory.before)
    assert np.abs(law.residual(p, held, strain)).max() < 1e-11


def test_a_step_without_a_balance_is_said(monkeypatch):
    """By NaN, which a rollout names the step of."""
    p, law, h = make_parameters(3, seed=5), CompliantTendon(), 2e-3
    path = p.tendon_slack_length + 0.9 * p.optimal_fiber_length
    memory = law.begin(p, np.full(3, 0.5), path, np.zeros(3), h)
    assert np.isfinite(law.advance(p, memory, np.full(3, 0.9), path, h, h)).all()
    monkeypatch.setattr(compliant_tendon, "_found", lambda *given: (given[1], given[1], given[1]))  # it stays below
    assert np.isnan(law.advance(p, memory, np.full(3, 0.9), path, h, h)).all()


def test_spans_before_the_first_step_are_of_fibers_at_their_fastest():
    p, law, h = make_parameters(3, seed=5), CompliantTendon(), 2e-3
    path, fastest = p.tendon_slack_length + p.optimal_fiber_length, p.optimal_fiber_length * p.max_contraction_velocity
    memory = law.begin(p, np.full(3, 0.5), path, 3.0 * fastest, h)
    np.testing.assert_allclose(memory.last - memory.before, h * fastest, rtol=1e-9)


LONGEST = 401
"""Steps of a course that is compiled for; a shorter one goes on and is cut."""


def course(law, p, path, velocity, activation, duration, h):
    """Tensions over F0 of muscles along known paths, (step, muscle)."""
    time = h * np.arange(LONGEST)
    force = steps(law, p, (path(time), velocity(time), activation(time)), jnp.asarray(h))
    count = round(duration / h) + 1
    return time[:count], np.asarray(force)[:count] / p.max_isometric_force


@jit
def steps(law, p, rows, h):
    start = law.begin(p, rows[2][0], rows[0][0], rows[1][0], h)

    def step(memory, row):
        force, memory = law.pull(p, memory, row[2], row[0], row[1], h, h)
        return memory, force

    return jax.lax.scan(step, start, rows)[1]


def moved(p):
    """A path that swings, and an activation that rises and falls within 40 ms."""
    middle, swing, slow = p.tendon_slack_length + 0.9 * p.optimal_fiber_length, 0.2 * p.optimal_fiber_length, 9.0

    def activation(t):
        return np.asarray(0.5 + 0.45 * np.tanh(np.sin(25.0 * t) / 0.3))[..., None] + 0.0 * middle

    return (
        lambda t: middle + swing * np.sin(slow * np.asarray(t))[..., None],
        lambda t: slow * swing * np.cos(slow * np.asarray(t))[..., None],
        activation,
    )


def stiff(p, i, path, velocity, activation, time):
    """Tension over F0 from the ordinary differential equation of fiber length, the force-velocity curve inverted, by a
    stiff integrator: nothing of the steps, and no damping."""
    optimal, slack, fastest = p.optimal_fiber_length[i], p.tendon_slack_length[i], p.max_contraction_velocity[i]
    strain, sine, tendon = p.tendon_strain[i], np.sin(p.pennation_angle[i]), dg.DeGrooteTendon()
    d1, d2, d3, d4 = dg.FORCE_VELOCITY

    def force(t, x):
        return tendon.force((path(t)[i] - x * optimal) / slack, strain)

    def rate(t, x):
        length = np.hypot(x, sine)
        active = activation(t)[i] * dg.active_force_length(length)
        passive = dg.passive_force_length(length, p.passive_fiber_strain[i])
        velocity = (np.sinh(np.clip(((force(t, x) * length / x - passive) / active - d4) / d1, -50, 50)) - d3) / d2
        return velocity * fastest * length / x

    def still(x):  # where tension does not change
        return rate(0.0, x) - velocity(0.0)[i] / optimal

    start = brentq(lambda x: float(still(np.float64(x))), 0.5, 0.95, xtol=1e-14)
    solution = solve_ivp(rate, (0, time[-1]), [start], "Radau", time, rtol=1e-9, atol=1e-11)
    return np.array([force(t, x) for t, x in zip(time, solution.y[0], strict=True)])


@pytest.mark.slow
def test_steps_are_of_second_order_and_2_ms_hold_on_stiff_tendons():
    """Tendons 0.5 to 10 times as long as the fibers, 3.3 and 4.9 % of strain, against Radau on the other form of the
    equations: below 0.5 % of F0 at 2 ms, and a fourth of the error at half the step.

    The first step does not know how the fibers' velocity changes, and is of first order: it shows where a tendon is
    short, for some steps.
    """
    p = make_parameters(4, seed=3)
    ratio, strain = np.array([0.5, 3.0, 5.0, 10.0]), np.array([0.049, 0.049, 0.049, 0.033])
    p = dataclasses.replace(p, tendon_slack_length=ratio * p.optimal_fiber_length, tendon_strain=strain)
    law, moving, errors = CompliantTendon(), moved(p), []
    finest = 0.5e-3
    exact = np.stack([stiff(p, i, *moving, finest * np.arange(401)) for i in range(4)], -1)
    for every in (8, 4, 2, 1):
        time, found = course(law, p, *moving, 0.2, every * finest)
        error = np.abs(found - exact[::every])
        errors.append(error[time > 0.03].max(axis=0))
    order = np.log2(np.array(errors)[:-1] / np.array(errors)[1:])
    assert np.max(errors[1]) < 5e-3
    assert np.all(np.abs(order[-1] - 2.0) < 0.2)


# Rollouts ---------------------------------------------------------------------------------------------------


def tug_of_war(p, timestep=2e-3, integrator="RK4", damping=0.0):
    """A block of 20 kg between two muscles on a slider, 1 m apart at rest."""
    half = [p.tendon_slack_length[i] + 0.95 * p.optimal_fiber_length[i] for i in (0, 1)]
    muscles = "".join(
        f'<muscle name="m{i}" tendon="t{i}" lengthrange="{0.8 * half[i]} {1.2 * half[i]}" range="0.4 1.6" force="100"/>'
        for i in (0, 1)
    )
    xml = f"""
    <mujoco><option timestep="{timestep}" integrator="{integrator}" gravity="0 0 0"/><worldbody>
      <site name="left" pos="{-half[0]} 0 0"/><site name="right" pos="{half[1]} 0 0"/>
      <body name="block"><joint name="x" type="slide" axis="1 0 0"/><geom size=".1" mass="20"/><site name="mid"/></body>
    </worldbody><tendon>
      <spatial name="t0"><site site="left"/><site site="mid"/></spatial>
      <spatial name="t1"><site site="mid"/><site site="right"/></spatial>
    </tendon><actuator>{muscles}</actuator></mujoco>"""
    law = CompliantTendon(dg.DeGrooteFregly2016(fiber_damping=damping))
    model = model_of(mujoco.MjSpec.from_string(xml), "tug_of_war.xml", muscle=law)
    return model, eqx.tree_at(lambda q: q.muscle, model.nominal, p), half


def opensim_tug_of_war(p, half, levels, position, velocity, time, damping=0.0):
    """Position of the block and tensions, by OpenSim's own muscles and integrator."""
    model = opensim.Model()
    model.setGravity(opensim.Vec3(0))
    body = opensim.Body("block", 20.0, opensim.Vec3(0), opensim.Inertia(1, 1, 1))
    model.addBody(body)
    joint = opensim.SliderJoint("joint", model.getGround(), body)
    joint.updCoordinate().setName("x")
    model.addJoint(joint)
    controller = opensim.PrescribedController()
    for i, place in ((0, -half[0]), (1, half[1])):
        muscle = opensim_muscle(p, i, damping)
        muscle.set_ignore_activation_dynamics(True)
        muscle.addNewPathPoint("ground", model.updGround(), opensim.Vec3(place, 0, 0))
        muscle.addNewPathPoint("block", body, opensim.Vec3(0))
        model.addForce(muscle)
        controller.addActuator(muscle)
        controller.prescribeControlForActuator(f"m{i}", opensim.Constant(levels[i]))
    model.addController(controller)
    state = model.initSystem()
    coordinate = model.updCoordinateSet().get("x")
    coordinate.setValue(state, position, False)
    coordinate.setSpeedValue(state, velocity)
    model.equilibrateMuscles(state)
    manager = opensim.Manager(model)
    manager.setIntegratorAccuracy(1e-9)
    manager.initialize(state)
    rows = []
    for t in time:
        state = manager.integrate(float(t)) if t > 0 else state
        model.realizeDynamics(state)
        muscles = [opensim.DeGrooteFregly2016Muscle.safeDownCast(model.getMuscles().get(i)) for i in (0, 1)]
        rows.append([coordinate.getValue(state), *(m.getActuation(state) for m in muscles)])
    return np.array(rows)


def pulled(model, p, result):
    """Tensions of a rollout at its samples [N]."""
    h = model.timestep
    arm = np.stack([np.ones_like(result.position[:, 0]), -np.ones_like(result.position[:, 0])], -1)
    half = [p.tendon_slack_length[i] + 0.95 * p.optimal_fiber_length[i] for i in (0, 1)]
    path, speed = np.asarray(half) + arm * np.asarray(result.position), arm * np.asarray(result.velocity)
    return np.asarray(model.muscle.pull(p, result.memory, result.activation, path, speed, h, h)[0])


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1.0, 6.0])
def test_a_tug_of_war_is_opensims(ratio):
    """Half a second from a moving start, RK4 and 2 ms: tensions within 0.5 % of F0, and a tenth of that once the first
    steps are over. Without damping, which OpenSim 4.6 leaves out of the rate of tendon force (explicit mode)."""
    p, strong = make_parameters(2, seed=8), np.array([2000.0, 1500.0])
    p = dataclasses.replace(p, tendon_slack_length=ratio * p.optimal_fiber_length, max_isometric_force=strong)
    model, parameters, half = tug_of_war(p)
    levels = np.array([0.7, 0.25])
    start = State(jnp.array([0.02]), jnp.array([0.3]), jnp.asarray(levels))
    result = rollout(model, parameters, start, np.tile(levels, (250, 1)))
    theirs = opensim_tug_of_war(p, half, levels.tolist(), 0.02, 0.3, np.asarray(result.time)[::5])
    apart = np.abs(pulled(model, p, result)[::5] - theirs[:, 1:]) / p.max_isometric_force
    assert np.ptp(theirs[:, 1]) > 0.5 * p.max_isometric_force[0]
    assert apart.max() < 5e-3
    assert apart[10:].max() < 5e-4
    assert np.abs(np.asarray(result.position)[::5, 0] - theirs[:, 0]).max() < 5e-5


def test_a_rollout_goes_on_from_what_it_remembers():
    p = make_parameters(2, seed=8)
    model, parameters, _ = tug_of_war(p)
    drive, start = np.tile([0.7, 0.2], (40, 1)), initial_state(model, {"x": 0.01}, 0.3)
    whole = rollout(model, parameters, start, drive)
    k, left = 17, 40 - 17
    memory = jax.tree.map(lambda x: x[k], whole.memory)
    later = State(whole.position[k], whole.velocity[k], whole.activation[k], memory)
    rest = rollout(model, parameters, later, drive)  # as long, so that nothing is compiled again
    np.testing.assert_allclose(rest.position[: left + 1], whole.position[k:], rtol=1e-12, atol=1e-14)
    assert rest.memory.last.shape == (41, 2)
    forgetful = rollout(model, parameters, dataclasses.replace(later, memory=()), drive)
    assert np.abs(forgetful.position[: left + 1] - whole.position[k:]).max() > 1e-6


def test_a_tendon_that_hardly_yields_is_rigid(arm):
    """Force differences fall with the strain, to those of a rigid tendon; laws without a state remember nothing."""
    rigid, soft = load_model("arm", muscle="degroote"), load_model("arm", muscle="degroote-compliant")
    drive = 0.3 + 0.2 * np.sin(20 * arm.timestep * np.arange(40)[:, None] + np.arange(6))
    start, apart = initial_state(rigid, {"elbow_flex": 1.2}, 0.2), []
    reference = rollout(rigid, rigid.nominal, start, drive)
    assert reference.memory == ()
    for strain in (2e-3, 1e-3, 5e-4):
        stiffer = soft.nominal.updated({"muscle/*/tendon_strain": strain})
        apart.append(np.abs(rollout(soft, stiffer, start, drive).position - reference.position).max())
    assert apart[0] < 2e-3
    assert np.all(np.log2(np.array(apart[:-1]) / np.array(apart[1:])) > 0.8)


# Derivatives ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_derivatives_of_a_rollout_equal_central_differences():
    """By every parameter of the muscles and the initial state: forward, and reverse against it."""
    model, parameters, _ = tug_of_war(make_parameters(2, seed=8), damping=0.05)
    drive = np.tile([0.7, 0.2], (15, 1))
    at, back = jax.flatten_util.ravel_pytree(
        (jax.tree.map(jnp.asarray, parameters.muscle), jnp.array([0.01, 0.2, 0.3, 0.4]))
    )

    def motion(x):
        muscle, state = back(at * (1 + x))
        own = eqx.tree_at(lambda q: q.muscle, parameters, muscle)
        result = rollout(model, own, State(state[:1], state[1:2], state[2:]), drive)
        return jnp.concatenate([100 * result.position[:, 0], *(100 * m[-1] for m in result.memory)])

    zero = jnp.zeros_like(at)
    forward = np.asarray(jit(jax.jacfwd(motion))(zero))
    run = jit(motion)
    differences = np.stack([(run(h) - run(-h)) / 2e-6 for h in 1e-6 * np.eye(len(at))], -1)
    assert np.abs(forward).max(axis=0).min() > 1e-7  # all of them act
    np.testing.assert_allclose(forward, differences, rtol=1e-5, atol=1e-6 * np.abs(forward).max())
    weight = np.random.default_rng(0).normal(size=len(forward))
    reverse = jit(jax.grad(lambda x: motion(x) @ weight))(zero)
    np.testing.assert_allclose(reverse, weight @ forward, rtol=1e-9, atol=1e-12)


def test_second_derivatives_of_a_step_equal_central_differences():
    p, law, h = make_parameters(3, seed=4), CompliantTendon(dg.DeGrooteFregly2016(fiber_damping=0.1)), 2e-3
    path = p.tendon_slack_length + p.optimal_fiber_length
    memory = law.begin(p, np.full(3, 0.4), path, np.zeros(3), h)
    at, back = jax.flatten_util.ravel_pytree((jax.tree.map(jnp.asarray, p), *memory, jnp.full(3, 0.5), path * 1.001))

    def tension(x):
        q, last, before, activation, length = back(at * (1 + x))
        force = law.pull(q, type(memory)(last, before), activation, length, 0.0 * length, h, h)[0]
        return jnp.sum(force / p.max_isometric_force)

    def slope(x, along):
        return jax.jvp(tension, (x,), (along,))[1]

    zero, one, other = jnp.zeros_like(at), *np.random.default_rng(1).normal(size=(2, len(at)))
    second = jit(lambda a, b: jax.jvp(lambda x: slope(x, a), (zero,), (b,))[1])(one, other)
    run = jit(slope)
    difference = (run(1e-6 * other, one) - run(-1e-6 * other, one)) / 2e-6
    assert second == pytest.approx(float(difference), rel=1e-5)


@pytest.mark.parametrize(("dtype", "x64"), [(np.float32, False), (np.float64, True)])
def test_derivatives_are_finite_however_slack_or_stretched(dtype, x64):
    with jax.enable_x64(x64):
        p = jax.tree.map(lambda x: x.astype(dtype), make_parameters(2, seed=4))
        rows = np.meshgrid([-30, -1, 0, 0.1, 0.2, 0.5, 1, 1.6, 2.0], [-3, -1, 0, 1, 3], [0.0, 0.5, 1.0], indexing="ij")
        length, velocity, activation = (r.reshape(-1, 1).astype(dtype) * np.ones(2, dtype) for r in rows)
        path = p.tendon_slack_length + length * p.optimal_fiber_length
        speed = velocity * p.optimal_fiber_length * p.max_contraction_velocity
        law = CompliantTendon()

        def both(p, a, x, v):
            memory = law.begin(p, a, x, v, 2e-3)
            return law.tension(p, a, x, v), law.pull(p, memory, a, x + 2e-3 * v, v, 2e-3, 1e-3)[0]

        ones = jax.tree.map(jnp.ones_like, (p, activation, path, speed))
        value, slope = jit(lambda *x: jax.jvp(both, x, ones))(p, activation, path, speed)
        for out, by in zip(value, slope, strict=True):
            assert out.dtype == dtype
            assert jnp.isfinite(out).all()
            assert jnp.isfinite(by).all()


# Names and refusals -----------------------------------------------------------------------------------------


def test_its_constants_have_names():
    model = load_model("arm", muscle="degroote-compliant")
    assert muscle_name(model) == "degroote-compliant"
    assert muscle_constants(model) == {}
    damped = with_muscle_constants(model, {"fibers.fiber_damping": 0.1})
    assert float(damped.muscle.fibers.fiber_damping) == 0.1
    assert muscle_constants(damped) == {"fibers.fiber_damping": 0.1}
    other = load_model("arm", muscle=CompliantTendon(MujocoMuscle()))
    assert muscle_name(other) == "mujoco-compliant"
    named = load_model("arm", muscle="mujoco-compliant")  # with the curves of the file
    np.testing.assert_array_equal(named.muscle.fibers.lmax, named.host.mj_model.actuator_gainprm[:, 5])
    assert muscle_constants(named) == {}
    assert set(muscle_constants(other)) == {"fibers.lmin", "fibers.lmax", "fibers.fvmax", "fibers.tausmooth"}
    with pytest.raises(ValueError, match="choose a law without a tendon"):
        CompliantTendon(CompliantTendon())


def test_what_has_no_tendon_is_refused():
    xml = """
    <mujoco><worldbody><site name="a"/><body pos="0.3 0 0"><joint name="x" type="slide"/><geom size=".1" mass="1"/>
      <site name="b"/></body></worldbody><tendon><spatial name="t"><site site="a"/><site site="b"/></spatial></tendon>
    <actuator><muscle name="biceps" tendon="t" lengthrange="0.2 0.4" range="0.75 1.05" force="1"/></actuator></mujoco>
    """
    with pytest.raises(InputError, match=r"muscle 'biceps' has a tendon slack length of -0\.3"):
        model_of(mujoco.MjSpec.from_string(xml), "finger.xml", muscle="degroote-compliant")
