"""The report of a result as one HTML file: everything it shows is in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mjx_msm.common.files import write_text
from mjx_msm.knowledge.belonging import Belonging
from mjx_msm.knowledge.judged_errors import size, too_narrow
from mjx_msm.knowledge.next_step import first_steps
from mjx_msm.knowledge.records import WITH_DISCREPANCY, Fit, Stage
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing, bounded, remark, width_text
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.knowledge.verdict import verdict
from mjx_msm.knowledge.wording import FIELDS, number, some
from mjx_msm.recordings.subject_file.model import MUSCLE_LAWS
from mjx_msm.views.replay import Replay, with_bands
from mjx_msm.views.report.charts import NAMED, correlation_chart, parameter_chart
from mjx_msm.views.report.directions import end_of, toward
from mjx_msm.views.report.from_emg import muscle_rows, steps_of
from mjx_msm.views.report.postures import angles
from mjx_msm.views.report.trial_charts import trial_charts, unseen_charts

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

REPORT = "report.html"
OPEN = 3
"""Trials whose charts are unfolded; those that were not seen all are."""
STRONGEST = NAMED
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
    name: str
    unit: str
    generic: str
    estimate: str
    interval: str
    width: str
    remark: str
    determined: bool


def report(
    result: Identification,
    trials: Sequence[Replay] = (),
    *,
    truth: Mapping[str, float] | None = None,
    of: Belonging | None = None,
) -> str:
    """The report as the text of an HTML file.

    **Arguments:** `trials`: as recorded and as simulated, of the result's folder (`mjx_msm.load_result`). `truth`: of
    somebody who is made up, by path. `of`: the study that the person is one of.
    """
    result = with_bands(result, trials)
    held = {f.trial for f in result.fits if f.role == "held-out"}
    ways = {c: toward(c, t.position[:, t.coordinates.index(c)]) for t in trials for c in t.free}
    return page(
        "page.html.j2",
        result=result,
        subject=result.subject or "subject",
        model=Path(result.source).name,
        of=of,
        verdict=verdict(result, of)[:-1],
        steps=first_steps(result, of),
        notes=[in_short(note) for note in result.notes],
        asked=[*asked(result), *([("angles", said)] if (said := angles(trials)) else [])],
        rows=[_row(result, i, ways) for i in range(len(result.estimates))],
        from_emg=steps_of(result, trials),
        muscles=muscle_rows(result),
        open_directions=[d for d in result.directions if d.knowledge is not Knowledge.DETERMINED],
        fits=result.fits,
        others=tuple(dict.fromkeys(name for f in result.fits for name in f.beside)),
        size=size,
        best=_best,
        discrepancy=any(WITH_DISCREPANCY in f.beside for f in result.fits),
        noise=[_noise(stage, result.fits) for stage in result.stages],
        hashes={in_short(name): x for name, x in result.hashes.items()},
        strongest=STRONGEST,
        against=[f for f in result.fits if f.objections],
        command=_command(result),
        doubted=any(f.doubted for f in result.fits),
        apart=any(f.apart is not None for f in result.fits),
        deviating=[f for f in result.fits if f.deviates],
        charts={t.name: _charts(t, unseen=False) for t in trials if t.name not in held},
        opened=OPEN,
        unseen=_unseen(result, [t for t in trials if t.name in held], trials),
        parameters=chart_html(parameter_chart(result, truth or {}, ways)),
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
    environment.filters |= {"with_code": _with_code, "in_short": in_short, "capital": _capital}
    return environment.get_template(template).render(**values, plotly=get_plotlyjs())


def _with_code(text: str) -> str:
    """A sentence whose `names in backticks` are set as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def save_report(
    path: str | Path,
    result: Identification,
    trials: Sequence[Replay] = (),
    *,
    truth: Mapping[str, float] | None = None,
    of: Belonging | None = None,
) -> Path:
    """Write `report`, whole or not at all."""
    path = Path(path)
    write_text(path, report(result, trials, truth=truth, of=of))
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
    silent = [muscle for muscle, mix in result.emg_map.items() if not any(mix.values())]
    trials: dict[str, list[str]] = {}
    for f in result.fits:
        if f.trial not in trials.setdefault(f.role, []):
            trials[f.role].append(f.trial)
    return [
        ("model", f"{Path(result.source).name}, muscles: {result.muscle_model}, {1000 * result.timestep:g} ms steps"),
        ("coordinates", f"free: {free}" + (f"; {held}" if held else "")),
        ("EMG channels", ", ".join(result.channels) or "none"),
        *([("held silent", ", ".join(silent))] if silent else []),
        ("fitted to", ", ".join(result.residuals) + (f" at {result.rate:g} Hz" if result.rate else "")),
        *((role, ", ".join(names)) for role, names in trials.items()),
        ("parameters", f"{len(result.estimates)} estimated"),
        *([("held as they are", held_words)] if (held_words := _held(result)) else []),
    ]


def _held(result: Identification) -> str:
    """What was not estimated: kinds of parameters, and of whom where some of a kind were; of the EMG also the value."""
    estimated = {m for u in result.unknowns for m in u.members}
    kinds: dict[tuple[str, str], dict[str, float]] = {}
    some_are: set[tuple[str, str]] = set()
    for path, value in result.parameters.items():
        group, whose, field, *_ = path.split("/")
        if path in estimated:
            some_are.add((group, field))
        else:
            kinds.setdefault((group, field), {}).setdefault(whose, value)
    said = []
    for (group, field), each in kinds.items():
        text = FIELDS.get(field, field) + (f" of {some(list(each), 4)}" if (group, field) in some_are else "")
        if group == "emg":
            values = list(dict.fromkeys(f"{x:.3g}" for x in each.values()))
            unit = " s" if field == "delay" else ""
            text += (
                f" ({values[0] if len(values) == 1 else f'{min(each.values()):.3g} to {max(each.values()):.3g}'}{unit})"
            )
        said.append(text)
    return ", ".join(said)


def _row(result: Identification, i: int, ways: Mapping[str, str]) -> _Row:
    """**Arguments:** `ways`: where coordinates go as they grow, as far as that is known."""
    e, stands, off = result.estimates[i], result.standing[i], result.off_prior[i]
    value, start, low, high = (number(x, e.start, e.low, e.high, digits=3) for x in (e.value, e.start, e.low, e.high))
    unknown = result.unknowns[i] if result.unknowns else None
    begins, ends = bounded(e, unknown) if unknown is not None else (False, False)
    void = stands is Standing.DETERMINED and too_narrow(result.fits)
    return _Row(
        e.path,
        result.names[e.path] + end_of(e.path, ways),
        e.unit,
        start,
        value,
        f"{'‖ ' if begins else ''}{low} … {high}{' ‖' if ends else ''}",
        width_text(e, unknown),
        "not to be used: intervals are too narrow" if void else remark(e, unknown, stands, off_prior=off),
        stands is Standing.DETERMINED and not void,
    )


def _command(result: Identification) -> str:
    """What makes the result again, as far as it knows: whether it was cross-validated and how, but not what else was
    asked."""
    file = next((shlex.quote(name) for name in result.hashes if name.endswith(".toml")), "subject.toml")
    cv = "" if any(f.role == "cross-validated" for f in result.fits) else " --no-cv"
    cv = f" --cv-by {result.folds}" if result.folds else cv
    law = f" --muscle {result.muscle_model}" if result.muscle_model in MUSCLE_LAWS else ""
    return f"mjx-msm identify {file} --out FOLDER{law} --starts {result.starts} --seed {result.seed}{cv}"


def _best(fit: Fit) -> list[str]:
    """The predictions with the smallest of the errors beside each other, as it is written: what reads alike is equally
    good, but a correction that corrects nothing is none."""
    said = {name: size(x, fit.unit) for name, x in {"identified": fit.identified, **fit.beside}.items()}
    least = size(min((fit.identified, *fit.beside.values())), fit.unit)
    best = [name for name, text in said.items() if text == least]
    return [name for name in best if name != WITH_DISCREPANCY or "identified" not in best]


def _charts(trial: Replay, *, unseen: bool) -> tuple[Chart, ...]:
    """Everything that is drawn of a trial."""
    return tuple(Chart(title, chart_html(figure)) for title, figure in trial_charts(trial, unseen=unseen))


def _unseen(result: Identification, held: Sequence[Replay], trials: Sequence[Replay]) -> dict[str, tuple[Chart, ...]]:
    """By a headline, what is drawn of the unseen: held-out trials, and what the folds of a cross-validation predict."""
    out = {f"{t.name}, held out": _charts(t, unseen=True) for t in held}
    known, within = {t.name: t for t in trials}, {f.trial for f in result.fits if f.within}
    for name in dict.fromkeys(u.trial for u in result.unseen):
        drawn = unseen_charts([u for u in result.unseen if u.trial == name], known.get(name))
        how = "each part predicted from the others" if name in within else "predicted from the other trials"
        out[f"{name}, {how}"] = tuple(Chart(title, chart_html(figure)) for title, figure in drawn)
    return out


def _noise(stage: Stage, fits: Sequence[Fit]) -> str:
    units = {f.kind: f.unit for f in fits}
    return ", ".join(
        f"{name} {size(x, units[kind]) if (kind := name.split('/')[0]) in units else f'{x:.3g}'}"
        for name, x in stage.noise.items()
    )


def in_short(text: str) -> str:
    """The same with a file's folder and name for its whole path: a page that is passed on tells of no machine."""
    return _LONG.sub("", text)
