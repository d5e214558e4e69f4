"""Samples of an EMG channel that no muscle made: spikes, lost packets, a signal cut off at the amplifier's range.

Each rule compares a sample with the signal around it *and* with the channel as a whole, so that neither a burst after
rest nor a lone motor unit is taken for a fault.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation, median_filter, uniform_filter1d

from mjx_msm.common.runs import runs

NEAR, GUARD = 0.1, 0.012
"""Around a sample [s]: what it is compared with, and what next to it may belong to the same event."""
LOCAL, GLOBAL, GLOBAL_IF_NARROW = 7.0, 3.5, 2.4
"""A spike is so many times the signal about it (root mean square), and all but a thousandth of the channel: the
potentials of large motor units stand out by two or three times the latter, but last longer than `NARROWEST`."""
NARROWEST = 0.001
"""To either side of a narrow spike [s], its half height; a motor unit's potential is wider through fat and skin."""
CHANCE = 1e-4
"""That a recording without a fault has one run of equal samples as long as a dropout."""
FEWEST_COUNTS = 50
"""Of a converter, from rest to the end of its range: what uses fewer is a quiet channel, and piles up by rounding."""
SHORT = 0.004
"""For so long in all a spike is above a quarter of its height [s]. What muscles make at once, a reflex or an M-wave, is
10 to 20 ms long, and above it for more than half of that."""
NARROW = 0.01
"""To either side of a spike in an envelope, less than a quarter is left of it [s]. The shortest that a muscle makes
leaves 0.56 behind a low-pass of 20 Hz, and more behind a slower one."""


def spikes(x: Float[np.ndarray, "time"], rate: float) -> Bool[np.ndarray, "time"]:
    """Samples of raw EMG in isolated events, a few milliseconds long, that tower over all the rest.

    **Arguments:** `x`: raw, NaN where missing; `rate` [Hz].
    """
    good = np.isfinite(x)
    none = np.zeros(len(x), dtype=bool)
    if good.sum() < 5 * NEAR * rate:
        return none
    y = np.where(good, x, 0.0) - np.median(x[good])
    y = np.where(good, y, 0.0)
    # slow artefacts are for the high-pass; a median has neither their edges nor rings after a spike
    y = y - median_filter(y, 2 * round(0.0125 * rate) + 1, mode="nearest")
    size = np.abs(y)
    usual = float(np.quantile(size[good], 0.999))
    # what towers over the rest is left out of what the next is compared with, largest first
    inner, outer = max(1, round(GUARD * rate)), round(NEAR * rate)
    found = none.copy()
    side = round(NARROWEST * rate)
    beside = np.maximum(np.roll(size, side), np.roll(size, -side)) if side >= 2 else size
    tower = np.where(beside < 0.5 * size, GLOBAL_IF_NARROW, GLOBAL)
    for _ in range(4):
        power = np.where(found, 0.0, np.minimum(size, 1e150) ** 2)
        count = (~found).astype(float)
        around, near = 2 * outer + 1, 2 * inner + 1
        total = uniform_filter1d(power, around, mode="nearest") * around - uniform_filter1d(power, near) * near
        room = uniform_filter1d(count, around, mode="nearest") * around - uniform_filter1d(count, near) * near
        local = np.sqrt(np.maximum(total, 0.0) / np.maximum(room, 1.0))
        rest = size[good & ~found]
        usual = float(np.quantile(rest, 0.999)) if len(rest) else usual
        peak = good & (size > LOCAL * local) & (size > tower * usual) & (size > 0)
        peak = _short(peak, size, inner, max(3, round(SHORT * rate)))
        new = binary_dilation(peak, iterations=inner) & ~found
        if not new.any():
            break
        found |= new
    return found & good


def _short(peak: np.ndarray, size: np.ndarray, near: int, most: int) -> np.ndarray:
    """Of the peaks those whose event, `near` samples to either side, is above a quarter of its height for few."""
    out = np.zeros_like(peak)
    for start, stop in zip(*runs(binary_dilation(peak, iterations=near)), strict=True):
        top = start + int(np.argmax(size[start:stop]))
        around = size[max(0, top - near) : top + near + 1]
        if np.count_nonzero(around > 0.25 * size[top]) <= most:
            out[start:stop] = peak[start:stop]
    return out


def envelope_spikes(x: Float[np.ndarray, "time"], rate: float) -> Bool[np.ndarray, "time"]:
    """Samples of an envelope in events that are too narrow for a contraction, and tower over all the rest."""
    good = np.isfinite(x)
    none = np.zeros(len(x), dtype=bool)
    half = round(NARROW * rate)
    if half < 1 or good.sum() < max(30, 40 * half):  # at a lower rate one sample may be a reflex
        return none
    filled = np.interp(np.arange(len(x)), np.flatnonzero(good), x[good])
    smooth = median_filter(filled, 4 * half + 1, mode="nearest")
    off = np.abs(filled - smooth)
    scale = float(np.quantile(np.abs(smooth), 0.99))
    usual = float(np.quantile(off, 0.99))
    middle = float(np.median(filled))
    level = filled - middle
    towers = level > max(float(smooth.max()) - middle, 0.0)
    padded = np.pad(level, half, mode="edge")
    beside = np.maximum(padded[: -2 * half], padded[2 * half :])
    peak = (off > 5 * usual) & (off > 0.5 * scale) & towers & (beside < 0.25 * level)
    return binary_dilation(peak, iterations=half) & good & (off > 2 * usual) if peak.any() else none


def dropouts(x: Float[np.ndarray, "time"], rate: float) -> Bool[np.ndarray, "time"]:
    """Samples in runs of one value where the signal about them moves: lost packets, filled with zeros or held.

    How long a run may be by chance follows from how many of the samples around it equal their neighbour: a quiet
    channel of a coarse converter has many.
    """
    out = np.zeros(len(x), dtype=bool)
    good = x[np.isfinite(x)]
    if len(good) < 20 or np.ptp(good) == 0:
        return out
    same = np.concatenate([[False], np.diff(x) == 0])
    starts, stops = runs(same)
    starts = starts - 1  # the first of a run equals the one after it
    least = max(4, round(0.003 * rate))
    longest = stops - starts
    around = max(round(NEAR * rate), 20)
    # whole trials in which most samples are equal (a dead channel, long zero padding) are one run each; they count too
    for start, stop, length in zip(starts, stops, longest, strict=True):
        if length < least:
            continue
        near = np.r_[max(0, start - around) : start, stop : min(len(x), stop + around)]
        near = near[np.isfinite(x[near])]
        if len(near) < 10:
            continue
        equal = (1 + np.count_nonzero(same[near])) / (2 + len(near))
        if (length - 1) * math.log(equal) + math.log(len(x)) < math.log(CHANCE):
            out[start:stop] = True
    return out


def clipped(x: Float[np.ndarray, "time"]) -> float:
    """Share of the samples that sit on a limit of the converter: at an end of the range where the tail piles up."""
    x = x[np.isfinite(x)]
    if len(x) < 100 or np.ptp(x) == 0:
        return 0.0
    step = np.diff(np.unique(x))
    if np.max(np.abs(x - np.median(x))) < FEWEST_COUNTS * step[step > 1e-12 * np.max(np.abs(x))].min():
        return 0.0
    return max(_piled(x - np.median(x)), _piled(np.median(x) - x))


def _piled(x: np.ndarray) -> float:
    """Share on the upper limit: runs of at least three at the very top, or a tail that ends in a heap.

    The tail of EMG thins out; of samples within 2 % of the largest there are then fewer than in a band as wide below.
    """
    top = float(x.max())
    if top <= 0:
        return 0.0
    starts, stops = runs(x >= top * (1 - 1e-12))
    long = (stops - starts) >= 3
    plateau = float((stops - starts)[long].sum()) if long.sum() >= 1 else 0.0
    at_top = int(np.count_nonzero(x > 0.98 * top))
    below = int(np.count_nonzero((x > 0.90 * top) & (x <= 0.98 * top))) / 4
    heap = at_top - below if at_top >= 12 and at_top > 3 * below + 3 * math.sqrt(below) else 0.0
    return max(plateau, heap) / len(x)


def filled(x: Float[np.ndarray, "time"], masked: Bool[np.ndarray, "time"]) -> Float[np.ndarray, "time"]:
    """Raw EMG with masked stretches filled by their neighbours, mirrored: as strong as the signal on either side.

    A line from one end to the other would be silence, which the envelope shows as a dip.
    """
    out = x.copy()
    for start, stop in zip(*runs(masked), strict=True):
        half = (start + stop + 1) // 2
        for i in range(start, stop):
            near, far = (2 * start - 1 - i, 2 * stop - 1 - i) if i < half else (2 * stop - 1 - i, 2 * start - 1 - i)
            ends = [k for k in (near, far) if 0 <= k < len(x) and not masked[k]]
            out[i] = x[ends[0]] if ends else np.nan
    return out
