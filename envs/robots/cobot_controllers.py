"""Baseline controllers of the cobot: pure functions of what a cobot senses, with the beam's path known.

- `Impedance`, for a `TorqueDrive`: the tool hangs on a spring and a damper from its point of the path, and the robot
  bears its own weight and its share of the beam (Hogan 1985, doi 10.1115/1.3140702),

      τ = Jᵀ (K (x_d − x) + D (ẋ_d − ẋ) + m (ẍ_d + g)) + τ_gravity(q)

- `Admittance`, for a `PositionDrive`: the handle's force, beyond what the share of the beam explains, moves a virtual
  mass off the path, a spring brings it back, and the drives follow it,

      M ë + D ė + K e = f + m (ẍ_d + g),   x = x_d + e

Positions are (x, z) in the plane [m]. Arrays may be NumPy's or JAX's, with any leading axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import namespace
from mjx_msm.common.errors import InputError
from mjx_msm.envs.motions.goal import Goal
from mjx_msm.envs.robots.cobot import PositionDrive
from mjx_msm.envs.robots.cobot_kinematics import TOOL_ANGLE, CobotKinematics


class Sensed(NamedTuple):
    """What the robot measures."""

    position: Float[Any, "*batch 3"]
    """Joint angles [rad]."""
    velocity: Float[Any, "*batch 3"]
    """[rad/s]."""
    force: Float[Any, "*batch 2"]
    """Of the handle on the gripper, x and z in the world [N]."""


def _check(controller: Any) -> None:
    for item in fields(controller):
        value = getattr(controller, item.name)
        if isinstance(value, float | int) and not (math.isfinite(value) and value >= 0):
            raise InputError(f"{type(controller).__name__} {item.name} = {value!r}; give a finite number, zero or more")


@dataclass(frozen=True)
class Impedance:
    """Joint torques that make the tool a spring and a damper about its point of the path.

    The default gains are stable at 50 commands a second with senses up to 40 ms late, and no longer at 60 ms.
    """

    robot: CobotKinematics
    load: float
    """Mass of the beam that the robot bears [kg]."""
    stiffness: float = 1000.0
    """[N/m]."""
    damping: float = 150.0
    """[N·s/m]."""
    turning_stiffness: float = 30.0
    """Of the gripper's angle [N·m/rad]."""
    turning_damping: float = 3.0
    """[N·m·s/rad]."""

    def __post_init__(self) -> None:
        _check(self)

    def torque(self, sensed: Sensed, goal: Goal) -> Float[Any, "*batch 3"]:
        """Torque of shoulder, elbow and wrist [N·m]. **Arguments:** `goal`: of the tool, in (x, z)."""
        xp = namespace(sensed.position)
        pose, jacobian = self.robot.tool(sensed.position), self.robot.jacobian(sensed.position)
        rate = xp.sum(jacobian * sensed.velocity[..., None, :], axis=-1)
        up = np.array((0.0, self.robot.gravity))
        push = (
            self.stiffness * (goal.position - pose[..., :2])
            + self.damping * (goal.velocity - rate[..., :2])
            + self.load * (goal.acceleration + up)
        )
        turn = self.turning_stiffness * (TOOL_ANGLE - pose[..., 2:]) - self.turning_damping * rate[..., 2:]
        wrench = xp.concatenate([push, turn], axis=-1)
        return xp.sum(jacobian * wrench[..., :, None], axis=-2) + self.robot.gravity_torque(sensed.position)


class AdmittanceState(NamedTuple):
    """Where the virtual mass is, off the path."""

    offset: Float[Any, "*batch 2"]
    """[m]."""
    rate: Float[Any, "*batch 2"]
    """[m/s]."""


@dataclass(frozen=True)
class Admittance:
    """Joint angles that follow a virtual mass which the handle's force moves."""

    robot: CobotKinematics
    drive: PositionDrive
    load: float
    """Mass of the beam that the robot bears [kg]."""
    mass: float = 8.0
    """Of the virtual body [kg]."""
    damping: float = 120.0
    """Between it and the path [N·s/m]."""
    stiffness: float = 300.0
    """[N/m]."""

    def __post_init__(self) -> None:
        _check(self)
        if self.mass == 0:
            raise InputError("Admittance mass = 0; give a positive number")

    def start(self, goal: Goal) -> AdmittanceState:
        """At rest on the path."""
        return AdmittanceState(0.0 * goal.position, 0.0 * goal.position)

    def step(
        self, state: AdmittanceState, sensed: Sensed, goal: Goal, interval: float
    ) -> tuple[AdmittanceState, Float[Any, "*batch 3"]]:
        """The virtual mass after one interval between commands [s], and the command: joint angles [rad].

        The command leads by the drives' lag and by what the servo gives way under the weight, both known to the robot.
        """
        xp = namespace(sensed.position)
        up = np.array((0.0, self.robot.gravity))
        push = self.load * (goal.acceleration + up)
        # Implicit Euler: stable at any interval
        inertia = self.mass + interval * (self.damping + interval * self.stiffness)
        force = sensed.force + push - self.stiffness * state.offset
        rate = (self.mass * state.rate + interval * force) / inertia
        offset = state.offset + interval * rate

        ahead = goal.position + offset + self.drive.lag * (goal.velocity + rate)
        angle = xp.full_like(ahead[..., :1], TOOL_ANGLE)
        wanted = self.robot.inverse(xp.concatenate([ahead, angle], axis=-1))
        jacobian = self.robot.jacobian(sensed.position)
        bearing = xp.sum(jacobian[..., :2, :] * push[..., :, None], axis=-2)
        weight = self.robot.gravity_torque(sensed.position) + bearing
        return AdmittanceState(offset, rate), wanted + weight / np.array(self.drive.stiffness)
