"""What an estimate with unknown courses of unmeasured muscles says of these muscles: what drives them, so that the
person can be simulated and a new recording predicted.

Their courses are known for the recordings that were identified from, as far as those tell. In another recording they
are taken to go with what was measured: to be the non-negative mix of the measured channels' signals whose activation is
nearest to the course that was found, by the moments it stands for. That mix is part of the result, as any muscle's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from mjx_msm.common.compiled import float64
from mjx_msm.dynamics.activation_sensitivities import activation_derivatives
from mjx_msm.estimation.least_squares import NOISE_FLOOR, Solution
from mjx_msm.estimation.residuals.acceleration import acceleration_term
from mjx_msm.estimation.residuals.freed import FreedTerm
from mjx_msm.estimation.residuals.instants import InstantTerm
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.identification.problem import Problem
from mjx_msm.person.model import Model
from mjx_msm.recordings.model_clock import Recording, mixing_matrix

FAINT = 1e-3
"""Weight of a channel that is none."""
ALIKE = 0.5
"""Correlation of a mix with the course that it stands for from which it has a quarter of that course's variance: as of
synergies, below which they are said to foretell little."""


@dataclass(frozen=True)
class Simulated:
    """A problem whose unmeasured muscles are driven by what was measured, and its terms."""

    problem: Problem
    terms: list[AbstractTerm]
    scales: list[Float[np.ndarray, "coordinate"]]
    """Noise of the terms: what the mixes miss is noise now."""
    notes: tuple[str, ...]


def simulated(
    problem: Problem, terms: Sequence[AbstractTerm], solution: Solution, determined: Sequence[bool]
) -> Simulated:
    """The problem with mixes of the measured channels in the place of unknown courses.

    **Arguments:** `determined`: whether the recordings determine an estimate.
    """
    mixes: dict[str, Mapping[str, float]] = {}
    out, scales, notes = [], [], []
    for term, scale in zip(terms, solution.scales, strict=True):
        if isinstance(term, FreedTerm):
            found, said = _mixes(problem, term, solution.z, scale)
            mixes |= found
            notes += [_what_is_left(problem.model, term, determined), *said]
    recordings = driven_by(problem, mixes, problem.recordings)
    problem = replace(problem, emg_map={**problem.emg_map, **mixes}, recordings=recordings)
    for term in terms:
        plain = simulated_term(problem, term.kind, recordings) if isinstance(term, FreedTerm) else term
        left, count = plain.evaluate(solution.z, np.ones(plain.weight.shape[1])), plain.weight.sum(axis=0)
        out.append(plain)
        spread = np.sqrt(np.sum(left**2, axis=0) / np.maximum(count, 1.0))
        scales.append(np.maximum(spread, NOISE_FLOOR[plain.kind]))
    return Simulated(problem, out, scales, tuple(notes))


def driven_by(
    problem: Problem, mixes: Mapping[str, Mapping[str, float]], recordings: Sequence[Recording]
) -> tuple[Recording, ...]:
    """Recordings whose unmeasured muscles are driven by these mixes."""
    mixing = mixing_matrix(problem.model, problem.channels, {**problem.emg_map, **mixes})
    return tuple(replace(r, mixing=mixing) for r in recordings)


def simulated_term(problem: Problem, kind: str, recordings: Sequence[Recording]) -> InstantTerm:
    """A term without unknown courses."""
    make = moment_term if kind == "moment" else acceleration_term
    return make(problem.model, problem.space, recordings, problem.settings.rate)


def mixes_of(
    problem: Problem,
    term: FreedTerm,
    z: Float[np.ndarray, "free"],
    scale: Float[np.ndarray, "coordinate"],
) -> Mapping[str, Mapping[str, float]]:
    """What drives the unmeasured muscles where their courses are not known: muscle to {channel: weight}."""
    return _mixes(problem, term, z, scale)[0]


def _mixes(
    problem: Problem, term: FreedTerm, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
) -> tuple[dict[str, Mapping[str, float]], list[str]]:
    """Also, in words, how well they go with the courses that were found."""
    model, out, said = problem.model, {}, []
    rows, _, best = term.settled(z, scale)
    course = term.courses.at_instants(best)
    worth = np.sqrt(np.einsum("tcd,c->td", rows.push**2, scale**-2.0))
    activation, unit = _activations(problem, term, z)
    if term.of_forces:  # over strengths
        course, worth = _as_activation(problem, term, z, course, worth)
    for d, m in enumerate(term.unmeasured):
        own, wanted = activation[..., m] * worth[:, d, None], course[:, d] * worth[:, d]
        weight = nnls(own, wanted)[0] if own.any() else np.zeros(len(unit))
        mix = {c: float(w) for c, w in zip(unit, weight, strict=True) if w > FAINT}
        out[model.muscles[m]] = mix
        made = own @ weight
        varies = np.std(made) > 0 and np.std(wanted) > 0
        said.append(_what_stands_in(model.muscles[m], mix, float(np.corrcoef(made, wanted)[0, 1]) if varies else 0.0))
    return out, said


def _what_stands_in(muscle: str, mix: Mapping[str, float], along: float) -> str:
    """In words, for a course that is not known.

    **Arguments:** `along`: its correlation with the course that was found.
    """
    if not mix:
        return f"{muscle}: no EMG; silent in another recording: no measured channel goes with the course found here"
    words = " + ".join(f"{w:.2g} {c}" for c, w in mix.items())
    doubt = "" if along >= ALIKE else ": no more than a guess"
    return (
        f"{muscle}: no EMG; in another recording {words} stands for it, of measured channels the mix most like "
        f"the course found here (r = {along:.2f}{doubt})"
    )


def _activations(
    problem: Problem, term: FreedTerm, z: Float[np.ndarray, "free"]
) -> tuple[Float[np.ndarray, "instant channel muscle"], tuple[str, ...]]:
    """Of every muscle, driven by one channel after the other."""
    found = []
    with float64():
        for k in range(len(problem.channels)):
            mixing = np.zeros_like(term.mixing)
            mixing[:, k] = 1.0
            every = np.asarray(activation_derivatives(term.model, term.space, z, term.envelope, mixing, ())[0])
            found.append(every[term.recording, term.sample])
    return np.stack(found, 1), problem.channels


def _as_activation(
    problem: Problem,
    term: FreedTerm,
    z: Float[np.ndarray, "free"],
    force: Float[np.ndarray, "instant muscle"],
    worth: Float[np.ndarray, "instant muscle"],
) -> tuple[Float[np.ndarray, "instant muscle"], Float[np.ndarray, "instant muscle"]]:
    """Courses of forces over strengths as activations of these muscles as they are in the model, 0 to 1; and the worth
    of a change of activation by 1."""
    with float64():
        law = term.space.unpack(np.asarray(z)).muscle
        shape = term.geometry(np.arange(len(term.sample)))
        length, arm = jnp.asarray(shape.path_length), jnp.asarray(shape.moment_arm)
        speed = -jnp.einsum("tmc,tc->tm", arm, term.velocity)
        none, full = (
            np.asarray(term.model.muscle.tension(law, jnp.full_like(length, a), length, speed)) for a in (0.0, 1.0)
        )
    deep = list(term.unmeasured)
    strength = np.asarray(term.model.nominal.muscle.max_isometric_force)[deep]
    able = np.maximum(full[:, deep] - none[:, deep], 1e-3 * strength)
    return np.clip((force * strength - none[:, deep]) / able, 0.0, 1.0), worth * able / strength


def _what_is_left(model: Model, term: FreedTerm, determined: Sequence[bool]) -> str:
    """In words: whether the recordings tell anything with the courses of these muscles unknown."""
    names = ", ".join(model.muscles[m] for m in term.unmeasured)
    if not any(determined):
        return (
            f"nothing is left to learn from: unknown courses of {names} explain whatever the measured muscles do not; "
            'measure one of them, record another joint that the measured ones cross, or choose unmeasured = "synergies"'
        )
    return (
        f"with unknown courses of {names} the {term.kind}s determine {sum(determined)} of {len(determined)} parameters"
    )
