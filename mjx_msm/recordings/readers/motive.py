"""OptiTrack Motive's export (``.csv``): takes with markers and rigid bodies, their names above their components."""

from __future__ import annotations

from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.sections import carried, padded_numbers
from mjx_msm.recordings.readers.text import against_announced, cells_of, decoded, lines_of

_LENGTH = {"meters": "m", "centimeters": "cm", "millimeters": "mm"}


def contents_of_motive(path: Path) -> Contents:
    """Columns ``<name>/<Rotation or Position>/<X, Y, Z or W>`` of a take.

    **Raises:** `InputError` if its rows of names are not there.
    """
    lines = lines_of(path)
    said = cells_of(path, lines[0], ",", 0)
    header = dict(zip(said[::2], said[1::2], strict=False))
    at = next((i for i, s in enumerate(lines[:40]) if s.lstrip().casefold().startswith("frame,time")), None)
    if at is None:
        raise InputError(f"{path}: no line begins with 'Frame,Time'; export it again from Motive")
    parts = cells_of(path, lines[at], ",", at)
    width = len(parts)
    above = [cells_of(path, lines[i], ",", i) for i in range(1, at) if lines[i].strip(", ")]
    rows = {row[1].casefold(): row for row in above if len(row) > 1 and row[1]}
    names = rows.get("name") or (above[1] if len(above) > 1 else above[0] if above else [])
    what = carried(above[-1], width, 2) if above else [""] * width
    own = carried(names, width, 2)
    columns = ["/".join(p for p in (o, w, part) if p) for o, w, part in zip(own, what, parts, strict=True)]
    columns[1] = "time [s]"
    values, numbers = padded_numbers(path, lines, at + 1, columns, ",")
    keep = [1, *(i for i in range(2, width) if parts[i].casefold() not in ("timecode", ""))]
    length = _LENGTH.get(header.get("Length Units", "").casefold(), "")
    rotation = (
        "deg"
        if "euler" in header.get("Rotation Type", "").casefold() or "XYZ" in header.get("Rotation Type", "")
        else ""
    )
    units = ["s"] + [length if what[i] == "Position" else rotation if what[i] == "Rotation" else "" for i in keep[1:]]
    block = Block(tuple(columns[i] for i in keep), values[:, keep], tuple(units), lines=numbers)
    notes = against_announced(path, header.get("Total Exported Frames"), len(values))
    return Contents(path, (block,), header=header, notes=notes)


def _recognised(head: bytes) -> str | None:
    return "because it begins with 'Format Version'" if decoded(head[:200]).startswith("Format Version,") else None


FORMAT = Format("OptiTrack Motive's export", (), _recognised, contents_of_motive)
