"""What a file format has to say for itself, so that a file can be taken for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mjx_msm.recordings.readers.contents import Contents

HEAD = 64 * 1024
"""Bytes from its beginning by which a file is recognised."""


@dataclass(frozen=True)
class Format:
    """A kind of file that this package reads."""

    name: str
    """As messages call it."""
    suffixes: tuple[str, ...]
    """Of its files, in lower case; no two formats share one."""
    recognise: Callable[[bytes], str | None]
    """From the first `HEAD` bytes of a file, what in them is found in this format and in no other, in words that end a
    sentence; None if nothing is."""
    read: Callable[[Path], Contents]
    """All that a file holds. What a user says of its time and rate is applied later, by `timing`."""


@dataclass(frozen=True)
class Recognised:
    """What a file was taken for, and why."""

    format: Format
    reason: str
    """In words that end a sentence."""
    as_named: bool
    """Whether its suffix says so too."""
