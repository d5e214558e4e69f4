"""``[model]``: which model stands for the subject, and which segments its bodies stand for."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section
from mjx_msm.recordings.subject_file.places import expanded

BUNDLED = ("arm", "knee")
PREFIX = "myo_sim:"
"""Of the names of `mjx_msm.person.myosim`, which needs MuJoCo."""
SEGMENTS = ("upper_arm", "forearm", "hand", "thigh", "shank", "foot")
KEYS = (
    "source", "joints", "muscles", "posture", "side", "muscle", "free", "prescribed", "locked", "units", "segments"
)  # fmt: skip
MUSCLE_LAWS = (
    "mujoco", "degroote", "thelen", "millard", "mujoco-compliant", "degroote-compliant", "thelen-compliant",
    "millard-compliant",
)  # fmt: skip
"""The names of `mjx_msm.person.model.MUSCLES`, which needs MuJoCo."""
UNITS = ("auto", "rad", "deg")
"""Of angles."""


@dataclass(frozen=True)
class ModelSpec:
    """Which model stands for the subject; ``load_model(**vars(spec))``."""

    source: str
    """Name of a bundled model, or an absolute path."""
    muscle: str
    free: tuple[str, ...]
    prescribed: tuple[str, ...]
    locked: Mapping[str, float]
    """[rad] (or [m])."""
    joints: tuple[str, ...] | None = None
    muscles: tuple[str, ...] | None = None
    posture: Mapping[str, float] | None = None
    """Of a part of the model, as in `load_model`."""
    side: str | None = None
    """"left" or "right"; None: as the file has it."""

    @property
    def part(self) -> dict[str, Any]:
        """What of the model is asked for, as arguments of `load_model`."""
        return {"joints": self.joints, "muscles": self.muscles, "posture": self.posture, "side": self.side}

    def only(self, coordinates: Sequence[str]) -> ModelSpec:
        """Without coordinates that are none of these."""
        roles = {key: tuple(c for c in getattr(self, key) if c in coordinates) for key in ("free", "prescribed")}
        return replace(self, **roles, locked={c: x for c, x in self.locked.items() if c in coordinates})


def parse_model(top: Section, folder: Path, units: str) -> ModelSpec:
    section = top.section("model", KEYS)
    source = section.text("source", required=True) or ""
    if source not in BUNDLED and not source.startswith(PREFIX):
        source = expanded(source, f"{section.where}: source")
        if "/" not in source and not source.endswith((".xml", ".mjcf")):
            what = f"source = '{source}' is neither a bundled model nor an MJCF file{suggest(source, BUNDLED)}"
            section.refuse(InputError(f"{section.where}: {what}"), "source")
        source = os.path.normpath(folder / source)
    roles = {key: section.names(key, required=key == "free") for key in ("free", "prescribed")}
    if section.data.get("free") == []:
        what = f"{section.where}: free is empty; name at least one coordinate to simulate"
        section.refuse(InputError(what), "free")
    own = section.text("units", units, options=UNITS)
    factor = math.pi / 180 if own == "deg" else 1.0
    locked, posture = (_places(section.section(key, None), own, factor) for key in ("locked", "posture"))
    everything = [*roles["free"], *roles["prescribed"], *locked]
    for name in dict.fromkeys(everything):
        if sum(name in names for names in (*roles.values(), locked)) > 1:
            what = f"coordinate '{name}' has two roles; keep it in one of free, prescribed, locked"
            section.refuse(InputError(f"{section.where}: {what}"), "free")
    muscle = section.text("muscle", "mujoco", options=MUSCLE_LAWS) or ""
    joints, muscles = (section.names(key) or None for key in ("joints", "muscles"))
    return ModelSpec(
        source,
        muscle,
        roles["free"],
        roles["prescribed"],
        locked,
        joints=joints,
        muscles=muscles,
        posture=posture or None,
        side=section.text("side", options=("left", "right")),
    )


def _places(section: Section, units: str | None, factor: float) -> dict[str, float]:
    """Values of coordinates [rad or m]."""
    out = {}
    for name in section.data:
        value = section.number(name, 0.0)
        assert value is not None
        if units != "deg" and abs(value) > 2 * math.pi:
            what = f'{name} = {value:g} looks like degrees; set units = "deg" in [model], or give radians'
            section.refuse(InputError(f"{section.where}: {what}"), name)
        out[name] = value * factor
    return out


def parse_segments(top: Section) -> dict[str, tuple[str, ...]]:
    """Which segments a body stands for, by body."""
    section = top.section("model", None).section("segments", None)
    segments: dict[str, tuple[str, ...]] = {}
    for body, value in section.data.items():
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            wrong = section.fail(body, 'a segment in quotes, a list like ["forearm", "hand"], or [] for none')
            section.refuse(wrong, body)
            continue
        for name in names:
            if name not in SEGMENTS:
                what = f"{section.where}: {body} = '{name}' is unknown{suggest(name, SEGMENTS, limit=10)}"
                section.refuse(InputError(what), body)
        segments[body] = tuple(names)
    return segments
