"""A knee exoskeleton worn on a leg: one MJCF of both, joined by nothing but the straps of two cuffs.

The exoskeleton (`assets/exo`) is a mechanism of its own with four degrees of freedom: where its knee is in the
sagittal plane, its pitch, and its knee, where the motor sits. Each cuff is a rigid shell around the limb, hung in it

- by four *straps*, springs that only pull, T = k·max(0, L − L₀): two pass behind the limb and hold it against moving
  back in the shell, two in front; of each pair one rises and one falls, so that the cuff also carries weight and
  resists turning. Pretension keeps all four taut at rest;
- by three *pads*, dampers along and across the limb: the flesh under the shell, which dissipates and never lets go.

Straps and pads do not end on the bone but on the skin, a light sleeve that shears along the limb like flesh, and slips
when the straps ask for more than friction gives (`mjx_msm.envs.worlds.cuffs.Coupling.slip`).

All of it is MuJoCo's own spatial tendons, a passive force that C and MJX compute alike; nothing needs a constraint
solver, and every force acts on both bodies (Newton's third law) by construction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.envs.human.leg import check_leg
from mjx_msm.envs.robots.exoskeleton import CUFFS, PADS, PREFIX, SIDES, STRAPS, Exoskeleton

KNEE_CENTRE, ANKLE_CENTRE = f"{PREFIX}knee_centre", f"{PREFIX}ankle_centre"
"""Sites at the axes of the human knee and ankle."""

SLEEVE_MASS = 0.1
"""Of the skin and flesh that move along the limb under a cuff [kg]; our choice, it only has to be light."""
SLEEVE_DAMPING = 30.0
"""Of their shear [N·s/m]; our choice, near critical with the straps' own stiffness."""

STRAP_REACH = 0.035  # m along the limb, from the hoop inwards to where the strap lies on the skin
FLESH_LENGTH = 0.187  # m, half of what is drawn of a limb
SKIN = (0.87, 0.66, 0.54, 0.30)
WEBBING = (0.95, 0.55, 0.10, 1.0)


def wear(human: mujoco.MjSpec, exoskeleton: Exoskeleton | None = None) -> mujoco.MjSpec:
    """The leg with the exoskeleton on, as a new uncompiled `MjSpec`; `human` is not changed.

    The human's joints, bodies and actuators come first and keep their names and order; the exoskeleton's follow,
    with the prefix ``exo_``. It is stepped by Euler's rule, which takes the device's damping implicitly.

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
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    # MuJoCo warns of parts that differ
    exo.option.timestep, exo.option.integrator = spec.option.timestep, spec.option.integrator
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
