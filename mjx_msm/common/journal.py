"""A file that grows by a line as soon as something is done, so that an interruption loses nothing; the first says what
of. Only its end can be cut off, and what went before stays readable. One process at a time writes it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from mjx_msm.common.files import alone_with


def read_journal(path: Path) -> tuple[list[Any], int, int]:
    """What the lines of a journal hold, up to the first that is damaged; their length, and that of the file [bytes].

    **Raises:** `OSError` if it cannot be read.
    """
    content, held, good = path.read_bytes(), [], 0
    while (end := content.find(b"\n", good)) >= 0:
        try:
            held.append(json.loads(content[good:end]))
        except ValueError:  # cut off, or never written: blocks of a disk that lost power are zeros
            break
        good = end + 1
    return held, good, len(content)


class Journal:
    """Adds lines to the end of a file, which is made where there is none; no other process can meanwhile.

    **Arguments:** `synced`: how often lines are forced to the disk [s]: so much a power cut may cost. Other ends of a
    process cost nothing.

    **Raises:** `InputError` if another process has it; `OSError` if it cannot be opened, or a line cannot be written.
    """

    def __init__(self, path: Path, *, synced: float = 0.0):
        with ExitStack() as opened:
            self._file = opened.enter_context(path.open("a+b", buffering=0))
            opened.enter_context(alone_with(path))
            self._close = opened.pop_all().close
        self.size = os.fstat(self._file.fileno()).st_size
        """Length of what it holds [bytes]."""
        self._interval, self._last = synced, time.monotonic()

    def cut(self, size: int) -> None:
        """Keep the first `size` bytes only."""
        self._file.truncate(size)
        self.size = size

    def add(self, value: Any) -> None:
        """A line, whole or not at all: half of one would end what can be read."""
        line = json.dumps(value).encode() + b"\n"
        try:
            left = line
            while left:  # a disk that fills up takes a part, and says so at the next one only
                left = left[self._file.write(left) or 0 :]
        except BaseException:
            with suppress(OSError):
                self._file.truncate(self.size)
            raise
        self.size += len(line)
        if time.monotonic() >= self._last + self._interval:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._last = time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()


def difference(before: Mapping[str, Any], now: Mapping[str, Any], key: str = "") -> str | None:
    """Where two configurations part, by name: "plan.duration was 2, now 3"; None if they agree."""
    for name in dict.fromkeys((*now, *before)):
        then, new, where = before.get(name), now.get(name), f"{key}.{name}" if key else name
        if then == new:
            continue
        if isinstance(then, dict) and isinstance(new, dict):
            return difference(then, new, where)
        return f"{where} was {_short(then)}, now {_short(new)}"
    return None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
