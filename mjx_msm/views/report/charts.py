"""What is drawn of estimates: parameters with their intervals, and how they move together; and how charts look."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mjx_msm.knowledge.judged_errors import too_narrow
from mjx_msm.knowledge.records import Estimate, Unknown
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing, before
from mjx_msm.knowledge.strength_or_gain import exchanges
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.knowledge.wording import LEADING
from mjx_msm.person.kinds import kind_of
from mjx_msm.views.figures import GENERIC, IDENTIFIED, TRUTH
from mjx_msm.views.report.directions import end_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PRIOR = "#b9c6d2"
ABOVE = 56
"""Room above a chart: for its legend, and over that for the browser's tools [pixels]."""
MOST_CORRELATED = 40
"""Parameters in the picture of their correlations."""
NAMED = 5
"""Directions whose parameters are in it."""
LETTER = 5.2
"""Width of one in the small labels of its axis [pixels]."""


def parameter_chart(
    result: Identification, truth: Mapping[str, float], ways: Mapping[str, str] | None = None
) -> Figure | None:
    """Estimates of positive parameters relative to the generic person, with priors and 95 % intervals, and with the
    truth where it is known.

    **Arguments:** `ways`: where coordinates go as they grow, as far as that is known.
    """
    import plotly.graph_objects as go

    void = too_narrow(result.fits)
    rows = [
        (e, _before(e, u, z), stands is Standing.DETERMINED and not void)
        for e, u, stands, z in zip(result.estimates, result.unknowns, result.standing, result.z, strict=True)
        if kind_of(u.members[0]).transform == "log" and e.start > 0
    ]
    if not rows:
        return None
    called = {e.path: result.names[e.path] + end_of(e.path, ways or {}) for e, _, _ in rows}
    names = list(called.values())
    figure = go.Figure()
    prior = [before for _, before, _ in rows]
    figure.add_trace(
        go.Bar(
            y=names, base=short([a for a, _ in prior]), x=short([b - a for a, b in prior]), orientation="h",
            marker_color=PRIOR, opacity=0.5, name="prior, 95 %", hoverinfo="skip",
        )
    )  # fmt: skip
    open_ = "not determined, or intervals too narrow" if void else "not determined"
    for known, colour, name in ((True, IDENTIFIED, "estimate, 95 %"), (False, "#8a8a8a", open_)):
        chosen = [e for e, _, clear in rows if clear == known]
        if chosen:
            x, low, high = (np.array([getattr(e, f) / e.start for e in chosen]) for f in ("value", "low", "high"))
            figure.add_trace(
                go.Scatter(
                    y=[called[e.path] for e in chosen], x=short(x), mode="markers", name=name,
                    marker={"color": colour, "size": 7},
                    error_x={"array": short(high - x), "arrayminus": short(x - low), "color": colour, "thickness": 2},
                    customdata=[f"{e.value:.4g} {e.unit} [{e.low:.4g}, {e.high:.4g}]" for e in chosen],
                    hovertemplate="%{y}: %{customdata}<extra></extra>",
                )
            )  # fmt: skip
    if known := [e for e, _, _ in rows if e.path in truth]:
        figure.add_trace(
            go.Scatter(
                y=[called[e.path] for e in known], x=short([truth[e.path] / e.start for e in known]),
                mode="markers", name="truth", marker={"color": TRUTH, "size": 11, "symbol": "line-ns-open"},
                hovertemplate="%{y}: truth %{x}<extra></extra>",
            )
        )  # fmt: skip
    figure.add_vline(x=1.0, line_color=GENERIC, line_width=1.5)
    factors(figure, "relative to the generic model")
    names_down(figure, names)
    return laid_out(figure, height=120 + 17 * len(names))


def _before(e: Estimate, u: Unknown, z: float) -> tuple[float, float]:
    """What was thought possible before, relative to the start."""
    low, high = (math.exp(end - z) * e.value / e.start for end in before(u))  # z is the logarithm of its first member
    return low, high


def correlation_chart(result: Identification) -> Figure | None:
    """Correlation in the posterior of estimates that are determined, or that the page says move together."""
    import plotly.graph_objects as go

    chosen = _correlated(result)
    if len(chosen) < 2:
        return None
    covariance = np.array(result.covariance)[np.ix_(chosen, chosen)]
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    names = [result.names[result.estimates[i].path] for i in chosen]
    heat = go.Heatmap(
        z=short(covariance / np.outer(sd, sd)), x=names, y=names, zmin=-1, zmax=1, colorscale="RdBu_r",
        colorbar={"thickness": 10}, hovertemplate="%{y}<br>%{x}: %{z:.2f}<extra></extra>",
    )  # fmt: skip
    figure, room = go.Figure(heat), 20 + round(LETTER * max(map(len, names)))
    figure.update_xaxes(tickangle=-90, tickfont={"size": 9}, automargin=False, dtick=1)
    figure.update_yaxes(autorange="reversed", tickfont={"size": 9}, dtick=1)
    figure = laid_out(figure, height=120 + room + 14 * len(names))
    return figure.update_layout(margin_b=room)


def _correlated(result: Identification) -> list[int]:
    """Estimates in their order: those that the page names as moving together, and as many determined ones as there is
    room for."""
    paths = [e.path for e in result.estimates]
    named = [path for x in exchanges(result) for path in (x.strength, *x.emg)]
    for d in [d for d in result.directions if d.knowledge is not Knowledge.DETERMINED][:NAMED]:
        top = max(map(abs, d.weights.values()), default=0.0)
        named += [path for path, w in d.weights.items() if abs(w) >= LEADING * top]
    known = [p for p, k in zip(paths, result.knowledge, strict=True) if k is Knowledge.DETERMINED]
    chosen = [path for path in dict.fromkeys((*named, *known)) if path in paths][:MOST_CORRELATED]
    return sorted(paths.index(path) for path in chosen)


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


FINE = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Ticks of factors that are all of the order of 1."""
WIDER = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
"""And of those that are of the order of ten, or a tenth, too."""


def factors(figure: Figure, title: str) -> None:
    """An axis of factors, its ticks at 1, 2 and 5, or finer ones where all that is drawn is of the order of 1."""
    drawn = [v for trace in figure.data for v in _along(trace) if v is not None and v > 0]
    least, most = (min(drawn), max(drawn)) if drawn else (0.0, math.inf)
    ticks = [m * 10.0**k for k in range(-4, 5) for m in (1, 2, 5)]
    if least > 0.07 and most < 14.0:
        ticks = FINE if least > 0.25 and most < 4.0 else WIDER
    figure.update_xaxes(type="log", title=title, tickvals=ticks, ticktext=[f"{x:g}" for x in ticks])


def _along(trace: Any) -> list[float | None]:
    """Where a trace lies along the axis: a bar from its base on."""
    x: list[float | None] = list(trace.x if trace.x is not None else ())
    base = getattr(trace, "base", None)
    return x if base is None else [*base, *(b + v for b, v in zip(base, x, strict=True) if None not in (b, v))]


def short(values: Sequence[Any] | np.ndarray) -> Any:
    """Five digits are more than a screen shows, and a third of the file's size; NaN leaves a gap."""
    x = np.asarray(values, float)
    if x.ndim == 2:
        return [short(row) for row in x]
    return [None if not math.isfinite(v) else float(f"{v:.5g}") for v in x]
