"""Where a coordinate goes as it grows, and so what a positive moment of it does: "flexion"."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

OPPOSITE = {
    "flexion": "extension",
    "dorsiflexion": "plantarflexion",
    "adduction": "abduction",
    "elevation": "depression",
    "pronation": "supination",
}
_WORDS = {word: word for pair in OPPOSITE.items() for word in pair} | {"flex": "flexion", "elev": "elevation"}


def toward(coordinate: str, angle: Float[np.ndarray, "time"]) -> str:
    """The direction of a coordinate as it grows; "" where neither its name nor its course tells.

    **Arguments:** `angle`: as recorded [rad]. A knee bends one way only: where it was furthest from straight, it was
    flexed. Other joints are called after where they go ("hip_flexion"); an ankle's angle counts dorsiflexion, as the
    field's models have it.
    """
    words = coordinate.lower().split("_")
    if "knee" in words:
        known = angle[np.isfinite(angle)]
        if not len(known) or np.ptp(known) == 0.0:
            return ""
        return "flexion" if known[np.argmax(np.abs(known))] > 0 else "extension"
    if "ankle" in words and "angle" in words:
        return "dorsiflexion"
    return next((_WORDS[w] for w in words if w in _WORDS), "")


def away(direction: str) -> str:
    """The opposite one; "" of what has none."""
    back = {v: k for k, v in OPPOSITE.items()}
    return OPPOSITE.get(direction) or back.get(direction, "")


def end_of(path: str, ways: Mapping[str, str]) -> str:
    """What of a joint a passive moment is at the end of: " (extension)"."""
    group, joint, field, *_ = path.split("/")
    way = ways.get(joint, "") if group == "joint" and "_passive_" in field else ""
    end = away(way) if field.startswith("lower") else way if field.startswith("upper") else ""
    return f" (end of {end})" if end else ""
