"""Where in its cycle a signal is predicted wrongly every time: an error that is no noise, said in a line."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from mjx_msm.common.runs import runs
from mjx_msm.recordings.cycles import LEAST, by_cycle

CHANCE = 0.05
"""Of noise alone being told of. Stretches of the least length, of which there are as many as go into the cycle, share
it (Bonferroni): three cycles then take 20 standard errors of their mean by Student's t, twelve take four."""
OF_ERROR = 0.5
"""Of the root mean square error, below which a mean error is no news."""
SHORTEST = 0.05
"""Of the cycle."""
MOST = 2
"""Stretches that are told."""


def mean_errors(
    count: Float[np.ndarray, "time"], error: Float[np.ndarray, "time"]
) -> tuple[tuple[float, float, float], ...]:
    """Mean error in the stretches of the cycle, from and to as parts of it, where it is off every time: those that
    weigh most, in the cycle's order.

    **Arguments:** `count`: cycles that have passed (`mjx_msm.recordings.cycles.cycle_count`); `error`: predicted less
    recorded, NaN where nothing was.
    """
    cycles = by_cycle(count, error)
    cycles = cycles[np.isfinite(cycles).all(axis=1)]
    if len(cycles) < LEAST:
        return ()
    mean, clear = cycles.mean(axis=0), float(stdtrit(len(cycles) - 1, 1.0 - CHANCE * SHORTEST / 2.0))
    chance = clear * cycles.std(axis=0, ddof=1) / np.sqrt(len(cycles))
    least, points = OF_ERROR * float(np.sqrt(np.mean(np.square(cycles)))), len(mean) - 1
    found = []
    for sign in (1.0, -1.0):
        for start, stop in zip(*runs(sign * mean > np.maximum(least, chance)), strict=True):
            if stop - 1 - start >= SHORTEST * points:
                found.append((start / points, (stop - 1) / points, float(mean[start:stop].mean())))
    found.sort(key=lambda x: -(x[1] - x[0]) * x[2] ** 2)
    return tuple(sorted(found[:MOST]))


def in_words(found: tuple[tuple[float, float, float], ...], unit: str) -> str:
    """What is on average, as in "12 N·m too low from 50 to 70 % of the cycle"; "" where there are none."""
    said = [
        f"{abs(x):.2g} {unit} too {'high' if x > 0 else 'low'} from {100 * a:.0f} to {100 * b:.0f} %"
        for a, b, x in found
    ]
    return f"on average {' and '.join(said)} of the cycle" if said else ""
