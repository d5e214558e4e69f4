"""The recordings a subject file names, as trials: columns found, units and signs put right, EMG processed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import Faults, InputError
from mjx_msm.recordings import emg as emg_signals
from mjx_msm.recordings.emg import EmgProcessing
from mjx_msm.recordings.quality.crossed_steps import OtherFoot
from mjx_msm.recordings.quality.emg_cleaning import cleaned
from mjx_msm.recordings.readers.contents import ends_in
from mjx_msm.recordings.readers.joining import joined
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.subject_file import joints
from mjx_msm.recordings.subject_file.columns import Reading
from mjx_msm.recordings.subject_file.emg import channels_of
from mjx_msm.recordings.subject_file.exchanged_files import refuse_exchanged
from mjx_msm.recordings.subject_file.grammar import Document, Parts
from mjx_msm.recordings.subject_file.identify import ANY, IdentifySpec
from mjx_msm.recordings.subject_file.missing_columns import channel_place, check_columns
from mjx_msm.recordings.subject_file.model import ModelSpec
from mjx_msm.recordings.subject_file.normalising import normalised
from mjx_msm.recordings.subject_file.person import Person
from mjx_msm.recordings.subject_file.sources import Files, trimmed_in_time
from mjx_msm.recordings.subject_file.trials import NORMALISE, TrialEntry
from mjx_msm.recordings.trial import Trial, build_trial, check_pace

HELD_RATE = 100.0
"""Of a posture that was held, as a motion [Hz]."""
SLOWEST_EMG = 40.0
"""Fewer samples a second are no raw EMG: their time is not in seconds [Hz]."""


@dataclass(frozen=True)
class Recordings:
    """What the files hold."""

    trials: tuple[tuple[str, Trial], ...]
    """Role and trial."""
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    """What deserves a look."""


def read_recordings(document: Document, files: Files) -> Recordings:
    """Read the files of all trials, every one once.

    **Raises:** `InputError` naming the file and column that does not fit; `InputErrors` with all that do not.
    """
    faults = Faults()
    notes: list[str] = []
    channels = channels_of(document.emg_map)
    read: dict[str, tuple[Table, Table | None]] = {}
    signals: dict[str, Table] = {}
    how: dict[str, dict[str, dict[str, Reading]]] = {}
    crossed: dict[str, OtherFoot | None] = {}
    own = [trial for trial in document.trials if trial.role != NORMALISE]
    for trial in own:
        with faults.gathered():
            motion, moments, raw, how[trial.name], crossed[trial.name] = _tables(
                document, trial, files, channels, notes
            )
            read[trial.name] = motion, moments
            if raw:
                signals[trial.name] = _emg(document, trial, raw, channels, notes)
    greatest: list[Table] = []
    for trial in document.trials:
        if trial.role == NORMALISE:
            with faults.gathered():
                greatest.append(_effort(document, trial, files, channels, notes))
    faults.raise_any()
    signals = normalised(document, signals, greatest, channels, notes)
    trials: list[tuple[str, Trial]] = []
    for trial in own:
        used = {"motion": trial.motion, "emg": trial.emg, "moments": trial.moments}
        metadata = {key: Path(os.path.normpath(p)).name for key, p in used.items() if p is not None}
        with faults.gathered():
            built = build_trial(
                trial.name,
                read[trial.name][0],
                rate=document.identify.rate,
                emg=signals.get(trial.name),
                moments=read[trial.name][1],
                prescribed=document.model.prescribed,
                start=trial.start,
                stop=trial.stop,
                metadata={
                    **metadata,
                    "role": trial.role,
                    "gravity": trial.gravity,
                    "levers": _levers(trial),
                    "emg_columns": {c: document.column_of(trial, c) for c in channels},
                    "own_channels": tuple(trial.channels),
                    "silent": trial.silent,
                    "other_foot": crossed[trial.name],
                    **how[trial.name],
                },
                task=trial.task,
                **document.sampling,  # type: ignore[arg-type]
            )
            notes += [n for n in built.metadata["notes"] if n not in notes]  # type: ignore[attr-defined]
            trials.append((trial.role, built))
    faults.raise_any()
    return Recordings(tuple(trials), files.paths, tuple(notes))


def check_recordings(given: Parts, files: Files, faults: Faults) -> None:
    """Of a subject file with something wrong in it, also what is wrong with the recordings, as far as that can be told.

    Files that are not there; and columns of those trials, and by those sections, that nothing else is wrong with.
    """
    if given.data is None or not given.data.is_dir():
        return
    filled = replace(
        given,
        subject=given.subject or Person("", 70.0),
        model=given.model or ModelSpec("", "", (), (), {}),
        emg=given.emg or ("envelope", EmgProcessing(), {}, {}),
        identify=given.identify
        or IdentifySpec(free=ANY, residuals=("motion",), emg_map=given.emg[3] if given.emg else None),
        sampling=given.sampling or {"max_gap": 0.05},
    ).document()
    channels = channels_of(given.emg[3]) if given.emg else ()
    ready = {
        "motion": given.model is not None,
        "emg": given.emg is not None,
        "moments": None not in (given.model, given.subject, given.identify),
    }
    for i, (trial, unclear) in enumerate(zip(filled.trials, given.unclear, strict=True)):
        if all(ready.values()) and not unclear:
            try:
                refuse_exchanged(filled, trial, files)
            except InputError as error:
                faults.add(error, ("trials", i))
                continue
        for kind, path in (("motion", trial.motion), ("emg", trial.emg), ("moments", trial.moments)):
            with faults.gathered(("trials", i, kind)):
                if path is None:
                    continue
                files.contents(path)
                if kind in unclear or not ready[kind]:
                    continue
                if kind == "motion":
                    joints.motion(filled, trial, files, [])
                elif kind == "moments":
                    joints.moments(filled, trial, files, [])
                elif trial.role != NORMALISE:
                    _emg_tables(filled, trial, files, channels)


def _tables(
    document: Document, trial: TrialEntry, files: Files, channels: Sequence[str], notes: list[str]
) -> tuple[Table, Table | None, tuple[Table, ...], dict[str, dict[str, Reading]], OtherFoot | None]:
    """What was recorded of a trial on the trial's time: coordinates, moments, EMG as in its file; how columns were
    read, by the section of the subject file that says so; and where moments may have the other foot's force in them."""
    refuse_exchanged(document, trial, files)
    tables: dict[str, tuple[Table, ...]] = {}
    how: dict[str, dict[str, Reading]] = {}
    faults, crossed = Faults(), None
    if trial.posture is None:
        with faults.gathered():
            motion, how["columns"] = joints.motion(document, trial, files, notes)
            tables["motion"] = (motion,)
    if trial.moments is not None:
        with faults.gathered():
            moments, how["moment_columns"], crossed = joints.moments(document, trial, files, notes)
            tables["moments"] = (moments,)
            if trial.posture is not None:
                tables["motion"] = (_held(trial.posture, moments),)
    if trial.emg is not None and channels:
        with faults.gathered():
            tables["emg"] = _emg_tables(document, trial, files, channels)
    faults.raise_any()
    late = trimmed_in_time(trial, tables, notes)
    at = {k: tuple(x.shifted(trial.offsets.get(k, late[k])) for x in t) for k, t in tables.items()}
    if crossed is not None:
        crossed = crossed.shifted(trial.offsets.get("moments", late["moments"]))
    for kind, stretches in trial.masked.items():
        at |= {kind: tuple(_without(x, stretches, f"{trial.where} mask: {kind}", notes) for x in at.get(kind, ()))}
    return at["motion"][0], at["moments"][0] if "moments" in at else None, at.get("emg", ()), how, crossed


def _without(table: Table, stretches: Sequence[tuple[float, float]], where: str, notes: list[str]) -> Table:
    """A table with NaN in stretches of its time [s].

    **Raises:** `InputError` for one that holds none of its samples.
    """
    values = table.values.copy()
    for first, last in stretches:
        inside = (table.time >= first) & (table.time <= last)
        if not inside.any():
            raise InputError(
                f"{where} from {first:g} to {last:g} s holds no sample of {table.path}, which runs from "
                f"{table.time[0]:.4g} to {table.time[-1]:.4g} s; correct it"
            )
        values[inside] = np.nan
    parts = ", ".join(f"{first:g} to {last:g} s" for first, last in stretches)
    notes.append(f"{where} leaves out {parts} of {table.path}")
    return replace(table, values=values)


def _held(posture: Mapping[str, float], moments: Table) -> Table:
    """A posture as if it had been recorded as long as the moments were."""
    first, last = moments.time[0], moments.time[-1]
    time = np.linspace(first, last, max(2, round((last - first) * HELD_RATE) + 1))
    values = np.tile(list(posture.values()), (len(time), 1))
    return replace(moments, time=time, columns=tuple(posture), values=values, in_degrees=False, units=(), notes=())


def _emg_tables(document: Document, trial: TrialEntry, files: Files, channels: Sequence[str]) -> tuple[Table, ...]:
    """The channels as they are in a trial's file, without those that are silent in it."""
    assert trial.emg is not None
    wanted = {c: document.column_of(trial, c) for c in channels if c not in trial.silent}
    check_columns(files.contents(trial.emg), wanted, channel_place(document, trial))
    tables = files.tables(trial.emg, trial.timing["emg"], wanted)
    for table in tables:
        check_pace(table, 1 / SLOWEST_EMG if document.kind == "raw" else None)
    return tables


def _effort(document: Document, trial: TrialEntry, files: Files, channels: Sequence[str], notes: list[str]) -> Table:
    """Envelopes of a trial of greatest effort, from `start` to `stop`: of the channels that it has.

    **Raises:** `InputError` if it has none of those in use.
    """
    assert trial.emg is not None
    columns = files.contents(trial.emg).columns
    names = {c: document.column_of(trial, c) for c in channels}
    there = [c for c, own in names.items() if any(ends_in(x, own) for x in columns)]
    tables = _emg_tables(document, trial, files, there or channels)
    table = _emg(document, trial, tables, there, notes)
    kept = (table.time >= (-np.inf if trial.start is None else trial.start)) & (
        table.time <= (np.inf if trial.stop is None else trial.stop)
    )
    if not kept.any():
        raise InputError(
            f"{trial.where}: start and stop leave nothing of {table.path}, which runs from {table.time[0]:g} to "
            f"{table.time[-1]:g} s; change them"
        )
    notes += [note for note in table.notes if note not in notes]
    return replace(table, time=table.time[kept], values=table.values[kept])


def _levers(trial: TrialEntry) -> dict[str, float]:
    """Distances at which forces were measured that are not well known [m], by coordinate."""
    columns = trial.moment_columns.items() if trial.moments is not None else ()
    return {name: c.lever for name, c in columns if c.lever is not None and c.lever_sd is not None}


def _emg(
    document: Document, trial: TrialEntry, tables: Sequence[Table], channels: Sequence[str], notes: list[str]
) -> Table:
    """The channels in use as envelopes, not yet normalised, on one clock; those that are silent are zero."""
    heard = [c for c in channels if c not in trial.silent]
    table = joined([_envelopes(document, trial, table, table.columns, notes) for table in tables], heard)
    if not trial.silent:
        return table
    none = np.zeros(len(table.time))
    values = np.column_stack([none if c in trial.silent else table[c] for c in channels])
    return replace(table, columns=tuple(channels), values=values, units=())


def _envelopes(document: Document, trial: TrialEntry, table: Table, channels: Sequence[str], notes: list[str]) -> Table:
    """Channels that share a clock as envelopes, not yet normalised."""
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
