"""Three-vectors and rotations kept as their components, with constants folded while tracing.

A component is a number known when the model is loaded or an array over instants. Products with 0 and 1 are never
emitted, so a planar model costs what a planar model should; and every operation is elementwise over contiguous
memory, which compilers turn into full-width vector code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

Component = Any
"""A Python float, or an array over instants; over rows and instants where several of a kind are computed together."""


def _constant(x: Component) -> bool:
    return isinstance(x, int | float)


def array_of(nested: Any) -> Array:
    """Nested lists of components as one array."""
    if isinstance(nested, list):
        return jnp.stack([array_of(x) for x in nested]) if nested else jnp.zeros(0)
    return jnp.asarray(nested, dtype=float)


def add(a: Component, b: Component) -> Component:
    if _constant(a) and a == 0:
        return b
    if _constant(b) and b == 0:
        return a
    return a + b


def subtract(a: Component, b: Component) -> Component:
    if _constant(b) and b == 0:
        return a
    if _constant(a) and a == 0:
        return -b
    return a - b


def multiply(a: Component, b: Component) -> Component:
    for x, y in ((a, b), (b, a)):
        if _constant(x):
            if x == 0:
                return 0.0
            if x == 1:
                return y
            if x == -1:
                return -y
    return a * b


def total(terms: Iterable[Component]) -> Component:
    """Sum."""
    out: Component = 0.0
    for term in terms:
        out = add(out, term)
    return out


def select(condition: Any, yes: Component, no: Component) -> Component:
    """`yes` where the condition holds, else `no`; both are finite wherever they are not chosen."""
    kind = jnp.bool_ if jnp.result_type(yes) == jnp.bool_ else jnp.result_type(float)
    shape = jnp.broadcast_shapes(*(jnp.shape(x) for x in (condition, yes, no)))
    condition = jnp.broadcast_to(condition, shape)
    cases = (jnp.broadcast_to(jnp.asarray(x, kind), shape) for x in (no, yes))
    return lax.select_n(condition, *cases)


def at_least(x: Component, floor: float) -> Component:
    """The greater of the two; constant below the floor."""
    return lax.max(x, jnp.full(jnp.shape(x), floor, jnp.result_type(x)))


def square_root(x: Component) -> Component:
    """√x with derivative 0, not infinite, at 0."""
    if _constant(x):
        return float(np.sqrt(x))
    positive = x > 0
    return select(positive, lax.sqrt(select(positive, x, 1.0)), 0.0)


class Vector(NamedTuple):
    """A vector in space."""

    x: Component
    y: Component
    z: Component

    @staticmethod
    def of(values: Any) -> Vector:
        """From three numbers."""
        return Vector(*(float(v) for v in values))

    def plus(self, other: Vector) -> Vector:
        return Vector(*(add(a, b) for a, b in zip(self, other, strict=True)))

    def minus(self, other: Vector) -> Vector:
        return Vector(*(subtract(a, b) for a, b in zip(self, other, strict=True)))

    def times(self, factor: Component) -> Vector:
        return Vector(*(multiply(factor, a) for a in self))

    def dot(self, other: Vector) -> Component:
        return total(multiply(a, b) for a, b in zip(self, other, strict=True))

    def cross(self, other: Vector) -> Vector:
        a, b = self, other
        return Vector(
            subtract(multiply(a.y, b.z), multiply(a.z, b.y)),
            subtract(multiply(a.z, b.x), multiply(a.x, b.z)),
            subtract(multiply(a.x, b.y), multiply(a.y, b.x)),
        )

    def norm(self) -> Component:
        return square_root(self.dot(self))


class Rotation(NamedTuple):
    """A rotation matrix by its rows."""

    x: Vector
    y: Vector
    z: Vector

    @staticmethod
    def of(matrix: Any) -> Rotation:
        """From 3 × 3 numbers."""
        return Rotation(*(Vector.of(row) for row in matrix))

    def transpose(self) -> Rotation:
        return Rotation(*(Vector(*column) for column in zip(*self, strict=True)))

    def turn(self, v: Vector) -> Vector:
        """From the rotated frame to the frame it is rotated in."""
        return Vector(*(row.dot(v) for row in self))

    def turn_back(self, v: Vector) -> Vector:
        return self.transpose().turn(v)

    def after(self, other: Rotation) -> Rotation:
        """The product self · other."""
        return cast(Rotation, Rotation(*(self.turn(column) for column in other.transpose())).transpose())


ZERO = Vector(0.0, 0.0, 0.0)
IDENTITY = Rotation.of(np.eye(3))
