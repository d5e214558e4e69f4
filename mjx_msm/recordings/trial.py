"""A recorded trial on one uniform clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import file_name
from mjx_msm.recordings.emg import zero_phase
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.readers.table import Table


@dataclass(frozen=True)
class Trial:
    """One recording of a person, resampled to one uniform clock.

    Missing samples are NaN; consumers mask them by weight, never by shape. The clock may start before the
    motion does: EMG that precedes it lets activation settle and the electromechanical delay look back.
    """

    name: str
    time: Float[np.ndarray, "time"]
    """Uniform clock [s]."""
    coordinates: tuple[str, ...]
    """Names of the recorded coordinates, as in the model."""
    position: Float[np.ndarray, "time coordinate"]
    """[rad] (or [m] for slides)."""
    channels: tuple[str, ...]
    """Names of the EMG channels (for a trial with known excitations: the muscles' names)."""
    emg: Float[np.ndarray, "time channel"]
    """Envelope, nominally 0..1."""
    moment_coordinates: tuple[str, ...] = ()
    moment: Float[np.ndarray, "time moment_coordinate"] | None = None
    """Net joint moments, e.g. from inverse dynamics [N·m]; positive along the coordinate."""
    velocity: Float[np.ndarray, "time coordinate"] | None = None
    """Only where it was measured [rad/s]; None: consumers differentiate the position."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    """What else is known. ``gravity``: "included" where the moment is a dynamometer's, with the limb's weight in it.
    ``levers``: {coordinate: m} where the moment is a force times a distance that is to be estimated. ``silent``: the
    channels that drive nothing in this trial, and are zero. ``digests``: SHA-256 of the files it was read from."""
    task: str = ""
    """What was done, the same word for every trial of it; empty: nothing that any other trial did."""

    def __post_init__(self) -> None:
        here = f"trial '{self.name}'"
        n = len(self.time)
        if n < 2:
            raise InputError(f"{here}: its clock has {n} samples; at least two are needed")
        step = np.diff(self.time)
        if not np.all(np.isfinite(step)) or step.min() <= 0 or np.ptp(step) > 1e-6 * step.mean() + 1e-9:
            raise InputError(f"{here}: its clock is not uniform; resample it first, for example with build_trial")
        for what, names, values in (
            ("position", self.coordinates, self.position),
            ("emg", self.channels, self.emg),
            ("velocity", self.coordinates, self.velocity),
            ("moment", self.moment_coordinates, self.moment),
        ):
            if values is None:
                continue
            if values.shape != (n, len(names)):
                raise InputError(f"{here}: {what} has shape {values.shape}, expected {(n, len(names))} (time, names)")
            if len(set(names)) < len(names):
                raise InputError(f"{here}: names of {what} are not unique: {', '.join(names)}; rename the double ones")
        if self.moment is None and self.moment_coordinates:
            raise InputError(f"{here}: names moment coordinates without moments; give both or neither")

    @property
    def timestep(self) -> float:
        """Sampling interval of the clock [s]."""
        return float((self.time[-1] - self.time[0]) / (len(self.time) - 1))

    @property
    def digests(self) -> frozenset[str]:
        """SHA-256 of the files it was read from; empty where it was not."""
        known: Any = self.metadata.get("digests", ())
        return frozenset(known)

    @property
    def motion_start(self) -> int:
        """Index of the first sample with a recorded position; what precedes it is EMG lead-in."""
        recorded = np.flatnonzero(np.any(np.isfinite(self.position), axis=1))
        return int(recorded[0]) if len(recorded) else len(self.time)

    def save(self, folder: str | Path) -> dict[str, object]:
        """Write the trial as CSV files which `load_subject` reads back on the same clock.

        **Returns:** the trial's entry for the ``[[trials]]`` list of a subject file: its name and its files.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        entry: dict[str, object] = {"name": self.name}
        if self.task:
            entry["task"] = self.task

        def write(what: str, names: tuple[str, ...], values: np.ndarray) -> None:
            rows = np.any(np.isfinite(values), axis=1)
            entry[what] = f"{file_name(self.name)}_{what}.csv"
            columns = dict(zip(names, values[rows].T, strict=True))
            write_csv(folder / str(entry[what]), self.time[rows], columns)

        write("motion", self.coordinates, self.position)
        if self.channels:
            write("emg", self.channels, self.emg)
            silent: Any = self.metadata.get("silent", ())
            if silent:
                entry["channels"] = dict.fromkeys(silent, 0.0)
        if self.moment is not None:
            write("moments", self.moment_coordinates, self.moment)
        return entry


def trials_of(trials: Any) -> tuple[Trial, ...]:
    """What a caller gave as trials: several, or one by itself.

    **Raises:** `InputError` if it is something else.
    """
    several = isinstance(trials, Iterable) and not isinstance(trials, str | Mapping)
    listed: tuple[Any, ...] = tuple(trials) if several else (trials,)
    for other in listed:
        if not isinstance(other, Trial):
            fix = "; give its .trials" if hasattr(other, "trials") else "; load_subject reads them from files"
            raise InputError(f"trials must be recordings, one Trial or several, got {type(other).__name__}{fix}")
    return listed


def build_trial(
    name: str,
    motion: Table,
    *,
    rate: float,
    emg: Table | None = None,
    moments: Table | None = None,
    prescribed: tuple[str, ...] = (),
    start: float | None = None,
    stop: float | None = None,
    lead_in: float = 0.3,
    max_gap: float = 0.05,
    motion_cutoff: float | None = None,
    metadata: Mapping[str, object] | None = None,
    task: str = "",
) -> Trial:
    """Bring motion, EMG envelopes and moments of one recording to one clock.

    The clock runs at `rate` through the first motion sample from `start` on, reaches back up to `lead_in`
    before it as far as there is EMG, and ends where the motion, the EMG or `stop` does. Positions are cubic
    splines; EMG and moments are low-passed at 0.4 · `rate` first
    if they were sampled faster than the clock, then interpolated, linearly and by cubic splines. On the clock
    the EMG is complete; positions and moments are NaN outside their recording and in gaps beyond `max_gap`.

    **Arguments:**

    - `motion`: coordinates [rad, m], under the model's names.
    - `rate`: of the clock [Hz].
    - `emg`: envelopes, one column a channel.
    - `moments`: joint moments [N·m], under the coordinates' names.
    - `prescribed`: coordinates that may have no gap, because the model follows them.
    - `start`, `stop`: part of the recording to use [s].
    - `lead_in`: EMG to keep before the motion [s].
    - `max_gap`: longest run of missing samples to interpolate [s].
    - `motion_cutoff`: zero-phase 4th-order Butterworth low-pass of the positions [Hz]; None: as recorded.
    - `task`: see `Trial.task`.

    **Returns:** a `Trial`; ``metadata["notes"]`` lists what deserves a look.
    """
    here = f"trial '{name}'"
    notes = [
        *motion.notes,
        *(emg.notes if emg is not None else ()),
        *(moments.notes if moments is not None else ()),
    ]
    for table in (motion, emg, moments):
        if table is not None:
            _check_columns(table)
    if motion_cutoff is not None and not 0 < motion_cutoff < motion.rate / 2:
        raise InputError(
            f"{motion.path}: sampled at {motion.rate:g} Hz, motion_cutoff = {motion_cutoff:g} Hz must lie "
            "between 0 and half of that; lower it"
        )

    first, last = float(motion.time[0]), float(motion.time[-1])
    begin = first if start is None else max(first, start)
    end = last if stop is None else min(last, stop)
    if begin >= end:
        raise InputError(
            f"{here}: start and stop leave nothing of {motion.path}, which runs from {first:g} to {last:g} "
            "s; change them"
        )
    emg_first = begin
    if emg is not None:
        finite = [emg.time[np.isfinite(column)] for column in emg.values.T]
        emg_first, emg_last = max(float(t[0]) for t in finite), min(float(t[-1]) for t in finite)
        if emg_first >= end or emg_last <= begin:
            raise InputError(
                f"{here}: no overlap between EMG ({emg.path}, {emg_first:g} to {emg_last:g} s) and motion "
                f"({motion.path}, {begin:g} to {end:g} s); check the files, or set time_offset"
            )
        if emg_first > begin + 0.5 / rate:
            notes.append(
                f"{here}: EMG starts at {emg_first:g} s, {emg_first - begin:.3g} s after the motion; using "
                "the part both have"
            )
        if emg_last < end - 0.5 / rate:
            notes.append(
                f"{here}: EMG ends at {emg_last:g} s, {end - emg_last:.3g} s before the motion; using the "
                "part both have"
            )
        begin, end = max(begin, emg_first), min(end, emg_last)
    anchor = float(motion.time[np.searchsorted(motion.time, begin - 1e-6 / rate)])
    lead = int(np.floor((anchor - max(emg_first, anchor - lead_in)) * rate + 1e-6)) if emg is not None else 0
    count = int(np.floor((end - anchor) * rate + 1e-6)) + 1
    if count < 10:
        raise InputError(
            f"{here}: only {max(end - anchor, 0):.3g} s of {motion.path} are usable, {max(count, 0)} "
            f"samples at {rate:g} Hz; at least 10 are needed"
        )
    clock = anchor + np.arange(-lead, count) / rate
    live = slice(lead, None)

    position = np.full((len(clock), len(motion.columns)), np.nan)
    for i, coordinate in enumerate(motion.columns):
        position[live, i] = _splined(motion, i, clock[live], max_gap, motion_cutoff)
        span = _first_gap(clock[live], position[live, i])
        if span is None:
            continue
        if coordinate in prescribed:
            raise InputError(
                f"{motion.path}: prescribed coordinate '{coordinate}' has a gap from {span[0]:.4g} to "
                f"{span[1]:.4g} s; fill it, raise max_gap ({max_gap:g} s), or choose start and stop"
            )
        notes.append(
            f"{motion.path}: coordinate '{coordinate}' has a gap from {span[0]:.4g} to {span[1]:.4g} s, "
            f"longer than max_gap = {max_gap:g} s; left out"
        )

    excitation = np.zeros((len(clock), 0))
    channels: tuple[str, ...] = ()
    if emg is not None:
        channels = emg.columns
        excitation = np.column_stack([_linear(emg, i, clock, max_gap, rate) for i in range(len(channels))])
        for channel, column in zip(channels, excitation.T, strict=True):
            span = _first_gap(clock, column)
            if span is not None:
                raise InputError(
                    f"{emg.path}: EMG channel '{channel}' has a gap from {span[0]:.4g} to {span[1]:.4g} s; "
                    f"a muscle cannot be driven through it: fill it, raise max_gap ({max_gap:g} s), or "
                    "choose start and stop"
                )

    moment = None
    if moments is not None:
        moment = np.full((len(clock), len(moments.columns)), np.nan)
        for i, coordinate in enumerate(moments.columns):
            cutoff = 0.4 * rate if moments.rate > 1.25 * rate else None
            moment[live, i] = _splined(moments, i, clock[live], max_gap, cutoff)
            if np.all(np.isnan(moment[:, i])):
                raise InputError(
                    f"{here}: no overlap between moments ({moments.path}, {moments.time[0]:g} to "
                    f"{moments.time[-1]:g} s) and motion ({motion.path}, {anchor:g} to {end:g} s); check "
                    "the files, or set time_offset"
                )
            span = _first_gap(clock[live], moment[live, i])
            if span is not None:
                notes.append(
                    f"{moments.path}: moment of '{coordinate}' is missing from {span[0]:.4g} to "
                    f"{span[1]:.4g} s; left out"
                )

    return Trial(
        name=name,
        time=clock,
        coordinates=motion.columns,
        position=position,
        channels=channels,
        emg=excitation,
        moment_coordinates=moments.columns if moments is not None else (),
        moment=moment,
        metadata={**(metadata or {}), "notes": tuple(notes)},
        task=task,
    )


def check_pace(table: Table, longest: float | None = None) -> None:
    """Whether a table's time may be in seconds: samples lie at most `longest` apart [s], by default 0.2.

    **Raises:** `InputError` if they do not.
    """
    step = float(np.median(np.diff(table.time)))
    if step > (0.2 if longest is None else longest):
        raise InputError(
            f"{table.path}: its samples are {step:g} s apart; is the time in milliseconds or frames? "
            'Set time_unit = "ms", or "frames" with sampling_rate [Hz]'
        )


def _check_columns(table: Table) -> None:
    check_pace(table)
    for column, values in zip(table.columns, table.values.T, strict=True):
        if np.sum(np.isfinite(values)) < 4:
            raise InputError(
                f"{table.path}: '{column}' holds no numbers (all NaN or empty); map another column, or export it again"
            )


def _first_gap(clock: np.ndarray, values: np.ndarray) -> tuple[float, float] | None:
    missing = np.isnan(values)
    if not missing.any():
        return None
    start = int(np.argmax(missing))
    length = int(np.argmin(missing[start:])) if not missing[start:].all() else len(missing) - start
    return float(clock[start]), float(clock[start + length - 1])


def _pieces(table: Table, column: int, max_gap: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stretches (time, values) without a gap longer than `max_gap`."""
    values = table.values[:, column]
    keep = np.isfinite(values)
    time, values = table.time[keep], values[keep]
    limit = max(max_gap, 1.5 * float(np.median(np.diff(table.time))))
    cuts = np.flatnonzero(np.diff(time) > limit * (1 + 1e-9)) + 1
    pieces = zip(np.split(time, cuts), np.split(values, cuts), strict=True)
    return [(t, x) for t, x in pieces if len(t) >= 4]


def _within(clock: np.ndarray, time: np.ndarray) -> np.ndarray:
    slack = 1e-6 * (clock[1] - clock[0])
    return (clock >= time[0] - slack) & (clock <= time[-1] + slack)


def _uniform(time: np.ndarray, rate: float) -> np.ndarray:
    return np.linspace(time[0], time[-1], max(round((time[-1] - time[0]) * rate) + 1, 4))


def _splined(table: Table, column: int, clock: np.ndarray, max_gap: float, cutoff: float | None) -> np.ndarray:
    """A column on the clock; NaN where there is none."""
    value = np.full(len(clock), np.nan)
    for time, x in _pieces(table, column, max_gap):
        spline = CubicSpline(time, x)
        if cutoff is not None:
            grid = _uniform(time, table.rate)
            spline = CubicSpline(grid, zero_phase(spline(grid), table.rate, cutoff))
        here = _within(clock, time)
        at = np.clip(clock[here], time[0], time[-1])
        value[here] = spline(at)
    return value


def _linear(table: Table, column: int, clock: np.ndarray, max_gap: float, rate: float) -> np.ndarray:
    """An envelope on the clock, low-passed below what the clock can hold; NaN where there is none."""
    value = np.full(len(clock), np.nan)
    for time, x in _pieces(table, column, max_gap):
        if table.rate > 1.25 * rate:
            grid = _uniform(time, table.rate)
            smooth = zero_phase(np.interp(grid, time, x), table.rate, 0.4 * rate, ends="even")
            time, x = grid, np.clip(smooth, x.min(), x.max())
        here = _within(clock, time)
        value[here] = np.interp(clock[here], time, x)
    return value


def reordered(trial: Trial, channels: tuple[str, ...]) -> Trial:
    """The trial with exactly these channels, in this order."""
    if trial.metadata.get("payload"):
        raise InputError(
            f"trial '{trial.name}' was recorded with a payload of {trial.metadata['payload']} kg, which the model does "
            "not hold; identify from the trials with an empty hand, or see mjx_msm.person.payload"
        )
    missing = [c for c in channels if c not in trial.channels]
    if missing:
        raise InputError(f"trial '{trial.name}' has no EMG channel '{missing[0]}'; it has {', '.join(trial.channels)}")
    return replace(trial, channels=channels, emg=trial.emg[:, [trial.channels.index(c) for c in channels]])
