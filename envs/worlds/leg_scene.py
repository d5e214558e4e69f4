"""The scene of leg environments: a leg in the exoskeleton, on a bench or standing, with a weight if you like."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.leg import ANKLE, HIP, JOINTS
from mjx_msm.envs.human.people import People
from mjx_msm.envs.robots.exoskeleton import PREFIX, Exoskeleton
from mjx_msm.envs.worlds.cuffs import Coupling
from mjx_msm.envs.worlds.worn_exoskeleton import wear

LED = (HIP, ANKLE)
"""Joints whose motion is given, see `mjx_msm.envs.worlds.led_joints`."""
RECLINE = 0.90
"""How far the pelvis of someone on the bench is tipped back from standing [rad]; the thigh is then nearly level."""


def leg_scene(people: People, device: Exoskeleton, seated: bool, load: float) -> World:
    """The leg in the exoskeleton; hip and ankle are `LED`, the knee is free.

    **Arguments:** `seated`: on a bench, leaning back; otherwise it stands. `load`: mass above the ankle [kg].

    **Raises:** `InputError` for a load that is none, or a leg that the device does not fit.
    """
    if not isinstance(load, int | float | np.number) or not (np.isfinite(load) and load >= 0):
        raise InputError(f"load = {load!r} kg; give a mass of 0 or more")
    leg = people.spec.copy()
    try:
        if seated:
            _seat(leg)
        if load:
            _add_load(leg, load)
        spec = wear(leg, device)
        return World.of(
            spec,
            JOINTS,
            tracked=Coupling.sites(),
            led=LED,
            no_load_speed={f"{PREFIX}knee_motor": device.no_load_speed},
        )
    except ValueError as e:
        raise InputError(f"{people.source}: {in_one_line(e)}") from None


def _seat(leg: mujoco.MjSpec) -> None:
    """Tip the pelvis back, and draw a bench under it."""
    hip = leg.body("femur")
    pelvis = hip.parent
    centre = np.array(pelvis.pos) + np.array(hip.pos)  # the knee model's pelvis stands upright in the world
    turn, tipped = np.array((np.cos(RECLINE / 2), 0.0, -np.sin(RECLINE / 2), 0.0)), np.zeros(4)
    mujoco.mju_mulQuat(tipped, turn, np.array(pelvis.quat))
    pelvis.quat = tipped
    offset = np.zeros(3)
    mujoco.mju_rotVecQuat(offset, np.array(hip.pos), tipped)
    pelvis.pos = centre - offset  # about the hip, which stays where it was
    x, z = centre[0] - 0.13, centre[2] - 0.115
    look: dict[str, Any] = {"contype": 0, "conaffinity": 0, "mass": 0, "group": 1, "rgba": [0.62, 0.64, 0.68, 1]}
    box, capsule = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CAPSULE
    leg.worldbody.add_geom(name="bench", type=box, pos=[x, 0, z - 0.025], size=[0.21, 0.24, 0.025], **look)
    for i, (dx, y) in enumerate(((-0.16, -0.19), (-0.16, 0.19), (0.16, -0.19), (0.16, 0.19))):
        ends = [x + dx, y, 0.0, x + dx, y, z - 0.05]
        leg.worldbody.add_geom(name=f"bench_leg{i}", type=capsule, fromto=ends, size=[0.015, 0, 0], **look)


def _add_load(leg: mujoco.MjSpec, mass: float) -> None:
    """A weight cuff above the ankle."""
    ankle = np.array(leg.body("foot").pos)
    cuff = leg.body("tibia").add_body(
        name="load",
        pos=0.9 * ankle,
        mass=mass,
        ipos=np.zeros(3),
        inertia=np.full(3, 0.002 * mass),
        explicitinertial=True,
    )
    cuff.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[0.055, 0.03, 0],
        rgba=[0.15, 0.16, 0.2, 1],
        contype=0,
        conaffinity=0,
        mass=0,
        group=1,
    )
