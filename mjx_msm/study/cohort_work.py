"""What is to be done for people of a study, by the workers of an executor; what is there is not done again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mjx_msm.common.executors.executor import Executor, Lost
from mjx_msm.study.cohort_person import Asked, Job, up_to_date

Listener = Callable[[int, int, int], None]
"""Told how many people are done, of how many, and in which turn with their population: 0 is each alone."""


@dataclass(frozen=True)
class Work:
    """Who does it, and how."""

    executor: Executor
    prepare: Callable[[Asked], Callable[[Job], str]]
    """What a worker does with a person."""
    asked: Asked
    listener: Listener

    def done(self, jobs: Mapping[str, Job], people: int, turn: int = 0) -> tuple[tuple[str, ...], dict[str, str]]:
        """Do it for all, by name, whose result is not there.

        **Arguments:** `people`: of how many the listener is told; those without a job count as done. `turn`: the one
        that it is told.

        **Returns:** whose it was not, and, of those for whom it could not be done, why.
        """
        made_with = self.asked.made_with()
        left = {name: job for name, job in jobs.items() if not up_to_date(job, made_with)}
        finished, names, faults = people - len(left), list(left), {}
        self.listener(finished, people, turn)
        with warnings.catch_warnings():  # what a worker in this process silences is heard again afterwards
            for index, answer in self.executor.run(self.prepare, self.asked, list(left.values())):
                reason = answer.reason if isinstance(answer, Lost) else answer
                if reason:
                    faults[names[index]] = reason
                finished += 1
                self.listener(finished, people, turn)
        return tuple(left), faults
