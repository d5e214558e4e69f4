"""A trial of a result folder as a film: measured beside simulated, curves below."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.person.couplings import independent
from mjx_msm.views.canvas import Frame
from mjx_msm.views.captions import captioned
from mjx_msm.views.frames import frame_times, render_frames
from mjx_msm.views.replay import Replay, bridged
from mjx_msm.views.traces import with_traces

USUAL = "sagittal"
"""The camera of the bundled models."""


def scene_of(folder: Path, trial: Replay) -> mujoco.MjModel:
    """The person's model, which a trial of the folder fits.

    **Raises:** `InputError` if it cannot be loaded, or does not fit.
    """
    path = folder / "model.xml"
    try:
        scene = mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        raise InputError(f"{path}: cannot be loaded ({str(error).splitlines()[0]}); identify again") from None
    if len(independent(scene)) != len(trial.coordinates):
        raise InputError(f"{path}: does not fit trials/{trial.name}.csv; identify again")
    return scene


def trial_frames(
    folder: Path, trial: Replay, *, size: tuple[int, int], fps: float, speed: float = 1.0, camera: str | None = None
) -> Iterator[Frame]:
    """Frames of a trial of the result folder `folder`.

    **Arguments:** `size`: of the scene [pixels]; `fps`: frames a second; `speed`: 0.5 is slow motion; `camera`: of the
    model; by default "sagittal", or the whole of a model that has none.

    **Raises:** `InputError` if the folder's model cannot be loaded or does not fit the trial, or has no such camera.
    """
    scene = scene_of(folder, trial)
    measured = trial.pose()
    if trial.simulated:
        pose, ghost = trial.pose("identified"), measured
        text = f"{trial.name}: simulated; measured translucent"
    else:
        pose, ghost = bridged(measured), None
        text = f"{trial.name}: measured motion, identified activation"
    frames = render_frames(
        scene, trial.time, pose, trial.activation, size=size, fps=fps, speed=speed, ghost=ghost,
        camera=camera or (USUAL if USUAL in [scene.camera(i).name for i in range(scene.ncam)] else None),
    )  # fmt: skip
    frames = captioned(frames, text)
    at = frame_times(trial.time, fps, speed)
    for k, name in enumerate(trial.free):
        if trial.simulated:
            series = {"measured": measured[:, trial.coordinates.index(name)]}
            series["simulated"] = trial.simulated["identified"][:, k]
            series = {v: np.rad2deg(x) for v, x in series.items()}
            label = f"{name} [°]"
        elif trial.moment is not None and trial.predicted is not None:
            series = {"measured": trial.moment[:, k], "simulated": trial.predicted["identified"][:, k]}
            label = f"moment of {name} [N·m]"
        else:
            continue
        panel = size[1] // (3 if len(trial.free) == 1 else 4)
        frames = with_traces(frames, trial.time, series, at=at, ylabel=label, height=max(panel, 40))
    return frames
