"""``[[trials]]``: the files of every trial, and the columns in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section
from mjx_msm.recordings.subject_file.emg import channels_of
from mjx_msm.recordings.subject_file.identify import IdentifySpec
from mjx_msm.recordings.subject_file.model import UNITS, ModelSpec
from mjx_msm.recordings.subject_file.places import expanded

ROLES = ("identify", "held-out", "predict")
"""What a trial is for; one that is only to be predicted needs no moments."""


@dataclass(frozen=True)
class Column:
    """Where a coordinate's numbers come from."""

    column: str
    units: str | None = None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class TrialEntry:
    """One of ``[[trials]]``."""

    name: str
    where: str
    """In the file, for messages."""
    motion: Path
    emg: Path | None
    moments: Path | None
    role: str
    task: str
    start: float | None
    stop: float | None
    offsets: Mapping[str, float]
    units: str
    time_column: str | None
    columns: Mapping[str, Column]
    moment_columns: Mapping[str, Column]


def parse_trial(
    top: Section,
    entry: Any,
    index: int,
    data: Path,
    units: str,
    model: ModelSpec,
    emg_map: Mapping[str, Mapping[str, float]],
    identify: IdentifySpec,
) -> TrialEntry:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    label = f"'{name}'" if isinstance(name, str) else f"number {index + 1}"
    keys = (
        "name",
        "motion",
        "emg",
        "moments",
        "role",
        "task",
        "start",
        "stop",
        "time_offset",
        "units",
        "time_column",
        "columns",
        "moment_columns",
    )
    section = Section(entry, f"{top.where} [[trials]] {label}", keys)

    def file(key: str, required: bool) -> Path | None:
        if required:
            section.require(key, "the name of a file")
        value = section.text(key)
        return None if value is None else data / expanded(value, f"{section.where}: {key}")

    role = section.text("role", "identify", options=ROLES) or ""
    emg = file("emg", bool(channels_of(emg_map)))
    moments = file("moments", False)
    motion = file("motion", True)
    assert motion is not None
    if moments is None and "moment" in identify.residuals and role != "predict":
        raise InputError(
            f"{section.where}: 'moments' is missing, which residuals = [\"moment\"] needs; give the file, "
            "or choose other residuals"
        )
    start, stop = section.number("start", unit="s"), section.number("stop", unit="s")
    if start is not None and stop is not None and start >= stop:
        raise InputError(f"{section.where}: start = {start:g} is not before stop = {stop:g}; correct them")
    offsets = Section(section.data.get("time_offset", {}), f"{section.where} time_offset", ("motion", "emg", "moments"))

    everything = (*model.free, *model.prescribed, *model.locked)
    columns = _columns(top, section, "columns", everything, (*UNITS[1:], "m"))
    moment_columns = _columns(top, section, "moment_columns", model.free, ("Nm", "Nm/kg"))
    return TrialEntry(
        name=section.text("name", required=True) or "",
        where=section.where,
        motion=motion,
        emg=emg,
        moments=moments,
        role=role,
        task=section.text("task") or "",
        start=start,
        stop=stop,
        offsets={key: offsets.number(key, unit="s") or 0.0 for key in offsets.data},
        units=section.text("units", units, options=UNITS) or "",
        time_column=section.text("time_column", top.text("time_column")),
        columns=columns,
        moment_columns=moment_columns,
    )


def _columns(
    top: Section, trial: Section, key: str, coordinates: Sequence[str], units: Sequence[str]
) -> dict[str, Column]:
    out: dict[str, Column] = {}
    for data, where in (
        (top.data.get(key, {}), f"{top.where} [{key}]"),
        (trial.data.get(key, {}), f"{trial.where} {key}"),
    ):
        section = Section(data, where, None)
        for coordinate, value in section.data.items():
            if coordinate not in coordinates:
                role = "neither free, prescribed nor locked" if key == "columns" else "not free"
                raise InputError(f"{where}: '{coordinate}' is {role} in [model]{suggest(coordinate, coordinates)}")
            if isinstance(value, str):
                out[coordinate] = Column(value)
                continue
            detail = Section(value, f"{where} {coordinate}", ("column", "units", "scale", "offset"))
            scale, offset = detail.number("scale", 1.0), detail.number("offset", 0.0)
            assert scale is not None
            assert offset is not None
            if scale == 0:
                raise InputError(f"{detail.where}: scale is 0; give 1, -1 or another factor")
            out[coordinate] = Column(
                detail.text("column", required=True) or "", detail.text("units", options=units), scale, offset
            )
    return out
