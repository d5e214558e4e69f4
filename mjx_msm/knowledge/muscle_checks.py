"""Whether a person could do with their muscles what the identified one does: none is fully active in every step, one
whose EMG is large does something, and one that is active pulls."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mjx_msm.knowledge.judged_errors import was_held
from mjx_msm.knowledge.records import MuscleUse
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.wording import some

FULL = 0.95
"""Activation from which a muscle is fully active."""
OFTEN = 0.05
"""Part of a trial in which one may be."""
SATURATED = 0.2
"""Part of a contraction that was held, from which on a muscle that is fully active there is told of: more excitation
would change nothing."""
STRONG = 0.5
"""Of its reference, from which a channel's EMG is large."""
FAINT = 0.15
"""Greatest activation of a muscle up to which it is hardly used."""
NOTHING = 0.01
"""Greatest tension over the maximal isometric force, up to which a muscle pulls nothing."""
ACTIVE, SLACK = 0.4, 0.05
"""Activation from which a muscle has to pull with more than this part of its maximal isometric force."""
OWN_PEAK, NEAR_PEAK = 0.05, 0.2
"""How near to 1 the greatest envelope of most channels is where each is relative to its own greatest, and that of the
rest, whose greatest may lie a little outside of what is identified from."""
MOST = 0.75
"""Part of the channels."""
MVC = "a maximal voluntary contraction (MVC) for every channel: without it gains are relative"


class Doubt(enum.Enum):
    """What is not plausible of a muscle, the worst first."""

    FULL = enum.auto()
    NOTHING = enum.auto()
    SLACK = enum.auto()
    FAINT = enum.auto()
    SATURATED = enum.auto()
    """Plausible in a greatest effort, but no more is told of it."""


@dataclass(frozen=True)
class Doubtful:
    """Muscles that do what hardly anybody's do."""

    muscles: tuple[str, ...]
    doubt: Doubt
    said: str

    @property
    def is_first(self) -> bool:
        """Whether to ask about it before more is recorded: a gain that is small may be no more than not known yet."""
        return self.doubt not in (Doubt.FAINT, Doubt.SATURATED)


def muscle_doubts(result: Identification) -> tuple[Doubtful, ...]:
    """`doubtful_muscles` of a result. Where every channel is relative to its own greatest envelope, that a muscle is
    hardly used says nothing: nobody knows what is much."""
    bounds = {e.path: e.bound for e in result.estimates if e.bound}
    found = doubtful_muscles(result.use, result.emg_map, efforts=was_held(result.fits), bounds=bounds)
    own = is_relative_to_itself(result)
    return tuple(d for d in found if not (own and d.doubt is Doubt.FAINT))


def is_relative_to_itself(result: Identification) -> bool:
    """Whether every channel's greatest envelope in trials that moved is about 1, as where each is normalised to its own
    greatest and nobody knows what a maximal voluntary contraction has."""
    if was_held(result.fits) or not result.use:
        return False
    heard = {c for u in result.use for c, w in result.emg_map.get(u.muscle, {}).items() if w}
    greatest = {c: x for c, x in result.peaks.items() if c in heard}
    for u in result.use:
        mix = [(c, w) for c, w in result.emg_map.get(u.muscle, {}).items() if w]
        if len(mix) == 1 and mix[0][1] == 1.0:
            channel = mix[0][0]
            greatest[channel] = max(greatest.get(channel, 0.0), u.envelope)
    off = [abs(x - 1.0) for x in greatest.values()]
    return bool(off) and max(off) <= NEAR_PEAK and sum(x <= OWN_PEAK for x in off) >= MOST * len(off)


def without_effect(result: Identification) -> dict[str, str]:
    """Path of every estimate that only channels have whose muscles cross no free joint, so that nothing recorded can
    tell it, and the channel; none where what muscles do is not known."""
    if not result.use:
        return {}
    acting = {u.muscle for u in result.use}
    heard = {c for muscle in acting for c, w in result.emg_map.get(muscle, {}).items() if w}
    idle = set(result.channels) - heard
    members = [u.members for u in result.unknowns] or [(e.path,) for e in result.estimates]
    out = {}
    for e, each in zip(result.estimates, members, strict=True):
        channels = {path.split("/")[1] for path in each if path.startswith("emg/")}
        if channels and channels <= idle and all(path.startswith("emg/") for path in each):
            out[e.path] = some(sorted(channels))
    return out


def doubtful_muscles(
    use: Sequence[MuscleUse],
    emg_map: Mapping[str, Mapping[str, float]],
    *,
    efforts: bool,
    bounds: Mapping[str, str] | None = None,
) -> tuple[Doubtful, ...]:
    """Muscles that are fully active for long, that pull nothing although their EMG is large, or little although they
    are active, and that are hardly used although it is; the worst first. Those of the same channels are told of
    together.

    **Arguments:** `emg_map`: what drives every muscle. `efforts`: whether contractions were held, in which a muscle may
    be fully active as long as that. `bounds`: at which bound estimates are, by path.
    """
    each = {muscle: [u for u in use if u.muscle == muscle] for muscle in dict.fromkeys(u.muscle for u in use)}
    together: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for muscle in each:
        together.setdefault(tuple(sorted(emg_map.get(muscle, {}).items())), []).append(muscle)
    found = [d for own in together.values() for d in _full({m: each[m] for m in own}, efforts=efforts)]
    found += [d for muscle, own in each.items() for d in _slack(muscle, own, bounds or {})]
    found += [d for mix, own in together.items() for d in _faint(dict(mix), {m: each[m] for m in own})]
    return tuple(sorted(found, key=lambda d: d.doubt.value))


def _full(trials: Mapping[str, Sequence[MuscleUse]], *, efforts: bool) -> Iterator[Doubtful]:
    """Of muscles that the same channels drive; those that are full for as long are told of together."""
    by: dict[tuple[str, str], list[str]] = {}
    for muscle, own in trials.items():
        worst = max(own, key=lambda u: u.full)
        if worst.full >= (SATURATED if efforts else OFTEN):
            by.setdefault((f"{100 * worst.full:.0f} %", worst.trial), []).append(muscle)
    for (part, trial), muscles in by.items():
        said = f"{some(muscles)} {'is' if len(muscles) == 1 else 'are'} at full activation in {part} of {trial}"
        yield Doubtful(tuple(muscles), Doubt.SATURATED if efforts else Doubt.FULL, said)


def _slack(muscle: str, trials: Sequence[MuscleUse], bounds: Mapping[str, str]) -> Iterator[Doubtful]:
    """Of one that pulls nothing although its EMG is large, or little although it is active."""
    emg = max(u.envelope for u in trials)
    active, pull = max(u.activation for u in trials), max(u.pull for u in trials)
    if emg >= STRONG and pull < NOTHING:
        said = f"{muscle} pulls with less than {100 * NOTHING:.0f} % of its strength throughout, although its EMG"
        yield Doubtful((muscle,), Doubt.NOTHING, f"{said} reaches {100 * emg:.0f} % of its reference")
    elif active > ACTIVE and pull <= SLACK:
        why = ": its tendon slack length is at its bound" if f"muscle/{muscle}/tendon_slack_length" in bounds else ""
        said = f"{muscle} is up to {100 * active:.0f} % active yet pulls with {100 * pull:.0f} % of its strength"
        yield Doubtful((muscle,), Doubt.SLACK, f"{said} at most{why}")


def _faint(mix: Mapping[str, float], trials: Mapping[str, Sequence[MuscleUse]]) -> Iterator[Doubtful]:
    """Of muscles that the same channels drive."""
    every = [u for own in trials.values() for u in own]
    emg, reached = max(u.envelope for u in every), max(u.activation for u in every)
    if emg >= STRONG and reached < FAINT:
        gains = f"the gain of {some(list(mix))} lets" if len(mix) == 1 else f"the gains of {some(list(mix))} let"
        yield Doubtful(
            tuple(trials),
            Doubt.FAINT,
            f"{gains} {some(list(trials))} reach no more than {100 * reached:.0f} % activation, although that EMG "
            f"reaches {100 * emg:.0f} % of its reference",
        )
