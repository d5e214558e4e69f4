"""``[subject]``: who was recorded, and how their size is known."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mjx_msm.common.errors import InputError
from mjx_msm.common.toml_tables import Section
from mjx_msm.recordings.subject_file.places import expanded

TRAITS = ("height", "mass", "age", "sex")
"""What may be known of a person before they are recorded [m, kg, years]."""


@dataclass(frozen=True)
class StaticTrial:
    """A C3D file of the person standing still."""

    file: Path
    segments: Mapping[str, Sequence[str | Sequence[str]]]
    """Segment to its two ends, each a marker or several whose middle is meant."""


@dataclass(frozen=True)
class Person:
    """Who was recorded."""

    name: str
    mass: float
    """[kg]."""
    height: float | None = None
    """[m]."""
    sex: Literal["male", "female"] | None = None
    scale: bool | None = None
    """Whether the model is scaled to the person; None: a bundled one is, where the file says what is needed."""
    static: StaticTrial | None = None
    age: float | None = None
    """[years]."""

    @property
    def traits(self) -> dict[str, float | str]:
        """What is known of them besides recordings, by the names of `TRAITS`."""
        return traits_of(vars(self))

    def scales(self, bundled: bool) -> bool:
        """Whether identification starts from the scaled model."""
        if self.scale is not None:
            return self.scale
        return self.static is not None or (bundled and self.height is not None and self.sex is not None)


def traits_of(who: Mapping[str, Any]) -> dict[str, float | str]:
    """What of `TRAITS` a section [subject] has."""
    kinds = {name: str if name == "sex" else (int, float) for name in TRAITS}
    return {name: who[name] for name, kind in kinds.items() if isinstance(who.get(name), kind)}


def parse_person(top: Section, data: Path = Path()) -> Person:
    """**Arguments:** `data`: the folder of the recordings."""
    who = top.section("subject", ("name", "mass", "height", "sex", "age", "scale", "static"))
    height = who.data.get("height")
    in_centimetres = False
    if isinstance(height, int | float) and 40 <= height <= 250:
        in_centimetres = True
        what = f"{who.where}: height = {height:g} looks like centimetres; write {height / 100:g} [m]"
        who.refuse(InputError(what), "height")
    wanted = who.data.get("scale")
    if wanted is not None and not isinstance(wanted, bool):
        who.refuse(who.fail("scale", "true or false"), "scale")
    return Person(
        name=who.text("name", required=True) or "",
        mass=who.number("mass", low=2, high=400, unit="kg", required=True) or 0.0,
        height=None if in_centimetres else who.number("height", low=0.4, high=2.6, unit="m"),
        sex=who.text("sex", options=("male", "female")),  # type: ignore[arg-type]
        age=who.number("age", low=0, high=120, unit="years"),
        scale=wanted,
        static=_static(who, data) if "static" in who.data else None,
    )


def _static(who: Section, data: Path) -> StaticTrial:
    if isinstance(who.data["static"], str):
        return StaticTrial(_place(who, "static", who.data["static"], data), {})
    section = who.section("static", None)
    file = section.text("file", required=True) or ""
    ends: dict[str, Any] = {}
    for segment, pair in section.data.items():
        if segment == "file":
            continue
        good = isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_is_point, pair))
        if not good:
            raise section.fail(segment, 'two points, like ["RKJC", ["RLM", "RMM"]]')
        ends[segment] = tuple(p if isinstance(p, str) else tuple(p) for p in pair)
    return StaticTrial(_place(section, "file", file, data), ends)


def _is_point(value: Any) -> bool:
    names = [value] if isinstance(value, str) else value
    return isinstance(names, list | tuple) and bool(names) and all(isinstance(n, str) and n for n in names)


def _place(section: Section, key: str, text: str, data: Path) -> Path:
    path = Path(os.path.normpath(data / expanded(text, f"{section.where}: {key}")))
    if path.suffix.lower() != ".c3d":
        raise InputError(f"{section.where}: {key} = '{text}' is not a .c3d file; export the static trial as one")
    return path
