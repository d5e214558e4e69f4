"""Frames to frames: curves below the picture, with a cursor at the moment it shows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mjx_msm.common.errors import InputError
from mjx_msm.views.canvas import Frame


def with_traces(
    frames: Iterable[Frame],
    time: ArrayLike,
    series: Mapping[str, ArrayLike],
    *,
    at: Iterable[float],
    ylabel: str = "",
    height: int | None = None,
) -> Iterator[Frame]:
    """The frames with curves below them and a cursor at the moment each frame shows.

    `series` are the curves by name, each (T,) over `time` (T,) [s]; the first is drawn in dark grey, as the
    reference. `at` gives each frame's time [s], as from `frame_times`. `height` is the panel's, in pixels
    (by default two fifths of the frame's).
    """
    times = np.asarray(time, float)
    curves = {name: np.asarray(values, float) for name, values in series.items()}
    for name, values in curves.items():
        if values.shape != times.shape or values.ndim != 1:
            raise InputError(f"series {name!r} has shape {values.shape}: time's is {times.shape}")
    if not curves:
        raise InputError("with_traces: series is empty; give at least one curve")
    return _trace_all(frames, times, curves, at, ylabel, height)


def _trace_all(
    frames: Iterable[Frame],
    times: NDArray[np.float64],
    curves: Mapping[str, NDArray[np.float64]],
    at: Iterable[float],
    ylabel: str,
    height: int | None,
) -> Iterator[Frame]:
    panel = None
    for frame, moment in zip(frames, at, strict=False):
        if panel is None:
            tall, width = frame.shape[:2]
            panel = _TracePanel((width, height or 2 * (tall // 5)), times, curves, ylabel)
        yield np.concatenate([frame, panel.draw(moment)])


class _TracePanel:
    """The plot is drawn once; only the cursor and its dots are drawn per frame."""

    def __init__(
        self,
        size: tuple[int, int],
        times: NDArray[np.float64],
        curves: Mapping[str, NDArray[np.float64]],
        ylabel: str,
    ):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        width, height = size
        dpi = 100 * max(0.4, min(width / 640, height / 190))  # the same layout at every size
        figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor="white", layout="constrained")
        self._canvas = FigureCanvasAgg(figure)
        self._axes = figure.add_subplot()
        colours = itertools.cycle(("#3a3a3a", "#d1495b", "#00798c", "#edae49", "#66a182", "#8d6a9f"))
        self._times, self._curves, self._dots = times, curves, []
        for (name, values), colour in zip(curves.items(), colours, strict=False):
            self._axes.plot(times, values, color=colour, label=name, linewidth=1.8)
            dot = self._axes.plot([], [], "o", color=colour, markersize=5, animated=True)[0]
            self._dots.append(dot)
        self._axes.set_xlim(times[0], times[-1] if len(times) > 1 else times[0] + 1)
        self._axes.set_xlabel("time [s]", fontsize=9)
        self._axes.set_title(ylabel, fontsize=9, loc="left", parse_math=False)
        self._axes.tick_params(labelsize=8)
        self._axes.grid(color="0.9")
        self._axes.spines[["top", "right"]].set_visible(False)
        legend = figure.legend(loc="outside upper right", ncols=4, fontsize=8, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)  # a name with two dollar signs is no formula
        self._cursor = self._axes.axvline(times[0], color="0.45", linewidth=1.2, animated=True)
        self._canvas.draw()
        figure.set_layout_engine("none")
        self._background = self._canvas.copy_from_bbox(figure.bbox)

    def draw(self, moment: float) -> Frame:
        self._canvas.restore_region(self._background)
        self._cursor.set_xdata([moment, moment])
        self._axes.draw_artist(self._cursor)
        for dot, values in zip(self._dots, self._curves.values(), strict=True):
            dot.set_data([moment], [np.interp(moment, self._times, values)])
            self._axes.draw_artist(dot)
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()
