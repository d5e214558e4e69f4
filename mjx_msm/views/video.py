"""Frames to files: MP4 and GIF, of frames or of a trajectory at once.

A *frame* is a `(height, width, 3)` uint8 array, and what takes or gives several of them works on iterables, so that a
video of any length streams through::

    frames = render_frames(mj_model, time, qpos, activation)
    frames = with_traces(frames, time, {"measured": m, "simulated": s}, at=frame_times(time, fps=30))
    video("walk.mp4", frames, fps=30)
"""

from __future__ import annotations

import contextlib
import itertools
import os
import warnings
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import beside
from mjx_msm.views.canvas import Frame
from mjx_msm.views.frames import render_frames

_GIF = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1:dither=bayer:bayer_scale=5"
_ENCODERS: dict[str, dict[str, Any]] = {
    ".mp4": {
        "codec": "libx264",
        "pix_fmt_out": "yuv420p",
        "output_params": ["-crf", "20", "-movflags", "+faststart"],
    },
    ".gif": {"codec": "gif", "pix_fmt_out": "pal8", "output_params": ["-filter_complex", _GIF, "-loop", "0"]},
}


SMALLEST = 48
"""Edge of a picture that shows something [pixels]."""


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


def video(path: str | os.PathLike[str], frames: Iterable[Frame], fps: float, *, largest: int | None = None) -> Path:
    """Write the frames as H.264 (`.mp4`, yuv420p, which every player knows) or as a looping `.gif`.

    H.264 wants even sizes: an odd edge is doubled. The file appears under its name when it is complete;
    on an error or an interrupt nothing is left behind and an older file stays as it was.

    **Arguments:** `largest`: of a GIF [bytes]: its pictures are made smaller until it is no larger.

    **Raises:** `InputError` if the path cannot be written, a frame is of another size, or no picture of
    `SMALLEST` pixels keeps to the limit.
    """
    path = _check_video_path(path)
    if largest is not None and path.suffix.lower() != ".gif":
        raise InputError(f"{path}: a limit of its size is for a .gif; an .mp4 is small as it is")
    if not fps > 0:
        raise InputError(f"fps {fps}: give a positive number of frames per second")
    try:
        with beside(path) as temporary:
            if largest is None:
                _encode(temporary, frames, fps)
            else:
                _encode_within(largest, temporary, list(frames), fps)
            os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or f"ffmpeg stopped: {str(error).strip().splitlines()[-1]}"
        raise InputError(f"{path}: cannot write in {path.parent} ({reason}); choose another folder") from error
    finally:
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
        raise OSError("it wrote nothing; is the disk full?")


def _encode_within(largest: int, path: Path, frames: list[Frame], fps: float) -> None:
    """A GIF grows with the number of its pixels."""
    scale = 1.0
    while True:
        _encode(path, frames if scale == 1.0 else _smaller(frames, scale), fps)
        size = path.stat().st_size
        if size <= largest:
            return
        scale *= min(0.9, 0.95 * (largest / size) ** 0.5)
        if scale * min(frames[0].shape[:2]) < SMALLEST:
            raise InputError(
                f"a GIF of {len(frames)} frames cannot keep to {largest} bytes; show less of it, or slower"
            )


def _smaller(frames: Iterable[Frame], scale: float) -> Iterator[Frame]:
    from PIL import Image

    for frame in frames:
        height, width = (max(1, round(scale * n)) for n in frame.shape[:2])
        yield np.array(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))


def _check_video_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix.lower() not in _ENCODERS:
        raise InputError(f"{path}: a video ends in .mp4 or .gif, not {path.suffix or 'nothing'!r}")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first")
    return path
