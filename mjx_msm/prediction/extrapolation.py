"""What EMG and everything outside the muscles do beyond now: by a named rule.

- *hold*: envelopes stay as they are, what acts on the joints from outside fades.
- *decay*: envelopes go back to their running mean within a tenth of a second.
- *trend*: envelopes go on as they went over the last `TREND`, ever less: what is h ahead has changed by the rate times
  T (1 − exp(−h/T)), T a tenth of a second (a damped trend, Gardner & McKenzie 1985, doi 10.1287/mnsc.31.10.1237).
- *learned*: ridge regressions from recorded trials, one for every step ahead, from envelopes now and a little earlier,
  angles and their rates, to envelopes, to the outer moment of the free coordinates (what the equations of motion leave
  when the person's muscles are taken away: ground, contact, model error) and to the acceleration of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

NAMES = ("hold", "decay", "trend", "learned")
EARLIER = (0.0, 0.02, 0.05, 0.1)
"""How long ago the envelopes are that a learned rule reads [s]."""
FADE = 0.1
"""Time constant of what fades [s]."""
TREND = 0.04
"""Over which the rate of an envelope is taken [s]."""
PENALTY = 1e-3
"""Of the ridge, per sample, with features of unit variance."""


class Learned(NamedTuple):
    """Weights of the features, the last of which is 1."""

    envelope: Float[np.ndarray, "step channel feature"]
    outer: Float[np.ndarray, "step coordinate feature"]
    """Outer moments of free coordinates [N·m], accelerations of the others [rad/s²]."""


class Course(NamedTuple):
    """A recorded trial on an even clock."""

    timestep: float
    """[s]."""
    envelope: Float[np.ndarray, "time channel"]
    position: Float[np.ndarray, "time coordinate"]
    velocity: Float[np.ndarray, "time coordinate"]
    outer: Float[np.ndarray, "time coordinate"]


def features(course: Course) -> Float[np.ndarray, "time feature"]:
    """Envelopes now and before, angles, rates, 1: what the live predictor reads, in its order.

    Where that takes envelopes, both are the same. Where it filters raw EMG, its envelopes are late by the filter's lag
    (some 70 ms), while those of a recorded trial are zero-phase: a rule is then fitted on envelopes earlier than it
    will read, and its forecasts are the worse for it.
    """
    count = len(course.envelope)
    at = np.arange(count)
    parts = [course.envelope[np.maximum(at - round(ago / course.timestep), 0)] for ago in EARLIER]
    return np.concatenate([*parts, course.position, course.velocity, np.ones((count, 1))], axis=1)


def learned(
    courses: Sequence[Course],
    lead: Float[np.ndarray, "step channel"],
    ahead: Float[np.ndarray, "step"],
) -> Learned:
    """Fit every step's weights.

    **Arguments:** `lead`: how far beyond now an envelope is needed, its electromechanical delay taken off [s]; `ahead`:
    how far the step is [s].
    """
    every = [features(c) for c in courses]
    x = np.concatenate(every)
    spread = x[:, :-1].std(axis=0)

    def weights(targets: list[np.ndarray], leads: float) -> np.ndarray:
        rows = []
        for c, own, target in zip(courses, every, targets, strict=True):
            later = round(leads / c.timestep)
            rows.append((own[: len(own) - later, :-1], target[later:]))
        known, wanted = (np.concatenate(part) for part in zip(*rows, strict=True))
        slope, offset = ridge(known, wanted, PENALTY, spread)
        return np.concatenate([slope, offset[None]]).T

    channels = lead.shape[1]
    envelope = np.empty((len(ahead), channels, x.shape[1]))
    for c in range(channels):
        for j, s in enumerate(lead[:, c]):
            envelope[j, c] = weights([k.envelope[:, c : c + 1] for k in courses], s)[0]
    outer = np.stack([weights([k.outer for k in courses], s) for s in ahead])
    return Learned(envelope, outer)


def ridge(
    x: Float[np.ndarray, "sample feature"],
    y: Float[np.ndarray, "sample target"],
    penalty: float,
    spread: Float[np.ndarray, "feature"],
) -> tuple[Float[np.ndarray, "feature target"], Float[np.ndarray, "target"]]:
    """Weights and offsets of ridge regressions that share their features; offsets are not penalised.

    **Arguments:** `penalty`: per sample, of features in units of `spread`; one that does not vary has no weight.
    """
    spread = np.where(spread > 1e-9, spread, np.inf)
    mean = x.mean(axis=0)
    z = (x - mean) / spread
    inside = z.T @ z + penalty * len(z) * np.eye(z.shape[1])
    weights = np.linalg.solve(inside, z.T @ (y - y.mean(axis=0))) / spread[:, None]
    return weights, y.mean(axis=0) - mean @ weights
