"""Finished episodes, a line each as soon as they end, so that an interruption loses nothing; the first says what of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError
from mjx_msm.common.journal import Journal, difference, read_journal
from mjx_msm.verification.episode import Course

JOURNAL = "journal.jsonl"


@contextmanager
def journal(
    folder: Path, configuration: Mapping[str, Any], resume: bool
) -> Iterator[tuple[dict[int, Course], Callable[[Course], None]]]:
    """Courses that are done, by the number of their episodes, and what adds one, to them and to the file.

    **Raises:** `InputError` if the folder holds a journal and `resume` is false, if it is that of another
    configuration, if another process is at work with it, or if it cannot be written.
    """
    path = folder / JOURNAL
    wanted = json.loads(json.dumps(configuration))
    done: dict[int, Course] = {}
    with ExitStack() as opened:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = opened.enter_context(Journal(path))
            if not file.size:
                file.add(wanted)
            elif not resume:
                raise InputError(f"{folder} holds a verification; --resume goes on with it, or choose another folder")
            else:
                done, size = _read(path, wanted)
                file.cut(size)  # without a line that was cut off by the interruption
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None

        def add(course: Course) -> None:
            try:
                file.add(course.plain())
            except OSError as error:
                raise InputError(f"{path}: cannot be written ({error.strerror}); make room, then --resume") from None
            done[course.number] = course

        yield done, add


def _read(path: Path, wanted: Mapping[str, Any]) -> tuple[dict[int, Course], int]:
    """Finished episodes of a journal, and the length of its whole lines [bytes]."""
    damaged = InputError(f"{path}: is damaged; choose another folder")
    held, size, length = read_journal(path)
    if not held or b"\n" in path.read_bytes()[size:length]:  # more than a line that was cut off
        raise damaged
    first, *rest = held
    try:
        courses = [Course.restored(data) for data in rest]
    except (ValueError, KeyError, TypeError):
        raise damaged from None
    known = first if isinstance(first, dict) else {}
    other = difference({key: known.get(key) for key in wanted}, wanted)
    if other is not None:
        raise InputError(f"{path} is of another verification: {other}; choose another folder")
    return {c.number: c for c in courses}, size
