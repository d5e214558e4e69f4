"""The line of a subject file that a contradiction asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mjx_msm.recordings.readers.units import Unit, unit_of
from mjx_msm.recordings.subject_file.columns import Column, Reading
from mjx_msm.recordings.trial import Trial

_SI = {"columns": "rad", "moment_columns": "Nm"}
"""What a trial holds, where nobody says what its file did."""


@dataclass(frozen=True)
class Change:
    """What would have to be done to a coordinate's numbers as they were read."""

    turned: bool = False
    """Counted the other way."""
    plus: float = 0.0
    """Then added [rad]."""
    units: str = ""
    """What they are in instead; with the factor of their unit, where that is per kilogram."""


def reading_of(trial: Trial, section: str, coordinate: str) -> Reading:
    """How a trial's coordinate, or its moment, was read; one without a name where that is not known."""
    known: Any = trial.metadata.get(section)
    found = known.get(coordinate) if isinstance(known, Mapping) else None
    return found if isinstance(found, Reading) else Reading(Column("…"), _SI[section])


def line_of(trial: Trial, section: str, coordinate: str, change: Change) -> str:
    """`coordinate = { column = "…", … } in [section]`: what the subject file says of the column, with a change.

    In the trial's own table, where that says it: there it comes before what is said for all.
    """
    reading = reading_of(trial, section, coordinate)
    column, unit = reading.column, unit_of(reading.unit) or Unit("", 1.0)
    sign = -1.0 if change.turned else 1.0
    scale = sign * (1.0 if column.scale is None else column.scale)
    offset = sign * column.offset + round(change.plus / unit.factor, 9)
    units = column.units
    if change.units == "Nm/kg":
        units = {1.0: "Nm/kg", 1e-3: "Nmm/kg"}.get(unit.factor)
        if units is None:
            scale, offset, units = scale * unit.factor, offset * unit.factor, "Nm/kg"
    elif change.units:
        units = change.units
    values = {"column": column.column, "units": units, "scale": scale, "offset": offset, "lever": column.lever}
    said = {k: v for k, v in values.items() if v is not None and (k, v) not in (("scale", 1.0), ("offset", 0.0))}
    told = {k: json.dumps(v, ensure_ascii=False) for k, v in said.items()}
    if column.lever_sd is not None:
        told["lever"] = f"{{ mean = {column.lever}, sd = {column.lever_sd} }}"
    inside = ", ".join(f"{k} = {v}" for k, v in told.items())
    return f"{coordinate} = {{ {inside} }} in {f'{section} of the trial' if column.of_trial else f'[{section}]'}"
