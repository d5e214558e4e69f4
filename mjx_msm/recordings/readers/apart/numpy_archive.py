"""NumPy's archives and arrays, without what would run code: arrays and texts by name."""

from typing import Any

LIBRARY = "numpy"


def parse(path: str) -> dict[str, Any]:
    import numpy as np

    loaded = np.load(path, allow_pickle=False)
    arrays = {"array": loaded} if isinstance(loaded, np.ndarray) else loaded
    out: dict[str, Any] = {}
    for name, value in arrays.items():
        if value.dtype.names:
            for field in value.dtype.names:
                if value.dtype[field].kind in "biuf":
                    out[f"{name}/{field}"] = np.asarray(value[field], dtype=float)
        elif value.dtype.kind in "biuf":
            out[name] = np.asarray(value, dtype=float)
        elif value.dtype.kind in "US":
            out[name] = np.ravel(value.astype(str))
    return out
