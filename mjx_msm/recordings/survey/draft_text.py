"""A draft of a subject file as text: lines with a reason or a doubt beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

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
    written: list[Path] = field(default_factory=list)
    """Files beside the draft."""

    def say(self, line: str = "", doubt: str = "", why: str = "") -> None:
        """A line, with a comment: a doubt, which is counted, or a reason."""
        if doubt:
            self.doubts += 1
            line = f"{line}  # DOUBT {self.doubts}: {doubt}"
        elif why:
            line = f"{line}  # {why}"
        self.lines.append(line)


def quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else quoted(name)
