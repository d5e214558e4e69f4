"""A result in five plain sentences: whether to believe it, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mjx_msm.knowledge.records import WITH_DISCREPANCY, Fit, Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.result_table import CLEARLY, STILL
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.knowledge.wording import number

MOST_NAMED = 3
POOR = 0.5
"""Of the spread of a recorded signal, above which an error leaves little of it explained."""


def verdict(result: Identification) -> tuple[str, ...]:
    """How it ended, how well it fits, how well it predicts, what is known of the parameters, and what to do next."""
    said = (_ended(result), _fits(result.fits), _predicts(result.fits), _known(result))
    return (*(s for s in said if s), next_step(result))


def unseen(fits: Sequence[Fit]) -> tuple[Fit, ...]:
    """Errors on what the estimate was not made from: held-out trials, or else the folds of a cross-validation."""
    held = tuple(f for f in fits if f.role == "held-out")
    return held or tuple(f for f in fits if f.role == "cross-validated")


def pooled(fits: Sequence[Fit], of: str = "identified", *, kind: str) -> float:
    """Root mean square over the rows of one kind; `of`: a field of `Fit`, or a name in `Fit.beside`. NaN without."""
    values = [f.beside.get(of, math.nan) if of not in _OWN else getattr(f, of) for f in fits if f.kind == kind]
    return math.sqrt(sum(x * x for x in values) / len(values)) if values else math.nan


_OWN = ("generic", "identified", "spread")


def measure(fits: Sequence[Fit]) -> str:
    """The kind of error to judge by: moments where there are any, else motions."""
    kinds = [f.kind for f in fits]
    return next((k for k in ("moment", "motion") if k in kinds), kinds[0] if kinds else "")


def rival(fits: Sequence[Fit], kind: str) -> tuple[str, float] | None:
    """The prediction without a model of the person that has the smallest error, of those that every row has."""
    rows = [f for f in fits if f.kind == kind]
    common = set.intersection(*(set(f.beside) - {WITH_DISCREPANCY} for f in rows)) if rows else set()
    return min(((name, pooled(rows, name, kind=kind)) for name in common), key=lambda x: x[1], default=None)


def size(value: float, unit: str) -> str:
    """An error with the unit of its row, angles in degrees."""
    return f"{math.degrees(value):.2g}°" if unit == "rad" else f"{value:.3g} {unit}"


def _unit(fits: Sequence[Fit], kind: str) -> str:
    return next(f.unit for f in fits if f.kind == kind)


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
    rows = [f for f in fits if f.role == "identify"]
    kind = measure(rows)
    if not rows:
        return ""
    error, spread, unit = pooled(rows, kind=kind), pooled(rows, "spread", kind=kind), _unit(rows, kind)
    poor = " That is a poor fit." if error > POOR * spread else ""
    return (
        f"On the trials it was made from, it misses the recorded {kind} by {size(error, unit)} (root mean square), "
        f"where the recording itself varies by {size(spread, unit)} and the generic model misses it by "
        f"{size(pooled(rows, 'generic', kind=kind), unit)}.{poor}"
    )


def _predicts(fits: Sequence[Fit]) -> str:
    rows = unseen(fits)
    if not rows:
        return "How well it predicts is not known: no trial was held out, and there was no cross-validation."
    kind = measure(rows)
    error, spread, unit = pooled(rows, kind=kind), pooled(rows, "spread", kind=kind), _unit(rows, kind)
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


def _known(result: Identification) -> str:
    count, known = len(result.estimates), sum(k is Knowledge.DETERMINED for k in result.knowledge)
    bound = [e.path for e in result.estimates if e.bound]
    at = f"; at a bound: {_named(bound)}" if bound else ""
    if known == count:
        return f"The recordings determine all {count} parameters{at}."
    return f"The recordings determine {known} of {count} parameters; of the others they say little{at}."


def next_step(result: Identification) -> str:
    """The first thing that is in the way of relying on the result."""
    unseen_rows = unseen(result.fits)
    kind = measure(unseen_rows)
    other = rival(unseen_rows, kind)
    # no bound can be wider than none of a thing: no damping, no delay, no curvature of the EMG
    bound = [e.path for e in result.estimates if e.bound and number(e.value, e.low, e.high) != "0"]
    if result.outcome is Outcome.INTERRUPTED:
        return "Next: go on with `mjx-msm identify … --resume`."
    if result.outcome is Outcome.NOT_FINITE:
        return "Next: check units and signs of angles and EMG; then try fewer free parameters."
    moving = [f for f in unseen_rows if f.spread > STILL.get(f.kind, 0.0)]
    if any(f.identified > f.spread for f in moving):
        worst = max(moving, key=lambda f: f.identified / f.spread)
        return (
            f"Next: look at {worst.trial}, which it predicts worse than a constant would: a sign, a unit, or a task "
            "that the others say nothing of."
        )
    if result.outcome is Outcome.MAX_EVALUATIONS:
        return "Next: let it go on with `--resume`."
    if not unseen_rows:
        return 'Next: hold a trial out (`role = "held-out"` in the subject file), and see what it predicts of it.'
    if other is not None and other[1] < CLEARLY * pooled(unseen_rows, kind=kind):
        return (
            "Next: look where in the trials below the error is. A model that predicts worse than a regression lacks "
            "something: a muscle without EMG, passive tissue, a wrong delay."
        )
    if bound:
        return (
            f"Next: ask whether {_named(bound)} can be believed, since only a bound holds them: either the bound is "
            "too narrow for this person (set it in the subject file), or they make up for something the model lacks."
        )
    open_ones = [
        e.path for e, k in zip(result.estimates, result.knowledge, strict=True) if k is not Knowledge.DETERMINED
    ]
    if len(open_ones) > len(result.estimates) / 4:
        return (
            f"Next: if {_named(open_ones)} matter to you, record a task that moves them (`msm.design_experiment` finds "
            "one); if not, use the person as they are."
        )
    return "Next: use the person: `gymnasium.make` and `mjx-msm verify` take this folder."


def _named(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:MOST_NAMED])
    return f"{shown} and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else shown
