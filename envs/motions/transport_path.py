"""The way of the beam: lifted, carried over the obstacle, lowered onto the goal.

Each of the three moves is a minimum-jerk ramp of its own (Flash and Hogan 1985, J Neurosci 5:1688–1703,
doi 10.1523/JNEUROSCI.05-07-01688.1985): from rest to rest along

    s(τ) = 10 τ³ − 15 τ⁴ + 6 τ⁵,  τ = (t − t₀) / (t₁ − t₀) in 0..1,

and they overlap, so that the beam does not stop at the corners.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import namespace
from mjx_msm.common.errors import InputError
from mjx_msm.envs.motions.goal import Goal

LIFT, CARRY, LOWER = (0.0, 0.35), (0.22, 0.78), (0.65, 1.0)
"""When a move begins and ends, as parts of the duration."""


@dataclass(frozen=True)
class TransportPath:
    """Start pose, lift over the obstacle, goal pose; the beam stays level.

    The default keeps the hand where the bundled arm, whose shoulder is lifted by nothing but the biceps, holds its
    share of the default beam with no muscle above one half.
    """

    start_x: float = 0.45
    """Of the beam's middle [m]; the person's shoulder is near 0."""
    start_z: float = 0.895
    """[m]."""
    lift: float = 0.11
    """How far the beam is lifted [m]."""
    carry: float = 0.15
    """How far it is carried forwards [m]."""
    lower: float = 0.05
    """How far it is lowered [m]."""
    duration: float = 3.0
    """[s]; before and after it the path rests."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"path {item.name} = {value!r}; give a finite number")
        if self.duration <= 0:
            raise InputError(f"path duration = {self.duration!r}; give a positive number")

    @staticmethod
    def of(values: Mapping[str, float] | TransportPath | None) -> TransportPath:
        """The path with some of its numbers replaced by name."""
        if isinstance(values, TransportPath):
            return values
        known = [item.name for item in fields(TransportPath)]
        for name in values or {}:
            if name not in known:
                raise InputError(f"path has no '{name}'; it has {', '.join(known)}")
        return TransportPath(**dict(values or {}))

    def at(self, time: Float[Any, "*batch"]) -> Goal:
        """Where the beam should be at a time [s], with its first and second derivative."""
        xp = namespace(time)
        time = xp.asarray(time)
        corner = (self.start_x, self.start_z, 0.0)
        moves = ((LIFT, (0.0, self.lift, 0.0)), (CARRY, (self.carry, 0.0, 0.0)), (LOWER, (0.0, -self.lower, 0.0)))
        motion = [xp.asarray(corner) + xp.zeros((*time.shape, 3)), 0.0, 0.0]
        for (begin, end), way in moves:
            length = (end - begin) * self.duration
            phase = xp.clip((time - begin * self.duration) / length, 0.0, 1.0)[..., None]
            ramp = (
                phase**3 * (10 - 15 * phase + 6 * phase**2),
                30 * phase**2 * (1 - phase) ** 2 / length,
                60 * phase * (1 - phase) * (1 - 2 * phase) / length**2,
            )
            motion = [sofar + part * xp.asarray(way) for sofar, part in zip(motion, ramp, strict=True)]
        return Goal(*motion)

    def samples(self, count: int = 41) -> Goal:
        """The path at times evenly spread over its duration."""
        return self.at(np.linspace(0.0, self.duration, count))


def point_of_beam(beam: Goal, offset: tuple[float, float]) -> Goal:
    """Motion of a point of the beam, in (x, z) alone [m].

    **Arguments:** `beam`: of its middle, (x, z) [m] and pitch [rad]. `offset`: where the point is on
    the beam: along it, and across it, upwards [m].
    """
    xp = namespace(beam.position)
    pitch = beam.position[..., 2]
    sine, cosine = xp.sin(pitch), xp.cos(pitch)
    along, across = offset
    lever = xp.stack([along * cosine - across * sine, along * sine + across * cosine], axis=-1)
    turned = xp.stack([-lever[..., 1], lever[..., 0]], axis=-1)
    rate, growth = beam.velocity[..., 2:], beam.acceleration[..., 2:]
    return Goal(
        beam.position[..., :2] + lever,
        beam.velocity[..., :2] + rate * turned,
        beam.acceleration[..., :2] + growth * turned - rate**2 * lever,
    )
