"""A C3D file, by ezc3d: points, analog channels, and what they are called and measured in."""

from typing import Any

LIBRARY = "ezc3d"


def parse(path: str) -> dict[str, Any]:
    import ezc3d
    import numpy as np

    file = ezc3d.c3d(path)

    def texts(group: str, name: str) -> list[str]:
        """Also those that did not fit: LABELS2, LABELS3 …"""
        entries = file["parameters"].get(group, {})
        names = [name, *(f"{name}{k}" for k in range(2, 20))]
        return [str(x).strip() for n in names if n in entries for x in entries[n]["value"]]

    kinds = {}
    for group in ("ANGLE", "MOMENT", "FORCE", "POWER", "SCALAR"):
        unit = next(iter(texts("POINT", f"{group}_UNITS")), "")
        for label in texts("POINT", f"{group}S"):
            kinds[label] = unit
    header = file["header"]
    clock = header["points"]["frame_rate"], header["points"]["first_frame"], header["analogs"]["frame_rate"]
    return {
        "points": np.asarray(file["data"]["points"], dtype=float)[:3],
        "residuals": np.asarray(file["data"]["meta_points"]["residuals"], dtype=float)[0],
        "analogs": np.asarray(file["data"]["analogs"], dtype=float)[0],
        "clock": np.array(clock, dtype=float),
        "point_labels": np.array(texts("POINT", "LABELS"), dtype=str),
        "point_units": np.array(texts("POINT", "UNITS"), dtype=str),
        "kind_labels": np.array(list(kinds), dtype=str),
        "kind_units": np.array(list(kinds.values()), dtype=str),
        "analog_labels": np.array(texts("ANALOG", "LABELS"), dtype=str),
        "analog_units": np.array(texts("ANALOG", "UNITS"), dtype=str),
    }
