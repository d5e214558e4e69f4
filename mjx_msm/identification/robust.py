"""A loss that a few wrong samples do not govern: what is left of moments follows Student's t distribution.

Inverse dynamics of a step beside the force plate, a marker that jumped: a hundredth of the samples is off by many times
what the others are, and their squares bend every estimate. Under Student's t with few degrees of freedom the weight of
a sample falls with its residual r,

    w = (ν + 1)/(ν + (r/σ)²),        σ² = mean of w r²,

and the best estimate is that of least squares with these weights: solved in turns, each from where the last one ended
(Lange, Little & Taylor 1989, doi 10.1080/01621459.1989.10478852).
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
DOUBTED = 0.5
"""A sample that counts for less is said to be doubted."""


def robust(
    terms: Sequence[AbstractTerm],
    solution: Solution,
    again: Callable[[list[AbstractTerm], Solution], Solution],
) -> tuple[list[AbstractTerm], Solution]:
    """Terms with their samples weighed, and the solution they have.

    **Arguments:** `solution`: without weights. `again`: solves terms from where a solution is.
    """
    terms, evaluations = list(terms), solution.evaluations
    for _ in range(TURNS):
        if solution.interrupted or not np.isfinite(solution.cost):
            break
        weighed = [t.trusting(_weights(t, solution.z)) if isinstance(t, MomentTerm) else t for t in terms]
        change = max(_change(a, b) for a, b in zip(terms, weighed, strict=True))
        terms = weighed
        if change < SETTLED:
            break
        solution = again(terms, solution)
        evaluations += solution.evaluations
    return terms, replace(solution, evaluations=evaluations)


def _weights(term: MomentTerm, z: Float[np.ndarray, "free"]) -> Float[np.ndarray, "instant coordinate"]:
    residual = term.evaluate(z, np.ones(term.weight.shape[1]))
    out = np.ones_like(residual)
    for c in range(residual.shape[1]):
        rows = term.weight[:, c] > 0
        out[rows, c] = student_weights(residual[rows, c])
    return out


def student_weights(residual: Float[np.ndarray, "sample"]) -> Float[np.ndarray, "sample"]:
    """Weights at the scale that goes with them."""
    square = residual**2
    scale = max(float(np.median(square)), 1e-14)
    weight = np.ones_like(square)
    for _ in range(200):
        weight = (FREEDOM + 1) / (FREEDOM + square / scale)
        scale, before = max(float(np.mean(weight * square)), 1e-14), scale
        if abs(scale - before) < 1e-6 * before:
            break
    return weight


def _change(before: AbstractTerm, after: AbstractTerm) -> float:
    if not isinstance(before, MomentTerm) or not isinstance(after, MomentTerm) or after.trust is None:
        return 0.0
    return float(np.max(np.abs(after.trust - (1.0 if before.trust is None else before.trust)), initial=0.0))
