"""Profile likelihood: what the recordings say about one parameter when every other one may adapt to it.

The parameter is held at values across its interval and beyond, everything else is estimated anew from the solution at
the neighbouring value, and the drop of the log posterior is recorded. The 95 % interval holds the values whose drop is
below 1.92, half the 95 % quantile of χ² with one degree of freedom (Venzon and Moolgavkar 1988, doi 10.2307/2347496;
Raue et al. 2009, doi 10.1093/bioinformatics/btp358). Where the posterior is not normal it differs from the Laplace
interval: it need not be symmetric, and it is open where a curve never drops that far. Values are chosen by
the signed root of the drop, which is linear where the posterior is normal (Bates and Watts 1988, profile t).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.common.errors import InputError
from mjx_msm.common.files import write_text
from mjx_msm.knowledge.log_posterior import Posterior, posterior_of
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.wording import number
from mjx_msm.person.model import Model
from mjx_msm.recordings.trial import Trial

DROP = 1.9207294103470620
"""Of log posterior at the ends of a 95 % interval: half of 1.96²."""
ROOT_STEP, LAST_ROOT = 0.5, 2.3
"""Spacing of the values, and how far to go: in signed roots √(2 · drop), of which 1.96 is the end of the interval."""
MOST_VALUES = 14
"""To either side."""
BETTER = 0.1
"""A gain in log posterior over the estimate from which it was not the best one."""


@dataclass(frozen=True)
class Profile:
    """Log posterior along one parameter, everything else re-estimated. Numbers are in `unit`."""

    path: str
    unit: str
    estimate: float
    """Where the log posterior is highest: the result's, if that had settled."""
    values: Float[np.ndarray, "value"]
    """At which it was held, rising; `estimate` is one of them."""
    drop: Float[np.ndarray, "value"]
    """Of log posterior below the estimate's."""
    data_drop: Float[np.ndarray, "value"]
    """Its part from the recordings; the prior's is the rest."""
    z: Float[np.ndarray, "value free"]
    """All parameters at each value, in the solver's coordinates."""
    low: float
    """Lower end of the 95 % interval; the lower bound, or the last value reached, where it is open."""
    high: float
    low_open: bool
    """Whether the log posterior does not drop by 1.92 before the lower bound."""
    high_open: bool
    laplace: tuple[float, float]
    """The interval of the result, from the curvature at the estimate."""
    interrupted: bool = False
    better: bool = False
    """Whether a better fit than the result's was found, which then was not the best one."""

    def save(self, path: str | Path) -> Path:
        """Write values and drops as CSV."""
        rows = zip(self.values, self.drop, self.data_drop, strict=True)
        lines = [f"{self.path} [{self.unit}],drop,data_drop", *(f"{v:.10g},{d:.6g},{a:.6g}" for v, d, a in rows)]
        write_text(Path(path), "\n".join(lines) + "\n")
        return Path(path)

    def __str__(self) -> str:
        estimate, low, high, *laplace = (
            number(x, self.low, self.high) for x in (self.estimate, self.low, self.high, *self.laplace)
        )
        ends = f"{'≤ ' if self.low_open else ''}{low}", f"{'≥ ' if self.high_open else ''}{high}"
        text = (
            f"{self.path}: estimate {estimate} {self.unit}, 95 % interval {ends[0]} … {ends[1]} by profile "
            f"likelihood, {laplace[0]} … {laplace[1]} by curvature"
        )
        if self.low_open or self.high_open:
            sides = " and ".join(s for s, o in (("below", self.low_open), ("above", self.high_open)) if o)
            text += f"; open {sides}: no value up to there is contradicted"
        if self.better:
            text += "; there is a better fit than the result's: identify again, with more starts"
        return text + ("; interrupted" if self.interrupted else "")


Listener = Callable[[float, float], None]


@dataclass
class _Walk:
    """Solutions to one side of the estimate, from the estimate outwards."""

    z: list[np.ndarray]
    value: list[float]
    ended: bool = False
    """Whether the bound was reached."""
    interrupted: bool = False
    nuisance: list[Any] = field(default_factory=list)


@one_blas_thread
def profile(
    model: Model,
    trials: Trial | Sequence[Trial],
    result: Identification,
    path: str,
    *,
    listener: Listener | None = None,
) -> Profile:
    """Profile likelihood of one parameter.

    **Arguments:**

    - `model`, `trials`: those that `result` was identified from.
    - `path`: of one of its estimates, e.g. ``"muscle/BRA/max_isometric_force"``.
    - `listener`: called with every value and its drop. A `KeyboardInterrupt` keeps what there is.

    Where residuals repeat each other or are not small, the drop is scaled so that its curvature at the estimate is that
    of the result's interval (Chandler and Bate 2007, doi 10.1093/biomet/asm015); else that changes nothing.

    **Raises:** `InputError` if the result has no such estimate, or cannot be profiled.
    """
    paths = [e.path for e in result.estimates]
    if path not in paths:
        close = difflib.get_close_matches(path, paths, n=3, cutoff=0.3)
        raise InputError(f"{path} was not estimated; did you mean {', '.join(close) or ', '.join(paths[:3])}?")
    entry, estimate = paths.index(path), result[path]
    posterior = posterior_of(model, trials, result, freed=True)
    space, variance = posterior.space, np.array(result.covariance)[entry, entry]
    one = float(space.physical(np.array(result.z))[entry]) / estimate.value if estimate.unit == "×" else 1.0

    def shown(z: float) -> float:
        return float(space.physical(np.full(space.size, z))[entry]) / one

    far = 1.96 * math.sqrt(variance)
    ends = np.clip(result.z[entry] + np.array([-far, far]), space.lower[entry], space.upper[entry])
    laplace = shown(ends[0]), shown(ends[1])
    given = posterior(np.array(result.z), settle=20)[0]
    top = posterior.minimise(np.array(result.z))
    if top.nuisance is None:
        raise InputError("the result cannot be simulated on these recordings; are they those it was identified from?")
    centre, nuisance = top.z, top.nuisance
    best, _, nuisance = posterior(centre, nuisance)
    known = posterior.known(centre, nuisance)
    scale = float(known.spread[entry, entry] / variance) if math.isfinite(variance) else 1.0
    slope = known.spread[:, entry] / known.spread[entry, entry]

    def report(z: float, value: float) -> None:
        if listener is not None:
            listener(shown(z), scale * (value - best))

    report(centre[entry], best)
    sd = math.sqrt(known.spread[entry, entry] / max(scale, 1e-12))
    walks = []
    for sign in (-1.0, 1.0):
        if top.interrupted or any(w.interrupted for w in walks):
            walks.append(_Walk([], [], interrupted=True))
        else:
            walks.append(_walk(posterior, entry, sign, centre, best, nuisance, slope, sd, scale, report))
    lower, upper = walks
    z = np.array([*reversed(lower.z), centre, *upper.z])
    value = np.array([*reversed(lower.value), best, *upper.value])
    drop = scale * (value - best)
    prior = 0.5 * np.sum(np.square((z - space.prior_mean) / space.prior_scale), axis=1)
    prior_drop = prior - prior[len(lower.z)]
    ends = [_end(centre[entry], [x[entry] for x in w.z], scale * (np.array(w.value) - best)) for w in walks]
    low, high = (shown(e if e is not None else (w.z[-1][entry] if w.z else centre[entry]))
                 for e, w in zip(ends, walks, strict=True))  # fmt: skip
    return Profile(
        path=path,
        unit=estimate.unit,
        estimate=shown(centre[entry]),
        values=np.array([shown(x) for x in z[:, entry]]),
        drop=drop,
        data_drop=scale * (value - best - prior_drop),
        z=z,
        low=low,
        high=high,
        low_open=ends[0] is None,
        high_open=ends[1] is None,
        laplace=laplace,
        interrupted=top.interrupted or any(w.interrupted for w in walks),
        better=bool(drop.min() < -BETTER or given - best > BETTER),
    )


def _walk(
    posterior: Posterior,
    entry: int,
    sign: float,
    centre: np.ndarray,
    best: float,
    nuisance: list[Any],
    slope: np.ndarray,
    sd: float,
    scale: float,
    report: Callable[[float, float], None],
) -> _Walk:
    """From the estimate outwards until the drop is clear or the bound is met."""
    space, out = posterior.space, _Walk([], [], nuisance=nuisance)
    bound = space.lower[entry] if sign < 0 else space.upper[entry]
    width = space.upper[entry] - space.lower[entry]
    step, at, root, solution = min(ROOT_STEP * sd, 0.25 * width), centre[entry], 0.0, centre
    try:
        while len(out.z) < MOST_VALUES and root < LAST_ROOT and not out.ended:
            to = at + sign * step
            if (to - bound) * sign >= -1e-3 * step:
                to, out.ended = bound, True
            if abs(to - at) <= 1e-7 * width:  # the estimate sits on its bound
                break
            held = space.held(entry, to)
            start = np.clip(solution + slope * (to - at), held.lower, held.upper)
            found = posterior.minimise(start, out.nuisance, held)
            if found.interrupted:
                out.interrupted = True
                break
            if found.nuisance is None:  # not finite there: as good as contradicted
                break
            value, _, out.nuisance = posterior(found.z, found.nuisance)
            slope = (found.z - solution) / (to - at)
            new = math.sqrt(2.0 * max(scale * (value - best), 0.0))
            rate = (new - root) / abs(to - at)
            step = float(np.clip(ROOT_STEP / max(rate, 1e-300), 0.5 * step, 2.0 * step))
            at, root, solution = to, new, found.z
            out.z.append(found.z)
            out.value.append(value)
            report(to, value)
    except KeyboardInterrupt:
        out.interrupted = True
    return out


def _end(centre: float, at: Sequence[float], drop: Float[np.ndarray, "value"]) -> float | None:
    """Where the drop passes `DROP`, interpolated in its root; None if it does not."""
    root = np.sqrt(2.0 * np.maximum(np.concatenate([[0.0], drop]), 0.0))
    where, target = np.array([centre, *at]), math.sqrt(2.0 * DROP)
    beyond = np.flatnonzero(root >= target)
    if not len(beyond):
        return None
    k = int(beyond[0])
    if np.all(np.diff(root[: k + 1]) > 0) and k > 1:
        last = min(k + 2, len(root)) if np.all(np.diff(root[: min(k + 2, len(root))]) > 0) else k + 1
        return float(PchipInterpolator(root[:last], where[:last])(target))
    return float(np.interp(target, root[k - 1 : k + 1], where[k - 1 : k + 1]))
