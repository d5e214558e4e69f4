"""The report of a study as one HTML file: the group, and where each person's own report lies."""

from __future__ import annotations

from pathlib import Path

from mjx_msm.common.files import write_text
from mjx_msm.knowledge.cohort import Cohort, Member
from mjx_msm.knowledge.cohort_verdict import cohort_verdict, determined_in, spreads
from mjx_msm.knowledge.verdict import next_step, size
from mjx_msm.views.report.cohort_charts import overview_chart, parameter_charts, prediction_chart
from mjx_msm.views.report.page import REPORT, Chart, chart_html, page

UNITS = {"sex": "", "age": " [years]", "height": " [m]", "mass": " [kg]"}
OPEN = 4
"""Parameters whose charts are unfolded."""


def cohort_report(cohort: Cohort) -> str:
    """The report as the text of an HTML file; links in it are relative to the study's folder."""
    people = len(cohort.identified)
    counts, middle = determined_in(cohort), spreads(cohort)
    numbers = {path: [f"{x:.4g}" for x in middle[path]] if path in middle else ["", "", ""] for path in counts}
    summary = [(path, f"{n} of {people}", *numbers[path]) for path, n in counts.items()]
    return page(
        "cohort.html.j2",
        cohort=cohort,
        verdict=cohort_verdict(cohort),
        traits=[(t, unit) for t, unit in UNITS.items() if any(t in m.traits for m in cohort.members)],
        rows=[_row(cohort, m) for m in cohort.members],
        prediction=chart_html(prediction_chart(cohort)),
        overview=chart_html(overview_chart(cohort)),
        summary=summary,
        charts=[Chart(path, chart_html(figure)) for path, figure in parameter_charts(cohort)],
        opened=OPEN,
    )


def save_cohort_report(path: str | Path, cohort: Cohort) -> Path:
    """Write `cohort_report`, whole or not at all."""
    path = Path(path)
    write_text(path, cohort_report(cohort))
    return path


def _row(cohort: Cohort, m: Member) -> dict[str, str]:
    row = {"name": m.name, "link": f"{m.folder}/{REPORT}" if m.result is not None else "", "fault": m.fault}
    row |= {name: value if isinstance(value, str) else f"{value:.4g}" for name, value in m.traits.items()}
    error = cohort.unseen_error(m)
    unit = str(error.get("unit", ""))
    for key in ("error", "spread", "rival_error"):
        x = error.get(key)
        row[key] = size(x, unit) if isinstance(x, float) else ""
    row["next"] = "" if m.result is None else next_step(m.result).removeprefix("Next: ")
    return row
