"""How many samples of a residual tell as much as one that is independent."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def autocorrelation_time(residual: Float[np.ndarray, "sample"]) -> float:
    """Samples per independent sample: 1 + 2 Σ ρ_k over the initial sequence of pairs that are more than chance.

    Geyer's initial positive sequence (1992, doi 10.1214/ss/1177011137), but ended where a pair is within two standard
    deviations of what white noise gives: chance alone would otherwise widen every interval by a tenth.
    Residuals of a filtered recording, or of a wrong model, repeat themselves; counted as independent they would
    make every interval too narrow.
    """
    x = np.asarray(residual) - 0.0
    n = len(x)
    power = float(x @ x)
    if n < 8 or power == 0.0:
        return 1.0
    spectrum = np.fft.rfft(x, 2 * n)
    rho = np.fft.irfft(spectrum * spectrum.conj())[:n] / power
    pairs = rho[1 : n - 1 : 2] + rho[2:n:2]
    chance = 2.0 * np.sqrt(2.0 / n)
    end = np.argmax(pairs < chance) if np.any(pairs < chance) else len(pairs)
    return float(np.clip(1.0 + 2.0 * pairs[:end].sum(), 1.0, n / 4))
