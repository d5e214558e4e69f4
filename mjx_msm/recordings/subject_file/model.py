"""``[model]``: which model stands for the subject, and which segments its bodies stand for."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section
from mjx_msm.recordings.subject_file.places import expanded

BUNDLED = ("arm", "knee")
PREFIX = "myo_sim:"
"""Of the names of `mjx_msm.person.myosim`, which needs MuJoCo."""
SEGMENTS = ("upper_arm", "forearm", "hand", "thigh", "shank", "foot")
KEYS = ("source", "joints", "muscles", "posture", "muscle", "free", "prescribed", "locked", "units", "segments")
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

    @property
    def part(self) -> dict[str, Any]:
        """What of the model is asked for, as arguments of `load_model`."""
        return {"joints": self.joints, "muscles": self.muscles, "posture": self.posture}


def parse_model(top: Section, folder: Path, units: str) -> ModelSpec:
    section = top.section("model", KEYS)
    source = section.text("source", required=True) or ""
    if source not in BUNDLED and not source.startswith(PREFIX):
        source = expanded(source, f"{section.where}: source")
        if "/" not in source and not source.endswith((".xml", ".mjcf")):
            raise InputError(
                f"{section.where}: source = '{source}' is neither a bundled model nor an MJCF "
                f"file{suggest(source, BUNDLED)}"
            )
        source = os.path.normpath(folder / source)
    roles = {key: section.names(key, required=key == "free") for key in ("free", "prescribed")}
    if not roles["free"]:
        raise InputError(f"{section.where}: free is empty; name at least one coordinate to simulate")
    own = section.text("units", units, options=UNITS)
    factor = math.pi / 180 if own == "deg" else 1.0
    locked, posture = (_places(section.section(key, None), own, factor) for key in ("locked", "posture"))
    everything = [*roles["free"], *roles["prescribed"], *locked]
    for name in everything:
        if everything.count(name) > 1:
            raise InputError(
                f"{section.where}: coordinate '{name}' has two roles; keep it in one of free, prescribed, locked"
            )
    muscle = section.text("muscle", "mujoco", options=("mujoco", "degroote")) or ""
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
    )


def _places(section: Section, units: str | None, factor: float) -> dict[str, float]:
    """Values of coordinates [rad or m]."""
    out = {}
    for name in section.data:
        value = section.number(name)
        assert value is not None
        if units != "deg" and abs(value) > 2 * math.pi:
            raise InputError(
                f'{section.where}: {name} = {value:g} looks like degrees; set units = "deg" in [model], or give radians'
            )
        out[name] = value * factor
    return out


def parse_segments(top: Section) -> dict[str, tuple[str, ...]]:
    """Which segments a body stands for, by body."""
    section = top.section("model", None).section("segments", None)
    segments: dict[str, tuple[str, ...]] = {}
    for body, value in section.data.items():
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise section.fail(body, 'a segment in quotes, a list like ["forearm", "hand"], or [] for none')
        for name in names:
            if name not in SEGMENTS:
                raise InputError(f"{section.where}: {body} = '{name}' is unknown{suggest(name, SEGMENTS, limit=10)}")
        segments[body] = tuple(names)
    return segments
