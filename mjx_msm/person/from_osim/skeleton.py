"""The bodies of an OpenSim model as a tree of hinges and slides that MuJoCo holds natively.

*Held* coordinates are fused at their default posture. A joint whose axes are linear in its coordinates is kept exactly,
a custom joint of up to six axes in OpenSim's own order (translations, then body-fixed rotations). One that rolls and
glides along splines becomes the fixed hinge whose body comes nearest to OpenSim's over the range; what is left is
stated in mm. A body whose coordinate follows another one (a patella) is fused to its parent at its mean place.

Body frames, and so centres of mass, inertias and points, are OpenSim's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from mjx_msm.common.errors import InputError
from mjx_msm.person.from_osim.opened import Coordinate, OpenedModel, Pose, pose_of, working_range

GROUND = "ground"
_LINEAR = 1e-9  # [rad or m]: a function this near its chord is linear
_SAMPLES = 41


@dataclass(frozen=True, eq=False)
class Joint:
    """A hinge or slide, named as OpenSim's coordinate, with its zero and sign."""

    coordinate: Coordinate
    axis: Float[np.ndarray, "3"]
    """In the body's frame at zero."""
    anchor: Float[np.ndarray, "3"]
    """[m]."""


@dataclass
class Body:
    """A moving body, and all that is fused to it."""

    name: str
    parent: str
    pose: Pose
    """In its parent, all coordinates at 0."""
    joints: list[Joint]
    inertias: list[tuple[float, Float[np.ndarray, "3"], Float[np.ndarray, "3 3"]]] = field(default_factory=list)
    """Mass [kg], centre [m] and inertia about it [kg·m²] of everything fused."""

    def inertia(self) -> tuple[float, Float[np.ndarray, "3"], Float[np.ndarray, "3 3"]]:
        """Of all together."""
        mass = sum(m for m, _, _ in self.inertias)
        if mass <= 0:
            return 0.0, np.zeros(3), np.zeros((3, 3))
        com = sum((m * c for m, c, _ in self.inertias), np.zeros(3)) / mass
        total = np.zeros((3, 3))
        for m, c, about in self.inertias:
            d = c - com
            total += about + m * (d @ d * np.eye(3) - np.outer(d, d))
        return mass, com, total


@dataclass(frozen=True, eq=False)
class Carried:
    """Where an OpenSim body went."""

    body: str
    """Of the skeleton, or `GROUND`."""
    pose: Pose
    """Of OpenSim's body in it."""
    follows: str | None = None
    """The coordinate it moves with in OpenSim, while it stands still here."""


@dataclass
class Skeleton:
    bodies: dict[str, Body]
    """In order from the ground."""
    carried: dict[str, Carried]
    """By OpenSim's body."""
    rolling: dict[str, float]
    """Coordinate whose joint is the nearest hinge → RMS distance [m] of what it carries from where OpenSim has it."""
    notes: list[str]

    @property
    def coordinates(self) -> tuple[str, ...]:
        return tuple(j.coordinate.name for b in self.bodies.values() for j in b.joints)


def skeleton_of(opened: OpenedModel, coordinates: Sequence[str]) -> Skeleton:
    """The tree with these coordinates, all others held.

    **Raises:** `InputError` for a kind of joint that is not known, or a coordinate that cannot be kept.
    """
    out = Skeleton({}, {GROUND: Carried(GROUND, np.eye(4))}, {}, [])
    joints = opened.model.getJointSet()
    waiting = [joints.get(i) for i in range(joints.getSize())]
    while waiting:
        ready = [j for j in waiting if _base(j.getParentFrame()) in out.carried]
        if not ready:
            raise InputError(f"{opened.path}: joint '{waiting[0].getName()}' is part of a loop; open it first")
        for joint in ready:
            _add(opened, out, joint, set(coordinates))
        waiting = [j for j in waiting if all(j.getName() != r.getName() for r in ready)]
    for body in out.bodies.values():
        if body.inertia()[0] < 1e-6:
            body.inertias.append((1e-4, np.zeros(3), 1e-7 * np.eye(3)))
            out.notes.append(f"body '{body.name}' has no mass and was given 0.1 g, which MuJoCo needs")
    return out


def _add(opened: OpenedModel, out: Skeleton, joint: Any, wanted: set[str]) -> None:
    parent, child = _base(joint.getParentFrame()), _base(joint.getChildFrame())
    names = [joint.get_coordinates(i).getName() for i in range(joint.numCoordinates())]
    kept = [n for n in names if n in wanted]
    above = out.carried[parent]
    if not kept:
        masters = [m for n in names if n in opened.couplings for m in opened.couplings[n][0] if m in wanted]
        poses = _poses(opened, parent, child, opened.coordinates[masters[0]]) if masters else None
        if poses is None:
            opened.pose({})
            place = np.linalg.inv(opened.body_pose(parent)) @ opened.body_pose(child)
        else:
            place = _mean(poses[1])
            out.notes.append(f"body '{child}', which follows {masters[0]}, is fused to '{parent}' at its mean place")
        out.carried[child] = Carried(above.body, above.pose @ place, masters[0] if masters else above.follows)
        _load(opened, out, child)
        return
    body = Body(child, above.body, np.eye(4), [])
    out.bodies[child], out.carried[child] = body, Carried(child, np.eye(4))
    place, body.joints = _exactly(opened, joint, kept) or _nearly(opened, out, joint, kept)
    body.pose = above.pose @ place
    _load(opened, out, child)


def _load(opened: OpenedModel, out: Skeleton, name: str) -> None:
    """Put a body's mass where it is carried; what the ground carries has none."""
    carried = out.carried[name]
    if carried.body == GROUND:
        return
    body = opened.bodies[name]
    turn, shift = carried.pose[:3, :3], carried.pose[:3, 3]
    moments, products = body.getInertia().getMoments(), body.getInertia().getProducts()
    xx, yy, zz = (moments.get(i) for i in range(3))
    xy, xz, yz = (products.get(i) for i in range(3))
    about = turn @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ turn.T
    com = turn @ body.getMassCenter().to_numpy() + shift
    out.bodies[carried.body].inertias.append((body.getMass(), com, about))


# Joints that are kept --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Axis:
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


def _axes(opened: OpenedModel, joint: Any) -> list[_Axis]:
    """Translations, then rotations, each about the frame that those before it have turned."""
    kind, opensim = joint.getConcreteClassName(), opened.opensim
    if kind == "CustomJoint":
        transform = opensim.CustomJoint.safeDownCast(joint).getSpatialTransform()
        axes = []
        for k in (3, 4, 5, 0, 1, 2):
            axis = transform.getTransformAxis(k)
            names = axis.getCoordinateNamesInArray()
            used = tuple(names.get(i) for i in range(names.getSize()))
            axes.append(_Axis(k < 3, axis.getAxis().to_numpy().copy(), used, axis.getFunction()))
        return axes
    if kind not in _KINDS:
        known = ", ".join(["CustomJoint", *_KINDS])
        raise InputError(
            f"{opened.path}: joint '{joint.getName()}' is a {kind}; known are {known}: lock it, or convert it"
        )
    names = [joint.get_coordinates(i).getName() for i in range(joint.numCoordinates())]
    axes = [_Axis(turns, axis, (n,), None) for n, (turns, axis) in zip(names, _KINDS[kind], strict=True)]
    return sorted(axes, key=lambda a: a.turns)


def _exactly(opened: OpenedModel, joint: Any, kept: Sequence[str]) -> tuple[Pose, list[Joint]] | None:
    """Pose of the child at zero and its joints; None where an axis does not simply go with one coordinate."""
    into, outof = (
        pose_of(joint.getParentFrame().findTransformInBaseFrame()),
        np.linalg.inv(pose_of(joint.getChildFrame().findTransformInBaseFrame())),
    )
    opened.pose({})
    default = {n: opened.value(n) for n in opened.coordinates}
    turn, shift, found = np.eye(3), np.zeros(3), []
    for axis in _axes(opened, joint):
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
            straight = np.abs(values - constant - slope * at).max() < _LINEAR
            if not straight or len(mine) > 1 or (abs(slope) > _LINEAR and abs(abs(slope) - 1) > 1e-9):
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


def _nearly(opened: OpenedModel, out: Skeleton, joint: Any, kept: Sequence[str]) -> tuple[Pose, list[Joint]]:
    """The fixed hinge that carries the body nearest to where OpenSim has it over the range."""
    name = joint.getName()
    if len(kept) > 1 or not opened.coordinates[kept[0]].rotational:
        raise InputError(
            f"{opened.path}: joint '{name}' moves along curves of {', '.join(kept)}, which no hinge follows; leave "
            f"{'all but one of them' if len(kept) > 1 else 'it'} out of coordinates"
        )
    parent, child = _base(joint.getParentFrame()), _base(joint.getChildFrame())
    coordinate = opened.coordinates[kept[0]]
    angles, poses = _poses(opened, parent, child, coordinate)
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
    error = missed(fit.x)[: there.size].reshape(there.shape)
    rms = float(np.sqrt((error**2).sum(-1).mean()))
    out.rolling[coordinate.name] = rms
    out.notes.append(
        f"joint '{name}' rolls and glides with {coordinate.name}: a fixed hinge follows it to {1e3 * rms:.1f} mm RMS "
        f"({1e3 * np.sqrt((error**2).sum(-1).max()):.1f} mm at most) over the range"
    )
    back = zero[:3, :3].T
    return zero, [Joint(coordinate, back @ direction, back @ (centre - zero[:3, 3]))]


def _poses(opened: OpenedModel, parent: str, child: str, along: Coordinate) -> tuple[np.ndarray, np.ndarray]:
    """Values (n,) of a coordinate over its working range, and poses (n, 4, 4) of a body in another at them."""
    values, poses = np.linspace(*working_range(along), _SAMPLES), []
    for value in values:
        opened.pose({along.name: value})
        poses.append(np.linalg.inv(opened.body_pose(parent)) @ opened.body_pose(child))
    return values, np.array(poses)


def _mean(poses: np.ndarray) -> Pose:
    out = np.eye(4)
    out[:3, :3] = Rotation.from_matrix(poses[:, :3, :3]).mean().as_matrix()
    out[:3, 3] = poses[:, :3, 3].mean(axis=0)
    return out


def _landmarks(opened: OpenedModel, body: str) -> Float[np.ndarray, "n 3"]:
    """What a body carries: its centre of mass, the next joints, and a point to each side of its own origin [m]."""
    marks = [opened.bodies[body].getMassCenter().to_numpy().copy(), *(0.03 * np.array([_X, -_X, _Z, -_Z]))]
    joints = opened.model.getJointSet()
    for i in range(joints.getSize()):
        if _base(joints.get(i).getParentFrame()) == body:
            marks.append(pose_of(joints.get(i).getParentFrame().findTransformInBaseFrame())[:3, 3])
    return np.array(marks)


def _base(frame: Any) -> str:
    return frame.findBaseFrame().getName()
