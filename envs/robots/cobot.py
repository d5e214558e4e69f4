"""The collaborative robot arm as a device: what drives its joints, how strong it is, where it stands.

The mechanism is `assets/cobot`. Its three drives are MuJoCo actuators, which C and our own step evaluate at every
step of the simulation while the policy acts more slowly. Both kinds pass the command through a first-order filter
(`filterexact`), so both have one state a joint:

- `TorqueDrive`: the command is joint torque, which the drive's torque loop delivers with a bandwidth;
- `PositionDrive`: the command is a joint angle, smoothed between two commands, and held by a servo
  τ = k (u − q − T q̇), as the inner loop of an admittance-controlled robot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm import assets
from mjx_msm.common.errors import InputError

PREFIX = "cobot_"
JOINTS = ("shoulder", "elbow", "wrist")
LINKS = ("upper_arm", "forearm", "wrist")


def _positive(owner: str, name: str, value: Any, count: int | None = None) -> None:
    values = value if count is not None and isinstance(value, Sequence) else (value,)
    if count is not None and len(values) != count:
        raise InputError(f"{owner} {name} = {value!r}; give {count} numbers, of {', '.join(JOINTS)}")
    for number in values:
        if not isinstance(number, int | float) or not math.isfinite(number) or number <= 0:
            raise InputError(f"{owner} {name} = {value!r}; give positive numbers")


@dataclass(frozen=True)
class TorqueDrive:
    """A joint that delivers the commanded torque [N·m]."""

    bandwidth: float = 30.0
    """Of the drive's torque loop, a first-order lag [Hz]."""

    def __post_init__(self) -> None:
        _positive("torque drive", "bandwidth", self.bandwidth)

    def apply(self, actuator: Any, joint: int, torque_limit: float, limits: Float[np.ndarray, "2"]) -> None:
        """Make an actuator of a spec this drive."""
        actuator.dynprm[0] = 1.0 / (2.0 * math.pi * self.bandwidth)
        actuator.ctrlrange = [-torque_limit, torque_limit]
        actuator.gainprm[0] = 1.0
        actuator.biastype = mujoco.mjtBias.mjBIAS_NONE


@dataclass(frozen=True)
class PositionDrive:
    """A joint that goes to the commanded angle [rad] and holds it with a spring and a damper."""

    stiffness: tuple[float, float, float] = (8000.0, 3000.0, 400.0)
    """[N·m/rad]."""
    damping_time: float = 0.025
    """Damping over stiffness [s], alike in all joints: they lag alike, so the tool stays on its way."""
    bandwidth: float = 10.0
    """Of the filter that smooths the step from one command to the next [Hz]."""

    def __post_init__(self) -> None:
        _positive("position drive", "stiffness", self.stiffness, 3)
        _positive("position drive", "damping_time", self.damping_time)
        _positive("position drive", "bandwidth", self.bandwidth)

    def apply(self, actuator: Any, joint: int, torque_limit: float, limits: Float[np.ndarray, "2"]) -> None:
        """Make an actuator of a spec this drive."""
        actuator.dynprm[0] = 1.0 / (2.0 * math.pi * self.bandwidth)
        actuator.ctrlrange = limits
        actuator.gainprm[0] = self.stiffness[joint]
        actuator.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        actuator.biasprm[:3] = 0.0, -self.stiffness[joint], -self.stiffness[joint] * self.damping_time

    @property
    def lag(self) -> float:
        """How long after the command a joint gets there while it moves steadily [s]."""
        return 1.0 / (2.0 * math.pi * self.bandwidth) + self.damping_time


@dataclass(frozen=True)
class Cobot:
    """The robot arm of an experiment: how it is driven, how strong it is, where it stands."""

    drive: TorqueDrive | PositionDrive = field(default_factory=TorqueDrive)
    torque_limit: tuple[float, float, float] = (150.0, 150.0, 28.0)
    """Of shoulder, elbow and wrist, either way [N·m]."""
    x: float = 1.30
    """Where its pedestal stands in front of the person's shoulder [m]."""

    def __post_init__(self) -> None:
        if not isinstance(self.drive, TorqueDrive | PositionDrive):
            raise InputError(f"cobot drive = {self.drive!r}; give a TorqueDrive or a PositionDrive")
        _positive("cobot", "torque_limit", self.torque_limit, 3)
        _positive("cobot", "x", self.x)

    def attach(self, spec: mujoco.MjSpec, y: float) -> None:
        """Stand the robot in a spec, its plane at `y` [m], all names with the prefix ``cobot_``, drives last."""
        robot = mujoco.MjSpec.from_file(str(assets.path("cobot")))
        limits = [np.array(robot.tendon(f"{joint}_stop").springlength) for joint in JOINTS]
        spec.attach(robot, prefix=PREFIX, frame=spec.worldbody.add_frame(pos=[self.x, y, 0.0]))
        for j, joint in enumerate(JOINTS):
            actuator = spec.add_actuator(
                name=f"{PREFIX}{joint}",
                target=f"{PREFIX}{joint}",
                trntype=mujoco.mjtTrn.mjTRN_JOINT,
                dyntype=mujoco.mjtDyn.mjDYN_FILTEREXACT,
                gaintype=mujoco.mjtGain.mjGAIN_FIXED,
                ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
                forcelimited=mujoco.mjtLimited.mjLIMITED_TRUE,
                forcerange=[-self.torque_limit[j], self.torque_limit[j]],
            )
            self.drive.apply(actuator, j, self.torque_limit[j], limits[j])
