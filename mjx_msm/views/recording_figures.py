"""Recordings drawn as they are: a row for every kind of signal in a file, EMG a row each with what is wrong in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import beside
from mjx_msm.recordings.quality.emg_quality import channel_quality
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.files import UNJUDGED, Clock, Survey
from mjx_msm.views.figures import AS_IT_IS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOGETHER = ("angle", "moment", "force", "angular velocity", "position")
"""Kinds of which all columns of a file share a row."""
MOST_EMG, MOST_LINES, MOST_POINTS = 16, 12, 4000
"""Rows of EMG, lines in a shared row, and points of a line that are drawn."""
GOOD, BAD = "#1f5f8b", "#c0392b"


def recordings_figure(found: Sequence[Survey]) -> Figure:
    """All files, one below the other."""
    from matplotlib.figure import Figure

    rows: list[tuple[Survey, Clock, str, list[Seen]]] = []
    for one in found:
        for clock in one.clocks:
            for kind in TOGETHER:
                own = [c for c in clock.columns if c.kind == kind]
                known = [c for c in own if c.called.coordinate] or own
                if own:
                    rows.append((one, clock, kind, known[:MOST_LINES]))
            emg = [c for c in clock.columns if c.kind in ("raw EMG", "EMG envelope", UNJUDGED)]
            rows += [(one, clock, c.kind, [c]) for c in emg[:MOST_EMG]]
    if not rows:
        raise InputError(
            f"{', '.join(str(s.path) for s in found)}: nothing to draw; see what they hold without --picture"
        )
    heights = [2.0 if kind in TOGETHER else 0.9 for _, _, kind, _ in rows]
    figure = Figure(figsize=(10, 0.6 + sum(heights)), layout="constrained")
    axes: Any = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    last = None
    for ax, (one, clock, kind, columns) in zip(axes, rows, strict=True):
        if kind in TOGETHER:
            _shared(ax, clock, kind, columns)
        else:
            _emg(ax, clock, columns[0])
        if one is not last:
            ax.set_title(one.path.name, fontsize=9, loc="left", fontweight="bold", **AS_IT_IS)
            last = one
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
        ax.margins(x=0)
    axes[-1].set_xlabel("row" if rows[-1][0].untimed else "time [s]", fontsize=8)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all; its name says as what.

    **Raises:** `InputError` if it cannot be written.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "pdf", "svg"):
        raise InputError(f"{path}: pictures are .png, .pdf or .svg; give such a name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=110)
            temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror}); choose another folder") from error


def _shared(ax: Any, clock: Clock, kind: str, columns: Sequence[Seen]) -> None:
    for c in columns:
        t, x = _thinned(clock.table.time, _values(clock, c))
        ax.plot(t, x, linewidth=0.9, label=_end(c.name, 40))
    units = sorted({c.unit for c in columns if c.unit})
    ax.set_ylabel(f"{kind}{' [' + ', '.join(units) + ']' if units else ''}", fontsize=8, **AS_IT_IS)
    legend = ax.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _emg(ax: Any, clock: Clock, c: Seen) -> None:
    x = _values(clock, c)
    if c.kind == UNJUDGED:
        ax.plot(*_thinned(clock.table.time, x), linewidth=0.5, color="0.4")
        ax.set_ylabel(_end(c.name, 26), fontsize=6, rotation=0, ha="right", **AS_IT_IS)
        return
    q = channel_quality(c.name, x, clock.table.rate, raw=c.kind == "raw EMG")
    t, y = _thinned(clock.table.time, x)
    ax.plot(t, y, linewidth=0.5, color=GOOD)
    if q.masked is not None and q.masked.any():
        ax.plot(clock.table.time[q.masked], x[q.masked], ".", markersize=2.5, color=BAD)
    if q.peak > 0 and np.isfinite(q.peak):  # one spike must not flatten the rest
        centre = float(np.nanmedian(x)) if q.raw else 0.0
        ax.set_ylim(centre - 1.3 * q.peak if q.raw else -0.05 * q.peak, centre + 1.3 * q.peak)
    ax.set_ylabel(_end(c.name, 26), fontsize=6, rotation=0, ha="right", **AS_IT_IS)
    colour = BAD if q.faults else "0.35"
    ax.text(0.005, 0.97, q.line[:150], transform=ax.transAxes, fontsize=6, va="top", color=colour, **AS_IT_IS)


def _end(name: str, most: int) -> str:
    """A name, or the end of a long one: that is where names differ."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _values(clock: Clock, c: Seen) -> np.ndarray:
    return clock.table.values[:, [id(k) for k in clock.columns].index(id(c))]


def _thinned(t: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `MOST_POINTS` points that keep every extreme: the least and greatest of each stretch."""
    if len(x) <= MOST_POINTS:
        return t, x
    width = -(-len(x) // (MOST_POINTS // 2))
    count = len(x) // width
    parts = np.where(np.isfinite(x[: count * width]), x[: count * width], np.nan).reshape(count, width)
    filled = np.where(np.isfinite(parts), parts, 0.0)
    low = np.where(np.isfinite(parts).any(1), filled.min(1), np.nan)
    high = np.where(np.isfinite(parts).any(1), filled.max(1), np.nan)
    return np.repeat(t[: count * width : width], 2), np.stack([low, high], 1).ravel()
