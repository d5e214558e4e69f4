"""What BIDS keeps beside a table (``.tsv``, ``.tsv.gz``): rate, start in JSON; names, units in ``_channels.tsv``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.common.files import read_text
from mjx_msm.common.toml_tables import is_number
from mjx_msm.recordings.readers.contents import Block


def refuse_channels(path: Path) -> None:
    """**Raises:** `InputError` for a table of channels, which is no recording."""
    name, _, last = path.name.rpartition("_")
    if last != "channels.tsv" or not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline().rstrip("\r\n").lstrip("\ufeff").split("\t")
    if not {"name", "units"} <= {*header}:
        return
    tables = [path.with_name(f"{name}_{kind}.tsv{end}") for kind in ("emg", "motion") for end in ("", ".gz")]
    beside = ", ".join(table.name for table in tables if table.is_file())
    found = f" ({beside})" if beside else ""
    raise InputError(f"{path}: is a table of channels, read beside its recording; give that{found}")


def sidecar_of(path: Path) -> Mapping[str, Any]:
    """The JSON beside a table, empty where there is none.

    **Raises:** `InputError` if it cannot be read.
    """
    beside = path.with_name(_stem(path) + ".json")
    if path.name.lower().split(".", 1)[-1] not in ("tsv", "tsv.gz") or not beside.is_file():
        return {}
    try:
        said = json.loads(read_text(beside, "sidecar"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{beside}: is not valid JSON ({in_one_line(error)[:80]}); correct it") from None
    if not isinstance(said, dict):
        raise InputError(f"{beside}: must be an object with keys, e.g. SamplingFrequency; correct it")
    return said


def described(path: Path, block: Block, said: Mapping[str, Any]) -> Block:
    """A block with what the files beside it say of its columns."""
    channels = _channels(path)
    unnamed = block.columns == tuple(f"column {i + 1}" for i in range(len(block.columns)))
    for names in (said.get("Columns"), list(channels)):
        if unnamed and isinstance(names, list) and len(names) == len(set(map(str, names))) == len(block.columns):
            block = replace(block, columns=tuple(map(str, names)))
            break
    rate, start = (float(x) if is_number(x := said.get(k, 0.0)) else 0.0 for k in ("SamplingFrequency", "StartTime"))
    if 0 < rate < 1e6:
        block = replace(block, rate=rate, start=start)
    units = {n: str(v["Units"]) for n, v in said.items() if isinstance(v, dict) and "Units" in v}
    units = {**{n: u for n, u in channels.items() if u}, **units}
    own = block.units or ("",) * len(block.columns)
    found = tuple(o or units.get(c, "") for o, c in zip(own, block.columns, strict=True))
    return replace(block, units=found if any(found) else ())


def _stem(path: Path) -> str:
    return path.name.split(".", 1)[0]


def _channels(path: Path) -> dict[str, str]:
    """Units by channel, "" where there is none, in the order of the table of channels that goes with a recording."""
    table = path.with_name(_stem(path).rpartition("_")[0] + "_channels.tsv")
    if not table.is_file() or table == path:
        return {}
    rows = [line.split("\t") for line in read_text(table, "table of channels").splitlines() if line.strip()]
    if not rows or "name" not in rows[0] or "units" not in rows[0]:
        return {}
    name, unit = rows[0].index("name"), rows[0].index("units")
    return {r[name]: r[unit].replace("n/a", "") for r in rows[1:] if len(r) > max(name, unit)}
