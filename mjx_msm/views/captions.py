"""Frames to frames: a line of text on them, or two videos as one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.views.canvas import Frame


def captioned(frames: Iterable[Frame], text: str | Iterable[str], *, line: int = 0) -> Iterator[Frame]:
    """The frames with a line of text in the upper left corner: one for all, or one each; `line` counts from the top."""
    lines = itertools.repeat(text) if isinstance(text, str) else text
    for frame, words in zip(frames, lines, strict=False):
        yield _write(frame, words, line)


def _write(frame: Frame, words: str, line: int) -> Frame:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(frame)
    points = max(10, frame.shape[0] // 24)
    ImageDraw.Draw(picture).text(
        (points // 2, points // 3 + line * points * 5 // 4),
        words,
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
