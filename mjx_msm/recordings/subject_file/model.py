"""``[model]``: which model stands for the subject, and which segments its bodies stand for."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section
from mjx_msm.recordings.subject_file.places import expanded

BUNDLED = ("arm", "knee")
SEGMENTS = ("upper_arm", "forearm", "hand", "thigh", "shank", "foot")
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


def parse_model(top: Section, folder: Path, units: str) -> ModelSpec:
    section = top.section("model", ("source", "muscle", "free", "prescribed", "locked", "units", "segments"))
    source = section.text("source", required=True) or ""
    if source not in BUNDLED:
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
    locked_section = section.section("locked", None)
    locked = {}
    for name in locked_section.data:
        value = locked_section.number(name)
        assert value is not None
        if own != "deg" and abs(value) > 2 * math.pi:
            raise InputError(
                f'{locked_section.where}: {name} = {value:g} looks like degrees; set units = "deg" in '
                "[model], or give radians"
            )
        locked[name] = value * factor
    everything = [*roles["free"], *roles["prescribed"], *locked]
    for name in everything:
        if everything.count(name) > 1:
            raise InputError(
                f"{section.where}: coordinate '{name}' has two roles; keep it in one of free, prescribed, locked"
            )
    muscle = section.text("muscle", "mujoco", options=("mujoco", "degroote")) or ""
    return ModelSpec(source, muscle, roles["free"], roles["prescribed"], locked)


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
