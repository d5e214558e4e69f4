"""How people differ, from what each one's recordings alone say: a normal distribution about a linear model of traits.

Person i has z_i = Wᵀ x_i + e_i with e_i ~ N(0, Σ), x_i = (1, traits); the recordings say exp(h_i·z − ½ z·Λ_i·z) of it.
All of that is normal, so that z_i and W are integrated in closed form and Σ follows from expectation–maximisation, with
W integrated as in restricted maximum likelihood (Dempster et al. 1977, doi 10.1111/j.2517-6161.1977.tb01600.x; Laird
and Ware 1982, doi 10.2307/2529876). Nobody has to determine a parameter for the cohort to tell something of it.

Of what a bound stopped only a side is known, which enters as a normal factor of its own (`one_sided`).

Parameters of a kind, the strengths of all muscles say, are alike: weights of a feature are w_k = a + d_k, a ~ N(0, A)
of the kind and d_k ~ N(0, B) of its members, and their variances in Σ are drawn to each other. A and B follow from the
people, so that kinds whose members have nothing in common are told apart (random effects of exchangeable parameters:
Lindley and Smith 1972, doi 10.1111/j.2517-6161.1972.tb00885.x). Without it, members that recordings say little of stay
where the model has them, while everything else of their kind is found elsewhere.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mjx_msm.knowledge.one_sided import Factors, OneSided

PSEUDO_PEOPLE = 0.2
"""Weight of the usual priors' spread beside the people's, in people: what nobody determines stays as wide as it was."""
SLOPE = 0.15
"""Of a slope before anybody is seen, its standard deviation: in usual priors' standard deviations a standard deviation
of the trait. It counts as one slope beside those of the kind, whose own size then follows from the people (MacKay
1992, doi 10.1162/neco.1992.4.3.415): traits that say nothing of a kind are given up, those that do are not."""
APART = 0.22
"""Of the average person, by how much a parameter is expected to be off the others of its kind before anybody is seen,
in usual priors' standard deviations. It counts as one parameter beside those of the kind."""
ALIKE = 4.0
"""Weight of the variance that is usual in a kind beside a parameter's own, in people."""
TURNS = 4
"""How often, at most, everybody is identified anew with what all of them lead to expect."""
STANDS = 0.25
"""Standard deviations by which the average person moves at most in a turn that is the last."""
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
    kinds: Sequence[Hashable] | None = None,
    beyond: Sequence[OneSided] = (),
) -> Hierarchy:
    """The population of some people.

    **Arguments:** `precision`, `pull`: Λ and h of every person, in units of the usual priors' standard deviations
    about their means; zero where somebody's recordings say nothing. `traits`: standardised, 0 where one is not known.
    `kinds`: of the parameters; None: each is of its own. `beyond`: of every person, what is known on one side only.
    """
    people, size = pull.shape
    members = _members(range(size) if kinds is None else kinds)
    x = np.concatenate([np.ones((people, 1)), traits], axis=1)
    count = traits.shape[1]
    usual = np.array([APART**2, *[SLOPE**2] * count])
    common = np.tile(np.array([1.0, *[SLOPE**2] * count])[:, None], len(members))  # A, by feature and kind
    own = np.tile(usual[:, None], len(members))  # B
    spread = np.eye(size)
    keep = people / (people + size)  # of covariances, which so few people tell only roughly
    kept = np.where(np.eye(size, dtype=bool), 1.0, keep)
    weights, covariance = np.zeros((count + 1, size)), np.zeros((count + 1, size, count + 1, size))
    settled, known, push, factors = False, precision, pull, Factors.of(list(beyond), size)
    for _ in range(ITERATIONS):
        precision, pull = factors.beside(known, push)
        gain = np.linalg.inv(precision + np.linalg.inv(spread))  # covariance of e, with W known
        weights, covariance = _weights(precision, pull, x, gain, _before(common, own, members))
        about = x @ weights
        mean = np.einsum("nij,nj->ni", gain, pull - np.einsum("nij,nj->ni", precision, about))
        through = gain @ precision
        loose = np.einsum("na,aibj,nb->nij", x, covariance, x)
        second = gain + through @ loose @ np.swapaxes(through, 1, 2) + mean[:, :, None] * mean[:, None, :]
        new = kept * _drawn_together(PSEUDO_PEOPLE * np.eye(size) + second.sum(axis=0), PSEUDO_PEOPLE + people, members)
        for k, at in enumerate(members):
            for f in range(1 + count):
                # the average person lies about the usual priors' mean as anybody does: A of the first feature is 1
                shared, apart = _components(weights[f, at], covariance[f, at][:, f, at])
                if f:
                    common[f, k] = (SLOPE**2 + shared) / 2
                own[f, k] = (usual[f] + apart) / len(at)
        within = np.eye(size) - through
        doubt = gain + within @ loose @ np.swapaxes(within, 1, 2)
        factors, nearer = factors.nearer(about + mean, doubt)
        moved = max(np.max(np.abs(new - spread)) / np.max(np.abs(new)), nearer)
        spread = 0.5 * (new + new.T)
        settled = bool(moved < SETTLED)
        if settled:
            break
    return Hierarchy(weights, covariance, spread, settled)


def _members(kinds: Iterable[Hashable]) -> list[np.ndarray]:
    """Places of the parameters of every kind."""
    listed = list(kinds)
    return [np.array([i for i, other in enumerate(listed) if other == kind]) for kind in dict.fromkeys(listed)]


def _before(common: np.ndarray, own: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
    """Precision of W before anybody is seen, feature after feature; a parameter alone in its kind has A only."""
    features, size = len(common), sum(map(len, members))
    out = np.zeros((features, size, features, size))
    for k, at in enumerate(members):
        for f in range(features):
            alone = len(at) == 1
            block = np.full((len(at), len(at)), common[f, k]) + (0.0 if alone else own[f, k]) * np.eye(len(at))
            out[f, at[:, None], f, at[None, :]] = np.linalg.inv(block)
    return out.reshape(features * size, features * size)


def _components(
    weights: Float[np.ndarray, "member"], covariance: Float[np.ndarray, "member member"]
) -> tuple[float, float]:
    """Expected squares of what members of a kind have in common, and of what each is off it, summed."""
    count = len(weights)
    apart = np.eye(count) - 1 / count
    shared = float(weights.mean() ** 2 + covariance.mean())
    return shared, float(np.sum((apart @ weights) ** 2) + np.trace(apart @ covariance @ apart))


def _drawn_together(
    sums: Float[np.ndarray, "free free"], people: float, members: Sequence[np.ndarray]
) -> Float[np.ndarray, "free free"]:
    """Covariance of people, of sums over them, with variances of a kind drawn to their geometric mean."""
    variance = np.diag(sums) / people
    drawn = variance.copy()
    for at in members:
        usual = np.exp(np.mean(np.log(variance[at])))
        drawn[at] = (people * variance[at] + ALIKE * usual) / (people + ALIKE)
    scale = np.sqrt(drawn / variance)
    return np.outer(scale, scale) * sums / people


def _weights(
    precision: np.ndarray, pull: np.ndarray, x: np.ndarray, gain: np.ndarray, before: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """W's mean and covariance with everybody's z integrated; `before`: precision of its prior."""
    features, size = x.shape[1], pull.shape[1]
    told = precision - precision @ gain @ precision
    push = pull - np.einsum("nij,njk,nk->ni", precision, gain, pull)
    total = np.einsum("na,nij,nb->aibj", x, told, x).reshape(features * size, features * size)
    total = 0.5 * (total + total.T) + before
    covariance = np.linalg.inv(total)
    mean = covariance @ np.einsum("na,ni->ai", x, push).reshape(-1)
    shape = (features, size)
    return mean.reshape(shape), covariance.reshape(*shape, *shape)


def standardised(values: Sequence[float]) -> tuple[float, float]:
    """Centre and standard deviation of a trait, of the people of whom it is known (NaN: not known)."""
    known = np.array([v for v in values if np.isfinite(v)])
    return float(known.mean()), float(known.std())
