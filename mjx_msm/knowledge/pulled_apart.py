"""Trials that disagree: parameters that several of them pull each its own way, as tests of fit found it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mjx_msm.knowledge.records import Fit

CLEARLY = 4.0
"""Standard deviations by which an estimate moves without a trial, from which they disagree."""
_MOVED = re.compile(r"without this trial (.+) would move by about ([\d.]+) standard deviations")
"""As `mjx_msm.identification.misfit` says it; a result keeps the words."""


@dataclass(frozen=True)
class PulledApart:
    """A parameter that moves without any of these trials: the others do not bear out what each says of it."""

    name: str
    by: Mapping[str, float]
    """By trial, how far it would move without it [standard deviations]."""

    @property
    def said(self) -> str:
        """In words, which end a sentence."""
        each = [f"without {trial} by about {by:.2g}" for trial, by in self.by.items()]
        return f"{self.name} would move {', '.join(each[:-1])} and {each[-1]} standard deviations"


def pulled_apart(fits: Sequence[Fit]) -> tuple[PulledApart, ...]:
    """What two trials or more pull apart, the most first. What one alone tells of is only its own."""
    moved: dict[str, dict[str, float]] = {}
    for f in fits:
        for said in f.against:
            if (m := _MOVED.search(said)) and float(m[2]) >= CLEARLY:
                moved.setdefault(m[1], {})[f.trial] = float(m[2])
    found = [PulledApart(name, by) for name, by in moved.items() if len(by) > 1]
    return tuple(sorted(found, key=lambda x: -min(x.by.values())))
