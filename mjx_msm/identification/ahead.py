"""Compiling what later stages need while the first one is at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.identification.problem import Problem


@contextmanager
def compiled_ahead(problem: Problem, first: int) -> Iterator[Callable[[int, Sequence[AbstractTerm]], None]]:
    """Compile what the motion stage needs while the first stage is at work: compilers leave Python's lock alone.

    Tracing does not, so the first stage's comes before. Yields a function to call with a stage and its terms: it waits
    until what that needs is there.
    """
    motion = [k for k, (name, _) in enumerate(problem.stages) if name.startswith("motion")]
    if first > 0 or not motion or motion[0] == 0:
        yield lambda index, terms: None
        return
    pool, tracer = ThreadPoolExecutor(2), ThreadPoolExecutor(1)
    later: list[Future[Any]] = []

    def trace() -> None:
        for job in problem.motion().compile_jobs(problem.start):
            later.append(pool.submit(job))

    def compiled(index: int, terms: Sequence[AbstractTerm]) -> None:
        # what goes wrong here goes wrong again where it is used
        if index == 0:
            now = [pool.submit(job) for term in terms for job in term.compile_jobs(problem.start)]
            later.append(tracer.submit(trace))
            wait(now)
        elif index >= motion[0]:
            wait(later[:1])
            wait(later)

    try:
        yield compiled
    finally:
        tracer.shutdown(wait=False, cancel_futures=True)
        pool.shutdown(wait=False, cancel_futures=True)
