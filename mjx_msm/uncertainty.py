"""What the data determined: Fisher information, covariance, and the directions left to the prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# A direction counts as determined when the data hold at least as much information on it as the prior.
DETERMINED = 0.5
# Without a prior, a direction is undetermined below this fraction of the best determined one.
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Uncertainty:
    """Laplace approximation of the posterior at the optimum, in the solver's coordinates z."""

    covariance: Float[np.ndarray, "free free"]
    """Sampling covariance of the estimate; infinite on the diagonal where neither data nor prior say anything."""
    data_share: Float[np.ndarray, "free"]
    """Part of every estimate that comes from the data, 0 (all prior) to 1: diagonal of (F + P)⁻¹ F. Without a prior,
    what the data add to the bounds."""
    directions: tuple[tuple[tuple[int, float], ...], ...]
    """Combinations of parameters which the data do not determine: (index, weight) of the leading members."""


def uncertainty(
    fisher: Float[np.ndarray, "free free"],
    prior_scale: Float[np.ndarray, "free"],
    *,
    score: Float[np.ndarray, "free free"] | None = None,
    width: Float[np.ndarray, "free"] | None = None,
) -> Uncertainty:
    """Covariance and identifiability from the data's information matrix.

    **Arguments:**

    - `fisher`: F = JᵀJ of the whitened residuals, the weights that the estimate was made with.
    - `prior_scale`: standard deviation of the prior in z, infinite for none; P is its precision.
    - `score`: V, the variance of Jᵀr; it exceeds F where residuals repeat each other. By default F.
    - `width`: distance of the bounds, which stands in for a prior in `data_share` where there is none.

    The covariance is that of the estimate as it was made, (F + P)⁻¹ (V + P) (F + P)⁻¹ (Huber 1967; White 1982,
    doi 10.2307/1912526).

    In units of the prior, the eigenvalues λ of the information compare data with prior: a direction with
    λ/(1 + λ) below one half is left mostly to the prior.
    """
    anchored = np.isfinite(prior_scale)
    data = np.diag(fisher)
    strongest = max(1.0, *(data * np.where(anchored, prior_scale, 0.0) ** 2))
    unit = np.where(anchored, prior_scale, np.sqrt(strongest / np.where(data > 0, data, 1.0)))
    scaled = unit[:, None] * fisher * unit[None, :]
    information, basis = np.linalg.eigh(scaled)
    # What an eigenvalue loses to round-off is no information; without this, exact data would drown the priors.
    information = np.where(information > 1e-14 * information[-1], information, 0.0)
    total = np.diag(information) + basis.T @ (anchored[:, None] * basis)
    root = np.sqrt(np.where(np.diag(total) > RANK_TOLERANCE, np.diag(total), 1.0))
    eigenvalue, vector = np.linalg.eigh(total / np.outer(root, root))
    lost = eigenvalue <= RANK_TOLERANCE
    half = (basis / root) @ vector[:, ~lost] / np.sqrt(eigenvalue[~lost])
    inverse = half @ half.T
    share = np.clip(1.0 - anchored * np.diag(inverse), 0.0, 1.0)
    if score is not None:  # as an excess, which is exactly nothing where samples are independent
        inverse = inverse + inverse @ (unit[:, None] * (score - fisher) * unit[None, :]) @ inverse
    covariance = unit[:, None] * inverse * unit[None, :]
    if width is not None:
        box = np.square(width) / 12.0
        share = np.where(anchored, share, box / (box + np.diag(covariance)))
    nowhere = (basis / root) @ vector[:, lost]
    unknown = (np.square(nowhere / np.linalg.norm(nowhere, axis=0)).sum(axis=1)) > 1e-6
    covariance[np.diag_indices_from(covariance)] = np.where(unknown, np.inf, np.diag(covariance))
    share = np.where(unknown, 0.0, share)

    has_prior = (basis**2 * anchored[:, None]).sum(axis=0)
    weak = np.where(
        has_prior > 0.5,
        information / (1.0 + information) < DETERMINED,
        information <= RANK_TOLERANCE * information[-1],
    )
    directions = []
    for column in basis[:, weak].T:
        order = np.argsort(-np.abs(column))
        kept = [int(i) for i in order if abs(column[i]) > 0.3][:4] or [int(order[0])]
        sign = np.sign(column[kept[0]])
        directions.append(tuple((i, float(sign * column[i])) for i in kept))
    return Uncertainty(covariance, share, tuple(directions))


def autocorrelation_time(residual: Float[np.ndarray, "sample"]) -> float:
    """Samples per independent sample: 1 + 2 Σ ρ_k over the initial positive sequence.

    Geyer 1992, doi 10.1214/ss/1177011137.
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
    end = np.argmax(pairs < 0) if np.any(pairs < 0) else len(pairs)
    return float(np.clip(1.0 + 2.0 * pairs[:end].sum(), 1.0, n / 4))
