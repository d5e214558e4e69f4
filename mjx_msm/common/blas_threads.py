"""Linear algebra on one thread: a core more is for another piece of the recordings, not for the same small matrix.

The matrices here are as wide as there are unknowns, a hundred or so. Threads of OpenBLAS that share one of these wait
for each other in a loop that keeps their core busy: beside other work (a second identification, tests side by side) an
arm of 40 unknowns took 52 s of two cores so, and 4 s on one thread; the compiled functions share out the work anyway.

How many there are is mostly one number of the library for the whole process. So it is counted here, for the process
too, who asks for one: the first of all calls sets it, the last one to end puts back what was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def one_blas_thread(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """Decorator: while the function runs, BLAS has one thread; then again as many as before.

    Calls may overlap, in one thread or in several: there is one until the last of them has ended, then as many as
    before the first. Other threads of the process meanwhile have one, too, but for an OpenBLAS that was built with
    OpenMP, where every thread has its own number and only those that call are limited. Who sets it by other means
    during a call has what they set until the next one begins or the last one ends.
    """

    @wraps(function)
    def limited(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        blas = ThreadpoolController().select(user_api="blas")
        by_thread = blas.select(internal_api="openblas").select(threading_layer="openmp")
        shared = [x for x in blas.lib_controllers if x not in by_thread.lib_controllers]
        with by_thread.limit(limits=1), _PROCESS.one_thread(shared):
            return function(*args, **kwargs)

    return limited


class _Process:
    """Who asks for one thread of the libraries that have one number for all threads."""

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._before: dict[str, tuple[Any, int]] = {}
        """Libraries that are limited, by their file, and their threads before."""

    @contextmanager
    def one_thread(self, libraries: list[Any]) -> Iterator[None]:
        with self._lock:
            self._inside += 1
            for library in libraries:  # the first call may have come before another library was loaded
                self._before.setdefault(library.filepath, (library, library.num_threads))
                _set(library, 1)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    for library, count in self._before.values():
                        _set(library, count)
                    self._before.clear()


_PROCESS = _Process()
"""One, as there is one of each library."""


def _set(library: Any, count: int) -> None:
    """Whoever did so last: from threadpoolctl 3.8 on only one thread can until it says that it is done, and for others
    nothing happens."""
    release = getattr(library, "clear_controlling_thread", lambda force: None)
    release(force=True)
    library.set_num_threads(count)
    release(force=True)
