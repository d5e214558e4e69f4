"""Which estimates the recordings determine between their bounds: those that may be reported, and compared in people.

`Estimate.determined` asks the curvature at the estimate, which says little where a bound stopped it: what rests on a
bound, or has an interval as wide as all that was allowed, is known to be no further off than the bounds, and no more.
"""

from __future__ import annotations

import math

from mjx_msm.knowledge.records import Estimate, Unknown
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.kinds import kind_of

WHOLE = 0.9
"""Part of the allowed range from which an interval counts as all of it."""


def spans_its_range(e: Estimate, u: Unknown) -> bool:
    """Whether the 95 % interval is as wide as the bounds."""
    transform = kind_of(u.members[0]).transform
    if transform == "inertia" or not (math.isfinite(e.low) and math.isfinite(e.high)):
        return False  # it is told in other coordinates than its bounds; an end that is nowhere is not determined anyway
    if transform == "log" and e.low <= 0:
        return False
    width = math.log(e.high / e.low) if transform == "log" else e.high - e.low
    return width >= WHOLE * (u.upper - u.lower)


def determined_between_bounds(result: Identification) -> tuple[bool, ...]:
    """By estimate, whether the data say more of it than the prior, and no bound stands in for them."""
    unknowns = result.unknowns or (None,) * len(result.estimates)  # a file of version 0.1.0 does not have them
    return tuple(
        e.determined and not e.bound and not (u is not None and spans_its_range(e, u))
        for e, u in zip(result.estimates, unknowns, strict=True)
    )


def held_by_bounds(result: Identification) -> tuple[str, ...]:
    """Paths of what would count as determined, if a bound did not stand in for the data."""
    clear = determined_between_bounds(result)
    return tuple(e.path for e, c in zip(result.estimates, clear, strict=True) if e.determined and not c)
