"""The beam's path on a table, and what it asks of the arm that carries the beam along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.envs.engines.world import GRAVITY
from mjx_msm.envs.human.arm import SAGITTAL, ArmKinematics
from mjx_msm.envs.motions.goal import Goal
from mjx_msm.envs.motions.transport_path import TransportPath

STEP = 0.001
"""Of the table [s]."""


@dataclass(frozen=True, eq=False)
class BeamWay:
    """Rows for every `STEP` of the path at its own pace; an episode goes along them at another."""

    beam: Goal
    """Middle of the beam (x, z) [m] and its pitch [rad]."""
    carrying: Float[np.ndarray, "time 5 2"]
    """Shoulder and elbow angle, their velocity and acceleration, and the moments about them that bear the hand's share
    of the beam at rest and accelerate it [rad, rad/s, rad/s², N·m, N·m]."""
    hand: Float[np.ndarray, "2"]
    """Where the hand is at the start, (x, z) [m]."""
    period: float
    """Of control [s]."""

    @staticmethod
    def of(
        path: TransportPath, arm: ArmKinematics, start: Float[np.ndarray, "2"], borne: float, period: float
    ) -> BeamWay:
        """**Arguments:** `start`: shoulder and elbow angle that hold the beam at the path's start [rad]; `borne`: mass
        that the hand bears [kg]; `period`: of control [s].
        """
        beam = path.at(STEP * np.arange(round(path.duration / STEP) + 1))
        hand = arm.hand(start)[SAGITTAL]
        # As far from where the hand starts as the beam is from where it starts.
        place = hand + beam.position[:, :2] - beam.position[0, :2]
        angles = np.empty((len(place), 2))
        last = start
        for k, target in enumerate(place):
            angles[k] = last = arm.angles(target, last, iterations=2)
        velocity = np.gradient(angles, STEP, axis=0)
        jacobian = arm.jacobian(angles)[:, SAGITTAL]
        weight = borne * GRAVITY * jacobian[:, 1]
        inertia = borne * np.einsum("ti,tij->tj", beam.acceleration[:, :2], jacobian)
        rows = (angles, velocity, np.gradient(velocity, STEP, axis=0), weight, inertia)
        return BeamWay(beam, np.stack(rows, axis=1), hand, period)

    def _row(self, xp: Any, pace: Any, step: Any) -> Any:
        """Where on the table an episode is at a control period, at its pace; after the end it stays there."""
        index = xp.asarray(xp.round(step * (self.period / STEP) * pace), int)
        return xp.minimum(index, len(self.carrying) - 1)

    def motion(self, xp: Any, pace: Any, step: Any) -> Goal:
        """Of the beam at a control period."""
        row = self._row(xp, pace, step)
        return Goal(
            xp.asarray(self.beam.position)[row],
            xp.asarray(self.beam.velocity)[row] * pace,
            xp.asarray(self.beam.acceleration)[row] * pace**2,
        )

    def of_arm(self, xp: Any, pace: Any, step: Any) -> tuple[Goal, Float[Any, "2"]]:
        """Motion of shoulder and elbow that goes with it, and the moments that carry the hand's share [N·m]."""
        angle, velocity, acceleration, weight, inertia = xp.asarray(self.carrying)[self._row(xp, pace, step)]
        return Goal(angle, velocity * pace, acceleration * pace**2), weight + inertia * pace**2
