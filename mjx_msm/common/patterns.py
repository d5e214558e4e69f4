"""Patterns of names, as a shell has them, for names that may hold brackets: ``emg/RF [mV]/gain``."""

from fnmatch import fnmatchcase


def matches(name: str, pattern: str) -> bool:
    """Whether a name matches a pattern; its brackets may be a choice of characters, or stand for themselves."""
    return fnmatchcase(name, pattern) or ("[" in pattern and fnmatchcase(name, pattern.replace("[", "[[]")))
