"""Executors by name, as the command line and Python users give them."""

from __future__ import annotations

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.executors.executor import Executor, InProcess
from mjx_msm.common.executors.processes import Processes
from mjx_msm.common.executors.ray_cluster import Ray

NAMES = ("here", "processes", "ray", "abreast")


def executor_of(asked: str | Executor | None, workers: int | None = None, *, threads: bool = False) -> Executor:
    """The executor that is meant.

    **Arguments:** `asked`: "here", "processes", "ray" (a cluster of this machine), the address of a running one
    ("ray://host:10001", or "ray:auto"), or one itself; None: processes, or this one where `workers` is 1. `threads`:
    whether jobs may be threads of this process, and "abreast" may be asked for.

    **Raises:** `InputError` if there is no such executor, or it cannot be used.
    """
    from mjx_msm.common.executors.abreast import Abreast  # brings JAX, which other processes do without

    if asked is None:
        return InProcess() if workers == 1 else Processes(workers)
    if asked == "abreast" or isinstance(asked, Abreast):
        if not threads:
            raise InputError(
                "executor 'abreast' makes one call of what people's identifications compute, and there is none here; "
                "choose processes"
            )
        return Abreast(workers) if asked == "abreast" else asked
    if not isinstance(asked, str):
        return asked
    if asked == "here":
        return InProcess()
    if asked == "processes":
        return Processes(workers)
    if asked == "ray" or asked.startswith("ray:"):
        address = asked if asked.startswith("ray://") else asked.removeprefix("ray").removeprefix(":")
        return Ray(address or None, workers)
    raise InputError(f"executor '{asked}' is unknown{suggest(asked, NAMES)}")
