"""Moments against the motion and the EMG they were recorded with: sign, unit, clock, and whether they belong to it.

Two things stand against a moment's sign. Where a limb moves in the air, its moment is what inertia and gravity take
(inverse dynamics in the model). And muscles only pull: moments are fitted by non-negative gains of the envelopes
through the model's moment arms (Lawson & Hanson 1974, doi 10.1137/1.9781611971217), once with each sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from mjx_msm.person.model import Model
from mjx_msm.recordings.evidence.channels import Mistake, exchange_line, mistake, mistake_line, relations
from mjx_msm.recordings.evidence.cycles import unlike_other_cycles
from mjx_msm.recordings.evidence.judged import DELAYS, Judged, whose
from mjx_msm.recordings.evidence.states import States
from mjx_msm.recordings.evidence.wording import Change, line_of, reading_of
from mjx_msm.recordings.model_clock import weight_moment
from mjx_msm.recordings.quality.moment_faults import angle_again
from mjx_msm.recordings.readers.units import unit_of
from mjx_msm.recordings.trial import Trial

IN_THE_AIR = 0.9
"""Correlation with inverse dynamics from which a moment is taken for that of a limb without contact."""
FACTOR = 2.5
"""Between a moment and inverse dynamics in the model, what people's masses may make."""
CONTACT = 20.0
"""Times as much as inverse dynamics without contact, what a limb may do against something."""
TOO_SMALL = 0.05
"""Root mean square over that of inverse dynamics, below which a moment is not in N·m: contact only adds to it."""
GAIN, LEFT, LEFT_IF_SHORT, LONG = 0.2, 0.6, 0.35, 10.0
"""How much more of the moment another sign or clock explains, and at most how much of what is unexplained it leaves:
less where the trials together are shorter than so many seconds, in which a few gains explain much by chance."""
LONGEST_LAG = 1.0
"""To either side, that clocks may be apart [s]."""
SHORTEST = 1.2
"""Seconds; in less, EMG explains either sign of a moment by chance (3 of 10 synthetic trials of 1 s, none of 1.5 s)."""
LONG_ENOUGH = 4.0
"""Seconds of motion by which alone a clock is judged."""
WORTH = 0.05
"""Of the moment that the muscles of a joint's weaker side could make: least root mean square of what inertia and
gravity take, by which a clock is judged. Below, the muscles work against something else. Recorded walks have 0.055 to
0.08; made-up squats 0.01, pedalling at 60 to 90 a minute 0.02 to 0.045."""
ONE_CYCLE, OF_CYCLE = 0.45, 0.25
"""Of a motion's period: from which on a lag may as well be one to the other side, or only the muscles' phase; and up to
which it is told as a clock's."""
AGREE = 0.1
"""By how much the lags of two coordinates may differ [s]."""
STILL = np.deg2rad(5.0)
"""Range of a coordinate that does not move."""
UNRELATED, CLEARLY = 0.1, 0.5
"""Part of a moment that its motion explains, where it is of another trial; and where the moment itself repeats."""


def contradicted_moments(
    model: Model, trials: Sequence[tuple[Trial, States]], emg_map: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    """What is wrong with the moments of trials, and with the clocks of their EMG, as far as that can be told."""
    for trial, at in trials:
        if trial.moment is None or not set(model.free) & set(trial.moment_coordinates):
            yield from _clock_by_motion(model, trial, at, _drive(model, trial, emg_map))
    for k, name in enumerate(model.free):
        c = int(model.host.free_index[k])
        open_to_emg: list[Judged] = []
        for trial, at in trials:
            if trial.moment is None or name not in trial.moment_coordinates:
                continue
            moment = _made_by_muscles(model, trial, at, name, k)
            if not _tells(moment, at, 0.5):
                continue
            known = np.isfinite(moment)
            here = f"trial '{trial.name}': the moment of '{name}'"
            again = list(_angle(model, trial, at, name, here, moment))
            yield from again
            if again:
                continue
            held = bool(trial.metadata.get("gravity"))  # by a dynamometer: the motion does not say the moment
            line, turned = (
                ("", False) if held else _against_dynamics(trial, name, here, moment[known], at.needed[known, c])
            )
            if line:
                yield line
            unrelated = [] if held or line else list(_against_motion(at, c, here, moment))
            yield from unrelated
            period = _cycle(at, c, moment)
            if period is not None and not unrelated:
                yield from unlike_other_cycles(here, at, moment, period)
            if not turned and not unrelated and known.sum() * at.step >= SHORTEST:
                open_to_emg.append(Judged(trial, at, moment, _drive(model, trial, emg_map), k))
        yield from _against_emg(name, [j for j in open_to_emg if j.drive is not None], model.muscles, emg_map)


def channel_lines(
    model: Model, trials: Sequence[tuple[Trial, States]], emg_map: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    """One line a channel: what it has to do with the moment that its muscles should make."""
    for k, name in enumerate(model.free):
        own = []
        for trial, at in trials:
            if trial.moment is not None and name in trial.moment_coordinates:
                moment, drive = _made_by_muscles(model, trial, at, name, k), _drive(model, trial, emg_map)
                if drive is not None and _tells(moment, at, SHORTEST):
                    own.append(Judged(trial, at, moment, drive, k))
        if own:
            yield from map(str, relations(name, own, model.muscles, emg_map))


def _tells(moment: Float[np.ndarray, "time"], at: States, least: float) -> bool:
    """Whether a moment changes, and was recorded for so long [s]."""
    known = moment[np.isfinite(moment)]
    return known.size * at.step >= least and float(np.ptp(known)) > 0


def _made_by_muscles(model: Model, trial: Trial, at: States, name: str, k: int) -> Float[np.ndarray, "time"]:
    """The recorded moment of a coordinate, with the limb's weight where a device shows it less that."""
    assert trial.moment is not None
    moment = at.of(trial, trial.moment[:, trial.moment_coordinates.index(name)])
    if trial.metadata.get("gravity") == "included":
        moment = moment + weight_moment(model, at.position, np.isfinite(moment))[:, k]
    return moment


def _angle(model: Model, trial: Trial, at: States, name: str, here: str, moment: np.ndarray) -> Iterator[str]:
    """Whether a moment is an angle that was exported in its place."""
    slope = angle_again(moment, at.position[:, model.coordinates.index(name)])
    if slope is None:
        return
    column = reading_of(trial, "moment_columns", name).column.column
    yield (
        f"{here} is its angle over again ({abs(slope):.3g} times it in radians): the column '{column}' holds the "
        "angle; export the moments, or name their column in [moment_columns]"
    )


def _against_dynamics(trial: Trial, name: str, here: str, moment: np.ndarray, needed: np.ndarray) -> tuple[str, bool]:
    """What stands against a moment in what the motion takes, "" for nothing; and whether that is its sign.

    A limb that is several times as strong as its motion takes is in contact, and only its EMG tells the sign; contact
    that makes it weaker and turns it just so is less likely than a unit.
    """
    size, own = float(np.sqrt(np.mean(needed**2))), float(np.sqrt(np.mean(moment**2)))
    if own < TOO_SMALL * size and size > 1.0:
        read = unit_of(reading_of(trial, "moment_columns", name).unit)
        fix = "check its unit"
        if read is None or read.kind == "moment":
            line = line_of(trial, "moment_columns", name, Change(units="Nm/kg"))
            fix = f"is it per kilogram of body mass? Then write {line}"
        return f"{here} is {own:.2g} N·m (root mean square), and the motion takes {size:.2g} in the model; {fix}", False
    if np.ptp(needed) == 0:
        return "", False
    r = float(np.corrcoef(moment, needed)[0, 1])
    slope = float(np.polyfit(needed, moment, 1)[0])
    alike = 1 / FACTOR < abs(slope) < FACTOR
    if r < -IN_THE_AIR and alike:
        line = line_of(trial, "moment_columns", name, Change(turned=True))
        return (
            f"{here} has the opposite sign of what the motion takes in the model (r = {r:.2f}, {slope:.2g} times); is "
            f"it an external moment, or counted the other way? Then write {line}"
        ), True
    if abs(r) > IN_THE_AIR and not alike and (r > 0 or not FACTOR <= abs(slope) < CONTACT):
        sign = "" if r > 0 else ", its sign"
        return (
            f"{here} is {slope:.3g} times what the motion takes in the model (r = {r:.2f}); check its unit{sign}, "
            "and the mass in [subject]"
        ), False
    return "", False


def _against_emg(
    name: str, trials: Sequence[Judged], muscles: Sequence[str], emg_map: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    """Signs and channels, which all trials of a person share, by all of them together; clocks one by one."""
    if not trials:
        return
    turned = _turned(trials)
    each = [_turned([j]) for j in trials]
    clocks = [_clock(name, j) for j in trials]
    late = [line for line, best in clocks if line and best > (turned[1] if turned else 0.0)]
    wrong = mistake(trials, muscles, emg_map)
    if turned and len(late) < len(trials):
        yield _turned_line(name, trials, turned, wrong)
        return
    said = False
    for j, own, (line, best) in zip(trials, each, clocks, strict=True):
        if line and (own is None or best > own[1]):
            said = True
            yield line
        elif own is not None and len(trials) > 1:
            said = True
            yield _turned_line(name, [j], own)
    if wrong is not None and not said:
        yield mistake_line(name, trials, emg_map, wrong)


def _turned(trials: Sequence[Judged]) -> tuple[float, float] | None:
    """Part of the moments' square that EMG explains, and that it would with the opposite sign; None if that is not
    clearly more."""
    right, wrong = (max(_explained(trials, sign, d) for d in DELAYS) for sign in (1.0, -1.0))
    return (right, wrong) if _clearly(trials, wrong, right) else None


def _clearly(trials: Sequence[Judged], other: float, usual: float) -> bool:
    """Whether something explains clearly more of the moments than what is said of them."""
    span = sum(j.seconds for j in trials)
    return other - usual > GAIN and 1 - other < (LEFT if span > LONG else LEFT_IF_SHORT) * (1 - usual)


def _explained(trials: Sequence[Judged], sign: float, delay: float) -> float:
    """Part of the moments' square that muscles, which only pull, can make of the EMG `delay` earlier; every trial
    counts alike."""
    features = np.concatenate([j.features(delay) / j.size for j in trials])
    target = np.concatenate([j.moment[j.known] / j.size for j in trials])
    features = features[:, np.any(features != 0, axis=0)]
    if not features.size:
        return 0.0
    _, left = nnls(features / np.abs(features).max(axis=0), sign * target)
    return 1.0 - left**2 / float(target @ target)


def _turned_line(name: str, trials: Sequence[Judged], parts: tuple[float, float], wrong: Mistake | None = None) -> str:
    line = line_of(trials[0].trial, "moment_columns", name, Change(turned=True))
    exchanged = "flexors and extensors are exchanged in [emg.muscles]"
    if wrong is not None and wrong.exchanged:
        a, b = wrong.channels
        exchanged = f"EMG channels '{a}' and '{b}' are exchanged: {exchange_line(trials, wrong)}"
    return (
        f"{whose(trials)}: the moment of '{name}' has the opposite sign of what the EMG makes: muscles that pull "
        f"explain {100 * max(parts[0], 0):.0f} % of it, and {100 * parts[1]:.0f} % with the other sign. Is it an "
        f"external moment, or counted the other way? Then write {line}; or {exchanged}"
    )


def _clock(name: str, j: Judged) -> tuple[str, float]:
    """What another clock of the EMG would explain, if that is clearly more; and how much."""
    shift, best, usual = _late(j)
    if shift == 0:
        return "", best
    return (
        f"trial '{j.trial.name}': EMG {_moved(shift)} would explain {100 * best:.0f} % of the moment of '{name}' "
        f"instead of {100 * max(usual, 0):.0f} %; if its clock is another one, {_offset(shift)}"
    ), best


def _late(j: Judged) -> tuple[float, float, float]:
    """What to add to the time of the EMG so that it explains clearly more [s], 0 for nothing; how much it explains with
    its best lag, and as it is."""
    longest = min(LONGEST_LAG, 0.25 * j.seconds)
    lags = np.arange(-longest, longest + 1e-9, 0.02)
    parts = {float(lag): _explained([j], 1.0, float(lag)) for lag in lags}
    usual = max(_explained([j], 1.0, d) for d in DELAYS)
    best = max(parts.values())
    lag = min((lag for lag, part in parts.items() if part > best - 0.01), key=abs)
    off = lag - float(np.clip(lag, 0.0, 0.15))
    told = abs(off) > 0.03 and _clearly([j], best, usual)
    return (round(lag - 0.05, 2) if told else 0.0), best, usual


def _moved(shift: float) -> str:
    return f"{abs(shift):.2f} s {'later' if shift > 0 else 'earlier'}"


def _offset(shift: float) -> str:
    return f"write time_offset = {{ emg = {shift} }} in the trial"


def _clock_by_motion(
    model: Model, trial: Trial, at: States, drive: Float[np.ndarray, "trial muscle"] | None
) -> Iterator[str]:
    """The clock of EMG by what the motion takes in the model, where no moment was recorded.

    What is touched is not in that, and works the muscles in a cycle's other phase: only motions that take enough by
    themselves are judged, lags that all coordinates agree on, and no longer than a cycle allows.
    """
    if drive is None or len(at.time) * at.step < LONG_ENOUGH:
        return
    strength = np.asarray(model.nominal.muscle.max_isometric_force)
    found: dict[str, tuple[float, float, float]] = {}
    periods: list[float] = []
    for k, name in enumerate(model.free):
        c = int(model.host.free_index[k])
        needed, angle = at.needed[:, c], at.position[:, c]
        pull = strength * np.median(at.arms[:, :, k], axis=0)
        weaker = min(float(pull[pull > 0].sum()), float(-pull[pull < 0].sum()))
        if np.ptp(angle) > STILL and np.ptp(needed) > 0 and np.sqrt(np.mean(needed**2)) >= WORTH * weaker:
            found[name] = _late(Judged(trial, at, needed, drive, k))
            periods += [p for p in (_repeats(angle - angle.mean(), at.step),) if p is not None]
    shifts = [shift for shift, *_ in found.values()]
    if not all(shifts) or not shifts or np.ptp(shifts) > AGREE:
        return
    name, (shift, best, usual) = max(found.items(), key=lambda item: item[1][1])
    period = min(periods, default=np.inf)
    if abs(shift) > ONE_CYCLE * period:
        return
    fix = f"if its clock is another one, {_offset(shift)}"
    if abs(shift) > OF_CYCLE * period:
        fix = f"of a cycle of {period:.2f} s that is much: is its clock another one, or was something touched?"
    yield (
        f"trial '{trial.name}': as far as nothing but gravity acts on the limb (no ground, no pedal), EMG "
        f"{_moved(shift)} would explain {100 * best:.0f} % of what inertia and gravity take in the model at '{name}' "
        f"instead of {100 * max(usual, 0):.0f} %; {fix}"
    )


def _drive(
    model: Model, trial: Trial, emg_map: Mapping[str, Mapping[str, float]]
) -> Float[np.ndarray, "trial muscle"] | None:
    """Envelope of every muscle; None where there is none."""
    out = np.zeros((len(trial.time), len(model.muscles)))
    for i, muscle in enumerate(model.muscles):
        for channel, share in emg_map.get(muscle, {}).items():
            if channel in trial.channels:
                out[:, i] += share * np.nan_to_num(trial.emg[:, trial.channels.index(channel)])
    return out if np.ptp(out) > 0 else None


def _against_motion(at: States, c: int, here: str, moment: np.ndarray) -> Iterator[str]:
    """Whether the moment is a function of the motion at all, where both move long enough to tell."""
    known = np.isfinite(moment)
    q, v, needed = at.position[known], at.velocity[known], at.needed[known, c]
    target = moment[known] - moment[known].mean()
    if target.size * at.step < 4.0 or np.ptp(q[:, c]) < STILL:
        return
    moving = np.column_stack([q, v, needed, q * q[:, [c]], v * q[:, [c]], v * np.abs(v)])
    features = moving - moving.mean(axis=0)
    features = features[:, features.std(axis=0) > 1e-9]
    features /= features.std(axis=0)
    period = _cycle(at, c, moment)
    if period is None:
        return
    half = len(target) // 2
    part = min(_predicted(features, target, slice(0, half), slice(half, None)),
               _predicted(features, target, slice(half, None), slice(0, half)))  # fmt: skip
    if part < UNRELATED:
        yield (
            f"{here} repeats itself every {period:.2f} s, but not with the motion, which explains "
            f"{100 * max(part, 0):.0f} % of it; is it of another trial, or on another clock?"
        )


def _cycle(at: States, c: int, moment: np.ndarray) -> float | None:
    """Period of a moment whose coordinate repeats itself, too [s]; None if one of them does not."""
    known = np.flatnonzero(np.isfinite(moment))
    every = np.arange(known[0], known[-1] + 1)
    bridged = np.interp(every, known, moment[known])  # a stretch that is left out must not shift what follows
    own = [_repeats(x - x.mean(), at.step) for x in (bridged, at.position[every, c])]
    return None if None in own else own[0]


def _predicted(features: np.ndarray, target: np.ndarray, learn: slice, ask: slice) -> float:
    weights, *_ = np.linalg.lstsq(features[learn], target[learn], rcond=1e-6)
    left = target[ask] - features[ask] @ weights
    return 1.0 - float(left @ left) / float(target[ask] @ target[ask])


def _repeats(x: np.ndarray, step: float) -> float | None:
    """Period of a signal that repeats itself [s]; None if it does not."""
    spectrum = np.abs(np.fft.rfft(x, 2 * len(x))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(x)]
    correlation /= np.arange(len(x), 0, -1) / len(x) * max(correlation[0], 1e-300)
    first = int(np.argmax(correlation < 0)) or len(x)
    later = correlation[first : len(x) // 2]
    if not len(later) or later.max() < CLEARLY:
        return None
    return (first + int(np.argmax(later >= 0.9 * later.max()))) * step
