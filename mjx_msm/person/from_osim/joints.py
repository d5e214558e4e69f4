"""A joint of OpenSim: its axes, MuJoCo's joints that are the same, or the hinge that comes nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from mjx_msm.common.errors import InputError
from mjx_msm.person.from_osim.opened import Coordinate, OpenedModel, Pose, pose_of, working_range

LINEAR = 1e-9
"""[rad or m]: a function this near its chord is linear."""
SAMPLES = 41
"""Of a coordinate over its working range."""


@dataclass(frozen=True, eq=False)
class Joint:
    """A hinge or slide, named as OpenSim's coordinate, with its zero and sign."""

    coordinate: Coordinate
    axis: Float[np.ndarray, "3"]
    """In the body's frame at zero."""
    anchor: Float[np.ndarray, "3"]
    """[m]."""
    follower: str = ""
    """Name of a joint that is no coordinate but follows one, `coordinate`, by a polynomial."""
    turns: bool = True
    powers: tuple[float, ...] = ()
    """Of the coordinate, from the power 0 on."""


@dataclass(frozen=True, eq=False)
class Axis:
    turns: bool
    direction: Float[np.ndarray, "3"]
    coordinates: tuple[str, ...]
    function: Any
    """None: the coordinate itself."""

    def __call__(self, opensim: Any, values: Sequence[float]) -> float:
        if self.function is None:
            return values[0]
        vector = opensim.Vector(max(len(values), 1), 0.0)
        for i, value in enumerate(values):
            vector.set(i, value)
        return self.function.calcValue(vector)


_X, _Y, _Z = np.eye(3)
_KINDS = {  # (turns, axis) of each coordinate, in order
    "WeldJoint": (),
    "PinJoint": ((True, _Z),),
    "SliderJoint": ((False, _X),),
    "UniversalJoint": ((True, _X), (True, _Y)),
    "GimbalJoint": ((True, _X), (True, _Y), (True, _Z)),
    "BallJoint": ((True, _X), (True, _Y), (True, _Z)),
    "PlanarJoint": ((True, _Z), (False, _X), (False, _Y)),
    "FreeJoint": ((True, _X), (True, _Y), (True, _Z), (False, _X), (False, _Y), (False, _Z)),
}


def axes_of(opened: OpenedModel, joint: Any) -> list[Axis]:
    """Translations, then rotations, each about the frame that those before it have turned."""
    kind, opensim = joint.getConcreteClassName(), opened.opensim
    if kind == "CustomJoint":
        transform = opensim.CustomJoint.safeDownCast(joint).getSpatialTransform()
        axes = []
        for k in (3, 4, 5, 0, 1, 2):
            axis = transform.getTransformAxis(k)
            names = axis.getCoordinateNamesInArray()
            used = tuple(names.get(i) for i in range(names.getSize()))
            axes.append(Axis(k < 3, axis.getAxis().to_numpy().copy(), used, axis.getFunction()))
        return axes
    if kind not in _KINDS:
        known = ", ".join(["CustomJoint", *_KINDS])
        raise InputError(
            f"{opened.path}: joint '{joint.getName()}' is a {kind}; known are {known}: lock it, or convert it"
        )
    names = [joint.get_coordinates(i).getName() for i in range(joint.numCoordinates())]
    axes = [Axis(turns, axis, (n,), None) for n, (turns, axis) in zip(names, _KINDS[kind], strict=True)]
    return sorted(axes, key=lambda a: a.turns)


def exact_joints(opened: OpenedModel, joint: Any, kept: Sequence[str]) -> tuple[Pose, list[Joint]] | None:
    """Pose of the child at zero and its joints; None where an axis does not simply go with one coordinate."""
    into, outof = (
        pose_of(joint.getParentFrame().findTransformInBaseFrame()),
        np.linalg.inv(pose_of(joint.getChildFrame().findTransformInBaseFrame())),
    )
    opened.pose({})
    default = {n: opened.value(n) for n in opened.coordinates}
    turn, shift, found = np.eye(3), np.zeros(3), []
    for axis in axes_of(opened, joint):
        mine = [c for c in axis.coordinates if c in kept]
        free = np.array([0.0 if c in kept else default[c] for c in axis.coordinates])
        constant, slope = axis(opened.opensim, free), 0.0
        if mine:
            box = opened.coordinates[mine[0]]
            k = axis.coordinates.index(mine[0])
            at = np.linspace(box.low, box.high, 7)
            rows = np.tile(free, (7, 1))
            rows[:, k] = at
            values = np.array([axis(opened.opensim, row) for row in rows])
            slope = (values[-1] - values[0]) / (at[-1] - at[0])
            straight = np.abs(values - constant - slope * at).max() < LINEAR
            if not straight or len(mine) > 1 or (abs(slope) > LINEAR and abs(abs(slope) - 1) > 1e-9):
                return None
        if abs(slope) > 0.5:
            if any(c == mine[0] for c, *_ in found):
                return None  # one coordinate along two axes
            found.append((mine[0], axis.turns, np.sign(slope) * turn @ axis.direction))
        if axis.turns:
            turn = turn @ Rotation.from_rotvec(constant * axis.direction).as_matrix()
        else:
            shift = shift + constant * axis.direction
    if sorted(c for c, *_ in found) != sorted(kept):
        return None
    here = np.eye(4)
    here[:3, :3], here[:3, 3] = turn, shift
    back = np.linalg.inv(here @ outof)[:3, :3]  # from the parent's joint frame to the body's
    anchor = np.linalg.inv(outof)[:3, 3]
    return into @ here @ outof, [Joint(opened.coordinates[c], back @ direction, anchor) for c, _, direction in found]


def nearest_hinge(
    opened: OpenedModel, joint: Any, coordinate: Coordinate
) -> tuple[Pose, np.ndarray, np.ndarray, np.ndarray]:
    """The fixed hinge that carries a body nearest to where OpenSim has it over the range.

    **Returns:** the body's pose at zero, the axis and centre in its parent, and how far its landmarks are off
    (n, mark, 3) [m].
    """
    parent, child = base_of(joint.getParentFrame()), base_of(joint.getChildFrame())
    angles, poses = poses_along(opened, parent, child, coordinate)
    marks = _landmarks(opened, child)
    there = np.einsum("nij,mj->nmi", poses[:, :3, :3], marks) + poses[:, None, :3, 3]
    middle = len(angles) // 2
    step = Rotation.from_matrix(poses[middle + 1, :3, :3] @ poses[middle - 1, :3, :3].T).as_rotvec()
    axis = step / np.linalg.norm(step)  # in the parent; its sense is the coordinate's
    start = poses[middle].copy()
    start[:3, :3] = Rotation.from_rotvec(-angles[middle] * axis).as_matrix() @ start[:3, :3]

    def placed(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, Pose]:
        direction = Rotation.from_rotvec(x[:3]).apply(axis)
        zero = np.eye(4)
        zero[:3, :3] = Rotation.from_rotvec(x[3:6]).as_matrix() @ start[:3, :3]
        zero[:3, 3] = start[:3, 3] + x[6:9]
        return direction, start[:3, 3] + x[9:12], zero

    def missed(x: np.ndarray) -> np.ndarray:
        direction, centre, zero = placed(x)
        turned = Rotation.from_rotvec(angles[:, None] * direction).as_matrix()
        at_zero = marks @ zero[:3, :3].T + zero[:3, 3] - centre
        here = np.einsum("nij,mj->nmi", turned, at_zero) + centre
        return np.concatenate([(here - there).ravel(), 1e-4 * x])  # the last: three numbers change nothing

    fit = least_squares(missed, np.zeros(12))
    direction, centre, zero = placed(fit.x)
    return zero, direction, centre, missed(fit.x)[: there.size].reshape(there.shape)


def axis_wanders(
    opened: OpenedModel, joint: Any, coordinate: Coordinate, direction: np.ndarray, centre: np.ndarray
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """How far the axis about which a body turns at each moment is from a fixed one: distance [m] and tilt [rad].

    **Arguments:** `direction`, `centre`: of the fixed axis in the parent, the direction of length 1.
    """
    _, poses = poses_along(opened, base_of(joint.getParentFrame()), base_of(joint.getChildFrame()), coordinate)
    turn = Rotation.from_matrix(poses[1:, :3, :3] @ poses[:-1, :3, :3].swapaxes(1, 2)).as_rotvec()
    step, middle = np.diff(poses[:, :3, 3], axis=0), 0.5 * (poses[1:, :3, 3] + poses[:-1, :3, 3])
    angle = np.linalg.norm(turn, axis=1, keepdims=True)
    own = turn / angle
    # a point of the screw axis: half a turn's chord is shorter than its arc
    away = middle + np.cross(own, step) / (2 * np.tan(angle / 2)) - centre
    away -= (away * own).sum(1, keepdims=True) * own
    return np.linalg.norm(away, axis=1), np.arccos(np.clip((own * direction).sum(1), -1.0, 1.0))


def poses_along(opened: OpenedModel, parent: str, child: str, along: Coordinate) -> tuple[np.ndarray, np.ndarray]:
    """Values (n,) of a coordinate over its working range, and poses (n, 4, 4) of a body in another at them."""
    values, poses = np.linspace(*working_range(along), SAMPLES), []
    for value in values:
        opened.pose({along.name: value})
        poses.append(np.linalg.inv(opened.body_pose(parent)) @ opened.body_pose(child))
    return values, np.array(poses)


def mean_pose(poses: np.ndarray) -> Pose:
    out = np.eye(4)
    out[:3, :3] = Rotation.from_matrix(poses[:, :3, :3]).mean().as_matrix()
    out[:3, 3] = poses[:, :3, 3].mean(axis=0)
    return out


def _landmarks(opened: OpenedModel, body: str) -> Float[np.ndarray, "n 3"]:
    """What a body carries: its centre of mass, the next joints, and a point to each side of its own origin [m]."""
    marks = [opened.bodies[body].getMassCenter().to_numpy().copy(), *(0.03 * np.array([_X, -_X, _Z, -_Z]))]
    joints = opened.model.getJointSet()
    for i in range(joints.getSize()):
        if base_of(joints.get(i).getParentFrame()) == body:
            marks.append(pose_of(joints.get(i).getParentFrame().findTransformInBaseFrame())[:3, 3])
    return np.array(marks)


def base_of(frame: Any) -> str:
    return frame.findBaseFrame().getName()
