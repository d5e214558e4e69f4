"""Which files belong together: a trial is a motion, its EMG and its moments, in one file or in several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.files import Survey
from mjx_msm.recordings.survey.matching import coordinate_column
from mjx_msm.recordings.survey.mistaken import called_otherwise
from mjx_msm.recordings.survey.spellings import exactly

ROLES = ("motion", "emg", "moments")
_WORDS = re.compile(
    r"(?:[_\-. ]|^)(?:ik|id|emg|motion|kin|kinematics|angles?|moments?|inverse|dyn|dynamics|coordinates|"
    r"electromyography|analogs?|markers?|forces?|grf|raw|filtered|envelopes?|biodex|humac|cybex|"
    r"delsys|trigno|emgworks|noraxon|vicon|nexus|qualisys)(?=[_\-. ]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Group:
    """The files of one trial; one file may have several roles, and a trial lack some."""

    name: str
    motion: Survey | None = None
    emg: Survey | None = None
    moments: Survey | None = None


def roles_of(found: Survey, coordinates: Sequence[str]) -> tuple[str, ...]:
    """What a file is to a model of these coordinates."""
    roles = []

    def tells(column: Seen) -> bool:  # of either side: which one is chosen is of no matter here
        sides = ("right", "left", "")
        return any(coordinate_column(column, n, coordinates, side) is not None for n in coordinates for side in sides)

    slides = (c for c in found.of("position") if any(exactly(c.name, n) for n in coordinates))
    if any(map(tells, (*found.of("angle"), *slides))):
        roles.append("motion")
    if any(c.called.muscles for c in found.of("raw EMG", "EMG envelope")):
        roles.append("emg")
    if any(map(tells, found.of("moment"))):
        roles.append("moments")
    elif "motion" not in roles and "emg" in roles and found.of("force", "moment"):
        roles.append("moments")  # a dynamometer's
    return tuple(roles)


def grouped(found: Sequence[Survey], coordinates: Sequence[str]) -> tuple[Group, ...]:
    """The trials that files make up: all of them one, or one a folder, or one a name.

    **Raises:** `InputError` if a file tells of nothing in the model, or two have the same role in a trial.
    """
    roles = {s.path: roles_of(s, coordinates) for s in found}
    for s in found:
        if not roles[s.path]:
            raise InputError(
                f"{s.path}: no column is called like an angle or moment of {', '.join(coordinates)}, or like EMG; "
                "leave it out, or see what it holds with mjx-msm look"
            )
    others = {s.path: said for s in found if (said := called_otherwise(s))}
    if others and any("motion" in own for path, own in roles.items() if path not in others):
        raise InputError("; ".join(f"{path}: {said}" for path, said in others.items()))
    whole = [s for s in found if {"motion", "emg"} <= set(roles[s.path]) or {"emg", "moments"} <= set(roles[s.path])]
    keys = (
        lambda s: "trial",
        lambda s: str(s.path.parent),
        lambda s: str(s.path.parent / (_WORDS.sub("", _stem(s.path)).strip("_-. ") or "trial")),
        lambda s: str(s.path),
    )
    for key in keys[3:] if len(whole) == len(found) else keys[:3]:
        sets: dict[str, list[Survey]] = {}
        for s in found:
            sets.setdefault(key(s), []).append(s)
        if all(sum(r in roles[s.path] for s in own) <= 1 for own in sets.values() for r in ROLES):
            names = _names(list(sets), found)
            return tuple(_group(name, own, roles) for name, own in zip(names, sets.values(), strict=True))
    twice = next(r for r in ROLES if sum(r in roles[s.path] for s in found) > 1)
    both = [str(s.path) for s in found if twice in roles[s.path]]
    raise InputError(
        f"{' and '.join(both[:2])}: both hold {twice}, and their names do not say which belong to one trial; put every "
        "trial in a folder, or give those of one trial"
    )


def _group(name: str, own: Sequence[Survey], roles: dict[Path, tuple[str, ...]]) -> Group:
    out = Group(name)
    for s in own:
        out = replace(out, **{role: s for role in roles[s.path]})
    return out


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def _names(keys: Sequence[str], found: Sequence[Survey]) -> list[str]:
    """Short names of the trials."""
    if keys == ["trial"]:
        parents = {s.path.resolve().parent.name for s in found}
        return [parents.pop()] if len(parents) == 1 else ["trial"]
    names = [_stem(Path(k)) for k in keys]
    return names if len(set(names)) == len(names) else [f"trial{i + 1}" for i in range(len(keys))]
