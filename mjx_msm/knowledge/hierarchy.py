"""How people differ, from what each one's recordings alone say: a normal distribution about a linear model of traits.

Person i has z_i = Wᵀ x_i + e_i with e_i ~ N(0, Σ), x_i = (1, traits); the recordings say exp(h_i·z − ½ z·Λ_i·z) of it.
All of that is normal, so that z_i and W are integrated in closed form and Σ follows from expectation–maximisation, with
W integrated as in restricted maximum likelihood (Dempster et al. 1977, doi 10.1111/j.2517-6161.1977.tb01600.x; Laird
and Ware 1982, doi 10.2307/2529876). Nobody has to determine a parameter for the cohort to tell something of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

PSEUDO_PEOPLE = 0.2
"""Weight of the usual priors' spread beside the people's, in people: what nobody determines stays as wide as it was."""
SLOPE = 0.15
"""Of a slope before anybody is seen, its standard deviation: in usual priors' standard deviations a standard deviation
of the trait. It counts as one slope beside those of the parameter, whose own size then follows from the people (MacKay
1992, doi 10.1162/neco.1992.4.3.415): traits that say nothing of a parameter are given up, those that do are not."""
ITERATIONS = 1000
SETTLED = 1e-4
"""Largest relative change of Σ that is worth no further iteration."""


@dataclass(frozen=True)
class Hierarchy:
    """Everything in units of the usual priors' standard deviations, about their means."""

    weights: Float[np.ndarray, "feature free"]
    """W: what is expected of the average person, then a row a trait."""
    weights_covariance: Float[np.ndarray, "feature free feature free"]
    spread: Float[np.ndarray, "free free"]
    """Σ: how people of the same traits differ."""
    settled: bool = True
    """Whether the iteration came to an end before `ITERATIONS`."""

    def expected(
        self, traits: Float[np.ndarray, "trait"]
    ) -> tuple[Float[np.ndarray, "free"], Float[np.ndarray, "free free"]]:
        """Mean and covariance of a person of whom only traits are known, standardised; NaN for one that is not."""
        known = np.isfinite(traits)
        x = np.concatenate([[1.0], np.where(known, traits, 0.0)])
        covariance = self.spread + np.einsum("a,aibj,b->ij", x, self.weights_covariance, x)
        for k in 1 + np.flatnonzero(~known):  # a trait that may be anybody's: its square is 1 in the mean
            row = self.weights[k]
            covariance = covariance + np.outer(row, row) + self.weights_covariance[k, :, k, :]
        return x @ self.weights, covariance


def hierarchy(
    precision: Float[np.ndarray, "person free free"],
    pull: Float[np.ndarray, "person free"],
    traits: Float[np.ndarray, "person trait"],
) -> Hierarchy:
    """The population of some people.

    **Arguments:** `precision`, `pull`: Λ and h of every person, in units of the usual priors' standard deviations
    about their means; zero where somebody's recordings say nothing. `traits`: standardised, 0 where one is not known.
    """
    people, size = pull.shape
    x = np.concatenate([np.ones((people, 1)), traits], axis=1)
    count = traits.shape[1]
    slope = np.full(size, SLOPE**2)
    spread = np.eye(size)
    keep = people / (people + size)  # of covariances, which so few people tell only roughly
    kept = np.where(np.eye(size, dtype=bool), 1.0, keep)
    weights, covariance = np.zeros((count + 1, size)), np.zeros((count + 1, size, count + 1, size))
    settled = False
    for _ in range(ITERATIONS):
        gain = np.linalg.inv(precision + np.linalg.inv(spread))  # covariance of e, with W known
        # the average person lies about the usual priors' mean as anybody does
        weights, covariance = _weights(precision, pull, x, gain, np.vstack([np.ones(size), np.tile(slope, (count, 1))]))
        about = x @ weights
        mean = np.einsum("nij,nj->ni", gain, pull - np.einsum("nij,nj->ni", precision, about))
        through = gain @ precision
        loose = np.einsum("na,aibj,nb->nij", x, covariance, x)
        second = gain + through @ loose @ np.swapaxes(through, 1, 2) + mean[:, :, None] * mean[:, None, :]
        new = kept * (PSEUDO_PEOPLE * np.eye(size) + second.sum(axis=0)) / (PSEUDO_PEOPLE + people)
        squares = weights[1:] ** 2 + np.einsum("aiai->ai", covariance)[1:]
        slope = (SLOPE**2 + squares.sum(axis=0)) / (1 + count)
        moved = np.max(np.abs(new - spread)) / np.max(np.abs(new))
        spread = 0.5 * (new + new.T)
        settled = bool(moved < SETTLED)
        if settled:
            break
    return Hierarchy(weights, covariance, spread, settled)


def _weights(
    precision: np.ndarray, pull: np.ndarray, x: np.ndarray, gain: np.ndarray, before: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """W's mean and covariance with everybody's z integrated; `before`: variances of its prior."""
    features, size = x.shape[1], pull.shape[1]
    told = precision - precision @ gain @ precision
    push = pull - np.einsum("nij,njk,nk->ni", precision, gain, pull)
    total = np.einsum("na,nij,nb->aibj", x, told, x).reshape(features * size, features * size)
    total = 0.5 * (total + total.T) + np.diag(1.0 / before.ravel())
    covariance = np.linalg.inv(total)
    mean = covariance @ np.einsum("na,ni->ai", x, push).reshape(-1)
    shape = (features, size)
    return mean.reshape(shape), covariance.reshape(*shape, *shape)


def standardised(values: Sequence[float]) -> tuple[float, float]:
    """Centre and standard deviation of a trait, of the people of whom it is known (NaN: not known)."""
    known = np.array([v for v in values if np.isfinite(v)])
    return float(known.mean()), float(known.std())
