"""Ctrl-C at the wrong moment: work that must not be lost is done first, and no interrupt is lost."""

from __future__ import annotations

import _thread
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN = 0.05
"""Time [s] after which a swallowed interrupt comes again."""


@contextmanager
def held_interrupts() -> Iterator[list[int]]:
    """Inside, an interrupt from the keyboard is noted and waits for whoever reads the list that is yielded.

    Outside the main thread, which alone is interrupted, this does nothing.
    """
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:  # None: not Python's to restore
        yield came
        return
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def repeated_interrupts() -> Iterator[None]:
    """Inside, an interrupt comes again until something other than a callback meets it.

    Python drops an exception that is raised where nobody could catch it: in a finaliser, or in what JAX does at every
    garbage collection. An interrupt of the keyboard that hits one of those, which during a compilation is not rare,
    would be reported as "ignored" and forgotten. One that is still to come at the end is raised there, not later.
    Outside the main thread, which alone is interrupted, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = sys.unraisablehook
    swallowed: queue.SimpleQueue[bool] = queue.SimpleQueue()
    ending, owed = threading.Event(), False

    def hook(ignored: Any) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            swallowed.put(True)  # not more than that: the next interrupt may hit here
        else:
            before(ignored)

    def watch() -> None:
        nonlocal owed
        while swallowed.get():
            if ending.wait(AGAIN):
                owed = True
            else:
                _interrupt_main_thread()

    watcher = threading.Thread(target=watch, name="interrupts", daemon=True)
    watcher.start()
    sys.unraisablehook = hook
    try:
        yield
    finally:
        try:
            with held_interrupts() as came:  # also of the one that the watcher may be sending
                ending.set()
                swallowed.put(False)
                watcher.join()
        finally:
            sys.unraisablehook = before
        if came or owed or not swallowed.empty():
            signal.raise_signal(signal.SIGINT)


def _interrupt_main_thread() -> None:
    if hasattr(signal, "pthread_kill"):  # a true signal, which also ends a wait
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
