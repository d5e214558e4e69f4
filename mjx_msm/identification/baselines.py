"""Predictions of joint moments without a model of a person: what a model has to beat to be worth its physics.

Each learns from the moments an identification learns from, and reads what the model reads.

- *ridge*: linear in the envelopes, the angles, and their products with the free coordinate's own angle; the penalty and
  the envelopes' delay are chosen by predicting parts of what it learns from: whole trials if there are several, else
  fifths of the one (Hastie, Tibshirani & Friedman 2009, doi 10.1007/978-0-387-84858-7, sections 3.4.1 and 7.10).
- *kernel ridge*: a smooth function of angles and rates about the mean moment, without the envelopes: what learns the
  discrepancy (`mjx_msm.identification.discrepancy`), but of all of the moment.
- *mean cycle*: the mean curve over the cycles of the same task, or of all if it is new or none is said; only where
  every trial repeats itself, see `mjx_msm.recordings.cycles`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from mjx_msm.identification.discrepancy import correction
from mjx_msm.identification.inputs import DELAYS, Inputs

RIDGE, KERNEL_RIDGE, MEAN_CYCLE = "ridge", "kernel ridge", "mean cycle"
PENALTIES = tuple(10.0 ** np.arange(-5, 2))
"""To choose from, per sample, with features of unit variance."""
PARTS = 5
"""Of a trial that is the only one to learn from."""
BINS = 50
"""Of a cycle."""


def predictions(
    inputs: Inputs,
    moment: Float[np.ndarray, "instant"],
    learnt: Bool[np.ndarray, "instant"],
    coordinate: int,
    asked: Inputs,
) -> Mapping[str, Float[np.ndarray, "asked"]]:
    """Predicted moments at the instants of `asked` [N·m], by baseline; only those that apply.

    **Arguments:** `learnt`: the instants whose moment they may learn from; `coordinate`: index of the moment's own.
    """
    out: dict[str, np.ndarray] = {}
    if learnt.sum() > 1:
        out[RIDGE] = _ridge_prediction(inputs, moment, learnt, coordinate, asked)
        mean = moment[learnt].mean()
        out[KERNEL_RIDGE] = mean + correction(inputs, moment - mean, learnt, asked)
    if inputs.phase is not None and asked.phase is not None and learnt.any():
        known, wanted, guess = inputs.task(), asked.task(), np.zeros(len(asked.trial))
        for task in np.unique(wanted):
            own = learnt & (known == task) & bool(task)
            rows, ask = own if own.any() else learnt, wanted == task
            guess[ask] = _mean_cycle(inputs.phase[rows], moment[rows], asked.phase[ask])
        out[MEAN_CYCLE] = guess
    return out


def _ridge_prediction(
    inputs: Inputs, moment: np.ndarray, learnt: np.ndarray, coordinate: int, asked: Inputs
) -> np.ndarray:
    rows = np.flatnonzero(learnt)
    parts = list(_parts(inputs.trial[rows]))
    error = {}
    for delay in range(len(DELAYS)):
        features = inputs.features(delay, coordinate)[rows]
        missed = np.zeros(len(PENALTIES))
        for part in parts:
            guess = _ridge(features[~part], moment[rows][~part], features[part], PENALTIES)
            missed += ((guess - moment[rows][part]) ** 2).sum(axis=1)
        error |= {(delay, p): m for p, m in zip(PENALTIES, missed, strict=True)}
    delay, penalty = min(error, key=lambda choice: error[choice])
    learn, ask = inputs.features(delay, coordinate)[rows], asked.features(delay, coordinate)
    return _ridge(learn, moment[rows], ask, [penalty])[0]


def _parts(trial: Int[np.ndarray, "instant"]) -> Iterator[Bool[np.ndarray, "instant"]]:
    """Whole trials, or contiguous parts of the only one."""
    names = np.unique(trial)
    label = trial if len(names) > 1 else np.arange(len(trial)) * PARTS // len(trial)
    return (label == name for name in np.unique(label))


def _ridge(
    features: np.ndarray, target: np.ndarray, asked: np.ndarray, penalties: Sequence[float]
) -> Float[np.ndarray, "penalty asked"]:
    """Ridge regression on standardised features, for several penalties from one decomposition."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-12, spread, np.inf)  # what does not vary tells nothing
    u, s, vt = np.linalg.svd((features - mean) / spread, full_matrices=False)
    offset = target.mean()
    along = u.T @ (target - offset)
    weights = [vt.T @ (s / (s**2 + p * len(target)) * along) for p in penalties]
    return offset + ((asked - mean) / spread @ np.array(weights).T).T


def _mean_cycle(phase: np.ndarray, moment: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Mean over equal parts of the cycle, linear between their middles."""
    which = np.minimum((phase * BINS).astype(int), BINS - 1)
    count = np.bincount(which, minlength=BINS)
    filled = count > 0
    mean = np.bincount(which, weights=moment, minlength=BINS)[filled] / count[filled]
    return np.interp(asked, (np.flatnonzero(filled) + 0.5) / BINS, mean, period=1.0)


def errors(
    predicted: Mapping[str, np.ndarray], recorded: np.ndarray, rows: Bool[np.ndarray, "instant"]
) -> dict[str, float]:
    """Root mean square error of every baseline over some instants."""
    return {name: float(np.sqrt(np.mean((p - recorded)[rows] ** 2))) for name, p in predicted.items()}
