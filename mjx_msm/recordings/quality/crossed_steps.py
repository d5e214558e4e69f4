"""Steps across the middle of two force plates: inverse dynamics gives a leg in the air the force of the other foot.

A foot that comes down on the other one's plate, or belt of a treadmill, leaves part of its force to the leg that is in
the air. That leg's ankle seems to push off while the other one does. In a run and in a healthy walk none does: when one
foot pushes, the other is in the air, or has just landed on its heel. Who walks on the toes or lands flat on a foot does
so in every double support, and who stands: so it is told, and left out where it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation

from mjx_msm.common.runs import runs

PUSHES = 0.15
"""Of an ankle's moment in push-off (95 % of all samples are below), from which on it pushes."""
SHORTEST, AROUND = 0.08, 0.05
"""For so long both push [s], in two recorded walks 0.04 s where feet kept to their belts; and what is left out about
it, where a force rises and falls."""
TOGETHER = 0.5
"""Of the time in which an ankle pushes, the most for which the other may, too: else it is no gait (squats, jumps)."""


@dataclass(frozen=True)
class OtherFoot:
    """Where the recorded moments of a leg may have the other foot's force in them, and were kept."""

    trial: str
    coordinates: tuple[str, ...]
    spans: tuple[tuple[float, float], ...]
    """From and to, on the trial's clock [s]."""
    share: float
    """Of the trial's samples."""

    def shifted(self, by: float) -> OtherFoot:
        """On a clock on which all of it is that much later [s]."""
        return replace(self, spans=tuple((first + by, last + by) for first, last in self.spans))


def crossed_steps(
    one: Float[np.ndarray, "time"], other: Float[np.ndarray, "time"], rate: float
) -> Bool[np.ndarray, "time"]:
    """Samples at which one foot's force may be in the moments of both legs: both ankles push.

    **Arguments:** `one`, `other`: moments about the two ankles, of either sign convention; `rate` [Hz].
    """
    none = np.zeros(len(one), dtype=bool)
    if not (np.isfinite(one).any() and np.isfinite(other).any()):
        return none
    first, second = _pushes(one), _pushes(other)
    both = first & second
    if both.sum() > TOGETHER * min(first.sum(), second.sum()):
        return none
    for start, stop in zip(*runs(both), strict=True):
        none[start:stop] = stop - start >= SHORTEST * rate
    return binary_dilation(none, iterations=max(1, round(AROUND * rate))) if none.any() else none


def _pushes(moment: Float[np.ndarray, "time"]) -> Bool[np.ndarray, "time"]:
    """Where an ankle pushes; it pushes harder than it pulls, which tells the sign."""
    low, high = np.nanquantile(moment, [0.05, 0.95])
    sign, top = (1.0, high) if high > -low else (-1.0, -low)
    return sign * moment > PUSHES * top


def spans(time: Float[np.ndarray, "time"], crossed: Bool[np.ndarray, "time"]) -> tuple[tuple[float, float], ...]:
    """From and to of every stretch [s]."""
    return tuple((float(time[a]), float(time[b - 1])) for a, b in zip(*runs(crossed), strict=True))


def step_line(time: Float[np.ndarray, "time"], crossed: Bool[np.ndarray, "time"], masked: bool) -> str:
    """How many stretches, how much in all, and where the first is, in words that end a sentence."""
    starts, stops = runs(crossed)
    first = f"{time[starts[0]]:.4g} to {time[stops[0] - 1]:.4g} s"
    where = f"from {first}" if len(starts) == 1 else f"{len(starts)} times, first from {first}"
    what = (
        "masked"
        if masked
        else 'other_foot = "masked" leaves that out; not if the person walks so, or both feet are on the ground'
    )
    return (
        f"may have the other foot's force in them {where}: both ankles push at once "
        f"({100 * np.mean(crossed):.0f} % of the samples; a step across the middle of two plates?); {what}"
    )
