"""Units as laboratories spell them, and what they are in SI."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

GRAVITY = 9.80665
"""Standard acceleration of free fall, by which a kilogram-force is defined [m/s²]."""
POUND, FOOT = 4.4482216152605, 0.3048
"""Pound-force [N] and foot [m], as defined."""


@dataclass(frozen=True)
class Unit:
    """What a unit measures, and how much of the SI unit it is."""

    kind: str
    """"angle", "angular velocity", "moment", "moment per mass", "force", "length", "time", "voltage" or "share"."""
    factor: float


_DEGREE = math.pi / 180
_SPELT: dict[str, dict[str, float]] = {
    "angle": {"rad": 1.0, "radian": 1.0, "radians": 1.0, "deg": _DEGREE, "degree": _DEGREE, "degrees": _DEGREE,
              "°": _DEGREE},
    "angular velocity": {"rad/s": 1.0, "deg/s": _DEGREE, "°/s": _DEGREE, "deg/sec": _DEGREE, "degrees/s": _DEGREE},
    "moment": {"nm": 1.0, "newtonmeter": 1.0, "newtonmetre": 1.0, "newtonmeters": 1.0, "newtonmetres": 1.0,
               "nmm": 1e-3, "mmn": 1e-3, "ncm": 1e-2, "knm": 1e3, "ftlb": POUND * FOOT, "ftlbs": POUND * FOOT,
               "ftlbf": POUND * FOOT, "lbft": POUND * FOOT, "lbfft": POUND * FOOT, "footpounds": POUND * FOOT,
               "inlb": POUND * FOOT / 12, "inlbs": POUND * FOOT / 12, "kgfm": GRAVITY, "kgm": GRAVITY,
               "kgfcm": GRAVITY / 100, "kgcm": GRAVITY / 100},
    "moment per mass": {"nm/kg": 1.0, "nmkg1": 1.0, "nmkg⁻¹": 1.0, "nmkg⁻1": 1.0, "nmm/kg": 1e-3, "nmmkg1": 1e-3},
    "force": {"n": 1.0, "newton": 1.0, "newtons": 1.0, "kn": 1e3, "mn": 1e-3, "kgf": GRAVITY, "kp": GRAVITY,
              "kg": GRAVITY, "gf": GRAVITY * 1e-3, "lbf": POUND, "lb": POUND, "lbs": POUND, "pounds": POUND},
    "length": {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 1e-3},
    "time": {"s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "msecs": 1e-3,
             "millisecond": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "µs": 1e-6, "usec": 1e-6, "microseconds": 1e-6,
             "ns": 1e-9, "min": 60.0, "minutes": 60.0},
    "voltage": {"v": 1.0, "volt": 1.0, "volts": 1.0, "mv": 1e-3, "uv": 1e-6, "µv": 1e-6, "nv": 1e-9,
                "microvolts": 1e-6, "millivolts": 1e-3},
    "share": {"%": 0.01, "%mvc": 0.01, "percent": 0.01, "a.u.": 1.0, "au": 1.0},
}  # fmt: skip
_UNITS = {spelt: Unit(kind, factor) for kind, spellings in _SPELT.items() for spelt, factor in spellings.items()}


def unit_of(text: str) -> Unit | None:
    """What a unit means, None if that is not known; brackets, points and case do not matter."""
    plain = text.strip().strip("[]()").casefold().replace("μ", "µ")
    return _UNITS.get(plain) or _UNITS.get(re.sub(r"[\s·•*.^⋅()\[\]-]", "", plain))


def spelt(kind: str) -> tuple[str, ...]:
    """Spellings of the units of a kind."""
    return tuple(_SPELT[kind])
