"""What workers of the executors' tests do: in a module of its own, where other processes find it."""

import os
import signal
import time
from pathlib import Path

from mjx_msm.common.errors import InputErrors


class Unsent(Exception):
    """Can be pickled, and not read again."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}\nfell out")


def counting(folder):
    """A job notes that it began; its argument says how it goes."""

    def do(job):
        number, how = job
        notes = Path(folder) / f"{number}"
        with notes.open("a") as file:
            file.write("x")
        began = len(notes.read_text())
        if how == "dies" or (how == "dies once" and began == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "raises":
            raise ValueError("a job's own error")
        if how == "raises what cannot be sent":
            raise Unsent(1, 2)
        if how == "is wrong in two places":
            raise InputErrors(["one", "two"])
        if how == "waits":
            time.sleep(60)
        return number * 10

    return do
