"""Of a live prediction: what is constant, what is remembered from sample to sample, what comes in and what goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from mjx_msm.person.model import Model
from mjx_msm.person.parameters import Parameters
from mjx_msm.prediction.causal_filter import CausalFilter
from mjx_msm.prediction.extrapolation import Learned
from mjx_msm.prediction.made_channels import MadeChannels

STEP = 0.02
"""Of the simulation ahead, at most [s]."""


@dataclass(frozen=True)
class Noise:
    """What the filter expects; standard deviations."""

    encoder: float = np.deg2rad(0.5)
    """Of an encoder's sample [rad]."""
    outer_moment: float | None = None
    """Of the moment from outside the model [N·m]; None: what accelerates the limb by `outer_acceleration`."""
    outer_acceleration: float = 50.0
    """Of a free coordinate, by what is outside the model, with all others held [rad/s²]."""
    outer_time: float = 0.1
    """Its correlation time [s]."""
    acceleration: float = 40.0
    """Of coordinates that are not free [rad/s²]."""
    acceleration_time: float = 0.05
    """Its correlation time [s]."""


class Memory(NamedTuple):
    """What is remembered from sample to sample."""

    clock: Float[Any, "past"]
    """Times of the last envelopes [s]."""
    history: Float[Any, "past channel"]
    before: Float[Any, "section 2 measured"]
    after: Float[Any, "section 2 measured"]
    """States of the EMG's filters."""
    seen: Float[Any, "measured"]
    """Last valid sample."""
    age: Float[Any, "measured"]
    """Since it came [s]."""
    same: Float[Any, "measured"]
    """For how long it has been the same [s]."""
    mean: Float[Any, "channel"]
    square: Float[Any, "channel"]
    """Running means of the envelope and of its square."""
    drive: Float[Any, "person muscle"]
    """Excitation at the last sample."""
    activation: Float[Any, "person muscle"]
    state: Float[Any, "state"]
    """q, v, e."""
    covariance: Float[Any, "state state"]
    acceleration: Float[Any, "coordinate"]
    slope: Float[Any, "coordinate state"]
    """Derivative of the acceleration by the state."""
    moment_slope: Float[Any, "free state"]
    """Derivative of the estimate's moments by it."""
    since: Float[Any, ""]
    """Since the derivatives were taken [s]."""
    blind: Float[Any, "coordinate"]
    """Since an encoder was last believed [s]."""


class Input(NamedTuple):
    """One sample. NaN where there is none."""

    time: Float[Any, ""]
    emg: Float[Any, "measured"]
    encoder: Float[Any, "coordinate"]


class Output(NamedTuple):
    """Of one sample; `sd`: standard deviations that the filter claims."""

    torque: Float[Array, "free"]
    torque_sd: Float[Array, "free"]
    torque_ahead: Float[Array, "free"]
    torque_ahead_sd: Float[Array, "free"]
    """Without what may happen until then."""
    torque_open_sd: Float[Array, "free"]
    """What may happen until then, of the joints' state."""
    angle: Float[Array, "free"]
    angle_sd: Float[Array, "free"]
    angle_ahead: Float[Array, "free"]
    angle_ahead_sd: Float[Array, "free"]
    missing: Float[Array, "measured"]
    """For how long a channel is without a sample, or dead [s]."""
    blind: Float[Array, "coordinate"]
    """For how long an encoder is without a sample that was believed [s]."""
    motion: Float[Array, "state"]
    motion_ahead: Float[Array, "state"]
    """Position and velocity of all coordinates, now and `horizon` later."""
    features: Float[Array, "feature"]
    """That a learned rule read; none without one."""


@dataclass(frozen=True)
class Setup:
    """What is constant of a live prediction."""

    model: Model
    everyone: Parameters
    """The estimate, then draws."""
    mixing: Float[np.ndarray, "muscle channel"]
    made: MadeChannels
    """Which of the channels come in a sample, and how the others are made of them."""
    horizon: float
    past: int
    """Envelopes to keep."""
    filters: CausalFilter
    waiting: Float[np.ndarray, "person channel"]
    """Electromechanical delay that the filter's lag leaves [s]."""
    reference: Float[np.ndarray, "measured"]
    """Envelope that counts as 1."""
    rule: str
    learned: Learned | None
    dead_after: float
    """A channel that is the same to the bit for as long is dead [s]."""
    noise: Noise
    outer_spread: Float[np.ndarray, "coordinate"]
    """Of what acts from outside [N·m]; of accelerations of what is not free [rad/s²]."""
    torque_noise: Float[np.ndarray, "free"]
    """Spread between model and recorded moment [N·m]."""

    @property
    def steps(self) -> int:
        """Of the simulation ahead."""
        return max(1, int(np.ceil(self.horizon / STEP - 1e-9)))

    @property
    def ahead(self) -> Float[np.ndarray, "step"]:
        return self.horizon * np.arange(1, self.steps + 1) / self.steps

    @property
    def lead(self) -> Float[np.ndarray, "step channel"]:
        """How far beyond now envelopes are needed [s]."""
        return np.maximum(self.ahead[:, None] - self.waiting[0], 0.0)


def outer_spread(model: Model, noise: Noise) -> Float[np.ndarray, "coordinate"]:
    """Standard deviations of what acts from outside: moments on free coordinates, accelerations of the others.

    A moment from outside is as large as the limb that it moves: a foot on the ground moves a leg by as much as a hand
    on a table moves an arm. The limb is the nominal one, as it is without strain.
    """
    out, m = np.full(len(model.coordinates), noise.acceleration), model.host.mj_model
    for c in model.free:
        limb = m.dof_M0[m.joint(c).dofadr[0]]
        out[model.coordinates.index(c)] = (
            noise.outer_acceleration * limb if noise.outer_moment is None else noise.outer_moment
        )
    return out


def blank(setup: Setup, first: Input) -> Memory:
    """Before the first sample."""
    channels, n = len(setup.reference), len(setup.model.coordinates)
    people, muscles = setup.waiting.shape[0], len(setup.model.muscles)
    position = np.where(np.isfinite(first.encoder), first.encoder, setup.model.host.reference)
    spread = np.concatenate([np.full(n, setup.noise.encoder), np.full(n, 3.0), setup.outer_spread])
    level = np.nan_to_num(np.asarray(first.emg)) if not len(setup.filters.after) else np.zeros(channels)
    envelope = setup.made(level / setup.reference)[0]
    return Memory(
        clock=np.asarray(first.time) - 1e-3 * np.arange(setup.past, 0, -1),
        history=np.tile(envelope, (setup.past, 1)),
        before=np.zeros((len(setup.filters.before), 2, channels)),
        after=np.zeros((len(setup.filters.after), 2, channels)),
        seen=level.copy(),
        age=np.zeros(channels),
        same=np.zeros(channels),
        mean=envelope,
        square=envelope**2 + 0.01,
        drive=np.full((people, muscles), np.nan),
        activation=np.full((people, muscles), np.nan),
        state=np.concatenate([position, np.zeros(2 * n)]),
        covariance=np.diag(spread**2),
        acceleration=np.zeros(n),
        slope=np.zeros((n, 3 * n)),
        moment_slope=np.zeros((len(setup.model.free), 3 * n)),
        since=np.asarray(np.inf),
        blind=np.zeros(n),
    )
