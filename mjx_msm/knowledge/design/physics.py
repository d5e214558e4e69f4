"""A limb let go from rest under given excitations, many candidates side by side."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mjx_msm.common.compiled import jit
from mjx_msm.dynamics.excitation import excitation, shaped
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.simulation import activate, generalised_force, mechanics, simulate_motion, spatial_inertia
from mjx_msm.person.model import Model
from mjx_msm.person.parameters import Parameters


@jit
def moved(
    model: Model,
    parameters: Parameters,
    envelope: Float[Any, "batch time channel"],
    mixing: Float[Any, "muscle channel"],
    posture: Float[Any, "batch coordinate"],
) -> tuple[Array, Array, Array]:
    """Positions, velocities and first failed step from rest in a posture."""

    def one(q: Array, envelope: Array) -> tuple[Array, Array, Array]:
        drive = excitation(parameters.emg, envelope, mixing, model.timestep)
        stages = activate(model, parameters, drive[0], drive)[1]
        still = jnp.zeros((*stages.shape[:2], len(model.host.held_index)))
        return simulate_motion(model, parameters, q, jnp.zeros_like(q), stages, still)[:3]

    return jax.vmap(one)(jnp.asarray(posture), jnp.asarray(envelope))


@jit
def net_moment(
    model: Model,
    p: Parameters,
    mixing: Float[Any, "muscle channel"],
    posture: Float[Any, "batch coordinate"],
    level: Float[Any, "batch level channel"],
) -> Float[Array, "batch level free"]:
    """Moment that moves the free coordinates of a limb at rest [N·m]."""
    inertia = spatial_inertia(p.body)

    def one(q: Array, levels: Array) -> Array:
        still = jnp.zeros_like(q)
        terms = mechanics(model, p, inertia, geometry(model, q, still), q, still)

        def moment(u: Array) -> Array:
            signal = jnp.clip(jnp.asarray(p.emg.gain) * u, 0, 1)
            drive = shaped(signal, jnp.asarray(p.emg.shape)) @ jnp.asarray(mixing).T
            tension = model.muscle.tension(p.muscle, drive, terms.path_length, jnp.zeros_like(drive))
            return generalised_force(terms, tension)[model.host.free_index]

        return jax.vmap(moment)(levels)

    return jax.vmap(one)(jnp.asarray(posture), jnp.asarray(level))
