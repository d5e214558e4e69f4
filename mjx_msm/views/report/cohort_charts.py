"""What is drawn of many people: how they are predicted, and where each of them lies in every parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_counts import by_knowledge, determined_in
from mjx_msm.knowledge.cohort_errors import relative_errors
from mjx_msm.knowledge.cohort_truth import against_truth
from mjx_msm.knowledge.population import Population
from mjx_msm.knowledge.records import Estimate, Unknown
from mjx_msm.knowledge.standing import width_text
from mjx_msm.views.figures import GENERIC, IDENTIFIED, TRUTH
from mjx_msm.views.report.charts import PRIOR, factors, laid_out, names_down, short

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

OPEN = "not determined"
OPEN_COLOUR = "#9aa4ad"
EXPECTED = "expected of another person, 95 %"
RIVAL_COLOUR = "#4f7fa8"


def prediction_chart(cohort: Cohort) -> Figure | None:
    """Error on what was unseen over the recording's spread, every person's and the best regression's."""
    import plotly.graph_objects as go

    errors = relative_errors(cohort)
    if not errors:
        return None
    names = sorted(errors, key=lambda n: errors[n][0])
    ours, theirs = np.array([errors[n] for n in names]).T
    figure = go.Figure()
    for values, name, colour, symbol in (
        (theirs, "best regression on the same inputs", RIVAL_COLOUR, "diamond-open"),
        (ours, "identified model", IDENTIFIED, "circle"),
    ):
        if np.isfinite(values).any():
            figure.add_trace(
                go.Scatter(
                    x=short(values), y=names, mode="markers", name=name,
                    marker={"color": colour, "size": 8, "symbol": symbol},
                    hovertemplate="%{y}: %{x:.2f}<extra>" + name + "</extra>",
                )
            )  # fmt: skip
    figure.add_vline(x=1.0, line_color=GENERIC, line_width=1.5)
    figure.update_xaxes(
        title="error on what was unseen, over the recording's spread (1: a constant does as well)", rangemode="tozero"
    )
    names_down(figure, names)
    return laid_out(figure, height=130 + 18 * len(names))


def overview_chart(cohort: Cohort) -> Figure | None:
    """Every positive parameter's estimates in all people, relative to the generic model's."""
    import plotly.graph_objects as go

    rows = [(path, cohort.told[path]) for path in by_knowledge(cohort) if cohort.positive(path)]
    if not rows:
        return None
    figure = go.Figure()
    names = {path: cohort.called(path) for path, _ in rows}
    if cohort.population is not None:
        counts = determined_in(cohort)
        for told, opacity, name in ((True, 0.5, EXPECTED), (False, 0.2, f"{EXPECTED}: determined in nobody")):
            chosen = {path: x for path, x in names.items() if bool(counts[path]) == told}
            if chosen:
                figure.add_trace(_expected(cohort.population, chosen, opacity, name))
    for known, colour, name in ((False, OPEN_COLOUR, OPEN), (True, IDENTIFIED, "determined")):
        chosen = [(path, one) for path, found in rows for one in found if one.determined == known]
        if chosen:
            figure.add_trace(
                go.Scatter(
                    x=short([one.estimate.value / one.estimate.start for _, one in chosen]),
                    y=[names[path] for path, _ in chosen], mode="markers", name=name,
                    marker={"color": colour, "size": 8, "opacity": 0.55},
                    customdata=[f"{one.who}: {_words(one.estimate, one.unknown)}" for _, one in chosen],
                    hovertemplate="%{customdata}<extra>%{y}</extra>",
                )
            )  # fmt: skip
    figure.add_vline(x=1.0, line_color=GENERIC, line_width=1.5)
    factors(figure, "relative to the model before the recording")
    names_down(figure, list(names.values()))
    return laid_out(figure, height=130 + 20 * len(names))


def truth_chart(cohort: Cohort) -> Figure | None:
    """Of people who are made up, every positive parameter's estimate over its truth, with its interval."""
    import plotly.graph_objects as go

    found = [a for a in against_truth(cohort) if a.truth > 0 and cohort.positive(a.estimate.path)]
    if not found:
        return None
    figure, names = go.Figure(), list(dict.fromkeys(cohort.called(a.estimate.path) for a in found))
    for known, colour, name in ((False, OPEN_COLOUR, OPEN), (True, IDENTIFIED, "determined")):
        for held, symbol in ((True, "circle"), (False, "x")):
            chosen = [a for a in found if (a.determined, a.held) == (known, held)]
            if chosen:
                figure.add_trace(
                    go.Scatter(
                        x=short([a.estimate.value / a.truth for a in chosen]),
                        y=[cohort.called(a.estimate.path) for a in chosen], mode="markers",
                        name=name if held else f"{name}, the interval leaves the truth out",
                        marker={"color": colour, "size": 8, "opacity": 0.55, "symbol": symbol},
                        customdata=[f"{a.who}: {_words(a.estimate, a.unknown)}, truth {a.truth:.4g}" for a in chosen],
                        hovertemplate="%{customdata}<extra>%{y}</extra>",
                    )
                )  # fmt: skip
    figure.add_vline(x=1.0, line_color=GENERIC, line_width=1.5)
    factors(figure, "estimate over truth")
    names_down(figure, names)
    return laid_out(figure, height=130 + 20 * len(names))


def _expected(population: Population, names: Mapping[str, str], opacity: float, name: str) -> Any:
    """95 % of the people that the population leads to expect, relative to the model before a recording."""
    import plotly.graph_objects as go

    anybody = population.expected()
    sd = np.sqrt(np.diag(np.array(anybody.covariance)))
    ends = {
        names[path]: (np.exp(shift - 1.96 * s), np.exp(shift + 1.96 * s))
        for path, shift, s in zip(anybody.paths, anybody.shift, sd, strict=True)
        if path in names
    }
    return go.Bar(
        y=list(ends), base=short([a for a, _ in ends.values()]), x=short([b - a for a, b in ends.values()]),
        orientation="h", marker_color=PRIOR, opacity=opacity, name=name, hoverinfo="skip",
    )  # fmt: skip


def parameter_charts(cohort: Cohort) -> Iterator[tuple[str, Figure]]:
    """Of every parameter its name, and everybody's estimate with its interval; first what is determined in most."""
    import plotly.graph_objects as go

    for path in by_knowledge(cohort):
        found = sorted(cohort.told[path], key=lambda one: one.estimate.value)
        figure = go.Figure()
        for known, colour, name in ((True, IDENTIFIED, "estimate, 95 %"), (False, OPEN_COLOUR, OPEN)):
            chosen = [one for one in found if one.determined == known]
            if chosen:
                value, low, high = (
                    np.array([getattr(one.estimate, f) for one in chosen]) for f in ("value", "low", "high")
                )
                figure.add_trace(
                    go.Scatter(
                        x=short(value), y=[one.who for one in chosen], mode="markers", name=name,
                        marker={"color": colour, "size": 7},
                        error_x={
                            "array": short(high - value), "arrayminus": short(value - low), "color": colour,
                            "thickness": 2,
                        },
                        customdata=[_words(one.estimate, one.unknown) for one in chosen],
                        hovertemplate="%{y}: %{customdata}<extra></extra>",
                    )
                )  # fmt: skip
        truths = {a.who: a.truth for a in against_truth(cohort) if a.estimate.path == path}
        if truths:
            figure.add_trace(
                go.Scatter(
                    x=short(list(truths.values())), y=list(truths), mode="markers", name="truth",
                    marker={"color": TRUTH, "size": 10, "symbol": "line-ns-open"},
                    hovertemplate="%{y}: truth %{x}<extra></extra>",
                )
            )  # fmt: skip
        start = float(np.median([one.estimate.start for one in found]))
        figure.add_vline(x=start, line_color=GENERIC, line_width=1.5)
        unit = found[0].estimate.unit
        name = cohort.called(path)
        figure.update_xaxes(title=f"{name} [{unit}]" if unit not in ("-", "") else name)
        names_down(figure, [one.who for one in found[::-1]])
        yield name, laid_out(figure, height=110 + 17 * len(found))


def _words(e: Estimate, u: Unknown | None) -> str:
    unit = "" if e.unit == "-" else f" {e.unit}"
    bound, width = f", at its {e.bound} bound" if e.bound else "", width_text(e, u)
    before = f", {width} as wide as before the recording" if width else ""
    return f"{e.value:.4g}{unit} [{e.low:.4g}, {e.high:.4g}]{before}{bound}"
