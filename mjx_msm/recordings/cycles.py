"""Cycles of a movement that repeats itself, e.g. strides: where in its cycle every sample is."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.signal import find_peaks

LEAST = 3
"""Cycles that make a movement one that repeats itself."""
IRREGULAR = 0.25
"""Of the median duration, how far a cycle's may be from it."""


def cycle_phase(time: Float[np.ndarray, "time"], angle: Float[np.ndarray, "time"]) -> Float[np.ndarray, "time"] | None:
    """Phase of every sample in its cycle, 0 to 1; None if nothing repeats itself. As `cycle_count`."""
    count = cycle_count(time, angle)
    return None if count is None else count % 1.0


def cycle_count(time: Float[np.ndarray, "time"], angle: Float[np.ndarray, "time"]) -> Float[np.ndarray, "time"] | None:
    """Cycles that have passed since the first greatest angle, whole at every other one; None if nothing repeats itself.

    Linear in time between peaks, and at the median duration before the first and after the last. A peak stands out by
    more than half of the angle's range, so that the knee's smaller one in stance is not taken for another stride.

    **Arguments:** `time` [s], `angle` [rad] (or [m]), without gaps.
    """
    peaks, _ = find_peaks(angle, prominence=0.5 * np.ptp(angle) or np.inf)
    if len(peaks) < LEAST + 1:
        return None
    at = time[peaks]
    duration = np.diff(at)
    usual = float(np.median(duration))
    if np.any(np.abs(duration - usual) > IRREGULAR * usual):
        return None
    count = np.interp(time, at, np.arange(len(at)))
    return count + np.minimum(time - at[0], 0.0) / usual + np.maximum(time - at[-1], 0.0) / usual


def by_cycle(
    count: Float[np.ndarray, "time"], values: Float[np.ndarray, "time"], points: int = 101
) -> Float[np.ndarray, "cycle point"]:
    """A signal in every whole cycle, from its beginning to its end; NaN in its gaps.

    **Arguments:** `count`: of `cycle_count`; `values`: at the same samples.
    """
    begin = np.arange(np.ceil(count[0]), np.floor(count[-1]))
    at, known = begin[:, None] + np.linspace(0.0, 1.0, points), np.isfinite(values)
    if not known.any():
        return np.full(at.shape, np.nan)
    inside = np.interp(at, count, known.astype(float)) > 1.0 - 1e-9
    return np.where(inside, np.interp(at, count[known], values[known]), np.nan)
