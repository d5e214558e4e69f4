"""What a model gets wrong about a recording: acceleration, moment and motion residuals.

A term compares a model with all recordings at once. `evaluate` gives the residuals in physical units (simulated minus
recorded, 0 where nothing was measured), `expand` their sum of squares about a point as a quadratic in the
parameters, one per coordinate, so that noise scales can be chosen afterwards. Instants and intervals go through
compiled functions of one shape each, whatever the length of the recordings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.ndimage import binary_closing, binary_erosion

from mjx_msm.compiled import compile_job, float64, jit, shapes
from mjx_msm.emg import EmgNoise
from mjx_msm.envelope_error import EnvelopeError, envelope_error, knot_spacing
from mjx_msm.errors import InputError
from mjx_msm.geometry import Geometry, geometry
from mjx_msm.model import Model
from mjx_msm.parameters import ParameterSpace
from mjx_msm.paths import Paths, paths
from mjx_msm.recording import Recording
from mjx_msm.sensitivities import (
    Factors,
    Pairs,
    acceleration_columns,
    acceleration_derivatives,
    activation_columns,
    activation_derivatives,
    activation_pairs,
    chain,
    factors,
    free_acceleration,
    moment_columns,
    path_derivatives,
)
from mjx_msm.simulation import free_response, mechanics, passive_force, simulate_motion

EDGE = 0.05
"""At both ends of a recording the second derivative of its spline is not data [s]."""
INSTANTS = 1024
"""Instants handled by one call: enough to fill the cores, few enough to waste little on a short recording."""
LANES = 64
"""Intervals handled by one call."""
CLOSED = 1e-16
"""Sum of squared gaps below which intervals meet [rad², rad²/s²]."""
SETTLED = 1e-9
"""Change of a state that is none [rad, rad/s]."""
CRAWL = 3e-4
"""Relative change of the sum of squares that is none, where the states of a wrong model close slowly or never."""
SETTLED_BESIDE_ERRORS = 1e-5, 1e-3
"""The same where the EMG has errors, of a state and of a knot [standard deviations]."""
INTERVAL = 32
"""Steps of an interval: how long a motion is simulated before it starts anew from a state of its own."""


@dataclass(frozen=True)
class Quadratic:
    """Sums of squared residuals per coordinate about a point: S + 2 gᵀδ + δᵀHδ for a change δ of z."""

    squares: Float[np.ndarray, "coordinate"]
    gradient: Float[np.ndarray, "coordinate free"]
    hessian: Float[np.ndarray, "coordinate free free"]
    nuisance: Quadratic | None = None
    """The same, of one 'coordinate', for nuisance unknowns over the standard deviations of their priors."""


class AbstractExpansion(ABC):
    """A term about one z: nuisance unknowns are eliminated once the weights of the coordinates are known."""

    @abstractmethod
    def reduce(self, scale: Float[np.ndarray, "coordinate"]) -> Quadratic:
        """The quadratic with nuisance unknowns at their best for residuals weighted by 1/scale."""

    @abstractmethod
    def follow(self, change: Float[np.ndarray, "free"]) -> Any:
        """Nuisance unknowns to go with z + change; None if there are none."""

    def absorbed(self, scale: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "coordinate"]:
        """Nuisance unknowns with a prior that the samples of every coordinate use up."""
        return np.zeros(len(scale))


@dataclass(frozen=True)
class _Plain(AbstractExpansion):
    quadratic: Quadratic

    def reduce(self, scale: Float[np.ndarray, "coordinate"]) -> Quadratic:
        return self.quadratic

    def follow(self, change: Float[np.ndarray, "free"]) -> None:
        return None


@dataclass(frozen=True, eq=False)
class AbstractTerm(ABC):
    """One kind of residual over all trials."""

    model: Model
    space: ParameterSpace
    envelope: Float[np.ndarray, "recording time channel"]
    mixing: Float[np.ndarray, "muscle channel"]
    kind: ClassVar[str]
    unit: ClassVar[str]

    @property
    @abstractmethod
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        """1 where measured, 0 elsewhere."""

    @property
    @abstractmethod
    def trial(self) -> Int[np.ndarray, "sample"]:
        """Which recording a sample belongs to."""

    @abstractmethod
    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        """What was recorded, in physical units."""

    @property
    def eliminated(self) -> int:
        """Number of nuisance unknowns fitted per coordinate."""
        return 0

    @abstractmethod
    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> AbstractExpansion:
        """Linearise about z; `nuisance` as `AbstractExpansion.follow` of an earlier expansion gave it."""

    @abstractmethod
    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        """Simulated minus recorded, in physical units; `scale` weighs coordinates where a nuisance is eliminated."""

    def compile_jobs(self, z: Float[np.ndarray, "free"]) -> Iterator[Callable[[], None]]:
        """Trace what `expand` needs, if anything; what is yielded compiles it, and may run in other threads."""
        return iter(())

    @cached_property
    def pairs(self) -> Pairs:
        return activation_pairs(self.space, np.asarray(self.mixing))

    def activations(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Activation (recording, time, muscle) and its derivative by pair."""
        return self._activations_at(z) if self.pairs else self._constant_activations

    @cached_property
    def _constant_activations(self) -> tuple[np.ndarray, np.ndarray]:
        return self._activations_at(0.5 * (self.space.lower + self.space.upper))  # nothing free moves an activation

    def _activations_at(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        every, by_pair = activation_derivatives(self.model, self.space, z, self.envelope, self.mixing, self.pairs)
        return np.asarray(every), np.asarray(by_pair)


def _blank(*shape: int) -> Array:
    return jax.device_put(np.zeros(shape))


def padded(arrays: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Stack along a new axis, the last sample repeated up to `length`."""
    return np.stack([np.concatenate([a, np.repeat(a[-1:], length - len(a), axis=0)]) for a in arrays])


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _filled(array: np.ndarray, size: int) -> np.ndarray:
    """The last entry repeated up to `size`."""
    short = size - len(array)
    return np.concatenate([array, np.repeat(array[-1:], short, axis=0)]) if short else array


# Instants ------------------------------------------------------------------------------------------------


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

    @property
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.mask

    @property
    def trial(self) -> Int[np.ndarray, "sample"]:
        return self.recording

    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.target

    @cached_property
    def _chunks(self) -> list[tuple[Any, ...]]:
        """Everything z does not change, on the device."""
        out = []
        with float64():
            for part in _parts(len(self.sample), INSTANTS):
                fields = (self.position, self.velocity, self.acceleration, self.target)
                q, v, a, target = (jax.device_put(_filled(x[part], INSTANTS)) for x in fields)
                mask = np.zeros((INSTANTS, self.mask.shape[1]))
                mask[: len(self.mask[part])] = self.mask[part]
                out.append((part, _geometries(self.model, q, v), q, v, a, target, jax.device_put(mask)))
        return out

    def compile_jobs(self, z: Float[np.ndarray, "free"]) -> Iterator[Callable[[], None]]:
        with float64():
            state = _blank(INSTANTS, self.position.shape[1])
            yield compile_job(_geometries, self.model, state, state)
            shape = jax.tree.map(lambda x: _blank(*x.shape), shapes(_geometries, self.model, state, state))
            at = factors(self.space, np.asarray(z, dtype=float))
            moving = (_blank(INSTANTS, n) for n in (len(self.model.muscles), len(self.pairs)))
            sample = _blank(INSTANTS, self.target.shape[1])
            lead: Any = (self.model, self.space, self.kind, self.pairs, True, at)
            yield compile_job(_instants, *lead, *moving, shape, state, state, state, sample, sample)

    def geometry(self, rows: Int[np.ndarray, "row"]) -> Geometry:
        """At some of the instants."""
        parts = [chunk[1] for chunk in self._chunks]
        return jax.tree.map(lambda *x: jax.device_put(np.concatenate([np.asarray(y) for y in x])[rows]), *parts)

    def _run(self, z: np.ndarray, *, derivatives: bool) -> Iterator[tuple[slice, Any]]:
        activation, by_pair = self.activations(z)
        at = factors(self.space, z)
        for part, *fixed in self._chunks:
            rows = self.recording[part], self.sample[part]
            moving = (jax.device_put(_filled(x[rows], INSTANTS)) for x in (activation, by_pair))
            lead: Any = (self.model, self.space, self.kind, self.pairs, derivatives, at)
            yield part, _instants(*lead, *moving, *fixed)

    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> AbstractExpansion:
        with float64():
            parts = [result for _, result in self._run(np.asarray(z, dtype=float), derivatives=True)]
        return _Plain(Quadratic(*(np.sum([np.asarray(p[k]) for p in parts], axis=0) for k in (1, 2, 3))))

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        out = np.zeros_like(self.mask)
        with float64():
            for part, (residual, *_) in self._run(np.asarray(z, dtype=float), derivatives=False):
                out[part] = np.asarray(residual)[: len(out[part])]
        return out


class MomentTerm(InstantTerm):
    """Muscle and passive joint moment against the recorded net moment of the free coordinates [N·m]."""

    kind: ClassVar[str] = "moment"
    unit: ClassVar[str] = "N·m"


class AccelerationTerm(InstantTerm):
    """One-step-ahead acceleration against the recorded one [rad/s²].

    Smooth in the parameters and cheap, hence the initialiser; biased by the differentiation of noise, hence not
    the answer.
    """

    kind: ClassVar[str] = "acceleration"
    unit: ClassVar[str] = "rad/s²"


@jit
def _geometries(model: Model, position: Array, velocity: Array) -> Geometry:
    return jax.vmap(lambda q, v, along: geometry(model, q, v, along))(position, velocity, paths(model, position))


@jit
def _instants(
    model: Model,
    space: ParameterSpace,
    kind: str,
    pairs: Pairs,
    derivatives: bool,
    at: Factors,
    activation: Float[Array, "instant muscle"],
    activation_by_pair: Float[Array, "instant pair"],
    shape: Geometry,
    position: Float[Array, "instant coordinate"],
    velocity: Float[Array, "instant coordinate"],
    acceleration: Float[Array, "instant coordinate"],
    target: Float[Array, "instant free"],
    mask: Float[Array, "instant free"],
) -> tuple[Array, ...]:
    """Residuals, and their quadratic if derivatives are asked for."""
    free, held = model.host.free_index, model.host.held_index

    def one(shape: Geometry, q: Array, v: Array, recorded: Array, a: Array, by_pair: Array) -> tuple[Array, ...]:
        if kind == "moment":
            p = at.parameters
            tension = model.muscle.tension(p.muscle, a, shape.path_length, -shape.moment_arm @ v)
            value = (shape.moment_arm.T @ tension + passive_force(model, p, shape, q, v))[free]
            if not derivatives:
                return (value,)
            return value, moment_columns(model, space, at, pairs, shape, q, v, a, by_pair)
        terms = mechanics(model, at.parameters, at.inertia, shape, q, v)
        value = free_acceleration(model, at, terms, v, a, recorded[held])
        if not derivatives:
            return (value,)
        everything = recorded.at[free].set(value)
        columns = acceleration_columns(model, space, at, pairs, shape, q, v, a, by_pair, everything)
        return value, free_response(model, at.parameters, terms, columns)

    value, *columns = jax.vmap(one)(shape, position, velocity, acceleration, activation, activation_by_pair)
    residual = (value - target) * mask
    if not derivatives:
        return (residual,)
    return residual, *_squares(jnp.concatenate([columns[0] * mask[..., None], residual[..., None]], -1))


def _squares(rows: Float[Array, "row coordinate columns"]) -> tuple[Array, Array, Array]:
    """Squares, gradient and Hessian per coordinate from rows whose last column is the residual."""
    total = jnp.einsum("rcp,rcq->cpq", rows, rows)
    return total[:, -1, -1], total[:, :-1, -1], total[:, :-1, :-1]


def _picked(recordings: Sequence[Recording], picks: Sequence[Int[np.ndarray, "pick"]]) -> dict[str, Any]:
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
    }


def moment_term(model: Model, space: ParameterSpace, recordings: Sequence[Recording], rate: float) -> MomentTerm:
    """Moment residual at the samples of the trials' own clocks, thinned to about `rate` a second."""
    picks, seen = [], []
    for r in recordings:
        own = r.clock[(r.clock >= r.first) & (r.clock <= r.last)]
        if len(own) < 2:
            raise InputError(f"trial '{r.name}' has {len(own)} samples with recorded motion; a moment needs more")
        spacing = float(np.median(np.diff(own))) * model.timestep
        picks.append(own[:: max(1, round(1.0 / (rate * spacing)))])
        seen.append((r.moment_weight * r.complete[:, None])[picks[-1]])  # a posture is needed to predict a moment in
    target = np.concatenate([r.moment[p] for r, p in zip(recordings, picks, strict=True)])
    return MomentTerm(model, space, **_picked(recordings, picks), target=target, mask=np.concatenate(seen))


def acceleration_term(
    model: Model, space: ParameterSpace, recordings: Sequence[Recording], rate: float
) -> AccelerationTerm:
    """Acceleration residual about `rate` times a second where all coordinates were measured, edges left out."""
    stride = max(1, round(1.0 / (rate * model.timestep)))
    edge = max(1, round(EDGE / model.timestep))
    picks = []
    for r in recordings:
        measured = r.complete.copy()
        for column in r.weight.T:  # samples of one clock belong together; a longer pause is a gap with edges
            own = np.flatnonzero(column)
            reach = max(edge, 3 * int(np.median(np.diff(own))) if len(own) > 1 else edge)
            measured &= binary_closing(np.pad(column > 0, reach), np.ones(reach))[reach:-reach]
        margin = min(edge, (r.last - r.first) // 4)
        inside = binary_erosion(measured, np.ones(2 * margin + 1)) if margin else measured
        picks.append(np.flatnonzero(inside)[::stride])
    if not sum(map(len, picks)):
        names = ", ".join(r.name for r in recordings)
        raise InputError(f"no stretch of {names} is long enough to differentiate; record longer, or with fewer gaps")
    picked = _picked(recordings, picks)
    target = picked["acceleration"][:, model.host.free_index]
    return AccelerationTerm(model, space, **picked, target=target, mask=np.ones_like(target))


# Motion --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class MotionTerm(AbstractTerm):
    """Simulated against recorded motion over windows of one horizon [rad], by direct multiple shooting.

    A window's initial state is a nuisance unknown. Within a window the motion is simulated in short intervals side by
    side, each from a state of its own; that the end of one is the start of the next is a constraint, which Gauss–Newton
    closes along with the fit (Bock 1983, doi 10.1007/978-1-4684-7324-7_8; Albersmeyer & Diehl 2010, doi
    10.1137/080724885). The states are condensed into the window's initial one, and that is eliminated for given
    parameters (variable projection, Golub & Pereyra 1973, doi 10.1137/0710036). At the solution the windows are
    simulated without a break; on the way there an interval is too short to diverge.
    """

    window: Int[np.ndarray, "interval"]
    """Which window an interval belongs to; a window's intervals follow each other."""
    recording: Int[np.ndarray, "interval"]
    start: Int[np.ndarray, "interval"]
    first_position: Float[np.ndarray, "interval coordinate"]
    first_velocity: Float[np.ndarray, "interval coordinate"]
    held: Float[np.ndarray, "interval step_plus_1 held"]
    target: Float[np.ndarray, "interval step_plus_1 free"]
    mask: Float[np.ndarray, "interval step_plus_1 free"]
    error: EnvelopeError | None = None
    """Of the EMG, with two nuisance unknowns more per channel and interval: its knots at both ends; None: exact."""
    latest: dict[bytes, tuple[np.ndarray, bool]] = field(default_factory=dict, repr=False)
    """The last two simulations: reports compare the start with the estimate, and ask for them more than once."""
    kind: ClassVar[str] = "motion"
    unit: ClassVar[str] = "rad"
    closing: ClassVar[int] = 16
    """Most Gauss–Newton steps that `evaluate` takes for the states."""

    @property
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.mask.reshape(-1, self.mask.shape[-1])

    @property
    def trial(self) -> Int[np.ndarray, "sample"]:
        return np.repeat(self.recording, self.mask.shape[1])

    @property
    def sample(self) -> Int[np.ndarray, "sample"]:
        """Which sample of its recording a row is compared with."""
        return (self.start[:, None] + np.arange(self.mask.shape[1])).ravel()

    @property
    def eliminated(self) -> int:
        return 2 * self.windows

    @property
    def settled(self) -> Float[np.ndarray, "unknown"]:
        """Changes of the nuisance unknowns that are none."""
        if self.error is None:
            return np.full(2 * len(self.model.free), SETTLED)
        return np.repeat(SETTLED_BESIDE_ERRORS, (2 * len(self.model.free), 2 * self.error.channels))

    def recentred(self, nuisance: Float[np.ndarray, "interval unknown"]) -> MotionTerm:
        """The same term with activations linear about these errors of the EMG."""
        assert self.error is not None
        return replace(self, error=replace(self.error, reference=self._knots(nuisance), latest={}), latest={})

    def with_exact_emg(self) -> MotionTerm:
        """What the EMG as it was recorded makes of the motion: the same term with errors of no size."""
        if self.error is None:
            return self
        none, exact = np.zeros_like(self.error.reference), np.zeros_like(self.error.deviation)
        return replace(self, error=replace(self.error, deviation=exact, reference=none, latest={}), latest={})

    @property
    def windows(self) -> int:
        return int(self.window[-1]) + 1

    def parts(self) -> Iterator[slice]:
        """The intervals of every call."""
        return _parts(len(self.window), LANES)

    @cached_property
    def place(self) -> Int[np.ndarray, "interval"]:
        """Place of an interval in its window."""
        return np.arange(len(self.window)) - np.searchsorted(self.window, self.window)

    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.target.reshape(-1, self.target.shape[-1])

    def recorded_states(self) -> Float[np.ndarray, "interval two_free"]:
        """State at the start of every interval, from the recording."""
        free = self.model.host.free_index
        return np.concatenate([self.first_position[:, free], self.first_velocity[:, free]], 1)

    def first_guess(self) -> Float[np.ndarray, "interval unknown"]:
        """Nuisance unknowns to begin with: the recorded states, and no error of the EMG."""
        states = self.recorded_states()
        return states if self.error is None else np.pad(states, ((0, 0), (0, 2 * self.error.channels)))

    @cached_property
    def _held(self) -> tuple[np.ndarray, np.ndarray]:
        """Held coordinates' velocity at the start of every interval and the accelerations that keep them on course."""
        h, index = self.model.timestep, self.model.host.held_index
        speed = np.diff(self.held, axis=1) / h
        first = self.first_velocity[:, index]
        return first, np.diff(np.concatenate([first[:, None], speed], 1), axis=1) / h

    def _interval_activations(
        self, z: np.ndarray, nuisance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Activation, its derivative by pair and, where the EMG has errors, by what an interval knows of them."""
        if self.error is not None:
            return self.error.activations(z, self.pairs, self._knots(nuisance), self.window, self.place)
        every, by_pair = self.activations(z)
        steps = self.target.shape[1] - 1
        index = np.minimum(self.start[:, None] + np.arange(steps), every.shape[1] - 1)
        where = self.recording[:, None], index
        return every[where], by_pair[where], None

    def _knots(self, nuisance: np.ndarray) -> Float[np.ndarray, "window knot channel"]:
        assert self.error is not None
        knots = np.zeros_like(self.error.reference)
        start, end = np.split(nuisance[:, 2 * len(self.model.free) :], 2, axis=1)
        knots[self.window, self.place], knots[self.window, self.place + 1] = start, end
        return knots

    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> MotionExpansion:
        z = np.asarray(z, dtype=float)
        states = self.first_guess() if nuisance is None else nuisance
        with float64():
            at = factors(self.space, z)
            activation, by_pair, by_error = self._interval_activations(z, states)
            pieces, by_window = [], np.zeros((self.windows, self.target.shape[-1], *(self.space.size + 1,) * 2))
            for part in self.parts():
                motion = self._simulate(at, states[part], activation[part], part)
                along = _path_derivatives(self.model, motion[0])
                sample = (activation, self._held[1], by_pair, self.target)
                drive, held, slope, target = (jax.device_put(_filled(x[part], LANES)) for x in sample)
                mask = jax.device_put(_filled(self.mask[part], LANES))
                error = None if by_error is None else jax.device_put(_filled(by_error[part][:, :-1], LANES))
                result = _condense(
                    self.model, self.space, at, self.pairs, along, *motion, drive, held, slope, target, mask, error
                )
                rows, *local = (np.asarray(x) for x in result)
                pieces.append([x[: len(self.window[part])] for x in local])
                for w in np.unique(
                    self.window[part]
                ):  # one product for all of a window: wide ones are many times faster
                    (own,) = np.nonzero(self.window[part] == w)
                    for total, row in zip(by_window[w], rows[:, own[0] : own[-1] + 1], strict=True):
                        row = row.reshape(-1, len(total))
                        total += row.T @ row
        squares, transition, end = (np.concatenate(x) for x in zip(*pieces, strict=True))
        if by_error is not None:
            transition = _lasting(transition, by_error[:, -1])
        return MotionExpansion(self, states, squares, by_window, transition, end)

    def compile_jobs(self, z: Float[np.ndarray, "free"]) -> Iterator[Callable[[], None]]:
        with float64():
            at = factors(self.space, np.asarray(z, dtype=float))
            steps, count = self.target.shape[1] - 1, self.first_position.shape[1]
            held, free = len(self.model.host.held_index), len(self.model.free)
            motion = _blank(LANES, steps + 1, count)
            yield compile_job(_path_derivatives, self.model, motion)
            lanes = [_blank(LANES, steps, n) for n in (len(self.model.muscles), held, len(self.pairs))]
            sample, tendons = _blank(LANES, *self.target.shape[1:]), self.model.host.mj_model.ntendon
            along = tuple(
                Paths(_blank(*lead, LANES * steps, tendons), _blank(*lead, LANES * steps, tendons, count))
                for lead in ((), (free,))
            )
            lead: Any = (self.model, self.space, at, self.pairs)
            muscles, error = len(self.model.muscles), None
            if self.error is not None:
                error = _blank(LANES, steps, muscles, muscles + 2 * self.error.channels)
            yield compile_job(_condense, *lead, along, motion, motion, *lanes, sample, sample, error)
            start = _blank(LANES, count)
            yield compile_job(_simulated, self.model, at, start, start, lanes[0], _blank(LANES, steps + 1, held))

    def _simulate(self, at: Factors, states: np.ndarray, activation: np.ndarray, part: Any) -> tuple[Array, Array]:
        """Positions and velocities of some intervals from these states; NaN from where they are not finite."""
        model = self.model
        free, held = model.host.free_index, model.host.held_index
        q, v = self.first_position[part].copy(), np.empty_like(self.first_velocity[part])
        q[:, free], v[:, free] = np.split(states[:, : 2 * len(free)], 2, axis=1)
        q[:, held], v[:, held] = self.held[part][:, 0], self._held[0][part]
        lanes = (q, v, activation, self.held[part])
        return _simulated(model, at, *(jax.device_put(_filled(x, LANES)) for x in lanes))

    def simulate_intervals(
        self, z: Float[np.ndarray, "free"], states: Float[np.ndarray, "interval two_free"] | None = None
    ) -> Float[np.ndarray, "interval step_plus_1 coordinate"]:
        """Positions of every interval, each from a state of its own [rad]; by default the recorded one."""
        states = self.first_guess() if states is None else states
        with float64():
            at = factors(self.space, np.asarray(z, dtype=float))
            activation = self._interval_activations(z, states)[0]
            moved = [
                np.asarray(self._simulate(at, states[p], activation[p], p)[0])[: len(self.window[p])]
                for p in self.parts()
            ]
        return np.concatenate(moved)

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        return self.simulate(z, scale)[0].reshape(-1, self.mask.shape[-1])

    def simulate(
        self,
        z: Float[np.ndarray, "free"],
        scale: Float[np.ndarray, "coordinate"],
        states: Float[np.ndarray, "interval two_free"] | None = None,
    ) -> tuple[Float[np.ndarray, "interval step_plus_1 free"], bool]:
        """Residuals of windows simulated without a break from their best initial states; whether all are finite.

        A window that does not stay finite repeats its last finite state.

        **Arguments:** `states`: at the start of every interval, a first guess; by default the recorded ones.
        """
        z, scale = np.asarray(z, dtype=float), np.asarray(scale, dtype=float)
        key = z.tobytes() + scale.tobytes()
        if key not in self.latest:
            recorded = self.first_guess()
            states = kept = recorded if states is None else states
            closed, no_change, cost, change = False, np.zeros(self.space.size), np.inf, np.inf
            with np.errstate(all="ignore"):  # a generic model may leave all bounds before the states are closed
                for _ in range(self.closing):
                    expansion = self.expand(z, states)
                    before, cost = cost, float(np.sum(expansion.reduce(scale).squares / scale**2))
                    if not np.isfinite(cost):
                        break
                    better = expansion.follow(no_change)
                    last, change = change, float((np.abs(better - states) / self.settled).max())
                    closed = expansion.defect <= CLOSED and change < 1.0
                    kept = states = better
                    crawls = change > 0.5 * last and abs(cost - before) < CRAWL * cost
                    if closed or crawls:
                        break
                if closed:
                    found = self._joined(z, kept)
                else:  # what was promised on the way counts for nothing: compare what is
                    tries = self._unbroken(z, (kept, recorded))
                    found = min(tries, key=lambda t: (not t[1], float(np.sum((t[0] / scale) ** 2))))
            while len(self.latest) > 1:
                self.latest.pop(next(iter(self.latest)))
            self.latest[key] = found
        return self.latest[key]

    def _joined(self, z: np.ndarray, states: np.ndarray) -> tuple[np.ndarray, bool]:
        """Residuals of intervals that meet: side by side, they are the unbroken motion."""
        moved = self.simulate_intervals(z, states)[..., self.model.host.free_index]
        return (moved - self.target) * self.mask, bool(np.isfinite(moved).all())

    def _unbroken(self, z: np.ndarray, tries: Sequence[np.ndarray]) -> list[tuple[np.ndarray, bool]]:
        """Residuals when every interval starts where the one before it ended, for several states side by side."""
        free, count, intervals = self.model.host.free_index, len(tries), len(self.window)
        states, residual = np.concatenate(tries), np.zeros((count * intervals, *self.target.shape[1:]))
        finite = np.ones(count, dtype=bool)
        with float64():
            at = factors(self.space, z)
            activation = np.concatenate([self._interval_activations(z, s)[0] for s in tries])
            for k in range(int(self.place.max()) + 1):
                place = np.flatnonzero(self.place == k)
                now = (intervals * np.arange(count)[:, None] + place).ravel()
                for part in _parts(len(now), LANES):
                    rows, own = now[part], now[part] % intervals
                    q, v = (np.asarray(x)[: len(rows)] for x in self._simulate(at, states[rows], activation[rows], own))
                    good = np.isfinite(q).all(axis=2) & np.isfinite(v).all(axis=2)
                    finite[rows[~good.all(axis=-1)] // intervals] = False
                    last = np.maximum.accumulate(np.where(good, np.arange(q.shape[1]), 0), axis=1)
                    q, v = (np.nan_to_num(np.take_along_axis(x, last[..., None], 1)[..., free]) for x in (q, v))
                    residual[rows] = (q - self.target[own]) * self.mask[own]
                    goes_on = (own + 1 < intervals) & (self.place[(own + 1) % intervals] == k + 1)
                    states[rows[goes_on] + 1, : 2 * len(free)] = np.concatenate([q[:, -1], v[:, -1]], 1)[goes_on]
        return [(r, bool(f)) for r, f in zip(np.split(residual, count), finite, strict=True)]


def _paired(
    left: Float[np.ndarray, "interval state columns"], right: Float[np.ndarray, "coordinate interval state columns"]
) -> Float[np.ndarray, "coordinate columns columns"]:
    """Σ leftᵀ right as one matrix product a coordinate."""
    flat = left.reshape(-1, left.shape[-1]).T
    return np.stack([flat @ r.reshape(-1, r.shape[-1]) for r in right])


@dataclass(frozen=True, eq=False)
class MotionExpansion(AbstractExpansion):
    """Intervals linearised about their states and z."""

    term: MotionTerm
    states: Float[np.ndarray, "interval unknown"]
    """And, where the EMG has errors, the knots at the start and at the end."""
    squares: Float[np.ndarray, "interval coordinate local columns"]
    """Σ (∂r/∂local)ᵀ row with rows (∂r/∂local, ∂r/∂z, r). Local to an interval are its state and, where the EMG has
    errors, that of activation, and the knots at the start and at the end."""
    by_window: Float[np.ndarray, "window coordinate free_plus_1 free_plus_1"]
    """Σ rowᵀ row with rows (∂r/∂z, r), which nothing local changes."""
    transition: Float[np.ndarray, "interval carried columns_minus_1"]
    """Derivative of what the next interval takes over (all that is local but the knot at the end) with respect to
    (local, z)."""
    end: Float[np.ndarray, "interval two_free"]
    latest: dict[bytes, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)
    """By the weights asked for last: changes of what is local as functions of a change of z, and the triangular
    factors they come from."""

    @cached_property
    def gap(self) -> Float[np.ndarray, "interval two_free"]:
        """Where an interval of the window ends minus where the next one starts; 0 for the last."""
        out = np.zeros_like(self.end)
        inner = np.flatnonzero(self.term.place > 0) - 1
        out[inner] = self.end[inner] - self.states[inner + 1, : out.shape[1]]
        return out

    @property
    def _knots(self) -> int:
        """At an interval's end."""
        return (self.states.shape[1] - self.end.shape[1]) // 2

    @property
    def defect(self) -> float:
        """Sum of squared gaps."""
        with np.errstate(all="ignore"):
            return float(np.sum(self.gap**2))

    @property
    def finite(self) -> bool:
        """Whether every interval could be simulated and linearised."""
        return all(bool(np.isfinite(x).all()) for x in (self.squares, self.by_window, self.transition))

    def _responses(self, scale: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "interval local columns"]:
        """Changes of what is local, at its best and with the gaps closed, in terms of (δz, 1)."""
        return self._solved(scale)[0]

    def _solved(self, scale: Float[np.ndarray, "coordinate"]) -> tuple[np.ndarray, np.ndarray]:
        """`_responses`, and for every interval a triangle over (knot at the end, carried) beside its (δz, 1).

        What the data from an interval to its window's end say of the interval's state is carried backwards as the rows
        of a triangular factor (a square-root information filter, Bierman 1977, ISBN 0-12-097350-2): squares of products
        of transitions, which grow without bound where a motion is unstable, are never formed.
        """
        key = np.asarray(scale, dtype=float).tobytes()
        if key not in self.latest:
            try:
                solved = self._solve(np.asarray(scale, dtype=float))
            except np.linalg.LinAlgError:  # states that ran away: the expansion is worth nothing, the search goes on
                n = self.transition.shape[1] + self._knots
                rows = np.full((len(self.states), n, self.squares.shape[-1]), np.nan)
                solved = rows[..., n:], rows
            self.latest.clear()
            self.latest[key] = solved
        return self.latest[key]

    def _solve(self, scale: Float[np.ndarray, "coordinate"]) -> tuple[np.ndarray, np.ndarray]:
        place, knots, carried, width = self.term.place, self._knots, self.transition.shape[1], self.squares.shape[-1]
        n, follows = carried + knots, np.flatnonzero(place > 0)  # those that have one before them in their window
        gap = np.pad(self.gap, ((0, 0), (0, carried - self.gap.shape[1])))
        step = np.concatenate([self.transition, gap[..., None]], -1)
        weighted = np.einsum("icnq,c->inq", self.squares, np.square(1.0 / scale))
        if knots:
            self._add_priors(weighted)
        order = np.r_[carried:n, :carried, n:width]
        ahead_of = step[..., order]
        weighted = weighted[:, order[:n, None], order]
        normal = weighted[..., :n]
        size = np.trace(normal, axis1=1, axis2=2)[:, None, None]
        lower = np.linalg.cholesky(normal + (1e-14 * size + 1e-200) * np.eye(n))
        rows = np.linalg.solve(lower, weighted)
        rows[..., :n] = np.swapaxes(lower, 1, 2)
        for k in range(int(place.max()), 0, -1):
            later = follows[place[follows] == k]
            ahead = rows[later, knots:, knots:n] @ ahead_of[later - 1]
            ahead[..., n:] += rows[later, knots:, n:]
            stacked = np.concatenate([rows[later - 1], ahead], 1)
            rotation = np.linalg.qr(stacked[..., :n])[0]
            rows[later - 1] = np.swapaxes(rotation, 1, 2) @ stacked
        out = np.zeros((len(self.states), n, width - n))
        for k in range(int(place.max()) + 1):
            now = np.flatnonzero(place == k)
            if k:
                out[now, :carried] = step[now - 1, :, :n] @ out[now - 1] + step[now - 1, :, n:]
            else:
                out[now, :carried] = -np.linalg.solve(rows[now, knots:, knots:n], rows[now, knots:, n:])
            if knots:
                right = rows[now, :knots, knots:n] @ out[now, :carried] + rows[now, :knots, n:]
                out[now, carried:] = -np.linalg.solve(rows[now, :knots, :knots], right)
        return out, rows

    def _add_priors(self, weighted: Float[np.ndarray, "interval local columns"]) -> None:
        """Every knot is standard normal, and an opening interval takes over no change of activation."""
        knots, carried, opening = self._knots, self.transition.shape[1], self.term.place == 0
        inner = np.arange(self.end.shape[1], carried)
        weighted[np.ix_(opening, inner, inner)] += np.eye(len(inner))
        weighted[:, carried : carried + knots, carried : carried + knots] += np.eye(knots)
        weighted[:, carried : carried + knots, -1] += self.states[:, -knots:]
        weighted[opening, carried - knots : carried, -1] += self.states[opening, -2 * knots : -knots]

    def _knot_squares(self, response: np.ndarray, rows: slice) -> Float[np.ndarray, "columns columns"]:
        """Sum of squared knots of some intervals in terms of (δz, 1)."""
        knots, n, opening = self._knots, response.shape[1], self.term.place[rows] == 0
        value = response[rows, n - 2 * knots :].copy()
        value[..., -1] += self.states[rows, self.end.shape[1] :]
        each = np.concatenate([value[:, knots:].reshape(-1, value.shape[-1]), *value[opening, :knots]])
        return each.T @ each

    def absorbed(self, scale: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "coordinate"]:
        knots, carried = self._knots, self.transition.shape[1]
        if not knots or not self.finite:
            return np.zeros(len(scale))
        rows, place, n = self._solved(scale)[1], self.term.place, carried + knots
        root = np.zeros((len(place), n, n))  # factors of what is local's covariance: its squares lose what is small
        for k in range(int(place.max()) + 1):
            now = np.flatnonzero(place == k)
            if k:
                ahead = self.transition[now - 1, :, :n] @ root[now - 1]
                start = np.swapaxes(np.linalg.qr(np.swapaxes(ahead, 1, 2))[1], 1, 2)
            else:
                start = np.linalg.inv(rows[now, knots:, knots:n])
            end = np.linalg.inv(rows[now, :knots, :knots])
            root[now, :carried, :carried] = start
            root[now, carried:, :carried] = -end @ (rows[now, :knots, knots:n] @ start)
            root[now, carried:, carried:] = end
        squares = self.squares[..., :n] @ root[:, None]
        return np.einsum("icnm,inm->c", squares, root) / np.square(scale) - self.term.eliminated

    def _sums(
        self, response: np.ndarray, rows: slice, windows: slice
    ) -> Float[np.ndarray, "coordinate columns columns"]:
        """Squares of some windows, which these intervals make up, in terms of (δz, 1), what is local following."""
        n, response, squares = response.shape[1], response[rows], self.squares[rows]
        state, cross = squares[..., :n], squares[..., n:]
        half = _paired(response, np.swapaxes(state @ response[:, None] + cross, 0, 1))
        return (
            half + np.swapaxes(_paired(response, np.swapaxes(cross, 0, 1)), 1, 2) + self.by_window[windows].sum(axis=0)
        )

    def reduce(self, scale: Float[np.ndarray, "coordinate"]) -> Quadratic:
        if not self.finite:
            coordinates, free = self.squares.shape[1], self.term.space.size
            nothing = np.zeros((coordinates, free, free))
            return Quadratic(np.full(coordinates, np.inf), nothing[0, :1].repeat(coordinates, 0), nothing)
        with np.errstate(all="ignore"):
            response = self._responses(scale)
            sums = self._sums(response, slice(None), slice(None))
            knots = _quadratic(self._knot_squares(response, slice(None))[None]) if self._knots else None
        return replace(_quadratic(sums), nuisance=knots)

    def information(self, scale: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "window free free"]:
        """What every window alone tells of z, its initial state unknown, for noise of these scales."""
        response, ends = self._responses(scale), np.searchsorted(self.term.window, np.arange(self.term.windows + 1))
        parts = [slice(a, b) for a, b in pairwise(ends)]
        sums = np.array([self._sums(response, p, slice(w, w + 1))[:, :-1, :-1] for w, p in enumerate(parts)])
        data = np.einsum("wcij,c->wij", sums, np.square(1.0 / np.asarray(scale)))
        return data + np.array([self._knot_squares(response, p)[:-1, :-1] for p in parts]) if self._knots else data

    def follow(self, change: Float[np.ndarray, "free"]) -> Float[np.ndarray, "interval two_free"]:
        if not self.latest:
            return self.states
        ((response, _),) = self.latest.values()
        local = np.r_[: self.end.shape[1], response.shape[1] - 2 * self._knots : response.shape[1]]
        return self.states + response[:, local, :-1] @ change + response[:, local, -1]


def _quadratic(sums: Float[np.ndarray, "coordinate columns columns"]) -> Quadratic:
    return Quadratic(np.maximum(sums[:, -1, -1], 0.0), sums[:, :-1, -1], sums[:, :-1, :-1])


def _lasting(
    transition: Float[np.ndarray, "interval two_free columns"],
    activation: Float[np.ndarray, "interval muscle unknown"],
) -> Float[np.ndarray, "interval carried columns"]:
    """Transition of states, with those of activation and the knot that the next interval takes over."""
    count, n, width = transition.shape
    muscles, unknowns = activation.shape[1:]
    knots = (unknowns - muscles) // 2
    out = np.zeros((count, n + muscles + knots, width))
    out[:, :n] = transition
    out[:, n : n + muscles, n : n + unknowns] = activation
    out[:, n + muscles :, n + unknowns - knots : n + unknowns] = np.eye(knots)
    return out


@jit
def _simulated(
    model: Model,
    at: Factors,
    position: Float[Array, "lane coordinate"],
    velocity: Float[Array, "lane coordinate"],
    activation: Float[Array, "lane step muscle"],
    held: Float[Array, "lane step_plus_1 held"],
) -> tuple[Array, Array]:
    q, v, failed, _ = simulate_motion(model, at.parameters, position, velocity, activation, held)
    good = ((failed[:, None] < 0) | (jnp.arange(q.shape[1]) <= failed[:, None]))[..., None]
    return jnp.where(good, q, jnp.nan), jnp.where(good, v, jnp.nan)


@jit
def _path_derivatives(model: Model, position: Float[Array, "lane step_plus_1 coordinate"]) -> tuple[Paths, Paths]:
    return path_derivatives(model, position[:, :-1].reshape(-1, position.shape[-1]))


@jit
def _condense(
    model: Model,
    space: ParameterSpace,
    at: Factors,
    pairs: Pairs,
    along: tuple[Paths, Paths],
    position: Float[Array, "lane step_plus_1 coordinate"],
    velocity: Float[Array, "lane step_plus_1 coordinate"],
    activation: Float[Array, "lane step muscle"],
    held_acceleration: Float[Array, "lane step held"],
    activation_by_pair: Float[Array, "lane step pair"],
    target: Float[Array, "lane step_plus_1 free"],
    mask: Float[Array, "lane step_plus_1 free"],
    activation_by_error: Float[Array, "lane step muscle unknown"] | None,
) -> tuple[Array, Array, Array, Array]:
    """Linearise lanes with rows (∂r/∂local, ∂r/∂z, r).

    **Returns:** (∂r/∂z, r) of every coordinate, lane and step; per lane Σ (∂r/∂local)ᵀ row, how the state at the end
    depends on (local, z), and the end.
    """
    lanes, steps = activation.shape[:2]
    free = model.host.free_index

    def flat(x: Array) -> Array:
        return x.reshape(lanes * steps, *x.shape[2:])

    nodes = (position[:, :-1], velocity[:, :-1], activation, held_acceleration, activation_by_pair)
    d = acceleration_derivatives(model, space, at, pairs, *along, *map(flat, nodes))
    by_state, by_parameters = (x.reshape(lanes, steps, *x.shape[1:]) for x in (d.by_state, d.by_parameters))
    if activation_by_error is not None:
        by_activation = jax.vmap(lambda *lane: activation_columns(model, at, *lane))(along[0], *map(flat, nodes[:3]))
        by_error = by_activation.reshape(lanes, steps, *by_activation.shape[1:]) @ activation_by_error
        by_parameters = jnp.concatenate([by_error, by_parameters], -1)
    columns, last_velocity = jax.vmap(lambda a, b: chain(a, b, model.timestep))(by_state, by_parameters)
    residual = (position[..., free] - target) * mask
    rows = jnp.concatenate([columns * mask[..., None], residual[..., None]], -1)
    rows, n = jnp.moveaxis(rows, 2, 0), rows.shape[-1] - space.size - 1
    squares = jnp.einsum("clkn,clkq->lcnq", rows[..., :n], rows)
    transition = jnp.concatenate([columns[:, -1], last_velocity], 1)
    return rows[..., n:], squares, transition, jnp.concatenate([position[:, -1, free], velocity[:, -1, free]], 1)


def motion_term(
    model: Model,
    space: ParameterSpace,
    recordings: Sequence[Recording],
    horizon: int,
    emg_noise: EmgNoise | None = None,
) -> MotionTerm:
    """Motion residual over windows of `horizon` steps that tile every trial; without `emg_noise` the EMG is exact."""
    longest = max(len(r.position) for r in recordings)
    horizon = min(horizon, max(r.last - r.first for r in recordings))
    steps = min(INTERVAL if emg_noise is None else knot_spacing(emg_noise, model.timestep), horizon)
    h, held_index = model.timestep, model.host.held_index
    rows: dict[str, list[Any]] = {
        k: [] for k in ("window", "recording", "start", "first_position", "first_velocity", "held", "target", "mask")
    }
    window, windows = -1, []
    for i, r in enumerate(recordings):
        for begin in range(r.first, r.last, horizon):
            window, stop = window + 1, min(begin + horizon, r.last)
            windows.append((r.envelope, begin, stop))
            for start in range(begin, stop, steps):
                index = start + np.arange(steps + 1)
                inside = index <= stop
                index = np.minimum(index, r.last)
                velocity = r.smooth_velocity[start].copy()
                if start > r.first:  # as the steps before it arrive; the first has none, but its derivative is known
                    velocity[held_index] = (r.smooth_position[start] - r.smooth_position[start - 1])[held_index] / h
                # a sample that two intervals share counts once, for the one that starts there
                shared = (index == min(start + steps, stop)) & (index < r.last)
                for name, value in (
                    ("window", window),
                    ("recording", i),
                    ("start", start),
                    ("first_position", r.smooth_position[start]),
                    ("first_velocity", velocity),
                    ("held", r.smooth_position[index][:, held_index]),
                    ("target", r.position[index]),
                    ("mask", r.weight[index] * (inside & ~shared)[:, None]),
                ):
                    rows[name].append(value)
    mixing = recordings[0].mixing
    term = MotionTerm(
        model=model,
        space=space,
        envelope=padded([r.envelope for r in recordings], longest),
        mixing=mixing,
        error=envelope_error(model, space, emg_noise, mixing, windows, steps) if emg_noise else None,
        window=np.array(rows["window"]),
        recording=np.array(rows["recording"]),
        start=np.array(rows["start"]),
        first_position=np.array(rows["first_position"]),
        first_velocity=np.array(rows["first_velocity"]),
        held=np.array(rows["held"]),
        target=np.array(rows["target"]),
        mask=np.array(rows["mask"]),
    )
    few = term.weight.sum(axis=0) < 1.5 * term.eliminated
    if few.any():
        raise InputError(
            f"windows of {horizon * h:g} s hold hardly more samples of {model.free[int(np.argmax(few))]} than their "
            "initial states take up; choose a longer horizon"
        )
    return term


def window_steps(horizon: int, identified: Sequence[Recording], recordings: Sequence[Recording]) -> int:
    """Steps of a window that treats other recordings as those identified from: whole where those were whole."""
    longest, own = (max(r.last - r.first for r in some) for some in (identified, recordings))
    return own if horizon >= longest else horizon
