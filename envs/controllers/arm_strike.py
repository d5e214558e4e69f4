"""Baselines of the arm that strikes a ball."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from jaxtyping import Float

from mjx_msm.envs.controllers.arm_reach import Reaching
from mjx_msm.envs.human.arm import SAGITTAL
from mjx_msm.envs.tasks.arm_strike import ArmStrike
from mjx_msm.envs.worlds.strike_scene import BALL_RADIUS, HAND_RADIUS, PLACE, SLOWING

PEAK = 1.875
"""Greatest speed of a minimum-jerk motion, halfway, over its mean one."""
PASSED_ON = 1.5
"""Speed of a struck ball over that of the hand which comes to it: elastic, by a forearm of thrice the ball's mass."""
SLOWEST = 1.9
"""Longest swing [s]."""


class Striking(Reaching):
    """Swings through the ball as `Reaching` goes to a place, fastest where it meets it, as fast as the way asks for."""

    target: ClassVar[tuple[str, ...]] = ("target_way",)

    def __init__(self, task: ArmStrike):
        super().__init__(task)
        self._ball = self._channels("ball_way", "ball_velocity")
        self._meeting = np.array(PLACE)[SAGITTAL] - (HAND_RADIUS + BALL_RADIUS, 0.0)

    def _way_to(self, target: Float[np.ndarray, "target"]) -> Float[np.ndarray, "2"]:
        """As far beyond the ball as it is before it; how long that takes follows from the speed."""
        way = 2.0 * (self._arm.angles(self._meeting, self._middle, iterations=8) - self._begin)
        forward = self._arm.jacobian(self._begin + 0.5 * way)[0] @ way
        self.seconds = float(np.clip(PEAK * forward * PASSED_ON / (SLOWING * target[0]), 0.1, SLOWEST))
        return self._begin + way

    def _moving(self, seen: Float[np.ndarray, "observation"]) -> tuple[np.ndarray, np.ndarray]:
        way, speed = seen[self._ball]
        return np.append(seen[self._angles], way), np.append(seen[self._speeds], speed)
