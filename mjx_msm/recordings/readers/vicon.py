"""Vicon Nexus' ASCII export (``.csv``, ``.txt``): sections one after the other.

Each begins with its name, its rate, the names of devices, markers or model outputs, the names of their components below
``Frame,Sub Frame``, and units; rows go on to an empty line. Frames count from the capture's first, 1, also in a trial
that was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.sections import carried, padded_numbers
from mjx_msm.recordings.readers.text import cells_of, decoded, lines_of

_FRAME = re.compile(r'"?Frame"?([,;\t])"?Sub ?Frame"?', re.IGNORECASE)


def contents_of_vicon(path: Path) -> Contents:
    """The sections of an export, a block each.

    **Raises:** `InputError` if a section has no rate, or no rows.
    """
    lines = lines_of(path)
    heads = [i for i, line in enumerate(lines) if _FRAME.match(line.strip())]
    if not heads:
        raise InputError(f"{path}: no line begins with 'Frame,Sub Frame'; export it again from Nexus")
    blocks, faults, frames = [], [], []
    for i in heads:
        found = _FRAME.match(lines[i].strip())
        assert found is not None
        try:
            block, frame = _section(path, lines, i, found[1])
        except InputError as error:
            faults.append(str(error))
            continue
        blocks.append(block)
        frames.append(frame)
    if not blocks:
        raise InputError(faults[0])
    begin = min(float(b.time[0]) for b in blocks if b.time is not None)
    notes = (*(f"{fault}; the section is left out" for fault in faults), *_stray(path, lines, blocks, heads))
    return Contents(path, tuple(blocks), header={"first frame": str(min(frames))}, notes=notes, trimmed=begin)


def _stray(path: Path, lines: list[str], blocks: list[Block], heads: list[int]) -> Iterator[str]:
    """Rows of numbers below a section's end that belong to none."""
    for block in blocks:
        end = block.lines[-1]
        stop = next((i - 3 for i in heads if i >= end), len(lines))  # a section's title, rate and names are above
        stray = [i for i in range(end, stop) if re.match(r'"?\d+"?[,;\t]"?\d+"?[,;\t]', lines[i].strip())]
        if stray:
            yield (
                f"{path}: section '{block.name}' ends at the empty line {end + 1}, but rows go on from line "
                f"{stray[0] + 1}; {len(stray)} are left out: remove the empty line"
            )


def _section(path: Path, lines: list[str], at: int, separator: str) -> tuple[Block, int]:
    """The section whose components stand on a line, and its first frame."""
    above = [cells_of(path, lines[k], separator, k) if k >= 0 else [""] for k in (at - 3, at - 2, at - 1)]
    title, said = above[0][0], above[1][0]
    parts = cells_of(path, lines[at], separator, at)
    while parts and not parts[-1]:
        parts.pop()
    width = len(parts)
    names = carried(above[2], width, 2)
    columns = [f"{n}/{p}" if n and p else n or p for n, p in zip(names, parts, strict=True)]
    units = cells_of(path, lines[at + 1], separator, at + 1) if at + 1 < len(lines) else []
    values, numbers = padded_numbers(path, lines, at + 2, columns, separator, empty="end")
    where = f"{path}: section '{title}' (line {max(at - 2, 1)})"
    try:
        rate = float(said.replace(",", "."))
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e6:
        raise InputError(f"{where} has '{said[:20]}' where its rate [Hz] should be; export it again")
    if len(values) < 2 or width < 3:
        raise InputError(f"{where} has {len(values)} rows of {max(width - 2, 0)} channels; export it again")
    frame, sub = values[:, 0], values[:, 1]
    count = float(np.nanmax(sub)) + 1
    place = (frame - 1) * count + sub
    if not np.all(np.diff(place) == 1):
        bad = int(np.argmax(~(np.diff(place) == 1))) + 1
        raise InputError(f"{where}: frames do not follow each other on line {numbers[bad]}; export it again")
    units = [u.strip() for u in (units + [""] * width)[2:width]]
    block = Block(tuple(columns[2:]), values[:, 2:], tuple(units), title, place / rate, lines=numbers)
    return block, int(frame[0])


def _recognised(head: bytes) -> str | None:
    lines = decoded(head).splitlines()
    found = any(
        _FRAME.match(line.strip()) and i >= 3 and re.match(r'"?[\d.,]+"?[,;\t]*$', lines[i - 2].strip())
        for i, line in enumerate(lines[:400])
    )
    return "because 'Frame,Sub Frame' stands below a rate" if found else None


FORMAT = Format("Vicon Nexus' export", (), _recognised, contents_of_vicon)
