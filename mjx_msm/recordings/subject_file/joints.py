"""Recorded coordinates and joint moments under the model's names, in SI: columns found, units and signs put right."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from mjx_msm.common.errors import Faults, InputError, suggest
from mjx_msm.recordings.quality.crossed_steps import OtherFoot, crossed_steps, spans, step_line
from mjx_msm.recordings.quality.moment_faults import moment_spikes, spike_lines
from mjx_msm.recordings.quality.motion_faults import motion_faults
from mjx_msm.recordings.readers.contents import Contents
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.readers.units import Unit, unit_of
from mjx_msm.recordings.subject_file.columns import ANGLES, MOMENTS, Column, Reading
from mjx_msm.recordings.subject_file.grammar import Document
from mjx_msm.recordings.subject_file.missing_columns import check_columns, coordinate_place
from mjx_msm.recordings.subject_file.sources import Files, found
from mjx_msm.recordings.subject_file.trials import TrialEntry
from mjx_msm.recordings.survey.spellings import called, words_of

IMPLAUSIBLE_MOMENT = 15.0
"""Net joint moments of landing and jumping stay below about 5 N·m per kg of body mass."""
NEAR, RARE, SMOOTH = 0.05, 0.05, 1.0
"""Of an angle that jumps by full turns [rad]: how far each jump is from one at most, of it; of how many of the steps
they may be, two a second at 40 Hz; and the greatest other step. Steps of degrees that happen to be of a turn's size,
6.28°, come with others between."""
ANKLE = "ankle_angle"
LEG = frozenset(("hip", "knee", "ankle", "subtalar", "mtp"))
"""Words for the joints into whose moments the force of the other foot goes."""
DYNAMOMETER = "dynamometer"
"""Key of a file's header, for what its text says it comes from."""


def motion(document: Document, trial: TrialEntry, files: Files, notes: list[str]) -> tuple[Table, dict[str, Reading]]:
    """The recorded coordinates [rad, m], and how each was read.

    **Raises:** `InputError` if a column is missing, or not an angle or a length; all such in one message.
    """
    assert trial.motion is not None
    contents = files.contents(trial.motion)
    coordinates = (*document.model.free, *document.model.prescribed)
    columns = _mapped(contents, trial, coordinates, trial.columns, "columns", lambda c: (c,))
    names = {c: x.column for c, x in columns.items()}
    check_columns(contents, names, coordinate_place(document, trial, "columns"))
    table = files.table(trial.motion, trial.timing["motion"], names)
    declared = {None: "auto", True: "deg", False: "rad"}[table.in_degrees]
    if trial.units != "auto" and table.in_degrees is not None and trial.units != declared:
        notes.append(
            f'{table.path}: says inDegrees={"yes" if table.in_degrees else "no"}, units = "{trial.units}" overrides it'
        )
    values = table.values.copy()
    small: list[str] = []
    read: dict[str, Reading] = {}
    largest, faults = 0.0, Faults()
    for i, (name, column) in enumerate(columns.items()):
        with faults.gathered():
            own = table.units[i] if table.units else ""
            measured = _measured(table, column, own, trial, ("angle", "length"), 'the angle in "deg" per V')
            said = column.units or (trial.units if trial.units != "auto" else measured or declared)
            unit = unit_of(said)
            read[name] = Reading(column, said)
            if trial.units == "auto":
                notes += _unknown(table, column, own, trial, "rad, or m", ANGLES)
            if measured and column.units is None and unit_of(measured) != unit:
                note = f'{table.path}: says that angles are in {measured}, units = "{trial.units}" overrides it'
                notes += [] if note in notes else [note]
            x = values[:, i] * _scale(column) + column.offset
            size = float(np.nanmax(np.abs(x))) if np.any(np.isfinite(x)) else 0.0
            turns = unit is None or unit.kind == "angle"
            if unit is not None and turns and unit.factor != 1.0:
                small.append(column.column)
                largest = max(largest, size)
            elif turns and size > 2 * math.pi and not _jumps(x):
                why = "no unit is given" if unit is None else f"{_source(document, trial, column)} says radians"
                raise InputError(
                    f"{table.path}: column '{column.column}' reaches {size:.4g}, which looks like degrees "
                    f'({why}); set units = "deg" (or "m" for a length) in {trial.where}'
                )
            values[:, i] = x if unit is None else np.deg2rad(x) if unit.factor == math.pi / 180 else x * unit.factor
            if turns:
                wrong = motion_faults(table.time, values[:, i])
                notes += [f"{table.path}: column '{column.column}' {fault}" for fault in wrong]
    faults.raise_any()
    if small and 0 < largest < math.pi:
        notes.append(
            f"{table.path}: angles declared in degrees stay within {largest:.3g}° ({', '.join(small)}), "
            'which looks like radians; set units = "rad" if they are'
        )
    return replace(table, values=values, units=()), read


def moments(
    document: Document, trial: TrialEntry, files: Files, notes: list[str]
) -> tuple[Table, dict[str, Reading], OtherFoot | None]:
    """Joint moments [N·m], those measured as a force at a lever included, how each was read, and where the other foot's
    force may be in them, on the table's time; None where that is nowhere, or is masked. Spikes are masked unless they
    are to be kept, what may be the other foot's force if it is asked for.

    **Raises:** `InputError` if a column is missing, or no moment; all such in one message.
    """
    assert trial.moments is not None
    contents = files.contents(trial.moments)
    needed = "moment" in document.identify.residuals
    given = dict(trial.moment_columns)
    if not given:
        wanted = [
            c for c in document.model.free if needed or c in contents.columns or f"{c}_moment" in contents.columns
        ]
        given = _mapped(contents, trial, wanted, {}, "moment_columns", lambda c: (f"{c}_moment", c))
    if needed:
        for coordinate in document.model.free:
            if coordinate not in given:
                raise InputError(
                    f"{trial.where}: moment_columns has no entry for the free coordinate '{coordinate}'; "
                    f"add it{suggest(coordinate, contents.columns)}"
                )
    if DYNAMOMETER in contents.header and trial.gravity is None:
        raise InputError(
            f"{contents.path}: is of a dynamometer ({contents.header[DYNAMOMETER]}), and nothing says whether the "
            f'weight of the limb is in its moment; set gravity = "corrected" or "included" in {trial.where}'
        )
    names = {c: x.column for c, x in given.items()}
    check_columns(contents, names, coordinate_place(document, trial, "moment_columns"))
    table = files.table(trial.moments, trial.timing["moments"], names)
    legs = [c.column for c in given.values() if LEG & set(words_of(c.column)) and called(c.column).side]
    crossed = _crossed(trial, files, table, notes) if legs else None
    if crossed is not None:
        said = step_line(table.time + trial.offsets.get("moments", 0.0), crossed, trial.other_foot == "masked")
        notes.append(f"trial '{trial.name}': {', '.join(legs)} ({table.path}) {said}")
    values, faults = table.values.copy(), Faults()
    read: dict[str, Reading] = {}
    for i, (name, column) in enumerate(given.items()):
        with faults.gathered():
            own = table.units[i] if table.units else ""
            kinds = ("force",) if column.lever is not None else ("moment", "moment per mass")
            said = column.units or _measured(table, column, own, trial, kinds, "N·m per V")
            unit = unit_of(said) or Unit(kinds[0], 1.0)
            read[name] = Reading(column, said or ("N" if column.lever is not None else "Nm"))
            usual, others = ("N", ("N", "kgf")) if column.lever is not None else ("N·m", MOMENTS)
            notes += _unknown(table, column, own, trial, usual, others)
            factor = unit.factor * (column.lever if column.lever is not None else 1.0)
            per_kilogram = unit.kind == "moment per mass"
            factor *= document.subject.mass if per_kilogram else 1.0
            values[:, i] = (values[:, i] * _scale(column) + column.offset) * factor
            spikes = moment_spikes(values[:, i], table.rate)
            peak = float(np.nanmax(np.abs(values[~spikes, i]), initial=0.0)) / document.subject.mass
            if peak > IMPLAUSIBLE_MOMENT:
                fix = "the column seems to hold N·m already: remove units" if per_kilogram else "check its units"
                raise InputError(
                    f"{table.path}: column '{column.column}' reaches {peak:.3g} N·m per kg of body mass, more than a "
                    f"joint can bear; {fix}"
                )
            if spikes.any() and trial.spikes == "masked":
                said = spike_lines(table.time + trial.offsets.get("moments", 0.0), values[:, i], spikes)
                notes.append(f"trial '{trial.name}': the moment of '{name}' ({table.path}) {said}")
                values[spikes, i] = np.nan
            if crossed is not None and column.column in legs and trial.other_foot == "masked":
                values[crossed, i] = np.nan
    faults.raise_any()
    there = None
    if crossed is not None and trial.other_foot == "kept":
        own = tuple(name for name, c in given.items() if c.column in legs)
        there = OtherFoot(trial.name, own, spans(table.time, crossed), float(np.mean(crossed)))
    return replace(table, values=values, units=()), read, there


def _crossed(trial: TrialEntry, files: Files, table: Table, notes: list[str]) -> Bool[np.ndarray, "time"] | None:
    """Samples with the force of a foot on the other's plate, where the file has the moments of both ankles, on
    whichever clock."""
    assert trial.moments is not None
    said = {column: called(column) for column in files.contents(trial.moments).columns}
    ankles = {c.side: column for column, c in said.items() if (c.coordinate, c.quantity) == (ANKLE, "moment")}
    if not {"right", "left"} <= ankles.keys():
        return None
    try:
        both = files.table(trial.moments, trial.timing["moments"], {side: ankles[side] for side in ("right", "left")})
    except InputError as error:
        notes.append(f"trial '{trial.name}': that the other foot's force is in no leg's moments is not known: {error}")
        return None
    right, left = both.values.T
    pushing = crossed_steps(right, left, both.rate)
    crossed = np.interp(table.time, both.time, pushing, left=0.0, right=0.0) > 0.5
    return crossed if crossed.any() else None


def _jumps(x: Float[np.ndarray, "time"]) -> bool:
    """Whether it is full turns between samples that make an angle large [rad]; those are told, as in degrees."""
    x = x[np.isfinite(x)]
    step = np.abs(np.diff(x))
    full = step > math.pi
    return bool(
        np.mean(full) < RARE
        and np.all(np.abs(step[full] / math.tau - 1) < NEAR)
        and np.all(step[~full] < SMOOTH)
        and np.max(np.abs(np.unwrap(x))) <= math.tau
    )


def _scale(column: Column) -> float:
    return 1.0 if column.scale is None else column.scale


def _measured(table: Table, column: Column, own: str, trial: TrialEntry, kinds: Sequence[str], per_volt: str) -> str:
    """The unit that the file says a column is in, "" if it says none that is known.

    **Raises:** `InputError` if what it measures is of another kind, and no scale makes it one of these.
    """
    unit = unit_of(own)
    if unit is None or unit.kind == "share":
        return ""
    if unit.kind in kinds:
        return own
    if column.scale is not None or column.units is not None:
        return ""
    where = f"{table.path}: column '{column.column}' is in {own}"
    if unit.kind == "voltage":
        raise InputError(f"{where}; give its scale ({per_volt}), and offset, in {trial.where}")
    if unit.kind == "force":
        raise InputError(f"{where}, a force; give its lever [m] in moment_columns of {trial.where}")
    raise InputError(f"{where}, which is no {' or '.join(kinds)}; map another column, or give units in {trial.where}")


def _unknown(
    table: Table, column: Column, own: str, trial: TrialEntry, usual: str, units: Sequence[str]
) -> Iterator[str]:
    """A note where a file gives a column's unit in a word that is not known, and nobody says what it means."""
    if not own or unit_of(own) is not None or column.units is not None or abs(_scale(column)) != 1.0:
        return
    known = ", ".join(f'"{u}"' for u in units)
    yield (
        f"{table.path}: the unit of column '{column.column}', '{own}', is not known; taken as {usual}: set units "
        f"({known}), or scale ({usual} per {own}), in {trial.where}"
    )


def _source(document: Document, trial: TrialEntry, column: Column) -> str:
    """Who gives a column's unit: the subject file before the recording."""
    return document.path.name if column.units or trial.units != "auto" else "the file"


def _mapped(
    contents: Contents,
    trial: TrialEntry,
    coordinates: Sequence[str],
    given: Mapping[str, Column],
    key: str,
    names: Callable[[str], Sequence[str]],
) -> dict[str, Column]:
    """The columns of coordinates, as mapped, or by their names."""
    out, faults = {}, Faults()
    for c in coordinates:
        with faults.gathered():
            hint = f"{suggest(c, contents.columns)} (map it in {key} of {trial.where})"
            out[c] = given.get(c) or Column(found(contents, c, names(c), lambda hint=hint: hint))
    faults.raise_any()
    return out
