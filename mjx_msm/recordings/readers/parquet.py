"""Parquet files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.confined import Parser, parsed
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.timing import unit_in

PARSER = Parser("parquet", "Parquet", "pyarrow", slowness=4.0)


def contents_of_parquet(path: Path) -> Contents:
    """The columns of numbers of a Parquet file; dates count seconds from the first."""
    found = parsed(path, PARSER)
    names, words = found["columns"].tolist(), found["words"].tolist()
    if not names:
        raise InputError(f"{path}: holds no column of numbers; save samples, not lists or texts")
    values = np.where(np.isfinite(found["values"]), found["values"], np.nan)
    units = tuple(unit or unit_in(name) for unit, name in zip(found["units"].tolist(), names, strict=True))
    shown = ", ".join(f"'{w}'" for w in words[:6])
    notes = (f"{path}: {shown} hold no plain numbers; left out",) if words else ()
    return Contents(path, (Block(tuple(names), values, units),), notes=notes)


def _recognised(head: bytes) -> str | None:
    return "because it begins with 'PAR1'" if head.startswith(b"PAR1") else None


FORMAT = Format("a Parquet file", (".parquet", ".pq"), _recognised, contents_of_parquet)
