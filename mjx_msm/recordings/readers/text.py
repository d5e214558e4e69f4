"""Tables written as text: tolerant of form, strict about content.

Tab, semicolon, comma and blank separate; decimal commas, padded headers and quotes are understood. A cell that is not
a number or a row that is cut off is an `InputError` which names file, line and column.
"""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.content import content_of
from mjx_msm.recordings.readers.timing import is_time

_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def decoded(data: bytes) -> str:
    """The text of a file, in whichever encoding it was saved."""
    for encoding in (_encoding(data), "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _encoding(data: bytes) -> str:
    """UTF-16 by its mark, or by zeros in every second byte; else UTF-8."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    head = data[: min(len(data), 4096) // 2 * 2]
    if len(head) >= 8:
        for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            if head[first::2].count(0) > 0.9 * len(head) / 2 and 0 not in head[1 - first :: 2]:
                return encoding
    return "utf-8-sig"


def lines_of(path: Path) -> list[str]:
    """The lines of a text file.

    **Raises:** `InputError` if it cannot be read, or is no text.
    """
    data = content_of(path)
    if not is_text(data):
        raise InputError(f"{path}: is a binary file, not text; export it as .csv, .sto or .mot")
    return decoded(data).splitlines()


def is_text(data: bytes) -> bool:
    """Whether bytes may be text."""
    return b"\0" not in data[:4096] or _encoding(data).startswith("utf-16")


def bare(line: str) -> str:
    """A line without the separators and blanks that pad it."""
    return line.strip().rstrip(",;\t ").strip()


def separator_of(line: str) -> str | None:
    """What separates the cells of a line; None: blanks."""
    return next((s for s in ("\t", ";", ",") if s in line.rstrip(s + " ")), None)


def split(
    path: Path | str, lines: list[str], start: int, first: int | None = None, separator: str | None = ""
) -> tuple[list[str], list[list[str]], list[int]]:
    """Names, the rows' cells, and the rows' line numbers (from 1).

    **Arguments:** `start`: line of the names, from 0; `first`: line at which data begin, default: the next one;
    `separator`: "" for that of the names' line.
    """
    head = lines[start]
    separator = separator_of(head) if separator == "" else separator
    cells = cells_of(path, head, separator, start)
    while cells and not cells[-1]:
        cells.pop()
    return cells, *rows_of(path, lines, start + 1 if first is None else first, separator, len(cells))


def against_announced(path: Path | str, announced: str | None, count: int) -> tuple[str, ...]:
    """A note where a header announces another number of rows than there are."""
    said = (announced or "").strip()
    if not said.isdecimal() or int(said) == count:
        return ()
    return (f"{path}: header announces {said} rows, the file has {count}; using those it has",)


def rows_of(
    path: Path | str, lines: list[str], first: int, separator: str | None, width: int
) -> tuple[list[list[str]], list[int]]:
    """The rows' cells, `width` each, and their line numbers (from 1).

    **Raises:** `InputError` if a row has more or fewer cells, with how many such rows there are.
    """
    rows, numbers, wrong = [], [], []
    for i in range(first, len(lines)):
        line = lines[i]
        if not bare(line) or line.lstrip().startswith("#"):
            continue
        row = cells_of(path, line, separator, i)
        if len(row) != width and separator == "\t":
            row = line.split()  # OpenSim takes any white space between numbers
        while len(row) > width and not row[-1]:
            row.pop()
        if len(row) != width:
            wrong.append((i, len(row)))
        rows.append(row)
        numbers.append(i + 1)
    if wrong:
        i, count = wrong[0]
        fault = "the file is cut off there" if i >= len(lines) - 2 and count < width else "correct that line"
        more = f" (and {len(wrong) - 1} more lines)" if len(wrong) > 1 else ""
        hint = " (a decimal comma?)" if separator == "," and count > width else ""
        raise InputError(
            f"{path}: line {i + 1} has {count} cells, the {width} columns need one each{hint}{more}; {fault}"
        )
    if len(rows) < 2:
        raise InputError(f"{path}: has {len(rows)} rows of data; a recording needs at least two")
    return rows, numbers


def cells_of(path: Path | str, line: str, separator: str | None, number: int) -> list[str]:
    """The cells of a line; `number`: from 0."""
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


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no number."""
    return cell.casefold() in _NOT_A_NUMBER


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return bool(_DECIMAL_COMMA.fullmatch(cell))
    return not is_missing(cell)


def is_data(cells: list[str]) -> bool:
    """Whether a row may be one of numbers: it has some, and little else."""
    numbers = sum(map(is_number, cells))
    words = len(cells) - numbers - sum(map(is_missing, cells))
    return numbers > 0 and words <= len(cells) / 3 and not is_time(cells[0])


def numbers_of(path: Path | str, names: list[str], rows: list[list[str]], lines: list[int]) -> np.ndarray:
    """The cells of a table, NaN where one is empty; `lines`: the rows' places in the file.

    **Raises:** `InputError` if a cell is something else, with how many such cells there are.
    """
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError:
        values = np.empty((len(rows), len(names)))
        wrong = []
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                number = _number(cell)
                if number is None:
                    wrong.append((i, j))
                    number = math.nan
                values[i, j] = number
        if wrong:
            i, j = wrong[0]
            more = f" (and {len(wrong) - 1} more cells)" if len(wrong) > 1 else ""
            raise InputError(
                f"{path}: line {lines[i]}, column '{names[j]}': '{rows[i][j][:30]}' is not a number{more}; correct the "
                "cell, or leave it empty if it is missing"
            ) from None
    if np.any(np.isinf(values)):
        wrong = np.argwhere(np.isinf(values))
        i, j = wrong[0]
        more = f" (and {len(wrong) - 1} more cells)" if len(wrong) > 1 else ""
        raise InputError(
            f"{path}: line {lines[i]}, column '{names[j]}': infinite{more}; leave the cell empty if it is missing"
        )
    return values


def without_words(
    names: list[str], rows: list[list[str]], notes: list[str], path: Path | str
) -> tuple[list[str], list[list[str]]]:
    """Names and rows without the columns that hold no number at all, but words: labels, events; noted."""
    worded = [
        j
        for j, cells in enumerate(zip(*rows, strict=True))
        if any(not is_missing(c) for c in cells) and not any(map(is_number, cells))
    ]
    if not worded:
        return names, rows
    shown = ", ".join(f"'{names[j]}'" for j in worded[:6])
    notes.append(f"{path}: {'columns' if len(worded) > 1 else 'column'} {shown} hold words, not numbers; left out")
    keep = [j for j in range(len(names)) if j not in worded]
    return [names[j] for j in keep], [[row[j] for j in keep] for row in rows]


def _number(cell: str) -> float | None:
    if is_missing(cell):
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return float(cell.replace(",", ".")) if _DECIMAL_COMMA.fullmatch(cell) else None
