"""Where the hand of the two-joint arm is, and which joint angles put it somewhere.

A vector v turned about a unit axis n by φ is (n nᵀ + cos φ (1 − n nᵀ) + sin φ [n]×) v (Rodrigues). Two of these, and
the arm's fixed distances, take the shoulder's and the elbow's angle to the hand. The axes are a few degrees oblique, so
the hand leaves the sagittal plane by centimetres; what is asked of it is its place in that plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.envs.arrays import namespace

SAGITTAL = np.array([0, 2])
"""x and z of the world."""


@dataclass(frozen=True, eq=False)
class ArmKinematics:
    """Of one compiled model: both turns as constant parts of 1, cos and sin."""

    shoulder: Float[np.ndarray, "3"]
    """In the world [m]."""
    upper: Float[np.ndarray, "3 3 3"]
    """Parts of the shoulder's rotation matrix."""
    elbow: Float[np.ndarray, "3"]
    """From shoulder to elbow, in the upper arm's frame [m]."""
    lower: Float[np.ndarray, "3 3"]
    """Parts of elbow to hand, in the upper arm's frame [m]."""

    @staticmethod
    def of(m: mujoco.MjModel, hand: str = "hand") -> ArmKinematics:
        """Of a model whose first two joints are shoulder and elbow, and whose site `hand` they move."""
        data = mujoco.MjData(m)
        data.qpos[:2] = 0.0
        mujoco.mj_kinematics(m, data)
        shoulder, elbow = data.xanchor[0].copy(), data.xanchor[1].copy()
        upper, lower = _parts(data.xaxis[0]), _parts(data.xaxis[1])
        return ArmKinematics(shoulder, upper, elbow - shoulder, lower @ (data.site_xpos[m.site(hand).id] - elbow))

    def hand(self, angles: Float[Any, "*batch 2"]) -> Float[Any, "*batch 3"]:
        """Place of the hand [m] at shoulder and elbow angles [rad]."""
        turns = _turns(angles)
        reach = self.elbow + turns[..., 1, :] @ self.lower
        return self.shoulder + _apply(turns[..., 0, :], self.upper, reach)

    def jacobian(self, angles: Float[Any, "*batch 2"]) -> Float[Any, "*batch 3 2"]:
        """Velocity of the hand per joint velocity [m]."""
        xp = namespace(angles)
        turns, rates = _turns(angles), _rates(angles)
        reach = self.elbow + turns[..., 1, :] @ self.lower
        first = _apply(rates[..., 0, :], self.upper, reach)
        second = _apply(turns[..., 0, :], self.upper, rates[..., 1, :] @ self.lower)
        return xp.stack([first, second], axis=-1)

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
            determinant = a * d - b * c
            step = xp.stack([d * miss[..., 0] - b * miss[..., 1], a * miss[..., 1] - c * miss[..., 0]], -1)
            start = start - step / determinant[..., None]
        return start


def _parts(axis: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3 3"]:
    along = np.outer(axis, axis)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.stack([along, np.eye(3) - along, cross])


def _turns(angles: Any) -> Any:
    xp = namespace(angles)
    return xp.stack([xp.ones_like(angles), xp.cos(angles), xp.sin(angles)], axis=-1)


def _rates(angles: Any) -> Any:
    xp = namespace(angles)
    return xp.stack([xp.zeros_like(angles), -xp.sin(angles), xp.cos(angles)], axis=-1)


def _apply(turn: Any, parts: Float[np.ndarray, "3 3 3"], vector: Any) -> Any:
    """Σ turn_k · parts_k · vector."""
    return namespace(turn).einsum("...k,kij,...j->...i", turn, parts, vector)
