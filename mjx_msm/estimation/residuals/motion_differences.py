"""How a motion changes with anything at all, by differences of its intervals side by side.

`MotionTerm.expand` has closed forms for the parameters of its space, and is compiled for them. What else moves a
motion, fifty parameters that were not estimated, would take longer to compile than the estimate took. Intervals from
states that stay where they are can be simulated for any person by what is compiled already; how the states then follow,
so that intervals meet and their window starts where it fits best, is linear: multiple shooting with these differences
for columns (see `mjx_msm.estimation.residuals.motion_expansion`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.residuals.motion import MotionTerm
from mjx_msm.estimation.residuals.motion_expansion import MotionExpansion

STEP = 1e-5
"""Difference of a state [rad, rad/s]."""
SETTLED = 1e-7
"""Change of a state that is none [rad, rad/s]: slopes are no better than the differences they come from."""
CLOSING = 4
"""Most Gauss–Newton steps for the states: from those of a converged estimate one or two are enough."""


@dataclass(frozen=True)
class _Intervals:
    """Of a motion, each from a state of its own."""

    residual: Float[np.ndarray, "interval step_plus_1 free"]
    end: Float[np.ndarray, "interval two_free"]

    def over(self, other: _Intervals, step: float) -> _Intervals:
        """Difference quotient from another one."""
        return _Intervals((self.residual - other.residual) / step, (self.end - other.end) / step)


def motion_slopes(
    term: MotionTerm,
    z: Float[np.ndarray, "free"],
    scale: Float[np.ndarray, "coordinate"],
    states: Float[np.ndarray, "interval two_free"] | None,
    others: Iterable[tuple[MotionTerm, Float[np.ndarray, "free"], float]],
) -> tuple[Float[np.ndarray, "interval step_plus_1 free"], Float[np.ndarray, "interval step_plus_1 free other"]]:
    """Residuals of windows simulated without a break from their best initial states, and their difference quotients.

    Beside a model so wrong that states do not settle, residuals bend too much for them to follow in a line: there every
    person is simulated without a break, which takes ten times as long.

    **Arguments:** `term`: with exact EMG. `states`: at the start of every interval, near those of the unbroken motion;
    by default the recorded ones. `others`: the term and z of another person each, and how far away that is.

    **Returns:** NaN where a motion does not stay finite.
    """
    near = term.first_guess() if states is None else states
    with np.errstate(all="ignore"):
        for _ in range(CLOSING):
            here = _intervals(term, z, near)
            by_state = _by_state(term, z, near, here)
            change = _following(term, scale, near, here, by_state, [])[..., -1]
            if np.abs(change).max() < SETTLED:
                break
            near = near + change
        else:
            about = term.simulate(z, scale, states)[0]
            there = [(other.simulate(x, scale, states)[0] - about) / step for other, x, step in others]
            return about, np.stack(there, -1)
        moved = [_intervals(other, x, near).over(here, step) for other, x, step in others]
        response = _following(term, scale, near, here, by_state, moved)[..., :-1]
        direct, through = (np.stack([d.residual for d in ds], -1) for ds in (moved, by_state))
    return here.residual, direct + through @ response[:, None]


def _intervals(term: MotionTerm, z: np.ndarray, states: np.ndarray) -> _Intervals:
    position, velocity = (x[..., term.model.host.free_index] for x in term.intervals(z, states))
    end = np.concatenate([position[:, -1], velocity[:, -1]], 1)
    return _Intervals((position - term.target) * term.mask, end)


def _by_state(term: MotionTerm, z: np.ndarray, states: np.ndarray, here: _Intervals) -> list[_Intervals]:
    """By the state at an interval's own start, all intervals at once."""
    return [_intervals(term, z, states + STEP * one).over(here, STEP) for one in np.eye(states.shape[1])]


def _following(
    term: MotionTerm,
    scale: np.ndarray,
    states: np.ndarray,
    here: _Intervals,
    by_state: list[_Intervals],
    moved: list[_Intervals],
) -> Float[np.ndarray, "interval two_free other_plus_1"]:
    """Changes of the states by what moved, and what closes the gaps that are there."""
    columns = np.stack([d.residual for d in [*by_state, *moved]] + [here.residual], -1)
    squares = np.einsum("iscn,iscq->icnq", columns[..., : len(by_state)], columns)
    transition = np.stack([d.end for d in [*by_state, *moved]], -1)
    width = len(moved) + 1
    nothing = np.zeros((term.windows, squares.shape[1], width, width))
    return MotionExpansion(term.window, states, squares, nothing, transition, here.end).responses(scale)
