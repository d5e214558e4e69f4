"""A knee exoskeleton worn on a leg: one MJCF of both, joined by nothing but the straps of two cuffs.

The exoskeleton (`assets/exo`) is a mechanism of its own with four degrees of freedom: where its knee is in the
sagittal plane, its pitch, and its knee, where the motor sits. Each cuff is a rigid shell around the limb, hung in it

- by four *straps*, springs that only pull, T = k·max(0, L − L₀): two pass behind the limb and hold it against moving
  back in the shell, two in front; of each pair one rises and one falls, so that the cuff also carries weight and
  resists turning. Pretension keeps all four taut at rest;
- by three *pads*, dampers along and across the limb: the flesh under the shell, which dissipates and never lets go.

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
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm import assets
from mjx_msm.errors import InputError

PREFIX = "exo_"
HIP, KNEE, ANKLE = JOINTS = ("hip_flexion", "knee_angle", "ankle_angle")
CUFFS: Mapping[str, tuple[str, float]] = {"thigh": ("femur", 0.068), "shank": ("tibia", 0.055)}
"""Cuff, which is also the link it sits on, to the human body it holds and the limb's radius under it [m]."""
STRAPS = ("front_up", "front_down", "back_up", "back_down")
"""Where a strap passes the limb, and which way it runs from the shell to it."""
SIDES = ("lateral", "medial")
PADS = ("up", "down", "axial")

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

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise InputError(f"exoskeleton {item.name} = {value!r}; give a finite number, zero or more")
        for name in ("torque_limit", "bandwidth", "no_load_speed", "strap_stiffness"):
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

    def available_torque(self, wanted: float, speed: float) -> float:
        """What the motor can give of a wanted torque at a speed of its joint [N·m].

        Driving, it loses torque linearly with speed down to zero at `no_load_speed`; braking, it has all of it.
        """
        limit = self.torque_limit
        if wanted * speed > 0:
            limit *= max(0.0, 1.0 - abs(speed) / self.no_load_speed)
        return min(max(wanted, -limit), limit)


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
    motor = exo.actuator("knee_motor")
    motor.dynprm[0] = 1.0 / (2.0 * math.pi * device.bandwidth)
    motor.ctrlrange = [-device.torque_limit, device.torque_limit]
    anchors = {site.name: np.array(site.pos) for site in exo.sites}
    spec.attach(exo, prefix=PREFIX, frame=frame)

    knee_in_limb = {"thigh": np.array(mj_model.body_pos[tibia]), "shank": np.zeros(3)}
    for cuff, (body_name, radius) in CUFFS.items():
        limb = spec.body(body_name)
        origin = knee_in_limb[cuff]
        height = float(anchors[f"{cuff}_pad_axial"][2])
        for strap in STRAPS:
            _add_strap(spec, limb, cuff, strap, origin, radius, height, anchors, device)
        for pad in PADS:
            anchor = anchors[f"{cuff}_pad_{pad}"]
            offset = (-anchor[0], 0.0, 0.0) if pad != "axial" else (0.0, 0.0, -0.10)
            name = f"{PREFIX}{cuff}_pad_{pad}"
            limb.add_site(name=f"{name}_limb", pos=origin + anchor + np.array(offset), size=[0.003] * 3, group=3)
            tendon = spec.add_tendon(name=name, rgba=[0, 0, 0, 0])
            tendon.damping[0] = device.pad_damping
            tendon.wrap_site(name)
            tendon.wrap_site(f"{name}_limb")
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
    return spec


def _add_strap(
    spec: mujoco.MjSpec,
    limb: Any,
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
        limb.add_site(name=f"{name}_limb{i}", pos=origin + point, size=[0.003] * 3, group=3)
        tendon.wrap_site(f"{name}_limb{i}")
    tendon.wrap_site(f"{name}_{SIDES[1]}")


def check_leg(mj_model: mujoco.MjModel) -> None:
    """Refuse a model that is not a sagittal leg with muscles.

    **Raises:** `InputError` naming what is missing.
    """
    for kind, wanted, count in (("body", ("femur", "tibia"), mj_model.nbody), ("joint", JOINTS, mj_model.njnt)):
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


@dataclass(frozen=True)
class CuffLoad:
    """What passes through one cuff at one instant."""

    force: Float[np.ndarray, "3"]
    """On the limb, straps and pads together, in the world [N]."""
    moment: float
    """Of that force about the human knee's axis, positive in flexion of what it acts on [N·m]."""
    tension: Float[np.ndarray, "strap"]
    """Of every strap, in the order of `STRAPS`; never negative [N]."""
    displacement: float
    """How far the shell's middle is from its place on the limb, in the plane [m]."""


class Coupling:
    """Reads the interface between leg and exoskeleton from a compiled model's data.

    `wear(human)` has to be what was compiled. After a step call `mj_fwdPosition` and `mj_fwdVelocity` first: MuJoCo's
    derived quantities belong to the state before the step.
    """

    def __init__(self, mj_model: mujoco.MjModel):
        m = self._model = mj_model
        self._straps: dict[str, np.ndarray] = {}
        self._pads: dict[str, np.ndarray] = {}
        self._strap_ends: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._pad_ends: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._bodies: dict[str, tuple[int, int]] = {}
        self._places: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._tibia = m.body("tibia").id
        knee_in_limb = {"thigh": np.array(m.body_pos[self._tibia]), "shank": np.zeros(3)}
        for cuff, (body, _) in CUFFS.items():
            tendons = [m.tendon(f"{PREFIX}{cuff}_{strap}").id for strap in STRAPS]
            pads = [m.tendon(f"{PREFIX}{cuff}_pad_{pad}").id for pad in PADS]
            self._straps[cuff], self._pads[cuff] = np.array(tendons), np.array(pads)
            # A tendon's first and last segments run between shell and limb; the rest lie on the limb.
            sites = [m.wrap_objid[m.tendon_adr[t] : m.tendon_adr[t] + m.tendon_num[t]] for t in tendons]
            shell = np.array([[s[0], s[-1]] for s in sites])
            skin = np.array([[s[1], s[-2]] for s in sites])
            self._strap_ends[cuff] = shell, skin
            ends = [m.wrap_objid[m.tendon_adr[t] : m.tendon_adr[t] + 2] for t in pads]
            self._pad_ends[cuff] = np.array([e[0] for e in ends]), np.array([e[1] for e in ends])
            self._bodies[cuff] = m.body(f"{PREFIX}{cuff}").id, m.body(body).id
            height = np.array((0.0, 0.0, m.site(f"{PREFIX}{cuff}_pad_axial").pos[2]))
            self._places[cuff] = height, knee_in_limb[cuff] + height
        self.strap_stiffness = m.tendon_stiffness[self._straps["thigh"][0]].item()

    def load(self, data: mujoco.MjData, cuff: str) -> CuffLoad:
        """The load of one cuff, ``"thigh"`` or ``"shank"``."""
        m = self._model
        straps, pads = self._straps[cuff], self._pads[cuff]
        tension = m.tendon_stiffness[straps] * np.maximum(
            data.ten_length[straps] - m.tendon_lengthspring[straps, 1], 0.0
        )
        shell, skin = self._strap_ends[cuff]
        forces = _units(data.site_xpos[shell] - data.site_xpos[skin]) * tension[:, None, None]
        pad_shell, pad_skin = self._pad_ends[cuff]
        pull = m.tendon_damping[pads] * data.ten_velocity[pads]
        pad_forces = _units(data.site_xpos[pad_shell] - data.site_xpos[pad_skin]) * pull[:, None]
        points = np.concatenate([data.site_xpos[skin].reshape(-1, 3), data.site_xpos[pad_skin]])
        forces = np.concatenate([forces.reshape(-1, 3), pad_forces])
        axis = data.xaxis[1]  # of the knee: JOINTS is the model's joint order
        arm = points - data.xpos[self._tibia]
        moment = float(np.cross(arm, forces).sum(axis=0) @ axis)
        link, limb = self._bodies[cuff]
        on_link, on_limb = self._places[cuff]
        shift = (data.xpos[link] + data.xmat[link].reshape(3, 3) @ on_link) - (
            data.xpos[limb] + data.xmat[limb].reshape(3, 3) @ on_limb
        )
        return CuffLoad(forces.sum(axis=0), moment, tension, float(math.hypot(*shift)))

    def align(self, data: mujoco.MjData) -> None:
        """Put the exoskeleton's joints where it sits on the leg without strain, moving with it."""
        m = self._model
        first = m.njnt - 4
        start = m.qpos0[: first + 4]
        data.qpos[first : first + 2] = data.qvel[first : first + 2] = 0.0
        data.qpos[first + 2], data.qvel[first + 2] = data.qpos[0] - start[0], data.qvel[0]
        data.qpos[first + 3], data.qvel[first + 3] = data.qpos[1] - start[1], data.qvel[1]
        mujoco.mj_kinematics(m, data)
        mujoco.mj_comPos(m, data)
        link = self._bodies["thigh"][0]
        axes = data.xaxis[first : first + 2]
        data.qpos[first : first + 2] = axes @ (data.xpos[self._tibia] - data.xpos[link])
        jacobian = np.zeros((3, m.nv))
        mujoco.mj_jac(m, data, jacobian, None, data.xpos[self._tibia], self._tibia)
        data.qvel[first : first + 2] = axes @ (jacobian[:, :first] @ data.qvel[:first])


def _units(vectors: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
