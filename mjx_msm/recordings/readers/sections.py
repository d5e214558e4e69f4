"""Text formats whose header is several rows: names above components above units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mjx_msm.recordings.readers.text import cells_of, numbers_of


def carried(cells: Sequence[str], width: int, first: int) -> list[str]:
    """Names that stand above the first of their columns, for each of the columns from `first` on."""
    out, last = [], ""
    for i in range(width):
        cell = cells[i].strip() if i < len(cells) else ""
        last = cell if cell and i >= first else last if i >= first else ""
        out.append(last)
    return out


def padded_numbers(
    path: Path | str, lines: Sequence[str], first: int, names: list[str], separator: str
) -> tuple[np.ndarray, list[int]]:
    """Rows of numbers that may end early, NaN where they do, and their line numbers (from 1); up to an empty line.

    **Arguments:** `first`: line, from 0.

    **Raises:** `InputError` if a cell is not a number.
    """
    rows, numbers = [], []
    for i in range(first, len(lines)):
        cells = cells_of(path, lines[i], separator, i)
        if not any(cells):
            break
        rows.append((cells + [""] * len(names))[: len(names)])
        numbers.append(i + 1)
    return numbers_of(path, names, rows, numbers) if rows else np.zeros((0, len(names))), numbers
