"""Muscle and passive joint moment against the recorded one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float

from mjx_msm.common.compiled import compile_job, float64
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.activation_expansion import Lanes, lanes_of
from mjx_msm.dynamics.activation_sensitivities import TIME_CONSTANTS
from mjx_msm.dynamics.moment_sensitivities import Instants, instants, moment_sums, moments
from mjx_msm.estimation.residuals.instants import INSTANTS, InstantTerm, PlainExpansion, picked
from mjx_msm.estimation.residuals.pieces import filled, parts, windows
from mjx_msm.estimation.residuals.term import AbstractExpansion, Quadratic
from mjx_msm.person.model import Model
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording

FORGOTTEN = 1e-11
"""Part of what an activation was that may be left in it where windows are cut."""
SLOWER = 2.0
"""How much longer than its time constant an activation near 0 or 1 takes."""


@dataclass(frozen=True, eq=False)
class MomentTerm(InstantTerm):
    """Muscle and passive joint moment against the recorded net moment of the free coordinates [N·m].

    No parameter changes the geometry at its instants, so all of it is arithmetic on what is computed once; and it knows
    its second derivatives.
    """

    at: Instants
    lanes: Lanes
    recorded: tuple[Any, Any]
    """Envelopes of windows, time first, and mixing, on the device."""
    trust: Float[np.ndarray, "instant free"] | None = None
    """Weight of every squared residual; None: all count alike."""
    kind: ClassVar[str] = "moment"
    unit: ClassVar[str] = "N·m"

    def trusting(self, trust: Float[np.ndarray, "instant free"]) -> MomentTerm:
        """The same with every squared residual weighed; errors, and what was measured, stay as they are."""
        return replace(self, trust=trust)

    def _arguments(self, z: Float[np.ndarray, "free"]) -> tuple[Any, ...]:
        lead = self.model, self.space, np.asarray(z, dtype=float), *self.recorded
        counts = self.mask if self.trust is None else self.mask * np.sqrt(self.trust)
        return *lead, self.lanes, self.at, self.target, counts

    def compile_jobs(self, z: Float[np.ndarray, "free"]) -> Iterator[Callable[[], None]]:
        with float64():
            yield compile_job(moment_sums, *self._arguments(z))

    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> AbstractExpansion:
        with float64():
            squares, gradient, hessian, curvature = map(np.asarray, moment_sums(*self._arguments(z)))
        return PlainExpansion(Quadratic(squares, gradient, hessian, curvature=curvature))

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        with float64():
            value = moments(*self._arguments(z)[:7])
        return (np.asarray(value) - self.target) * self.mask


def _instants(model: Model, window: np.ndarray, sample: np.ndarray, picked: dict[str, Any]) -> Instants:
    """In pieces of one shape, which are compiled for once."""
    found = []
    with float64():
        for part in parts(len(sample), INSTANTS):
            own = (x[part] for x in (sample, window, picked["position"], picked["velocity"]))
            piece = instants(model, *(filled(x, INSTANTS) for x in own))
            count = len(sample[part])
            found.append(jax.tree.map(lambda x, n=count: np.asarray(x)[:n], piece))
        together = jax.tree.map(lambda *x: np.concatenate(x), *found)
        return jax.tree.map(jax.device_put, together)


def _forgotten(space: ParameterSpace, timestep: float) -> int:
    """Steps after which an activation and its derivatives are what the last excitations made them."""
    rows = list(zip(space.scalars, space.owner, space.offset, strict=True))
    constants = [float(np.max(getattr(space.nominal.muscle, f))) for f in TIME_CONSTANTS]
    constants += [math.exp(space.upper[o] + offset) for s, o, offset in rows if s.field in TIME_CONSTANTS]
    delays = [0.0, *np.ravel(space.nominal.emg.delay)]
    delays += [space.upper[o] + offset for s, o, offset in rows if s.field == "delay"]
    return math.ceil((SLOWER * max(constants) * math.log(1.0 / FORGOTTEN) + max(delays)) / timestep)


def moment_term(model: Model, space: ParameterSpace, recordings: Sequence[Recording], rate: float) -> MomentTerm:
    """Moment residual at the samples of the trials' own clocks, thinned to about `rate` a second."""
    picks, seen = [], []
    for r in recordings:
        own = r.clock[(r.clock >= r.first) & (r.clock <= r.last)]
        if len(own) < 2:
            raise InputError(f"trial '{r.name}' has {len(own)} samples with recorded motion; a moment needs more")
        spacing = float(np.median(np.diff(own))) * model.timestep
        picks.append(own[:: max(1, round(1.0 / (rate * spacing)))])
        seen.append((r.moment_weight * r.complete[:, None])[picks[-1]])  # a posture is needed to predict a moment in
    target = np.concatenate([r.moment[p] for r, p in zip(recordings, picks, strict=True)])
    about = picked(recordings, picks)
    lead = _forgotten(space, model.timestep)
    envelope, window, sample = windows(about["envelope"], about["recording"], about["sample"], lead)
    at, mixing = _instants(model, window, sample, about), np.asarray(about["mixing"])
    lanes = lanes_of(model, space, mixing, np.abs(np.asarray(at.moment_arm)).max((0, 1)) > 0)
    with float64():
        recorded = jax.device_put(np.swapaxes(envelope, 0, 1).copy()), jax.device_put(mixing)
    mask = np.concatenate(seen)
    return MomentTerm(model, space, **about, target=target, mask=mask, at=at, lanes=lanes, recorded=recorded)
