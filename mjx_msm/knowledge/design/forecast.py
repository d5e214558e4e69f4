"""From information to the intervals to expect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.uncertainty import Knowledge, uncertainty
from mjx_msm.knowledge.wording import direction_words
from mjx_msm.person.space import ParameterSpace

NORMAL = 1.959963984540054
"""Half the width of a 95 % interval in standard deviations."""


@dataclass(frozen=True)
class Expectation:
    """What the session is expected to say about one parameter."""

    path: str
    unit: str
    value: float
    """At which the design was made, in `unit`."""
    size: float
    """What the intervals are relative to, in `unit`: the value, or the usual spread of its kind where that is more."""
    before: float
    """Half the width of the 95 % interval that is known before, relative; infinite without a prior."""
    after: float
    """The same after the session; infinite if nothing determines the parameter."""
    data_share: float
    """Part of the estimate that will come from the data, 0 (all prior) to 1."""

    @property
    def determined(self) -> bool:
        """Whether the session holds at least as much information on it as the prior."""
        return self.data_share >= 0.5 and math.isfinite(self.after)

    def __str__(self) -> str:
        return f"{self.path} ±{100 * self.after:.3g} %" if math.isfinite(self.after) else f"{self.path} not determined"


@dataclass(frozen=True)
class Forecast:
    """What recordings are expected to say about all unknowns."""

    information: Float[np.ndarray, "free free"]
    """F of the data alone, in z."""
    covariance: Float[np.ndarray, "free free"]
    """Of z, prior included; infinite on the diagonal where neither says anything."""
    expectations: tuple[Expectation, ...]
    undetermined: tuple[str, ...]
    """Combinations of parameters that the data leave to the prior, in words."""

    @property
    def worst(self) -> Expectation:
        """The parameter whose relative interval is the widest, among those that are determined."""
        return worst_of([self])[0]

    def __getitem__(self, path: str) -> Expectation:
        for e in self.expectations:
            if e.path == path:
                return e
        raise KeyError(f"{path} is not among the unknowns")


def worst_of(forecasts: Sequence[Forecast]) -> tuple[Expectation, ...]:
    """For every forecast the parameter whose relative interval is the widest.

    What none of the sessions determines says nothing of any of them; what one determines counts for all.

    **Raises:** `InputError` if they determine nothing, or are of different unknowns.
    """
    names = [tuple(e.path for e in f.expectations) for f in forecasts]
    if len(set(names)) != 1:
        raise InputError("forecasts of different unknowns do not compare; make them with one space")
    known = [path for path in names[0] if any(f[path].determined for f in forecasts)]
    if not known:
        raise InputError(
            "no session determines any of the unknowns; record longer, choose other parameters, or lower angle_noise"
        )
    return tuple(max((f[path] for path in known), key=lambda e: e.after) for f in forecasts)


def forecast(
    space: ParameterSpace, information: Float[np.ndarray, "free free"], z: Float[np.ndarray, "free"] | None = None
) -> Forecast:
    """Intervals to expect from an amount of information, with the priors of the space."""
    z = np.asarray(space.prior_mean if z is None else z, dtype=float)
    result = uncertainty(information, space.prior_scale, width=space.upper - space.lower)
    with np.errstate(invalid="ignore"):
        sd = np.sqrt(np.diag(result.covariance))
    size = relative_size(space, z)
    rows = []
    for k, (path, kind) in enumerate(zip(space.paths, space.kinds, strict=True)):
        unit, value = (kind.unit, float(space.physical(z)[k])) if kind.transform != "inertia" else ("-", float(z[k]))
        rows.append(
            Expectation(
                path=path,
                unit=unit,
                value=value,
                size=abs(value) if kind.transform == "log" else float(size[k]),
                before=float(NORMAL * space.prior_scale[k] / size[k]),
                after=float(NORMAL * sd[k] / size[k]),
                data_share=float(result.data_share[k]),
            )
        )
    left = [m for m in result.modes if m.knowledge is not Knowledge.DETERMINED]
    words = tuple(direction_words(m.weights, result.unit, space, z) for m in left)
    return Forecast(information, result.covariance, tuple(rows), words)


def relative_size(space: ParameterSpace, z: Float[np.ndarray, "free"]) -> Float[np.ndarray, "free"]:
    """What a change of z is relative to: 1 for ln(x) and inertias, else |x|, at least the spread usual of its kind."""
    usual = np.array([1.0 if k.transform != "linear" else k.prior_scale for k in space.kinds])
    linear = np.array([k.transform == "linear" for k in space.kinds])
    return np.where(linear, np.maximum(np.abs(z), usual), 1.0)
