"""A knee exoskeleton worn on a leg: one MJCF of both, joined by nothing but the straps of two cuffs.

The exoskeleton (`assets/exo`) is a mechanism of its own with four degrees of freedom: where its knee is in the
sagittal plane, its pitch, and its knee, where the motor sits. Each cuff is a rigid shell around the limb, hung in it

- by four *straps*, springs that only pull, T = k·max(0, L − L₀): two pass behind the limb and hold it against moving
  back in the shell, two in front; of each pair one rises and one falls, so that the cuff also carries weight and
  resists turning. Pretension keeps all four taut at rest;
- by three *pads*, dampers along and across the limb: the flesh under the shell, which dissipates and never lets go.

Straps and pads do not end on the bone but on the skin, a light sleeve that shears along the limb like flesh, and slips
when the straps ask for more than friction gives (`Slip`).

All of it is MuJoCo's own spatial tendons, a passive force that C and MJX compute alike; nothing needs a constraint
solver, and every force acts on both bodies (Newton's third law) by construction.

Stiffness: single shells on the upper arm were measured at 2.1–4.5 kN/m (Schiebl et al. 2025, Sensors 25:4605,
doi 10.3390/s25154605). Here each cuff has two hoops on a longer, heavier limb and is drawn tight: 3 kN/m a strap make
about 39 kN/m across the limb and 8 kN/m along it while all four are taut, half of that once a pair hangs slack. At
20 N·m the two knees then differ by 8–13°.
Motor: 24 N·m peak as the backdrivable knee orthosis of Zhu et al. (PMC8670722); 16 Hz, the control bandwidth
of the quasi-direct-drive knee exoskeleton in IEEE Trans Robot 38:1442 (2022). No-load speed, rotor inertia, masses
and damping are our choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float, Int

from mjx_msm import assets
from mjx_msm.common.arrays import indices, namespace
from mjx_msm.common.errors import InputError
from mjx_msm.envs.engines.kinetics import Kinetics
from mjx_msm.envs.engines.world import World

PREFIX = "exo_"
HIP, KNEE, ANKLE = JOINTS = ("hip_flexion", "knee_angle", "ankle_angle")
CUFFS: Mapping[str, tuple[str, float]] = {"thigh": ("femur", 0.068), "shank": ("tibia", 0.055)}
"""Cuff, which is also the link it sits on, to the human body it holds and the limb's radius under it [m]."""
STRAPS = ("front_up", "front_down", "back_up", "back_down")
"""Where a strap passes the limb, and which way it runs from the shell to it."""
SIDES = ("lateral", "medial")
KNEE_CENTRE, ANKLE_CENTRE = f"{PREFIX}knee_centre", f"{PREFIX}ankle_centre"
"""Sites at the axes of the human knee and ankle."""
PADS = ("up", "down", "axial")

SLEEVE_MASS = 0.1
"""Of the skin and flesh that move along the limb under a cuff [kg]; our choice, it only has to be light."""
SLEEVE_DAMPING = 30.0
"""Of their shear [N·s/m]; our choice, near critical with the straps' own stiffness."""

STRAP_REACH = 0.035  # m along the limb, from the hoop inwards to where the strap lies on the skin
FLESH_LENGTH = 0.187  # m, half of what is drawn of a limb
SKIN = (0.87, 0.66, 0.54, 0.30)
WEBBING = (0.95, 0.55, 0.10, 1.0)


@dataclass(frozen=True)
class Exoskeleton:
    """The numbers of the device that an experiment varies."""

    torque_limit: float = 24.0
    """Peak torque of the motor [N·m]."""
    bandwidth: float = 16.0
    """Of the motor's torque, a first-order lag [Hz]."""
    no_load_speed: float = 12.0
    """Where the torque in the direction of motion has fallen to zero, linearly from standstill [rad/s]."""
    strap_stiffness: float = 3000.0
    """Of one strap with the flesh under it [N/m]."""
    strap_pretension: float = 40.0
    """Of one strap when it is put on [N]; in a band 5 cm wide 40 N press with 12–15 kPa; comfort ends at 10–20."""
    pad_damping: float = 35.0
    """Of one pad [N·s/m]."""
    shear_stiffness: float = 20000.0
    """Of skin and flesh along the limb, under one cuff [N/m]."""
    friction: float = 0.5
    """Of a cuff on skin or cloth: what it holds along the limb over what its straps press with [-]."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise InputError(f"exoskeleton {item.name} = {value!r}; give a finite number, zero or more")
        for name in ("torque_limit", "bandwidth", "no_load_speed", "strap_stiffness", "shear_stiffness"):
            if getattr(self, name) == 0:
                raise InputError(f"exoskeleton {name} = 0; give a positive number")

    @staticmethod
    def of(values: Mapping[str, float] | Exoskeleton | None) -> Exoskeleton:
        """The device with some of its numbers replaced by name."""
        if isinstance(values, Exoskeleton):
            return values
        known = [item.name for item in fields(Exoskeleton)]
        for name in values or {}:
            if name not in known:
                raise InputError(f"exoskeleton has no '{name}'; it has {', '.join(known)}")
        return Exoskeleton(**dict(values or {}))


def wear(human: mujoco.MjSpec, exoskeleton: Exoskeleton | None = None) -> mujoco.MjSpec:
    """The leg with the exoskeleton on, as a new uncompiled `MjSpec`; `human` is not changed.

    The human's joints, bodies and actuators come first and keep their names and order; the exoskeleton's follow,
    with the prefix ``exo_``.

    **Raises:** `InputError` if `human` is not a leg that the device fits.
    """
    device = Exoskeleton() if exoskeleton is None else exoskeleton
    spec = human.copy()
    mj_model = spec.compile()
    check_leg(mj_model)
    data = mujoco.MjData(mj_model)
    mujoco.mj_kinematics(mj_model, data)
    femur, tibia = mj_model.body("femur").id, mj_model.body("tibia").id
    # The links' frames are at the knee's axis and, with every joint at zero, turned as the thigh is.
    frame = spec.worldbody.add_frame(pos=data.xpos[tibia], quat=data.xquat[femur])

    exo = mujoco.MjSpec.from_file(str(assets.path("exo")))
    exo.option.timestep = spec.option.timestep  # MuJoCo warns of parts that differ
    motor = exo.actuator("knee_motor")
    motor.dynprm[0] = 1.0 / (2.0 * math.pi * device.bandwidth)
    motor.ctrlrange = motor.forcerange = [-device.torque_limit, device.torque_limit]
    motor.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
    anchors = {site.name: np.array(site.pos) for site in exo.sites}
    spec.attach(exo, prefix=PREFIX, frame=frame)

    knee_in_limb = {"thigh": np.array(mj_model.body_pos[tibia]), "shank": np.zeros(3)}
    for cuff, (body_name, radius) in CUFFS.items():
        limb, skin = spec.body(body_name), _add_sleeve(spec.body(body_name), cuff, device)
        origin = knee_in_limb[cuff]
        height = float(anchors[f"{cuff}_pad_axial"][2])
        for strap in STRAPS:
            _add_strap(spec, skin, cuff, strap, origin, radius, height, anchors, device)
        for pad in PADS:
            anchor = anchors[f"{cuff}_pad_{pad}"]
            offset = (-anchor[0], 0.0, 0.0) if pad != "axial" else (0.0, 0.0, -0.10)
            name = f"{PREFIX}{cuff}_pad_{pad}"
            skin.add_site(name=f"{name}_limb", pos=origin + anchor + np.array(offset), size=[0.003] * 3, group=3)
            tendon = spec.add_tendon(name=name, rgba=[0, 0, 0, 0])
            tendon.damping[0] = device.pad_damping
            tendon.wrap_site(name)
            tendon.wrap_site(f"{name}_limb")
        middle = np.array((0.0, 0.0, height))
        limb.add_site(name=f"{PREFIX}{cuff}_middle_limb", pos=origin + middle, size=[0.003] * 3, group=3)
        link = spec.body(f"{PREFIX}{cuff}")
        link.add_site(name=f"{PREFIX}{cuff}_middle", pos=middle, size=[0.003] * 3, group=3)
        limb.add_geom(
            name=f"{PREFIX}{cuff}_flesh",
            type=mujoco.mjtGeom.mjGEOM_ELLIPSOID,
            pos=origin + np.array((0.0, 0.0, height)),
            size=[radius * 1.12, radius * 1.12, FLESH_LENGTH],
            rgba=SKIN,
            contype=0,
            conaffinity=0,
            mass=0,
            group=1,
        )
    for name, place in ((KNEE_CENTRE, np.zeros(3)), (ANKLE_CENTRE, mj_model.body("foot").pos)):
        spec.body("tibia").add_site(name=name, pos=place, size=[0.003] * 3, group=3)
    return spec


def _add_sleeve(limb: Any, cuff: str, device: Exoskeleton) -> Any:
    """Skin and flesh under a cuff: a body that shears along the limb."""
    sleeve = limb.add_body(
        name=f"{PREFIX}{cuff}_sleeve",
        mass=SLEEVE_MASS,
        ipos=np.zeros(3),
        inertia=np.full(3, 1e-5),
        explicitinertial=True,
    )
    shear = sleeve.add_joint(name=f"{PREFIX}{cuff}_shear", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, 0, 1])
    shear.stiffness[0], shear.damping[0] = device.shear_stiffness, SLEEVE_DAMPING
    shear.limited, shear.armature = mujoco.mjtLimited.mjLIMITED_FALSE, 0.0
    return sleeve


def _add_strap(
    spec: mujoco.MjSpec,
    sleeve: Any,
    cuff: str,
    strap: str,
    origin: Float[np.ndarray, "3"],
    radius: float,
    height: float,
    anchors: Mapping[str, Float[np.ndarray, "3"]],
    device: Exoskeleton,
) -> None:
    """One strap: from the shell's lateral edge over four points on the skin to its medial edge."""
    name = f"{PREFIX}{cuff}_{strap}"
    first, last = (anchors[f"{cuff}_{strap}_{side}"] for side in SIDES)
    face = -math.copysign(1.0, first[0])  # it is fixed on the far side of the shell from where it passes the limb
    z = first[2] - math.copysign(STRAP_REACH, first[2] - height)
    across, deep = 0.94 * radius, 0.44 * radius
    skin = [
        np.array((face * deep, -across, z)),
        np.array((face * radius, -0.3 * radius, z)),
        np.array((face * radius, 0.3 * radius, z)),
        np.array((face * deep, across, z)),
    ]
    path = [first, *skin, last]
    length = sum(float(np.linalg.norm(b - a)) for a, b in pairwise(path))
    rest = length - device.strap_pretension / device.strap_stiffness
    if rest <= 0:
        raise InputError(
            f"exoskeleton strap_pretension {device.strap_pretension:g} N stretches a strap of {length:.3f} m by "
            f"{device.strap_pretension / device.strap_stiffness:.3f} m; lower it or raise strap_stiffness"
        )
    tendon = spec.add_tendon(name=name, springlength=[0.0, rest], rgba=WEBBING, width=0.0045)
    tendon.stiffness[0] = device.strap_stiffness
    tendon.wrap_site(f"{name}_{SIDES[0]}")
    for i, point in enumerate(skin):
        sleeve.add_site(name=f"{name}_limb{i}", pos=origin + point, size=[0.003] * 3, group=3)
        tendon.wrap_site(f"{name}_limb{i}")
    tendon.wrap_site(f"{name}_{SIDES[1]}")


def check_leg(mj_model: mujoco.MjModel) -> None:
    """Refuse a model that is not a sagittal leg with muscles.

    **Raises:** `InputError` naming what is missing.
    """
    for kind, wanted, count in (("body", ("femur", "tibia", "foot"), mj_model.nbody), ("joint", JOINTS, mj_model.njnt)):
        have = [getattr(mj_model, kind)(i).name for i in range(count)]
        for name in wanted:
            if name not in have:
                raise InputError(
                    f"the subject's model has no {kind} '{name}'; KneeExo takes models identified on 'knee' "
                    f"(this one has {', '.join(n or '?' for n in have)})"
                )
    names = [mj_model.joint(j).name for j in range(mj_model.njnt)]
    if tuple(names) != JOINTS:
        raise InputError(
            f"the subject's model has joints {', '.join(names)}; KneeExo needs {', '.join(JOINTS)}, in this order"
        )
    if not mj_model.nu:
        raise InputError("the subject's model has no muscles; export it from a model with muscle actuators")
    for i in range(mj_model.nu):
        if mj_model.actuator_dyntype[i] != mujoco.mjtDyn.mjDYN_MUSCLE:
            raise InputError(
                f"actuator '{mj_model.actuator(i).name}' of the subject's model is not a muscle; remove it"
            )


_ENDS = len(CUFFS) * (2 * len(STRAPS) + len(PADS))
"""Places where something is fixed to a shell."""
_BOTH = indices(np.repeat(np.arange(len(STRAPS)), len(SIDES)))
"""A strap pulls at both its ends."""

# What passes between leg and exoskeleton -------------------------------------------------------------------


class CuffLoads(NamedTuple):
    """What passes through the cuffs at one instant; entries in the order of `CUFFS`."""

    force: Float[Any, "cuff 3"]
    """On the limb, straps and pads together, in the world [N]."""
    moment: Float[Any, ""]
    """Of the shank cuff's force about the human knee's axis, positive in flexion [N·m]."""
    tension: Float[Any, "cuff strap"]
    """Of every strap, in the order of `STRAPS`; never negative [N]."""
    displacement: Float[Any, "cuff"]
    """How far a shell's middle is from its place on the limb [m]."""


@dataclass(frozen=True, eq=False)
class Coupling:
    """Where the straps of a worn exoskeleton are among a world's tendons and tracked points."""

    straps: Int[np.ndarray, "cuff strap"]
    pads: Int[np.ndarray, "cuff pad"]
    turn: Float[np.ndarray, "3 3"]
    """An arm times this is the knee's axis × the arm: what a unit of force does about the knee."""
    shear: Int[np.ndarray, "cuff"]
    """Coordinates along which the sleeves move."""
    lever: Float[np.ndarray, "2 2"]
    """From hip to knee, straight and turned by 90° about the hip, along the device's two slides [m]."""
    slack: Float[np.ndarray, "cuff strap"]
    """Length at which a strap begins to pull [m]."""
    device: Exoskeleton

    @staticmethod
    def sites() -> tuple[str, ...]:
        """Sites a world has to track for it: ends on the shells, ends on the skin, middles, ankle and knee, in turn."""
        ends = [end for cuff in CUFFS for end in _ends(cuff)]
        shells, limbs = ([f"{PREFIX}{cuff}_middle{of}" for cuff in CUFFS] for of in ("", "_limb"))
        return (*(e[0] for e in ends), *(e[1] for e in ends), *shells, *limbs, ANKLE_CENTRE, KNEE_CENTRE)

    @staticmethod
    def of(world: World, device: Exoskeleton) -> Coupling:
        """Of a world that `wear` made."""
        m = world.model
        if world.tracked != Coupling.sites():
            raise InputError("the world does not track the exoskeleton's sites; make it with tracked=Coupling.sites()")
        straps = indices([world.tendons([f"{PREFIX}{cuff}_{s}" for s in STRAPS]) for cuff in CUFFS])
        data = mujoco.MjData(m)
        data.qpos[:] = 0.0  # straight
        mujoco.mj_kinematics(m, data)
        hip, knee = world.coordinate(HIP), world.coordinate(KNEE)
        thigh = data.xanchor[knee] - data.xanchor[hip]
        slides = data.xaxis[world.among([f"{PREFIX}x", f"{PREFIX}z"])]
        x, y, z = data.xaxis[knee]
        return Coupling(
            straps=straps,
            pads=indices([world.tendons([f"{PREFIX}{cuff}_pad_{p}" for p in PADS]) for cuff in CUFFS]),
            turn=np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]),
            shear=world.among([f"{PREFIX}{cuff}_shear" for cuff in CUFFS]),
            lever=np.stack([slides @ thigh, slides @ np.cross(data.xaxis[hip], thigh)]),
            slack=m.tendon_lengthspring[straps, 1].copy(),
            device=device,
        )

    def loads(self, seen: Kinetics) -> CuffLoads:
        """What passes through the cuffs."""
        xp = namespace(seen.point)
        tension = self.device.strap_stiffness * xp.maximum(seen.tendon_length[self.straps] - self.slack, 0.0)
        pull = self.device.pad_damping * seen.tendon_velocity[self.pads]
        along = xp.concatenate([tension[:, _BOTH], pull], 1).reshape(-1)
        skin = seen.point[_ENDS : 2 * _ENDS]
        way = seen.point[:_ENDS] - skin
        forces = way * (along / xp.sqrt(xp.einsum("ij,ij->i", way, way)))[:, None]
        arm = (skin[_ENDS // 2 :] - seen.point[-1]) @ self.turn  # of the shank's, the second half
        moment = xp.vdot(arm, forces[_ENDS // 2 :])
        shift = seen.point[-6:-4] - seen.point[-4:-2]
        return CuffLoads(
            xp.ones(_ENDS // 2) @ forces.reshape(2, -1, 3),
            moment,
            tension,
            xp.sqrt(xp.einsum("ij,ij->i", shift, shift)),
        )

    def slip(self, seen: Kinetics, loads: CuffLoads, slipped: Float[Any, "cuff"], grip: Any) -> Float[Any, "cuff"]:
        """How far every cuff has slipped along its limb [m], after what it bears now.

        The sleeve is a spring that friction holds at its end: shear force k·(x − s) up to μ·2ΣT, since a strap that
        runs halfway around a limb presses on it with twice its tension. Beyond that s gives way (return mapping).

        **Arguments:** `slipped`: s before. `grip`: part of the friction that there is.
        """
        xp = namespace(seen.position)
        give = grip * 2.0 * self.device.friction / self.device.shear_stiffness * (loads.tension @ np.ones(len(STRAPS)))
        place = seen.position[self.shear]
        return xp.minimum(xp.maximum(slipped, place - give), place + give)

    def aligned(
        self, xp: Any, person: Float[Any, "joint"], speed: Float[Any, "joint"]
    ) -> tuple[Float[Any, "coordinate"], Float[Any, "coordinate"]]:
        """Position and velocity of a whole world with the exoskeleton on the leg without strain, moving with it.

        **Arguments:** `person`, `speed`: of hip, knee and ankle, which are 0 where the model stands straight.
        """
        # The thigh's turn about the hip takes the knee along a circle, and the device's with it.
        cosine, sine = xp.cos(person[0]), xp.sin(person[0])
        across, up = self.lever[0], self.lever[1]
        place = across * (cosine - 1.0) + up * sine
        rate = speed[0] * (up * cosine - across * sine)
        sleeves = xp.zeros(len(CUFFS))
        return xp.concatenate([person, sleeves, place, person[:2]]), xp.concatenate([speed, sleeves, rate, speed[:2]])


def _ends(cuff: str) -> list[tuple[str, str]]:
    """Sites at which straps and pads of a cuff leave the shell, and where each arrives on the skin."""
    ends = []
    for strap in STRAPS:
        name = f"{PREFIX}{cuff}_{strap}"
        ends += [(f"{name}_{SIDES[0]}", f"{name}_limb0"), (f"{name}_{SIDES[1]}", f"{name}_limb3")]
    return ends + [(f"{PREFIX}{cuff}_pad_{pad}", f"{PREFIX}{cuff}_pad_{pad}_limb") for pad in PADS]
