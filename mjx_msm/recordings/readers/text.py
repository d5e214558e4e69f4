"""Tables written as text: tolerant of form, strict about content.

Tab, blank, comma and semicolon separate; decimal commas, padded headers and quotes are understood. A cell that is not
a number, a time that runs backwards or a row that is cut off is an `InputError` which names file, line and column.
"""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.content import content_of


def decoded(data: bytes) -> str:
    """The text of a file, in whichever encoding it was saved."""
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def lines_of(path: Path) -> list[str]:
    """The lines of a text file.

    **Raises:** `InputError` if it cannot be read, or is no text.
    """
    data = content_of(path)
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: is a binary file, not text; export it as .csv, .sto or .mot")
    return decoded(data).splitlines()


def bare(line: str) -> str:
    """A line without the separators and blanks that pad it."""
    return line.strip().rstrip(",;\t ").strip()


def split(path: Path, lines: list[str], start: int) -> tuple[list[str], list[list[str]], list[int]]:
    """Names, the rows' cells, and the rows' line numbers (from 1)."""
    head = lines[start]
    separator = next((s for s in ("\t", ";", ",") if s in head.rstrip(s + " ")), None)
    cells = _cells(path, head, separator, start)
    while cells and not cells[-1]:
        cells.pop()
    rows, numbers = [], []
    for i in range(start + 1, len(lines)):
        line = lines[i]
        if not bare(line) or line.lstrip().startswith("#"):
            continue
        row = _cells(path, line, separator, i)
        if len(row) != len(cells) and separator == "\t":
            row = line.split()  # OpenSim takes any white space between numbers
        while len(row) > len(cells) and not row[-1]:
            row.pop()
        if len(row) != len(cells):
            fault = (
                "the file is cut off there" if i >= len(lines) - 2 and len(row) < len(cells) else "correct that line"
            )
            hint = " (a decimal comma?)" if separator == "," and len(row) > len(cells) else ""
            raise InputError(
                f"{path}: line {i + 1} has {len(row)} cells, the {len(cells)} columns need one each{hint}; {fault}"
            )
        rows.append(row)
        numbers.append(i + 1)
    if len(rows) < 2:
        raise InputError(f"{path}: has {len(rows)} rows of data; a recording needs at least two")
    return cells, rows, numbers


def _cells(path: Path, line: str, separator: str | None, number: int) -> list[str]:
    if separator is None:
        return line.split()
    if '"' not in line:
        return [c.strip() for c in line.split(separator)]
    try:
        cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"{path}: line {number + 1} cannot be taken apart ({error}); correct its quotes") from None
    return [c.strip() for c in cells]


_NOT_A_NUMBER = frozenset(
    {"", "nan", "-nan", "na", "n/a", "null", "none", "-nan(ind)", "nan(ind)", "-1.#ind", "1.#qnan"}
)
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return bool(_DECIMAL_COMMA.fullmatch(cell))
    return cell.casefold() not in _NOT_A_NUMBER


def numbers_of(path: Path, names: list[str], rows: list[list[str]], lines: list[int]) -> np.ndarray:
    """The cells of a table, NaN where one is empty; `lines`: the rows' places in the file."""
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError:
        values = np.empty((len(rows), len(names)))
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                values[i, j] = _number(path, cell, lines[i], names[j])
    if np.any(np.isinf(values)):
        i, j = np.argwhere(np.isinf(values))[0]
        raise InputError(
            f"{path}: line {lines[i]}, column '{names[j]}': infinite; leave the cell empty if it is missing"
        )
    return values


def _number(path: Path, cell: str, line: int, column: str) -> float:
    if cell.casefold() in _NOT_A_NUMBER:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        if _DECIMAL_COMMA.fullmatch(cell):
            return float(cell.replace(",", "."))
        raise InputError(
            f"{path}: line {line}, column '{column}': '{cell[:30]}' is not a number; correct the cell, or "
            "leave it empty if it is missing"
        ) from None


def check_time(path: Path, time: np.ndarray, lines: list[int]) -> None:
    """Whether a time column is complete and runs forwards; `lines`: the rows' places in the file."""
    if np.any(np.isnan(time)):
        i = int(np.flatnonzero(np.isnan(time))[0])
        raise InputError(f"{path}: line {lines[i]} has no time; fill it in or remove the line")
    step = np.diff(time)
    if np.any(step <= 0):
        i = int(np.flatnonzero(step <= 0)[0])
        if step[i] == 0:
            raise InputError(
                f"{path}: time {time[i]:g} s is duplicated (lines {lines[i]} and {lines[i + 1]}); remove one of them"
            )
        raise InputError(
            f"{path}: time runs backwards on line {lines[i + 1]} (from {time[i]:g} to {time[i + 1]:g} s); "
            "sort the rows, or split the recording"
        )
