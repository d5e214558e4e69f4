"""Whoever does the jobs: every one is done, a death costs one worker, an error is the job's own, nothing is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from executor_jobs import counting

from mjx_msm import InputError
from mjx_msm.common.errors import InputErrors
from mjx_msm.common.executors.abreast import Abreast
from mjx_msm.common.executors.by_name import executor_of
from mjx_msm.common.executors.executor import InProcess, Lost
from mjx_msm.common.executors.processes import Processes
from mjx_msm.common.executors.ray_cluster import Ray

TESTS = Path(__file__).resolve().parents[1]


def begun(folder: Path) -> dict[int, int]:
    return {int(p.name): len(p.read_text()) for p in folder.iterdir()}


def test_names():
    assert isinstance(executor_of("here"), InProcess)
    assert isinstance(executor_of(None, 1), InProcess)
    assert executor_of(None, 3) == Processes(3)
    assert executor_of("ray", 2) == Ray(None, 2)
    assert executor_of("ray://head:10001") == Ray("ray://head:10001")
    assert executor_of("ray:auto") == Ray("auto")
    assert executor_of(Processes(2)) == Processes(2)
    with pytest.raises(InputError, match="'dask' is unknown; choose from: here, processes, ray"):
        executor_of("dask")
    with pytest.raises(InputError, match="workers = 0"):
        executor_of("processes", 0)


@pytest.mark.parametrize("executor", [InProcess(), Abreast(3), Processes(2)], ids=str)
def test_every_job_is_done_once(executor, tmp_path):
    jobs = [(k, "") for k in range(7)]
    assert dict(executor.run(counting, tmp_path, jobs)) == {k: 10 * k for k in range(7)}
    assert begun(tmp_path) == dict.fromkeys(range(7), 1)
    assert dict(executor.run(counting, tmp_path, [])) == {}


def _survives(executor, folder: Path) -> None:
    jobs = [(0, ""), (1, "dies once"), (2, ""), (3, "dies"), (4, "")]
    done = dict(executor.run(counting, folder, jobs))
    lost = done.pop(3)
    assert done == {0: 0, 1: 10, 2: 20, 4: 40}
    assert isinstance(lost, Lost)
    assert "not enough memory" in lost.reason
    assert begun(folder) == {0: 1, 1: 2, 2: 1, 3: executor.attempts, 4: 1}, "only what a death cost is done again"


def test_a_worker_that_dies_costs_only_its_job(tmp_path):
    _survives(Processes(2, attempts=2), tmp_path)


@pytest.mark.parametrize("executor", [InProcess(), Processes(2)], ids=str)
def test_an_error_ends_the_others(executor, tmp_path):
    began = time.monotonic()
    with pytest.raises(ValueError, match="own error"):
        list(executor.run(counting, tmp_path, [(0, "raises"), (1, "waits")]))
    assert time.monotonic() - began < 30


def test_an_error_that_cannot_be_sent_arrives_as_its_words(tmp_path):
    with pytest.raises(RuntimeError, match="Unsent: 1 and 2 fell out"):
        list(Processes(1).run(counting, tmp_path, [(0, "raises what cannot be sent")]))


def test_several_errors_arrive_as_several(tmp_path):
    with pytest.raises(InputErrors) as error:
        list(Processes(1).run(counting, tmp_path, [(0, "is wrong in two places")]))
    assert error.value.messages == ("one", "two")
    assert str(error.value) == "2 problems: (1) one; (2) two"


def test_workers_end_with_the_process_that_was_killed(tmp_path):
    code = (
        "from executor_jobs import counting; from mjx_msm.common.executors.processes import Processes\n"
        "if __name__ == '__main__':\n"
        f"    list(Processes(2).run(counting, {str(tmp_path)!r}, [(k, 'waits') for k in range(4)]))"
    )
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    driver = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})
    try:
        _wait(lambda: len(begun(tmp_path)) == 2)
        children = [int(p) for p in _children(driver.pid)]
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert len(children) >= 2
    _wait(lambda: not any(_works(pid) for pid in children))
    assert len(begun(tmp_path)) == 2, "nothing more was begun"


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _works(pid: int) -> bool:
    try:
        return "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _wait(met) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_ray_starts_a_cluster_and_survives_a_worker(monkeypatch, tmp_path):
    pytest.importorskip("ray", reason='needs the extra "ray"')
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # somebody else's, which was not asked for
    _survives(Ray(workers=2, attempts=2), tmp_path)
    with pytest.raises(ValueError, match="own error"):
        list(Ray(workers=2).run(counting, tmp_path, [(9, "raises"), (8, "waits")]))
    import ray

    assert not ray.is_initialized(), "what was started ends"


def test_ray_says_where_there_is_no_cluster():
    pytest.importorskip("ray", reason='needs the extra "ray"')
    with pytest.raises(InputError, match=r"no cluster at 127\.0\.0\.1:1 "):
        list(Ray("127.0.0.1:1").run(counting, "", [1]))


def test_ray_that_is_connected_elsewhere_is_not_taken_for_another_cluster(monkeypatch):
    ray = pytest.importorskip("ray", reason='needs the extra "ray"')
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="10.0.0.1:6379"))
    with pytest.raises(InputError, match=r"connected to 10\.0\.0\.1:6379 already, and 10\.0\.0\.2:6379 is asked for"):
        list(Ray("10.0.0.2:6379").run(counting, "", [1]))
    for address in (None, "auto", "10.0.0.1:6379"):
        with Ray(address)._connected() as connected:
            assert connected is ray
