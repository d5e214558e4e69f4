"""How the bodies hang together: poses and joint screws, in the world's frame or in a body's own.

Motions are written as screws (ω, v), angular velocity and the velocity at the frame's origin (Featherstone 2008, doi
10.1007/978-1-4899-7560-7). Hinges and slides only. A joint that follows another (`mjx_msm.person.couplings`) moves with
the coordinate of that one: its travel, and how fast its screw goes, are polynomials of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jax import lax
from jaxtyping import Float

from mjx_msm.dynamics.vectors import IDENTITY, ZERO, Component, Rotation, Vector, add, multiply, subtract, total
from mjx_msm.person.couplings import Coupling, couplings, independent


class Pose(NamedTuple):
    """Of a body in some frame."""

    rotation: Rotation
    origin: Vector

    def carry(self, point: Vector) -> Vector:
        """A point of the body in that frame."""
        return self.origin.plus(self.rotation.turn(point))

    def seen(self, point: Vector) -> Vector:
        """A point of that frame in the body's own."""
        return self.rotation.turn_back(point.minus(self.origin))


class Screw(NamedTuple):
    """Angular velocity, and the velocity of the point of the body that passes the frame's origin.

    A wrench likewise: its moment about the origin, and its force.
    """

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

    def carried(self, parent: Pose) -> Screw:
        """From a frame to one that sees it in this pose."""
        angular = parent.rotation.turn(self.angular)
        return Screw(angular, parent.rotation.turn(self.linear).plus(parent.origin.cross(angular)))

    def pairing(self, other: Screw) -> Component:
        """Power of a wrench (moment, force) along this motion."""
        return add(self.angular.dot(other.angular), self.linear.dot(other.linear))

    def about(self, body: Pose) -> Screw:
        """In a body's axes, about the body's origin."""
        linear = self.linear.plus(self.angular.cross(body.origin))
        return Screw(body.rotation.turn_back(self.angular), body.rotation.turn_back(linear))


STILL = Screw(ZERO, ZERO)


def _sum(screws: Sequence[Screw]) -> Screw:
    out = STILL
    for s in screws:
        out = out.plus(s)
    return out


@dataclass(frozen=True, eq=False)
class Tree:
    """Topology of a compiled model."""

    m: mujoco.MjModel
    joints: list[list[int]]
    """Joints that move a body, from the root on."""
    coordinates: list[int]
    """The joints that are coordinates, in their order."""
    followers: Mapping[int, Coupling]
    gravity: Float[np.ndarray, "3"]

    def coordinate(self, joint: int) -> int:
        """Which coordinate moves a joint; -1: none."""
        own = self.followers.get(joint)
        driver = joint if own is None else own.driver
        return self.coordinates.index(driver) if driver >= 0 else -1

    def moved_apart(self, *pairs: tuple[int, int]) -> tuple[int, ...]:
        """Coordinates that move any of these pairs of bodies relative to each other."""
        between = (j for a, b in pairs for j in {*self.joints[a]} ^ {*self.joints[b]})
        return tuple(sorted({self.coordinate(j) for j in between} - {-1}))

    def travel(self, position: Any, joint: int) -> Component:
        """How far a joint is from its reference."""
        own = self.followers.get(joint)
        return self._past(position, joint) if own is None else _horner(own.powers, self._past(position, own.driver))

    def rates(self, position: Any, joint: int) -> tuple[Component, Component]:
        """First and second derivative of the travel by the joint's coordinate."""
        own = self.followers.get(joint)
        if own is None:
            return 1.0, 0.0
        x, law = self._past(position, own.driver), np.polynomial.Polynomial(own.powers)
        return _horner(law.deriv().coef, x), _horner(law.deriv(2).coef, x)

    def _past(self, position: Any, joint: int) -> Component:
        """How far a coordinate is past its reference."""
        if joint < 0:
            return 0.0
        return subtract(position[self.coordinates.index(joint)], float(self.m.qpos0[self.m.jnt_qposadr[joint]]))


def _horner(powers: Sequence[float] | np.ndarray, x: Component) -> Component:
    out: Component = 0.0
    for c in powers[::-1]:
        out = add(multiply(out, x), float(c))
    return out


@lru_cache(maxsize=16)
def tree_of(m: mujoco.MjModel) -> Tree:
    joints: list[list[int]] = [[]]
    for b in range(1, m.nbody):
        own = range(m.body_jntadr[b], m.body_jntadr[b] + m.body_jntnum[b])
        joints.append([*joints[m.body_parentid[b]], *own])
    falls = not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_GRAVITY
    return Tree(m, joints, independent(m), couplings(m), m.opt.gravity * falls)


class Motion(NamedTuple):
    """Of a body, about its own origin and in its own axes."""

    columns: dict[int, Screw]
    """Per velocity of every joint that carries the body, by coordinate."""
    velocity: Screw
    acceleration_bias: Screw
    """Acceleration at q̈ = 0, minus gravity."""

    def acceleration(self, of_joints: Any) -> Screw:
        """Minus gravity, for these accelerations of the coordinates."""
        return _sum([self.acceleration_bias, *(s.times(of_joints[j]) for j, s in self.columns.items())])


def motions(tree: Tree, position: Any, velocity: Any) -> list[Motion]:
    """How every body moves, from the root on (Featherstone 2008, table 5.1)."""
    m = tree.m
    out, fall, drift = [Motion({}, STILL, STILL)], [Vector.of(tree.gravity)], [STILL]
    for b in range(1, m.nbody):
        parent, own = int(m.body_parentid[b]), []
        pose = _inwards(tree, position, b, Pose(IDENTITY, ZERO), own)
        before = out[parent]
        columns = {c: s.carried(pose) for c, s in before.columns.items()}
        speed, bias = before.velocity.carried(pose), drift[parent].carried(pose)
        for j, screw in reversed(own):
            c, (slope, bend) = tree.coordinate(j), tree.rates(position, j)
            if c < 0:
                continue
            along = screw.times(slope)
            bias = bias.plus(along.moved_by(speed).times(velocity[c]))
            bias = bias.plus(screw.times(multiply(bend, multiply(velocity[c], velocity[c]))))
            speed = speed.plus(along.times(velocity[c]))
            columns[c] = columns[c].plus(along) if c in columns else along
        fall.append(pose.rotation.turn(fall[parent]))
        drift.append(bias)
        lift = Screw(ZERO, fall[b].times(float(m.body_gravcomp[b]) - 1.0))
        out.append(Motion(columns, speed, bias.plus(lift)))
    return out


def seen_from(tree: Tree, position: Any, base: int, body: int) -> tuple[Pose, dict[int, Screw]]:
    """Pose of a body in the frame of another, and by coordinate how it moves relative to that."""
    m, pose = tree.m, Pose(IDENTITY, ZERO)
    with_base: list[tuple[int, Screw]] = []
    with_body: list[tuple[int, Screw]] = []
    way = [body]
    while way[-1]:
        way.append(int(m.body_parentid[way[-1]]))
    while base not in way:
        pose, base = _inwards(tree, position, base, pose, with_base), int(m.body_parentid[base])
    for b in reversed(way[: way.index(base)]):
        pose = _outwards(tree, position, b, pose, with_body)
    screws: dict[int, Screw] = {}
    for passed, sign in ((with_base, -1.0), (with_body, 1.0)):
        for j, screw in passed:
            c, slope = tree.coordinate(j), tree.rates(position, j)[0]
            if c >= 0:
                along = screw.times(multiply(sign, slope))
                screws[c] = screws[c].plus(along) if c in screws else along
    return pose, screws


def _outwards(tree: Tree, position: Any, body: int, parent: Pose, passed: list[tuple[int, Screw]]) -> Pose:
    """From the pose of a body's parent to its own; its joints and their screws are added."""
    m = tree.m
    origin = parent.carry(Vector.of(m.body_pos[body]))
    rotation = parent.rotation.after(rotation_of(m.body_quat[body]))
    for j in range(m.body_jntadr[body], m.body_jntadr[body] + m.body_jntnum[body]):
        travel, axis, anchor = _joint(tree, position, j, Pose(rotation, origin), passed)
        if m.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE:
            rotation = rotation.after(hinge(m.jnt_axis[j], travel))
            origin = anchor.minus(rotation.turn(Vector.of(m.jnt_pos[j])))
        else:
            origin = origin.plus(axis.times(travel))
    return Pose(rotation, origin)


def _inwards(tree: Tree, position: Any, body: int, own: Pose, passed: list[tuple[int, Screw]]) -> Pose:
    """From the pose of a body to that of its parent; its joints and their screws are added, the last one first."""
    m = tree.m
    rotation, origin = own
    for j in reversed(range(m.body_jntadr[body], m.body_jntadr[body] + m.body_jntnum[body])):
        travel, axis, anchor = _joint(tree, position, j, Pose(rotation, origin), passed)
        if m.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE:
            rotation = rotation.after(hinge(m.jnt_axis[j], travel).transpose())
            origin = anchor.minus(rotation.turn(Vector.of(m.jnt_pos[j])))
        else:
            origin = origin.minus(axis.times(travel))
    rotation = rotation.after(rotation_of(m.body_quat[body]).transpose())
    return Pose(rotation, origin.minus(rotation.turn(Vector.of(m.body_pos[body]))))


def _joint(
    tree: Tree, position: Any, j: int, body: Pose, passed: list[tuple[int, Screw]]
) -> tuple[Component, Vector, Vector]:
    """Travel, axis and anchor of a joint, which are the same on both sides of it; it and its screw are added."""
    m = tree.m
    axis, anchor = body.rotation.turn(Vector.of(m.jnt_axis[j])), body.carry(Vector.of(m.jnt_pos[j]))
    turns = m.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE
    passed.append((j, Screw(axis, anchor.cross(axis)) if turns else Screw(ZERO, axis)))
    return tree.travel(position, j), axis, anchor


def rotation_of(quaternion: Float[np.ndarray, "4"]) -> Rotation:
    out = np.zeros(9)
    mujoco.mju_quat2Mat(out, quaternion)
    return Rotation.of(out.reshape(3, 3))


def hinge(axis: Float[np.ndarray, "3"], angle: Component) -> Rotation:
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
