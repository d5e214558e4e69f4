"""What a person's page is told of the study that the person is one of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

STARTS = 10
"""Places to begin from that a study is advised."""
AGAIN = "and run the study again"
MORE_STARTS = f"`starts = {STARTS}` in [identify] of the subject file or template that the study names, {AGAIN}"
"""How a study begins from more places."""


@dataclass(frozen=True)
class Belonging:
    """To a study."""

    study: str
    """Its name."""
    people: int
    page: str
    """Where its report lies, relative to the person's folder."""
    told: tuple[str, ...] = ()
    """Sentences on what the study knows of this person and the person's own result does not."""
    void: str = ""
    """Why no interval is to be taken at its word, although the person's own recordings speak for it; "" where they
    are."""
    command: str = ""
    """What makes the study again."""
    searched: bool = False
    """Whether the study began once more, from where the others are, and found nothing that is much better."""

    @property
    def digest(self) -> str:
        """Of all this, by which a page is known that tells it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


def more_starts(of: Belonging | None, starts: int) -> str:
    """How to begin from more places, in the words of whoever identifies: a study's are in a file.

    **Arguments:** `starts`: that are advised of somebody who is identified alone.
    """
    return f"`--starts {starts}`" if of is None else MORE_STARTS
