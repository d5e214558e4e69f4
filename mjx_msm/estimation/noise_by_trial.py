"""Noise of every trial, where trials differ in it: what is left of a run's moments is several times that of a walk's.

At one scale for all, the squares of the worst trial bend every estimate, and what the quiet ones tell is lost. Here a
trial's moments are weighed by its own: with sᵢ the root mean square of what is left of trial i,

    ln σᵢ = m + kᵢ (ln sᵢ − m),    kᵢ = v/(v + eᵢ),    eᵢ = 1/(2 nᵢ),    m: mean of ln sᵢ,

nᵢ its independent samples, eᵢ the variance with which they tell ln σᵢ, and v that of ln σᵢ between trials: what their
spread holds beyond chance (DerSimonian & Laird 1986, doi 10.1016/0197-2456(86)90046-2). Trials that are alike keep one
scale, and a short one does not come to rule by chance. Scales and estimate in turns, each from where the last one
ended: estimated weighted least squares (Carroll & Ruppert 1988, doi 10.1201/9780203735268).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.autocorrelation import autocorrelation_time
from mjx_msm.estimation.least_squares import Solution
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.term import AbstractTerm

TURNS = 20
SETTLED = 0.02
"""Relative change of every scale that ends the turns: some samples of a trial tell its scale to a tenth at best."""
STILL_FAR, ROUGH = 0.03, 0.1
"""As long as scales change by more than that, the gain in log posterior that is worth no further step."""
MOST = 5.0
"""Factor between a trial's scale and the mean one, at most: less is left of one trial alone by overfitting."""


class Again(Protocol):
    def __call__(self, terms: list[AbstractTerm], before: Solution, *, tolerance: float = ...) -> Solution: ...


def noise_by_trial(
    terms: Sequence[AbstractTerm], solution: Solution, again: Again
) -> tuple[list[AbstractTerm], Solution]:
    """Terms with the moments of every trial at their own scale, and the solution they have.

    **Arguments:** `solution`: at one scale. `again`: solves terms from where a solution is.

    **Returns:** without `converged` where scales still move by more than `STILL_FAR` after `TURNS`.
    """
    terms, evaluations, rough = list(terms), solution.evaluations, False
    for turn in range(TURNS + 1):
        if solution.interrupted or not np.isfinite(solution.cost):
            break
        weighed = [at_own_scales(t, solution.z) if isinstance(t, MomentTerm) else t for t in terms]
        change = max(_change(a, b) for a, b in zip(terms, weighed, strict=True))
        if change < SETTLED and not rough:
            break
        if turn == TURNS:
            if rough:  # what is returned is solved to the end
                solution = again(terms, solution)
                evaluations += solution.evaluations
            solution = replace(solution, converged=solution.converged and change <= STILL_FAR)
            break
        terms, rough = weighed, change > STILL_FAR
        solution = again(terms, solution, tolerance=ROUGH) if rough else again(terms, solution)
        evaluations += solution.evaluations
    return terms, replace(solution, evaluations=evaluations)


def at_own_scales(term: MomentTerm, z: Float[np.ndarray, "free"]) -> MomentTerm:
    """The term with every trial's moments at the scale of what is left of them at z, over the one of all."""
    residual = term.evaluate(z, np.ones(term.weight.shape[1]))
    relative = np.ones_like(residual)
    for c in range(residual.shape[1]):
        rows = [np.flatnonzero((term.trial == i) & (term.weight[:, c] > 0)) for i in np.unique(term.trial)]
        rows = [r for r in rows if len(r)]
        for r, scale in zip(rows, relative_scales([residual[r, c] for r in rows]), strict=True):
            relative[r, c] = scale
    return term.at_scales(relative)


def relative_scales(left: Sequence[Float[np.ndarray, "sample"]]) -> Float[np.ndarray, "trial"]:
    """Noise of every trial over that of all, from what is left of it; the mean square of all stays what it is."""
    squares = np.array([float(np.mean(r**2)) for r in left])
    if len(left) < 2 or not (squares > 0).all():
        return np.ones(len(left))
    count = np.array([len(r) for r in left], dtype=float)
    own = 0.5 * np.log(squares)
    chance = np.array([0.5 * autocorrelation_time(r) / len(r) for r in left])
    between = max(float(np.var(own, ddof=1) - chance.mean()), 0.0)
    away = between / (between + chance) * (own - own.mean())
    out = np.exp(np.clip(away, -np.log(MOST), np.log(MOST)))
    return out * np.sqrt((count * squares / out**2).sum() / (count * squares).sum())


def _change(before: AbstractTerm, after: AbstractTerm) -> float:
    if not isinstance(before, MomentTerm) or not isinstance(after, MomentTerm) or after.relative is None:
        return 0.0
    was = 1.0 if before.relative is None else before.relative
    return float(np.max(np.abs(np.log(after.relative / was)), initial=0.0))
