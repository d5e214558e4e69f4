"""What may be said of an estimate by itself: a number to report and to compare in people, or why it is none.

`Estimate.determined` asks whether the data say more than the prior. That is much where the prior says little, or where
a bound stopped the estimate: what rests on a bound, or has an interval as wide as all that was allowed, is known to be
no further off than the bounds, and of what may be half as much or twice as much no number is worth reporting.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

from mjx_msm.knowledge.records import Estimate, Unknown
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.person.kinds import kind_of

WHOLE = 0.9
"""Part of the allowed range from which an interval counts as all of it."""
ROUGH = 4.0
"""Ends of the 95 % interval of a positive parameter over each other, from which it is known only roughly: to no better
than a factor of two either way."""
NONE = 1e-3
"""Lower end over the upper one, up to which the lower one is none."""


class Standing(enum.Enum):
    """What is to be made of an estimate."""

    DETERMINED = "determined"
    """By the recordings, to within a factor of two either way, and no bound stands in for them."""
    ROUGH = "known only roughly"
    """The recordings say more of it than the prior, but leave a wider interval than that, or one that reaches none."""
    BOUND = "at a bound"
    RANGE = "as wide as all that was allowed"
    """A bound holds both ends of the interval."""
    PRIOR = Knowledge.PRIOR.value
    UNDETERMINED = Knowledge.UNDETERMINED.value


HELD = (Standing.BOUND, Standing.RANGE)
"""By a bound, and not by the recordings."""


def standings(estimates: Sequence[Estimate], unknowns: Sequence[Unknown]) -> tuple[Standing, ...]:
    """Of every estimate. **Arguments:** `unknowns`: empty in a file of version 0.1.0, which does not have them."""
    return tuple(_standing(e, u) for e, u in zip(estimates, unknowns or (None,) * len(estimates), strict=True))


def _standing(e: Estimate, u: Unknown | None) -> Standing:
    if e.bound:
        return Standing.BOUND
    if not e.determined:
        prior = math.isfinite(e.sd if u is None else u.prior_scale)
        return Standing.PRIOR if prior else Standing.UNDETERMINED
    if u is not None and _width(e, u) >= WHOLE * (u.upper - u.lower):
        return Standing.RANGE
    if u is not None and (spans(e, u) > ROUGH or may_be_none(e, u)):
        return Standing.ROUGH
    return Standing.DETERMINED


def spans(e: Estimate, u: Unknown) -> float:
    """By which factor the ends of the interval of a positive parameter differ; 1 of another one."""
    if _has_zero(u):
        return e.high / e.low if e.low > 0 else math.inf
    return math.exp(_width(e, u)) if kind_of(u.members[0]).transform == "log" else 1.0


def may_be_none(e: Estimate, u: Unknown) -> bool:
    """Whether what has a zero and no sign, a delay or a damping, cannot be told from none."""
    return _has_zero(u) and e.low <= NONE * e.high


def _has_zero(u: Unknown) -> bool:
    """Whether it is positive and may be none: told as it is, and not by its logarithm."""
    kind = kind_of(u.members[0])
    return kind.transform == "linear" and not kind.offset and kind.lower == 0.0


def how_roughly(e: Estimate, u: Unknown) -> str:
    """What an estimate that is known only roughly could be."""
    factor = spans(e, u)
    return "may be none" if may_be_none(e, u) else f"{factor:.{0 if factor >= 10 else 1}f}-fold"


def _width(e: Estimate, u: Unknown) -> float:
    """Of the 95 % interval, in the coordinate that the bounds are in; 0 where that is not known."""
    transform = kind_of(u.members[0]).transform
    if transform == "inertia" or not (math.isfinite(e.low) and math.isfinite(e.high)):
        return 0.0  # it is told in other coordinates than its bounds; an end that is nowhere is not determined anyway
    if transform == "log":
        return math.log(e.high / e.low) if e.low > 0 else 0.0
    return e.high - e.low


def remark(e: Estimate, u: Unknown | None, standing: Standing, *, off_prior: bool = False) -> str:
    """Why an estimate is no number to report, in a word or two; "" where it is one."""
    if standing is Standing.DETERMINED:
        return ""
    if standing is Standing.BOUND:
        return f"at {e.bound} bound"
    if standing is Standing.ROUGH and u is not None:
        return f"only roughly: {how_roughly(e, u)}"
    return "off its prior" if standing is Standing.PRIOR and off_prior else standing.value
