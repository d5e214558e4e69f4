"""Capacities over time, and what is left open of the person, from demand and muscle shares: one least-squares problem.

The person is known as well as the posterior says: what its draws change of demand and shares is a few directions, each
with a standard normal unknown w. Capacities follow from unknowns x, standard normal a priori, too,

    r = demand(w) − Σ_m c_m(x) · active_m(w),    var r = σ² + Σ_m (c_m ε_m active_m)²,

and the posterior of (x, w) is that of a Laplace approximation. ε is the relative error of what EMG says. It is an error
of the shares, not of the demand: with a variance that did not follow c, smaller capacities, which let less of it
through, would fit better than true ones (effective variance: Orear 1982, doi 10.1119/1.12972). Residuals of EMG-driven
moments repeat themselves, so that they count as many as their autocorrelation says are independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.autocorrelation import autocorrelation_time
from mjx_msm.prediction.muscle_share import Shares

KEPT = 0.9999
"""Part of what the draws change that the directions hold."""
STEPS, ROUNDS = 40, 4
"""Most steps of the solver; rounds in which the noise is estimated anew."""
SETTLED = 1e-6
FLOOR, FAINT = 1e-3, 0.1
"""Least σ, of the demand's spread and of what is not explained."""

Course = Callable[
    [Float[np.ndarray, "unknown"]],
    tuple[Float[np.ndarray, "instant muscle"], Float[np.ndarray, "instant muscle unknown"]],
]
"""Capacities by x, and their derivatives."""


@dataclass(frozen=True)
class Capacities:
    """What was found."""

    x: Float[np.ndarray, "unknown"]
    covariance: Float[np.ndarray, "unknown unknown"]
    """Of x, whatever w is."""
    noise: Float[np.ndarray, "free"]
    """Root mean square of what is not explained of the demand."""
    independent: float
    """Independent residuals."""
    predicted: Float[np.ndarray, "instant free"]
    """What muscles with these capacities do."""
    demand: Float[np.ndarray, "instant free"]
    """Of the person found to be."""
    converged: bool


@dataclass(frozen=True)
class _Person:
    """Demand and shares as a function of w."""

    mean: Float[np.ndarray, "instant free block"]
    """Demand first, then a block a muscle."""
    directions: Float[np.ndarray, "direction instant free block"]

    def at(self, w: np.ndarray) -> np.ndarray:
        return self.mean + np.tensordot(w, self.directions, 1)


def _person(shares: Shares) -> _Person:
    stacked = np.stack([np.concatenate([s.demand[..., None], s.active], -1) for s in shares.everyone])
    about = stacked[1:] - stacked[1:].mean(axis=0)
    flat = (about * shares.seen[..., None]).reshape(len(about), -1)
    # the few large directions, by the small Gram matrix of the draws
    value, vector = np.linalg.eigh(flat @ flat.T)
    order = np.argsort(value)[::-1]
    value, vector = np.maximum(value[order], 0.0), vector[:, order]
    total = value.sum()
    count = 0 if total <= 0 else min(int(np.searchsorted(np.cumsum(value), KEPT * total)) + 1, len(value) - 1)
    directions = np.tensordot(vector[:, :count].T, about, 1) / np.sqrt(len(about) - 1)
    return _Person(stacked[0], directions)


class _Problem:
    """Residuals over their standard deviations, and their derivatives by p, x first and w after it."""

    def __init__(self, shares: Shares, course: Course, unknowns: int):
        self.person, self.seen, self.error = _person(shares), shares.seen, shares.error
        self.course, self.unknowns = course, unknowns
        self.size = unknowns + len(self.person.directions)
        spread = np.sqrt((self.person.mean[..., 0] ** 2 * self.seen).sum(0) / np.maximum(self.seen.sum(0), 1.0))
        self.floor = FLOOR * np.maximum(spread, 1e-9)
        self.noise = 0.3 * np.maximum(spread, 1e-9)
        """σ."""
        self.counts = np.ones(self.seen.shape[1])
        """Samples per independent one, times what σ and ε say too little."""

    def _variance(self, c: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """Of the EMG's error."""
        return np.einsum("nfm,nm->nf", blocks[..., 1:] ** 2, (c * self.error) ** 2)

    def residual(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As it is, and the variance for the EMG's error."""
        c, _ = self.course(p[: self.unknowns])
        blocks = self.person.at(p[self.unknowns :])
        return blocks[..., 0] - np.einsum("nfm,nm->nf", blocks[..., 1:], c), self._variance(c, blocks)

    def __call__(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c, slope = self.course(p[: self.unknowns])
        blocks, turns = self.person.at(p[self.unknowns :]), self.person.directions
        active, doubtful = blocks[..., 1:], (c * self.error) ** 2
        residual = blocks[..., 0] - np.einsum("nfm,nm->nf", active, c)
        by_w = turns[..., 0] - np.einsum("knfm,nm->knf", turns[..., 1:], c)
        by_x = -np.einsum("nfm,nmu->nfu", active, slope)
        deviation = np.sqrt(self.noise**2 + self._variance(c, blocks))
        squares_by_w = np.einsum("nfm,knfm,nm->knf", active, turns[..., 1:], doubtful)
        squares_by_x = np.einsum("nfm,nm,nmu->nfu", active**2, c * self.error**2, slope)
        ratio = (residual / deviation**2)[..., None]
        by_p = np.concatenate(
            [by_x - ratio * squares_by_x, np.moveaxis(by_w, 0, -1) - ratio * np.moveaxis(squares_by_w, 0, -1)], -1
        )
        weight = self.seen / (deviation * np.sqrt(self.counts))
        return (residual * weight).ravel(), (by_p * weight[..., None]).reshape(-1, len(p))

    def reweigh(self, p: np.ndarray) -> None:
        """σ is what is left of the residuals; what repeats itself counts as fewer."""
        residual, doubtful = self.residual(p)
        for f, seen in enumerate(self.seen.T > 0):
            own = residual[seen, f]
            if not len(own):
                continue
            rest = float(np.mean(own**2 - doubtful[seen, f]))
            self.noise[f] = max(np.sqrt(max(rest, 0.0)), FAINT * float(np.sqrt(np.mean(own**2))), self.floor[f])
            whitened = own / np.sqrt(self.noise[f] ** 2 + doubtful[seen, f])
            self.counts[f] = autocorrelation_time(whitened) * float(np.mean(whitened**2))


def fit_capacities(shares: Shares, course: Course, unknowns: int) -> Capacities:
    """The most probable x and its covariance."""
    problem = _Problem(shares, course, unknowns)
    p, converged, information = np.zeros(problem.size), False, np.eye(problem.size)
    for _ in range(ROUNDS):
        p, information, converged = _solved(problem, p)
        problem.reweigh(p)
    blocks, (c, _) = problem.person.at(p[unknowns:]), course(p[:unknowns])
    residual, seen = problem.residual(p)[0], shares.seen
    return Capacities(
        p[:unknowns],
        np.linalg.inv(information)[:unknowns, :unknowns],
        np.sqrt((residual**2 * seen).sum(0) / np.maximum(seen.sum(0), 1.0)),
        float((seen.sum(0) / np.maximum(problem.counts, 1.0)).sum()),
        np.einsum("nfm,nm->nf", blocks[..., 1:], c),
        blocks[..., 0],
        converged,
    )


def _solved(problem: _Problem, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Levenberg–Marquardt; the prior of every unknown is the standard normal."""

    def looked(p: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        r, j = problem(p)
        return 0.5 * float(r @ r + p @ p), j.T @ r + p, j.T @ j + np.eye(len(p))

    cost, gradient, information = looked(p)
    damping = 1e-3
    for _ in range(STEPS):
        step = -np.linalg.solve(information + damping * np.diag(np.diag(information)), gradient)
        tried = looked(p + step)
        if tried[0] <= cost:
            done = cost - tried[0] < SETTLED * (1.0 + abs(cost)) and float(np.abs(step).max()) < 1e-2
            p = p + step
            cost, gradient, information = tried
            damping = max(damping / 5.0, 1e-9)
            if done:
                return p, information, True
        elif damping > 1e9:
            return p, information, bool(np.isfinite(cost))  # nothing nearby is better, unless nothing compares
        else:
            damping *= 6.0
    return p, information, False
