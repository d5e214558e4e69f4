"""A step of a solver in a box: to the least of a quadratic between bounds, damped after Levenberg and Marquardt.

Convex ones are solved by MuJoCo's projected Newton method `mju_boxQP` (Tassa, Mansard, Todorov 2014, doi
10.1109/ICRA.2014.6907001), and where that stops short by SciPy's active set (`lsq_linear`, BVLS: Stark & Parker 1995,
Computational Statistics 10:129). With second derivatives a quadratic may open downwards: there it is turned round, for
the unknowns that bounds leave free.
"""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_solve
from scipy.optimize import lsq_linear

from mjx_msm.person.space import ParameterSpace

LEAST_CURVATURE = 0.1
"""Of the model with second derivatives along any direction, over that of Gauss–Newton: it may not open downwards."""
ON_BOUND = 1e-12
"""Distance from a bound, in units of an unknown's usual spread, that is none."""

MISSED, NOTHING = 1e-3, 1e-10
"""Part of its gain that a step may miss, and a gain in log posterior that is none."""


def bounded_step(
    space: ParameterSpace,
    z: Float[np.ndarray, "free"],
    gradient: Float[np.ndarray, "free"],
    data: Float[np.ndarray, "free free"],
    bend: Float[np.ndarray, "free free"] | None,
    damping: float,
) -> tuple[Float[np.ndarray, "free"], float]:
    """Damped step from z inside the bounds, and the gain in log posterior it promises.

    Damped alike in all directions once every parameter is in the unit of its kind's usual spread: scaled by the
    information itself (Marquardt), directions that are hardly determined would be hardly held, and their curvature
    makes the solver crawl.

    **Arguments:** `gradient`: of the negative log posterior. `data`: Gauss–Newton matrix of the data alone. `bend`:
    what second derivatives add to it; None: the model without. `damping`: over the trace of the matrix.

    **Returns:** NaN where no least was found, as of a matrix that is singular to rounding: more damping finds one.
    """
    unit = np.array([kind.prior_scale for kind in space.kinds])
    flat = unit[:, None] * (data + np.diag(space.prior_scale**-2.0)) * unit
    push, low, high = unit * gradient, (space.lower - z) / unit, (space.upper - z) / unit
    damping = (damping + 1e-14) * np.trace(flat)
    if bend is None:
        step, model = _in_box(flat + damping * np.eye(len(unit)), push, low, high), flat
    else:
        step, model = _along_the_bounds(flat, unit[:, None] * bend * unit, push, damping, low, high)
    exact = np.clip(unit * step, space.lower - z, space.upper - z)  # as bounds are, to the last digit
    return exact, -float(push @ step + 0.5 * step @ model @ step)


def _in_box(
    matrix: Float[np.ndarray, "free free"],
    gradient: Float[np.ndarray, "free"],
    low: Float[np.ndarray, "free"],
    high: Float[np.ndarray, "free"],
) -> Float[np.ndarray, "free"]:
    """The least of a quadratic between bounds; NaN if none was found.

    In the unit of each unknown's own curvature. MuJoCo's method stops where its line search finds nothing, which at
    condition numbers from 1e8 may be on bounds that the least is not on, with most of the gain missed: a step counts if
    no other can gain much more.
    """
    n, curvature = len(gradient), np.diag(matrix)
    if not (curvature > 0).all() or not np.isfinite(matrix).all() or not np.isfinite(gradient).all():
        return np.full(n, np.nan)
    unit = curvature**-0.5
    matrix, gradient, low, high = unit[:, None] * matrix * unit, unit * gradient, low / unit, high / unit
    step, factor, free = np.zeros(n), np.zeros((n, n + 7)), np.zeros(n, dtype=np.int32)
    rank = mujoco.mju_boxQP(step, factor, free, matrix, gradient, low, high)
    try:
        root = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return np.full(n, np.nan)
    if rank < 0 or _missed(root, matrix, gradient, low, high, step):
        target = -np.linalg.solve(root, gradient)
        step = lsq_linear(root.T, target, (low, high), method="bvls", tol=1e-300, max_iter=100 * n).x
        if _missed(root, matrix, gradient, low, high, step):
            return np.full(n, np.nan)
    return unit * step


def _missed(
    root: Float[np.ndarray, "free free"],
    matrix: Float[np.ndarray, "free free"],
    gradient: Float[np.ndarray, "free"],
    low: Float[np.ndarray, "free"],
    high: Float[np.ndarray, "free"],
    step: Float[np.ndarray, "free"],
) -> bool:
    """Whether another step may gain much more. At most that is ½ pᵀ M⁻¹ p, with p the slope that bounds leave: across
    a bound that holds the quadratic rises."""
    slope = gradient + matrix @ step
    held = ((step <= low + ON_BOUND) & (slope > 0)) | ((step >= high - ON_BOUND) & (slope < 0))
    left = np.where(held, 0.0, slope)
    gain = -float(gradient @ step + 0.5 * step @ matrix @ step)
    return not 0.5 * left @ cho_solve((root, True), left) <= MISSED * max(gain, 0.0) + NOTHING


def _along_the_bounds(
    flat: Float[np.ndarray, "free free"],
    bend: Float[np.ndarray, "free free"],
    gradient: Float[np.ndarray, "free"],
    damping: float,
    low: Float[np.ndarray, "free"],
    high: Float[np.ndarray, "free"],
) -> tuple[Float[np.ndarray, "free"], Float[np.ndarray, "free free"]]:
    """Step by the model with second derivatives, and the matrix it had.

    At a solution on bounds the posterior opens upwards along them, not across: turned round as a whole, the model would
    be wrong along them, too. So unknowns stay that a bound holds (Bertsekas 1982, doi 10.1137/0320018), or that meet
    one on the way, and the model is opened for the others alone.
    """
    whole, step, best = flat + bend, np.zeros(len(gradient)), None
    held = ((low >= -ON_BOUND) & (gradient > 0)) | ((high <= ON_BOUND) & (gradient < 0))
    while True:
        free, model = ~held, whole.copy()
        inside = np.ix_(free, free)
        if not free.any():
            return best or (step, model)
        model[inside] = _opened(flat[inside], bend[inside])
        push = gradient[free] + whole[np.ix_(free, held)] @ step[held]
        step[free] = _in_box(model[inside] + damping * np.eye(len(push)), push, low[free], high[free])
        if best is not None and not gradient @ step + 0.5 * step @ model @ step < 0:
            return best
        best, met = (step.copy(), model), free & ((step <= low + ON_BOUND) | (step >= high - ON_BOUND))
        if not met.any():
            return best
        held |= met


def _opened(
    flat: Float[np.ndarray, "free free"], bend: Float[np.ndarray, "free free"]
) -> Float[np.ndarray, "free free"]:
    """Gauss–Newton matrix with second derivatives added, upwards in every direction: as steep where it went down, and
    `LEAST_CURVATURE` of Gauss–Newton at least."""
    try:
        np.linalg.cholesky((1.0 - LEAST_CURVATURE) * flat + bend)
    except np.linalg.LinAlgError:
        pass  # somewhere it opens downwards, or is flatter than that
    else:
        return flat + bend
    lower = np.linalg.cholesky(flat + 1e-12 * np.trace(flat) * np.eye(len(flat)))
    relative = np.linalg.solve(lower, np.linalg.solve(lower, bend).T)
    value, vector = np.linalg.eigh(0.5 * (relative + relative.T))
    vector = lower @ vector
    return (vector * np.maximum(np.abs(1.0 + value), LEAST_CURVATURE)) @ vector.T
