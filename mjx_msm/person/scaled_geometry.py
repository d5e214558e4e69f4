"""Places and sizes in an MJCF, stretched body by body."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.person.scaled_joints import tendon_lengths

_G = mujoco.mjtGeom
WORLD = "world"
"""The name of MuJoCo's first body."""


def scale_geometry(spec: mujoco.MjSpec, m: mujoco.MjModel, factors: Mapping[str, Float[np.ndarray, "3"]]) -> None:
    """Stretch what lies in each body along the body's axes: joints, sites, geoms, cameras, children; not inertias.

    **Arguments:** `spec`: changed; compiled before, into `m`; `factors`: of every body, and of the world where it
    `holds_paths`.
    """
    if WORLD in factors:
        _scale_world(spec, m, factors[WORLD])
    for body in spec.bodies[1:]:
        own = factors[body.name]
        above = factors.get(body.parent.name, np.ones(3))
        # the joint's centre is the parent's; where the body's frame is from there, its own
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, m.body_quat[body.id] if body.frame is None else body.quat)
        turn = rotation.reshape(3, 3)
        hinges = [j.pos for j in body.joints if j.type == mujoco.mjtJoint.mjJNT_HINGE]
        centre = np.array(hinges[0]) if hinges else np.zeros(3)
        body.pos = (body.pos + turn @ centre) * above - turn @ (centre * own)
        for joint in body.joints:
            joint.pos = joint.pos * own
        for item in (*body.sites, *body.cameras, *body.lights):
            item.pos = item.pos * own
        _scale_frames(body, own)
        for site in body.sites:
            site.fromto = _stretched(site.fromto, own)
        for geom in body.geoms:
            _scale_geom(spec, m, geom, own)


def _scale_frames(body: mujoco.MjsBody, own: np.ndarray) -> None:
    for frame in body.frames:
        if np.ptp(own) > 1e-9:
            raise InputError(f"body '{body.name}' has frames, which only one factor can scale; give it one number")
        frame.pos = frame.pos * own


def _stretched(ends: np.ndarray, own: np.ndarray) -> np.ndarray:
    return np.asarray(ends) * np.tile(own, 2)


def _scale_geom(spec: mujoco.MjSpec, m: mujoco.MjModel, geom: mujoco.MjsGeom, own: np.ndarray) -> None:
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, m.geom_quat[geom.id])
    along = np.linalg.norm(own[:, None] * rotation.reshape(3, 3), axis=0)  # of each of the geom's own axes
    geom.pos = geom.pos * own
    geom.fromto = _stretched(geom.fromto, own)
    size = np.array(geom.size)
    if geom.type == _G.mjGEOM_SPHERE:
        size[0] *= np.prod(own) ** (1 / 3)
    elif geom.type in (_G.mjGEOM_CYLINDER, _G.mjGEOM_CAPSULE):
        size[0] *= np.sqrt(along[0] * along[1])
        size[1] *= along[2]
    elif geom.type in (_G.mjGEOM_BOX, _G.mjGEOM_ELLIPSOID):
        size *= along
    elif geom.type == _G.mjGEOM_MESH:
        geom.meshname = _scaled_mesh(spec, geom.meshname, own)
    geom.size = size


def _scaled_mesh(spec: mujoco.MjSpec, name: str, own: np.ndarray) -> str:
    """A copy of a mesh of its own size: one file may draw several bodies."""
    if np.allclose(own, 1):
        return name
    told = f"{name}_{'_'.join(f'{f:.6g}' for f in own)}"
    if all(mesh.name != told for mesh in spec.meshes):
        mesh = spec.mesh(name)
        spec.add_mesh(
            name=told, file=mesh.file, scale=np.array(mesh.scale) * own, refpos=mesh.refpos, refquat=mesh.refquat
        )
    return told


def path_lengths(m: mujoco.MjModel) -> Float[np.ndarray, "muscle"]:
    """Length of every muscle's tendon [m] in an imported model's keyframe "default", else in the reference posture; NaN
    for one that acts on a joint."""
    tendons = m.actuator_trntype == mujoco.mjtTrn.mjTRN_TENDON
    lengths = np.append(tendon_lengths(m), np.nan)
    return lengths[np.where(tendons, m.actuator_trnid[:, 0], -1)]


def holds_paths(m: mujoco.MjModel) -> bool:
    """Whether the world is part of a person: paths pass it, since what is held is made one with it."""
    kinds = mujoco.mjtWrap
    round_ones = (m.wrap_type == kinds.mjWRAP_SPHERE) | (m.wrap_type == kinds.mjWRAP_CYLINDER)
    sites, geoms = m.wrap_objid[m.wrap_type == kinds.mjWRAP_SITE], m.wrap_objid[round_ones]
    return bool((m.site_bodyid[sites] == 0).any() or (m.geom_bodyid[geoms] == 0).any())


def _scale_world(spec: mujoco.MjSpec, m: mujoco.MjModel, own: np.ndarray) -> None:
    """All but floors, about the origin."""
    _scale_frames(spec.worldbody, own)
    for site in spec.worldbody.sites:
        site.pos, site.fromto = site.pos * own, _stretched(site.fromto, own)
    for geom in spec.worldbody.geoms:
        if geom.type not in (_G.mjGEOM_PLANE, _G.mjGEOM_HFIELD):
            _scale_geom(spec, m, geom, own)
