"""BLAS on one thread, for as long as it is asked for."""

import numpy as np  # noqa: F401  brings the library whose threads are counted
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.common.errors import InputError
from mjx_msm.identification.identify import identify


def threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_one_thread_inside_and_as_many_as_before_outside():
    @one_blas_thread
    def inside(*, fails=False):
        """What it does."""
        if fails:
            raise ValueError("no")
        return threads()

    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        assert inside() == {1}
        with pytest.raises(ValueError, match="no"):
            inside(fails=True)
        assert threads() == before
    assert inside.__doc__ == "What it does."


def test_identification_has_one(arm, monkeypatch):
    seen = []
    monkeypatch.setattr("mjx_msm.identification.identify.check_model", lambda model: seen.append(threads()))
    with threadpool_limits(limits=2, user_api="blas"), pytest.raises(InputError):
        identify(arm, [], free=["body/*/mass"])
    assert seen == [{1}]
