"""What a learned rule learns from a person's recorded trials, and what its own forecasts of them still miss.

Two lessons. First, how envelopes and what acts from outside go on (`mjx_msm.prediction.extrapolation`). Then the trials
are streamed to the predictor itself, and ridge regressions learn from features and forecasts together what is left of
recorded moments and later angles: a grey box, whose physics is right as far as it goes, and which is taught the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.simulation import generalised_force, mechanics, muscle_tension, spatial_inertia
from mjx_msm.person.model import Model
from mjx_msm.person.parameters import Parameters
from mjx_msm.prediction import extrapolation
from mjx_msm.prediction.known_person import KnownPerson
from mjx_msm.prediction.live_state import Setup
from mjx_msm.prediction.muscle_course import activations
from mjx_msm.prediction.played import played
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.trial import Trial, reordered

LEARNT_STEP = 0.005
"""Of the clock that a rule is fitted on [s]."""
SETTLED = 1.0
"""Of a stream, before its forecasts count [s]."""
PENALTY = 1e-2
"""Of the ridge, per sample, with features of unit variance."""


@dataclass(frozen=True)
class Correction:
    """To be added to torque now, torque ahead and angle ahead."""

    weights: Float[np.ndarray, "feature target"]
    offset: Float[np.ndarray, "target"]
    free: int

    def __call__(self, features: Float[np.ndarray, "feature"]) -> Float[np.ndarray, "3 free"]:
        return (features @ self.weights + self.offset).reshape(3, self.free)


def correction(predictor: Any, model: Model, trials: Sequence[Trial]) -> Correction:
    """What the predictor's forecasts of trials miss; of torques only where moments were recorded.

    **Arguments:** `predictor`: a `mjx_msm.Predictor` without a correction yet.
    """
    rows, targets = [], []
    for trial in trials:
        own = reordered(trial, predictor.channels)
        step = max(LEARNT_STEP, 1.0 / predictor.rate)
        time, emg, angle = played(own, own.channels, predictor.coordinates, step)
        predictor.reset()
        said = [predictor.explained(e, q, t) for e, q, t in zip(emg, angle, time, strict=True)]
        free = [predictor.coordinates.index(c) for c in model.free]
        moment = np.full((len(time), len(free)), np.nan)
        for k, c in enumerate(model.free):
            if own.moment is not None and c in own.moment_coordinates:
                column = own.moment[:, own.moment_coordinates.index(c)]
                there = np.isfinite(column)
                moment[:, k] = np.interp(time, own.time[there], column[there], left=np.nan, right=np.nan)

        def later(values: np.ndarray, time: np.ndarray = time) -> np.ndarray:
            at = time + predictor.horizon
            return np.stack([np.interp(at, time, x, right=np.nan) for x in values.T], axis=1)

        read = np.stack([x for _, x in said])
        # what the model says, to which both this correction and what own errors teach are added
        torque, torque_ahead, _, angle_ahead = np.split(read[:, -4 * len(free) :], 4, axis=1)
        counts = time > time[0] + SETTLED
        rows.append(read[counts])
        missed = moment - torque, later(moment) - torque_ahead, later(angle[:, free]) - angle_ahead
        targets.append(np.concatenate(missed, axis=1)[counts])
    x, y = np.concatenate(rows), np.concatenate(targets)
    weights, offset = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])
    for k in range(y.shape[1]):
        good = np.isfinite(y[:, k])
        if good.sum() > 10 * x.shape[1]:
            found = extrapolation.ridge(x[good], y[good, k : k + 1], PENALTY, x[good].std(axis=0))
            weights[:, k], offset[k] = found[0][:, 0], found[1][0]
    return Correction(weights, offset, len(model.free))


def taught(setup: Setup, person: KnownPerson, trials: Sequence[Trial]) -> Setup:
    """The setup with a rule learned from trials."""
    if not trials:
        raise InputError("extrapolation 'learned' needs trials to learn from; give trials, or choose 'hold' or 'decay'")
    me = jax.tree.map(lambda x: x[:1], setup.everyone)
    one = jax.tree.map(lambda x: x[0], setup.everyone)
    model, courses = setup.model, []
    for trial in trials:
        r = record(model, person.heard(trial), person.emg_map)
        stride = max(1, round(LEARNT_STEP / model.timestep))
        at = np.arange(r.first, r.last + 1, stride)
        q, v, acceleration = (x[at] for x in (r.smooth_position, r.smooth_velocity, r.smooth_acceleration))
        with float64():
            _, a = activations(model, me, r.envelope, r.mixing, at)
            outer = np.asarray(_outer(model, one, q, v, acceleration, np.asarray(a)[0]))
        courses.append(extrapolation.Course(stride * model.timestep, r.envelope[at], q, v, outer))
    return replace(setup, learned=extrapolation.learned(courses, setup.lead, setup.ahead))


@jit
def _outer(
    model: Model, parameters: Parameters, position: Any, velocity: Any, acceleration: Any, activation: Any
) -> Any:
    """What acts on the free coordinates besides muscles and passive joint [N·m]; accelerations of the others."""
    inertia, free = spatial_inertia(parameters.body), model.host.free_index

    def one(q: Any, v: Any, along: Any, a: Any, activation: Any) -> Any:
        terms = mechanics(model, parameters, inertia, geometry(model, q, v, along), q, v)
        force = generalised_force(terms, muscle_tension(model, parameters, terms, v, activation))
        return a.at[free].set((terms.mass_matrix @ a - force)[free])

    q, v, a, activation = (jnp.asarray(x) for x in (position, velocity, acceleration, activation))
    return jax.vmap(one)(q, v, paths(model, q), a, activation)
