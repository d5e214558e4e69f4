"""What a user may name as a model: a bundled one, an MJCF or OpenSim file; and what others are, in words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

import mujoco

from mjx_msm import assets
from mjx_msm.common.arguments import path_of
from mjx_msm.common.errors import InputError, in_one_line, suggest
from mjx_msm.common.file_kinds import HEAD, MJCF, OSIM, kind_of, refuse_other, xml_root
from mjx_msm.person.myosim import PREFIX, myosim_spec


def spec_of(
    source: str | Path, *, joints: Iterable[str] | None = None, muscles: Iterable[str] | None = None
) -> tuple[mujoco.MjSpec, str]:
    """A model's specification, compiled once, and what messages and files call it.

    **Arguments:** `joints`, `muscles`: those wanted, of an OpenSim model, whose others are not even imported.

    **Raises:** `InputError` saying what else the file is, or why it does not compile.
    """
    if str(source).startswith(PREFIX):
        return myosim_spec(str(source)), str(source)
    bundled = isinstance(source, str) and source in assets.names()
    path = assets.path(str(source)) if bundled else path_of("model", source)
    if os.path.isdir(path):
        refuse_other(path, MJCF, OSIM)
    if not os.path.isfile(path):
        known = ", ".join(f"'{n}'" for n in assets.names())
        similar = suggest(path.name, assets.names()) if get_close_matches(path.name, assets.names()) else ""
        raise InputError(
            f"model '{source}' is neither a bundled model ({known}) nor an existing MJCF or OpenSim file{similar}"
        )
    kind = kind_of(path)
    if kind is not None and kind.role == OSIM:
        from mjx_msm.person.from_osim.importing import import_osim

        return import_osim(path, coordinates=joints, muscles=muscles).spec, str(path.resolve())
    if _root(path) == "mujocoinclude":
        raise InputError(f"model '{source}' is a part of a model (<mujocoinclude>); {_whole(path)}")
    refuse_other(path, MJCF, OSIM)
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        spec.compile()
    except ValueError as e:
        raise InputError(f"model '{source}' does not compile: {in_one_line(e)}") from e
    return spec, str(source) if bundled else str(path.resolve())


def _root(path: Path) -> str:
    """Name of a file's first XML element; "" where there is none."""
    try:
        with open(path, "rb") as file:
            return xml_root(file.read(HEAD))
    except OSError as e:
        raise InputError(f"model '{path}' cannot be read ({e.strerror}); check its permissions") from e


def _whole(part: Path) -> str:
    """Which file near a part includes it, as advice."""
    folders = (part.parent, part.resolve().parent.parent)
    for path in (p for folder in folders for p in sorted(folder.glob("*.xml"))[:200]):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if path != part and re.search(rf'<include\s+file="(?:[^"]*/)?{re.escape(part.name)}"', text):
            return f"load the file that includes it, e.g. '{path}'"
    return "load the file that includes it"
