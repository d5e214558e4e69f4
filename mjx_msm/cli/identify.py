"""`mjx-msm identify`: from a subject file to its result folder."""

from __future__ import annotations

import enum
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mjx_msm.cli.console import INTERRUPTED, contents, fail, make_console, notes_on
from mjx_msm.cli.libraries import load_libraries, prepare_jax
from mjx_msm.cli.progress import Progress
from mjx_msm.common.errors import InputError, InputWarning, one_of
from mjx_msm.recordings.subject_file.model import MUSCLE_LAWS

if TYPE_CHECKING:
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.person.model import Model
    from mjx_msm.recordings.settings import Options
    from mjx_msm.recordings.subject_file.loading import Study
    from mjx_msm.recordings.subject_file.model import ModelSpec
    from mjx_msm.recordings.subject_file.model_names import ModelNames
    from mjx_msm.study.unfinished import Unfinished


class CrossValidation(enum.StrEnum):
    """What is held out at a time; `mjx_msm.cross_validate` says more."""

    BLOCK = "block"
    TRIAL = "trial"
    TASK = "task"


def identify(
    subject: Annotated[Path, typer.Argument(help="Subject file (TOML).", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the result.", show_default=False)],
    cv: Annotated[bool, typer.Option(help="Cross-validation, where it applies: see --cv-by.")] = True,
    cv_by: Annotated[
        CrossValidation, typer.Option(help="What is held out at a time: part of every trial, a trial, or a task.")
    ] = CrossValidation.BLOCK,
    cv_search: Annotated[
        bool,
        typer.Option("--cv-search", help="By block, search from all starting points each time, not from a few."),
    ] = False,
    muscle: Annotated[
        str | None, typer.Option(help="Muscle law instead of the subject file's, e.g. degroote-compliant.")
    ] = None,
    starts: Annotated[
        int | None, typer.Option(min=1, help="Starting points; default: as the subject file says.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random starting points.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run into --out ended.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace another subject's result in --out; the same subject's always is."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; only write the result.")] = False,
) -> int:
    """Estimate a person's parameters from recordings.

    Example: mjx-msm identify subject.toml --out runs/anna
    """
    console = make_console(quiet)
    load_libraries("scipy.stats")  # and most of SciPy with it
    from mjx_msm.recordings.subject_file.loading import load_subject

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are also in study.notes, printed below
        study = load_subject(subject, _names)
    if muscle is not None:
        study = study.under(one_of("--muscle", muscle, MUSCLE_LAWS))
    prepare_jax()
    from mjx_msm.common.interrupts import held_interrupts
    from mjx_msm.knowledge.next_step import FIRST, first_steps
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.study.result_folder import check_result_folder, save_result
    from mjx_msm.study.settings import study_model
    from mjx_msm.study.synthetic_study import load_truth
    from mjx_msm.study.unfinished import Unfinished

    model = study_model(study)
    truth = load_truth(study.path)
    for note in (*study.notes, *model.host.notes):
        console.print(f"note: {note}", style="dim", markup=False)
    check_result_folder(out, study.subject.name, overwrite=overwrite)
    with notes_on(console), Unfinished.at(out, resume=resume, overwrite=overwrite) as unfinished:
        by = cv_by.value if cv else None
        result, interrupted = identify_shown(
            console, study, model, cv=by, cv_search=cv_search, starts=starts, seed=seed, quiet=quiet,
            unfinished=unfinished,
        )  # fmt: skip
        with held_interrupts():
            kept = save_result(out, study, model, result, truth=truth)
        if not interrupted:
            unfinished.ended()
    result = Identification.load(kept.folder)  # with what bands hold of the unseen, which the trials told
    console.print(result)
    if truth is not None:
        console.print()
        console.print(truth_table(result, truth))
    console.print(f"\nwritten to {kept.folder}: {', '.join(contents(kept.folder))}", markup=False)
    if not interrupted:
        for word, step in zip(("Next", *["Then"] * FIRST), first_steps(result), strict=False):
            console.print(f"{word}: {step.said}.", markup=False)
    if interrupted:
        console.print(_what_is_missing(result))
    if kept.reason:
        return fail(f"{out}: cannot be written ({kept.reason}); the result is kept in {kept.folder}")
    return INTERRUPTED if interrupted else 0


def _names(spec: ModelSpec) -> ModelNames:
    """Of the model of a subject file with something wrong in it."""
    prepare_jax()
    from mjx_msm.study.settings import model_names

    return model_names(spec)


def identify_shown(
    console: Console,
    study: Study,
    model: Model,
    *,
    cv: str | None,
    cv_search: bool = False,
    starts: int | None,
    seed: int,
    quiet: bool,
    unfinished: Unfinished | None = None,
) -> tuple[Identification, bool]:
    """The identification, its draws and its cross-validation; whether it was interrupted.

    **Arguments:** `cv`: what is held out at a time; None: no cross-validation. `cv_search`: from all starting points.
    `unfinished`: where it keeps what is
    done, and goes on from.
    """
    from mjx_msm.knowledge.posterior_draws import completed_draws
    from mjx_msm.knowledge.records import Outcome
    from mjx_msm.study.identification import can_cross_validate, cross_validated, identify_study

    asked: Options = {"seed": seed} if starts is None else {"seed": seed, "starts": starts}
    if not quiet:
        console.print("compiling first: a minute or two, less when it was done before", style="dim")
    with Progress(console, quiet) as progress:
        identified, drawn, folds = (
            (unfinished.identification, unfinished.draws, unfinished.folds) if unfinished else (None, None, None)
        )
        begun_from = unfinished.begun_from if unfinished else None
        result = identify_study(study, model, listener=progress, resume=begun_from, checkpoint=identified, **asked)
        if result.outcome is Outcome.INTERRUPTED:
            return result, True
        count = len(result.samples)
        try:
            with _or_without("people drawn from it miss the recording"):
                result = completed_draws(
                    model, study.trials, result, lambda done: progress.drawn(done, count), checkpoint=drawn
                )
            if cv is not None and can_cross_validate(study, cv):
                times = 5 if cv == "block" else len(study.trials)
                progress.ahead("cross-validation", times, sum(stage.seconds for stage in result.stages))
                with _or_without("the cross-validated error is missing"):
                    result = cross_validated(
                        study, model, result, by=cv, search=cv_search, listener=progress, checkpoint=folds, **asked
                    )
            elif cv is not None and cv != "block":
                console.print(
                    f"note: no cross-validation by {cv}: it needs two {cv}s, and moments in two where they are fitted",
                    style="dim",
                )
        except KeyboardInterrupt:
            return result, True
    return result, False


@contextmanager
def _or_without(missing: str) -> Iterator[None]:
    """What comes after the estimate: where it fails, the estimate is still worth its minutes."""
    try:
        yield
    except (InputError, MemoryError) as error:
        warnings.warn(f"{missing}: {error or 'not enough memory'}", InputWarning, stacklevel=4)


def _what_is_missing(result: Identification) -> str:
    """Of an interrupted identification."""
    if result.outcome.name == "INTERRUPTED":
        return "interrupted: the result holds the last completed iteration; --resume goes on from it"
    if result.misses_recording:
        return (
            "interrupted during the posterior's draws: the estimate is complete, but people drawn from it miss the "
            "recording; --resume goes on from there"
        )
    return "interrupted during the cross-validation: the result is complete, its cross-validated error is missing"


def truth_table(result: Identification, truth: Mapping[str, float]) -> Table:
    """Estimates against the true parameters of a synthetic subject."""
    table = Table(
        "parameter", "unit", "generic", "truth", "estimate", "error", "95 % interval", "", box=None, pad_edge=False
    )
    for column in table.columns[2:7]:
        column.justify = "right"
    inside = count = 0
    for e in result.estimates:
        if e.path not in truth:
            continue
        true = truth[e.path]
        error = 100 * (e.value - true) / abs(true) if true else math.nan
        hit = e.low <= true <= e.high
        inside, count = inside + hit, count + 1
        table.add_row(
            e.path, e.unit, f"{e.start:.4g}", f"{true:.4g}", f"{e.value:.4g}", f"{error:+.1f} %",
            f"{e.low:.4g} … {e.high:.4g}", f"[dim]{_verdict(e.determined, hit)}[/dim]",
        )  # fmt: skip
    table.caption = f"the truth lies in {inside} of {count} 95 % intervals"
    table.caption_justify = "left"
    return table


def _verdict(determined: bool, hit: bool) -> str:
    return ", ".join([*([] if hit else ["truth outside"]), *([] if determined else ["mostly prior"])])
