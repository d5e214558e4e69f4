"""Plain tables: ``.csv``, ``.tsv`` and ``.txt`` whose first line names the columns."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.storage import read_storage
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.readers.text import bare, check_time, is_number, lines_of, numbers_of, split


def read_csv(path: str | Path, *, time_column: str | None = None) -> Table:
    """Read a table whose first line names the columns, one of them the time [s].

    The separator is a comma, semicolon (then with decimal commas too), tab or blank; lines that start with
    ``#`` are comments; an empty cell, ``NaN`` or ``NA`` is a missing sample.
    """
    path = Path(path)
    lines = lines_of(path)
    if any(bare(s).casefold() == "endheader" for s in lines[:200]):
        return read_storage(path)
    start = next((i for i, s in enumerate(lines) if bare(s) and not s.lstrip().startswith("#")), None)
    if start is None:
        raise InputError(f"{path}: is empty; export it again")
    names, rows, numbers = split(path, lines, start)
    if names and all(is_number(n) for n in names if n):
        raise InputError(f"{path}: line {start + 1} holds numbers; add a first line with the names of the columns")
    if time_column is not None:
        hits = [i for i, n in enumerate(names) if n == time_column]
    else:
        hits = [i for i, n in enumerate(names) if n.casefold() in ("time", "t", "time_s", "time [s]", "time (s)")]
    if not hits:
        wanted = time_column or "time"
        raise InputError(
            f"{path}: no time column '{wanted}'{suggest(wanted, names)}"
            + ("" if time_column else " (name it 'time', or set time_column)")
        )
    if len(hits) > 1:
        found = ", ".join(f"'{names[i]}'" for i in hits)
        raise InputError(f"{path}: several time columns ({found}); keep one, or set time_column")
    values = numbers_of(path, names, rows, numbers)
    t = hits[0]
    check_time(path, values[:, t], numbers)
    keep = [i for i in range(len(names)) if i != t and (names[i] or not np.all(np.isnan(values[:, i])))]
    return Table(values[:, t], tuple(names[i] for i in keep), values[:, keep], None, path)


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
    lambda path, time_column: read_csv(path, time_column=time_column),
)
