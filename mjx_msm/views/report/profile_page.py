"""Profile likelihoods as one HTML file: which values of a parameter the recordings contradict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mjx_msm.knowledge.profile_likelihood import DROP, Profile
from mjx_msm.knowledge.wording import number
from mjx_msm.views.figures import GENERIC, IDENTIFIED
from mjx_msm.views.report.charts import laid_out, short
from mjx_msm.views.report.sections import Section, Table, save_sections, sections_report

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FURTHER = 1.5
"""Times by which an interval differs from the result's to be said to do so."""
OF_THE_PRIOR = 0.5
"""Part of the drop at an interval's end below which it is the prior that holds it."""


def profile_report(profiles: Sequence[Profile], subject: str, command: str) -> str:
    """The report as the text of an HTML file.

    **Arguments:** `subject`: whose they are. `command`: that makes it again.
    """
    said = [_sentence(p) for p in profiles]
    sections = [
        Section(
            p.path,
            [
                "At every point the parameter is held at that value and everything else is estimated anew: red is how "
                "much less probable the best such person is, dotted how much of that the recordings say, the rest the "
                "prior. Values below the line are within the 95 % interval.",
            ],
            [("", _chart(p))],
            Table(
                ["", "low", "estimate", "high"],
                [
                    [
                        "profile likelihood", ("≤ " if p.low_open else "") + number(p.low, p.high),
                        number(p.estimate, p.low, p.high), ("≥ " if p.high_open else "") + number(p.high, p.low),
                    ],
                    ["curvature (the result's)", number(p.laplace[0], p.low, p.high), "",
                     number(p.laplace[1], p.low, p.high)],
                ],
                right=(1, 2, 3),
            ),
        )
        for p in profiles
    ]  # fmt: skip
    how = Section(
        "How to read it",
        [
            "The 95 % interval holds the values at which the logarithm of the posterior drops by less than 1.92 "
            "(Venzon and Moolgavkar 1988, doi 10.2307/2347496). Where the curve is a parabola the result’s own "
            "interval says the same; where it is bent or flat, believe the profile. An open end means that no value up "
            "to there is contradicted.",
            "To make it again:",
        ],
        command=command,
    )
    title = profiles[0].path if len(profiles) == 1 else f"{len(profiles)} parameters"
    return sections_report(
        f"{subject}: {title}", "which values the recordings contradict, whatever the other parameters are",
        [*said, next_step(profiles)], [*sections, how],
    )  # fmt: skip


def save_profile_report(path: str | Path, profiles: Sequence[Profile], subject: str, command: str) -> Path:
    """Write `profile_report`, whole or not at all."""
    return save_sections(path, profile_report(profiles, subject, command))


def _sentence(p: Profile) -> str:
    low, high = number(p.low, p.high), number(p.high, p.low)
    unit = "" if p.unit in ("-", "") else f" {p.unit}"
    if p.interrupted:
        return f"{p.path}: interrupted; between {low} and {high}{unit} nothing is contradicted so far."
    if p.low_open and p.high_open:
        return f"{p.path}: no value between its bounds, {low} and {high}{unit}, is contradicted."
    if p.low_open or p.high_open:
        side, end = ("above", high) if p.low_open else ("below", low)
        return f"{p.path}: values {side} {end}{unit} are contradicted; to the other side none is, up to the bound."
    whose = " mostly by the prior, not by the recordings" if _by_prior(p) else ""
    return f"{p.path}: values outside {low} … {high}{unit} are contradicted{whose}{_beside_curvature(p)}."


def _by_prior(p: Profile) -> bool:
    """Whether at the ends of what was tried less than half of the drop is the recordings'."""
    ends = [k for k in (0, -1) if p.drop[k] > 0.5 * DROP]
    return bool(ends) and all(p.data_drop[k] < OF_THE_PRIOR * p.drop[k] for k in ends)


def _beside_curvature(p: Profile) -> str:
    ours, theirs = p.high - p.low, p.laplace[1] - p.laplace[0]
    if not (ours > 0 and theirs > 0 and math.isfinite(theirs)):
        return ""
    if ours > FURTHER * theirs:
        return f", {ours / theirs:.1f} times as wide as the result’s own interval: that one is too narrow"
    if theirs > FURTHER * ours:
        return f"; the result’s own interval is {theirs / ours:.1f} times as wide as need be"
    return ", as the result’s own interval says"


def next_step(profiles: Sequence[Profile]) -> str:
    """What to do about the least known of them."""
    if any(p.interrupted for p in profiles):
        return "Next: run it again to the end."
    better = [p.path for p in profiles if p.better]
    if better:
        return f"Next: identify again with more starts; on the way ({better[0]}) a better person was found."
    open_ = [p.path for p in profiles if p.low_open or p.high_open or _by_prior(p)]
    if open_:
        return (
            f"Next: do not report {open_[0]} as measured; record a task that moves it (`msm.design_experiment`), or "
            "give a narrower prior that you can defend."
        )
    if any(p.high - p.low > FURTHER * (p.laplace[1] - p.laplace[0]) for p in profiles):
        return "Next: report the interval by profile likelihood; the result’s own is too narrow."
    return "Next: report the interval; both ways to find it agree."


def _chart(p: Profile) -> Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_vrect(x0=p.low, x1=p.high, fillcolor=IDENTIFIED, opacity=0.1, line_width=0)
    figure.add_hline(y=DROP, line_color="#999", line_width=1, annotation_text="95 %", annotation_position="top right")
    figure.add_trace(
        go.Scatter(
            x=short(p.values), y=short(p.data_drop), name="of which the recordings", mode="lines",
            line={"color": "#666", "dash": "dot", "width": 1.5},
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=short(p.values), y=short(p.drop), name="drop of log posterior", mode="lines+markers",
            line={"color": IDENTIFIED, "width": 2}, marker={"size": 6},
        )
    )  # fmt: skip
    for k, x in enumerate(p.laplace):
        if math.isfinite(x):
            figure.add_vline(
                x=x,
                line_color=GENERIC,
                line_dash="dash",
                line_width=1.3,
                annotation_text="" if k else "interval by curvature",
                annotation_position="top left",
            )
    figure.update_yaxes(title="drop of log posterior")
    unit = "" if p.unit in ("-", "") else f" [{p.unit}]"
    return laid_out(figure, height=340, x=f"{p.path}{unit}")
