"""What recordings tell where a bound stopped an estimate: that it is as much as that at least, as far as noise lets it.

Of somebody whose recordings say N(h; Λz, Λ) of z, h is known but for the parts in which the solver stopped at b while
the data still pulled, of which only the side is known. Of z that says two things: a normal likelihood, of those h that
are known, and for every stop k the probability Φ(d·z − o) that the data pull outwards there, with d = ±S_k/√S_kk,
o = d·b and S = Λ_bb − Λ_bf Λ_ff⁻¹ Λ_fb. (A censored observation: Tobin 1958, doi 10.2307/1907382.) With a small chance
a stop tells nothing: where a channel clips, or the model lacks something, people may seem to be beyond bounds that are
far from everybody. As part of a product of normal distributions such a probability is taken for the normal factor that
leaves the product its mean and variance (expectation propagation: Minka 2001, arXiv 1301.2294).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr

LEAST_TOLD = 1e-10
"""Information along a direction, over the most along any, below which it is none."""
FAULT = 0.05
"""Chance that something else than the person made an estimate stop at a bound. What is nearer to the others than that
moves them; what is further off does not."""
STEP = 0.5
"""Part of the way that factors go at once: all of them move together."""


@dataclass(frozen=True)
class OneSided:
    """Of every stop, that direction·z is beyond the offset, as far as noise of standard deviation 1 lets it."""

    direction: Float[np.ndarray, "stop free"]
    offset: Float[np.ndarray, "stop"]


def censored(
    precision: Float[np.ndarray, "free free"],
    pull: Float[np.ndarray, "free"],
    z: Float[np.ndarray, "free"],
    outwards: Float[np.ndarray, "free"],
) -> tuple[Float[np.ndarray, "free free"], Float[np.ndarray, "free"], OneSided]:
    """Precision and pull of what is known on both sides, and what is known on one.

    **Arguments:** `precision`, `pull`: Λ and h as if everything were free. `z`: the estimate. `outwards`: 1 where an
    upper bound stopped it, −1 where a lower one did, 0 where nothing did.
    """
    stop, free = outwards != 0.0, outwards == 0.0
    across = precision[np.ix_(stop, free)] @ _inverse(precision[np.ix_(free, free)])
    known, push = precision.copy(), pull.copy()
    known[np.ix_(stop, stop)] = across @ precision[np.ix_(free, stop)]
    push[stop] = across @ pull[free]
    left = precision[np.ix_(stop, stop)] - known[np.ix_(stop, stop)]
    scale = np.sqrt(np.clip(np.diag(left), 0.0, None))
    told = scale**2 > LEAST_TOLD * max(1.0, float(np.max(np.abs(precision))))
    rows = (outwards[stop][:, None] * left)[told] / scale[told][:, None]
    direction = np.zeros((len(rows), len(z)))
    direction[:, stop] = rows
    return 0.5 * (known + known.T), push, OneSided(direction, direction @ z)


def _inverse(x: Float[np.ndarray, "free free"]) -> Float[np.ndarray, "free free"]:
    return np.linalg.pinv(x, rcond=LEAST_TOLD, hermitian=True) if len(x) else x


@dataclass(frozen=True)
class Factors:
    """One-sided knowledge of all people as normal factors of direction·z."""

    who: Int[np.ndarray, "stop"]
    direction: Float[np.ndarray, "stop free"]
    offset: Float[np.ndarray, "stop"]
    precision: Float[np.ndarray, "stop"]
    pull: Float[np.ndarray, "stop"]

    @classmethod
    def of(cls, people: list[OneSided], size: int) -> Factors:
        """Before anything else is known of anybody: flat ones."""
        who = np.repeat(np.arange(len(people)), [len(x.offset) for x in people])
        direction = np.concatenate([np.zeros((0, size)), *(x.direction for x in people)])
        offset = np.concatenate([np.zeros(0), *(x.offset for x in people)])
        return cls(who, direction, offset, np.zeros(len(offset)), np.zeros(len(offset)))

    def beside(
        self, precision: Float[np.ndarray, "person free free"], pull: Float[np.ndarray, "person free"]
    ) -> tuple[Float[np.ndarray, "person free free"], Float[np.ndarray, "person free"]]:
        """Everybody's precision and pull with them."""
        both, push = precision.copy(), pull.copy()
        outer = self.direction[:, :, None] * self.direction[:, None, :]
        np.add.at(both, self.who, self.precision[:, None, None] * outer)
        np.add.at(push, self.who, self.pull[:, None] * self.direction)
        return both, push

    def nearer(
        self, mean: Float[np.ndarray, "person free"], covariance: Float[np.ndarray, "person free free"]
    ) -> tuple[Factors, float]:
        """The factors by what is known of everybody's z with them, and the largest change, relative to the largest."""
        if not len(self.offset):
            return self, 0.0
        m = np.einsum("si,si->s", self.direction, mean[self.who])
        v = np.einsum("si,sij,sj->s", self.direction, covariance[self.who], self.direction)
        without = 1.0 / np.maximum(1.0 / v - self.precision, LEAST_TOLD / v)
        m = without * (m / v - self.pull)
        sd = np.sqrt(1.0 + without)
        beyond = (m - self.offset) / sd
        seen = np.exp(-0.5 * beyond**2) / np.sqrt(2.0 * np.pi), ndtr(beyond)
        ratio = (1.0 - FAULT) * seen[0] / (FAULT + (1.0 - FAULT) * seen[1])
        shift, bend = ratio / sd, np.maximum(ratio * (ratio + beyond), 0.0) / sd**2
        left = 1.0 - without * bend
        new = np.array([bend / left, (bend * m + shift) / left])
        old = np.array([self.precision, self.pull])
        change = np.max(np.abs(new - old) / np.max(np.abs(new), axis=1, keepdims=True).clip(LEAST_TOLD))
        precision, pull = old + STEP * (new - old)
        return Factors(self.who, self.direction, self.offset, precision, pull), float(change)
