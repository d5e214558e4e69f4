"""Simulated against recorded motion of a model that MJX steps, by short windows in forward mode.

Every window starts from a state of its own, a nuisance unknown which is eliminated for given parameters; derivatives
are one tangent through `mjx.step` per unknown and window. Windows are short, since a contact makes a motion forget its
start, and a derivative is one-sided where a contact begins or ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.dynamics.simulation import activate, engine_of
from mjx_msm.estimation.residuals.pieces import padded
from mjx_msm.estimation.residuals.term import AbstractExpansion, Quadratic
from mjx_msm.estimation.residuals.windows import WindowTerm
from mjx_msm.person.model import Model
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording

WINDOW = 32
"""Steps of a window."""
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
        _, rows = self._eliminated(np.asarray(scale))
        total = np.einsum("wscj,wsck->cjk", rows, rows)
        return Quadratic(total[:, -1, -1], total[:, :-1, -1], total[:, :-1, :-1])

    def follow(self, change: Float[np.ndarray, "free"]) -> Float[np.ndarray, "window two_n"]:
        return self.after(change, np.ones(self.residual.shape[-1]))

    def after(
        self, change: Float[np.ndarray, "free"], scale: Float[np.ndarray, "n"]
    ) -> Float[np.ndarray, "window two_n"]:
        """The best states at z + change."""
        answer, _ = self._eliminated(scale)
        return self.states - answer @ np.append(change, 1.0)


@dataclass(frozen=True, eq=False)
class SteppedMotionTerm(WindowTerm):
    """Simulated against recorded motion over short windows [rad]."""

    first: Float[np.ndarray, "window two_n"]
    """Recorded state at the start."""
    closing: ClassVar[int] = 12
    """Most Gauss–Newton steps that `evaluate` takes for the states."""

    @property
    def eliminated(self) -> int:
        return 2 * len(self.recording)

    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> SteppedExpansion:
        states = self.first if nuisance is None else nuisance
        with float64():
            at, drive, mixing, first = (jnp.asarray(x) for x in (z, self.envelope, self.mixing, states))
            given = at, drive, mixing, self.recording, self.start, first
            out = _linearised(self.model, self.space, *given, self.mask.shape[1] - 1)
            moved, by_state, by_z = map(np.asarray, out)
        mask = self.mask[..., None]
        return SteppedExpansion(states, (moved - self.target) * self.mask, by_state * mask, by_z * mask)

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        states, still, scale = self.first, np.zeros(self.space.size), np.asarray(scale, float)
        for _ in range(self.closing):
            about = self.expand(z, states)
            if not np.isfinite(about.residual).all():
                break
            better = about.after(still, scale)
            change, states = np.abs(better - states).max(), better
            if change < SETTLED:
                break
        return self.expand(z, states).residual.reshape(-1, self.mask.shape[-1])


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
    steps: int,
) -> tuple[Array, Array, Array]:
    """Positions of every window at its samples, and their derivatives by its own first state and by z."""
    n = len(model.coordinates)
    index = jnp.minimum(jnp.asarray(start)[:, None] + np.arange(steps + 1), envelope.shape[1] - 1)

    def moved(z: Array, states: Array) -> Array:
        parameters = space.unpack(z)
        u = excitation(parameters.emg, jnp.swapaxes(envelope, 0, 1), mixing, model.timestep)
        a = activate(model, parameters, u[0], u)[0][start, recording]
        drive = u[index, jnp.asarray(recording)[:, None]]
        held = jnp.zeros((*index.shape, 0))
        return engine_of(model).motion(
            model, parameters, states[:, :n], states[:, n:], a, drive, held, None
        ).position  # fmt: skip

    # one tangent through the same steps for every entry of z and, of all windows at once, of their first states
    by_z, by_state = np.eye(z.shape[0], z.shape[0] + 2 * n).T, np.eye(z.shape[0] + 2 * n)[:, z.shape[0] :]

    def along(of_z: Array, of_state: Array) -> tuple[Array, Array]:
        return jax.jvp(moved, (z, states), (of_z, jnp.broadcast_to(of_state, states.shape)))

    value, slope = jax.vmap(along, out_axes=(None, -1))(jnp.asarray(by_z), jnp.asarray(by_state))
    return value, slope[..., z.shape[0] :], slope[..., : z.shape[0]]


def stepped_motion_term(
    model: Model, space: ParameterSpace, recordings: Sequence[Recording], horizon: int
) -> SteppedMotionTerm:
    """Motion residual over windows of at most `WINDOW` steps, which share their ends.

    **Raises:** `InputError` if the model has free or ball joints, or steps otherwise than by Euler's rule.
    """
    m = model.host.mj_model
    if m.nq != m.njnt:
        raise InputError(
            f"model '{model.host.source}' has free or ball joints, from whose motion nothing is identified; load it "
            "with joints=[…] that leaves them out, or write them as slides and hinges"
        )
    if model.integrator != "Euler":
        raise InputError("a model that MJX steps is identified by Euler's rule; load it with integrator='Euler'")
    steps = min(WINDOW, horizon)
    rows: dict[str, list[Any]] = {k: [] for k in ("recording", "start", "first", "target", "mask")}
    for i, r in enumerate(recordings):
        for begin in range(r.first, r.last, steps):
            index = begin + np.arange(steps + 1)
            inside = (index <= r.last) & ((index < begin + steps) | (index >= r.last))
            index = np.minimum(index, r.last)
            rows["recording"].append(i)
            rows["start"].append(begin)
            rows["first"].append(np.concatenate([r.smooth_position[begin], r.smooth_velocity[begin]]))
            rows["target"].append(r.position[index])
            rows["mask"].append(r.weight[index] * inside[:, None])
    longest = max(len(r.position) for r in recordings)
    return SteppedMotionTerm(
        model=model,
        space=space,
        envelope=padded([r.envelope for r in recordings], longest),
        mixing=recordings[0].mixing,
        **{k: np.array(v) for k, v in rows.items()},
    )
