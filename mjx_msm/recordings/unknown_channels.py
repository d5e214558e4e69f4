"""Channels of EMG that one trial did not record, filled in from what was: dead, missing or cut off in it.

What drove the muscle is unknown there, and silence would be the wrong guess: the other muscles would answer for its
force. In a person who does the same again, a muscle's activation goes with the motion and with that of other muscles.
So it is taken from the instants, of all trials in which the channel was recorded, whose motion and other envelopes are
the most like these: the mean over the nearest (Cover & Hart 1967, doi 10.1109/TIT.1967.1053964). Where a channel was
cut off, at least what is seen of it. Where that does not find again what is known, nothing is made of it: moments there
do not count, and of motion, which goes on through it, the trial does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import uniform_filter1d
from scipy.spatial import KDTree

from mjx_msm.common.errors import InputError
from mjx_msm.common.runs import runs
from mjx_msm.recordings.trial import Trial

GAP = 0.1
"""Longest run of missing samples that is bridged by a line instead [s]: an envelope holds little above 6 Hz."""
NEAREST = 12
SMOOTH = 0.1
"""What is filled in is averaged over [s]: an envelope, too, is smooth."""
CUT_OFF, LONG = 0.05, 3
"""Share of a trial's samples at its greatest value, in runs of so many, that is a limit of the recording."""
BEYOND = 1.1
"""Times that limit which the channel reaches in another trial."""
FEWEST = 50
"""Samples to learn from."""
ALIKE = 0.7
"""Correlation of what is filled in with what is known, from which it may stand for it: half of its variance."""
FULL = 0.99
"""An envelope's greatest value, where readers cut it off themselves."""
STILL = 0.02
"""Range of a posture that is held [rad or m]: its envelopes, if given as numbers, are constant and right."""
CARRIED = 0.34
"""Past a gap, what was in it still acts [s]: a delay of 0.1 s at most, and four deactivations of 0.06 s."""


@dataclass(frozen=True)
class _Unknown:
    """Where a trial's channel was not recorded."""

    trial: int
    channel: str
    rows: Bool[np.ndarray, "time"]
    fault: str
    least: float = 0.0
    """What it was at least."""


def filled_in(
    trials: Sequence[Trial], channels: Sequence[str], learnt: Sequence[Trial] = (), *, instants: bool = False
) -> tuple[tuple[Trial, ...], tuple[str, ...]]:
    """The trials with the channels complete, and what was done in words.

    **Arguments:** `channels`: those that matter. `learnt`: further trials to learn from, as they were recorded.
    `instants`: whether moments at instants are all that is asked of a trial.

    **Raises:** `InputError` if a channel is missing that no trial has recorded, or has too little to learn from; and if
    nothing is left of `trials`, unless they are only to be judged beside those learnt from.
    """
    every = _with_columns([*trials, *learnt], channels)
    unknown = [u for i, t in enumerate(every) for c in channels if (u := _unknown(every, i, t, c)) is not None]
    if not unknown:
        return tuple(trials), ()
    gone = {(u.trial, u.channel): u.rows for u in unknown}
    out, notes, poor, lost = every[: len(trials)], [], set(), []
    for u in unknown:
        if u.trial >= len(trials):
            continue
        values, likeness = _filled(every, channels, gone, u)
        trial = out[u.trial]
        emg = trial.emg.copy()
        emg[u.rows, trial.channels.index(u.channel)] = values
        trial = replace(trial, emg=emg)
        what = "is taken from instants with like motion and EMG"
        if likeness < ALIKE and instants:
            if trial.moment is not None:
                trial = replace(trial, moment=np.where(_carried(u.rows, trial)[:, None], np.nan, trial.moment))
            what = "goes with nothing else that was recorded: moments there do not count"
        elif likeness < ALIKE:
            poor.add(u.trial)
            what = "goes with nothing else that was recorded: the trial is left out"
        out[u.trial] = trial
        notes.append(
            f"trial '{trial.name}': EMG channel '{u.channel}' {u.fault}; what drove its muscles is unknown there, and "
            f"{what} (r = {likeness:.2f} where it is known)"
        )
        if likeness < ALIKE:
            lost.append(notes[-1])
    left = tuple(t for i, t in enumerate(out) if i not in poor)
    before, after = (any(_has_moments(t) for t in of) for of in (trials, left))
    if not learnt and (not left or (instants and before and not after)):
        raise InputError(
            f'{lost[0]}; nothing is left to identify from: map its muscles to "unmeasured" in [emg.muscles], or add a '
            "trial in which all channels were recorded"
        )
    return left, tuple(notes)


def _has_moments(trial: Trial) -> bool:
    return trial.moment is not None and bool(np.isfinite(trial.moment).any())


def _with_columns(trials: Sequence[Trial], channels: Sequence[str]) -> list[Trial]:
    """The trials, with a column that has no samples for a channel that only others have."""
    out = []
    for t in trials:
        more = tuple(c for c in channels if c not in t.channels and any(c in o.channels for o in trials))
        emg = np.column_stack([t.emg, np.full((len(t.time), len(more)), np.nan)])
        out.append(replace(t, channels=(*t.channels, *more), emg=emg) if more else t)
    return out


def _carried(rows: Bool[np.ndarray, "time"], trial: Trial) -> Bool[np.ndarray, "time"]:
    """Rows in which an activation is, in part, that of an EMG in `rows`."""
    at = np.arange(len(rows))
    return at - np.maximum.accumulate(np.where(rows, at, -np.inf)) <= CARRIED / trial.timestep


def _unknown(trials: Sequence[Trial], index: int, trial: Trial, channel: str) -> _Unknown | None:
    silent: Any = trial.metadata.get("silent", ())
    if channel not in trial.channels or channel in silent:
        return None
    x = trial.emg[:, trial.channels.index(channel)]
    missing = ~np.isfinite(x)
    if missing.any():
        starts, stops = runs(missing)
        most = float((stops - starts).max()) * trial.timestep
        if missing.all():
            return _Unknown(index, channel, missing, "has no samples")
        return _Unknown(index, channel, missing, f"is missing for {most:.2g} s") if most > GAP else None
    elsewhere = [
        o for i, t in enumerate(trials) if i != index and channel in t.channels
        for o in [t.emg[:, t.channels.index(channel)]] if np.isfinite(o).any() and np.nanmax(o) > np.nanmin(o)
    ]  # fmt: skip
    if not elsewhere:
        return None
    top = float(x.max())
    if top - x.min() <= 1e-12 * max(1.0, abs(top)):
        if _still(trial) and (0.0 < top < FULL or np.all(np.ptp(trial.emg, axis=0) == 0)):
            return None  # a posture's EMG, one number a channel
        return _Unknown(index, channel, ~missing, f"is flat at {top:.3g}")
    at_top = x >= top * (1 - 1e-9)
    starts, stops = runs(at_top)
    share = float((stops - starts)[(stops - starts) >= LONG].sum()) / len(x)
    if share > CUT_OFF and top < FULL and max(float(np.nanmax(o)) for o in elsewhere) > BEYOND * top:
        return _Unknown(index, channel, at_top, f"is cut off at {top:.3g} for {100 * share:.0f} % of the time", top)
    return None


def _still(trial: Trial) -> bool:
    position = trial.position[np.isfinite(trial.position).all(axis=1)]
    return len(position) > 0 and bool(np.ptp(position, axis=0).max(initial=0.0) < STILL)


def _filled(
    trials: Sequence[Trial],
    channels: Sequence[str],
    gone: dict[tuple[int, str], Bool[np.ndarray, "time"]],
    u: _Unknown,
) -> tuple[Float[np.ndarray, "row"], float]:
    """The unknown samples, and how well samples that are known are found in the same way, as a correlation."""
    here = trials[u.trial]
    whole = [c for c in channels if c != u.channel and c in here.channels and (u.trial, c) not in gone]
    coordinates = [q for q in here.coordinates if all(q in t.coordinates for t in trials)]
    states, values, group = [], [], []
    for i, t in enumerate(trials):
        if any(c not in t.channels for c in (*whole, u.channel)):
            continue
        rows = np.isfinite(t.emg[:, t.channels.index(u.channel)]) & ~gone.get(
            (i, u.channel), np.zeros(len(t.time), bool)
        )
        for c in whole:
            rows &= ~gone.get((i, c), np.zeros(len(t.time), bool))
        state = _state(t, coordinates, whole)
        rows &= np.isfinite(state).all(axis=1)
        states.append(state[rows])
        values.append(t.emg[rows, t.channels.index(u.channel)])
        group.append(np.full(int(rows.sum()), i))
    learnt, value, of = (np.concatenate(x) if x else np.zeros(0) for x in (states, values, group))
    if len(value) < FEWEST:
        seen = any(
            np.any(np.isfinite(t.emg[:, t.channels.index(u.channel)]) & ~gone.get((i, u.channel), np.array(False)))
            for i, t in enumerate(trials)
        )
        why = "no trial has recorded it"
        if seen:
            why = f"only {len(value)} of its samples go with recorded motion and EMG ({FEWEST} are needed)"
        raise InputError(
            f"trial '{here.name}': EMG channel '{u.channel}' {u.fault}, and {why}; map its muscles "
            'to "unmeasured" in [emg.muscles], or leave them out'
        )
    scale = np.maximum(learnt.std(axis=0), 1e-9)
    asked = _bridged(_state(here, coordinates, whole))[u.rows]
    found = _smoothed(_nearest(learnt / scale, value, asked / scale), here)
    known = np.concatenate([
        _smoothed(_nearest(learnt[~held] / scale, value[~held], learnt[held] / scale), here)
        for held in _held_out(of)
    ])  # fmt: skip
    true = np.concatenate([value[held] for held in _held_out(of)])
    likeness = float(np.corrcoef(known, true)[0, 1]) if np.std(known) > 0 and np.std(true) > 0 else 0.0
    return np.clip(found, u.least, None), likeness


def _held_out(of: np.ndarray) -> list[np.ndarray]:
    """Samples to judge by: each trial from the others, or the second half of a lone one from its first."""
    names = np.unique(of)
    if len(names) > 1:
        return [of == n for n in names]
    return [np.arange(len(of)) >= len(of) // 2]


def _state(trial: Trial, coordinates: Sequence[str], channels: Sequence[str]) -> Float[np.ndarray, "time state"]:
    """Angles, their rates, and envelopes."""
    position = trial.position[:, [trial.coordinates.index(q) for q in coordinates]]
    rate = np.gradient(position, trial.timestep, axis=0) if len(trial.time) > 1 else np.zeros_like(position)
    return np.concatenate([position, rate, trial.emg[:, [trial.channels.index(c) for c in channels]]], axis=1)


def _bridged(state: Float[np.ndarray, "time state"]) -> Float[np.ndarray, "time state"]:
    out = state.copy()
    for column in out.T:
        good = np.isfinite(column)
        column[:] = np.interp(np.arange(len(column)), np.flatnonzero(good), column[good]) if good.any() else 0.0
    return out


def _nearest(state: np.ndarray, value: np.ndarray, asked: np.ndarray) -> Float[np.ndarray, "asked"]:
    _, index = KDTree(state).query(asked, k=min(NEAREST, len(state)))
    return value[np.asarray(index).reshape(len(asked), -1)].mean(axis=1)


def _smoothed(values: np.ndarray, trial: Trial) -> np.ndarray:
    return uniform_filter1d(values, max(1, round(SMOOTH / trial.timestep)), mode="nearest")
