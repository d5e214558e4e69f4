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
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.arrays import namespace
from mjx_msm.common.errors import InputError
from mjx_msm.envs.engines.world import TIMESTEP
from mjx_msm.envs.motions.transport_path import TransportPath
from mjx_msm.envs.robots.cobot import JOINTS as COBOT_JOINTS
from mjx_msm.envs.robots.cobot import PREFIX as COBOT
from mjx_msm.envs.robots.cobot import TOOL_ANGLE, Cobot, CobotKinematics

ARM_JOINTS = ("shoulder_elev", "elbow_flex")
BEAM = "beam_"
BEAM_JOINTS = ("x", "z", "pitch")
HANDLES: Mapping[str, str] = {"hand": "hand", "tool": f"{COBOT}tool"}
"""Handle to the site that is held in it."""
SPOKES = 4
CLAMP = f"{BEAM}clamp"
"""The tendon whose length is the angle between gripper and beam."""
OBSTACLE, CONTACT = "obstacle", "beam_obstacle"
"""The body that the beam is carried over; the pair of geoms that may touch."""

BEAM_RADIUS = 0.025
RING_RADIUS = 0.06
"""Of a handle [m]; also how long its spokes are."""
RING_RISE = BEAM_RADIUS + RING_RADIUS
"""Height of a handle's middle above the middle of the beam [m]."""
END = 0.04
"""How far the middle of the hand's handle is from the end of the beam [m]."""
BAR_RADIUS = 0.02

WOOD = (0.80, 0.62, 0.38, 1.0)
RING = (0.20, 0.22, 0.25, 1.0)
RUBBER = (0.12, 0.12, 0.13, 1.0)
GRIP = (0.95, 0.55, 0.10, 1.0)
BAR = (0.93, 0.76, 0.12, 1.0)
POST = (0.45, 0.47, 0.50, 1.0)


@dataclass(frozen=True)
class Transport:
    """The numbers of beam, handles and obstacle that an experiment varies."""

    beam_mass: float = 3.0
    """[kg], spread evenly."""
    beam_length: float = 0.80
    """From end to end [m]."""
    tool_reach: float = 0.20
    """How far beyond the middle of the beam the robot holds it [m]: the further, the more the person bears."""
    hand_stiffness: float = 5000.0
    """Of the handle in the hand, with the hand's soft tissue, in every direction of the plane [N/m]."""
    hand_damping: float = 60.0
    """[N·s/m]."""
    tool_stiffness: float = 20000.0
    """Of the handle in the robot's gripper [N/m]."""
    tool_damping: float = 150.0
    """[N·s/m]."""
    turning_stiffness: float = 0.0
    """Against turning in the robot's gripper [N·m/rad]; with it the robot can take weight off the person."""
    turning_damping: float = 0.0
    """[N·m·s/rad]."""
    obstacle_x: float = 0.92
    """Where the bar is in front of the person [m]."""
    obstacle_height: float = 0.915
    """Of the top of the bar above the floor [m]."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise InputError(f"transport {item.name} = {value!r}; give a finite number, zero or more")
        for name in ("beam_mass", "beam_length", "tool_reach", "hand_stiffness", "tool_stiffness"):
            if getattr(self, name) == 0:
                raise InputError(f"transport {name} = 0; give a positive number")
        if self.tool_reach > self.beam_length / 2 - END:
            raise InputError(
                f"transport tool_reach = {self.tool_reach:g} m is past the end of a beam of {self.beam_length:g} m; "
                f"give {self.beam_length / 2 - END:g} m or less"
            )
        if self.obstacle_height < 2 * BAR_RADIUS:
            raise InputError(
                f"transport obstacle_height = {self.obstacle_height:g} m puts the bar into the floor; "
                f"give {2 * BAR_RADIUS:g} m or more"
            )

    @staticmethod
    def of(values: Mapping[str, float] | Transport | None) -> Transport:
        """The numbers with some of them replaced by name."""
        if isinstance(values, Transport):
            return values
        known = [item.name for item in fields(Transport)]
        for name in values or {}:
            if name not in known:
                raise InputError(f"transport has no '{name}'; it has {', '.join(known)}")
        return Transport(**dict(values or {}))

    def borne(self, handle: str) -> float:
        """Mass that a handle bears while the beam is level and at rest [kg]."""
        hand, tool = -self.offset("hand")[0], self.offset("tool")[0]
        return self.beam_mass * {"hand": tool, "tool": hand}[handle] / (hand + tool)

    def offset(self, handle: str) -> tuple[float, float]:
        """Where the middle of a handle, ``"hand"`` or ``"tool"``, is on the beam: along it, and above it [m]."""
        return {"hand": END - self.beam_length / 2, "tool": self.tool_reach}[handle], RING_RISE


def couple(
    arm: mujoco.MjSpec,
    cobot: Cobot | None = None,
    transport: Transport | None = None,
    path: TransportPath | None = None,
) -> mujoco.MjSpec:
    """The person and the robot with the beam between them, as a new uncompiled `MjSpec`; `arm` is not changed.

    The human's joints, bodies and actuators come first and keep their names and order; the robot's follow, with the
    prefix ``cobot_``, then the beam's, with the prefix ``beam_``. The timestep is `TIMESTEP`. The robot and the beam
    stand in the plane in which the hand is on average along `path`.

    **Raises:** `InputError` if `arm` is not the bundled arm's kind, or hand or robot cannot reach the path.
    """
    cobot, transport, path = cobot or Cobot(), transport or Transport(), path or TransportPath()
    spec = arm.copy()
    mj_model = spec.compile()
    check_arm(mj_model)
    hand = path.samples().point(transport.offset("hand")).position
    data = mujoco.MjData(mj_model)
    plane = float(np.mean([_reach(mj_model, data, target)[1] for target in hand]))

    spec.option.timestep = TIMESTEP
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
    tool = path.samples().point(transport.offset("tool")).position
    _cobot_angles(robot, np.column_stack([tool, np.full(len(tool), TOOL_ANGLE)]))
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


def check_arm(mj_model: mujoco.MjModel) -> None:
    """Refuse a model that is not a sagittal arm with muscles and a hand.

    **Raises:** `InputError` naming what is missing.
    """
    names = [mj_model.joint(j).name for j in range(mj_model.njnt)]
    if tuple(names) != ARM_JOINTS:
        raise InputError(
            f"the subject's model has joints {', '.join(names)}; an arm has {', '.join(ARM_JOINTS)}, in this order: "
            "give a model identified on 'arm'"
        )
    if HANDLES["hand"] not in [mj_model.site(s).name for s in range(mj_model.nsite)]:
        raise InputError("the subject's model has no site 'hand'; add one in the palm, where the beam is held")
    for i in range(mj_model.nu):
        if mj_model.actuator_dyntype[i] != mujoco.mjtDyn.mjDYN_MUSCLE:
            raise InputError(
                f"actuator '{mj_model.actuator(i).name}' of the subject's model is not a muscle; remove it"
            )


# Forces ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Handle:
    """One handle of a compiled model: which sites and tendons it is made of, and what they are like."""

    hub: int
    """The site that is held."""
    rim: Int[np.ndarray, "spoke"]
    """Sites where the spokes end on the beam."""
    spoke: Int[np.ndarray, "spoke"]
    """Tendons."""
    stiffness: Float[np.ndarray, "spoke"]
    """[N/m]."""
    damping: Float[np.ndarray, "spoke"]
    """[N·s/m]."""
    rest: Float[np.ndarray, "spoke"]
    """Length without tension [m]."""

    @staticmethod
    def of(m: mujoco.MjModel, handle: str) -> Handle:
        """Handle ``"hand"`` or ``"tool"`` of a model that `couple` made."""
        names = [f"{BEAM}{handle}_{i}" for i in range(SPOKES)]
        spoke = np.array([m.tendon(name).id for name in names])
        return Handle(
            hub=m.site(HANDLES[handle]).id,
            rim=np.array([m.site(name).id for name in names]),
            spoke=spoke,
            stiffness=np.ravel(m.tendon_stiffness[spoke]),
            damping=np.ravel(m.tendon_damping[spoke]),
            rest=m.tendon_lengthspring[spoke, 0].copy(),
        )

    def tension(
        self, length: Float[Any, "*batch tendon"], velocity: Float[Any, "*batch tendon"]
    ) -> Float[Any, "*batch spoke"]:
        """Of every spoke [N], negative where it pushes. **Arguments:** of all tendons of the model [m, m/s]."""
        stretch = length[..., self.spoke] - self.rest
        return self.stiffness * stretch + self.damping * velocity[..., self.spoke]

    def force(
        self,
        site: Float[Any, "*batch site 3"],
        length: Float[Any, "*batch tendon"],
        velocity: Float[Any, "*batch tendon"],
    ) -> Float[Any, "*batch 3"]:
        """Force on what is held, the hand or the gripper, in the world [N]; on the beam it is the opposite.

        Both act in the same point, the held site: all spokes meet there, so the handle carries no moment about it.

        **Arguments:** positions of all sites, lengths and velocities of all tendons of the model at the same state.
        """
        xp = namespace(site)
        span = site[..., self.rim, :] - site[..., self.hub, :][..., None, :]
        direction = span / xp.linalg.norm(span, axis=-1, keepdims=True)
        return xp.sum(self.tension(length, velocity)[..., None] * direction, axis=-2)


@dataclass(frozen=True, eq=False)
class Clamp:
    """The gripper's resistance to turning in a compiled model."""

    tendon: int
    stiffness: float
    """[N·m/rad]."""
    damping: float
    """[N·m·s/rad]."""

    @staticmethod
    def of(m: mujoco.MjModel) -> Clamp:
        """Of a model that `couple` made."""
        t = m.tendon(CLAMP).id
        return Clamp(t, float(np.ravel(m.tendon_stiffness[t])[0]), float(np.ravel(m.tendon_damping[t])[0]))

    def moment(
        self, length: Float[Any, "*batch tendon"], velocity: Float[Any, "*batch tendon"]
    ) -> Float[Any, "*batch"]:
        """On the gripper [N·m], positive as the joints are, about −y; on the beam it is the opposite.

        **Arguments:** of all tendons of the model.
        """
        return self.stiffness * (TOOL_ANGLE - length[..., self.tendon]) - self.damping * velocity[..., self.tendon]


def contact_force(m: mujoco.MjModel, data: mujoco.MjData) -> Float[np.ndarray, "3"]:
    """Force of the obstacle on the beam in the world [N], zero while they do not touch. C MuJoCo, after a step."""
    total, local = np.zeros(3), np.zeros(6)
    bar = m.geom(f"{OBSTACLE}_bar").id
    for c in range(data.ncon):
        mujoco.mj_contactForce(m, data, c, local)
        push = data.contact[c].frame.reshape(3, 3).T @ local[:3]  # on the second geom
        total += push if data.contact[c].geom[0] == bar else -push
    return total


# Assembly --------------------------------------------------------------------------------------------------


def assemble(m: mujoco.MjModel, pose: Float[np.ndarray, "3"]) -> Float[np.ndarray, "coordinate"]:
    """Joint positions with the beam at rest in its handles: each bears the share of the weight that statics gives it.

    Hand and gripper are a few millimetres above the middles of their rings; the gripper is at right angles to the beam.

    **Arguments:** `m`: a compiled `couple`; `pose`: of the beam, x and z [m] and pitch [rad].

    **Raises:** `InputError` if hand or robot cannot reach the handles.
    """
    pose = np.asarray(pose, dtype=float)
    data, robot = mujoco.MjData(m), CobotKinematics.of(m)
    handles = {name: Handle.of(m, name) for name in HANDLES}
    beam, first = m.body("beam").id, m.joint(f"{BEAM}x").qposadr[0]
    weight = -m.opt.gravity[2] * m.body_mass[beam]
    data.qpos[first : first + 3] = pose
    mujoco.mj_kinematics(m, data)
    middle = {name: data.site_xpos[handle.rim].mean(axis=0)[[0, 2]] for name, handle in handles.items()}
    rise = {name: np.zeros(2) for name in handles}
    wrist = m.joint(COBOT + COBOT_JOINTS[0]).qposadr[0]
    for _ in range(30):
        _reach(m, data, middle["hand"] + rise["hand"])
        tool = np.array([*(middle["tool"] + rise["tool"]), TOOL_ANGLE + pose[2]])
        data.qpos[wrist : wrist + 3] = _cobot_angles(robot, tool)
        mujoco.mj_fwdPosition(m, data)
        lever = {name: data.site_xpos[handle.hub][0] - pose[0] for name, handle in handles.items()}
        share = {
            "hand": weight * lever["tool"] / (lever["tool"] - lever["hand"]),
            "tool": weight * lever["hand"] / (lever["hand"] - lever["tool"]),
        }
        miss = 0.0
        for name, handle in handles.items():
            force = handle.force(data.site_xpos, data.ten_length, np.zeros(m.ntendon))[[0, 2]]
            missing = force + np.array((0.0, share[name]))
            rise[name] += missing / (0.5 * handle.stiffness.sum())
            miss = max(miss, float(np.abs(missing).max()))
        if miss < 1e-9 * weight:
            return data.qpos.copy()
    raise InputError(f"the handles cannot bear the beam at x, z, pitch = {pose}; make them stiffer or the beam lighter")


def _reach(m: mujoco.MjModel, data: mujoco.MjData, target: Float[np.ndarray, "2"]) -> Float[np.ndarray, "3"]:
    """Bend shoulder and elbow until the hand is at (x, z); returns where it is, y too. Newton's method."""
    hand, jacobian = m.site(HANDLES["hand"]).id, np.zeros((3, m.nv))
    data.qpos[:2] = 0.0, 1.5
    for _ in range(50):
        mujoco.mj_kinematics(m, data)
        mujoco.mj_comPos(m, data)
        miss = target - data.site_xpos[hand][[0, 2]]
        if np.abs(miss).max() < 1e-12:
            break
        mujoco.mj_jacSite(m, data, jacobian, None, hand)
        data.qpos[:2] += np.clip(np.linalg.lstsq(jacobian[[0, 2], :2], miss)[0], -0.3, 0.3)
    else:
        raise InputError(f"the hand cannot reach x, z = {target[0]:.3f}, {target[1]:.3f} m; move the path")
    return data.site_xpos[hand].copy()


def _cobot_angles(robot: CobotKinematics, pose: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Inverse kinematics that refuses what is out of reach."""
    q = robot.inverse(pose)
    far = np.abs(robot.tool(q) - pose).max(axis=-1) > 1e-9
    if np.any(far):
        x, z, _ = np.atleast_2d(pose)[np.atleast_1d(far)][0]
        raise InputError(f"the robot cannot reach x, z = {x:.3f}, {z:.3f} m; move it (Cobot.x) or the path")
    return q
