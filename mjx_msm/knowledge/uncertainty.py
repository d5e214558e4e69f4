"""What the data determined: Fisher information, covariance, the directions left open, and draws of what remains."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.special import log_ndtr, ndtri_exp

# A direction counts as determined when the data hold at least as much information on it as the prior.
DETERMINED = 0.5
# Without a prior, a direction is undetermined below this fraction of the best determined one.
RANK_TOLERANCE = 1e-10
LEAST_CURVATURE = 0.1
"""Of the posterior along any direction, over that of F + P: where second derivatives leave less, or open it downwards
(the estimate is held by a bound, or is not at its best), its quadratic says nothing of how wide it is."""
FLAT = 3.0
"""Where a parameter has no prior, draws are spread by a normal that is this many times wider than the bounds: between
them it is uniform to within 6 %."""
SWEEPS = 40
"""Of the Gibbs sampler; every draw is a chain of its own."""
_INSIDE = 0.05
"""How far from a bound a chain begins [standard deviations, at most widths of the box]."""


class Knowledge(enum.Enum):
    """Where what is known of a parameter, or of a combination of parameters, comes from."""

    DETERMINED = "determined"
    """From the data: they hold at least as much information as the prior, or as the bounds where there is none."""
    PRIOR = "prior-dominated"
    """From the prior; the data add little."""
    UNDETERMINED = "undetermined"
    """From nowhere: neither data nor prior say more than the bounds."""


@dataclass(frozen=True)
class Mode:
    """One eigen-direction of the data's information relative to the prior."""

    knowledge: Knowledge
    share: float
    """λ/(1 + λ): the part of what is known along it that comes from the data, 0 to 1."""
    weights: Float[np.ndarray, "free"]
    """Unit vector, in units of `Uncertainty.unit`; the largest entry is positive."""


@dataclass(frozen=True)
class Uncertainty:
    """Laplace approximation of the posterior at the optimum, in the solver's coordinates z."""

    covariance: Float[np.ndarray, "free free"]
    """Sampling covariance of the estimate; infinite on the diagonal where neither data nor prior say anything."""
    spread: Float[np.ndarray, "free free"]
    """The covariance to draw from: always finite, `FLAT` times as wide as the bounds along directions which nothing
    else determines. Without `width`, `covariance`."""
    data_share: Float[np.ndarray, "free"]
    """Part of every estimate that comes from the data, 0 (all prior) to 1: diagonal of (D + P)⁻¹ D, D the data's
    curvature. Without a prior, what the data add to the bounds."""
    knowledge: tuple[Knowledge, ...]
    """Of every parameter."""
    modes: tuple[Mode, ...]
    """A complete set of directions, the least determined first."""
    unit: Float[np.ndarray, "free"]
    """Unit of the modes' weights in z: standard deviation of the prior, or of a uniform between the bounds."""
    curvature: Float[np.ndarray, "free free"]
    """D of the data, without what is negative in it."""
    excess: Float[np.ndarray, "free free"]
    """V − F: by how much the score varies more than it would if no residual repeated another."""

    @property
    def directions(self) -> tuple[tuple[tuple[int, float], ...], ...]:
        """Combinations of parameters which the data do not determine: (index, weight) of the leading members."""
        out = []
        for mode in self.modes:
            if mode.knowledge is not Knowledge.DETERMINED:
                order = np.argsort(-np.abs(mode.weights))
                kept = [int(i) for i in order if abs(mode.weights[i]) > 0.3][:4] or [int(order[0])]
                out.append(tuple((i, float(mode.weights[i])) for i in kept))
        return tuple(out)


def uncertainty(
    fisher: Float[np.ndarray, "free free"],
    prior_scale: Float[np.ndarray, "free"],
    *,
    score: Float[np.ndarray, "free free"] | None = None,
    bend: Float[np.ndarray, "free free"] | None = None,
    width: Float[np.ndarray, "free"] | None = None,
) -> Uncertainty:
    """Covariance and identifiability from the data's information matrix.

    **Arguments:**

    - `fisher`: F = JᵀJ of the whitened residuals, the weights that the estimate was made with.
    - `prior_scale`: standard deviation of the prior in z, infinite for none; P is its precision.
    - `score`: V, the variance of Jᵀr; it exceeds F where residuals repeat each other. By default D: the
      covariance is then the inverse of the posterior's curvature.
    - `bend`: B = Σ r ∂²r of the whitened residuals. A model of a person leaves residuals that are not small, and then
      the data's curvature is D = F + B, not F. By default D = F.
    - `width`: distance of the bounds, which stands in for a prior in shares and `spread` where there is none.

    The covariance is that of the estimate as it was made, (D + P)⁻¹ (V + P) (D + P)⁻¹ (Huber 1967; White 1982,
    doi 10.2307/1912526).

    In units of the prior, the eigenvalues λ of D compare data with prior: a direction with λ/(1 + λ) below one half is
    left mostly to the prior, or to nothing where its members have none. Along a direction that only the prior holds, D
    may be slightly negative: it counts as no data, and the posterior is that much wider than the prior.
    """
    anchored = np.isfinite(prior_scale)
    if not np.isfinite(fisher).all():  # of a model that cannot be simulated nothing is known
        fisher, score, bend = np.zeros_like(fisher), None, None
    data = np.diag(fisher)
    strongest = max(1.0, *(data * np.where(anchored, prior_scale, 0.0) ** 2))
    unit = np.where(anchored, prior_scale, np.sqrt(strongest / np.where(data > 0, data, 1.0)))
    curvature, excess = fisher, None if score is None else score - fisher
    if bend is not None:
        added = _opened(fisher, bend, unit, anchored)
        curvature, excess = fisher + added, None if excess is None else excess - added
    information, basis = _information(curvature, unit, definite=bend is None)
    total = np.diag(information) + basis.T @ (anchored[:, None] * basis)
    root = np.sqrt(np.where(np.diag(total) > RANK_TOLERANCE, np.diag(total), 1.0))
    eigenvalue, vector = np.linalg.eigh(total / np.outer(root, root))
    lost = eigenvalue <= RANK_TOLERANCE
    half = (basis / root) @ vector[:, ~lost] / np.sqrt(eigenvalue[~lost])
    inverse = half @ half.T
    share = np.clip(1.0 - anchored * np.diag(inverse), 0.0, 1.0)
    if excess is not None:  # an excess is exactly nothing where samples are independent
        inverse = inverse + inverse @ (unit[:, None] * excess * unit[None, :]) @ inverse
    covariance = unit[:, None] * inverse * unit[None, :]
    if width is not None:
        box = np.square(width) / 12.0
        share = np.where(anchored, share, box / (box + np.diag(covariance)))
    nowhere = (basis / root) @ vector[:, lost]
    unknown = (np.square(nowhere / np.linalg.norm(nowhere, axis=0)).sum(axis=1)) > 1e-6
    covariance[np.diag_indices_from(covariance)] = np.where(unknown, np.inf, np.diag(covariance))
    share = np.where(unknown, 0.0, share)

    reference = unit if width is None else np.where(anchored, prior_scale, np.asarray(width) / np.sqrt(12.0))
    scaled = _information(curvature, reference, definite=bend is None)
    modes = _modes(*scaled, anchored, bounded=width is not None)
    knowledge = tuple(
        Knowledge.DETERMINED if s >= DETERMINED else otherwise
        for s, otherwise in zip(share, _without(prior_scale), strict=True)
    )
    spread = covariance
    if width is not None:
        wide = np.where(anchored, prior_scale, FLAT * width)
        spread = _spread(*_information(curvature, wide, definite=bend is None), wide, excess)
    data = (basis * np.maximum(information, 0.0)) @ basis.T / np.outer(unit, unit)
    more = np.zeros_like(fisher) if score is None else score - fisher
    return Uncertainty(covariance, spread, share, knowledge, modes, reference, data, more)


def allowing(
    known: Uncertainty,
    beyond: Float[np.ndarray, "free"],
    prior_scale: Float[np.ndarray, "free"],
    width: Float[np.ndarray, "free"],
) -> Uncertainty:
    """The same where estimates are off by more than their residuals say, with variances `beyond`.

    What the data tell of a parameter is worth that much less: a share s, of data that alone would have the variance
    u² (1 − s)/s beside a prior's u², becomes u²/(u² + u² (1 − s)/s + its entry of `beyond`).

    **Arguments:** `prior_scale`, `width`: of `uncertainty`.
    """
    unit = np.where(np.isfinite(prior_scale), prior_scale, width / np.sqrt(12.0))
    share = known.data_share / (1.0 + known.data_share * beyond / unit**2)
    knowledge = tuple(
        k if k is not Knowledge.DETERMINED or s >= DETERMINED else otherwise
        for k, s, otherwise in zip(known.knowledge, share, _without(prior_scale), strict=True)
    )
    return replace(known, covariance=known.covariance + np.diag(beyond), data_share=share, knowledge=knowledge)


def _without(prior_scale: Float[np.ndarray, "free"]) -> list[Knowledge]:
    """What is left to a parameter that the data do not determine."""
    return [Knowledge.PRIOR if p else Knowledge.UNDETERMINED for p in np.isfinite(prior_scale)]


def _opened(fisher: np.ndarray, bend: np.ndarray, unit: np.ndarray, anchored: np.ndarray) -> np.ndarray:
    """B, and what it takes to keep F + B + P at `LEAST_CURVATURE` of F + P along every direction."""
    flat = unit[:, None] * fisher * unit + np.diag(anchored.astype(float))
    lower = np.linalg.cholesky(flat + 1e-12 * np.trace(flat) * np.eye(len(flat)))
    relative = np.linalg.solve(lower, np.linalg.solve(lower, unit[:, None] * bend * unit).T)
    value, vector = np.linalg.eigh(0.5 * (relative + relative.T))
    short = np.maximum(LEAST_CURVATURE - 1.0 - value, 0.0)
    vector = lower @ vector / unit[:, None]
    return bend + (vector * short) @ vector.T


def _information(
    curvature: np.ndarray, unit: np.ndarray, *, definite: bool
) -> tuple[Float[np.ndarray, "mode"], Float[np.ndarray, "free mode"]]:
    """Eigenvalues of the data's curvature in the given units, rising, and their directions."""
    information, basis = np.linalg.eigh(unit[:, None] * curvature * unit[None, :])
    # What an eigenvalue loses to round-off is no information; without this, exact data would drown the priors.
    kept = information > 1e-14 * information[-1]
    if not definite:
        kept |= information < -1e-12 * np.abs(information[-1])
    return np.where(kept, information, 0.0), basis


def _modes(information: np.ndarray, basis: np.ndarray, anchored: np.ndarray, *, bounded: bool) -> tuple[Mode, ...]:
    has_prior = (basis**2 * anchored[:, None]).sum(axis=0) > 0.5
    out = []
    for value, column, prior in zip(information, basis.T, has_prior, strict=True):
        # with neither prior nor bounds to compare with, information is all or nothing
        value = max(value, 0.0)
        share = value / (1.0 + value) if prior or bounded else float(value > RANK_TOLERANCE * information[-1])
        kind = Knowledge.DETERMINED if share >= DETERMINED else Knowledge.PRIOR if prior else Knowledge.UNDETERMINED
        out.append(Mode(kind, float(share), column * np.sign(column[np.argmax(np.abs(column))])))
    return tuple(out)


def _spread(information: np.ndarray, basis: np.ndarray, unit: np.ndarray, excess: np.ndarray | None) -> np.ndarray:
    inverse = (basis / (1.0 + information)) @ basis.T
    if excess is not None:
        inverse = inverse + inverse @ (unit[:, None] * excess * unit[None, :]) @ inverse
    return unit[:, None] * inverse * unit[None, :]


def truncated_normal(
    mean: Float[np.ndarray, "free"],
    covariance: Float[np.ndarray, "free free"],
    lower: Float[np.ndarray, "free"],
    upper: Float[np.ndarray, "free"],
    count: int,
    seed: int,
) -> Float[np.ndarray, "count free"]:
    """Independent draws of a normal distribution restricted to a box; `mean` lies in the box.

    Gibbs sampling along the principal axes, where without the box a single sweep is already exact (Geweke 1991;
    Kotecha and Djurić 1999, doi 10.1109/ICASSP.1999.756335). Every draw is a chain of its own of `SWEEPS` sweeps,
    begun next to the mean, inside the box.
    """
    rng, size = np.random.default_rng(seed), len(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        unit = np.where(sd > 0, sd, 1.0)
        value, vector = np.linalg.eigh(covariance / np.outer(unit, unit))
        root = unit[:, None] * vector * np.sqrt(np.maximum(value, 0.0))
        far = bool(np.all((mean - lower > 8 * sd) & (upper - mean > 8 * sd)))
        inwards = np.clip(mean, lower + _INSIDE * np.minimum(sd, upper - lower), None)
        inwards = np.clip(inwards, None, upper - _INSIDE * np.minimum(sd, upper - lower))
        along = np.where(value > 1e-14, (inwards - mean) / unit @ vector / np.sqrt(np.maximum(value, 1e-14)), 0.0)
    # a chain that began in a corner of the box might find no axis to leave it along
    begin = np.zeros(size) if far else along
    draws, whitened = np.tile(mean + root @ begin, (count, 1)), np.tile(begin, (count, 1))
    for _ in range(1 if far else SWEEPS):
        for j in range(size):
            column = root[:, j]
            rows = np.flatnonzero(np.abs(column) > 1e-12 * unit)  # the others this axis does not move
            if not len(rows):
                continue
            rest = draws[:, rows] - whitened[:, j : j + 1] * column[rows]
            ends = (lower[rows] - rest) / column[rows], (upper[rows] - rest) / column[rows]
            low, high = np.minimum(*ends).max(axis=1), np.maximum(*ends).min(axis=1)
            # where a draw is, it may be: rounding error that has put it across a bound would, over a small entry of the
            # axis, be answered by a large step, and that by a larger one
            low, high = np.minimum(low, whitened[:, j]), np.maximum(high, whitened[:, j])
            new = _truncated_standard_normal(low, high, rng.random(count))
            draws += (new - whitened[:, j])[:, None] * column
            whitened[:, j] = new
    return np.clip(draws, lower, upper)  # what round-off may have crossed


def _truncated_standard_normal(
    low: Float[np.ndarray, "count"], high: Float[np.ndarray, "count"], uniform: Float[np.ndarray, "count"]
) -> Float[np.ndarray, "count"]:
    """Inverse of the distribution function, in logarithms and in the lower tail, where it is exact however far out."""
    flip = low > 0
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_a, log_b = log_ndtr(a), log_ndtr(b)
        ratio = np.exp(log_a - log_b)
        x = ndtri_exp(log_b + np.log(ratio + uniform * (1.0 - ratio)))
    x = np.clip(np.where(np.isfinite(x), x, a), a, b)
    return np.where(flip, -x, x)
