"""From coordinates to the positions of all of a model's joints."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.person.couplings import whole_position


def poses_of(
    model: mujoco.MjModel,
) -> Callable[[Float[np.ndarray, "time coordinate"]], Float[np.ndarray, "time joint"]]:
    """What fills in joints that follow others.

    **Raises:** `InputError` if the model has ball or free joints, whose positions are no coordinates.
    """
    if model.nq != model.njnt:
        raise InputError("the viewer moves hinges and slides, this model has ball or free joints; view a part of it")
    return lambda position: whole_position(model, position)
