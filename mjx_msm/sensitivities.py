"""How accelerations, moments and motions depend on state and parameters, piece by piece.

A Jacobian need not carry one tangent per parameter through the equations of motion

    M(π) q̈ + b(π) = Rᵀ F(θ) + τ(q, q̇),        π: inertias, θ: muscles.

No parameter moves a path or a body frame, so at a given state R and the bodies' Jacobians are constants; F depends
on each muscle's own parameters only, and M q̈ + b is linear in the spatial inertias. All parameter columns are therefore
products of small closed-form factors:

    ∂q̈/∂z = (M + h·D)⁻¹ [ Rᵀ ∂F/∂z − Y(q, q̇, q̈) ∂π/∂z ],        Y: the inertial regressor.

Only the state needs tangents, two per free coordinate. All instants are independent of each other and are linearised
side by side; a motion's Jacobian follows from the small linear recursion

    δq̈ₖ = Aₖ (δqₖ, δq̇ₖ) + Bₖ δz,   δq̇ₖ₊₁ = δq̇ₖ + h δq̈ₖ,   δqₖ₊₁ = δqₖ + h δq̇ₖ₊₁.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.compiled import jit
from mjx_msm.excitation import excitation
from mjx_msm.geometry import Geometry, Paths, geometry, paths
from mjx_msm.model import Model
from mjx_msm.muscle import AnyArray
from mjx_msm.parameters import KINDS, Parameters, ParameterSpace
from mjx_msm.simulation import (
    activate,
    generalised_force,
    mechanics,
    muscle_tension,
    solve_acceleration,
    spatial_inertia,
    wrench,
)

_ACTIVATION_FIELDS = ("activation_time_constant", "deactivation_time_constant")


def entries_of(space: ParameterSpace, *groups: str) -> Int[np.ndarray, "entry"]:
    """Entries of z that belong to these parameter groups."""
    return np.array(sorted({k for s, k in zip(space.scalars, space.owner, strict=True) if s.group in groups}), int)


def forward_jacobian(function: Any, at: Float[Array, "entry"]) -> tuple[Array, Array]:
    """Value and forward-mode Jacobian in one pass, the derivative's axis last."""
    return jax.vmap(lambda t: jax.jvp(function, (at,), (t,)), out_axes=(None, -1))(jnp.eye(at.shape[0]))


# Activation ------------------------------------------------------------------------------------------------


Pairs = tuple[tuple[int, int], ...]
"""Which entries of z the activation of which muscle depends on: (muscle, entry)."""


def activation_pairs(space: ParameterSpace, mixing: Float[np.ndarray, "muscle channel"]) -> Pairs:
    """A muscle's activation depends on its own time constants and on the EMG channels it is driven by."""
    pairs = set()
    for s, entry in zip(space.scalars, space.owner, strict=True):
        if s.group == "emg":
            pairs |= {(int(m), entry) for m in np.flatnonzero(mixing[:, s.index[0]])}
        elif s.field in _ACTIVATION_FIELDS:
            pairs.add((s.index[0], entry))
    return tuple(sorted(pairs))


@jit
def recorded_activations(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "recording time channel"],
    mixing: Float[Any, "muscle channel"],
) -> Float[Array, "recording time muscle"]:
    """Activations of all recordings, starting at rest with respect to the first excitation."""
    parameters = space.unpack(z)

    def one(envelope: Array) -> Array:
        drive = excitation(parameters.emg, envelope, mixing, model.timestep)
        return activate(model, parameters, drive[0], drive[:-1])

    return jax.vmap(one)(jnp.asarray(envelope))


@jit
def activation_derivatives(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "recording time channel"],
    mixing: Float[Any, "muscle channel"],
    pairs: Pairs,
) -> Float[Array, "recording time pair"]:
    """Derivative of activations, one column a pair: a linear recursion driven by elementwise slopes."""
    if not pairs:
        return jnp.zeros((*envelope.shape[:2], 0))
    z, h, rate = jnp.asarray(z), model.timestep, model.muscle.activation_rate
    parameters = space.unpack(z)
    muscle, entry = (np.array(c) for c in zip(*pairs, strict=True))
    of_emg = entries_of(space, "emg")
    of_muscle = np.setdiff1d(entry, of_emg)

    def columns(function: Any, entries: np.ndarray, width: int) -> Array:
        """Pairs' columns of d function/dz, for a function of the parameters with a muscle axis last."""
        out = jnp.zeros((width, len(pairs)))
        if len(entries):
            full = forward_jacobian(lambda x: function(space.unpack(z.at[entries].set(x))), z[entries])[1]
            mine = np.flatnonzero(np.isin(entry, entries))
            out = out.at[:, mine].set(full[:, muscle[mine], np.searchsorted(entries, entry[mine])])
        return out

    def one(envelope: Array) -> Array:
        samples = envelope.shape[0]
        drive = excitation(parameters.emg, envelope, mixing, h)
        u, a = drive[:-1], activate(model, parameters, drive[0], drive[:-1])[:-1]
        ones, law = jnp.ones_like(u), parameters.muscle
        keep = 1.0 + h * jax.jvp(lambda x: rate(law, u, x), (a,), (ones,))[1]
        gain = h * jax.jvp(lambda x: rate(law, x, a), (u,), (ones,))[1]
        source = columns(lambda p: excitation(p.emg, envelope, mixing, h), of_emg, samples)
        push = h * columns(lambda p: rate(p.muscle, u, a), of_muscle, samples - 1)

        def step(d: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            d = inputs[0] * d + inputs[1]
            return d, d

        drive_by_entry = gain[:, muscle] * source[:-1] + push
        _, later = jax.lax.scan(step, source[0], (keep[:, muscle], drive_by_entry))
        return jnp.concatenate([source[:1], later])

    return jax.vmap(one)(jnp.asarray(envelope))


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


def tension_columns(
    model: Model,
    space: ParameterSpace,
    parameters: Parameters,
    pairs: Pairs,
    activation: Float[Array, "muscle"],
    activation_by_pair: Float[Array, "pair"],
    path_length: Float[Array, "muscle"],
    path_velocity: Float[Array, "muscle"],
) -> Float[Array, "muscle free"]:
    """∂F/∂z at a fixed state [N]: one elementwise tangent per field, however many muscles there are."""
    jacobian = jnp.zeros((len(model.muscles), space.size))
    by_field: dict[str, list[tuple[int, int]]] = {}
    for s, entry in zip(space.scalars, space.owner, strict=True):
        if s.group == "muscle" and s.field not in _ACTIVATION_FIELDS:
            by_field.setdefault(s.field, []).append((s.index[0], entry))
    for field, members in by_field.items():

        def tension(value: Array, field: str = field) -> Array:
            changed = eqx.tree_at(lambda p: getattr(p, field), parameters.muscle, value)
            return model.muscle.tension(changed, activation, path_length, path_velocity)

        value = jnp.asarray(getattr(parameters.muscle, field))
        inner = value if KINDS["muscle", field].transform == "log" else jnp.ones_like(value)
        slope = jax.jvp(tension, (value,), (inner,))[1]
        muscle, entry = (np.array(c) for c in zip(*members, strict=True))
        jacobian = jacobian.at[muscle, entry].add(slope[muscle])
    if pairs:
        slope = jax.jvp(
            lambda a: model.muscle.tension(parameters.muscle, a, path_length, path_velocity),
            (activation,),
            (jnp.ones_like(activation),),
        )[1]
        muscle, entry = (np.array(c) for c in zip(*pairs, strict=True))
        jacobian = jacobian.at[muscle, entry].add(slope[muscle] * activation_by_pair)
    return jacobian


def inertial_force_columns(
    space: ParameterSpace, at: Factors, shape: Geometry, acceleration: Float[Array, "coordinate"]
) -> Float[Array, "coordinate free"]:
    """∂(M q̈ + b)/∂z at a known motion: the inertial regressor times ∂π/∂z [N·m]."""
    columns = jnp.zeros((shape.jacobian.shape[-1], space.size))
    entries = entries_of(space, "body")
    if not len(entries):
        return columns
    for b in range(at.inertia.shape[0]):
        moved = shape.jacobian[b] @ acceleration + shape.acceleration_bias[b]
        regressor = jax.vmap(lambda e, b=b, a=moved: wrench(e, a, shape.velocity[b]))(jnp.eye(10))
        generalised = regressor @ shape.jacobian[b]  # (10, coordinate)
        columns = columns.at[:, entries].add(generalised.T @ at.inertia_by_entry[b])
    return columns


def passive_force_columns(
    model: Model,
    space: ParameterSpace,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
) -> Float[Array, "coordinate free"]:
    """∂(joint springs and dampers)/∂z [N·m]."""
    columns = jnp.zeros((len(model.coordinates), space.size))
    effect = {"damping": -velocity, "stiffness": jnp.asarray(model.host.mj_model.qpos_spring) - position}
    for s, entry in zip(space.scalars, space.owner, strict=True):
        if s.group == "joint":
            columns = columns.at[s.index[0], entry].add(effect[s.field][s.index[0]])
    return columns


def free_acceleration(
    model: Model,
    at: Factors,
    shape: Geometry,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
    activation: Float[Array, "muscle"],
    held_acceleration: Float[Array, "held"],
) -> Float[Array, "free"]:
    """Accelerations of the free coordinates from the geometry at one state [rad/s²]."""
    terms = mechanics(model, at.parameters, at.inertia, shape, position, velocity)
    tension = muscle_tension(model, at.parameters, terms, velocity, activation)
    return solve_acceleration(model, at.parameters, terms, generalised_force(terms, tension), held_acceleration)


def acceleration_columns(
    model: Model,
    space: ParameterSpace,
    at: Factors,
    pairs: Pairs,
    shape: Geometry,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
    activation: Float[Array, "muscle"],
    activation_by_pair: Float[Array, "pair"],
    acceleration: Float[Array, "coordinate"],
) -> Float[Array, "free free_parameter"]:
    """∂q̈/∂z of the free coordinates, where `acceleration` is what the equations of motion give."""
    terms = mechanics(model, at.parameters, at.inertia, shape, position, velocity)
    columns = moment_columns(
        model, space, at, pairs, shape, position, velocity + model.timestep * acceleration, activation,
        activation_by_pair, path_velocity=-terms.moment_arm @ velocity,
    )  # fmt: skip
    columns = columns - inertial_force_columns(space, at, shape, acceleration)
    nothing = jnp.zeros(len(model.host.held_index))
    return jax.vmap(
        lambda c: solve_acceleration(model, at.parameters, terms, c, nothing), in_axes=1, out_axes=1
    )(columns)  # fmt: skip


def moment_columns(
    model: Model,
    space: ParameterSpace,
    at: Factors,
    pairs: Pairs,
    shape: Geometry,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
    activation: Float[Array, "muscle"],
    activation_by_pair: Float[Array, "pair"],
    path_velocity: Float[Array, "muscle"] | None = None,
) -> Float[Array, "coordinate free"]:
    """∂(muscles' and passive joint moments)/∂z [N·m]; `velocity` is the one that joints are damped at."""
    speed = -shape.moment_arm @ velocity if path_velocity is None else path_velocity
    slope = tension_columns(
        model, space, at.parameters, pairs, activation, activation_by_pair, shape.path_length, speed
    )
    return shape.moment_arm.T @ slope + passive_force_columns(model, space, position, velocity)


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
    return _push(jax.vmap(lambda q: paths(model, q)), model, position)


def _push(function: Any, model: Model, at: Any, along: Any = None, by_position: Any = None) -> tuple[Any, Any]:
    """Value and derivatives by free coordinate, the derivative's axis first.

    Tangents outermost: every operation then runs over instants, which are contiguous.
    """
    basis = jnp.eye(at.shape[1])[model.host.free_index]
    tangents = jnp.broadcast_to(basis[:, None, :], (len(basis), *at.shape))
    if along is None:
        return jax.vmap(lambda t: jax.jvp(function, (at,), (t,)), out_axes=(None, 0))(tangents)
    return jax.vmap(lambda t, p: jax.jvp(function, (at, along), (t, p)), out_axes=(None, 0))(tangents, by_position)


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
    free = model.host.free_index

    @jax.vmap
    def accelerate(q: Array, v: Array, along: Paths, a: Array, held: Array) -> tuple[Array, Geometry]:
        shape = geometry(model, q, v, along)
        return free_acceleration(model, at, shape, q, v, a, held), shape

    def on_path(q: Array, along: Paths) -> tuple[Array, Geometry]:
        return accelerate(q, velocity, along, activation, held_acceleration)

    (acceleration, shape), (by_position, _) = _push(on_path, model, position, along, along_by_position)
    _, (by_velocity, _) = _push(
        lambda v: accelerate(position, v, along, activation, held_acceleration), model, velocity
    )
    by_state = jnp.moveaxis(jnp.concatenate([by_position, by_velocity]), 0, -1)
    everything = jnp.zeros_like(position).at[:, free].set(acceleration)
    everything = everything.at[:, model.host.held_index].set(held_acceleration)
    columns = jax.vmap(lambda *lane: acceleration_columns(model, space, at, pairs, *lane))(
        shape, position, velocity, activation, activation_by_pair, everything
    )
    return Derivatives(acceleration, by_state, columns)


def chain(
    by_state: Float[Array, "step free two_free"], by_parameters: Float[Array, "step free entry"], timestep: float
) -> tuple[Float[Array, "step_plus_1 free columns"], Float[Array, "free columns"]]:
    """Derivative of the positions at every sample, and of the last velocity, with respect to the initial (q, q̇) and z.

    **Arguments:** derivatives of the accelerations at the start of every step.
    """
    _, n, _ = by_state.shape
    entries = by_parameters.shape[-1]
    dq = jnp.concatenate([jnp.eye(n), jnp.zeros((n, n + entries))], -1)
    dv = jnp.concatenate([jnp.zeros((n, n)), jnp.eye(n), jnp.zeros((n, entries))], -1)

    def step(carry: Any, inputs: Any) -> tuple[Any, Array]:
        dq, dv = carry
        a, b = inputs
        # an unrolled product: n is 1 to 3, and a batched matrix product of that size costs more to call than to do
        by_now = jnp.stack([sum(a[i, k] * dq[k] + a[i, n + k] * dv[k] for k in range(n)) for i in range(n)])
        by_now = by_now.at[:, 2 * n :].add(b)
        dv = dv + timestep * by_now
        dq = dq + timestep * dv
        return (dq, dv), dq

    (_, last), later = jax.lax.scan(step, (dq, dv), (by_state, by_parameters))
    return jnp.concatenate([dq[None], later]), last
