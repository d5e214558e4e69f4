"""From far away to a solution of long recordings: through some pieces of them first, which cost a few percent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.checkpoint import Descents
from mjx_msm.estimation.least_squares import CAREFUL, Solution, better, minimise
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.person.space import ParameterSpace

TOLERANCE = 0.3
"""Gain in log posterior of the pieces that is worth no further step: theirs is not the solution that is looked for, and
an eighth of the samples is off it by several times that."""
NEAR = 1e-3
"""Damping to begin with at what the pieces came to."""


def pieces_of(terms: Sequence[AbstractTerm]) -> list[AbstractTerm] | None:
    """Terms that some pieces of recordings stand for; None where they are as short as that."""
    out: list[AbstractTerm] = []
    for term in terms:
        if not isinstance(term, MomentTerm):
            return None
        out.append(term.in_pieces())
    return None if all(a is b for a, b in zip(terms, out, strict=True)) else out


def descend(
    terms: Sequence[AbstractTerm],
    space: ParameterSpace,
    z: Float[np.ndarray, "free"],
    descents: Descents,
    *,
    limit: int,
    tolerance: float,
    report: Callable[[Solution], None],
    by_trial: bool = False,
    resumed: bool = False,
) -> Solution:
    """From one starting point to a solution. What all of the recordings need is compiled meanwhile.

    **Arguments:** those of `minimise`. `resumed`: z is what an earlier run came to, on its way through pieces or
    beyond: what they come to from there is taken where it is better for all there is.
    """
    some, damping, spent = pieces_of(terms), CAREFUL, 0
    if some is not None:
        pool = ThreadPoolExecutor(1)
        try:
            later = [pool.submit(job) for term in terms for job in term.compile_jobs(z)]
            there = descents.minimise(
                some, space, z, limit=limit, tolerance=TOLERANCE, report=report, by_trial=by_trial
            )
            wait(later)  # what goes wrong there goes wrong again where it is used
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if there.interrupted:
            # of what the pieces came to, the cost and the noise of all there is
            return replace(minimise(terms, space, there.z, limit=1, by_trial=by_trial), interrupted=True)
        spent = there.evaluations
        if resumed and np.isfinite(there.cost):
            there, spent = replace(there, z=better(terms, space, z, there.z, by_trial=by_trial)), spent + 2
        if np.isfinite(there.cost):
            z, damping = there.z, NEAR
    found = descents.minimise(
        terms, space, z, limit=limit, tolerance=tolerance, damping=damping, report=report, by_trial=by_trial
    )
    return replace(found, evaluations=spent + found.evaluations)
