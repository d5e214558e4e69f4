"""A draft of a subject file as text: lines with a reason or a doubt beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.person.model import Model


@dataclass
class Draft:
    """A draft as it grows."""

    model: Model
    source: str
    out: Path
    side: str
    lines: list[str] = field(default_factory=list)
    doubts: int = 0
    beside: dict[Path, tuple[Float[np.ndarray, "time"], Mapping[str, Float[np.ndarray, "time"]]]] = field(
        default_factory=dict
    )
    """Files of angles that lie beside the draft: their time [s] and columns [rad]."""

    def say(self, line: str = "", doubt: str = "", why: str = "") -> None:
        """A line, with a comment: a doubt, which is counted, or a reason."""
        if doubt:
            self.doubts += 1
            line = f"{line}  # DOUBT {self.doubts}: {doubt}"
        elif why:
            line = f"{line}  # {why}"
        self.lines.append(line)


def path_from(folder: Path, path: Path) -> str:
    """A path as a file in a folder says it: relative, unless the two share nothing but the root."""
    folder, path = folder.resolve(), path.resolve()
    try:
        shared = Path(os.path.commonpath([folder, path]))
    except ValueError:  # other drives
        return path.as_posix()
    return path.as_posix() if shared == Path(shared.anchor) else Path(os.path.relpath(path, folder)).as_posix()


def quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else quoted(name)


def column_entry(name: str, keys: Mapping[str, object]) -> str:
    """A column, and what is said of it."""
    if not keys:
        return quoted(name)
    inside = ", ".join(f"{k} = {quoted(v) if isinstance(v, str) else v}" for k, v in keys.items())
    return f"{{ column = {quoted(name)}, {inside} }}"
