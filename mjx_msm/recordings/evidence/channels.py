"""Channels of EMG against the moment of their joint: which of them it needs, and whether another mapping explains more.

Muscles only pull: a moment is fitted by non-negative gains of the envelopes through the model's moment arms (Lawson &
Hanson 1974, doi 10.1137/1.9781611971217), and judged on the parts of the recording that the gains were not fitted to.
What other gains make up for cannot be told; a mapping that is wrong costs what they cannot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from mjx_msm.recordings.evidence.judged import DELAYS, Judged, whose

BLOCKS = 6
"""Parts of a recording, each predicted from the others."""
MORE, MORE_IF_SHORT, LONG = 0.06, 0.1, 10.0
"""How much more of the moment another mapping explains: more where there are fewer than so many seconds of it. Of right
mappings of six recorded sets, no other one explained 0.04 more."""
SURE = 0.12
"""Likewise, of one channel in another's stead: of two that hear one muscle group, one may fit better by 0.07."""
ALIKE = 0.05
"""Which explain as much as each other; then two are exchanged."""
LEFT = 0.85
"""At most how much of what is unexplained it leaves."""
ARM = 2e-3
"""Median moment arm of a muscle that moves the joint [m]."""
SHORTEST = 1.2
"""Seconds."""

Mapped = Mapping[str, Mapping[str, float]]
"""Muscle → {channel: weight}."""


@dataclass(frozen=True)
class Relation:
    """What a channel has to do with the moment of a coordinate."""

    channel: str
    muscles: tuple[str, ...]
    """Of those that it drives, the ones that cross the joint."""
    direction: int
    """+1: they pull along the coordinate; -1: against it."""
    correlation: float
    """Of its envelope with the moment in that direction, at the delay at which it is greatest."""
    delay: float
    """That [s]."""
    share: float
    """Part of the moment that the channels explain together, less what they explain without this one."""
    coordinate: str

    def __str__(self) -> str:
        way, lost = "along" if self.direction > 0 else "against", 100 * max(self.share, 0.0)
        return (
            f"{self.channel} ({', '.join(self.muscles)}) pulls {way} '{self.coordinate}': r = {self.correlation:.2f} "
            f"with its moment in that direction {1e3 * self.delay:.0f} ms later; without it {lost:.0f} points less are "
            "explained"
        )


@dataclass(frozen=True)
class Mistake:
    """Another mapping that explains clearly more."""

    channels: tuple[str, str]
    exchanged: bool
    """Whether the two are exchanged; else the second drives the first one's muscles, too."""
    usual: float
    other: float
    """Parts of the moment that are explained."""


class Parts:
    """Products of what channels would make through muscles, by delay and part of the recording.

    **Arguments:** `pairs`: muscle and channel, those that a mapping may have.
    """

    def __init__(self, trials: Sequence[Judged], muscles: Sequence[str], pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)
        channels = list(dict.fromkeys(c for _, c in self.pairs))
        at = [muscles.index(m) for m, _ in self.pairs]
        by = [channels.index(c) for _, c in self.pairs]
        each = max(1, round(BLOCKS / len(trials)))
        self._by_delay: list[list[tuple[np.ndarray, np.ndarray, float]]] = []
        for delay in DELAYS:
            parts = []
            for j in trials:
                early = np.array([j.early(_channel(j, c), delay) for c in channels])
                made = j.at.arms[j.known][:, at, j.k] * early[by].T / j.size
                moment = j.moment[j.known] / j.size
                for rows in np.array_split(np.arange(len(moment)), each):
                    f, y = made[rows], moment[rows]
                    parts.append((f.T @ f, f.T @ y, float(y @ y)))
            self._by_delay.append(parts)

    def explained(self, mapping: Mapped) -> float:
        """Part of the moments' square that is explained where the gains were not fitted, at the best delay."""
        owners = list(dict.fromkeys(m for m, _ in self.pairs))
        pick = np.zeros((len(self.pairs), len(owners)))
        for i, (muscle, channel) in enumerate(self.pairs):
            pick[i, owners.index(muscle)] = mapping.get(muscle, {}).get(channel, 0.0)
        pick = pick[:, pick.any(axis=0)]
        return max((_predicted(parts, pick) for parts in self._by_delay), default=0.0) if pick.size else 0.0


def relations(name: str, trials: Sequence[Judged], muscles: Sequence[str], mapping: Mapped) -> tuple[Relation, ...]:
    """What every channel whose muscles cross a joint has to do with its moment."""
    sides = _sides(trials, muscles, mapping)
    parts = Parts(trials, muscles, _mapped(trials, muscles, mapping, sides))
    whole, out = parts.explained(mapping), []
    for channel, side in sides.items():
        if side == 0:
            continue
        less = {m: {c: w for c, w in mix.items() if c != channel} for m, mix in mapping.items()}
        moment = np.concatenate([side * j.moment[j.known] for j in trials])
        found = []
        for delay in DELAYS:
            x = np.concatenate([j.early(_channel(j, channel), delay) for j in trials])
            varies = np.ptp(x) > 0 and np.ptp(moment) > 0
            found.append((float(np.corrcoef(x, moment)[0, 1]) if varies else 0.0, delay))
        r, delay = max(found)
        own = tuple(m for m, mix in mapping.items() if channel in mix and _arm(trials, muscles, m) != 0)
        out.append(Relation(channel, own, side, r, delay, whole - parts.explained(less), name))
    return tuple(out)


def mistake(trials: Sequence[Judged], muscles: Sequence[str], mapping: Mapped) -> Mistake | None:
    """The mapping that explains most, if that is clearly more than what the one given does.

    Two channels are exchanged, or one muscle's is that of another: only where the two move the joint in different
    ways, for those of one group tell much the same.
    """
    span = sum(j.seconds for j in trials)
    if span < SHORTEST:
        return None
    sides = _sides(trials, muscles, mapping)
    if len(sides) < 2 or not any(sides.values()):
        return None
    mapped = _mapped(trials, muscles, mapping, sides)
    usual = Parts(trials, muscles, mapped).explained(mapping)
    least = MORE if span >= LONG else MORE_IF_SHORT
    if 1 - max(usual, 0.0) <= min(least, SURE):  # nothing can explain so much more
        return None
    names = list(sides)
    parts = Parts(trials, muscles, [(m, c) for m in dict.fromkeys(m for m, _ in mapped) for c in names])
    swaps = [(a, b) for i, a in enumerate(names) for b in names[:i] if sides[a] != sides[b]]
    stand_ins = [(a, b) for a in names for b in names if a != b and sides[a] == sides[b] != 0]
    best = Mistake((names[0], names[0]), True, max(usual, 0.0), -np.inf)
    for pairs, exchanged, more in ((swaps, True, least), (stand_ins, False, SURE)):
        for pair in pairs:
            names_of = {pair[0]: pair[1], pair[1]: pair[0]} if exchanged else {pair[0]: pair[1]}
            other = parts.explained(renamed(mapping, names_of))
            told = other - best.usual > more and 1 - other < LEFT * (1 - best.usual)
            if told and other > best.other + (0.0 if exchanged or best.other < 0 else ALIKE):
                best = replace(best, channels=pair, exchanged=exchanged, other=other)
    return best if np.isfinite(best.other) else None


def renamed(mapping: Mapped, names: Mapping[str, str]) -> dict[str, dict[str, float]]:
    return {m: {names.get(c, c): w for c, w in mix.items()} for m, mix in mapping.items()}


def mistake_line(name: str, trials: Sequence[Judged], mapping: Mapped, wrong: Mistake) -> str:
    """What a mistake is, with its figures and what to write."""
    who, (a, b) = whose(trials), wrong.channels
    figures = f"{100 * wrong.other:.0f} % of the moment of '{name}' instead of {100 * wrong.usual:.0f} %"
    if wrong.exchanged:
        return (
            f"{who}: EMG channels '{a}' and '{b}' exchanged would explain {figures}; if their electrodes were, "
            f"{exchange_line(trials, wrong)}"
        )
    own = [m for m, mix in mapping.items() if a in mix]
    lines = ", ".join(f"{m} = {json.dumps(b, ensure_ascii=False)}" for m in own)
    return (
        f"{who}: EMG channel '{a}' does not do what its muscles should: '{b}' in its stead would explain {figures}; "
        f"look at it (mjx-msm look), or write {lines} in [emg.muscles]"
    )


def exchange_line(trials: Sequence[Judged], wrong: Mistake) -> str:
    """`write VL = "Ch 2", BF = "Ch 1" in [emg.channels]`: the two channels' columns the other way round.

    A trial that has columns of its own for one of them says both itself.
    """
    a, b = wrong.channels

    def text(name: str) -> str:
        return json.dumps(name, ensure_ascii=False)

    def key(name: str) -> str:
        return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else text(name)

    lines: dict[str, str] = {}
    for trial in (j.trial for j in trials):
        columns: Any = trial.metadata.get("emg_columns", {})
        own: Any = trial.metadata.get("own_channels", ())
        place = f"channels of trial '{trial.name}'" if {a, b} & set(own) else "[emg.channels]"
        lines[place] = f"{key(a)} = {text(columns.get(b, b))}, {key(b)} = {text(columns.get(a, a))}"
    return f"write {', and '.join(f'{line} in {place}' for place, line in lines.items())}"


def _channel(j: Judged, channel: str) -> Float[np.ndarray, "time"]:
    trial = j.trial
    return np.nan_to_num(trial.emg[:, trial.channels.index(channel)]) if channel in trial.channels else 0 * trial.time


def _arm(trials: Sequence[Judged], muscles: Sequence[str], muscle: str) -> float:
    """Median moment arm [m]; 0 of one that does not move the joint."""
    if muscle not in muscles:
        return 0.0
    arm = float(np.median(np.concatenate([j.at.arms[:, muscles.index(muscle), j.k] for j in trials])))
    return arm if abs(arm) > ARM else 0.0


def _mapped(
    trials: Sequence[Judged], muscles: Sequence[str], mapping: Mapped, channels: Iterable[str]
) -> list[tuple[str, str]]:
    """Muscles that have an arm somewhere, with the channels that drive them."""
    arms = np.max([np.abs(j.at.arms[:, :, j.k]).max(axis=0) for j in trials], axis=0)
    crossing = [m for m, arm in zip(muscles, arms, strict=True) if arm > ARM]
    return [(m, c) for m in crossing for c in mapping.get(m, {}) if c in channels]


def _sides(trials: Sequence[Judged], muscles: Sequence[str], mapping: Mapped) -> dict[str, int]:
    """Which way every recorded channel's muscles pull: +1, -1, 0 if they do not move the joint."""
    out: dict[str, float] = {}
    for muscle, mix in mapping.items():
        for channel, weight in mix.items():
            if any(channel in j.trial.channels for j in trials):
                out[channel] = out.get(channel, 0.0) + weight * _arm(trials, muscles, muscle)
    return {channel: int(np.sign(arm)) for channel, arm in out.items()}


def _predicted(parts: Sequence[tuple[np.ndarray, np.ndarray, float]], pick: Float[np.ndarray, "made muscle"]) -> float:
    grams = [pick.T @ g @ pick for g, _, _ in parts]
    sides = [pick.T @ b for _, b, _ in parts]
    gram, side = np.sum(grams, axis=0), np.sum(sides, axis=0)
    size = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    left = 0.0
    for g, b, (_, _, square) in zip(grams, sides, parts, strict=True):
        rest, aim = (gram - g) / np.outer(size, size), (side - b) / size
        values, vectors = np.linalg.eigh(rest)
        root = np.sqrt(np.maximum(values, 1e-12))
        gains = nnls(root[:, None] * vectors.T, vectors.T @ aim / root)[0] / size
        left += square - 2 * gains @ b + gains @ g @ gains
    return 1.0 - float(left) / sum(square for _, _, square in parts)
