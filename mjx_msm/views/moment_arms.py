"""A figure of a model: the muscles' moment arms over the range of every coordinate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mjx_msm.common.files import beside
from mjx_msm.person.inspection import moment_arm_curves
from mjx_msm.person.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CROSSES = 5e-4
"""Moment arm from which a muscle is drawn [m]."""
COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#bcbd22", "#17becf",
    "#0b3d66", "#a65000", "#115e11", "#7a1020", "#4b2a73",
)  # fmt: skip
NAMED = len(COLOURS)
"""Muscles that a panel names at most, those of the largest arms."""


def moment_arm_figure(model: Model) -> Figure:
    """A panel a coordinate, a line a muscle that crosses it."""
    from matplotlib.figure import Figure

    m = model.host.mj_model
    slides = {m.joint(j).name for j in range(m.njnt) if m.jnt_type[j] == 2}
    curves = moment_arm_curves(model)
    crossed = {c: v for c, v in curves.items() if np.abs(v[1]).max(initial=0.0) > CROSSES} or curves
    columns = min(3, len(crossed))
    rows = math.ceil(len(crossed) / columns)
    figure = Figure(figsize=(5.2 * columns, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, (coordinate, (values, arms)) in zip(axes, crossed.items(), strict=False):
        size = np.abs(arms).max(axis=0)
        drawn = [i for i in np.argsort(-size) if size[i] > CROSSES]
        for place, i in enumerate(drawn):
            colour = COLOURS[place % len(COLOURS)]
            named = {"label": model.muscles[i], "color": colour} if place < NAMED else {"color": "0.8", "zorder": 1}
            x = 1e3 * values if coordinate in slides else np.degrees(values)
            ax.plot(x, 1e3 * arms[:, i], lw=1.2, **named)
        ax.axhline(0, color="0.3", lw=0.6)
        ax.set_title(coordinate, fontsize=10, parse_math=False)
        ax.set_xlabel("mm" if coordinate in slides else "°")
        ax.set_ylabel("-" if coordinate in slides else "moment arm (mm)")
        if drawn:
            ax.legend(fontsize=6, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for ax in axes[len(crossed) :]:
        ax.set_visible(False)
    return figure


def save_moment_arms(model: Model, path: Path) -> Path:
    """Write the figure, whole or not at all."""
    with beside(path) as temporary:
        moment_arm_figure(model).savefig(temporary, dpi=130, format=path.suffix.lstrip(".") or "png")
        temporary.replace(path)
    return path
