"""How far the residuals of a term repeat each other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.autocorrelation import autocorrelation_time
from mjx_msm.estimation.residuals.term import AbstractTerm


def autocorrelation_times(
    term: AbstractTerm, residual: Float[np.ndarray, "sample coordinate"]
) -> Float[np.ndarray, "coordinate"]:
    """Samples per independent sample, per coordinate: the mean over trials of their autocorrelation times."""
    times, counts = times_by_trial(term, residual), np.zeros((len(term.envelope), residual.shape[1]))
    np.add.at(counts, term.trial, (term.weight > 0).astype(float))
    return np.where(counts.any(axis=0), (times * counts).sum(axis=0) / np.maximum(counts.sum(axis=0), 1.0), 1.0)


def times_by_trial(
    term: AbstractTerm, residual: Float[np.ndarray, "sample coordinate"]
) -> Float[np.ndarray, "trial coordinate"]:
    """Autocorrelation time of every trial; 1 of those without samples. Where trials differ in noise, the information of
    each counts as less by its own: the mean over their samples would be that of the noisy ones."""
    out = np.ones((len(term.envelope), residual.shape[1]))
    for i in np.unique(term.trial):
        for c in range(residual.shape[1]):
            rows = (term.trial == i) & (term.weight[:, c] > 0)
            out[i, c] = autocorrelation_time(residual[rows, c])
    return out
