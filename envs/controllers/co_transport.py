"""Baselines of the robot arm that carries a beam with a person."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mjx_msm.envs.controllers.baseline import Baseline
from mjx_msm.envs.motions.goal import Goal
from mjx_msm.envs.robots.cobot import JOINTS
from mjx_msm.envs.robots.cobot_controllers import Impedance, Sensed
from mjx_msm.envs.tasks.co_transport import ArmCoTransport


class ImpedanceTorque(Baseline):
    """The cobot's impedance controller, less the robot's own weight, which the environment bears."""

    def __init__(self, task: ArmCoTransport):
        super().__init__(task)
        self.impedance = Impedance(task.robot, task.transport.borne("tool"))
        self._limit = np.array(task.cobot.torque_limit)
        self._angles = self._channels(*(f"{name}_angle" for name in JOINTS))
        self._speeds = self._channels(*(f"{name}_velocity" for name in JOINTS))
        self._force, self._miss, self._velocity, self._acceleration = (
            self._channels(f"{name}_x", f"{name}_z")
            for name in ("handle_force", "tool_error", "goal_velocity", "goal_acceleration")
        )

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        seen, robot = observation.astype(float), self.impedance.robot
        sensed = Sensed(seen[self._angles], seen[self._speeds], seen[self._force])
        place = robot.tool(sensed.position)[:2] + seen[self._miss]
        goal = Goal(place, seen[self._velocity], seen[self._acceleration])
        torque = self.impedance.torque(sensed, goal) - robot.gravity_torque(sensed.position)
        return self._action(torque / self._limit)
