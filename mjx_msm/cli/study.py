"""`mjx-msm study`: many people, from a study file to a table and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mjx_msm.cli.console import INTERRUPTED, make_console, notes_on
from mjx_msm.cli.libraries import load_libraries, prepare_jax
from mjx_msm.cli.progress import Count

FAILED = 1
"""Exit code where somebody could not be identified."""


def study(
    file: Annotated[Path, typer.Argument(help="Study file (TOML).", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder of the study.", show_default=False)],
    workers: Annotated[
        int | None, typer.Option(min=1, help="People at a time; default: one for every core.", show_default=False)
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(help="here, processes, ray, a cluster's address (ray://…), or abreast.", show_default=False),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; only write the results.")] = False,
) -> int:
    """Identify everybody of a study: a result folder each, one table, one report.

    What is done is kept: run again, it does only what is missing or was made from something else.

    Example: mjx-msm study study.toml --out runs/study
    """
    console = make_console(quiet)
    load_libraries("scipy.stats")
    from mjx_msm.study.cohort_file import load_cohort

    with notes_on(console):
        asked = load_cohort(file)
    prepare_jax()
    from mjx_msm.knowledge.cohort import TABLE
    from mjx_msm.knowledge.cohort_verdict import cohort_verdict
    from mjx_msm.study.cohort_run import POPULATION, run_study
    from mjx_msm.views.report.page import REPORT

    with notes_on(console), Count(console, "people", quiet) as count:
        try:
            cohort = run_study(asked, out, workers=workers, executor=executor, listener=count)
        except KeyboardInterrupt:
            console.print(f"interrupted: {count.done} of {count.total} {count.what} are done; run it again to go on")
            return INTERRUPTED
    for member in cohort.failed:
        console.print(f"{member.name}: {member.fault}", style="red", markup=False)
    for sentence in cohort_verdict(cohort):
        console.print(sentence, markup=False)
    files = [TABLE, *([POPULATION] if cohort.population is not None else []), REPORT]
    console.print(f"\nwritten to {out}: {', '.join(files)}, people/", markup=False)
    return FAILED if cohort.failed else 0
