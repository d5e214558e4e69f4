"""A model in a pose as a picture for a paper or a slide: muscles labelled, the background transparent if wanted.

picture("person.png", mj_model, qpos, activation, camera="oblique", transparent=True)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import beside
from mjx_msm.views.frames import LARGEST, FrameRenderer, checked_size
from mjx_msm.views.posed_scene import muscle_tendons

FINER = 2
"""Edges are smoothed by drawing so many times as large, where there can be so large a picture."""
INK = (40, 40, 40, 255)


def picture(
    path: str | os.PathLike[str],
    mj_model: mujoco.MjModel,
    qpos: ArrayLike,
    activation: ArrayLike | None = None,
    *,
    camera: str | None = "sagittal",
    size: tuple[int, int] = (1200, 900),
    labels: bool = True,
    transparent: bool = False,
) -> Path:
    """Write a pose (nq,) [rad, m] as a PNG; `activation` (muscle,) in 0..1 colours the muscles.

    **Arguments:** `camera`: as of `FrameRenderer`. `labels`: muscles by name, at both sides. `transparent`: without
    floor and sky, cut to what is left: `size` is then what it is cut from.

    **Raises:** `InputError` if the path is not of a PNG or cannot be written, or the pose does not fit the model.
    """
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: a picture ends in .png, which keeps edges sharp and a background transparent")
    pixels = drawn(
        mj_model, qpos, activation, camera=camera, size=size, labels=labels, transparent=transparent
    )  # fmt: skip
    shown = Image.fromarray(pixels)
    try:
        with beside(path) as temporary:
            shown.save(temporary, format="PNG")
            os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another folder") from error
    return path


def drawn(
    mj_model: mujoco.MjModel,
    qpos: ArrayLike,
    activation: ArrayLike | None = None,
    *,
    camera: str | None = "sagittal",
    size: tuple[int, int] = (1200, 900),
    labels: bool = True,
    transparent: bool = False,
) -> UInt8[np.ndarray, "height width 4"]:
    """What `picture` writes."""
    from PIL import Image

    size = checked_size(size)
    finer = FINER if FINER * max(size) <= LARGEST else 1
    fine = (finer * size[0], finer * size[1])
    with FrameRenderer(mj_model, camera=camera, size=fine) as renderer:
        if transparent:
            pixels = renderer.cut_out(qpos, activation)
        else:
            frame = renderer.frame(qpos, activation)
            pixels = np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)])
        places = renderer.muscle_places(qpos) / finer if labels else np.empty((0, 2))
    # colours are weighed by how opaque they are, else the background shines through at the edges
    smaller = Image.fromarray(pixels).convert("RGBa").resize(size, Image.Resampling.BOX).convert("RGBA")
    if labels:
        names = [mj_model.tendon(int(i)).name or "" for i in muscle_tendons(mj_model)]
        _write_names(smaller, names, places, smaller.getbbox() or (0, 0, *size))
    return np.array(smaller.crop(smaller.getbbox()) if transparent else smaller)


def _write_names(
    shown: Any, names: Sequence[str], places: Float[np.ndarray, "muscle 2"], body: tuple[int, int, int, int]
) -> None:
    """Names at the nearer side of the body, in the order of their muscles' heights, with a line to each.

    **Arguments:** `body`: left, upper, right and lower end of what is drawn; names keep as near to it as there is room.
    """
    from PIL import ImageDraw, ImageFont

    width, height = shown.size
    points = max(11, height // 45)
    font, draw = ImageFont.load_default(points), ImageDraw.Draw(shown)
    seen = np.isfinite(places).all(axis=1)
    middle = np.median(places[seen, 0]) if seen.any() else width / 2
    longest = max((draw.textlength(_plain(n), font=font) for n in names), default=0.0)
    left = max(points, body[0] - 3 * points - longest)
    right_end = min(width - points, body[2] + 3 * points + longest)
    for right in (False, True):
        side = [int(k) for k in np.flatnonzero(seen) if (places[k, 0] >= middle) == right]
        side.sort(key=lambda k: places[k, 1])
        step = 1.35 * points
        heights = _apart(np.array([places[k, 1] for k in side]), step, height - step)
        for k, y in zip(side, heights, strict=True):
            text = _plain(names[k])
            long = draw.textlength(text, font=font)
            x = right_end - long if right else left
            end = x - points // 3 if right else x + long + points // 3
            draw.line([(end, y), tuple(places[k])], fill=(90, 90, 90, 255), width=max(1, points // 12))
            r = points // 6
            draw.ellipse([places[k][0] - r, places[k][1] - r, places[k][0] + r, places[k][1] + r], fill=INK)
            draw.text((x, y), text, fill=INK, font=font, anchor="lm", stroke_width=2, stroke_fill=(255, 255, 255, 220))


def _plain(name: str) -> str:
    """A muscle, by the name of its tendon."""
    return name.removesuffix("_tendon")


def _apart(wanted: Float[np.ndarray, "label"], step: float, last: float) -> Float[np.ndarray, "label"]:
    """Heights, in the order given, that are `step` apart at least and inside the picture."""
    found = wanted.copy()
    for k in range(len(found)):
        found[k] = max(found[k], step if k == 0 else found[k - 1] + step)
    over = found[-1] - last if len(found) else 0.0
    if over > 0:
        found[-1] = last
        for k in range(len(found) - 2, -1, -1):
            found[k] = min(found[k], found[k + 1] - step)
    return found
