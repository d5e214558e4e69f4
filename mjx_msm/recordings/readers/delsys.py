"""Delsys' exports (``.csv``) of EMGworks and Trigno Discover: a time column before every channel, or every sensor.

Channels have rates of their own, so that columns end at different rows. In Trigno Discover's the sensor's name stands
rows above that of the channel.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.sections import carried, padded_numbers
from mjx_msm.recordings.readers.text import bare, cells_of, decoded, is_number, lines_of, separator_of
from mjx_msm.recordings.readers.timing import unit_in

_TIME = re.compile(r"X ?\[(s|ms)\]|.*time series ?\((s|ms)\)", re.IGNORECASE)


def contents_of_delsys(path: Path) -> Contents:
    """The channels of an export; those with the same time column are a block.

    **Raises:** `InputError` if a channel has no samples, or no time.
    """
    lines = lines_of(path)
    at = _names_line(lines)
    if at is None:
        raise InputError(f"{path}: no line has a time column like 'X[s]' before the channels; export it again")
    separator = separator_of(lines[at]) or ","
    names = cells_of(path, lines[at], separator, at)
    while names and not names[-1]:
        names.pop()
    first = at + 1
    while first < len(lines) and not any(map(is_number, cells_of(path, lines[first], separator, first))):
        first += 1  # the rates: "", "2148.15 Hz"
    values, numbers = padded_numbers(path, lines, first, names, separator)
    above = [cells_of(path, lines[i], separator, i) for i in range(at) if bare(lines[i])]
    header = {row[0].rstrip(":"): row[1] for row in above if len(row) > 1 and row[0].endswith(":") and row[1]}
    wide = [row for row in above if not row[0].endswith(":") and not row[0].lower().startswith("sensor mode")]
    sensors = carried(wide[-1], len(names), 0) if wide and len(set(names)) < len(names) else [""] * len(names)
    clocks = [i for i, n in enumerate(names) if _TIME.fullmatch(n)]
    blocks = []
    for a, b in zip(clocks, [*clocks[1:], len(names)], strict=True):
        held = np.flatnonzero(np.isfinite(values[:, a]))
        if b - a < 2 or not len(held):
            continue
        part = values[: held[-1] + 1, a:b]
        columns = [f"{sensors[i]}/{names[i]}" if sensors[i] else names[i] for i in range(a + 1, b)]
        units = tuple(unit_in(names[i]) for i in range(a + 1, b))
        unit = unit_in(names[a]) or "s"
        blocks.append(Block((f"time [{unit}]", *columns), part, (unit, *units), lines=numbers[: len(part)]))
    if not blocks:
        raise InputError(f"{path}: its channels hold no samples; export it again")
    return Contents(path, tuple(blocks), header=header)


def _names_line(lines: list[str]) -> int | None:
    for i, line in enumerate(lines[:200]):
        separator = separator_of(line)
        if separator and _TIME.fullmatch(line.split(separator)[0].strip().strip('"')):
            return i
    return None


def _recognised(head: bytes) -> str | None:
    return (
        "because a time column like 'X[s]' comes first" if _names_line(decoded(head).splitlines()) is not None else None
    )


FORMAT = Format("Delsys' export", (), _recognised, contents_of_delsys)
