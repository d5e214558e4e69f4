"""Jobs in processes of this machine.

Every process has a pipe of its own, so that the death of one is told at once, with the job it had, and leaves the
others alone: in `concurrent.futures` it would break the whole pool.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from mjx_msm.common.errors import InputError
from mjx_msm.common.executors.executor import ATTEMPTS, Attempts, cores, portable


@dataclass(frozen=True)
class Processes:
    """Spawned processes: each imports the script that asks for them, so that has to begin its work under
    ``if __name__ == "__main__":``. They end with the process that started them, however that ends."""

    workers: int | None = None
    """None: one a core."""
    attempts: int = ATTEMPTS

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers = {self.workers}; give one at least")

    def run(
        self, prepare: Callable[[Any], Callable[[Any], Any]], shared: Any, jobs: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        context = multiprocessing.get_context("spawn")  # a fork of a process in which JAX has threads may hang
        attempts, most = Attempts(len(jobs), self.attempts), self.workers or cores()
        busy: dict[Any, tuple[Any, int]] = {}
        try:
            while attempts or busy:
                while attempts and len(busy) < most:
                    ours, theirs = context.Pipe()
                    process = context.Process(target=_work, args=(prepare, shared, theirs), daemon=True)
                    process.start()
                    theirs.close()
                    busy[ours] = process, attempts.take()
                    _give(ours, jobs[busy[ours][1]])
                for connection in wait(list(busy)):
                    process, index = busy.pop(connection)
                    try:
                        done, value = connection.recv()  # type: ignore[attr-defined]
                    except (EOFError, OSError):  # of which the latter is half an answer
                        process.join()
                        lost = attempts.died(index, f"exit code {process.exitcode}")
                        if lost is not None:
                            yield index, lost
                        continue
                    if not done:
                        busy[connection] = process, index  # to be ended with the others
                        raise value
                    if attempts:
                        busy[connection] = process, attempts.take()
                        _give(connection, jobs[busy[connection][1]])
                    else:
                        connection.close()  # type: ignore[union-attr]
                    yield index, value
        finally:
            for process, _ in busy.values():
                process.terminate()
            for process, _ in busy.values():
                process.join()


def _give(connection: Any, job: Any) -> None:
    with suppress(OSError):  # it has died, which whoever listens to it is told
        connection.send(job)


def _work(prepare: Callable[[Any], Callable[[Any], Any]], shared: Any, connection: Connection) -> None:
    """Of another process: jobs come in, and for each goes out whether it was done, and its result or error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    warnings.simplefilter("ignore")  # what is to be said of its input, the parent says
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        do = prepare(shared)
        while True:
            connection.send((True, do(connection.recv())))
    except (EOFError, BrokenPipeError):  # nothing more to do
        pass
    except Exception as error:
        connection.send((False, portable(error)))


def _end_with_parent() -> None:
    """A parent that was killed starts anew somewhere else: what is done for it here would be done twice."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
