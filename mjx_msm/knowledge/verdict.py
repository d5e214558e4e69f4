"""A result in plain sentences: whether to believe it, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mjx_msm.knowledge.between_bounds import determined_between_bounds, held_by_bounds
from mjx_msm.knowledge.judged_errors import (
    POOR,
    fits_poorly,
    fitted,
    is_noise,
    measure,
    misfit,
    pooled,
    rival,
    size,
    unit_of,
    unseen,
)
from mjx_msm.knowledge.next_step import next_step
from mjx_msm.knowledge.records import Fit, Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.result_table import CLEARLY
from mjx_msm.knowledge.wording import some

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
    if misfit(fits) > 1.0:
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
    of = " of the same trial" if len({f.trial for f in rows}) == 1 else ""
    unseen_parts = f"Cross-validated, on parts{of} it had not seen"
    where = "On held-out trials" if rows[0].role == "held-out" else unseen_parts
    said = f"{where}, it misses the {kind} by {size(error, unit)} (spread {size(spread, unit)})"
    other = rival(rows, kind)
    if other is None:
        return f"{said}."
    name, theirs = other
    if theirs < CLEARLY * error:
        return f"{said}; {name} misses it by only {size(theirs, unit)}: for prediction alone it is the better."
    better = "is the better prediction" if error < CLEARLY * theirs else "predicts no worse"
    return f"{said}; the best of those without a person, {name}, misses it by {size(theirs, unit)}: the model {better}."


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
    count, known = len(result.estimates), sum(determined_between_bounds(result))
    at = [e.path for e in result.estimates if e.bound]
    bound = f"; at a bound, and not counted: {some(at)}" if at else ""
    wide = [path for path in held_by_bounds(result) if path not in at]
    bound += f"; as wide as all that was allowed: {some(wide)}" if wide else ""
    if known == count:
        return f"The recordings determine all {count} parameters."
    return f"The recordings determine {known} of {count} parameters; of the others they say little{bound}."
