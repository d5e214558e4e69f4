"""A prediction as a figure and as a film whose muscles are coloured by their force."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from mjx_msm.prediction.prediction import Curves, Prediction
from mjx_msm.views.captions import captioned
from mjx_msm.views.figures import AS_IT_IS, IDENTIFIED, RECORDED
from mjx_msm.views.frames import frame_times, render_frames
from mjx_msm.views.traces import with_traces
from mjx_msm.views.video import video

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 3.0
"""Of a recording, from the start on [s]: more would be a smear."""
STRONGEST = 6
"""Muscles drawn by name, those that pull most."""


def prediction_figure(made: Prediction) -> Figure:
    """Moment with its band and the recorded one, forces, activation, contact force, power: the first seconds."""
    from matplotlib.figure import Figure

    shown = made.time <= made.time[0] + SHOWN
    t, rows = made.time[shown], len(made.free)
    figure = Figure(figsize=(10.5, 2.3 * rows + 6.6), layout="constrained")
    grid = figure.add_gridspec(rows + 2, 2, height_ratios=[1.0] * rows + [1.1, 0.9])
    for k, coordinate in enumerate(made.free):
        ax: Any = figure.add_subplot(grid[k, :])
        _banded(ax, t, made["moment"], k, shown, IDENTIFIED, "predicted; band: parameters and noise")
        if made.recorded_moment is not None:
            ax.plot(t, made.recorded_moment[shown, k], color=RECORDED, linewidth=2.4, alpha=0.45, label="recorded")
        fit = next((f for f in made.fits if f.coordinate == coordinate), None)
        beside = "".join(f"; {name} {error:.3g}" for name, error in (fit.beside if fit else {}).items())
        said = f", RMSE {fit.identified:.3g} N·m{beside}; band holds {100 * made.held(coordinate):.0f} %" if fit else ""
        _titled(ax, f"moment of {coordinate} [N·m]{said}")
        ax.legend(fontsize=8, frameon=False, loc="upper right", ncols=2)
    force = made["tendon_force"]
    order = np.argsort(-force.value.max(axis=0))[:STRONGEST]
    left, right = figure.add_subplot(grid[rows, 0]), figure.add_subplot(grid[rows, 1])
    for n, m in enumerate(order):
        known = np.any(force.low[:, m] < force.high[:, m])  # a muscle of which nothing was estimated has no band
        _banded(left, t, force, m, shown, f"C{n}", made.muscles[m] + ("" if known else ", not estimated"))
        _banded(right, t, made["activation"], m, shown, f"C{n}", made.muscles[m])
    _titled(left, "tendon force [N]")
    _titled(right, "activation")
    left.legend(fontsize=7, frameon=False, ncols=2)
    left, right = figure.add_subplot(grid[rows + 1, 0]), figure.add_subplot(grid[rows + 1, 1])
    contact = made["contact_force"]
    for k, coordinate in enumerate(made.free):
        columns = [i for i, name in enumerate(contact.names) if name.startswith(f"{coordinate}/")]
        size = np.linalg.norm(contact.value[:, columns], axis=1)[shown]
        left.plot(t, size, color=f"C{k}", linewidth=1.4, label=coordinate)
    _titled(left, "contact force without the ground's [N]")
    left.legend(fontsize=7, frameon=False)
    _banded(right, t, made["metabolic_power"], len(made.muscles), shown, IDENTIFIED, "all muscles")
    _titled(right, "metabolic power [W]")
    for ax in (left, right):
        ax.set_xlabel("time [s]", fontsize=9)
    first = f", first {SHOWN:g} s" if not shown.all() else ""
    figure.suptitle(
        f"{made.subject or 'subject'}: {made.trial}, predicted{first}", fontsize=10, x=0.01, ha="left", **AS_IT_IS
    )
    return figure


def _banded(ax: Any, t: np.ndarray, curves: Curves, k: int, rows: np.ndarray, colour: str, label: str) -> None:
    ax.fill_between(t, curves.low[rows, k], curves.high[rows, k], color=colour, alpha=0.18, linewidth=0)
    ax.plot(t, curves.value[rows, k], color=colour, linewidth=1.4, label=label)


def _titled(ax: Any, text: str) -> None:
    ax.set_title(text, fontsize=9, loc="left", color="0.25", **AS_IT_IS)
    ax.tick_params(labelsize=8)
    ax.grid(color="0.92")
    ax.spines[["top", "right"]].set_visible(False)


def film_prediction(
    scene: mujoco.MjModel,
    made: Prediction,
    out: str | Path,
    *,
    seconds: float = SHOWN,
    size: tuple[int, int] = (640, 480),
    fps: float = 30.0,
) -> None:
    """Write the first seconds as a video: the recorded motion, muscles from blue (slack) to red (half of F0 or more).

    **Arguments:** `scene`: the person's model, its muscles and coordinates in the prediction's order.
    """
    rows = made.time <= made.time[0] + seconds
    time, pose = made.time[rows], made.position[rows]
    level = np.clip(2.0 * made["tendon_force"].value[rows] / made.strength, 0.0, 1.0)
    camera = "sagittal" if "sagittal" in [scene.camera(i).name for i in range(scene.ncam)] else None
    frames = render_frames(scene, time, pose, level, size=size, fps=fps, camera=camera)
    frames = captioned(frames, f"{made.trial}: muscles coloured by force, red from F0/2")
    at = frame_times(time, fps)
    for k, coordinate in enumerate(made.free):
        series = {"predicted": made["moment"].value[rows, k]}
        if made.recorded_moment is not None:
            series = {"recorded": made.recorded_moment[rows, k], **series}
        height = max(size[1] // (3 if len(made.free) == 1 else 4), 40)
        frames = with_traces(frames, time, series, at=at, ylabel=f"moment of {coordinate} [N·m]", height=height)
    video(out, frames, fps)
