"""EDF and BDF files, which BIDS keeps EMG in: signals, each at its rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.confined import Parser, parsed
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format

PARSER = Parser("edf", "EDF or BDF", "pyedflib", slowness=4.0)


def contents_of_edf(path: Path) -> Contents:
    """The signals of an EDF or BDF file, those of one rate and length as a block."""
    found = parsed(path, PARSER)
    labels, units, rates = found["labels"].tolist(), found["units"].tolist(), found["rates"].tolist()
    groups: dict[tuple[float, int], list[int]] = {}
    for i, rate in enumerate(rates):
        if len(found[f"{i}"]):
            groups.setdefault((rate, len(found[f"{i}"])), []).append(i)
    if not groups or not all(0 < rate < 1e6 for rate, _ in groups):
        raise InputError(f"{path}: holds no signal with a rate; export it again")
    blocks = []
    for (rate, _), members in groups.items():
        values = np.column_stack([found[f"{i}"] for i in members])
        names = tuple(labels[i] or f"signal {i + 1}" for i in members)
        values = np.where(np.isfinite(values), values, np.nan)
        blocks.append(Block(names, values, tuple(units[i] for i in members), rate=rate))
    return Contents(path, tuple(blocks))


def _recognised(head: bytes) -> str | None:
    if head.startswith(b"\xffBIOSEMI"):
        return "because it begins with 'BIOSEMI'"
    edf = head.startswith(b"0       ") and len(head) >= 256 and head[168:184].count(b".") == 4
    return "because its header is that of EDF" if edf else None


FORMAT = Format("an EDF or BDF file", (".edf", ".bdf"), _recognised, contents_of_edf)
