"""How the bodies hang together: poses and joint screws, in the world's frame or in a body's own.

Motions are written as screws (ω, v), angular velocity and the velocity at the frame's origin (Featherstone 2008, doi
10.1007/978-1-4899-7560-7). Hinges and slides only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jax import lax
from jaxtyping import Float

from mjx_msm.dynamics.vectors import IDENTITY, ZERO, Component, Rotation, Vector, add, multiply, subtract, total


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
    """Coordinates that move a body, from the root on."""
    gravity: Float[np.ndarray, "3"]


@lru_cache(maxsize=16)
def tree_of(m: mujoco.MjModel) -> Tree:
    joints: list[list[int]] = [[]]
    for b in range(1, m.nbody):
        own = range(m.body_dofadr[b], m.body_dofadr[b] + m.body_dofnum[b])
        joints.append([*joints[m.body_parentid[b]], *own])
    falls = not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_GRAVITY
    return Tree(m, joints, m.opt.gravity * falls)


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
        parent, own = int(m.body_parentid[b]), {}
        pose = _inwards(tree, position, b, Pose(IDENTITY, ZERO), own)
        before = out[parent]
        columns = {j: s.carried(pose) for j, s in before.columns.items()}
        speed, bias = before.velocity.carried(pose), drift[parent].carried(pose)
        for j in sorted(own):
            bias = bias.plus(own[j].moved_by(speed).times(velocity[j]))
            speed = speed.plus(own[j].times(velocity[j]))
        fall.append(pose.rotation.turn(fall[parent]))
        drift.append(bias)
        lift = Screw(ZERO, fall[b].times(float(m.body_gravcomp[b]) - 1.0))
        out.append(Motion({**columns, **own}, speed, bias.plus(lift)))
    return out


def seen_from(tree: Tree, position: Any, base: int, body: int) -> tuple[Pose, dict[int, Screw]]:
    """Pose of a body in the frame of another, and the screws of the joints between them by coordinate.

    Of joints that carry `base` too, the rest moves against the screw.
    """
    m, pose, screws = tree.m, Pose(IDENTITY, ZERO), {}
    way = [body]
    while way[-1]:
        way.append(int(m.body_parentid[way[-1]]))
    while base not in way:
        pose, base = _inwards(tree, position, base, pose, screws), int(m.body_parentid[base])
    for b in reversed(way[: way.index(base)]):
        pose = _outwards(tree, position, b, pose, screws)
    return pose, screws


def _outwards(tree: Tree, position: Any, body: int, parent: Pose, screws: dict[int, Screw]) -> Pose:
    """From the pose of a body's parent to its own; the screws of its joints are added."""
    m = tree.m
    origin = parent.carry(Vector.of(m.body_pos[body]))
    rotation = parent.rotation.after(rotation_of(m.body_quat[body]))
    for j in range(m.body_jntadr[body], m.body_jntadr[body] + m.body_jntnum[body]):
        travel, axis, anchor = _joint(tree, position, j, Pose(rotation, origin), screws)
        if m.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE:
            rotation = rotation.after(hinge(m.jnt_axis[j], travel))
            origin = anchor.minus(rotation.turn(Vector.of(m.jnt_pos[j])))
        else:
            origin = origin.plus(axis.times(travel))
    return Pose(rotation, origin)


def _inwards(tree: Tree, position: Any, body: int, own: Pose, screws: dict[int, Screw]) -> Pose:
    """From the pose of a body to that of its parent; the screws of its joints are added."""
    m = tree.m
    rotation, origin = own
    for j in reversed(range(m.body_jntadr[body], m.body_jntadr[body] + m.body_jntnum[body])):
        travel, axis, anchor = _joint(tree, position, j, Pose(rotation, origin), screws)
        if m.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE:
            rotation = rotation.after(hinge(m.jnt_axis[j], travel).transpose())
            origin = anchor.minus(rotation.turn(Vector.of(m.jnt_pos[j])))
        else:
            origin = origin.minus(axis.times(travel))
    rotation = rotation.after(rotation_of(m.body_quat[body]).transpose())
    return Pose(rotation, origin.minus(rotation.turn(Vector.of(m.body_pos[body]))))


def _joint(tree: Tree, position: Any, j: int, body: Pose, screws: dict[int, Screw]) -> tuple[Component, Vector, Vector]:
    """Travel, axis and anchor of a joint, which are the same on both sides of it; its screw is added."""
    m = tree.m
    axis, anchor = body.rotation.turn(Vector.of(m.jnt_axis[j])), body.carry(Vector.of(m.jnt_pos[j]))
    turns = m.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE
    screws[int(m.jnt_dofadr[j])] = Screw(axis, anchor.cross(axis)) if turns else Screw(ZERO, axis)
    return subtract(position[m.jnt_qposadr[j]], float(m.qpos0[m.jnt_qposadr[j]])), axis, anchor


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
