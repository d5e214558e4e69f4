"""Muscles that tire together: those that drive the same joint the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.common.patterns import named
from mjx_msm.dynamics.fatigue import JOINTS, MUSCLES
from mjx_msm.person.model import Model


@dataclass(frozen=True)
class Group:
    """Some muscles, and the joint whose rates of fatigue they have a priori."""

    name: str
    muscles: tuple[str, ...]
    joint: str
    """Of `mjx_msm.dynamics.fatigue.JOINTS`."""


def muscle_groups(
    model: Model,
    strength: Float[np.ndarray, "muscle"],
    arm: Float[np.ndarray, "free muscle"],
    asked: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Group, ...]:
    """As asked for, or by the free coordinate that a muscle moves most and the direction in which it does.

    A muscle that moves no free coordinate is in no group.

    **Arguments:** `strength`: F0 [N]; `arm`: moment arms [m]; `asked`: a group's name to its muscles, or patterns.

    **Raises:** `InputError` if a pattern matches no muscle, a muscle is in two groups, or one moves nothing.
    """
    lever = strength * arm
    moves = np.abs(lever).max(axis=0) > 0
    if asked is None:
        found: dict[str, list[str]] = {}
        for m, name in enumerate(model.muscles):
            if moves[m]:
                c = int(np.abs(lever[:, m]).argmax())
                found.setdefault(f"{model.free[c]} {'+' if lever[c, m] > 0 else '-'}", []).append(name)
        return tuple(Group(name, tuple(found[name]), _joint(found[name], name)) for name in sorted(found))
    out, taken = [], {}
    for name, patterns in asked.items():
        muscles = named(patterns, model.muscles, f"group '{name}': the model has no muscle")
        for muscle in muscles:
            if muscle in taken:
                raise InputError(f"muscle '{muscle}' is in groups '{taken[muscle]}' and '{name}'; leave it in one")
            if not moves[model.muscles.index(muscle)]:
                raise InputError(
                    f"group '{name}': {muscle} moves none of {', '.join(model.free)} in this recording; leave it out"
                )
            taken[muscle] = name
        out.append(Group(name, muscles, _joint(muscles, name)))
    if not out:
        raise InputError("no muscle group was named; leave `groups` out to have them by joint and direction")
    return tuple(out)


def _joint(muscles: Sequence[str], name: str) -> str:
    """Of most of its muscles; of a model that is not bundled, one that the coordinate is called after."""
    known = Counter(MUSCLES[m] for m in muscles if m in MUSCLES)
    if known:
        return known.most_common(1)[0][0]
    return next((joint for joint in JOINTS if joint in name.lower()), "general")
