"""``columns``, ``moment_columns``, and what is said of the files' time: for all trials, and for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section
from mjx_msm.recordings.readers.timing import UNITS as TIME_UNITS
from mjx_msm.recordings.readers.timing import Timing
from mjx_msm.recordings.readers.units import unit_of
from mjx_msm.recordings.subject_file.model import UNITS

KINDS = ("motion", "emg", "moments")
"""Of files."""
TIMING = ("time_column", "time_unit", "sampling_rate")
"""Keys that say which column is time, or how many samples a second has; each for all files, or a table by kind."""
ANGLES = (*UNITS[1:], "m")
MOMENTS = ("Nm", "Nm/kg")


@dataclass(frozen=True)
class Column:
    """Where a coordinate's numbers come from."""

    column: str
    units: str | None = None
    scale: float | None = None
    """None: nothing is said, as if it were 1."""
    offset: float = 0.0
    lever: float | None = None
    """Distance from the joint at which a force was measured [m]; None: the column is a moment, or an angle."""
    lever_sd: float | None = None
    """How well that is known [m]; None: exactly."""
    of_trial: bool = False
    """Whether a trial says so of its own, before what is said for all."""


@dataclass(frozen=True)
class Reading:
    """How a column was read: as the subject file says, or as its own file does."""

    column: Column
    unit: str
    """That its numbers, scale and offset applied, are in."""


def parse_timing(top: Section, trial: Section) -> dict[str, Timing]:
    """What is said of the time of each kind of file; a trial's own before that for all."""
    out = {}
    for kind in KINDS:
        said: dict[str, str | float | None] = dict.fromkeys(TIMING)
        of_file = False
        for section in (top, trial):
            for key in TIMING:
                value = section.data.get(key)
                holder, name = section, key
                if isinstance(value, Mapping):
                    holder, name = section.inside(value, f"{section.where} {key}", KINDS, key), kind
                if name not in holder.data:
                    continue
                if key == "sampling_rate":
                    of_file = holder is section  # one number, for whatever the file holds
                    said[key] = holder.number(name, low=1, high=1e6, unit="Hz")
                else:
                    said[key] = holder.text(name, options=TIME_UNITS if key == "time_unit" else None)
        out[kind] = Timing(said["time_column"], said["time_unit"], said["sampling_rate"], of_file)  # type: ignore[arg-type]
    return out


def parse_columns(
    top: Section, trial: Section, key: str, coordinates: Sequence[str] | None, kinds: Sequence[str]
) -> dict[str, Column]:
    """The columns that are mapped to coordinates.

    **Arguments:** `coordinates`: those that have a role, None where that is not known; `kinds`: of the units that are
    allowed.

    **Raises:** `InputError` for a coordinate without a role, or a unit of another kind.
    """
    out: dict[str, Column] = {}
    moments = "moment" in kinds
    for holder, where, own in ((top, f"{top.where} [{key}]", False), (trial, f"{trial.where} {key}", True)):
        section = holder.inside(holder.data.get(key, {}), where, None, key)
        for coordinate, value in section.data.items():
            if coordinates is not None and coordinate not in coordinates:
                role = "not free" if moments else "neither free, prescribed nor locked"
                what = f"{where}: '{coordinate}' is {role} in [model]{suggest(coordinate, coordinates)}"
                section.refuse(InputError(what), coordinate)
                continue
            if isinstance(value, str):
                out[coordinate] = Column(value, of_trial=own)
                continue
            keys = ("column", "units", "scale", "offset", *(("lever",) if moments else ()))
            detail = section.inside(value, f"{where} {coordinate}", keys, coordinate)
            out[coordinate] = replace(_column(detail, kinds), of_trial=own)
    return out


def _column(detail: Section, kinds: Sequence[str]) -> Column:
    scale, offset = detail.number("scale"), detail.number("offset", 0.0)
    assert offset is not None
    if scale == 0:
        detail.refuse(InputError(f"{detail.where}: scale is 0; give 1, -1 or another factor"), "scale")
    lever, lever_sd = _lever(detail)
    units = detail.text("units")
    wanted = ("force",) if lever is not None else kinds
    if units is not None:
        found = unit_of(units)
        if found is None or found.kind not in wanted:
            known = {"force": "'N' or 'kgf'"}.get(wanted[0], ", ".join(f"'{u}'" for u in _usual(kinds)))
            close = suggest(units, _usual(kinds)) if lever is None else ""
            more = "; is it a force? Give its lever [m]" if found is not None and found.kind == "force" else ""
            what = f"{detail.where}: units = '{units}' is unknown{close or f'; give {known}'}{more}"
            detail.refuse(InputError(what), "units")
    return Column(detail.text("column", required=True) or "", units, scale, offset, lever, lever_sd)


def _lever(detail: Section) -> tuple[float | None, float | None]:
    """Of a force, and its standard deviation [m]."""
    if not isinstance(detail.data.get("lever"), Mapping):
        return detail.number("lever", low=0.01, high=2.0, unit="m"), None
    inside = detail.inside(detail.data["lever"], f"{detail.where} lever", ("mean", "sd"), "lever")
    mean = inside.number("mean", low=0.01, high=2.0, unit="m", required=True)
    return mean, inside.number("sd", low=1e-4, high=0.5, unit="m", required=True)


def _usual(kinds: Sequence[str]) -> tuple[str, ...]:
    return MOMENTS if "moment" in kinds else ANGLES
