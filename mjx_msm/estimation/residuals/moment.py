"""Muscle and passive joint moment against the recorded one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Array

from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.geometry import Geometry
from mjx_msm.dynamics.sensitivities import Factors, Pairs, moment_columns
from mjx_msm.dynamics.simulation import passive_force
from mjx_msm.estimation.residuals.instants import InstantTerm, picked
from mjx_msm.person.model import Model
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording


def _moment(
    model: Model,
    space: ParameterSpace,
    at: Factors,
    pairs: Pairs,
    shape: Geometry,
    position: Array,
    velocity: Array,
    recorded: Array,
    activation: Array,
    activation_by_pair: Array,
    *,
    derivatives: bool,
) -> tuple[Array, ...]:
    """Rᵀ F + passive joint moment of the free coordinates [N·m]."""
    p = at.parameters
    tension = model.muscle.tension(p.muscle, activation, shape.path_length, -shape.moment_arm @ velocity)
    passive = passive_force(model, p, shape, position, velocity)
    value = (shape.moment_arm.T @ tension + passive)[model.host.free_index]
    if not derivatives:
        return (value,)
    state = (position, velocity, activation, activation_by_pair)
    return value, moment_columns(model, space, at, pairs, shape, *state)


class MomentTerm(InstantTerm):
    """Muscle and passive joint moment against the recorded net moment of the free coordinates [N·m]."""

    kind: ClassVar[str] = "moment"
    unit: ClassVar[str] = "N·m"
    law = staticmethod(_moment)


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
    return MomentTerm(model, space, **picked(recordings, picks), target=target, mask=np.concatenate(seen))
