"""At which angles people were recorded, and what the signs of angles and moments mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mjx_msm.views.replay import Replay
from mjx_msm.views.report.directions import toward

STILL = 2.0
"""Range of an angle, up to which a joint was held [°]."""
MOST_TRIALS = 4
"""Trials of which each has its angles told."""


def angles(trials: Sequence[Replay]) -> str:
    """Of every trial, or of all together where there are many; "" of none."""
    if not trials:
        return ""
    each = {t.name: _angles([t]) for t in trials}
    if len(trials) > MOST_TRIALS or len(set(each.values())) == 1:
        return _angles(trials)
    return "; ".join(f"{name}: {said}" for name, said in each.items())


def signs(trials: Sequence[Replay]) -> str:
    """What is positive; "" where nothing tells it."""
    ways = {c: way for c in (trials[0].free if trials else ()) if (way := _toward(trials, c))}
    return "; ".join(f"{c} and its moment count {way} as positive" for c, way in ways.items())


def _angles(trials: Sequence[Replay]) -> str:
    return ", ".join(f"{c} {_range(_course(trials, c))}" for c in trials[0].coordinates)


def _range(angle: np.ndarray) -> str:
    """Of an angle [rad], in degrees: where it was held, or from where to where it went."""
    if not len(angle):
        return "not recorded"
    low, high = np.degrees(angle.min()), np.degrees(angle.max())
    if high - low <= STILL:
        return f"{_whole(np.degrees(angle.mean()))}° (held)"
    return f"{_whole(low)}° to {_whole(high)}°"


def _whole(x: float) -> str:
    return f"{round(x)}".replace("-", "−")


def _course(trials: Sequence[Replay], coordinate: str) -> np.ndarray:
    every = [t.position[:, t.coordinates.index(coordinate)] for t in trials if coordinate in t.coordinates]
    angle = np.concatenate(every) if every else np.zeros(0)
    return angle[np.isfinite(angle)]


def _toward(trials: Sequence[Replay], coordinate: str) -> str:
    """Where a coordinate goes from 0 as it grows: one that was held somewhere else tells that, too."""
    return toward(coordinate, np.append(_course(trials, coordinate), 0.0))
