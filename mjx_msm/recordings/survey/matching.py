"""Which column is a model's coordinate or muscle: one called exactly so, else one called so but for the side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.spellings import Called, called, exactly, words_of


def sides_of(names: Iterable[str]) -> set[str]:
    """The sides that names in a model say; empty where they say none."""
    return {called(n).side for n in names} - {""}


def beside(side: str, name: str, names: Sequence[str], studied: str) -> bool:
    """Whether a column of a side may belong to something in a model: of both sides, only to what is of its own.

    **Arguments:** `side`: of the column. `name`, of `names`: what it may be. `studied`: the side of the person.
    """
    if len(sides_of(names)) > 1:
        return called(name).side in ((side or studied), "")
    return side in (studied, "") or not studied


def coordinate_column(column: Seen, name: str, names: Sequence[str], side: str) -> int | None:
    """How far a column's name is from a coordinate's: 0 it is the same, 1 but for the side, 2 a spelling of it;
    None: it is another, or of the other side.
    """
    if not beside(column.called.side, name, names, side):
        return None
    if exactly(column.name, name):
        return 0
    if any(exactly(column.name, other) for other in names):
        return None
    own = called(name)
    if own.plain and column.called.plain == own.plain:
        return 1
    return 2 if same(column.called, own) else None


def same(column: Called, own: Called) -> bool:
    """Whether two names are spellings of one joint."""
    return bool(own.coordinate) and column.coordinate == own.coordinate


def muscle_column(columns: Sequence[Seen], name: str, names: Sequence[str], side: str) -> Seen | None:
    """The channel that is called like a muscle: exactly, else but for the side; None where none is."""
    own = " ".join(w for w in words_of(name) if w not in ("r", "l", "right", "left"))
    best = [(0, c) for c in columns if exactly(c.name, name)]
    best += [
        (1, c)
        for c in columns
        if beside(c.called.side, name, names, side)
        and own
        and c.called.plain == own
        and not any(exactly(c.name, other) for other in names)
    ]
    return min(best, key=lambda pair: pair[0], default=(0, None))[1]
