"""What a model can be asked: ranges of motion, moment arms, which bodies move, what muscles and bones differ in."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.person.couplings import couplings, followed, independent, whole_position
from mjx_msm.person.model import Model
from mjx_msm.person.obstacles import TREE

MUSCLE_AND_BONE = ("max_isometric_force", "optimal_fiber_length", "tendon_slack_length")


def coordinate_range(model: Model, name: str) -> tuple[float, float]:
    """Where a coordinate's stops begin [rad or m]; infinite where it has none."""
    m = model.host.mj_model
    low, high = -math.inf, math.inf
    names = [m.joint(j).name for j in range(m.njnt)]
    if name not in names:  # a part of a free or ball joint
        return low, high
    if m.jnt_limited[names.index(name)]:  # MJX keeps limits
        low, high = m.jnt_range[names.index(name)]
        return float(low), float(high)
    curves = {t for curve in model.host.passive for t in curve.tendons}
    for t in sorted({*range(m.ntendon)} - curves):
        first = m.tendon_adr[t]
        on_joint = m.tendon_num[t] == 1 and m.wrap_type[first] == mujoco.mjtWrap.mjWRAP_JOINT
        if on_joint and m.tendon_stiffness[t] > 0 and m.joint(int(m.wrap_objid[first])).name == name:
            ends = sorted(float(length / m.wrap_prm[first]) for length in m.tendon_lengthspring[t])
            low, high = max(low, ends[0]), min(high, ends[1])
    return low, high


def coordinate_unit(model: Model, name: str) -> str:
    """ "rad" of what turns, "m" of what slides, "" of a part of a quaternion."""
    m = model.host.mj_model
    kinds = {m.joint(j).name: mujoco.mjtJoint(m.jnt_type[j]) for j in range(m.njnt)}
    if name not in kinds:  # a part of a free or ball joint
        return "m" if name.rpartition("/")[2] in ("x", "y", "z") else ""
    return "rad" if kinds[name] == mujoco.mjtJoint.mjJNT_HINGE else "m"


def moment_arm_curves(
    model: Model, samples: int = 41
) -> dict[str, tuple[Float[np.ndarray, "sample"], Float[np.ndarray, "sample muscle"]]]:
    """Values of every coordinate [rad or m] and the moment arms [m] of all muscles about it there.

    Each coordinate goes over its range (±90° where it has no stops), the others stay at the model's reference or
    the nearest end of their range. Joints that follow it by an equality go with it, and are left out themselves. A
    positive arm drives the coordinate up. Parts of free and ball joints are left out.
    """
    m = model.host.mj_model
    d = mujoco.MjData(m)
    ranges = [coordinate_range(model, c) for c in model.coordinates]
    reference = np.clip(model.host.reference, *np.transpose(ranges))
    single, out = {m.joint(j).name for j in independent(m)}, {}
    for i, (coordinate, (low, high)) in enumerate(zip(model.coordinates, ranges, strict=True)):
        if coordinate not in single:
            continue
        if not math.isfinite(high - low):
            low, high = reference[i] - np.pi / 2, reference[i] + np.pi / 2
        arms, values = [], np.linspace(low, high, samples)
        for value in values:
            q = reference.copy()
            q[i] = value
            arms.append(-path_slope(m, d, q, i))
        out[coordinate] = values, np.array(arms)
    return out


def moment_arm_ranges(model: Model, samples: int = 41) -> dict[str, dict[str, tuple[float, float]]]:
    """Smallest and largest of `moment_arm_curves` [m], by muscle and coordinate."""
    out: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in model.muscles}
    for coordinate, (_, arms) in moment_arm_curves(model, samples).items():
        for name, smallest, largest in zip(model.muscles, arms.min(axis=0), arms.max(axis=0), strict=True):
            out[name][coordinate] = float(smallest), float(largest)
    return out


def moving_bodies(model: Model) -> tuple[str, ...]:
    """Bodies with mass that a free coordinate moves."""
    m = model.host.mj_model
    follows = couplings(m) if model.host.engine == TREE else {}
    drivers = {m.joint(j).name: m.joint(own.driver).name for j, own in follows.items() if own.driver >= 0}
    moved, names = {*model.free, *(c.rsplit("/", 1)[0] for c in model.free)}, []  # a free joint's by its parts
    for b in model.host.body_ids:
        parent, chain = int(b), []
        while parent:
            chain.append(parent)
            parent = int(m.body_parentid[parent])
        joints = [m.joint(j).name for p in chain for j in range(m.body_jntadr[p], m.body_jntadr[p] + m.body_jntnum[p])]
        if {drivers.get(j, j) for j in joints} & moved:
            names.append(m.body(int(b)).name)
    return tuple(names)


def muscle_and_bone(model: Model) -> tuple[str, ...]:
    """The parameters a synthetic subject differs in, as patterns for `identify`.

    Strength, optimal fiber length and tendon slack length of every muscle; mass and place along the segment of
    the centre of mass of every body that a free coordinate moves.
    """
    patterns = [f"muscle/*/{field}" for field in MUSCLE_AND_BONE]
    for body in moving_bodies(model):
        com = np.asarray(model.nominal.body.com)[model.nominal.names.body.index(body)]
        patterns += [f"body/{body}/mass", f"body/{body}/com/{'xyz'[int(np.argmax(np.abs(com)))]}"]
    return tuple(patterns)


def path_slope(m: mujoco.MjModel, d: mujoco.MjData, q: np.ndarray, coordinate: int) -> np.ndarray:
    """∂L/∂q of every muscle [m]; joints that follow the coordinate go with it."""
    ends, h = [], 1e-5
    for side in (-h, h):
        there = np.array(q, float)
        there[coordinate] += side
        d.qpos[:] = followed(m, there) if len(there) == m.nq else whole_position(m, there)
        mujoco.mj_fwdPosition(m, d)
        ends.append(d.actuator_length.copy())
    return (ends[1] - ends[0]) / (2 * h)
