"""OpenSim storage files: ``.mot`` and ``.sto``, also comma-separated, also with an old SIMM header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import write_text
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.readers.text import against_announced, bare, decoded, lines_of, numbers_of, split
from mjx_msm.recordings.readers.timing import tables_of


def read_storage(path: str | Path) -> Table:
    """Read an OpenSim ``.mot`` or ``.sto`` file (also comma-separated, also with an old SIMM header)."""
    (table,) = tables_of(contents_of_storage(Path(path)))
    return table


def contents_of_storage(path: Path) -> Contents:
    """All that such a file holds."""
    lines = lines_of(path)
    end = next((i for i, s in enumerate(lines) if bare(s).casefold() == "endheader"), None)
    if end is None:
        raise InputError(f"{path}: no 'endheader' line; is it an OpenSim file? Save a plain table as .csv")
    header: dict[str, str] = {}
    for line in lines[:end]:
        key, equals, value = bare(line).partition("=")
        if equals:
            header[key.strip()] = value.strip()
    folded = {k.casefold(): v for k, v in header.items()}
    kind = folded.get("datatype", "double").casefold()
    if kind not in ("double", "float"):
        raise InputError(
            f"{path}: DataType={folded['datatype']} holds vectors, not numbers; export it as plain columns"
        )
    answer = folded.get("indegrees", "").casefold()
    if answer not in ("", "yes", "no", "true", "false", "1", "0", "y", "n"):
        raise InputError(f"{path}: inDegrees={folded['indegrees'][:30]} is neither yes nor no; correct the header")
    in_degrees = None if answer == "" else answer in ("yes", "true", "1", "y")

    start = next((i for i in range(end + 1, len(lines)) if bare(lines[i])), None)
    if start is None:
        raise InputError(f"{path}: nothing follows 'endheader'; the file is cut off, export it again")
    names, rows, numbers = split(path, lines, start)
    if names[0].casefold() != "time":
        raise InputError(f"{path}: first column is '{names[0]}', expected 'time' on line {start + 1}")
    values = numbers_of(path, names, rows, numbers)
    notes = against_announced(path, folded.get("nrows") or folded.get("datarows"), len(values))
    block = Block(tuple(names), values, lines=numbers)
    return Contents(path, (block,), in_degrees, header, notes)


def _recognised(head: bytes) -> str | None:
    announced = any(bare(line).casefold() == "endheader" for line in decoded(head).splitlines()[:200])
    return "because a line says 'endheader'" if announced else None


def write_storage(
    path: str | Path,
    time: Float[np.ndarray, "time"],
    columns: Mapping[str, Float[np.ndarray, "time"]],
    title: str,
    about: Sequence[str] = (),
) -> None:
    """Write an OpenSim storage file that `read_storage` and OpenSim read back to the last bit; angles are radians.

    **Arguments:** `about`: further lines of the header, for people.
    """
    names = [n.replace("\t", " ") for n in ("time", *columns)]
    said = [" ".join(line.replace("=", " is ").split()) for line in about]
    header = [" ".join(title.split()), "version=1", f"nRows={len(time)}", f"nColumns={len(names)}", "inDegrees=no"]
    rows = ("\t".join(repr(float(x)) for x in row) for row in zip(time, *columns.values(), strict=True))
    write_text(Path(path), "\n".join([*header, *said, "endheader", "\t".join(names), *rows, ""]))


FORMAT = Format("an OpenSim storage file", (".mot", ".sto"), _recognised, contents_of_storage)
