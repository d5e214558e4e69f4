"""What the identified person does with every muscle in every trial of a study: how active it is, and how it pulls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mjx_msm.common.compiled import float64
from mjx_msm.dynamics.moment_sensitivities import instants
from mjx_msm.estimation.residuals.instants import acting_muscles
from mjx_msm.knowledge.muscle_checks import FULL
from mjx_msm.knowledge.records import MuscleUse
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.recordings.trial import reordered
from mjx_msm.views.replay import Replay, bridged


def muscle_use(model: Model, result: Identification, study: Study, trials: Sequence[Replay]) -> Iterator[MuscleUse]:
    """Of every muscle that pulls at a free coordinate, in every one of the trials."""
    recorded = {t.name: t for t in (*study.trials, *study.held_out)}
    for trial in trials:
        envelope = reordered(recorded[trial.name], study.channels).emg
        pull, acting = _pulls(model, result, trial)
        for m, muscle in enumerate(model.muscles):
            if m not in acting:
                continue
            mix = result.emg_map.get(muscle, {})
            weights = np.array([mix.get(c, 0.0) for c in study.channels])
            active = trial.activation[:, m]
            active = active[np.isfinite(active)]
            if len(active) and np.isfinite(pull[:, m]).any():
                yield MuscleUse(
                    trial.name,
                    muscle,
                    float(np.nanmax(envelope @ weights, initial=0.0)),
                    float(active.max()),
                    float(np.mean(active >= FULL)),
                    float(np.nanmax(pull[:, m])),
                )


def _pulls(
    model: Model, result: Identification, trial: Replay
) -> tuple[Float[np.ndarray, "time muscle"], tuple[int, ...]]:
    """Tension over maximal isometric force, NaN where nothing was recorded; and the muscles that pull at a free
    coordinate."""
    known = np.all(np.isfinite(np.concatenate([trial.position, trial.activation], axis=1)), axis=1, keepdims=True)
    position = bridged(trial.position[:, [trial.coordinates.index(c) for c in model.coordinates]])
    position, count = np.nan_to_num(position), np.arange(len(position))
    with float64():
        muscles = result.personalised(model).muscle
        at = instants(model, count, np.zeros_like(count), position, np.gradient(position, trial.time, axis=0))
        path = jnp.asarray(at.path_length), jnp.asarray(at.path_velocity)
        tension = model.muscle.tension(muscles, jnp.asarray(np.nan_to_num(trial.activation)), *path)
        share = np.asarray(tension) / np.asarray(muscles.max_isometric_force)
    return np.where(known, share, np.nan), acting_muscles(at.moment_arm)
