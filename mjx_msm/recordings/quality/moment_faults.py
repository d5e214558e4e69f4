"""Samples of a recorded moment, or force, that no joint made: spikes, masked and told; and an angle in its place."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import median_filter

from mjx_msm.common.runs import runs

NEAR = 0.06
"""To either side of a sample, what it is compared with [s]."""
SHORT = 0.04
"""For so long in all a spike is above a quarter of its height [s]; a choice of ours, under the
50 ms and more that the moments of an impact take to rise and fall."""
SLOWEST = 50.0
"""Fewer samples a second show an impact as one sample, like a spike [Hz]."""
LEAST = 2.0
"""So high a spike is at least [N·m]; at rest, what a dynamometer rounds to (often 1 ft·lb) stands out."""
OF_RANGE, OF_USUAL = 0.7, 6.0
"""Of the range of the rest of the signal, and of what nineteen of twenty samples are from their neighbours, by which a
spike stands out. What filters leave of a heel's strike in inverse dynamics stays below: in six recorded sets at most
0.51 and 3.5."""

AGAIN = 0.02
"""Of a moment's spread, and of the factor between degrees and radians: how near to an angle's numbers it is the angle.
Filters and print-outs leave less; a spring's moment is as straight, but seldom 1 or 57.3 N·m/rad stiff."""
LEAST_ANGLE = np.deg2rad(2.0)
"""Least spread of an angle that can be told again."""


def angle_again(moment: Float[np.ndarray, "time"], angle: Float[np.ndarray, "time"]) -> float | None:
    """How many times an angle [rad] a moment is, where it is that angle's numbers, in degrees or radians; else None."""
    known = np.isfinite(moment) & np.isfinite(angle)
    if known.sum() < 20 or np.ptp(angle[known]) < LEAST_ANGLE:
        return None
    slope, zero = np.polyfit(angle[known], moment[known], 1)
    left = np.std(moment[known] - slope * angle[known] - zero)
    like = min(abs(abs(slope) / factor - 1) for factor in (1.0, np.rad2deg(1.0)))
    return float(slope) if left <= AGAIN * np.std(moment[known]) and like <= AGAIN else None


def moment_spikes(moment: Float[np.ndarray, "time"], rate: float) -> Bool[np.ndarray, "time"]:
    """Samples in isolated events that are too short for a joint's moment and tower over all the rest.

    **Arguments:** `moment`: [N·m], NaN where missing; `rate` [Hz].
    """
    good = np.isfinite(moment)
    none = np.zeros(len(moment), dtype=bool)
    if rate < SLOWEST or good.sum() < 10 * NEAR * rate:
        return none
    x = np.interp(np.arange(len(moment)), np.flatnonzero(good), moment[good])
    rest = median_filter(x, 2 * round(NEAR * rate) + 1, mode="nearest")
    off = np.abs(x - rest)
    low, high = np.quantile(rest, [0.005, 0.995])
    least = max(LEAST, OF_RANGE * float(high - low), OF_USUAL * float(np.quantile(off, 0.95)))
    out = none.copy()
    for start, stop in zip(*runs(off > 0.25 * least), strict=True):
        top = float(off[start:stop].max())
        tall = start + np.flatnonzero(off[start:stop] > 0.25 * top)
        if top > least and len(tall) <= max(1, round(SHORT * rate)):
            out[tall[0] : tall[-1] + 1] = True
    return out & good


def spike_lines(
    time: Float[np.ndarray, "time"], moment: Float[np.ndarray, "time"], spikes: Bool[np.ndarray, "time"]
) -> str:
    """How many spikes, the greatest and when, in words that end a sentence; "" for none."""
    starts, stops = runs(spikes)
    if not len(starts):
        return ""
    usual = np.quantile(moment[np.isfinite(moment) & ~spikes], [0.005, 0.995])
    rest = np.clip(moment, *usual)
    peaks = [
        start + int(np.nanargmax(np.abs(moment - rest)[start:stop])) for start, stop in zip(starts, stops, strict=True)
    ]
    worst = max(peaks, key=lambda i: abs(moment[i] - rest[i]))
    count = len(starts)
    return (
        f"has {count} spike{'s' if count > 1 else ''} that no joint makes, the greatest {moment[worst]:.3g} N·m at "
        f'{time[worst]:.4g} s (all else lies between {usual[0]:.3g} and {usual[1]:.3g}); masked, unless spikes = "kept"'
    )
