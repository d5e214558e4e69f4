"""NumPy's files: ``.npz`` and ``.npy``."""

from __future__ import annotations

from pathlib import Path

from mjx_msm.recordings.readers.arrays import contents_of_arrays
from mjx_msm.recordings.readers.confined import Parser, parsed
from mjx_msm.recordings.readers.contents import Contents
from mjx_msm.recordings.readers.formats import Format

PARSER = Parser("numpy_archive", "a NumPy file", "numpy", "numpy", slowness=4.0)


def contents_of_numpy(path: Path) -> Contents:
    """The arrays of a NumPy file; objects, which could run code, are not read."""
    return contents_of_arrays(path, parsed(path, PARSER))


def _recognised(head: bytes) -> str | None:
    if head.startswith(b"\x93NUMPY"):
        return "because it begins with NumPy's signature"
    archive = head.startswith(b"PK") and b".npy" in head[:300]
    return "because it is an archive of .npy files" if archive else None


FORMAT = Format("a NumPy file", (".npz", ".npy"), _recognised, contents_of_numpy)
