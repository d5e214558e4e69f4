"""Beam, handles and obstacle as numbers, and what they are called in the scene."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from mjx_msm.common.errors import InputError
from mjx_msm.envs.human.arm import HAND
from mjx_msm.envs.robots.cobot import PREFIX as COBOT

BEAM = "beam_"
BEAM_JOINTS = ("x", "z", "pitch")
HANDLES: Mapping[str, str] = {"hand": HAND, "tool": f"{COBOT}tool"}
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
