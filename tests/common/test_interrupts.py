"""An interrupt waits where it is held, and nowhere else."""

import signal
import threading

import pytest

from mjx_msm.common.interrupts import held_interrupts


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
