"""Whether a person could do with their muscles what the identified one does: none is fully active in every step, and
one whose EMG is large does something."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mjx_msm.knowledge.records import MuscleUse
from mjx_msm.knowledge.wording import some

FULL = 0.95
"""Activation from which a muscle is fully active."""
OFTEN = 0.05
"""Part of a trial in which one may be."""
STRONG = 0.5
"""Of its reference, from which a channel's EMG is large."""
FAINT = 0.15
"""Greatest activation of a muscle up to which it is hardly used."""
NOTHING = 0.01
"""Greatest tension over the maximal isometric force, up to which a muscle pulls nothing."""


class Doubt(enum.Enum):
    """What is not plausible of a muscle, the worst first."""

    FULL = enum.auto()
    NOTHING = enum.auto()
    FAINT = enum.auto()


@dataclass(frozen=True)
class Doubtful:
    """Muscles that do what hardly anybody's do."""

    muscles: tuple[str, ...]
    doubt: Doubt
    said: str

    @property
    def is_first(self) -> bool:
        """Whether to ask about it before more is recorded: a gain that is small may be no more than not known yet."""
        return self.doubt is not Doubt.FAINT


def doubtful_muscles(
    use: Sequence[MuscleUse], emg_map: Mapping[str, Mapping[str, float]], *, efforts: bool
) -> tuple[Doubtful, ...]:
    """Muscles that are fully active for long, that pull nothing although their EMG is large, and that are hardly used
    although it is; the worst first. Those of the same channels are told of together.

    **Arguments:** `emg_map`: what drives every muscle. `efforts`: whether contractions were held, in which a muscle may
    be fully active as long as that.
    """
    each = {muscle: [u for u in use if u.muscle == muscle] for muscle in dict.fromkeys(u.muscle for u in use)}
    together: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for muscle in each:
        together.setdefault(tuple(sorted(emg_map.get(muscle, {}).items())), []).append(muscle)
    found = [d for muscle, own in each.items() for d in _of_one(muscle, own, efforts=efforts)]
    found += [d for mix, own in together.items() for d in _faint(dict(mix), {m: each[m] for m in own})]
    return tuple(sorted(found, key=lambda d: d.doubt.value))


def _of_one(muscle: str, trials: Sequence[MuscleUse], *, efforts: bool) -> Iterator[Doubtful]:
    worst, emg = max(trials, key=lambda u: u.full), max(u.envelope for u in trials)
    if worst.full >= OFTEN and not efforts:
        said = f"{muscle} is at full activation in {100 * worst.full:.0f} % of {worst.trial}"
        yield Doubtful((muscle,), Doubt.FULL, said)
    if emg >= STRONG and max(u.pull for u in trials) < NOTHING:
        said = f"{muscle} pulls with less than {100 * NOTHING:.0f} % of its strength throughout, although its EMG"
        yield Doubtful((muscle,), Doubt.NOTHING, f"{said} reaches {100 * emg:.0f} % of its reference")


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
