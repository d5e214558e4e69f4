"""Noise of every trial, where trials differ in it: what is left of a run's moments is several times that of a walk's.

At one scale for all, the squares of the worst trial bend every estimate, and what the quiet ones tell is lost. Here a
trial's moments are weighed by its own scale σᵢ, which is drawn towards that of the others by as much as it is known
less well: minus the log likelihood of nᵢ residuals with the sum of squares Sᵢ, and a normal distribution of ln σᵢ
about its mean m with variance v,

    Σ (nᵢ ln σᵢ + Sᵢ/(2 σᵢ²) + τᵢ (ln σᵢ − m)²/(2 v)),

at its least in all ln σᵢ and m, with |ln σᵢ − m| ≤ ln 5. To first order that is ln σᵢ = m + kᵢ (ln sᵢ − m) with
sᵢ² = Sᵢ/nᵢ, kᵢ = v/(v + eᵢ) and eᵢ = τᵢ/(2 nᵢ), the variance with which nᵢ/τᵢ independent residuals tell ln σᵢ;
τᵢ: their autocorrelation time. v is what the spread of ln sᵢ holds beyond chance (DerSimonian & Laird 1986, doi
10.1016/0197-2456(86)90046-2): trials that are alike keep one scale, and a short one does not come to rule by chance.

The least depends on the parameters through the sums of squares alone, so the solver takes it into what it minimises:
the scales go with every step, and need no turns of their own. Its gradient is that of weighted least squares with the
weights 1/σᵢ² (they are at their best), and the scales' own change adds −4 Uᵀ A⁻¹ U to the curvature, the rows of U
being half the gradients of Sᵢ/σᵢ², and A the second derivatives of the sum by all ln σᵢ. The bound is part of what is
minimised: a trial that rests on it goes with m alone. With T the ways that are left, of m and of ln σᵢ − m of the
others, and B the second derivatives of the sum by these, A⁻¹ is T B⁻¹ Tᵀ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import root_scalar
from scipy.special import wrightomega

from mjx_msm.estimation.autocorrelation import autocorrelation_time

MOST = 5.0
"""Factor between a trial's scale and the mean one, at most: less is left of one trial alone by overfitting."""


class Spread(NamedTuple):
    """How noise differs between trials."""

    between: Float[np.ndarray, "coordinate"]
    """v: variance of its logarithm, beyond chance."""
    repeats: Float[np.ndarray, "trial coordinate"]
    """τ: samples per independent sample."""


class Scales(NamedTuple):
    """The trials' noise of one coordinate, at its best."""

    relative: Float[np.ndarray, "trial"]
    """Over that of all; the mean square of all stays what it is."""
    cost: float
    """What is minimised, less what it is at one scale, per sample."""
    inverse: Float[np.ndarray, "trial trial"]
    """A⁻¹, of what the bound leaves."""


def spread_of(
    residual: Float[np.ndarray, "sample coordinate"],
    counted: Bool[np.ndarray, "sample coordinate"],
    trial: Int[np.ndarray, "sample"],
    trials: int,
) -> Spread:
    """From what is left of the trials."""
    between, repeats = np.zeros(residual.shape[1]), np.ones((trials, residual.shape[1]))
    for c in range(residual.shape[1]):
        own, chance = [], []
        for i in range(trials):
            rows = (trial == i) & counted[:, c]
            left = residual[rows, c]
            if len(left):
                repeats[i, c] = autocorrelation_time(left)
                chance.append(0.5 * repeats[i, c] / len(left))
                own.append(0.5 * np.log(np.mean(left**2)) if np.any(left) else -np.inf)
        if len(own) > 1 and np.isfinite(own).all():  # of a trial that is explained exactly nothing can be said
            between[c] = max(float(np.var(own, ddof=1) - np.mean(chance)), 0.0)
    return Spread(between, repeats)


def scales_of(
    squares: Float[np.ndarray, "trial"],
    count: Float[np.ndarray, "trial"],
    between: float,
    repeats: Float[np.ndarray, "trial"],
) -> Scales:
    """Every trial's noise from the sum of its squares, of `count` samples."""
    relative, counts = np.ones(len(count)), count > 0
    n, s, total = count[counts], squares[counts], squares.sum()
    inverse = np.zeros((len(count), len(count)))
    if not between > 0 or not ((s > 0) & np.isfinite(s)).all():
        inverse[np.ix_(counts, counts)] = 0.5 / max(n.sum(), 1.0)  # they move together
        return Scales(relative, 0.0, inverse)
    pull, most = repeats[counts] / between, np.log(MOST)

    def away(m: float) -> Float[np.ndarray, "counted"]:
        """ln σ − m at its best for m: n − S e^(−2 (m + x)) + pull x = 0 by Wright's ω, or the bound before it."""
        own = wrightomega(np.log(2 * s / pull) - 2 * m + 2 * n / pull)
        return np.clip(0.5 * own - n / pull, -most, most)

    own = 0.5 * np.log(s / n)
    between_them = own.min() - 1.0, own.max() + 1.0
    m = root_scalar(lambda m: np.sum(n - s * np.exp(-2 * (m + away(m)))), bracket=between_them, xtol=1e-14).root
    log = away(m)
    free = np.abs(log) < most
    relative[counts] = own = np.exp(log) * np.sqrt(np.sum(s * np.exp(-2 * log)) / total)
    ways = np.column_stack([np.eye(len(n))[:, free], np.ones(len(n))])  # the bound leaves these
    bend = (ways.T * (2 * s * np.exp(-2 * (m + log)))) @ ways + np.diag(np.append(pull[free], 0.0))
    inverse[np.ix_(counts, counts)] = ways @ np.linalg.solve(bend, ways.T)
    return Scales(relative, float(n @ np.log(own) + 0.5 * pull @ log**2) / n.sum(), inverse)


def relative_scales(left: Sequence[Float[np.ndarray, "sample"]]) -> Float[np.ndarray, "trial"]:
    """Noise of every trial over that of all, from what is left of it."""
    trial = np.repeat(np.arange(len(left)), [len(r) for r in left])
    residual = np.concatenate(left)[:, None]
    spread = spread_of(residual, np.ones_like(residual, dtype=bool), trial, len(left))
    squares, count = (np.array([f(r) for r in left], dtype=float) for f in (lambda r: r @ r, len))
    return scales_of(squares, count, float(spread.between[0]), spread.repeats[:, 0]).relative
