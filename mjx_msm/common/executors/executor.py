"""What an executor does, and the one that is this process."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mjx_msm.common.errors import in_one_line

ATTEMPTS = 3
"""How often a job is given to a worker, if workers die of it."""


@dataclass(frozen=True)
class Lost:
    """In the place of a job's result: every worker that was given it ended by itself."""

    reason: str


class Executor(Protocol):
    """Does jobs, here or elsewhere."""

    def run(
        self, prepare: Callable[[Any], Callable[[Any], Any]], shared: Any, jobs: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Every job's number and result, in the order they end; a `Lost` for one that no worker survives.

        **Arguments:** `prepare`: makes of `shared` what a worker does with a job: called once a worker. Both functions
        have to be found by other processes: at the top of a module. `jobs`, results and `shared` are pickled.

        **Raises:** what a job raises (from another process, if it cannot be pickled, a `RuntimeError` with its words);
        then, or where the caller ends early, all workers end.
        """
        ...


@dataclass(frozen=True)
class InProcess:
    """One job after the other, here: what an exception interrupts it interrupts."""

    def run(
        self, prepare: Callable[[Any], Callable[[Any], Any]], shared: Any, jobs: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        if jobs:
            do = prepare(shared)
            yield from ((index, do(job)) for index, job in enumerate(jobs))


def portable(error: Exception) -> Exception:
    """An error of a job as it reaches another process: itself, or its words if it would not survive the way."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {in_one_line(error)}")
    return error


class Attempts:
    """Jobs that are still to be given to a worker, and how often each has been."""

    def __init__(self, jobs: int, limit: int):
        self._left, self._tried, self._limit = list(range(jobs))[::-1], [0] * jobs, limit

    def __bool__(self) -> bool:
        return bool(self._left)

    def take(self) -> int:
        """The next one."""
        index = self._left.pop()
        self._tried[index] += 1
        return index

    def died(self, index: int, reason: str) -> Lost | None:
        """Its worker has: the job waits for another one, or is given up."""
        if self._tried[index] < self._limit:
            self._left.append(index)
            return None
        times = f"{self._limit} workers in turn" if self._limit > 1 else "its worker"
        return Lost(f"{times} ended by themselves at it, the last with {reason}; not enough memory is the usual cause")


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
