"""Fewer unknowns for recordings that say too little: which parameters to hold as they are, or to share a value, and the
lines of a subject file that do so."""

from __future__ import annotations

import json
from dataclasses import dataclass

from mjx_msm.knowledge.muscle_checks import without_effect
from mjx_msm.knowledge.records import Estimate
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing
from mjx_msm.knowledge.wording import FIELDS, some

LITTLE = (Standing.PRIOR, Standing.UNDETERMINED)
"""Of what the recordings say hardly anything."""
WORDS = 4
"""Muscles, joints or channels that are named of a kind."""


@dataclass(frozen=True)
class Fewer:
    """What to hold, what to share, and how many unknowns are left."""

    held: tuple[str, ...]
    """Paths of estimates."""
    shared: tuple[str, ...]
    """Patterns of parameters that become one unknown."""
    free: tuple[str, ...]
    """Patterns of what stays free."""
    tied: tuple[str, ...]
    before: int
    after: int

    @property
    def said(self) -> tuple[str, tuple[str, ...]]:
        """As a step: what to do, and its details."""
        told = [f"hold (as in the generic model) {'; '.join(_words(self.held))}"] if self.held else []
        told += [f"let all channels share one {FIELDS[x.split('/')[2]]}" for x in self.shared]
        lines = f"`free = {json.dumps(self.free)}`" + (f", `tied = {json.dumps(self.tied)}`" if self.tied else "")
        return (
            "free fewer parameters, as these recordings say hardly anything of so many",
            (*told, f"that leaves {self.after} of {self.before} unknowns; in [identify]: {lines}"),
        )


def fewer_unknowns(result: Identification) -> Fewer | None:
    """What to hold of a result whose recordings say too little of its parameters; None where nothing is left to hold,
    or nothing would be left free.

    Held, at the generic model's value, is what they say hardly anything of. How EMG becomes excitation has none: gains
    and delays stay free, and of shapes all channels share one. What no recording can tell (`without_effect`) is held.
    """
    if not result.unknowns:
        return None
    idle = without_effect(result)
    rows = list(zip(result.estimates, result.unknowns, result.standing, strict=True))
    shapes = [(e, s) for e, _, s in rows if _is_shape(e.path) and e.path not in idle]
    share = len(shapes) > 1 and any(s in LITTLE for _, s in shapes)
    held = [e.path for e, _, s in rows if e.path in idle or (s in LITTLE and _may_be_held(e))]
    held = [path for path in held if len(path.split("/")) == 3]  # an inertia is freed whole
    kept = [(e.path, u) for e, u, _ in rows if e.path not in held]
    after = len(kept) - (len(shapes) - 1 if share else 0)
    if not (held or share) or not after:
        return None
    tied = [path for path, u in kept if len(u.members) > 1] + (["emg/*/shape"] if share else [])
    return Fewer(
        tuple(held), ("emg/*/shape",) if share else (), _patterns(result, [path for path, _ in kept], held, share),
        tuple(tied), len(rows), after,
    )  # fmt: skip


def _is_shape(path: str) -> bool:
    return path.startswith("emg/") and path.endswith("/shape") and "*" not in path


def _may_be_held(e: Estimate) -> bool:
    """Whether a parameter has a value in the generic model that is anybody's: how much EMG is much differs with every
    electrode."""
    return not e.path.startswith("emg/")


def _patterns(result: Identification, kept: list[str], held: list[str], share: bool) -> tuple[str, ...]:
    """What stays free, of a kind of which nothing is held in one pattern."""
    out: dict[str, None] = {}
    everything: dict[tuple[str, str], set[str]] = {}
    for path in result.parameters:
        group, owner, field, *_ = path.split("/")
        everything.setdefault((group, field), set()).add(owner)
    some_held = {_kind(path) for path in held}
    estimated: dict[tuple[str, str], set[str]] = {}
    for path in kept:
        estimated.setdefault(_kind(path), set()).add(path.split("/")[1])
    for path in kept:
        group, owner, field, *_ = path.split("/")
        whole = estimated[group, field] == everything.get((group, field))
        whole &= (group, field) not in some_held
        if share and _is_shape(path):
            out["emg/*/shape"] = None
        elif field in FIELDS:
            out[f"{group}/*/{field}" if whole else f"{group}/{owner}/{field}"] = None
        else:  # a coordinate of an inertia
            out[f"{group}/{owner}/inertia"] = None
    return tuple(out)


def _kind(path: str) -> tuple[str, str]:
    group, _, field, *_ = path.split("/")
    return group, field


def _words(paths: tuple[str, ...]) -> list[str]:
    """By kind: "tendon slack length of vasmed and vaslat"."""
    owners: dict[str, list[str]] = {}
    for path in paths:
        owners.setdefault(FIELDS[path.split("/")[2]], []).append(path.split("/")[1])
    return [f"{field} of {some(each, WORDS)}" for field, each in owners.items()]
