"""The knee exoskeleton as a device: its numbers, and what its cuffs are made of. `assets/exo` is its mechanism.

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

from mjx_msm.common.errors import InputError

PREFIX = "exo_"
CUFFS: Mapping[str, tuple[str, float]] = {"thigh": ("femur", 0.068), "shank": ("tibia", 0.055)}
"""Cuff, which is also the link it sits on, to the human body it holds and the limb's radius under it [m]."""
STRAPS = ("front_up", "front_down", "back_up", "back_down")
"""Where a strap passes the limb, and which way it runs from the shell to it."""
SIDES = ("lateral", "medial")
PADS = ("up", "down", "axial")


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
