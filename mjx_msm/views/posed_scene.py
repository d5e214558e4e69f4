"""A model in a pose as a scene: what is drawn of it, with muscles coloured, a second pose as a ghost, marked places."""

from __future__ import annotations

import copy
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mjx_msm.common.errors import InputError

RELAXED, ACTIVE, UNKNOWN = (0.13, 0.32, 0.85), (0.90, 0.09, 0.09), (0.55, 0.55, 0.55)
"""Muscle colours at activation 0 and 1, and where the activation is NaN."""
GHOST = (0.05, 0.62, 0.66, 0.28)
"""Tint and opacity of the second pose; MuJoCo draws both walls of what is translucent, so it adds up."""

PRESETS = {
    "front": (180.0, -10.0),
    "back": (0.0, -10.0),
    "left": (-90.0, -10.0),
    "right": (90.0, -10.0),
    "top": (90.0, -90.0),
}
"""Azimuth and elevation [°] of a free camera, of a model with x forward and y to the left, unless the model has a
camera of the name."""
FOLLOW = "follow"

SPOT, SPOT_RADIUS = (0.10, 0.65, 0.25, 0.55), 0.03
"""Colour and size [m] of a marked place."""


def muscle_tendons(mj_model: mujoco.MjModel) -> NDArray[np.intp]:
    """Tendon of every muscle, in the order of the model's muscle actuators."""
    is_muscle = (mj_model.actuator_gaintype == mujoco.mjtGain.mjGAIN_MUSCLE) | (
        mj_model.actuator_dyntype == mujoco.mjtDyn.mjDYN_MUSCLE
    )
    on_tendon = mj_model.actuator_trntype == mujoco.mjtTrn.mjTRN_TENDON
    return np.asarray(mj_model.actuator_trnid[is_muscle & on_tendon, 0], np.intp)


class PosedScene:
    """Lays out poses of one model in MuJoCo's abstract scene, for whatever draws it. The model is copied.

    **Arguments:** `camera`: names a camera of the model; None is MuJoCo's free camera, which looks at the whole model.
    """

    def __init__(self, mj_model: mujoco.MjModel, *, camera: str | None = None):
        self._camera = _find_camera(mj_model, camera)
        self.model = model = copy.copy(mj_model)
        self._data, self._ghost_data = mujoco.MjData(model), mujoco.MjData(model)
        self._scene = mujoco.MjvScene(model, maxgeom=10_000)
        self._option, self._ghost_option = mujoco.MjvOption(), mujoco.MjvOption()
        for flag in (mujoco.mjtVisFlag.mjVIS_TENDON, mujoco.mjtVisFlag.mjVIS_STATIC):
            self._ghost_option.flags[flag] = 0
        self._ghost_option.sitegroup[:] = 0
        self._tendons = muscle_tendons(model)

    @property
    def muscle_count(self) -> int:
        """How many muscles `activation` speaks of."""
        return len(self._tendons)

    def __call__(
        self,
        qpos: ArrayLike,
        activation: ArrayLike | None = None,
        ghost: ArrayLike | None = None,
        spots: ArrayLike | None = None,
    ) -> mujoco.MjvScene:
        """The pose `qpos` (nq,) [rad, m]; the scene is the same object every time.

        `activation` (muscle,) in 0..1 colours the muscles from blue to red (NaN: grey), in the order of
        `muscle_tendons`; without it they keep the model's colours. `ghost` (nq,) is a second pose, drawn
        translucent and without muscles; it is left out where it has NaN. `spots` (n, 3) are places in the world [m]
        that are marked, such as a goal.
        """
        model, scene, everything = self.model, self._scene, mujoco.mjtCatBit.mjCAT_ALL.value
        pose = self._pose("qpos", qpos)
        if not np.isfinite(pose).all():
            raise InputError("qpos has a value that is not finite: draw only what was simulated")
        if activation is not None:
            level = np.asarray(activation, float)
            if level.shape != self._tendons.shape:
                raise InputError(f"activation has shape {level.shape}: with this model it is ({len(self._tendons)},)")
            model.tendon_rgba[self._tendons, :3] = _muscle_colour(level)
        self._data.qpos[:] = pose
        mujoco.mj_fwdPosition(model, self._data)
        mujoco.mjv_updateCamera(model, self._data, self._camera, scene)  # endless planes are centred on it
        mujoco.mjv_updateScene(model, self._data, self._option, None, self._camera, everything, scene)
        if ghost is not None:
            second = self._pose("ghost", ghost)
            if np.isfinite(second).all():
                self._add_ghost(second)
        for place in np.empty((0, 3)) if spots is None else np.reshape(np.asarray(spots, float), (-1, 3)):
            self._add_spot(place)
        return scene

    def without_planes(self) -> None:
        """Of the scene laid out last, take away floors."""
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.type == mujoco.mjtGeom.mjGEOM_PLANE:
                geom.rgba[3] = 0.0
                geom.type = mujoco.mjtGeom.mjGEOM_NONE.value

    def muscle_places(self, qpos: ArrayLike, size: tuple[int, int]) -> NDArray[np.float64]:
        """The middle of every muscle's path (muscle, 2) in a picture of `size` [pixels]; NaN behind the camera."""
        scene, data = self(qpos), self._data
        out = np.full((self.muscle_count, 2), np.nan)
        for k, tendon in enumerate(self._tendons):
            first, count = data.ten_wrapadr[tendon], data.ten_wrapnum[tendon]
            points = np.asarray(data.wrap_xpos).reshape(-1, 3)[first : first + count]
            if count < 2:
                continue
            along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
            middle = np.array([np.interp(0.5 * along[-1], along, points[:, c]) for c in range(3)])
            out[k] = _pixel(scene, middle, size)
        return out

    def _pose(self, name: str, values: ArrayLike) -> NDArray[np.float64]:
        pose = np.asarray(values, float)
        if pose.shape != (self.model.nq,):
            raise InputError(f"{name} has shape {pose.shape}: this model's is ({self.model.nq},)")
        return pose

    def _add_ghost(self, qpos: NDArray[np.float64]) -> None:
        model, scene, first = self.model, self._scene, self._scene.ngeom
        self._ghost_data.qpos[:] = qpos
        mujoco.mj_fwdPosition(model, self._ghost_data)
        moving = mujoco.mjtCatBit.mjCAT_DYNAMIC.value
        mujoco.mjv_addGeoms(model, self._ghost_data, self._ghost_option, mujoco.MjvPerturb(), moving, scene)
        camera = np.asarray(scene.camera[0].pos, float)
        for geom in scene.geoms[first : scene.ngeom]:
            geom.rgba[:3], geom.rgba[3] = GHOST[:3], GHOST[3] * geom.rgba[3]
            geom.size *= 0.97  # where the two agree, the ghost is inside
            geom.transparent = 1
            geom.matid = geom.texid = -1
            geom.reflectance = 0
            geom.camdist = float(np.linalg.norm(np.asarray(geom.pos, float) - camera))

    def _add_spot(self, place: NDArray[np.float64]) -> None:
        scene = self._scene
        geom = scene.geoms[scene.ngeom]
        sphere, size = mujoco.mjtGeom.mjGEOM_SPHERE, np.full(3, SPOT_RADIUS)
        mujoco.mjv_initGeom(geom, sphere, size, place, np.eye(3).ravel(), np.array(SPOT, np.float32))
        geom.transparent = 1
        geom.camdist = float(np.linalg.norm(place - np.asarray(scene.camera[0].pos, float)))
        scene.ngeom += 1


def _find_camera(model: mujoco.MjModel, name: str | None) -> mujoco.MjvCamera:
    camera: Any = mujoco.MjvCamera()
    number = -1 if name is None else mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA.value, name)
    if name is None or (number < 0 and name in (*PRESETS, FOLLOW)):
        mujoco.mjv_defaultFreeCamera(model, camera)
        camera.azimuth, camera.elevation = PRESETS.get(name or "", (camera.azimuth, camera.elevation))
        if name == FOLLOW:
            moving = np.flatnonzero(model.body_dofnum > 0)
            if not len(moving):
                raise InputError("camera 'follow' has nothing to follow: no body of this model moves")
            camera.type = mujoco.mjtCamera.mjCAMERA_TRACKING.value
            camera.trackbodyid = int(moving[0])
        return camera
    if number < 0:
        names = [model.camera(i).name or f"(unnamed {i})" for i in range(model.ncam)]
        has = f"this model has {', '.join(names)}" if names else "this model has none"
        raise InputError(f"no camera {name!r}: {has}; or {', '.join(PRESETS)}, {FOLLOW}; None is a free camera")
    camera.type = mujoco.mjtCamera.mjCAMERA_FIXED.value
    camera.fixedcamid = number
    return camera


def _pixel(scene: mujoco.MjvScene, point: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """A place in the world [m] in a picture of it [pixels]."""
    left, right = scene.camera[0], scene.camera[1]
    forward, up = np.asarray(left.forward, float), np.asarray(left.up, float)
    offset = point - (np.asarray(left.pos, float) + np.asarray(right.pos, float)) / 2
    depth = float(offset @ forward)
    if depth <= left.frustum_near:
        return np.full(2, np.nan)
    scale = 1.0 if left.orthographic else left.frustum_near / depth
    per_metre = size[1] / (left.frustum_top - left.frustum_bottom)
    middle = (left.frustum_top + left.frustum_bottom) / 2
    across, high = float(offset @ np.cross(forward, up)) * scale, float(offset @ up) * scale
    return np.array([size[0] / 2 + per_metre * across, size[1] / 2 - per_metre * (high - middle)])


def _muscle_colour(activation: NDArray[np.float64]) -> NDArray[np.float64]:
    """RGB (muscle, 3) in 0..1: a straight line from RELAXED to ACTIVE."""
    level = np.clip(activation, 0, 1)[:, None]
    mixed = (1 - level) * np.array(RELAXED) + level * np.array(ACTIVE)
    return np.where(np.isnan(level), np.array(UNKNOWN), mixed)
