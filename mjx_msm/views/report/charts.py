"""What is drawn in a report: trials over time, parameters with their intervals, and how parameters move together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mjx_msm.knowledge.records import Estimate, Unknown
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.person.kinds import kind_of
from mjx_msm.views.figures import GENERIC, IDENTIFIED, RECORDED
from mjx_msm.views.replay import Replay

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PRIOR = "#b9c6d2"
BAND = "rgba(200, 55, 77, 0.18)"
"""`IDENTIFIED`, faint."""
LONGEST = 3000
"""Samples of a curve that are drawn; of a longer one, every second, third, …"""
ABOVE = 56
"""Room above a chart: for its legend, and over that for the browser's tools [pixels]."""
MOST_CORRELATED = 40
"""Parameters in the picture of their correlations."""


def trial_charts(trial: Replay) -> Iterator[tuple[str, Figure]]:
    """A title and a chart for every free coordinate and kind of signal that was simulated."""
    for k, coordinate in enumerate(trial.free):
        if trial.simulated:
            recorded = trial.position[:, trial.coordinates.index(coordinate)]
            curves = {"recorded": recorded} | {v: x[:, k] for v, x in trial.simulated.items()}
            degrees = {name: np.degrees(x) for name, x in curves.items()}
            yield f"{coordinate} [°]", _over_time(trial.time, degrees)
        if trial.moment is not None and np.isfinite(trial.moment[:, k]).any():
            curves = {"recorded": trial.moment[:, k]} | {v: x[:, k] for v, x in (trial.predicted or {}).items()}
            title, band = f"moment of {coordinate} [N·m]", None
            if trial.band is not None:
                band = trial.band[0][:, k], trial.band[1][:, k]
                title += f", the band of 95 % holds {100 * trial.band_holds(k):.0f} % of what was recorded"
            yield title, _over_time(trial.time, curves, band)


def activation_chart(trial: Replay) -> Figure:
    """Activations of all muscles, the most active at the top."""
    import plotly.graph_objects as go

    order = np.argsort(np.nanmean(trial.activation, axis=0))
    rows = _thinned(len(trial.time))
    heat = go.Heatmap(
        z=short(trial.activation[rows][:, order].T), x=short(trial.time[rows]),
        y=[trial.muscles[i] for i in order], zmin=0, zmax=1, colorscale="Reds", colorbar={"thickness": 10},
    )  # fmt: skip
    return laid_out(go.Figure(heat), height=90 + 18 * len(order), x="time [s]")


def parameter_chart(result: Identification) -> Figure | None:
    """Estimates of positive parameters relative to the generic person, with priors and 95 % intervals."""
    import plotly.graph_objects as go

    rows = [
        (e, _before(e, u, z), stands is Standing.DETERMINED)
        for e, u, stands, z in zip(result.estimates, result.unknowns, result.standing, result.z, strict=True)
        if kind_of(u.members[0]).transform == "log" and e.start > 0
    ]
    if not rows:
        return None
    names = [e.path for e, _, _ in rows]
    figure = go.Figure()
    prior = [before for _, before, _ in rows]
    figure.add_trace(
        go.Bar(
            y=names, base=short([a for a, _ in prior]), x=short([b - a for a, b in prior]), orientation="h",
            marker_color=PRIOR, opacity=0.5, name="prior, 95 %", hoverinfo="skip",
        )
    )  # fmt: skip
    open_ = "not determined, only roughly, or at a bound"
    for known, colour, name in ((True, IDENTIFIED, "estimate, 95 %"), (False, "#8a8a8a", open_)):
        chosen = [e for e, _, clear in rows if clear == known]
        if chosen:
            x, low, high = (np.array([getattr(e, f) / e.start for e in chosen]) for f in ("value", "low", "high"))
            figure.add_trace(
                go.Scatter(
                    y=[e.path for e in chosen], x=short(x), mode="markers", name=name,
                    marker={"color": colour, "size": 7},
                    error_x={"array": short(high - x), "arrayminus": short(x - low), "color": colour, "thickness": 2},
                    customdata=[f"{e.value:.4g} {e.unit} [{e.low:.4g}, {e.high:.4g}]" for e in chosen],
                    hovertemplate="%{y}: %{customdata}<extra></extra>",
                )
            )  # fmt: skip
    figure.add_vline(x=1.0, line_color=GENERIC, line_width=1.5)
    factors(figure, "relative to the generic model")
    names_down(figure, names)
    return laid_out(figure, height=120 + 17 * len(names))


def _before(e: Estimate, u: Unknown, z: float) -> tuple[float, float]:
    """95 % of the prior, or the bounds where there is none, relative to the start."""
    reach = 1.96 * u.prior_scale
    ends = (u.prior_mean - reach, u.prior_mean + reach) if math.isfinite(reach) else (u.lower, u.upper)
    low, high = (math.exp(end - z) * e.value / e.start for end in ends)  # z is the logarithm of its first member
    return low, high


def correlation_chart(result: Identification) -> Figure | None:
    """Correlation of the estimates of determined parameters in the posterior."""
    import plotly.graph_objects as go

    chosen = [i for i, k in enumerate(result.knowledge) if k is Knowledge.DETERMINED][:MOST_CORRELATED]
    if len(chosen) < 2:
        return None
    covariance = np.array(result.covariance)[np.ix_(chosen, chosen)]
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    names = [result.estimates[i].path for i in chosen]
    heat = go.Heatmap(
        z=short(covariance / np.outer(sd, sd)), x=names, y=names, zmin=-1, zmax=1, colorscale="RdBu_r",
        colorbar={"thickness": 10}, hovertemplate="%{y}<br>%{x}: %{z:.2f}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure(heat)
    figure.update_xaxes(tickangle=-90, tickfont={"size": 9}, automargin=True)
    figure.update_yaxes(autorange="reversed", tickfont={"size": 9})
    return laid_out(figure, height=330 + 14 * len(names))


_STYLES = {
    "recorded": {"color": RECORDED, "width": 3},
    "generic": {"color": GENERIC, "width": 1.3, "dash": "dash"},
    "identified": {"color": IDENTIFIED, "width": 1.6},
}


def _over_time(
    time: np.ndarray, curves: dict[str, np.ndarray], band: tuple[np.ndarray, np.ndarray] | None = None
) -> Figure:
    import plotly.graph_objects as go

    figure, rows = go.Figure(), _thinned(len(time))
    for end, filled in zip(band or (), (None, "tonexty"), strict=False):
        figure.add_trace(
            go.Scatter(
                x=short(time[rows]), y=short(end[rows]), name="95 % band", legendgroup="band", mode="lines",
                line={"width": 0}, fill=filled, fillcolor=BAND, showlegend=filled is not None, hoverinfo="skip",
            )
        )  # fmt: skip
    for name, values in curves.items():
        figure.add_trace(
            go.Scatter(
                x=short(time[rows]), y=short(values[rows]), name=name, line=_STYLES[name],
                opacity=0.5 if name == "recorded" else 1.0,
            )
        )  # fmt: skip
    # a wild generic model must not flatten what was recorded
    shown = np.concatenate([x for name, x in curves.items() if name != "generic"])
    low, high = np.nanmin(shown), np.nanmax(shown)
    margin = 0.25 * max(high - low, 1e-9)
    figure.update_yaxes(range=[float(low - margin), float(high + margin)])
    return laid_out(figure, height=260, x="time [s]")


def laid_out(figure: Figure, *, height: int, x: str | None = None) -> Figure:
    """The look that all charts share; `x`: title of their axis."""
    figure.update_layout(
        height=height + ABOVE - 30, template="plotly_white", margin={"l": 10, "r": 10, "t": ABOVE, "b": 10}, bargap=0.4,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, font={"size": 11},
    )  # fmt: skip
    figure.update_yaxes(automargin=True)
    if x is not None:
        figure.update_xaxes(title=x)
    return figure


def names_down(figure: Figure, names: Sequence[str]) -> None:
    """An axis of names from top to bottom, which ends where they do."""
    figure.update_yaxes(
        categoryorder="array", categoryarray=list(names)[::-1], range=[-0.7, len(names) - 0.3], tickfont={"size": 10}
    )


def factors(figure: Figure, title: str) -> None:
    """An axis of factors, its ticks at 1, 2 and 5."""
    ticks = [m * 10.0**k for k in range(-4, 5) for m in (1, 2, 5)]
    figure.update_xaxes(type="log", title=title, tickvals=ticks, ticktext=[f"{x:g}" for x in ticks])


def _thinned(count: int) -> slice:
    return slice(None, None, max(1, math.ceil(count / LONGEST)))


def short(values: Sequence[Any] | np.ndarray) -> Any:
    """Five digits are more than a screen shows, and a third of the file's size; NaN leaves a gap."""
    x = np.asarray(values, float)
    if x.ndim == 2:
        return [short(row) for row in x]
    return [None if not math.isfinite(v) else float(f"{v:.5g}") for v in x]
