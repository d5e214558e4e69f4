"""Simulated against recorded motion, by direct multiple shooting."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.common.compiled import compile_job, float64, jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.integrator import RK4
from mjx_msm.dynamics.paths import Paths
from mjx_msm.dynamics.sensitivities import (
    Factors,
    Pairs,
    acceleration_derivatives,
    activation_columns,
    chain,
    factors,
    in_the_middle,
    interleaved,
    path_derivatives,
    with_middles,
)
from mjx_msm.dynamics.simulation import simulate_motion
from mjx_msm.estimation.envelope_error import EnvelopeError, envelope_error, knot_spacing
from mjx_msm.estimation.residuals.motion_expansion import MotionExpansion, place_in_window
from mjx_msm.estimation.residuals.pieces import blank, filled, padded, parts
from mjx_msm.estimation.residuals.windows import WindowTerm
from mjx_msm.person.model import Model
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.emg import EmgNoise
from mjx_msm.recordings.model_clock import Recording

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


@dataclass(frozen=True, eq=False)
class MotionTerm(WindowTerm):
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
    first_position: Float[np.ndarray, "interval coordinate"]
    first_velocity: Float[np.ndarray, "interval coordinate"]
    held: Float[np.ndarray, "interval step stage held"]
    """Accelerations of held coordinates [rad/s²]."""
    error: EnvelopeError | None = None
    """Of the EMG, with two nuisance unknowns more per channel and interval: its knots at both ends; None: exact."""
    latest: dict[bytes, tuple[np.ndarray, bool]] = field(default_factory=dict, repr=False)
    """The last two simulations: reports compare the start with the estimate, and ask for them more than once."""
    closing: ClassVar[int] = 16
    """Most Gauss–Newton steps that `evaluate` takes for the states."""

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
        return parts(len(self.window), LANES)

    @cached_property
    def place(self) -> Int[np.ndarray, "interval"]:
        """Place of an interval in its window."""
        return place_in_window(self.window)

    def recorded_states(self) -> Float[np.ndarray, "interval two_free"]:
        """State at the start of every interval, from the recording."""
        free = self.model.host.free_index
        return np.concatenate([self.first_position[:, free], self.first_velocity[:, free]], 1)

    def first_guess(self) -> Float[np.ndarray, "interval unknown"]:
        """Nuisance unknowns to begin with: the recorded states, and no error of the EMG."""
        states = self.recorded_states()
        return states if self.error is None else np.pad(states, ((0, 0), (0, 2 * self.error.channels)))

    def _interval_activations(
        self, z: np.ndarray, nuisance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """Activation at the samples and at the stages; the derivatives of that at the samples by pair and, where the
        EMG has errors, by what an interval knows of them."""
        if self.error is not None:
            return self.error.activations(z, self.pairs, self._knots(nuisance), self.window, self.place)
        every, stages, by_pair = self.activations(z)
        recording, index = self.recording[:, None], self.start[:, None] + np.arange(self.target.shape[1])
        sample = recording, np.minimum(index, every.shape[1] - 1)
        step = recording, np.minimum(index[:, :-1], stages.shape[1] - 1)
        return every[sample], stages[step], by_pair[sample], None

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
            activation = self._interval_activations(z, states)
        by_error = activation[-1]
        by_window = np.zeros((self.windows, self.target.shape[-1], *(self.space.size + 1,) * 2))

        def linearised(part: slice) -> tuple[np.ndarray, ...]:
            with float64():
                return self._linearised(at, states[part], activation, part)

        pieces = []
        # most of a motion is one thing after the other, which keeps one core busy
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for part, (rows, *local) in zip(self.parts(), pool.map(linearised, self.parts()), strict=True):
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
        return MotionExpansion(self.window, states, squares, by_window, transition, end)

    def _linearised(self, at: Factors, states: np.ndarray, activation: Any, part: slice) -> tuple[np.ndarray, ...]:
        """Some intervals, see `_condense`; `activation` as `_interval_activations` gives it."""
        samples, stages, by_pair = (x[part] for x in activation[:3])
        by_error = None if activation[3] is None else activation[3][part]
        motion = self._simulate(at, states, stages, part)
        along = _path_derivatives(self.model, *motion)
        held = self.held[part]
        held = np.concatenate([held[:, :, 0], held[:, -1:, -1]], 1), held[:, :, 1]
        middle = 0.5 * (stages[:, :, 1] + stages[:, :, 2])
        given = samples, middle, *held, by_pair, self.target[part], self.mask[part]
        moving = [jax.device_put(filled(x, LANES)) for x in given]
        moving.append(None if by_error is None else jax.device_put(filled(by_error, LANES)))
        result = _condense(self.model, self.space, at, self.pairs, along, *motion, *moving)
        return tuple(np.asarray(x) for x in result)

    def compile_jobs(self, z: Float[np.ndarray, "free"]) -> Iterator[Callable[[], None]]:
        with float64():
            at = factors(self.space, np.asarray(z, dtype=float))
            steps, count = self.target.shape[1] - 1, self.first_position.shape[1]
            held, free = len(self.model.host.held_index), len(self.model.free)
            motion = blank(LANES, steps + 1, count)
            yield compile_job(_path_derivatives, self.model, motion, motion)
            widths = len(self.model.muscles), held
            lanes = [blank(LANES, steps + more, n) for n in widths for more in (1, 0)]
            lanes.append(blank(LANES, steps + 1, len(self.pairs)))
            nodes = LANES * (2 * steps + 1)
            sample, tendons = blank(LANES, *self.target.shape[1:]), self.model.host.mj_model.ntendon
            along = tuple(
                Paths(blank(*lead, nodes, tendons), blank(*lead, nodes, tendons, count)) for lead in ((), (free,))
            )
            lead: Any = (self.model, self.space, at, self.pairs)
            muscles, error = len(self.model.muscles), None
            if self.error is not None:
                error = blank(LANES, steps + 1, muscles, muscles + 2 * self.error.channels)
            yield compile_job(_condense, *lead, along, motion, motion, *lanes, sample, sample, error)
            start, stages = blank(LANES, count), (blank(LANES, steps, RK4.stages, n) for n in (muscles, held))
            yield compile_job(_simulated, self.model, at, start, start, *stages)

    def _simulate(self, at: Factors, states: np.ndarray, activation: np.ndarray, part: Any) -> tuple[Array, Array]:
        """Positions and velocities of some intervals from these states; NaN from where they are not finite."""
        free = self.model.host.free_index
        q, v = self.first_position[part].copy(), self.first_velocity[part].copy()
        q[:, free], v[:, free] = np.split(states[:, : 2 * len(free)], 2, axis=1)
        lanes = (q, v, activation, self.held[part])
        return _simulated(self.model, at, *(jax.device_put(filled(x, LANES)) for x in lanes))

    def intervals(
        self, z: Float[np.ndarray, "free"], states: Float[np.ndarray, "interval two_free"] | None = None
    ) -> tuple[Float[np.ndarray, "interval step_plus_1 coordinate"], ...]:
        """Positions [rad] and velocities [rad/s] of every interval, each from a state of its own; by default the
        recorded one."""
        states = self.first_guess() if states is None else states
        with float64():
            at = factors(self.space, np.asarray(z, dtype=float))
            activation = self._interval_activations(z, states)[1]
            moved = [
                [np.asarray(x)[: len(self.window[p])] for x in self._simulate(at, states[p], activation[p], p)]
                for p in self.parts()
            ]
        return tuple(np.concatenate(x) for x in zip(*moved, strict=True))

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        return self.simulate(z, scale)[0].reshape(-1, self.mask.shape[-1])

    def simulate(
        self,
        z: Float[np.ndarray, "free"],
        scale: Float[np.ndarray, "coordinate"],
        states: Float[np.ndarray, "interval two_free"] | None = None,
        about: MotionExpansion | None = None,
    ) -> tuple[Float[np.ndarray, "interval step_plus_1 free"], bool]:
        """Residuals of windows simulated without a break from their best initial states; whether all are finite.

        A window that does not stay finite repeats its last finite state.

        **Arguments:** `states`: at the start of every interval, a first guess; by default the recorded ones. `about`:
        the expansion about z and these states, if there is one.
        """
        z, scale = np.asarray(z, dtype=float), np.asarray(scale, dtype=float)
        key = z.tobytes() + scale.tobytes()
        if key not in self.latest:
            recorded = self.first_guess()
            states = kept = recorded if states is None else states
            closed, no_change, cost, change = False, np.zeros(self.space.size), np.inf, np.inf
            with np.errstate(all="ignore"):  # a generic model may leave all bounds before the states are closed
                for _ in range(self.closing):
                    expansion, about = about or self.expand(z, states), None
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
        moved = self.intervals(z, states)[0][..., self.model.host.free_index]
        return (moved - self.target) * self.mask, bool(np.isfinite(moved).all())

    def _unbroken(self, z: np.ndarray, tries: Sequence[np.ndarray]) -> list[tuple[np.ndarray, bool]]:
        """Residuals when every interval starts where the one before it ended, for several states side by side."""
        free, count, intervals = self.model.host.free_index, len(tries), len(self.window)
        states, residual = np.concatenate(tries), np.zeros((count * intervals, *self.target.shape[1:]))
        finite = np.ones(count, dtype=bool)
        with float64():
            at = factors(self.space, z)
            activation = np.concatenate([self._interval_activations(z, s)[1] for s in tries])
            for k in range(int(self.place.max()) + 1):
                place = np.flatnonzero(self.place == k)
                now = (intervals * np.arange(count)[:, None] + place).ravel()
                for part in parts(len(now), LANES):
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
    activation: Float[Array, "lane step stage muscle"],
    held: Float[Array, "lane step stage held"],
) -> tuple[Array, Array]:
    q, v, failed, *_ = simulate_motion(model, at.parameters, position, velocity, activation, held)
    good = ((failed[:, None] < 0) | (jnp.arange(q.shape[1]) <= failed[:, None]))[..., None]
    return jnp.where(good, q, jnp.nan), jnp.where(good, v, jnp.nan)


@jit
def _path_derivatives(
    model: Model,
    position: Float[Array, "lane step_plus_1 coordinate"],
    velocity: Float[Array, "lane step_plus_1 coordinate"],
) -> tuple[Paths, Paths]:
    """At the samples and in the middle between them."""
    position, _ = with_middles(position, velocity, model.timestep)
    return path_derivatives(model, position.reshape(-1, position.shape[-1]))


@jit
def _condense(
    model: Model,
    space: ParameterSpace,
    at: Factors,
    pairs: Pairs,
    along: tuple[Paths, Paths],
    position: Float[Array, "lane step_plus_1 coordinate"],
    velocity: Float[Array, "lane step_plus_1 coordinate"],
    activation: Float[Array, "lane step_plus_1 muscle"],
    middle_activation: Float[Array, "lane step muscle"],
    held_acceleration: Float[Array, "lane step_plus_1 held"],
    middle_held_acceleration: Float[Array, "lane step held"],
    activation_by_pair: Float[Array, "lane step_plus_1 pair"],
    target: Float[Array, "lane step_plus_1 free"],
    mask: Float[Array, "lane step_plus_1 free"],
    activation_by_error: Float[Array, "lane step_plus_1 muscle unknown"] | None,
) -> tuple[Array, Array, Array, Array]:
    """Linearise lanes with rows (∂r/∂local, ∂r/∂z, r). How activation depends on z is interpolated between samples.

    **Returns:** (∂r/∂z, r) of every coordinate, lane and step; per lane Σ (∂r/∂local)ᵀ row, how the state at the end
    depends on (local, z), and the end.
    """
    lanes, count = len(activation), 2 * activation.shape[1] - 1
    free = model.host.free_index

    def flat(x: Array) -> Array:
        return x.reshape(lanes * count, *x.shape[2:])

    nodes = (
        *with_middles(position, velocity, model.timestep),
        interleaved(activation, middle_activation),
        interleaved(held_acceleration, middle_held_acceleration),
        interleaved(activation_by_pair, in_the_middle(activation_by_pair)),
    )
    d = acceleration_derivatives(model, space, at, pairs, *along, *map(flat, nodes))
    by_state, by_parameters = (x.reshape(lanes, count, *x.shape[1:]) for x in (d.by_state, d.by_parameters))
    if activation_by_error is not None:
        by_activation = jax.vmap(lambda *lane: activation_columns(model, at, *lane))(along[0], *map(flat, nodes[:3]))
        by_error = interleaved(activation_by_error, in_the_middle(activation_by_error))
        by_error = by_activation.reshape(lanes, count, *by_activation.shape[1:]) @ by_error
        by_parameters = jnp.concatenate([by_error, by_parameters], -1)
    columns, last_velocity = chain(by_state, by_parameters, model.timestep)
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
    """Motion residual over windows of `horizon` steps that tile every trial; without `emg_noise` the EMG is exact.

    Whatever integrator the model's file names, the motion is stepped by RK4: a body does not move by Euler's rule, and
    what that gets wrong with 2 ms (8 mrad over 2 s of the bundled arm's motion; RK4: 1 µrad) would go into the
    parameters.
    """
    model = model.by_rk4
    longest = max(len(r.position) for r in recordings)
    horizon = min(horizon, max(r.last - r.first for r in recordings))
    steps = min(INTERVAL if emg_noise is None else knot_spacing(emg_noise, model.timestep), horizon)
    h, held_index = model.timestep, model.host.held_index
    rows: dict[str, list[Any]] = {
        k: [] for k in ("window", "recording", "start", "first_position", "first_velocity", "held", "target", "mask")
    }
    window, windows = -1, []
    for i, r in enumerate(recordings):
        known = slice(r.first, r.last + 1)
        with float64():
            course = RK4().held(jnp.asarray(r.smooth_position[known][:, held_index]), h)
        held_velocity, held = map(np.asarray, course)
        for begin in range(r.first, r.last, horizon):
            window, stop = window + 1, min(begin + horizon, r.last)
            windows.append((r.envelope, begin, stop))
            for start in range(begin, stop, steps):
                index = start + np.arange(steps + 1)
                inside = index <= stop
                index = np.minimum(index, r.last)
                velocity = r.smooth_velocity[start].copy()
                velocity[held_index] = held_velocity[start - r.first]
                # a sample that two intervals share counts once, for the one that starts there
                shared = (index == min(start + steps, stop)) & (index < r.last)
                for name, value in (
                    ("window", window),
                    ("recording", i),
                    ("start", start),
                    ("first_position", r.smooth_position[start]),
                    ("first_velocity", velocity),
                    ("held", held[np.minimum(index[:-1], r.last - 1) - r.first]),
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
