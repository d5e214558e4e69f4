"""What a model gets wrong about a recording: acceleration, moment and motion residuals, and their Jacobians.

A term compares a model with all recordings at once. It returns residuals in physical units (simulated minus recorded,
0 where nothing was measured), or whitened by a noise scale per coordinate together with their derivative with
respect to the free parameters' vector z.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.ndimage import binary_closing, binary_erosion

from mjx_msm.compiled import float64, jit
from mjx_msm.model import Model
from mjx_msm.parameters import Parameters, ParameterSpace
from mjx_msm.recording import Recording
from mjx_msm.sensitivities import (
    acceleration_derivatives,
    activation_derivatives,
    chain,
    recorded_activations,
    tension_jacobian,
)
from mjx_msm.simulation import Mechanics, device_body, mechanics, simulate_motion

EDGE = 0.05
"""At both ends of a recording the second derivative of its spline is not data [s]."""


@dataclass(frozen=True, eq=False)
class AbstractTerm(ABC):
    """One kind of residual over all trials."""

    model: Model
    space: ParameterSpace
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

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        """Simulated minus recorded, in physical units; `scale` weighs coordinates where a nuisance is eliminated."""
        with float64():
            return self._residual(np.asarray(z, dtype=float), np.asarray(scale, dtype=float))

    def linearise(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> tuple[Float[np.ndarray, "sample coordinate"], Float[np.ndarray, "sample coordinate free"]]:
        """Whitened residuals and their derivative with respect to z, nuisance unknowns eliminated."""
        with float64():
            return self._linearisation(np.asarray(z, dtype=float), np.asarray(scale, dtype=float))

    @abstractmethod
    def _residual(self, z: np.ndarray, scale: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _linearisation(self, z: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


# Instants ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Instants:
    """Samples of the recordings at which a residual is formed, with the recorded motion as the state."""

    envelope: Float[np.ndarray, "recording time channel"]
    mixing: Float[np.ndarray, "muscle channel"]
    recording: Int[np.ndarray, "instant"]
    sample: Int[np.ndarray, "instant"]
    position: Float[np.ndarray, "instant coordinate"]
    velocity: Float[np.ndarray, "instant coordinate"]
    acceleration: Float[np.ndarray, "instant coordinate"]


def padded(arrays: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Stack along a new axis, the last sample repeated up to `length`."""
    return np.stack([np.concatenate([a, np.repeat(a[-1:], length - len(a), axis=0)]) for a in arrays])


def instants(recordings: Sequence[Recording], picks: Sequence[Int[np.ndarray, "pick"]]) -> Instants:
    """The chosen samples of every trial."""
    length = max(len(r.position) for r in recordings)

    def pick(name: str) -> np.ndarray:
        return np.concatenate([getattr(r, name)[p] for r, p in zip(recordings, picks, strict=True)])

    return Instants(
        envelope=padded([r.envelope for r in recordings], length),
        mixing=recordings[0].mixing,
        recording=np.concatenate([np.full(len(p), i) for i, p in enumerate(picks)]),
        sample=np.concatenate(picks),
        position=pick("smooth_position"),
        velocity=pick("smooth_velocity"),
        acceleration=pick("smooth_acceleration"),
    )


def _at(recordings: Sequence[Recording], where: Instants, name: str) -> np.ndarray:
    return np.stack([getattr(recordings[i], name)[k] for i, k in zip(where.recording, where.sample, strict=True)])


@dataclass(frozen=True, eq=False)
class AbstractInstantTerm(AbstractTerm):
    """A residual at chosen instants, the recorded motion being the state."""

    at: Instants
    mask: Float[np.ndarray, "sample coordinate"]

    @property
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.mask

    @property
    def trial(self) -> Int[np.ndarray, "sample"]:
        return self.at.recording


# Moment --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class MomentTerm(AbstractInstantTerm):
    """Muscle and passive joint moment against the recorded net moment of the free coordinates [N·m].

    The recorded motion is the state, so paths and moment arms are computed once: no parameter moves them.
    """

    terms: Mechanics
    target: Float[np.ndarray, "sample coordinate"]
    kind: ClassVar[str] = "moment"
    unit: ClassVar[str] = "N·m"

    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.target

    def _activation(self, z: np.ndarray) -> Array:
        at = self.at
        every = recorded_activations(self.model, self.space, z, at.envelope, at.mixing)
        return every[at.recording, at.sample]

    def _residual(self, z: np.ndarray, scale: np.ndarray) -> np.ndarray:
        moment = _moments(
            self.model, self.space, z, self._activation(z), self.terms, self.at.position, self.at.velocity
        )
        return (np.asarray(moment) - self.target) * self.mask

    def _linearisation(self, z: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = self.at
        by_entry = activation_derivatives(self.model, self.space, z, at.envelope, at.mixing)[at.recording, at.sample]
        jacobian = _moment_jacobian(
            self.model, self.space, z, self._activation(z), by_entry, self.terms, at.position, at.velocity
        )
        whiten = self.mask / scale
        return self._residual(z, scale) / scale, np.asarray(jacobian) * whiten[..., None]


def moment_term(model: Model, space: ParameterSpace, recordings: Sequence[Recording], rate: float) -> MomentTerm:
    """Moment residual at the samples of the trials' own clocks, thinned to about `rate` a second."""
    picks = []
    for r in recordings:
        own = r.clock[(r.clock >= r.first) & (r.clock <= r.last)]
        spacing = float(np.median(np.diff(own))) * model.timestep
        picks.append(own[:: max(1, round(1.0 / (rate * spacing)))])
    at = instants(recordings, picks)
    with float64():
        terms = jax.tree.map(np.asarray, _mechanics_at(model, model.nominal, at.position, at.velocity))
    moment, measured = (_at(recordings, at, name) for name in ("moment", "moment_weight"))
    return MomentTerm(model, space, at, measured, terms, moment)


@jit
def _mechanics_at(model: Model, parameters: Parameters, position: Any, velocity: Any) -> Mechanics:
    body = device_body(model, parameters)
    return jax.vmap(lambda q, v: mechanics(model, body, q, v))(position, velocity)


@jit
def _moments(
    model: Model,
    space: ParameterSpace,
    z: Any,
    activation: Any,
    terms: Mechanics,
    position: Any,
    velocity: Any,
) -> Float[Array, "instant free"]:
    """Net moment of muscles and passive joint of the free coordinates."""
    parameters, nominal = space.unpack(z), model.nominal.joint
    path_velocity = -jnp.einsum("smc,sc->sm", terms.moment_arm, velocity)
    tension = model.muscle.tension(parameters.muscle, activation, terms.path_length, path_velocity)
    spring = position - model.host.mj_model.qpos_spring
    passive = terms.passive - (parameters.joint.damping - nominal.damping) * velocity
    passive = passive - (parameters.joint.stiffness - nominal.stiffness) * spring
    return (jnp.einsum("smc,sm->sc", terms.moment_arm, tension) + passive)[:, model.host.free_index]


@jit
def _moment_jacobian(
    model: Model,
    space: ParameterSpace,
    z: Any,
    activation: Any,
    activation_by_entry: Any,
    terms: Mechanics,
    position: Any,
    velocity: Any,
) -> Float[Array, "instant free entry"]:
    parameters, free = space.unpack(z), model.host.free_index

    def one(activation: Array, by_entry: Array, length: Array, arm: Array, q: Array, v: Array) -> Array:
        slope = tension_jacobian(model, space, z, parameters, activation, by_entry, length, -arm @ v)
        columns = arm.T @ slope
        effect = {"damping": -v, "stiffness": -(q - model.host.mj_model.qpos_spring)}
        for s, entry in zip(space.scalars, space.owner, strict=True):
            if s.group == "joint":
                columns = columns.at[s.index[0], entry].add(effect[s.field][s.index[0]])
        return columns[free]

    return jax.vmap(one)(activation, activation_by_entry, terms.path_length, terms.moment_arm, position, velocity)


# Acceleration --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class AccelerationTerm(AbstractInstantTerm):
    """One-step-ahead acceleration against the recorded one [rad/s²].

    Smooth in the parameters and cheap, hence the initialiser; biased by the differentiation of noise, hence not
    the answer.
    """

    kind: ClassVar[str] = "acceleration"
    unit: ClassVar[str] = "rad/s²"

    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.at.acceleration[:, self.model.host.free_index]

    def _derivatives(self, z: np.ndarray, *, parameters: bool) -> Any:
        at, model, space = self.at, self.model, self.space
        activation = recorded_activations(model, space, z, at.envelope, at.mixing)[at.recording, at.sample]
        by_entry = None
        if parameters:
            by_entry = activation_derivatives(model, space, z, at.envelope, at.mixing)[at.recording, at.sample]
        held = at.acceleration[:, model.host.held_index]
        return acceleration_derivatives(model, space, z, at.position, at.velocity, activation, held, by_entry)

    def _residual(self, z: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return (self._derivatives(z, parameters=False).acceleration - self.signal()) * self.mask

    def _linearisation(self, z: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        result, whiten = self._derivatives(z, parameters=True), self.mask / scale
        return (result.acceleration - self.signal()) * whiten, result.by_parameters * whiten[..., None]


def acceleration_term(
    model: Model, space: ParameterSpace, recordings: Sequence[Recording], rate: float
) -> AccelerationTerm:
    """Acceleration residual about `rate` times a second where all coordinates were measured, edges left out."""
    stride = max(1, round(1.0 / (rate * model.timestep)))
    edge = max(1, round(EDGE / model.timestep))
    picks = []
    for r in recordings:
        measured = np.ones(len(r.weight), dtype=bool)
        for column in r.weight.T:  # samples of one clock belong together; a longer pause is a gap with edges
            measured &= binary_closing(np.pad(column > 0, edge), np.ones(edge))[edge:-edge]
        margin = min(edge, (r.last - r.first) // 4)
        inside = binary_erosion(measured, np.ones(2 * margin + 1)) if margin else measured
        picks.append(np.flatnonzero(inside)[::stride])
    at = instants(recordings, picks)
    return AccelerationTerm(model, space, at, np.ones((len(at.sample), len(model.free))))


# Motion --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Motion:
    """Segments simulated from their best initial states."""

    key: bytes
    initial: Float[np.ndarray, "segment two_free"]
    position: Float[np.ndarray, "segment step_plus_1 coordinate"]
    velocity: Float[np.ndarray, "segment step_plus_1 coordinate"]
    failed: Bool[np.ndarray, "segment"]
    """Segments whose simulation was not finite to the end."""
    activation: Float[np.ndarray, "segment step muscle"]


@dataclass(frozen=True, eq=False)
class MotionTerm(AbstractTerm):
    """Simulated against recorded motion over segments of one horizon [rad].

    The state at the start of each segment is a nuisance unknown: for given parameters it is solved for (Gauss–
    Newton, segment by segment), and the Jacobian is projected on what it cannot explain (variable projection, Golub &
    Pereyra 1973, doi 10.1137/0710036, in Kaufman's form).
    """

    envelope: Float[np.ndarray, "recording time channel"]
    mixing: Float[np.ndarray, "muscle channel"]
    recording: Int[np.ndarray, "segment"]
    start: Int[np.ndarray, "segment"]
    first_position: Float[np.ndarray, "segment coordinate"]
    first_velocity: Float[np.ndarray, "segment coordinate"]
    held: Float[np.ndarray, "segment step_plus_1 held"]
    target: Float[np.ndarray, "segment step_plus_1 coordinate"]
    mask: Float[np.ndarray, "segment step_plus_1 coordinate"]
    latest: list[_Motion] = field(default_factory=list, repr=False)
    """The last solution: asked for again at the same z it is the answer, at another z a good first guess."""
    kind: ClassVar[str] = "motion"
    unit: ClassVar[str] = "rad"
    iterations: ClassVar[int] = 8
    """Most Gauss–Newton steps for the initial states; they are nearly linear in them, so few are needed."""

    @property
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.mask.reshape(-1, self.mask.shape[-1])

    @property
    def trial(self) -> Int[np.ndarray, "sample"]:
        return np.repeat(self.recording, self.mask.shape[1])

    @property
    def eliminated(self) -> int:
        return 2 * len(self.recording)

    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.target.reshape(-1, self.target.shape[-1])

    def _residual(self, z: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return self._difference(self._solved(z, scale).position).reshape(-1, self.mask.shape[-1])

    def _difference(self, position: np.ndarray) -> np.ndarray:
        return (position[..., self.model.host.free_index] - self.target) * self.mask

    def _segmented(self, every: Array) -> np.ndarray:
        """What the recordings have at every sample, at the start of every step of every segment."""
        steps = self.target.shape[1] - 1
        index = np.minimum(self.start[:, None] + np.arange(steps), every.shape[1] - 1)
        return np.asarray(every)[self.recording[:, None], index]

    def _solved(self, z: np.ndarray, scale: np.ndarray) -> _Motion:
        """The segments from the initial states that fit the recording best at these parameters."""
        key = z.tobytes() + scale.tobytes()
        if self.latest and self.latest[0].key == key:
            return self.latest[0]
        model, free = self.model, self.model.host.free_index
        activation = self._segmented(recorded_activations(model, self.space, z, self.envelope, self.mixing))
        cold = np.concatenate([self.first_position[:, free], self.first_velocity[:, free]], 1)
        x = self.latest[0].initial if self.latest else cold
        best, best_cost = None, np.full(len(x), np.inf)
        whiten = (self.mask / scale)[..., None]
        for _ in range(self.iterations):
            q, v, failed = self._simulated(z, x, activation)
            r = self._difference(q) / scale
            cost = (r**2).sum(axis=(1, 2))
            better = cost < best_cost
            if best is None:
                best = (x.copy(), q.copy(), v.copy(), failed.copy())
            for kept, new in zip(best, (x, q, v, failed), strict=True):
                kept[better] = new[better]
            best_cost = np.where(better, cost, best_cost)
            slope = np.nan_to_num(self._derivatives(z, best[1], best[2], activation, None)[0]) * whiten
            slope = slope.reshape(len(x), -1, slope.shape[-1])
            residual = (self._difference(best[1]) / scale).reshape(len(x), -1)
            normal = np.swapaxes(slope, 1, 2) @ slope
            gradient = np.einsum("skx,sk->sx", slope, residual)
            size = np.trace(normal, axis1=1, axis2=2)[:, None, None]
            ridge = (1e-13 * size + 1e-300) * np.eye(normal.shape[-1])
            step = np.nan_to_num(np.linalg.solve(normal + ridge, gradient[..., None])[..., 0])
            promised = np.einsum("sx,sx->s", gradient, step).sum()
            if promised <= 1e-7 * best_cost.sum():
                break
            # a segment that got worse goes half way back before it tries again
            x = np.where(better[:, None], best[0] - step, 0.5 * (x + best[0]))
        assert best is not None
        motion = _Motion(key, *best, activation)
        self.latest[:] = [motion]
        return motion

    def failed_segments(self, z: np.ndarray, scale: np.ndarray) -> int:
        """How many segments have no finite simulation at these parameters."""
        with float64():
            return int(self._solved(np.asarray(z, dtype=float), np.asarray(scale, dtype=float)).failed.sum())

    def _simulated(self, z: np.ndarray, x: np.ndarray, activation: np.ndarray) -> tuple[np.ndarray, ...]:
        free = self.model.host.free_index
        q, v = self.first_position.copy(), self.first_velocity.copy()
        q[:, free], v[:, free] = x[:, : len(free)], x[:, len(free) :]
        q, v, failed_step = _segments(self.model, self.space, z, q, v, activation, self.held)
        return np.array(q), np.array(v), np.asarray(failed_step) >= 0

    def _derivatives(
        self, z: np.ndarray, q: np.ndarray, v: np.ndarray, activation: np.ndarray, by_entry: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Derivatives of the free positions with respect to the initial states, and to z."""
        model = self.model
        segments, steps = activation.shape[:2]
        held_velocity = np.diff(self.held, axis=1) / model.timestep
        held = (held_velocity - v[:, :-1, model.host.held_index]) / model.timestep

        def flat(x: np.ndarray) -> np.ndarray:
            return x.reshape(segments * steps, *x.shape[2:])

        entries = None if by_entry is None else flat(by_entry)
        d = acceleration_derivatives(
            model, self.space, z, flat(q[:, :-1]), flat(v[:, :-1]), flat(activation), flat(held), entries
        )
        by_state = d.by_state.reshape(segments, steps, *d.by_state.shape[1:])
        if d.by_parameters is None:
            return np.asarray(chain(by_state, None, model.timestep)[0]), None
        states, columns = chain(
            by_state, d.by_parameters.reshape(segments, steps, *d.by_parameters.shape[1:]), model.timestep
        )
        return np.asarray(states), np.asarray(columns)

    def _linearisation(self, z: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        motion = self._solved(z, scale)
        by_entry = self._segmented(activation_derivatives(self.model, self.space, z, self.envelope, self.mixing))
        states, columns = self._derivatives(z, motion.position, motion.velocity, motion.activation, by_entry)
        assert columns is not None
        segments, whiten = len(states), (self.mask / scale)[..., None]
        states = (states * whiten).reshape(segments, -1, states.shape[-1])
        columns = (columns * whiten).reshape(segments, -1, columns.shape[-1])
        basis, _ = np.linalg.qr(np.nan_to_num(states))
        columns = columns - basis @ (np.swapaxes(basis, 1, 2) @ columns)
        residual = self._difference(motion.position) / scale
        free = residual.shape[-1]
        return residual.reshape(-1, free), columns.reshape(-1, free, columns.shape[-1])


@jit
def _segments(
    model: Model,
    space: ParameterSpace,
    z: Any,
    position: Any,
    velocity: Any,
    activation: Any,
    held: Any,
) -> tuple[Array, Array, Array]:
    parameters = space.unpack(z)
    return jax.vmap(lambda *lane: simulate_motion(model, parameters, *lane)[:3])(position, velocity, activation, held)


def motion_term(model: Model, space: ParameterSpace, recordings: Sequence[Recording], horizon: int) -> MotionTerm:
    """Motion residual over segments of `horizon` steps that tile every trial."""
    length = max(len(r.position) for r in recordings)
    horizon = min(horizon, max(r.last - r.first for r in recordings))
    h, held_index = model.timestep, model.host.held_index
    rows: dict[str, list[Any]] = {k: [] for k in ("recording", "start", "q", "v", "held", "target", "mask")}
    for i, r in enumerate(recordings):
        for start in range(r.first, r.last, horizon):
            index = start + np.arange(horizon + 1)
            inside = index <= r.last
            index = np.minimum(index, r.last)
            velocity = r.smooth_velocity[start].copy()
            velocity[held_index] = (r.smooth_position[start] - r.smooth_position[max(start - 1, 0)])[held_index] / h
            rows["recording"].append(i)
            rows["start"].append(start)
            rows["q"].append(r.smooth_position[start])
            rows["v"].append(velocity)
            rows["held"].append(r.smooth_position[index][:, held_index])
            rows["target"].append(r.position[index])
            # the joint sample of two segments counts once, for the one that starts there
            last = (np.arange(horizon + 1) == horizon) & (start + horizon < r.last)
            rows["mask"].append(r.weight[index] * (inside & ~last)[:, None])
    column = {k: np.array(v) for k, v in rows.items()}
    return MotionTerm(
        model=model,
        space=space,
        envelope=padded([r.envelope for r in recordings], length),
        mixing=recordings[0].mixing,
        recording=column["recording"],
        start=column["start"],
        first_position=column["q"],
        first_velocity=column["v"],
        held=column["held"],
        target=column["target"],
        mask=column["mask"],
    )
