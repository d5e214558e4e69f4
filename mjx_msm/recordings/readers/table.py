"""What a recording's file holds on one clock: columns of numbers over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.recordings.readers.contents import place_of


@dataclass(frozen=True)
class Table:
    """Columns of numbers over one clock, as a file holds them: no unit has been converted.

    Columns of a file on other clocks are other tables, see `reading.read_tables`.
    """

    time: Float[np.ndarray, "time"]
    """Strictly increasing [s]."""
    columns: tuple[str, ...]
    values: Float[np.ndarray, "time column"]
    """NaN where the file has no number."""
    in_degrees: bool | None
    """What the file says about its angles; None: it does not say."""
    path: Path
    units: tuple[str, ...] = ()
    """One a column, as the file spells them and "" where it does not say; empty: it says none."""
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Oddities worth telling the user, one line each."""
    trimmed: float = 0.0
    """Time of the first sample [s] in a capture that was trimmed later, and whose clock this file keeps; 0 if not."""

    @property
    def rate(self) -> float:
        """Sampling rate [Hz], from the usual interval: the median, or the mean of those like it where rounded stamps
        make them differ."""
        step = np.diff(self.time)
        usual = float(np.median(step))
        mean = float(np.mean(step[np.abs(step - usual) <= 0.5 * usual]))
        return 1.0 / (usual if abs(mean - usual) < 1e-6 * usual else mean)

    def index(self, column: str) -> int:
        """Position of a column: of this name, or the only one whose path ends so.

        **Raises:** `InputError` if the file does not have it, or has it twice.
        """
        return place_of(self.path, column, self.columns)

    def unit(self, column: str) -> str:
        """What the file says of a column's unit, "" if nothing."""
        return self.units[self.index(column)] if self.units else ""

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
