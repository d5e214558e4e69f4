"""How accelerations and motions depend on state and parameters, piece by piece.

A Jacobian of a rollout need not carry one tangent per parameter through the whole step. Muscle parameters enter
through one scalar tension per muscle, so their columns are the product of an analytic tension derivative and
(M + h·D)⁻¹ Rᵀ; only the state and the inertial and joint parameters need tangents through the mechanics. All instants
are independent of each other and are linearised side by side, in chunks of one fixed shape, so that the same
compiled function serves every recording and every horizon. The motion's Jacobian follows from the small linear
recursion

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
from mjx_msm.model import Model
from mjx_msm.muscle import AnyArray
from mjx_msm.parameters import KINDS, Parameters, ParameterSpace
from mjx_msm.simulation import activate, device_body, generalised_force, mechanics, muscle_tension, solve_acceleration

CHUNK = 512
"""Instants linearised by one call: long enough to fill the cores, short enough for little padding and memory."""

_ACTIVATION_FIELDS = ("activation_time_constant", "deactivation_time_constant")


def forward_jacobian(function: Any, at: Array) -> tuple[Array, Array]:
    """Value and forward-mode Jacobian in one pass."""
    return jax.vmap(lambda t: jax.jvp(function, (at,), (t,)), out_axes=(None, -1))(jnp.eye(at.shape[0]))


def activation_entries(space: ParameterSpace) -> Int[np.ndarray, "entry"]:
    """Entries of z that activation depends on."""
    hits = {
        k for s, k in zip(space.scalars, space.owner, strict=True) if s.group == "emg" or s.field in _ACTIVATION_FIELDS
    }
    return np.array(sorted(hits), dtype=int)


def mechanical_entries(space: ParameterSpace) -> Int[np.ndarray, "entry"]:
    """Entries of z that are inertial or joint parameters."""
    hits = {k for s, k in zip(space.scalars, space.owner, strict=True) if s.group in ("body", "joint")}
    return np.array(sorted(hits), dtype=int)


def activations(
    model: Model, parameters: Parameters, envelope: Float[Array, "time channel"], mixing: Float[Any, "muscle channel"]
) -> Float[Array, "time muscle"]:
    """Activation at every sample of a recording, starting at rest with respect to the first excitation."""
    drive = excitation(parameters.emg, envelope, mixing, model.timestep)
    return activate(model, parameters, drive[0], drive[:-1])


@jit
def recorded_activations(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "recording time channel"],
    mixing: Float[Any, "muscle channel"],
) -> Float[Array, "recording time muscle"]:
    """Activations of all recordings."""
    parameters = space.unpack(z)
    return jax.vmap(lambda e: activations(model, parameters, e, mixing))(envelope)


@jit
def activation_derivatives(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "recording time channel"],
    mixing: Float[Any, "muscle channel"],
) -> Float[Array, "recording time muscle entry"]:
    """Derivative of all recordings' activations with respect to the entries of z they depend on."""
    entries, z = activation_entries(space), jnp.asarray(z)
    if not len(entries):
        shape = (*envelope.shape[:2], len(model.muscles), 0)
        return jnp.zeros(shape)

    def every(part: Array) -> Array:
        parameters = space.unpack(z.at[entries].set(part))
        return jax.vmap(lambda e: activations(model, parameters, e, mixing))(envelope)

    return forward_jacobian(every, z[entries])[1]


def tension_jacobian(
    model: Model,
    space: ParameterSpace,
    z: Float[Array, "free"],
    parameters: Parameters,
    activation: Float[Array, "muscle"],
    activation_by_entry: Float[Array, "muscle entry"],
    path_length: Float[Array, "muscle"],
    path_velocity: Float[Array, "muscle"],
) -> Float[Array, "muscle free"]:
    """∂F/∂z at a fixed state [N]: one elementwise tangent per field, however many muscles there are."""
    jacobian = jnp.zeros((len(model.muscles), space.size))
    by_field: dict[str, list[tuple[int, int, int]]] = {}
    for k, (s, entry) in enumerate(zip(space.scalars, space.owner, strict=True)):
        if s.group == "muscle" and s.field not in _ACTIVATION_FIELDS:
            by_field.setdefault(s.field, []).append((k, s.index[0], entry))
    for field, members in by_field.items():

        def tension(value: Array, field: str = field) -> Array:
            changed = eqx.tree_at(lambda p: getattr(p, field), parameters.muscle, value)
            return model.muscle.tension(changed, activation, path_length, path_velocity)

        value = jnp.asarray(getattr(parameters.muscle, field))
        _, slope = jax.jvp(tension, (value,), (jnp.ones_like(value),))
        _, muscle, entry = (np.array(c) for c in zip(*members, strict=True))
        inner = value[muscle] if KINDS["muscle", field].transform == "log" else jnp.ones(len(muscle))
        jacobian = jacobian.at[muscle, entry].add(slope[muscle] * inner)
    if activation_by_entry.shape[1]:
        _, slope = jax.jvp(
            lambda a: model.muscle.tension(parameters.muscle, a, path_length, path_velocity),
            (activation,),
            (jnp.ones_like(activation),),
        )
        jacobian = jacobian.at[:, activation_entries(space)].add(slope[:, None] * activation_by_entry)
    return jacobian


class Derivatives(eqx.Module):
    """Free accelerations and their derivatives at many instants."""

    acceleration: Float[np.ndarray, "instant free"]
    """[rad/s²]."""
    by_state: Float[np.ndarray, "instant free two_free"]
    """With respect to the free (q, q̇)."""
    by_parameters: Float[np.ndarray, "instant free entry"] | None
    """With respect to z; None where it was not asked for."""


def acceleration_derivatives(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    position: Float[AnyArray, "instant coordinate"],
    velocity: Float[AnyArray, "instant coordinate"],
    activation: Float[AnyArray, "instant muscle"],
    held_acceleration: Float[AnyArray, "instant held"],
    activation_by_entry: Float[AnyArray, "instant muscle entry"] | None = None,
) -> Derivatives:
    """Linearise the equations of motion at many instants; parameters too if `activation_by_entry` is given."""
    count = len(position)
    inputs = [np.asarray(x) for x in (position, velocity, activation, held_acceleration)]
    if activation_by_entry is not None:
        inputs.append(np.asarray(activation_by_entry))
    chunks = []
    for start in range(0, count, CHUNK):
        part = [x[start : start + CHUNK] for x in inputs]
        short = CHUNK - len(part[0])
        if short:
            part = [np.concatenate([x, np.repeat(x[-1:], short, axis=0)]) for x in part]
        result = _linearise_chunk(model, space, z, *map(jnp.asarray, part))
        chunks.append([np.asarray(r)[: CHUNK - short] for r in result])
    columns = [np.concatenate(c) for c in zip(*chunks, strict=True)]
    return Derivatives(columns[0], columns[1], columns[2] if len(columns) > 2 else None)


@jit
def _linearise_chunk(
    model: Model,
    space: ParameterSpace,
    z: Array,
    position: Array,
    velocity: Array,
    activation: Array,
    held_acceleration: Array,
    activation_by_entry: Array | None = None,
) -> tuple[Array, ...]:
    free, mechanical = model.host.free_index, mechanical_entries(space)
    n = len(free)
    parameters = space.unpack(z)
    body = device_body(model, parameters)

    def one(q: Array, v: Array, a: Array, held: Array, a_z: Array | None) -> tuple[Array, ...]:
        def by_state(x: Array) -> tuple[Array, Any]:
            q_x, v_x = q.at[free].set(x[:n]), v.at[free].set(x[n:])
            terms = mechanics(model, body, q_x, v_x)
            tension = muscle_tension(model, parameters, terms, v_x, a)
            return solve_acceleration(model, parameters, terms, generalised_force(terms, tension), held), (
                terms,
                tension,
            )

        x = jnp.concatenate([q[free], v[free]])
        tangents = jnp.eye(2 * n)
        push = lambda t: jax.jvp(by_state, (x,), (t,), has_aux=True)  # noqa: E731
        acceleration, derivative, (terms, tension) = jax.vmap(push, out_axes=(None, -1, None))(tangents)
        if a_z is None:
            return acceleration, derivative

        arms = terms.moment_arm
        slope = tension_jacobian(model, space, z, parameters, a, a_z, terms.path_length, -arms @ v)
        effect = jax.vmap(
            lambda arm: solve_acceleration(model, parameters, terms, arm, jnp.zeros_like(held)),
            out_axes=1,
        )(arms)
        columns = effect @ slope
        if len(mechanical):

            def by_mechanics(part: Array) -> Array:
                changed = space.unpack(z.at[mechanical].set(part))
                moved = mechanics(model, device_body(model, changed), q, v)
                return solve_acceleration(model, changed, moved, generalised_force(moved, tension), held)

            columns = columns.at[:, mechanical].add(forward_jacobian(by_mechanics, z[mechanical])[1])
        return acceleration, derivative, columns

    lanes = (position, velocity, activation, held_acceleration)
    if activation_by_entry is None:
        return jax.vmap(lambda q, v, a, held: one(q, v, a, held, None))(*lanes)
    return jax.vmap(one)(*lanes, activation_by_entry)


@jit
def chain(
    by_state: Float[AnyArray, "segment step free two_free"],
    by_parameters: Float[AnyArray, "segment step free entry"] | None,
    timestep: float,
) -> tuple[Float[Array, "segment step_plus_1 free two_free"], Float[Array, "segment step_plus_1 free entry"] | None]:
    """Derivative of the positions of every segment with respect to its initial (q, q̇), and to z.

    **Arguments:** derivatives of the accelerations at the start of every step.
    """
    segments, _, n, _ = by_state.shape
    entries = 0 if by_parameters is None else by_parameters.shape[-1]
    source = jnp.zeros((*by_state.shape[:3], 2 * n))
    if by_parameters is not None:
        source = jnp.concatenate([source, by_parameters], -1)
    identity = jnp.eye(2 * n)
    dq = jnp.concatenate([identity[:n], jnp.zeros((n, entries))], -1)
    dv = jnp.concatenate([identity[n:], jnp.zeros((n, entries))], -1)
    start = tuple(jnp.broadcast_to(d, (segments, *d.shape)) for d in (dq, dv))

    def step(carry: Any, inputs: Any) -> tuple[Any, Array]:
        dq, dv = carry
        a, b = inputs
        dv = dv + timestep * (a @ jnp.concatenate([dq, dv], 1) + b)
        dq = dq + timestep * dv
        return (dq, dv), dq

    _, later = jax.lax.scan(step, start, (jnp.swapaxes(by_state, 0, 1), jnp.swapaxes(source, 0, 1)))
    every = jnp.concatenate([start[0][:, None], jnp.swapaxes(later, 0, 1)], 1)
    return every[..., : 2 * n], (every[..., 2 * n :] if by_parameters is not None else None)
