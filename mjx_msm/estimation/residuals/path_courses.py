"""Paths of the muscles along whole recordings, which a law with a memory follows sample by sample."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.compiled import float64, jit
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.tendon_course import Course
from mjx_msm.estimation.residuals.pieces import filled, padded, parts
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.recordings.model_clock import Recording

SAMPLES = 1024
"""Handled by one call."""


def path_courses(model: Model, recordings: Sequence[Recording]) -> Float[np.ndarray, "recording time two_muscle"]:
    """Path lengths [m] and velocities [m/s]; before and after the recorded motion they stay as at its ends."""
    found = []
    for r in recordings:
        sample = np.clip(np.arange(len(r.smooth_position)), r.first, r.last)
        inside = (sample == np.arange(len(sample)))[:, None]
        q, v = r.smooth_position[sample], r.smooth_velocity[sample] * inside
        pieces = []
        with float64():
            for part in parts(len(q), SAMPLES):
                piece = _path_states(model, filled(q[part], SAMPLES), filled(v[part], SAMPLES))
                pieces.append(np.asarray(piece)[: len(q[part])])
        found.append(np.concatenate(pieces))
    return padded(found, max(map(len, found)))


def course_of(recorded: Float[np.ndarray, "time recording two_muscle"]) -> Course | None:
    """Of lengths and velocities side by side; None where there are none."""
    if not recorded.shape[-1]:
        return None
    length, velocity = np.split(recorded, 2, axis=-1)
    return Course(length.copy(), velocity[0].copy())


@jit
def _path_states(
    model: Model, position: Float[AnyArray, "time coordinate"], velocity: Float[AnyArray, "time coordinate"]
) -> Float[Array, "time two_muscle"]:
    position, velocity = jnp.asarray(position), jnp.asarray(velocity)
    shape = jax.vmap(lambda *at: geometry(model, *at))(position, velocity, paths(model, position))
    return jnp.concatenate([shape.path_length, -jnp.sum(shape.moment_arm * velocity[:, None], -1)], -1)
