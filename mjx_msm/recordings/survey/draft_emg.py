"""EMG in a draft: which channel drives which muscle, what is not used, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.person.inspection import moment_arm_ranges
from mjx_msm.recordings.survey.attempts import attempt_of, of_one_attempt
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.draft_text import Draft, key, quoted
from mjx_msm.recordings.survey.matching import beside, muscle_column, sides_of
from mjx_msm.recordings.survey.spellings import MODEL_MUSCLES, STAND_INS, called
from mjx_msm.recordings.survey.trials import Group

ARM = 1e-3
"""Least moment arm of a muscle that crosses a coordinate [m]."""


@dataclass(frozen=True)
class Drive:
    """Which channels drive which muscles."""

    columns: tuple[Seen, ...]
    """Channels of EMG of the kind that is read, in the file's order."""
    raw: bool
    noise: tuple[Seen, ...]
    """Those that hold nothing of a muscle."""
    chosen: Mapping[str, tuple[tuple[Seen, ...], str]]
    """Muscle → its channels, and what is doubtful about them."""
    arms: Mapping[str, Mapping[str, tuple[float, float]]]
    """Muscle → coordinate → smallest and largest moment arm [m]."""
    strength: Mapping[str, float]
    """Of every muscle, in the model [N]."""

    def crosses(self, muscle: str, free: Sequence[str]) -> bool:
        return any(max(map(abs, self.arms[muscle].get(c, (0.0, 0.0)))) > ARM for c in free)

    def across(self, free: Sequence[str]) -> tuple[str, ...]:
        """Muscles that cross one of these coordinates and have a channel."""
        return tuple(m for m, (own, _) in self.chosen.items() if own and self.crosses(m, free))

    def silent(self, free: Sequence[str]) -> tuple[str, ...]:
        """Muscles that cross one of these coordinates and have none."""
        return tuple(m for m, (own, _) in self.chosen.items() if not own and self.crosses(m, free))

    @property
    def taken(self) -> frozenset[str]:
        """Names of the columns that drive some muscle."""
        return frozenset(c.name for own, _ in self.chosen.values() for c in own)

    @property
    def attempt(self) -> int | None:
        """Which column of every sheet the channels are, where these have no header."""
        return next((attempt_of(c.name) for c in self.columns if c.name in self.taken), None)

    def alias(self, column: str) -> str:
        """What a column is called in the draft."""
        return _aliases(self.columns)[column]

    def moves(self, column: Seen, coordinate: str) -> float:
        """How strongly a channel's muscles move a coordinate: their strength times their moment arms [N·m], against it
        negative."""
        own = [m for m, (columns, _) in self.chosen.items() if column in columns]
        return sum(self.strength[m] * sum(self.arms[m].get(coordinate, (0.0, 0.0))) / 2 for m in own)

    def used(self, muscles: Sequence[str]) -> tuple[str, ...]:
        """What the channels of these muscles are called in the draft."""
        own = {c.name for m in muscles for c in self.chosen[m][0]}
        return tuple(alias for name, alias in _aliases(self.columns).items() if name in own)


def drive_of(d: Draft, groups: Sequence[Group]) -> Drive:
    """Which channels drive which muscles.

    **Raises:** `InputError` if no file has EMG that is called like a muscle, or none of it is of any use.
    """
    lead = next((g.emg for g in groups if g.emg is not None), None)
    columns = [c for c in lead.of("raw EMG", "EMG envelope") if c.called.muscles] if lead else []
    columns = [c for c in columns if c.called.side in (d.side, "") or not d.side]
    raw = sum(c.kind == "raw EMG" for c in columns) * 2 > len(columns)
    columns = [c for c in columns if (c.kind == "raw EMG") is raw]
    if not columns:
        raise InputError("no file has EMG that is called like a muscle; give the file with the EMG, see mjx-msm look")
    noise = [c for c in columns if any("amplifier's noise" in f for f in c.faults)]
    usable = [c for c in columns if c not in noise]
    if not usable:
        raise InputError(f"{columns[0].name} and every other channel of EMG {noise[0].faults[-1]}")
    usable = of_one_attempt(usable)
    chosen = {muscle: _channels(d, muscle, usable, noise) for muscle in d.model.muscles}
    strength = dict(
        zip(d.model.muscles, map(float, np.asarray(d.model.nominal.muscle.max_isometric_force)), strict=True)
    )
    return Drive(tuple(columns), raw, tuple(noise), chosen, moment_arm_ranges(d.model, samples=5), strength)


def write_emg(d: Draft, drive: Drive) -> None:
    """EMG of every muscle."""
    columns, chosen = drive.columns, drive.chosen
    d.say()
    d.say("[emg]")
    why = min(columns, key=lambda c: c.low).why  # of the one that dips lowest
    d.say(f'kind = "{"raw" if drive.raw else "envelope"}"', why=why)
    peak = max(c.high for c in columns)
    if drive.raw or peak > 3 or peak < 0.01:
        d.say()
        d.say("[emg.processing]")
        d.say(
            'normalise = "max"',
            doubt="the greatest value of these trials counts as 1; a trial of greatest effort would be better",
        )
    for c in columns:
        for fault in c.faults:
            d.say(f"# {c.name} {fault}")
    short = _aliases(columns)
    used = {c.name for own, _ in chosen.values() for c in own}
    if any(short[c.name] != c.name for c in columns if c.name in used):
        d.say()
        d.say("[emg.channels]")
        for c in columns:
            if c.name in used and short[c.name] != c.name:
                d.say(f"{key(short[c.name])} = {quoted(c.name)}")
    d.say()
    d.say("[emg.muscles]")
    doubted: dict[str, list[str]] = {}
    for muscle, (own, doubt) in chosen.items():
        mix = ", ".join(f"{key(short[c.name])} = {1 / len(own):.3g}" for c in own)
        value = "0.0" if not own else quoted(short[own[0].name]) if len(own) == 1 else f"{{ {mix} }}"
        doubted.setdefault(doubt, []).append(f"{key(muscle)} = {value}")
    for line in doubted.pop("", ()):
        d.say(line)
    for doubt, lines in doubted.items():  # what several muscles share is one doubt
        if len(lines) > 1:
            d.say(f"# the next {len(lines)}", doubt=doubt)
        for line in lines:
            d.say(line, doubt=doubt if len(lines) == 1 else "")
    left = [c for c in columns if c not in drive.noise and c.name not in used]
    taken = {m for c in columns if c.name in used for m in c.called.muscles}
    again = [c.name for c in left if c.called.muscles and set(c.called.muscles) <= taken]
    if again:
        d.say(
            f"# not used: {', '.join(again)}",
            doubt="called like muscles that have a channel; one of each is taken: of which test are these?",
        )
    if len(left) > len(again):
        d.say(f"# not used: {', '.join(c.name for c in left if c.name not in again)}")


def _channels(d: Draft, muscle: str, usable: Sequence[Seen], noise: Sequence[Seen]) -> tuple[tuple[Seen, ...], str]:
    """Channels that drive a muscle, and what is doubtful about that."""
    names = d.model.muscles
    if muscle not in MODEL_MUSCLES and (own := muscle_column(usable, muscle, names, d.side)) is not None:
        return (own,), ""
    by_muscle, deaf = (_by_muscle(columns, muscle, names, d.side) for columns in (usable, noise))
    options = MODEL_MUSCLES.get(muscle) or _stand_ins(muscle)
    lost = next((deaf[m] for m in options[:1] if m in deaf), None) or muscle_column(noise, muscle, names, d.side)
    none = f"its channel '{lost.name}' is set aside as noise" if lost else "no channel of its own"
    for place, option in enumerate(options):
        found = [by_muscle[m] for m in option.split("+") if m in by_muscle]
        if len(found) < len(option.split("+")):
            continue
        vague = [c for c in found if len(c.called.muscles) > 1]
        doubt = ""
        if place or "+" in option:
            doubt = f"{none}; in its stead {' and '.join(o.replace('_', ' ') for o in option.split('+'))}"
        elif vague:
            doubt = f"'{vague[0].name}' may be {' or '.join(m.replace('_', ' ') for m in vague[0].called.muscles)}"
        return tuple(found), doubt
    if len(sides_of(names)) > 1 and called(muscle).side not in (d.side, ""):
        return (), f"of the {called(muscle).side} side, which is not studied; it counts as silent"
    return (), f"{none if lost else 'no channel for it'}; it counts as silent"


def _by_muscle(columns: Sequence[Seen], muscle: str, names: Sequence[str], side: str) -> dict[str, Seen]:
    """Recorded muscle → its channel, of the side of one in the model."""
    out: dict[str, Seen] = {}
    for c in columns:
        if beside(c.called.side, muscle, names, side):
            for m in c.called.muscles:
                out.setdefault(m, c)
    return out


def _stand_ins(muscle: str) -> tuple[str, ...]:
    """What may drive a muscle that is not of a bundled model, by what its name means."""
    meant = called(muscle).muscles[:1]
    return next((STAND_INS.get(m, (m,)) for m in meant), ())


def _aliases(columns: Sequence[Seen]) -> dict[str, str]:
    """Short names for channels whose own would be hard to write in patterns."""
    plain = {}
    for c in columns:
        simple = all(ch.isalnum() or ch in "_-" for ch in c.name)
        alias = c.name if simple else c.called.muscles[0]
        plain[c.name] = alias if alias not in plain.values() else f"{alias}_{len(plain)}"
    return plain
