"""Jobs side by side: what all of them call is called once, each sees its own values, and nobody waits for ever."""

import threading
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm import InputError
from mjx_msm.common.compiled import jit
from mjx_msm.common.executors.abreast import FEW, PEOPLE, Abreast
from mjx_msm.common.executors.by_name import executor_of
from mjx_msm.common.executors.executor import InProcess


def _sums(matrix, x, power):
    """Of a matrix that is everybody's and a vector that is somebody's: an array and a scalar."""
    y = jnp.asarray(matrix) @ jnp.asarray(x) ** power
    return {"y": y, "total": jnp.sum(y)}


@pytest.fixture
def sums(monkeypatch):
    """The function, and of every call for many how many there were and how much of it was shared."""
    function, calls = partial(jit, abreast=True)(_sums), []
    made = function.for_many

    def for_many(shared, stacked, arguments):
        calls.append((len(stacked[0]), len(shared)))
        return made(shared, stacked, arguments)

    monkeypatch.setattr(function, "for_many", for_many)
    return function, calls


def searching(shared):
    """As many calls as the job says, each with what the one before came to: an outer solver."""
    function, matrix = shared

    def do(job):
        steps, x = job
        for _ in range(steps):
            found = function(matrix, x, 2)
            x = np.asarray(found["y"]) / (1.0 + np.asarray(found["total"]))
        return x

    return do


MATRIX = np.array([[1.0, 0.5], [0.25, 1.0]], np.float32)


def test_calls_of_all_are_made_as_one_and_come_to_the_same(sums):
    function, calls = sums
    jobs = [(3, np.array([k + 1.0, 2.0], np.float32)) for k in range(6)]
    alone = dict(InProcess().run(searching, (function, MATRIX), jobs))
    assert not calls
    together = dict(Abreast().run(searching, (function, MATRIX), jobs))
    assert calls == [(6, 1)] * 3, "three calls, the matrix handed over once"
    assert list(alone) == sorted(together)
    for k, x in alone.items():
        np.testing.assert_allclose(together[k], x, rtol=1e-6)


def test_who_needs_longer_goes_on_with_a_group_filled_up_and_then_alone(sums):
    function, calls = sums
    jobs = [(k + 1, np.array([k + 1.0, 2.0], np.float32)) for k in range(8)]
    together = dict(Abreast(8).run(searching, (function, MATRIX), jobs))
    assert calls == [(8, 1)] * (8 - 8 // FEW), "compiled for eight at a time, whoever is left"
    for k, x in InProcess().run(searching, (function, MATRIX), jobs):
        np.testing.assert_allclose(together[k], x, rtol=1e-6)


def test_more_jobs_than_places_are_taken_up_as_others_end(sums):
    function, calls = sums
    jobs = [(2, np.array([k + 1.0, 2.0], np.float32)) for k in range(10)]
    assert sorted(dict(Abreast(4).run(searching, (function, MATRIX), jobs))) == list(range(10))
    assert calls[:4] == [(4, 1)] * 4


def test_an_array_that_is_written_to_between_calls_is_read_again(sums):
    function, calls = sums

    def prepare(_):
        def do(job):
            x, found = np.full(2, job, np.float32), []
            for step in range(20):
                found.append(float(function(MATRIX, x, 1)["total"]))
                x[:] = job + step + 1
            return found

        return do

    for job, found in Abreast().run(prepare, None, [1, 100]):
        np.testing.assert_allclose(found, MATRIX.sum() * ([1, 100][job] + np.arange(20)), rtol=1e-6)
    assert calls == [(2, 1)] * 20


def test_arrays_of_the_device_are_stacked_once_whoever_comes_first(monkeypatch):
    function, stacks = partial(jit, abreast=True)(_sums), []
    made = function.for_many

    def for_many(shared, stacked, arguments):
        stacks.append(stacked[0])
        return made(shared, stacked, arguments)

    monkeypatch.setattr(function, "for_many", for_many)

    def prepare(_):
        def do(job):
            x, found = jnp.full(2, float(job), jnp.float32), []
            for step in range(8):
                time.sleep(0.02 * ((job * (-1) ** step) % 4))  # 0 1 2 3, then 0 3 2 1
                found.append(float(function(MATRIX, x, 1)["total"]))
            return found

        return do

    found = dict(Abreast(5).run(prepare, None, range(4)))  # one place for nobody
    assert [len(x) for x in stacks] == [4] * 8
    assert all(x is stacks[0] for x in stacks)
    for job in range(4):
        np.testing.assert_allclose(found[job], job * MATRIX.sum(), rtol=1e-6)


def test_other_shapes_and_settings_are_other_calls(sums):
    function, calls = sums

    def prepare(_):
        return lambda job: float(function(MATRIX, job[0], job[1])["total"])

    two, three = np.ones(2, np.float32), np.ones((2, 3), np.float32)
    jobs = [(two, 1), (2 * two, 1), (two, 2), (3 * two, 2), (three, 1), (2 * three, 1)]
    found = dict(Abreast().run(prepare, None, jobs))
    alone = dict(InProcess().run(prepare, None, jobs))
    assert found == pytest.approx(alone)
    assert len(calls) == 3


def test_precision_is_that_of_whoever_calls(sums):
    function, _ = sums

    def prepare(_):
        def do(job):
            with jax.enable_x64(job):
                return function(MATRIX.astype(float), np.array([1.0, 2.0]), 1)["y"].dtype

        return do

    found = dict(Abreast().run(prepare, None, [True, False, True, False]))
    assert [str(found[k]) for k in range(4)] == ["float64", "float32"] * 2


def test_a_call_that_cannot_be_made_is_an_error_of_those_who_made_it(sums):
    function, _ = sums

    def prepare(_):
        def do(job):
            try:
                return float(function(MATRIX, np.ones(job, np.float32), 1)["total"])
            except TypeError as error:
                return type(error).__name__

        return do

    found = dict(Abreast().run(prepare, None, [2, 2, 3, 3]))
    assert found == {0: 2.75, 1: 2.75, 2: "TypeError", 3: "TypeError"}


def test_an_error_of_a_job_ends_all_and_leaves_no_thread(sums):
    function, _ = sums

    def prepare(_):
        def do(job):
            if job == 1:
                raise ValueError("a job's own error")
            for _ in range(1000):
                function(MATRIX, np.ones(2, np.float32), 1)

        return do

    with pytest.raises(ValueError, match="own error"):
        list(Abreast().run(prepare, None, range(4)))
    assert not [t for t in threading.enumerate() if t.name.startswith("job ")]


def test_whoever_ends_early_interrupts_the_others(sums):
    function, _ = sums
    jobs = [(1, MATRIX[0]), *[(10**6, MATRIX[1])] * 3]
    running = Abreast().run(searching, (function, MATRIX), jobs)
    assert next(running)[0] == 0
    running.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("job ")]


def test_by_name():
    assert executor_of("abreast", threads=True) == Abreast()
    assert executor_of("abreast", 3, threads=True) == Abreast(3)
    for asked in ("abreast", Abreast()):
        with pytest.raises(InputError, match="and there is none here; choose processes"):
            executor_of(asked)
    assert PEOPLE > 1
