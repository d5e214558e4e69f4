"""Finished episodes, a line each as soon as they end, so that an interruption loses nothing; the first says what of."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import write_text
from mjx_msm.verification.episode import Course

JOURNAL = "journal.jsonl"


@contextmanager
def journal(
    folder: Path, configuration: Mapping[str, Any], resume: bool
) -> Iterator[tuple[dict[int, Course], Callable[[Course], None]]]:
    """Courses that are done, by the number of their episodes, and what adds one, to them and to the file.

    **Raises:** `InputError` if the folder holds a journal and `resume` is false, if it is that of another
    configuration, or if it cannot be written.
    """
    path = folder / JOURNAL
    wanted = json.loads(json.dumps(configuration))
    done: dict[int, Course] = {}
    try:
        if path.is_file():
            if not resume:
                raise InputError(f"{folder} holds a verification; --resume goes on with it, or choose another folder")
            done, size = _read(path, wanted)
            os.truncate(path, size)  # a line that was cut off by the interruption
        else:
            write_text(path, json.dumps(wanted) + "\n")
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None
    with file:

        def add(course: Course) -> None:
            try:
                file.write(json.dumps(course.plain()) + "\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise InputError(f"{path}: cannot be written ({error.strerror}); make room, then --resume") from None
            done[course.number] = course

        yield done, add


def _read(path: Path, wanted: Mapping[str, Any]) -> tuple[dict[int, Course], int]:
    """Finished episodes of a journal, and the length of its whole lines [bytes]."""
    content = path.read_bytes()
    size = content.rfind(b"\n") + 1
    try:
        first, *rest = (json.loads(line) for line in content[:size].decode("utf-8").splitlines())
        courses = [Course.restored(data) for data in rest]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is damaged; choose another folder") from None
    for key, value in wanted.items():
        if first.get(key) != value:
            raise InputError(
                f"{path} is of another verification: {_difference(key, first.get(key), value)}; choose another folder"
            )
    return {c.number: c for c in courses}, size


def _difference(key: str, before: Any, now: Any) -> str:
    """Where two configurations part, by name."""
    if isinstance(before, dict) and isinstance(now, dict):
        for inner in dict.fromkeys((*before, *now)):
            if before.get(inner) != now.get(inner):
                return _difference(f"{key}.{inner}", before.get(inner), now.get(inner))
    return f"{key} was {_short(before)}, now {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
