"""Whose results tell of one population: those that came to an end, of one kind of model, with unknowns in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath

from mjx_msm.knowledge.result import Identification


def comparable(results: Mapping[str, Identification]) -> tuple[dict[str, Identification], dict[str, str]]:
    """The people to learn from, and why the others are not among them, by name.

    Of several kinds of model the one that most people have counts. Models in files of their own are of one kind where
    they have unknowns in common.
    """
    left: dict[str, str] = {}
    for who, r in results.items():
        if not r.outcome.usable:
            left[who] = r.outcome.value
        elif r.likelihood is None:
            left[who] = "identified by a version that did not keep what the recordings alone tell"
    rest = {who: r for who, r in results.items() if who not in left}
    if not rest:
        return {}, left
    (usual, _), *_ = Counter(_kind(r) for r in rest.values()).most_common(1)
    rest, others = _split(rest, {who for who, r in rest.items() if _kind(r) == usual})
    left |= {who: f"another model: {r.source}, {r.muscle_model}" for who, r in others.items()}
    unknowns = {who: {e.path for e in r.estimates} for who, r in rest.items()}
    shared = {who: {n for n, theirs in unknowns.items() if own & theirs} for who, own in unknowns.items()}
    rest, others = _split(rest, max(shared.values(), key=len))
    left |= dict.fromkeys(others, "other unknowns")
    return rest, {who: left[who] for who in results if who in left}


def _kind(result: Identification) -> tuple[str, str]:
    own_file = PurePath(result.source).suffix.lower() in (".xml", ".mjcf")
    return "" if own_file else result.source, result.muscle_model


def _split(
    results: Mapping[str, Identification], chosen: set[str]
) -> tuple[dict[str, Identification], dict[str, Identification]]:
    return {n: r for n, r in results.items() if n in chosen}, {n: r for n, r in results.items() if n not in chosen}
