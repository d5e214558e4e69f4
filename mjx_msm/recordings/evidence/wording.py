"""The line of a subject file that a contradiction asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mjx_msm.recordings.trial import Trial


def line_of(trial: Trial, section: str, coordinate: str, keys: Mapping[str, Any]) -> str:
    """`coordinate = { column = "…", … } in [section]`, with the trial's column where it is known."""
    known: Any = trial.metadata.get(section)
    column = known.get(coordinate) if isinstance(known, Mapping) else None
    values = {"column": str(column or "…"), **keys}
    inside = ", ".join(f'{k} = "{v}"' if isinstance(v, str) else f"{k} = {v}" for k, v in values.items())
    return f"{coordinate} = {{ {inside} }} in [{section}]"
