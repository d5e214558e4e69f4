"""A study from beginning to end: everybody's result folder, one table, one report.

    OUT/people/NAME/        the result of a person, as `mjx-msm identify` writes it, and what it was made from; its
                            report tells besides what the study knows of the person
    OUT/subjects/NAME.toml  the subject file of a person whom a template describes
    OUT/turns/K/NAME/       the estimate of a person with what all of them lead to expect, which the population is of
    OUT/study.csv           a row a person
    OUT/population.json     what they lead to expect of others (`mjx_msm.knowledge.population`), of five or more
    OUT/report.html         the group

A result stands for its files (by their contents), settings and versions: what is there is not made again, and what an
interruption, a full disk or a worker's end has left out is made by the next run. A person is written whole or not at
all, by the worker that identified them.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mjx_msm.common.computed_by import code_digest
from mjx_msm.common.errors import InputError
from mjx_msm.common.executors.by_name import executor_of
from mjx_msm.common.executors.executor import Executor
from mjx_msm.common.files import alone_with, file_names, write_text
from mjx_msm.common.toml_tables import to_toml
from mjx_msm.knowledge.cohort import TABLE, TURNS, Cohort, Made, Member
from mjx_msm.knowledge.result import Identification
from mjx_msm.study.cohort_file import CohortFile, Someone
from mjx_msm.study.cohort_pages import save_pages
from mjx_msm.study.cohort_person import Asked, Job, identifier
from mjx_msm.study.cohort_turns import with_turns
from mjx_msm.study.cohort_work import Listener, Work
from mjx_msm.study.synthetic_study import load_truth
from mjx_msm.views.report.cohort_page import save_cohort_report
from mjx_msm.views.report.page import REPORT

PEOPLE, SUBJECTS, POPULATION = "people", "subjects", "population.json"


def run_study(
    study: CohortFile,
    out: str | Path,
    *,
    workers: int | None = None,
    executor: str | Executor | None = None,
    listener: Listener = lambda done, total, turn: None,
    prepare: Callable[[Asked], Callable[[Job], str]] = identifier,
) -> Cohort:
    """Identify everybody whose result is not there yet, and write the table and the report of all.

    **Arguments:** `out`: the study's folder; what is in it stays. `workers`, `executor`: as `executor_of` takes
    them; by default a process a core. `prepare`: what a worker does with a person.

    **Raises:** `InputError` if `out` cannot be written, or another process is at work there. `KeyboardInterrupt` goes
    through; everybody who is done is kept, and the next run goes on.
    """
    out = Path(out)
    who = executor_of(executor, workers, threads=True)
    with _at_work(out):
        with _writing(out):
            jobs, faults = _jobs(study, out)
        asked = Asked(study.cross_validation, study.draws, study.seed, _compile_cache())
        work = Work(who, prepare, asked, listener)
        left, failed = work.done(jobs, len(study.people))
        faults |= failed
        members = tuple(_member(p, jobs.get(p.name), out, faults) for p in study.people)
        cohort = Cohort(study.name, members, anew=len(left) - len(failed), made=_made(study)).with_population()
        cohort = with_turns(cohort, jobs, study.turns, out / TURNS, work)
        with _writing(out):
            cohort.save_table(out / TABLE)
            if cohort.population is not None:
                cohort.population.save(out / POPULATION)
            else:
                (out / POPULATION).unlink(missing_ok=True)  # of other people, or of an earlier run
            save_cohort_report(out / REPORT, cohort)
            save_pages(out, cohort)
    return cohort


def load_study(study: CohortFile, out: str | Path) -> Cohort:
    """The people whose results are in the folder of a study, of whichever version."""
    out = Path(out)
    folders = file_names(p.name for p in study.people)
    jobs = {p.name: Job(_subject(p, out, folders), out / PEOPLE / folders[p.name]) for p in study.people}
    return Cohort(study.name, tuple(_member(p, jobs[p.name], out, {}) for p in study.people), made=_made(study))


def _made(study: CohortFile) -> Made:
    asked = {key: getattr(study, key) for key in ("cross_validation", "draws", "turns", "seed")}
    return Made(f"mjx-msm study {shlex.quote(study.path.name)} --out FOLDER", study.hashes, asked, code_digest())


@contextmanager
def _at_work(out: Path) -> Iterator[None]:
    with ExitStack() as alone:
        with _writing(out):
            for part in (PEOPLE, SUBJECTS):
                (out / part).mkdir(parents=True, exist_ok=True)
            alone.enter_context(alone_with(out))
        yield


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{out}: cannot be written ({error.strerror or error}); make room, or choose another"
        ) from error


def _jobs(study: CohortFile, out: Path) -> tuple[dict[str, Job], dict[str, str]]:
    """Everybody's job, and why some have none."""
    folders = file_names(p.name for p in study.people)
    jobs: dict[str, Job] = {}
    faults = {p.name: p.fault for p in study.people if p.fault}
    for p in study.people:
        if p.fault:
            continue
        subject = _subject(p, out, folders)
        if p.document is not None:
            text = to_toml(p.document)
            if not subject.is_file() or subject.read_text(encoding="utf-8") != text:
                write_text(subject, text)
        jobs[p.name] = Job(subject.absolute(), (out / PEOPLE / folders[p.name]).absolute())
    return jobs, faults


def _subject(p: Someone, out: Path, folders: dict[str, str]) -> Path:
    return p.path if p.path is not None else out / SUBJECTS / f"{folders[p.name]}.toml"


def _member(p: Someone, job: Job | None, out: Path, faults: dict[str, str]) -> Member:
    """What there is of a person; a result that is not of this run's files does not count."""
    if job is None or p.name in faults:
        return Member(p.name, "", fault=faults.get(p.name, ""), traits=p.traits)
    folder = Path(os.path.relpath(job.folder, out.absolute())).as_posix()
    try:
        truth = load_truth(job.subject) or {}
        return Member(p.name, folder, Identification.load(job.folder), traits=p.traits, truth=truth)
    except InputError as error:
        return Member(p.name, folder, fault=str(error), traits=p.traits)


def _compile_cache() -> str | None:
    import jax

    return jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
