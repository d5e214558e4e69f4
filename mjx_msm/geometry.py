"""Where the bodies are and how the muscles run: everything in the equations of motion that no parameter changes.

Motions are written as screws (ω, v), angular velocity and the velocity at the world's origin, so that joints, lines of
action and bodies meet in one coordinate system (Featherstone 2008, doi 10.1007/978-1-4899-7560-7): joint j moves by its
screw, and a straight piece of a path along the line (u, p × u) has the moment arm v·u + ω·(p × u), whichever point p of
the line is taken. Wrapping follows MuJoCo's `mju_wrap` for the outside of spheres and cylinders.

Hinges and slides only. The oracle is C MuJoCo, to rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from mjx_msm.model import Model
from mjx_msm.vectors import (
    IDENTITY,
    ZERO,
    Component,
    Rotation,
    Vector,
    add,
    at_least,
    multiply,
    select,
    square_root,
    subtract,
    total,
)

_TINY = mujoco.mjMINVAL


class Geometry(eqx.Module):
    """Bodies and muscle paths at one position and velocity."""

    path_length: Float[Array, "muscle"]
    """[m]."""
    moment_arm: Float[Array, "muscle coordinate"]
    """−∂L/∂q [m]: positive where tension drives the coordinate up."""
    stops: Float[Array, "coordinate"]
    """Generalised force of springs and dampers along tendons, which also stand for joint limits [N·m]."""
    armature: Float[Array, "coordinate coordinate"]
    """Inertia of joints and tendons themselves [kg·m²]."""
    jacobian: Float[Array, "body 6 coordinate"]
    """Velocity of a body per joint velocity: angular, and linear at the body's origin, in the body's axes."""
    velocity: Float[Array, "body 6"]
    """Of every body, likewise [rad/s, m/s]."""
    acceleration_bias: Float[Array, "body 6"]
    """Acceleration of every body at q̈ = 0, minus gravity, likewise [rad/s², m/s²]."""


class Screw(NamedTuple):
    """Angular velocity, and the velocity of the point of the body that passes the world's origin."""

    angular: Vector
    linear: Vector

    def plus(self, other: Screw) -> Screw:
        return Screw(self.angular.plus(other.angular), self.linear.plus(other.linear))

    def times(self, factor: Component) -> Screw:
        return Screw(self.angular.times(factor), self.linear.times(factor))

    def moved_by(self, motion: Screw) -> Screw:
        """Rate of change of this screw, fixed in a body that moves by `motion`."""
        return Screw(
            motion.angular.cross(self.angular),
            motion.angular.cross(self.linear).plus(motion.linear.cross(self.angular)),
        )

    def seen_from(self, rotation: Rotation, origin: Vector) -> list[Component]:
        """Its six components in a body's axes, about the body's origin."""
        linear = self.linear.plus(self.angular.cross(origin))
        return [*rotation.turn_back(self.angular), *rotation.turn_back(linear)]


STILL = Screw(ZERO, ZERO)


@dataclass(frozen=True)
class Place:
    """A point that is fixed in a body."""

    body: int
    """Its number in the model."""
    offset: tuple[float, float, float]
    """In the body's frame [m]."""


class Paths(eqx.Module):
    """Tendons at one position."""

    length: Float[Array, "tendon"]
    """[m]; of a tendon over joints, its own unit."""
    slope: Float[Array, "tendon coordinate"]
    """∂L/∂q."""


def paths(model: Model, position: Float[Array, "coordinate"]) -> Paths:
    """Lengths of the tendons and their derivatives: the costly part of the geometry, of position only."""
    tree = _tree(model.host.skeleton)
    length, slope = _paths(tree, _frames(tree, position), position)
    return Paths(_array(length), _array(slope))


def geometry(
    model: Model,
    position: Float[Array, "coordinate"],
    velocity: Float[Array, "coordinate"],
    along: Paths | None = None,
) -> Geometry:
    """Evaluate the model's geometry at one state; differentiable in both modes. Bodies as in `Parameters.body`.

    **Arguments:** `along`: `paths` at the same position, if they are known.
    """
    position, velocity = jnp.asarray(position), jnp.asarray(velocity)
    tree = _tree(model.host.skeleton)
    at = _frames(tree, position)
    along = paths(model, position) if along is None else along
    path_length, moment_arm, stops, armature = _tendons(tree, along, position, velocity)

    def motion(screws: list[Screw], joints: list[int]) -> Screw:
        out = STILL
        for j in joints:
            out = out.plus(screws[j].times(velocity[j]))
        return out

    drift = [s.moved_by(motion(at.screws, tree.before[j])) for j, s in enumerate(at.screws)]
    gravity = Screw(ZERO, Vector.of(tree.gravity))
    jacobian, speed, bias = [], [], []
    for body in model.host.body_ids:
        frame = at.rotation[body], at.origin[body]
        joints = tree.joints[body]
        columns = [s if j in joints else STILL for j, s in enumerate(at.screws)]
        jacobian.append([list(row) for row in zip(*(c.seen_from(*frame) for c in columns), strict=True)])
        speed.append(motion(at.screws, joints).seen_from(*frame))
        lift = gravity.times(-(1.0 - float(tree.m.body_gravcomp[body])))
        bias.append(motion(drift, joints).plus(lift).seen_from(*frame))
    return Geometry(path_length, moment_arm, stops, armature, _array(jacobian), _array(speed), _array(bias))


def points(model: Model, position: Float[Array, "coordinate"], places: tuple[Place, ...]) -> Float[Array, "place 3"]:
    """Where points that are fixed in bodies are in the world [m]."""
    tree = _tree(model.host.skeleton)
    at = _frames(tree, jnp.asarray(position))
    return _array([[*_point(at, place)] for place in places]) if places else jnp.zeros((0, 3))


def line_of_action(
    model: Model, position: Float[Array, "coordinate"], place: Place, direction: Float[Array, "3"]
) -> Float[Array, "coordinate"]:
    """Generalised force of a unit force in a direction of the world on a point of a body, [m] or [-]: Jᵀ n."""
    tree = _tree(model.host.skeleton)
    at = _frames(tree, jnp.asarray(position))
    n = Vector(*jnp.asarray(direction))
    moment = _point(at, place).cross(n)
    arms = [
        add(s.linear.dot(n), s.angular.dot(moment)) if j in tree.joints[place.body] else 0.0
        for j, s in enumerate(at.screws)
    ]
    return _array(arms)


def _array(nested: Any) -> Array:
    """Nested lists of components as one array."""
    if isinstance(nested, list):
        return jnp.stack([_array(x) for x in nested]) if nested else jnp.zeros(0)
    return jnp.asarray(nested, dtype=float)


# The kinematic tree ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Tree:
    """Topology of a compiled model."""

    m: mujoco.MjModel
    joints: list[list[int]]
    """Coordinates that move a body, from the root on."""
    before: list[list[int]]
    """Coordinates that move the axis of a coordinate's joint."""
    gravity: Float[np.ndarray, "3"]


@lru_cache(maxsize=16)
def _tree(m: mujoco.MjModel) -> _Tree:
    joints: list[list[int]] = [[]]
    for b in range(1, m.nbody):
        own = range(m.body_dofadr[b], m.body_dofadr[b] + m.body_dofnum[b])
        joints.append([*joints[m.body_parentid[b]], *own])
    before = [[i for i in joints[m.dof_bodyid[j]] if i < j] for j in range(m.nv)]
    falls = not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_GRAVITY
    return _Tree(m, joints, before, m.opt.gravity * falls)


class _Frames(NamedTuple):
    rotation: list[Rotation]
    origin: list[Vector]
    screws: list[Screw]


def _frames(tree: _Tree, position: Float[Array, "coordinate"]) -> _Frames:
    """Pose of every body and screw of every joint."""
    m = tree.m
    frames = _Frames([IDENTITY], [ZERO], [])
    for b in range(1, m.nbody):
        parent = m.body_parentid[b]
        rotation = frames.rotation[parent].after(_rotation(m.body_quat[b]))
        origin = frames.origin[parent].plus(frames.rotation[parent].turn(Vector.of(m.body_pos[b])))
        for j in range(m.body_jntadr[b], m.body_jntadr[b] + m.body_jntnum[b]):
            travel = subtract(position[m.jnt_qposadr[j]], float(m.qpos0[m.jnt_qposadr[j]]))
            offset = Vector.of(m.jnt_pos[j])
            axis = rotation.turn(Vector.of(m.jnt_axis[j]))
            if m.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE:
                anchor = origin.plus(rotation.turn(offset))
                frames.screws.append(Screw(axis, anchor.cross(axis)))
                rotation = rotation.after(_hinge(m.jnt_axis[j], travel))
                origin = anchor.minus(rotation.turn(offset))
            else:
                frames.screws.append(Screw(ZERO, axis))
                origin = origin.plus(axis.times(travel))
        frames.rotation.append(rotation)
        frames.origin.append(origin)
    return frames


def _point(at: _Frames, place: Place) -> Vector:
    return at.origin[place.body].plus(at.rotation[place.body].turn(Vector(*place.offset)))


def _rotation(quaternion: Float[np.ndarray, "4"]) -> Rotation:
    out = np.zeros(9)
    mujoco.mju_quat2Mat(out, quaternion)
    return Rotation.of(out.reshape(3, 3))


def _hinge(axis: Float[np.ndarray, "3"], angle: Component) -> Rotation:
    """Rotation about a fixed axis: 1 + sin φ [a] + (1 − cos φ) [a]² (Rodrigues)."""
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    twice = cross @ cross
    sine, cosine = lax.sin(angle), lax.cos(angle)
    # 1 + (1 − cos φ) t = (1 + t) − t cos φ, so that a unit axis leaves its own row and column constant
    return Rotation(
        *(
            Vector(
                *(
                    total((
                        float((r == c) + twice[r, c]),
                        multiply(float(-twice[r, c]), cosine),
                        multiply(float(cross[r, c]), sine),
                    ))
                    for c in range(3)
                )
            )
            for r in range(3)
        )
    )  # fmt: skip


# Paths -----------------------------------------------------------------------------------------------------


def _tendons(
    tree: _Tree, along: Paths, position: Float[Array, "coordinate"], velocity: Float[Array, "coordinate"]
) -> tuple[Array, Array, Array, Array]:
    """Muscle lengths and moment arms, and what tendons do by themselves: springs, dampers, armature."""
    m = tree.m
    length, slope = along.length, along.slope
    muscle_length, arms = [], []
    for i in range(m.nu):
        target, gear = int(m.actuator_trnid[i, 0]), float(m.actuator_gear[i, 0])
        if m.actuator_trntype[i] == mujoco.mjtTrn.mjTRN_TENDON:
            muscle_length.append(multiply(gear, length[target]))
            arms.append([multiply(-gear, x) for x in slope[target]])
        else:  # on a joint
            muscle_length.append(multiply(gear, position[m.jnt_qposadr[target]]))
            arms.append([-gear * float(j == m.jnt_dofadr[target]) for j in range(m.nv)])

    stops: list[Component] = [0.0] * m.nv
    inertia: list[list[Component]] = [[float(m.dof_armature[i]) * (i == j) for j in range(m.nv)] for i in range(m.nv)]
    for t in range(m.ntendon):
        stiffness, damping, armature = (
            float(np.ravel(x[t])[0]) for x in (m.tendon_stiffness, m.tendon_damping, m.tendon_armature)
        )
        force: Component = 0.0
        if stiffness:
            low, high = map(float, m.tendon_lengthspring[t])
            slack = select(length[t] < low, low - length[t], select(length[t] > high, high - length[t], 0.0))
            force = stiffness * slack
        if damping:
            rate = total(multiply(velocity[j], slope[t][j]) for j in range(m.nv))
            force = subtract(force, multiply(damping, rate))
        if armature:
            for i in range(m.nv):
                for j in range(m.nv):
                    inertia[i][j] = add(inertia[i][j], multiply(armature, multiply(slope[t][i], slope[t][j])))

            def slopes(q: Array, t: int = t) -> Array:
                return _array(_paths(tree, _frames(tree, q), q)[1][t])

            bend = jax.jvp(slopes, (position,), (velocity,))[1]
            force = subtract(force, armature * (bend @ velocity))
        for j in range(m.nv):
            stops[j] = add(stops[j], multiply(slope[t][j], force))
    return _array(muscle_length), _array(arms), _array(stops), _array(inertia)


def _paths(
    tree: _Tree, frames: _Frames, position: Float[Array, "coordinate"]
) -> tuple[list[Component], list[list[Component]]]:
    """Length of every tendon and its derivative with respect to the coordinates."""
    m, wrap = tree.m, mujoco.mjtWrap
    length: list[Component] = [0.0] * m.ntendon
    slope: list[list[Component]] = [[0.0] * m.nv for _ in range(m.ntendon)]

    def site(s: int) -> tuple[Vector, int]:
        body = int(m.site_bodyid[s])
        return frames.origin[body].plus(frames.rotation[body].turn(Vector.of(m.site_pos[s]))), body

    def straight(start: Vector, end: Vector, on: int, to: int) -> tuple[Component, dict[int, Component]]:
        """Length of a straight piece from body `on` to body `to`, and its derivative by coordinate."""
        span = end.minus(start)
        distance = span.norm()
        u = span.times(1.0 / at_least(distance, _TINY))
        moment = start.cross(u)
        reach = {}
        for j in {*tree.joints[on]} ^ {*tree.joints[to]}:
            arm = add(frames.screws[j].linear.dot(u), frames.screws[j].angular.dot(moment))
            reach[j] = multiply(1.0 if j in tree.joints[to] else -1.0, arm)
        return distance, reach

    for t in range(m.ntendon):
        share, end = 1.0, m.tendon_adr[t] + m.tendon_num[t]
        for w in range(m.tendon_adr[t], end):
            kind, element = wrap(m.wrap_type[w]), int(m.wrap_objid[w])
            distance: Component = 0.0
            reaches: list[dict[int, Component]] = []
            if kind == wrap.mjWRAP_PULLEY:
                share = 1.0 / max(float(m.wrap_prm[w]), _TINY)
            elif kind == wrap.mjWRAP_JOINT:
                coefficient = float(m.wrap_prm[w])
                distance = multiply(coefficient, position[m.jnt_qposadr[element]])
                reaches = [{int(m.jnt_dofadr[element]): coefficient}]
            elif kind == wrap.mjWRAP_SITE and w + 1 < end and wrap(m.wrap_type[w + 1]) == wrap.mjWRAP_SITE:
                (p0, on), (p1, to) = site(element), site(int(m.wrap_objid[w + 1]))
                distance, *reaches = straight(p0, p1, on, to)
            elif kind in (wrap.mjWRAP_SPHERE, wrap.mjWRAP_CYLINDER):
                (p0, on), (p1, to) = site(int(m.wrap_objid[w - 1])), site(int(m.wrap_objid[w + 1]))
                body, side = int(m.geom_bodyid[element]), round(float(m.wrap_prm[w]))
                rotation = frames.rotation[body].after(_rotation(m.geom_quat[element]))
                centre = frames.origin[body].plus(frames.rotation[body].turn(Vector.of(m.geom_pos[element])))
                wraps, arc, touch0, touch1 = _wrap(
                    rotation.turn_back(p0.minus(centre)),
                    rotation.turn_back(p1.minus(centre)),
                    rotation.turn_back(site(side)[0].minus(centre)) if side >= 0 else None,
                    float(m.geom_size[element, 0]),
                    kind == wrap.mjWRAP_SPHERE,
                )
                # Where nothing wraps both pieces are the straight line, and the geom's body drops out of their sum.
                before, reach0 = straight(p0, _choose(wraps, centre.plus(rotation.turn(touch0)), p1), on, body)
                after, reach1 = straight(_choose(wraps, centre.plus(rotation.turn(touch1)), p0), p1, body, to)
                distance, reaches = select(wraps, before + arc + after, before), [reach0, reach1]
            length[t] = add(length[t], multiply(share, distance))
            for reach in reaches:
                for j, value in reach.items():
                    slope[t][j] = add(slope[t][j], multiply(share, value))
    return length, slope


def _choose(condition: Any, yes: Vector, no: Vector) -> Vector:
    return Vector(*(select(condition, a, b) for a, b in zip(yes, no, strict=True)))


class _Flat(NamedTuple):
    """A vector in the plane of a wrap."""

    x: Component
    y: Component

    def dot(self, other: _Flat) -> Component:
        return add(multiply(self.x, other.x), multiply(self.y, other.y))

    def cross(self, other: _Flat) -> Component:
        return subtract(multiply(self.x, other.y), multiply(self.y, other.x))

    def plus(self, other: _Flat, factor: Component = 1.0) -> _Flat:
        return _Flat(add(self.x, multiply(factor, other.x)), add(self.y, multiply(factor, other.y)))

    def times(self, factor: Component) -> _Flat:
        return _Flat(multiply(factor, self.x), multiply(factor, self.y))

    def quarter_turn(self) -> _Flat:
        return _Flat(self.y, -self.x)

    def unit(self) -> _Flat:
        return self.times(1.0 / at_least(square_root(self.dot(self)), _TINY))


def _wrap(
    p0: Vector, p1: Vector, beside: Vector | None, radius: float, sphere: bool
) -> tuple[Any, Component, Vector, Vector]:
    """Shortest way around the outside of a sphere or cylinder, in the geom's own frame [m].

    **Arguments:** both ends; `beside`: the side site, if there is one, which says which way around.

    **Returns:** whether it wraps at all, the arc's length, the points where it begins and ends.
    """
    if sphere:  # the plane through both ends and the centre
        ex, normal = _unit(p0), p0.cross(p1)
        parallel = normal.dot(normal) < _TINY**2  # both ends on one ray: any plane through it will do
        steep = lax.abs(ex.x) < 0.6
        other = ex.cross(Vector(select(steep, 1.0, 0.0), select(steep, 0.0, 1.0), 0.0))
        ey = _unit(_choose(parallel, other, normal)).cross(ex)
    else:
        ex, ey = Vector(1.0, 0.0, 0.0), Vector(0.0, 1.0, 0.0)

    def flat(p: Vector) -> _Flat:
        return _Flat(p.dot(ex), p.dot(ey))

    d0, d1 = flat(p0), flat(p1)
    square0, square1, span = d0.dot(d0), d1.dot(d1), d1.plus(d0, -1.0)
    distance = span.dot(span)
    fraction = lax.clamp(0.0, -span.dot(d0) / at_least(distance, _TINY), 1.0)
    nearest = d0.plus(span, fraction)
    clear = nearest.dot(nearest) > radius**2
    side = None if beside is None else flat(beside).unit().times(radius)
    if side is not None:
        clear = clear & (side.dot(nearest) >= 0)

    def tangents(sense: float) -> tuple[_Flat, _Flat, Any, Any]:
        """Points where both ends touch the circle on one side, how good that side is, whether the lines cross."""
        points = []
        for d, square, sign in ((d0, square0, sense), (d1, square1, -sense)):
            scale = 1.0 / at_least(square, _TINY)
            root = lax.sqrt(at_least(square - radius**2, _TINY))
            points.append(d.times(radius**2 * scale).plus(d.quarter_turn(), sign * radius * root * scale))
        a, b = points
        gap = a.plus(b, -1.0)
        good = -gap.dot(gap) if side is None else a.plus(b).unit().dot(side)
        crossing = _cross(d0, a, d1, b)
        return a, b, select(crossing, -1e4, good), crossing

    a0, a1, good_a, crossing_a = tangents(1.0)
    b0, b1, good_b, crossing_b = tangents(-1.0)
    second = good_b > good_a
    t0, t1 = (_Flat(select(second, b.x, a.x), select(second, b.y, a.y)) for a, b in ((a0, b0), (a1, b1)))
    crossing = select(second, crossing_b, crossing_a)
    blocked = (square0 < radius**2) | (square1 < radius**2) | (distance < _TINY) | crossing
    wraps = ~(clear | blocked) & (p0.dot(p0) > _TINY**2) & (p1.dot(p1) > _TINY**2) & (radius > _TINY)

    sweep = select(second, 1.0, -1.0) * t0.cross(t1)
    angle = lax.atan2(select(wraps, sweep, 0.0), select(wraps, t0.dot(t1), 1.0))
    arc = radius * select(angle < 0, angle + 2 * np.pi, angle)
    if sphere:
        start, end = (ex.times(t.x).plus(ey.times(t.y)) for t in (t0, t1))
        return wraps, arc, start, end
    # around a cylinder the path climbs steadily
    out, back = d0.plus(t0, -1.0), d1.plus(t1, -1.0)
    way, rise = square_root(out.dot(out)), subtract(p1.z, p0.z)
    steepness = multiply(rise, 1.0 / at_least(way + arc + square_root(back.dot(back)), _TINY))
    begin, climb = add(p0.z, multiply(steepness, way)), multiply(steepness, arc)
    length = square_root(add(arc * arc, multiply(climb, climb)))
    return wraps, length, Vector(t0.x, t0.y, begin), Vector(t1.x, t1.y, add(begin, climb))


def _unit(v: Vector) -> Vector:
    return v.times(1.0 / at_least(v.norm(), _TINY))


def _cross(a0: _Flat, a1: _Flat, b0: _Flat, b1: _Flat) -> Any:
    """Whether two line segments in the plane cross."""
    along, other, between = a1.plus(a0, -1.0), b1.plus(b0, -1.0), a0.plus(b0, -1.0)
    determinant = along.cross(other)
    parallel = lax.abs(determinant) < _TINY
    inverse = 1.0 / select(parallel, 1.0, determinant)
    a, b = other.cross(between) * inverse, along.cross(between) * inverse
    return ~parallel & (a >= 0) & (a <= 1) & (b >= 0) & (b <= 1)
