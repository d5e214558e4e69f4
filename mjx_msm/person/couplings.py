"""Joints that follow others by a polynomial: coordinates are those that are left.

An equality of two joints in MJCF says q₁ − q₁⁰ = a₀ + a₁ x + … + a₄ x⁴ with x = q₂ − q₂⁰. Put into the kinematics it
needs no solver, and is exact where C's constraint is soft.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import mujoco
import numpy as np
from jaxtyping import Float
from numpy.polynomial import Polynomial


@dataclass(frozen=True)
class Coupling:
    """How a joint follows."""

    driver: int
    """The joint it follows, itself independent; -1: it stays where it is."""
    powers: tuple[float, ...]
    """Of its travel from the reference by the driver's."""


def is_coupling(m: mujoco.MjModel, e: int) -> bool:
    """Whether an equality constraint is active and one of two joints."""
    return bool(m.eq_active0[e]) and mujoco.mjtEq(m.eq_type[e]) == mujoco.mjtEq.mjEQ_JOINT


@lru_cache(maxsize=16)
def couplings(m: mujoco.MjModel) -> Mapping[int, Coupling]:
    """The joints that follow others, chains of them put into one polynomial each."""
    direct = {}
    if not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_EQUALITY:
        for e in range(m.neq):
            if is_coupling(m, e):
                direct[int(m.eq_obj1id[e])] = int(m.eq_obj2id[e]), Polynomial(m.eq_data[e, :5])
    out = {}
    for joint, (driver, law) in direct.items():
        while driver in direct:
            driver, inner = direct[driver]
            law = law(inner) if driver != joint else law
            if driver == joint:  # a circle, which `circular_couplings` names
                break
        if driver < 0:  # constant
            law = Polynomial([law.coef[0]])
        powers = np.trim_zeros(law.coef, "b")
        out[joint] = Coupling(driver, tuple(float(c) for c in powers) or (0.0,))
    return out


def bad_couplings(m: mujoco.MjModel) -> Iterator[tuple[str, str]]:
    """Those that leave no independent coordinates: name of the joint, and what is wrong."""
    seen: dict[int, int] = {}
    if m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_EQUALITY:
        return
    for e in (e for e in range(m.neq) if is_coupling(m, e)):
        joint, driver = int(m.eq_obj1id[e]), int(m.eq_obj2id[e])
        if joint in seen:
            yield m.joint(joint).name, "follows two equality constraints"
        seen[joint] = driver
    for joint in seen:
        at, steps = seen[joint], 0
        while at in seen and steps <= len(seen):
            at, steps = seen[at], steps + 1
        if steps > len(seen):
            yield m.joint(joint).name, "follows itself"


def independent(m: mujoco.MjModel) -> list[int]:
    """The joints that are coordinates."""
    follows = couplings(m)
    return [j for j in range(m.njnt) if j not in follows]


def whole_position(
    m: mujoco.MjModel, position: Float[np.ndarray, "*sample coordinate"]
) -> Float[np.ndarray, "*sample joint"]:
    """Positions of all joints, hinges and slides, from those of the coordinates."""
    position, order = np.asarray(position, float), independent(m)
    out = np.zeros((*position.shape[:-1], m.nq))
    out[..., m.jnt_qposadr[order]] = position
    for joint, law in couplings(m).items():
        at = m.jnt_qposadr[joint]
        x = position[..., order.index(law.driver)] - m.qpos0[m.jnt_qposadr[law.driver]] if law.driver >= 0 else 0.0
        out[..., at] = m.qpos0[at] + np.polynomial.polynomial.polyval(x, law.powers)
    return out


def followed(m: mujoco.MjModel, position: Float[np.ndarray, "nq"]) -> Float[np.ndarray, "nq"]:
    """Positions of a whole model with the joints that follow others where they belong."""
    out = np.array(position, float)
    for joint, law in couplings(m).items():
        at, by = m.jnt_qposadr[joint], m.jnt_qposadr[max(law.driver, 0)]
        x = out[by] - m.qpos0[by] if law.driver >= 0 else 0.0
        out[at] = m.qpos0[at] + np.polynomial.polynomial.polyval(x, law.powers)
    return out


def spread(m: mujoco.MjModel, position: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "joint coordinate"]:
    """How the joints move with the coordinates: ∂(all joints)/∂(coordinates)."""
    order = independent(m)
    out = np.zeros((m.nv, len(order)))
    out[m.jnt_dofadr[order], np.arange(len(order))] = 1.0
    for joint, law in couplings(m).items():
        if law.driver >= 0:
            c = order.index(law.driver)
            x = position[c] - m.qpos0[m.jnt_qposadr[law.driver]]
            out[m.jnt_dofadr[joint], c] = Polynomial(law.powers).deriv()(x)
    return out


def whole_motion(
    m: mujoco.MjModel,
    position: Float[np.ndarray, "coordinate"],
    velocity: Float[np.ndarray, "coordinate"],
    acceleration: Float[np.ndarray, "coordinate"],
) -> tuple[Float[np.ndarray, "joint"], Float[np.ndarray, "joint"], Float[np.ndarray, "joint"]]:
    """Positions, velocities and accelerations of all joints from those of the coordinates."""
    g, order = spread(m, position), independent(m)
    moved = g @ acceleration
    for joint, law in couplings(m).items():
        if law.driver >= 0:
            c = order.index(law.driver)
            x = position[c] - m.qpos0[m.jnt_qposadr[law.driver]]
            moved[m.jnt_dofadr[joint]] += Polynomial(law.powers).deriv(2)(x) * velocity[c] ** 2
    return whole_position(m, position), g @ velocity, moved
