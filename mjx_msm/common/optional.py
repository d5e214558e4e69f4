"""Libraries that an extra of this package brings."""

from __future__ import annotations

import importlib
from types import ModuleType

from mjx_msm.common.errors import InputError


def optional(module: str, extra: str, purpose: str) -> ModuleType:
    """The module.

    **Raises:** `InputError` where it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, and lacks something itself
        raise InputError(f"{purpose} needs {module}; pip install 'mjx-msm[{extra}]'") from None
