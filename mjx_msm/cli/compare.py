"""`mjx-msm compare`: results side by side."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from mjx_msm.cli.console import make_console
from mjx_msm.cli.libraries import load_libraries
from mjx_msm.common.errors import InputError
from mjx_msm.common.file_kinds import RESULT, refuse_other


def compare(
    results: Annotated[
        list[Path], typer.Argument(help="Folders written by `mjx-msm identify`, two or more.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Report to write, an .html.", show_default=False)],
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; only write.")] = False,
) -> int:
    """Results side by side: a person before and after, two people, one recording with two settings.

    Says which parameters differ beyond chance, and which of them predicts better what none was made from; of one
    recording under several muscle laws, which law it prefers.

    Example: mjx-msm compare runs/before runs/after --out before_after.html
    """
    console = make_console(quiet)
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {out}: a report is a page; end its name in .html")
    for folder in results:
        refuse_other(folder, RESULT)
    load_libraries("scipy.stats")
    from mjx_msm.knowledge.comparison import compare as compared
    from mjx_msm.knowledge.law_comparison import compare_laws
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.views.report.comparison_page import save_comparison_report, verdict

    loaded = [Identification.load(folder) for folder in results]
    subjects = [r.subject or "subject" for r in loaded]
    names = subjects if len(set(subjects)) == len(subjects) else [folder.name for folder in results]
    found = compared(loaded, names)
    command = shlex.join(["mjx-msm", "compare", *map(str, results), "--out", str(out)])
    save_comparison_report(out, found, command)
    for sentence in verdict(found, [found.differences(k + 1) for k in range(len(loaded) - 1)]):
        console.print(sentence, markup=False)
    if len({r.muscle_model for r in loaded}) > 1 and any(found.same_recordings(k) for k in range(1, len(loaded))):
        console.print()
        try:
            console.print(compare_laws(dict(zip(found.names, loaded, strict=True))))
        except InputError as reason:  # the report stands: it compares what it can
            console.print(f"muscle laws are not compared: {reason}", markup=False)
    console.print(f"\nwritten to {out}", markup=False)
    return 0
