"""What is drawn of trials: measured and predicted signals, over the cycle where it repeats itself, and over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mjx_msm.common.runs import runs
from mjx_msm.knowledge.records import Unseen
from mjx_msm.recordings.cycles import LEAST, by_cycle
from mjx_msm.views.figures import GENERIC, IDENTIFIED, RECORDED
from mjx_msm.views.replay import Replay, cycles_of
from mjx_msm.views.report.charts import laid_out, short
from mjx_msm.views.report.directions import toward

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FAINT = {RECORDED: "rgba(58, 58, 58, 0.16)", IDENTIFIED: "rgba(200, 55, 77, 0.18)"}
"""Colours of what is about a curve."""
LONGEST = 3000
"""Samples of a curve that are drawn; of a longer one, every second, third, …"""
SHOWN, CYCLES = 10.0, 4
"""Of a longer trial, how much is in the window at first: seconds, or cycles of one that repeats itself."""
WILD = 1.0
"""Of the range of what was measured and predicted, by how much more an axis shows of a generic model either way."""
LEFT = 90
"""Room for names of muscles, and for numbers and signs [pixels]."""
PERCENT = np.linspace(0.0, 100.0, 101)
_STYLES = {
    "measured": {"color": RECORDED, "width": 3},
    "generic": {"color": GENERIC, "width": 1.3, "dash": "dash"},
    "identified": {"color": IDENTIFIED, "width": 1.6},
    "predicted": {"color": IDENTIFIED, "width": 1.6},
}
"""By what a curve is called: "identified" saw the trial that it is drawn in, "predicted" did not."""


@dataclass(frozen=True)
class _Signal:
    """One signal of one trial."""

    title: str
    time: Float[np.ndarray, "time"]
    """[s]."""
    curves: Mapping[str, Float[np.ndarray, "time"]]
    """By the names of `_STYLES`; "measured" is among them."""
    count: Float[np.ndarray, "time"] | None
    """Cycles that have passed; None where nothing repeats itself."""
    cycle: str = ""
    """From where to where one goes, in words."""
    band: tuple[Float[np.ndarray, "time"], Float[np.ndarray, "time"]] | None = None
    held: str = ""
    """What the band holds, in words."""
    sign: str = ""
    """Where what is positive goes: "flexion"."""

    @property
    def drawn(self) -> Mapping[str, Float[np.ndarray, "time"]]:
        """Curves, and the ends of the band, that an axis is to show."""
        return {**self.curves, **dict(zip(("lower end", "upper end"), self.band or (), strict=False))}

    def over_cycle(self) -> Iterator[tuple[str, Figure]]:
        """With its title, the mean cycle where there are some."""
        each = {} if self.count is None else {name: by_cycle(self.count, x) for name, x in self.curves.items()}
        cycles = min((int(np.isfinite(x).any(axis=1).sum()) for x in each.values()), default=0)
        if cycles >= LEAST:
            figure, beyond = _over_cycle(each, self.cycle)
            yield f"{self.title}, mean of {cycles} cycles ± standard deviation{beyond}", _signed(figure, self.sign)

    def over_time(self) -> Iterator[tuple[str, Figure]]:
        """With its title, the course over time."""
        long, shown = self.time[-1] - self.time[0], SHOWN
        if self.count is not None:
            shown = CYCLES * long / max(self.count[-1] - self.count[0], 1.0)
        part = ""
        if long > 1.5 * shown:
            part = f"; the first {shown:.2g} of {long:.3g} s, the rest by the slider below"
        figure = _signed(_over_time(self, shown if part else None), self.sign)
        yield f"{self.title} over time{self.held}{part}{_beyond(self.drawn)}", figure


def trial_charts(trial: Replay, *, unseen: bool = False) -> Iterator[tuple[str, Figure]]:
    """A title and a chart for every free coordinate and kind of signal that was simulated, and one of activations: mean
    cycles first, with activations on the same axis below them, then courses over time.

    **Arguments:** `unseen`: whether the person was identified without the trial.
    """
    signals = list(_signals(trial, unseen=unseen))
    for signal in signals:
        yield from signal.over_cycle()
    if cycles_of(trial) is not None:
        yield activation_chart(trial)
    for signal in signals:
        yield from signal.over_time()
    if cycles_of(trial) is None:
        yield activation_chart(trial)


def _signals(trial: Replay, *, unseen: bool) -> Iterator[_Signal]:
    count, cycle = cycles_of(trial), _cycle(trial)
    names = {"identified": "predicted"} if unseen else {}
    for k, coordinate in enumerate(trial.free):
        recorded = trial.position[:, trial.coordinates.index(coordinate)]
        sign = toward(coordinate, recorded)
        if trial.simulated:
            curves = {"measured": recorded} | {names.get(v, v): x[:, k] for v, x in trial.simulated.items()}
            degrees = {name: np.degrees(x) for name, x in curves.items()}
            yield _Signal(f"{coordinate} [°]", trial.time, degrees, count, cycle, sign=sign)
        if trial.moment is not None and np.isfinite(trial.moment[:, k]).any():
            made = {names.get(v, v): x[:, k] for v, x in (trial.predicted or {}).items()}
            band, held = None, ""
            if trial.band is not None:
                band, held = (trial.band[0][:, k], trial.band[1][:, k]), _held(trial.band_holds(k))
            curves = {"measured": trial.moment[:, k], **made}
            yield _Signal(f"moment of {coordinate} [N·m]", trial.time, curves, count, cycle, band, held, sign)


def unseen_charts(moments: Sequence[Unseen], trial: Replay | None) -> Iterator[tuple[str, Figure]]:
    """What people who were identified without them predict of a trial's moments.

    **Arguments:** `moments`: of one trial, a coordinate each; `trial`: the same as recorded, where it is known.
    """
    count = None if trial is None else cycles_of(trial)
    for u in moments:
        time, *curves, low, high = with_gaps(*(np.array(x) for x in (u.time, u.recorded, u.predicted, u.low, u.high)))
        own, cycle, sign = None, "", ""
        if trial is not None:
            own = None if count is None else np.interp(time, trial.time, count)
            cycle, sign = _cycle(trial), toward(u.coordinate, trial.position[:, trial.coordinates.index(u.coordinate)])
        signal = _Signal(
            f"moment of {u.coordinate} [N·m]", time, dict(zip(("measured", "predicted"), curves, strict=True)), own,
            cycle, (low, high), _held(u.holds), sign,
        )  # fmt: skip
        yield from signal.over_cycle()
        yield from signal.over_time()


def with_gaps(
    time: Float[np.ndarray, "sample"], *signals: Float[np.ndarray, "sample"]
) -> tuple[Float[np.ndarray, "time"], ...]:
    """Signals that are NaN where samples are left out: nothing is to be drawn across."""
    step = np.diff(time)
    usual = np.median(step) if len(step) else 0.0
    after = np.flatnonzero(step > 1.5 * usual) + 1
    at = np.repeat(after, 2)
    ends = np.column_stack([time[after - 1] + 1e-3 * usual, time[after] - 1e-3 * usual])
    return np.insert(time, at, ends.ravel()), *(np.insert(x, at, np.nan) for x in signals)


def outlines(
    time: Float[np.ndarray, "sample"], low: Float[np.ndarray, "sample"], high: Float[np.ndarray, "sample"]
) -> tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"]]:
    """A band as a line about each of its pieces, with NaN between them: what is filled between two curves would be so
    across their gaps, too."""
    x, y = [np.zeros(0)], [np.zeros(0)]
    for start, stop in zip(*runs(np.isfinite(low) & np.isfinite(high)), strict=True):
        piece = slice(start, stop)
        x += [time[piece], time[piece][::-1], np.array([np.nan])]
        y += [low[piece], high[piece][::-1], np.array([np.nan])]
    return np.concatenate(x), np.concatenate(y)


def activation_chart(trial: Replay) -> tuple[str, Figure]:
    """Activations of all muscles, in the model's order: of the mean cycle, or over time."""
    import plotly.graph_objects as go

    count, muscles = cycles_of(trial), list(trial.muscles)
    if count is None:
        value = np.stack([_thinned(x) for x in trial.activation.T])
        title, x, time = "", "time [s]", _thinned(trial.time)
    else:
        value = np.stack([by_cycle(count, x).mean(axis=0) for x in trial.activation.T])
        title, x, time = ", mean cycle", _cycle(trial), PERCENT
    heat = go.Heatmap(
        z=short(value), x=short(time), y=muscles, zmin=0, zmax=1, colorscale="Reds",
        colorbar={
            "orientation": "h", "thickness": 8, "len": 0.35, "x": 1.0, "xanchor": "right", "y": 1.0,
            "yanchor": "bottom", "tickvals": [0, 0.5, 1],
        },
    )  # fmt: skip
    figure = laid_out(go.Figure(heat), height=100 + 18 * len(muscles), x=x)
    figure.update_yaxes(autorange="reversed", dtick=1)
    figure.update_xaxes(range=[float(time[0]), float(time[-1])])
    return f"activation of every muscle{title}", _signed(figure, "")


def _signed(figure: Figure, sign: str) -> Figure:
    """With where what is positive goes beside its axis, and as much room for that as in every other chart of a trial,
    so that times stand one above the other."""
    figure.update_layout(margin_l=LEFT)
    figure.update_yaxes(automargin=False)
    if sign:
        figure.update_yaxes(title={"text": f"+ {sign}", "standoff": 4})
    return figure


def _cycle(trial: Replay) -> str:
    """From where to where a cycle goes."""
    first = trial.free[0]
    bends = toward(first, trial.position[:, trial.coordinates.index(first)]) == "flexion" and "knee" in first
    return f"% of the cycle (0 % = greatest {first}{': of a stride, mid-swing' if bends else ''})"


def _held(part: float) -> str:
    return f", the band of 95 % holds {100 * part:.0f} % of what was measured"


def _over_cycle(each: Mapping[str, Float[np.ndarray, "cycle point"]], x: str) -> tuple[Figure, str]:
    """Mean cycles, and what to say of those that the axis does not show."""
    import plotly.graph_objects as go

    figure, ends = go.Figure(), {}
    for name, values in each.items():
        known = np.isfinite(values)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known.any(axis=0), np.where(known, values, 0.0).sum(axis=0) / count, np.nan)
        sd = np.sqrt(np.where(known, np.square(values - mean), 0.0).sum(axis=0) / count)
        colour = _STYLES[name]["color"]
        ends[name] = mean if name == "generic" else np.concatenate([mean - sd, mean + sd])
        if name != "generic":
            # lines about what is predicted: a shade of its colour is the 95 % band
            shaded = name == "measured"
            for end, last in ((mean - sd, False), (mean + sd, True)):
                figure.add_trace(
                    go.Scatter(
                        x=short(PERCENT), y=short(end), mode="lines", name=f"{name} ± sd", legendgroup=f"{name} ± sd",
                        line={"width": 0} if shaded else {"color": colour, "width": 1, "dash": "dot"},
                        fill="tonexty" if shaded and last else None, fillcolor=FAINT.get(colour), showlegend=last,
                        hoverinfo="skip",
                    )
                )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=short(PERCENT), y=short(mean), name=name, legendgroup=name, line=_STYLES[name],
                opacity=0.6 if name == "measured" else 1.0,
            )
        )  # fmt: skip
    figure.update_yaxes(range=_range(ends))
    figure.update_xaxes(range=[0.0, 100.0])
    return laid_out(figure, height=280, x=x), _beyond(ends)


def _over_time(signal: _Signal, shown: float | None) -> Figure:
    """The course of a signal; `shown`: seconds that are in the window at first, None: all."""
    import plotly.graph_objects as go

    figure, time = go.Figure(), _thinned(signal.time)
    if signal.band is not None:
        around, ends = outlines(time, *map(_thinned, signal.band))
        figure.add_trace(
            go.Scatter(
                x=short(around), y=short(ends), name="95 % band", mode="lines", line={"width": 0}, fill="toself",
                fillcolor=FAINT[IDENTIFIED], hoverinfo="skip",
            )
        )  # fmt: skip
    for name, values in signal.curves.items():
        figure.add_trace(
            go.Scatter(
                x=short(time), y=short(_thinned(values)), name=name, line=_STYLES[name],
                opacity=0.5 if name == "measured" else 1.0,
            )
        )  # fmt: skip
    figure.update_yaxes(range=_range(signal.drawn))
    if shown is not None:
        begin = float(time[0])
        figure.update_xaxes(range=[begin, begin + shown], rangeslider={"visible": True, "thickness": 0.14})
    drawn = laid_out(figure, height=260 if shown is None else 340, x="time [s]")
    if shown is not None:
        drawn.update_layout(margin_b=40)  # below the slider
    return drawn


def _range(curves: Mapping[str, np.ndarray]) -> list[float]:
    """Of an axis: all of the curves, of the generic model and of a band as far as they do not flatten what was measured
    and predicted."""
    low, high = _ends([x for name, x in curves.items() if name in ("measured", "identified", "predicted")])
    size = max(high - low, 1e-9)
    least, most = _ends(list(curves.values()))
    low, high = max(least, low - WILD * size), min(most, high + WILD * size)
    margin = 0.1 * max(high - low, 1e-9)
    return [low - margin, high + margin]


def _ends(curves: Sequence[np.ndarray]) -> tuple[float, float]:
    every = np.concatenate(curves)
    return float(np.nanmin(every)), float(np.nanmax(every))


def _beyond(curves: Mapping[str, np.ndarray]) -> str:
    """What to say where the axis does not show all of the generic model, or of the band."""
    (low, high), cut = _range(curves), []
    for what, names in (("the generic model", ("generic",)), ("the band", ("lower end", "upper end"))):
        own = [curves[name] for name in names if name in curves]
        least, most = _ends(own) if own else (low, high)
        if least < low or most > high:
            cut.append(what)
    return f"; {' and '.join(cut)} {'go' if len(cut) > 1 else 'goes'} on beyond the axis" if cut else ""


def _thinned(values: Float[np.ndarray, "time"]) -> Float[np.ndarray, "drawn"]:
    """As many samples as are drawn; one that a gap is next to is of the gap, which must not be drawn across."""
    every = max(1, math.ceil(len(values) / LONGEST))
    padded = np.pad(values, (0, -len(values) % every), mode="edge").reshape(-1, every)
    return np.where(np.isnan(padded).any(axis=1), np.nan, padded[:, 0])
