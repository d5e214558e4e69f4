"""What a file holds, before anyone has said which of it is time, or which columns are wanted.

A reader returns `Contents`: blocks of columns, one for every clock, section, sheet or variable of the file. `timing`
then gives every block its time, of the block itself, of one of its columns, or of a rate that the user knows, and makes
one `Table` of the blocks that share a clock.

A column's name may be a path: ``Trigno EMG/Sensor 3``, ``Anna:LKneeAngles/x``. A user may write any end of it that only
one column has, see `place_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, suggest


@dataclass(frozen=True)
class Block:
    """Columns of a file that share their rows."""

    columns: tuple[str, ...]
    values: Float[np.ndarray, "row column"]
    """NaN where the file has no number; no unit has been converted."""
    units: tuple[str, ...] = ()
    """One a column, as the file spells them, "" where it does not say; empty: it says none."""
    name: str = ""
    """Of the section, sheet or variable."""
    time: Float[np.ndarray, "row"] | None = None
    """[s], where the format has a clock. None: it may be one of the columns."""
    rate: float | None = None
    """[Hz], where the file says one without a time for every row."""
    start: float = 0.0
    """Time of the first row [s], with `rate`."""
    lines: Sequence[int] = ()
    """Where every row stands in the file, from 1, for messages; empty where there are no lines."""

    def __post_init__(self) -> None:
        assert self.values.shape[1:] == (len(self.columns),)
        assert len(self.units) in (0, len(self.columns))

    def unit(self, column: int) -> str:
        return self.units[column] if self.units else ""

    def row(self, index: int) -> str:
        """Of a row, for messages."""
        where = f"line {self.lines[index]}" if len(self.lines) else f"row {index + 1}"
        return f"{where} of '{self.name}'" if self.name and not len(self.lines) else where


@dataclass(frozen=True)
class Contents:
    """All that a file holds."""

    path: Path
    blocks: tuple[Block, ...]
    in_degrees: bool | None = None
    """What the file says about its angles; None: it does not say."""
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Oddities worth telling the user, one line each."""
    trimmed: float = 0.0
    """Time of the first sample [s] in a capture that was trimmed later, and whose clock this file keeps."""
    taken_for: str = ""
    """The format's name."""
    reason: str = ""
    """Why it was taken for that, in words that end a sentence."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, with that of their block where it has one."""
        return tuple(full_name(b, c) for b in self.blocks for c in b.columns)

    def only(self, columns: Iterable[str]) -> Contents:
        """The blocks that some columns are in.

        **Raises:** `InputError` if a column is not there, or may be several; all that are not, in one line.
        """
        names = self.columns
        owner = [b for b in self.blocks for _ in b.columns]
        wanted, faults = [], []
        for column in columns:
            try:
                wanted.append(owner[place_of(self.path, column, names)])
            except InputError as error:
                faults.append(str(error))
        if faults:
            raise InputError(in_all(self.path, faults))
        return replace(self, blocks=tuple(b for b in self.blocks if any(b is w for w in wanted)))


def in_all(path: object, faults: Sequence[str]) -> str:
    """Messages about one file as one, that names it once."""
    start = f"{path}: "
    return start + "; and ".join(dict.fromkeys(f.removeprefix(start) for f in faults))


def full_name(block: Block, column: str) -> str:
    """Name of a column within a file."""
    return f"{block.name}/{column}" if block.name and column != block.name else column


def ends_in(name: str, column: str) -> bool:
    """Whether a column is called so, or its path ends so."""
    return name == column or name.endswith((f"/{column}", f":{column}"))


def place_of(path: Path, column: str, names: Sequence[str]) -> int:
    """Position of the one column that is called so, or whose path ends so.

    **Raises:** `InputError` if there is none, or more than one.
    """
    hits = [i for i, name in enumerate(names) if name == column]
    hits = hits or [i for i, name in enumerate(names) if ends_in(name, column)]
    if len(hits) == 1:
        return hits[0]
    if hits and all(names[i] == column for i in hits):
        raise InputError(f"{path}: column '{column}' appears {len(hits)} times; rename all but one")
    inside = [name for name in names if any(f"{s}{column}/" in f"/{name}" for s in "/:")]
    several = [names[i] for i in hits] or inside
    if len(several) == 1:
        return list(names).index(several[0])
    if several:
        listed = ", ".join(f"'{name}'" for name in several[:6])
        raise InputError(f"{path}: '{column}' may be {listed}{', …' if len(several) > 6 else ''}; write which")
    raise InputError(f"{path}: no column '{column}'{suggest(column, names)}")
