"""HDF5 files: whatever arrays are in them, by their path."""

from __future__ import annotations

from pathlib import Path

from mjx_msm.recordings.readers.arrays import contents_of_arrays
from mjx_msm.recordings.readers.confined import Parser, parsed
from mjx_msm.recordings.readers.contents import Contents
from mjx_msm.recordings.readers.formats import Format

PARSER = Parser("hdf5", "HDF5", "h5py", slowness=4.0)
SIGNATURE = b"\x89HDF\r\n\x1a\n"


def contents_of_hdf5(path: Path) -> Contents:
    """The arrays of an HDF5 file."""
    return contents_of_arrays(path, parsed(path, PARSER))


def _recognised(head: bytes) -> str | None:
    return "because it begins with HDF5's signature" if head.startswith(SIGNATURE) else None


FORMAT = Format("an HDF5 file", (".h5", ".hdf5"), _recognised, contents_of_hdf5)
