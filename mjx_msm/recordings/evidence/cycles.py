"""A moment that is unlike that of every other cycle in the same motion: a force plate that another foot stood on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from mjx_msm.common.runs import runs
from mjx_msm.recordings.evidence.states import States

CYCLES, ALIKE = 8, 25
"""Fewest cycles that say what is usual, and how many samples of others in the most similar motion are compared."""
OF_RANGE, OF_SPREAD = 0.4, 8.0
"""By how much a moment differs from their median that contradicts it: of the range of all (1 to 99 %), and of the
standard deviation that their median absolute deviation stands for."""
NEAR, LEAST, AROUND = 0.75, 0.03, 0.05
"""Greatest distance of motions that are alike [standard deviations, root mean square over coordinates and
velocities]; shortest stretch; and what is left out about one [s]."""
LISTED = 6
"""Stretches, the greatest ones, that one line leaves out."""


def unlike_other_cycles(here: str, at: States, moment: Float[np.ndarray, "time"], period: float) -> Iterator[str]:
    """Stretches of a moment that its motion, which was there in other cycles, had never.

    **Arguments:** `here`: whose moment, for the message. `moment`: on the clock of `at`, NaN where it was not
    recorded. `period` [s].
    """
    known = np.flatnonzero(np.isfinite(moment))
    moves = np.ptp(at.position, axis=0) > 0
    if len(known) * at.step < CYCLES * period or not moves.any():
        return
    state = np.concatenate([at.position[:, moves], at.velocity[:, moves]], axis=1)[known]
    state = (state - state.mean(axis=0)) / (state.std(axis=0) * np.sqrt(state.shape[1]))
    x, time = moment[known], at.time[known]
    away, index = KDTree(state).query(state, k=min(len(x), ALIKE + round(period / at.step)))
    other = np.abs(time[index] - time[:, None]) > 0.4 * period
    near = other & (np.cumsum(other, axis=1) <= ALIKE) & (away < NEAR)
    enough = near.sum(axis=1) >= ALIKE // 2
    others = np.where(near, x[index], np.nan)
    others[~enough] = 0.0
    middle = np.nanmedian(others, axis=1)
    spread = 1.4826 * np.nanmedian(np.abs(others - middle[:, None]), axis=1)
    low, high = np.quantile(x, [0.01, 0.99])
    off = np.where(enough, np.abs(x - middle), 0.0)
    odd = off > np.maximum(OF_RANGE * (high - low), OF_SPREAD * spread)
    found = [(a, b) for a, b in zip(*runs(odd), strict=True) if (b - a) * at.step >= LEAST]
    if not found:
        return
    worst = max(found, key=lambda f: off[f[0] : f[1]].max())
    i = worst[0] + int(np.argmax(off[worst[0] : worst[1]]))
    parts = _around([(float(time[a]), float(time[b - 1]), float(off[a:b].max())) for a, b in found])
    listed = sorted(sorted(parts, key=lambda part: -part[2])[:LISTED])
    mask, count = [[first, last] for first, last, _ in listed], len(parts)
    those = "that" if count == 1 else "those" if count <= LISTED else f"the {LISTED} greatest"
    yield (
        f"{here} is unlike that of other cycles in the same motion {count} time{'s' if count > 1 else ''}, "
        f"most at {time[i]:.4g} s: {x[i]:.3g} N·m, where it usually is {middle[i]:.3g} (another foot on the plate, or "
        f"a stumble?); to leave {those} out, write mask = {{ moments = {json.dumps(mask)} }} in the trial"
    )


def _around(found: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Stretches and by how much they are off, with what is about them; those that touch are one."""
    out: list[tuple[float, float, float]] = []
    for first, last, off in sorted(found):
        if out and first - AROUND <= out[-1][1]:
            out[-1] = out[-1][0], round(last + AROUND, 2), max(off, out[-1][2])
        else:
            out.append((round(first - AROUND, 2), round(last + AROUND, 2), off))
    return out
