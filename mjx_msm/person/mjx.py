"""Import of MuJoCo MJX without its greeting about optional back ends."""

from __future__ import annotations

import contextlib
import io
from types import ModuleType


def import_mjx() -> ModuleType:
    """`mujoco.mjx`; where the optional Warp back end is missing, its import prints two lines nobody asked for."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from mujoco import mjx
    return mjx
