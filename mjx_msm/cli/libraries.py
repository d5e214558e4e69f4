"""Libraries made ready for the command: loaded whole, JAX's device there, compiled code kept between runs."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.common.interrupts import held_interrupts


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


def load_libraries(*names: str) -> None:
    """Import libraries of C++, which an interrupt while they load would abort or leave half made; it waits."""
    for name in names:
        with held_interrupts() as interrupts:
            import_module(name)
        if interrupts:
            raise KeyboardInterrupt


def prepare_jax() -> None:
    """Load the physics, and keep compiled code between runs, so that the second one starts at once.

    **Raises:** `InputError` if the environment names a device that is not there.
    """
    load_libraries("scipy.stats", "mujoco", "jax")
    import jax

    wanted = os.environ.get("JAX_PLATFORMS", "")
    if wanted:
        try:
            jax.devices()
        except (RuntimeError, AssertionError):  # the latter where the device's plugin is not installed
            raise InputError(
                f"JAX_PLATFORMS={wanted}: JAX finds no such device here; unset it, or set it to cpu"
            ) from None
    folder = cache_folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # it is only a convenience
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
