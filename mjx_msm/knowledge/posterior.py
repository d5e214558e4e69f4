"""The posterior as a result holds it: directions in words, the covariance, draws inside the bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.knowledge.records import Direction, Likelihood, Unknown
from mjx_msm.knowledge.uncertainty import FLAT, Uncertainty, truncated_normal
from mjx_msm.knowledge.wording import direction_words
from mjx_msm.person.space import ParameterSpace

LEAST_INFORMATION = 1e-12
"""Of the data along a direction, in units of the prior: less is round-off."""
SAMPLES = 200
"""Draws saved with a result."""


def posterior_record(
    space: ParameterSpace,
    z: Float[np.ndarray, "free"],
    known: Uncertainty,
    seed: int,
    usual: tuple[Float[np.ndarray, "free"], Float[np.ndarray, "free"]] | None = None,
    slope: Float[np.ndarray, "free"] | None = None,
) -> dict[str, Any]:
    """The fields of an `Identification` that say what is known, from the estimator's numbers.

    **Arguments:** `usual`: mean and standard deviation of the prior without a population, where there was one. `slope`:
    of the data's negative log likelihood at z, see `likelihood_of`.
    """
    directions = []
    for mode in known.modes:
        order = np.argsort(-np.abs(mode.weights))
        kept = [k for k in order if abs(mode.weights[k]) > 0.1] or [order[0]]
        weights = {space.paths[k]: round(float(mode.weights[k]), 4) for k in kept}
        text = direction_words(mode.weights, known.unit, space, z)
        directions.append(Direction(text, mode.knowledge, mode.share, weights))
    draws = draws_of(z, known.spread, space.lower, space.upper, SAMPLES, seed)
    return {
        "z": tuple(map(float, z)),
        "covariance": tuple(tuple(map(float, row)) for row in known.spread),
        "unknowns": unknowns_of(space, usual),
        "directions": tuple(directions),
        "samples": rounded_draws(draws, space.lower, space.upper),
        "likelihood": likelihood_of(space.prior_mean, space.prior_scale, z, known, _inside(space, z, slope)),
    }


def unknowns_of(
    space: ParameterSpace, usual: tuple[Float[np.ndarray, "free"], Float[np.ndarray, "free"]] | None = None
) -> tuple[Unknown, ...]:
    """What every entry of z stands for; `usual` as in `posterior_record`."""
    each = (space.lower, space.upper, space.prior_mean, space.prior_scale)
    before: Any = [()] * space.size if usual is None else zip(*(x.tolist() for x in usual), strict=True)
    return tuple(
        Unknown(members, *map(float, x), usual_prior=tuple(b))
        for members, *x, b in zip(space.members, *each, before, strict=True)
    )


def _inside(
    space: ParameterSpace, z: Float[np.ndarray, "free"], slope: Float[np.ndarray, "free"] | None
) -> Float[np.ndarray, "free"] | None:
    """A slope by what does not rest on a bound, NaN by what does: beyond, the data may pull without end."""
    if slope is None:
        return None
    margin = 1e-6 * (space.upper - space.lower)
    return np.where((z > space.lower + margin) & (z < space.upper - margin), slope, np.nan)


def likelihood_of(
    prior_mean: Float[np.ndarray, "free"],
    prior_scale: Float[np.ndarray, "free"],
    z: Float[np.ndarray, "free"],
    known: Uncertainty,
    slope: Float[np.ndarray, "free"] | None = None,
) -> Likelihood:
    """What the recordings alone say, from an estimate and what is known about it.

    **Arguments:** `slope`: of the data's negative log likelihood at z, where it is known (else NaN, or None).

    D (m − ẑ) is minus that slope, which gives D m for the best z of the data alone, m. At an estimate ẑ it balances the
    prior's, P (ẑ − μ), which stands in for one that is not known. A solver that stopped short of that along a direction
    which the data hardly tell of has a prior's slope there and none of theirs: taken for theirs it would be divided by
    next to nothing, and one person would have a population believe what nobody's recording says. m varies as the score
    does, by D + E, E the excess of residuals that repeat each other; so its precision is Λ = D (D + E)⁻¹ D, along the
    directions that the data have any information on.
    """
    unit = known.unit
    data, excess = (np.outer(unit, unit) * x for x in (known.curvature, known.excess))
    value, basis = np.linalg.eigh(data)
    kept = value > LEAST_INFORMATION * max(1.0, value[-1])
    basis, value = basis[:, kept], value[kept]
    anchored = np.isfinite(prior_scale)
    offset = np.where(anchored, (z - prior_mean) * unit / np.where(anchored, prior_scale, 1.0) ** 2, 0.0)
    if slope is not None:
        offset = np.where(np.isfinite(slope), -slope * unit, offset)
    about = value * (basis.T @ (z / unit)) + basis.T @ offset  # D m
    varies = np.diag(value) + basis.T @ excess @ basis
    weight = np.linalg.solve(0.5 * (varies + varies.T), np.diag(value)).T  # D (D + E)⁻¹
    precision = basis @ (weight * value) @ basis.T / np.outer(unit, unit)
    pull = basis @ (weight @ about) / unit
    return Likelihood(tuple(map(tuple, (0.5 * (precision + precision.T)).tolist())), tuple(pull.tolist()))


def rounded_draws(
    draws: Float[np.ndarray, "count free"], lower: Float[np.ndarray, "free"], upper: Float[np.ndarray, "free"]
) -> tuple[tuple[float, ...], ...]:
    """Draws as a result holds them: with seven digits, inside the bounds."""
    rows = np.clip([[float(f"{x:.7g}") for x in row] for row in draws], lower, upper)
    return tuple(map(tuple, rows.tolist()))


def draws_of(
    z: np.ndarray, covariance: np.ndarray, lower: np.ndarray, upper: np.ndarray, count: int, seed: int
) -> Float[np.ndarray, "count free"]:
    covariance = covariance.copy()
    unknown = ~np.isfinite(np.diag(covariance))  # a result made elsewhere may say so with an infinity
    covariance[unknown, :] = covariance[:, unknown] = 0.0
    covariance[unknown, unknown] = np.square(FLAT * (upper - lower))[unknown]
    return truncated_normal(z, covariance, lower, upper, count, seed)
