"""Columns of a workbook's sheets that have no header: the n-th of every sheet is of the n-th attempt, or test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mjx_msm.recordings.survey.columns import Seen


def attempt_of(name: str) -> int | None:
    """Which column of its sheet a nameless one is, from 1; None for one that has a name."""
    sheet, _, number = name.rpartition("/column ")
    return int(number) if sheet and number.isdigit() else None


def sheet_of(name: str) -> str:
    """The sheet of a nameless column."""
    return name.rpartition("/column ")[0]


def sibling(columns: Sequence[Seen], name: str, attempt: int | None) -> Seen | None:
    """The column of a channel's sheet that is of another attempt."""
    return next((c for c in columns if c.name == f"{sheet_of(name)}/column {attempt}"), None)


def of_one_attempt(columns: Sequence[Seen]) -> list[Seen]:
    """Columns that were recorded together: those of the attempt that most sheets tell of, the first of such, and what
    is of none."""
    count = Counter(a for c in columns if (a := attempt_of(c.name)) is not None)
    best = min(count, key=lambda a: (-count[a], a), default=None)
    return [c for c in columns if attempt_of(c.name) in (None, best)]


def in_order(columns: Sequence[Seen], first: int | None) -> list[Seen]:
    """One attempt first, then the others by number: sheets of several rates are in no order."""
    return sorted(columns, key=lambda c: (attempt_of(c.name) != first, attempt_of(c.name) or 0))
