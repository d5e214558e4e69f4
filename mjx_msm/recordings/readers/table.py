"""What a recording's file holds: columns of numbers over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, suggest


@dataclass(frozen=True)
class Table:
    """Columns of numbers over time, as a file holds them: no unit has been converted."""

    time: Float[np.ndarray, "time"]
    """Strictly increasing [s]."""
    columns: tuple[str, ...]
    values: Float[np.ndarray, "time column"]
    """NaN where the file has no number."""
    in_degrees: bool | None
    """What the file says about its angles; None: it does not say."""
    path: Path
    units: tuple[str, ...] = ()
    """One a column where the file states them, else empty."""
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Oddities worth telling the user, one line each."""

    @property
    def rate(self) -> float:
        """Sampling rate [Hz], from the median interval."""
        return float(1.0 / np.median(np.diff(self.time)))

    def index(self, column: str) -> int:
        """Position of a column.

        **Raises:** `InputError` if the file does not have it, or has it twice.
        """
        hits = [i for i, c in enumerate(self.columns) if c == column]
        if not hits:
            raise InputError(f"{self.path}: no column '{column}'{suggest(column, self.columns)}")
        if len(hits) > 1:
            raise InputError(f"{self.path}: column '{column}' appears {len(hits)} times; rename all but one")
        return hits[0]

    def __getitem__(self, column: str) -> Float[np.ndarray, "time"]:
        return self.values[:, self.index(column)]

    def select(self, columns: Mapping[str, str]) -> Table:
        """The columns ``columns.values()``, renamed to ``columns.keys()``."""
        where = [self.index(c) for c in columns.values()]
        units = tuple(self.units[i] for i in where) if self.units else ()
        return replace(self, columns=tuple(columns), values=self.values[:, where], units=units)

    def shifted(self, offset: float) -> Table:
        """`offset` [s] added to the time."""
        return replace(self, time=self.time + offset) if offset else self
