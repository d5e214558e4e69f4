"""Parameters and combinations of parameters in words: "optimal fiber length and tendon slack length of BRA"."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mjx_msm.person.space import ParameterSpace

MEMBERS = 6
"""Most parameters that are named of one combination, unless they are all of a kind."""
LEADING, TOLD = 0.4, 0.8
"""Members are named from this part of the largest weight up; it is said when they make up less than this part of the
direction (of its squared length)."""
SAME = 0.95
"""Cosine from which a direction is said to be another one."""

FIELDS = {
    "max_isometric_force": "maximal isometric force",
    "optimal_fiber_length": "optimal fiber length",
    "tendon_slack_length": "tendon slack length",
    "max_contraction_velocity": "maximal contraction velocity",
    "passive_force_scale": "passive force",
    "pennation_angle": "pennation angle",
    "activation_time_constant": "activation time constant",
    "deactivation_time_constant": "deactivation time constant",
    "passive_fiber_strain": "passive fiber strain",
    "tendon_strain": "tendon strain",
    "mass": "mass",
    "com": "centre of mass",
    "inertia": "inertia",
    "damping": "damping",
    "stiffness": "stiffness",
    "lower_passive_moment": "passive moment at the lower end",
    "lower_passive_steepness": "passive steepness at the lower end",
    "upper_passive_moment": "passive moment at the upper end",
    "upper_passive_steepness": "passive steepness at the upper end",
    "biarticular_passive_moment": "biarticular passive moment",
    "biarticular_passive_steepness": "biarticular passive steepness",
    "gain": "EMG gain",
    "delay": "EMG delay",
    "shape": "EMG shape",
    "lever": "lever of the strap",
}
SCALED = {
    "max_isometric_force": "strengths",
    "mass": "masses",
    "inertia": "inertias",
    "damping": "dampings",
    "stiffness": "stiffnesses",
    "lower_passive_moment": "passive moments",
    "upper_passive_moment": "passive moments",
    "biarticular_passive_moment": "passive moments",
}
"""What a common factor of all forces leaves the motion unchanged with, in the words for all of a kind."""
CLOSELY = "(to half of what was thought possible before, and positive ones to within a factor of two either way)"
"""How well a parameter is known that counts as determined (`mjx_msm.knowledge.standing`)."""
FLATTERS = (
    "That flatters: neighbours in time are alike, and parts of one trial share electrodes, day and task; of another "
    "trial expect a larger error."
)
"""What to think of a cross-validation within trials."""
MAY_FLATTER = "Whether that was within trials, which flatters, a file of that version does not say."
"""What to think of one of which that is not known."""


@dataclass(frozen=True)
class _Member:
    field: str
    """In words."""
    owner: str
    kind: str
    sign: float


def direction_words(
    weights: Float[np.ndarray, "free"],
    unit: Float[np.ndarray, "free"],
    space: ParameterSpace,
    z: Float[np.ndarray, "free"],
) -> str:
    """A direction of the solver's space in words.

    **Arguments:** `weights`: unit vector in units of `unit`, which is what one unit is in z. `z`: where.

    The leading members are named, grouped by muscle, segment, joint or channel; "opposed" ones go up as the others
    go down. The one direction that motion alone never tells, everything that has to do with force in proportion, is
    named as a whole.
    """
    usual = np.array([kind.prior_scale for kind in space.kinds])  # one tight prior must not stand for all
    whole, change = global_scale(space, z) / usual, weights * unit / usual
    length = float(np.linalg.norm(whole) * np.linalg.norm(change))
    if np.count_nonzero(whole) > 1 and length > 0 and abs(whole @ change) / length > SAME:
        kinds = dict.fromkeys(w for k, w in SCALED.items() if any(s.field == k for s in _moved(space, whole)))
        return f"all {_listed(kinds)} scale together"
    order = np.argsort(-np.abs(weights))
    order = order[np.abs(weights[order]) >= LEADING * np.abs(weights[order[0]])]
    leading = [space.scalars[space.owner.index(k)] for k in order]
    alike = len({(s.field, w) for s, w in zip(leading, np.sign(weights[order]), strict=True)}) == 1
    if not alike or len(order) < len(getattr(space.nominal.names, leading[0].group)):
        order = order[:MEMBERS]
    members: dict[tuple[str, str], _Member] = {}
    for k in order:
        member = _member(space, int(k), float(np.sign(weights[k])))
        members.setdefault((member.field, member.owner), member)  # coordinates of one inertia are one member
    named = list(members.values())
    more = ", among others" if np.sum(np.square(weights[order])) < TOLD else ""
    up, down = ([m for m in named if m.sign == s] for s in (1.0, -1.0))
    if len(named) == 1:
        return _grouped(named, space) + more
    if len(up) == len(down) == 1:
        return f"{_grouped(named, space)} move together (opposed){more}"
    if not down:
        return f"{_grouped(up, space)} move together{more}"
    return f"{_grouped(up, space)} against {_grouped(down, space)} move together{more}"


def global_scale(space: ParameterSpace, z: Float[np.ndarray, "free"]) -> Float[np.ndarray, "free"]:
    """Change of z when all strengths, masses, inertias, dampings and stiffnesses grow by the same small factor.

    Then every force and every inertia grows alike, and no motion changes.
    """
    out = np.zeros(space.size)
    for k, kind in enumerate(space.kinds):
        field = space.scalars[space.owner.index(k)].field
        if field in SCALED:
            if field == "inertia":  # the factor of an inertia goes with its root; three coordinates are ratios
                out[k] = 0.5 if space.paths[k].endswith(("l11", "l22", "l33")) else 0.0
            else:
                out[k] = 1.0 if kind.transform == "log" else float(z[k])
    return out


def _moved(space: ParameterSpace, direction: np.ndarray) -> list:
    return [space.scalars[space.owner.index(k)] for k in np.flatnonzero(direction)]


def _member(space: ParameterSpace, k: int, sign: float) -> _Member:
    scalar = space.scalars[space.owner.index(k)]
    parts = space.paths[k].split("/")
    axis = f" ({parts[3]})" if scalar.field == "com" and len(parts) > 3 else ""
    owner = parts[1]
    if space.owner.count(k) > 1:  # a tied group: its members, or "all"
        group = {s.path.split("/")[1] for s, o in zip(space.scalars, space.owner, strict=True) if o == k}
        every = getattr(space.nominal.names, scalar.group)
        owner = f"all {_plural(scalar.group)}" if group == set(every) else _listed(n for n in every if n in group)
    return _Member(FIELDS[scalar.field] + axis, owner, scalar.group, sign)


def _plural(group: str) -> str:
    return {"muscle": "muscles", "body": "segments", "joint": "joints", "emg": "channels", "strap": "straps"}[group]


def _grouped(members: Sequence[_Member], space: ParameterSpace) -> str:
    """Owners with the same fields share a phrase: "optimal fiber length and tendon slack length of BRA and BIClong"."""
    fields: dict[tuple[str, str], list[str]] = {}
    for m in members:
        fields.setdefault((m.kind, m.owner), []).append(m.field)
    owners: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (kind, owner), what in fields.items():
        owners.setdefault((kind, tuple(dict.fromkeys(what))), []).append(owner)
    phrases = []
    for (kind, what), who in owners.items():
        every = getattr(space.nominal.names, kind)
        whose = f"all {_plural(kind)}" if len(who) > 2 and set(who) == set(every) else _listed(who)
        phrases.append(f"{_listed(what)} of {whose}")
    return "; ".join(phrases) if any(" and " in p for p in phrases) else _listed(phrases)


def _listed(words: Iterable[str]) -> str:
    *first, last = list(words)
    return f"{', '.join(first)} and {last}" if first else last


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of them, and how many more there are."""
    return f"{', '.join(names[:most])} and {len(names) - most} more" if len(names) > most else _listed(names)


def percent(share: float) -> str:
    """Of a part."""
    return f"{100 * share:.0f} %"


def emg_first(paths: Iterable[str]) -> list[str]:
    """In their order, but delays and gains of the EMG first: at a bound, they tell most of what is wrong with it."""
    rank = {("emg", "delay"): 0, ("emg", "gain"): 1}
    return sorted(paths, key=lambda path: rank.get((path.split("/")[0], path.split("/")[-1]), 2))


def whom(names: Sequence[str], everybody: int, most: int = 8) -> str:
    """People by name and count: "bob and eve (2 of 3 people)", or "everybody"."""
    return "everybody" if len(names) == everybody else f"{some(names, most)} ({len(names)} of {everybody} people)"


def called(path: str, members: Sequence[str] = ()) -> str:
    """A parameter as readers are told of it: its path, or words for one that stands for several: "maximal isometric
    force of recfem, vasmed and vaslat" for "muscle/[rv]*/max_isometric_force"."""
    group, whose, field, *axis = path.split("/")
    if not any(c in whose for c in "*?["):
        return path
    owners = list(dict.fromkeys(m.split("/")[1] for m in members))
    every = whose == "*" or not owners
    what = FIELDS.get(field, field) + "".join(f" ({x})" for x in axis)
    return f"{what} of {f'all {_plural(group)}' if every else some(owners, MEMBERS)}"


def number(value: float, *beside: float, digits: int = 4) -> str:
    """With so many digits; what is nothing beside the numbers it stands with is 0.

    A parameter at a bound of zero comes back from its logarithm as 1e-23.
    """
    size = max((abs(x) for x in (value, *beside) if math.isfinite(x)), default=0.0)
    return f"{0.0 if abs(value) < 1e-6 * size else value:.{digits}g}"
