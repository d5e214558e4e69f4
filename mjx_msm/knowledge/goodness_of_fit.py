"""Tests of fit in words: what the residuals of one trial say against the model.

Residuals of a right model are white and go with nothing. A test that finds nothing does not make the model right: what
errs alike in all that was recorded cannot be seen in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.autocorrelation import autocorrelation_time
from mjx_msm.knowledge.records import Fit

WHITE = 2.0
"""Samples per independent sample up to which residuals count as white."""
SIGNIFICANT = 3.0
"""Standard deviations beyond chance."""
SHARE = 0.05
"""Least part of the residuals' power that is worth words."""
MOST = 3


def fit_tests(
    residual: Float[np.ndarray, "sample"],
    interval: float,
    beside: Mapping[str, Float[np.ndarray, "sample"]],
) -> tuple[str, ...]:
    """What speaks against the model, in words; empty if nothing does.

    **Arguments:** `interval`: between samples [s]. `beside`: by name, what the residuals should have nothing to do
    with: angles, speeds, envelopes.

    A residual goes with a signal where a parabola in it explains more than chance would, chance being that of as many
    samples as are independent.
    """
    out, time = [], autocorrelation_time(residual - residual.mean())
    count = len(residual)
    if time > WHITE:
        out.append(
            f"not noise: they repeat themselves over {time * interval:.2g} s, {count} count as {count / time:.0f}"
        )
    shares = {name: _explained(residual, signal) for name, signal in beside.items()}
    chance = (2.0 + SIGNIFICANT * 2.0) * time / count  # mean and standard deviations of χ² with two degrees
    found = sorted((s, name) for name, s in shares.items() if s > max(SHARE, chance))[::-1]
    out += [f"{100 * share:.0f} % of their power goes with {name}" for share, name in found[:MOST]]
    return tuple(out)


_COUNTED = re.compile(r"(\d+) count as (\d+)")
"""As `fit_tests` says it; a result keeps the words."""


def repeats_itself(fit: Fit) -> bool:
    """Whether what is left of a trial is no noise: one sample goes with the next."""
    return any(_COUNTED.search(said) for said in fit.against)


def independent_samples(fits: Sequence[Fit]) -> tuple[int, int] | None:
    """How many samples a result was made from, and as how many they count; None where not all repeat themselves."""
    rows = [f for f in fits if f.role == "identify" and f.kind != "acceleration"]
    found = [m for f in rows for said in f.against if (m := _COUNTED.search(said))]
    return (sum(int(m[1]) for m in found), sum(int(m[2]) for m in found)) if 0 < len(rows) == len(found) else None


def _explained(residual: Float[np.ndarray, "sample"], signal: Float[np.ndarray, "sample"]) -> float:
    """R² of the best parabola."""
    spread = float(np.std(signal))
    if len(residual) < 8 or spread < 1e-12 or float(np.std(residual)) == 0.0:
        return 0.0
    x = (signal - signal.mean()) / spread
    basis = np.stack([np.ones_like(x), x, x * x], -1)
    left = residual - basis @ np.linalg.lstsq(basis, residual, rcond=None)[0]
    return float(1.0 - np.var(left) / np.var(residual))
