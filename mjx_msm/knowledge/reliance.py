"""Whether a prediction may be relied on, and of what not: the one rule for a person's page and for a study.

A constant, the mean of what was recorded, misses it by its spread. Whatever is predicted no better than that, all that
was unseen, a trial of it or a joint of one, is not to be relied on, and is named. Nor is what is missed by much of its
spread, every unseen trial, while the band of 95 % about it holds far too little: then not even how far off it may be is
known. What holds hardly more than noise and is missed by hardly more than it
(`mjx_msm.knowledge.judged_errors.BESIDE_NOISE`) does not speak against the rest, but is not relied on either: "yes" is
said of joints alone whose error is less than their spread, and how much of it is told beside.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from mjx_msm.knowledge.judged_errors import (
    POOR,
    POOR_HELD,
    bands,
    joints_predicted_worst,
    measure,
    of_held,
    pooled,
    too_narrow,
    trials_predicted_worst,
    unseen,
    unseen_that_moved,
)
from mjx_msm.knowledge.records import Fit
from mjx_msm.knowledge.result_table import STILL
from mjx_msm.knowledge.wording import percent, some

ASTRAY = 0.5
"""Part of what was unseen, below which a band of 95 % tells nothing of how far off a prediction may be."""


class Rely(enum.Enum):
    """On a prediction."""

    YES = "yes"
    PART = "all but"
    """On all of it but some trials or joints."""
    NO = "no"
    NOISE = "hardly more than noise"
    """There was nothing else to predict."""
    UNKNOWN = "not known"
    """Nothing was unseen."""


@dataclass(frozen=True)
class Reliance:
    """On the prediction of one person."""

    rely: Rely
    trials: tuple[str, ...] = ()
    """Unseen ones that a constant predicts better."""
    joints: tuple[str, ...] = ()
    """Of unseen trials, which a constant predicts better; the furthest off first."""
    noise: tuple[str, ...] = ()
    """Joints in which there was hardly more than noise to predict."""
    astray: tuple[str, ...] = ()
    """Unseen trials that are missed by more than `POOR` of their spread, with bands that hold too little of them."""
    share: float = math.nan
    """Error over spread, over all unseen trials, of the joint of which that is most; NaN where nothing moved."""

    @property
    def but(self) -> str:
        """What a constant predicts better; "" where it is nothing, or all."""
        if self.rely is not Rely.PART:
            return ""
        return some(list(dict.fromkeys([*self.trials, *(() if self.trials else self.joints), *self.noise])))

    @property
    def words(self) -> str:
        """In a table."""
        if self.rely is Rely.PART:
            return f"all but {self.but}"
        if self.rely is Rely.NO:
            if self.astray:
                return f"no: {some(self.astray)} far off and outside its band"
            return f"no: {some(self.joints)} worse than a constant" if self.joints else "no: worse than a constant"
        if self.rely is Rely.YES and math.isfinite(self.share):
            return f"yes (error {percent(self.share)} of the spread)"
        return self.rely.value


def reliance(fits: Sequence[Fit]) -> Reliance:
    """On the prediction of what the estimate was not made from."""
    rows = unseen(fits)
    kind = measure(rows)
    rows = tuple(f for f in rows if f.kind == kind)
    if not rows:
        return Reliance(Rely.UNKNOWN)
    moved = tuple(f for f in unseen_that_moved(fits) if f.kind == kind)
    noise = tuple(
        dict.fromkeys(
            f.coordinate
            for f in rows
            if not f.held and f not in moved and f.identified >= f.spread > STILL.get(f.kind, 0.0)
        )
    )
    joints = tuple(dict.fromkeys(f.coordinate for f in joints_predicted_worst(fits) if f.kind == kind))
    held = [f for f in rows if of_held(f)]
    if any(f.identified > POOR_HELD * f.level for f in held):
        return Reliance(Rely.NO, noise=noise)
    if not moved:
        return Reliance(Rely.NOISE if noise and not held else Rely.YES, noise=noise)
    trials = trials_predicted_worst(fits)
    if pooled(moved, kind=kind) >= pooled(moved, "spread", kind=kind):
        return Reliance(Rely.NO, trials, joints, noise)
    astray = _astray(fits, moved)
    if set(astray) == {f.trial for f in moved}:
        return Reliance(Rely.NO, noise=noise, astray=astray)
    return Reliance(Rely.PART if trials or joints or noise else Rely.YES, trials, joints, noise, share=_share(moved))


def _share(rows: Sequence[Fit]) -> float:
    """Error over spread of the joint of which that is most."""
    each = {name: [f for f in rows if f.coordinate == name] for name in dict.fromkeys(f.coordinate for f in rows)}
    return max(pooled(own, kind=measure(own)) / pooled(own, "spread", kind=measure(own)) for own in each.values())


def _astray(fits: Sequence[Fit], rows: Sequence[Fit]) -> tuple[str, ...]:
    """Trials that are missed by much, while the band says they are not."""
    narrow = bands(fits) if too_narrow(fits) else {}
    each = {t: [f for f in rows if f.trial == t] for t in dict.fromkeys(f.trial for f in rows)}
    return tuple(
        t
        for t, own in each.items()
        if t in narrow
        and narrow[t][0] < ASTRAY
        and pooled(own, kind=measure(own)) > POOR * pooled(own, "spread", kind=measure(own))
    )
