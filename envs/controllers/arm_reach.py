"""Baselines of the arm that moves its hand to targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from mjx_msm.envs.controllers.baseline import Baseline
from mjx_msm.envs.engines.c_engine import CEngine
from mjx_msm.envs.human.arm import JOINTS
from mjx_msm.envs.human.intent import Sight, Tracking
from mjx_msm.envs.motions.goal import Goal
from mjx_msm.envs.tasks.arm_reach import REACH, ArmReach
from mjx_msm.envs.tasks.arm_strike import ArmStrike


class Reaching(Baseline):
    """Brings the hand to the target as people do, by a minimum-jerk motion of the joints, and holds it there.

    Muscles by computed muscle control (`mjx_msm.envs.human.computed_muscle_control`) of the nominal arm, on what is
    observed. Flash and Hogan 1985, doi 10.1523/JNEUROSCI.05-07-01688.1985.
    """

    target: ClassVar[tuple[str, ...]] = ("target_x", "target_z")
    """What is asked for, of the observation."""

    def __init__(self, task: ArmReach | ArmStrike, seconds: float = 0.6):
        super().__init__(task)
        self.seconds, self._period, self._arm = seconds, task.period, task.arm
        self._body = CEngine(task.world)
        self._intent = Tracking.of(task.world, JOINTS, task.period, delay=0.0)
        self._angles = self._channels(*(f"{name}_angle" for name in JOINTS))
        self._speeds = self._channels(*(f"{name}_velocity" for name in JOINTS))
        self._target = self._channels(*self.target)
        self._activation = self._channels(*(f"activation_{name}" for name in task.world.muscles))
        self._idle = np.zeros(len(task.world.muscles))
        self._middle = REACH.mean(axis=1)  # Newton's method finds every target from there
        self.reset()

    def reset(self) -> None:
        """No target was seen."""
        self._memory: Any = None
        self._wanted = np.full(2, np.nan)
        self._begin = self._end = np.zeros(2)
        self._step = 0

    def remembered(self) -> Mapping[str, Any]:
        """Of this episode."""
        return {name: getattr(self, name) for name in ("_memory", "_wanted", "_begin", "_end", "_step")}

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        seen = observation.astype(float)
        angles, target = seen[self._angles], seen[self._target]
        if self._memory is None or np.abs(target - self._wanted).max() > 0.02:
            self._begin = angles if self._memory is None else self._goal(self._step).position
            self._end, self._wanted, self._step = self._way_to(target), target, 0
        self._body.start(*self._moving(seen), seen[self._activation], np.zeros(0))
        self._step += 1
        sight = Sight(0, self._goal(self._step), self._body.kinetics(), self._body.dynamics, self._idle)
        if self._memory is None:
            self._memory = self._intent.begin(sight._replace(goal=self._goal(0)), self._period)
        excitation, self._memory = self._intent.excitation(self._memory, sight, self._period)
        return self._action(2.0 * excitation - 1.0)

    def _way_to(self, target: Float[np.ndarray, "target"]) -> Float[np.ndarray, "2"]:
        """Angles to bring the joints to, from where they begin."""
        return self._arm.angles(target, self._middle, iterations=8)

    def _moving(self, seen: Float[np.ndarray, "observation"]) -> tuple[np.ndarray, np.ndarray]:
        """Position and velocity of the world's coordinates."""
        return seen[self._angles], seen[self._speeds]

    def _goal(self, step: int) -> Goal:
        """Of the joints, at the end of a control period since the target appeared."""
        t = min(step * self._period / self.seconds, 1.0)
        way, h = self._end - self._begin, self.seconds
        return Goal(
            self._begin + way * t**3 * (10 - 15 * t + 6 * t**2),
            way * 30 * t**2 * (1 - t) ** 2 / h,
            way * 60 * t * (1 - t) * (1 - 2 * t) / h**2,
        )
