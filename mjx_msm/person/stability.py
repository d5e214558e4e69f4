"""Whether RK4 follows a person's joints at a timestep: heavy damping on a light limb asks for short steps.

Euler's rule takes joint damping implicitly, and any of it is stable. RK4 is explicit: a motion that should decay as
exp(λ t) is multiplied in every step by

    R(hλ) = 1 + hλ + (hλ)²/2 + (hλ)³/6 + (hλ)⁴/24

and grows without end where |R| > 1: on the real axis beyond hλ = −2.785 (Hairer and Wanner 1996, section IV.2,
doi 10.1007/978-3-642-05221-7). The λ of the joints in a posture q are the eigenvalues of M(q) q̈ + D q̇ + K q = 0.
Muscles, explicit by either rule, are left out.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Complex, Float

from mjx_msm.common.errors import InputWarning

LIMIT = 2.785
"""Of h·|λ| for a motion that decays without swinging."""
POSTURES = 64
"""The inertia of a limb depends on them: drawn from the whole turn of every hinge."""
FINEST = 1000
"""Parts of a timestep to look for, at most."""


@dataclass(frozen=True)
class FastJoint:
    """The joint whose motion RK4 cannot follow at a model's timestep."""

    name: str
    reach: float
    """h·|λ|."""
    timestep: float
    """Of the model [s]."""
    parts: int
    """Into which the timestep has to be cut."""

    def __str__(self) -> str:
        return (
            f"joint '{self.name}' is so damped or stiff for its inertia that RK4 does not hold in steps of "
            f"{1e3 * self.timestep:.4g} ms (h·λ = {self.reach:.2f}, at most {LIMIT})"
        )

    @property
    def stable_timestep(self) -> float:
        """[s]."""
        return self.timestep / self.parts


def too_fast_for_rk4(mj_model: mujoco.MjModel, joints: Iterable[str] | None = None) -> FastJoint | None:
    """The fastest of the joints that move, by default all, if RK4 does not follow it at the model's timestep."""
    names = [mj_model.joint(j).name for j in range(mj_model.njnt)]
    moving = [names.index(j) for j in (names if joints is None else joints)]
    if not moving or mj_model.nv != mj_model.njnt:
        return None
    h, rates, modes = mj_model.opt.timestep, [], []
    for matrix in _mass_matrices(mj_model):
        inertia = matrix[np.ix_(moving, moving)]
        damped, stiff = (
            np.linalg.solve(inertia, np.diag(x[moving])) for x in (mj_model.dof_damping, mj_model.jnt_stiffness)
        )
        still, one = np.zeros_like(inertia), np.eye(len(moving))
        found, vectors = np.linalg.eig(np.block([[still, one], [-stiff, -damped]]))
        rates.append(found)
        modes.append(np.abs(vectors[: len(moving)]))
    reach = h * np.concatenate(rates)
    share = np.concatenate(modes, axis=1)
    reach, share = reach[reach.real <= 0], share[:, reach.real <= 0]  # what drives itself grows in truth, too
    grows = _growth(reach) > 1 + 1e-9
    if not grows.any():
        return None
    worst = int(np.argmax(np.where(grows, np.abs(reach), 0.0)))
    parts = next((n for n in range(2, FINEST) if (_growth(reach / n) <= 1 + 1e-9).all()), FINEST)
    name = names[moving[int(np.argmax(share[:, worst]))]]
    return FastJoint(name, float(np.abs(reach[worst])), h, parts)


def warn_if_too_fast(mj_model: mujoco.MjModel, joints: Iterable[str], source: str) -> None:
    """One line that names the joint and what to do about it."""
    found = too_fast_for_rk4(mj_model, joints)
    if found is not None:
        advice = f'load it with timestep={found.stable_timestep:.4g}, or simulate it with integrator="Euler"'
        warnings.warn(f"model '{source}': {found}; {advice}", InputWarning, stacklevel=3)


def _growth(reach: Complex[np.ndarray, "mode"]) -> Float[np.ndarray, "mode"]:
    """|R|."""
    return np.abs(1 + reach * (1 + reach / 2 * (1 + reach / 3 * (1 + reach / 4))))


def _mass_matrices(mj_model: mujoco.MjModel) -> list[Float[np.ndarray, "coordinate coordinate"]]:
    """Where the model is at rest, and in postures all over its hinges' turns; slides stay."""
    data, rng, out = mujoco.MjData(mj_model), np.random.default_rng(0), []
    hinge = mj_model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE
    for k in range(POSTURES + 1):
        turn = rng.uniform(-math.pi, math.pi, mj_model.nq) if k else 0.0
        data.qpos[:] = np.where(hinge, mj_model.qpos0 + turn, mj_model.qpos0)
        mujoco.mj_kinematics(mj_model, data)
        mujoco.mj_comPos(mj_model, data)
        mujoco.mj_crb(mj_model, data)
        matrix = np.zeros((mj_model.nv, mj_model.nv))
        mujoco.mj_fullM(mj_model, data, matrix)
        out.append(matrix)
    return out
