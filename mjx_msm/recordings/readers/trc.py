"""Marker files of OpenSim and Motion Analysis (``.trc``)."""

from __future__ import annotations

from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.sections import carried, padded_numbers
from mjx_msm.recordings.readers.text import against_announced, decoded, lines_of


def contents_of_trc(path: Path) -> Contents:
    """Markers ``<name>/x``, ``/y`` and ``/z`` over time, in the file's unit.

    **Raises:** `InputError` if its header is not that of a ``.trc`` file.
    """
    lines = lines_of(path)
    at = next((i for i, s in enumerate(lines[:20]) if s.strip().casefold().startswith("frame#")), None)
    if at is None or at < 2 or at + 2 >= len(lines):
        raise InputError(
            f"{path}: no line begins with 'Frame#', or nothing follows; is it a .trc file? Export it again"
        )
    header = dict(zip(lines[at - 2].split(), lines[at - 1].split(), strict=False))
    names = [c.strip() for c in lines[at].rstrip().split("\t")]
    parts = [c.strip() for c in lines[at + 1].rstrip().split("\t")]
    width = max(len(parts), len(names))
    own = carried(names, width, 2)
    columns = ["Frame#", "Time", *(f"{own[i]}/{'xyz'[(i - 2) % 3]}" for i in range(2, width))]
    first = at + 2
    while first < len(lines) and not lines[first].strip():
        first += 1
    values, numbers = padded_numbers(path, lines, first, columns, "\t")
    unit = header.get("Units", "mm")
    block = Block(tuple(columns[1:]), values[:, 1:], ("s", *[unit] * (width - 2)), lines=numbers)
    notes = against_announced(path, header.get("NumFrames"), len(values))
    return Contents(path, (block,), header=header, notes=notes)


def _recognised(head: bytes) -> str | None:
    return "because it begins with 'PathFileType'" if decoded(head[:100]).startswith("PathFileType") else None


FORMAT = Format("a marker file (TRC)", (".trc",), _recognised, contents_of_trc)
