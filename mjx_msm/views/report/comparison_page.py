"""Results side by side as one HTML file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mjx_msm.knowledge.comparison import DIFFERENT, Comparison, Difference
from mjx_msm.knowledge.judged_errors import measure, pooled, size, unit_of, unseen
from mjx_msm.knowledge.records import Estimate
from mjx_msm.knowledge.standing import Standing
from mjx_msm.knowledge.wording import number
from mjx_msm.views.figures import GENERIC
from mjx_msm.views.report.charts import laid_out, names_down, short
from mjx_msm.views.report.sections import Section, Table, save_sections, sections_report

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = ("#c8374d", "#4f7fa8", "#5a8f5a", "#8a5fa8", "#b5803a")
NAMED = 3


def comparison_report(found: Comparison, command: str) -> str:
    """The report as the text of an HTML file. `command`: that makes it again."""
    first = found.names[0]
    each = [found.differences(k) for k in range(1, len(found.names))]
    sections = [
        Section(
            "Parameters",
            [
                "Every positive parameter of each result, relative to the generic model of the first (the line at 1), "
                "with its 95 % interval. Pale: the recording leaves it to the prior, so that it says nothing of a "
                "difference.",
            ],
            [("", _chart(found))],
        )
    ]
    for k, rows in enumerate(each, start=1):
        sections.append(_differences(found, k, rows))
    if errors := _errors(found):
        sections.append(errors)
    asked = Section(
        "What was compared",
        ["To make it again:"],
        table=Table(
            ["", "model", "muscles", "fitted to", "parameters", "outcome"],
            [
                [name, Path(r.source).name, r.muscle_model, ", ".join(r.residuals), str(len(r.estimates)),
                 r.outcome.value]
                for name, r in zip(found.names, found.results, strict=True)
            ],
            right=(4,),
        ),
        command=command,
    )  # fmt: skip
    return sections_report(
        " and ".join(found.names) if len(found.names) < 4 else f"{len(found.names)} results",
        f"compared with {first}", verdict(found, each), [*sections, asked],
    )  # fmt: skip


def save_comparison_report(path: str | Path, found: Comparison, command: str) -> Path:
    """Write `comparison_report`, whole or not at all."""
    return save_sections(path, comparison_report(found, command))


def verdict(found: Comparison, each: Sequence[Sequence[Difference]]) -> tuple[str, ...]:
    """Which differ, which predicts better, and what to make of it."""
    others = range(1, len(found.names))
    said = [_of_parameters(found, k, rows) for k, rows in zip(others, each, strict=True)]
    best = _best(found)
    if best:
        said.append(best)
    unlike = {(r.source, r.muscle_model) for r in found.results}
    if len(unlike) > 1:
        said.append(
            "They are not of the same model or muscle law: a parameter of the same name does not mean quite the same "
            "in both."
        )
    return (*said, _next(found, each))


def _of_parameters(found: Comparison, other: int, rows: Sequence[Difference]) -> str:
    first, name = found.names[0], found.names[other]
    if found.same_recordings(other):
        return (
            f"{name} and {first} are made from the same recording, so their parameters are not compared by intervals: "
            "what differs is what was assumed. Judge them by what each predicts that neither was made from."
        )
    told = [d for d in rows if math.isfinite(d.sigmas)]
    sure = sorted((d for d in told if d.certain), key=lambda d: -abs(d.sigmas))
    if not told:
        counts = [(found.names[k], found.told(k)) for k in (0, other)]
        old = [n for n, paths in counts if paths is None]
        if old:
            return (
                f"{name} and {first}: parameters are not compared, since an earlier version did not keep what the "
                f"recording of {' and '.join(old)} says; identify again."
            )
        said = ", ".join(f"{n} tells {len(paths or ()) or 'none'}" for n, paths in counts)
        return f"{name} and {first}: no parameter is told by both recordings ({said})."
    if not sure:
        return (
            f"{name} and {first}: of {len(told)} parameters that both recordings tell of, none differs by more than "
            "chance explains."
        )
    shown = "; ".join(f"{d.path} {_ratio(d)}" for d in sure[:NAMED])
    more = f", and {len(sure) - NAMED} more" if len(sure) > NAMED else ""
    return (
        f"{name} differs from {first} in {len(sure)} of {len(told)} parameters that both recordings tell of, beyond "
        f"chance: {shown}{more}."
    )


def _ratio(d: Difference) -> str:
    return f"× {d.ratio:.2f}" if math.isfinite(d.ratio) else f"{d.first.value:.4g} → {d.second.value:.4g} {d.unit}"


def _best(found: Comparison) -> str:
    unseen_roles = ("held-out", "cross-validated")
    rows = [fits for (_, role, _, _), fits in found.common_fits() if role in unseen_roles]
    if not rows:
        return _own_errors(found)
    kind = measure([fits[0] for fits in rows])
    errors = [pooled([fits[k] for fits in rows], kind=kind) for k in range(len(found.names))]
    unit = unit_of([fits[0] for fits in rows], kind)
    best = min(range(len(errors)), key=errors.__getitem__)
    listed = ", ".join(f"{n} {size(e, unit)}" for n, e in zip(found.names, errors, strict=True))
    close = sorted(errors)[1] < 1.05 * min(errors)
    judged = "they predict alike" if close else f"{found.names[best]} predicts better"
    return f"On what none was made from and all have predicted, they miss the {kind} by: {listed}; {judged}."


def _own_errors(found: Comparison) -> str:
    """Of results that no samples can judge between: each one's error, as far as it is known."""
    said = []
    for name, result in zip(found.names, found.results, strict=True):
        rows = unseen(result.fits)
        if rows:
            kind = measure(rows)
            unit = unit_of(rows, kind)
            error, spread = pooled(rows, kind=kind), pooled(rows, "spread", kind=kind)
            said.append(f"{name} the {kind} by {size(error, unit)} of {size(spread, unit)}")
    if not said:
        return ""
    return (
        "No samples judge all of them, so which predicts better is not known. On what it was not made from, each "
        f"misses so much of its own spread: {', '.join(said)}."
    )


def _next(found: Comparison, each: Sequence[Sequence[Difference]]) -> str:
    if not any(unseen(r.fits) for r in found.results):
        return "Next: hold a trial out of each, the same task; without it neither is known to be right."
    apart = [k for k in range(1, len(found.names)) if not found.same_recordings(k)]
    if not apart:
        return "Next: keep the settings that predict better on trials you did not choose them by."
    old = [found.names[k] for k in (0, *apart) if found.told(k) is None]
    if old:
        return f"Next: identify {' and '.join(old)} again, so that what each recording says can be compared."
    compared = [each[k - 1] for k in apart]
    sure = [d for rows in compared for d in rows if d.certain]
    if sure:
        return (
            f"Next: before you believe that {sure[0].path} differs, ask whether electrodes, normalisation or lever "
            "changed between the recordings: a gain of the EMG looks like strength."
        )
    blind = [d.path for rows in compared for d in rows if not math.isfinite(d.sigmas)]
    if blind:
        return f"Next: record a task that moves {blind[0]} in both; what only a prior holds cannot differ."
    return "Next: report that no difference was found, with the intervals: how large one could have been missed."


def _differences(found: Comparison, other: int, rows: Sequence[Difference]) -> Section:
    name, same = found.names[other], found.same_recordings(other)

    def judged(d: Difference) -> str:
        if not math.isfinite(d.sigmas):
            return "same recording" if same else "left to the prior"
        return "differs" if d.certain else "may differ" if abs(d.sigmas) > DIFFERENT else ""

    table = Table(
        ["parameter", "unit", found.names[0], name, "ratio", "standard deviations apart", ""],
        [
            [
                d.path, d.unit if d.unit != "-" else "", _interval(d.first), _interval(d.second),
                f"{d.ratio:.2f}" if math.isfinite(d.ratio) else "",
                f"{d.sigmas:+.1f}" if math.isfinite(d.sigmas) else "", judged(d),
            ]
            for d in rows
        ],
        right=(2, 3, 4, 5),
        grey=[i for i, d in enumerate(rows) if not math.isfinite(d.sigmas)],
    )  # fmt: skip
    return Section(
        f"{name} beside {found.names[0]}",
        [
            "“Differs” allows for having looked at all of them (Holm; an error of 5 % together); “may differ” would, "
            "had only this one been asked about. Standard deviations are those of what each recording says without "
            "the prior that both share, and which draws them together.",
        ],
        table=table,
    )


def _interval(e: Estimate) -> str:
    value, low, high = (number(x, e.low, e.high) for x in (e.value, e.low, e.high))
    return f"{value} [{low}, {high}]"


def _errors(found: Comparison) -> Section | None:
    rows = found.common_fits()
    if not rows:
        return None
    return Section(
        "Errors on the same samples",
        ["Root mean square; the spread is that of the recording, the error of a constant."],
        table=Table(
            ["trial", "role", "kind", "coordinate", *found.names, "spread"],
            [[*key, *(size(f.identified, f.unit) for f in fits), size(fits[0].spread, fits[0].unit)]
             for key, fits in rows],
            right=tuple(range(4, 5 + len(found.names))),
        ),
    )  # fmt: skip


def _chart(found: Comparison) -> Figure:
    import plotly.graph_objects as go

    start = {e.path: e.start for e in found.results[0].estimates if e.start > 0}
    figure, names = go.Figure(), []
    for k, (name, r) in enumerate(zip(found.names, found.results, strict=True)):
        chosen = [e for e in r.estimates if e.path in start and e.value > 0 and e.low > 0]
        clear = {e.path for e, s in zip(r.estimates, r.standing, strict=True) if s is Standing.DETERMINED}
        names += [e.path for e in chosen if e.path not in names]
        x, low, high = ([getattr(e, f) / start[e.path] for e in chosen] for f in ("value", "low", "high"))
        figure.add_trace(
            go.Scatter(
                y=[e.path for e in chosen], x=short(x), mode="markers", name=name, offsetgroup=str(k),
                orientation="h",
                marker={"color": COLOURS[k % len(COLOURS)], "size": 7,
                        "opacity": [1.0 if e.path in clear else 0.35 for e in chosen]},
                error_x={"array": short([b - a for a, b in zip(x, high, strict=True)]),
                         "arrayminus": short([a - b for a, b in zip(x, low, strict=True)]),
                         "color": COLOURS[k % len(COLOURS)], "thickness": 1.5},
                customdata=[f"{_interval(e)} {e.unit}" for e in chosen],
                hovertemplate="%{y}: %{customdata}<extra>" + name.replace("<", "‹") + "</extra>",
            )
        )  # fmt: skip
    figure.update_layout(scattermode="group", scattergap=0.5)
    figure.add_vline(x=1.0, line_color=GENERIC, line_width=1.5)
    figure.update_xaxes(type="log", title="relative to the generic model")
    names_down(figure, names)
    return laid_out(figure, height=130 + (9 + 9 * len(found.names)) * len(names))
