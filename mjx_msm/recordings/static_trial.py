"""A person in front of cameras, best standing still: how far markers are apart, and so how long segments are."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, InputWarning, suggest
from mjx_msm.recordings.readers.c3d import read_c3d

Point = str | Sequence[str]
"""A marker, or several whose middle is meant."""
Places = Mapping[str, Float[np.ndarray, "frame 3"]]
"""Of markers [m]; NaN where one was not seen."""
STIFF = 0.02
"""A segment whose length changes more than this [m, standard deviation] is none."""


def static_trial(path: str | Path) -> dict[str, Float[np.ndarray, "frame 3"]]:
    """Where every marker of a C3D file is [m], by its label without the subject's prefix.

    **Raises:** `InputError` if the file holds none.
    """
    found = read_c3d(path).markers
    if found is None or not found.labels:
        raise InputError(f"{path}: holds no markers; give the C3D of a static trial")
    places = {label.rpartition(":")[2]: found.position[:, i] for i, label in enumerate(found.labels)}
    return {name: place for name, place in places.items() if np.isfinite(place).all(axis=1).any()}


def segment_lengths(markers: Places, ends: Mapping[str, Sequence[Point]], where: str = "segments") -> dict[str, float]:
    """Median distances [m] between two points, by segment: ``{"shank": ("RKJC", ("RLM", "RMM"))}``.

    **Raises:** `InputError` naming a marker that is not there, or a segment whose ends are never seen together. An
    `InputWarning` names one whose length changes.
    """

    def place(point: Point) -> Float[np.ndarray, "frame 3"]:
        names = (point,) if isinstance(point, str) else tuple(point)
        for name in names:
            if name not in markers:
                raise InputError(f"{where}: there is no marker '{name}'{suggest(str(name), markers, limit=30)}")
        return np.mean([markers[name] for name in names], axis=0)

    out = {}
    for segment, pair in ends.items():
        if isinstance(pair, str) or len(pair) != 2:
            raise InputError(f'{where}: {segment} needs two points, like {segment} = ["RKJC", ["RLM", "RMM"]]')
        distance = np.linalg.norm(place(pair[0]) - place(pair[1]), axis=-1)
        distance = distance[np.isfinite(distance)]
        if not len(distance):
            raise InputError(f"{where}: the ends of {segment} are never seen together; name other markers")
        if distance.std() > STIFF:
            warnings.warn(
                f"{where}: {segment} changes its length by {1e3 * distance.std():.0f} mm; are these its ends?",
                InputWarning,
                stacklevel=2,
            )
        out[segment] = float(np.median(distance))
    return out
