"""People and their population in turns, until the average person stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mjx_msm.knowledge.hierarchy import STANDS
from mjx_msm.knowledge.population import Population, moved_between

People = TypeVar("People")


def in_turns(
    people: People,
    population: Callable[[People], Population | None],
    turn: Callable[[People, Population, int], People],
    turns: int,
) -> People:
    """The people of so many turns, or of fewer where the average person moves by less than `STANDS` in one before.

    **Arguments:** `people`: as they are without a population. `population`: what they lead to expect; None where that
    is nothing, and then there is no further turn. `turn`: everybody anew with what all of them lead to expect, and the
    number of the turn, from 1.
    """
    before = population(people)
    for number in range(1, turns + 1):
        if before is None:
            break
        people = turn(people, before, number)
        after = population(people)
        if after is not None and moved_between(before, after) < STANDS:
            break
        before = after
    return people
