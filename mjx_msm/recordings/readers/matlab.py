"""MATLAB's files (``.mat``): of version 7.3, which are HDF5, and of those before."""

from __future__ import annotations

from pathlib import Path

from mjx_msm.recordings.readers.arrays import contents_of_arrays
from mjx_msm.recordings.readers.confined import Parser, parsed
from mjx_msm.recordings.readers.content import content_of
from mjx_msm.recordings.readers.contents import Contents
from mjx_msm.recordings.readers.formats import HEAD, Format
from mjx_msm.recordings.readers.hdf5 import PARSER as HDF5
from mjx_msm.recordings.readers.hdf5 import SIGNATURE

PARSER = Parser("matlab", "a MATLAB file", "scipy.io", "scipy", slowness=4.0)


def contents_of_matlab(path: Path) -> Contents:
    """The arrays of a MATLAB file, by their path through its structures."""
    newer = SIGNATURE in content_of(path, HEAD)
    return contents_of_arrays(path, parsed(path, HDF5 if newer else PARSER))


def _recognised(head: bytes) -> str | None:
    return "because it begins with 'MATLAB'" if head.startswith(b"MATLAB ") else None


FORMAT = Format("a MATLAB file", (".mat",), _recognised, contents_of_matlab)
