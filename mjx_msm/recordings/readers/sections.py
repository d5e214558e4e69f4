"""Text formats whose header is several rows: names above components above units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from mjx_msm.recordings.readers.text import bare, cells_of, numbers_of


def carried(cells: Sequence[str], width: int, first: int) -> list[str]:
    """Names that stand above the first of their columns, for each of the columns from `first` on."""
    out, last = [], ""
    for i in range(width):
        cell = cells[i].strip() if i < len(cells) else ""
        last = cell if cell and i >= first else last if i >= first else ""
        out.append(last)
    return out


def padded_numbers(
    path: Path | str,
    lines: Sequence[str],
    first: int,
    names: list[str],
    separator: str,
    *,
    empty: Literal["skipped", "end", "rows"] = "skipped",
) -> tuple[np.ndarray, list[int]]:
    """Rows of numbers that may end early, NaN where they do, and their line numbers (from 1).

    **Arguments:** `first`: line, from 0. `empty`: whether lines without a number between rows are skipped, end the rows
    (as where another section follows), or are rows themselves (as where nothing but their order says the time).

    **Raises:** `InputError` if a cell is not a number.
    """
    rows, numbers = [], []
    last = max((i for i in range(first, len(lines)) if bare(lines[i])), default=-1)
    for i in range(first, last + 1):
        cells = cells_of(path, lines[i], separator, i)
        if not any(cells):
            if empty == "end":
                break
            if empty == "skipped":
                continue
        rows.append((cells + [""] * len(names))[: len(names)])
        numbers.append(i + 1)
    return numbers_of(path, names, rows, numbers) if rows else np.zeros((0, len(names))), numbers
