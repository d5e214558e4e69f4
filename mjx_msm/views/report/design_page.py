"""A designed session as one HTML file, for whoever records it: what to do, and what it will tell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mjx_msm.knowledge.design.session import Design
from mjx_msm.knowledge.design.task import Task
from mjx_msm.recordings.trial import Trial
from mjx_msm.views.figures import GENERIC, IDENTIFIED
from mjx_msm.views.report.charts import PRIOR, laid_out, names_down, short
from mjx_msm.views.report.sections import Section, Table, save_sections, sections_report

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST = 1.0
"""Half a relative interval beyond which a bar is cut."""
GOOD = 0.1
"""Half a relative interval that most uses of a person can live with."""


def design_report(design: Design) -> str:
    """The report as the text of an HTML file."""
    seconds = sum(float(t.time[-1] - t.time[0]) for t in design.tasks)
    return sections_report(
        "A session to record",
        f"{len(design.tasks)} trials, {seconds:g} s of recording, chosen out of {design.history[-1][0]} candidates"
        if design.history
        else f"{len(design.tasks)} trials, {seconds:g} s of recording",
        verdict(design),
        list(_sections(design)),
    )


def save_design_report(path: str | Path, design: Design) -> Path:
    """Write `design_report`, whole or not at all."""
    return save_sections(path, design_report(design))


def verdict(design: Design) -> tuple[str, ...]:
    """What to do, what it tells, what it leaves open, and what to do next."""
    known = [e for e in design.forecast.expectations if e.determined]
    open_ = [e.path for e in design.forecast.expectations if not e.determined]
    weights = sorted({t.payload for t in design.tasks if t.payload})
    held = f", with {', '.join(f'{w:g} kg' for w in weights)} in the hand" if weights else ""
    said = [
        f"Record {len(design.tasks)} trials of {design.tasks[0].time[-1]:g} s{held}; the person follows the "
        "excitations below as targets of an EMG feedback, as well as they can."
    ]
    if known:
        tight = sum(e.after <= GOOD for e in known)
        said.append(
            f"It is expected to determine {len(known)} of {len(design.forecast.expectations)} parameters, {tight} of "
            f"them to ±{100 * GOOD:.0f} % or better."
        )
    else:
        said.append("It is expected to determine none of the parameters by itself.")
    if design.judged:
        worst = design.worst
        before = f", ±{100 * worst.before:.0f} % known before" if math.isfinite(worst.before) else ""
        said.append(f"The widest interval will be that of {worst.path}: ±{100 * worst.after:.0f} %{before}.")
    if open_:
        said.append(
            f"It leaves {len(open_)} to the prior: {', '.join(open_[:3])}"
            + (f" and {len(open_) - 3} more." if len(open_) > 3 else ".")
        )
    return (*said, _next(design))


def _next(design: Design) -> str:
    if design.interrupted:
        return "Next: let the search go to its end; this is the best session so far."
    open_ = [e for e in design.forecast.expectations if not e.determined]
    if len(open_) > len(design.forecast.expectations) / 2 and not any(t.payload for t in design.tasks):
        return (
            "Next: ask for weights in the hand (`payloads`) or more trials before you record this; with an empty hand "
            "angles say little of the common scale of forces and masses."
        )
    if design.judged and design.worst.after > 0.5:
        return f"Next: if {design.worst.path} matters to you, ask for more or longer trials; if not, record this."
    return (
        "Next: record it, then identify from what was really done: the excitations need not be met, since the EMG that "
        "is recorded is what counts."
    )


def _sections(design: Design) -> Iterator[Section]:
    yield Section(
        "What to do",
        ["Hold the posture until the trial begins. Angles are those that a person of the usual kind would then show."],
        table=Table(
            ["trial", "posture", "weight", "seconds"],
            [
                [
                    t.name, ", ".join(f"{c} {math.degrees(x):.0f}°" for c, x in t.posture.items()),
                    f"{t.payload:g} kg" if t.payload else "none", f"{t.time[-1]:g}",
                ]
                for t in design.tasks
            ],
            right=(3,),
        ),
    )  # fmt: skip
    for task, trial in zip(design.tasks, design.trials, strict=True):
        drawn = [("excitation of every channel", _excitation(task)), ("angles to expect [°]", _angles(trial))]
        yield Section(task.name, charts=drawn)
    noise = f"{design.rate:g} Hz with {math.degrees(design.angle_noise):.2g}° of noise on every angle"
    expectations = design.forecast.expectations
    yield Section(
        "What it will tell",
        [
            f"Half the width of the 95 % intervals to expect, relative to the value, if angles are recorded at "
            f"{noise}. Grey is what is known before anything is recorded. A forecast at the first order: people who "
            "are far from the one it was made for will come out somewhat different."
        ],
        [("", _intervals(design))],
        Table(
            ["parameter", "unit", "value", "± before", "± after", "from the data", ""],
            [
                [
                    e.path, e.unit if e.unit != "-" else "", f"{e.value:.4g}",
                    f"{100 * e.before:.3g} %" if math.isfinite(e.before) else "",
                    f"{100 * e.after:.3g} %" if math.isfinite(e.after) else "", f"{100 * e.data_share:.0f} %",
                    "" if e.determined else "left to the prior",
                ]
                for e in expectations
            ],
            right=(2, 3, 4, 5),
            grey=[i for i, e in enumerate(expectations) if not e.determined],
        ),
    )  # fmt: skip
    if design.forecast.undetermined:
        yield Section(
            "What it leaves open",
            ["Changes of these kinds, as far as the priors allow them, would hardly show."],
            items=design.forecast.undetermined,
        )
    if len(design.history) > 1:
        yield Section("How it was found", charts=[("criterion over candidates simulated", _history(design))])


def _excitation(task: Task) -> Figure:
    import plotly.graph_objects as go

    heat = go.Heatmap(
        z=short(np.asarray(task.excitation).T), x=short(task.time), y=list(task.channels), zmin=0, colorscale="Reds",
        colorbar={"thickness": 10},
    )  # fmt: skip
    return laid_out(go.Figure(heat), height=100 + 20 * len(task.channels), x="time [s]")


def _angles(trial: Trial) -> Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    for k, name in enumerate(trial.coordinates):
        figure.add_trace(go.Scatter(x=short(trial.time), y=short(np.degrees(trial.position[:, k])), name=name))
    return laid_out(figure, height=240, x="time [s]")


def _intervals(design: Design) -> Figure:
    import plotly.graph_objects as go

    rows = design.forecast.expectations
    names = [e.path for e in rows]
    before = [min(e.before, MOST) for e in rows]
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            y=names, x=short([200 * b for b in before]), base=short([-100 * b for b in before]), orientation="h",
            marker_color=PRIOR, opacity=0.5, name="known before", hoverinfo="skip",
        )
    )  # fmt: skip
    for known, colour, name in ((True, IDENTIFIED, "to expect after"), (False, "#8a8a8a", "left to the prior")):
        chosen = [e for e in rows if e.determined == known]
        if chosen:
            figure.add_trace(
                go.Scatter(
                    y=[e.path for e in chosen], x=[0.0] * len(chosen), mode="markers", name=name,
                    marker={"color": colour, "size": 6},
                    error_x={"array": short([100 * min(e.after, MOST) for e in chosen]), "color": colour},
                    customdata=[str(e) for e in chosen], hovertemplate="%{customdata}<extra></extra>",
                )
            )  # fmt: skip
    figure.add_vline(x=0.0, line_color=GENERIC, line_width=1)
    figure.update_xaxes(title="95 % interval about the value [%]")
    names_down(figure, names)
    return laid_out(figure, height=120 + 17 * len(names))


def _history(design: Design) -> Figure:
    import plotly.graph_objects as go

    count, best = zip(*design.history, strict=True)
    worst = design.criterion == "worst"
    values = [100 * math.exp(-b) for b in best] if worst else list(best)
    title = "widest relative interval [%]" if worst else "information gained [nat]"
    figure = go.Figure(go.Scatter(x=list(count), y=short(values), line={"color": IDENTIFIED, "shape": "hv"}))
    figure.update_yaxes(title=title, type="log" if worst else "linear")
    return laid_out(figure, height=240, x="candidates simulated")
