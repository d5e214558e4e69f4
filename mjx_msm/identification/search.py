"""Several starting points, and the best of what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.checkpoint import Descents
from mjx_msm.estimation.least_squares import BOLD, Solution
from mjx_msm.estimation.relaxation import can_relax, relaxed_start
from mjx_msm.estimation.residuals.acceleration import AccelerationTerm
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.identification.coarse_start import pieces_of
from mjx_msm.identification.problem import EVALUATIONS, Problem

SEARCH_EVALUATIONS, SEARCH_TOLERANCE = 60, 1e-2
"""What a starting point gets to show what its basin is worth."""
GO_ON = 3
"""Basins, of those that pieces of long recordings showed, that go on with all of them: pieces tell good from bad, but
not how good. Of two recorded walks the best of ten starts gained 10 in log posterior in pieces and 149 in all; another,
level with the model's own in pieces, gained 51."""
APART = 0.1
"""In log posterior of the pieces: what is nearer is the same basin."""
EXPLAINED = 0.02
"""Once residuals are below this part of the signal's spread in every coordinate, no other basin can be much better."""


def search(
    terms: list[AbstractTerm],
    problem: Problem,
    z: Float[np.ndarray, "free"],
    starts: int,
    tried: int,
    seed: int,
    tolerance: float,
    descents: Descents,
    report: Callable[[Solution], None],
    beside: Sequence[Float[np.ndarray, "free"]] = (),
    by_trial: bool = False,
) -> Solution:
    """The best of several starting points; of long recordings, by some pieces of them.

    Where an acceleration residual sees fiber or tendon lengths, further starts come from the convex relaxation, else
    from the prior.

    **Arguments:** `z`: the first starting point, or the best that was found from the `tried` ones before. `beside`:
    more of them, which come first. `by_trial`: whether noise differs between trials.
    """
    everything, terms = terms, pieces_of(terms) or terms
    space, centre = problem.space, problem.start
    drawn = np.random.default_rng(seed).standard_normal((starts - 1, space.size))
    spread = np.where(np.isfinite(space.prior_scale), space.prior_scale, 0.25 * (space.upper - space.lower))
    accelerations = [t for t in terms if isinstance(t, AccelerationTerm)]
    relaxes = bool(accelerations) and can_relax(space)
    found: list[Solution] = []
    best, used = Solution(z, []), 0
    settings: dict[str, Any] = {"limit": SEARCH_EVALUATIONS, "tolerance": SEARCH_TOLERANCE, "by_trial": by_trial}
    try:
        for guess in beside:
            found.append(descents.minimise(terms, space, guess, report=report, **settings))
            used += found[-1].evaluations
            best = min(found, key=lambda s: _evidence(terms, s))
            if found[-1].interrupted:
                raise KeyboardInterrupt
        enough = bool(found) and _explained(terms, best)
        for k in () if enough else (0, *range(max(tried, 1), starts)):
            guess = z
            if k and relaxes:
                guess = relaxed_start(accelerations[0], centre, seed + k)
            elif k:
                guess = space.clip(centre + spread * drawn[k - 1], 1e-3)
                # first with the best one's noise, or the prior would pull all of them to itself
                there = descents.minimise(terms, space, guess, scales=best.scales, **settings)
                guess, used = there.z, used + there.evaluations
                if there.interrupted:
                    raise KeyboardInterrupt
            found.append(descents.minimise(terms, space, guess, report=report, **settings))
            used += found[-1].evaluations
            best = min(found, key=lambda s: _evidence(terms, s))
            if found[-1].interrupted:
                raise KeyboardInterrupt
            tried = max(tried, k + 1)
            if _explained(terms, best):
                break
        if terms is not everything or not best.converged or tolerance < SEARCH_TOLERANCE:
            ended: list[Solution] = []
            for one in [best] if terms is everything else _basins(terms, found):
                ended.append(
                    descents.minimise(
                        everything,
                        space,
                        one.z,
                        limit=EVALUATIONS,
                        tolerance=tolerance,
                        damping=BOLD,
                        report=report,
                        by_trial=by_trial,
                    )
                )
                used += ended[-1].evaluations
                if ended[-1].interrupted:
                    break
            last = min(ended, key=lambda s: _evidence(everything, s))
            best = replace(last if np.isfinite(last.cost) else best, interrupted=ended[-1].interrupted)
    except KeyboardInterrupt:
        if not found:
            raise
        best = replace(best, interrupted=True)
    return replace(best, evaluations=used, starts=tried)


def _evidence(terms: Sequence[AbstractTerm], solution: Solution) -> float:
    """Negative log posterior for ranking starts: with all samples counted, whatever each one's unknowns used up."""
    if not np.isfinite(solution.cost):
        return np.inf
    data = sum(float(t.weight.sum(axis=0) @ np.log(s)) for t, s in zip(terms, solution.scales, strict=True))
    for term, relative in zip(terms, solution.relative or [None] * len(terms), strict=True):
        if relative is not None:
            data += float(np.sum(term.weight * np.log(relative)[term.trial]))
    space = terms[0].space
    return data + 0.5 * float(np.sum(((solution.z - space.prior_mean) / space.prior_scale) ** 2))


def _basins(terms: Sequence[AbstractTerm], found: Sequence[Solution]) -> list[Solution]:
    """The best few solutions of different basins, the best one first."""
    ranked, out = sorted(found, key=lambda s: _evidence(terms, s)), []
    for one in ranked:
        if not out or (np.isfinite(one.cost) and _evidence(terms, one) > _evidence(terms, out[-1]) + APART):
            out.append(one)
    return out[:GO_ON]


def _explained(terms: Sequence[AbstractTerm], solution: Solution) -> bool:
    """Whether residuals are small beside the signals' spread."""
    for term, scale in zip(terms, solution.scales, strict=True):
        for signal, weight, left in zip(term.signal().T, term.weight.T, scale, strict=True):
            if weight.any() and left > EXPLAINED * np.std(signal[weight > 0]):
                return False
    return True
