"""MuJoCo's XML writer at full precision."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mujoco


@contextmanager
def full_precision() -> Iterator[None]:
    """MuJoCo's XML writer at 17 significant digits instead of 6, which would lose 1e-6 of every number.

    The switch is the one its own round-trip tests use; it is exported by the library but has no Python name.
    """
    folder = Path(mujoco.__file__).parent
    library = ctypes.CDLL(str(next(iter(sorted(folder.glob("*mujoco*.so*")) + sorted(folder.glob("*mujoco*.d*"))))))
    library._mjPRIVATE__set_xml_precision(17)
    try:
        yield
    finally:
        library._mjPRIVATE__set_xml_precision(6)
