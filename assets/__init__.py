"""The MJCF models that ship with the package: one folder each, with its provenance and licence note."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """Path of the MJCF file of the bundled model `name` (``"arm"`` or ``"knee"``)."""
    return ROOT / name / f"{name}.xml"


def names() -> tuple[str, ...]:
    """Names of the bundled models."""
    return tuple(sorted(p.parent.name for p in ROOT.glob("*/*.xml") if p.stem == p.parent.name))
