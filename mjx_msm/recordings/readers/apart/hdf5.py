"""An HDF5 file, which MATLAB's of version 7.3 are, by h5py: arrays and texts by their path."""

from typing import Any

LIBRARY = "h5py"


def parse(path: str) -> dict[str, Any]:
    import h5py
    import numpy as np

    out: dict[str, Any] = {}

    def text(data: Any) -> str:
        return "".join(map(chr, np.ravel(data).tolist())).strip("\0 ")

    def array(name: str, data: Any, file: Any, depth: int) -> None:
        kind = data.attrs.get("MATLAB_class", b"")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if depth > 20 or data.attrs.get("MATLAB_empty", 0) or data.dtype.names:
            return
        if kind == "char" or (kind == "string" and data.dtype.kind == "u"):
            if data.dtype.kind == "u" and kind == "char":
                letters = np.asarray(data[()])
                out[name] = np.array([text(row) for row in letters.T] if letters.ndim == 2 else [text(letters)])
        elif data.dtype == h5py.ref_dtype:
            items = [file[r] for r in np.ravel(data[()])[:1000] if r]
            if items and all(isinstance(i, h5py.Dataset) and i.attrs.get("MATLAB_class") == b"char" for i in items):
                out[name] = np.array([text(i[()]) for i in items])
                return
            for k, item in enumerate(items):
                visit(f"{name}/{k + 1}", item, file, depth + 1)
        elif h5py.check_string_dtype(data.dtype) is not None or data.dtype.kind == "S":
            words = np.ravel(data[()])[:10_000]
            out[name] = np.array([w.decode("utf-8", "replace") if isinstance(w, bytes) else str(w) for w in words])
        elif data.dtype.kind in "biuf" and data.size:
            value = np.asarray(data[()], dtype=float)
            out[name] = value.T if kind else value  # MATLAB has the columns first

    def visit(name: Any, item: Any, file: Any, depth: int) -> None:
        if depth > 20 or name.startswith("#"):
            return
        if isinstance(item, h5py.Group):
            for key in item:
                if item.get(key, getlink=True).__class__ is not h5py.ExternalLink:
                    visit(f"{name}/{key}" if name else key, item[key], file, depth + 1)
        elif isinstance(item, h5py.Dataset) and not item.external and not item.is_virtual:
            array(name, item, file, depth)

    with h5py.File(path, "r") as file:
        visit("", file, file, 0)
    return out
