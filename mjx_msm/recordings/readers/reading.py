"""Any supported file as a table: which format it has, and why, before it is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers import c3d, delimited, storage
from mjx_msm.recordings.readers.content import content_of
from mjx_msm.recordings.readers.formats import HEAD, Format, Recognised
from mjx_msm.recordings.readers.table import Table

FORMATS: tuple[Format, ...] = (storage.FORMAT, c3d.FORMAT, delimited.FORMAT)
"""Asked in this order by content, then by suffix."""


def recognise(path: str | Path) -> Recognised:
    """What a file is taken for: what its content shows, else what its suffix says.

    **Raises:** `InputError` if it cannot be read, or neither is known.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    head = content_of(path, HEAD)
    for format in FORMATS:
        reason = format.recognise(head)
        if reason is not None:
            return Recognised(format, reason, as_named=suffix in format.suffixes)
    for format in FORMATS:
        if suffix in format.suffixes:
            return Recognised(format, f"because its name ends in {suffix}", as_named=True)
    *most, last = (s for format in FORMATS for s in format.suffixes)
    raise InputError(f"{path}: unknown kind of file '{suffix}'; supported are {', '.join(most)} and {last}")


def read_table(path: str | Path, *, time_column: str | None = None) -> Table:
    """Read any supported file as a table over time; of a C3D file, its analog channels.

    **Arguments:**

    - `path`: a ``.mot``, ``.sto``, ``.csv``, ``.tsv``, ``.txt`` or ``.c3d`` file.
    - `time_column`: name of the time column of a CSV file; default: ``time`` or ``t``, in any case.

    **Returns:** the table, with a note where the file is not what its name says.
    """
    path = Path(path)
    found = recognise(path)
    table = found.format.read(path, time_column)
    if found.as_named:
        return table
    return replace(table, notes=(f"{path}: taken for {found.format.name}, {found.reason}", *table.notes))
