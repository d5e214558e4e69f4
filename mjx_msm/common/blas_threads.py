"""Linear algebra on one thread: a core more is for another piece of the recordings, not for the same small matrix.

The matrices here are as wide as there are unknowns, a hundred or so. Threads of OpenBLAS that share one of these wait
for each other in a loop that keeps their core busy: beside other work (a second identification, tests side by side) an
arm of 40 unknowns took 52 s of two cores so, and 4 s on one thread; the compiled functions share out the work anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def one_blas_thread(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """Decorator: while the function runs, BLAS of this process has one thread; then again as many as before."""

    @wraps(function)
    def limited(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
