"""The intent to follow a goal: a tracking controller (`mjx_msm.envs.tracking`) in the place of a person's brain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.envs.human import Sight
from mjx_msm.envs.tracking import Memory, Reference, Sensed, Tracker, gains
from mjx_msm.envs.world import World

DELAY = 0.04
"""Of nerves, there and back, with transduction [s]; 30 to 60 ms in the literature."""


@dataclass(frozen=True)
class Tracking:
    """Follows the goal with the muscles, of the joints that are free to move."""

    joints: Int[np.ndarray, "dof"]
    """Coordinates that are controlled."""
    tracker: Tracker

    @staticmethod
    def of(world: World, joints: Sequence[str], period: float, delay: float = DELAY) -> Tracking:
        """A controller for a world's nominal person.

        **Arguments:** `joints`: by name. `period`: of control [s]. `delay`: of nerves [s].
        """
        count = len(world.muscles)
        stiffness, damping = gains(delay, period)
        rise, fall = world.model.actuator_dynprm[:count, 0].copy(), world.model.actuator_dynprm[:count, 1].copy()
        tracker = Tracker(delay=delay, stiffness=stiffness, damping=damping, rise_time=rise, fall_time=fall)
        return Tracking(np.array([world.coordinate(name) for name in joints]), tracker)

    def begin(self, sight: Sight, period: float) -> Memory:
        return self.tracker.start(self._reference(sight.goal), period)

    def excitation(self, memory: Memory, sight: Sight, period: float) -> tuple[Float[Any, "muscle"], Memory]:
        j, seen, known = self.joints, sight.kinetics, sight.dynamics()
        sensed = Sensed(
            position=seen.position[j],
            velocity=seen.velocity[j],
            mass_matrix=known.mass_matrix[j[:, None], j],
            bias=known.bias[j],
            passive=known.passive[j],
            activation=seen.activation,
            capacity=known.capacity,
            slack_tension=seen.passive_tension,
            moment_arm=known.moment_arm[:, j],
        )
        return self.tracker.excitation(memory, self._reference(sight.goal), sensed, period)

    def _reference(self, goal: Any) -> Reference:
        """The controlled part of a goal that is over all of the person's joints."""
        j = self.joints
        return Reference(goal.position[j], goal.velocity[j], goal.acceleration[j])
