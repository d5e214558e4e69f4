"""Stretches of a signal over which something holds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int


def runs(true: Bool[np.ndarray, "sample"]) -> tuple[Int[np.ndarray, "run"], Int[np.ndarray, "run"]]:
    """First and one past the last sample of every run of True."""
    edge = np.diff(np.concatenate([[0], true.astype(np.int8), [0]]))
    return np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
