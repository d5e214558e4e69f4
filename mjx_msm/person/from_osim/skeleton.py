"""The bodies of an OpenSim model as a tree of hinges and slides that MuJoCo holds natively.

*Held* coordinates are fused at their default posture. A joint whose axes are linear in its coordinates is kept exactly,
a custom joint of up to six axes in OpenSim's own order (translations, then body-fixed rotations). One that rolls and
glides along splines becomes either the fixed *hinge* whose body comes nearest to OpenSim's over the range, and a body
whose coordinate follows another one (a patella) is fused to its parent at its mean place; or, *coupled*, its other axes
are joints that follow the coordinate by polynomials of fourth order, and so is the patella's. What is left is stated.

Body frames, and so centres of mass, inertias and points, are OpenSim's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.polynomial import Polynomial
from scipy.spatial.transform import Rotation

from mjx_msm.common.errors import InputError
from mjx_msm.person.from_osim.joints import (
    LINEAR,
    SAMPLES,
    Joint,
    axes_of,
    axis_wanders,
    base_of,
    exact_joints,
    mean_pose,
    nearest_hinge,
    poses_along,
)
from mjx_msm.person.from_osim.opened import OpenedModel, Pose, pose_of, working_range

GROUND = "ground"
_LEVER = 0.2  # [m], at which an angle's error is a distance


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
    coupled: bool = False
    centres: dict[str, tuple[str, Float[np.ndarray, "3"]]] = field(default_factory=dict)
    """Coordinate of a coupled joint → body and place in it [m] where the nearest hinge would be."""

    @property
    def coordinates(self) -> tuple[str, ...]:
        return tuple(j.coordinate.name for b in self.bodies.values() for j in b.joints if not j.follower)


def skeleton_of(opened: OpenedModel, coordinates: Sequence[str], *, coupled: bool = False) -> Skeleton:
    """The tree with these coordinates, all others held; a joint that rolls is the nearest hinge, or `coupled`.

    **Raises:** `InputError` for a kind of joint that is not known, or a coordinate that cannot be kept.
    """
    out = Skeleton({}, {GROUND: Carried(GROUND, np.eye(4))}, {}, [], coupled)
    joints = opened.model.getJointSet()
    waiting = [joints.get(i) for i in range(joints.getSize())]
    while waiting:
        ready = [j for j in waiting if base_of(j.getParentFrame()) in out.carried]
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
    parent, child = base_of(joint.getParentFrame()), base_of(joint.getChildFrame())
    names = [joint.get_coordinates(i).getName() for i in range(joint.numCoordinates())]
    kept = [n for n in names if n in wanted]
    above = out.carried[parent]
    if not kept:
        masters = [m for n in names if n in opened.couplings for m in opened.couplings[n][0] if m in wanted]
        if masters and out.coupled and _following(opened, out, joint, masters[0]):
            return
        poses = poses_along(opened, parent, child, opened.coordinates[masters[0]]) if masters else None
        if poses is None:
            opened.pose({})
            place = np.linalg.inv(opened.body_pose(parent)) @ opened.body_pose(child)
        else:
            place = mean_pose(poses[1])
            out.notes.append(f"body '{child}', which follows {masters[0]}, is fused to '{parent}' at its mean place")
        out.carried[child] = Carried(above.body, above.pose @ place, masters[0] if masters else above.follows)
        _load(opened, out, child)
        return
    body = Body(child, above.body, np.eye(4), [])
    out.bodies[child], out.carried[child] = body, Carried(child, np.eye(4))
    known = exact_joints(opened, joint, kept) or (_coupled(opened, out, joint, kept[0]) if out.coupled else None)
    place, body.joints = known or _nearly(opened, out, joint, kept)
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


def _following(opened: OpenedModel, out: Skeleton, joint: Any, master: str) -> bool:
    """Add a body whose joint follows a coordinate by a coupler; whether it can."""
    parent, child = base_of(joint.getParentFrame()), base_of(joint.getChildFrame())
    made = _coupled(opened, out, joint, master)
    if made is None:
        return False
    place, joints = made
    out.bodies[child] = Body(child, out.carried[parent].body, out.carried[parent].pose @ place, joints)
    out.carried[child] = Carried(child, np.eye(4))
    _load(opened, out, child)
    return True


def _coupled(opened: OpenedModel, out: Skeleton, joint: Any, master: str) -> tuple[Pose, list[Joint]] | None:
    """Every axis of a joint that one coordinate drives: the coordinate itself, or a joint that follows it."""
    into = pose_of(joint.getParentFrame().findTransformInBaseFrame())
    outof = np.linalg.inv(pose_of(joint.getChildFrame().findTransformInBaseFrame()))
    coordinate, child = opened.coordinates[master], base_of(joint.getChildFrame())
    at = np.append(np.linspace(*working_range(coordinate), SAMPLES), 0.0)
    own = [joint.get_coordinates(i).getName() for i in range(joint.numCoordinates())]
    samples = {c: np.empty(len(at)) for c in own}
    for k, value in enumerate(at):
        opened.pose({master: value})
        for c in own:
            samples[c][k] = opened.value(c)
    turn, shift, found, missed, driven = np.eye(3), np.zeros(3), [], 0.0, master not in own
    for axis in axes_of(opened, joint):
        values = np.array([axis(opened.opensim, [samples[c][k] for c in axis.coordinates]) for k in range(len(at))])
        zero, values = values[-1], values[:-1]
        direction = turn @ axis.direction
        if np.ptp(values) > LINEAR:
            straight = np.abs(values - zero - at[:-1]).max() < LINEAR and axis.turns == coordinate.rotational
            law = Polynomial.fit(at[:-1], values - zero, 4).convert()
            if straight and not driven:
                found.append((direction, axis.turns, ()))
                driven = True
            else:
                found.append((direction, axis.turns, tuple(law.coef)))
                error = np.sqrt(np.mean((law(at[:-1]) - values + zero) ** 2))
                missed += float((error * (_LEVER if axis.turns else 1.0)) ** 2)
        if axis.turns:
            turn = turn @ Rotation.from_rotvec(zero * axis.direction).as_matrix()
        else:
            shift = shift + zero * axis.direction
    if not driven or not found:
        return None
    here = np.eye(4)
    here[:3, :3], here[:3, 3] = turn, shift
    back, anchor = np.linalg.inv(here @ outof)[:3, :3], np.linalg.inv(outof)[:3, 3]
    if master in own:
        _, _, centre, _ = nearest_hinge(opened, joint, coordinate)
        above = out.carried[base_of(joint.getParentFrame())]
        out.centres[master] = above.body, above.pose[:3, :3] @ centre + above.pose[:3, 3]
    joints = []
    for k, (direction, turns, powers) in enumerate(found):
        name = "" if not powers else f"{child}_{'turn' if turns else 'slide'}{k + 1}"
        joints.append(Joint(coordinate, back @ direction, anchor, name, turns, powers))
    out.notes.append(
        f"joint '{joint.getName()}' follows {master} along {sum(bool(j.powers) for j in joints)} axes by polynomials "
        f"to {1e3 * np.sqrt(missed):.2f} mm RMS"
    )
    return into @ here @ outof, joints


def _nearly(opened: OpenedModel, out: Skeleton, joint: Any, kept: Sequence[str]) -> tuple[Pose, list[Joint]]:
    """The fixed hinge that carries the body nearest to where OpenSim has it over the range."""
    name = joint.getName()
    if len(kept) > 1 or not opened.coordinates[kept[0]].rotational:
        raise InputError(
            f"{opened.path}: joint '{name}' moves along curves of {', '.join(kept)}, which no hinge follows; leave "
            f"{'all but one of them' if len(kept) > 1 else 'it'} out of coordinates"
        )
    coordinate = opened.coordinates[kept[0]]
    zero, direction, centre, error = nearest_hinge(opened, joint, coordinate)
    rms = float(np.sqrt((error**2).sum(-1).mean()))
    out.rolling[coordinate.name] = rms
    far, tilted = axis_wanders(opened, joint, coordinate, direction, centre)
    out.notes.append(
        f"joint '{name}' rolls and glides with {coordinate.name}: a fixed hinge follows it to {1e3 * rms:.1f} mm RMS "
        f"({1e3 * np.sqrt((error**2).sum(-1).max()):.1f} mm at most) over the range; OpenSim's own axis is "
        f"{1e3 * np.sqrt((far**2).mean()):.1f} mm ({1e3 * far.max():.1f} at most) and "
        f"{np.degrees(np.sqrt((tilted**2).mean())):.0f}° from it, which is an error of moments that no hinge is without"
    )
    back = zero[:3, :3].T
    return zero, [Joint(coordinate, back @ direction, back @ (centre - zero[:3, 3]))]
