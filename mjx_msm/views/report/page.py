"""The report of a result as one HTML file: everything it shows is in it."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mjx_msm.common.files import write_text
from mjx_msm.knowledge.judged_errors import size
from mjx_msm.knowledge.records import WITH_DISCREPANCY, Fit, Stage
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing, remark
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.knowledge.verdict import verdict
from mjx_msm.knowledge.wording import number, with_members
from mjx_msm.recordings.subject_file.model import MUSCLE_LAWS
from mjx_msm.views.replay import Replay
from mjx_msm.views.report.charts import activation_chart, correlation_chart, parameter_chart, trial_charts

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

REPORT = "report.html"
OPEN = 3
"""Trials whose charts are unfolded."""
STRONGEST = 5
"""Directions that are named before the others are folded."""
_LONG = re.compile(r"(?<![\w*\]])(?:\.\.|[A-Za-z]:)?[\\/](?:[^\\/:'\n]+[\\/])+(?=[^\\/:'\n]+[\\/][^\\/:'\n]+)")
"""Of a path, what stands before a file and its folder."""


@dataclass(frozen=True)
class Chart:
    """A chart as part of a page."""

    title: str
    html: str


@dataclass(frozen=True)
class _Row:
    """A parameter, in words."""

    path: str
    unit: str
    generic: str
    estimate: str
    interval: str
    data: str
    remark: str
    determined: bool


def report(result: Identification, trials: Sequence[Replay] = ()) -> str:
    """The report as the text of an HTML file.

    **Arguments:** `trials`: as recorded and as simulated, of the result's folder (`mjx_msm.load_result`).
    """
    charts = {
        trial.name: (
            *(Chart(title, chart_html(figure)) for title, figure in trial_charts(trial)),
            Chart("activation of every muscle", chart_html(activation_chart(trial))),
        )
        for trial in trials
    }
    return page(
        "page.html.j2",
        result=result,
        subject=result.subject or "subject",
        model=Path(result.source).name,
        verdict=verdict(result, _bands(result, trials)),
        notes=[in_short(note) for note in result.notes],
        asked=asked(result),
        rows=[_row(result, i) for i in range(len(result.estimates))],
        open_directions=[d for d in result.directions if d.knowledge is not Knowledge.DETERMINED],
        fits=result.fits,
        others=tuple(dict.fromkeys(name for f in result.fits for name in f.beside)),
        size=size,
        best=_best,
        discrepancy=any(WITH_DISCREPANCY in f.beside for f in result.fits),
        noise=[_noise(stage, result.fits) for stage in result.stages],
        hashes={in_short(name): x for name, x in result.hashes.items()},
        strongest=STRONGEST,
        against=[f for f in result.fits if f.against],
        command=_command(result),
        doubted=any(f.doubted for f in result.fits),
        charts=charts,
        opened=OPEN,
        unseen={f.trial for f in result.fits if f.role == "held-out"},
        parameters=chart_html(parameter_chart(result)),
        correlations=chart_html(correlation_chart(result)),
    )


def page(template: str, **values: Any) -> str:
    """A template of this folder filled in, with all that its charts need."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("mjx_msm.views.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["with_code"] = _with_code
    return environment.get_template(template).render(**values, plotly=get_plotlyjs())


def _with_code(text: str) -> str:
    """A sentence whose `names in backticks` are set as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def save_report(path: str | Path, result: Identification, trials: Sequence[Replay] = ()) -> Path:
    """Write `report`, whole or not at all."""
    path = Path(path)
    write_text(path, report(result, trials))
    return path


def chart_html(figure: Figure | None) -> str:
    """A chart as part of a page that has the library; "" for none."""
    if figure is None:
        return ""
    return figure.to_html(
        full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True}
    )  # fmt: skip


def asked(result: Identification) -> list[tuple[str, str]]:
    """What was estimated, from what and how."""
    free, others = ", ".join(result.free), {"prescribed": result.prescribed, "locked": tuple(result.locked)}
    held = "; ".join(f"{name}: {', '.join(names)}" for name, names in others.items() if names)
    trials: dict[str, list[str]] = {}
    for f in result.fits:
        if f.trial not in trials.setdefault(f.role, []):
            trials[f.role].append(f.trial)
    return [
        ("model", f"{Path(result.source).name}, muscles: {result.muscle_model}, {1000 * result.timestep:g} ms steps"),
        ("coordinates", f"free: {free}" + (f"; {held}" if held else "")),
        ("EMG channels", ", ".join(result.channels) or "none"),
        ("fitted to", ", ".join(result.residuals) + (f" at {result.rate:g} Hz" if result.rate else "")),
        *((role, ", ".join(names)) for role, names in trials.items()),
        ("parameters", f"{len(result.estimates)} estimated"),
    ]


def _row(result: Identification, i: int) -> _Row:
    e, stands, off = result.estimates[i], result.standing[i], result.off_prior[i]
    value, start, low, high = (number(x, e.start, e.low, e.high) for x in (e.value, e.start, e.low, e.high))
    unknown = result.unknowns[i] if result.unknowns else None
    return _Row(
        with_members(e.path, unknown.members if unknown is not None else ()),
        e.unit,
        start,
        value,
        f"{low} … {high}",
        f"{100 * e.data_share:.0f} %",
        remark(e, unknown, stands, off_prior=off),
        stands is Standing.DETERMINED,
    )


def _command(result: Identification) -> str:
    """What makes the result again, as far as it knows: whether it was cross-validated, but not what else was asked."""
    file = next((shlex.quote(name) for name in result.hashes if name.endswith(".toml")), "subject.toml")
    cv = "" if any(f.role == "cross-validated" for f in result.fits) else " --no-cv"
    law = f" --muscle {result.muscle_model}" if result.muscle_model in MUSCLE_LAWS else ""
    return f"mjx-msm identify {file} --out FOLDER{law} --starts {result.starts} --seed {result.seed}{cv}"


def _best(fit: Fit) -> str:
    """The smallest of the errors beside each other, as it is written: what reads alike is equally good."""
    return size(min((fit.identified, *fit.beside.values())), fit.unit)


def _bands(result: Identification, trials: Sequence[Replay]) -> Mapping[str, float]:
    """By held-out trial, the least part of a recorded moment that its band holds."""
    held = {f.trial for f in result.fits if f.role == "held-out"}
    each = {t.name: [t.band_holds(k) for k in range(len(t.free))] for t in trials if t.name in held}
    known = {name: [x for x in parts if math.isfinite(x)] for name, parts in each.items()}
    return {name: min(parts) for name, parts in known.items() if parts}


def _noise(stage: Stage, fits: Sequence[Fit]) -> str:
    units = {f.kind: f.unit for f in fits}
    return ", ".join(
        f"{name} {size(x, units[kind]) if (kind := name.split('/')[0]) in units else f'{x:.3g}'}"
        for name, x in stage.noise.items()
    )


def in_short(text: str) -> str:
    """The same with a file's folder and name for its whole path: a page that is passed on tells of no machine."""
    return _LONG.sub("", text)
