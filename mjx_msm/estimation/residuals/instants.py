"""Residuals at chosen instants, with the recorded motion as the state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.common.compiled import compile_job, float64, jit, shapes
from mjx_msm.dynamics.activation_expansion import Lanes, lane_activations, lane_slopes, lanes_of
from mjx_msm.dynamics.activation_sensitivities import activation_pairs
from mjx_msm.dynamics.geometry import Geometry, geometry
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.sensitivities import Factors, Pairs, factors
from mjx_msm.dynamics.tendon_course import Acting, Course, Tensions, tension_derivatives, tension_pairs
from mjx_msm.estimation.residuals.forgetting import forgotten
from mjx_msm.estimation.residuals.path_courses import course_of, path_courses
from mjx_msm.estimation.residuals.pieces import blank, filled, padded, parts, windows
from mjx_msm.estimation.residuals.term import AbstractExpansion, AbstractTerm, Quadratic
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording

INSTANTS = 1024
"""Instants handled by one call: enough to fill the cores, few enough to waste little on a short recording."""


@dataclass(frozen=True)
class PlainExpansion(AbstractExpansion):
    quadratic: Quadratic

    def reduce(self, scale: Float[np.ndarray, "coordinate"]) -> Quadratic:
        return self.quadratic

    def follow(self, change: Float[np.ndarray, "free"]) -> None:
        return None


Law = Callable[..., tuple[Array, ...]]
"""What a residual compares at one instant, and its derivatives: (model, space, at, pairs, geometry, q, q̇, recorded q̈,
drive, drive by pair, *, derivatives) to the values of the free coordinates (free,) and, if asked for, their columns
(free, entry). Muscles are driven by their activation; of those that remember, it is their tension."""


@dataclass(frozen=True, eq=False)
class InstantTerm(AbstractTerm):
    """A residual at chosen instants with the recorded motion as the state, so that its geometry is computed once."""

    recording: Int[np.ndarray, "instant"]
    sample: Int[np.ndarray, "instant"]
    position: Float[np.ndarray, "instant coordinate"]
    velocity: Float[np.ndarray, "instant coordinate"]
    acceleration: Float[np.ndarray, "instant coordinate"]
    target: Float[np.ndarray, "instant free"]
    mask: Float[np.ndarray, "instant free"]
    course: Float[np.ndarray, "recording time two_muscle"] | None
    """Path lengths [m] and velocities [m/s] of muscles that remember, sample by sample; None: they do not."""
    law: ClassVar[Law]

    @property
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.mask

    @property
    def trial(self) -> Int[np.ndarray, "sample"]:
        return self.recording

    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.target

    @cached_property
    def pairs(self) -> Pairs:
        if self.course is None:
            return activation_pairs(self.space, np.asarray(self.mixing))
        return tension_pairs(self.space, np.asarray(self.mixing), self.acting)

    @cached_property
    def acting(self) -> tuple[int, ...]:
        """Muscles that pull at a free coordinate."""
        arms = np.concatenate([np.asarray(shape.moment_arm) for _, shape, *_ in self._chunks])
        return acting_muscles(np.swapaxes(arms[..., self.model.host.free_index], 1, 2))

    @cached_property
    def _chunks(self) -> list[tuple[Any, ...]]:
        """Everything z does not change, on the device."""
        out = []
        with float64():
            for part in parts(len(self.sample), INSTANTS):
                fields = (self.position, self.velocity, self.acceleration, self.target)
                q, v, a, target = (jax.device_put(filled(x[part], INSTANTS)) for x in fields)
                mask = np.zeros((INSTANTS, self.mask.shape[1]))
                mask[: len(self.mask[part])] = self.mask[part]
                out.append((part, _geometries(self.model, q, v), q, v, a, target, jax.device_put(mask)))
        return out

    def compile_jobs(self, z: Float[np.ndarray, "free"]) -> Iterator[Callable[[], None]]:
        with float64():
            state = blank(INSTANTS, self.position.shape[1])
            yield compile_job(_geometries, self.model, state, state)
            shape = jax.tree.map(lambda x: blank(*x.shape), shapes(_geometries, self.model, state, state))
            at = factors(self.space, np.asarray(z, dtype=float))
            moving = (blank(INSTANTS, n) for n in (len(self.model.muscles), len(self.pairs)))
            sample = blank(INSTANTS, self.target.shape[1])
            lead: Any = (self.model, self.space, self.law, self.pairs, True, at)
            yield compile_job(_instants, *lead, *moving, shape, state, state, state, sample, sample)

    def geometry(self, rows: Int[np.ndarray, "row"]) -> Geometry:
        """At some of the instants."""
        parts = [chunk[1] for chunk in self._chunks]
        return jax.tree.map(lambda *x: jax.device_put(np.concatenate([np.asarray(y) for y in x])[rows]), *parts)

    def _run(self, z: np.ndarray, *, derivatives: bool) -> Iterator[tuple[slice, Any]]:
        at = factors(self.space, z)
        drive = self._drive(z)
        for part, *fixed in self._chunks:
            moving = (jax.device_put(filled(x[part], INSTANTS)) for x in drive)
            lead: Any = (self.model, self.space, self.law, self.pairs, derivatives, at)
            yield part, _instants(*lead, *moving, *fixed)

    def _drive(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What drives the muscles at the instants, and its derivatives by pair."""
        return self._driven(z) if self.pairs else self._constant_drive

    @cached_property
    def _constant_drive(self) -> tuple[np.ndarray, np.ndarray]:
        return self._driven(0.5 * (self.space.lower + self.space.upper))  # nothing free moves it

    def _driven(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lead: Any = (self.model, self.space, z)
        with float64():
            if self.course is not None:
                recorded = (np.swapaxes(x, 0, 1) for x in (self.envelope, self.course))
                envelope, course = next(recorded), course_of(next(recorded))
                at_samples = (self.sample, self.recording)
                given: Any = (envelope, np.asarray(self.mixing), self.acting, self.pairs, course, *at_samples)
                found = _tensions(*lead, *given)
                return np.asarray(found.value), np.asarray(found.by_pair)
            envelope, window, sample = self._windows
            given = (envelope, np.asarray(self.mixing), self._lanes, sample, window)
            value, by_pair = map(np.asarray, _activations(*lead, *given))
        of, place = list(self._lanes.of), {pair: k for k, pair in enumerate(self._lanes.pairs)}
        column = [place.get((of[m], entry), -1) for m, entry in self.pairs]  # the last one: of muscles that do not act
        return value[:, of], np.pad(by_pair, ((0, 0), (0, 1)))[:, column]

    @cached_property
    def _lanes(self) -> Lanes:
        acting = np.isin(np.arange(len(self.model.muscles)), self.acting)
        return lanes_of(self.model, self.space, np.asarray(self.mixing), acting.tolist())

    @cached_property
    def _windows(self) -> tuple[Array, np.ndarray, np.ndarray]:
        """Envelopes in windows, which are computed abreast (time, window, channel), and window and sample of every
        instant."""
        lead = forgotten(self.model, self.space)
        envelope, window, sample = windows(self.envelope, self.recording, self.sample, lead)
        return jax.device_put(np.swapaxes(envelope, 0, 1).copy()), window, sample

    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> AbstractExpansion:
        with float64():
            parts = [result for _, result in self._run(np.asarray(z, dtype=float), derivatives=True)]
        return PlainExpansion(Quadratic(*(np.sum([np.asarray(p[k]) for p in parts], axis=0) for k in (1, 2, 3))))

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        out = np.zeros_like(self.mask)
        with float64():
            for part, (residual, *_) in self._run(np.asarray(z, dtype=float), derivatives=False):
                out[part] = np.asarray(residual)[: len(out[part])]
        return out


@partial(jit, barriers=True)
def _activations(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[Array, "time window channel"],
    mixing: Float[Any, "muscle channel"],
    lanes: Lanes,
    sample: Int[AnyArray, "instant"],
    window: Int[AnyArray, "instant"],
) -> tuple[Float[Array, "instant lane"], Float[Array, "instant pair"]]:
    """At the instants, and their derivatives by `Lanes.pairs`."""
    parameters = space.unpack(jnp.asarray(z))
    value = lane_activations(model, parameters, envelope, mixing, lanes)
    slope = lane_slopes(model, space, parameters, envelope, mixing, lanes, value)
    return value[sample, window], slope[sample, window]


@jit
def _tensions(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[Array, "time recording channel"],
    mixing: Float[Any, "muscle channel"],
    acting: Acting,
    pairs: Pairs,
    course: Course,
    sample: Int[AnyArray, "instant"],
    recording: Int[AnyArray, "instant"],
) -> Tensions:
    """At the instants, and their derivatives by pair."""
    drive = jnp.asarray(envelope), mixing, acting, pairs, course
    return tension_derivatives(model, space, space.unpack(jnp.asarray(z)), *drive, sample, recording)


@jit
def _geometries(model: Model, position: Array, velocity: Array) -> Geometry:
    return jax.vmap(lambda q, v, along: geometry(model, q, v, along))(position, velocity, paths(model, position))


@jit
def _instants(
    model: Model,
    space: ParameterSpace,
    law: Law,
    pairs: Pairs,
    derivatives: bool,
    at: Factors,
    drive: Float[Array, "instant muscle"],
    drive_by_pair: Float[Array, "instant pair"],
    shape: Geometry,
    position: Float[Array, "instant coordinate"],
    velocity: Float[Array, "instant coordinate"],
    acceleration: Float[Array, "instant coordinate"],
    target: Float[Array, "instant free"],
    mask: Float[Array, "instant free"],
) -> tuple[Array, ...]:
    """Residuals, and their quadratic if derivatives are asked for."""

    def one(*state: Any) -> tuple[Array, ...]:
        return law(model, space, at, pairs, *state, derivatives=derivatives)

    value, *columns = jax.vmap(one)(shape, position, velocity, acceleration, drive, drive_by_pair)
    residual = (value - target) * mask
    if not derivatives:
        return (residual,)
    return residual, *_squares(jnp.concatenate([columns[0] * mask[..., None], residual[..., None]], -1))


def _squares(rows: Float[Array, "row coordinate columns"]) -> tuple[Array, Array, Array]:
    """Squares, gradient and Hessian per coordinate from rows whose last column is the residual."""
    total = jnp.einsum("rcp,rcq->cpq", rows, rows)
    return total[:, -1, -1], total[:, :-1, -1], total[:, :-1, :-1]


def acting_muscles(moment_arm: Float[AnyArray, "instant free muscle"]) -> Acting:
    """Those that pull at a free coordinate."""
    return tuple(np.flatnonzero(np.abs(np.asarray(moment_arm)).max((0, 1), initial=0.0) > 0).tolist())


def picked(model: Model, recordings: Sequence[Recording], picks: Sequence[Int[np.ndarray, "pick"]]) -> dict[str, Any]:
    """What the recordings hold at the chosen samples, as the arguments of an `InstantTerm`."""

    def pick(name: str) -> np.ndarray:
        return np.concatenate([getattr(r, name)[p] for r, p in zip(recordings, picks, strict=True)])

    return {
        "envelope": padded([r.envelope for r in recordings], max(len(r.position) for r in recordings)),
        "mixing": recordings[0].mixing,
        "recording": np.concatenate([np.full(len(p), i) for i, p in enumerate(picks)]),
        "sample": np.concatenate(picks),
        "position": pick("smooth_position"),
        "velocity": pick("smooth_velocity"),
        "acceleration": pick("smooth_acceleration"),
        "course": path_courses(model, recordings) if model.muscle.remembers else None,
    }
