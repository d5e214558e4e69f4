"""What workers of the executors' tests do: in a module of its own, where other processes find it."""

import os
import signal
import time
from pathlib import Path


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
        if how == "waits":
            time.sleep(60)
        return number * 10

    return do
