"""Poses drawn as pictures, which are checked by their pixels."""

import mujoco
import numpy as np
import pytest

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.views.frames import FrameRenderer, _between, frame_times, render_frames
from mjx_msm.views.posed_scene import muscle_tendons

SIZE = (160, 120)


def test_activation_paints_muscles_from_blue_to_red(model, backend, bluish, draw, reddish):
    relaxed, half, active = (draw(model, backend, [0.3], [a]) for a in (0.0, 0.5, 1.0))
    assert bluish(relaxed).sum() > 50
    assert reddish(active).sum() > reddish(relaxed).sum() + 50
    assert bluish(active).sum() == 0
    strength = [f.astype(int)[bluish(relaxed)].mean(axis=0) for f in (relaxed, half, active)]
    assert strength[0][0] < strength[1][0] < strength[2][0]
    assert strength[0][2] > strength[1][2] > strength[2][2]
    unknown = draw(model, backend, [0.3], [np.nan])
    assert not bluish(unknown).any()


def test_only_muscles_are_coloured_and_the_model_is_left_alone(model, backend, draw, greenish):
    before = model.tendon_rgba.copy()
    assert muscle_tendons(model).tolist() == [1]
    plain, active = draw(model, backend, [0.3]), draw(model, backend, [0.3], [1.0])
    np.testing.assert_array_equal(model.tendon_rgba, before)
    cable = greenish(plain)
    assert cable.sum() > 30
    assert (greenish(active) != cable).sum() < 6  # where the two meet


def test_muscle_opacity_is_the_models(backend, mjcf, bluish, draw):
    clear = mujoco.MjModel.from_xml_string(mjcf.replace('rgba=".5 .5 .5 1">\n', 'rgba=".5 .5 .5 0">\n'))
    assert clear.tendon_rgba[1, 3] == 0
    assert not bluish(draw(clear, backend, [0.3], [0.0])).any()


@pytest.mark.parametrize(("camera", "fovy"), [("sagittal", 40)])
def test_a_ball_is_where_the_pinhole_formula_puts_it(model, backend, camera, fovy, draw, orange):
    rows, columns = np.nonzero(orange(draw(model, backend, [0.3], camera=camera)))
    focal = SIZE[1] / 2 / np.tan(np.radians(fovy / 2))
    expected = (SIZE[0] / 2 + focal * 0.4 / 2, SIZE[1] / 2 - focal * 0.3 / 2)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(expected, abs=1.0)


def test_the_schematic_shows_the_same_muscle_in_the_same_place(model, draw, opengl, reddish):
    name = opengl()
    for camera in ("sagittal", "oblique"):
        a, b = (reddish(draw(model, n, [0.5], [1.0], camera=camera)) for n in (name, "schematic"))
        assert (a & b).sum() / (a | b).sum() > 0.6


def test_a_ghost_adds_a_second_limb(model, backend, draw):
    alone, both = draw(model, backend, [0.3]), draw(model, backend, [0.3], ghost=[-0.8])
    tinted = np.abs(both.astype(int) - alone).sum(axis=-1) > 20
    limb = np.abs(draw(model, backend, [-0.8]).astype(int) - draw(model, backend, [0.9])).sum(axis=-1) > 20
    assert tinted.sum() > 200
    assert (tinted & limb).sum() / tinted.sum() > 0.7
    np.testing.assert_array_equal(draw(model, backend, [0.3], ghost=[np.nan]), alone)


def test_poses_do_not_leak_from_frame_to_frame(model, backend):
    with FrameRenderer(model, size=SIZE, backend=backend) as renderer:
        first = renderer.frame([0.3], [0.2])
        renderer.frame([-0.5], [0.9], [1.0])
        np.testing.assert_array_equal(renderer.frame([0.3], [0.2]), first)


def test_two_renderers_at_once(model, opengl):
    name = opengl()
    a = FrameRenderer(model, size=SIZE, backend=name)
    b = FrameRenderer(model, size=(80, 60), backend=name, camera="oblique")
    first = a.frame([0.3])
    assert b.frame([0.3]).shape == (60, 80, 3)
    np.testing.assert_array_equal(a.frame([0.3]), first)
    a.close()
    assert b.frame([0.3]).std() > 5
    b.close()
    b.close()
    with pytest.raises(RuntimeError, match="closed"):
        a.frame([0.3])


def test_bigger_than_the_models_offscreen_buffer(model, opengl):
    with FrameRenderer(model, size=(1000, 700), backend=opengl()) as renderer:
        assert renderer.frame([0.0]).shape == (700, 1000, 3)
    assert model.vis.global_.offwidth == 640


def test_free_camera(model, backend, draw, reddish):
    assert reddish(draw(model, backend, [0.3], [1.0], camera=None)).sum() > 10


@pytest.mark.parametrize("name", assets.names())
def test_our_models_are_drawn(name, backend, bluish, draw, reddish):
    model = mujoco.MjModel.from_xml_path(str(assets.path(name)))
    count = len(muscle_tendons(model))
    assert count >= 6
    relaxed, active = (draw(model, backend, model.qpos0, np.full(count, a)) for a in (0.0, 1.0))
    assert reddish(active).sum() > reddish(relaxed).sum() + 30
    assert bluish(relaxed).sum() > bluish(active).sum() + 30


def test_what_a_user_can_get_wrong(model, no_opengl):
    with pytest.raises(InputError, match=r"no camera 'behind'.*sagittal, oblique"):
        FrameRenderer(model, camera="behind")
    with pytest.raises(InputError, match="size"):
        FrameRenderer(model, size=(0, 100))
    with pytest.raises(InputError, match="backend 'vulkan' is unknown; choose one of egl"):
        FrameRenderer(model, backend="vulkan")
    with FrameRenderer(model, backend="schematic", size=SIZE) as renderer:
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
        FrameRenderer(none)


def test_frame_times_last_as_long_as_the_recording():
    time = np.linspace(2.0, 4.5, 400)
    times = frame_times(time, fps=30)
    assert len(times) == 75
    np.testing.assert_allclose(times[:2], [2.0, 2.0 + 1 / 30])
    assert times[-1] < 4.5
    assert len(frame_times(time, fps=30, speed=0.5)) == 150
    assert frame_times([1.0], fps=30).tolist() == [1.0]
    for bad in ([0.0, 0.0], [1.0, 0.5], [0.0, np.nan], []):
        with pytest.raises(InputError, match="time"):
            frame_times(bad, fps=30)
    with pytest.raises(InputError, match="fps"):
        frame_times(time, fps=0)
    with pytest.raises(InputError, match="speed"):
        frame_times(time, fps=30, speed=-1)


@pytest.mark.filterwarnings("ignore:no OpenGL")
def test_frames_show_the_interpolated_pose(model, no_opengl, draw):
    time, qpos, activation = [0.0, 0.4, 1.0], [[0.0], [0.4], [1.0]], [[0.0], [0.4], [1.0]]
    frames = list(render_frames(model, time, qpos, activation, size=SIZE, fps=4, ghost=qpos))
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
    pose = _between(free, a, b, 0.25)
    np.testing.assert_allclose(pose[:3], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(pose[3:] * np.sign(pose[3]), [np.cos(0.125), 0, np.sin(0.125), 0], atol=1e-12)


def test_trajectory_errors_come_before_the_first_frame(model, no_opengl):
    time, qpos = [0.0, 1.0], [[0.0], [np.nan]]
    with pytest.raises(InputError, match=r"row 1 \(t = 1 s\)"), pytest.warns(RuntimeWarning):
        render_frames(model, time, qpos)
    with pytest.raises(InputError, match="qpos has shape"), pytest.warns(RuntimeWarning):
        render_frames(model, time, [[0.0]])
