"""`mjx-msm render`: a trial of a result folder as a video."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mjx_msm.cli.console import make_console, notes_on
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.common.errors import InputError

if TYPE_CHECKING:
    from mjx_msm.views.replay import Replay


def render(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Folder written by `mjx-msm identify`; several are shown side by side.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Video, .mp4 or .gif; or a picture, .png.", show_default=False)],
    trial: Annotated[str | None, typer.Option(help="Which trial; the first one by default.")] = None,
    size: Annotated[str, typer.Option(help="Width x height of the scene, in pixels.")] = "640x480",
    fps: Annotated[
        float | None, typer.Option(min=1, max=240, help="Of a video: frames per second; default: 30.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.01, max=10, help="Of a video: 0.5 is slow motion; default: 1.")
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(
            help="Of the model, e.g. oblique; or front, back, left, right, top, follow; default: sagittal.",
            show_default=False,
        ),
    ] = None,
    largest: Annotated[
        float | None, typer.Option(min=0.01, help="Of a GIF: made smaller until it keeps to so many MB.")
    ] = None,
    at: Annotated[float | None, typer.Option(help="Of a picture: when (s); default: the middle of the trial.")] = None,
    transparent: Annotated[bool, typer.Option("--transparent", help="Of a picture: without floor and sky.")] = False,
) -> None:
    """Video of a trial: measured (translucent) and simulated motion, or the joint moment under the recorded motion.

    With a .png, one moment of it as a picture, muscles labelled and coloured by activation.

    Example: mjx-msm render runs/anna --out anna.mp4
    """
    console = make_console()
    pixels = _size(size)
    prepare_jax()
    from mjx_msm.study.result_folder import load_result
    from mjx_msm.views.captions import captioned, side_by_side
    from mjx_msm.views.trial_film import trial_frames
    from mjx_msm.views.video import video

    if out.suffix.lower() == ".png":
        if any(given is not None for given in (fps, speed, largest)):
            raise InputError(f"{out}: --fps, --speed and --largest are of a video, .mp4 or .gif")
        _picture(folders, out, trial, pixels, camera, at, transparent)
        console.print(f"{out}", markup=False)
        return
    if at is not None or transparent:
        raise InputError(f"{out}: --at and --transparent are of a picture, .png")
    fps, speed = fps or 30.0, speed or 1.0
    shown, names = [], []
    for folder in folders:
        _, trials = load_result(folder)
        chosen = _chosen(trials, trial, folder)
        names.append(chosen.name)
        shown.append(trial_frames(folder, chosen, size=pixels, fps=fps, speed=speed, camera=camera))
    if len(folders) > 1:
        shown = [captioned(frames, folder.name, line=1) for frames, folder in zip(shown, folders, strict=True)]
    most = None if largest is None else round(1e6 * largest)
    with notes_on(console):
        video(out, functools.reduce(side_by_side, shown), fps, largest=most)
    console.print(f"{out}: trial {', '.join(dict.fromkeys(names))}", markup=False)


def _chosen(trials: Sequence[Replay], wanted: str | None, folder: Path) -> Replay:
    found = next((t for t in trials if wanted in (None, t.name)), None)
    if found is None:
        raise InputError(f"--trial '{wanted}': {folder} has {', '.join(t.name for t in trials)}")
    return found


def _picture(
    folders: Sequence[Path],
    out: Path,
    trial: str | None,
    size: tuple[int, int],
    camera: str | None,
    at: float | None,
    transparent: bool,
) -> None:
    from mjx_msm.person.couplings import whole_position
    from mjx_msm.study.result_folder import load_result
    from mjx_msm.views.picture import picture
    from mjx_msm.views.replay import bridged
    from mjx_msm.views.trial_film import USUAL, scene_of

    if len(folders) > 1:
        raise InputError(f"{out}: a picture is of one person; give one folder")
    _, trials = load_result(folders[0])
    chosen = _chosen(trials, trial, folders[0])
    scene, time = scene_of(folders[0], chosen), chosen.time
    moment = 0.5 * (time[0] + time[-1]) if at is None else at
    if not time[0] <= moment <= time[-1]:
        raise InputError(f"--at {moment:g}: trial '{chosen.name}' is from {time[0]:g} to {time[-1]:g} s")
    row = int(abs(time - moment).argmin())
    usual = USUAL if USUAL in [scene.camera(i).name for i in range(scene.ncam)] else None
    pose = whole_position(scene, bridged(chosen.pose("identified" if chosen.simulated else None))[row])
    picture(out, scene, pose, chosen.activation[row], camera=camera or usual, size=size, transparent=transparent)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError(f"--size '{text}': write width x height in pixels, e.g. 640x480")
    return int(width), int(height)
