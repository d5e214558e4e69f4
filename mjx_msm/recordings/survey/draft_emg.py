"""EMG in a draft: which channel drives which muscle, what is not used, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mjx_msm.common.errors import InputError
from mjx_msm.person.inspection import moment_arm_ranges
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.draft_text import Draft, key, quoted
from mjx_msm.recordings.survey.spellings import MODEL_MUSCLES
from mjx_msm.recordings.survey.trials import Group


def write_emg(d: Draft, groups: Sequence[Group], free: Sequence[str]) -> tuple[str, ...]:
    """EMG of every muscle; returns those that cross a free coordinate and have a channel."""
    lead = next((g.emg for g in groups if g.emg is not None), None)
    columns = [c for c in lead.of("raw EMG", "EMG envelope") if c.called.muscles] if lead else []
    columns = [c for c in columns if c.called.side in (d.side, "") or not d.side]
    raw = sum(c.kind == "raw EMG" for c in columns) * 2 > len(columns)
    columns = [c for c in columns if (c.kind == "raw EMG") is raw]
    d.say()
    d.say("[emg]")
    if not columns:
        raise InputError("no file has EMG that is called like a muscle; give the file with the EMG, see mjx-msm look")
    d.say(f'kind = "{"raw" if raw else "envelope"}"', why=columns[0].why)
    peak = max(c.high for c in columns)
    if raw or peak > 3 or peak < 0.01:
        d.say()
        d.say("[emg.processing]")
        d.say(
            'normalise = "max"',
            doubt="the greatest value of these trials counts as 1; a trial of greatest effort would be better",
        )
    noise = [c for c in columns if any("amplifier's noise" in f for f in c.faults)]
    for c in columns:
        for fault in c.faults:
            d.say(f"# {c.name} {fault}")
    usable = [c for c in columns if c not in noise]
    if not usable:
        raise InputError(f"{columns[0].name} and every other channel of EMG {noise[0].faults[-1]}")
    by_muscle: dict[str, Seen] = {}
    for c in usable:
        for m in c.called.muscles:
            by_muscle.setdefault(m, c)
    short = _aliases(columns)
    chosen: dict[str, tuple[list[Seen], str]] = {}
    for muscle in d.model.muscles:
        chosen[muscle] = _channels(muscle, by_muscle)
    used = {id(c) for own, _ in chosen.values() for c in own}
    if any(short[c.name] != c.name for c in columns if id(c) in used):
        d.say()
        d.say("[emg.channels]")
        for c in columns:
            if id(c) in used and short[c.name] != c.name:
                d.say(f"{key(short[c.name])} = {quoted(c.name)}")
    d.say()
    d.say("[emg.muscles]")
    for muscle, (own, doubt) in chosen.items():
        if not own:
            d.say(f"{key(muscle)} = 0.0", doubt=doubt)
        elif len(own) == 1:
            d.say(f"{key(muscle)} = {quoted(short[own[0].name])}", doubt=doubt)
        else:
            mix = ", ".join(f"{key(short[c.name])} = {1 / len(own):.3g}" for c in own)
            d.say(f"{key(muscle)} = {{ {mix} }}", doubt=doubt)
    left = [c.name for c in usable if id(c) not in used]
    if left:
        d.say(f"# not used: {', '.join(left)}")
    arms = moment_arm_ranges(d.model, samples=5)
    return tuple(m for m, (own, _) in chosen.items() if own and any(max(map(abs, arms[m][c])) > 1e-3 for c in free))


def _channels(muscle: str, by_muscle: Mapping[str, Seen]) -> tuple[list[Seen], str]:
    """Channels that drive a muscle, and what is doubtful about that."""
    asked = MODEL_MUSCLES.get(muscle)
    if asked is None:
        own = by_muscle.get(muscle)
        return ([own], "") if own else ([], "no channel is called like it; it counts as silent")
    for place, option in enumerate(asked):
        own = [by_muscle[m] for m in option.split("+") if m in by_muscle]
        if len(own) < len(option.split("+")):
            continue
        vague = [c for c in own if len(c.called.muscles) > 1]
        doubt = ""
        if place or "+" in option:
            named = " and ".join(o.replace("_", " ") for o in option.split("+"))
            doubt = f"no channel of its own; in its stead {named}"
        elif vague:
            doubt = f"'{vague[0].name}' may be {' or '.join(m.replace('_', ' ') for m in vague[0].called.muscles)}"
        return own, doubt
    return [], "no channel for it; it counts as silent"


def _aliases(columns: Sequence[Seen]) -> dict[str, str]:
    """Short names for channels whose own would be hard to write in patterns."""
    plain = {}
    for c in columns:
        simple = all(ch.isalnum() or ch in "_-" for ch in c.name)
        alias = c.name if simple else c.called.muscles[0]
        plain[c.name] = alias if alias not in plain.values() else f"{alias}_{len(plain)}"
    return plain
