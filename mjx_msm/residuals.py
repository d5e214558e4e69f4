"""What a model gets wrong about a recording: acceleration, moment and motion residuals, and their Jacobians.

Every term returns residuals whitened by a noise scale per coordinate, with a mask for what was not measured, and
their derivative with respect to the free parameters' vector z. Terms are immutable; `linearise` is compiled once
per shape.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.compiled import float64, jit
from mjx_msm.excitation import excitation
from mjx_msm.model import Model
from mjx_msm.muscle import AnyArray
from mjx_msm.parameters import Parameters, ParameterSpace
from mjx_msm.recording import Recording
from mjx_msm.rollout import Mechanics, State, acceleration, activate, device_body, mechanics, simulate_motion


class Linearisation(eqx.Module):
    """Whitened residuals and their derivative."""

    residual: Float[Array, "sample coordinate"]
    jacobian: Float[Array, "sample coordinate free"]


class AbstractTerm(eqx.Module):
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
    def raw(self, z: Float[Array, "free"], scale: Float[Array, "coordinate"]) -> Float[Array, "sample coordinate"]:
        """Simulated minus recorded in physical units; `scale` weighs the coordinates where a nuisance is eliminated."""

    @abstractmethod
    def whitened_jacobian(self, z: Float[Array, "free"], scale: Float[Array, "coordinate"]) -> Linearisation:
        """Whitened residuals and Jacobian, nuisance unknowns eliminated."""

    def evaluate(
        self, z: Float[Any, "free"], scale: Float[Any, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        """Residuals in physical units, 0 where nothing was measured."""
        with float64():
            return np.asarray(_evaluate(self, jnp.asarray(z), jnp.asarray(scale)))

    def linearise(self, z: Float[Any, "free"], scale: Float[Any, "coordinate"]) -> tuple[np.ndarray, np.ndarray]:
        """Whitened residuals and their derivative with respect to z, as NumPy arrays."""
        with float64():
            result = _linearise(self, jnp.asarray(z), jnp.asarray(scale))
            return np.asarray(result.residual), np.asarray(result.jacobian)

    @abstractmethod
    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        """What was recorded, in physical units."""

    @property
    def eliminated(self) -> int:
        """Number of nuisance unknowns fitted per coordinate."""
        return 0


@jit
def _evaluate(term: AbstractTerm, z: Array, scale: Array) -> Array:
    return term.raw(z, scale) * term.weight


@jit
def _linearise(term: AbstractTerm, z: Array, scale: Array) -> Linearisation:
    return term.whitened_jacobian(z, scale)


def _forward_jacobian(function: Any, z: Array) -> tuple[Array, Array]:
    """Value and forward-mode Jacobian in one pass."""
    return jax.vmap(lambda t: jax.jvp(function, (z,), (t,)), out_axes=(None, -1))(jnp.eye(z.shape[0]))


def activations(
    model: Model,
    parameters: Parameters,
    envelope: Float[Array, "time channel"],
    mixing: Float[AnyArray, "muscle channel"],
) -> Float[Array, "time muscle"]:
    """Activation at every sample, starting at rest with respect to the first excitation."""
    drive = excitation(parameters.emg, envelope, mixing, model.timestep)
    return activate(model, parameters, drive[0], drive[:-1])


class Nodes(eqx.Module):
    """Instants of the recordings at which a residual is formed."""

    envelope: Float[np.ndarray, "recording time channel"]
    mixing: Float[np.ndarray, "muscle channel"]
    recording: Int[np.ndarray, "sample"]
    sample: Int[np.ndarray, "sample"]
    position: Float[np.ndarray, "sample coordinate"]
    velocity: Float[np.ndarray, "sample coordinate"]
    acceleration: Float[np.ndarray, "sample coordinate"]

    def activation(self, model: Model, parameters: Parameters) -> Float[Array, "sample muscle"]:
        every = jax.vmap(lambda e: activations(model, parameters, e, self.mixing))(self.envelope)
        return every[self.recording, self.sample]


def padded(arrays: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Stack along a new axis, the last sample repeated up to `length`."""
    return np.stack([np.concatenate([a, np.repeat(a[-1:], length - len(a), axis=0)]) for a in arrays])


def nodes(recordings: Sequence[Recording], stride: int) -> Nodes:
    """Every `stride`-th sample inside the recorded motion of every trial."""
    length = max(len(r.position) for r in recordings)
    picks = [np.arange(r.first, r.last + 1, stride) for r in recordings]
    recording = np.concatenate([np.full(len(p), i) for i, p in enumerate(picks)])

    def pick(field: str) -> np.ndarray:
        return np.concatenate([getattr(r, field)[p] for r, p in zip(recordings, picks, strict=True)])

    return Nodes(
        padded([r.envelope for r in recordings], length), recordings[0].mixing, recording, np.concatenate(picks),
        pick("smooth_position"), pick("smooth_velocity"), pick("smooth_acceleration"),
    )  # fmt: skip


def _at(recordings: Sequence[Recording], where: Nodes, field: str) -> np.ndarray:
    return np.stack([getattr(recordings[i], field)[k] for i, k in zip(where.recording, where.sample, strict=True)])


class MomentTerm(AbstractTerm):
    """Muscle and passive joint moment against the recorded net moment of the free coordinates [N·m].

    The recorded motion is the state, so paths and moment arms are computed once: no parameter moves them.
    """

    nodes: Nodes
    terms: Mechanics
    target: Float[np.ndarray, "sample coordinate"]
    mask: Float[np.ndarray, "sample coordinate"]
    kind: ClassVar[str] = "moment"
    unit: ClassVar[str] = "N·m"

    @property
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.mask

    @property
    def trial(self) -> Int[np.ndarray, "sample"]:
        return self.nodes.recording

    def raw(self, z: Float[Array, "free"], scale: Float[Array, "coordinate"]) -> Float[Array, "sample coordinate"]:
        parameters = self.space.unpack(z)
        return (self.predicted(parameters) - self.target) * self.mask

    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.target

    def predicted(self, parameters: Parameters) -> Float[Array, "sample coordinate"]:
        """Net moment of muscles and passive joint of the free coordinates."""
        model, arms = self.model, self.terms.moment_arm
        activation = self.nodes.activation(model, parameters)
        path_velocity = -jnp.einsum("smc,sc->sm", arms, self.nodes.velocity)
        tension = model.muscle.tension(parameters.muscle, activation, self.terms.path_length, path_velocity)
        nominal = model.nominal.joint
        passive = self.terms.passive - (parameters.joint.damping - nominal.damping) * self.nodes.velocity
        spring = self.nodes.position - model.host.mj_model.qpos_spring
        passive = passive - (parameters.joint.stiffness - nominal.stiffness) * spring
        return (jnp.einsum("smc,sm->sc", arms, tension) + passive)[:, model.host.free_index]

    def whitened_jacobian(self, z: Float[Array, "free"], scale: Float[Array, "coordinate"]) -> Linearisation:
        return Linearisation(*_forward_jacobian(lambda z: self.raw(z, scale) / scale, z))


def moment_term(model: Model, space: ParameterSpace, recordings: Sequence[Recording], stride: int) -> MomentTerm:
    """Moment residual at every `stride`-th sample."""
    where = nodes(recordings, stride)
    with float64():
        terms = _mechanics_at(model, model.nominal, jnp.asarray(where.position), jnp.asarray(where.velocity))
        terms = jax.tree.map(np.asarray, terms)
    target, weight = _at(recordings, where, "moment"), _at(recordings, where, "moment_weight")
    return MomentTerm(model, space, where, terms, target, weight)


@jit
def _mechanics_at(model: Model, parameters: Parameters, position: Array, velocity: Array) -> Mechanics:
    body = device_body(model, parameters)
    return jax.vmap(lambda q, v: mechanics(model, body, q, v))(position, velocity)


class AccelerationTerm(AbstractTerm):
    """One-step-ahead acceleration against the recorded one [rad/s²].

    Smooth in the parameters and cheap, hence the initialiser; biased by the differentiation of noise, hence not
    the answer.
    """

    nodes: Nodes
    mask: Float[np.ndarray, "sample coordinate"]
    kind: ClassVar[str] = "acceleration"
    unit: ClassVar[str] = "rad/s²"

    @property
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.mask

    @property
    def trial(self) -> Int[np.ndarray, "sample"]:
        return self.nodes.recording

    def raw(self, z: Float[Array, "free"], scale: Float[Array, "coordinate"]) -> Float[Array, "sample coordinate"]:
        model, where = self.model, self.nodes
        parameters = self.space.unpack(z)
        body = device_body(model, parameters)
        activation = where.activation(model, parameters)
        held = np.setdiff1d(np.arange(len(model.coordinates)), model.host.free_index)

        def one(q: Any, v: Any, a: Any, activation: Any) -> Array:
            applied = jnp.zeros(len(model.coordinates))
            return acceleration(model, parameters, body, State(q, v, activation), a[held], applied)

        simulated = jax.vmap(one)(where.position, where.velocity, where.acceleration, activation)
        difference = (simulated - where.acceleration)[:, model.host.free_index]
        return jnp.where(self.mask > 0, difference, 0.0)

    def whitened_jacobian(self, z: Float[Array, "free"], scale: Float[Array, "coordinate"]) -> Linearisation:
        return Linearisation(*_forward_jacobian(lambda z: self.raw(z, scale) / scale, z))

    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.nodes.acceleration[:, self.model.host.free_index]


def acceleration_term(
    model: Model, space: ParameterSpace, recordings: Sequence[Recording], stride: int
) -> AccelerationTerm:
    """Acceleration residual at every `stride`-th sample inside the recorded motion."""
    where = nodes(recordings, stride)
    return AccelerationTerm(model, space, where, np.ones((len(where.sample), len(model.free))))


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
    kind: ClassVar[str] = "motion"
    unit: ClassVar[str] = "rad"
    iterations: int = eqx.field(static=True, default=4)
    """Gauss–Newton steps for a segment's initial state; it is nearly linear in it."""

    @property
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.mask.reshape(-1, self.mask.shape[-1])

    @property
    def trial(self) -> Int[np.ndarray, "sample"]:
        return np.repeat(self.recording, self.mask.shape[1])

    @property
    def eliminated(self) -> int:
        return 2 * len(self.recording)

    def _activation(self, parameters: Parameters) -> Float[Array, "segment step muscle"]:
        every = jax.vmap(lambda e: activations(self.model, parameters, e, self.mixing))(self.envelope)
        steps = self.target.shape[1] - 1
        index = jnp.minimum(self.start[:, None] + jnp.arange(steps), every.shape[1] - 1)
        return every[self.recording[:, None], index]

    def _segment(self, parameters: Parameters, initial: Array, activation: Array, lane: Any) -> Array:
        """Difference to the recording of one segment from `initial` = (q, q̇) of the free coordinates."""
        first_position, first_velocity, held, target, mask = lane
        free = self.model.host.free_index
        n = len(free)
        q = jnp.asarray(first_position).at[free].set(initial[:n])
        v = jnp.asarray(first_velocity).at[free].set(initial[n:])
        positions, _, _, _ = simulate_motion(self.model, parameters, q, v, activation, held)
        return (positions[:, free] - target) * mask

    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.target.reshape(-1, self.target.shape[-1])

    @property
    def _lanes(self) -> Any:
        return self.first_position, self.first_velocity, self.held, self.target, self.mask

    def initial_states(
        self,
        parameters: Parameters,
        activation: Float[Array, "segment step muscle"],
        scale: Float[Array, "coordinate"],
    ) -> Float[Array, "segment two_free"]:
        """Best initial (q, q̇) of every segment for given parameters."""
        free = self.model.host.free_index

        def best(activation: Array, lane: Any) -> Array:
            first_position, first_velocity = lane[0], lane[1]

            def difference(x: Array) -> Array:
                return (self._segment(parameters, x, activation, lane) / scale).ravel()

            def improve(carry: Any, _: None) -> tuple[Any, None]:
                x, champion, champion_cost = carry
                r, j = _forward_jacobian(difference, x)
                cost = jnp.sum(r**2)
                better = cost < champion_cost
                champion = jnp.where(better, x, champion)
                champion_cost = jnp.where(better, cost, champion_cost)
                normal = j.T @ j
                ridge = 1e-12 * jnp.trace(normal) * jnp.eye(x.shape[0]) + 1e-30 * jnp.eye(x.shape[0])
                step = jnp.linalg.solve(normal + ridge, j.T @ r)
                x = jnp.where(jnp.all(jnp.isfinite(step)), x - step, champion)
                return (x, champion, champion_cost), None

            x0 = jnp.concatenate([first_position[free], first_velocity[free]])
            start = (x0, x0, jnp.full((), jnp.inf))
            (x, champion, champion_cost), _ = jax.lax.scan(improve, start, None, length=self.iterations)
            return jnp.where(jnp.sum(difference(x) ** 2) < champion_cost, x, champion)

        return jax.lax.stop_gradient(jax.vmap(best)(activation, self._lanes))

    def raw(self, z: Float[Array, "free"], scale: Float[Array, "coordinate"]) -> Float[Array, "sample coordinate"]:
        parameters = self.space.unpack(z)
        activation = self._activation(parameters)
        initial = self.initial_states(parameters, activation, scale)
        difference = jax.vmap(lambda *lane: self._segment(parameters, *lane))(initial, activation, self._lanes)
        return difference.reshape(-1, difference.shape[-1])

    def whitened_jacobian(self, z: Float[Array, "free"], scale: Float[Array, "coordinate"]) -> Linearisation:
        parameters = self.space.unpack(z)
        initial = self.initial_states(parameters, self._activation(parameters), scale)

        def by_parameters(z: Array) -> Array:
            parameters = self.space.unpack(z)
            lanes = (initial, self._activation(parameters), self._lanes)
            return jax.vmap(lambda *lane: self._segment(parameters, *lane))(*lanes) / scale

        residual, jacobian = _forward_jacobian(by_parameters, z)
        activation = self._activation(parameters)

        def by_state(initial: Array, activation: Array, lane: Any) -> Array:
            return _forward_jacobian(
                lambda x: (self._segment(parameters, x, activation, lane) / scale).ravel(), initial
            )[1]

        states = jax.vmap(by_state)(initial, activation, self._lanes)
        basis, _ = jnp.linalg.qr(states)
        segments, samples, free = residual.shape
        flat = jacobian.reshape(segments, samples * free, -1)
        flat = flat - basis @ (jnp.swapaxes(basis, 1, 2) @ flat)
        return Linearisation(residual.reshape(-1, free), flat.reshape(segments * samples, free, -1))


def motion_term(model: Model, space: ParameterSpace, recordings: Sequence[Recording], horizon: int) -> MotionTerm:
    """Motion residual over segments of `horizon` steps that tile every trial."""
    length = max(len(r.position) for r in recordings)
    horizon = min(horizon, max(r.last - r.first for r in recordings))
    h, free = model.timestep, model.host.free_index
    held_index = np.setdiff1d(np.arange(len(model.coordinates)), free)
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
