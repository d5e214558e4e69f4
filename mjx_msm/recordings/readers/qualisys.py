"""Qualisys Track Manager's export (``.tsv``): keys with values, then rows; names of markers or channels are a key."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.sections import padded_numbers
from mjx_msm.recordings.readers.text import against_announced, decoded, is_number, lines_of
from mjx_msm.recordings.readers.timing import is_time

_KEY = re.compile(r"[A-Z][A-Z_]+(\t|$)")


def contents_of_qualisys(path: Path) -> Contents:
    """Markers (``<name>/X`` …, in mm), analog channels, or segments of an export.

    **Raises:** `InputError` if names and columns do not fit, or there is no rate.
    """
    lines = lines_of(path)
    keys: dict[str, list[str]] = {}
    at = 0
    while at < len(lines) and (_KEY.match(lines[at]) or not lines[at].strip()):
        key, *values = lines[at].split("\t")
        if key.strip():
            keys[key.strip()] = [v.strip() for v in values if v.strip()]
        at += 1
    if at >= len(lines):
        raise InputError(f"{path}: no rows follow its header; export it again")
    row = [c.strip() for c in lines[at].rstrip("\t ").split("\t")]
    markers = keys.get("MARKER_NAMES", []) or keys.get("TRAJECTORY_NAMES", [])
    channels = keys.get("CHANNEL_NAMES", []) or keys.get("ANALOG_NAMES", [])
    if any(map(is_number, row)):
        names = [f"{m}/{axis}" for m in markers for axis in "XYZ"] or channels
        lead = ["Frame", "Time"][: len(row) - len(names)] if 0 <= len(row) - len(names) <= 2 else []
        names = ([] if not lead else ["Time"] if len(lead) == 1 else lead) + names
        first = at
    else:
        names = [re.sub(r" ([XYZ])$", r"/\1", n) for n in row]
        first = at + 1
    if len(names) < len(row):
        raise InputError(f"{path}: has {len(row)} columns and names of {len(names)}; export it again")
    timed = _timed(names) or "Frame" in names
    values, numbers = padded_numbers(path, lines, first, names, "\t", empty="skipped" if timed else "rows")
    keep = [i for i, n in enumerate(names) if n not in ("Frame", "Sample", "") or (n != "" and not _timed(names))]
    said = next(iter(keys.get("FREQUENCY", []) or keys.get("SAMPLE_RATE", [])), "")
    rate = float(said) if is_number(said) and 0 < float(said) < 1e6 else None
    values = values[:, keep]
    names = [names[i] for i in keep]
    if markers:
        values = values.copy()
        for i in range(len(names) - 2):  # unseen markers are written as zeros
            if names[i].endswith("/X"):
                values[np.all(values[:, i : i + 3] == 0, axis=1), i : i + 3] = np.nan
    units = tuple("s" if is_time(n) else "mm" if markers and n[-2:] in ("/X", "/Y", "/Z") else "" for n in names)
    block = Block(tuple(names), values, units, rate=rate, lines=numbers)
    announced = next(iter(keys.get("NO_OF_FRAMES", []) or keys.get("NO_OF_SAMPLES", [])), None)
    notes = against_announced(path, announced, len(values))
    return Contents(path, (block,), header={k: " ".join(v) for k, v in keys.items()}, notes=notes)


def _timed(names: list[str]) -> bool:
    return any(is_time(n) for n in names)


def _recognised(head: bytes) -> str | None:
    text = decoded(head)
    return "because it begins with 'NO_OF_'" if text.startswith(("NO_OF_FRAMES\t", "NO_OF_SAMPLES\t")) else None


FORMAT = Format("Qualisys Track Manager's export", (), _recognised, contents_of_qualisys)
