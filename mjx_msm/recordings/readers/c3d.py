"""C3D files: markers and analog channels of an optical motion capture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.c3d_sizes import check_sizes
from mjx_msm.recordings.readers.confined import Parser, parsed
from mjx_msm.recordings.readers.content import content_of
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.table import Table


@dataclass(frozen=True)
class Markers:
    """Marker positions over time."""

    time: Float[np.ndarray, "time"]
    """[s]."""
    labels: tuple[str, ...]
    position: Float[np.ndarray, "time marker 3"]
    """In the laboratory's axes [m]; NaN where the marker was not seen."""


@dataclass(frozen=True)
class C3D:
    """What a C3D file holds; time 0 is the first frame of the capture, also in a file trimmed later."""

    path: Path
    markers: Markers | None
    """Everything that is stored as a point, in metres: of angles and moments, see `contents_of_c3d`."""
    analogs: Table | None
    points: Block | None
    """The points as stored, ``<label>/x``, ``/y`` and ``/z``, with their units: a marker's, an angle's, a moment's."""
    first_frame: int
    """Of the capture, from 1; more where it was trimmed."""


PARSER = Parser("c3d", "C3D", "ezc3d", "ezc3d")
POINTS, ANALOGS = "points", "analogs"
"""Names of the blocks."""
_LENGTH = {"mm": 1e-3, "cm": 1e-2, "dm": 1e-1, "m": 1.0, "": 1e-3}


def read_c3d(path: str | Path) -> C3D:
    """Read markers and analog channels of a C3D file.

    **Raises:** `InputError` if it cannot be read, is damaged or cut off.
    """
    path = Path(path)
    content = content_of(path)
    if len(content) < 512 or content[1] != 0x50:
        raise InputError(f"{path}: is not a C3D file (its second byte is not 0x50); export it again")
    check_sizes(path, content)
    file = parsed(path, PARSER)
    point_rate, first, rate = map(float, file["clock"])
    origin = first / point_rate if point_rate > 0 else 0.0
    points, analogs = file["points"], file["analogs"]

    markers = block = None
    if points.shape[1] and points.shape[2] and 0 < point_rate < math.inf:
        unit = next(iter(file["point_units"].tolist()), "").casefold()
        if unit not in _LENGTH:
            raise InputError(f"{path}: POINT:UNITS is '{unit}', expected mm, cm, dm or m")
        position = np.moveaxis(points, 0, -1).swapaxes(0, 1)
        unseen = (file["residuals"].T < 0) | np.all(position == 0, axis=-1) | ~np.isfinite(position).all(axis=-1)
        position = np.where(unseen[..., None], np.nan, position)
        labels = _labels(file["point_labels"], "point", points.shape[1])
        time = origin + np.arange(len(position)) / point_rate
        markers = Markers(time, labels, position * _LENGTH[unit])
        kinds = dict(zip(file["kind_labels"].tolist(), file["kind_units"].tolist(), strict=True))
        units = [kinds.get(label, unit or "mm") for label in labels for _ in "xyz"]
        columns = tuple(f"{label}/{axis}" for label in labels for axis in "xyz")
        block = Block(columns, position.reshape(len(time), -1), tuple(units), POINTS, time)

    table = None
    if analogs.size:
        if not 0 < rate < math.inf:
            raise InputError(f"{path}: ANALOG:RATE is {rate:g}; correct it in the C3D file")
        if np.isinf(analogs).any():
            raise InputError(f"{path}: an analog channel holds an infinite number; it is damaged, export it again")
        labels = _labels(file["analog_labels"], "analog", len(analogs))
        units = (*file["analog_units"].tolist(), *[""] * len(labels))[: len(labels)]
        time = origin + np.arange(analogs.shape[1]) / rate
        table = Table(time, labels, np.ascontiguousarray(analogs.T), None, path, units)
    if markers is None and table is None:
        raise InputError(f"{path}: holds neither markers nor analog channels; export it again")
    return C3D(path, markers, table, block, int(first) + 1)


def contents_of_c3d(path: Path) -> Contents:
    """Points and analog channels, in the units that the file says: of Plug-in Gait's angles, moments, forces and powers
    those of their group (POINT:ANGLES and POINT:ANGLE_UNITS, …)."""
    file = read_c3d(path)
    blocks = [] if file.points is None else [file.points]
    if (analogs := file.analogs) is not None:
        blocks.append(Block(analogs.columns, analogs.values, analogs.units, ANALOGS, analogs.time))
    begin = min(float(b.time[0]) for b in blocks if b.time is not None)
    return Contents(path, tuple(blocks), header={"first frame": str(file.first_frame)}, trimmed=begin)


def _labels(found: np.ndarray, kind: str, count: int) -> tuple[str, ...]:
    labels = (found.tolist() + [""] * count)[:count]
    return tuple(label or f"{kind}_{i + 1}" for i, label in enumerate(labels))


def _recognised(head: bytes) -> str | None:
    binary = len(head) >= 512 and head[1] == 0x50 and 0 in head[:512]  # a text may have a P there too
    return "because its second byte is 0x50" if binary else None


FORMAT = Format("a C3D file", (".c3d",), _recognised, contents_of_c3d)
