"""The joint moments of whoever the sliders make of a person, along a recorded motion."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.compiled import float64, jit
from mjx_msm.dynamics.moment_sensitivities import Instants, instants, net_moment
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.parameters import Parameters
from mjx_msm.views.replay import Replay

ADJUSTABLE = ("muscle", "joint")
"""Groups of parameters that a moment along a recorded motion, with activation as it is, depends on."""


class RecordedMotion:
    """A trial's motion and activation, with the geometry that no parameter changes.

    **Arguments:** `person`: who the replay was made of.
    """

    def __init__(self, model: Model, person: Parameters, replay: Replay):
        self._model, self._person, self._activation = model, person, replay.activation
        order = [replay.coordinates.index(c) for c in model.coordinates]
        position = replay.position[:, order]
        self._known = np.all(np.isfinite(np.concatenate([position, replay.activation], axis=1)), axis=1, keepdims=True)
        position, count = np.where(self._known, position, 0.0), np.arange(len(position))
        with float64():
            speed = np.gradient(position, replay.time, axis=0)
            self._at = instants(model, count, np.zeros_like(count), position, speed)

    def moment(self, changed: Mapping[str, float]) -> Float[np.ndarray, "time free"]:
        """Of muscles and passive joint [N·m], of the person with some parameters changed; NaN where nothing was
        recorded."""
        with float64():
            out = np.asarray(_moment(self._model, self._person.updated(changed), self._at, self._activation))
        return np.where(self._known, out, np.nan)


@jit
def _moment(model: Model, person: Parameters, at: Instants, activation: AnyArray) -> Float[Array, "time free"]:
    along = jnp.asarray(at.path_length), jnp.asarray(at.path_velocity)
    pull = model.muscle.tension(person.muscle, jnp.nan_to_num(activation), *along)
    return net_moment(model, person, at, pull)
