"""Arrays in pieces of one shape, so that a compiled function serves recordings of any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Array


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
