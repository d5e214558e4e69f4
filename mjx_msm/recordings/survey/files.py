"""A file looked at: what it was taken for, its clocks, and what each of its columns seems to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import Contents, full_name
from mjx_msm.recordings.readers.reading import read_contents
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.readers.timing import Timing, is_time, tables_of
from mjx_msm.recordings.survey.columns import Seen, pauses, seen
from mjx_msm.recordings.survey.spellings import called

UNJUDGED = "EMG"
"""What EMG seems to be while its rate is not known."""


@dataclass(frozen=True)
class Clock:
    """Columns that share a clock."""

    table: Table
    columns: tuple[Seen, ...]

    @property
    def span(self) -> tuple[float, float]:
        return float(self.table.time[0]), float(self.table.time[-1])

    @property
    def pauses(self) -> int:
        return pauses(self.table.time)


@dataclass(frozen=True)
class Survey:
    """One file."""

    path: Path
    taken_for: str
    reason: str
    """Why, in words that end a sentence."""
    clocks: tuple[Clock, ...]
    notes: tuple[str, ...]
    untimed: str = ""
    """What keeps its columns from a clock, if anything does: then rows are counted, at 1 Hz."""
    clockless: frozenset[str] = frozenset()
    """Columns of which the file says neither times nor a rate."""

    @property
    def columns(self) -> tuple[Seen, ...]:
        return tuple(c for clock in self.clocks for c in clock.columns)

    def of(self, *kinds: str) -> tuple[Seen, ...]:
        """The columns that seem to be of these kinds."""
        return tuple(c for c in self.columns if c.kind in kinds)


def survey(
    path: str | Path,
    timing: Timing | None = None,
    coordinates: Sequence[str] = (),
    muscles: Sequence[str] = (),
    *,
    rate: float | None = None,
) -> Survey:
    """Look at a file.

    **Arguments:** `timing`: which column is time, or the rate, whatever the file says.
    `coordinates`, `muscles`: names in the model that it is for, known in addition to the usual ones. `rate`: of what
    has no time and no rate in the file [Hz].

    **Raises:** `InputError` if it cannot be read.
    """
    contents = read_contents(path)
    untimed = ""
    clockless = _clockless(contents) if timing is None or timing.column is None else frozenset()
    if clockless and rate is not None:
        timing = replace(timing or Timing(), rate=rate)
    try:
        tables = tables_of(contents, timing, full_names=_told_by_blocks(contents))
    except InputError as error:
        if timing is not None and timing != Timing():
            raise
        untimed = str(error)
        tables = _rows(contents)
    clocks = [Clock(t, tuple(seen(t, i, coordinates, muscles) for i in range(len(t.columns)))) for t in tables]
    clocks = _unjudged(clocks) if untimed else _of_one_voltage(clocks)
    notes = tuple(dict.fromkeys(n for t in tables for n in t.notes)) or contents.notes
    return Survey(Path(path), contents.taken_for, contents.reason, clocks, notes, untimed, clockless)


def _clockless(contents: Contents) -> frozenset[str]:
    """Columns without times or a rate, by their own names and with those of their blocks."""
    blocks = [b for b in contents.blocks if b.time is None and b.rate is None and not any(map(is_time, b.columns))]
    return frozenset(name for b in blocks for c in b.columns for name in (c, full_name(b, c)))


def _told_by_blocks(contents: Contents) -> bool:
    """Whether names of sections, sheets or variables say what is measured in them: columns are called by both then."""
    return any(called(b.name).quantity for b in contents.blocks)


def _unjudged(clocks: Sequence[Clock]) -> tuple[Clock, ...]:
    """Columns as they are seen without a clock: what kind of EMG it is, and whether it is good, its rate would say."""
    doubts = ("raw or an envelope: its rate would tell",)

    def less(c: Seen) -> Seen:
        emg = c.kind in ("raw EMG", "EMG envelope")
        return replace(c, kind=UNJUDGED, why="its name says so", doubts=doubts, faults=()) if emg else c

    return tuple(replace(clock, columns=tuple(map(less, clock.columns))) for clock in clocks)


def _of_one_voltage(clocks: Sequence[Clock]) -> tuple[Clock, ...]:
    """Channels of EMG whose unit was guessed have one unit: the one that most of them, or of those told, have."""
    raw = [c for clock in clocks for c in clock.columns if c.kind == "raw EMG"]
    units = [c.unit for c in raw if c.told] or [c.unit for c in raw]
    if not units:
        return tuple(clocks)
    most = max(dict.fromkeys(units), key=units.count)
    doubts = (f"no unit is given; {most} like most channels of the file",)

    def voted(c: Seen) -> Seen:
        guessed = c.kind == "raw EMG" and not c.told and c.unit != most
        kept = tuple(d for d in c.doubts if not d.startswith("no unit is given"))
        return replace(c, unit=most, doubts=(*kept, *doubts)) if guessed else c

    return tuple(replace(clock, columns=tuple(map(voted, clock.columns))) for clock in clocks)


def _rows(contents: Contents) -> tuple[Table, ...]:
    """Blocks without a clock, their rows counted."""
    counted = [replace(b, time=np.arange(len(b.values), dtype=float)) for b in contents.blocks if len(b.values) > 1]
    if not counted:
        raise InputError(f"{contents.path}: holds no rows of numbers; export it again")
    return tables_of(replace(contents, blocks=tuple(counted)), full_names=_told_by_blocks(contents))
