"""A model of the other side of the body: mirrored across the sagittal plane.

With the reflection S = 1 - 2nnᵀ applied in the world's frame and in every body's, points go to S p, rotations to S R S,
inertias to S I S; an axis that something slides along goes to S a, one that it turns about, an axial vector, to -S a.
So a coordinate keeps its sign, flexion stays flexion, and with them lengths, moment arms and the equations of motion
are those of the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, one_of
from mjx_msm.person.plain_mjcf import plain

SIDES = ("left", "right")
_J, _G, _T = mujoco.mjtJoint, mujoco.mjtGeom, mujoco.mjtTrn
_SIDE = re.compile(r"(^|_)([rl])(?=_|$)")
"""In a name: ``knee_angle_r``, ``vasmed_r_P1``, ``r_elbow_flex``."""
_SUM = 1e-9
"""Part of gravity across the plane that is rounding."""


def other_side(name: str) -> str:
    """A name as the other side has it; the same where it does not tell a side."""
    return _SIDE.sub(lambda found: found[1] + ("l" if found[2] == "r" else "r"), name) if len(name) > 1 else name


def of_side(spec: mujoco.MjSpec, source: str, side: str) -> tuple[mujoco.MjSpec, list[str]]:
    """A model of one side as that of the wanted one: as it is, or mirrored.

    A model whose names tell no side, like the bundled ones, is of the right.

    **Arguments:** `spec`: compiled once; `source`: what messages call it.

    **Returns:** the specification, and in words what was done.

    **Raises:** `InputError` if it is of both sides, or holds what cannot be mirrored.
    """
    one_of("side", side, SIDES)
    moved = (*spec.joints, *(joint.parent for joint in spec.joints))
    # muscles last: "_l" may say that it is the long one
    told = sides_of(e.name for e in moved) or sides_of(e.name for e in spec.actuators)
    if len(told) > 1:
        raise InputError(
            f"model '{source}': side = '{side}', but it has both sides; leave side out, and choose joints of that side"
        )
    if side == (told or {"right"}).pop():
        return spec, []
    made, axis = mirrored(spec, source)
    return made, [f"mirrored across the sagittal plane ({axis} = 0): a {side} side"]


def sides_of(names: Iterable[str]) -> set[str]:
    """Sides that names begin or end with."""
    found = (re.search(r"^[rl](?=_)|(?<=_)[rl]$", name) for name in names)
    return {{"r": "right", "l": "left"}[f[0]] for f in found if f}


def mirrored(spec: mujoco.MjSpec, source: str) -> tuple[mujoco.MjSpec, str]:
    """A model mirrored across the plane through the world's origin that most of its hinges turn in.

    Names that tell a side tell the other one. Coordinates of hinges and slides, their limits, springs and couplings are
    the same.

    **Returns:** the specification, and the axis of the world that the plane is across.

    **Raises:** `InputError` if it holds what cannot be mirrored.
    """
    _refuse(spec, source)
    out = plain(spec, other_side)
    m = out.compile()
    across = _lateral(m, source)
    s = np.ones(3)
    s[across] = -1.0
    out.option.wind = out.option.wind * s
    for body in (out.worldbody, *out.bodies[1:]):
        if body.name != "world":
            body.pos, body.quat = body.pos * s, _turned(body.quat, s)
            _mirror_inertia(body, s)
        for joint in body.joints:
            joint.pos = joint.pos * s
            joint.axis = joint.axis * s if joint.type == _J.mjJNT_SLIDE else -joint.axis * s
        for item in (*body.geoms, *body.sites, *body.cameras):
            item.pos, item.quat = item.pos * s, _turned(item.quat, s)
        for light in body.lights:
            light.pos, light.dir = light.pos * s, light.dir * s
    for frame in out.frames:
        frame.pos, frame.quat = frame.pos * s, _turned(frame.quat, s)
    for mesh in out.meshes:
        mesh.scale, mesh.refpos, mesh.refquat = mesh.scale * s, mesh.refpos * s, _turned(mesh.refquat, s)
    for equality in out.equalities:
        _mirror_equality(equality, s)
    for key in out.keys:
        _mirror_key(key, m, s)
    out.compile()
    return out, "xyz"[across]


def _refuse(spec: mujoco.MjSpec, source: str) -> None:
    reasons = [
        (any(g.type in (_G.mjGEOM_HFIELD, _G.mjGEOM_SDF) for g in spec.geoms), "height fields"),
        (bool(spec.flexes or spec.skins), "flexes or skins"),
        (any(a.trntype in (_T.mjTRN_SITE, _T.mjTRN_BODY) for a in spec.actuators), "actuators on sites or bodies"),
        (any(b.mocap for b in spec.bodies), "mocap bodies"),
    ]
    found = [what for there, what in reasons if there]
    if found:
        raise InputError(f"model '{source}': cannot be mirrored to the other side with {found[0]}; remove them")


def _lateral(m: mujoco.MjModel, source: str) -> int:
    """Axis of the world, across gravity, that hinges turn about most."""
    d = mujoco.MjData(m)
    mujoco.mj_kinematics(m, d)
    hinges = m.jnt_type == _J.mjJNT_HINGE
    along = np.abs(d.xaxis[hinges]).sum(0) if hinges.any() else np.array([0.0, 1.0, 0.0])
    gravity = np.abs(m.opt.gravity)
    level = gravity <= _SUM * max(gravity.max(), 1.0)
    if not level.any():
        raise InputError(
            f"model '{source}': gravity is in no plane of the world's axes, so it cannot be mirrored; turn the model"
        )
    return int(np.argmax(np.where(level, along, -1.0)))


def _turned(quat: Float[np.ndarray, "4"], s: Float[np.ndarray, "3"]) -> Float[np.ndarray, "4"]:
    """S R S as a quaternion: its axis is an axial vector."""
    return np.concatenate([quat[:1], -quat[1:] * s])


def _mirror_inertia(body: mujoco.MjsBody, s: np.ndarray) -> None:
    body.ipos, body.iquat = body.ipos * s, _turned(body.iquat, s)
    full = np.array(body.fullinertia)
    if np.isfinite(full[0]):
        body.fullinertia = full * np.array([1, 1, 1, s[0] * s[1], s[0] * s[2], s[1] * s[2]])


def _mirror_equality(equality: mujoco.MjsEquality, s: np.ndarray) -> None:
    data = np.array(equality.data)
    if equality.type in (mujoco.mjtEq.mjEQ_CONNECT, mujoco.mjtEq.mjEQ_WELD):
        data[:3] = data[:3] * s
    if equality.type == mujoco.mjtEq.mjEQ_WELD:
        data[3:6], data[6:10] = data[3:6] * s, _turned(data[6:10], s)
    equality.data = data


def _mirror_key(key: mujoco.MjsKey, m: mujoco.MjModel, s: np.ndarray) -> None:
    """Positions and velocities of free and ball joints; others stay."""
    qpos, qvel = np.array(key.qpos), np.array(key.qvel)
    for j in range(m.njnt):
        free, ball = (m.jnt_type[j] == kind for kind in (_J.mjJNT_FREE, _J.mjJNT_BALL))
        q, v = int(m.jnt_qposadr[j]), int(m.jnt_dofadr[j])
        if free and len(qpos):
            qpos[q : q + 3] = qpos[q : q + 3] * s
        if (free or ball) and len(qpos):
            turn = slice(q + 3 * free, q + 3 * free + 4)
            qpos[turn] = _turned(qpos[turn], s)
        if free and len(qvel):
            qvel[v : v + 3] = qvel[v : v + 3] * s
        if (free or ball) and len(qvel):
            turn = slice(v + 3 * free, v + 3 * free + 3)
            qvel[turn] = -qvel[turn] * s
    key.qpos, key.qvel = qpos, qvel
