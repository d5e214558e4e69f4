"""The one contact a world may have, in JAX.

A frictionless contact of two capsules is a single row of MuJoCo's
constraint solver, whose answer has a closed form: with Jᵀ its line of action, acceleration a₀ without it, and
reference a*,

    f = max(0, (a* − J a₀) / (J M⁻¹ Jᵀ + R)),    a* = −b J v − k i d,    R = (1 − i)/i · w

(https://mujoco.readthedocs.io/en/stable/computation/index.html; d the penetration, i its impedance, w the bodies'
inverse weight).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.dynamics.geometry import Place, line_of_action, points
from mjx_msm.dynamics.simulation import Mechanics
from mjx_msm.envs.engines.world import World


class _Touch(NamedTuple):
    """Two capsules that may touch, the second one still and across the plane the first one moves in."""

    centre: Place
    half_length: float
    radius: float
    axis_end: Place
    obstacle: np.ndarray
    across: np.ndarray
    obstacle_radius: float
    stiffness: float
    damping: float
    impedance: tuple[float, float, float, float, float]
    weight: float


@lru_cache(maxsize=16)
def _touch(world: World) -> _Touch:
    assert world.contact is not None
    m = world.model
    moving, still = (m.geom(name) for name in world.contact)
    data = mujoco.MjData(m)
    mujoco.mj_kinematics(m, data)
    contact = _contact_parameters(world)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, m.geom_quat[moving.id])
    end = m.geom_pos[moving.id] + rotation.reshape(3, 3)[:, 2] * m.geom_size[moving.id, 1]
    body = int(moving.bodyid[0])
    d0, d1, width, middle, power = (float(x) for x in contact.solimp)
    constant, ratio = float(contact.solref[0]), float(contact.solref[1])
    constant = max(constant, 2 * world.timestep)
    return _Touch(
        centre=Place(body, tuple(float(x) for x in m.geom_pos[moving.id])),  # type: ignore[arg-type]
        half_length=float(m.geom_size[moving.id, 1]),
        radius=float(m.geom_size[moving.id, 0]),
        axis_end=Place(body, tuple(float(x) for x in end)),  # type: ignore[arg-type]
        obstacle=data.geom_xpos[still.id].copy(),
        across=data.geom_xmat[still.id].reshape(3, 3)[:, 2].copy(),
        obstacle_radius=float(m.geom_size[still.id, 0]),
        stiffness=1.0 / (d1 * d1 * constant * constant * ratio * ratio),
        damping=2.0 / (d1 * constant),
        impedance=(d0, d1, width, middle, power),
        weight=float(m.body_invweight0[body, 0] + m.body_invweight0[int(still.bodyid[0]), 0]),
    )


def _contact_parameters(world: World) -> Any:
    m = world.model
    wanted = {m.geom(name).id for name in world.contact or ()}
    for p in range(m.npair):
        if {int(m.pair_geom1[p]), int(m.pair_geom2[p])} == wanted:
            return m.pair(p)
    raise ValueError(f"there is no contact pair of {' and '.join(world.contact or ())} in the world")


def capsule_contact(
    world: World,
    terms: Mechanics,
    q: Float[Array, "coordinate"],
    v: Float[Array, "coordinate"],
    force: Float[Array, "coordinate"],
) -> tuple[Float[Array, ""], Float[Array, "coordinate"]]:
    """Normal force [N] and what it does to the coordinates."""
    model, t = world.twin, _touch(world)
    centre, end = points(model, q, (t.centre, t.axis_end))
    axis = (end - centre) / t.half_length
    across = jnp.asarray(t.across)
    gap = t.obstacle - centre
    gap = gap - across * (across @ gap)  # the obstacle is long: what counts is the distance in the plane
    along = jnp.clip(gap @ axis, -t.half_length, t.half_length)
    apart = along * axis - gap
    distance = jnp.sqrt(jnp.sum(apart**2))
    normal = apart / distance
    depth = distance - t.radius - t.obstacle_radius
    arm = line_of_action(model, q, t.centre, normal)
    turn = line_of_action(model, q, t.axis_end, normal) - arm
    row = arm + along / t.half_length * turn
    d0, d1, width, middle, power = t.impedance
    x = jnp.clip(jnp.abs(depth) / width, 0.0, 1.0)
    rise = jnp.where(x < middle, x**power / middle ** (power - 1), 1 - (1 - x) ** power / (1 - middle) ** (power - 1))
    impedance = d0 + (d1 - d0) * rise
    reference = -t.damping * (row @ v) - t.stiffness * impedance * depth
    inverse = jnp.linalg.solve(terms.mass_matrix, jnp.stack([row, force], -1))
    softness = row @ inverse[:, 0] + (1 - impedance) / impedance * t.weight
    strength = jnp.where(depth < 0, jnp.maximum(0.0, (reference - row @ inverse[:, 1]) / softness), 0.0)
    return strength, strength * row
