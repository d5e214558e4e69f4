"""Fixtures for pictures: a small model, ways to draw it, and what colours a frame has."""

import ctypes
import subprocess
import sys
import textwrap
from pathlib import Path

import mujoco
import numpy as np
import pytest

from mjx_msm.views import opengl as opengl_module
from mjx_msm.views.frames import FrameRenderer

SIZE = (160, 120)

# A hinge in front of the camera, a muscle along it, a motor on a second tendon, a red ball off the centre.
MJCF = """
<mujoco>
  <visual><headlight ambient=".6 .6 .6" diffuse=".4 .4 .4" specular="0 0 0"/></visual>
  <asset>
    <texture type="skybox" builtin="flat" rgb1=".8 .8 .8" rgb2=".8 .8 .8" width="32" height="32"/>
  </asset>
  <worldbody>
    <light pos="0 -2 3" castshadow="false"/>
    <camera name="sagittal" pos="0 -2 1" xyaxes="1 0 0 0 0 1" fovy="40"/>
    <camera name="oblique" pos="1 -2 1" xyaxes="2 1 0 0 0 1"/>
    <geom name="floor" type="plane" size="0 0 1" rgba=".5 .5 .5 1"/>
    <geom name="mark" type="sphere" size=".05" pos=".4 0 1.3" rgba="1 .5 0 1"/>
    <site name="origin" pos="-.1 -.1 1.5" group="4"/>
    <site name="anchor" pos="-.5 -.1 1.5" group="4"/>
    <body pos="0 0 1.4">
      <joint name="elbow" axis="0 -1 0"/>
      <geom type="capsule" fromto="0 0 0 0 0 -.7" size=".04" rgba=".9 .9 .8 1"/>
      <site name="insertion" pos="-.1 -.1 -.5" group="4"/>
    </body>
  </worldbody>
  <tendon>
    <spatial name="cable" width=".02" rgba="0 .7 0 1"><site site="anchor"/><site site="insertion"/></spatial>
    <spatial name="flexor" width=".03" rgba=".5 .5 .5 1">
      <site site="origin"/><site site="insertion"/>
    </spatial>
  </tendon>
  <actuator>
    <motor name="exo" tendon="cable"/>
    <muscle name="flexor" tendon="flexor" lengthrange=".3 1"/>
    <motor name="hinge" joint="elbow"/>
  </actuator>
</mujoco>
"""


@pytest.fixture(scope="session")
def mjcf() -> str:
    return MJCF


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(MJCF)


@pytest.fixture(scope="session")
def opengl():
    def opengl() -> str:
        """The OpenGL backend; a machine that has the libraries and cannot draw fails, one without them skips."""
        name = opengl_module.rendering_backend().name
        if name == "schematic":
            for library in ("libEGL.so.1", "libOSMesa.so.8"):
                try:
                    ctypes.CDLL(library)
                except OSError:
                    continue
                pytest.fail(
                    f"{library} is installed, but neither EGL nor OSMesa draws: {opengl_module._failure('egl')}"
                )
            pytest.skip("no OpenGL on this machine: install libegl1 or libosmesa6 to test the full picture")
        return name

    return opengl


@pytest.fixture(params=["opengl", "schematic"])
def backend(request: pytest.FixtureRequest, opengl) -> str:
    return opengl() if request.param == "opengl" else "schematic"


@pytest.fixture
def no_opengl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(opengl_module, "_failure", lambda name: "forced off by a test")


@pytest.fixture(scope="session")
def draw():
    def draw(model: mujoco.MjModel, backend: str, *args, camera: str | None = "sagittal", **kwargs) -> np.ndarray:
        with FrameRenderer(model, camera=camera, size=SIZE, backend=backend) as renderer:
            return renderer.frame(*args, **kwargs)

    return draw


@pytest.fixture(scope="session")
def reddish():
    def reddish(frame: np.ndarray) -> np.ndarray:
        r, g, b = np.moveaxis(frame.astype(int), -1, 0)
        return (r > g + 90) & (r > b + 90)

    return reddish


@pytest.fixture(scope="session")
def bluish():
    def bluish(frame: np.ndarray) -> np.ndarray:
        r, g, b = np.moveaxis(frame.astype(int), -1, 0)
        return (b > r + 60) & (b > g + 60)

    return bluish


@pytest.fixture(scope="session")
def greenish():
    def greenish(frame: np.ndarray) -> np.ndarray:
        r, g, b = np.moveaxis(frame.astype(int), -1, 0)
        return (g > r + 60) & (g > b + 60)

    return greenish


@pytest.fixture(scope="session")
def orange():
    def orange(frame: np.ndarray) -> np.ndarray:
        r, g, b = np.moveaxis(frame.astype(int), -1, 0)
        return (r > b + 90) & (g > b + 40) & (r > g + 40)

    return orange


@pytest.fixture(scope="session")
def moving():
    def moving(count: int, width: int = 64, height: int = 48):
        """Frames with a bright square that moves to the right."""
        for k in range(count):
            frame = np.full((height, width, 3), 40, np.uint8)
            frame[10:20, 2 * k : 2 * k + 10] = (250, 200, 30)
            yield frame

    return moving


@pytest.fixture(scope="session")
def run_python():
    def run_python(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", f"MJCF = {MJCF!r}\n{textwrap.dedent(code)}"],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=Path(opengl_module.__file__).parents[2],
        )

    return run_python
