"""The robot arm's own model of itself in the plane: where its tool is, how to get somewhere, what its weight asks for.

In the plane the arm is a chain of three links. A link at angle φ to the vertical points along
u(φ) = (−sin φ, cos φ) in (x, z), and its angle is the sum of the joint angles up to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import namespace
from mjx_msm.common.errors import InputError
from mjx_msm.envs.robots.cobot import LINKS, PREFIX

TOOL_ANGLE = math.pi
"""Of the gripper to the vertical while it carries: it hangs straight down [rad]."""
_SUM = np.triu(np.ones((3, 3)))
"""Joint angles times this are the links' angles: each the sum up to its own."""


@dataclass(frozen=True, eq=False)
class CobotKinematics:
    """The robot's own model of itself: a chain of three links in the plane, with their weight.

    Functions take and give NumPy or JAX arrays, with any leading axes; positions are (x, z) [m].
    """

    base: Float[np.ndarray, "2"]
    """Where the shoulder's axis is [m]."""
    length: Float[np.ndarray, "3"]
    """Of every link, the last one to the tool [m]."""
    mass: Float[np.ndarray, "3"]
    """[kg]."""
    com: Float[np.ndarray, "3"]
    """How far along its link the centre of mass is [m]; it lies on the link."""
    gravity: float
    """[m/s²], downwards."""

    @staticmethod
    def of(m: mujoco.MjModel) -> CobotKinematics:
        """Read from a compiled model that holds the robot."""
        d = mujoco.MjData(m)
        mujoco.mj_kinematics(m, d)
        bodies = [m.body(PREFIX + link).id for link in LINKS]
        inner = [m.body_pos[b][2] for b in bodies[1:]]
        return CobotKinematics(
            base=d.xpos[bodies[0]][[0, 2]],
            length=np.array([*inner, m.site(f"{PREFIX}tool").pos[2]]),
            mass=m.body_mass[bodies],
            com=m.body_ipos[bodies, 2],
            gravity=-float(m.opt.gravity[2]),
        )

    def tool(self, q: Float[Any, "*batch 3"]) -> Float[Any, "*batch 3"]:
        """Position of the tool (x, z) [m] and the angle of its link to the vertical [rad]."""
        xp = namespace(q)
        angle = q @ _SUM
        x = self.base[0] - xp.sin(angle) @ self.length
        z = self.base[1] + xp.cos(angle) @ self.length
        return xp.stack([x, z, angle[..., -1]], axis=-1)

    def jacobian(self, q: Float[Any, "*batch 3"]) -> Float[Any, "*batch 3 3"]:
        """Derivative of `tool` with respect to the joint angles."""
        xp = namespace(q)
        angle = q @ _SUM
        beyond = -self.length[:, None] * _SUM.T  # a joint moves every link from its own on
        return xp.stack([xp.cos(angle) @ beyond, xp.sin(angle) @ beyond, xp.ones_like(angle)], axis=-2)

    def inverse(self, pose: Float[Any, "*batch 3"]) -> Float[Any, "*batch 3"]:
        """Joint angles, elbow up, that bring the tool to a pose; out of reach, those that point there.

        With complex numbers x + iz, u(φ) = i exp(iφ), so the wrist is at i exp(iq₁)(l₁ + l₂ exp(iq₂)).
        """
        xp = namespace(pose)
        l1, l2, l3 = (float(x) for x in self.length)
        angle = pose[..., 2]
        x = pose[..., 0] - self.base[0] + l3 * xp.sin(angle)
        z = pose[..., 1] - self.base[1] - l3 * xp.cos(angle)
        cosine = (x**2 + z**2 - l1**2 - l2**2) / (2 * l1 * l2)
        elbow = xp.arccos(xp.clip(cosine, -1.0, 1.0))
        shoulder = xp.arctan2(-x, z) - xp.arctan2(l2 * xp.sin(elbow), l1 + l2 * xp.cos(elbow))
        return xp.stack([shoulder, elbow, angle - shoulder - elbow], axis=-1)

    def gravity_torque(self, q: Float[Any, "*batch 3"]) -> Float[Any, "*batch 3"]:
        """Torque of the joints that holds the robot's own weight [N·m]: ∂(potential energy)/∂q."""
        carried = (np.ones((3, 3)) - _SUM.T) @ self.mass  # at the end of each link
        moment = self.gravity * (self.mass * self.com + carried * self.length)
        return -namespace(q).sin(q @ _SUM) @ (moment[:, None] * _SUM.T)

    def reach(self, pose: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        """`inverse` that refuses what is out of reach.

        **Raises:** `InputError` naming the place.
        """
        q = self.inverse(pose)
        far = np.abs(self.tool(q) - pose).max(axis=-1) > 1e-9
        if np.any(far):
            x, z, _ = np.atleast_2d(pose)[np.atleast_1d(far)][0]
            raise InputError(f"the robot cannot reach x, z = {x:.3f}, {z:.3f} m; move it (Cobot.x) or the path")
        return q
