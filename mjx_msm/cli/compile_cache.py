"""Where compiled code is kept between runs of the command."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path | None:
    """Where compiled code is kept between runs; ``MJX_MSM_CACHE`` overrides it, ``off`` turns it off."""
    chosen = os.environ.get("MJX_MSM_CACHE", "").strip()
    if chosen.lower() in ("off", "0", "no", "none"):
        return None
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mjx_msm"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "mjx_msm"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mjx_msm"


def keep_compiled_code() -> None:
    """Keep compiled code between runs, so that the second one starts at once."""
    import jax

    folder = cache_folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # it is only a convenience
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
