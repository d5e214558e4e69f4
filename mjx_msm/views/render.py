"""Pictures and videos of motions: poses in, frames out, frames to MP4 or GIF.

A *frame* is a `(height, width, 3)` uint8 array, and everything here that takes or gives several of them
works on iterables, so that a video of any length streams through::

    frames = render_frames(mj_model, time, qpos, activation)
    frames = with_traces(frames, time, {"measured": m, "simulated": s}, at=frame_times(time, fps=30))
    video("walk.mp4", frames, fps=30)

Frames are drawn with OpenGL through EGL or OSMesa, whichever works, and as a schematic of the same scene
with matplotlib where there is no OpenGL. The environment variable `MUJOCO_GL`, when set, decides.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import functools
import importlib
import itertools
import os
import platform
import secrets
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mjx_msm.common.errors import InputError, one_of

__all__ = [
    "Backend",
    "FrameRenderer",
    "captioned",
    "frame_times",
    "muscle_tendons",
    "render_frames",
    "render_rollout",
    "rendering_backend",
    "side_by_side",
    "video",
    "with_traces",
]

Frame = NDArray[np.uint8]
"""`(height, width, 3)`, RGB."""

RELAXED, ACTIVE, UNKNOWN = (0.13, 0.32, 0.85), (0.90, 0.09, 0.09), (0.55, 0.55, 0.55)
"""Muscle colours at activation 0 and 1, and where the activation is NaN."""
GHOST = (0.05, 0.62, 0.66, 0.28)
"""Tint and opacity of the second pose; MuJoCo draws both walls of what is translucent, so it adds up."""

SPOT, SPOT_RADIUS = (0.10, 0.65, 0.25, 0.55), 0.03
"""Colour and size [m] of a marked place."""

_QUALITY = {"shadowsize": 2048, "offsamples": 4, "numslices": 20, "numstacks": 10}
"""The most a frame gets of each: beyond it a video looks the same and takes twice as long on a CPU."""

# ---------------------------------------------------------------------------------------------------------
# Which OpenGL


class Backend(NamedTuple):
    """How frames are drawn on this machine."""

    name: str
    """`egl`, `osmesa`, `cgl` or `glfw`: the OpenGL platform; or `schematic`."""
    note: str
    """One line for the user if the picture is less than it could be, else empty."""


_CANDIDATES = {"Linux": ("egl", "osmesa"), "Darwin": ("cgl", "glfw"), "Windows": ("glfw",)}
_EXPLICIT = {"egl": "egl", "osmesa": "osmesa", "glfw": "glfw", "glx": "glfw", "wgl": "glfw", "cgl": "cgl"}
_OFF = ("disable", "disabled", "off", "false", "0")

_PROBE = """
import sys
sys.path[:] = {path!r}
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='.1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data)
    if renderer.render().max() == 0:
        sys.exit("the picture is black")
"""


@functools.cache
def _failure(name: str) -> str:
    """Why this OpenGL platform cannot draw here; empty if it can.

    Tried in another process: a failed attempt binds PyOpenGL to its platform for good, and some drivers
    crash.
    """
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE.format(path=sys.path)],
            env={**os.environ, "MUJOCO_GL": name},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if probe.returncode == 0:
        return ""
    return (probe.stderr.strip().splitlines() or [f"it ended with code {probe.returncode}"])[-1]


def rendering_backend() -> Backend:
    """The backend frames are drawn with: `MUJOCO_GL` if it is set, else the first one that works."""
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    if wanted in _EXPLICIT:
        return Backend(_EXPLICIT[wanted], "")
    if wanted in _OFF:
        return Backend("schematic", f"MUJOCO_GL={wanted}: drawing a schematic; unset it for the full picture")
    system = platform.system()
    for name in _CANDIDATES.get(system, ()):
        if not _failure(name):
            return Backend(name, "")
    packages = "libegl1 or libosmesa6 (Debian, Ubuntu)" if system == "Linux" else "an OpenGL driver"
    return Backend("schematic", f"no OpenGL here: drawing a schematic; install {packages} for the full picture")


# ---------------------------------------------------------------------------------------------------------
# Two ways to draw one scene


class _Canvas(Protocol):
    def draw(self, scene: mujoco.MjvScene) -> Frame: ...
    def close(self) -> None: ...


class _OpenGL:
    """The scene through MuJoCo's own renderer, on a context of the platform we choose.

    `mujoco.Renderer` takes the platform that `MUJOCO_GL` named when mujoco was first imported, which is too
    early for us, and closes its context without making it current.
    """

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int], name: str):
        width, height = size
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._mjr: Any = None
        self._gl: Any = importlib.import_module(f"mujoco.{name}").GLContext(width, height)
        try:
            self._gl.make_current()
            self._mjr = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150.value)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._mjr)
        except BaseException:
            self.close()
            raise

    def draw(self, scene: mujoco.MjvScene) -> Frame:
        self._gl.make_current()
        frame = np.empty((self._rect.height, self._rect.width, 3), np.uint8)
        mujoco.mjr_render(self._rect, scene, self._mjr)
        mujoco.mjr_readPixels(frame, None, self._rect, self._mjr)
        return np.ascontiguousarray(frame[::-1])

    def close(self) -> None:
        gl, mjr, self._gl, self._mjr = self._gl, self._mjr, None, None
        if mjr is not None:
            gl.make_current()
            mjr.free()
        if gl is not None:
            gl.free()


class _Schematic:
    """The outlines of the same scene in the same perspective, with matplotlib; muscles lie on top."""

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int]):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.collections import PolyCollection
        from matplotlib.figure import Figure

        self._model, self._size = model, size
        width, height = size
        figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        axes.text(6, height - 6, "schematic: no OpenGL", fontsize=7, color="0.45", zorder=3)
        self._polygons = PolyCollection([], linewidths=0.8, zorder=2)
        axes.add_collection(self._polygons, autolim=False)
        self._canvas = FigureCanvasAgg(figure)

    def draw(self, scene: mujoco.MjvScene) -> Frame:
        shapes = []
        for geom in scene.geoms[: scene.ngeom]:
            points = self._surface(geom)
            outline = None if points is None or geom.rgba[3] == 0 else self._outline(scene, points)
            if outline is not None:
                is_plane = geom.type == mujoco.mjtGeom.mjGEOM_PLANE
                is_tendon = geom.objtype == mujoco.mjtObj.mjOBJ_TENDON
                layer = 0 if is_plane else 2 if is_tendon else 1
                rgba = np.array((0.93, 0.93, 0.91, 1) if is_plane else geom.rgba, float)
                edge = np.append(rgba[:3] * (1 if is_tendon else 0.55), rgba[3])
                shapes.append((layer, -geom.camdist, outline, rgba, edge))
        shapes.sort(key=lambda shape: shape[:2])
        self._polygons.set_verts([shape[2] for shape in shapes])
        self._polygons.set_facecolor([tuple(shape[3]) for shape in shapes])
        self._polygons.set_edgecolor([tuple(shape[4]) for shape in shapes])
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()

    def _surface(self, geom: mujoco.MjvGeom) -> NDArray[np.float64] | None:
        """Points (n, 3) of the geom in the world [m] whose convex hull is its shape."""
        kinds, size = mujoco.mjtGeom, np.asarray(geom.size, float)
        turn = 2 * np.pi * np.arange(16) / 16
        ring = np.stack([np.cos(turn), np.sin(turn), np.zeros(16)], axis=-1)
        ball = np.concatenate(
            [ring * (np.cos(a), np.cos(a), 0) + (0, 0, np.sin(a)) for a in np.linspace(-np.pi / 2, np.pi / 2, 7)]
        )
        ends = np.array([[[0, 0, -1.0]], [[0, 0, 1.0]]])
        if geom.type == kinds.mjGEOM_PLANE:
            half = np.where(size[:2] > 0, size[:2], 10 * self._model.stat.extent)
            steps = np.linspace(-1, 1, 41)
            points = np.array([(x * half[0], y * half[1], 0) for x in steps for y in steps])
        elif geom.type in (kinds.mjGEOM_SPHERE, kinds.mjGEOM_ELLIPSOID):
            points = ball * size
        elif geom.type == kinds.mjGEOM_CAPSULE:
            points = (ball * size[0] + ends * size[2]).reshape(-1, 3)
        elif geom.type == kinds.mjGEOM_CYLINDER:
            points = (ring * size[0] + ends * size[2]).reshape(-1, 3)
        elif geom.type == kinds.mjGEOM_BOX:
            points = np.array(list(itertools.product((-1, 1), repeat=3))) * size
        elif geom.type == kinds.mjGEOM_MESH and geom.dataid >= 0:
            mesh = geom.dataid // 2
            first, count = self._model.mesh_vertadr[mesh], self._model.mesh_vertnum[mesh]
            points = np.asarray(self._model.mesh_vert[first : first + count], float)[:: 1 + count // 500]
        else:
            return None
        return points @ np.asarray(geom.mat, float).reshape(3, 3).T + np.asarray(geom.pos, float)

    def _outline(self, scene: mujoco.MjvScene, points: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The hull of the points in the picture [pixels], or None if they are behind the camera."""
        from scipy.spatial import ConvexHull

        left, right = scene.camera[0], scene.camera[1]
        forward, up = np.asarray(left.forward, float), np.asarray(left.up, float)
        offset = points - (np.asarray(left.pos, float) + np.asarray(right.pos, float)) / 2
        depth = offset @ forward
        near = left.frustum_near
        offset, depth = offset[depth > near], depth[depth > near]
        if len(offset) < 3:
            return None
        scale = np.ones_like(depth) if left.orthographic else near / depth
        plane = np.stack([offset @ np.cross(forward, up), offset @ up], -1) * scale[:, None]
        width, height = self._size
        per_metre = height / (left.frustum_top - left.frustum_bottom)
        middle = (left.frustum_top + left.frustum_bottom) / 2
        pixels = np.array((width / 2, height / 2)) + per_metre * (plane - (0, middle)) * (1, -1)
        # Joggled input: a plane seen edge-on is a line.
        return pixels[ConvexHull(pixels, qhull_options="QJ").vertices]

    def close(self) -> None:
        self._canvas.figure.clear()


# ---------------------------------------------------------------------------------------------------------
# Poses to frames


def muscle_tendons(mj_model: mujoco.MjModel) -> NDArray[np.intp]:
    """Tendon of every muscle, in the order of the model's muscle actuators."""
    is_muscle = (mj_model.actuator_gaintype == mujoco.mjtGain.mjGAIN_MUSCLE) | (
        mj_model.actuator_dyntype == mujoco.mjtDyn.mjDYN_MUSCLE
    )
    on_tendon = mj_model.actuator_trntype == mujoco.mjtTrn.mjTRN_TENDON
    return np.asarray(mj_model.actuator_trnid[is_muscle & on_tendon, 0], np.intp)


class FrameRenderer:
    """Draws poses of one model; close it, or use it as a context manager.

        with FrameRenderer(mj_model) as renderer:
            frame = renderer.frame(qpos, activation)

    `camera` names a camera of the model; None is MuJoCo's free camera, which looks at the whole model.
    `backend` overrides `rendering_backend()`. The model is copied, never changed.
    """

    def __init__(
        self,
        mj_model: mujoco.MjModel,
        *,
        camera: str | None = "sagittal",
        size: tuple[int, int] = (640, 480),
        backend: str | None = None,
    ):
        self._canvas: _Canvas | None = None
        if len(size) != 2 or any(int(n) != n or not 16 <= n <= 8192 for n in size):
            raise InputError(f"size {size}: give (width, height) in pixels, each 16 to 8192")
        width, height = int(size[0]), int(size[1])
        self._camera = _find_camera(mj_model, camera)
        self._model = model = copy.copy(mj_model)
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        for setting, most in _QUALITY.items():
            setattr(model.vis.quality, setting, min(most, getattr(model.vis.quality, setting)))
        self._data, self._ghost_data = mujoco.MjData(model), mujoco.MjData(model)
        self._scene = mujoco.MjvScene(model, maxgeom=10_000)
        self._option, self._ghost_option = mujoco.MjvOption(), mujoco.MjvOption()
        for flag in (mujoco.mjtVisFlag.mjVIS_TENDON, mujoco.mjtVisFlag.mjVIS_STATIC):
            self._ghost_option.flags[flag] = 0
        self._ghost_option.sitegroup[:] = 0
        self._tendons = muscle_tendons(model)
        self.backend = rendering_backend() if backend is None else Backend(backend, "")
        """How the frames are drawn."""
        self._canvas = self._open_canvas((width, height), chosen=backend is not None)
        if self.backend.note:
            warnings.warn(self.backend.note, RuntimeWarning, stacklevel=2)
        # OpenGL is shut down at interpreter exit, before what is then still open would be collected.
        self._at_exit = functools.partial(_close_referent, weakref.ref(self))
        atexit.register(self._at_exit)

    def _open_canvas(self, size: tuple[int, int], chosen: bool) -> _Canvas:
        name = self.backend.name
        if name == "schematic":
            return _Schematic(self._model, size)
        one_of("backend", name, dict.fromkeys((*_EXPLICIT.values(), "schematic")))
        try:
            return _OpenGL(self._model, size, name)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if chosen or os.environ.get("MUJOCO_GL", "").lower().strip() in _EXPLICIT:
                raise InputError(
                    f"{name} (named by {'backend' if chosen else 'MUJOCO_GL'}) cannot draw here ({reason}): "
                    "install its library or leave the choice to mjx_msm"
                ) from error
            self.backend = Backend(
                "schematic",
                f"{name} works, but not in this process ({reason}): drawing a schematic; "
                f"set MUJOCO_GL={name} before anything imports OpenGL for the full picture",
            )
            return _Schematic(self._model, size)

    @property
    def muscle_count(self) -> int:
        """How many muscles `activation` speaks of."""
        return len(self._tendons)

    def frame(
        self,
        qpos: ArrayLike,
        activation: ArrayLike | None = None,
        ghost: ArrayLike | None = None,
        spots: ArrayLike | None = None,
    ) -> Frame:
        """One picture of the pose `qpos` (nq,) [rad, m].

        `activation` (muscle,) in 0..1 colours the muscles from blue to red (NaN: grey), in the order of
        `muscle_tendons`; without it they keep the model's colours. `ghost` (nq,) is a second pose, drawn
        translucent and without muscles; it is left out where it has NaN. `spots` (n, 3) are places in the world [m]
        that are marked, such as a goal.
        """
        if self._canvas is None:
            raise RuntimeError("this FrameRenderer is closed")
        model, scene, everything = self._model, self._scene, mujoco.mjtCatBit.mjCAT_ALL.value
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
        return self._canvas.draw(scene)

    def _pose(self, name: str, values: ArrayLike) -> NDArray[np.float64]:
        pose = np.asarray(values, float)
        if pose.shape != (self._model.nq,):
            raise InputError(f"{name} has shape {pose.shape}: this model's is ({self._model.nq},)")
        return pose

    def _add_ghost(self, qpos: NDArray[np.float64]) -> None:
        model, scene, first = self._model, self._scene, self._scene.ngeom
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

    def close(self) -> None:
        """Free the OpenGL context. Closing twice does nothing."""
        canvas, self._canvas = self._canvas, None
        if canvas is not None:
            atexit.unregister(self._at_exit)
            canvas.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_canvas", None) is not None:
            self.close()


def _close_referent(reference: Callable[[], FrameRenderer | None]) -> None:
    renderer = reference()
    if renderer is not None:
        renderer.close()


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


def frame_times(time: ArrayLike, fps: float, speed: float = 1.0) -> NDArray[np.float64]:
    """The moments [s] a video of this recording shows: duration / speed * fps of them.

    Frame k shows `time[0] + k · speed / fps`, so that the video lasts as long as the recording at `speed`
    1 and twice as long at 0.5.
    """
    times = np.asarray(time, float)
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise InputError(f"time has shape {times.shape}: give one increasing, finite row of seconds")
    if not fps > 0:
        raise InputError(f"fps {fps}: give a positive number of frames per second")
    if not speed > 0:
        raise InputError(f"speed {speed}: give a positive number; 0.5 is slow motion")
    count = max(1, round((times[-1] - times[0]) * fps / speed))
    return times[0] + np.arange(count) * speed / fps


def render_frames(
    mj_model: mujoco.MjModel,
    time: ArrayLike,
    qpos: ArrayLike,
    activation: ArrayLike | None = None,
    *,
    camera: str | None = "sagittal",
    size: tuple[int, int] = (640, 480),
    fps: float = 30,
    speed: float = 1.0,
    ghost: ArrayLike | None = None,
) -> Iterator[Frame]:
    """Frames of a trajectory at `frame_times(time, fps, speed)`, drawn one at a time as they are asked for.

    `time` (T,) [s], `qpos` (T, nq), `activation` (T, muscle) in 0..1, `ghost` (T, nq): see
    `FrameRenderer.frame`. Values between samples are interpolated: angles and activations linearly,
    orientations along the geodesic.
    """
    moments = frame_times(time, fps, speed)
    times = np.asarray(time, float)
    renderer = FrameRenderer(mj_model, camera=camera, size=size)
    rows = {"qpos": _rows("qpos", qpos, len(times), mj_model.nq)}
    if activation is not None:
        rows["activation"] = _rows("activation", activation, len(times), renderer.muscle_count)
    if ghost is not None:
        rows["ghost"] = _rows("ghost", ghost, len(times), mj_model.nq)
    bad = np.flatnonzero(~np.isfinite(rows["qpos"]).all(axis=1))
    if len(bad):
        raise InputError(
            f"qpos is not finite from row {bad[0]} (t = {times[bad[0]]:.4g} s): cut the trajectory before it"
        )
    return _draw_all(renderer, mj_model, times, rows, moments)


def _rows(name: str, values: ArrayLike, count: int, width: int) -> NDArray[np.float64]:
    array = np.asarray(values, float)
    if array.shape != (count, width):
        raise InputError(f"{name} has shape {array.shape}: with this time and model it is ({count}, {width})")
    return array


def _draw_all(
    renderer: FrameRenderer,
    model: mujoco.MjModel,
    times: NDArray[np.float64],
    rows: Mapping[str, NDArray[np.float64]],
    moments: NDArray[np.float64],
) -> Iterator[Frame]:
    with renderer:
        for moment in moments:
            after = int(np.clip(np.searchsorted(times, moment, side="right"), 1, max(1, len(times) - 1)))
            after, before = min(after, len(times) - 1), after - 1
            step = times[after] - times[before]
            part = float(np.clip((moment - times[before]) / step, 0, 1)) if step > 0 else 0.0
            now = {}
            for name, values in rows.items():
                a, b = values[before], values[after]
                if name == "activation":
                    now[name] = (1 - part) * a + part * b
                else:
                    now[name] = _between(model, a, b, part)
            yield renderer.frame(**now)


def _between(model: mujoco.MjModel, a: NDArray[np.float64], b: NDArray[np.float64], part: float) -> NDArray[np.float64]:
    """The pose `part` of the way from a to b, in the tangent space at a."""
    if part == 0:
        return a
    velocity, pose = np.zeros(model.nv), a.copy()
    mujoco.mj_differentiatePos(model, velocity, 1.0, a, b)
    mujoco.mj_integratePos(model, pose, velocity, part)
    return pose


def render_rollout(
    mj_model: mujoco.MjModel,
    time: ArrayLike,
    qpos: ArrayLike,
    activation: ArrayLike | None = None,
    *,
    path: str | os.PathLike[str],
    camera: str | None = "sagittal",
    size: tuple[int, int] = (640, 480),
    fps: float = 30,
    speed: float = 1.0,
    ghost: ArrayLike | None = None,
) -> Path:
    """A trajectory as an MP4 or GIF: `render_frames` into `video`. `ghost` overlays the measured motion."""
    _check_video_path(path)
    frames = render_frames(
        mj_model, time, qpos, activation, camera=camera, size=size, fps=fps, speed=speed, ghost=ghost
    )
    return video(path, frames, fps)


# ---------------------------------------------------------------------------------------------------------
# Frames to frames


def captioned(frames: Iterable[Frame], text: str | Iterable[str]) -> Iterator[Frame]:
    """The frames with a line of text in the upper left corner: one for all, or one each."""
    lines = itertools.repeat(text) if isinstance(text, str) else text
    for frame, line in zip(frames, lines, strict=False):
        yield _write(frame, line)


def _write(frame: Frame, line: str) -> Frame:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(frame)
    points = max(10, frame.shape[0] // 24)
    ImageDraw.Draw(picture).text(
        (points // 2, points // 3),
        line,
        fill=(255, 255, 255),
        stroke_fill=(30, 30, 30),
        stroke_width=max(1, points // 10),
        font=ImageFont.load_default(points),
    )
    return np.array(picture)


def side_by_side(
    frames_a: Iterable[Frame], frames_b: Iterable[Frame], labels: tuple[str, str] | None = None
) -> Iterator[Frame]:
    """Two videos of the same height as one; the shorter one stops at its last frame."""
    if labels is not None:
        frames_a, frames_b = captioned(frames_a, labels[0]), captioned(frames_b, labels[1])
    last_a = last_b = None
    for frame_a, frame_b in itertools.zip_longest(frames_a, frames_b):
        last_a = last_a if frame_a is None else frame_a
        last_b = last_b if frame_b is None else frame_b
        if last_a is None or last_b is None:
            raise InputError("side_by_side: one of the two videos has no frames")
        if last_a.shape[0] != last_b.shape[0]:
            raise InputError(
                f"side_by_side: frames are {last_a.shape[0]} and {last_b.shape[0]} pixels high; draw both at one size"
            )
        yield np.concatenate([last_a, last_b], axis=1)


def with_traces(
    frames: Iterable[Frame],
    time: ArrayLike,
    series: Mapping[str, ArrayLike],
    *,
    at: Iterable[float],
    ylabel: str = "",
    height: int | None = None,
) -> Iterator[Frame]:
    """The frames with curves below them and a cursor at the moment each frame shows.

    `series` are the curves by name, each (T,) over `time` (T,) [s]; the first is drawn in dark grey, as the
    reference. `at` gives each frame's time [s], as from `frame_times`. `height` is the panel's, in pixels
    (by default two fifths of the frame's).
    """
    times = np.asarray(time, float)
    curves = {name: np.asarray(values, float) for name, values in series.items()}
    for name, values in curves.items():
        if values.shape != times.shape or values.ndim != 1:
            raise InputError(f"series {name!r} has shape {values.shape}: time's is {times.shape}")
    if not curves:
        raise InputError("with_traces: series is empty; give at least one curve")
    return _trace_all(frames, times, curves, at, ylabel, height)


def _trace_all(
    frames: Iterable[Frame],
    times: NDArray[np.float64],
    curves: Mapping[str, NDArray[np.float64]],
    at: Iterable[float],
    ylabel: str,
    height: int | None,
) -> Iterator[Frame]:
    panel = None
    for frame, moment in zip(frames, at, strict=False):
        if panel is None:
            tall, width = frame.shape[:2]
            panel = _TracePanel((width, height or 2 * (tall // 5)), times, curves, ylabel)
        yield np.concatenate([frame, panel.draw(moment)])


class _TracePanel:
    """The plot is drawn once; only the cursor and its dots are drawn per frame."""

    def __init__(
        self,
        size: tuple[int, int],
        times: NDArray[np.float64],
        curves: Mapping[str, NDArray[np.float64]],
        ylabel: str,
    ):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        width, height = size
        dpi = 100 * max(0.4, min(width / 640, height / 190))  # the same layout at every size
        figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor="white", layout="constrained")
        self._canvas = FigureCanvasAgg(figure)
        self._axes = figure.add_subplot()
        colours = itertools.cycle(("#3a3a3a", "#d1495b", "#00798c", "#edae49", "#66a182", "#8d6a9f"))
        self._times, self._curves, self._dots = times, curves, []
        for (name, values), colour in zip(curves.items(), colours, strict=False):
            self._axes.plot(times, values, color=colour, label=name, linewidth=1.8)
            dot = self._axes.plot([], [], "o", color=colour, markersize=5, animated=True)[0]
            self._dots.append(dot)
        self._axes.set_xlim(times[0], times[-1] if len(times) > 1 else times[0] + 1)
        self._axes.set_xlabel("time [s]", fontsize=9)
        self._axes.set_title(ylabel, fontsize=9, loc="left")
        self._axes.tick_params(labelsize=8)
        self._axes.grid(color="0.9")
        self._axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper right", ncols=4, fontsize=8, frameon=False)
        self._cursor = self._axes.axvline(times[0], color="0.45", linewidth=1.2, animated=True)
        self._canvas.draw()
        figure.set_layout_engine("none")
        self._background = self._canvas.copy_from_bbox(figure.bbox)

    def draw(self, moment: float) -> Frame:
        self._canvas.restore_region(self._background)
        self._cursor.set_xdata([moment, moment])
        self._axes.draw_artist(self._cursor)
        for dot, values in zip(self._dots, self._curves.values(), strict=True):
            dot.set_data([moment], [np.interp(moment, self._times, values)])
            self._axes.draw_artist(dot)
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()


# ---------------------------------------------------------------------------------------------------------
# Frames to files

_GIF = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1:dither=bayer:bayer_scale=5"
_ENCODERS: dict[str, dict[str, Any]] = {
    ".mp4": {
        "codec": "libx264",
        "pix_fmt_out": "yuv420p",
        "output_params": ["-crf", "20", "-movflags", "+faststart"],
    },
    ".gif": {"codec": "gif", "pix_fmt_out": "pal8", "output_params": ["-filter_complex", _GIF, "-loop", "0"]},
}


def _check_video_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix.lower() not in _ENCODERS:
        raise InputError(f"{path}: a video ends in .mp4 or .gif, not {path.suffix or 'nothing'!r}")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first")
    return path


def video(path: str | os.PathLike[str], frames: Iterable[Frame], fps: float) -> Path:
    """Write the frames as H.264 (`.mp4`, yuv420p, which every player knows) or as a looping `.gif`.

    H.264 wants even sizes: an odd edge is doubled. The file appears under its name when it is complete;
    on an error or an interrupt nothing is left behind and an older file stays as it was.
    """
    path = _check_video_path(path)
    if not fps > 0:
        raise InputError(f"fps {fps}: give a positive number of frames per second")
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix.lower()}")
    try:
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise InputError(f"{path}: cannot write in {path.parent} ({error.strerror}); choose another folder") from error
    try:
        _encode(temporary, frames, fps)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        if isinstance(frames, Generator):
            frames.close()  # frees what it draws with now, not when a traceback lets go of it
    return path


def _encode(path: Path, frames: Iterable[Frame], fps: float) -> None:
    import imageio_ffmpeg

    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise InputError("this video has no frames")
    height, width = first.shape[:2]
    odd = (height % 2, width % 2) if path.suffix == ".mp4" else (0, 0)
    write_frames: Any = imageio_ffmpeg.write_frames
    writer = write_frames(
        str(path),
        (width + odd[1], height + odd[0]),
        fps=fps,
        pix_fmt_in="rgb24",
        quality=None,
        macro_block_size=1,
        ffmpeg_log_level="error",
        **_ENCODERS[path.suffix],
    )
    with contextlib.closing(writer):
        with warnings.catch_warnings():
            # imageio_ffmpeg forks to start ffmpeg and executes it at once; JAX warns of forks that go on in Python
            warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
            writer.send(None)
        for number, frame in enumerate(itertools.chain([first], iterator)):
            if frame.shape != first.shape or frame.dtype != np.uint8 or frame.shape[2:] != (3,):
                raise InputError(
                    f"frame {number} is {frame.dtype} {frame.shape}: frames are uint8 ({height}, {width}, 3)"
                )
            if any(odd):
                frame = np.pad(frame, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
            writer.send(np.ascontiguousarray(frame))
    if path.stat().st_size == 0:
        raise OSError(f"ffmpeg wrote nothing to {path.parent}: is the disk full?")
