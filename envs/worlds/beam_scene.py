"""A person and a robot arm carry a beam: one MJCF of all three, joined by nothing but two compliant handles.

The beam moves in the sagittal plane (two slides and a pitch). On its top, near each end, stands a ring; in its middle
is what is held, the grip in the person's hand or the pin in the robot's gripper, hung in the ring by four *spokes*,
springs and dampers that push and pull,

    T = k (L − R) + c L̇,

at right angles to each other and R long. All four meet in one point of the hand (or of the gripper), so that

- the handle gives way alike in every direction of the plane, K = 2k, and by symmetry the term of second order in the
  displacement cancels: at a third of R, 2 cm, the force is within 8 % of linear;
- the beam turns in it freely.

A gripper that clamps its pin also resists turning, with a spring over the angle between gripper and beam, which is
a sum of joint angles (`Transport.turning_stiffness`; none by default, so that statics fixes who bears what).

All of it is MuJoCo's own spatial tendons, a passive force that C and MJX compute alike; nothing needs a constraint
solver, and every force acts on both bodies (Newton's third law) by construction. The person's arm moves a little out
of the plane (its joints are oblique); across the plane the spokes are slack to first order.

Only the beam and the bar that it is carried over can touch: two capsules at right angles, so there is at most one
contact, without friction.

Stiffness: README.md of `assets/cobot`.
"""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.envs.engines.world import TIMESTEP, World
from mjx_msm.envs.human.arm import JOINTS as ARM_JOINTS
from mjx_msm.envs.human.arm import check_arm, reach
from mjx_msm.envs.human.people import People
from mjx_msm.envs.motions.transport_path import TransportPath, point_of_beam
from mjx_msm.envs.robots.cobot import JOINTS as COBOT_JOINTS
from mjx_msm.envs.robots.cobot import PREFIX as COBOT
from mjx_msm.envs.robots.cobot import Cobot
from mjx_msm.envs.robots.cobot_kinematics import TOOL_ANGLE, CobotKinematics
from mjx_msm.envs.worlds.handles import Handles
from mjx_msm.envs.worlds.transport import (
    BAR_RADIUS,
    BEAM,
    BEAM_JOINTS,
    BEAM_RADIUS,
    CLAMP,
    CONTACT,
    HANDLES,
    OBSTACLE,
    RING_RADIUS,
    SPOKES,
    Transport,
)

WOOD = (0.80, 0.62, 0.38, 1.0)
RING = (0.20, 0.22, 0.25, 1.0)
RUBBER = (0.12, 0.12, 0.13, 1.0)
GRIP = (0.95, 0.55, 0.10, 1.0)
BAR = (0.93, 0.76, 0.12, 1.0)
POST = (0.45, 0.47, 0.50, 1.0)


def beam_scene(people: People, cobot: Cobot, transport: Transport, path: TransportPath) -> World:
    """The world of `couple`, of which the handles' sites are tracked.

    **Raises:** `InputError` as `couple` does, naming the person.
    """
    arm = people.spec.copy()
    try:
        spec = couple(arm, cobot, transport, path)
        return World.of(spec, ARM_JOINTS, tracked=Handles.sites(), contact=(f"{BEAM}body", f"{OBSTACLE}_bar"))
    except ValueError as e:
        raise InputError(f"{people.source}: {in_one_line(e)}") from None


def couple(
    arm: mujoco.MjSpec,
    cobot: Cobot | None = None,
    transport: Transport | None = None,
    path: TransportPath | None = None,
) -> mujoco.MjSpec:
    """The person and the robot with the beam between them, as a new uncompiled `MjSpec`; `arm` is not changed.

    The human's joints, bodies and actuators come first and keep their names and order; the robot's follow, with the
    prefix ``cobot_``, then the beam's, with the prefix ``beam_``. It is stepped by Euler's rule, `TIMESTEP` at a time.
    The robot and the beam stand in the plane in which the hand is on average along `path`.

    **Raises:** `InputError` if `arm` is not the bundled arm's kind, or hand or robot cannot reach the path.
    """
    cobot, transport, path = cobot or Cobot(), transport or Transport(), path or TransportPath()
    spec = arm.copy()
    mj_model = spec.compile()
    check_arm(mj_model)
    hand = point_of_beam(path.samples(), transport.offset("hand")).position
    data = mujoco.MjData(mj_model)
    plane = float(np.mean([reach(mj_model, data, target)[1] for target in hand]))

    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    spec.option.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    cobot.attach(spec, plane)
    beam = _add_beam(spec, transport, path, plane)
    _add_obstacle(spec, transport, plane)
    grip, half = np.array(spec.site(HANDLES["hand"]).pos), np.array((0.0, 0.05, 0.0))
    _looks(
        spec.site(HANDLES["hand"]).parent,
        name=f"{BEAM}grip",
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        fromto=[*(grip - half), *(grip + half)],
        size=[0.012, 0, 0],
        rgba=GRIP,
    )
    for handle, site in HANDLES.items():
        stiffness, damping = getattr(transport, f"{handle}_stiffness"), getattr(transport, f"{handle}_damping")
        _add_handle(spec, beam, handle, site, transport.offset(handle), stiffness, damping)
    _add_clamp(spec, transport)
    spec.worldbody.add_camera(name="transport", pos=[0.62, -2.70, 1.08], xyaxes=[1, 0, 0, 0, 0.06, 1], fovy=42)
    m = spec.compile()
    robot = CobotKinematics.of(m)
    tool = point_of_beam(path.samples(), transport.offset("tool")).position
    robot.reach(np.column_stack([tool, np.full(len(tool), TOOL_ANGLE)]))
    return spec


def _looks(body: Any, **geom: Any) -> None:
    """A geom that only draws."""
    body.add_geom(contype=0, conaffinity=0, mass=0, group=1, **geom)


def _add_beam(spec: mujoco.MjSpec, transport: Transport, path: TransportPath, plane: float) -> Any:
    start = (path.start_x, path.start_z, 0.0)
    beam = spec.worldbody.add_body(name="beam", pos=[path.start_x, plane, path.start_z])
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    for name, kind, axis, ref in zip(
        BEAM_JOINTS, (slide, slide, hinge), ((1, 0, 0), (0, 0, 1), (0, -1, 0)), start, strict=True
    ):
        beam.add_joint(name=f"{BEAM}{name}", type=kind, axis=axis, ref=ref, damping=[0, 0, 0], armature=0)
    half = transport.beam_length / 2 - BEAM_RADIUS
    beam.add_geom(
        name=f"{BEAM}body",
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=[-half, 0, 0, half, 0, 0],
        size=[BEAM_RADIUS, 0, 0],
        mass=transport.beam_mass,
        rgba=WOOD,
        contype=0,
        conaffinity=0,
        group=1,
    )
    return beam


def _add_obstacle(spec: mujoco.MjSpec, transport: Transport, plane: float) -> None:
    """A bar across the plane on two posts, and the one pair of geoms of the whole model that may touch."""
    height = transport.obstacle_height - BAR_RADIUS
    obstacle = spec.worldbody.add_body(name=OBSTACLE, pos=[transport.obstacle_x, plane, height])
    across = 0.30
    capsule = mujoco.mjtGeom.mjGEOM_CAPSULE
    obstacle.add_geom(
        name=f"{OBSTACLE}_bar",
        type=capsule,
        fromto=[0, -across, 0, 0, across, 0],
        size=[BAR_RADIUS, 0, 0],
        rgba=BAR,
        contype=0,
        conaffinity=0,
        mass=0,
        group=1,
    )
    for side in (-across, across):
        for foot in (-0.16, 0.16):
            _looks(obstacle, type=capsule, fromto=[0, side, 0, foot, side, -height], size=[0.013, 0, 0], rgba=POST)
    spec.add_pair(
        name=CONTACT,
        geomname1=f"{BEAM}body",
        geomname2=f"{OBSTACLE}_bar",
        condim=1,
        solref=[0.01, 1.0],
        solimp=[0.9, 0.95, 0.001, 0.5, 2.0],
        margin=0,
        gap=0,
    )


def _add_handle(
    spec: mujoco.MjSpec,
    beam: Any,
    handle: str,
    held: str,
    offset: tuple[float, float],
    stiffness: float,
    damping: float,
) -> None:
    """A ring on the beam, and the spokes from it to the site that is held in its middle."""
    middle = np.array((offset[0], 0.0, offset[1]))

    def rim(turn: float) -> Float[np.ndarray, "3"]:
        return middle + RING_RADIUS * np.array((math.cos(turn), 0.0, math.sin(turn)))

    pieces = 24
    for i in range(pieces):
        ends = [*rim(2 * math.pi * i / pieces), *rim(2 * math.pi * (i + 1) / pieces)]
        _looks(beam, type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=ends, size=[0.006, 0, 0], rgba=RING)
    for i in range(SPOKES):
        name = f"{BEAM}{handle}_{i}"
        beam.add_site(name=name, pos=rim(math.pi * (0.25 + 2 * i / SPOKES)), size=[0.003] * 3, group=3)
        tendon = spec.add_tendon(name=name, springlength=[RING_RADIUS] * 2, rgba=RUBBER, width=0.004)
        # Σ k u uᵀ over unit vectors u evenly spread in a plane is k·SPOKES/2 times the identity.
        tendon.stiffness[0], tendon.damping[0] = 2 * stiffness / SPOKES, 2 * damping / SPOKES
        tendon.wrap_site(held)
        tendon.wrap_site(name)


def _add_clamp(spec: mujoco.MjSpec, transport: Transport) -> None:
    """The gripper's resistance to turning: all hinges of robot and beam turn about −y, so their angles add up."""
    tendon = spec.add_tendon(name=CLAMP, springlength=[TOOL_ANGLE] * 2, rgba=[0, 0, 0, 0])
    tendon.stiffness[0], tendon.damping[0] = transport.turning_stiffness, transport.turning_damping
    for joint in COBOT_JOINTS:
        tendon.wrap_joint(COBOT + joint, 1.0)
    tendon.wrap_joint(f"{BEAM}{BEAM_JOINTS[2]}", -1.0)
