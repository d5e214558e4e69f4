"""The scene of an arm alone, with something in its hand if you like."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.arm import HAND, JOINTS
from mjx_msm.envs.human.people import People

DENSITY = 7850.0
"""Of the payload, steel [kg/m³]."""


def arm_scene(people: People, payload: float) -> World:
    """The arm, with a mass [kg] in its hand.

    **Raises:** `InputError` for a payload that is none.
    """
    if not isinstance(payload, int | float | np.number) or not (np.isfinite(payload) and payload >= 0):
        raise InputError(f"payload = {payload!r} kg; give a mass of 0 or more")
    arm = people.spec.copy()
    try:
        if payload:
            _add_payload(arm, payload)
        return World.of(arm, JOINTS, tracked=(HAND,))
    except ValueError as e:
        raise InputError(f"{people.source}: {in_one_line(e)}") from None


def _add_payload(arm: mujoco.MjSpec, mass: float) -> None:
    """A ball of steel in the hand."""
    hand = arm.site(HAND)
    radius = (3 * mass / (4 * np.pi * DENSITY)) ** (1 / 3)
    ball = hand.parent.add_body(
        name="payload",
        pos=hand.pos,
        mass=mass,
        ipos=np.zeros(3),
        inertia=np.full(3, 0.4 * mass * radius**2),
        explicitinertial=True,
    )
    look: dict[str, Any] = {"contype": 0, "conaffinity": 0, "mass": 0, "group": 1, "rgba": [0.3, 0.32, 0.36, 1]}
    ball.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[radius, 0, 0], **look)
