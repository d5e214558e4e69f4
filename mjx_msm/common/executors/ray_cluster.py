"""Jobs on a Ray cluster (the extra ``[ray]``): one that runs already, or one that is started here for the purpose."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.common.executors.executor import ATTEMPTS, Attempts, cores, portable

STORE = 256 * 2**20
"""Memory for what a local cluster's workers share [bytes]; Ray would take a third of the machine's."""


@dataclass(frozen=True)
class Ray:
    """Actors of Ray, each on one core. A cluster's machines need this package, and a file system in common."""

    address: str | None = None
    """Of a running cluster ("auto", "ray://host:10001"); None: one of this machine, which ends with the work."""
    workers: int | None = None
    """None: one a core of the cluster."""
    attempts: int = ATTEMPTS

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers = {self.workers}; give one at least")

    def run(
        self, prepare: Callable[[Any], Callable[[Any], Any]], shared: Any, jobs: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        if not jobs:
            return
        with self._connected() as ray:
            deaths = ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError
            actor = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
            both = ray.put((prepare, shared))
            attempts = Attempts(len(jobs), self.attempts)
            most = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            busy: dict[Any, tuple[Any, int]] = {}
            while attempts or busy:
                while attempts and len(busy) < most:
                    worker, index = actor.remote(both), attempts.take()
                    busy[worker.do.remote(jobs[index])] = worker, index
                (answer,), _ = ray.wait(list(busy), num_returns=1)
                worker, index = busy.pop(answer)
                try:
                    done, value = ray.get(answer)
                except deaths as error:
                    lost = attempts.died(index, in_one_line(error)[:200])
                    if lost is not None:
                        yield index, lost
                    continue
                if not done:
                    raise value
                if attempts:
                    following = attempts.take()
                    busy[worker.do.remote(jobs[following])] = worker, following
                yield index, value

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Ray, with its cluster; what was connected before is taken, unless another one is asked for, and stays."""
        try:
            import ray
        except ImportError:
            raise InputError('Ray is not installed; pip install "mjx-msm[ray]", or choose processes') from None
        if ray.is_initialized():
            self._check_same(ray.get_runtime_context().gcs_address)
            yield ray
            return
        local: dict[str, Any] = {
            "num_cpus": self.workers or cores(),
            "object_store_memory": STORE,
            "runtime_env": {
                "env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            },  # as spawned ones have
        }
        if self.address:
            _check_there(self.address)
        try:
            ray.init(
                # without "local" it would follow RAY_ADDRESS, or join a cluster that runs here already
                self.address or "local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
                **({} if self.address else local),
            )  # fmt: skip
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = f"at {self.address}" if self.address else "on this machine"
            raise InputError(
                f"Ray: no cluster {where} ({in_one_line(error)[:200]}); start one, or leave it out"
            ) from None
        try:
            yield ray
        finally:
            ray.shutdown()

    def _check_same(self, connected: str) -> None:
        if self.address not in (None, "auto", connected):
            raise InputError(
                f"Ray: this process is connected to {connected} already, and {self.address} is asked for; call "
                'ray.shutdown() before, or give "ray", which takes what is connected'
            )


def _check_there(address: str) -> None:
    """Ray would look for minutes for a cluster that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise InputError(
                f"Ray: no cluster at {address} ({error.strerror or error}); start one, or leave it out"
            ) from None


class _Worker:
    """Does jobs; an actor of Ray."""

    def __init__(self, both: tuple[Callable[[Any], Callable[[Any], Any]], Any]):
        self._both, self._do = both, None

    def do(self, job: Any) -> tuple[bool, Any]:
        """Whether it was done, and its result or error."""
        try:
            if self._do is None:
                prepare, shared = self._both
                self._do = prepare(shared)
            return True, self._do(job)
        except Exception as error:
            return False, portable(error)
