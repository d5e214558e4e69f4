"""A verification as one HTML file, for whoever has to decide whether the robot may meet the person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mjx_msm.verification.episode import POINT
from mjx_msm.verification.findings import ANY, Findings, Proportion, Row
from mjx_msm.verification.report import (
    disturbances,
    limits,
    missed_text,
    nobody,
    percent,
    probabilities,
    run_of,
    went_wrong,
    who,
    worst_text,
)
from mjx_msm.views.figures import GENERIC, IDENTIFIED
from mjx_msm.views.report.charts import laid_out, short
from mjx_msm.views.report.sections import Section, Table, save_sections, sections_report

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

POINT_COLOUR = "#4f7fa8"


def verification_report(result: Findings, command: str, film: Path | None = None) -> str:
    """The report as the text of an HTML file.

    **Arguments:** `command`: that made it, without ``--out``. `film`: of the worst case.
    """
    return sections_report(
        f"{result.environment} with controller {result.controller}",
        f"against {result.people} people drawn from what is known of {result.subject}",
        verdict(result),
        list(_sections(result, command, film)),
    )


def save_verification_report(path: str | Path, result: Findings, command: str, film: Path | None = None) -> Path:
    """Write `verification_report`, whole or not at all."""
    return save_sections(path, verification_report(result, command, film))


def verdict(result: Findings) -> tuple[str, ...]:
    """How probable it is that somebody is harmed, by what, what one person would not have shown, and what to do."""
    every = next(r for r in result.overall if r.violation == ANY)
    where = "the scenario drawn for them" if result.mixed else f"at least one of {len(result.scenarios)} scenarios"
    said = [
        f"Of {every.posterior.n} people who may all be this one, as far as the recording tells, {every.posterior.hits} "
        f"come to exceed a limit in {where}: {percent(every.posterior)}."
    ]
    worst = _most_often(result)
    if worst is not None:
        said.append(
            f"Most often it is “{worst.violation}” in scenario “{worst.scenario}”: {percent(worst.posterior)} of people"
            f"; the largest margin of all is {result.worst.margin:.2f} times the limit’s (1 is the limit)."
        )
        said.append(missed_text(result))
        said.append(_parameter(result))
    return (*said, next_step(result))


def next_step(result: Findings) -> str:
    """The first thing that is in the way of letting the person try."""
    worst = _most_often(result)
    if worst is None:
        least = min(r.posterior.n for r in result.rows)
        rare = 100 * Proportion(0, least).interval[1]
        return (
            "Next: nothing here speaks against a first try with the person, watched; what never occurred is, with "
            f"95 % confidence, rarer than {rare:.1f} % for each limit and scenario. First add what you fear and "
            "is not in the list below (`--scenarios`)."
        )
    calm = {s.name for s in result.plan.scenarios if not s.quantities}
    quiet = [r for r in result.rows if r.scenario in calm and r.posterior.hits and r.violation != ANY]
    if quiet:
        first = max(quiet, key=lambda r: r.posterior.estimate)
        return (
            f"Next: change the controller before anybody tries it. “{first.violation}” happens to "
            f"{percent(first.posterior)} of people with no disturbance at all; the film below shows the worst."
        )
    if result.separations:
        return (
            f"Next: make the controller bear scenario “{worst.scenario}” (film below), or measure "
            f"{result.separations[0].parameter} of this person better: it tells who is in danger."
        )
    return (
        f"Next: make the controller bear scenario “{worst.scenario}”; the film and the command below show the worst "
        "case of all again."
    )


def _most_often(result: Findings) -> Row | None:
    rows = [r for r in result.rows if r.violation != ANY and r.posterior.hits]
    return max(rows, key=lambda r: (r.posterior.estimate, r.worst), default=None)


def _parameter(result: Findings) -> str:
    if not result.separations:
        return nobody(result)
    s = result.separations[0]
    more = "larger" if s.correlation > 0 else "smaller"
    return (
        f"Who is in danger is told best by {s.parameter}: the {more} it is, the nearer to “{s.violation}” or beyond "
        f"(rank correlation {s.correlation:+.2f})."
    )


def _sections(result: Findings, command: str, film: Path | None) -> Iterator[Section]:
    head, rows = probabilities(result, every=True)
    yield Section(
        "How probable each violation is",
        [
            "Shares of the people drawn from the posterior, with Clopper–Pearson’s 95 % intervals. “Point estimate” is "
            "the one most probable person under the same disturbances, who is what one would try without knowing how "
            "little is known. The intervals speak of the people and disturbances drawn here: what model, posterior "
            "or list of scenarios leave out is not in them.",
        ],
        [("share of people, %", _shares(result)), ("every person's largest margin in each scenario", _margins(result))],
    )
    yield Section(
        "In numbers",
        [
            "“Missed”: it happens to people and never to the point estimate, beyond chance. “Not seen”: the same, but "
            "chance may explain it. “Understated”: the point estimate has it less often. A margin of 1 is the limit.",
        ],
        table=Table(
            head, rows, right=(2, 3, 4, 5, 6), grey=[i for i, r in enumerate((*result.overall, *result.rows))
                                                    if not r.posterior.hits and not r.point.hits],
        ),
    )  # fmt: skip
    head, rows = who(result)
    if rows:
        yield Section(
            "Who exceeds the limits",
            [
                "Parameters that go with a person’s largest margin beyond chance. To measure one of them better tells "
                "whether this person is among those in danger. The difference is that of the means of those who exceed "
                "it and of the rest, in standard deviations of everybody.",
            ],
            table=Table(head, rows, right=(3, 4, 5)),
        )
    yield Section(
        "The worst case",
        [
            worst_text(result.worst)[0].upper() + worst_text(result.worst)[1:] + ".",
            f"Disturbance: {disturbances(result)}. To see it again:",
        ],
        film=film,
        command=f"{command} --episode {result.worst.episode.number} --out FOLDER",
    )
    head, rows = went_wrong(result)
    yield Section(
        "What was made to go wrong",
        ["Numbers of a disturbance are drawn anew for every person and scenario."],
        table=Table(head, rows),
    )
    head, rows = limits(result)
    yield Section("What counts as a violation", table=Table(head, rows))
    head, rows = run_of(result)
    yield Section(
        "How it was made", table=Table(head, [[name.replace("`", ""), x] for name, x in rows]), items=result.notes,
        command=f"{command} --out FOLDER",
    )  # fmt: skip


def _shares(result: Findings) -> Figure:
    """Scenarios by violations; what never occurs to anybody is left out."""
    import plotly.graph_objects as go

    rows = {(r.scenario, r.violation): r for r in result.rows}
    names = [v.name for v in result.violations] + [ANY]
    shown = [n for n in names if any(rows[s, n].posterior.hits for s in result.scenarios if (s, n) in rows)] or [ANY]
    scenarios = [s for s in result.scenarios if (s, ANY) in rows]
    share = np.array([[100 * rows[s, n].posterior.estimate for n in shown] for s in scenarios])
    words = [
        [f"people {percent(rows[s, n].posterior)}<br>point estimate {percent(rows[s, n].point)}" for n in shown]
        for s in scenarios
    ]
    heat = go.Heatmap(
        z=short(share), x=shown, y=scenarios, zmin=0, zmax=100, colorscale="Reds", colorbar={"thickness": 10},
        texttemplate="%{z:.0f}", customdata=words, hovertemplate="%{y}, %{x}<br>%{customdata}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure(heat)
    figure.update_yaxes(autorange="reversed", tickfont={"size": 11})
    return laid_out(figure, height=150 + 26 * len(scenarios))


def _margins(result: Findings) -> Figure:
    """Where each person comes to lie beside the limit, and the point estimate with them."""
    import plotly.graph_objects as go

    figure = go.Figure()
    person = np.array([e.person for e in result.episodes])
    scenario = np.array([e.scenario for e in result.episodes])
    margin = np.array([max(c.margins) for c in result.courses])
    margin = np.minimum(margin, np.quantile(margin, 0.995))  # one that flew away must not flatten the others
    for drawn, name, colour in ((True, "a person", IDENTIFIED), (False, "point estimate", POINT_COLOUR)):
        chosen = np.flatnonzero((person != POINT) == drawn)
        figure.add_trace(
            go.Box(
                x=short(margin[chosen]), y=[result.scenarios[k] for k in scenario[chosen]], orientation="h", name=name,
                boxpoints="all" if drawn else False, jitter=0.6, pointpos=0, line={"color": colour, "width": 1},
                marker={"size": 3, "opacity": 0.5, "color": colour}, fillcolor="rgba(0,0,0,0)",
            )
        )  # fmt: skip
    figure.add_vline(x=1.0, line_color=GENERIC, line_width=1.5)
    figure.update_xaxes(title="largest margin over all limits (1: the limit)")
    figure.update_yaxes(autorange="reversed", tickfont={"size": 11})
    figure = laid_out(figure, height=160 + 44 * len(result.scenarios))
    return figure.update_layout(boxmode="group")
