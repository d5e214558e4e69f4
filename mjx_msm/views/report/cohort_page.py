"""The report of a study as one HTML file: the group, and where each person's own report lies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from mjx_msm.common.files import write_text
from mjx_msm.knowledge.cohort import Cohort, Member
from mjx_msm.knowledge.cohort_counts import by_knowledge, counted, determined_in, spreads
from mjx_msm.knowledge.cohort_details import cohort_details
from mjx_msm.knowledge.cohort_errors import others_help
from mjx_msm.knowledge.cohort_next import advice, steps_of_all
from mjx_msm.knowledge.cohort_verdict import cohort_verdict
from mjx_msm.knowledge.judged_errors import (
    POOR,
    POOR_HELD,
    TrialError,
    fitted,
    is_noise,
    measure,
    per_trial,
    pooled,
    size,
    unit_of,
    was_held,
)
from mjx_msm.knowledge.next_step import Step
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import LEGEND, Standing
from mjx_msm.views.replay import Replay
from mjx_msm.views.report.cohort_charts import overview_chart, parameter_charts, prediction_chart, truth_chart
from mjx_msm.views.report.page import REPORT, Chart, asked, chart_html, page
from mjx_msm.views.report.postures import angles, signs

UNITS = {"sex": "", "age": " [years]", "height": " [m]", "mass": " [kg]"}
MOST_TRIALS = 4
"""Trials of a person that each have a line of the table."""
OPEN = 4
"""Parameters whose charts are unfolded."""


def cohort_report(cohort: Cohort, folder: Path | None = None) -> str:
    """The report as the text of an HTML file.

    **Arguments:** `folder`: where the file will lie; names lead to those reports of people that are there.
    """
    told, postures = advice(cohort), _postures(cohort, folder)
    return page(
        "cohort.html.j2",
        cohort=cohort,
        verdict=cohort_verdict(cohort)[:-1],
        steps=[clauses(step) for step in steps_of_all(cohort)],
        asked=[*_asked(cohort), *postures],
        angles=dict(postures).get("angles", ""),
        traits=[(t, unit) for t, unit in UNITS.items() if any(t in m.traits for m in cohort.members)],
        details=cohort_details(cohort),
        rows=[_row(cohort, m, folder, told) for m in cohort.members],
        marked=any(t.no_better or t.part > POOR for r in cohort.results.values() for t in per_trial(r.fits)),
        with_others=bool(cohort.seen and any("error_with_others" in cohort.unseen_error(m) for m in cohort.members)),
        several=any(len(per_trial(r.fits)) > 1 for r in cohort.results.values()),
        helped=others_help(cohort),
        legend={s.value: words for s, words in LEGEND.items()},
        poor=POOR,
        poor_held=POOR_HELD,
        held=any(was_held(result.fits) for result in cohort.results.values()),
        prediction=chart_html(prediction_chart(cohort)),
        overview=chart_html(overview_chart(cohort)),
        truth=chart_html(truth_chart(cohort)),
        made=_made(cohort),
        versions=_versions(cohort),
        summary=_summary(cohort),
        charts=[Chart(path, chart_html(figure)) for path, figure in parameter_charts(cohort)],
        opened=OPEN,
    )


def save_cohort_report(path: str | Path, cohort: Cohort) -> Path:
    """Write `cohort_report`, whole or not at all."""
    path = Path(path)
    write_text(path, cohort_report(cohort, path.parent))
    return path


def _asked(cohort: Cohort) -> list[tuple[str, str]]:
    """What was asked of everybody; where people differ, of the first, and of how many something else was."""
    each = [dict(asked(result)) for result in cohort.results.values()]
    out = []
    for name in dict.fromkeys(name for one in each for name in one):
        said = [one.get(name, "none") for one in each]
        unlike = sum(x != said[0] for x in said)
        out.append((name, said[0] + (f" (of {unlike} people otherwise)" if unlike else "")))
    return out


def clauses(step: str) -> tuple[str, ...]:
    """What to do, and every clause of it that stands by itself: a page has a line for each."""
    outside = r" (?![^()]*\))"  # brackets
    head, *rest = re.split(rf"[:;.]{outside}", step, maxsplit=1)
    found = [head, *(clause for more in rest for clause in re.split(rf"[;.]{outside}", more))]
    return tuple(x[:1].upper() + x[1:] for x in (x.strip() for x in found) if x)


def _postures(cohort: Cohort, folder: Path | None) -> list[tuple[str, str]]:
    """Angles and signs of the recordings; where people differ, of all together."""
    if folder is None:
        return []
    each = [
        [Replay.load(p, m.result.free) for p in sorted((folder / m.folder / "trials").glob("*.csv"))]
        for m in cohort.members
        if m.result is not None
    ]
    every, said = [t for trials in each for t in trials], {angles(trials) for trials in each if trials}
    rows = {"angles": said.pop() if len(said) == 1 else angles(every), "signs": signs(every)}
    return [(name, words) for name, words in rows.items() if words]


def _made(cohort: Cohort) -> list[tuple[str, str]]:
    """How everybody was identified, and how long that took."""
    results = cohort.results.values()
    if not results:
        return []
    seconds = sorted(sum(stage.seconds for stage in r.stages) for r in results)
    starts = sorted({r.starts for r in results})
    out = [
        ("starts for each person", " to ".join(str(x) for x in dict.fromkeys((starts[0], starts[-1])))),
        (
            "seconds for each person",
            f"{seconds[0]:.1f} to {seconds[-1]:.1f}, {median(seconds):.1f} in the middle, {sum(seconds):.0f} in all; "
            "of the estimates alone, without what was compiled before, draws and cross-validation",
        ),
    ]
    if cohort.made is not None:
        asked = ", ".join(f"{key} = {str(value).lower()}" for key, value in cohort.made.asked.items())
        out.append(("asked in [run]", asked))
    turns = "none"
    if cohort.population:
        turns = (
            f"{cohort.turns}: in a turn everybody is identified anew, from the same recordings, with what all of them "
            "lead to expect as prior, till the average person stands; everybody's own result stays as it is"
        )
    return [*out, ("turns with their population", turns)]


def _versions(cohort: Cohort) -> str:
    """Of the libraries; where people were identified by several of one, all of them."""
    every: dict[str, dict[str, None]] = {}
    for r in cohort.results.values():
        for name, version in r.versions.items():
            every.setdefault(name, {})[version] = None
    return ", ".join(f"{name} {' and '.join(found)}" for name, found in every.items())


def _summary(cohort: Cohort) -> list[dict[str, str]]:
    """A row a parameter, those first that are determined in most people."""
    counts, bounds = determined_in(cohort), counted(cohort, Standing.BOUND)
    middle, units = spreads(cohort), cohort.units()
    people, out = len(cohort.identified), []
    for path in by_knowledge(cohort):
        low, mid, high = (f"{x:.4g}" for x in middle[path]) if path in middle else ("", "", "")
        out.append({
            "path": cohort.called(path), "unit": units[path].replace("-", ""),
            "people": f"{counts[path]} of {people}", "bound": f"{bounds[path]} of {people}" if path in bounds else "",
            "low": low, "middle": mid, "high": high,
        })  # fmt: skip
    return out


def _row(cohort: Cohort, m: Member, folder: Path | None, told: Mapping[str, tuple[Step, ...]]) -> dict[str, Any]:
    there = m.result is not None and folder is not None and (folder / m.folder / REPORT).is_file()
    row: dict[str, Any] = {"name": m.name, "link": f"{m.folder}/{REPORT}" if there else "", "fault": m.fault}
    row |= {name: value if isinstance(value, str) else f"{value:.4g}" for name, value in m.traits.items()}
    error = cohort.unseen_error(m)
    unit = str(error.get("unit", ""))
    for key in ("error", "spread", "rival_error", "error_with_others"):
        x = error.get(key)
        row[f"unseen_{key}"] = size(x, unit) if isinstance(x, float) else ""
    row["rely"] = cohort.rely[m.name].words if m.name in cohort.rely else ""
    row["rely_seen"] = cohort.rely_seen[m.name].words if m.name in cohort.rely_seen else ""
    row["next"] = told[m.name][0].head if m.name in told else ""
    return row | {"trials": _trials(m.result)}


def _trials(result: Identification | None) -> list[dict[str, str]]:
    """Error and spread on what a person was identified from, in numbers and words: a trial each, or all together where
    there are many."""
    rows = () if result is None else fitted(result.fits)
    if result is None or not rows:
        return [dict.fromkeys(("trial", "error", "spread", "level", "remark"), "")]
    unit = unit_of(rows, measure(rows))
    each = per_trial(result.fits)
    if len(each) > MOST_TRIALS:
        kind = measure(rows)
        error, spread, level = (pooled(rows, of, kind=kind) for of in ("identified", "spread", "level"))
        together = TrialError(f"{len(each)} trials", error, spread, level if was_held(result.fits) else 0.0,
                              is_noise(result.fits))  # fmt: skip
        each = (together,)
    return [
        {
            "trial": t.trial, "error": size(t.error, unit), "spread": size(t.spread, unit),
            "level": size(t.level, unit) if t.level else "", "remark": _remark(t),
        }
        for t in each
    ]  # fmt: skip


def _remark(t: TrialError) -> str:
    """What is to be thought of an error; "" where that is nothing."""
    if t.level:
        large = f"over {100 * POOR_HELD:.0f} % of it" if t.part > POOR_HELD else ""
        return "; ".join(x for x in (large, "its mean does as well" if t.no_better else "") if x)
    if t.part > 1.0:
        return "worse than a constant"
    return ("noise" if t.noise else f"over {100 * POOR:.0f} % left") if t.part > POOR else ""
