"""What an identified model leaves unexplained, as a smooth function of the state: its discrepancy.

recorded moment = model + δ(state) + noise, δ a Gaussian process over angles and their rates (Kennedy & O'Hagan 2001,
doi 10.1111/1467-9868.00294). Its mean corrects predictions in states like those it has learnt from, and fades to none
in others, where nothing but the model speaks. The parameters are estimated before and without it: it cannot bend them,
and what it explains is not physics. Something the model lacks that depends on the state, such as ligaments or a
tendon's stretch, shows as a correction that helps.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import cho_factor, cho_solve, get_lapack_funcs
from scipy.spatial.distance import cdist

from mjx_msm.identification.inputs import Inputs
from mjx_msm.knowledge.records import WITH_DISCREPANCY as WITH_DISCREPANCY

LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Of correlation, to choose from [standard deviations of the state]."""
NOISE = (0.03, 0.3, 3.0, 30.0)
"""Variance of the noise over that of δ, to choose from; the last is nearly no correction."""
PARTS = 5
"""Contiguous parts of every trial, each of which is predicted from the others."""
CHOSEN_BY = 500
LEARNT_FROM = 1500
"""Most instants: their matrix is dense."""


def correction(
    inputs: Inputs,
    left: Float[np.ndarray, "instant"],
    learnt: Bool[np.ndarray, "instant"],
    asked: Inputs,
) -> Float[np.ndarray, "asked"]:
    """Mean of δ at the instants of `asked` [N·m]; 0 where no correction is the best choice.

    Length and noise are those that best predict what is held out of what it learns from, and what is held out is like
    what is asked: parts of every trial for a trial or task that is known, whole trials for one that is not. What does
    not help in every trial is not used.

    **Arguments:** `left`: recorded less modelled moment [N·m]; `learnt`: the instants it may learn from.
    """
    out, rows = np.zeros(len(asked.trial)), np.flatnonzero(learnt)
    if len(rows) < 2:
        return out
    state, scale = inputs.state(), inputs.state()[rows].std(axis=0)
    scale = np.where(scale > 1e-12, scale, np.inf)  # what never changed cannot tell states apart
    few, many = _thinned(rows, CHOSEN_BY), _thinned(rows, LEARNT_FROM)
    trial = inputs.trial[few]
    known = _known(inputs, asked) | (len(np.unique(trial)) < 2)
    for which, part in ((known, _parts(trial)), (~known, trial)):
        best = _choice(state[few] / scale, left[few], trial, part) if which.any() else None
        if best is not None:
            both = np.concatenate([state[many], asked.state()[which]]) / scale
            first = np.arange(len(both)) < len(many)
            padded = np.concatenate([left[many], np.zeros(len(both) - len(many))])
            out[which] = _mean(both, padded, first, ~first, *best)
    return out


def _known(inputs: Inputs, asked: Inputs) -> Bool[np.ndarray, "asked"]:
    """Whether it learns from other parts of the same trial, or from other trials of the same task."""
    if asked is inputs:
        return np.ones(len(asked.trial), bool)
    return np.array([bool(task) and task in inputs.tasks for task in asked.tasks], bool)[asked.trial]


def _choice(
    state: Float[np.ndarray, "instant state"],
    left: Float[np.ndarray, "instant"],
    trial: Int[np.ndarray, "instant"],
    part: Int[np.ndarray, "instant"],
) -> tuple[float, float] | None:
    """Length and noise; None: no correction."""
    names, best, least = np.unique(trial), None, float(np.square(left).sum())
    square = cdist(state, state, "sqeuclidean")
    for length in LENGTHS:
        kernel = np.exp(-0.5 * square / length**2)
        for noise in NOISE:
            error = _held_out(kernel, noise, left, part)
            helps = all(np.square(error[trial == n]).sum() < np.square(left[trial == n]).sum() for n in names)
            total = float(np.square(error).sum())
            if helps and total < least:
                best, least = (length, noise), total
    return best


def _held_out(
    kernel: Float[np.ndarray, "instant instant"],
    noise: float,
    left: Float[np.ndarray, "instant"],
    part: Int[np.ndarray, "instant"],
) -> Float[np.ndarray, "instant"]:
    """Recorded less predicted of every part from all others, without solving for each of them.

    With C = (K + noise·1)⁻¹ the part B is missed by C_BB⁻¹ (C y)_B (Rasmussen & Williams 2006, Gaussian Processes for
    Machine Learning, ISBN 026218253X, section 5.4.2, for more than one at a time).
    """
    (invert,) = get_lapack_funcs(("potri",), (kernel,))  # half the work of solving for all columns
    half, _ = invert(cho_factor(kernel + noise * np.eye(len(kernel)), lower=True)[0], lower=True)
    inverse = np.tril(half) + np.tril(half, -1).T
    pull, error = inverse @ left, np.empty(len(left))
    for p in np.unique(part):
        rows = np.flatnonzero(part == p)
        error[rows] = cho_solve(cho_factor(inverse[np.ix_(rows, rows)]), pull[rows])
    return error


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
