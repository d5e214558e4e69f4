"""The sagittal arm that arm environments are about: its joints, where its hand is, and how it gets somewhere.

A vector v turned about a unit axis n by φ is (n nᵀ + cos φ (1 − n nᵀ) + sin φ [n]×) v (Rodrigues). Two of these, and
the arm's fixed distances, make the hand's place bilinear in (1, cos, sin) of the shoulder's and the elbow's angle. The
axes are a few degrees oblique, so the hand leaves the sagittal plane by centimetres; what is asked of it is its place
in that plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import namespace
from mjx_msm.common.errors import InputError

JOINTS = ("shoulder_elev", "elbow_flex")
HAND = "hand"
"""The site in the palm."""
SAGITTAL = slice(0, 3, 2)
"""x and z of the world."""


def check_arm(mj_model: mujoco.MjModel) -> None:
    """Refuse a model that is not a sagittal arm with muscles and a hand.

    **Raises:** `InputError` naming what is missing.
    """
    names = [mj_model.joint(j).name for j in range(mj_model.njnt)]
    if tuple(names) != JOINTS:
        raise InputError(
            f"the subject's model has joints {', '.join(names)}; an arm has {', '.join(JOINTS)}, in this order: "
            "give a model identified on 'arm'"
        )
    if HAND not in [mj_model.site(s).name for s in range(mj_model.nsite)]:
        raise InputError("the subject's model has no site 'hand'; add one in the palm, where the beam is held")
    for i in range(mj_model.nu):
        if mj_model.actuator_dyntype[i] != mujoco.mjtDyn.mjDYN_MUSCLE:
            raise InputError(
                f"actuator '{mj_model.actuator(i).name}' of the subject's model is not a muscle; remove it"
            )


def reach(m: mujoco.MjModel, data: mujoco.MjData, target: Float[np.ndarray, "2"]) -> Float[np.ndarray, "3"]:
    """Bend shoulder and elbow, in `data`, until the hand is at (x, z); returns where it is, y too. Newton's method.

    **Raises:** `InputError` if it cannot get there.
    """
    hand, jacobian = m.site(HAND).id, np.zeros((3, m.nv))
    data.qpos[:2] = 0.0, 1.5
    for _ in range(50):
        mujoco.mj_kinematics(m, data)
        mujoco.mj_comPos(m, data)
        miss = target - data.site_xpos[hand][[0, 2]]
        if np.abs(miss).max() < 1e-12:
            break
        mujoco.mj_jacSite(m, data, jacobian, None, hand)
        data.qpos[:2] += np.clip(np.linalg.lstsq(jacobian[[0, 2], :2], miss)[0], -0.3, 0.3)
    else:
        raise InputError(f"the hand cannot reach x, z = {target[0]:.3f}, {target[1]:.3f} m; move the path")
    return data.site_xpos[hand].copy()


@dataclass(frozen=True, eq=False)
class ArmKinematics:
    """Of one compiled model."""

    parts: Float[np.ndarray, "3 3 3"]
    """Place of the hand: axis of the world by (1, cos, sin) of the shoulder by (1, cos, sin) of the elbow [m]."""

    @staticmethod
    def of(m: mujoco.MjModel, hand: str = HAND) -> ArmKinematics:
        """Of a model whose first two joints are shoulder and elbow, and whose site `hand` they move."""
        data = mujoco.MjData(m)
        data.qpos[:2] = 0.0
        mujoco.mj_kinematics(m, data)
        shoulder, elbow = data.xanchor[0], data.xanchor[1]
        lower = (_parts(data.xaxis[1]) @ (data.site_xpos[m.site(hand).id] - elbow)).T  # of elbow to hand
        lower[:, 0] += elbow - shoulder
        parts = np.einsum("kij,jl->ikl", _parts(data.xaxis[0]), lower)
        parts[:, 0, 0] += shoulder
        return ArmKinematics(parts)

    def hand(self, angles: Float[Any, "*batch 2"]) -> Float[Any, "*batch 3"]:
        """Place of the hand [m] at shoulder and elbow angles [rad]."""
        turns = _turns(angles)
        return ((self.parts @ turns[..., None, 1, :, None])[..., 0] @ turns[..., 0, :, None])[..., 0]

    def jacobian(self, angles: Float[Any, "*batch 2"]) -> Float[Any, "*batch 3 2"]:
        """Velocity of the hand per joint velocity [m]."""
        turns = _turns(angles)
        rates = turns @ _DERIVATIVE
        shoulder = (self.parts @ turns[..., None, 1, :, None])[..., 0] @ rates[..., 0, :, None]
        elbow = (self.parts @ rates[..., None, 1, :, None])[..., 0] @ turns[..., 0, :, None]
        return namespace(angles).concatenate([shoulder, elbow], axis=-1)

    def angles(
        self, target: Float[Any, "*batch 2"], start: Float[Any, "*batch 2"], iterations: int = 3
    ) -> Float[Any, "*batch 2"]:
        """Joint angles that put the hand at (x, z) in the sagittal plane, by Newton's method.

        **Arguments:** `start`: angles nearby. A target out of reach gives no useful answer.
        """
        xp = namespace(target)
        for _ in range(iterations):
            miss = self.hand(start)[..., SAGITTAL] - target
            j = self.jacobian(start)[..., SAGITTAL, :]
            a, b, c, d = j[..., 0, 0], j[..., 0, 1], j[..., 1, 0], j[..., 1, 1]
            step = xp.stack([d * miss[..., 0] - b * miss[..., 1], a * miss[..., 1] - c * miss[..., 0]], -1)
            start = start - step / (a * d - b * c)[..., None]
        return start


def _parts(axis: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3 3"]:
    """Rotation matrices that (1, cos φ, sin φ) multiply."""
    along = np.outer(axis, axis)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.stack([along, np.eye(3) - along, cross])


_DERIVATIVE = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(1, cos, sin) times this is its derivative, (0, −sin, cos)."""


def _turns(angles: Any) -> Any:
    """(1, cos, sin) of every angle."""
    xp = namespace(angles)
    angles = angles[..., None]
    return xp.concatenate([angles * 0.0 + 1.0, xp.cos(angles), xp.sin(angles)], axis=-1)
