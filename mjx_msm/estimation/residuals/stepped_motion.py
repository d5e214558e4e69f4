"""Simulated against recorded motion by short windows in forward mode: of a model that MJX steps, or whose muscles
remember.

Every window starts from a state of its own, a nuisance unknown which is eliminated for given parameters; derivatives
are one tangent through the steps per unknown and window. What muscles with tendons that yield remember at the start of
a window is what the recorded motion until then has made of them (`mjx_msm.dynamics.tendon_course`). Windows are short:
with MJX because a contact makes a motion forget its start, and a derivative is one-sided where a contact begins or
ends; else so that none runs away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.dynamics.simulation import activate, engine_of
from mjx_msm.dynamics.tendon_course import Course, memories
from mjx_msm.estimation.residuals.path_courses import course_of, path_courses
from mjx_msm.estimation.residuals.pieces import padded
from mjx_msm.estimation.residuals.term import AbstractExpansion, Quadratic
from mjx_msm.estimation.residuals.windows import WindowTerm
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.obstacles import TREE
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording

WINDOW = 32
"""Steps of a window that MJX takes."""
SECONDS = 0.5
"""Of a window of muscles that remember."""
SETTLED = 1e-10
"""Change of a window's initial state that is none [rad, rad/s]."""


@dataclass(frozen=True)
class SteppedExpansion(AbstractExpansion):
    """Windows about a z and their initial states."""

    states: Float[np.ndarray, "window two_n"]
    residual: Float[np.ndarray, "window sample n"]
    by_state: Float[np.ndarray, "window sample n two_n"]
    by_z: Float[np.ndarray, "window sample n free"]

    @property
    def about(self) -> Float[np.ndarray, "window two_n"]:
        return self.states

    def _eliminated(self, scale: Float[np.ndarray, "coordinate"]) -> tuple[np.ndarray, np.ndarray]:
        """How the best states answer to (dz, 1), and the rows with them at their best."""
        rows = np.concatenate([self.by_z, self.residual[..., None]], -1)
        count = len(rows)
        weighted = (self.by_state / scale[:, None]).reshape(count, -1, self.by_state.shape[-1])
        right = (rows / scale[:, None]).reshape(count, -1, rows.shape[-1])
        answer = np.stack([np.linalg.lstsq(a, b, rcond=1e-12)[0] for a, b in zip(weighted, right, strict=True)])
        return answer, rows - np.einsum("wscj,wjk->wsck", self.by_state, answer)

    def reduce(self, scale: Float[np.ndarray, "coordinate"]) -> Quadratic:
        return _quadratic(self._eliminated(np.asarray(scale))[1])

    def follow(self, change: Float[np.ndarray, "free"]) -> Float[np.ndarray, "window two_n"]:
        return self.after(change, np.ones(self.residual.shape[-1]))

    def after(
        self, change: Float[np.ndarray, "free"], scale: Float[np.ndarray, "n"]
    ) -> Float[np.ndarray, "window two_n"]:
        """The best states at z + change."""
        answer, _ = self._eliminated(scale)
        return self.states - answer @ np.append(change, 1.0)


@dataclass(frozen=True)
class PredictedExpansion(AbstractExpansion):
    """Windows from recorded states about a z."""

    residual: Float[np.ndarray, "window sample n"]
    by_z: Float[np.ndarray, "window sample n free"]

    def reduce(self, scale: Float[np.ndarray, "coordinate"]) -> Quadratic:
        return _quadratic(np.concatenate([self.by_z, self.residual[..., None]], -1))

    def follow(self, change: Float[np.ndarray, "free"]) -> None:
        return None


def _quadratic(rows: Float[np.ndarray, "window sample coordinate free_plus_1"]) -> Quadratic:
    """Of residuals, last, and their derivatives."""
    total = np.einsum("wscj,wsck->cjk", rows, rows)
    return Quadratic(total[:, -1, -1], total[:, :-1, -1], total[:, :-1, :-1])


@dataclass(frozen=True, eq=False)
class SteppedMotionTerm(WindowTerm):
    """Simulated against recorded motion over short windows [rad]."""

    first: Float[np.ndarray, "window two_n"]
    """Recorded state at the start."""
    held: Float[np.ndarray, "window step_plus_1 held"]
    """Positions of the coordinates that are not free."""
    course: Float[np.ndarray, "recording time two_muscle"] | None = None
    """Path lengths [m] and velocities [m/s] of muscles that remember, sample by sample; None: they do not."""
    closing: ClassVar[int] = 12
    """Most Gauss–Newton steps that `evaluate` takes for the states."""

    @property
    def eliminated(self) -> int:
        return 2 * len(self.recording)

    def predicted(self) -> PredictedMotionTerm:
        """The same windows, each from the state as it was recorded."""
        return PredictedMotionTerm(**{f.name: getattr(self, f.name) for f in fields(self)})

    @property
    def _course(self) -> Course | None:
        return None if self.course is None else course_of(np.swapaxes(self.course, 0, 1))

    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> AbstractExpansion:
        return self.expanded(z, self.first if nuisance is None else nuisance)

    def expanded(self, z: Float[np.ndarray, "free"], states: Float[np.ndarray, "window two_n"]) -> SteppedExpansion:
        """About a z and these initial states."""
        with float64():
            at, drive, mixing, first = (jnp.asarray(x) for x in (z, self.envelope, self.mixing, states))
            given = at, drive, mixing, self.recording, self.start, first, self.held, self._course
            out = _linearised(self.model, self.space, *given)
            moved, by_state, by_z = map(np.asarray, out)
        mask = self.mask[..., None]
        return SteppedExpansion(states, (moved - self.target) * self.mask, by_state * mask, by_z * mask)

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        states, still, scale = self.first, np.zeros(self.space.size), np.asarray(scale, float)
        for _ in range(self.closing):
            about = self.expanded(z, states)
            if not np.isfinite(about.residual).all():
                break
            better = about.after(still, scale)
            change, states = np.abs(better - states).max(), better
            if change < SETTLED:
                break
        return self.expanded(z, states).residual.reshape(-1, self.mask.shape[-1])


@dataclass(frozen=True, eq=False)
class PredictedMotionTerm(SteppedMotionTerm):
    """The same windows from the states as they were recorded: what comes next is predicted.

    In which step a window first touches the ground is then the recording's to say, and not that of states which follow
    parameters that are wrong as yet. Force sets in with a jump there, so that every such step has a basin of its own.
    Biased by errors of the recorded states, hence the initialiser and not the answer.
    """

    @property
    def eliminated(self) -> int:
        return 0

    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> PredictedExpansion:
        about = self.expanded(z, self.first)
        return PredictedExpansion(about.residual, about.by_z)

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        return self.expand(z).residual.reshape(-1, self.mask.shape[-1])


@jit
def _linearised(
    model: Model,
    space: ParameterSpace,
    z: Float[Array, "free"],
    envelope: Float[Array, "recording time channel"],
    mixing: Float[Array, "muscle channel"],
    recording: Int[np.ndarray, "window"],
    start: Int[np.ndarray, "window"],
    states: Float[Array, "window two_n"],
    held: Float[AnyArray, "window step_plus_1 held"],
    course: Course | None,
) -> tuple[Array, Array, Array]:
    """Positions of every window at its samples, and their derivatives by its own first state and by z."""
    free, n, count = model.host.free_index, states.shape[1] // 2, len(model.coordinates)
    index = jnp.minimum(jnp.asarray(start)[:, None] + np.arange(held.shape[1]), envelope.shape[1] - 1)

    def moved(z: Array, states: Array) -> Array:
        parameters = space.unpack(z)
        u = excitation(parameters.emg, jnp.swapaxes(envelope, 0, 1), mixing, model.timestep)
        every = activate(model, parameters, u[0], u)[0]
        drive = u[index, jnp.asarray(recording)[:, None]]
        q, v = (jnp.zeros((len(states), count)).at[:, free].set(x) for x in (states[:, :n], states[:, n:]))
        memory = () if course is None else memories(model, parameters, every, course, start, recording)
        motion = engine_of(model).motion(
            model, parameters, q, v, every[start, recording], drive, jnp.asarray(held), None, memory=memory
        )  # fmt: skip
        return motion.position[..., free]

    # one tangent through the same steps for every entry of z and, of all windows at once, of their first states
    by_z, by_state = np.eye(z.shape[0], z.shape[0] + 2 * n).T, np.eye(z.shape[0] + 2 * n)[:, z.shape[0] :]

    def along(of_z: Array, of_state: Array) -> tuple[Array, Array]:
        return jax.jvp(moved, (z, states), (of_z, jnp.broadcast_to(of_state, states.shape)))

    value, slope = jax.vmap(along, out_axes=(None, -1))(jnp.asarray(by_z), jnp.asarray(by_state))
    return value, slope[..., z.shape[0] :], slope[..., : z.shape[0]]


def is_stepped(model: Model) -> bool:
    """Whether this is a model's motion residual, and not `mjx_msm.estimation.residuals.motion`."""
    return model.host.engine != TREE or model.muscle.remembers


def window_steps(model: Model) -> int:
    """Of a window, at most."""
    return WINDOW if model.host.engine != TREE else round(SECONDS / model.timestep)


def stepped_motion_term(
    model: Model, space: ParameterSpace, recordings: Sequence[Recording], horizon: int
) -> SteppedMotionTerm:
    """Motion residual over windows of at most `window_steps`, which share their ends.

    **Raises:** `InputError` if MJX steps the model, and it has free or ball joints, or another rule than Euler's.
    """
    m, free, held = model.host.mj_model, model.host.free_index, model.host.held_index
    if model.host.engine != TREE and m.nq != m.njnt:
        raise InputError(
            f"model '{model.host.source}' has free or ball joints, from whose motion nothing is identified; load it "
            "with joints=[…] that leaves them out, or write them as slides and hinges"
        )
    if model.host.engine != TREE and model.integrator != "Euler":
        raise InputError("a model that MJX steps is identified by Euler's rule; load it with integrator='Euler'")
    steps = min(window_steps(model), horizon)
    rows: dict[str, list[Any]] = {k: [] for k in ("recording", "start", "first", "held", "target", "mask")}
    for i, r in enumerate(recordings):
        for begin in range(r.first, r.last, steps):
            index = begin + np.arange(steps + 1)
            inside = (index <= r.last) & ((index < begin + steps) | (index >= r.last))
            index = np.minimum(index, r.last)
            rows["recording"].append(i)
            rows["start"].append(begin)
            rows["first"].append(np.concatenate([r.smooth_position[begin, free], r.smooth_velocity[begin, free]]))
            rows["held"].append(r.smooth_position[index][:, held])
            rows["target"].append(r.position[index])
            rows["mask"].append(r.weight[index] * inside[:, None])
    longest = max(len(r.position) for r in recordings)
    return SteppedMotionTerm(
        model=model,
        space=space,
        envelope=padded([r.envelope for r in recordings], longest),
        mixing=recordings[0].mixing,
        course=path_courses(model, recordings) if model.muscle.remembers else None,
        **{k: np.array(v) for k, v in rows.items()},
    )
