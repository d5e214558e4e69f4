"""Videos are checked by reading them back."""

import imageio.v3 as iio
import mujoco
import numpy as np
import pytest

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.views.frames import render_frames
from mjx_msm.views.video import render_rollout, video

SIZE = (160, 120)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_render_rollout_writes_a_video_of_the_right_length(model, suffix, tmp_path, bluish, opengl, reddish):
    opengl()
    time = np.linspace(0, 1.5, 200)
    qpos, activation = np.sin(3 * time)[:, None], np.linspace(0, 1, 200)[:, None]
    path = render_rollout(
        model, time, qpos, activation, path=tmp_path / f"arm{suffix}", size=SIZE, fps=20, ghost=qpos + 0.5
    )
    frames = list(iio.imiter(path))
    assert len(frames) == 30
    assert frames[0].shape == (120, 160, 3)
    assert bluish(frames[0]).sum() > 40
    assert reddish(frames[-1]).sum() > reddish(frames[0]).sum() + 40


@pytest.mark.parametrize("fps", [25, 30, 12.5])
def test_mp4_reads_back(tmp_path, fps, moving):
    path = video(tmp_path / "a.mp4", moving(20), fps)
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


def test_odd_sizes(tmp_path, moving):
    frames = list(iio.imiter(video(tmp_path / "odd.mp4", moving(3, 71, 49), 10)))
    assert frames[0].shape == (50, 72, 3)
    frames = list(iio.imiter(video(tmp_path / "odd.gif", moving(3, 71, 49), 10)))
    assert frames[0].shape == (49, 71, 3)


@pytest.mark.parametrize("fps", [10, 30])
def test_gif_reads_back(tmp_path, fps, moving):
    path = video(tmp_path / "a.GIF", moving(20), fps)
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


def test_gif_of_a_shaded_picture(tmp_path, opengl):
    model = mujoco.MjModel.from_xml_path(str(assets.path("arm")))
    time, turn = [0.0, 0.6], model.qpos0 + np.array([[0.0], [0.5]])
    options = {"size": (320, 240), "fps": 10}
    opengl()
    frames = list(render_frames(model, time, turn, **options))
    back = iio.imread(render_rollout(model, time, turn, path=tmp_path / "arm.gif", **options))
    assert np.abs(back[..., :3].astype(int) - frames).mean(axis=(1, 2, 3)).max() < 3


def test_a_gif_keeps_to_its_limit(tmp_path, moving):
    """Smaller pictures, as many of them."""
    noise = np.random.default_rng(0).integers(0, 60, (96, 128, 3), dtype=np.uint8)  # hardly compresses
    frames = [np.clip(f.astype(int) + noise, 0, 255).astype(np.uint8) for f in moving(12, 128, 96)]
    free = video(tmp_path / "free.gif", frames, 10).stat().st_size
    kept = video(tmp_path / "kept.gif", frames, 10, largest=free // 2)
    assert kept.stat().st_size <= free // 2
    read = list(iio.imiter(kept))
    assert len(read) == 12
    assert read[0].shape[1] / read[0].shape[0] == pytest.approx(128 / 96, rel=0.02)
    with pytest.raises(InputError, match="cannot keep to 300 bytes"):
        video(tmp_path / "never.gif", frames, 10, largest=300)
    assert not (tmp_path / "never.gif").exists()
    with pytest.raises(InputError, match=r"is for a \.gif"):
        video(tmp_path / "small.mp4", frames, 10, largest=300)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, ValueError, SystemExit])
@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_an_interrupted_video_leaves_the_folder_as_it_was(tmp_path, interrupt, name, moving):
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
        video(tmp_path / name, frames(), 10)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"older"
    assert closed


def test_a_bad_frame_closes_what_draws_them(tmp_path, moving):
    closed = []

    def frames():
        try:
            yield from moving(2)
            yield np.zeros((8, 8, 3), np.uint8)
            yield from moving(2)
        finally:
            closed.append(True)

    with pytest.raises(InputError, match=r"frame 2 is uint8 \(8, 8, 3\)"):
        video(tmp_path / "a.mp4", frames(), 10)
    assert closed
    assert not list(tmp_path.iterdir())


def test_paths_that_cannot_be(tmp_path, monkeypatch, model, moving):
    with pytest.raises(InputError, match=r"\.mp4 or \.gif"):
        video(tmp_path / "a.avi", moving(1), 10)
    with pytest.raises(InputError, match=r"\.mp4 or \.gif"):
        render_rollout(model, [0.0], [[0.0]], path=tmp_path / "a")
    with pytest.raises(InputError, match="no folder"):
        video(tmp_path / "no" / "a.mp4", moving(1), 10)
    with pytest.raises(InputError, match="no frames"):
        video(tmp_path / "a.mp4", [], 10)
    with pytest.raises(InputError, match="fps"):
        video(tmp_path / "a.mp4", moving(1), 0)
    with pytest.raises(InputError, match="float64"):
        video(tmp_path / "a.mp4", [np.zeros((20, 20, 3))], 10)  # type: ignore[list-item]

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mjx_msm.common.files.os.open", refuse)
    with pytest.raises(InputError, match=r"cannot write in .*Permission denied"):
        video(tmp_path / "a.mp4", moving(1), 10)
    assert not list(tmp_path.iterdir())
