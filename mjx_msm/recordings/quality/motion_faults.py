"""What is wrong with a recorded angle: jumps by a full turn, frames that stand still, samples apart from all others."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.ndimage import median_filter

from mjx_msm.common.runs import runs

TURN = 0.25
"""How far a jump between two samples may be from a full turn, of it."""
STANDS = 0.03
"""Least time for which a joint that moves before and after gives one value to the last digit [s]."""
MOVED = math.radians(1.0)
"""How far it would have moved meanwhile, at its speed before and after."""
APART, APART_OF_USUAL = math.radians(3.0), 8.0
"""How far an outlier is from the median of its neighbours, and how many times further than all but a hundredth are."""


def motion_faults(time: Float[np.ndarray, "time"], angle: Float[np.ndarray, "time"]) -> list[str]:
    """What deserves a look in one angle, each in words that end a sentence.

    **Arguments:** `time` [s], `angle` [rad], NaN where missing.
    """
    good = np.isfinite(angle)
    t, x = time[good], angle[good]
    if len(x) < 20 or np.ptp(x) == 0:
        return []
    return [fault for fault in (_jumps(t, x), _frozen(t, x), _outliers(t, x)) if fault]


def _jumps(t: np.ndarray, x: np.ndarray) -> str:
    step = np.abs(np.diff(x))
    at = np.flatnonzero(np.abs(step - math.tau) < TURN * math.tau)
    if not len(at):
        return ""
    return (
        f"jumps by a full turn {len(at)} time{'s' if len(at) > 1 else ''}, first at {t[at[0] + 1]:.4g} s; export it "
        "unwrapped, or choose start and stop"
    )


def _frozen(t: np.ndarray, x: np.ndarray) -> str:
    same = np.concatenate([[False], np.diff(x) == 0])
    starts, stops = runs(same)
    speed = np.abs(np.gradient(x, t))
    found = []
    for start, stop in zip(starts - 1, stops, strict=True):
        span = t[stop - 1] - t[start]
        if stop - start < 3 or span < STANDS or start < 3 or stop > len(x) - 3:
            continue
        before, after = np.median(speed[max(0, start - 5) : start]), np.median(speed[stop : stop + 5])
        if min(before, after) * span > MOVED:
            found.append((float(t[start]), span))
    if not found:
        return ""
    longest = max(span for _, span in found)
    return (
        f"stands still {len(found)} time{'s' if len(found) > 1 else ''} while the joint moves, first at "
        f"{found[0][0]:.4g} s, {1e3 * longest:.0f} ms at most (frames that were held, or a marker that was not seen?); "
        "leave these samples empty"
    )


def _outliers(t: np.ndarray, x: np.ndarray) -> str:
    x = np.unwrap(x)  # jumps are told by themselves
    off = np.abs(x - median_filter(x, 5, mode="nearest"))
    usual = float(np.quantile(off, 0.99))
    at = np.flatnonzero((off > APART) & (off > APART_OF_USUAL * usual))
    if not len(at):
        return ""
    events = 1 + int(np.count_nonzero(np.diff(at) > 2))
    worst = int(at[np.argmax(off[at])])
    return (
        f"has {events} outlier{'s' if events > 1 else ''}, the greatest {math.degrees(off[worst]):.3g}° from its "
        f"neighbours at {t[worst]:.4g} s (markers exchanged?); leave such samples empty, or set motion_cutoff"
    )
