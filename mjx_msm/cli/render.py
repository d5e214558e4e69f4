"""`mjx-msm render`: a trial of a result folder as a video."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from mjx_msm.cli.console import make_console, notes_on
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.common.errors import InputError


def render(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Folder written by `mjx-msm identify`; several are shown side by side.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Video, .mp4 or .gif.", show_default=False)],
    trial: Annotated[str | None, typer.Option(help="Which trial; the first one by default.")] = None,
    size: Annotated[str, typer.Option(help="Width x height of the scene, in pixels.")] = "640x480",
    fps: Annotated[float, typer.Option(min=1, max=240, help="Frames per second.")] = 30.0,
    speed: Annotated[float, typer.Option(min=0.01, max=10, help="0.5 is slow motion.")] = 1.0,
    camera: Annotated[
        str | None,
        typer.Option(help="Of the model, e.g. oblique; default: sagittal, or the whole.", show_default=False),
    ] = None,
    largest: Annotated[
        float | None, typer.Option(min=0.01, help="Of a GIF: made smaller until it keeps to so many MB.")
    ] = None,
) -> None:
    """Video of a trial: measured (translucent) and simulated motion, or the joint moment under the recorded motion.

    Example: mjx-msm render runs/anna --out anna.mp4
    """
    console = make_console()
    pixels = _size(size)
    prepare_jax()
    from mjx_msm.study.result_folder import load_result
    from mjx_msm.views.captions import captioned, side_by_side
    from mjx_msm.views.trial_film import trial_frames
    from mjx_msm.views.video import video

    shown, names = [], []
    for folder in folders:
        _, trials = load_result(folder)
        chosen = next((t for t in trials if trial in (None, t.name)), None)
        if chosen is None:
            raise InputError(f"--trial '{trial}': {folder} has {', '.join(t.name for t in trials)}")
        names.append(chosen.name)
        shown.append(trial_frames(folder, chosen, size=pixels, fps=fps, speed=speed, camera=camera))
    if len(folders) > 1:
        shown = [captioned(frames, folder.name, line=1) for frames, folder in zip(shown, folders, strict=True)]
    most = None if largest is None else round(1e6 * largest)
    with notes_on(console):
        video(out, functools.reduce(side_by_side, shown), fps, largest=most)
    console.print(f"{out}: trial {', '.join(dict.fromkeys(names))}", markup=False)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError(f"--size '{text}': write width x height in pixels, e.g. 640x480")
    return int(width), int(height)
