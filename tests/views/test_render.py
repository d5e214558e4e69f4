"""Pictures are checked by their pixels, videos by reading them back."""

from __future__ import annotations

import ctypes
import itertools
import subprocess
import sys
import textwrap
from pathlib import Path

import imageio.v3 as iio
import mujoco
import numpy as np
import pytest

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.views import render

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


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(MJCF)


def opengl() -> str:
    """The OpenGL backend; a machine that has the libraries and cannot draw fails, one without them skips."""
    name = render.rendering_backend().name
    if name == "schematic":
        for library in ("libEGL.so.1", "libOSMesa.so.8"):
            try:
                ctypes.CDLL(library)
            except OSError:
                continue
            pytest.fail(f"{library} is installed, but neither EGL nor OSMesa draws: {render._failure('egl')}")
        pytest.skip("no OpenGL on this machine: install libegl1 or libosmesa6 to test the full picture")
    return name


@pytest.fixture(params=["opengl", "schematic"])
def backend(request: pytest.FixtureRequest) -> str:
    return opengl() if request.param == "opengl" else "schematic"


@pytest.fixture
def no_opengl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(render, "_failure", lambda name: "forced off by a test")


def draw(model: mujoco.MjModel, backend: str, *args, camera: str | None = "sagittal", **kwargs) -> np.ndarray:
    with render.FrameRenderer(model, camera=camera, size=SIZE, backend=backend) as renderer:
        return renderer.frame(*args, **kwargs)


def reddish(frame: np.ndarray) -> np.ndarray:
    r, g, b = np.moveaxis(frame.astype(int), -1, 0)
    return (r > g + 90) & (r > b + 90)


def bluish(frame: np.ndarray) -> np.ndarray:
    r, g, b = np.moveaxis(frame.astype(int), -1, 0)
    return (b > r + 60) & (b > g + 60)


def greenish(frame: np.ndarray) -> np.ndarray:
    r, g, b = np.moveaxis(frame.astype(int), -1, 0)
    return (g > r + 60) & (g > b + 60)


def orange(frame: np.ndarray) -> np.ndarray:
    r, g, b = np.moveaxis(frame.astype(int), -1, 0)
    return (r > b + 90) & (g > b + 40) & (r > g + 40)


def moving(count: int, width: int = 64, height: int = 48):
    """Frames with a bright square that moves to the right."""
    for k in range(count):
        frame = np.full((height, width, 3), 40, np.uint8)
        frame[10:20, 2 * k : 2 * k + 10] = (250, 200, 30)
        yield frame


# --- poses to frames ---


def test_activation_paints_muscles_from_blue_to_red(model, backend):
    relaxed, half, active = (draw(model, backend, [0.3], [a]) for a in (0.0, 0.5, 1.0))
    assert bluish(relaxed).sum() > 50
    assert reddish(active).sum() > reddish(relaxed).sum() + 50
    assert bluish(active).sum() == 0
    strength = [f.astype(int)[bluish(relaxed)].mean(axis=0) for f in (relaxed, half, active)]
    assert strength[0][0] < strength[1][0] < strength[2][0]
    assert strength[0][2] > strength[1][2] > strength[2][2]
    unknown = draw(model, backend, [0.3], [np.nan])
    assert not bluish(unknown).any()


def test_only_muscles_are_coloured_and_the_model_is_left_alone(model, backend):
    before = model.tendon_rgba.copy()
    assert render.muscle_tendons(model).tolist() == [1]
    plain, active = draw(model, backend, [0.3]), draw(model, backend, [0.3], [1.0])
    np.testing.assert_array_equal(model.tendon_rgba, before)
    cable = greenish(plain)
    assert cable.sum() > 30
    assert (greenish(active) != cable).sum() < 6  # where the two meet


def test_muscle_opacity_is_the_models(backend):
    clear = mujoco.MjModel.from_xml_string(MJCF.replace('rgba=".5 .5 .5 1">\n', 'rgba=".5 .5 .5 0">\n'))
    assert clear.tendon_rgba[1, 3] == 0
    assert not bluish(draw(clear, backend, [0.3], [0.0])).any()


@pytest.mark.parametrize(("camera", "fovy"), [("sagittal", 40)])
def test_a_ball_is_where_the_pinhole_formula_puts_it(model, backend, camera, fovy):
    rows, columns = np.nonzero(orange(draw(model, backend, [0.3], camera=camera)))
    focal = SIZE[1] / 2 / np.tan(np.radians(fovy / 2))
    expected = (SIZE[0] / 2 + focal * 0.4 / 2, SIZE[1] / 2 - focal * 0.3 / 2)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(expected, abs=1.0)


def test_the_schematic_shows_the_same_muscle_in_the_same_place(model):
    name = opengl()
    for camera in ("sagittal", "oblique"):
        a, b = (reddish(draw(model, n, [0.5], [1.0], camera=camera)) for n in (name, "schematic"))
        assert (a & b).sum() / (a | b).sum() > 0.6


def test_a_ghost_adds_a_second_limb(model, backend):
    alone, both = draw(model, backend, [0.3]), draw(model, backend, [0.3], ghost=[-0.8])
    tinted = np.abs(both.astype(int) - alone).sum(axis=-1) > 20
    limb = np.abs(draw(model, backend, [-0.8]).astype(int) - draw(model, backend, [0.9])).sum(axis=-1) > 20
    assert tinted.sum() > 200
    assert (tinted & limb).sum() / tinted.sum() > 0.7
    np.testing.assert_array_equal(draw(model, backend, [0.3], ghost=[np.nan]), alone)


def test_poses_do_not_leak_from_frame_to_frame(model, backend):
    with render.FrameRenderer(model, size=SIZE, backend=backend) as renderer:
        first = renderer.frame([0.3], [0.2])
        renderer.frame([-0.5], [0.9], [1.0])
        np.testing.assert_array_equal(renderer.frame([0.3], [0.2]), first)


def test_two_renderers_at_once(model):
    name = opengl()
    a = render.FrameRenderer(model, size=SIZE, backend=name)
    b = render.FrameRenderer(model, size=(80, 60), backend=name, camera="oblique")
    first = a.frame([0.3])
    assert b.frame([0.3]).shape == (60, 80, 3)
    np.testing.assert_array_equal(a.frame([0.3]), first)
    a.close()
    assert b.frame([0.3]).std() > 5
    b.close()
    b.close()
    with pytest.raises(RuntimeError, match="closed"):
        a.frame([0.3])


def test_bigger_than_the_models_offscreen_buffer(model):
    with render.FrameRenderer(model, size=(1000, 700), backend=opengl()) as renderer:
        assert renderer.frame([0.0]).shape == (700, 1000, 3)
    assert model.vis.global_.offwidth == 640


def test_every_kind_of_geom_has_an_outline():
    kinds = ("sphere", "capsule", "ellipsoid", "cylinder", "box", "mesh")
    geoms = "".join(
        f"<geom name='{k}' type='{k}' pos='{i} 0 0' rgba='1 0 0 1' "
        + ("mesh='m'/>" if k == "mesh" else "size='.3 .3 .3'/>")
        for i, k in enumerate(kinds)
    )
    mjcf = f"""<mujoco><asset><mesh name="m" vertex="0 0 0 .4 0 0 0 .4 0 0 0 .4"/></asset><worldbody>
      <camera name="sagittal" pos="2.5 -9 0" xyaxes="1 0 0 0 0 1"/>
      <geom type="plane" size="9 9 1" pos="0 0 0"/>{geoms}</worldbody></mujoco>"""
    frame = draw(mujoco.MjModel.from_xml_string(mjcf), "schematic", [])
    columns = reddish(frame).any(axis=0).astype(int)
    assert (np.diff(columns) == 1).sum() == len(kinds)


def test_free_camera(model, backend):
    assert reddish(draw(model, backend, [0.3], [1.0], camera=None)).sum() > 10


@pytest.mark.parametrize("name", assets.names())
def test_our_models_are_drawn(name, backend):
    model = mujoco.MjModel.from_xml_path(str(assets.path(name)))
    count = len(render.muscle_tendons(model))
    assert count >= 6
    relaxed, active = (draw(model, backend, model.qpos0, np.full(count, a)) for a in (0.0, 1.0))
    assert reddish(active).sum() > reddish(relaxed).sum() + 30
    assert bluish(relaxed).sum() > bluish(active).sum() + 30


def test_what_a_user_can_get_wrong(model, no_opengl):
    with pytest.raises(InputError, match=r"no camera 'front'.*sagittal, oblique"):
        render.FrameRenderer(model, camera="front")
    with pytest.raises(InputError, match="size"):
        render.FrameRenderer(model, size=(0, 100))
    with pytest.raises(InputError, match="backend 'vulkan' is unknown; choose one of egl"):
        render.FrameRenderer(model, backend="vulkan")
    with render.FrameRenderer(model, backend="schematic", size=SIZE) as renderer:
        with pytest.raises(InputError, match="qpos has shape"):
            renderer.frame([0.0, 0.0])
        with pytest.raises(InputError, match="not finite"):
            renderer.frame([np.nan])
        with pytest.raises(InputError, match="activation has shape"):
            renderer.frame([0.0], [0.1, 0.2])
        with pytest.raises(InputError, match="ghost has shape"):
            renderer.frame([0.0], ghost=[0.1, 0.2])
    none = mujoco.MjModel.from_xml_string("<mujoco/>")
    with pytest.raises(InputError, match="has none"):
        render.FrameRenderer(none)


# --- trajectories ---


def test_frame_times_last_as_long_as_the_recording():
    time = np.linspace(2.0, 4.5, 400)
    times = render.frame_times(time, fps=30)
    assert len(times) == 75
    np.testing.assert_allclose(times[:2], [2.0, 2.0 + 1 / 30])
    assert times[-1] < 4.5
    assert len(render.frame_times(time, fps=30, speed=0.5)) == 150
    assert render.frame_times([1.0], fps=30).tolist() == [1.0]
    for bad in ([0.0, 0.0], [1.0, 0.5], [0.0, np.nan], []):
        with pytest.raises(InputError, match="time"):
            render.frame_times(bad, fps=30)
    with pytest.raises(InputError, match="fps"):
        render.frame_times(time, fps=0)
    with pytest.raises(InputError, match="speed"):
        render.frame_times(time, fps=30, speed=-1)


@pytest.mark.filterwarnings("ignore:no OpenGL")
def test_frames_show_the_interpolated_pose(model, no_opengl):
    time, qpos, activation = [0.0, 0.4, 1.0], [[0.0], [0.4], [1.0]], [[0.0], [0.4], [1.0]]
    frames = list(render.render_frames(model, time, qpos, activation, size=SIZE, fps=4, ghost=qpos))
    assert len(frames) == 4
    for k, frame in enumerate(frames):
        x = k / 4
        np.testing.assert_array_equal(frame, draw(model, "schematic", [x], [x], [x]))


def test_orientations_are_interpolated_along_the_geodesic():
    free = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><freejoint/><geom size='.1'/></body></worldbody></mujoco>"
    )
    a = np.array([0, 0, 0, 1.0, 0, 0, 0])
    b = np.array([1, 2, 3, -np.cos(0.5), 0, -np.sin(0.5), 0])  # a turn of 1 rad, the other sign
    pose = render._between(free, a, b, 0.25)
    np.testing.assert_allclose(pose[:3], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(pose[3:] * np.sign(pose[3]), [np.cos(0.125), 0, np.sin(0.125), 0], atol=1e-12)


def test_trajectory_errors_come_before_the_first_frame(model, no_opengl):
    time, qpos = [0.0, 1.0], [[0.0], [np.nan]]
    with pytest.raises(InputError, match=r"row 1 \(t = 1 s\)"), pytest.warns(RuntimeWarning):
        render.render_frames(model, time, qpos)
    with pytest.raises(InputError, match="qpos has shape"), pytest.warns(RuntimeWarning):
        render.render_frames(model, time, [[0.0]])


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_render_rollout_writes_a_video_of_the_right_length(model, suffix, tmp_path):
    opengl()
    time = np.linspace(0, 1.5, 200)
    qpos, activation = np.sin(3 * time)[:, None], np.linspace(0, 1, 200)[:, None]
    path = render.render_rollout(
        model, time, qpos, activation, path=tmp_path / f"arm{suffix}", size=SIZE, fps=20, ghost=qpos + 0.5
    )
    frames = list(iio.imiter(path))
    assert len(frames) == 30
    assert frames[0].shape == (120, 160, 3)
    assert bluish(frames[0]).sum() > 40
    assert reddish(frames[-1]).sum() > reddish(frames[0]).sum() + 40


# --- frames to frames ---


def test_captions():
    plain = list(moving(3))
    one = list(render.captioned(moving(3), "measured"))
    each = list(render.captioned(moving(3), (f"t = {k}" for k in itertools.count())))
    assert (one[0] != plain[0]).any(axis=-1)[:20, :40].sum() > 20
    np.testing.assert_array_equal(one[0][30:], plain[0][30:])
    assert (each[1][:, 40:] == plain[1][:, 40:]).all()
    assert (each[0] != each[1]).any()


def test_side_by_side():
    frames = list(render.side_by_side(moving(4), moving(2, width=30)))
    assert [f.shape for f in frames] == [(48, 94, 3)] * 4
    np.testing.assert_array_equal(frames[3][:, :64], list(moving(4))[3])
    np.testing.assert_array_equal(frames[3][:, 64:], list(moving(2, width=30))[1])
    labelled = next(render.side_by_side(moving(1), moving(1), ("A", "B")))
    assert (labelled != np.hstack([next(moving(1))] * 2)).any()
    with pytest.raises(InputError, match="48 and 40"):
        next(render.side_by_side(moving(1), moving(1, height=40)))
    with pytest.raises(InputError, match="no frames"):
        next(render.side_by_side(moving(1), moving(0)))


def test_traces_below_with_a_cursor_that_moves():
    time = np.linspace(0, 1, 50)
    series = {"measured": np.sin(6 * time), "simulated": np.cos(6 * time)}
    plain = list(moving(9, width=320, height=240))
    at = [0.1 * k + 0.1 for k in range(9)]
    frames = list(render.with_traces(plain, time, series, at=at, ylabel="moment [N·m]"))
    panels = [f[240:] for f in frames]
    assert frames[0].shape == (240 + 96, 320, 3)
    np.testing.assert_array_equal(frames[4][:240], plain[4])
    centres = [np.mean(np.nonzero((p != panels[-1]).any(axis=-1).sum(axis=0) > 20)[0][0]) for p in panels[:-1]]
    np.testing.assert_allclose(np.diff(centres), np.diff(centres).mean(), atol=1.5)
    assert np.diff(centres).mean() > 15
    # Away from the two cursors nothing changes: the curves are drawn once.
    assert (panels[0] == panels[-1]).mean() > 0.9
    again = next(render.with_traces(plain, time, series, at=at, ylabel="moment [N·m]"))
    np.testing.assert_array_equal(again, frames[0])
    wide = list(moving(1, width=900, height=200))
    assert next(render.with_traces(wide, time, series, at=at)).shape == (280, 900, 3)
    assert next(render.with_traces(wide, time, series, at=at, height=300)).shape == (500, 900, 3)
    with pytest.raises(InputError, match="'b' has shape"):
        render.with_traces(plain, time, {"b": [1.0]}, at=at)
    with pytest.raises(InputError, match="at least one"):
        render.with_traces(plain, time, {}, at=at)


def test_frames_stream():
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros((40, 60, 3), np.uint8)

    pipeline = render.with_traces(
        render.captioned(render.side_by_side(endless(), endless()), "both"),
        [0.0, 1.0],
        {"a": [0.0, 1.0]},
        at=itertools.count(),
        height=40,
    )
    assert next(pipeline).shape == (80, 120, 3)
    assert taken == 2


# --- files ---


@pytest.mark.parametrize("fps", [25, 30, 12.5])
def test_mp4_reads_back(tmp_path, fps):
    path = render.video(tmp_path / "a.mp4", moving(20), fps)
    meta = iio.immeta(path, plugin="FFMPEG")
    assert meta["codec"] == "h264"
    assert meta["pix_fmt"].startswith("yuv420p")
    assert meta["fps"] == pytest.approx(fps)
    assert meta["duration"] == pytest.approx(20 / fps, abs=0.02)
    frames = list(iio.imiter(path))
    assert len(frames) == 20
    for a, b in zip(frames, moving(20), strict=True):
        assert a.shape == b.shape
        assert np.abs(a.astype(int) - b).mean() < 6


def test_odd_sizes(tmp_path):
    frames = list(iio.imiter(render.video(tmp_path / "odd.mp4", moving(3, 71, 49), 10)))
    assert frames[0].shape == (50, 72, 3)
    frames = list(iio.imiter(render.video(tmp_path / "odd.gif", moving(3, 71, 49), 10)))
    assert frames[0].shape == (49, 71, 3)


@pytest.mark.parametrize("fps", [10, 30])
def test_gif_reads_back(tmp_path, fps):
    path = render.video(tmp_path / "a.GIF", moving(20), fps)
    frames = list(iio.imiter(path))
    assert len(frames) == 20
    for a, b in zip(frames, moving(20), strict=True):
        assert np.abs(a[..., :3].astype(int) - b).mean() < 6
    from PIL import Image

    with Image.open(path) as picture:
        assert picture.info["loop"] == 0
        lasts = 0
        for k in range(20):
            picture.seek(k)
            lasts += picture.info["duration"]
    assert lasts == pytest.approx(20_000 / fps, rel=0.02)


def test_gif_of_a_shaded_picture(tmp_path):
    model = mujoco.MjModel.from_xml_path(str(assets.path("arm")))
    time, turn = [0.0, 0.6], model.qpos0 + np.array([[0.0], [0.5]])
    options = {"size": (320, 240), "fps": 10}
    opengl()
    frames = list(render.render_frames(model, time, turn, **options))
    back = iio.imread(render.render_rollout(model, time, turn, path=tmp_path / "arm.gif", **options))
    assert np.abs(back[..., :3].astype(int) - frames).mean(axis=(1, 2, 3)).max() < 3


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, ValueError, SystemExit])
@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_an_interrupted_video_leaves_the_folder_as_it_was(tmp_path, interrupt, name):
    (tmp_path / name).write_bytes(b"older")
    closed = []

    def frames():
        try:
            yield from moving(3)
            assert len(list(tmp_path.iterdir())) == 2
            raise interrupt
        finally:
            closed.append(True)

    with pytest.raises(interrupt):
        render.video(tmp_path / name, frames(), 10)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"older"
    assert closed


def test_a_bad_frame_closes_what_draws_them(tmp_path):
    closed = []

    def frames():
        try:
            yield from moving(2)
            yield np.zeros((8, 8, 3), np.uint8)
            yield from moving(2)
        finally:
            closed.append(True)

    with pytest.raises(InputError, match=r"frame 2 is uint8 \(8, 8, 3\)"):
        render.video(tmp_path / "a.mp4", frames(), 10)
    assert closed
    assert not list(tmp_path.iterdir())


def test_paths_that_cannot_be(tmp_path, monkeypatch, model):
    with pytest.raises(InputError, match=r"\.mp4 or \.gif"):
        render.video(tmp_path / "a.avi", moving(1), 10)
    with pytest.raises(InputError, match=r"\.mp4 or \.gif"):
        render.render_rollout(model, [0.0], [[0.0]], path=tmp_path / "a")
    with pytest.raises(InputError, match="no folder"):
        render.video(tmp_path / "no" / "a.mp4", moving(1), 10)
    with pytest.raises(InputError, match="no frames"):
        render.video(tmp_path / "a.mp4", [], 10)
    with pytest.raises(InputError, match="fps"):
        render.video(tmp_path / "a.mp4", moving(1), 0)
    with pytest.raises(InputError, match="float64"):
        render.video(tmp_path / "a.mp4", [np.zeros((20, 20, 3))], 10)  # type: ignore[list-item]

    def refuse(self, exist_ok=True):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(InputError, match=r"cannot write in .*Permission denied"):
        render.video(tmp_path / "a.mp4", moving(1), 10)
    assert not list(tmp_path.iterdir())


# --- which OpenGL ---


def test_without_opengl_a_schematic_and_the_package_to_install(model, no_opengl, tmp_path):
    time = np.linspace(0, 1, 20)
    with pytest.warns(RuntimeWarning, match="libegl1 or libosmesa6") as caught:
        path = render.render_rollout(
            model, time, time[:, None], time[:, None], path=tmp_path / "s.mp4", size=SIZE, fps=10
        )
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    frames = list(iio.imiter(path))
    assert len(frames) == 10
    assert reddish(frames[-1]).sum() > reddish(frames[0]).sum() + 40


def test_where_opengl_truly_fails_the_probe_says_so():
    # PyOpenGL bound to a platform that is neither: both contexts refuse to be made.
    done = run_python(
        """
        import os, warnings
        os.environ.pop("MUJOCO_GL", None)
        os.environ["PYOPENGL_PLATFORM"] = "glx"
        import mujoco
        from mjx_msm.views import render
        warnings.simplefilter("ignore")
        with render.FrameRenderer(mujoco.MjModel.from_xml_string(MJCF), size=(64, 48)) as renderer:
            renderer.frame([0.0])
            print(renderer.backend.name, renderer.backend.note)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("schematic no OpenGL here")


def test_osmesa_is_the_second_choice(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(render.platform, "system", lambda: "Linux")
    monkeypatch.setattr(render, "_failure", lambda name: "" if name == "osmesa" else "no")
    assert render.rendering_backend() == ("osmesa", "")


def test_the_environment_variable_wins(monkeypatch):
    monkeypatch.setattr(render, "_failure", lambda name: pytest.fail("probed, though the user chose"))
    for value, name in {"egl": "egl", "OSMesa ": "osmesa", "glfw": "glfw", "off": "schematic"}.items():
        monkeypatch.setenv("MUJOCO_GL", value)
        assert render.rendering_backend().name == name


def test_a_backend_that_fails_only_here_falls_back_unless_the_user_chose_it(model, monkeypatch):
    def broken(*args):
        raise RuntimeError("no context for you")

    monkeypatch.setattr(render, "_OpenGL", broken)
    monkeypatch.setattr(render, "_failure", lambda name: "")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    with pytest.warns(RuntimeWarning, match="no context for you"):
        renderer = render.FrameRenderer(model, size=SIZE)
    with renderer:
        assert renderer.backend.name == "schematic"
        assert renderer.frame([0.0]).std() > 5
    monkeypatch.setenv("MUJOCO_GL", "egl")
    with pytest.raises(InputError, match="MUJOCO_GL"):
        render.FrameRenderer(model, size=SIZE)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", f"MJCF = {MJCF!r}\n{textwrap.dedent(code)}"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(render.__file__).parents[1],
    )


def test_the_interpreter_exits_silently_whatever_was_left_open():
    name = opengl()
    done = run_python(
        f"""
        import mujoco
        from mjx_msm.views import render
        model = mujoco.MjModel.from_xml_string(MJCF)
        with render.FrameRenderer(model, size=(64, 48)) as closed:
            closed.frame([0.0])
        left_open = render.FrameRenderer(model, size=(64, 48), backend={name!r})
        left_open.frame([0.0])
        never_used = render.FrameRenderer(model, size=(64, 48), backend={name!r})
        cycle = [render.FrameRenderer(model, size=(64, 48), backend={name!r})]
        cycle.append(cycle)
        half = render.render_frames(model, [0.0, 1.0], [[0.0], [1.0]], size=(64, 48))
        next(half)
        unstarted = render.render_frames(model, [0.0, 1.0], [[0.0], [1.0]], size=(64, 48))
        del cycle
        print(left_open.backend.name)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [name]


def test_contexts_are_freed_without_being_closed_by_hand():
    name = opengl()
    done = run_python(
        f"""
        import gc, weakref
        import mujoco
        from mjx_msm.views import render
        model = mujoco.MjModel.from_xml_string(MJCF)
        left = []
        for _ in range(6):
            renderer = render.FrameRenderer(model, size=(64, 48), backend={name!r})
            frames = render._draw_all(renderer, model, *[None] * 3)
            left.append(weakref.ref(renderer))
        del renderer, frames
        gc.collect()
        print(sum(reference() is not None for reference in left))
        """
    )
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", ["0"])


def test_importing_loads_no_graphics():
    done = run_python(
        """
        import sys
        before = set(sys.modules)
        import mujoco
        with_mujoco = set(sys.modules)
        from mjx_msm.views import render
        new = {name.split(".")[0] for name in set(sys.modules) - with_mujoco}
        print(new & {"matplotlib", "imageio", "imageio_ffmpeg", "PIL", "scipy", "jax"})
        """
    )
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", "set()")
