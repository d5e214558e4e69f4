"""The recordings a subject file names, as trials: columns found, units and signs put right, EMG processed."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.recordings import emg as emg_signals
from mjx_msm.recordings.quality.emg_cleaning import cleaned
from mjx_msm.recordings.quality.emg_quality import IN_VOLTS
from mjx_msm.recordings.readers.reading import read_table
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.subject_file.emg import channels_of
from mjx_msm.recordings.subject_file.grammar import Document
from mjx_msm.recordings.subject_file.trials import Column, TrialEntry
from mjx_msm.recordings.trial import Trial, build_trial

IMPLAUSIBLE_MOMENT = 15.0
"""Net joint moments of landing and jumping stay below about 5 N·m per kg of body mass."""


@dataclass(frozen=True)
class Recordings:
    """What the files hold."""

    trials: tuple[tuple[str, Trial], ...]
    """Role and trial."""
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    """What deserves a look."""


def read_recordings(document: Document) -> Recordings:
    """Read the files of all trials, every one once.

    **Raises:** `InputError` naming the file and column that does not fit.
    """
    cache: dict[tuple[Path, str | None], Table] = {}

    def read(path: Path, time_column: str | None) -> Table:
        path = Path(os.path.normpath(path))
        key = (path, time_column)
        if key not in cache:
            cache[key] = read_table(path, time_column=time_column)
        return cache[key]

    notes: list[str] = []
    channels = channels_of(document.emg_map)
    signals: dict[str, Table] = {}
    for trial in document.trials:
        if trial.emg is not None and channels:
            table = read(trial.emg, trial.time_column)
            signals[trial.name] = _emg(document, trial, table, channels, notes)
    signals = _normalised(document, signals, channels, notes)
    trials: list[tuple[str, Trial]] = []
    for trial in document.trials:
        motion = _motion(document, trial, read(trial.motion, trial.time_column), notes)
        moments = (
            _moments(document, trial, read(trial.moments, trial.time_column)) if trial.moments is not None else None
        )
        used = {"motion": trial.motion, "emg": trial.emg, "moments": trial.moments}
        metadata = {key: Path(os.path.normpath(p)).name for key, p in used.items() if p is not None}
        built = build_trial(
            trial.name,
            motion,
            rate=document.identify.rate,
            emg=signals.get(trial.name),
            moments=moments,
            prescribed=document.model.prescribed,
            start=trial.start,
            stop=trial.stop,
            metadata={**metadata, "role": trial.role, **_sources(trial)},
            task=trial.task,
            **document.sampling,  # type: ignore[arg-type]
        )
        notes += [n for n in built.metadata["notes"] if n not in notes]  # type: ignore[attr-defined]
        trials.append((trial.role, built))
    return Recordings(tuple(trials), tuple(dict.fromkeys(path for path, _ in cache)), tuple(notes))


def _sources(trial: TrialEntry) -> dict[str, dict[str, str]]:
    """Which columns a trial's coordinates and moments come from, as far as the subject file says."""
    said = {"columns": trial.columns, "moment_columns": trial.moment_columns}
    return {key: {name: column.column for name, column in columns.items()} for key, columns in said.items()}


def _normalised(
    document: Document, signals: dict[str, Table], channels: Sequence[str], notes: list[str]
) -> dict[str, Table]:
    """Envelopes over their reference, which is that of the trials to identify from."""
    training = [signals[t.name].values for t in document.trials if t.role == "identify" and t.name in signals]
    if not training:
        return signals
    try:
        reference = emg_signals.references(training, channels, document.processing)
    except InputError as error:
        raise InputError(f"{document.path} [emg]: {error}") from None
    out = {}
    for name, table in signals.items():
        values = emg_signals.normalise(table.values, reference, clip=False)
        peak = np.nanmax(values, axis=0)
        if document.processing.clip:
            for channel, top in zip(channels, peak, strict=True):
                if top > 1.05:
                    notes.append(
                        f"trial '{name}': EMG channel '{channel}' exceeds its reference by "
                        f"{100 * (top - 1):.0f} %; cut off at 1"
                    )
            values = np.clip(values, 0.0, 1.0)
        elif np.max(peak) > 3:
            channel = channels[int(np.argmax(peak))]
            notes.append(
                f"{table.path}: EMG channel '{channel}' reaches {np.max(peak):.3g}, an envelope is "
                'nominally 0 to 1; in percent? Set normalise = 100 in [emg.processing], or "max"'
            )
        elif document.processing.normalise is None and 0 < np.max(peak) < IN_VOLTS:
            channel = channels[int(np.argmax(peak))]
            notes.append(
                f"{table.path}: no EMG channel reaches more than {np.max(peak):.2g} ('{channel}'), an envelope is "
                'nominally 0 to 1; in volts? Set normalise = "max" in [emg.processing]'
            )
        out[name] = replace(table, values=values)
    return out


def _emg(document: Document, trial: TrialEntry, table: Table, channels: Sequence[str], notes: list[str]) -> Table:
    """The channels in use as envelopes, not yet normalised."""
    try:
        table = table.select({c: document.aliases.get(c, c) for c in channels})
    except InputError as error:
        raise InputError(f"{error} ([emg] of {document.path.name})") from None
    table = table.shifted(trial.offsets.get("emg", 0.0))
    raw = document.kind == "raw"
    if raw:
        table = _evenly(table, document.sampling["max_gap"])
    table, lines = cleaned(table, channels, raw=raw, max_gap=document.sampling["max_gap"])
    table = replace(table, notes=(*table.notes, *lines))
    if raw:
        try:
            return replace(table, values=emg_signals.envelope(table.values, table.rate, document.processing))
        except InputError as error:
            raise InputError(f"{table.path}: {error}") from None
    values = table.values.copy()
    for i, channel in enumerate(channels):
        low, high = float(np.nanmin(values[:, i])), float(np.nanmax(values[:, i]))
        if low < -0.05 * max(high, 0.0):
            raise InputError(
                f"{table.path}: EMG channel '{channel}' goes down to {low:.3g}, an envelope cannot be "
                'negative; set kind = "raw" in [emg] if it is raw EMG'
            )
        if low < 0:
            notes.append(f"{table.path}: EMG channel '{channel}' dips to {low:.3g}; taken as 0")
        values[:, i] = np.maximum(values[:, i], 0.0)
    return replace(table, values=values)


def _evenly(table: Table, max_gap: float) -> Table:
    """Raw EMG on an even clock, which filters need; short gaps interpolated, long ones NaN."""
    step = np.diff(table.time)
    even = np.ptp(step) < 0.01 * np.median(step)
    if even and np.all(np.isfinite(table.values)):
        return table
    count = round((table.time[-1] - table.time[0]) * table.rate) + 1
    time = table.time if even else np.linspace(table.time[0], table.time[-1], count)
    columns = []
    for values in table.values.T:
        known = np.isfinite(values)
        at = table.time[known]
        column = np.interp(time, at, values[known], left=np.nan, right=np.nan)
        for i in np.flatnonzero(np.diff(at) > max(max_gap, 1.5 / table.rate)):
            column[(time > at[i]) & (time < at[i + 1])] = np.nan
        columns.append(column)
    return replace(table, time=time, values=np.column_stack(columns))


def _motion(document: Document, trial: TrialEntry, table: Table, notes: list[str]) -> Table:
    """The recorded coordinates under the model's names [rad, m]."""
    coordinates = (*document.model.free, *document.model.prescribed)
    columns = {c: trial.columns.get(c) or Column(_find(table, c, (c,), trial.where, "columns")) for c in coordinates}
    table = table.select({c: column.column for c, column in columns.items()}).shifted(trial.offsets.get("motion", 0.0))
    declared = {None: "auto", True: "deg", False: "rad"}[table.in_degrees]
    if trial.units != "auto" and table.in_degrees is not None and trial.units != declared:
        notes.append(
            f'{table.path}: says inDegrees={"yes" if table.in_degrees else "no"}, units = "{trial.units}" overrides it'
        )
    values = table.values.copy()
    small: list[str] = []
    largest = 0.0
    for i, column in enumerate(columns.values()):
        unit = column.units or (trial.units if trial.units != "auto" else declared)
        x = values[:, i] * column.scale + column.offset
        size = float(np.nanmax(np.abs(x))) if np.any(np.isfinite(x)) else 0.0
        if unit == "deg":
            x = np.deg2rad(x)
            small.append(column.column)
            largest = max(largest, size)
        elif unit != "m" and size > 2 * math.pi:
            said = "no unit is given" if unit != "rad" else f"{_source(document, trial, column)} says radians"
            raise InputError(
                f"{table.path}: column '{column.column}' reaches {size:.4g}, which looks like degrees "
                f'({said}); set units = "deg" (or "m" for a length) in {trial.where}'
            )
        values[:, i] = x
    if small and 0 < largest < math.pi:
        notes.append(
            f"{table.path}: angles declared in degrees stay within {largest:.3g}° ({', '.join(small)}), "
            'which looks like radians; set units = "rad" if they are'
        )
    return replace(table, values=values)


def _source(document: Document, trial: TrialEntry, column: Column) -> str:
    """Who gives a column's unit: the subject file before the recording."""
    return document.path.name if column.units or trial.units != "auto" else "the file"


def _moments(document: Document, trial: TrialEntry, table: Table) -> Table:
    """Joint moments under the coordinates' names [N·m]."""
    columns = dict(trial.moment_columns)
    needed = "moment" in document.identify.residuals
    if not columns:
        for c in document.model.free:
            if needed or c in table.columns or f"{c}_moment" in table.columns:
                columns[c] = Column(_find(table, c, (f"{c}_moment", c), trial.where, "moment_columns"))
    if needed:
        for coordinate in document.model.free:
            if coordinate not in columns:
                raise InputError(
                    f"{trial.where}: moment_columns has no entry for the free coordinate '{coordinate}'; "
                    f"add it{suggest(coordinate, table.columns)}"
                )
    table = table.select({c: column.column for c, column in columns.items()}).shifted(trial.offsets.get("moments", 0.0))
    values = table.values.copy()
    for i, column in enumerate(columns.values()):
        per_kilogram = document.subject.mass if column.units == "Nm/kg" else 1.0
        values[:, i] = (values[:, i] * column.scale + column.offset) * per_kilogram
        peak = float(np.nanmax(np.abs(values[:, i]), initial=0.0)) / document.subject.mass
        if peak > IMPLAUSIBLE_MOMENT:
            fix = "the column seems to hold N·m already: remove units" if per_kilogram != 1.0 else "check its units"
            raise InputError(
                f"{table.path}: column '{column.column}' reaches {peak:.3g} N·m per kg of body mass, more than a joint "
                f"can bear; {fix}"
            )
    return replace(table, values=values)


def _find(table: Table, coordinate: str, names: Sequence[str], where: str, key: str) -> str:
    """The column of a coordinate that was not mapped: its own name, also as OpenSim's path."""
    for name in names:
        if name in table.columns:
            return name
    ends = [c for c in table.columns if c.endswith(f"/{coordinate}/value")]
    if len(ends) == 1 and key == "columns":
        return ends[0]
    raise InputError(
        f"{table.path}: no column for coordinate '{coordinate}'{suggest(coordinate, table.columns)} (map "
        f"it in {key} of {where})"
    )
