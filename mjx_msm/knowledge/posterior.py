"""The posterior as a result holds it: directions in words, the covariance, draws inside the bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.knowledge.records import Direction, Unknown
from mjx_msm.knowledge.uncertainty import FLAT, Uncertainty, truncated_normal
from mjx_msm.knowledge.wording import direction_words
from mjx_msm.person.space import ParameterSpace

SAMPLES = 200
"""Draws saved with a result."""


def posterior_record(
    space: ParameterSpace, z: Float[np.ndarray, "free"], known: Uncertainty, seed: int
) -> dict[str, Any]:
    """The fields of an `Identification` that say what is known, from the estimator's numbers."""
    directions = []
    for mode in known.modes:
        order = np.argsort(-np.abs(mode.weights))
        kept = [k for k in order if abs(mode.weights[k]) > 0.1] or [order[0]]
        weights = {space.paths[k]: round(float(mode.weights[k]), 4) for k in kept}
        text = direction_words(mode.weights, known.unit, space, z)
        directions.append(Direction(text, mode.knowledge, mode.share, weights))
    each = (space.lower, space.upper, space.prior_mean, space.prior_scale)
    unknowns = tuple(Unknown(m, *map(float, x)) for m, *x in zip(space.members, *each, strict=True))
    draws = draws_of(z, known.spread, space.lower, space.upper, SAMPLES, seed)
    return {
        "z": tuple(map(float, z)),
        "covariance": tuple(tuple(map(float, row)) for row in known.spread),
        "unknowns": unknowns,
        "directions": tuple(directions),
        "samples": rounded_draws(draws, space.lower, space.upper),
    }


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
