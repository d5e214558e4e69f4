"""One muscle's MuJoCo path, fitted to OpenSim's lengths and moment arms over many poses.

Bounded least squares over the places of sites, and place, tilt and radius of wraps. The residual, in millimetres:
change of length (a constant offset belongs to the tendon slack length), moment arms by ``-dL/dq``, a pull to where
OpenSim has things, and barriers that keep points off the wraps and segments from changing the side of one.

Lengths are evaluated here for all poses at once; the compiled model says in the end what they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from mjx_msm.person.from_osim.paths import Candidate, Geom, Site

MM = 1e-3
STEP = 1e-4  # [rad or m] of the moment arms' central difference
_CLEAR, _SIDE = 2 * MM, 4 * MM
_TILT = 0.5  # [rad]
_GOOD = 0.25  # [mm]: no better path is looked for


@dataclass(frozen=True, eq=False)
class Targets:
    """Where a path's bodies are, and what OpenSim says of it, over n poses."""

    bodies: Mapping[str, Float[np.ndarray, "pose shifted 4 4"]]
    """Second axis: the pose, then every coordinate shifted by plus and minus `STEP`."""
    lengths: Float[np.ndarray, "pose"]
    arms: Float[np.ndarray, "pose coordinate"]


@dataclass(frozen=True, eq=False)
class Fit:
    path: Candidate
    error: float
    """Root of the mean square of length change and moment arms [mm], barriers included."""
    start: Candidate
    """Where the fit began, from which reach and pull count."""


def fit_path(candidates: Sequence[Candidate], targets: Targets) -> Fit:
    """The candidate that comes nearest to the targets, fitted: all of them a little, the better ones more."""
    found = [_fitted(c, targets, evaluations=6) for c in candidates]
    for most, evaluations in ((10, 20), (3, 50)):
        found.sort(key=lambda fit: fit.error)
        if found[0].error < _GOOD:
            return found[0]
        found = [_fitted(fit.start, targets, evaluations=evaluations, at=fit.path) for fit in found[:most]]
    shaken = [_fitted(f.start, targets, evaluations=30, at=_shaken(f.path, k)) for k, f in enumerate(found)]
    return min([*found, *shaken], key=lambda fit: fit.error)


def _fitted(path: Candidate, targets: Targets, *, evaluations: int, at: Candidate | None = None) -> Fit:
    """**Arguments:** `path`: from where reach and pull count; `at`: where to begin, the path itself by default."""
    problem = _Problem(path, targets)
    if not problem.reach.size:
        return Fit(path, problem.error(np.zeros(0)), path)
    first = np.zeros(len(problem.reach)) if at is None else _difference(path, at) / problem.reach
    solution = least_squares(
        problem.residual,
        np.clip(first, -0.99, 0.99),
        problem.jacobian,  # type: ignore[arg-type] # its stubs know only words
        bounds=(-1.0, 1.0),
        max_nfev=evaluations,
        tr_solver="lsmr",  # an SVD is a hundred times slower where other processes hold the cores
    )
    return Fit(_moved(path, solution.x * problem.reach), problem.error(solution.x), path)


class _Problem:
    """Residual [mm] of a path in its free numbers, each relative to its reach."""

    def __init__(self, path: Candidate, targets: Targets) -> None:
        self.path, self.targets = path, targets
        self.reach = np.concatenate([_reaches(item) for item in path])
        self.owner = np.repeat(np.arange(len(path)), [len(_reaches(item)) for item in path])
        self.segments = _segments(path)
        self.pull = np.sqrt(len(targets.lengths)) / 4
        self.sides = []
        for _, near in self.measured(path):
            usual = np.zeros(0) if near is None or near[1] is None else near[1][:, 0]
            usual = usual[np.isfinite(usual)]
            self.sides.append(1.0 if not len(usual) or np.median(usual) >= 0 else -1.0)

    def measured(self, path: Candidate, which: Sequence[int] | None = None) -> list[_Measured]:
        chosen = self.segments if which is None else [self.segments[k] for k in which]
        return [_measured(path, segment, self.targets.bodies) for segment in chosen]

    def misfit(self, lengths: np.ndarray, of_targets: bool = True) -> np.ndarray:
        """Of lengths (pose, shifted): change of length and moment arms [mm]."""
        error, arms = lengths[:, 0], -(lengths[:, 1::2] - lengths[:, 2::2]) / (2 * STEP)
        if of_targets:
            error, arms = error - self.targets.lengths, arms - self.targets.arms
        return np.concatenate([error - error.mean(), arms.ravel()]) / MM

    def barrier(self, k: int, near: tuple[np.ndarray, np.ndarray | None] | None) -> np.ndarray:
        """Of the k-th segment [mm]."""
        if near is None:
            return np.zeros(0)
        parts = [np.maximum(0.0, _CLEAR - near[0][..., 0]).ravel()]
        if near[1] is not None:
            parts.append(np.nan_to_num(np.maximum(0.0, _SIDE - self.sides[k] * near[1][:, 0])))
        return 3 * np.concatenate(parts) / MM

    def residual(self, x: np.ndarray) -> np.ndarray:
        found = self.measured(_moved(self.path, x * self.reach))
        lengths = np.sum([length for length, _ in found], axis=0)
        barriers = [self.barrier(k, near) for k, (_, near) in enumerate(found)]
        return np.concatenate([self.misfit(lengths), *barriers, self.pull * x])

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """By differences, measuring again only the segments that a number changes."""
        here = _moved(self.path, x * self.reach)
        base = self.measured(here)
        barriers = [self.barrier(k, near) for k, (_, near) in enumerate(base)]
        ends = np.cumsum([0, *(len(b) for b in barriers)])
        rows = len(self.misfit(base[0][0]))
        out = np.zeros((rows + ends[-1] + len(x), len(x)))
        for p, item in enumerate(self.owner):
            step = -1e-5 if x[p] > 0 else 1e-5
            moved = x.copy()
            moved[p] += step
            there = _moved(self.path, moved * self.reach)
            which = [k for k, segment in enumerate(self.segments) if item in segment]
            change = 0.0
            for k, (length, near) in zip(which, self.measured(there, which), strict=True):
                change = change + (length - base[k][0])
                place = slice(rows + ends[k], rows + ends[k + 1])
                out[place, p] = (self.barrier(k, near) - barriers[k]) / step
            out[:rows, p] = self.misfit(np.asarray(change), of_targets=False) / step
            out[rows + ends[-1] + p, p] = self.pull
        return out

    def error(self, x: np.ndarray) -> float:
        residual = self.residual(x)[: -len(x) or None]
        return float(np.sqrt(residual @ residual / self.targets.arms.size))


def _reaches(item: Site | Geom) -> np.ndarray:
    if item.reach == 0:
        return np.zeros(0)
    if isinstance(item, Site):
        return np.full(3, item.reach)
    if item.shape == "sphere":
        return np.array([item.reach] * 3 + [1.0])
    return np.array([item.reach] * 2 + [1.0] + [_TILT] * 2)


def _moved(path: Candidate, x: np.ndarray) -> Candidate:
    """The path with its free numbers changed: places [m], logarithm of the radius, tilt [rad]."""
    out, k = [], 0
    for item in path:
        n = len(_reaches(item))
        own, k = x[k : k + n], k + n
        if n == 0:
            out.append(item)
        elif isinstance(item, Site):
            out.append(replace(item, place=item.place + own))
        else:
            pose = item.pose.copy()
            across = 3 if item.shape == "sphere" else 2
            pose[:3, 3] += pose[:3, :across] @ own[:across]
            if across == 2:
                pose[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec([own[3], own[4], 0.0]).as_matrix()
            out.append(replace(item, pose=pose, radius=float(item.radius * np.exp(own[across]))))
    return tuple(out)


def _difference(path: Candidate, other: Candidate) -> np.ndarray:
    """The numbers that make `other` of `path`, tilts left out."""
    out: list[np.ndarray] = []
    for one, two in zip(path, other, strict=True):
        if one.reach and isinstance(one, Site) and isinstance(two, Site):
            out.append(two.place - one.place)
        elif one.reach and isinstance(one, Geom) and isinstance(two, Geom):
            shift = one.pose[:3, :3].T @ (two.pose[:3, 3] - one.pose[:3, 3])
            growth = [np.log(two.radius / one.radius)]
            out.append(np.array([*shift, *growth] if one.shape == "sphere" else [*shift[:2], *growth, 0.0, 0.0]))
    return np.concatenate(out)


def _shaken(path: Candidate, seed: int) -> Candidate:
    reach = np.concatenate([_reaches(item) for item in path])
    return _moved(path, 0.5 * reach * np.random.default_rng(seed).uniform(-1, 1, len(reach)))


# Lengths -------------------------------------------------------------------------------------------------------

_Measured = tuple[np.ndarray, tuple[np.ndarray, np.ndarray | None] | None]
"""Length [m]; around a wrap also the clearance of both ends [m], and the signed distance [m] of the straight segment
from a cylinder's axis, NaN where it passes beyond its ends."""


def _segments(path: Candidate) -> list[tuple[int, ...]]:
    """Indices of site, site or site, wrap, site."""
    sites = [k for k, item in enumerate(path) if isinstance(item, Site)]
    return [tuple(range(a, b + 1)) for a, b in itertools.pairwise(sites)]


def _measured(path: Candidate, segment: Sequence[int], bodies: Mapping[str, np.ndarray]) -> _Measured:
    ends = []
    for k in (segment[0], segment[-1]):
        item = path[k]
        assert isinstance(item, Site)
        x = bodies[item.body]
        ends.append(x[..., :3, :3] @ item.place + x[..., :3, 3])
    if len(segment) == 2:
        return np.sqrt(((ends[1] - ends[0]) ** 2).sum(-1)), None
    geom = path[segment[1]]
    assert isinstance(geom, Geom)
    length, clear, signed = _around(ends[0], ends[1], bodies[geom.body], geom)
    return length, (clear, signed)


def path_length(path: Candidate, bodies: Mapping[str, Float[np.ndarray, "*n 4 4"]]) -> Float[np.ndarray, "*n"]:
    """Length [m] of a path as MuJoCo measures it, bodies in the ground."""
    return np.sum([_measured(path, segment, bodies)[0] for segment in _segments(path)], axis=0)


def _around(
    one: np.ndarray, two: np.ndarray, body: np.ndarray, geom: Geom
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Shortest way between two points outside a cylinder or sphere, as MuJoCo's ``mju_wrap`` has it."""
    turn, r = body[..., :3, :3] @ geom.pose[:3, :3], geom.radius
    centre = body[..., :3, :3] @ geom.pose[:3, 3] + body[..., :3, 3]
    a, b = (((x - centre)[..., None, :] @ turn)[..., 0, :] for x in (one, two))
    u, v = (a, b) if geom.shape == "sphere" else (a[..., :2], b[..., :2])
    da, db = np.sqrt((u * u).sum(-1)), np.sqrt((v * v).sum(-1))
    along = v - u
    square = np.maximum((along**2).sum(-1), 1e-18)
    t = np.clip(-(u * along).sum(-1) / square, 0.0, 1.0)
    distance = np.linalg.norm(u + t[..., None] * along, axis=-1)
    straight = np.linalg.norm(b - a, axis=-1)
    touches = (distance < r) & (da > r) & (db > r) & (t > 0) & (t < 1)
    safe_a, safe_b = np.maximum(da, r), np.maximum(db, r)
    between = np.arccos(np.clip((u * v).sum(-1) / np.maximum(da * db, 1e-18), -1.0, 1.0))
    arc = np.maximum(between - np.arccos(r / safe_a) - np.arccos(r / safe_b), 0.0)
    tangents = (np.sqrt(np.maximum(x * x - r * r, 0.0)) for x in (safe_a, safe_b))
    flat = sum(tangents) + r * arc
    rise = 0.0 if geom.shape == "sphere" else a[..., 2] - b[..., 2]
    length = np.where(touches, np.sqrt(flat**2 + rise**2), straight)
    clear = np.stack([da - r, db - r])
    if geom.shape == "sphere":
        return length, clear, None
    cross = u[..., 0] * along[..., 1] - u[..., 1] * along[..., 0]
    signed = np.where((t > 0) & (t < 1), cross / np.sqrt(square), np.nan)
    return length, clear, signed
