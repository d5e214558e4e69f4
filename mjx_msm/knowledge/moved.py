"""A result whose posterior is another one: about another z, with another covariance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from mjx_msm.common.compiled import float64
from mjx_msm.knowledge.posterior import SAMPLES, draws_of, rounded_draws
from mjx_msm.knowledge.records import Estimate
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.kinds import kind_of

INSIDE = 1e-6
"""How near a bound z may come, in widths of the bounds."""


def moved(
    result: Identification,
    z: Float[np.ndarray, "free"],
    covariance: Float[np.ndarray, "free free"],
    data_share: Float[np.ndarray, "free"],
    *,
    prior: tuple[Float[np.ndarray, "free"], Float[np.ndarray, "free"]],
) -> Identification:
    """The result with another posterior: its estimates, parameters, prior and draws follow; z is kept in the bounds.

    **Arguments:** `data_share`: see `Estimate`. `prior`: mean and standard deviation of the one it stands on.
    """
    lower, upper = (np.array([getattr(u, name) for u in result.unknowns]) for name in ("lower", "upper"))
    edge = INSIDE * (upper - lower)
    z = np.clip(z, lower + edge, upper - edge)
    mean, scale = np.clip(prior[0], lower + edge, upper - edge), prior[1]
    draws = draws_of(z, covariance, lower, upper, SAMPLES, result.seed)
    sd = np.sqrt(np.diag(covariance))
    ends = np.maximum(z - 1.96 * sd, lower), np.minimum(z + 1.96 * sd, upper)
    estimates = []
    for k, e in enumerate(result.estimates):
        one = _unit(result, e, k)
        value, low, high = (_physical(result, k, x[k]) / one for x in (z, *ends))
        spread = value * sd[k] if _is_log(result, k) else sd[k] / one
        bound = "lower" if z[k] <= lower[k] + 2 * edge[k] else "upper" if z[k] >= upper[k] - 2 * edge[k] else ""
        estimates.append(
            replace(
                e, value=float(value), sd=float(spread), low=float(low), high=float(high), bound=bound,
                data_share=float(data_share[k]),
            )
        )  # fmt: skip
    unknowns = tuple(
        replace(u, prior_mean=float(mean[k]), prior_scale=float(scale[k]), usual_prior=u.reference)
        for k, u in enumerate(result.unknowns)
    )
    with float64():
        parameters = result.space().unpack(z).to_dict()
    return replace(
        result, z=tuple(z.tolist()), covariance=tuple(map(tuple, covariance.tolist())), estimates=tuple(estimates),
        unknowns=unknowns, parameters=parameters, samples=rounded_draws(draws, lower, upper),
    )  # fmt: skip


def _unit(result: Identification, e: Estimate, k: int) -> float:
    """What an estimate's numbers are multiples of: 1, but for a common factor of different parameters."""
    here = _physical(result, k, result.z[k])
    return here / e.value if e.unit == "×" and e.value else 1.0


def _physical(result: Identification, k: int, z: float) -> float:
    return float(np.exp(z)) if _is_log(result, k) else float(z)


def _is_log(result: Identification, k: int) -> bool:
    return kind_of(result.unknowns[k].members[0]).transform == "log"
