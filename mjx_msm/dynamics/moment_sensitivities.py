"""Muscle and passive joint moments at recorded instants, with first and second derivatives by the parameters.

At a recorded motion the paths are constants, and what is left is arithmetic:

    m = Σ R F(a, L, L̇; θ) − k (q − q₀) − d q̇ + stops,      R: moment arms, F: tension of a muscle, a: its activation.

Each muscle's tension depends on its own parameters and activation only: all derivatives of F are elementwise, and
∂²m is made of blocks, one a muscle. Together they give the sums that a solver asks for: of squared residuals, of their
gradient, Σ JᵀJ and Σ r ∂²m.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.common.compiled import jit
from mjx_msm.dynamics.activation_sensitivities import (
    TIME_CONSTANTS,
    ActivationDerivatives,
    Pairs,
    curvatures,
    displaced,
    entry_matrix,
    meeting,
    owners,
    products,
    slopes,
)
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.simulation import activate
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.space import ParameterSpace


class Instants(eqx.Module):
    """What no parameter changes at the instants of some recordings."""

    sample: Int[AnyArray, "instant"]
    recording: Int[AnyArray, "instant"]
    path_length: Float[AnyArray, "instant muscle"]
    """[m]."""
    path_velocity: Float[AnyArray, "instant muscle"]
    """[m/s]."""
    moment_arm: Float[AnyArray, "instant free muscle"]
    """[m]."""
    stops: Float[AnyArray, "instant free"]
    """Moments of springs and dampers along tendons [N·m]."""
    stretch: Float[AnyArray, "instant free"]
    """Of joint springs [rad]."""
    velocity: Float[AnyArray, "instant free"]
    """[rad/s]."""


@jit
def instants(
    model: Model,
    sample: Int[AnyArray, "instant"],
    recording: Int[AnyArray, "instant"],
    position: Float[AnyArray, "instant coordinate"],
    velocity: Float[AnyArray, "instant coordinate"],
) -> Instants:
    """Geometry along a recorded motion."""
    free, q, v = model.host.free_index, jnp.asarray(position), jnp.asarray(velocity)
    shape = jax.vmap(lambda *at: geometry(model, *at))(q, v, paths(model, q))
    return Instants(
        sample=jnp.asarray(sample),
        recording=jnp.asarray(recording),
        path_length=shape.path_length,
        path_velocity=-jnp.sum(shape.moment_arm * v[:, None], -1),
        moment_arm=jnp.swapaxes(shape.moment_arm[..., free], 1, 2),
        stops=shape.stops[:, free],
        stretch=(q - jnp.asarray(model.host.spring_position))[:, free],
        velocity=v[:, free],
    )


def _moment(model: Model, parameters: Parameters, at: Instants, tension: Array) -> Float[Array, "instant free"]:
    free, joint = model.host.free_index, parameters.joint
    passive = jnp.asarray(joint.stiffness)[free] * at.stretch + jnp.asarray(joint.damping)[free] * at.velocity
    return jnp.sum(at.moment_arm * tension[:, None], -1) + at.stops - passive


@jit
def moments(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "time recording channel"],
    mixing: Float[Any, "muscle channel"],
    at: Instants,
) -> Float[Array, "instant free"]:
    """Moments of the free coordinates [N·m]."""
    parameters = space.unpack(jnp.asarray(z))
    u = excitation(parameters.emg, jnp.asarray(envelope), mixing, model.timestep)
    a = activate(model, parameters, u[0], u)[0][at.sample, at.recording]
    tension = model.muscle.tension(parameters.muscle, a, jnp.asarray(at.path_length), jnp.asarray(at.path_velocity))
    return _moment(model, parameters, at, tension)


@jit
def moment_sums(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "time recording channel"],
    mixing: Float[Any, "muscle channel"],
    pairs: Pairs,
    at: Instants,
    target: Float[AnyArray, "instant free"],
    mask: Float[AnyArray, "instant free"],
) -> tuple[Array, Array, Array, Array]:
    """Σ r², Σ r J, Σ JᵀJ and Σ r ∂²m of every free coordinate."""
    parameters, mask = space.unpack(jnp.asarray(z)), jnp.asarray(mask)
    moving = ActivationDerivatives(model, space, parameters, jnp.asarray(envelope), mixing, pairs)
    fields = list(
        dict.fromkeys(s.field for s in space.scalars if s.group == "muscle" and s.field not in TIME_CONSTANTS)
    )
    muscle, by_pair = np.array([m for m, _ in pairs], int), moving.by_pair[at.sample, at.recording]

    def tension(x: dict[str, Array]) -> Array:
        law = displaced(parameters.muscle, "muscle", {f: x[f] for f in fields})
        return model.muscle.tension(law, x["activation"], jnp.asarray(at.path_length), jnp.asarray(at.path_velocity))

    point = {f: jnp.zeros(len(model.muscles)) for f in fields}
    point["activation"] = moving.value[at.sample, at.recording]
    slope, bend = slopes(tension, point, list(point)), curvatures(tension, point, list(point))
    residual = (_moment(model, parameters, at, tension(point)) - jnp.asarray(target)) * mask

    sums, second = [], []
    for c, j in enumerate(model.host.free_index):
        arm, own, columns = at.moment_arm[:, c], [entry for _, entry in pairs], []
        columns.append((arm * slope["activation"])[:, muscle] * by_pair)
        for field in fields:
            entry = owners(space, "muscle", field)
            columns.append((arm * slope[field])[:, np.array(list(entry), int)])
            own += entry.values()
        for field, effect in (("damping", at.velocity), ("stiffness", at.stretch)):
            entry = owners(space, "joint", field).get(j)
            if entry is not None:
                columns.append(-effect[:, c : c + 1])
                own.append(entry)
        rows = jnp.concatenate([*columns, residual[:, c : c + 1]], 1) * mask[:, c : c + 1]
        to = np.pad(entry_matrix(space, own), ((0, 1), (0, 1)))
        to[-1, -1] = 1.0
        sums.append(to.T @ (rows.T @ rows) @ to)

        weight = residual[:, c : c + 1] * arm
        total = products(space, pairs, [(by_pair, (weight * bend["activation", "activation"])[:, muscle] * by_pair)])
        for i, field in enumerate(fields):
            entry = owners(space, "muscle", field)
            both = [p for p, m in enumerate(muscle) if m in entry]
            cross = jnp.sum((weight * bend[field, "activation"])[:, muscle] * by_pair, 0)[np.array(both, int)]
            own_entry, its = np.array([(entry[muscle[p]], pairs[p][1]) for p in both], int).reshape(-1, 2).T
            total = total.at[own_entry, its].add(cross).at[its, own_entry].add(cross)
            for other in fields[i:]:
                total = total + meeting(space, "muscle", field, other, jnp.sum(weight * bend[field, other], 0))
        if pairs:
            onto = jnp.zeros_like(moving.value).at[at.sample, at.recording].add(weight * slope["activation"])
            total = total + moving.curvature(onto)
        second.append(total)
    stacked = jnp.stack(sums)
    return stacked[:, -1, -1], stacked[:, :-1, -1], stacked[:, :-1, :-1], jnp.stack(second)
