"""How well people fit and are predicted, in parts of their recordings' spread."""

from __future__ import annotations

import math
from statistics import median

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.judged_errors import fits_poorly, flattery, measure, misfit, pooled
from mjx_msm.knowledge.result_table import CLEARLY
from mjx_msm.knowledge.wording import FLATTERS, MAY_FLATTER

MOST = 0.6
"""Part of the people in whom an error has to be less, for it to be no matter of chance in a few."""


def relative_errors(c: Cohort) -> dict[str, tuple[float, float]]:
    """By person, the error on what was unseen over the recording's spread, ours and the best regression's."""
    out = {}
    for m in c.identified:
        e = c.unseen_error(m)
        if e and isinstance(e["error"], float) and isinstance(e["spread"], float) and e["spread"] > 0:
            theirs = e.get("rival_error", math.nan)
            assert isinstance(theirs, float)
            out[m.name] = e["error"] / e["spread"], theirs / e["spread"]
    return out


def errors_with_others(c: Cohort) -> dict[str, tuple[float, float]]:
    """By person with a trial that was held out, the error on it over its spread: of their own result, and of the
    estimate with what all of them lead to expect, which no more saw it."""
    out = {}
    for name, other in c.seen.items():
        rows = [[f for f in r.fits if f.role == "held-out"] for r in (c.results[name], other)]
        kind = measure(rows[0])
        alone, with_others = (pooled(x, kind=kind) / pooled(x, "spread", kind=kind) if x else math.nan for x in rows)
        if math.isfinite(alone) and math.isfinite(with_others):
            out[name] = alone, with_others
    return out


def others_help(c: Cohort) -> bool:
    """Whether what was held out is predicted better with what all of them lead to expect: clearly in the middle person,
    and in most of them."""
    both = list(errors_with_others(c).values())
    if not both:
        return False
    alone, with_others = (median(x) for x in zip(*both, strict=True))
    return with_others < CLEARLY * alone and sum(b < a for a, b in both) > MOST * len(both)


def poorly_fitted(c: Cohort) -> dict[str, float]:
    """By person whom the model fits poorly, the error over the spread of what they were identified from, or over what
    was held; the worst first."""
    found = [(name, misfit(result.fits)) for name, result in c.results.items() if fits_poorly(result.fits)]
    return dict(sorted(found, key=lambda x: -x[1]))


def flattery_of_all(c: Cohort) -> str:
    """What to think of errors where what was unseen of anybody lay between parts of the same trial, or may have."""
    said = {flattery(result.fits) for result in c.results.values()}
    return next((x for x in (FLATTERS, MAY_FLATTER) if x in said), "")
