"""BLAS on one thread, for as long as it is asked for."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np  # noqa: F401  brings the library whose threads are counted
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.common.errors import InputError
from mjx_msm.identification.identify import identify


def threads():
    """Of every BLAS that has some: OpenSim's was built without."""
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {library["num_threads"] for library in blas if library.get("threading_layer") != "disabled"}


@pytest.fixture
def two():
    """Threads before."""
    if not threads():
        pytest.skip("there is no BLAS whose threads can be set")
    with threadpool_limits(limits=2, user_api="blas"):
        assert threads() == {2}
        yield


@pytest.mark.usefixtures("two")
def test_one_thread_inside_and_as_many_as_before_outside():
    @one_blas_thread
    def inside(*, fails=False):
        """What it does."""
        if fails:
            raise ValueError("no")
        return threads()

    assert inside() == {1}
    assert threads() == {2}
    with pytest.raises(ValueError, match="no"):
        inside(fails=True)
    assert threads() == {2}
    assert inside.__doc__ == "What it does."


@pytest.mark.usefixtures("two")
def test_calls_inside_calls_leave_one():
    @one_blas_thread
    def inner():
        return threads()

    @one_blas_thread
    def outer():
        return inner(), threads()

    assert outer() == ({1}, {1})
    assert threads() == {2}


@pytest.mark.usefixtures("two")
def test_calls_that_overlap_in_other_threads():
    """The first ends before the second; neither is the thread that has set two."""

    @one_blas_thread
    def call(begun, end):
        begun.set()
        assert end.wait(10)
        return threads()

    begun, end = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]
    with ThreadPoolExecutor(2) as pool:  # whose threads live on after their call
        first = pool.submit(call, begun[0], end[0])
        assert begun[0].wait(10)
        second = pool.submit(call, begun[1], end[1])
        assert begun[1].wait(10)
        end[0].set()
        assert first.result(10) == {1}
        assert threads() == {1}, "of the second call"
        end[1].set()
        assert second.result(10) == {1}
        assert threads() == {2}


@pytest.mark.usefixtures("two")
def test_identification_has_one(arm, monkeypatch):
    seen = []
    monkeypatch.setattr("mjx_msm.identification.identify.check_model", lambda model: seen.append(threads()))
    with pytest.raises(InputError):
        identify(arm, [], free=["body/*/mass"])
    assert seen == [{1}]
