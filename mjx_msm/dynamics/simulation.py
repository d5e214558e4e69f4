"""From excitation to motion: activation dynamics, one step, a rollout, many segments at once.

A step is MuJoCo's own, of the integrator that the model's MJCF names (`mjx_msm.dynamics.integrator`), with
accelerations from

    M q̈ = τ_passive − bias + Rᵀ F + τ_applied

assembled here so that derivatives are cheap; C MuJoCo on the personalised model comes to the same trajectory. R holds
the moment arms −∂L/∂q, F the tensions. Models without contacts and equalities need no constraint solver, so forward
and reverse mode are both exact. Held (prescribed or locked) coordinates have a known acceleration; the free ones are
solved with their inertial coupling to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.common.compiled import jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.engine import AbstractEngine, Trajectory
from mjx_msm.dynamics.fatigue import Compartments, Fatigue, tiring
from mjx_msm.dynamics.geometry import Geometry, geometry, input_force
from mjx_msm.dynamics.integrator import integrator_of
from mjx_msm.dynamics.kinematics import Motion, Screw
from mjx_msm.dynamics.mjx_engine import MjxEngine
from mjx_msm.dynamics.paths import Paths, paths
from mjx_msm.dynamics.vectors import Component, Vector, add, array_of
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import Memory, MuscleParameters
from mjx_msm.person.obstacles import TREE
from mjx_msm.person.parameters import BodyParameters, Parameters


class State(eqx.Module):
    """Mechanical and activation state at one instant."""

    position: Float[Array, "*batch coordinate"]
    """[rad or m], every coordinate of the model."""
    velocity: Float[Array, "*batch coordinate"]
    """[rad/s or m/s]."""
    activation: Float[Array, "*batch muscle"]
    """0..1."""
    memory: Memory = ()
    """What the muscle law remembers of the steps before, as `Rollout.memory` has it; empty: of a law without a state of
    its own, or of muscles that begin where their tension does not change."""


class Mechanics(eqx.Module):
    """What the equations of motion need at one (q, q̇); independent of muscle parameters."""

    mass_matrix: Float[Array, "coordinate coordinate"]
    """[kg·m²], joint and tendon armature included."""
    passive: Float[Array, "coordinate"]
    """Joint springs and dampers, stops [N·m]."""
    bias: Float[Array, "coordinate"]
    """Coriolis, centrifugal and gravitational terms [N·m]."""
    path_length: Float[Array, "muscle"]
    """[m]."""
    moment_arm: Float[Array, "muscle coordinate"]
    """−∂L/∂q [m]: positive where tension drives the coordinate up."""


class Rollout(eqx.Module):
    """A simulated motion. After a failure the last finite state is repeated; it never holds NaN."""

    time: Float[Array, "step_plus_1"]
    """[s], from 0."""
    position: Float[Array, "*batch step_plus_1 coordinate"]
    velocity: Float[Array, "*batch step_plus_1 coordinate"]
    activation: Float[Array, "*batch step_plus_1 muscle"]
    failed_step: Int[Array, "*batch"]
    """First step whose result was not finite, -1 if none."""
    failed_coordinate: Int[Array, "*batch"]
    """Index of the coordinate that was not finite there, -1 if none."""
    coordinates: tuple[str, ...] = eqx.field(static=True)
    compartments: Compartments | None = None
    """Of the muscles in the end, where they tire."""
    memory: Memory = ()
    """What the muscle law remembered before every sample, to go on from there; empty for a law without a state."""

    @property
    def ok(self) -> bool:
        """Whether every step was finite."""
        return bool(jnp.all(self.failed_step < 0))

    def failure(self) -> str | None:
        """The failure of a single rollout in words, None if there is none."""
        step = int(self.failed_step)
        if step < 0:
            return None
        name = self.coordinates[int(self.failed_coordinate)]
        return f"step {step} (t = {float(self.time[step]):.4g} s): coordinate '{name}' is not finite"


# Mechanics -------------------------------------------------------------------------------------------------


def spatial_inertia(body: BodyParameters) -> Float[Array, "body 10"]:
    """What the equations of motion are linear in: mass, first and second moment of mass about a body's origin.

    (m, m·c, Ixx, Iyy, Izz, Ixy, Ixz, Iyz) with I the rotational inertia about the origin of the body's frame.
    """
    mass, com, inertia = (jnp.asarray(x) for x in (body.mass, body.com, body.inertia))
    square = jnp.sum(com**2, -1, keepdims=True)
    own = jnp.concatenate([square - com**2, -com[:, jnp.array([0, 0, 1])] * com[:, jnp.array([1, 2, 2])]], -1)
    return jnp.concatenate([mass[:, None], mass[:, None] * com, inertia + mass[:, None] * own], -1)


def momentum(inertia: Any, motion: Screw) -> Screw:
    """Moment about the body's origin and force that a spatial inertia (10,) gives to an acceleration or a velocity."""
    m, *rest = inertia
    first, (xx, yy, zz, xy, xz, yz), turn = Vector(*rest[:3]), rest[3:], motion.angular
    rows = (Vector(xx, xy, xz), Vector(xy, yy, yz), Vector(xz, yz, zz))
    spin = Vector(*(row.dot(turn) for row in rows))
    return Screw(spin.plus(first.cross(motion.linear)), motion.linear.times(m).plus(turn.cross(first)))


def wrench(inertia: Any, acceleration: Screw, velocity: Screw) -> Screw:
    """Newton–Euler: moment and force that move a body, I·A + V ×* I·V. Linear in the inertia (10,)."""
    push, carried = momentum(inertia, acceleration), momentum(inertia, velocity)
    moment = velocity.angular.cross(carried.angular).plus(velocity.linear.cross(carried.linear))
    return push.plus(Screw(moment, velocity.angular.cross(carried.linear)))


def inertial_force(
    inertia: Float[Array, "body 10"], bodies: Sequence[Motion], acceleration: Any, count: int
) -> list[Component]:
    """Generalised forces that move the bodies at these accelerations of the `count` coordinates [N·m]."""
    force: list[Component] = [0.0] * count
    for own, body in zip(inertia, bodies, strict=True):
        push = wrench(own, body.acceleration(acceleration), body.velocity)
        for j, column in body.columns.items():
            force[j] = add(force[j], column.pairing(push))
    return force


def mechanics(
    model: Model,
    parameters: Parameters,
    inertia: Float[Array, "body 10"],
    shape: Geometry,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
) -> Mechanics:
    """Equations-of-motion terms from the geometry at one state.

    **Arguments:** `inertia`: `spatial_inertia` of the parameters, so that a scan does not repeat it every step.
    """
    count = velocity.shape[0]
    mass: list[list[Component]] = [[0.0] * count for _ in range(count)]
    for own, body in zip(inertia, shape.bodies, strict=True):
        for j, column in body.columns.items():
            push = momentum(own, column)
            for i, other in body.columns.items():
                if i <= j:
                    mass[i][j] = add(mass[i][j], other.pairing(push))
    mass_matrix = shape.armature + array_of([[mass[min(i, j)][max(i, j)] for j in range(count)] for i in range(count)])
    bias = array_of(inertial_force(inertia, shape.bodies, [0.0] * count, count))
    passive = passive_force(model, parameters, shape, position, velocity)
    return Mechanics(mass_matrix, passive, bias, shape.path_length, shape.moment_arm)


def passive_force(
    model: Model,
    parameters: Parameters,
    shape: Geometry,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
) -> Float[Array, "coordinate"]:
    """Generalised force of stops, joint springs and dampers, and passive curves [N·m]."""
    stretch = position - jnp.asarray(model.host.spring_position, dtype=position.dtype)
    joint = jnp.asarray(parameters.joint.stiffness) * stretch + jnp.asarray(parameters.joint.damping) * velocity
    return shape.stops - joint + passive_moments(model, parameters, position)


def passive_moments(
    model: Model, parameters: Parameters, position: Float[Array, "coordinate"]
) -> Float[Array, "coordinate"]:
    """What passive curves do to the coordinates [N·m]."""
    out = jnp.zeros_like(position)
    for curve in model.host.passive:
        tension = curve.stretches(position, jnp) @ curve.of(parameters.joint, jnp)
        out = out - tension * curve.along
    return out


def muscle_tension(
    model: Model,
    parameters: Parameters,
    terms: Mechanics,
    velocity: Float[Array, "coordinate"],
    activation: Float[Array, "muscle"],
) -> Float[Array, "muscle"]:
    """Tension of every muscle at a state [N]."""
    return model.muscle.tension(parameters.muscle, activation, terms.path_length, -terms.moment_arm @ velocity)


def muscle_pull(
    model: Model,
    parameters: Parameters,
    terms: Mechanics,
    velocity: Float[Array, "coordinate"],
    activation: Float[Array, "muscle"],
    memory: Memory,
    elapsed: Float[Array, ""],
) -> tuple[Float[Array, "muscle"], Memory]:
    """Tension of every muscle `elapsed` [s] after what its law remembers [N], and what to remember then."""
    return model.muscle.pull(
        parameters.muscle, memory, activation, terms.path_length, -terms.moment_arm @ velocity, model.timestep, elapsed
    )


def activate(
    model: Model,
    parameters: Parameters,
    initial: Float[Array, "muscle"],
    excitation: Float[Array, "step_plus_1 muscle"],
) -> tuple[Float[Array, "step_plus_1 muscle"], Float[Array, "step stage muscle"]]:
    """Activation at every sample of the excitation, and at the stages of every step between them.

    It depends on excitation alone, so it is computed ahead of the motion.
    """

    def step(a: Array, drive: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        stages, a = activation_step(model, parameters.muscle, a, *drive)
        return a, (a, stages)

    initial = jnp.asarray(initial) + jnp.zeros_like(parameters.muscle.activation_time_constant)
    excitation = jnp.asarray(excitation)
    _, (later, stages) = jax.lax.scan(step, initial, (excitation[:-1], excitation[1:]))
    return jnp.concatenate([initial[None], later]), stages


def activation_step(
    model: Model,
    law: MuscleParameters,
    before: Float[Array, "*batch muscle"],
    start: Float[Array, "*batch muscle"],
    end: Float[Array, "*batch muscle"],
) -> tuple[Float[Array, "*batch stage muscle"], Float[Array, "*batch muscle"]]:
    """Activation at the stages of a step and after it, excitation going from `start` to `end`: muscle by muscle."""
    stages, after = integrator_of(model).activation(
        lambda u, a: model.muscle.activation_rate(law, u, a), model.timestep, before, start, end
    )
    return jnp.stack(stages, -2), after


def solve_acceleration(
    model: Model,
    parameters: Parameters,
    terms: Mechanics,
    force: Float[Array, "coordinate"],
    held_acceleration: Float[Array, "held"],
) -> Float[Array, "free"]:
    """Accelerations of the free coordinates under a generalised force, as MuJoCo's step takes them [rad/s²].

    Euler's damping is implicit, (M + h·D) q̈ = force; the held coordinates' inertial coupling goes to the right-hand
    side.
    """
    free, held = model.host.free_index, model.host.held_index
    right = force[free] - terms.mass_matrix[np.ix_(free, held)] @ held_acceleration
    return free_response(model, parameters, terms, right)


def free_response(
    model: Model, parameters: Parameters, terms: Mechanics, force: Float[Array, "free *column"]
) -> Float[Array, "free *column"]:
    """M⁻¹ times generalised forces of the free coordinates, for Euler (M + h·D)⁻¹; held ones do not move."""
    free = model.host.free_index
    ahead, matrix = integrator_of(model).damped_ahead(model.timestep), terms.mass_matrix[np.ix_(free, free)]
    if ahead:
        matrix = matrix + ahead * jnp.diag(jnp.asarray(parameters.joint.damping)[free])
    return _solve(matrix, force)


def generalised_force(terms: Mechanics, tension: Float[Array, "muscle"]) -> Float[Array, "coordinate"]:
    """Passive, gravitational and velocity-dependent forces and the muscles' moments [N·m]."""
    return terms.passive - terms.bias + terms.moment_arm.T @ tension


def _solve(matrix: Float[Array, "n n"], right: Float[Array, "n *column"]) -> Float[Array, "n *column"]:
    """Symmetric positive definite solve, unrolled: a LAPACK call per lane would keep XLA from fusing the step."""
    n = right.shape[0]
    lower: list[list[Any]] = [[None] * n for _ in range(n)]
    for j in range(n):
        lower[j][j] = jnp.sqrt(matrix[j, j] - sum(lower[j][k] ** 2 for k in range(j)))
        for i in range(j + 1, n):
            lower[i][j] = (matrix[i, j] - sum(lower[i][k] * lower[j][k] for k in range(j))) / lower[j][j]
    y: list[Any] = []
    for i in range(n):
        y.append((right[i] - sum(lower[i][k] * y[k] for k in range(i))) / lower[i][i])
    x: list[Any] = [None] * n
    for i in reversed(range(n)):
        x[i] = (y[i] - sum(lower[k][i] * x[k] for k in range(i + 1, n))) / lower[i][i]
    return jnp.stack(x) if n else right


def simulate_motion(
    model: Model,
    parameters: Parameters,
    position: Float[Array, "*lane coordinate"],
    velocity: Float[Array, "*lane coordinate"],
    activation: Float[Array, "*lane step stage muscle"],
    held: Float[Array, "*lane step stage held"],
    applied: Float[Array, "*lane step coordinate"] | None = None,
    memory: Memory = (),
) -> tuple[
    Float[Array, "*lane step_plus_1 coordinate"],
    Float[Array, "*lane step_plus_1 coordinate"],
    Int[Array, "*lane"],
    Int[Array, "*lane"],
    Memory,
]:
    """Motion under known activation; the un-jitted core that rollouts, segments and sensitivities share.

    Lanes are motions side by side. They are best given as an array, not by `jax.vmap`, as
    `mjx_msm.dynamics.paths` says.

    **Arguments:**

    - `position`, `velocity`: the initial state, held coordinates on their course.
    - `activation`: at the stages of every step, as `activate` gives it.
    - `held`: accelerations of the held coordinates (prescribed and locked, in coordinate order), as
      `AbstractIntegrator.held` gives them.
    - `applied`: additional generalised forces during every step [N·m].
    - `memory`: what the muscle law remembers; empty: muscles begin where their tension does not change.

    **Returns:** positions, velocities, first failed step and coordinate (-1 if none), and what the muscle law
    remembers before every sample.
    """
    inertia = spatial_inertia(parameters.body)
    h, free_index, held_index = model.timestep, model.host.free_index, model.host.held_index
    integrator = integrator_of(model)
    position, velocity, activation, held = (jnp.asarray(x) for x in (position, velocity, activation, held))
    lanes, count = position.shape[:-1], activation.shape[-3]
    if applied is None:
        applied = jnp.zeros((*lanes, count, len(model.coordinates)))

    def equations(
        q: Array, v: Array, along: Paths, a: Array, before: Memory, elapsed: Array, known: Array, force: Array
    ) -> tuple[Array, Memory]:
        terms = mechanics(model, parameters, inertia, geometry(model, q, v, along), q, v)
        tension, after = muscle_pull(model, parameters, terms, v, a, before, elapsed)
        total = generalised_force(terms, tension) + force
        free = solve_acceleration(model, parameters, terms, total, known)
        return jnp.zeros_like(total).at[free_index].set(free).at[held_index].set(known), after

    for _ in lanes:
        equations = jax.vmap(equations, in_axes=(0, 0, 0, 0, 0, None, 0, 0))

    def stage(carry: Any, inputs: Any) -> tuple[Any, Any]:
        q, v, *within, before, failed_step, failed_coordinate = carry
        k, which, elapsed, a, known, force = inputs

        def accelerate(q: Array, v: Array) -> tuple[Array, Memory]:
            return equations(q, v, paths(model, q), a, before, elapsed, known, force)

        (next_q, next_v, *within), after = integrator.stage(accelerate, h, (q, v, *within), which)
        finite = jnp.isfinite(next_q) & jnp.isfinite(next_v)
        fails = (failed_step < 0) & ~jnp.all(finite, -1)
        failed_coordinate = jnp.where(fails, jnp.argmin(finite, -1), failed_coordinate)
        failed_step = jnp.where(fails, k, failed_step)
        good = (failed_step < 0)[..., None]
        q, v = jnp.where(good, next_q, q), jnp.where(good, next_v, v)
        now = good & (which == 0)  # the only stage that is at a sample of the motion
        before = jax.tree.map(lambda new, old: jnp.where(now, new, old), after, before)
        return (q, v, *within, before, failed_step, failed_coordinate), (q, v, before)

    none = jnp.full(lanes, -1)
    start_q, start_v = position + jnp.zeros(()), velocity + jnp.zeros(())
    known = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(parameters)]))
    finite = jnp.isfinite(start_q) & jnp.isfinite(start_v) & known
    good = jnp.all(finite, -1)
    start_q, start_v = jnp.where(finite, start_q, 0), jnp.where(finite, start_v, 0)
    failed = jnp.where(good, none, 0), jnp.where(good, none, jnp.argmin(finite, -1))
    # one loop over all stages: a loop in a loop takes half as long again, copies of the equations take long to compile
    stages = integrator.stages
    in_time = (
        jnp.moveaxis(x, (-3, -2), (0, 1)).reshape(count * stages, *lanes, x.shape[-1]) for x in (activation, held)
    )
    forces = jnp.repeat(jnp.moveaxis(applied, -2, 0), stages, axis=0)
    # what is remembered before a step is of its predecessor, and then of its own first stage
    elapsed = jnp.asarray([h if k == 0 else h * reach for k, reach in enumerate(integrator.reach)], start_q.dtype)
    which = (jnp.repeat(jnp.arange(count), stages), jnp.tile(jnp.arange(stages), count), jnp.tile(elapsed, count))
    if model.muscle.remembers and not jax.tree.leaves(memory):
        first = activation[..., 0, 0, :] if count else jnp.zeros((*lanes, len(model.muscles)))
        memory = first_memory(model, parameters, start_q, start_v, first)
    (*_, failed_step, failed_coordinate), after = jax.lax.scan(
        stage, (*integrator.begin(start_q, start_v), memory, *failed), (*which, *in_time, forces)
    )
    q, v, memory = jax.tree.map(
        lambda first, later: jnp.moveaxis(jnp.concatenate([first[None], later[stages - 1 :: stages]]), 0, -2),
        (start_q, start_v, memory),
        after,
    )
    return q, v, failed_step, failed_coordinate, memory


def first_memory(
    model: Model,
    parameters: Parameters,
    position: Float[Array, "*lane coordinate"],
    velocity: Float[Array, "*lane coordinate"],
    activation: Float[Array, "*lane muscle"],
) -> Memory:
    """What the muscle law remembers of muscles that begin where their tension does not change."""

    def one(q: Array, v: Array, along: Paths, a: Array) -> Memory:
        shape = geometry(model, q, v, along)
        speed = -shape.moment_arm @ v
        return model.muscle.begin(parameters.muscle, a, shape.path_length, speed, model.timestep)

    for _ in position.shape[:-1]:
        one = jax.vmap(one)
    return one(position, velocity, paths(model, position), activation)


def held_positions(
    model: Model, prescribed: Float[Any, "sample prescribed"] | None, samples: int
) -> Float[Array, "sample held"]:
    """Positions of all held coordinates: the prescribed ones as given, the locked ones constant."""
    if model.prescribed and prescribed is None:
        raise InputError(
            f"coordinates {', '.join(model.prescribed)} are prescribed; "
            "pass their positions as `prescribed` (steps + 1 samples)"
        )
    if prescribed is not None and prescribed.shape != (samples, len(model.prescribed)):
        raise InputError(
            f"`prescribed` has shape {prescribed.shape}, expected ({samples}, {len(model.prescribed)}) "
            f"for {', '.join(model.prescribed) or 'no coordinates'}"
        )
    columns = []
    for i in model.host.held_index:
        name = model.coordinates[i]
        if name in model.host.locked:
            columns.append(jnp.full(samples, model.host.locked[name]))
        else:
            columns.append(jnp.asarray(prescribed)[:, model.prescribed.index(name)])
    return jnp.stack(columns, -1) if columns else jnp.zeros((samples, 0))


def initial_state(model: Model, position: dict[str, float] | None = None, activation: float = 0.0) -> State:
    """A resting state.

    **Arguments:** `position`: coordinate to its value [rad]; others start at the model's reference (locked ones at
    their locked value). `activation`: of every muscle.
    """
    q = model.host.reference.copy()
    for name, value in {**model.host.locked, **(position or {})}.items():
        if name not in model.coordinates:
            raise InputError(f"coordinate '{name}' is not in the model; it has {', '.join(model.coordinates)}")
        q[model.coordinates.index(name)] = value
    return State(jnp.asarray(q), jnp.zeros(model.host.dofs), jnp.full(len(model.muscles), activation))


def _expect(name: str, array: Any, shape: tuple[int, ...]) -> None:
    if array is not None and array.shape != shape:
        raise InputError(f"`{name}` has shape {array.shape}, expected {shape}")


def _last_finite(x: Float[Array, "sample n"]) -> Float[Array, "sample n"]:
    """x with samples that are not finite replaced by the last finite one, or 0 where there is none."""
    finite = jnp.all(jnp.isfinite(x), axis=-1)
    last = jax.lax.cummax(jnp.where(finite, jnp.arange(x.shape[0]), 0))
    return jnp.where(jnp.isfinite(x[last]), x[last], 0)


class TreeEngine(AbstractEngine):
    """This file's equations, for trees of hinges and slides."""

    name: ClassVar[str] = TREE
    reverse: ClassVar[bool] = True

    def motion(
        self,
        model: Model,
        parameters: Parameters,
        position: Array,
        velocity: Array,
        activation: Array,
        excitation: Array,
        held: Array,
        applied: Array | None,
        capacity: Array | None = None,
        memory: Memory = (),
    ) -> Trajectory:
        index, alone = model.host.held_index, position.ndim == 1
        held_velocity, held_acceleration = integrator_of(model).held(held, model.timestep)
        follow = activate if alone else jax.vmap(activate, in_axes=(None, None, 0, 0))
        every, stages = follow(model, parameters, activation, excitation)
        stages = stages if capacity is None else stages * capacity[..., None, :]
        q, v, failed_step, failed_coordinate, memory = simulate_motion(
            model,
            parameters,
            position.at[..., index].set(held[..., 0, :]),
            velocity.at[..., index].set(held_velocity[..., 0, :]),
            stages,
            held_acceleration,
            applied,
            memory,
        )
        return Trajectory(q, v, _last_finite(every) if alone else every, failed_step, failed_coordinate, memory)


_ENGINES = {engine.name: engine for engine in (TreeEngine(), MjxEngine())}


def engine_of(model: Model) -> AbstractEngine:
    """What steps a model."""
    return _ENGINES[model.host.engine]


@jit
def rollout(
    model: Model,
    parameters: Parameters,
    initial_state: State,
    excitation: Float[Array, "step muscle"],
    *,
    prescribed: Float[Array, "step_plus_1 prescribed"] | None = None,
    applied: Float[Array, "step coordinate"] | None = None,
    inputs: Float[Array, "step input"] | None = None,
    fatigue: Fatigue | None = None,
    compartments: Compartments | None = None,
) -> Rollout:
    """Simulate one motion from excitations, at the model's timestep. Pure: jit, vmap, jvp and grad all apply.

    A lane that fails (`Rollout.failed_step`) has no reverse-mode gradient: it is NaN. Wrap a gradient in
    `mjx_msm.common.compiled.jit`, which compiles it in a fraction of the time that `jax.jit` takes on a CPU.

    **Arguments:**

    - `initial_state`: see `initial_state`; held coordinates start where they are held.
    - `excitation`: of every muscle at the start of every step, 0..1: a curve, linear in between and constant in the
      last step. Euler looks at the start of a step only.
    - `prescribed`: positions of the prescribed coordinates at every sample [rad]; under RK4 they follow the cubic
      spline through these.
    - `applied`: additional generalised forces during every step [N·m].
    - `inputs`: controls of the file's motors and servos (`model.host.inputs`) during every step; None: zero.
    - `fatigue`: muscles tire, as `mjx_msm.dynamics.fatigue` says: their active force is their capacity, of the start of
      every step, times what activation says. `compartments`: how tired they are to begin with; None: rested.

    **Raises:** `InputError` if a shape does not fit the model, or it is stepped by MJX and muscles are to tire.
    """
    excitation = jnp.asarray(excitation)
    steps = excitation.shape[0]
    if excitation.shape[1:] != (len(model.muscles),):
        raise InputError(
            f"`excitation` has shape {excitation.shape}, expected (steps, {len(model.muscles)}) "
            f"for muscles {', '.join(model.muscles)}"
        )
    held = held_positions(model, prescribed, steps + 1)
    names, own = parameters.names, model.nominal.names
    if (names.muscle, names.body, names.joint) != (own.muscle, own.body, own.joint):
        raise InputError("`parameters` belong to another model: their muscles, bodies or joints differ")
    _expect("initial_state.position", initial_state.position, (len(model.coordinates),))
    _expect("initial_state.velocity", initial_state.velocity, (model.host.dofs,))
    _expect("initial_state.activation", initial_state.activation, (len(model.muscles),))
    _expect("applied", applied, (steps, model.host.dofs))
    _expect("inputs", inputs, (steps, len(model.host.inputs)))
    if inputs is not None:
        added = input_force(model, jnp.asarray(inputs))
        applied = added if applied is None else jnp.asarray(applied) + added
    samples = jnp.concatenate([excitation, excitation[-1:]])
    q, v, a = (jnp.asarray(x) for x in (initial_state.position, initial_state.velocity, initial_state.activation))
    memory = initial_state.memory
    if fatigue is None:
        moved = engine_of(model).motion(model, parameters, q, v, a, samples, held, applied, memory=memory)
        return _as_rollout(model, moved)
    model.host.only_tree("fatigue")
    start = Compartments.fresh(len(model.muscles)) if compartments is None else compartments
    capacity, tired = tiring(fatigue, start, activate(model, parameters, a, samples)[0][:-1], model.timestep)
    moved = engine_of(model).motion(model, parameters, q, v, a, samples, held, applied, capacity[:-1], memory)
    return eqx.tree_at(lambda r: r.compartments, _as_rollout(model, moved), tired, is_leaf=lambda x: x is None)


@jit
def rollout_segments(
    model: Model,
    parameters: Parameters,
    position: Float[Array, "segment coordinate"],
    velocity: Float[Array, "segment coordinate"],
    activation: Float[Array, "segment muscle"],
    excitation: Float[Array, "segment step_plus_1 muscle"],
    *,
    prescribed: Float[Array, "segment step_plus_1 prescribed"] | None = None,
    applied: Float[Array, "segment step coordinate"] | None = None,
) -> Rollout:
    """Many short motions side by side: each segment is a lane.

    **Arguments:** as `rollout`, with a leading segment axis, but for the excitation, which is also given at the end of
    the last step: a recording cut into segments goes on there.
    """
    if excitation.ndim != 3 or excitation.shape[2] != len(model.muscles):
        raise InputError(
            f"`excitation` has shape {excitation.shape}, expected (segments, steps + 1, {len(model.muscles)})"
            f" for muscles {', '.join(model.muscles)}"
        )
    segments, steps = excitation.shape[0], excitation.shape[1] - 1
    _expect("position", position, (segments, len(model.coordinates)))
    _expect("velocity", velocity, (segments, model.host.dofs))
    _expect("activation", activation, (segments, len(model.muscles)))
    _expect("applied", applied, (segments, steps, model.host.dofs))
    if prescribed is None:
        held = jnp.broadcast_to(
            held_positions(model, None, steps + 1), (segments, steps + 1, len(model.host.held_index))
        )
    else:
        held = jax.vmap(lambda p: held_positions(model, p, steps + 1))(jnp.asarray(prescribed))
    q, v, a, u = (jnp.asarray(x) for x in (position, velocity, activation, excitation))
    return _as_rollout(model, engine_of(model).motion(model, parameters, q, v, a, u, held, applied))


def _as_rollout(model: Model, moved: Trajectory) -> Rollout:
    time = model.timestep * jnp.arange(moved.position.shape[-2])
    q, v, a, failed_step, failed_coordinate, memory = moved
    return Rollout(time, q, v, a, failed_step, failed_coordinate, model.coordinates, memory=memory)
