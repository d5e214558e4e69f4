"""Of people who were made up, the truth beside what was found of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.records import Estimate, Unknown
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing
from mjx_msm.knowledge.wording import FIELDS

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


def too_seldom(c: Cohort) -> str:
    """That intervals of determined parameters hold the truth too seldom, where it is known and they do, and how often:
    it is of them that readers make use."""
    determined = [a for a in against_truth(c) if a.determined]
    if not determined or _share(determined) >= LOW:
        return ""
    others = () if prior_of_others(c) else against_truth(c, c.seen)
    more = f"; with what all of them lead to expect, intervals do in {_holding(others)}" if others else ""
    return (
        f"Take no interval at its word: those of determined parameters hold the truth, which is known, too seldom, in "
        f"{_holding(determined)} and not in 95 %{more}."
    )


def prior_of_others(c: Cohort) -> str:
    """That intervals hold the truth where the others' expectation takes the usual prior's place, and not with it."""
    found, with_others = against_truth(c), against_truth(c, c.seen)
    if not with_others or not _share(found) < LOW < _share(with_others):
        return ""
    return (
        f"with it 95 % intervals hold the truth, which is known, in {_holding(found)}, and with what these people lead "
        f"to expect in {_holding(with_others)}"
    )


def truth_words(c: Cohort) -> str:
    """How often intervals hold the truth, and by how much estimates miss it all in the same direction, alone and with
    what all of them lead to expect."""
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
        why = " (the usual prior is not of these people)" if prior_of_others(c) else ""
        said += f"; with what all of them lead to expect in {_holding(with_others)}{why}"
    return f"{said}.{_leaning(c, found, with_others)}"


def leanings(c: Cohort, found: Sequence[Against]) -> dict[str, tuple[float, int, int]]:
    """By kind of positive parameter, the middle estimate over its truth, how many lie above theirs, and of how many."""
    by: dict[str, list[float]] = {}
    for a in found:
        if a.truth > 0 and c.positive(a.estimate.path):
            by.setdefault(a.estimate.path.split("/")[-1], []).append(a.estimate.value / a.truth)
    return {kind: (median(x), sum(v > 1.0 for v in x), len(x)) for kind, x in by.items()}


def _leaning(c: Cohort, found: Sequence[Against], with_others: Sequence[Against]) -> str:
    """Whether estimates lie above the truth, or below it, more often than as chance has it."""
    alone, others = leanings(c, found), leanings(c, with_others)
    said = []
    for kind, (middle, above, count) in alone.items():
        again = f", with what all of them lead to expect {others[kind][0]:.2f} times" if kind in others else ""
        said.append(
            f"{FIELDS.get(kind, kind)} is in the middle {middle:.2f} times the true one{again} ({above} of {count} "
            "alone lie above it)"
        )
    if not said:
        return ""
    leans = [kind for kind, (_, above, count) in alone.items() if abs(above - 0.5 * count) > math.sqrt(count)]
    many = {alone[kind][0] > 1.0 for kind in leans}
    head = "Estimates lie to neither side of the truth" if not leans else (
        "Estimates are systematically too high" if many == {True} else
        "Estimates are systematically too low" if many == {False} else "Estimates are systematically off"
    )  # fmt: skip
    return f" {head}: {'; '.join(said)}."


def _holding(found: Sequence[Against]) -> str:
    return f"{100 * _share(found):.0f} % ({sum(a.held for a in found)} of {len(found)})" if found else "none"


def _share(found: Sequence[Against]) -> float:
    return sum(a.held for a in found) / len(found)
