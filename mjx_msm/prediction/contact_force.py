"""Force between the two segments of a joint, from the model's own equations of motion.

A joint that only turns holds its segments together. Let it also slide, along the three axes of its distal segment, and
ask for no sliding: the force that this takes is

    f = (what the mass beyond the joint needs: inertia, gravity) − Σ (what muscles that cross it pull there),

on the distal segment, by the proximal one. A muscle's part is its tension times −∂L/∂s along the slides s, the same
formula that gives its moment arm. What touches the person elsewhere (the ground under a foot) is not in the equations
unless it was recorded, and so not in this force: in stance it is that of muscles, weight and inertia alone.

Inertia enters linearly, so a recording has one regressor that serves all people.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.compiled import jit
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.simulation import inertial_force
from mjx_msm.dynamics.vectors import array_of
from mjx_msm.person.inspection import path_slope
from mjx_msm.person.model import Host, Model, model_of
from mjx_msm.person.muscle import AnyArray

AXES = "xyz"


class Crossing(eqx.Module):
    """What no parameter changes of the forces along the slides of some joints; x, y, z of the first joint come first.

    In the axes of the distal segment.
    """

    muscle_arm: Float[AnyArray, "instant slide muscle"]
    """−∂L/∂s [-]."""
    regressor: Float[AnyArray, "instant slide body 10"]
    """Force per spatial inertia."""


def axes_in_words(model: Model) -> tuple[str, ...]:
    """Of every free joint: on which segment the force acts, in whose axes, and where it points when muscles pull."""
    larger, where, slides = _sliding(model.host, "mujoco")
    m, at = larger.host.mj_model, np.zeros(len(larger.coordinates))
    at[where] = model.host.reference
    d, strength = mujoco.MjData(m), np.asarray(model.nominal.muscle.max_isometric_force)
    force = np.array([strength @ path_slope(m, d, at, int(c)) for c in slides]).reshape(-1, len(AXES))
    out = []
    for joint, pressed in zip(model.free, force, strict=True):
        body = m.body(m.jnt_bodyid[m.joint(joint).id])
        k = int(np.argmax(np.abs(pressed)))
        out.append(
            f"{joint}/x, y, z: force on {body.name} by {m.body(body.parentid[0]).name}, along the axes of {body.name}; "
            f"muscles that press the joint together make {AXES[k]} {'positive' if pressed[k] > 0 else 'negative'}"
        )
    return (*out, "Of muscles, weight and inertia alone: without the ground and whatever else touches the person")


@lru_cache(maxsize=16)
def _sliding(host: Host, muscle: str) -> tuple[Model, np.ndarray, np.ndarray]:
    """A model whose free joints can slide apart, where the old coordinates are in it, and the slides by joint."""
    spec = host.spec.copy()
    for key in list(spec.keys):
        spec.delete(key)
    names = []
    for joint in host.free:
        body = spec.joint(joint).parent
        for k, axis in enumerate(AXES):
            names.append(f"{joint} slides along {axis}")
            body.add_joint(name=names[-1], type=mujoco.mjtJoint.mjJNT_SLIDE, axis=np.eye(3)[k], armature=0.0)
    model = model_of(spec, host.source, muscle=muscle)
    where = np.array([model.coordinates.index(c) for c in host.coordinates], dtype=int)
    return model, where, np.array([model.coordinates.index(c) for c in names], dtype=int)


def crossing(
    model: Model,
    position: Float[np.ndarray, "instant coordinate"],
    velocity: Float[np.ndarray, "instant coordinate"],
    acceleration: Float[np.ndarray, "instant coordinate"],
) -> Crossing:
    """Of the free joints, at a motion of the model."""
    larger, where, slides = _sliding(model.host, "mujoco")  # of the muscles, only the paths are asked for

    def put(values: np.ndarray) -> np.ndarray:
        out = np.zeros((len(values), len(larger.coordinates)))
        out[:, where] = values
        return out

    return _crossing(larger, tuple(map(int, slides)), *map(put, (position, velocity, acceleration)))


@jit
def _crossing(model: Model, slides: tuple[int, ...], position: Any, velocity: Any, acceleration: Any) -> Crossing:
    bodies, count, chosen = len(model.host.body_ids), len(model.coordinates), np.array(slides, dtype=int)
    units = jnp.eye(10 * bodies).reshape(-1, bodies, 10)

    def one(q: Array, v: Array, along: Any, a: Array) -> Crossing:
        shape = geometry(model, q, v, along)
        force = jax.vmap(lambda own: array_of(inertial_force(own, shape.bodies, list(a), count))[chosen])(units)
        return Crossing(shape.moment_arm[:, chosen].T, jnp.moveaxis(force, 0, -1).reshape(len(chosen), bodies, 10))

    q, v, a = (jnp.asarray(x) for x in (position, velocity, acceleration))
    return jax.vmap(one)(q, v, paths(model, q), a)
