"""One-step-ahead acceleration against the recorded one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Array
from scipy.ndimage import binary_closing, binary_erosion

from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.geometry import Geometry
from mjx_msm.dynamics.sensitivities import (
    Factors,
    Pairs,
    acceleration_columns,
    free_acceleration,
    muscle_columns,
    tension_columns,
)
from mjx_msm.dynamics.simulation import free_response, mechanics, muscle_tension
from mjx_msm.estimation.residuals.instants import InstantTerm, picked
from mjx_msm.person.model import Model
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording

EDGE = 0.05
"""At both ends of a recording the second derivative of its spline is not data [s]."""


def _acceleration(
    model: Model,
    space: ParameterSpace,
    at: Factors,
    pairs: Pairs,
    shape: Geometry,
    position: Array,
    velocity: Array,
    recorded: Array,
    drive: Array,
    drive_by_pair: Array,
    *,
    derivatives: bool,
) -> tuple[Array, ...]:
    """q̈ of the free coordinates from the equations of motion, the held ones accelerated as recorded [rad/s²]."""
    free, held = model.host.free_index, model.host.held_index
    terms = mechanics(model, at.parameters, at.inertia, shape, position, velocity)
    pull = drive if model.muscle.remembers else muscle_tension(model, at.parameters, terms, velocity, drive)
    value = free_acceleration(model, at, terms, pull, recorded[held])
    if not derivatives:
        return (value,)
    everything = recorded.at[free].set(value)
    if model.muscle.remembers:
        muscles = tension_columns(model, pairs, shape, drive_by_pair)
    else:
        speed = -shape.moment_arm @ velocity
        muscles = muscle_columns(model, space, at.parameters, pairs, shape, drive, drive_by_pair, speed)
    columns = acceleration_columns(model, space, at, muscles, shape, position, velocity, everything)
    return value, free_response(model, at.parameters, terms, columns)


class AccelerationTerm(InstantTerm):
    """One-step-ahead acceleration against the recorded one [rad/s²].

    Smooth in the parameters and cheap, hence the initialiser; biased by the differentiation of noise, hence not
    the answer.
    """

    kind: ClassVar[str] = "acceleration"
    unit: ClassVar[str] = "rad/s²"
    law = staticmethod(_acceleration)


def acceleration_term(
    model: Model, space: ParameterSpace, recordings: Sequence[Recording], rate: float
) -> AccelerationTerm:
    """Acceleration residual about `rate` times a second where all coordinates were measured, edges left out."""
    stride = max(1, round(1.0 / (rate * model.timestep)))
    edge = max(1, round(EDGE / model.timestep))
    picks = []
    for r in recordings:
        measured = r.complete.copy()
        for column in r.weight.T:  # samples of one clock belong together; a longer pause is a gap with edges
            own = np.flatnonzero(column)
            reach = max(edge, 3 * int(np.median(np.diff(own))) if len(own) > 1 else edge)
            measured &= binary_closing(np.pad(column > 0, reach), np.ones(reach))[reach:-reach]
        margin = min(edge, (r.last - r.first) // 4)
        inside = binary_erosion(measured, np.ones(2 * margin + 1)) if margin else measured
        picks.append(np.flatnonzero(inside)[::stride])
    if not sum(map(len, picks)):
        names = ", ".join(r.name for r in recordings)
        raise InputError(f"no stretch of {names} is long enough to differentiate; record longer, or with fewer gaps")
    chosen = picked(model, recordings, picks)
    target = chosen["acceleration"][:, model.host.free_index]
    return AccelerationTerm(model, space, **chosen, target=target, mask=np.ones_like(target))
