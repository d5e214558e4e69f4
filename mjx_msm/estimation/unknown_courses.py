"""Courses that nobody measured, at their best for given parameters: of forces, or of activations.

Both enter residuals linearly, r + C u at every instant, and cannot push, u ≥ 0. At the best u for parameters z the
derivative of what is left by z is that with u following z (variable projection, Golub & Pereyra 1973, doi
10.1137/0710036): with F the unknowns above zero and W the weights,

    J − C_F (C_FᵀW C_F + P)⁻¹ C_FᵀW J,        P: the precision of their prior.

*Forces* are free at every instant: P = 0, and what is left of residuals is what no tension of these muscles explains
(Sanderink et al. 2025, arXiv 2509.22825).

*Activations* are lines through knots, each of which costs effort, ½ (u/s)²: without a reason a muscle does not pull.
Knots 2/3 of a correlation time apart, with 3/2 of the variance, have the variance of a signal with that correlation
time, and its spectral density at low frequencies (`mjx_msm.estimation.envelope_error`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import solveh_banded
from scipy.optimize import nnls
from scipy.sparse import csr_array

from mjx_msm.recordings.emg import correlation_time

EFFORT = 0.2
"""Root mean square of an activation nothing is known of [-]."""
BAND = 6.0
"""Up to which activations go on their own way [Hz]: that of an envelope."""
PIVOTS, PATIENCE = 200, 3


class Following(NamedTuple):
    """How what is left follows the parameters, the unknowns at their best."""

    slope: Float[np.ndarray, "instant coordinate free"]
    of_prior: Float[np.ndarray, "unknown free"]
    """Of the unknowns over the standard deviation of their prior; no rows without one."""


@dataclass(frozen=True, eq=False)
class Courses(ABC):
    """Of some muscles, at the instants of some recordings."""

    instants: int
    muscles: int

    @property
    @abstractmethod
    def none(self) -> Float[np.ndarray, "unknown muscle"]:
        """Unknowns that are all zero."""

    @abstractmethod
    def at_instants(self, unknown: Float[np.ndarray, "unknown muscle"]) -> Float[np.ndarray, "instant muscle"]:
        """The course that unknowns stand for."""

    @abstractmethod
    def best(
        self,
        residual: Float[np.ndarray, "instant coordinate"],
        push: Float[np.ndarray, "instant coordinate muscle"],
        scale: Float[np.ndarray, "coordinate"],
        near: Float[np.ndarray, "unknown muscle"] | None = None,
    ) -> Float[np.ndarray, "unknown muscle"]:
        """Unknowns for residuals that are `residual` without them, and weigh 1/scale².

        **Arguments:** `push`: what a course of 1 adds to them. `near`: unknowns that may be zero where the best are;
        they save time, and change nothing else.
        """

    @abstractmethod
    def prior(self, unknown: Float[np.ndarray, "unknown muscle"]) -> Float[np.ndarray, "row"]:
        """Unknowns over the standard deviation of their prior; nothing without one."""

    @abstractmethod
    def following(
        self,
        unknown: Float[np.ndarray, "unknown muscle"],
        push: Float[np.ndarray, "instant coordinate muscle"],
        slope: Float[np.ndarray, "instant coordinate free"],
        scale: Float[np.ndarray, "coordinate"],
    ) -> Following:
        """What `slope` becomes with the unknowns following; those that are zero stay so."""

    @abstractmethod
    def used(
        self,
        unknown: Float[np.ndarray, "unknown muscle"],
        push: Float[np.ndarray, "instant coordinate muscle"],
        scale: Float[np.ndarray, "coordinate"],
    ) -> Float[np.ndarray, "coordinate"]:
        """Samples of every coordinate that the unknowns use up."""


class ForceCourses(Courses):
    """A force at every instant, by itself."""

    @property
    def none(self) -> Float[np.ndarray, "unknown muscle"]:
        return np.zeros((self.instants, self.muscles))

    def at_instants(self, unknown: Float[np.ndarray, "unknown muscle"]) -> Float[np.ndarray, "instant muscle"]:
        return unknown

    def best(
        self,
        residual: Float[np.ndarray, "instant coordinate"],
        push: Float[np.ndarray, "instant coordinate muscle"],
        scale: Float[np.ndarray, "coordinate"],
        near: Float[np.ndarray, "unknown muscle"] | None = None,
    ) -> Float[np.ndarray, "unknown muscle"]:
        rows = zip(push / scale[:, None], -residual / scale, strict=True)
        return np.stack([nnls(c, r)[0] if c.any() else self.none[0] for c, r in rows])

    def prior(self, unknown: Float[np.ndarray, "unknown muscle"]) -> Float[np.ndarray, "row"]:
        return np.zeros(0)

    def _onto(
        self, unknown: np.ndarray, push: np.ndarray, scale: np.ndarray
    ) -> Float[np.ndarray, "instant coordinate coordinate"]:
        """Projection on what the muscles that pull can do, residuals over their scales."""
        pulled = push / scale[:, None] * (unknown > 0)[:, None]
        return pulled @ np.linalg.pinv(pulled, rcond=1e-9)

    def following(
        self,
        unknown: Float[np.ndarray, "unknown muscle"],
        push: Float[np.ndarray, "instant coordinate muscle"],
        slope: Float[np.ndarray, "instant coordinate free"],
        scale: Float[np.ndarray, "coordinate"],
    ) -> Following:
        left = slope - scale[:, None] * (self._onto(unknown, push, scale) @ (slope / scale[:, None]))
        return Following(left, np.zeros((0, slope.shape[-1])))

    def used(
        self,
        unknown: Float[np.ndarray, "unknown muscle"],
        push: Float[np.ndarray, "instant coordinate muscle"],
        scale: Float[np.ndarray, "coordinate"],
    ) -> Float[np.ndarray, "coordinate"]:
        return np.einsum("tcc->c", self._onto(unknown, push, scale))


@dataclass(frozen=True, eq=False)
class ActivationCourses(Courses):
    """Lines through knots that cost effort."""

    between: csr_array
    """Part of every knot in the course at every instant (instant, knot): two that lie beside each other."""
    knots: int

    @staticmethod
    def over(
        trial: Int[np.ndarray, "instant"], time: Float[np.ndarray, "instant"], muscles: int, band: float = BAND
    ) -> ActivationCourses:
        """With knots over every trial from its first to its last instant; `time` in seconds."""
        spacing = 2.0 / 3.0 * correlation_time(band)
        before, part, count = np.zeros(len(time), int), np.zeros(len(time)), 0
        for one in np.unique(trial):
            rows = trial == one
            place = (time[rows] - time[rows].min()) / spacing
            own = int(np.ceil(place.max())) + 1 if place.max() > 0 else 2
            low = np.minimum(place.astype(int), own - 2)
            before[rows], part[rows] = count + low, place - low
            count += own
        row, both = np.arange(len(time)), (np.concatenate([1.0 - part, part]), np.concatenate([before, before + 1]))
        between = csr_array((both[0], (np.tile(row, 2), both[1])), shape=(len(time), count))
        return ActivationCourses(len(time), muscles, between, count)

    @property
    def spread(self) -> float:
        """Of a knot a priori."""
        return float(np.sqrt(1.5) * EFFORT)

    @property
    def none(self) -> Float[np.ndarray, "unknown muscle"]:
        return np.zeros((self.knots, self.muscles))

    def at_instants(self, unknown: Float[np.ndarray, "unknown muscle"]) -> Float[np.ndarray, "instant muscle"]:
        return self.between @ unknown

    @cached_property
    def _weights(self) -> tuple[csr_array, csr_array]:
        """Of every instant in the block of a knot, and in the one of a knot and the next (knot, instant)."""
        return csr_array(self.between.power(2).T), csr_array((self.between[:, :-1] * self.between[:, 1:]).T)

    def prior(self, unknown: Float[np.ndarray, "unknown muscle"]) -> Float[np.ndarray, "row"]:
        return unknown.reshape(-1) / self.spread

    def best(
        self,
        residual: Float[np.ndarray, "instant coordinate"],
        push: Float[np.ndarray, "instant coordinate muscle"],
        scale: Float[np.ndarray, "coordinate"],
        near: Float[np.ndarray, "unknown muscle"] | None = None,
    ) -> Float[np.ndarray, "unknown muscle"]:
        pull = np.einsum("tcd,tc->td", push, residual / scale**2)
        begin = None if near is None else near.reshape(-1) > 0
        found = non_negative(self._matrix(push, scale), self._onto_knots(pull[..., None])[:, 0], begin)
        return found.reshape(self.knots, self.muscles)

    def following(
        self,
        unknown: Float[np.ndarray, "unknown muscle"],
        push: Float[np.ndarray, "instant coordinate muscle"],
        slope: Float[np.ndarray, "instant coordinate free"],
        scale: Float[np.ndarray, "coordinate"],
    ) -> Following:
        pull = np.einsum("tcd,tcp->tdp", push, slope / scale[:, None] ** 2)
        moved = -_solved(self._matrix(push, scale), self._onto_knots(pull), unknown.reshape(-1) > 0)
        course = (self.between @ moved.reshape(self.knots, -1)).reshape(self.instants, self.muscles, -1)
        return Following(slope + np.einsum("tcd,tdp->tcp", push, course), moved / self.spread)

    def used(
        self,
        unknown: Float[np.ndarray, "unknown muscle"],
        push: Float[np.ndarray, "instant coordinate muscle"],
        scale: Float[np.ndarray, "coordinate"],
    ) -> Float[np.ndarray, "coordinate"]:
        free = (unknown > 0).astype(float)
        own, beside = self._blocks(push, scale)
        held = (1.0 - free)[:, :, None] * np.eye(self.muscles)
        both, next_to = free[:, :, None] * free[:, None], free[:-1, :, None] * free[1:, None]
        inverse, across = near_diagonal_of_inverse(own * both + held, beside * next_to)
        across = across + np.swapaxes(across, 1, 2)
        at_own, at_both = self._weights
        spread = at_own.T @ (inverse * both).reshape(len(own), -1) + at_both.T @ across.reshape(len(beside), -1)
        return np.einsum("tcd,tcd->c", push @ spread.reshape(-1, *own.shape[1:]), push) / scale**2

    def _onto_knots(self, pull: Float[np.ndarray, "instant muscle column"]) -> Float[np.ndarray, "unknown column"]:
        return (self.between.T @ pull.reshape(len(pull), -1)).reshape(-1, pull.shape[-1])

    def _blocks(
        self, push: Float[np.ndarray, "instant coordinate muscle"], scale: Float[np.ndarray, "coordinate"]
    ) -> tuple[Float[np.ndarray, "knot muscle muscle"], Float[np.ndarray, "knot_minus_1 muscle muscle"]]:
        """Of the unknowns' matrix: those of every knot, and those of every knot and the next."""
        d, weight = self.muscles, np.einsum("tcd,tce->tde", push, push / scale[:, None] ** 2)
        own, beside = ((w @ weight.reshape(-1, d * d)).reshape(-1, d, d) for w in self._weights)
        return own + np.eye(d) / self.spread**2, beside

    def _matrix(
        self, push: Float[np.ndarray, "instant coordinate muscle"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "band unknown"]:
        """Lower half of the banded matrix of the unknowns, a knot's muscles beside each other."""
        d, (own, beside) = self.muscles, self._blocks(push, scale)
        out = np.zeros((2 * d, self.knots * d))
        for i in range(d):
            for j in range(d):
                if i >= j:
                    out[i - j, j::d] = own[:, i, j]
                out[d + i - j, j:-d:d] = beside[:, j, i]
        return out


def courses_of(
    method: str, trial: Int[np.ndarray, "instant"], time: Float[np.ndarray, "instant"], muscles: int
) -> Courses:
    """Courses of the method of that name: "projected" forces, or activations that cost "effort"."""
    return ForceCourses(len(time), muscles) if method == "projected" else ActivationCourses.over(trial, time, muscles)


def near_diagonal_of_inverse(
    own: Float[np.ndarray, "block n n"], beside: Float[np.ndarray, "block_minus_1 n n"]
) -> tuple[Float[np.ndarray, "block n n"], Float[np.ndarray, "block_minus_1 n n"]]:
    """Blocks of H⁻¹ on its diagonal and above it, of a symmetric positive definite H that has no others (Takahashi,
    Fagan, Chin 1973, Proc. 8th PICA Conference, 63–69).

    **Arguments:** `own`: blocks on the diagonal of H. `beside`: those above it.
    """
    inverse, ahead = np.empty_like(own), np.empty_like(beside)
    inverse[0] = np.linalg.inv(own[0])
    for k, block in enumerate(beside):  # of what earlier blocks leave of each
        ahead[k] = inverse[k] @ block
        inverse[k + 1] = np.linalg.inv(own[k + 1] - block.T @ ahead[k])
    for k in range(len(beside) - 1, -1, -1):
        across = -ahead[k] @ inverse[k + 1]
        inverse[k] -= across @ ahead[k].T
        ahead[k] = across
    return inverse, ahead


def non_negative(
    matrix: Float[np.ndarray, "band unknown"],
    gradient: Float[np.ndarray, "unknown"],
    begin: Bool[np.ndarray, "unknown"] | None = None,
) -> Float[np.ndarray, "unknown"]:
    """argmin ½ xᵀHx + gᵀx over x ≥ 0 by block pivoting (Portugal, Júdice, Vicente 1994, doi
    10.1090/S0025-5718-1994-1250776-4).

    **Arguments:** `matrix`: lower half of H, banded. `begin`: which x may be above zero: no more than a guess.
    """
    free = gradient < 0 if begin is None else begin
    fewest, patience = len(gradient) + 1, PATIENCE
    x = np.zeros_like(gradient)
    for _ in range(PIVOTS):
        x = -_solved(matrix, gradient[:, None], free)[:, 0]
        slope = _times(matrix, x) + gradient
        tolerance = 1e-9 * max(float(np.abs(gradient).max(initial=0.0)), 1e-300)
        wrong = (free & (x < -1e-12)) | (~free & (slope < -tolerance))
        count = int(wrong.sum())
        if not count:
            break
        patience = PATIENCE if count < fewest else patience - 1
        fewest = min(fewest, count)
        free = free ^ wrong if patience >= 0 else free ^ (np.arange(len(x)) == np.flatnonzero(wrong)[-1])
    return np.maximum(x, 0.0)


def _solved(
    matrix: Float[np.ndarray, "band unknown"],
    right: Float[np.ndarray, "unknown column"],
    free: Bool[np.ndarray, "unknown"],
) -> Float[np.ndarray, "unknown column"]:
    """H⁻¹ of the free unknowns; the others are zero."""
    own = matrix.copy()
    for k in range(1, len(own)):
        own[k, : len(free) - k] *= free[:-k] & free[k:]
        own[k, len(free) - k :] = 0.0
    own[0] = np.where(free, own[0], 1.0)
    return solveh_banded(own, right * free[:, None], lower=True)


def _times(matrix: Float[np.ndarray, "band unknown"], x: Float[np.ndarray, "unknown"]) -> Float[np.ndarray, "unknown"]:
    out = matrix[0] * x
    for k in range(1, len(matrix)):
        out[k:] += matrix[k, :-k] * x[:-k]
        out[:-k] += matrix[k, :-k] * x[k:]
    return out
