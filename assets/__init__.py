"""The MJCF models that ship with the package: one folder each, with its provenance and licence note."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent

HUMANS = ("arm", "knee")
ROBOTS = ("exo", "cobot")


def path(name: str) -> Path:
    """Path of the MJCF file of the bundled model `name`, e.g. ``"arm"``, ``"knee"``, ``"exo"`` or ``"cobot"``."""
    return ROOT / name / f"{name}.xml"


def names() -> tuple[str, ...]:
    """Names of the bundled models of people, which `load_model` takes."""
    return HUMANS
