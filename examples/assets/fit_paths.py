"""Fit one muscle path of a MuJoCo model (sites, wrap centres and radii) to reference lengths and moment arms.

Bounded nonlinear least squares over a handful of numbers a path. The residual, all in millimetres:

- change of length: ``L(q) - L_ref(q)`` less its mean (a constant offset belongs to the tendon slack length),
- moment arm about every joint given, ``r = -dL/dq``,
- a soft pull of every free number towards where it started (anatomy), and
- barriers: a path point that comes near or inside a wrap, and a segment that passes so near a wrap's axis
  that the shorter way around it could change sides. Both would make the length jump.

The last barrier lets these models do without MuJoCo side sites, whose rule differs between 3.x and 4.x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import mujoco
import numpy as np
from scipy.optimize import least_squares

MM = 1e-3


@dataclass(frozen=True)
class Free:
    """One thing the fit may move: ``kind`` is "site" or "geom" (position, the named ``axes``) or "radius".

    ``reach`` [m] bounds the move to either side of the start, in the parent body's frame; there the pull
    towards the start is as strong as a third of a millimetre of error at each of the n poses.
    """

    kind: str
    name: str
    axes: str = "xyz"
    reach: float = 0.03


@dataclass(frozen=True)
class Targets:
    """Reference of one path over n poses. Units m and rad; signs are OpenSim's, ``r = -dL/dq``."""

    qpos: np.ndarray  # (n, nq)
    lengths: np.ndarray  # (n,)
    moment_arms: Mapping[str, np.ndarray]  # joint name -> (n,)
    weights: np.ndarray | None = None  # (n,), 1 if left out


@dataclass
class PathFit:
    values: dict[str, np.ndarray | float]  # site or geom name -> position, "radius/<geom>" -> radius
    offset: float  # mean of L - L_ref [m]: add it to the reference's tendon slack length
    length_rms: float  # [m], offset removed, over all target poses
    arm_rms: dict[str, float] = field(default_factory=dict)  # joint name -> [m]
    cost: float = np.inf
    barrier: float = 0.0  # what is left of the barriers (0 when every wrap is safe at every pose given)


class TendonPath:
    """One spatial tendon of a compiled model, evaluated over many poses with MuJoCo's C functions."""

    def __init__(self, model: mujoco.MjModel, tendon: str) -> None:
        self.model, self.data = model, mujoco.MjData(model)
        self.id = model.tendon(tendon).id
        start, count = int(model.tendon_adr[self.id]), int(model.tendon_num[self.id])
        self.wraps = [(int(model.wrap_type[k]), int(model.wrap_objid[k])) for k in range(start, start + count)]

    def evaluate(self, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Length (n,) [m] and ``-dL/dq`` (n, nv) over poses (n, nq)."""
        lengths, arms, _ = self._evaluate(qpos)
        return lengths, arms

    def _evaluate(self, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        m, d = self.model, self.data
        lengths, arms, near = np.empty(len(qpos)), np.zeros((len(qpos), m.nv)), []
        for i, q in enumerate(qpos):
            d.qpos[:] = q
            mujoco.mj_kinematics(m, d)
            mujoco.mj_comPos(m, d)
            mujoco.mj_tendon(m, d)
            lengths[i] = d.ten_length[self.id]
            arms[i] = -dense_tendon_jacobian(m, d)[self.id]
            near.append(self._near())
        return lengths, arms, np.array(near)

    def _near(self) -> list[list[float]]:
        """For each cylinder or sphere between two sites: the sites' distances [m] from its surface, and the
        signed distance [m] of the straight segment from its axis (infinite for a sphere, which has none)."""
        m, d, out = self.model, self.data, []
        for k, (kind, geom) in enumerate(self.wraps):
            if kind not in (mujoco.mjtWrap.mjWRAP_CYLINDER, mujoco.mjtWrap.mjWRAP_SPHERE):
                continue
            ends = [d.site_xpos[self.wraps[j][1]] - d.geom_xpos[geom] for j in (k - 1, k + 1)]
            if kind == mujoco.mjtWrap.mjWRAP_CYLINDER:
                ends = [(d.geom_xmat[geom].reshape(3, 3).T @ e)[:2] for e in ends]
            radius = m.geom_size[geom, 0]
            clear = [float(np.linalg.norm(e)) - radius for e in ends]
            segment = ends[1] - ends[0]
            signed = np.inf
            if len(segment) == 2:
                cross = ends[0][0] * segment[1] - ends[0][1] * segment[0]
                signed = float(cross / np.linalg.norm(segment))
            out.append([*clear, signed])
        return out


def dense_tendon_jacobian(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """``ten_J`` as (ntendon, nv), whichever of MuJoCo's storage forms this version uses."""
    flat = np.asarray(data.ten_J)
    if flat.size == model.ntendon * model.nv:
        return flat.reshape(model.ntendon, model.nv)
    dense = np.zeros((model.ntendon, model.nv))
    for i in range(model.ntendon):
        start, count = int(model.ten_J_rowadr[i]), int(model.ten_J_rownnz[i])
        dense[i, model.ten_J_colind[start : start + count]] = flat[start : start + count]
    return dense


def fit_path(
    model: mujoco.MjModel,
    tendon: str,
    free: Sequence[Free],
    targets: Targets,
    *,
    guard_qpos: np.ndarray | None = None,
    clearance: float = 2 * MM,
    side_margin: float = 4 * MM,
    radius_bounds: tuple[float, float] = (5 * MM, 60 * MM),
    starts: int = 1,
    seed: int = 0,
) -> PathFit:
    """Fit the ``free`` numbers of one tendon to ``targets``; ``model`` is left at the best fit found.

    Args:
        guard_qpos: (k, nq) further poses at which the wraps have to stay safe (joint limits, say).
        clearance: least distance [m] of a path point from a wrap's surface.
        side_margin: least distance [m] of a straight segment from a wrap's axis, on its usual side.
        starts: random restarts inside the bounds, the first from where the model stands; the cheapest wins.
    """
    path = TendonPath(model, tendon)
    joints = {name: int(model.joint(name).dofadr[0]) for name in targets.moment_arms}
    weights = np.ones(len(targets.lengths)) if targets.weights is None else np.asarray(targets.weights)
    guard = targets.qpos if guard_qpos is None else np.vstack([targets.qpos, guard_qpos])
    n = len(targets.lengths)

    slots: list[tuple[np.ndarray, int]] = []  # (array to write into, index)
    low, high, reach = [], [], []
    for item in free:
        if item.kind == "radius":
            slots.append((model.geom_size[model.geom(item.name).id], 0))
        elif item.kind in ("site", "geom"):
            i = getattr(model, item.kind)(item.name).id
            slots += [(getattr(model, f"{item.kind}_pos")[i], "xyz".index(a)) for a in item.axes]
        else:
            raise ValueError(f"Free.kind is 'site', 'geom' or 'radius', not {item.kind!r}")
        for array, k in slots[len(low) :]:
            a, b = array[k] - item.reach, array[k] + item.reach
            if item.kind == "radius":
                a, b = max(a, radius_bounds[0]), min(b, radius_bounds[1])
            low.append(a)
            high.append(b)
            reach.append(item.reach)
    start = np.array([array[k] for array, k in slots])
    lower, upper, scale = np.array(low), np.array(high), np.array(reach)

    def write(x: np.ndarray) -> None:
        for (array, k), value in zip(slots, x, strict=True):
            array[k] = value

    sides: list[float] = []

    def errors(x: np.ndarray):
        write(x)
        lengths, arms, near = path._evaluate(guard)
        d_length = lengths[:n] - targets.lengths
        d_arms = {j: arms[:n, dof] - targets.moment_arms[j] for j, dof in joints.items()}
        return d_length, d_arms, near

    def residual(x: np.ndarray) -> np.ndarray:
        d_length, d_arms, near = errors(x)
        parts = [weights * (d_length - np.average(d_length, weights=weights)) / MM]
        parts += [weights * e / MM for e in d_arms.values()]
        parts.append((x - start) / scale * np.sqrt(n) / 3)
        if near.size:
            parts.append(np.maximum(0.0, clearance - near[..., :2]).ravel() / MM * 3)
            parts.append(np.maximum(0.0, side_margin - near[..., 2] * np.array(sides)).ravel() / MM * 3)
        return np.concatenate(parts)

    rng = np.random.default_rng(seed)
    best, best_cost, best_sides = start, np.inf, list(sides)
    for trial in range(starts):
        x0 = start if trial == 0 else rng.uniform(0.5 * (lower + start), 0.5 * (upper + start))
        x0 = np.clip(x0, lower + 1e-9, upper - 1e-9)
        _, _, near = errors(x0)
        sides[:] = [1.0 if np.median(s) >= 0 else -1.0 for s in near[..., 2].T] if near.size else []
        solution = least_squares(residual, x0, bounds=(lower, upper), x_scale=scale, max_nfev=80)
        if solution.cost < best_cost:
            best, best_cost, best_sides = solution.x, solution.cost, list(sides)
    sides[:] = best_sides
    d_length, d_arms, near = errors(best)
    offset = float(np.average(d_length, weights=weights))
    values: dict[str, np.ndarray | float] = {}
    for item in free:
        if item.kind == "radius":
            values[f"radius/{item.name}"] = float(model.geom_size[model.geom(item.name).id, 0])
        else:
            values[item.name] = getattr(model, f"{item.kind}_pos")[getattr(model, item.kind)(item.name).id].copy()
    barrier = 0.0
    if near.size:
        barrier = float(
            max(
                np.max(clearance - near[..., :2]),
                np.max(side_margin - near[..., 2] * np.array(sides)),
                0.0,
            )
        )
    return PathFit(
        values=values,
        offset=offset,
        length_rms=float(np.sqrt(np.mean((d_length - d_length.mean()) ** 2))),
        arm_rms={j: float(np.sqrt(np.mean(e**2))) for j, e in d_arms.items()},
        cost=float(best_cost),
        barrier=barrier,
    )


def roughness(
    model: mujoco.MjModel, tendon: str, joint: str, base: np.ndarray, angles: np.ndarray
) -> tuple[float, float]:
    """Along one joint from pose ``base`` over fine, even ``angles`` [rad]: the largest disagreement [m] of
    the moment arm with ``-dL/dq`` by central differences, and its largest step [m] between neighbours. A wrap
    that flips shows in both."""
    qpos = np.repeat(np.asarray(base, float)[None], len(angles), axis=0)
    qpos[:, int(model.joint(joint).qposadr[0])] = angles
    lengths, arms = TendonPath(model, tendon).evaluate(qpos)
    arm = arms[:, int(model.joint(joint).dofadr[0])]
    difference = -(lengths[2:] - lengths[:-2]) / (angles[2:] - angles[:-2])
    return float(np.max(np.abs(difference - arm[1:-1]))), float(np.max(np.abs(np.diff(arm))))
