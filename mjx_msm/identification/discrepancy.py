"""What an identified model leaves unexplained, as a smooth function of the state: its discrepancy.

recorded moment = model + δ(state) + noise, δ a Gaussian process over angles and their rates (Kennedy & O'Hagan 2001,
doi 10.1111/1467-9868.00294). Its mean corrects predictions in states like those it has learnt from, and fades to none
in others, where nothing but the model speaks. The parameters are estimated before and without it: it cannot bend them,
and what it explains is not physics. Something the model lacks that depends on the state, such as ligaments or a
tendon's stretch, shows as a correction that helps.
"""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

from mjx_msm.identification.inputs import Inputs
from mjx_msm.knowledge.records import WITH_DISCREPANCY as WITH_DISCREPANCY

LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Of correlation, to choose from [standard deviations of the state]."""
NOISE = (0.03, 0.3, 3.0, 30.0)
"""Variance of the noise over that of δ, to choose from; the last is nearly no correction."""
PARTS = 5
"""Contiguous parts of every trial that the choice predicts from the others."""
CHOSEN_BY = 500
LEARNT_FROM = 1500
"""Most instants: their matrix is dense."""


def correction(
    inputs: Inputs,
    left: Float[np.ndarray, "instant"],
    learnt: Bool[np.ndarray, "instant"],
    asked: Inputs,
) -> Float[np.ndarray, "asked"]:
    """Mean of δ at the instants of `asked` [N·m].

    Length and noise are those that best predict parts of what it learns from out of the rest.

    **Arguments:** `left`: recorded less modelled moment [N·m]; `learnt`: the instants it may learn from.
    """
    rows = np.flatnonzero(learnt)
    if len(rows) < 2:
        return np.zeros(len(asked.trial))
    state, scale = inputs.state(), inputs.state()[rows].std(axis=0)
    scale = np.where(scale > 1e-12, scale, np.inf)  # what never changed cannot tell states apart
    few = _thinned(rows, CHOSEN_BY)
    part = _parts(inputs.trial[few])
    error = {
        choice: sum(
            float(
                np.square(
                    _mean(state[few] / scale, left[few], part != p, part == p, *choice) - left[few][part == p]
                ).sum()
            )
            for p in np.unique(part)
        )
        for choice in itertools.product(LENGTHS, NOISE)
    }
    best = min(error, key=lambda choice: error[choice])
    many = _thinned(rows, LEARNT_FROM)
    both = np.concatenate([state[many], asked.state()]) / scale
    first = np.arange(len(both)) < len(many)
    return _mean(both, np.concatenate([left[many], np.zeros(len(both) - len(many))]), first, ~first, *best)


def _thinned(rows: Int[np.ndarray, "row"], most: int) -> Int[np.ndarray, "few"]:
    return rows[:: -(-len(rows) // most)]


def _parts(trial: Int[np.ndarray, "instant"]) -> Int[np.ndarray, "instant"]:
    out = np.empty(len(trial), dtype=int)
    for k, name in enumerate(np.unique(trial)):
        rows = np.flatnonzero(trial == name)
        out[rows] = (np.arange(len(rows)) * PARTS // len(rows) + k) % PARTS
    return out


def _mean(
    state: np.ndarray, left: np.ndarray, known: np.ndarray, asked: np.ndarray, length: float, noise: float
) -> np.ndarray:
    """Posterior mean with a squared exponential kernel."""
    here, there = state[known] / length, state[asked] / length
    matrix = np.exp(-0.5 * cdist(here, here, "sqeuclidean")) + noise * np.eye(len(here))
    return np.exp(-0.5 * cdist(there, here, "sqeuclidean")) @ cho_solve(cho_factor(matrix), left[known])
