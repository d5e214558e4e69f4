"""Which of a file's columns is time, in which unit; or how many samples there are in a second, where none is.

The clock of a block is, in this order: the format's own, a column that the user named, one that is called time, and a
rate, said by the user or by the file. Frame numbers are a time with a rate. Stamps that repeat because they were
printed with too few digits are taken apart again, with a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.recordings.readers.contents import Block, Contents, full_name
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.readers.units import unit_of

UNITS = ("s", "ms", "us", "min", "frames")
"""What a user may say of a time column."""
_CALLED = re.compile(
    r"(?:time|t|times|timestamp|timestamps|time ?stamp|elapsed ?time|time ?series|zeit|temps|tiempo|tempo)"
    r"(?:[ _]*[\[(]?\s*([a-zµμ]+)\s*[\])]?)?",
    re.IGNORECASE,
)
_FRAMES = re.compile(r"(?:frame|field|sample)(?:s| ?#| ?number| ?no\.?)?", re.I)
REPEATS, SLACK = 0.05, 0.05
"""Least share of repeated stamps that is rounding and not a row that is there twice; and how much further than half a
digit a rounded stamp may lie from an even clock, in digits."""


@dataclass(frozen=True)
class Timing:
    """What a user says of a file's time."""

    column: str | None = None
    """Name of the time column; None: one that is called so, if there is one."""
    unit: str | None = None
    """Of it, one of `UNITS`; None: as it says, else seconds."""
    rate: float | None = None
    """Samples a second [Hz], where there is no time column, or it counts frames; of the longest of several blocks."""
    of_file: bool = False
    """Whether `rate` is said of the whole file: then its longest block may be one from which no column is wanted."""


def tables_of(
    contents: Contents,
    timing: Timing | None = None,
    *,
    columns: Iterable[str] | None = None,
    full_names: bool = False,
) -> tuple[Table, ...]:
    """The blocks of a file over time, those on the same clock as one table.

    **Arguments:** `columns`: only the blocks that these are in; what is wrong with others is of no matter.
    `full_names`: whether columns are called with the name of their block also where theirs is the only one.

    **Raises:** `InputError` if a column is not there, or a block has no time, or one that does not run forwards.
    """
    timing = timing or Timing()
    whole = contents
    contents = contents if columns is None else contents.only(columns)
    path = contents.path
    notes = list(contents.notes)
    if timing.column is not None and not any(_named(b, timing.column) for b in contents.blocks):
        names = [c for b in contents.blocks for c in b.columns]
        raise InputError(f"{path}: no time column '{timing.column}'{suggest(timing.column, names)}")
    longest = _longest(contents, whole if timing.of_file else contents)
    timed: list[tuple[np.ndarray, list[tuple[Block, int]]]] = []
    for block in contents.blocks:
        time, taken = _clock(contents, block, timing, longest, notes)
        kept = [(block, i) for i in range(len(block.columns)) if i not in taken]
        same = next((k for t, k in timed if len(t) == len(time) and np.array_equal(t, time)), None)
        if same is None:
            timed.append((time, kept))
        else:
            same += kept
    counts: dict[str, int] = {}
    for _, kept in timed:
        for block, i in kept:
            counts[block.columns[i]] = counts.get(block.columns[i], 0) + 1
    out = []
    for time, kept in timed:
        if not kept:
            continue
        names = [
            b.columns[i] if counts[b.columns[i]] == 1 and not full_names else full_name(b, b.columns[i])
            for b, i in kept
        ]
        values = kept[0][0].values if _whole(kept) else np.column_stack([b.values[:, i] for b, i in kept])
        units = tuple(b.unit(i) for b, i in kept)
        out.append(
            Table(
                time,
                tuple(names),
                values,
                contents.in_degrees,
                path,
                units if any(units) else (),
                contents.header,
                tuple(notes),
                contents.trimmed,
            )
        )
    if not out:
        raise InputError(f"{path}: holds a time and nothing else; export it again")
    return tuple(out)


def unit_in(name: str) -> str:
    """The unit that a name holds in brackets at its end, "" if none: ``RF [mV]``."""
    found = re.search(r"[\[(]\s*([^\[\]()]{1,20}?)\s*[\])]\s*$", name)
    return found[1] if found else ""


def is_time(name: str) -> bool:
    """Whether a column's name says that it holds the time."""
    called = _CALLED.fullmatch(name.strip())
    if called is None:
        return len(name.strip()) > 1 and _seconds(name.strip("[]() ")) is not None and name.casefold() != "min"
    return called[1] is None or _seconds(called[1]) is not None


def _seconds(unit: str) -> float | None:
    """How many seconds a unit of time has; None if it is none."""
    found = unit_of(unit)
    return found.factor if found is not None and found.kind == "time" else None


def check_time(contents_path: object, time: np.ndarray, lines: Sequence[int] = ()) -> None:
    """Whether a time column is complete and runs forwards; all its faults in one line.

    **Raises:** `InputError` if it does not.
    """
    where = [f"line {n}" for n in lines] if len(lines) else None

    def at(i: int) -> str:
        return where[i] if where else f"row {i + 1}"

    faults = []
    missing = np.flatnonzero(np.isnan(time)).tolist()
    if missing:
        faults.append(f"{_listed([at(i) for i in missing])} has no time; fill it in or remove the line")
    step = np.diff(time)
    same, back = np.flatnonzero(step == 0).tolist(), np.flatnonzero(step < 0).tolist()
    if same:
        first = same[0]
        pairs = f"({at(first)} and {at(first + 1)}".replace(" and line ", " and ").replace("(line ", "(lines ")
        more = f", and {len(same) - 1} more" if len(same) > 1 else ""
        faults.append(f"time {time[first]:g} s is duplicated {pairs}{more}); remove one of them")
    if back:
        i = back[0]
        more = f", and {len(back) - 1} more" if len(back) > 1 else ""
        faults.append(
            f"time runs backwards on {at(i + 1)} (from {time[i]:g} to {time[i + 1]:g} s{more}); "
            "sort the rows, or split the recording"
        )
    if faults:
        raise InputError(f"{contents_path}: {'; '.join(faults)}")


def _listed(places: list[str]) -> str:
    return places[0] if len(places) == 1 else f"{places[0]} (and {len(places) - 1} more)"


def _whole(kept: list[tuple[Block, int]]) -> bool:
    block = kept[0][0]
    return all(b is block for b, _ in kept) and len(kept) == len(block.columns)


def _named(block: Block, column: str) -> list[int]:
    names = [full_name(block, c) for c in block.columns]
    hits = [i for i, c in enumerate(block.columns) if c == column or names[i] == column]
    return hits or [i for i, n in enumerate(names) if n.endswith(f"/{column}")]


def _clock(
    contents: Contents, block: Block, timing: Timing, longest: int, notes: list[str]
) -> tuple[Float[np.ndarray, "row"], tuple[int, ...]]:
    """The time of a block's rows [s], and the columns it is in."""
    path = contents.path
    if len(block.values) < 2:
        what = f"'{block.name}' " if block.name else ""
        raise InputError(f"{path}: {what}has {len(block.values)} rows of data; a recording needs at least two")
    if block.time is not None and timing.column is None:
        return block.time, ()
    if timing.column is not None:
        hits = _named(block, timing.column)
    else:
        hits = [i for i, name in enumerate(block.columns) if is_time(name)]
    if len(hits) > 1:
        found = ", ".join(f"'{block.columns[i]}'" for i in hits)
        raise InputError(f"{path}: several time columns ({found}); keep one, or set time_column")
    rate = timing.rate or block.rate
    counted = [i for i, name in enumerate(block.columns) if _FRAMES.fullmatch(name.strip())]
    if hits and (timing.unit != "frames") and not (timing.rate and hits[0] in counted):
        column = hits[0]
        called = _CALLED.fullmatch(block.columns[column].strip())
        own = block.columns[column].strip("[]() ")
        said = timing.unit or block.unit(column) or unit_in(block.columns[column]) or (called and called[1])
        said = said or (own if _seconds(own) is not None else "s")
        factor = _seconds(said)
        if factor is None:
            if timing.column is None or said.lower() not in ("frames", "frame"):
                raise InputError(
                    f"{path}: time column '{block.columns[column]}' is in '{said}'; set time_unit, one of "
                    f"{', '.join(UNITS)}"
                )
        else:
            raw = block.values[:, column]
            time = raw * factor if factor != 1.0 else raw
            return _apart(contents, block, time, notes), (column,)
    frames = hits or counted[:1]
    if frames and timing.rate:
        number = block.values[:, frames[0]]
        check_time(f"{path} '{block.columns[frames[0]]}'", number, block.lines)
        first = 0.0 if number[0] == 0 else 1.0
        return (number - first) / timing.rate, (frames[0],)
    if rate is None:
        name = f" in '{block.name}'" if block.name else ""
        if frames:
            raise InputError(
                f"{path}: '{block.columns[frames[0]]}' counts frames, and nothing says how many there are in a second; "
                "set sampling_rate [Hz]"
            )
        raise InputError(
            f"{path}: no time column 'time'{name}{suggest('time', block.columns)} (name it 'time', or set time_column; "
            "where there is none, set sampling_rate [Hz])"
        )
    return block.start + np.arange(len(block.values)) / _own_rate(contents, block, rate, timing, longest, notes), ()


def _block_name(contents: Contents, block: Block) -> str:
    """A block, for messages: by its columns, where others have the same name."""
    shared = not block.name or sum(b.name == block.name for b in contents.blocks) > 1
    columns = ", ".join(full_name(block, c) for c in block.columns[: None if block.name else 1])
    return f"'{columns if shared else block.name}'"


def _longest(wanted: Contents, whole: Contents) -> int:
    """Rows of the longest block without a time: of those that are wanted, or one that has a whole multiple of its rows
    and so tells that these were sampled more slowly."""

    def rows(contents: Contents) -> list[int]:
        blocks = [b for b in contents.blocks if b.time is None and b.rate is None]
        return [len(b.values) for b in blocks if not any(map(is_time, b.columns))]

    own = max(rows(wanted), default=0)
    ratios = {n: round(n / own) for n in rows(whole) if n > own > 0}
    return max([own, *(n for n, ratio in ratios.items() if ratio > 1 and abs(n - ratio * own) <= ratio)])


def _own_rate(contents: Contents, block: Block, rate: float, timing: Timing, longest: int, notes: list[str]) -> float:
    """Of a block: the user's is that of the longest; one with a whole fraction of its samples spans the same time."""
    count = len(block.values)
    if block.rate is not None and (timing.rate is None or len(contents.blocks) > 1):
        return block.rate
    if block.rate is not None and abs(rate - block.rate) > 1e-3 * rate:
        notes.append(f"{contents.path}: says {block.rate:g} samples a second; sampling_rate = {rate:g} overrides it")
    if count >= longest:
        return rate
    ratio = round(longest / count)
    if ratio >= 1 and abs(longest - ratio * count) <= max(ratio, 0.02 * longest):
        if ratio > 1:
            notes.append(
                f"{contents.path}: {_block_name(contents, block)} has {count} samples, 1/{ratio} of others' "
                f"{longest}; taken as {rate / ratio:g} Hz over the same time"
            )
        return rate / ratio
    raise InputError(
        f"{contents.path}: '{block.name or block.columns[0]}' has {count} samples, others {longest}, at {rate:g} Hz; "
        "is its rate another one? Give it a time column, or leave it out of the file"
    )


def _apart(contents: Contents, block: Block, time: np.ndarray, notes: list[str]) -> np.ndarray:
    """A time column, checked; stamps that repeat because they were rounded are spread evenly."""
    step = np.diff(time)
    repeats = int(np.sum(step == 0))
    if repeats < max(3, REPEATS * len(step)) or np.any(np.isnan(time)) or np.any(step < 0):
        check_time(contents.path, time, block.lines)
        return time
    even = np.polynomial.Polynomial.fit(np.arange(len(time)), time, 1)(np.arange(len(time)))
    digit = float(np.min(step[step > 0], initial=np.inf))
    if not np.isfinite(digit) or float(np.max(np.abs(time - even))) > (0.5 + SLACK) * digit * (1 + 1e-6):
        check_time(contents.path, time, block.lines)
    even = even - even[0] + time[0]
    rate = (len(time) - 1) / (even[-1] - even[0])
    notes.append(
        f"{contents.path}: {repeats} time stamps repeat, as they are rounded to {digit:g} s; taken as "
        f"{rate:.6g} samples a second"
    )
    return even
