"""The collaborative robot arm: what drives its joints, and its kinematics in the plane.

The mechanism is `assets/cobot`. Its three drives are MuJoCo actuators, which C and our own step evaluate at every
step of the simulation while the policy acts more slowly. Both kinds pass the command through a first-order filter
(`filterexact`), so both have one state a joint:

- `TorqueDrive`: the command is joint torque, which the drive's torque loop delivers with a bandwidth;
- `PositionDrive`: the command is a joint angle, smoothed between two commands, and held by a servo
  τ = k (u − q − T q̇), as the inner loop of an admittance-controlled robot.

In the plane the arm is a chain of three links. A link at angle φ to the vertical points along
u(φ) = (−sin φ, cos φ) in (x, z), and its angle is the sum of the joint angles up to it.
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
from mjx_msm.common.arrays import namespace
from mjx_msm.common.errors import InputError

PREFIX = "cobot_"
JOINTS = ("shoulder", "elbow", "wrist")
LINKS = ("upper_arm", "forearm", "wrist")
TOOL_ANGLE = math.pi
"""Of the gripper to the vertical while it carries: it hangs straight down [rad]."""


_SUM = np.triu(np.ones((3, 3)))
"""Joint angles times this are the links' angles: each the sum up to its own."""


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
