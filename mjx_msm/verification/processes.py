"""Episodes on several cores at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from mjx_msm.verification.episode import Course, Episode, Rehearsal, Stage

AT_A_TIME = 4
"""Episodes that a process is given at once."""


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def courses(stage: Stage, episodes: Sequence[Episode], workers: int) -> Iterator[Course]:
    """Every episode's course, in the order they end."""
    if not episodes:
        return
    if workers == 1:
        rehearsal = Rehearsal(stage)
        for episode in episodes:
            yield rehearsal.run(episode)
        return
    # "spawn": a fork of a process in which JAX has threads may hang
    context = multiprocessing.get_context("spawn")
    queue = [list(episodes[i : i + AT_A_TIME]) for i in range(0, len(episodes), AT_A_TIME)][::-1]
    processes: dict[Any, Any] = {}
    try:
        for _ in range(min(workers, len(queue))):
            ours, theirs = context.Pipe()
            processes[ours] = context.Process(target=_work, args=(stage, theirs), daemon=True)
            processes[ours].start()
            theirs.close()
        busy = set(processes)
        for connection in processes:
            connection.send(queue.pop())
        while busy:
            for connection in wait(list(busy)):
                message = _received(connection, processes[connection])
                if message is not None:
                    yield message
                elif queue:
                    connection.send(queue.pop())  # type: ignore[attr-defined]
                else:
                    busy.remove(connection)
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.join()


def _received(connection: Any, process: Any) -> Course | None:
    """What a process sends: a course, or None at the end of its batch."""
    try:
        message = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        raise RuntimeError(f"a process that ran episodes ended by itself (exit code {process.exitcode})") from None
    if isinstance(message, BaseException):
        raise message
    return message


def _work(stage: Stage, connection: Connection) -> None:
    """Of another process: batches of episodes come in, their courses go out, None after each batch."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    warnings.simplefilter("ignore")  # what they would say, they say once in the parent's preparation
    try:
        rehearsal = Rehearsal(stage)
        while True:
            batch = connection.recv()
            for episode in batch:
                connection.send(rehearsal.run(episode))
            connection.send(None)
    except (EOFError, BrokenPipeError):  # the parent has gone
        pass
    except Exception as error:
        connection.send(error)
