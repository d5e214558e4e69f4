"""Of people who were made up, the truth beside what was found of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.records import Estimate, Unknown
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing

LOW = 0.9
"""Part of the truths, below which intervals of 95 % hold clearly too few."""


@dataclass(frozen=True)
class Against:
    """An estimate and the truth."""

    who: str
    estimate: Estimate
    unknown: Unknown
    determined: bool
    truth: float

    @property
    def held(self) -> bool:
        """Whether the 95 % interval holds it."""
        return self.estimate.low <= self.truth <= self.estimate.high


def against_truth(c: Cohort, results: Mapping[str, Identification] | None = None) -> tuple[Against, ...]:
    """Every estimate of somebody whose truth is known, beside it; of what stands for several there is no one truth.

    **Arguments:** `results`: other estimates of the same people.
    """
    known = {m.name: m.truth for m in c.members}
    out = []
    for who, r in (c.results if results is None else results).items():
        for e, u, stands in zip(r.estimates, r.unknowns, r.standing, strict=True):
            if len(u.members) == 1 and u.members[0] in known[who]:
                out.append(Against(who, e, u, stands is Standing.DETERMINED, known[who][u.members[0]]))
    return tuple(out)


def truth_words(c: Cohort) -> str:
    """How often intervals hold the truth, alone and with what all of them lead to expect."""
    found, with_others = against_truth(c), against_truth(c, c.seen)
    if not found:
        return ""
    people = len({a.who for a in found})
    whose = "everybody" if people == len(c.identified) else f"{people} people"
    determined = [a for a in found if a.determined]
    said = (
        f"Of {whose} the truth is known, as they are made up: 95 % intervals hold it in {_holding(found)}, of "
        f"determined parameters in {_holding(determined)}"
    )
    if with_others:
        why = " (the usual prior is not of these people)" if _share(found) < LOW < _share(with_others) else ""
        said += f"; with what all of them lead to expect in {_holding(with_others)}{why}"
    return f"{said}."


def _holding(found: Sequence[Against]) -> str:
    return f"{100 * _share(found):.0f} % ({sum(a.held for a in found)} of {len(found)})" if found else "none"


def _share(found: Sequence[Against]) -> float:
    return sum(a.held for a in found) / len(found)
