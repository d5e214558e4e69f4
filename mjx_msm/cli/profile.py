"""`mjx-msm profile`: the profile likelihood of a parameter."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import Annotated

import typer

from mjx_msm.cli.console import INTERRUPTED, make_console, notes_on
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.common.file_kinds import RESULT, SUBJECT, refuse_swapped

PAGE = "profile.html"
"""The report of the parameters asked for; the result's own stays."""


def profile(
    subject: Annotated[Path, typer.Argument(help="Subject file (TOML).", show_default=False)],
    result: Annotated[Path, typer.Argument(help="Folder written by `mjx-msm identify`.", show_default=False)],
    parameter: Annotated[
        list[str], typer.Option(help="Path of an estimate (repeat), as in the table.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for figure and CSV; default: the result's.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; only write.")] = False,
) -> int:
    """Profile likelihood: which values of a parameter the recordings contradict, whatever the others are.

    Example: mjx-msm profile subject.toml runs/anna --parameter muscle/BRA/max_isometric_force
    """
    console = make_console(quiet)
    refuse_swapped("profile", (subject, SUBJECT), (result, RESULT))
    prepare_jax()
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.recordings.subject_file.loading import load_subject

    found = Identification.load(result)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were printed by identify
        study = load_subject(subject)
    from mjx_msm.study.identification import profile_study
    from mjx_msm.study.result_folder import result_folder
    from mjx_msm.study.settings import study_model
    from mjx_msm.views.figures import profile_figure
    from mjx_msm.views.report.profile_page import save_profile_report

    folder = out if out is not None else result if result.is_dir() else result.parent
    model = study_model(study.under(found.muscle_model))
    words = ["mjx-msm", "profile", str(subject), str(result), *(w for p in parameter for w in ("--parameter", p))]
    words += ["--out", str(out)] if out is not None else []
    profiles = []
    for path in parameter:
        console.print(f"{path}: everything else is estimated again at each value", style="dim", markup=False)

        def show(value: float, drop: float, path: str = path) -> None:
            # a bound at zero comes back from the logarithm as next to nothing
            shown = 0.0 if abs(value) < 1e-9 * abs(found[path].value) else value
            console.print(f"  {shown:.6g}  log posterior {-drop:+.3f}", style="dim", markup=False)

        with notes_on(console), result_folder(folder) as filled:
            made = profile_study(study, found, path, model=model, listener=show)
            name = f"profile_{path.replace('/', '_').replace('*', 'all')}"
            made.save(filled / f"{name}.csv")
            profile_figure(made).savefig(filled / f"{name}.png", dpi=130)
            profiles.append(made)
            save_profile_report(filled / PAGE, profiles, found.subject or "subject", shlex.join(words))
        console.print(str(made), markup=False, soft_wrap=True)
        console.print(f"written to {folder}: {name}.csv, {name}.png, {PAGE}", markup=False)
        if made.interrupted:
            return INTERRUPTED
    return 0
