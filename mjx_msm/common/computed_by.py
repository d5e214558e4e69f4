"""What computes: the libraries and the code, so that what one computed is not taken for what another would."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
LIBRARIES = ("mjx-msm", "mujoco", "mujoco-mjx", "jax", "jaxlib", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Of the libraries that numbers come from."""
    return {library: _version(library) for library in LIBRARIES}


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def code_digest(package: Path = PACKAGE) -> str:
    """Of the whole package and its models: an edit of anything in it may make other numbers."""
    every = hashlib.sha256()
    found: dict[str, Path] = {}
    for part in ("", "envs", "assets"):  # in a working copy these two are links, or lie beside the package
        inside = package / part
        root = inside if inside.is_dir() else package.parent / part
        for path in root.rglob("*"):
            if path.suffix in (".py", ".xml") and path.is_file():
                found[(Path(part) / path.relative_to(root)).as_posix()] = path
    for name, path in sorted(found.items()):
        content = path.read_bytes()
        every.update(f"{name} {len(content)}\n".encode() + content)
    return every.hexdigest()[:16]
