"""How the muscles run: lengths of the paths around bones, their slopes and curvatures by joint coordinate.

A path is cut where it passes from one body to the next. Pieces between points of one body are constants; the others,
straight or around a sphere or cylinder, depend only on the few coordinates between their bodies. Pieces of one kind
that the same coordinates move are evaluated together, as the rows of one array. A straight piece along the line
(u, p × u) has the slope v·u + ω·(p × u) by a joint of the screw (ω, v), whichever point p of the line is taken.
Wrapping follows MuJoCo's `mju_wrap` for the outside of spheres and cylinders. The oracle is C MuJoCo, to rounding
error.
"""

from __future__ import annotations

from collections.abc import Sequence
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

from mjx_msm.dynamics.kinematics import STILL, Pose, Screw, Tree, seen_from, tree_of
from mjx_msm.dynamics.vectors import Component, Rotation, Vector, add, at_least, multiply, select
from mjx_msm.dynamics.wraps import choose, inside, outside
from mjx_msm.person.model import Model

_TINY = mujoco.mjMINVAL


class Paths(eqx.Module):
    """Tendons at some positions."""

    length: Float[Array, "*instant tendon"]
    """[m]; of a tendon over joints, its own unit."""
    slope: Float[Array, "*instant tendon coordinate"]
    """∂L/∂q."""


def paths(model: Model, position: Float[Array, "*instant coordinate"]) -> Paths:
    """Lengths of the tendons and their derivatives: the costly part of the geometry, of position only.

    Many instants are best given as an array, not by `jax.vmap`: then they are what memory is contiguous in.
    """
    route, rows = _route(model.host.skeleton), jnp.moveaxis(jnp.asarray(position), -1, 0)
    pieces = [_piecewise(route, bundle, rows) for bundle in route.bundles]
    return _joined(route, rows, pieces)


def paths_and_curvature(
    model: Model, position: Float[Array, "*instant coordinate"]
) -> tuple[Paths, Float[Array, "*instant tendon coordinate coordinate"]]:
    """Also ∂²L/∂q², from tangents of each piece in the coordinates that move it."""
    route, rows = _route(model.host.skeleton), jnp.moveaxis(jnp.asarray(position), -1, 0)
    pieces, bends = [], []
    for bundle in route.bundles:
        piece, bend = _curved(route, bundle, rows)
        pieces.append(piece)
        bends.append(bend)
    m, shape = route.tree.m, rows.shape[1:]
    count = len(route.tree.coordinates)
    table: list[list[list[Component]]] = [[[0.0] * count for _ in range(count)] for _ in range(m.ntendon)]
    for t, j, coefficient in route.joints:
        c, bend = route.tree.coordinate(j), route.tree.rates(rows, j)[1]
        if c >= 0:
            table[t][c][c] = add(table[t][c][c], multiply(coefficient, bend))
    for bundle, bend in zip(route.bundles, bends, strict=True):
        for b, j in enumerate(bundle.chain):
            for a, i in enumerate(bundle.chain):
                for t, row in zip(bundle.tendon, _rows(bend[b, a]), strict=True):
                    table[t][i][j] = add(table[t][i][j], row)
    return _joined(route, rows, pieces), _last(table, shape)


# How paths are cut -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Strand:
    """Pieces that run between the same bodies; one row of every array is a piece."""

    on: int
    """Body of the first end, `to` of the second."""
    to: int
    first: Float[np.ndarray, "piece 3"]
    """In the frame of `on` [m], `last` in that of `to`."""
    last: Float[np.ndarray, "piece 3"]
    around: int = -1
    """Body of the wraps, -1 for straight pieces."""
    centre: Float[np.ndarray, "piece 3"] | None = None
    axes: Float[np.ndarray, "piece 3 3"] | None = None
    radius: Float[np.ndarray, "piece"] | None = None
    beside: int = -1
    """Body of the side sites, -1 where there are none."""
    side: Float[np.ndarray, "piece 3"] | None = None


@dataclass(frozen=True, eq=False)
class _Bundle:
    """Pieces of one kind that the same coordinates move."""

    kind: str
    """"straight", "sphere" or "cylinder"; "inside sphere" or "inside cylinder" for the way through one."""
    chain: tuple[int, ...]
    """Those coordinates."""
    strands: tuple[_Strand, ...]
    tendon: tuple[int, ...]
    """Of every piece."""
    share: Float[np.ndarray, "piece"]
    """1 over the divisor of the pulley that the piece comes after."""


class _Piece(NamedTuple):
    """Lengths and slopes of a bundle."""

    length: Float[Array, "piece *instant"]
    slope: Float[Array, "chain piece *instant"]


class _Route(NamedTuple):
    tree: Tree
    bundles: tuple[_Bundle, ...]
    constant: Float[np.ndarray, "tendon"]
    """Length within bodies [m]."""
    joints: tuple[tuple[int, int, float], ...]
    """(tendon, joint, coefficient) of tendons over joints."""


@lru_cache(maxsize=16)
def _route(m: mujoco.MjModel) -> _Route:
    """Cut the tendons of a model."""
    tree, wrap = tree_of(m), mujoco.mjtWrap
    constant, joints = np.zeros(m.ntendon), []
    found: dict[Any, dict[Any, list[Any]]] = {}

    def site(k: int) -> tuple[int, Any]:
        return int(m.site_bodyid[k]), m.site_pos[k].copy()

    for t in range(m.ntendon):
        share, end = 1.0, m.tendon_adr[t] + m.tendon_num[t]
        for w in range(m.tendon_adr[t], end):
            kind, element = wrap(m.wrap_type[w]), int(m.wrap_objid[w])
            if kind == wrap.mjWRAP_PULLEY:
                share = 1.0 / max(float(m.wrap_prm[w]), _TINY)
            elif kind == wrap.mjWRAP_JOINT:
                joints.append((t, element, float(m.wrap_prm[w])))
            elif kind == wrap.mjWRAP_SITE and w + 1 < end and wrap(m.wrap_type[w + 1]) == wrap.mjWRAP_SITE:
                (on, first), (to, last) = sorted((site(element), site(int(m.wrap_objid[w + 1]))), key=lambda s: s[0])
                if on == to:
                    constant[t] += share * np.linalg.norm(last - first)
                    continue
                chain = tree.moved_apart((on, to))
                strands = found.setdefault(("straight", chain, False), {})
                strands.setdefault((on, to), []).append((t, share, first, last))
            elif kind in (wrap.mjWRAP_SPHERE, wrap.mjWRAP_CYLINDER):
                (on, first), (to, last) = site(int(m.wrap_objid[w - 1])), site(int(m.wrap_objid[w + 1]))
                around, beside = int(m.geom_bodyid[element]), round(float(m.wrap_prm[w]))
                aside = site(beside) if beside >= 0 else (-1, np.zeros(3))
                axes = np.zeros(9)
                mujoco.mju_quat2Mat(axes, m.geom_quat[element])
                if to == around:  # a path is as long either way; so the end that moves comes second
                    (on, first), (to, last) = (to, last), (on, first)
                chain = tree.moved_apart((on, around), (around, to))
                name = "sphere" if kind == wrap.mjWRAP_SPHERE else "cylinder"
                centre, radius = m.geom_pos[element], m.geom_size[element, 0]
                if aside[0] == around and np.linalg.norm(aside[1] - centre) < radius:
                    name, aside = f"inside {name}", (-1, np.zeros(3))
                strands = found.setdefault((name, chain, aside[0] >= 0), {})
                strands.setdefault((on, to, around, aside[0]), []).append(
                    (t, share, first, last, m.geom_pos[element], axes.reshape(3, 3), m.geom_size[element, 0], aside[1])
                )
    bundles = []
    for (name, chain, _), by_bodies in found.items():
        strands, tendon, shares = [], [], []
        for (on, to, *wrapped), pieces in by_bodies.items():
            tendons, share, first, last, *more = (np.array(x) for x in zip(*pieces, strict=True))
            extra: dict[str, Any] = {}
            if wrapped:
                extra = dict(zip(("centre", "axes", "radius", "side"), more, strict=True))
                extra |= dict(zip(("around", "beside"), wrapped, strict=True))
            strands.append(_Strand(on, to, first, last, **extra))
            tendon += [int(t) for t in tendons]
            shares.append(share)
        bundles.append(_Bundle(name, chain, tuple(strands), tuple(tendon), np.concatenate(shares)))
    return _Route(tree, tuple(bundles), constant, tuple(joints))


# Pieces ----------------------------------------------------------------------------------------------------


def _piecewise(route: _Route, bundle: _Bundle, position: Any) -> _Piece:
    """Evaluate a bundle."""
    shape = jnp.broadcast_shapes(*(jnp.shape(x) for x in position))
    pull = _straight if bundle.kind == "straight" else _around
    length, slope = pull(route.tree, bundle, position, shape)
    share = _column(bundle.share, shape)
    shape = (len(bundle.tendon), *shape)
    full = [_full(multiply(share, x), shape) for x in (length, *slope)]
    return _Piece(full[0], jnp.stack(full[1:]) if slope else jnp.zeros((0, *shape)))


def _curved(
    route: _Route, bundle: _Bundle, position: Float[Array, "coordinate *instant"]
) -> tuple[_Piece, Float[Array, "chain chain piece *instant"]]:
    """A bundle and the derivatives of its slopes, the coordinate they are taken by first."""
    if not bundle.chain:
        piece = _piecewise(route, bundle, position)
        return piece, jnp.zeros((0, 0, *piece.length.shape))
    moving = np.array(bundle.chain)

    def slopes(x: Array) -> tuple[Array, Array]:
        columns = list(position)
        for j, column in zip(bundle.chain, x, strict=True):
            columns[j] = column
        piece = _piecewise(route, bundle, columns)
        return piece.slope, piece.length

    at = position[moving]
    basis = jnp.eye(len(moving)).reshape(*2 * (len(moving),), *(1,) * (at.ndim - 1))
    tangents = jnp.broadcast_to(basis, (len(moving), *at.shape))
    # the derivative of a length is its slope, which is known
    slope, bend, length = jax.vmap(lambda t: jax.jvp(slopes, (at,), (t,), has_aux=True), out_axes=(None, 0, None))(
        tangents
    )
    return _Piece(length, slope), bend


def _straight(tree: Tree, bundle: _Bundle, position: Any, shape: tuple[int, ...]) -> tuple[Component, list[Component]]:
    firsts, lasts, screws = [], [], []
    for s in bundle.strands:
        pose, between = seen_from(tree, position, s.on, s.to)
        firsts.append(_points(s.first, shape))
        lasts.append(pose.carry(_points(s.last, shape)))
        screws.append([between.get(j, STILL) for j in bundle.chain])
    counts = [len(s.first) for s in bundle.strands]
    first, last = (_stacked(x, counts, shape) for x in (firsts, lasts))
    distance, line = _line(first, last)
    return distance, [_reach(_stacked(x, counts, shape), line) for x in zip(*screws, strict=True)]


def _around(tree: Tree, bundle: _Bundle, position: Any, shape: tuple[int, ...]) -> tuple[Component, list[Component]]:
    """Around spheres or cylinders, everything seen from their frames."""
    firsts, lasts, sides, before, after = [], [], [], [], []
    for s in bundle.strands:
        assert s.axes is not None
        assert s.centre is not None
        assert s.side is not None
        axes = Rotation(*(_points(s.axes[:, r], shape) for r in range(3)))
        frame = Pose(axes, _points(s.centre, shape))
        start, arrives = seen_from(tree, position, s.around, s.on)
        end, leaves = seen_from(tree, position, s.around, s.to)
        firsts.append(frame.seen(start.carry(_points(s.first, shape))))
        lasts.append(frame.seen(end.carry(_points(s.last, shape))))
        if s.beside >= 0:
            sides.append(frame.seen(seen_from(tree, position, s.around, s.beside)[0].carry(_points(s.side, shape))))
        for lines, screws, sign in ((before, arrives, -1.0), (after, leaves, 1.0)):
            lines.append([screws[j].times(sign).about(frame) if j in screws else STILL for j in bundle.chain])
    counts = [len(s.first) for s in bundle.strands]
    first, last = (_stacked(x, counts, shape) for x in (firsts, lasts))
    side = _stacked(sides, counts, shape) if sides else None
    radius = np.concatenate([s.radius for s in bundle.strands if s.radius is not None])
    sphere, size = bundle.kind.endswith("sphere"), _column(radius, shape)
    through = bundle.kind.startswith("inside")
    way = inside(first, last, size, sphere) if through else outside(first, last, side, size, sphere)
    wraps, around, leaves, arrives = way
    distance, straight = _line(first, last)
    # Where nothing wraps both pieces are the straight line, and the geom's body drops out of their sum.
    ends = ((first, choose(wraps, leaves, straight.angular)), (last, choose(wraps, arrives, straight.angular)))
    lines = [Screw(u, p.cross(u)) for p, u in ends]
    slope = []
    for screws in zip(zip(*before, strict=True), zip(*after, strict=True), strict=True):
        reach = (_reach(_stacked(x, counts, shape), line) for x, line in zip(screws, lines, strict=True))
        slope.append(add(*reach))
    return select(wraps, around, distance), slope


def _line(start: Vector, end: Vector) -> tuple[Component, Screw]:
    """Length of a straight piece, and the line it is on: direction and moment."""
    span = end.minus(start)
    distance = span.norm()
    u = span.times(1.0 / at_least(distance, _TINY))
    return distance, Screw(u, start.cross(u))


def _reach(screw: Screw, line: Screw) -> Component:
    """How fast a joint draws a line out."""
    return add(screw.linear.dot(line.angular), screw.angular.dot(line.linear))


# Rows ------------------------------------------------------------------------------------------------------


def _column(values: Float[np.ndarray, "piece"], shape: tuple[int, ...]) -> Component:
    """Constants of the pieces, to go with arrays over pieces and instants."""
    values = np.asarray(values, dtype=float)
    return float(values[0]) if np.all(values == values[0]) else values.reshape(-1, *(1,) * len(shape))


def _points(values: Float[np.ndarray, "piece 3"], shape: tuple[int, ...]) -> Vector:
    return Vector(*(_column(values[:, k], shape) for k in range(3)))


def _full(x: Component, shape: tuple[int, ...]) -> Array:
    return jnp.broadcast_to(jnp.asarray(x, dtype=float), shape)


def _stacked(parts: Sequence[Any], counts: Sequence[int], shape: tuple[int, ...]) -> Any:
    """One below the other: components, or tuples of them."""
    if isinstance(parts[0], tuple):
        return type(parts[0])(*(_stacked(x, counts, shape) for x in zip(*parts, strict=True)))
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(x, int | float | np.ndarray) for x in parts):
        column = (np.broadcast_to(x, (n, *(1,) * len(shape))) for x, n in zip(parts, counts, strict=True))
        return _column(np.concatenate(list(column)).reshape(sum(counts)), shape)
    return jnp.concatenate([_full(x, (n, *shape)) for x, n in zip(parts, counts, strict=True)])


def _rows(x: Float[Array, "piece *instant"]) -> list[Array]:
    return [lax.squeeze(row, [0]) for row in lax.split(x, [1] * x.shape[0])]


def _joined(route: _Route, position: Float[Array, "coordinate *instant"], pieces: Sequence[_Piece]) -> Paths:
    """Tendons from their pieces."""
    m, shape = route.tree.m, position.shape[1:]
    length: list[Component] = [float(x) for x in route.constant]
    slope: list[list[Component]] = [[0.0] * len(route.tree.coordinates) for _ in range(m.ntendon)]
    for t, j, coefficient in route.joints:
        c, rate = route.tree.coordinate(j), route.tree.rates(position, j)[0]
        there = add(route.tree.travel(position, j), float(m.qpos0[m.jnt_qposadr[j]]))
        length[t] = add(length[t], multiply(coefficient, there))
        if c >= 0:
            slope[t][c] = add(slope[t][c], multiply(coefficient, rate))
    for bundle, piece in zip(route.bundles, pieces, strict=True):
        for t, row in zip(bundle.tendon, _rows(piece.length), strict=True):
            length[t] = add(length[t], row)
        for j, rows in zip(bundle.chain, piece.slope, strict=True):
            for t, row in zip(bundle.tendon, _rows(rows), strict=True):
                slope[t][j] = add(slope[t][j], row)
    return Paths(_last(length, shape), _last(slope, shape))


def _last(nested: Any, shape: tuple[int, ...]) -> Array:
    """Nested lists over tendons and coordinates as an array in which they come after the instants."""
    flat = jax.tree.leaves(nested)
    count = np.shape(jax.tree.map(lambda x: 0, nested))
    rows = jnp.stack([_full(x, shape) for x in flat], -1) if flat else jnp.zeros((*shape, 0))
    return rows.reshape(*shape, *count)
