"""Patterns of names, as a shell has them, for names that may hold brackets: ``emg/RF [mV]/gain``."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from mjx_msm.common.errors import InputError, suggest


def matches(name: str, pattern: str) -> bool:
    """Whether a name matches a pattern; its brackets may be a choice of characters, or stand for themselves."""
    return fnmatchcase(name, pattern) or ("[" in pattern and fnmatchcase(name, pattern.replace("[", "[[]")))


def named(wanted: Iterable[str], names: Iterable[str], missing: str, *, limit: int = 6) -> tuple[str, ...]:
    """Names that are wanted, and those that wanted patterns match, each once, in the order they are asked for.

    **Arguments:** `missing`: begins the message, as in "model 'leg' has no joint"; `limit`: of names that it lists.

    **Raises:** `InputError` for one that is not there.
    """
    names, out = tuple(names), {}
    for pattern in wanted:
        hits = [n for n in names if n == pattern] or [n for n in names if matches(n, pattern)]
        if not hits:
            raise InputError(f"{missing} '{pattern}'{suggest(pattern, names, limit=limit)}")
        out |= dict.fromkeys(hits)
    return tuple(out)
