"""A loss that a few wrong samples do not govern: what is left of moments follows Student's t distribution.

Inverse dynamics of a step beside the force plate, a marker that jumped: a hundredth of the samples is off by many times
what the others are, and their squares bend every estimate. Under Student's t with few degrees of freedom the weight of
a sample falls with its residual r,

    w = (ν + 1)/(ν + (r/σ)²),        σ² = mean of w r² (per degree of freedom),

and the best estimate is that of least squares with these weights: solved in turns, each from where the last one ended
(Lange, Little & Taylor 1989, doi 10.1080/01621459.1989.10478852).

The weights are no measurements: held where they are, least squares would count more information than there is. What a
sample tells of a parameter is ψ = w r/σ, and an estimate's variance that of Σ ψ over the square of its slope E ψ'
(Huber 1981, doi 10.1002/0471725250); of Student's noise both are (ν + 1)/(ν + 3) of what they are of normal noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.least_squares import Solution
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.term import AbstractTerm

FREEDOM = 4.0
"""ν: robust, and within 7 % of least squares where the noise is normal after all; Lange et al. recommend it."""
TURNS = 20
SETTLED = 0.01
"""Change of every weight that ends the turns."""
STILL_FAR = 0.05
"""Change after the last turn that is not to be called converged."""
DOUBTED = 0.5
"""A sample that counts for less is said to be doubted."""
_NONE = 1e-14
"""Square of a residual that is round-off [N²·m²]."""
_LEAST = 0.1
"""Of E ψ'/E w: what few samples, most of them absurd, may leave of it by chance."""


def robust(
    terms: Sequence[AbstractTerm],
    solution: Solution,
    again: Callable[[list[AbstractTerm], Solution], Solution],
) -> tuple[list[AbstractTerm], Solution]:
    """Terms with their samples weighed, and the solution they have.

    **Arguments:** `solution`: without weights. `again`: solves terms from where a solution is.

    **Returns:** without `converged` where weights still move by more than `STILL_FAR` after `TURNS`.
    """
    terms, evaluations = list(terms), solution.evaluations
    for turn in range(TURNS + 1):
        if solution.interrupted or not np.isfinite(solution.cost):
            break
        weighed = [_weighed(t, solution.z, s) for t, s in zip(terms, solution.scales, strict=True)]
        change = max(_change(a, b) for a, b in zip(terms, weighed, strict=True))
        if turn == TURNS:
            solution = replace(solution, converged=solution.converged and change <= STILL_FAR)
            break
        terms = weighed
        if change < SETTLED:
            break
        solution = again(terms, solution)
        evaluations += solution.evaluations
    return terms, replace(solution, evaluations=evaluations)


def _weighed(term: AbstractTerm, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]) -> AbstractTerm:
    """The term with weights for where a solution has come to; `scale`: its noise, which says how many degrees of
    freedom it counts."""
    if not isinstance(term, MomentTerm):
        return term
    trust = 1.0 if term.trust is None else term.trust
    squares = np.sum(trust * term.evaluate(z, scale) ** 2, axis=0)
    return weighed_at(term, z, squares / scale**2)[0]


def weighed_at(
    term: MomentTerm, z: Float[np.ndarray, "free"], freedom: Float[np.ndarray, "coordinate"]
) -> tuple[MomentTerm, Float[np.ndarray, "coordinate"]]:
    """A term with its samples weighed for z, and −ln of Student's likelihood there but for constants, per coordinate.

    **Arguments:** `freedom`: degrees of freedom that a coordinate's samples leave for its noise.
    """
    residual = term.evaluate(z, np.ones(term.weight.shape[1]))
    trust, cost = np.ones_like(residual), np.zeros(residual.shape[1])
    for c in range(residual.shape[1]):
        rows = term.weight[:, c] > 0
        if rows.any():
            trust[rows, c], scale = student_weights(residual[rows, c], freedom[c])
            tails = np.log1p(np.square(residual[rows, c] / scale) / FREEDOM).sum()
            cost[c] = freedom[c] * np.log(scale) + 0.5 * (FREEDOM + 1) * tails
    return term.trusting(trust), cost


def student_weights(
    residual: Float[np.ndarray, "sample"], freedom: float | None = None
) -> tuple[Float[np.ndarray, "sample"], float]:
    """Weights, and the scale that goes with them.

    **Arguments:** `freedom`: degrees of freedom; None: as many as samples.
    """
    square, freedom = residual**2, len(residual) if freedom is None else freedom
    scale = max(float(np.median(square)), _NONE)
    weight = np.ones_like(square)
    for _ in range(200):
        weight = (FREEDOM + 1) / (FREEDOM + square / scale)
        scale, before = max(float(np.sum(weight * square)) / max(freedom, 1.0), _NONE), scale
        if abs(scale - before) < 1e-6 * before:
            break
    return weight, float(np.sqrt(scale))


def told(
    term: AbstractTerm, residual: Float[np.ndarray, "sample coordinate"]
) -> tuple[Float[np.ndarray, "sample coordinate"], Float[np.ndarray, "coordinate"], Float[np.ndarray, "coordinate"]]:
    """What every sample tells of the parameters beside its derivative, ψ; and for each coordinate what E ψ' and E ψ²
    are over what the weighted squares count. Without weights the residual, 1 and 1.

    Of the weights themselves: ψ' = 2 ν w²/(ν + 1) − w. Both are measured, not Student's own: they hold for noise of any
    other distribution, too.
    """
    slope, square = np.ones(residual.shape[1]), np.ones(residual.shape[1])
    if not isinstance(term, MomentTerm) or term.trust is None:
        return residual, slope, square
    told = term.trust * residual
    for c in range(residual.shape[1]):
        rows = term.weight[:, c] > 0
        w, r = term.trust[rows, c], residual[rows, c]
        if rows.any() and np.any(r):
            slope[c] = max(float(np.mean(2 * FREEDOM / (FREEDOM + 1) * w**2 - w) / np.mean(w)), _LEAST)
            square[c] = float(np.mean((w * r) ** 2) / np.mean(w * r**2) / np.mean(w))
    return told, slope, square


def _change(before: AbstractTerm, after: AbstractTerm) -> float:
    if not isinstance(before, MomentTerm) or not isinstance(after, MomentTerm) or after.trust is None:
        return 0.0
    return float(np.max(np.abs(after.trust - (1.0 if before.trust is None else before.trust)), initial=0.0))
