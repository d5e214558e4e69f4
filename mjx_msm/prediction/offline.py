"""A new recording through an identified person, from EMG and angles to what muscles and joints do."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mjx_msm.common.arguments import of_kind, whole
from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.dynamics.metabolics import slow_twitch
from mjx_msm.dynamics.moment_sensitivities import Instants
from mjx_msm.dynamics.simulation import rollout_segments
from mjx_msm.estimation.residuals.instants import INSTANTS
from mjx_msm.estimation.residuals.moment import MomentTerm, moment_term
from mjx_msm.estimation.residuals.path_courses import course_of
from mjx_msm.estimation.residuals.pieces import filled, parts
from mjx_msm.identification.assembly import fits_of, with_others
from mjx_msm.knowledge.log_posterior import identified_from
from mjx_msm.knowledge.records import Fit
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.shared_recordings import made_from, same_recording, was_seen
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.parameters import Parameters
from mjx_msm.prediction.contact_force import AXES, axes_in_words, crossing
from mjx_msm.prediction.muscle_course import Course, activations, courses, estimate_first, fiber_spans
from mjx_msm.prediction.prediction import Curves, Prediction
from mjx_msm.recordings.evidence.contradictions import contradictions
from mjx_msm.recordings.model_clock import Recording, record
from mjx_msm.recordings.trial import Trial, trials_of

ROLE = "predicted"
DRAWS = 40
"""People drawn from the posterior, unless told otherwise."""
LEVELS = (0.025, 0.975)
WORKING = 0.4, 1.6
"""Fiber lengths over the optimal one between which muscles make active force: 0.5 to 1.5 (Zajac 1989), somewhat
widened, as a model's own curves are."""
UNITS = {
    "fiber_length": "m",
    "fiber_velocity": "m/s",
    "muscle_force": "N",
    "tendon_force": "N",
    "metabolic_power": "W",
}


@one_blas_thread
def predict(
    identification: Identification,
    trial: Trial,
    *,
    model: Model | None = None,
    draws: int = DRAWS,
    rate: float | None = None,
    learnt_from: Trial | Sequence[Trial] = (),
) -> Prediction:
    """What an identified person's muscles and joints do in a new recording of EMG and angles.

    Quantities (`Prediction.curves`), each with a 95 % band:

    - `excitation`, `activation` [-]; `fiber_length` [m], `fiber_velocity` [m/s]; `muscle_force` (along the fibers) and
      `tendon_force` [N]; `metabolic_power` [W] (Bhargava 2004, without the basal rate), of every muscle and in `total`
    - `moment_by_muscle`, ``coordinate/muscle``, and `moment` of muscles and passive joint together [N·m], of the free
      coordinates, along the recorded motion
    - `contact_force`, ``coordinate/x`` ... of the free joints [N]: on the distal segment and in its axes, without what
      touches the person elsewhere (`mjx_msm.prediction.contact_force`)
    - `motion` [rad], where motion is what the person was identified from: simulated from the recorded state over the
      identification's horizon, then anew

    The band is that of the posterior: `draws` of the people that the identification could be of. Those of `moment` and
    `motion` also hold the spread that the identification found between model and recording.

    **Arguments:** `model`: what it was identified on, by default loaded; needed for a muscle model of your own. `rate`:
    instants per second, at most the trial's own; by default the identification's. `learnt_from`: the trials it was
    identified from: where the new one has moments, baselines learn from them and their errors stand beside. Of trials
    with files, only those count whose files the result was made from, whatever they are called.

    **Raises:** `InputError` if a channel or coordinate is missing, or no draws are left.

    **Warns:** `InputWarning` of what in the trial contradicts the model, of fibers that are outside the range in which
    muscles work, and of people whose motion cannot be simulated.
    """
    of_kind("identification", identification, Identification, "identify makes one, Identification.load reads one")
    of_kind("trial", trial, Trial, "load_subject reads them from files")
    whole("draws", draws, 2)
    model = identification.model() if model is None else model
    rate = (identification.rate or 200.0) if rate is None else rate
    space = identification.space(model)
    for line in contradictions(model, (trial,), identification.emg_map):
        warnings.warn(line, InputWarning, stacklevel=3)
    recording, term = _put(identification, model, space, trial, rate)
    with float64():
        everyone = estimate_first(identification, model, draws)
        sample = np.asarray(term.sample)
        u, a = activations(model, everyone, recording.envelope, recording.mixing, sample)
        path = None if term.course is None else course_of(np.swapaxes(term.course, 0, 1))
        drive = recording.envelope, recording.mixing
        spans = fiber_spans(model, everyone, *drive, path, term.at, np.asarray(term.sample))
        found = _courses(model, everyone, term, *map(np.asarray, (u, a, *spans)))
    noise = identification.stages[-1].noise if identification.stages else {}
    spread = np.array([noise.get(f"moment/{c}", 0.0) for c in model.free])
    curves = _curves(model, np.asarray(u), np.asarray(a), found, spread)
    if "motion" in identification.residuals:
        scale = np.array([noise.get(f"motion/{c}", 0.0) for c in model.free])
        curves["motion"] = _motion(identification, model, everyone, recording, sample, scale)
    beyond = _beyond_their_range(
        model, curves["fiber_length"].value, np.asarray(everyone.muscle.optimal_fiber_length)[0]
    )
    if beyond:
        warnings.warn(f"trial '{trial.name}': {beyond}", InputWarning, stacklevel=3)
    seen, known = term.mask > 0, made_from(identification, trials_of(learnt_from))
    return Prediction(
        subject=identification.subject,
        trial=trial.name,
        time=recording.start + model.timestep * sample,
        muscles=model.muscles,
        coordinates=model.coordinates,
        free=model.free,
        position=np.asarray(term.position),
        curves=curves,
        strength=np.asarray(everyone.muscle.max_isometric_force)[0],
        recorded_moment=np.where(seen, term.target, np.nan) if seen.any() else None,
        fits=_fits(identification, model, space, trial, recording, term, known, rate) if seen.any() else (),
        seen=was_seen(identification, trial, known),
    )


def _beyond_their_range(
    model: Model, length: Float[np.ndarray, "instant muscle"], optimal: Float[np.ndarray, "muscle"]
) -> str:
    """Muscles whose fibers leave `WORKING`, in words; empty if none do."""
    relative = length / optimal
    low, high = relative.min(axis=0), relative.max(axis=0)
    odd = [
        f"{m} {a:.2g} to {b:.2g}"
        for m, a, b in zip(model.muscles, low, high, strict=True)
        if a < WORKING[0] or b > WORKING[1]
    ]
    if not odd:
        return ""
    return (
        f"fibers leave {WORKING[0]:g} to {WORKING[1]:g} of their optimal length, in which muscles work: "
        f"{', '.join(odd)}; do not believe these muscles' forces, whatever the sum of moments says"
    )


def _put(
    identification: Identification, model: Model, space: Any, trial: Trial, rate: float
) -> tuple[Recording, MomentTerm]:
    recording = record(model, identification.heard(trial), identification.emg_map)
    return recording, moment_term(model, space, (recording,), rate)


def _courses(model: Model, everyone: Parameters, term: MomentTerm, *driven: np.ndarray) -> Course:
    """In pieces of one shape, which are compiled for once."""
    slow, found = slow_twitch(model.muscles), []
    for part in parts(len(term.sample), INSTANTS):
        at = Instants(*(filled(np.asarray(getattr(term.at, f))[part], INSTANTS) for f in Instants.__dataclass_fields__))
        motion = (filled(x[part], INSTANTS) for x in (term.position, term.velocity, term.acceleration))
        across = crossing(model, *motion)
        u, a, *spans = (np.moveaxis(filled(np.moveaxis(x[:, part], 1, 0), INSTANTS), 0, 1) for x in driven)
        piece = courses(model, everyone, slow, at, across, u, a, (spans[0], spans[1]))
        count = len(term.sample[part])
        found.append(jax.tree.map(lambda x, n=count: np.asarray(x)[:, :n], piece))
    return jax.tree.map(lambda *x: np.concatenate(x, axis=1), *found)


def _band(unit: str, names: Sequence[str], everyone: AnyArray, spread: np.ndarray | float = 0.0) -> Curves:
    """The estimate comes first, then the draws; `spread` is a standard deviation that each of them has besides."""
    everyone = np.asarray(everyone)
    low, high = np.quantile(everyone[1:], LEVELS, axis=0)
    value, wider = everyone[0], 1.96 * np.asarray(spread)
    below, above = np.maximum(value - low, 0.0), np.maximum(high - value, 0.0)
    return Curves(unit, tuple(names), value, value - np.hypot(below, wider), value + np.hypot(above, wider))


def _curves(model: Model, u: np.ndarray, a: np.ndarray, found: Course, spread: np.ndarray) -> dict[str, Curves]:
    out = {"excitation": _band("-", model.muscles, u), "activation": _band("-", model.muscles, a)}
    for quantity, unit in UNITS.items():
        every, names = getattr(found, quantity), model.muscles
        if quantity == "metabolic_power":
            every, names = np.concatenate([every, every.sum(-1, keepdims=True)], -1), (*names, "total")
        out[quantity] = _band(unit, names, every)
    flat = found.moment_by_muscle.reshape(*found.moment.shape[:2], -1)
    pairs = [f"{c}/{m}" for c in model.free for m in model.muscles]
    crosses = np.abs(flat).max(axis=(0, 1)) > 0
    out["moment_by_muscle"] = _band("N·m", [p for p, x in zip(pairs, crosses, strict=True) if x], flat[..., crosses])
    out["moment"] = _band("N·m", model.free, found.moment, spread)
    contact = found.contact_force.reshape(*found.moment.shape[:2], -1)
    forces = _band("N", [f"{c}/{x}" for c in model.free for x in AXES], contact)
    out["contact_force"] = replace(forces, about=axes_in_words(model))
    return out


@jit
def _simulated(
    model: Model, everyone: Parameters, q: Any, v: Any, a: Any, u: Any, prescribed: Any
) -> Float[AnyArray, "person window step_plus_1 free"]:
    def one(drive: tuple[Parameters, Any, Any]) -> Any:
        parameters, first, excitations = drive
        held = prescribed if model.prescribed else None
        out = rollout_segments(model, parameters, q, v, first, excitations, prescribed=held)
        good = jnp.all(out.failed_step[:, None] < 0)
        return jnp.where(good, out.position[..., model.host.free_index], jnp.nan)

    return jax.lax.map(one, (everyone, a, u))


def _motion(
    identification: Identification,
    model: Model,
    everyone: Parameters,
    recording: Recording,
    sample: np.ndarray,
    scale: np.ndarray,
) -> Curves:
    """Simulated from recorded states, over windows of the horizon; the last one overlaps the one before."""
    first, last = recording.first, recording.last
    steps = min(identification.horizon, last - first)
    starts = np.minimum(np.arange(first, last, steps), last - steps)
    every = np.unique(np.concatenate([np.arange(s, s + steps + 1) for s in starts]))
    with float64():
        u, a = activations(model, everyone, recording.envelope, recording.mixing, np.arange(last + 1))
        u, a = np.asarray(u), np.asarray(a)
        window = starts[:, None] + np.arange(steps + 1)
        held = recording.smooth_position[:, model.host.prescribed_index][window]
        q, v = recording.smooth_position[starts], recording.smooth_velocity[starts]
        moved = np.asarray(_simulated(model, everyone, q, v, a[:, starts], u[:, window], held))
    out = np.full((len(moved), last + 1, len(model.free)), np.nan)
    for k, s in enumerate(starts):
        out[:, s : s + steps + 1] = moved[:, k]
    good = np.asarray(np.isfinite(out[:, every]).all(axis=(1, 2)))
    if not good[0] or good.sum() < 3:
        raise InputError(f"trial '{recording.name}': its motion cannot be simulated, states are not finite")
    if not good.all():
        warnings.warn(
            f"trial '{recording.name}': the motion of {np.sum(~good)} of {len(good) - 1} people drawn cannot be "
            "simulated; its band is that of the others, and too narrow",
            InputWarning,
            stacklevel=4,
        )
    return _band("rad", model.free, out[good][:, np.clip(sample, first, last)], scale)


def _fits(
    identification: Identification,
    model: Model,
    space: Any,
    trial: Trial,
    recording: Recording,
    term: MomentTerm,
    learnt_from: Sequence[Trial],
    rate: float,
) -> tuple[Fit, ...]:
    z, start = np.array(identification.z), space.clip(space.prior_mean)
    rows = list(fits_of([term], (recording,), z, start, [np.ones(len(model.free))], ROLE))
    seen = identified_from(learnt_from, identification)
    others = [t for t in seen if t.moment is not None and not same_recording(t, trial)]
    if not others:
        return tuple(rows)
    known = tuple(record(model, identification.heard(t), identification.emg_map) for t in others)
    return tuple(with_others(rows, z, moment_term(model, space, known, rate), known, term, (recording,)))
