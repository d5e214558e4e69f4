"""Multiple shooting about a point: gaps closed, the states of the intervals condensed and eliminated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.estimation.residuals.term import AbstractExpansion, Quadratic


@dataclass(frozen=True, eq=False)
class MotionExpansion(AbstractExpansion):
    """Intervals linearised about their states and z."""

    window: Int[np.ndarray, "interval"]
    """Which window an interval belongs to; a window's intervals follow each other."""
    states: Float[np.ndarray, "interval unknown"]
    """And, where the EMG has errors, the knots at the start and at the end."""
    squares: Float[np.ndarray, "interval coordinate local columns"]
    """Σ (∂r/∂local)ᵀ row with rows (∂r/∂local, ∂r/∂z, r). Local to an interval are its state and, where the EMG has
    errors, that of activation, and the knots at the start and at the end."""
    by_window: Float[np.ndarray, "window coordinate free_plus_1 free_plus_1"]
    """Σ rowᵀ row with rows (∂r/∂z, r), which nothing local changes."""
    transition: Float[np.ndarray, "interval carried columns_minus_1"]
    """Derivative of what the next interval takes over (all that is local but the knot at the end) with respect to
    (local, z)."""
    end: Float[np.ndarray, "interval two_free"]
    latest: dict[bytes, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)
    """By the weights asked for last: changes of what is local as functions of a change of z, and the triangular
    factors they come from."""

    @property
    def about(self) -> Float[np.ndarray, "interval unknown"]:
        return self.states

    @cached_property
    def place(self) -> Int[np.ndarray, "interval"]:
        """Place of an interval in its window."""
        return place_in_window(self.window)

    @cached_property
    def gap(self) -> Float[np.ndarray, "interval two_free"]:
        """Where an interval of the window ends minus where the next one starts; 0 for the last."""
        out = np.zeros_like(self.end)
        inner = np.flatnonzero(self.place > 0) - 1
        out[inner] = self.end[inner] - self.states[inner + 1, : out.shape[1]]
        return out

    @property
    def _knots(self) -> int:
        """At an interval's end."""
        return (self.states.shape[1] - self.end.shape[1]) // 2

    @property
    def defect(self) -> float:
        """Sum of squared gaps."""
        with np.errstate(all="ignore"):
            return float(np.sum(self.gap**2))

    @property
    def finite(self) -> bool:
        """Whether every interval could be simulated and linearised."""
        return all(bool(np.isfinite(x).all()) for x in (self.squares, self.by_window, self.transition))

    def responses(self, scale: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "interval local columns"]:
        """Changes of what is local, at its best and with the gaps closed, in terms of (δz, 1)."""
        return self._solved(scale)[0]

    def _solved(self, scale: Float[np.ndarray, "coordinate"]) -> tuple[np.ndarray, np.ndarray]:
        """`responses`, and for every interval a triangle over (knot at the end, carried) beside its (δz, 1).

        What the data from an interval to its window's end say of the interval's state is carried backwards as the rows
        of a triangular factor (a square-root information filter, Bierman 1977, ISBN 0-12-097350-2): squares of products
        of transitions, which grow without bound where a motion is unstable, are never formed.
        """
        key = np.asarray(scale, dtype=float).tobytes()
        if key not in self.latest:
            try:
                solved = self._solve(np.asarray(scale, dtype=float))
            except np.linalg.LinAlgError:  # states that ran away: the expansion is worth nothing, the search goes on
                n = self.transition.shape[1] + self._knots
                rows = np.full((len(self.states), n, self.squares.shape[-1]), np.nan)
                solved = rows[..., n:], rows
            self.latest.clear()
            self.latest[key] = solved
        return self.latest[key]

    def _solve(self, scale: Float[np.ndarray, "coordinate"]) -> tuple[np.ndarray, np.ndarray]:
        place, knots, carried, width = self.place, self._knots, self.transition.shape[1], self.squares.shape[-1]
        n, follows = carried + knots, np.flatnonzero(place > 0)  # those that have one before them in their window
        gap = np.pad(self.gap, ((0, 0), (0, carried - self.gap.shape[1])))
        step = np.concatenate([self.transition, gap[..., None]], -1)
        weighted = np.einsum("icnq,c->inq", self.squares, np.square(1.0 / scale))
        if knots:
            self._add_priors(weighted)
        order = np.r_[carried:n, :carried, n:width]
        ahead_of = step[..., order]
        weighted = weighted[:, order[:n, None], order]
        normal = weighted[..., :n]
        size = np.trace(normal, axis1=1, axis2=2)[:, None, None]
        lower = np.linalg.cholesky(normal + (1e-14 * size + 1e-200) * np.eye(n))
        rows = np.linalg.solve(lower, weighted)
        rows[..., :n] = np.swapaxes(lower, 1, 2)
        for k in range(int(place.max()), 0, -1):
            later = follows[place[follows] == k]
            ahead = rows[later, knots:, knots:n] @ ahead_of[later - 1]
            ahead[..., n:] += rows[later, knots:, n:]
            stacked = np.concatenate([rows[later - 1], ahead], 1)
            rotation = np.linalg.qr(stacked[..., :n])[0]
            rows[later - 1] = np.swapaxes(rotation, 1, 2) @ stacked
        out = np.zeros((len(self.states), n, width - n))
        for k in range(int(place.max()) + 1):
            now = np.flatnonzero(place == k)
            if k:
                out[now, :carried] = step[now - 1, :, :n] @ out[now - 1] + step[now - 1, :, n:]
            else:
                out[now, :carried] = -np.linalg.solve(rows[now, knots:, knots:n], rows[now, knots:, n:])
            if knots:
                right = rows[now, :knots, knots:n] @ out[now, :carried] + rows[now, :knots, n:]
                out[now, carried:] = -np.linalg.solve(rows[now, :knots, :knots], right)
        return out, rows

    def _add_priors(self, weighted: Float[np.ndarray, "interval local columns"]) -> None:
        """Every knot is standard normal, and an opening interval takes over no change of activation."""
        knots, carried, opening = self._knots, self.transition.shape[1], self.place == 0
        inner = np.arange(self.end.shape[1], carried)
        weighted[np.ix_(opening, inner, inner)] += np.eye(len(inner))
        weighted[:, carried : carried + knots, carried : carried + knots] += np.eye(knots)
        weighted[:, carried : carried + knots, -1] += self.states[:, -knots:]
        weighted[opening, carried - knots : carried, -1] += self.states[opening, -2 * knots : -knots]

    def _knot_squares(self, response: np.ndarray, rows: slice) -> Float[np.ndarray, "columns columns"]:
        """Sum of squared knots of some intervals in terms of (δz, 1)."""
        knots, n, opening = self._knots, response.shape[1], self.place[rows] == 0
        value = response[rows, n - 2 * knots :].copy()
        value[..., -1] += self.states[rows, self.end.shape[1] :]
        each = np.concatenate([value[:, knots:].reshape(-1, value.shape[-1]), *value[opening, :knots]])
        return each.T @ each

    def absorbed(self, scale: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "coordinate"]:
        knots, carried = self._knots, self.transition.shape[1]
        if not knots or not self.finite:
            return np.zeros(len(scale))
        rows, place, n = self._solved(scale)[1], self.place, carried + knots
        root = np.zeros((len(place), n, n))  # factors of what is local's covariance: its squares lose what is small
        for k in range(int(place.max()) + 1):
            now = np.flatnonzero(place == k)
            if k:
                ahead = self.transition[now - 1, :, :n] @ root[now - 1]
                start = np.swapaxes(np.linalg.qr(np.swapaxes(ahead, 1, 2))[1], 1, 2)
            else:
                start = np.linalg.inv(rows[now, knots:, knots:n])
            end = np.linalg.inv(rows[now, :knots, :knots])
            root[now, :carried, :carried] = start
            root[now, carried:, :carried] = -end @ (rows[now, :knots, knots:n] @ start)
            root[now, carried:, carried:] = end
        squares = self.squares[..., :n] @ root[:, None]
        return np.einsum("icnm,inm->c", squares, root) / np.square(scale) - 2 * len(self.by_window)

    def _sums(
        self, response: np.ndarray, rows: slice, windows: slice
    ) -> Float[np.ndarray, "coordinate columns columns"]:
        """Squares of some windows, which these intervals make up, in terms of (δz, 1), what is local following."""
        n, response, squares = response.shape[1], response[rows], self.squares[rows]
        state, cross = squares[..., :n], squares[..., n:]
        half = _paired(response, np.swapaxes(state @ response[:, None] + cross, 0, 1))
        return (
            half + np.swapaxes(_paired(response, np.swapaxes(cross, 0, 1)), 1, 2) + self.by_window[windows].sum(axis=0)
        )

    def reduce(self, scale: Float[np.ndarray, "coordinate"]) -> Quadratic:
        if not self.finite:
            coordinates, free = self.squares.shape[1], self.by_window.shape[-1] - 1
            nothing = np.zeros((coordinates, free, free))
            return Quadratic(np.full(coordinates, np.inf), nothing[0, :1].repeat(coordinates, 0), nothing)
        with np.errstate(all="ignore"):
            response = self.responses(scale)
            sums = self._sums(response, slice(None), slice(None))
            knots = _quadratic(self._knot_squares(response, slice(None))[None]) if self._knots else None
        return replace(_quadratic(sums), nuisance=knots)

    def information(self, scale: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "window free free"]:
        """What every window alone tells of z, its initial state unknown, for noise of these scales."""
        response, ends = self.responses(scale), np.searchsorted(self.window, np.arange(len(self.by_window) + 1))
        parts = [slice(a, b) for a, b in pairwise(ends)]
        sums = np.array([self._sums(response, p, slice(w, w + 1))[:, :-1, :-1] for w, p in enumerate(parts)])
        data = np.einsum("wcij,c->wij", sums, np.square(1.0 / np.asarray(scale)))
        return data + np.array([self._knot_squares(response, p)[:-1, :-1] for p in parts]) if self._knots else data

    def follow(self, change: Float[np.ndarray, "free"]) -> Float[np.ndarray, "interval two_free"]:
        if not self.latest:
            return self.states
        ((response, _),) = self.latest.values()
        local = np.r_[: self.end.shape[1], response.shape[1] - 2 * self._knots : response.shape[1]]
        return self.states + response[:, local, :-1] @ change + response[:, local, -1]


def _paired(
    left: Float[np.ndarray, "interval state columns"], right: Float[np.ndarray, "coordinate interval state columns"]
) -> Float[np.ndarray, "coordinate columns columns"]:
    """Σ leftᵀ right as one matrix product a coordinate."""
    flat = left.reshape(-1, left.shape[-1]).T
    return np.stack([flat @ r.reshape(-1, r.shape[-1]) for r in right])


def _quadratic(sums: Float[np.ndarray, "coordinate columns columns"]) -> Quadratic:
    return Quadratic(np.maximum(sums[:, -1, -1], 0.0), sums[:, :-1, -1], sums[:, :-1, :-1])


def place_in_window(window: Int[np.ndarray, "interval"]) -> Int[np.ndarray, "interval"]:
    """How many intervals of its window come before each."""
    return np.arange(len(window)) - np.searchsorted(window, window)
