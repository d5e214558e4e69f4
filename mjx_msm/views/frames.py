"""Poses to frames: a model in a pose, or a trajectory of it, as pictures.

Frames are drawn with OpenGL through EGL or OSMesa, whichever works, and as a schematic of the same scene
with matplotlib where there is no OpenGL. The environment variable `MUJOCO_GL`, when set, decides.
"""

from __future__ import annotations

import atexit
import functools
import os
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Self

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mjx_msm.common.errors import InputError, one_of
from mjx_msm.person.couplings import couplings, whole_position
from mjx_msm.views.canvas import Canvas, Frame
from mjx_msm.views.opengl import EXPLICIT, Backend, OpenGLCanvas, rendering_backend
from mjx_msm.views.posed_scene import PosedScene
from mjx_msm.views.schematic import SchematicCanvas

_QUALITY = {"shadowsize": 2048, "offsamples": 4, "numslices": 20, "numstacks": 10}
"""The most a frame gets of each: beyond it a video looks the same and takes twice as long on a CPU."""


SMALLEST, LARGEST = 16, 8192
"""Width or height of a picture [pixels]."""


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture [pixels].

    **Raises:** `InputError` if it is none, or one that cannot be drawn.
    """
    if len(size) != 2 or any(int(n) != n or not SMALLEST <= n <= LARGEST for n in size):
        raise InputError(f"size {size}: give (width, height) in pixels, each {SMALLEST} to {LARGEST}")
    return int(size[0]), int(size[1])


class FrameRenderer:
    """Draws poses of one model; close it, or use it as a context manager.

        with FrameRenderer(mj_model) as renderer:
            frame = renderer.frame(qpos, activation)

    `camera` names a camera of the model, or is one of "front", "back", "left", "right", "top" (x is forward, y to the
    left), or "follow", which goes along with the first body that moves; None is MuJoCo's free camera, which looks at
    the whole model.
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
        self._canvas: Canvas | None = None
        width, height = self._size = checked_size(size)
        self._posed = PosedScene(mj_model, camera=camera)
        self._model = model = self._posed.model
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        for setting, most in _QUALITY.items():
            setattr(model.vis.quality, setting, min(most, getattr(model.vis.quality, setting)))
        self.backend = rendering_backend() if backend is None else Backend(backend, "")
        """How the frames are drawn."""
        self._canvas = self._open_canvas((width, height), chosen=backend is not None)
        if self.backend.note:
            warnings.warn(self.backend.note, RuntimeWarning, stacklevel=2)
        # OpenGL is shut down at interpreter exit, before what is then still open would be collected.
        self._at_exit = functools.partial(_close_referent, weakref.ref(self))
        atexit.register(self._at_exit)

    def _open_canvas(self, size: tuple[int, int], chosen: bool) -> Canvas:
        name = self.backend.name
        if name == "schematic":
            return SchematicCanvas(self._model, size)
        one_of("backend", name, dict.fromkeys((*EXPLICIT.values(), "schematic")))
        try:
            return OpenGLCanvas(self._model, size, name)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if chosen or os.environ.get("MUJOCO_GL", "").lower().strip() in EXPLICIT:
                raise InputError(
                    f"{name} (named by {'backend' if chosen else 'MUJOCO_GL'}) cannot draw here ({reason}): "
                    "install its library or leave the choice to mjx_msm"
                ) from error
            self.backend = Backend(
                "schematic",
                f"{name} works, but not in this process ({reason}): drawing a schematic; "
                f"set MUJOCO_GL={name} before anything imports OpenGL for the full picture",
            )
            return SchematicCanvas(self._model, size)

    @property
    def muscle_count(self) -> int:
        """How many muscles `activation` speaks of."""
        return self._posed.muscle_count

    def frame(
        self,
        qpos: ArrayLike,
        activation: ArrayLike | None = None,
        ghost: ArrayLike | None = None,
        spots: ArrayLike | None = None,
    ) -> Frame:
        """One picture of the pose `qpos` (nq,) [rad, m]; arguments as of `PosedScene`."""
        if self._canvas is None:
            raise RuntimeError("this FrameRenderer is closed")
        return self._canvas.draw(self._posed(qpos, activation, ghost, spots))

    def cut_out(self, qpos: ArrayLike, activation: ArrayLike | None = None) -> NDArray[np.uint8]:
        """The pose (height, width, 4) without floor and sky: what is not of the body is transparent."""
        if self._canvas is None:
            raise RuntimeError("this FrameRenderer is closed")
        scene = self._posed(qpos, activation)
        self._posed.without_planes()
        colours = self._canvas.draw(scene)
        return np.dstack([colours, np.where(self._canvas.covered(scene), 255, 0).astype(np.uint8)])

    def muscle_places(self, qpos: ArrayLike) -> NDArray[np.float64]:
        """Where the middle of each muscle's path is in the picture (muscle, 2) [pixels], NaN behind the camera."""
        width, height = self._size
        return self._posed.muscle_places(qpos, (width, height))

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
    rows = {"qpos": _poses("qpos", qpos, len(times), mj_model)}
    if activation is not None:
        rows["activation"] = _rows("activation", activation, len(times), renderer.muscle_count)
    if ghost is not None:
        rows["ghost"] = _poses("ghost", ghost, len(times), mj_model)
    bad = np.flatnonzero(~np.isfinite(rows["qpos"]).all(axis=1))
    if len(bad):
        raise InputError(
            f"qpos is not finite from row {bad[0]} (t = {times[bad[0]]:.4g} s): cut the trajectory before it"
        )
    return _draw_all(renderer, mj_model, times, rows, moments)


def _poses(name: str, values: ArrayLike, count: int, mj_model: mujoco.MjModel) -> NDArray[np.float64]:
    """Poses of all joints; also where those are left out that follow others by an equality."""
    array = np.asarray(values, float)
    left = mj_model.njnt - len(couplings(mj_model))
    if mj_model.nq == mj_model.njnt != left and array.shape == (count, left):
        return whole_position(mj_model, array)
    return _rows(name, array, count, mj_model.nq)


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
