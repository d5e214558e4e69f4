"""A verification in words and files: tables for the terminal, report.md, results.csv, summary.json."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mjx_msm.common.files import write_text
from mjx_msm.common.printable import printable
from mjx_msm.envs.tasks.disturbance import NOTHING
from mjx_msm.verification.episode import POINT
from mjx_msm.verification.findings import ANY, FEWEST, SIGNIFICANT, Findings, Proportion, Row, Worst

Cells = list[str]


def percent(p: Proportion) -> str:
    """Estimate and interval, in per cent."""
    if p.certain:
        return "certain" if p.hits else "never"
    low, high = p.interval
    return f"{_per_cent(p.estimate)} [{_per_cent(low)}, {_per_cent(high)}] %"


def _per_cent(x: float) -> str:
    return f"{100 * x:.1f}" if 0 < x < 1 else f"{100 * x:.0f}"


# Tables, as headings and rows of text, for both the terminal and the report --------------------------------


def probabilities(result: Findings, *, every: bool) -> tuple[Cells, list[Cells]]:
    """Probability of each violation; `every`: also of those that nobody had."""
    head = ["scenario", "violation", "people", "n", "point estimate", "n", "worst margin", ""]
    rows = [
        [
            r.scenario,
            r.violation,
            percent(r.posterior),
            str(r.posterior.n),
            percent(r.point),
            str(r.point.n),
            margin(r.worst),
            r.verdict,
        ]
        for r in (*result.overall, *result.rows)
        if every or ((r.posterior.hits or r.point.hits) and (r.violation != ANY or r in result.overall))
    ]
    return head, rows


def margin(x: float) -> str:
    return f"{x:.2f}" if abs(x) < 1e4 else "not finite"


def who(result: Findings) -> tuple[Cells, list[Cells]]:
    """Which parameters separate violators from the rest."""
    head = ["violation", "violators", "parameter", "rank correlation", "difference", "p"]
    return head, [
        [
            s.violation,
            f"{s.violators} of {s.n}",
            s.parameter,
            f"{s.correlation:+.2f}",
            "" if math.isnan(s.difference) else f"{s.difference:+.2f} SD",
            f"{s.p:.1g}" if s.p > 1e-15 else "< 1e-15",
        ]
        for s in result.separations
    ]


def nobody(result: Findings) -> str:
    """Why no parameter is listed."""
    if result.people < FEWEST:
        return (
            f"With {result.people} people nothing is said of parameters: their correlations need {FEWEST} at least, "
            "give more --people."
        )
    return "No parameter tells violators from the rest beyond chance."


def limits(result: Findings) -> tuple[Cells, list[Cells]]:
    return ["violation", "when"], [[v.name, v.text] for v in result.violations]


def run_of(result: Findings) -> tuple[Cells, list[Cells]]:
    """What was run, but for scenarios and limits."""
    seconds = sorted(result.period * c.periods for c in result.courses)
    took = " to ".join(dict.fromkeys(f"{x:.4g}" for x in (seconds[0], seconds[-1])))
    return ["", ""], [
        ["environment", result.environment],
        *([f"argument `{name}`", _value(x)] for name, x in result.setting.items()),
        ["longest episode", f"{result.plan.seconds:g} s; took {took} s"],
        ["control", f"{1 / result.period:g} actions a second, a period of {1000 * result.period:g} ms"],
        ["controller", result.controller],
        ["subject", result.subject],
        ["people", f"{result.people} drawn, and the point estimate"],
        ["seed", str(result.seed)],
        ["versions", ", ".join(f"{name} {x}" for name, x in result.versions.items())],
    ]


def _value(x: Any) -> str:
    if isinstance(x, Mapping):
        return ", ".join(f"{name} {_value(part)}" for name, part in x.items())
    if isinstance(x, bool):
        return "yes" if x else "no"
    return "none" if x is None else f"{x:g}" if isinstance(x, int | float) else str(x)


def went_wrong(result: Findings) -> tuple[Cells, list[Cells]]:
    """Every scenario, with the distribution of its numbers."""
    head, rows = ["scenario", "disturbance"], [[s.name, s.text] for s in result.plan.scenarios]
    if result.mixed:
        head.append("probability")
        rows = [[*row, f"{s.probability:g}"] for row, s in zip(rows, result.plan.scenarios, strict=True)]
    return head, rows


def disturbances(result: Findings) -> str:
    return ", ".join(f"{k} {x:.3g}" for k, x in result.worst.episode.disturbance.items()) or "none"


def worst_text(worst: Worst) -> str:
    """The worst case in one line."""
    unit = f" {worst.violation.unit}" if worst.violation.unit else ""
    value = f"{worst.value:.4g}{unit}" if math.isfinite(worst.value) else "not finite"
    return (
        f"episode {worst.episode.number}: person {worst.episode.person}, scenario '{worst.scenario}', environment seed "
        f"{worst.seed}: {worst.violation.measure} {value} ({worst.violation.text}), margin {margin(worst.margin)}"
    )


def headline(result: Findings) -> str:
    """How bad it is, in one line."""
    every = next(r for r in result.overall if r.violation == ANY)
    where = "in the scenario drawn for them" if result.mixed else "in at least one scenario"
    return (
        f"{every.posterior.hits} of {every.posterior.n} people drawn from the posterior violate a limit {where}: "
        f"{percent(every.posterior)}; the point estimate alone: {percent(every.point)}"
    )


def missed_text(result: Findings) -> str:
    """What the point estimate alone would have said wrongly, in one line."""
    rows = [r for r in result.rows if r.violation != ANY]
    missed, understated, unseen = (
        sum(r.verdict == kind for r in rows) for kind in ("missed", "understated", "not seen")
    )
    return (
        f"Of {sum(bool(r.posterior.hits) for r in rows)} combinations of scenario and violation that occur, the point "
        f"estimate alone misses {missed} and understates {understated}; {unseen} more it does not show, but in so few "
        "people that it may be chance."
    )


def tables(result: Findings) -> Iterator[Any]:
    """For the terminal."""
    from rich.markup import escape

    yield escape(printable(headline(result)))
    yield ""
    head, rows = probabilities(result, every=False)
    if rows:
        yield _table(head, rows, right=(2, 3, 4, 5, 6))
        yield ""
    clean = sum(not r.posterior.hits and r.violation != ANY for r in result.rows)
    if clean:
        n = min(r.posterior.n for r in result.rows)
        yield (
            f"{clean} other combinations of scenario and violation never occurred; with 95 % confidence each is rarer "
            f"than {_per_cent(Proportion(0, n).interval[1])} % (n = {n})"
        )
    yield escape(missed_text(result))
    head, rows = who(result)
    if rows:
        yield ""
        yield "what tells the violators from the rest (measure these better):"
        yield _table(head, rows, right=(3, 4, 5))
    elif result.people < FEWEST:
        yield escape(nobody(result))
    yield ""
    yield escape(printable(f"worst: {worst_text(result.worst)}"))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: tuple[int, ...]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False)
    for i in right:
        table.columns[i].justify = "right"
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    return table


# Files -----------------------------------------------------------------------------------------------------


def write_report(folder: str | Path, result: Findings, command: str, video: str | None = None) -> None:
    """Write report.md, results.csv and summary.json.

    **Arguments:** `command`: that made it, without ``--out``. `video`: of the worst case, in the same folder.
    """
    folder = Path(folder)
    write_text(folder / "results.csv", _results(result))
    write_text(folder / "summary.json", json.dumps(_summary(result), indent=1) + "\n")
    write_text(folder / "report.md", printable(_report(result, command, video)))


def _report(result: Findings, command: str, video: str | None) -> str:
    lines = [
        f"# Verification of {result.environment} with controller {result.controller}",
        "",
        f"Subject `{result.subject}`: {result.people} people drawn from the posterior of the identification, "
        f"{len(result.episodes)} episodes, seed {result.seed}.",
        "",
        f"**{headline(result)}.** {missed_text(result)}",
        "",
        "Intervals are Clopper–Pearson's, 95 %. They speak of the people and disturbances that are drawn here: what "
        "the model, the posterior or the list of scenarios leaves out is not in them.",
        *(f"\nNote: {note}." for note in result.notes),
        "",
        "## What was run",
        "",
        *_markdown(*run_of(result)),
        "",
        "Numbers of a disturbance are drawn anew for every person and scenario, independently; one beyond what is "
        f"possible is the nearest possible. What a scenario does not name: onset {NOTHING.onset:g} s, duration to the "
        f"episode's end, tremor_frequency {NOTHING.tremor_frequency:g} Hz, all else 0.",
        "",
        *_markdown(*went_wrong(result)),
        "",
        f"Measures are samples, one at the end of every control period ({1000 * result.period:g} ms): what happens in "
        "between is not seen, a force's peak for one. The contact force alone is the greatest of every period.",
        "",
        "## Probability of each violation",
        "",
        "“People”: drawn from the posterior. “Point estimate”: the most probable person under the same disturbances; "
        "“never” and “certain” where nothing in a scenario is random, so that one episode says it all. “Missed”: it "
        "happens to people and never to the point estimate, and to so many that chance does not explain it; “not "
        "seen”: it never happens to the point estimate, but chance may explain that; “understated”: it happens to the "
        "point estimate too, but less often than to people. Chance is judged pair by pair, each person against the "
        f"point estimate under the same disturbances (exact McNemar test, p < {SIGNIFICANT:g} for each row, not "
        "corrected for their number). Where the point estimate is certain, its probability is known to be 0 or 1; it "
        "is then compared with the people's interval, and one person is enough. A margin of 1 is the limit.",
        "",
        *_markdown(*probabilities(result, every=True)),
        "",
        "## Who violates",
        "",
    ]
    head, rows = who(result)
    if rows:
        lines += [
            "Parameters whose rank correlation with a person's largest margin is beyond chance (Spearman; p times the "
            f"number of parameters and violations tested below {SIGNIFICANT:g}), and by how many standard deviations "
            "of everybody the violators' mean differs from the rest's. A better measurement of these tells whether "
            "this person is among the violators.",
            "",
            *_markdown(head, rows),
        ]
    else:
        lines += [nobody(result)]
    lines += [
        "",
        "## Worst case",
        "",
        worst_text(result.worst)[0].upper() + worst_text(result.worst)[1:] + ".",
        f"Disturbance: {disturbances(result)}.",
        *([f"Video: [{video}]({video}), slow motion; measures over time beside it."] if video else []),
        "",
        "To see it again:",
        "",
        "```bash",
        f"{command} --episode {result.worst.episode.number} --out FOLDER",
        "```",
        "",
        "## Limits",
        "",
        *_markdown(*limits(result)),
    ]
    return "\n".join(lines) + "\n"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    return [line(head), "|" + "---|" * len(head), *(line(r) for r in rows)]


def _results(result: Findings) -> str:
    """A row for every episode."""
    text = io.StringIO()
    names = [v.name for v in result.violations]
    fields = sorted({k for e in result.episodes for k in e.disturbance})
    measures = sorted({k for c in result.courses for k in c.summary})
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["episode", "person", "scenario", "seed", "periods"]
        + [f"disturbance/{k}" for k in fields]
        + [f"{what}/{n}" for n in names for what in ("violated", "margin", "value")]
        + measures
    )
    for e, c in zip(result.episodes, result.courses, strict=True):
        person = "point estimate" if e.person == POINT else e.person
        row: list[Any] = [e.number, person, result.scenarios[e.scenario], e.seed, c.periods]
        row += [e.disturbance.get(k, "") for k in fields]
        for hit, m, value in zip(c.violated, c.margins, c.values, strict=True):
            row += [int(hit), m, value]
        writer.writerow(row + [c.summary.get(k, "") for k in measures])
    return text.getvalue()


def _summary(result: Findings) -> dict[str, Any]:
    def share(p: Proportion) -> dict[str, Any]:
        low, high = p.interval
        return {"count": p.hits, "n": p.n, "estimate": p.estimate, "low": low, "high": high, "certain": p.certain}

    def row(r: Row) -> dict[str, Any]:
        return {
            "scenario": r.scenario,
            "violation": r.violation,
            "people": share(r.posterior),
            "point_estimate": share(r.point),
            "worst_margin": r.worst,
            "only_person": r.more,
            "only_point_estimate": r.fewer,
            "p": r.p,
            "verdict": r.verdict,
        }

    worst = result.worst
    return {
        "environment": result.environment,
        "subject": result.subject,
        "controller": result.controller,
        "people": result.people,
        "seed": result.seed,
        "setting": dict(result.setting),
        "control_period": result.period,
        "plan": result.plan.plain(),
        "versions": dict(result.versions),
        "overall": [row(r) for r in result.overall],
        "scenarios": [row(r) for r in result.rows],
        "separations": [
            {k: None if isinstance(x, float) and math.isnan(x) else x for k, x in s._asdict().items()}
            for s in result.separations
        ],
        "worst": {
            "episode": worst.episode.number,
            "person": worst.episode.person,
            "scenario": worst.scenario,
            "seed": worst.seed,
            "disturbance": dict(worst.episode.disturbance),
            "violation": worst.violation.name,
            "margin": worst.margin,
            "value": worst.value if math.isfinite(worst.value) else None,
        },
    }
