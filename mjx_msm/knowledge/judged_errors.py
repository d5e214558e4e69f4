"""The errors that a result is judged by: of which rows, of which kind, beside what, and from where on a fit is poor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from mjx_msm.knowledge.goodness_of_fit import independent_samples, repeats_itself
from mjx_msm.knowledge.records import WITH_DISCREPANCY, Fit
from mjx_msm.knowledge.result_table import STILL
from mjx_msm.knowledge.wording import FLATTERS, MAY_FLATTER

POOR = 0.5
"""Of the spread of a recorded signal, above which an error leaves little of it explained."""
POOR_HELD = 0.2
"""Of the moment that was held, above which an error is large: such a contraction varies so little that noise and a
constant are hard to beat, and what a model of it has to get right is how large it is."""

BESIDE_NOISE = 1.25
"""Spread of a signal over its noise, up to which there is little in it to be predicted: what is not noise is three
quarters as large at most; and error over noise, up to which a prediction misses hardly more than it."""
NARROW = 0.9
"""Part of what was unseen, below which a band of 95 % holds clearly too little."""


def fitted(fits: Sequence[Fit]) -> tuple[Fit, ...]:
    """Errors on what the estimate was made from."""
    return tuple(f for f in fits if f.role == "identify")


def unseen(fits: Sequence[Fit]) -> tuple[Fit, ...]:
    """Errors on what the estimate was not made from: held-out trials, or else the folds of a cross-validation."""
    held = tuple(f for f in fits if f.role == "held-out")
    return held or tuple(f for f in fits if f.role == "cross-validated")


def flattery(fits: Sequence[Fit]) -> str:
    """What to think of errors on what was unseen where it lay between parts of the same trials, or may have."""
    within = {f.within for f in unseen(fits)}
    return FLATTERS if True in within else MAY_FLATTER if None in within else ""


def pooled(fits: Sequence[Fit], of: str = "identified", *, kind: str) -> float:
    """Root mean square over the rows of one kind; `of`: a field of `Fit`, or a name in `Fit.beside`. NaN without."""
    values = [f.beside.get(of, math.nan) if of not in _OWN else getattr(f, of) for f in fits if f.kind == kind]
    return math.sqrt(sum(x * x for x in values) / len(values)) if values else math.nan


_OWN = ("generic", "identified", "spread", "level")


def measure(fits: Sequence[Fit]) -> str:
    """The kind of error to judge by: moments where there are any, else motions."""
    kinds = [f.kind for f in fits]
    return next((k for k in ("moment", "motion") if k in kinds), kinds[0] if kinds else "")


def rival(fits: Sequence[Fit], kind: str) -> tuple[str, float] | None:
    """The prediction without a model of the person that has the smallest error, of those that every row has."""
    rows = [f for f in fits if f.kind == kind]
    common = set.intersection(*(set(f.beside) - {WITH_DISCREPANCY} for f in rows)) if rows else set()
    return min(((name, pooled(rows, name, kind=kind)) for name in common), key=lambda x: x[1], default=None)


def banded(fits: Sequence[Fit], role: str, held: Mapping[tuple[str, str], float]) -> tuple[Fit, ...]:
    """Error rows with the part of a moment that its band holds, as far as it is known of those of a role.

    **Arguments:** `held`: by trial and coordinate; NaN where it is not known.
    """

    def known(f: Fit) -> bool:
        return f.role == role and f.kind == "moment" and math.isfinite(held.get((f.trial, f.coordinate), math.nan))

    return tuple(replace(f, band=held[f.trial, f.coordinate]) if known(f) else f for f in fits)


def bands(fits: Sequence[Fit]) -> dict[str, tuple[float, str]]:
    """By trial, the least part of an unseen moment that its band of 95 % holds, where that is known, and the joint that
    it is of; "" where the trial has one only."""
    by: dict[str, list[tuple[float, str]]] = {}
    for f in unseen(fits):
        if f.band is not None:
            by.setdefault(f.trial, []).append((f.band, f.coordinate))
    return {t: min(each) if len({c for _, c in each}) > 1 else (min(each)[0], "") for t, each in by.items()}


def too_narrow(fits: Sequence[Fit]) -> bool:
    """Whether a band of 95 % holds clearly too little of some unseen trial: less than `NARROW`, and less than chance
    leaves of one of so many, where a trial's samples count as those of the trials it was made from do on average."""
    held, samples = bands(fits), independent_samples(fits)
    if not held:
        return False
    chance = 0.0
    if samples is not None:
        each = samples[1] / len({f.trial for f in fitted(fits)})
        chance = NormalDist().inv_cdf(1.0 - 0.025 / len(held)) * math.sqrt(0.95 * 0.05 / max(each, 1.0))
    return min(held.values())[0] < min(NARROW, 0.95 - chance)


def was_held(fits: Sequence[Fit]) -> bool:
    """Whether the estimate was made from moments alone whose posture was held."""
    rows = fitted(fits)
    return bool(rows) and all(of_held(f) for f in rows)


def of_held(fit: Fit) -> bool:
    """Whether an error is of a moment in a posture that was held, whose size is known."""
    return fit.held and fit.kind == "moment" and fit.level > 0


@dataclass(frozen=True)
class TrialError:
    """Of one trial that the estimate was made from, all its joints together, in the unit of the rows."""

    trial: str
    error: float
    spread: float
    level: float
    """What was held [N·m]; 0 where it moved."""
    noise: bool
    """Whether no sample of what is left goes with the next."""

    @property
    def part(self) -> float:
        """Error over what was held, or over the spread."""
        whole = self.level or self.spread
        return self.error / whole if whole else math.nan

    @property
    def no_better(self) -> bool:
        """Whether the trial's own mean would do as well."""
        return self.error >= self.spread


def per_trial(fits: Sequence[Fit]) -> tuple[TrialError, ...]:
    """Errors on what the estimate was made from: pooled over trials, a large one hides what is wrong in a small one."""
    rows = fitted(fits)
    kind, out = measure(rows), []
    for trial in dict.fromkeys(f.trial for f in rows if f.kind == kind):
        own = [f for f in rows if (f.trial, f.kind) == (trial, kind)]
        level = pooled(own, "level", kind=kind) if all(of_held(f) for f in own) else 0.0
        noise = not any(repeats_itself(f) for f in own)
        out.append(TrialError(trial, pooled(own, kind=kind), pooled(own, "spread", kind=kind), level, noise))
    return tuple(out)


def misfit(fits: Sequence[Fit]) -> float:
    """Error over spread on what the estimate was made from, of contractions that were held that of the worst of them
    over its own size; NaN without such, or where hardly anything changes."""
    rows = fitted(fits)
    kind = measure(rows)
    if was_held(fits):
        return max((t.part for t in per_trial(fits) if t.level > STILL.get(kind, 0.0)), default=math.nan)
    whole = pooled(rows, "spread", kind=kind)
    return pooled(rows, kind=kind) / whole if rows and whole > STILL.get(kind, 0.0) else math.nan


def fits_poorly(fits: Sequence[Fit]) -> bool:
    """Whether much of what was recorded is left unexplained: above `POOR` of its spread where what is left repeats
    itself, and so is no noise, and above all of it whatever it is; above `POOR_HELD` of what was held in a trial."""
    if was_held(fits):
        return misfit(fits) > POOR_HELD
    return misfit(fits) > (POOR if any(repeats_itself(f) for f in fitted(fits)) else 1.0)


def is_noise(fits: Sequence[Fit]) -> bool:
    """Whether as much is left, but no sample of it goes with the next: what a right model leaves of a noisy signal."""
    return misfit(fits) > POOR and not fits_poorly(fits)


def worse_than_constant(fits: Sequence[Fit]) -> bool:
    """Whether the error is more than the spread of something that moved."""
    return not was_held(fits) and misfit(fits) > 1.0


def unseen_that_moved(fits: Sequence[Fit]) -> tuple[Fit, ...]:
    """Errors on what was unseen and was not held still, where a constant is no prediction; nor is it one where there is
    hardly more than noise, and no more than that is missed."""
    return tuple(
        f for f in unseen(fits) if not f.held and f.spread > STILL.get(f.kind, 0.0) and not _is_excused(fits, f)
    )


def _is_excused(fits: Sequence[Fit], row: Fit) -> bool:
    """Whether there was nothing but noise to be predicted. An error well above the noise is the model's, however little
    there was."""
    return max(row.spread, row.identified) <= BESIDE_NOISE * _noise(fits, row)


def _noise(fits: Sequence[Fit], row: Fit) -> float:
    """Of the signal that an error is of: what is left of it in the trials that the estimate was made from, where no
    sample of that goes with the next; 0 where some does, and it is not all noise."""
    same = [f for f in fitted(fits) if (f.kind, f.coordinate) == (row.kind, row.coordinate)]
    return 0.0 if any(repeats_itself(f) for f in same) or not same else pooled(same, kind=row.kind)


def trials_predicted_worst(fits: Sequence[Fit]) -> tuple[str, ...]:
    """Trials that are predicted no better than their best constant would, all their joints together, the furthest off
    first."""
    by: dict[str, list[Fit]] = {}
    for f in unseen_that_moved(fits):
        by.setdefault(f.trial, []).append(f)
    ratios = {
        t: pooled(rows, kind=measure(rows)) / pooled(rows, "spread", kind=measure(rows)) for t, rows in by.items()
    }
    return tuple(sorted((t for t, x in ratios.items() if x >= 1.0), key=lambda t: -ratios[t]))


def trial_predicted_worst(fits: Sequence[Fit]) -> str:
    """The first of `trials_predicted_worst`; "" if there is none."""
    return next(iter(trials_predicted_worst(fits)), "")


def joints_predicted_worst(fits: Sequence[Fit]) -> tuple[Fit, ...]:
    """Errors on joints of unseen trials that are predicted no better than their best constant would, the furthest off
    first."""
    worse = [f for f in unseen_that_moved(fits) if f.identified >= f.spread]
    return tuple(sorted(worse, key=lambda f: -f.identified / f.spread))


def size(value: float, unit: str) -> str:
    """An error with the unit of its row, angles in degrees."""
    return f"{math.degrees(value):.2g}°" if unit == "rad" else f"{value:.3g} {unit}"


def unit_of(fits: Sequence[Fit], kind: str) -> str:
    """Of the errors of one kind."""
    return next(f.unit for f in fits if f.kind == kind)
