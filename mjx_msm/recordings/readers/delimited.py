"""Plain tables of text: ``.csv``, ``.tsv`` and ``.txt``, with names of the columns or without, below what else is said.

Where a preamble ends and data begin is found from the rows themselves, `layout_of`; formats that only other programs
of their maker could read have files of their own.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.storage import contents_of_storage
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.readers.text import (
    bare,
    cells_of,
    is_data,
    is_number,
    lines_of,
    numbers_of,
    rows_of,
    separator_of,
    split,
    without_words,
)
from mjx_msm.recordings.readers.timing import Timing, is_time, tables_of, unit_in
from mjx_msm.recordings.readers.units import unit_of

LONGEST_PREAMBLE = 400
"""Lines before the data."""
SAME = 3
"""Rows of numbers and of one width in a row that are data, not a preamble's."""
_RATE = re.compile(r"(?:sampl\w*[ _]?(?:rate|freq\w*)|(?:frame|capture|point|data)[ _]?rate|rate|frequency|fs)\b", re.I)


@dataclass(frozen=True)
class Layout:
    """Where a text file's columns have their names and numbers."""

    separator: str | None
    names: list[str]
    first: int
    """Line at which data begin, from 0."""
    units: list[str] = field(default_factory=list)
    header: Mapping[str, str] = field(default_factory=dict)
    """What the preamble says."""


def read_csv(path: str | Path, *, time_column: str | None = None) -> Table:
    """Read a table of text whose columns share a clock, see `contents_of_text`."""
    contents = contents_of_text(Path(path))
    table, *others = tables_of(contents, Timing(time_column))
    if others:
        raise InputError(f"{path}: holds columns on {1 + len(others)} clocks; give one file for each")
    return table


def contents_of_text(path: Path) -> Contents:
    """Read a table of text.

    The separator is a comma, semicolon (then with decimal commas too), tab or blank, or the one of a first line
    ``sep=;``. Lines that start with ``#`` are comments, the last of which may name the columns; a preamble before the
    names is kept as the header, a line of units below them as units. An empty cell, ``NaN`` or ``NA`` is a missing
    sample. Where every few columns have a time of their own, each such group is a block.
    """
    lines = lines_of(path)
    if any(bare(s).casefold() == "endheader" for s in lines[:200]):
        return contents_of_storage(path)
    layout = layout_of(path, lines)
    notes: list[str] = []
    rows, numbers = rows_of(path, lines, layout.first, layout.separator, len(layout.names))
    names, rows = without_words(layout.names, rows, notes, path)
    values = numbers_of(path, names, rows, numbers)
    said = dict(zip(layout.names, layout.units, strict=False)) if layout.units else {}
    units = [said.get(n, "") or unit_in(n) for n in names]
    keep = [i for i in range(len(names)) if names[i] or not np.all(np.isnan(values[:, i]))]
    names, units, values = [names[i] for i in keep], [units[i] for i in keep], values[:, keep]
    rate = _rate(layout.header)
    blocks = tuple(
        Block(tuple(names[i] for i in part), v, tuple(units[i] for i in part), rate=rate, lines=numbers[: len(v)])
        for part, v in _by_clock(names, values)
    )
    return Contents(path, blocks, header=layout.header, notes=tuple(notes))


def layout_of(path: Path, lines: list[str]) -> Layout:
    """Where the columns of a text file have their names and their numbers.

    **Raises:** `InputError` if there are no such.
    """
    separator: str | None = ""
    skip = 0
    if lines and (said := re.fullmatch(r"\s*\"?sep=(.)\"?\s*", lines[0], re.I)):
        separator, skip = said[1], 1
    shown = [i for i, s in enumerate(lines) if i >= skip and bare(s) and not s.lstrip().startswith("#")]
    if not shown:
        raise InputError(f"{path}: is empty; export it again")
    start = shown[0]
    first = _first_row(path, lines, shown, separator)
    if first is None or (len(shown) > 1 and first == shown[1] and not _numeric(path, lines[start], separator, start)):
        names = split(path, lines, start, None, separator)[0]  # names, then numbers; or what is wrong with them is said
        return Layout(separator_of(lines[start]) if separator == "" else separator, names, start + 1)
    separator = separator_of(lines[first]) if separator == "" else separator
    width = _width(cells_of(path, lines[first], separator, first))
    above = [i for i in shown if i < first]
    named = next((i for i in reversed(above) if _names(cells_of(path, lines[i], separator, i), width)), None)
    units: list[str] = []
    if named is not None and (further := [i for i in above if i < named]):
        higher = cells_of(path, lines[further[-1]], separator, further[-1])
        if _are_units(cells_of(path, lines[named], separator, named)) and _names(higher, width):
            units, named = cells_of(path, lines[named], separator, named), further[-1]
    if named is None and above and _width(cells_of(path, lines[above[-1]], separator, above[-1])) > 1:
        split(path, lines, above[-1], None, separator)  # it says what is wrong with the rows below names
    if named is not None:
        names = (cells_of(path, lines[named], separator, named) + [""] * width)[:width]
    else:
        names = _commented(path, lines[:first], separator, width) or [f"column {i + 1}" for i in range(width)]
    preamble = [lines[i] for i in range(skip, first if named is None else named) if bare(lines[i])]
    return Layout(separator, names, first, units, _header(preamble))


def _first_row(path: Path, lines: list[str], shown: list[int], separator: str | None) -> int | None:
    """The line at which rows of numbers begin that go on."""
    for k, i in enumerate(shown[:LONGEST_PREAMBLE]):
        own = separator_of(lines[i]) if separator == "" else separator
        rows = [cells_of(path, lines[j], own, j) for j in shown[k : k + SAME]]
        if len(rows) > 1 and len({_width(r) for r in rows if any(r)}) == 1 and all(map(is_data, rows)):
            return i
        wide = max(map(len, rows))
        if len(rows) == SAME and wide > 4 and all(map(is_data, rows)) and all(len(r) == wide for r in rows):
            return i
    return None


def _width(cells: list[str]) -> int:
    while len(cells) > 1 and not cells[-1]:
        cells = cells[:-1]
    return len(cells)


def _numeric(path: Path, line: str, separator: str | None, number: int) -> bool:
    return is_data(cells_of(path, line, separator_of(line) if separator == "" else separator, number))


def _names(cells: list[str], width: int) -> bool:
    return _width(cells) in (width, width - 1, width + 1) and not any(map(is_number, cells)) and any(cells)


def _are_units(cells: list[str]) -> bool:
    """Whether cells are units: short, and half of them known."""
    shown = [c for c in cells if c]
    known = sum(unit_of(c) is not None for c in shown)
    return 2 * known >= len(shown) and all(len(c) <= 12 and not is_number(c) for c in shown)


def _commented(path: Path, above: list[str], separator: str | None, width: int) -> list[str] | None:
    """Names of the columns from the last comment before the data that has as many."""
    for line in reversed(above):
        text = line.lstrip()
        if text.startswith("#"):
            said = text.lstrip("#% ").strip()
            for own in (separator, separator_of(said), None):
                cells = cells_of(path, said, own, 0)
                if len(cells) == width and not any(map(is_number, cells)):
                    return cells
    return None


def _header(preamble: list[str]) -> dict[str, str]:
    """Keys and values of a preamble."""
    out = {}
    for line in preamble:
        text = line.strip().lstrip("#% ").replace('"', "")
        parts = [p.strip() for p in re.split(r"\t|;|,|:\s|=|\s{2,}", text, maxsplit=1)]
        if len(parts) == 2 and parts[0] and bare(parts[1]):
            out[parts[0].rstrip(":")] = bare(parts[1])
    return out


def _rate(header: Mapping[str, str]) -> float | None:
    """Samples a second, where a preamble says so [Hz]."""
    for key, value in header.items():
        number = re.match(r"[\s,;:=]*(\d+(?:[.,]\d+)?)\s*(?:hz)?\s*(?:$|[,;\t])", value, re.I)
        if number and _RATE.match(key):
            rate = float(number[1].replace(",", "."))
            return rate if 0 < rate < 1e6 else None
    return None


def _by_clock(names: list[str], values: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Columns and values by the time they go with: each time column begins a group if others stand between them."""
    clocks = [i for i, n in enumerate(names) if is_time(n)]
    ends = [*clocks[1:], len(names)]
    if len(clocks) < 2 or clocks[0] != 0 or any(b - a < 2 for a, b in zip(clocks, ends, strict=True)):
        return [(list(range(len(names))), values)]
    out = []
    for a, b in zip(clocks, ends, strict=True):
        part = values[:, a:b]
        held = np.flatnonzero(~np.all(np.isnan(part), axis=1))
        out.append((list(range(a, b)), part[: held[-1] + 1] if len(held) else part[:0]))
    return out


def write_csv(
    path: str | Path, time: Float[np.ndarray, "time"], columns: Mapping[str, Float[np.ndarray, "time"]]
) -> None:
    """Write a table that `read_csv` reads back to the last bit; NaN becomes an empty cell."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time", *columns])
        for row in zip(time, *columns.values(), strict=True):
            writer.writerow(["" if math.isnan(x) else repr(float(x)) for x in row])


FORMAT = Format(
    "a table of text",
    (".csv", ".tsv", ".txt"),
    lambda head: None,  # nothing marks one
    contents_of_text,
)
