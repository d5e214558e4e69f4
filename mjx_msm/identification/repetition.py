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
    out = np.ones(residual.shape[1])
    for c in range(residual.shape[1]):
        rows = [(term.trial == i) & (term.weight[:, c] > 0) for i in np.unique(term.trial)]
        times = [(autocorrelation_time(residual[r, c]), r.sum()) for r in rows if r.any()]
        out[c] = sum(t * n for t, n in times) / sum(n for _, n in times) if times else 1.0
    return out
