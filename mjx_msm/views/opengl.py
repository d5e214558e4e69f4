"""OpenGL: which platform works on this machine, and a scene drawn with it."""

from __future__ import annotations

import functools
import importlib
import os
import platform
import subprocess
import sys
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from mjx_msm.views.canvas import Frame


class Backend(NamedTuple):
    """How frames are drawn on this machine."""

    name: str
    """`egl`, `osmesa`, `cgl` or `glfw`: the OpenGL platform; or `schematic`."""
    note: str
    """One line for the user if the picture is less than it could be, else empty."""


_CANDIDATES = {"Linux": ("egl", "osmesa"), "Darwin": ("cgl", "glfw"), "Windows": ("glfw",)}
EXPLICIT = {"egl": "egl", "osmesa": "osmesa", "glfw": "glfw", "glx": "glfw", "wgl": "glfw", "cgl": "cgl"}
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
    if wanted in EXPLICIT:
        return Backend(EXPLICIT[wanted], "")
    if wanted in _OFF:
        return Backend("schematic", f"MUJOCO_GL={wanted}: drawing a schematic; unset it for the full picture")
    system = platform.system()
    for name in _CANDIDATES.get(system, ()):
        if not _failure(name):
            return Backend(name, "")
    packages = "libegl1 or libosmesa6 (Debian, Ubuntu)" if system == "Linux" else "an OpenGL driver"
    return Backend("schematic", f"no OpenGL here: drawing a schematic; install {packages} for the full picture")


class OpenGLCanvas:
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

    def covered(self, scene: mujoco.MjvScene) -> NDArray[np.bool_]:
        """By MuJoCo's own segmentation: every shape in a colour of its own, on black."""
        flags = (mujoco.mjtRndFlag.mjRND_SEGMENT.value, mujoco.mjtRndFlag.mjRND_IDCOLOR.value)
        before = [scene.flags[f] for f in flags]
        for f in flags:
            scene.flags[f] = 1
        try:
            return np.asarray(self.draw(scene).any(axis=2))
        finally:
            for f, value in zip(flags, before, strict=True):
                scene.flags[f] = value

    def close(self) -> None:
        gl, mjr, self._gl, self._mjr = self._gl, self._mjr, None, None
        if mjr is not None:
            gl.make_current()
            mjr.free()
        if gl is not None:
            gl.free()
