"""Whether a person could do with their muscles what the identified one does: none is fully active in every step, and
one whose EMG is large does something."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mjx_msm.knowledge.records import MuscleUse

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
    """A muscle that does what hardly anybody's does."""

    muscle: str
    doubt: Doubt
    said: str


def doubtful_muscles(use: Sequence[MuscleUse], *, efforts: bool) -> tuple[Doubtful, ...]:
    """Muscles that are fully active for long, that pull nothing although their EMG is large, and that are hardly used
    although it is; the worst first.

    **Arguments:** `efforts`: whether contractions were held, in which a muscle may be fully active as long as that.
    """
    found = [d for muscle in dict.fromkeys(u.muscle for u in use) for d in _of([u for u in use if u.muscle == muscle])]
    return tuple(sorted((d for d in found if not efforts or d.doubt is not Doubt.FULL), key=lambda d: d.doubt.value))


def _of(trials: Sequence[MuscleUse]) -> Iterator[Doubtful]:
    """Doubts of one muscle."""
    muscle, emg = trials[0].muscle, max(u.envelope for u in trials)
    worst, reached = max(trials, key=lambda u: u.full), max(u.activation for u in trials)
    if worst.full >= OFTEN:
        yield Doubtful(
            muscle, Doubt.FULL, f"{muscle} is at full activation in {100 * worst.full:.0f} % of {worst.trial}"
        )
    if emg < STRONG:
        return
    if max(u.pull for u in trials) < NOTHING:
        said = f"{muscle} pulls with less than {100 * NOTHING:.0f} % of its strength throughout, although its EMG"
        yield Doubtful(muscle, Doubt.NOTHING, f"{said} reaches {100 * emg:.0f} % of its reference")
    elif reached < FAINT:
        said = f"the EMG gain lets {muscle} reach no more than {100 * reached:.1g} % activation, although its EMG"
        yield Doubtful(muscle, Doubt.FAINT, f"{said} reaches {100 * emg:.0f} % of its reference")
