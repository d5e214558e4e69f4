"""Whether the search found the best of each person: a turn with the population went elsewhere, and may have."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.judged_errors import fitted, measure, pooled, size, unit_of
from mjx_msm.knowledge.records import Unknown
from mjx_msm.knowledge.result import Identification

BETTER = 2.0
"""By how much the logarithm of what the solver maximises has to be greater for another estimate to be a better one."""
WORTH = 0.1
"""Part of the error on what somebody was identified from, of which a better estimate has to spare one person at least
for the search for it to come before what else is in the way."""


def better_found(c: Cohort) -> dict[str, float]:
    """By person of whom a turn found a better estimate by the measure of their own, by how much its logarithm is
    greater; the most first.

    That measure is the likelihood of the recordings times the usual prior, and not the turn's: that recordings fit
    better once another prior lets them is no fault of a search.
    """
    out = {}
    for name, other in c.seen.items():
        more = _more(c.results[name], other) if name in c.results else math.nan
        if more > BETTER:
            out[name] = more
    return dict(sorted(out.items(), key=lambda x: -x[1]))


def searched_elsewhere(c: Cohort, name: str) -> bool:
    """Whether a turn began from where the others are and found nothing of somebody that is much better."""
    if name not in c.seen or name not in c.results or math.isnan(_more(c.results[name], c.seen[name])):
        return False
    return name not in better_found(c) or max(spared(c, [name]), default=0.0) < WORTH


def gains(c: Cohort, name: str) -> tuple[float, float, str]:
    """Error on what somebody was identified from, of their own estimate and of the last turn's, and its unit; NaN where
    that is not known."""
    rows = [fitted(r.fits) for r in (c.results[name], c.seen[name])]
    if not all(rows):
        return math.nan, math.nan, ""
    kind = measure(rows[0])
    return pooled(rows[0], kind=kind), pooled(rows[1], kind=kind), unit_of(rows[0], kind)


def gained(c: Cohort, name: str) -> str:
    """What the better estimate of somebody is worth, in words."""
    own, other, unit = gains(c, name)
    if math.isnan(own):
        return "agrees better with recordings and prior together"
    if size(other, unit) == size(own, unit) or other > own:
        return f"fits no closer ({size(other, unit)}, this one {size(own, unit)}), but is nearer to what was expected"
    return f"misses what it was made from by {size(other, unit)}, this one by {size(own, unit)}"


def spared(c: Cohort, names: Iterable[str]) -> list[float]:
    """Parts of the errors on what these were identified from that their better estimates spare, the least first."""
    each = [gains(c, name) for name in names]
    return sorted(1.0 - other / own for own, other, _ in each if own > 0 and math.isfinite(other))


def _more(own: Identification, other: Identification) -> float:
    """Of another estimate of the same recordings, by the measure of the first; NaN where that is not known."""
    if own.evidence is None or other.evidence is None or [u.members for u in own.unknowns] != [
        u.members for u in other.unknowns
    ]:  # fmt: skip
        return math.nan
    fits = other.evidence.fit - own.evidence.fit
    return fits + _prior(own.unknowns, other.z) - _prior(own.unknowns, own.z)


def _prior(unknowns: Iterable[Unknown], z: Iterable[float]) -> float:
    """Logarithm of the density of independent priors, over that at their mean."""
    each = zip(unknowns, z, strict=True)
    return -0.5 * sum(((x - u.prior_mean) / u.prior_scale) ** 2 for u, x in each if math.isfinite(u.prior_scale))
