"""MuJoCo's XML writer, for one thread at a time, and at full precision."""

from __future__ import annotations

import ctypes
from pathlib import Path
from threading import Lock

import mujoco

_WRITER = Lock()
"""The precision is the process's; and writing a spec changes it inside: a second thread that writes the same one ends
the process (MuJoCo 3.17)."""


def xml_of(spec: mujoco.MjSpec, *, full: bool = False) -> str:
    """The MJCF of a spec, which other threads may ask for, too.

    **Arguments:** `full`: whether at 17 significant digits instead of 6, which lose 1e-6 of every number.
    """
    with _WRITER:
        if not full:
            return spec.to_xml()
        _set_digits(17)
        try:
            return spec.to_xml()
        finally:
            _set_digits(6)


def _set_digits(count: int) -> None:
    """The switch is the one MuJoCo's own round-trip tests use; it is exported by the library but has no Python name."""
    folder = Path(mujoco.__file__).parent
    library = ctypes.CDLL(str(next(iter(sorted(folder.glob("*mujoco*.so*")) + sorted(folder.glob("*mujoco*.d*"))))))
    library._mjPRIVATE__set_xml_precision(count)
