"""Still pictures: what is not of the body is transparent, names point at muscles, presets look from their side."""

import mujoco
import numpy as np
import pytest
from PIL import Image

from mjx_msm.cli.app import run as command
from mjx_msm.common.errors import InputError
from mjx_msm.views.frames import FrameRenderer
from mjx_msm.views.picture import _apart, drawn, picture
from mjx_msm.views.posed_scene import PosedScene

SIZE = (160, 120)


def opaque(model, **changed):
    return drawn(model, np.zeros(model.nq), camera="sagittal", size=SIZE, **{"labels": False, **changed})[..., 3] > 128


def test_only_the_body_is_opaque(model, opengl):
    """The share of the picture that the body covers, from a picture of it on another background."""
    opengl()
    assert opaque(model).all()
    seen = opaque(model, transparent=True)
    assert 0.01 < seen.sum() / np.prod(SIZE) < 0.3  # neither sky nor floor
    assert seen.size < np.prod(SIZE)


def test_the_schematic_is_cut_out_too(model, no_opengl):
    with pytest.warns(RuntimeWarning, match="schematic"):
        seen = opaque(model, transparent=True)
    assert 0.01 < seen.sum() / np.prod(SIZE) < 0.4


def test_a_muscle_is_where_it_is_drawn(model, opengl):
    """The middle of the path, by projection, against where its colour is in the picture."""
    with FrameRenderer(model, camera="sagittal", size=SIZE, backend=opengl()) as renderer:
        (place,) = renderer.muscle_places(np.zeros(model.nq))
        frame = renderer.frame(np.zeros(model.nq), [1.0]).astype(int)
    red = (frame[..., 0] > frame[..., 1] + 90) & (frame[..., 0] > frame[..., 2] + 90)
    rows, columns = np.nonzero(red)
    near = np.hypot(rows - place[1], columns - place[0]).min()
    assert near < 3


def test_labels_keep_apart_and_inside():
    found = _apart(np.array([5.0, 6.0, 7.0, 98.0, 99.0]), 10.0, 100.0)
    assert np.all(np.diff(found) >= 10 - 1e-9)
    assert found[0] >= 10
    assert found[-1] <= 100
    np.testing.assert_allclose(_apart(np.array([20.0, 60.0]), 10.0, 100.0), [20.0, 60.0])


@pytest.mark.parametrize(
    ("name", "forward"),
    [("front", (-1, 0)), ("back", (1, 0)), ("left", (0, -1)), ("right", (0, 1)), ("top", (0, 0))],
)
def test_presets_look_from_their_side(model, name, forward):
    scene = PosedScene(model, camera=name)(np.zeros(model.nq))
    seen = np.asarray(scene.camera[0].forward)
    np.testing.assert_allclose(seen[:2], np.cos(np.radians(10)) * np.array(forward), atol=1e-6)


def test_a_camera_follows_whoever_moves(mjcf):
    moving = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><body><joint type="slide" axis="1 0 0"/><geom size=".1"/></body></worldbody></mujoco>'
    )
    scene = PosedScene(moving, camera="follow")
    at = [np.asarray(scene(np.array([x])).camera[0].pos, float).copy() for x in (0.0, 2.0)]
    np.testing.assert_allclose(at[1] - at[0], [2.0, 0.0, 0.0], atol=1e-5)
    still = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size=".1"/></worldbody></mujoco>')
    with pytest.raises(InputError, match="nothing to follow"):
        PosedScene(still, camera="follow")


def test_the_file(model, tmp_path, opengl):
    opengl()
    path = picture(tmp_path / "one.png", model, np.zeros(model.nq), size=SIZE, transparent=True)
    shown = Image.open(path)
    assert shown.mode == "RGBA"
    pixels = np.asarray(shown)[..., 3]
    assert all(edge.any() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])), "nothing empty around it"
    assert shown.size[0] <= SIZE[0]
    assert shown.size[1] <= SIZE[1]
    with pytest.raises(InputError, match=r"ends in \.png"):
        picture(tmp_path / "one.jpg", model, np.zeros(model.nq))


def test_a_size_is_refused_in_the_numbers_given(model):
    with pytest.raises(InputError, match=r"size \(9000, 4000\): .* each 16 to 8192"):
        drawn(model, np.zeros(model.nq), size=(9000, 4000))
    with pytest.raises(InputError, match=r"size \(10, 10\)"):
        drawn(model, np.zeros(model.nq), size=(10, 10))


@pytest.mark.parametrize("option", ["--fps", "--speed", "--largest"])
def test_a_picture_takes_no_options_of_a_film(option, tmp_path, capsys):
    assert command(["render", str(tmp_path), "--out", str(tmp_path / "a.png"), option, "2"]) == 2
    assert "are of a video" in capsys.readouterr().err


def test_a_film_takes_no_options_of_a_picture(tmp_path, capsys):
    assert command(["render", str(tmp_path), "--out", str(tmp_path / "a.mp4"), "--transparent"]) == 2
    assert "are of a picture" in capsys.readouterr().err
