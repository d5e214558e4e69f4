"""How muscles share a load: static optimisation.

Of all activations that give the wanted joint moments, the one of least effort::

    min Σ w a²   subject to   A a = τ,   0 ≤ a ≤ top

A (dof, muscle) is the moment of each muscle at full activation. By duality a = clip(Aᵀλ/w, 0, top) with one number λ
per degree of freedom, which solves

    F(λ) = A clip(Aᵀλ/w, 0, top) + ε λ − τ = 0

The small ε gives the moments that no activation can make a solution too: that of the least squared error. F is the
gradient of a convex, piecewise quadratic function, so that Newton's method with an exact line search ends at the
solution after a few steps; with one degree of freedom it has a closed form. Derivatives are those of the implicit
function.

Sources:
    Crowninshield, Brand 1981, doi 10.1016/0021-9290(81)90035-X (effort as a criterion)
    Qi, Sun 1993, doi 10.1007/BF01581275 (Newton's method for such equations)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import AnyArray, namespace, repeat, solved
from mjx_msm.common.errors import InputError

_ENDS = np.array([[0.0], [1.0]])
_TINY = 1e-18  # against 0/0; below every number that counts here, above float32's smallest


class Shared(NamedTuple):
    """A load, shared."""

    activation: Float[AnyArray, "muscle"]
    """0..top."""
    multiplier: Float[AnyArray, "dof"]
    """λ: where to start next time."""


def share(
    moments: Float[AnyArray, "dof muscle"],
    wanted: Float[AnyArray, "dof"],
    weight: Float[AnyArray, "muscle"] | float = 1.0,
    top: Float[AnyArray, "muscle"] | float = 1.0,
    start: Float[AnyArray, "dof"] | None = None,
) -> Shared:
    """The activations of least effort that give the wanted moments, or those that come nearest to them.

    **Arguments:** `moments` of each muscle at full activation, `wanted` moments [the same unit, N·m]; `weight` of each
    muscle's effort; its `top` activation; λ to `start` from, that of a similar load: fewer steps are needed.

    **Raises:** `InputError` for more than three degrees of freedom.
    """
    dofs = moments.shape[0]
    per_effort = moments / weight
    # Moment per λ with no muscle at an end, and the part of it that stands in for an end.
    compliance = (moments * per_effort).sum() / dofs + _TINY
    slack = (1e-8 if moments.dtype.itemsize > 4 else 1e-5) * compliance
    if dofs == 1:
        return _share_one(moments[0], wanted, per_effort[0], top)
    if dofs > 3:
        raise InputError(f"a load over {dofs} degrees of freedom; share it among three at most")
    xp = namespace(moments)
    ends = xp.asarray(_ENDS, moments.dtype) * top

    def at(multiplier: Any) -> tuple[Any, Any, Any, Any]:
        free = multiplier @ per_effort
        activation = xp.minimum(xp.maximum(free, 0.0), top)
        return multiplier, free, activation, moments @ activation + (slack * multiplier - wanted)

    def newton(state: tuple[Any, Any, Any, Any]) -> Any:
        _, free, _, error = state
        return _solve(xp, (moments * ((free > 0.0) & (free < top))) @ per_effort.T, slack, -error)

    def step(state: tuple[Any, Any, Any, Any]) -> tuple[Any, Any, Any, Any]:
        multiplier, free, _, _ = state
        direction = newton(state)
        rate = direction @ per_effort
        gain = direction @ moments
        # Along the direction the error is a broken line: it breaks where muscles pass 0 (row 0) or their top (row 1).
        # A muscle that does not move at all is given any breaks; they do not count.
        breaks = xp.maximum((ends - free) / (rate + (rate == 0.0)), 0.0)
        bent = xp.minimum(xp.maximum(breaks[..., None] * rate + free, 0.0), top) @ gain
        length = slack * (direction @ direction)
        offset = direction @ (slack * multiplier - wanted)
        # The breaks before the line's root. Those of the past are, even where rounding errors of a solution say no.
        before = (bent + length * breaks < -offset) | (breaks == 0.0)
        between = before[0] ^ before[1]
        fixed = ends[1] * (before[1] == (rate > 0.0))
        rest = gain @ xp.where(between, free, fixed) + offset
        slope = (gain * between) @ rate + length
        return at(multiplier - rest / (slope + (slope == 0.0)) * direction)

    # A first guess in whose direction only the muscles pull that can help.
    first = wanted * (1e-6 / compliance) if start is None else start
    small = 1e-15 * (wanted @ wanted) if isinstance(wanted, np.ndarray) else 0.0
    multiplier = repeat(step, at(first), 4 * dofs, lambda state: state[3] @ state[3] <= small)[0]
    multiplier = solved(multiplier, lambda root: root + newton(at(root)))
    return Shared(_clipped(xp, multiplier @ per_effort, top), multiplier)


def _share_one(moments: Any, wanted: Any, per_effort: Any, top: Any) -> Shared:
    """One degree of freedom: of the muscles that pull the right way, those that meet their top first are told apart."""
    xp = namespace(moments)
    sign = xp.where(wanted < 0.0, -1.0, 1.0)
    pull, eager, load = xp.maximum(sign * moments, 0.0), xp.maximum(sign * per_effort, 0.0), sign * wanted
    meets = top / (eager + _TINY)  # λ at which it meets its top
    reached = xp.minimum(meets[:, None] * eager, top) @ pull
    full = reached < load
    held = pull * full
    multiplier = (load - (held * top).sum()) / ((pull - held) @ eager + _TINY)
    return Shared(_clipped(xp, multiplier * eager, top), sign * multiplier)


def _clipped(xp: Any, free: Any, top: Any) -> Any:
    """To 0..top. A muscle without an arm is at 0, and its derivative, which would be λ, is 0 too."""
    return xp.where(free > 0.0, xp.minimum(free, top), 0.0)


def _solve(xp: Any, matrix: Any, ridge: Any, right: Any) -> Any:
    """x of (matrix + ridge · 1) x = right, for a symmetric matrix of two or three rows, by Cramer's rule."""
    if len(right) == 2:
        a, b, d = matrix[0, 0] + ridge, matrix[0, 1], matrix[1, 1] + ridge
        y, z = right[0], right[1]
        return xp.array((d * y - b * z, a * z - b * y)) / (a * d - b * b)
    a, b, c = matrix[0, 0] + ridge, matrix[0, 1], matrix[0, 2]
    d, e, f = matrix[1, 1] + ridge, matrix[1, 2], matrix[2, 2] + ridge
    y, z, u = right[0], right[1], right[2]
    aa, ab, ac = d * f - e * e, c * e - b * f, b * e - c * d  # the adjugate, symmetric too
    bb, bc, cc = a * f - c * c, b * c - a * e, a * d - b * b
    x = xp.array((aa * y + ab * z + ac * u, ab * y + bb * z + bc * u, ac * y + bc * z + cc * u))
    return x / (a * aa + b * ab + c * ac)
