"""Arrays in pieces of one shape, so that a compiled function serves recordings of any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Array, Float, Int


def blank(*shape: int) -> Array:
    return jax.device_put(np.zeros(shape))


def padded(arrays: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Stack along a new axis, the last sample repeated up to `length`."""
    return np.stack([np.concatenate([a, np.repeat(a[-1:], length - len(a), axis=0)]) for a in arrays])


def parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def filled(array: np.ndarray, size: int) -> np.ndarray:
    """The last entry repeated up to `size`."""
    short = size - len(array)
    return np.concatenate([array, np.repeat(array[-1:], short, axis=0)]) if short else array


OWN = 4
"""Least length of a window's own part over that of its lead."""


def windows(
    envelope: Float[np.ndarray, "recording time channel"],
    recording: Int[np.ndarray, "instant"],
    sample: Int[np.ndarray, "instant"],
    lead: int,
    own: int | None = None,
) -> tuple[Float[np.ndarray, "window time channel"], Int[np.ndarray, "instant"], Int[np.ndarray, "instant"]]:
    """Recordings cut where activations have forgotten what was before, so that parts of them are computed abreast.

    Every window has a part of its own, of `own` samples if given, and before it `lead` samples to forget in. Recordings
    too short for two windows stay whole, but for what comes after the last instant.

    **Returns:** the windows; of every instant its window, and its sample there.
    """
    last = int(sample.max(initial=1))
    count = (last - lead) // (OWN * lead if own is None else own)
    if count < 2:
        return envelope[:, : last + 1], recording, sample
    own = -(-(last - lead) // count) if own is None else own
    part = np.maximum(sample - lead - 1, 0) // own
    of = np.stack([recording, part], 1)
    kept, which = np.unique(of, axis=0, return_inverse=True)
    cut = [envelope[r, own * k : own * k + lead + own + 1] for r, k in kept]
    return padded(cut, lead + own + 1), which.reshape(-1), sample - own * part
