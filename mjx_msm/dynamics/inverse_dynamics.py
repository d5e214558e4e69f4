"""What a motion takes: generalised forces of inertia and weight along a recorded motion, linear in the inertias."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mjx_msm.common.compiled import jit
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.simulation import inertial_force, spatial_inertia
from mjx_msm.dynamics.vectors import array_of
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.parameters import Parameters


class Inertial(NamedTuple):
    """Of a motion, whoever makes it."""

    regressor: Float[Array, "instant free body 10"]
    """Generalised force per spatial inertia."""
    armature: Float[Array, "instant free"]
    """Of joints and tendons [N·m]."""

    def force(self, parameters: Parameters) -> Float[Array, "instant free"]:
        """What moves a person's bodies so, against their weight [N·m]."""
        return jnp.einsum("nckb,kb->nc", jnp.asarray(self.regressor), spatial_inertia(parameters.body)) + self.armature


@jit
def inertial(
    model: Model,
    position: Float[AnyArray, "instant coordinate"],
    velocity: Float[AnyArray, "instant coordinate"],
    acceleration: Float[AnyArray, "instant coordinate"],
) -> Inertial:
    """Of the free coordinates."""
    bodies, count, free = len(model.host.body_ids), len(model.coordinates), model.host.free_index
    units = jnp.eye(10 * bodies).reshape(-1, bodies, 10)

    def one(q: Array, v: Array, along: Any, a: Array) -> Inertial:
        shape = geometry(model, q, v, along)
        force = jax.vmap(lambda own: array_of(inertial_force(own, shape.bodies, list(a), count))[free])(units)
        regressor = jnp.moveaxis(force, 0, -1).reshape(len(free), bodies, 10)
        return Inertial(regressor, (shape.armature @ a)[free])

    q, v, a = (jnp.asarray(x) for x in (position, velocity, acceleration))
    return jax.vmap(one)(q, v, paths(model, q), a)


def mass_columns(model: Model, position: Float[AnyArray, "instant coordinate"]) -> tuple[Inertial, ...]:
    """Columns of the mass matrix of the free coordinates: what an acceleration of 1 of each of them takes."""
    at_rest = jnp.zeros_like(jnp.asarray(position))
    weight = inertial(model, position, at_rest, at_rest)
    out = []
    for c in model.host.free_index:
        moved = inertial(model, position, at_rest, at_rest.at[:, c].set(1.0))
        out.append(Inertial(moved.regressor - weight.regressor, moved.armature - weight.armature))
    return tuple(out)
