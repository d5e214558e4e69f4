"""How probable the recorded moments are under a model, whatever its parameters are: the marginal likelihood.

By Laplace's approximation about the estimate (MacKay 1992, doi 10.1162/neco.1992.4.3.415), at the noise scales σ that
were found,

    ln p(y) = Σ ln N(rₖ; σₖ) + Σ [ln N(zᵢ; mᵢ, sᵢ) + ½ ln 2π] − ½ ln det(F + P),      F = Σ JᵀJ/σ², P = diag(1/sᵢ²),

r what is left of the moments, N(m, s) the priors; without one, an even density between the bounds, which counts as a
normal one of that height: what no data tell of adds nothing. Its parts are kept apart, as what is left of a recording
repeats itself: of samples that hold the information of a part 1/τ as many, the first part and F are a part 1/τ of
theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mjx_msm.estimation.least_squares import Solution
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.term import AbstractTerm, Quadratic
from mjx_msm.identification.repetition import autocorrelation_times
from mjx_msm.knowledge.records import Evidence
from mjx_msm.person.space import ParameterSpace


def evidence(
    space: ParameterSpace, terms: Sequence[AbstractTerm], parts: Sequence[Quadratic], solution: Solution
) -> Evidence | None:
    """Of an estimate from moments under the normal loss; None of others, whose states or weights are estimates, too.

    **Arguments:** `parts`: the terms about the estimate.
    """
    if len(terms) != 1 or not isinstance(terms[0], MomentTerm) or terms[0].trust is not None:
        return None
    term, (part,), (scale,), z = terms[0], parts, solution.scales, solution.z
    seen = term.weight > 0
    sigma = np.broadcast_to(scale * (1.0 if term.relative is None else term.relative), seen.shape)
    left = term.evaluate(z, scale)
    fit = -float(np.sum((0.5 * (left / sigma) ** 2 + np.log(sigma) + 0.5 * np.log(2 * np.pi))[seen]))
    bounded = ~np.isfinite(space.prior_scale)
    unit = np.where(bounded, (space.upper - space.lower) / np.sqrt(2 * np.pi), space.prior_scale)
    away = np.where(bounded, 0.0, (z - space.prior_mean) / unit)
    information = np.einsum("cij,c->ij", part.hessian, scale**-2.0) * np.outer(unit, unit)
    times = autocorrelation_times(term, left / sigma)
    repeated = float(np.sum(times * seen.sum(0)) / seen.sum())
    return Evidence(
        samples=int(seen.sum()),
        repeated=max(repeated, 1.0),
        fit=fit,
        prior=-0.5 * float(away @ away),
        information=tuple(np.maximum(np.linalg.eigvalsh(information), 0.0).tolist()),
    )
