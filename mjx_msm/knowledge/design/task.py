"""What a person is asked to do in one trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Task:
    """What the person is asked to do in one trial."""

    name: str
    posture: Mapping[str, float]
    """In which the limb is held until the trial begins [rad or m]."""
    payload: float
    """[kg]."""
    channels: tuple[str, ...]
    time: Float[np.ndarray, "time"]
    """[s]."""
    excitation: Float[np.ndarray, "time channel"]
    """To be followed, for instance as targets of EMG feedback; 0..1."""

    def __str__(self) -> str:
        angles = ", ".join(f"{c} {math.degrees(x):.0f}°" for c, x in self.posture.items())
        load = f", {self.payload:g} kg in the hand" if self.payload else ""
        return f"{self.name}: {self.time[-1]:g} s from {angles}{load}"
