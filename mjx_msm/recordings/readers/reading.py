"""Any supported file: which format it has, and why, before it is read; and its columns over time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.common.file_kinds import RECORDING, refuse_other
from mjx_msm.recordings.readers import (
    c3d,
    delimited,
    delsys,
    edf,
    hdf5,
    matlab,
    motive,
    numpy_archive,
    parquet,
    qualisys,
    spreadsheet,
    storage,
    trc,
    vicon,
    visual3d,
)
from mjx_msm.recordings.readers.content import content_of
from mjx_msm.recordings.readers.contents import Contents
from mjx_msm.recordings.readers.formats import HEAD, Format, Recognised
from mjx_msm.recordings.readers.sidecar import refuse_channels
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.readers.text import is_text
from mjx_msm.recordings.readers.timing import Timing, tables_of

FORMATS: tuple[Format, ...] = (
    c3d.FORMAT,
    matlab.FORMAT,
    hdf5.FORMAT,
    numpy_archive.FORMAT,
    spreadsheet.FORMAT,
    parquet.FORMAT,
    edf.FORMAT,
    trc.FORMAT,
    vicon.FORMAT,
    delsys.FORMAT,
    motive.FORMAT,
    qualisys.FORMAT,
    visual3d.FORMAT,
    storage.FORMAT,
    delimited.FORMAT,
)
"""Asked in this order by content, then by suffix."""


def recognise(path: str | Path) -> Recognised:
    """What a file is taken for: what its content shows, else what its suffix says.

    **Raises:** `InputError` if it cannot be read, or neither is known.
    """
    path = Path(path)
    refuse_other(path, RECORDING)
    refuse_channels(path)
    suffix = suffix_of(path)
    head = content_of(path, HEAD)
    for format in FORMATS:
        reason = format.recognise(head)
        if reason is not None:
            named = suffix in (format.suffixes or delimited.FORMAT.suffixes)  # those without any are tables of text
            return Recognised(format, reason, as_named=named)
    for format in FORMATS:
        if suffix in format.suffixes:
            return Recognised(format, f"because its name ends in {suffix}", as_named=True)
    if head.strip() and is_text(head):
        return Recognised(delimited.FORMAT, "because it is text", as_named=False)
    *most, last = (s for format in FORMATS for s in format.suffixes)
    raise InputError(f"{path}: unknown kind of file '{suffix}'; supported are {', '.join(most)} and {last}")


def suffix_of(path: Path) -> str:
    """Of a file, in lower case; of a compressed one (``.csv.gz``), the one inside."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == ".gz" else suffix


def read_contents(path: str | Path) -> Contents:
    """All that any supported file holds, and what it was taken for.

    **Returns:** its contents, with a note where the file is not what its name says.

    **Raises:** `InputError` if it cannot be read.
    """
    path = Path(path)
    found = recognise(path)
    contents = found.format.read(path)
    notes = contents.notes
    if not found.as_named:
        notes = (f"{path}: taken for {found.format.name}, {found.reason}", *notes)
    return replace(contents, notes=notes, taken_for=found.format.name, reason=found.reason)


def read_tables(path: str | Path, timing: Timing | None = None) -> tuple[Table, ...]:
    """Read any supported file as tables over time, one for every clock in it.

    **Arguments:** `timing`: which column is time, or how many samples a second has, where the file does not say.

    **Raises:** `InputError` if the file cannot be read, or its time not be told.
    """
    return tables_of(read_contents(path), timing)


def read_table(path: str | Path, *, time_column: str | None = None) -> Table:
    """Read a file all of whose columns share a clock; of a C3D file, its analog channels.

    **Arguments:** `time_column`: name of the time column; default: one that is called time, see `timing.is_time`.

    **Raises:** `InputError` if it cannot be read, or holds more than one clock.
    """
    contents = read_contents(path)
    if analogs := [b for b in contents.blocks if b.name == c3d.ANALOGS]:
        contents = replace(contents, blocks=tuple(analogs))
    table, *others = tables_of(contents, Timing(time_column))
    if others:
        clocks = ", ".join(f"{t.rate:.6g} Hz" for t in (table, *others[:3]))
        raise InputError(f"{path}: holds columns on {1 + len(others)} clocks ({clocks}); use read_tables")
    return table
