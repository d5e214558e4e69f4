"""A muscle's path in OpenSim, and the paths of sites, cylinders and spheres in MuJoCo that may stand for it.

MuJoCo has no conditional or moving points, no ellipsoids, and no two wraps between two sites. What has no counterpart
gives several candidates, of which the one that fits best is taken (`mjx_msm.person.from_osim.fitting`):

- a *conditional* point stays, goes, or becomes a cylinder that holds the path off the bone where the point did;
- a *moving* point (and one on a patella) stands at its mean place, on the body it is on or on the one across the joint,
  with or without a cylinder at the joint;
- an *ellipsoid* becomes a cylinder along any of its axes, or a sphere;
- where a segment crosses a joint that rolls, a cylinder may be added.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.person.from_osim.opened import OpenedModel, Pose, pose_of
from mjx_msm.person.from_osim.skeleton import GROUND, Skeleton

_STANDS = 2e-4  # [m]: a point that moves less than this in its body stands
_ENGAGED = 0.02  # a wrap that touches in fewer poses is left out
_MOST = 80  # candidates
_TENDON_REACH = 0.08  # [m]: that of a tendon whose end the .osim does not have
_END_REACH = 0.012  # [m]: how far a point of OpenSim may be moved at most


@dataclass(frozen=True, eq=False)
class Site:
    """A path point of a MuJoCo tendon."""

    body: str
    place: Float[np.ndarray, "3"]
    reach: float = 0.0
    """How far the fit may move it [m]."""


@dataclass(frozen=True, eq=False)
class Geom:
    """A cylinder (along the z axis of its pose) or sphere of a MuJoCo tendon."""

    body: str
    shape: str
    pose: Pose
    radius: float
    reach: float = 0.0


Candidate = tuple[Site | Geom, ...]


@dataclass(frozen=True, eq=False)
class Point:
    """A path point of OpenSim."""

    source: str
    """OpenSim's body."""
    body: str
    """Of the skeleton."""
    place: Float[np.ndarray, "3"]
    """In it, mean over the poses [m]."""
    ground: Float[np.ndarray, "pose 3"]
    moves: bool
    condition: str | None
    """The coordinate whose range switches it on."""


@dataclass(frozen=True, eq=False)
class Wrap:
    """A wrap object of OpenSim that touches the path."""

    body: str
    shape: str
    pose: Pose
    size: tuple[float, ...]
    """Cylinder, sphere: radius; ellipsoid: half axes [m]."""
    after: int
    """Index of the point before it."""


@dataclass(frozen=True, eq=False)
class Path:
    muscle: str
    points: tuple[Point, ...]
    wraps: tuple[Wrap, ...]
    bodies: dict[str, Float[np.ndarray, "pose 4 4"]]
    """In the ground at the poses it was looked at."""


def read_paths(
    opened: OpenedModel, skeleton: Skeleton, muscles: Sequence[str], coordinates: Sequence[str], poses: np.ndarray
) -> dict[str, Path]:
    """What the paths are made of, looked at in poses (n, coordinate).

    **Raises:** `InputError` if a path is no set of points.
    """
    opensim = opened.opensim
    handles = {}
    for name in muscles:
        path = opensim.GeometryPath.safeDownCast(opened.muscles[name].getPath())
        if path is None:
            raise InputError(f"{opened.path}: muscle '{name}' has a path that is a function; leave it out of muscles")
        handles[name] = path
    names = [GROUND, *skeleton.bodies]
    bodies = {b: np.empty((len(poses), 4, 4)) for b in names}
    seen: dict[str, list[Any]] = {m: [] for m in muscles}
    for i, row in enumerate(poses):
        opened.pose(dict(zip(coordinates, row, strict=True)))
        for b in names:
            bodies[b][i] = opened.body_pose(b)
        for muscle, path in handles.items():
            points = path.getPathPointSet()
            places = [
                points.get(k).getLocationInGround(opened.state).to_numpy().copy() for k in range(points.getSize())
            ]
            order, wrapped = [points.get(k).getName() for k in range(points.getSize())], []
            current, last = path.getCurrentPath(opened.state), 0
            for k in range(current.getSize()):
                wrap = current.get(k).getWrapObject()
                if wrap is None:
                    last = order.index(current.get(k).getName())
                else:
                    wrapped.append((wrap.getName(), last))
            seen[muscle].append((places, set(wrapped)))
    out = {}
    for muscle, path in handles.items():
        points = path.getPathPointSet()
        read = []
        for k in range(points.getSize()):
            point = points.get(k)
            source = point.getParentFrame().findBaseFrame().getName()
            body = skeleton.carried[source].body
            ground = np.array([places[k] for places, _ in seen[muscle]])
            local = _into(bodies[body], ground)
            conditional = opensim.ConditionalPathPoint.safeDownCast(point)
            read.append(
                Point(
                    source=source,
                    body=body,
                    place=local.mean(axis=0),
                    ground=ground,
                    moves=bool(np.linalg.norm(local - local.mean(axis=0), axis=1).max() > _STANDS),
                    condition=None if conditional is None else conditional.getCoordinate().getName(),
                )
            )
        out[muscle] = Path(muscle, tuple(read), _wraps(opened, skeleton, path, seen[muscle]), bodies)
    return out


def _into(poses: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points of the ground (n, 3) in a body's frame."""
    return np.einsum("nji,nj->ni", poses[:, :3, :3], points - poses[:, :3, 3])


def _wraps(opened: OpenedModel, skeleton: Skeleton, path: Any, seen: Sequence[Any]) -> tuple[Wrap, ...]:
    opensim, found, out = opened.opensim, path.getWrapSet(), []
    for k in range(found.getSize()):
        wrap = found.get(k).getWrapObject()
        places = [after for _, touching in seen for name, after in touching if name == wrap.getName()]
        if len(places) < _ENGAGED * len(seen):
            continue
        carried = skeleton.carried[wrap.getFrame().findBaseFrame().getName()]
        inside = pose_of(wrap.getFrame().findTransformInBaseFrame()) @ pose_of(wrap.getTransform())
        kind = wrap.getConcreteClassName()
        if kind == "WrapCylinder":
            shape, size = "cylinder", (opensim.WrapCylinder.safeDownCast(wrap).get_radius(),)
        elif kind == "WrapSphere":
            shape, size = "sphere", (opensim.WrapSphere.safeDownCast(wrap).get_radius(),)
        elif kind == "WrapEllipsoid":
            half = opensim.WrapEllipsoid.safeDownCast(wrap).get_dimensions()
            shape, size = "ellipsoid", tuple(half.get(i) for i in range(3))
        else:  # a torus holds a path as a point in its hole does
            shape, size = "torus", ()
        after = max(set(places), key=places.count)
        out.append(Wrap(carried.body, shape, carried.pose @ inside, size, after))
    return tuple(out)


def candidates(path: Path, skeleton: Skeleton) -> list[Candidate]:
    """MuJoCo paths that may stand for one of OpenSim; the first is the plainest. One alone without reach is exact."""
    zero = _zero_poses(skeleton)
    points = _without_repeats(path.points)
    exact = not path.wraps and all(not p.moves and p.condition is None for p in points)
    rolls = [_rolling(skeleton, a.body, b.body) for a, b in itertools.pairwise(points)]
    for k, (a, b) in enumerate(itertools.pairwise(points)):
        if a.moves or b.moves:  # a joint beside such a point may need a cylinder, too
            rolls[k] = next(iter(_joints_between(skeleton, a.body, b.body)), None)
    if exact and not any(rolls):
        return [tuple(Site(p.body, p.place) for p in points)]
    at_points = [list(_options(path, skeleton, zero, points, k)) for k in range(len(points))]
    at_segments = [list(_between(path, skeleton, zero, points, k, rolls[k])) for k in range(len(points) - 1)]
    out: list[Candidate] = []
    for choice in itertools.islice(itertools.product(*at_points, *at_segments), 4000):
        chosen, between = choice[: len(points)], choice[len(points) :]
        items: list[Site | Geom] = []
        for k, group in enumerate(chosen):
            items += group
            if k < len(between):
                items += between[k]
        if _is_path(items):
            out.append(_anchored(items, skeleton))
    out.sort(key=lambda c: len(c))
    return out[:_MOST]


def _anchored(items: Sequence[Site | Geom], skeleton: Skeleton) -> Candidate:
    """Points with no wrap, no rolling joint and nothing that was moved beside them stay where OpenSim has them."""
    sites = [k for k, item in enumerate(items) if isinstance(item, Site)]
    loose: set[int] = {k for k in sites if items[k].reach > _END_REACH}
    for a, b in itertools.pairwise(sites):
        if b - a > 1 or _rolling(skeleton, items[a].body, items[b].body) is not None:
            loose |= {a, b}
    near = loose | {sites[n + s] for n, k in enumerate(sites) if k in loose for s in (-1, 1) if 0 <= n + s < len(sites)}
    return tuple(
        item if isinstance(item, Geom) or k in near else replace(item, reach=0.0) for k, item in enumerate(items)
    )


def _without_repeats(points: Sequence[Point]) -> list[Point]:
    """Of several points on one patella the last: MuJoCo's path turns at one place."""
    return [
        p
        for k, p in enumerate(points)
        if not (p.moves and k + 1 < len(points) and points[k + 1].moves and points[k + 1].source == p.source)
    ]


def _options(
    path: Path, skeleton: Skeleton, zero: dict[str, Pose], points: Sequence[Point], k: int
) -> Iterator[tuple[Site | Geom, ...]]:
    point, end = points[k], k in (0, len(points) - 1)
    standing = end or not (point.moves or point.condition)
    here = Site(point.body, point.place, _END_REACH if standing else 0.02)
    yield (here,)
    if point.moves and end:  # a patella of one moving point: where it is, and a tendon from there on
        inner = points[k - 1] if k else points[1]
        turning = Site(inner.body, _into(path.bodies[inner.body], point.ground).mean(axis=0), 0.025)
        rolling = next(iter(_joints_between(skeleton, inner.body, point.body)), None)
        geom = None if rolling is None else _cylinder_at(skeleton, zero, rolling, inner.body, None)
        if geom is not None:
            way = (turning, geom, replace(here, reach=_TENDON_REACH))
            yield way if k else way[::-1]
    if point.condition is not None and not end:
        yield ()
        geom = _cylinder_at(skeleton, zero, point.condition, point.body, point.place)
        if geom is not None:
            yield (geom,)
            if len(_joints_between(skeleton, points[k - 1].body, points[k + 1].body)) > 1:
                yield (replace(geom, shape="sphere"),)
    if point.moves and not end:
        neighbours = [points[j].body for j in (k - 1, k + 1) if points[j].body != point.body]
        for body in dict.fromkeys(neighbours):
            yield (Site(body, _into(path.bodies[body], point.ground).mean(axis=0), 0.025),)
        yield ()


def _between(
    path: Path, skeleton: Skeleton, zero: dict[str, Pose], points: Sequence[Point], k: int, rolling: str | None
) -> Iterator[tuple[Site | Geom, ...]]:
    """What may lie between two points: one wrap, two with a site between them, or nothing."""
    kept = [path.points.index(p) for p in points]
    mine = [w for w in path.wraps if kept[k] <= w.after < kept[k + 1]]
    shapes = [list(_as_geoms(w)) for w in mine]
    for options in shapes:
        for geom in options:
            yield (geom,)
    yield ()
    if len(mine) == 2:
        for first, second in itertools.product(*shapes):
            middle = 0.5 * (first.pose[:3, 3] + _moved(zero, second.body, first.body, second.pose[:3, 3]))
            yield (first, Site(first.body, middle, 0.04), second)
            break
    if rolling is not None and not mine:
        for body in dict.fromkeys((points[k].body, points[k + 1].body)):
            geom = _cylinder_at(skeleton, zero, rolling, body, None)
            if geom is not None:
                yield (geom,)


def _as_geoms(wrap: Wrap) -> Iterator[Geom]:
    reach = 0.02 if wrap.shape != "ellipsoid" else 0.03
    if wrap.shape in ("cylinder", "sphere"):
        yield Geom(wrap.body, wrap.shape, wrap.pose, wrap.size[0], reach)
    elif wrap.shape == "ellipsoid":
        for axis in range(3):
            turned = wrap.pose.copy()
            turned[:3, :3] = wrap.pose[:3, [(axis + 1) % 3, (axis + 2) % 3, axis]]
            across = [wrap.size[(axis + 1) % 3], wrap.size[(axis + 2) % 3]]
            yield Geom(wrap.body, "cylinder", turned, float(np.mean(across)), reach)
        yield Geom(wrap.body, "sphere", wrap.pose, float(np.mean(wrap.size)), reach)


def _is_path(items: Sequence[Site | Geom]) -> bool:
    """MuJoCo wants a site at both ends and at most one geom between two."""
    kinds = [isinstance(i, Site) for i in items]
    return len(items) > 1 and kinds[0] and kinds[-1] and all(a or b for a, b in itertools.pairwise(kinds))


def _zero_poses(skeleton: Skeleton) -> dict[str, Pose]:
    out = {GROUND: np.eye(4)}
    for name, body in skeleton.bodies.items():
        out[name] = out[body.parent] @ body.pose
    return out


def _moved(zero: dict[str, Pose], source: str, target: str, place: np.ndarray) -> np.ndarray:
    """A place in one body, in the frame of another when all coordinates are at 0."""
    return (np.linalg.inv(zero[target]) @ zero[source] @ np.append(place, 1.0))[:3]


def _rolling(skeleton: Skeleton, one: str, other: str) -> str | None:
    """The first rolling coordinate between two bodies."""
    return next((n for n in _joints_between(skeleton, one, other) if n in skeleton.rolling), None)


def _joints_between(skeleton: Skeleton, one: str, other: str) -> list[str]:
    """Coordinates between two bodies, from the ground."""

    def up(body: str) -> list[str]:
        chain = []
        while body != GROUND:
            chain.append(body)
            body = skeleton.bodies[body].parent
        return chain

    between = set(up(one)) ^ set(up(other))
    return [j.coordinate.name for b in skeleton.bodies.values() if b.name in between for j in b.joints]


def _cylinder_at(
    skeleton: Skeleton, zero: dict[str, Pose], coordinate: str, body: str, touching: np.ndarray | None
) -> Geom | None:
    """A cylinder along a coordinate's axis: through its joint, or under a point of the path."""
    for moved in skeleton.bodies.values():
        for joint in moved.joints:
            if joint.coordinate.name != coordinate or joint.follower or not joint.coordinate.rotational:
                continue
            turn = np.linalg.inv(zero[body])[:3, :3] @ zero[moved.name][:3, :3]
            at = skeleton.centres.get(coordinate, (moved.name, joint.anchor))
            axis, centre, radius = turn @ joint.axis, _moved(zero, at[0], body, at[1]), 0.02
            if touching is not None:
                inward = centre - touching
                inward -= (inward @ axis) * axis
                distance = max(float(np.linalg.norm(inward)), 1e-6)
                radius = float(np.clip(0.6 * distance, 0.008, 0.04))
                centre = touching + inward / distance * radius
            pose = np.eye(4)
            side = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
            side /= np.linalg.norm(side)
            pose[:3, :3] = np.column_stack([side, np.cross(axis, side), axis])
            pose[:3, 3] = centre
            return Geom(body, "cylinder", pose, radius, 0.025)
    return None
