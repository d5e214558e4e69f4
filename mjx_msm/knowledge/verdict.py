"""A result in plain sentences: whether to believe it, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mjx_msm.knowledge.judged_errors import (
    POOR,
    POOR_HELD,
    fits_poorly,
    fitted,
    flattery,
    is_noise,
    measure,
    pooled,
    rival,
    size,
    unit_of,
    unseen,
    was_held,
    worse_than_constant,
)
from mjx_msm.knowledge.next_step import next_step
from mjx_msm.knowledge.records import Fit, Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.result_table import CLEARLY
from mjx_msm.knowledge.standing import Standing, how_roughly
from mjx_msm.knowledge.wording import CLOSELY, some

NARROW = 0.9
"""Part below which it holds clearly too little."""


def verdict(result: Identification, bands: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """How it ended, how well it fits, how well it predicts, what is known of the parameters, and what to do next.

    **Arguments:** `bands`: by held-out trial, the part of the recorded moment that its 95 % band holds.
    """
    said = (_ended(result), _fits(result.fits), _predicts(result.fits), _held(bands or {}), _known(result))
    return (*(s for s in said if s), next_step(result))


def _ended(result: Identification) -> str:
    return {
        Outcome.CONVERGED: f"The estimate converged: no nearby person fits these recordings better{_from(result)}.",
        Outcome.MAX_EVALUATIONS: "The estimate did not converge: it ran out of evaluations, and may still move.",
        Outcome.NOT_FINITE: "The estimate is not to be used: simulated with it, some segments are not finite.",
        Outcome.INTERRUPTED: "The estimate was interrupted: what is here is its last iteration.",
    }[result.outcome]


def _from(result: Identification) -> str:
    starts = result.starts
    return f", nor one found from {starts} starts" if starts > 1 else " (one start: a distant one might; `--starts 25`)"


def _fits(fits: Sequence[Fit]) -> str:
    rows = fitted(fits)
    kind = measure(rows)
    if not rows:
        return ""
    unit, poor, half = unit_of(rows, kind), "", f"more than {100 * POOR:.0f} % of the spread"
    if was_held(fits):
        part = f" That is a poor fit: more than {100 * POOR_HELD:.0f} % of what was held." if fits_poorly(fits) else ""
        return (
            f"On the contractions it was made from, held at {size(pooled(rows, 'level', kind=kind), unit)} and varying "
            f"by {size(pooled(rows, 'spread', kind=kind), unit)}, it misses the recorded moment by "
            f"{size(pooled(rows, kind=kind), unit)} (root mean square), and the generic model by "
            f"{size(pooled(rows, 'generic', kind=kind), unit)}.{part}"
        )
    if worse_than_constant(fits):
        poor = " That is a poor fit: the error is more than the spread, and a constant would do better."
    elif fits_poorly(fits):
        poor = f" That is a poor fit: the error is {half}."
    elif is_noise(fits):
        poor = f" The error is {half}, but what is left does not repeat itself: noise of the recording."
    return (
        f"On the trials it was made from, it misses the recorded {kind} by {size(pooled(rows, kind=kind), unit)} (root "
        f"mean square), where the recording itself varies by {size(pooled(rows, 'spread', kind=kind), unit)} and the "
        f"generic model misses it by {size(pooled(rows, 'generic', kind=kind), unit)}.{poor}"
    )


def _predicts(fits: Sequence[Fit]) -> str:
    rows = unseen(fits)
    if not rows:
        return "How well it predicts is not known: no trial was held out, and there was no cross-validation."
    kind = measure(rows)
    error, spread, unit = pooled(rows, kind=kind), pooled(rows, "spread", kind=kind), unit_of(rows, kind)
    said = f"{_where(rows)}, it misses the {kind} by {size(error, unit)} (spread {size(spread, unit)})"
    flatters = f" {flattery(fits)}".rstrip()
    other = rival(rows, kind)
    flatters += _beaten(fits) if rows[0].role == "held-out" else ""
    if other is None:
        return f"{said}.{flatters}"
    name, theirs = other
    if theirs < CLEARLY * error:
        end = f"{name} misses it by only {size(theirs, unit)}: for prediction alone it is the better."
    else:
        better = "is the better prediction" if error < CLEARLY * theirs else "predicts no worse"
        end = f"the best of those without a person, {name}, misses it by {size(theirs, unit)}: the model {better}."
    return f"{said}; {end}{flatters}"


def _beaten(fits: Sequence[Fit]) -> str:
    """Where the folds of a cross-validation, which a held-out trial comes before, tell another story."""
    rows = [f for f in fits if f.role == "cross-validated"]
    kind = measure(rows)
    other = rival(rows, kind)
    if other is None or not other[1] < CLEARLY * pooled(rows, kind=kind):
        return ""
    unit, names = unit_of(rows, kind), some(list(dict.fromkeys(f.trial for f in rows)))
    ours, theirs = size(pooled(rows, kind=kind), unit), size(other[1], unit)
    return f" Cross-validated among {names}, {other[0]} is better: {theirs}, the model {ours}."


def _where(rows: Sequence[Fit]) -> str:
    if rows[0].role == "held-out":
        return "On held-out trials"
    if not any(f.within for f in rows):
        known = all(f.within is not None for f in rows)
        return "Cross-validated, on trials it had not seen" if known else "Cross-validated"
    same = "the same trial" if len({f.trial for f in rows}) == 1 else "the same trials"
    return f"Cross-validated, on parts of {same} it had not seen"


def _held(bands: Mapping[str, float]) -> str:
    """What of the unseen the band holds, and what that says of intervals."""
    if not bands:
        return ""
    said = "; ".join(f"of {name} the band of 95 % holds {100 * held:.0f} %" for name, held in bands.items())
    if min(bands.values()) >= NARROW:
        return f"Intervals bear out: {said}."
    return (
        f"Intervals are too narrow for what it has not seen: {said}. Something that the model lacks shows there; take "
        "its intervals, those of parameters too, for the least there could be."
    )


def _known(result: Identification) -> str:
    by: dict[Standing, list[str]] = {s: [] for s in Standing}
    unknowns = result.unknowns or (None,) * len(result.estimates)
    for e, u, stands in zip(result.estimates, unknowns, result.standing, strict=True):
        fold = f" ({how_roughly(e, u)})" if stands is Standing.ROUGH and u is not None else ""
        by[stands].append(e.path + fold)
    count, known = len(result.estimates), len(by[Standing.DETERMINED])
    if known == count:
        return f"The recordings determine all {count} parameters {CLOSELY}."
    not_counted = [
        f"{what}: {some(by[stands])}"
        for stands, what in (
            (Standing.ROUGH, "known only roughly"),
            (Standing.BOUND, "at a bound"),
            (Standing.RANGE, "as wide as all that was allowed"),
        )
        if by[stands]
    ]
    little = len(by[Standing.PRIOR]) + len(by[Standing.UNDETERMINED])
    return (
        f"The recordings determine {known or 'none'} of {count} parameters {CLOSELY}"
        + (f"; of {little} they say little" if little else "")
        + (f". Not counted, {'; '.join(not_counted)}" if not_counted else "")
        + "."
    )
