"""``[subject]``: who was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mjx_msm.common.errors import InputError
from mjx_msm.common.toml_tables import Section


@dataclass(frozen=True)
class Person:
    """Who was recorded."""

    name: str
    mass: float
    """[kg]."""
    height: float | None = None
    """[m]."""
    sex: Literal["male", "female"] | None = None


def parse_person(top: Section) -> Person:
    who = top.section("subject", ("name", "mass", "height", "sex"))
    height = who.data.get("height")
    if isinstance(height, int | float) and 40 <= height <= 250:
        raise InputError(f"{who.where}: height = {height:g} looks like centimetres; write {height / 100:g} [m]")
    return Person(
        name=who.text("name", required=True) or "",
        mass=who.number("mass", low=2, high=400, unit="kg", required=True) or 0.0,
        height=who.number("height", low=0.4, high=2.6, unit="m"),
        sex=who.text("sex", options=("male", "female")),  # type: ignore[arg-type]
    )
