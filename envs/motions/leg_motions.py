"""Motions that are asked of a leg: hip, knee and ankle over time, drawn anew for every episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from mjx_msm.envs.motions.goal import Goal


class Reference(Protocol):
    """A motion of hip, knee and ankle."""

    @property
    def draws(self) -> int:
        """Random numbers between 0 and 1 that `plan` takes."""
        ...

    @property
    def seconds(self) -> float | None:
        """How long it lasts; None: it repeats."""
        ...

    def plan(self, xp: Any, uniform: Float[Any, "draw"]) -> Any:
        """What varies from one episode to the next."""
        ...

    def at(self, xp: Any, plan: Any, time: Float[Any, "time"]) -> Goal:
        """The motion at times [s]."""
        ...


@dataclass(frozen=True)
class Harmonics:
    """A motion that repeats: Fourier series of the three joints over the phase of a cycle.

    Cycle frequency and a common factor of the series' size are drawn for every episode; so is the mean of the knee.
    """

    mean: tuple[float, float, float]
    """Hip, knee and ankle [rad]."""
    cosine: tuple[tuple[float, float, float], ...]
    """Coefficients of cos(2πkφ), a row for every k from 1 [rad]."""
    sine: tuple[tuple[float, float, float], ...]
    frequency: tuple[float, float]
    """Range of cycles a second it is drawn from [Hz]."""
    size: tuple[float, float] = (0.8, 1.2)
    """Range of the factor."""
    knee: tuple[float, float] = (0.0, 0.0)
    """Range of what is added to the knee's mean [rad]."""

    draws = 3
    seconds = None

    def plan(self, xp: Any, uniform: Float[Any, "draw"]) -> Float[Any, "3"]:
        """Frequency, factor, and the knee's mean."""
        low = np.array([self.frequency[0], self.size[0], self.knee[0]])
        high = np.array([self.frequency[1], self.size[1], self.knee[1]])
        return low + (high - low) * uniform

    def at(self, xp: Any, plan: Float[Any, "3"], time: Float[Any, "time"]) -> Goal:
        """Position, velocity and acceleration of the series."""
        count = len(self.cosine)
        omega = 2.0 * np.pi * plan[0] * np.arange(1, count + 1)
        phase = time[:, None] * omega
        cosine, sine = xp.cos(phase), xp.sin(phase)
        a, b = plan[1] * np.array(self.cosine), plan[1] * np.array(self.sine)
        mean = np.array(self.mean) + plan[2] * np.array([0.0, 1.0, 0.0])
        return Goal(
            mean + cosine @ a + sine @ b,
            (cosine * omega) @ b - (sine * omega) @ a,
            -((cosine * omega**2) @ a + (sine * omega**2) @ b),
        )


SEATED = Harmonics(
    mean=(0.60, 1.0, 0.0),
    cosine=((0.0, 0.425, 0.0),),
    sine=((0.0, 0.0, 0.0),),
    frequency=(0.2, 0.5),
    size=(0.7, 1.3),
    knee=(-0.05, 0.15),
)
"""Someone leaning back on a bench who extends the knee over and over; beyond 0.6 rad of hip flexion the passive
hamstrings of the model keep it from extending."""

SWING = Harmonics(
    mean=(0.20, 0.52, 0.0),
    cosine=((0.33, -0.03, -0.03), (-0.03, -0.21, 0.03)),
    sine=((-0.02, -0.42, -0.03), (0.02, 0.14, 0.08)),
    frequency=(0.6, 0.9),
    size=(0.85, 1.1),
)
"""A leg that swings as in walking, off the ground: it flexes to about 60° while the hip comes forward, and extends
before the end of the cycle. Two harmonics, our choice, shaped like normal gait; it starts at heel strike."""


@dataclass(frozen=True)
class Recorded:
    """The motion of a recording."""

    position: Float[np.ndarray, "sample joint"]
    velocity: Float[np.ndarray, "sample joint"]
    acceleration: Float[np.ndarray, "sample joint"]
    step: float
    """Between samples [s]."""

    draws = 0

    @property
    def seconds(self) -> float:
        """From the first sample to the last."""
        return self.step * (len(self.position) - 1)

    def plan(self, xp: Any, uniform: Float[Any, "draw"]) -> Float[Any, "0"]:
        """Nothing varies."""
        return xp.zeros(0)

    def at(self, xp: Any, plan: Any, time: Float[Any, "time"]) -> Goal:
        """The nearest sample; after the end, the last one, still."""
        index = xp.clip(xp.round(time / self.step).astype(int), 0, len(self.position) - 1)
        return Goal(
            xp.asarray(self.position)[index], xp.asarray(self.velocity)[index], xp.asarray(self.acceleration)[index]
        )


MOTIONS: Mapping[str, Harmonics] = {"seated": SEATED, "swing": SWING}
