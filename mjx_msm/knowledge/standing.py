"""What may be said of an estimate by itself: a number to report and to compare in people, or why it is none.

`Estimate.determined` asks how much the estimate leans on the data rather than on the prior. That does not make it a
number to report. What rests on a bound, or has an interval as wide as all that was allowed, is known to be no further
off than the bounds; of what may be half as much or twice as much no number is worth reporting; and what a prior tells
to within 10 % of anybody is not told by a recording because it still is afterwards. So the interval itself, with all
that it allows for, is set beside what was thought possible before. By whom, is not the user's to say: half of a prior
of 100 % of the strength is less of an answer than the package's own prior was. Where the user's is wider, or none, the
interval has to be half of that one's. (What has a zero and no sign depends on the body and the joint: of it the factor
of two either way is asked, which no prior changes.)
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence

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
HALF = 0.5
"""Width of the interval over that of what was thought possible before, up to which it is the recordings that tell."""
AS_BEFORE = math.sqrt(0.5)
"""The same from which on it is the prior: there the recordings hold no more information than it."""


class Standing(enum.Enum):
    """What is to be made of an estimate."""

    DETERMINED = "determined"
    """By the recordings: to half of what was thought possible before, by the user and by default, and to within a
    factor of two either way, and no bound stands in for them."""
    PARTLY = "known partly from the prior"
    """The recordings say more of it than the prior, but leave more than half of what was thought possible before."""
    ROUGH = "known only roughly"
    """The recordings say more of it than the prior, but leave a wider interval than that, or one that reaches none, or
    one that only a bound ends; or of a prior wider than the default, more than half of that one's."""
    BOUND = "at a bound"
    FULL = "where the EMG is full"
    """A gain with which the greatest envelope just reaches full excitation: beyond it that sample gives no more, which
    holds the estimate there as a bound would."""
    RANGE = "as wide as all that was allowed"
    """A bound holds both ends of the interval."""
    PRIOR = Knowledge.PRIOR.value
    UNDETERMINED = Knowledge.UNDETERMINED.value


LEGEND = {
    Standing.DETERMINED: "the recordings leave at most half of what was thought possible before, and a positive "
    "parameter within a factor of two either way: a number to report",
    Standing.PARTLY: "“partly the prior's” in a person's report: they tell more of it than the prior, but leave more "
    "than half of what was thought possible before",
    Standing.ROUGH: "within no factor of two either way, or not apart from none",
    Standing.BOUND: "a limit that was set holds it, not the recordings",
    Standing.FULL: "with any greater value the EMG would be more than full: saturation holds it, not the recordings",
    Standing.RANGE: "limits that were set hold both ends of the interval",
    Standing.PRIOR: "also “prior-dominated”, or “hardly narrower”: the interval is nearly what it was before",
    Standing.UNDETERMINED: "there is no prior either, and nothing is known",
}
"""What the words of `Standing` and `remark` mean, for readers."""

HELD = (Standing.BOUND, Standing.FULL, Standing.RANGE)
"""By a bound, and not by the recordings."""
AT_FULL = 2e-3
"""How near to 1 the greatest excitation is that just reaches it."""


def standings(
    estimates: Sequence[Estimate], unknowns: Sequence[Unknown], peaks: Mapping[str, float] | None = None
) -> tuple[Standing, ...]:
    """Of every estimate.

    **Arguments:** `unknowns`: empty in a file of version 0.1.0, which does not have them. `peaks`: greatest envelope of
    every channel, as far as they are known.
    """
    each = zip(estimates, unknowns or (None,) * len(estimates), strict=True)
    return tuple(_standing(e, u, peaks or {}) for e, u in each)


def _standing(e: Estimate, u: Unknown | None, peaks: Mapping[str, float]) -> Standing:
    if e.bound:
        return Standing.BOUND
    if e.determined and any(abs(e.value * peak - 1.0) <= AT_FULL for peak in _driven(e, u, peaks)):
        return Standing.FULL
    left = math.nan if u is None else beside_prior(e, u)
    if e.determined and u is not None and _width(e, u) >= WHOLE * (u.upper - u.lower):
        return Standing.RANGE
    if not e.determined or left > AS_BEFORE:
        prior = math.isfinite(e.sd if u is None else u.prior_scale)
        return Standing.PRIOR if prior else Standing.UNDETERMINED
    if u is not None and (spans(e, u) > ROUGH or may_be_none(e, u) or cut_off(e, u)):
        return Standing.ROUGH
    if u is not None and left > HALF:  # a file of version 0.1.0 does not have what was possible before
        return Standing.PARTLY
    return Standing.ROUGH if u is not None and beside_default(e, u) > HALF else Standing.DETERMINED


def _driven(e: Estimate, u: Unknown | None, peaks: Mapping[str, float]) -> list[float]:
    """Greatest envelopes of the channels whose gain an estimate is."""
    gains = [path.split("/") for path in (u.members if u is not None else (e.path,)) if path.endswith("/gain")]
    return [peaks[channel] for group, channel, _ in gains if group == "emg" and channel in peaks]


def before(u: Unknown) -> tuple[float, float]:
    """What was thought possible before the recording, in the coordinate of z: 95 % of the prior as far as the bounds
    let it, or the bounds where there is none."""
    return _possible(u, u.prior_scale)


def _possible(u: Unknown, scale: float) -> tuple[float, float]:
    """95 % of a prior of this standard deviation, as far as the bounds let it."""
    reach = 1.96 * scale
    return max(u.prior_mean - reach, u.lower), min(u.prior_mean + reach, u.upper)


def beside_prior(e: Estimate, u: Unknown) -> float:
    """Width of the 95 % interval over that of `before`; NaN where the prior and the bounds have nothing in common.

    1 where the recordings tell nothing, and more where they tell less than what was not estimated adds, for which the
    interval allows and the prior does not.
    """
    return _beside(e, u, u.prior_scale)


def beside_default(e: Estimate, u: Unknown) -> float:
    """`beside_prior` of the prior that the package has by default, where the user's is wider."""
    usual = math.inf if _has_zero(u) else kind_of(u.members[0]).prior_scale
    return _beside(e, u, min(u.prior_scale, usual))


def _beside(e: Estimate, u: Unknown, scale: float) -> float:
    if kind_of(u.members[0]).transform == "inertia":  # the interval is in other coordinates, both spreads in one
        return e.sd / scale if scale > 0 else math.nan
    low, high = _possible(u, scale)
    width = _width(e, u)
    return width / (high - low) if width > 0 and high > low else math.nan


def width_text(e: Estimate, u: Unknown | None) -> str:
    """`beside_prior` as tables have it; "" where it is not known."""
    left = math.nan if u is None or not math.isfinite(e.sd) else beside_prior(e, u)
    return f"{100 * left:.0f} %" if math.isfinite(left) else ""


def spans(e: Estimate, u: Unknown) -> float:
    """By which factor the ends of the interval of a positive parameter differ; 1 of another one."""
    if _has_zero(u):
        return e.high / e.low if e.low > 0 else math.inf
    return math.exp(_width(e, u)) if kind_of(u.members[0]).transform == "log" else 1.0


def may_be_none(e: Estimate, u: Unknown) -> bool:
    """Whether what has a zero and no sign, a delay or a damping, cannot be told from none."""
    return _has_zero(u) and e.low <= NONE * e.high


def cut_off(e: Estimate, u: Unknown) -> bool:
    """Whether the interval goes up to a bound: the gain of a channel that clips may be any that is large enough."""
    return any(bounded(e, u))


def bounded(e: Estimate, u: Unknown) -> tuple[bool, bool]:
    """Whether the lower and the upper end of the interval are bounds."""
    low, high = _ends(e, u)
    near = 1e-6 * (u.upper - u.lower)
    return abs(low - u.lower) <= near, abs(high - u.upper) <= near


def _ends(e: Estimate, u: Unknown) -> tuple[float, float]:
    """Of the 95 % interval, in the coordinate that the bounds are in; but of an inertia, which is told in others."""
    if kind_of(u.members[0]).transform != "log":
        return e.low, e.high
    low, high = (math.log(x) if x > 0 else -math.inf for x in (e.low, e.high))
    return low, high


def _has_zero(u: Unknown) -> bool:
    """Whether it is positive and may be none: told as it is, and not by its logarithm."""
    kind = kind_of(u.members[0])
    return kind.transform == "linear" and not kind.offset and kind.lower == 0.0


def how_roughly(e: Estimate, u: Unknown) -> str:
    """What an estimate that is known only roughly could be."""
    if may_be_none(e, u):
        return "may be none"
    factor = spans(e, u)
    if factor > ROUGH:
        return f"{factor:.{0 if factor >= 10 else 1}f}-fold"
    return "up to a bound" if cut_off(e, u) else f"{100 * beside_default(e, u):.0f} % of the usual prior"


def _width(e: Estimate, u: Unknown) -> float:
    """Of the 95 % interval, in the coordinate that the bounds are in; 0 where that is not known."""
    low, high = _ends(e, u)
    if kind_of(u.members[0]).transform == "inertia" or not (math.isfinite(low) and math.isfinite(high)):
        return 0.0  # it is told in other coordinates than its bounds; an end that is nowhere is not determined anyway
    return high - low


def remark(e: Estimate, u: Unknown | None, standing: Standing, *, off_prior: bool = False) -> str:
    """Why an estimate is no number to report, in a word or two; "" where it is one."""
    if standing is Standing.DETERMINED:
        return ""
    if standing is Standing.BOUND:
        return f"at {e.bound} bound"
    if standing is Standing.FULL:
        return "where the EMG is full"
    if standing is Standing.ROUGH and u is not None:
        return f"only roughly: {how_roughly(e, u)}"
    if standing is Standing.PARTLY:
        return "partly the prior's"
    if standing is Standing.PRIOR and e.determined:
        return "hardly narrower"
    return "off its prior" if standing is Standing.PRIOR and off_prior else standing.value
