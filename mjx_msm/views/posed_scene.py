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
    if name is None:
        mujoco.mjv_defaultFreeCamera(model, camera)
        return camera
    number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA.value, name)
    if number < 0:
        names = [model.camera(i).name or f"(unnamed {i})" for i in range(model.ncam)]
        has = f"this model has {', '.join(names)}" if names else "this model has none"
        raise InputError(f"no camera {name!r}: {has}; None is a free camera")
    camera.type = mujoco.mjtCamera.mjCAMERA_FIXED.value
    camera.fixedcamid = number
    return camera


def _muscle_colour(activation: NDArray[np.float64]) -> NDArray[np.float64]:
    """RGB (muscle, 3) in 0..1: a straight line from RELAXED to ACTIVE."""
    level = np.clip(activation, 0, 1)[:, None]
    mixed = (1 - level) * np.array(RELAXED) + level * np.array(ACTIVE)
    return np.where(np.isnan(level), np.array(UNKNOWN), mixed)
