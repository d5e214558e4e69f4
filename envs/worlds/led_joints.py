"""Joints whose motion is given: what pushes them along it, whatever pulls on them.

The world makes such a joint heavy (`mjx_msm.envs.engines.world.LEADING_INERTIA`), so that a force from its inertia
alone leads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from mjx_msm.envs.engines.kinetics import Kinetics
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.motions.goal import Goal

FOLLOWING = 0.5
"""Part of a led joint's distance from its reference that is made up in a control period [-]."""


@dataclass(frozen=True, eq=False)
class LedJoints:
    """Led joints of a world, in a goal that is over all of the person's."""

    joints: Int[np.ndarray, "led"]
    """Coordinates."""
    push: Float[np.ndarray, "led coordinate"]
    """Force that gives each a unit of acceleration [kg·m²]."""

    @staticmethod
    def of(world: World, names: Sequence[str]) -> LedJoints:
        """By name."""
        joints = world.among(names)
        push = np.zeros((len(joints), len(world.coordinates)))
        push[np.arange(len(joints)), joints] = _inertia(world)[joints]
        return LedJoints(joints, push)

    def force(self, goal: Goal, seen: Kinetics, period: float) -> Float[Any, "coordinate"]:
        """To the goal's speed at the end of a control period [s], and towards its place [N·m]."""
        led, h = self.joints, period
        miss = goal.position[led] - seen.position[led]
        miss = miss - 0.5 * h * (goal.velocity[led] + seen.velocity[led])
        lead = (goal.velocity[led] - seen.velocity[led]) / h + FOLLOWING * miss / h**2
        return lead @ self.push


def _inertia(world: World) -> Float[np.ndarray, "coordinate"]:
    """Of every coordinate alone, at the reference position [kg·m²]."""
    m = world.model
    data, matrix = mujoco.MjData(m), np.zeros((m.nv, m.nv))
    mujoco.mj_forward(m, data)
    mujoco.mj_fullM(m, data, matrix)
    return np.diag(matrix).copy()
