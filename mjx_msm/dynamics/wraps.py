"""The way around, or inside, a sphere or a cylinder, in the geom's own frame.

Around the outside it follows MuJoCo's `mju_wrap`; inside, where a side site lies within the geom, the path passes a
ring: where the straight line misses the ring, it bends at one point P of it, at equal angles, which is where it is
shortest. With θ the angle of both pieces to the ring's radius at P, G the angle between the ends as the centre sees
them, and A, B the radius over their distances,

    2θ − asin(A sin θ) − asin(B sin θ) = G.

The left side rises and is convex from 0, so that Newton's method from θ = π/2 goes down to the root without fail; one
more step of it, the only one that is differentiated, carries the derivative of the implicit function.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import mujoco
import numpy as np
from jax import lax

from mjx_msm.dynamics.vectors import Component, Vector, add, at_least, multiply, select, square_root, subtract

_TINY = mujoco.mjMINVAL
_ROUNDING = 64
"""An end no more units of rounding from a wrap's surface, on either side, counts as so far outside. Ends within do not
wrap: for a site that was meant to be on the surface, C's own answer is up to its rounding."""
_NEWTON = 16
"""Steps to the contact of an inside wrap: from the far end they halve the distance at worst."""


class Flat(NamedTuple):
    """A vector in the plane of a wrap."""

    x: Component
    y: Component

    def dot(self, other: Flat) -> Component:
        return add(multiply(self.x, other.x), multiply(self.y, other.y))

    def cross(self, other: Flat) -> Component:
        return subtract(multiply(self.x, other.y), multiply(self.y, other.x))

    def plus(self, other: Flat, factor: Component = 1.0) -> Flat:
        return Flat(add(self.x, multiply(factor, other.x)), add(self.y, multiply(factor, other.y)))

    def times(self, factor: Component) -> Flat:
        return Flat(multiply(factor, self.x), multiply(factor, self.y))

    def quarter_turn(self) -> Flat:
        return Flat(self.y, -self.x)

    def unit(self) -> Flat:
        return self.times(1.0 / at_least(square_root(self.dot(self)), _TINY))


def outside(
    p0: Vector, p1: Vector, beside: Vector | None, radius: Component, sphere: bool
) -> tuple[Any, Component, Vector, Vector]:
    """Way around the outside of a sphere or cylinder, in the geom's own frame [m].

    Seen from the centre, the ends d₀ and d₁ are an angle φ in 0..π apart, and straight lines from them touch the circle
    of radius R at angles αᵢ = arccos(R / |dᵢ|) from them. The short way around has the arc φ − α₀ − α₁, the long way
    2π − φ − α₀ − α₁. The straight line is clear of the circle if and only if the short arc is negative, and the way
    around goes over into it at 0. So the sign of that one quantity is all that is asked where C asks whether the line
    comes close, whether the tangents cross, and which chord is shorter: questions with one answer, which rounding
    answers differently.

    **Arguments:** both ends; `beside`: the side site, if there is one, which says which way around.

    **Returns:** whether it wraps at all; length from end to end, and the directions in which it leaves the first end
    and arrives at the second.
    """
    ex, ey = _plane(p0, p1, sphere)

    def flat(p: Vector) -> Flat:
        return Flat(p.dot(ex), p.dot(ey))

    d0, d1 = Flat(p0.norm(), 0.0) if sphere else flat(p0), flat(p1)
    left = 1.0 if sphere else select(d0.cross(d1) >= 0, 1.0, -1.0)
    squares, span = (d0.dot(d0), d1.dot(d1)), d1.plus(d0, -1.0)
    close = radius**2 * (_ROUNDING * float(jnp.finfo(jnp.result_type(float)).eps))
    roots = [lax.sqrt(jnp.maximum(square - radius**2, jnp.maximum(close, _TINY))) for square in squares]

    def tangents(sense: Component) -> tuple[Flat, Flat]:
        """Where lines from the ends touch on the way that turns left, or right, and the sine and cosine of its arc."""
        points = []
        for d, root, sign in zip((d0, d1), roots, (-1.0, 1.0), strict=True):
            scale = 1.0 / (radius**2 + root * root)
            aside = multiply(multiply(sign, sense), radius * root * scale)
            points.append(d.times(radius**2 * scale).plus(d.quarter_turn(), aside))
        return points[0], points[1]

    apart = d0.dot(d1)
    t0, t1 = tangents(left)
    sine, cosine = multiply(left, t0.cross(t1)), t0.dot(t1)
    # The sine tells the sign of an arc in −π..π but near ±π; there the ends are on opposite rays, or on the same one.
    far = cosine < -0.5 * radius**2
    touches = (far & (apart < 0)) | (~far & (sine > 0))
    outside = radius**2 - close
    wraps = (squares[0] >= outside) & (squares[1] >= outside) & (span.dot(span) >= _TINY)
    wraps = wraps & (p0.dot(p0) > _TINY**2) & (p1.dot(p1) > _TINY**2) & (radius > _TINY)
    sense, winds = left, False
    if beside is None:
        wraps = wraps & touches
    else:
        long0, long1 = tangents(-left)
        side = flat(beside).unit()
        fraction = lax.clamp(0.0, -span.dot(d0) / at_least(span.dot(span), _TINY), 1.0)
        wraps = wraps & (touches | (side.dot(d0.plus(span, fraction)) < 0))
        # C's rule: the way whose chord is more on the side's side; but not a negative arc, unless the tangents miss
        # each other, which meet at R tan(½|arc|) from where they touch
        crossing = ~touches & (radius * lax.abs(sine) <= jnp.minimum(*roots) * (radius**2 + cosine))
        short = ~crossing & (t0.plus(t1).unit().dot(side) >= long0.plus(long1).unit().dot(side))
        t0, t1 = (Flat(*(select(short, *xy) for xy in zip(a, b, strict=True))) for a, b in ((t0, long0), (t1, long1)))
        sense = multiply(left, select(short, 1.0, -1.0))
        sine, cosine = multiply(sense, t0.cross(t1)), t0.dot(t1)
        winds = select(short, ~touches, (cosine > 0) & (apart > 0))  # once around, or all but once

    angle = lax.atan2(select(wraps, sine, 0.0), select(wraps, cosine, 1.0))
    arc = radius * select((angle < 0) | winds, angle + 2 * np.pi, angle)
    length = roots[0] + arc + roots[1]
    turn = multiply(sense, -1.0 / np.maximum(radius, _TINY))
    leaves, arrives = (t.quarter_turn().times(turn) for t in (t0, t1))
    if sphere:
        leaves, arrives = (ex.times(u.x).plus(ey.times(u.y)) for u in (leaves, arrives))
        return wraps, length, leaves, arrives
    return wraps, *_climbing(length, subtract(p1.z, p0.z), leaves, arrives)


def inside(p0: Vector, p1: Vector, radius: Component, sphere: bool) -> tuple[Any, Component, Vector, Vector]:
    """Way through the inside of a sphere or cylinder, as `outside` gives that around it."""
    ex, ey = _plane(p0, p1, sphere)
    d0, d1 = Flat(p0.norm(), 0.0) if sphere else Flat(p0.dot(ex), p0.dot(ey)), Flat(p1.dot(ex), p1.dot(ey))
    squares = [d0.dot(d0), d1.dot(d1)]
    outsiders = (squares[0] > radius**2) & (squares[1] > radius**2) & (radius > _TINY)
    squares = [select(outsiders, x, 4.0 * radius**2 + 1.0) for x in squares]
    a, b = (radius / lax.sqrt(x) for x in squares)
    across, along = d0.cross(d1), d0.dot(d1)
    apart = lax.atan2(square_root(multiply(across, across)), along)
    misses = apart < jnp.arccos(a) + jnp.arccos(b)  # the straight line and the ring
    wraps = outsiders & misses
    apart = select(wraps, apart, 0.1)

    def rise(theta: Component, a: Component, b: Component) -> tuple[Component, Component]:
        sine, cosine, value, slope = lax.sin(theta), lax.cos(theta), 2.0 * theta, 2.0
        for ratio in (a, b):
            value = value - jnp.arcsin(ratio * sine)
            slope = slope - ratio * cosine / lax.sqrt(1.0 - (ratio * sine) ** 2)
        return value, slope

    def down(_: Any, theta: Component) -> Component:
        value, slope = rise(theta, *fixed[:2])
        return jnp.clip(theta - (value - fixed[2]) / slope, 0.0, 0.5 * np.pi)

    fixed = [lax.stop_gradient(x) for x in jnp.broadcast_arrays(a, b, apart)]
    theta = lax.stop_gradient(lax.fori_loop(0, _NEWTON, down, jnp.full_like(fixed[2], 0.5 * np.pi)))
    value, _ = rise(theta, a, b)
    theta = theta - (value - apart) / lax.stop_gradient(rise(theta, *fixed[:2])[1])
    turn = theta - jnp.arcsin(a * lax.sin(theta))
    sense = 1.0 if sphere else select(across >= 0, 1.0, -1.0)
    towards, square = d0.unit(), Flat(multiply(-1.0, d0.unit().y), d0.unit().x)
    touch = towards.times(radius * lax.cos(turn)).plus(square, multiply(sense, radius * lax.sin(turn)))
    first, last = touch.plus(d0, -1.0), d1.plus(touch, -1.0)
    length = add(square_root(first.dot(first)), square_root(last.dot(last)))
    leaves, arrives = first.unit(), last.unit()
    if sphere:
        off, on = (ex.times(u.x).plus(ey.times(u.y)) for u in (leaves, arrives))
        return wraps, length, off, on
    return wraps, *_climbing(length, subtract(p1.z, p0.z), leaves, arrives)


def _climbing(length: Component, rise: Component, off: Flat, on: Flat) -> tuple[Component, Vector, Vector]:
    """A path in a cylinder's plane and how far it climbs along the axis, which it does steadily."""
    climbing = square_root(add(length * length, multiply(rise, rise)))
    inverse = 1.0 / at_least(climbing, _TINY)
    across, up = length * inverse, multiply(rise, inverse)
    leaves, arrives = (Vector(across * u.x, across * u.y, up) for u in (off, on))
    return climbing, leaves, arrives


def _plane(p0: Vector, p1: Vector, sphere: bool) -> tuple[Vector, Vector]:
    """Axes of the plane that a wrap is in: a cylinder's own, of a sphere those through both ends and the centre, in
    which the second end lies to the left."""
    if not sphere:
        return Vector(1.0, 0.0, 0.0), Vector(0.0, 1.0, 0.0)
    ex, normal = _unit(p0), p0.cross(p1)
    parallel = normal.dot(normal) < _TINY**2  # both ends on one ray: any plane through it will do
    steep = lax.abs(ex.x) < 0.6
    other = ex.cross(Vector(select(steep, 1.0, 0.0), select(steep, 0.0, 1.0), 0.0))
    return ex, _unit(choose(parallel, other, normal)).cross(ex)


def choose(condition: Any, yes: Vector, no: Vector) -> Vector:
    return Vector(*(select(condition, a, b) for a, b in zip(yes, no, strict=True)))


def _unit(v: Vector) -> Vector:
    return v.times(1.0 / at_least(v.norm(), _TINY))
