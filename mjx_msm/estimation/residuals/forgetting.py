"""How long what drives a muscle remembers: where recordings may be cut into windows that are computed abreast."""

from __future__ import annotations

import math

import numpy as np

from mjx_msm.dynamics.activation_sensitivities import TIME_CONSTANTS
from mjx_msm.dynamics.tendon_course import forgetting
from mjx_msm.person.model import Model
from mjx_msm.person.space import ParameterSpace

FORGOTTEN = 1e-11
"""Part of what an activation was that may be left in it where windows are cut."""
SLOWER = 2.0
"""How much longer than its time constant an activation near 0 or 1 takes."""


def forgotten(model: Model, space: ParameterSpace, left: float = FORGOTTEN) -> int:
    """Steps after which an activation, a tendon and their derivatives are what the last excitations made them."""
    rows = list(zip(space.scalars, space.owner, space.offset, strict=True))
    constants = [float(np.max(getattr(space.nominal.muscle, f))) for f in TIME_CONSTANTS]
    constants += [math.exp(space.upper[o] + offset) for s, o, offset in rows if s.field in TIME_CONSTANTS]
    delays = [0.0, *np.ravel(space.nominal.emg.delay)]
    delays += [space.upper[o] + offset for s, o, offset in rows if s.field == "delay"]
    slowest = max(constants) + (forgetting(model, space) if model.muscle.remembers else 0.0)
    return math.ceil((SLOWER * slowest * math.log(1.0 / left) + max(delays)) / model.timestep)
