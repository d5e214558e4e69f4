"""A file that grows by a line as soon as something is done, so that an interruption loses nothing; the first says what
of. Only its end can be cut off, and what went before stays readable."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


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
    """Adds lines to a file after its first `size` bytes; what came after them is cut off.

    **Arguments:** `synced`: how often lines are forced to the disk [s]: so much a power cut may cost. Other ends of a
    process cost nothing.

    **Raises:** `OSError` if it cannot be opened, or a line cannot be written.
    """

    def __init__(self, path: Path, size: int, *, synced: float = 0.0):
        self._file = path.open("r+b", buffering=0)
        self._file.truncate(size)
        self._file.seek(size)
        self._interval, self._last = synced, time.monotonic()

    def add(self, value: Any) -> None:
        self._file.write(json.dumps(value).encode() + b"\n")
        if time.monotonic() >= self._last + self._interval:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._last = time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


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
