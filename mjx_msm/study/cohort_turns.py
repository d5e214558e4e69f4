"""People of a study and their population in turns: everybody identified anew with what all of them lead to expect.

What a recording says is taken as normal about the estimate. Where a model bends, that holds near the estimate only, and
the first ones, made with the usual priors, lie between the model and the people: so would the population learned from
them. Everybody's own result stays as it is; the population is learned from the estimates of the last turn, which is the
one that hardly moves the average person any more. As `mjx_msm.identify_population` does it, whose head has the source.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.population import Population
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.turns import in_turns
from mjx_msm.study.cohort_person import Job
from mjx_msm.study.cohort_work import Work


def with_turns(cohort: Cohort, jobs: dict[str, Job], turns: int, folder: Path, work: Work) -> Cohort:
    """The people with the population of so many turns, or of fewer where it stands before.

    **Arguments:** `cohort`: with the population of their own results, or without one, which then stays so. `jobs`: that
    these came from. `folder`: for the estimates.
    """
    traits = {m.name: m.traits for m in cohort.members}

    def turn(cohort: Cohort, population: Population, number: int) -> Cohort:
        again = {
            name: replace(
                jobs[name],
                folder=(folder / str(number) / jobs[name].folder.name).absolute(),
                expected=population.expected(**traits[name]),
            )
            for name in cohort.results
            if name not in cohort.apart
        }
        _, faults = work.done(again, len(again), number)
        seen: dict[str, Identification | str] = {name: _seen(job, faults.get(name, "")) for name, job in again.items()}
        return cohort.with_population({**cohort.apart, **seen})

    return in_turns(cohort, lambda cohort: cohort.population, turn, turns)


def _seen(job: Job, fault: str) -> Identification | str:
    """The estimate of a turn, or why there is none."""
    try:
        return fault or Identification.load(job.folder)
    except InputError as error:
        return str(error)
