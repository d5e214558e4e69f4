"""C3D files: markers and analog channels of an optical motion capture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.c3d_sizes import check_sizes
from mjx_msm.recordings.readers.content import content_of
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
    analogs: Table | None


_LENGTH = {"mm": 1e-3, "cm": 1e-2, "dm": 1e-1, "m": 1.0, "": 1e-3}


def read_c3d(path: str | Path) -> C3D:
    """Read markers and analog channels of a C3D file."""
    import ezc3d

    path = Path(path)
    content = content_of(path)
    if len(content) < 512 or content[1] != 0x50:
        raise InputError(f"{path}: is not a C3D file (its second byte is not 0x50); export it again")
    check_sizes(path, content)
    try:
        file = ezc3d.c3d(str(path))
        parameters = file["parameters"]
        header = file["header"]
        points = np.asarray(file["data"]["points"], dtype=float)
        analogs = np.asarray(file["data"]["analogs"], dtype=float)[0]
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: cannot be read as C3D ({reason}); export it again") from None

    point_rate = float(header["points"]["frame_rate"])
    first = int(header["points"]["first_frame"])
    origin = first / point_rate if point_rate > 0 else 0.0

    markers = None
    labels = _labels(parameters, "POINT", points.shape[1])
    if points.shape[1] and points.shape[2] and point_rate > 0:
        unit = str((_parameter(parameters, "POINT", "UNITS") or [""])[0]).strip().casefold()
        if unit not in _LENGTH:
            raise InputError(f"{path}: POINT:UNITS is '{unit}', expected mm, cm, dm or m")
        position = np.moveaxis(points[:3], 0, -1).swapaxes(0, 1) * _LENGTH[unit]
        residual = np.asarray(file["data"]["meta_points"]["residuals"], dtype=float)[0].T
        unseen = (residual < 0) | np.all(position == 0, axis=-1)
        position = np.where(unseen[..., None], np.nan, position)
        markers = Markers(origin + np.arange(len(position)) / point_rate, labels, position)

    table = None
    if analogs.size:
        rate = float(header["analogs"]["frame_rate"])
        if not rate > 0:
            raise InputError(f"{path}: ANALOG:RATE is {rate:g}; correct it in the C3D file")
        names = _labels(parameters, "ANALOG", len(analogs))
        units = [str(u).strip() for u in _parameter(parameters, "ANALOG", "UNITS")]
        units = tuple((units + [""] * len(names))[: len(names)])
        time = origin + np.arange(analogs.shape[1]) / rate
        table = Table(time, names, np.ascontiguousarray(analogs.T), None, path, units)
    if markers is None and table is None:
        raise InputError(f"{path}: holds neither markers nor analog channels; export it again")
    return C3D(path, markers, table)


def _parameter(parameters: Any, group: str, name: str) -> list[Any]:
    try:
        return list(parameters[group][name]["value"])
    except KeyError:
        return []


def _labels(parameters: Any, group: str, count: int) -> tuple[str, ...]:
    labels: list[str] = []
    for suffix in ("", *map(str, range(2, 20))):  # LABELS2, LABELS3 … hold what does not fit into 255
        labels += [str(x).strip() for x in _parameter(parameters, group, f"LABELS{suffix}")]
    labels = (labels + [""] * count)[:count]
    return tuple(label or f"{group.lower()}_{i + 1}" for i, label in enumerate(labels))


def _recognised(head: bytes) -> str | None:
    binary = len(head) >= 512 and head[1] == 0x50 and 0 in head[:512]  # a text may have a P there too
    return "because its second byte is 0x50" if binary else None


def _analogs(path: Path, time_column: str | None) -> Table:
    analogs = read_c3d(path).analogs
    if analogs is None:
        raise InputError(f"{path}: holds no analog channels; give the file with the EMG")
    return analogs


FORMAT = Format("a C3D file", (".c3d",), _recognised, _analogs)
