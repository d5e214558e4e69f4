"""Trials that disagree: parameters that several of them pull each its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mjx_msm.knowledge.judged_errors import size
from mjx_msm.knowledge.records import Fit, Moved

CLEARLY = 4.0
"""Standard deviations by which an estimate moves without a trial, from which they disagree."""


@dataclass(frozen=True)
class PulledApart:
    """A parameter that moves without any of these trials: the others do not bear out what each says of it."""

    name: str
    by: Mapping[str, Moved]
    """By trial; of several joints, that whose moment moves most."""
    unit: str
    """Of the moments."""

    @property
    def moments(self) -> str:
        """By how much those of every trial would move without it, in words."""
        return _listed([f"{size(m.signal, self.unit)} in {trial}" for trial, m in self.by.items()])

    @property
    def said(self) -> str:
        """In words, which end a sentence."""
        each = _listed([f"without {trial} by about {m.by:.2g}" for trial, m in self.by.items()])
        return f"{self.name} would move {each} standard deviations, and with it the moment by {self.moments}"


def pulled_apart(fits: Sequence[Fit]) -> tuple[PulledApart, ...]:
    """What two trials or more pull apart, the most first. What one alone tells of is only its own."""
    moved: dict[tuple[str, str], dict[str, Moved]] = {}
    for f in fits:
        if f.without is not None and f.without.by >= CLEARLY:
            own = moved.setdefault((f.without.name, f.unit), {})
            own[f.trial] = max(own.get(f.trial, f.without), f.without, key=lambda m: m.signal)
    found = [PulledApart(name, by, unit) for (name, unit), by in moved.items() if len(by) > 1]
    return tuple(sorted(found, key=lambda x: -min(m.by for m in x.by.values())))


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"
