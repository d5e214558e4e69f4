"""Smooth curves through a few points with given slopes, as OpenSim's muscles of 2013 have them.

Between two points the lines through them, at their slopes, meet in a corner; a quintic Bézier curve rounds it. Two of
its six control points are each of the ends, two pairs lie on the lines, the part c of the way to the corner: so that
curvature is 0 where pieces meet, and all has two continuous derivatives. Outside the points, the lines go on.

    x(u) = X0 v⁵ + A (5 v⁴ u + 10 v³ u²) + B (10 v² u³ + 5 v u⁴) + X1 u⁵,    v = 1 − u,    y(u) likewise

x rises with u; the u of an x is found by five steps of Halley's method from 1/2, to the last digit for the curves of a
muscle, and has the derivatives of the implicit function.

Source: Millard, Uchida, Seth, Delp 2013, doi 10.1115/1.4023390 (appendix; the fifth order gives a second derivative).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

STEPS = 5
"""Of Halley's method; four do for the curves of a muscle."""


class Point(NamedTuple):
    """A point of a curve: numbers, or arrays that broadcast against x."""

    x: Any
    y: Any
    slope: Any


class Piece(NamedTuple):
    """Between two points: where it begins, how long it is, and both control values over that length."""

    start: Any
    length: Any
    first: Any
    second: Any


def pieces(left: Point, right: Point, curviness: float) -> tuple[Piece, Piece]:
    """x and y between two points; `curviness`: c, 0 to 1."""
    corner = (right.y - left.y - right.x * right.slope + left.x * left.slope) / (left.slope - right.slope)
    level = right.y + right.slope * (corner - right.x)
    return tuple(_piece(*ends, curviness) for ends in ((left.x, corner, right.x), (left.y, level, right.y)))  # type: ignore[return-value]


def _piece(start: Any, corner: Any, end: Any, curviness: float) -> Piece:
    length = end - start
    turn = (corner - start) / length
    return Piece(start, length, curviness * turn, 1.0 - curviness * (1.0 - turn))


def along(piece: Piece, u: Array) -> Array:
    """x or y at u."""
    return piece.start + piece.length * _share(u, piece.first, piece.second)


def bent_line(x: Float[ArrayLike, "..."], points: Sequence[Point], curviness: Sequence[float]) -> Float[Array, "..."]:
    """y [-] at x: a curve through `points`, from left to right, each piece with its curviness."""
    x = jnp.asarray(x)
    first, last = points[0], points[-1]
    across, up = pieces(first, points[1], curviness[0])
    for (left, right), c in zip(pairwise(points[1:]), curviness[1:], strict=True):
        inside, chosen = x >= left.x, pieces(left, right, c)
        across, up = jax.tree.map(lambda new, old, inside=inside: jnp.where(inside, new, old), chosen, (across, up))
    before, behind = x < first.x, x > last.x
    share = jnp.where(before, 0.0, jnp.where(behind, 1.0, (x - across.start) / across.length))
    on_lines = first.slope * jnp.where(before, x - first.x, 0.0) + last.slope * jnp.where(behind, x - last.x, 0.0)
    return along(up, place(share, across.first, across.second)) + on_lines


@jax.custom_jvp
def place(share: Array, first: Any, second: Any) -> Array:
    """u at which a piece has come a `share` of its length, 0 to 1."""
    u = jnp.full_like(share, 0.5)
    for _ in range(STEPS):
        slope = _slope(u, first, second)
        step = (_share(u, first, second) - share) / slope
        bend = 1.0 - 0.5 * step * _bend(u, first, second) / slope
        u = jnp.clip(u - step / jnp.maximum(bend, 0.5), 0.0, 1.0)
    return u


@place.defjvp
def _place_derivative(values: Any, rates: Any) -> tuple[Array, Array]:
    share, first, second = values
    u = place(share, first, second)
    v = 1.0 - u
    moved = rates[0] - rates[1] * (5 * v**4 * u + 10 * v**3 * u**2) - rates[2] * (10 * v**2 * u**3 + 5 * v * u**4)
    return u, moved / _slope(u, first, second)


def _share(u: Array, first: Any, second: Any) -> Array:
    v = 1.0 - u
    return first * (5 * v**4 * u + 10 * v**3 * u**2) + second * (10 * v**2 * u**3 + 5 * v * u**4) + u**5


def _slope(u: Array, first: Any, second: Any) -> Array:
    v = 1.0 - u
    return 5 * (first * v**4 + 6 * (second - first) * u**2 * v**2 + (1.0 - second) * u**4)


def _bend(u: Array, first: Any, second: Any) -> Array:
    v = 1.0 - u
    return 20 * (-first * v**3 + 3 * (second - first) * u * v * (v - u) + (1.0 - second) * u**3)
