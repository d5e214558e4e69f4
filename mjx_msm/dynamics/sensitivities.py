"""How accelerations, moments and motions depend on state and parameters, piece by piece.

A Jacobian need not carry one tangent per parameter through the equations of motion

    M(π) q̈ + b(π) = Rᵀ F(θ) + τ(q, q̇),        π: inertias, θ: muscles.

No parameter moves a path or a body frame, so at a given state R and the bodies' Jacobians are constants; F depends
on each muscle's own parameters only, and M q̈ + b is linear in the spatial inertias. All parameter columns are therefore
products of small closed-form factors:

    ∂q̈/∂z = (M + h·D)⁻¹ [ Rᵀ ∂F/∂z − Y(q, q̇, q̈) ∂π/∂z ],        Y: the inertial regressor.

Only the state needs tangents, two per free coordinate. All instants are independent of each other and are linearised
side by side; a motion's Jacobian follows from the small linear variational equation

    δq̈(t) = A(t) (δq, δq̇) + B(t) δz

that RK4 takes over the same steps (`chain`), with A and B at the start, in the middle and at the end of every step: two
evaluations a step, not four, since the middle of the motion itself (`with_middles`) stands for both stages there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.common.compiled import jit
from mjx_msm.dynamics.activation_sensitivities import TIME_CONSTANTS, Pairs
from mjx_msm.dynamics.geometry import Geometry, geometry, moment_arms, tendon_forces
from mjx_msm.dynamics.integrator import RK4, integrator_of
from mjx_msm.dynamics.kinematics import motions, tree_of
from mjx_msm.dynamics.paths import Paths, paths_and_curvature
from mjx_msm.dynamics.simulation import (
    Mechanics,
    free_response,
    generalised_force,
    inertial_force,
    mechanics,
    muscle_tension,
    passive_moments,
    solve_acceleration,
    spatial_inertia,
    wrench,
)
from mjx_msm.dynamics.vectors import Component, array_of
from mjx_msm.person.kinds import KINDS
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray, MuscleParameters
from mjx_msm.person.parameters import JointParameters, Parameters
from mjx_msm.person.passive_curves import fields_of
from mjx_msm.person.space import ParameterSpace


def entries_of(space: ParameterSpace, *groups: str) -> Int[np.ndarray, "entry"]:
    """Entries of z that belong to these parameter groups."""
    return np.array(sorted({k for s, k in zip(space.scalars, space.owner, strict=True) if s.group in groups}), int)


def forward_jacobian(function: Any, at: Float[Array, "entry"]) -> tuple[Array, Array]:
    """Value and forward-mode Jacobian in one pass, the derivative's axis last."""
    return jax.vmap(lambda t: jax.jvp(function, (at,), (t,)), out_axes=(None, -1))(jnp.eye(at.shape[0]))


def slope_by_field(
    function: Callable[[MuscleParameters], Float[Array, "*lead muscle"]], law: MuscleParameters, field: str
) -> Float[Array, "*lead muscle"]:
    """Derivative of what every muscle does by its own entry of z for one field: one tangent for all muscles."""
    value = jnp.asarray(getattr(law, field))
    inner = value if KINDS["muscle", field].transform == "log" else jnp.ones_like(value)
    return jax.jvp(lambda x: function(eqx.tree_at(lambda p: getattr(p, field), law, x)), (value,), (inner,))[1]


# Forces ----------------------------------------------------------------------------------------------------


class Factors(eqx.Module):
    """What parameters are to the equations of motion at one z; common to all instants."""

    parameters: Parameters
    inertia: Float[Array, "body 10"]
    inertia_by_entry: Float[Array, "body 10 entry"]
    """∂π/∂z of the bodies' entries."""


@jit
def factors(space: ParameterSpace, z: Float[AnyArray, "free"]) -> Factors:
    """Evaluate once per z what no instant changes."""
    z, entries = jnp.asarray(z), entries_of(space, "body")
    parameters = space.unpack(z)
    inertia = spatial_inertia(parameters.body)
    if not len(entries):
        return Factors(parameters, inertia, jnp.zeros((*inertia.shape, 0)))
    slope = forward_jacobian(lambda x: spatial_inertia(space.unpack(z.at[entries].set(x)).body), z[entries])[1]
    return Factors(parameters, inertia, slope)


class Columns(NamedTuple):
    """Derivatives of generalised forces, by pairs of the entry they belong to: most entries have one only."""

    entry: list[int]
    value: list[Float[Array, "free pair"]]


NOTHING = Columns([], [])


def muscle_columns(
    model: Model,
    space: ParameterSpace,
    parameters: Parameters,
    pairs: Pairs,
    shape: Geometry,
    activation: Float[Array, "muscle"],
    activation_by_pair: Float[Array, "pair"],
    path_velocity: Float[Array, "muscle"],
) -> Columns:
    """∂(Rᵀ F)/∂z at a fixed state [N·m]: one elementwise tangent per field, however many muscles there are."""
    out, path_length = Columns([], []), shape.path_length
    moment_arm = shape.moment_arm[:, model.host.free_index]
    by_field: dict[str, list[tuple[int, int]]] = {}
    for s, entry in zip(space.scalars, space.owner, strict=True):
        if s.group == "muscle" and s.field not in TIME_CONSTANTS:
            by_field.setdefault(s.field, []).append((s.index[0], entry))
    for field, members in by_field.items():
        slope = slope_by_field(
            lambda law: model.muscle.tension(law, activation, path_length, path_velocity), parameters.muscle, field
        )
        muscle, entry = zip(*members, strict=True)
        out.entry.extend(entry)
        out.value.append((moment_arm * slope[:, None])[np.array(muscle)].T)
    if pairs:
        slope = jax.jvp(
            lambda a: model.muscle.tension(parameters.muscle, a, path_length, path_velocity),
            (activation,),
            (jnp.ones_like(activation),),
        )[1]
        muscle, entry = zip(*pairs, strict=True)
        out.entry.extend(entry)
        out.value.append((moment_arm * slope[:, None])[np.array(muscle)].T * activation_by_pair)
    return out


def inertial_columns(model: Model, space: ParameterSpace, at: Factors, shape: Geometry, acceleration: Any) -> Columns:
    """∂(M q̈ + b)/∂z at a known motion: the inertial regressor times ∂π/∂z [N·m]."""
    entries, free = entries_of(space, "body"), model.host.free_index
    if not len(entries):
        return NOTHING
    rows: list[list[Component]] = [[] for _ in free]
    for body in shape.bodies:
        moved = body.acceleration(acceleration)
        for unit in np.eye(10):
            push = wrench(unit.tolist(), moved, body.velocity)
            for row, j in zip(rows, free, strict=True):
                row.append(body.columns[j].pairing(push) if j in body.columns else 0.0)
    return Columns(entries.tolist(), [array_of(rows) @ at.inertia_by_entry.reshape(-1, len(entries))])


def joint_columns(
    model: Model,
    space: ParameterSpace,
    joint: JointParameters,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
) -> Columns:
    """∂(joint springs and dampers, passive curves)/∂z [N·m]."""
    out, free = Columns([], []), model.host.free_index
    effect = {"damping": -velocity, "stiffness": jnp.asarray(model.host.spring_position) - position}
    passive: dict[tuple[int, str], Array] = {}
    for curve in model.host.passive:
        moment, steepness = (jnp.asarray(getattr(joint, f))[curve.joint] for f in fields_of(curve.side))
        stretch, still = curve.stretches(position, jnp), jnp.zeros_like(moment)
        for field, by_logarithm in zip(fields_of(curve.side), ((moment, still), (still, steepness)), strict=True):
            slope = jax.jvp(lambda *x, c=curve: c.stiffness(*x, jnp), (moment, steepness), by_logarithm)[1]
            passive[curve.joint, field] = -(stretch @ slope) * curve.along
    for s, entry in zip(space.scalars, space.owner, strict=True):
        if s.group == "joint" and s.field not in effect:
            out.entry.append(entry)
            out.value.append(passive[s.index[0], s.field][free][:, None])
        elif s.group == "joint" and s.index[0] in free:
            out.entry.append(entry)
            out.value.append((effect[s.field] * np.eye(len(position))[s.index[0]])[free][:, None])
    return out


def by_entry(
    model: Model, space: ParameterSpace, plus: Sequence[Columns], minus: Columns
) -> Float[Array, "free entry"]:
    """Columns in the order of z; an entry of several pairs gets their sum."""
    parts = [v for part in plus for v in part.value] + [-v for v in minus.value]
    entry = np.array([e for part in (*plus, minus) for e in part.entry], int)
    together = jnp.concatenate([*parts, jnp.zeros((len(model.free), 1))], 1)
    pairs = [np.flatnonzero(entry == k) for k in range(space.size)]
    out = None
    for layer in range(max(1, *(len(own) for own in pairs))):
        place = np.array([own[layer] if layer < len(own) else len(entry) for own in pairs])
        value = together[:, place]
        out = value if out is None else out + value
    return jnp.asarray(out)


def tension_columns(model: Model, pairs: Pairs, shape: Geometry, tension_by_pair: Float[Array, "pair"]) -> Columns:
    """∂(Rᵀ F)/∂z at a fixed state [N·m], from what the unknowns do to the tensions."""
    muscle, entry = (list(x) for x in zip(*pairs, strict=True)) if pairs else ([], [])
    moment_arm = shape.moment_arm[:, model.host.free_index]
    return Columns(entry, [moment_arm[np.array(muscle, int)].T * tension_by_pair])


def free_acceleration(
    model: Model,
    at: Factors,
    terms: Mechanics,
    tension: Float[Array, "muscle"],
    held_acceleration: Float[Array, "held"],
) -> Float[Array, "free"]:
    """Accelerations of the free coordinates from the mechanics at one state and the muscles' tensions [rad/s²]."""
    return solve_acceleration(model, at.parameters, terms, generalised_force(terms, tension), held_acceleration)


def acceleration_columns(
    model: Model,
    space: ParameterSpace,
    at: Factors,
    muscles: Columns,
    shape: Geometry,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
    acceleration: Float[Array, "coordinate"],
) -> Float[Array, "free entry"]:
    """M ∂q̈/∂z of the free coordinates (Euler: (M + h·D) ∂q̈/∂z), where `acceleration` is what the equations of motion
    give, and `muscles` what the muscles' part of it is."""
    damped_at = velocity + integrator_of(model).damped_ahead(model.timestep) * acceleration
    joints = joint_columns(model, space, at.parameters.joint, position, damped_at)
    return by_entry(model, space, (muscles, joints), inertial_columns(model, space, at, shape, acceleration))


def activation_columns(
    model: Model,
    at: Factors,
    along: Paths,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
    activation: Float[Array, "muscle"],
) -> Float[Array, "free muscle"]:
    """∂q̈/∂a of the free coordinates: every muscle's own slope through its moment arms."""
    shape = geometry(model, position, velocity, along)
    terms = mechanics(model, at.parameters, at.inertia, shape, position, velocity)
    slope = jax.jvp(
        lambda a: muscle_tension(model, at.parameters, terms, velocity, a), (activation,), (jnp.ones_like(activation),)
    )[1]
    nothing = jnp.zeros(len(model.host.held_index))
    return jax.vmap(
        lambda c: solve_acceleration(model, at.parameters, terms, c, nothing), in_axes=1, out_axes=1
    )(terms.moment_arm.T * slope)  # fmt: skip


class Derivatives(eqx.Module):
    """Free accelerations and their derivatives at many instants."""

    acceleration: Float[Array, "instant free"]
    """[rad/s²]."""
    by_state: Float[Array, "instant free two_free"]
    """With respect to the free (q, q̇)."""
    by_parameters: Float[Array, "instant free entry"]
    """With respect to z."""


def path_derivatives(model: Model, position: Float[Array, "instant coordinate"]) -> tuple[Paths, Paths]:
    """Tendon lengths and slopes at many instants, and their derivatives by free coordinate, which come first."""
    free = model.host.free_index
    along, curvature = paths_and_curvature(model, position)
    by_free = (jnp.moveaxis(x[..., free], -1, 0) for x in (along.slope, curvature))
    return along, Paths(*by_free)


def acceleration_derivatives(
    model: Model,
    space: ParameterSpace,
    at: Factors,
    pairs: Pairs,
    along: Paths,
    along_by_position: Paths,
    position: Float[Array, "instant coordinate"],
    velocity: Float[Array, "instant coordinate"],
    activation: Float[Array, "instant muscle"],
    held_acceleration: Float[Array, "instant held"],
    activation_by_pair: Float[Array, "instant pair"],
) -> Derivatives:
    """Linearise the equations of motion at many instants, side by side.

    **Arguments:** `along`, `along_by_position`: of `path_derivatives` at the same positions.
    """
    free, n = model.host.free_index, len(model.host.free_index)
    tree, bodies = tree_of(model.host.skeleton), model.host.body_ids
    joint = at.parameters.joint

    def rigid(q: list[Array], v: list[Array], along: Paths, acceleration: Array) -> Array:
        """What moves the free coordinates beside muscles and joint springs and dampers, at these accelerations."""
        every = motions(tree, q, v)
        stops, armature = tendon_forces(model, along, q, v)
        inertial = inertial_force(at.inertia, [every[b] for b in bodies], list(acceleration), len(q))
        return (stops - array_of(inertial) - jnp.sum(armature * acceleration, 1))[free]

    def one(
        q: Array, v: Array, along: Paths, by_position: Paths, a: Array, held: Array, by_pair: Array
    ) -> tuple[Array, Array]:
        shape = geometry(model, q, v, along)
        terms = mechanics(model, at.parameters, at.inertia, shape, q, v)
        arm, speed = shape.moment_arm, -jnp.sum(shape.moment_arm * v, 1)

        def tension(length: Array, speed: Array) -> Array:
            return model.muscle.tension(at.parameters.muscle, a, length, speed)

        ones = jnp.ones_like(speed)
        pull, by_length = jax.jvp(lambda x: tension(x, speed), (shape.path_length,), (ones,))
        by_speed = jax.jvp(lambda x: tension(shape.path_length, x), (speed,), (ones,))[1]
        force = terms.passive - terms.bias + jnp.sum(arm * pull[:, None], 0)
        value = solve_acceleration(model, at.parameters, terms, force, held)
        moved = jnp.zeros_like(q).at[free].set(value).at[model.host.held_index].set(held)

        # at fixed accelerations, as for inverse dynamics; M⁻¹ comes last
        of_q, of_v, unit = list(q), list(v), np.eye(len(q))
        passive_slope = jax.jacfwd(lambda x: passive_moments(model, at.parameters, x))(q)
        columns = []
        for k, j in enumerate(free):

            def displaced(x: Array, length: Array, slope: Array, j: int = j) -> Array:
                return rigid([*of_q[:j], x, *of_q[j + 1 :]], of_v, Paths(length, slope), moved)

            at_path = (q[j], along.length, along.slope)
            change = jax.jvp(displaced, at_path, (jnp.ones_like(q[j]), by_position.length[k], by_position.slope[k]))[1]
            bend = jax.jvp(lambda s: moment_arms(model, s), (along.slope,), (by_position.slope[k],))[1]
            tighter = -by_length * arm[:, j] - by_speed * jnp.sum(bend * v, 1)
            change = change + jnp.sum(bend * pull[:, None] + arm * tighter[:, None], 0)[free]
            columns.append(change + (passive_slope[:, j] - jnp.asarray(joint.stiffness) * unit[j])[free])
        for j in free:

            def faster(x: Array, j: int = j) -> Array:
                return rigid(of_q, [*of_v[:j], x, *of_v[j + 1 :]], along, moved)

            change = jax.jvp(faster, (v[j],), (jnp.ones_like(v[j]),))[1]
            change = change - jnp.sum(arm * (by_speed * arm[:, j])[:, None], 0)[free]
            columns.append(change - (jnp.asarray(joint.damping) * unit[j])[free])
        muscles = muscle_columns(model, space, at.parameters, pairs, shape, a, by_pair, speed)
        by_z = acceleration_columns(model, space, at, muscles, shape, q, v, moved)
        forces = jnp.concatenate([jnp.stack(columns, 1), by_z], 1)
        return value, free_response(model, at.parameters, terms, forces)

    lanes = (0, 0, 0, 1, 0, 0, 0)
    value, columns = jax.vmap(one, in_axes=lanes)(
        position, velocity, along, along_by_position, activation, held_acceleration, activation_by_pair
    )
    return Derivatives(value, columns[..., : 2 * n], columns[..., 2 * n :])


def chain(
    by_state: Float[Array, "lane two_steps_plus_1 free two_free"],
    by_parameters: Float[Array, "lane two_steps_plus_1 free entry"],
    timestep: float,
) -> tuple[Float[Array, "lane step_plus_1 free columns"], Float[Array, "lane free columns"]]:
    """Derivative of the positions at every sample, and of the last velocity, with respect to the initial (q, q̇) and z.

    Every RK4 step of the variational equation is a matrix; all are made side by side, only their product goes on in
    time.

    **Arguments:** derivatives of the accelerations at every sample and in the middle between them.
    """
    lanes, _, n, _ = by_state.shape
    entries = by_parameters.shape[-1]
    local = jnp.concatenate([by_state, by_parameters], -1)
    start, middle, end = local[:, :-1:2], local[:, 1::2], local[:, 2::2]

    def rates(at: Array, position: Array, velocity: Array) -> Array:
        """δq̈ of a change of position and velocity that is linear in (q, q̇) at the step's start and z."""
        state = [*jnp.moveaxis(position, -2, 0), *jnp.moveaxis(velocity, -2, 0)]
        out = total_of(at[..., k, None] * row[..., None, :] for k, row in enumerate(state))
        return out.at[..., 2 * n :].add(at[..., 2 * n :])

    own = jnp.eye(2 * n, 2 * n + entries)
    position, velocity = own[:n], own[n:]
    speed, acceleration = [jnp.broadcast_to(velocity, start.shape)], [start]
    for reach, at in ((0.5, middle), (0.5, middle), (1.0, end)):
        there, speeds = position + reach * timestep * speed[-1], velocity + reach * timestep * acceleration[-1]
        acceleration.append(rates(at, there, speeds))
        speed.append(speeds)
    change = [total_of(w * x for w, x in zip(RK4.weight, xs, strict=True)) for xs in (speed, acceleration)]
    steps = jnp.moveaxis(own + timestep * jnp.concatenate(change, -2), 1, 0)

    def step(d: Array, taken: Array) -> tuple[Array, Array]:
        # an unrolled product: n is 1 to 3, and a batched matrix product of that size costs more to call than to do
        after = total_of(taken[..., :, k, None] * d[..., k, None, :] for k in range(2 * n))
        d = after.at[..., 2 * n :].add(taken[..., 2 * n :])
        return d, d[..., :n, :]

    first = jnp.broadcast_to(own, (lanes, *own.shape))
    last, later = jax.lax.scan(step, first, steps)
    positions = jnp.concatenate([jnp.broadcast_to(own[:n], (lanes, 1, *own[:n].shape)), jnp.moveaxis(later, 0, 1)], 1)
    return positions, last[:, n:]


def total_of(parts: Iterable[Array]) -> Array:
    first, *rest = parts
    return sum(rest, first)


def with_middles(
    position: Float[Array, "lane sample coordinate"], velocity: Float[Array, "lane sample coordinate"], timestep: float
) -> tuple[Float[Array, "lane two_samples_minus_1 coordinate"], Float[Array, "lane two_samples_minus_1 coordinate"]]:
    """Motion at the samples and in the middle between them, of the cubics that have its positions and velocities."""
    (q0, q1), (v0, v1) = ((x[:, :-1], x[:, 1:]) for x in (position, velocity))
    middle = 0.5 * (q0 + q1) + 0.125 * timestep * (v0 - v1), 1.5 * (q1 - q0) / timestep - 0.25 * (v0 + v1)
    return interleaved(position, middle[0]), interleaved(velocity, middle[1])


def interleaved(
    samples: Float[Array, "lane sample *rest"], middles: Float[Array, "lane sample_minus_1 *rest"]
) -> Float[Array, "lane two_samples_minus_1 *rest"]:
    """Samples and what lies between them, in the order of time."""
    lanes, count, *rest = samples.shape
    pairs = jnp.stack([samples[:, :-1], middles], 2).reshape(lanes, 2 * (count - 1), *rest)
    return jnp.concatenate([pairs, samples[:, -1:]], 1)


def in_the_middle(samples: Float[Array, "lane sample *rest"]) -> Float[Array, "lane sample_minus_1 *rest"]:
    """Values halfway between samples, of cubics through the four nearest ones."""
    count = samples.shape[1]
    if count < 4:
        return 0.5 * (samples[:, :-1] + samples[:, 1:])
    inner = (9.0 * (samples[:, 1:-2] + samples[:, 2:-1]) - samples[:, :-3] - samples[:, 3:]) / 16.0
    ends = []
    for four in (samples[:, :4], samples[:, :-5:-1]):
        ends.append((5.0 * four[:, 0] + 15.0 * four[:, 1] - 5.0 * four[:, 2] + four[:, 3])[:, None] / 16.0)
    return jnp.concatenate([ends[0], inner, ends[1]], 1)
