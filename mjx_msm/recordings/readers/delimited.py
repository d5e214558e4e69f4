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
from mjx_msm.recordings.readers.sidecar import described, sidecar_of
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

_DYNAMOMETER = re.compile(r"\b(?:biodex|humac|cybex|isomed|con-?trex|kin-?com|csmi)\b", re.IGNORECASE)


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
    unnamed: int | None = None
    """Line above the data, from 1, that should name the columns and does not."""


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
    notes: list[str] = []
    blocks, header = blocks_of_lines(path, lines, notes)
    maker = _DYNAMOMETER.search("\n".join(lines[:80]))
    if maker:
        header = {**header, "dynamometer": maker[0]}
    if beside := sidecar_of(path):
        blocks = tuple(described(path, b, beside) for b in blocks)
    return Contents(path, blocks, header=header, notes=tuple(notes))


def blocks_of_lines(
    path: Path | str, lines: list[str], notes: list[str], *, separator: str | None = ""
) -> tuple[tuple[Block, ...], Mapping[str, str]]:
    """The blocks of a text, and what its preamble says.

    **Arguments:** `path`: what messages begin with; `notes`: grows; `separator`: of the cells, "" if it is to be found.
    """
    layout = layout_of(path, lines, separator)
    if layout.unnamed is not None:
        notes.append(f"{path}: line {layout.unnamed} does not name all {len(layout.names)} columns; they are numbered")
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
    return blocks, layout.header


def layout_of(path: Path | str, lines: list[str], separator: str | None = "") -> Layout:
    """Where the columns of a text file have their names and their numbers.

    **Raises:** `InputError` if there are no such.
    """
    skip = 0
    if lines and (said := re.fullmatch(r"\s*\"?sep=(.)\"?\s*", lines[0], re.I)):
        separator, skip = said[1], 1
    shown = [i for i, s in enumerate(lines) if i >= skip and bare(s) and not s.lstrip().startswith("#")]
    if not shown:
        raise InputError(f"{path}: is empty; export it again")
    start = shown[0]
    first = _first_row(path, lines, shown, separator)
    if first is None or (len(shown) > 1 and first == shown[1] and _text_alone(path, lines[start], separator, start)):
        names = split(path, lines, start, None, separator)[0]  # names, then numbers; or what is wrong with them is said
        return Layout(separator_of(lines[start]) if separator == "" else separator, names, start + 1)
    separator = separator_of(lines[first]) if separator == "" else separator
    row = cells_of(path, lines[first], separator, first)
    width = _width(row)
    above = [i for i in shown if i < first]
    heads = {i: _head_cells(path, lines[i], separator, i, width) for i in above[-12:]}
    fitting = [i for i, cells in heads.items() if _may_name(cells, width, len(row))]
    if len(fitting) > 1 and _are_units(heads[fitting[-1]]):
        fitting.pop()
    named = fitting[-1] if fitting else None
    units: list[str] = []
    if named is not None:  # what stands below the names and is no line of units is data, with what is wrong in it
        first = next(i for i in shown if i > named)
        below = heads.get(first, [])
        if below and len(below) <= width and _are_units(below):
            first = next(i for i in shown if i > first)
            # blanks above the first column, the time, are no cell where blanks separate
            units = ["", *below] if separator is None and len(below) == width - 1 else below
    if named is None and above and _width(heads[above[-1]]) > 1 and len(above) == 1:
        split(path, lines, above[-1], None, separator)  # it says what is wrong with the rows below names
    while named is None and above and len(heads[above[-1]]) == len(row) and any(map(is_number, heads[above[-1]])):
        first = above.pop()  # a row of data with something wrong in it
        heads |= {i: cells_of(path, lines[i], separator, i) for i in above[-1:]}
    if named is not None:
        names = (heads[named] + [""] * width)[:width]
    else:
        names = _commented(path, lines[:first], separator, width) or [f"column {i + 1}" for i in range(width)]
    unnamed = above[-1] + 1 if above and names[0] == "column 1" else None
    preamble = [lines[i] for i in range(skip, first if named is None else named) if bare(lines[i])]
    return Layout(separator, names, first, units, _header(preamble), unnamed)


def _first_row(path: Path | str, lines: list[str], shown: list[int], separator: str | None) -> int | None:
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


def _text_alone(path: Path | str, line: str, separator: str | None, number: int) -> bool:
    cells = cells_of(path, line, separator_of(line) if separator == "" else separator, number)
    return not any(map(is_number, cells)) or is_time(cells[0])


def _head_cells(path: Path | str, line: str, separator: str | None, number: int, width: int) -> list[str]:
    """The cells of a line above the data; names may hold a blank where blanks separate."""
    cells = cells_of(path, line, separator, number)
    if separator is None and len(cells) != width:
        wide = re.split(r"\s{2,}|\t", line.strip())
        return wide if len(wide) in (width, width - 1) else cells
    return cells


def _may_name(cells: list[str], width: int, full: int) -> bool:
    """Whether cells may name the columns of rows that have `width` cells, or `full` with empty ones at their end."""
    return (
        (_width(cells) == width or len(cells) == full)
        and any(cells)
        and (is_time(cells[0]) or not any(map(is_number, cells)))
    )


def _are_units(cells: list[str]) -> bool:
    """Whether cells are units: short, and half of them known."""
    shown = [c for c in cells if c]
    known = sum(unit_of(c) is not None for c in shown)
    return 2 * known >= len(shown) and all(len(c) <= 12 and not is_number(c) for c in shown)


def _commented(path: Path | str, above: list[str], separator: str | None, width: int) -> list[str] | None:
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
