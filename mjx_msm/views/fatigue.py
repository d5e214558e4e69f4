"""An estimate of fatigue as a figure: capacities over time, and what muscles do with them against what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mjx_msm.prediction.fatigue_estimate import FatigueEstimate
from mjx_msm.views.figures import AS_IT_IS, IDENTIFIED, RECORDED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"fatigued": IDENTIFIED, "not fatigued": "#00798c", "open": "0.55"}
SHOWN = 10.0
"""Of the moments, at the start and at the end [s]."""


def fatigue_figure(made: FatigueEstimate) -> Figure:
    """A row a muscle group: its capacity with its band, and in parts of the recording alone; then a row a joint."""
    from matplotlib.figure import Figure

    rows = len(made.groups) + len(made.free)
    figure = Figure(figsize=(10, 0.8 + 1.7 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 2)
    time = np.array(made.time)
    for k, g in enumerate(made.groups):
        ax: Any = figure.add_subplot(grid[k, :])
        value, low, high = (np.array([getattr(c, part) for c in g.capacity]) for part in ("value", "low", "high"))
        colour = COLOURS[g.verdict]
        ax.fill_between(time, low, high, color=colour, alpha=0.2, linewidth=0, label="95 % interval")
        ax.plot(time, value, color=colour, linewidth=1.6, label="by 3CC-r")
        ax.errorbar(
            made.blocks_time,
            g.blocks,
            1.96 * np.array(g.blocks_sd),
            fmt="o",
            color=RECORDED,
            markersize=3,
            linewidth=0.9,
            label="parts by themselves",
        )
        ax.set_ylim(0, 1.3)
        _titled(ax, f"capacity of {g.words}")
        ax.legend(fontsize=7, frameon=False, ncols=3, loc="lower left")
    unit = "N·m" if made.recorded else "rad/s²"
    at = made.instants
    ends = ((at <= at[0] + SHOWN, "first"), (at >= at[-1] - SHOWN, "last"))
    for k, coordinate in enumerate(made.free):
        for column, (rows_shown, name) in enumerate(ends):
            ax = figure.add_subplot(grid[len(made.groups) + k, column])
            ax.plot(
                at[rows_shown], made.demand[rows_shown, k], color=RECORDED, linewidth=2.2, alpha=0.45, label="asked"
            )
            ax.plot(at[rows_shown], made.explained[rows_shown, k], color=IDENTIFIED, linewidth=1.2, label="by muscles")
            _titled(ax, f"{coordinate}: {name} {SHOWN:g} s [{unit}], error {made.noise[k]:.3g}")
            if column == 0:
                ax.legend(fontsize=7, frameon=False, ncols=2)
            if k == len(made.free) - 1:
                ax.set_xlabel("time [s]", fontsize=9)
    figure.suptitle(f"{made.subject or 'subject'}: {made.trial}, fatigue", fontsize=10, x=0.01, ha="left", **AS_IT_IS)
    return figure


def _titled(ax: Any, text: str) -> None:
    ax.set_title(text, fontsize=9, loc="left", color="0.25", **AS_IT_IS)
    ax.tick_params(labelsize=8)
    ax.grid(color="0.92")
    ax.spines[["top", "right"]].set_visible(False)
