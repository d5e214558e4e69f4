"""A MATLAB file of version 4, 6 or 7, by SciPy: arrays and texts by their path through structures."""

from typing import Any

LIBRARY = "scipy.io"


def parse(path: str) -> dict[str, Any]:
    import numpy as np
    from scipy.io import loadmat
    from scipy.io.matlab import MatlabFunction, MatlabOpaque

    out: dict[str, Any] = {}

    def texts(value: Any) -> Any:
        flat = [x for x in np.ravel(value)]
        while any(isinstance(x, np.ndarray) and x.dtype == object and x.size == 1 for x in flat):
            flat = [x.item() if isinstance(x, np.ndarray) and x.dtype == object and x.size == 1 else x for x in flat]
        words = [
            "".join(map(str, np.ravel(x))) if isinstance(x, np.ndarray) and x.dtype.kind == "U" else x for x in flat
        ]
        return words if words and all(isinstance(w, str) for w in words) else None

    def walk(name: str, value: Any) -> None:
        if isinstance(value, MatlabOpaque | MatlabFunction):
            out[f"{name}?"] = np.array("an object of MATLAB's own")
        elif isinstance(value, np.ndarray) and value.dtype.names:
            for k, item in enumerate(value.ravel()[:1000]):
                inside = name if value.size == 1 else f"{name}/{k + 1}"
                for field in value.dtype.names:
                    walk(f"{inside}/{field}" if inside else field, item[field])
        elif isinstance(value, np.ndarray) and value.dtype == object:
            words = texts(value)
            if words is not None:
                out[name] = np.array(words, dtype=str)
                return
            for k, item in enumerate(value.ravel()[:1000]):
                walk(f"{name}/{k + 1}", item)
        elif isinstance(value, np.ndarray) and value.dtype.kind == "U":
            out[name] = np.array([str(x).strip() for x in value.ravel()], dtype=str)
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            out[name] = value.astype(float)
        elif hasattr(value, "toarray"):  # sparse
            out[f"{name}?"] = np.array("a sparse matrix")

    for name, value in loadmat(path).items():
        if not name.startswith("__"):
            walk(name, value)
    return out
