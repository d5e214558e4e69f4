"""Results side by side: where two of them differ by more than what is not known of either, and which predicts better.

Of estimates z_a, z_b of recordings that have nothing in common, z_a − z_b has the variance σ_a² + σ_b². Both hold the
same prior, which draws them together: what is compared is therefore what each recording alone says, its prior divided
out (`Identification.likelihood`), of what it determines, and as widely as its interval allows for what was held.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.records import Estimate, Fit
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.shared_recordings import same_samples, share_recordings
from mjx_msm.person.kinds import kind_of

DIFFERENT = 1.959963984540054
"""Standard deviations from which a difference is said, of one parameter looked at alone."""
BLIND = 3.0
"""Standard deviations of the usual prior beyond which a recording says nothing of a parameter."""


@dataclass(frozen=True)
class Difference:
    """One parameter in two results."""

    path: str
    unit: str
    first: Estimate
    second: Estimate
    ratio: float
    """The second's value over the first's; NaN where that is not positive."""
    sigmas: float
    """Of the difference of what the two recordings say, in its standard deviations; NaN where either says nothing."""
    certain: bool
    """Whether it differs, with an error of 5 % over all parameters together (Holm 1979, doi 10.2307/4615733)."""


@dataclass(frozen=True)
class Comparison:
    """Two or more results; the first is what the others are compared with."""

    names: tuple[str, ...]
    results: tuple[Identification, ...]

    def same_recordings(self, other: int = 1) -> bool:
        """Whether the first and another are made from a recording that they share: their errors then have it in
        common, and nothing is said of differences."""
        return share_recordings(self.results[0], self.results[other])

    def told(self, of: int) -> frozenset[str] | None:
        """Paths of which the recordings of one result tell by themselves; None in an older one, which does not say."""
        result = self.results[of]
        return None if result.likelihood is None else frozenset(_alone(result))

    def differences(self, other: int = 1) -> tuple[Difference, ...]:
        """Of every parameter that both have."""
        a, b = self.results[0], self.results[other]
        mine, theirs, apart = _alone(a), _alone(b), not self.same_recordings(other)
        rows, beside = [], {f.path: f for f in b.estimates}
        for e in a.estimates:
            f, sigmas = beside.get(e.path), math.nan
            if f is None:
                continue
            if apart and e.path in mine and e.path in theirs:
                (x, sx), (y, sy) = mine[e.path], theirs[e.path]
                sigmas = (y - x) / math.hypot(sx, sy)
            ratio = f.value / e.value if e.value > 0 and f.value > 0 else math.nan
            rows.append(Difference(e.path, e.unit, e, f, ratio, sigmas, False))
        sure = _holm([d.sigmas for d in rows])
        return tuple(replace(d, certain=s) for d, s in zip(rows, sure, strict=True))

    def common_fits(self) -> tuple[tuple[tuple[str, str, str, str], tuple[Fit, ...]], ...]:
        """Errors that all results have of the same samples: (trial, role, kind, coordinate), and each one's."""
        first, *others = self.results
        rows = []
        for f in first.fits:
            same = [next((g for g in r.fits if same_samples(first, f, r, g)), None) for r in others]
            if None not in same:
                rows.append((f.row, (f, *same)))
        return tuple(rows)


def compare(results: Sequence[Identification], names: Sequence[str] = ()) -> Comparison:
    """Results to be seen side by side: one person before and after, two people, or one recording with two settings.

    **Arguments:** `names`: of the results; by default their subjects'.

    **Raises:** `InputError` if they are fewer than two, or have no parameter in common.
    """
    if len(results) < 2:
        raise InputError(f"{len(results)} results cannot be compared; give two at least")
    found = list(names) or [r.subject or "subject" for r in results]
    if len(found) != len(results):
        raise InputError(f"{len(found)} names for {len(results)} results; give one each")
    labels = [n if found.count(n) == 1 else f"{n} ({i + 1})" for i, n in enumerate(found)]
    first = {e.path for e in results[0].estimates}
    for name, r in zip(labels[1:], results[1:], strict=True):
        if not first & {e.path for e in r.estimates}:
            raise InputError(f"'{labels[0]}' and '{name}' have no parameter in common; compare results of one model")
    return Comparison(tuple(labels), tuple(results))


def _alone(result: Identification) -> dict[str, tuple[float, float]]:
    """What the recordings say of each parameter by themselves: mean and standard deviation in z, the others open as
    far as the usual priors leave them."""
    if result.likelihood is None:
        return {}
    precision, pull = np.array(result.likelihood.precision), np.array(result.likelihood.pull)
    scale = np.array([u.reference[1] if math.isfinite(u.reference[1]) else u.upper - u.lower for u in result.unknowns])
    centre = np.array([u.reference[0] if math.isfinite(u.reference[1]) else 0.5 * (u.lower + u.upper)
                       for u in result.unknowns])  # fmt: skip
    out = {}
    for i, e in enumerate(result.estimates):
        prior = np.diag(np.where(np.arange(len(scale)) == i, 0.0, 1.0 / np.square(scale)))
        both = precision + prior
        variance = _entry_of_inverse(both, i)
        if not e.determined or variance is None or variance > np.square(BLIND * scale[i]):
            continue
        mean = np.linalg.solve(both, pull + prior @ centre)[i]
        inside = float(np.clip(mean, result.unknowns[i].lower, result.unknowns[i].upper))
        out[e.path] = (inside, math.sqrt(variance + _held(result, i)))
    return out


def _held(result: Identification, i: int) -> float:
    """Variance in z that the interval allows for what was not estimated, which the covariance does not hold."""
    e = result.estimates[i]
    logarithm = kind_of(result.unknowns[i].members[0]).transform == "log"
    sd = e.sd / e.value if logarithm and e.value > 0 else e.sd
    return max(0.0, sd**2 - result.covariance[i][i]) if math.isfinite(sd) else math.inf


def _entry_of_inverse(matrix: Float[np.ndarray, "free free"], i: int) -> float | None:
    """The diagonal entry of the inverse by the Schur complement; None where there is none."""
    rest = np.arange(len(matrix)) != i
    block = matrix[np.ix_(rest, rest)]
    left = matrix[i, i] - matrix[i, rest] @ np.linalg.solve(block, matrix[rest, i]) if rest.any() else matrix[i, i]
    return 1.0 / left if left > 1e-12 * max(matrix[i, i], 1e-300) else None


def _holm(sigmas: Sequence[float]) -> list[bool]:
    from scipy.stats import norm

    p = np.array([2 * norm.sf(abs(s)) if math.isfinite(s) else math.nan for s in sigmas])
    order = [i for i in np.argsort(np.where(np.isnan(p), 2.0, p)) if np.isfinite(p[i])]
    sure = [False] * len(p)
    for rank, i in enumerate(order):
        if p[i] > 0.05 / (len(order) - rank):
            break
        sure[i] = True
    return sure
