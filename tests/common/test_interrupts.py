"""An interrupt waits where it is held, and nowhere else."""

import gc
import signal
import sys
import threading
import time

import pytest

from mjx_msm.common.interrupts import held_interrupts, repeated_interrupts


def test_it_waits_until_the_end():
    done = []
    with held_interrupts() as came:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done
    assert came == [signal.SIGINT] * 2
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_the_handler_returns_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), held_interrupts():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_have_nothing_to_hold():
    seen = []

    def work():
        with held_interrupts() as came:
            seen.append(came)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [[]]


def test_an_interrupt_that_a_callback_swallows_comes_again():
    """Raised where nobody can catch it, as in what JAX does at a garbage collection, it would be lost."""

    def swallow(phase, info):
        if not hit:
            hit.append(phase)
            signal.raise_signal(signal.SIGINT)

    hit: list[str] = []
    hook = sys.unraisablehook
    gc.callbacks.append(swallow)

    def work():
        with repeated_interrupts():
            gc.collect()
            assert hit, "swallowed"
            time.sleep(60)

    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        gc.callbacks.remove(swallow)
    assert time.monotonic() - began < 30
    assert sys.unraisablehook is hook


def test_what_else_is_ignored_is_reported_as_ever(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)

    class Bad:
        def __del__(self):
            raise ZeroDivisionError

    with repeated_interrupts():
        bad = Bad()
        del bad
        gc.collect()
    assert [s.exc_type for s in seen] == [ZeroDivisionError]


def test_one_that_is_swallowed_at_the_very_end_comes_before_the_work_is_left():
    class Swallows:
        def __del__(self):
            raise KeyboardInterrupt

    def work():
        with repeated_interrupts():
            last = Swallows()
            del last

    before, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    for _ in range(20):
        with pytest.raises(KeyboardInterrupt):
            work()
        assert signal.getsignal(signal.SIGINT) is before
        assert sys.unraisablehook is hook
    assert not [t for t in threading.enumerate() if t.name == "interrupts"]
    time.sleep(0.2)  # none comes later, where nobody expects it


def test_at_the_end_the_callers_own_handler_is_asked():
    came = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))

    class Swallows:
        def __del__(self):
            raise KeyboardInterrupt

    try:
        with repeated_interrupts():
            last = Swallows()
            del last
        assert came == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)
