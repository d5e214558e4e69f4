"""Bounds and priors as a user gives them, in the coordinates of the solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.person.inertia import inertia_to_log_cholesky
from mjx_msm.person.kinds import Kind
from mjx_msm.person.parameters import INERTIA_COMPONENTS, Scalar


def bounds_in_z(kind: Kind, centre: float, spec: Mapping[str, Any], path: str) -> tuple[float, float]:
    if kind.transform == "inertia":
        raise InputError(f"bounds of {path} cannot be set one by one; an inertia is bounded through its factor")
    if not isinstance(spec, Mapping):
        raise InputError(f"bounds of {path} need either factor = [lo, hi] or range = [lo, hi], got {spec}")
    if set(spec) == {"range"}:
        lo, hi = _pair(spec["range"], path)
    elif set(spec) == {"factor"}:
        value = float(np.exp(centre)) if kind.transform == "log" else float(centre)
        lo, hi = sorted(value * f for f in _pair(spec["factor"], path))
    else:
        raise InputError(f"bounds of {path} need either factor = [lo, hi] or range = [lo, hi], got {sorted(spec)}")
    if kind.transform == "log":
        if lo <= 0:
            raise InputError(f"lower bound of {path} must be positive")
        lo, hi = float(np.log(lo)), float(np.log(hi))
    return lo, hi


def _pair(values: Any, path: str) -> tuple[float, float]:
    try:
        lo, hi = map(float, values)
    except (TypeError, ValueError):
        lo = hi = np.nan
    if not np.isfinite([lo, hi]).all():
        raise InputError(f"bounds of {path} need two finite numbers [lo, hi], got {values}")
    return lo, hi


def prior_in_z(
    kind: Kind, mean: float, scale: float, spec: Mapping[str, Any] | str, scalar: Scalar
) -> tuple[float, float]:
    path = scalar.path
    if spec == "none":
        return mean, np.inf
    wanted = f'prior of {path} needs mean and/or sd (in its unit), or relative_sd, or "none"; got {spec}'
    if not isinstance(spec, Mapping) or not spec or not set(spec) <= {"mean", "sd", "relative_sd"}:
        raise InputError(wanted)
    numbers = {k: v for k, v in spec.items() if not (kind.transform == "inertia" and k == "mean")}
    if not all(isinstance(v, int | float) for v in numbers.values()) or {"sd", "relative_sd"} <= set(spec):
        raise InputError(wanted)
    if not all(spec[k] > 0 for k in ("sd", "relative_sd") if k in spec):
        raise InputError(f"prior sd of {path} must be positive")
    if kind.transform == "inertia":
        if "sd" in spec:
            raise InputError(f"prior sd of {path} takes relative_sd only; an inertia is estimated through its factor")
        if "mean" in spec:
            mean = float(_inertia_mean_in_z(spec["mean"], path)[scalar.index[1]])
        return mean, float(spec.get("relative_sd", scale))
    if "mean" in spec:
        if kind.transform == "log" and float(spec["mean"]) <= 0:
            raise InputError(f"prior mean of {path} must be positive")
        mean = float(np.log(spec["mean"])) if kind.transform == "log" else float(spec["mean"])
    value = float(np.exp(mean)) if kind.transform == "log" else float(mean)
    if "sd" in spec:
        scale = float(spec["sd"]) / value if kind.transform == "log" else float(spec["sd"])
    elif "relative_sd" in spec:
        scale = float(spec["relative_sd"]) * (1.0 if kind.transform == "log" else abs(value))
    if not scale > 0:
        raise InputError(f"prior sd of {path} must be positive")
    return mean, scale


def check_whole_inertia(scalar: Scalar, hits: list[Scalar], spec: Mapping[str, Any] | str) -> None:
    """A mean is that of the whole inertia: its coordinates mix the entries of the matrix."""
    if scalar.field == "inertia" and isinstance(spec, Mapping) and "mean" in spec:
        block = scalar.path.rsplit("/", 1)[0]
        if sum(s.path.startswith(f"{block}/") for s in hits) < len(INERTIA_COMPONENTS):
            raise InputError(f"prior mean of {scalar.path} is given whole; write it for '{block}', as six numbers")


def _inertia_mean_in_z(values: Any, path: str) -> Float[np.ndarray, "6"]:
    block = path.rsplit("/", 1)[0]
    try:
        inertia = np.array(values, dtype=float)
    except (TypeError, ValueError):
        inertia = np.zeros(0)
    if inertia.shape != (6,) or not np.isfinite(inertia).all():
        raise InputError(
            f"prior mean of {block} needs six numbers [kg·m²], xx, yy, zz, xy, xz, yz about the centre of mass; "
            f"got {values}"
        )
    with jax.enable_x64(True):
        z = np.asarray(inertia_to_log_cholesky(inertia))
    if not np.isfinite(z).all():
        raise InputError(
            f"prior mean of {block} is not physically possible: its principal moments must be positive, and each less "
            "than the sum of the other two; correct it"
        )
    return z
