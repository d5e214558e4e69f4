"""The trials of a study as recorded and as the generic and the identified person move in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mjx_msm.common.compiled import float64, jit
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.dynamics.simulation import activate
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.estimation.residuals.motion import motion_term, window_steps
from mjx_msm.estimation.residuals.stepped_motion import is_stepped, stepped_motion_term
from mjx_msm.identification.problem import complete
from mjx_msm.knowledge.moment_band import DRAWS, ENDS, moment_noise, moment_spread
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording, record
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.recordings.trial import Trial, reordered
from mjx_msm.study.settings import settings, study_space
from mjx_msm.views.replay import Replay


def replays(model: Model, result: Identification, study: Study) -> tuple[Replay, ...]:
    """Every trial of the study, the ones to identify from first, as recorded and as simulated.

    Motions are simulated where the "motion" residual was used, over windows of its horizon with their initial states
    fitted, as in the error table; moments are predicted along the recorded motion where they were recorded.
    """
    trials, held, _ = complete(model, study.trials, study.held_out, settings(study, model))
    study = replace(study, trials=trials, held_out=held)
    space = study_space(model, study)
    start = space.clip(space.prior_mean)  # where the estimator starts
    rate = study.identify.rate
    noise = result.stages[-1].noise if result.stages else {}
    scale = np.array([noise.get(f"motion/{c}", 1.0) for c in model.free])  # weighs the fit of the initial states
    versions = {"generic": start, "identified": np.array(result.z)}
    identified, held_out = (
        tuple(record(model, reordered(t, study.channels), result.emg_map) for t in group)
        for group in (study.trials, study.held_out)
    )
    out: list[Replay] = []
    for trials, recordings in ((study.trials, identified), (study.held_out, held_out)):
        if trials:
            steps = window_steps(result.horizon, identified, recordings)
            out += _replays(model, space, versions, study, trials, recordings, steps, rate, scale, result)
    return tuple(out)


def _replays(
    model: Model,
    space: ParameterSpace,
    versions: Mapping[str, np.ndarray],
    study: Study,
    trials: Sequence[Trial],
    recordings: Sequence[Recording],
    steps: int,
    rate: float,
    scale: Float[np.ndarray, "free"],
    result: Identification,
) -> list[Replay]:
    moments = positions = None
    if "motion" in study.identify.residuals:
        made = stepped_motion_term if is_stepped(model) else motion_term
        positions = made(model, space, recordings, steps)
    if any(r.moment_weight.any() for r in recordings):
        moments = moment_term(model, space, recordings, rate)
    simulated = {v: positions.evaluate(z, scale) for v, z in versions.items()} if positions is not None else {}
    predicted = {v: moments.evaluate(z, scale) for v, z in versions.items()} if moments is not None else {}
    people, spread = np.array(result.samples[:DRAWS]), None
    if moments is not None and len(people):
        spread = moment_spread(moments, people, moment_noise(result))
    out = []
    for i, (recording, trial) in enumerate(zip(recordings, trials, strict=True)):
        if moments is not None:
            picks = moments.sample[moments.trial == i]
        else:
            stride = max(1, round(1.0 / (rate * model.timestep)))
            picks = np.arange(recording.first, recording.last + 1, stride)
        q = recording.smooth_position[picks].copy()
        q[:, model.host.free_index] = measured(recording.position, recording.weight, trial, model)[picks]
        motion, moment, torque, band = {}, None, None, None
        if positions is not None:
            rows = positions.trial == i
            seen = positions.weight[rows] > 0
            for version, residual in simulated.items():
                # where nothing was measured the residual is masked: bridge the simulated curve between samples
                values, at = positions.signal()[rows] + residual[rows], positions.sample[rows]
                motion[version] = np.stack(
                    [np.interp(picks, at[s], x[s]) for x, s in zip(values.T, seen.T, strict=True)], -1
                )
        if moments is not None and recording.moment_weight.any():
            rows = moments.trial == i
            gone = moments.weight[rows] == 0
            moment = np.where(gone, np.nan, moments.signal()[rows])
            torque = {v: np.where(gone, np.nan, moment + r[rows]) for v, r in predicted.items()}
            if spread is not None:
                band = torque["identified"] - ENDS * spread[rows], torque["identified"] + ENDS * spread[rows]
        out.append(
            Replay(
                recording.name,
                recording.start + model.timestep * picks,
                model.coordinates,
                model.free,
                model.muscles,
                q,
                drive(model, space, versions["identified"], recording)[1][picks],
                motion,
                moment,
                torque,
                band,
            )
        )
    return out


def measured(values: np.ndarray, weight: np.ndarray, trial: Trial, model: Model) -> np.ndarray:
    """Values between measured samples of one stretch; NaN in gaps."""
    reach = max(1, math.ceil(trial.timestep / model.timestep - 1e-6))
    out = np.full(values.shape, np.nan)
    for c in range(values.shape[1]):
        seen = np.flatnonzero(weight[:, c] > 0)
        for a, b in zip(seen, np.append(seen[1:], seen[-1:]), strict=True):
            out[a, c] = values[a, c]
            if b - a <= reach:
                out[a : b + 1, c] = values[a : b + 1, c]
    return out


@jit
def _drive_on_device(model: Model, emg: Any, activation_of: Any, envelope: Any, mixing: Any) -> Any:
    u = excitation(emg, envelope, mixing, model.timestep)
    return u, activate(model, activation_of, u[0], u)[0]


def drive(
    model: Model, space: ParameterSpace, z: np.ndarray, recording: Recording
) -> tuple[Float[np.ndarray, "time muscle"], Float[np.ndarray, "time muscle"]]:
    """Excitation and activation of a recording over its whole clock, EMG lead-in included."""
    with float64():
        parameters = space.unpack(jnp.asarray(z))
        u, a = _drive_on_device(
            model, parameters.emg, parameters, jnp.asarray(recording.envelope), jnp.asarray(recording.mixing)
        )
        return np.asarray(u), np.asarray(a)
