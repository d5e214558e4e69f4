"""What every muscle could do at the instants of a recording, and what was asked of all of them together.

Along a recorded motion a joint's moment is linear in the muscles' capacities c,

    demand = Σ c_m · active_m,    demand = moment − passive,

with active_m the moment of a muscle's active force at full capacity, as its EMG has it, and `passive` what all else
does: fibers that are stretched, joint springs, dampers and stops. The moment is the recorded one. Where none was
recorded it is the one that the motion takes, by the equations of motion: then nothing else may touch the person, and
both sides are divided by the mass matrix, since what was measured is an acceleration (a person half as heavy and half
as strong moves the same).

Both sides go through one low-pass filter, which the errors of a second derivative call for, and which leaves the
equation as it is where capacities are slower than the filter.

Muscles are activated faster than they are released, so that an EMG's error, which goes both ways, makes activation
more on average: by half a percent where it is one of 5 %. Antagonists that work against each other have active moments
several times the demand, and capacities would come out too small by as much and more. Most of that mean is taken off;
it is estimated from envelopes that have an error already, to which another one adds a little less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.excitation import ROOM, excitation
from mjx_msm.dynamics.inverse_dynamics import Inertial, inertial, mass_columns
from mjx_msm.dynamics.moment_sensitivities import Instants, instants, net_moment
from mjx_msm.dynamics.simulation import activation_step
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.parameters import Parameters
from mjx_msm.recordings.emg import EmgNoise, zero_phase
from mjx_msm.recordings.model_clock import Recording
from mjx_msm.recordings.synthetic import smooth_noise

DENSE, KEPT = 50.0, 8.0
"""Instants per second before and after the filter [Hz]."""
CUTOFF = 3.0
"""Of the filter [Hz]: above it, noise of the angles is most of an acceleration."""
SHORTEST = 4.0
"""Of a recording [s]; below, not even the filter has settled."""
USUAL_ERROR = EmgNoise(relative=0.05)
"""Of envelopes, where the identification was not told theirs."""
PAIRS = 4
"""Of errors of the EMG, one the other's opposite, by which their mean effect on activation is found."""
LINEAR = 1e-6
"""How far a muscle's force may be from a line in its activation, of F0."""


@dataclass(frozen=True)
class Share:
    """Of one person the recording could be of."""

    demand: Float[np.ndarray, "instant free"]
    active: Float[np.ndarray, "instant free muscle"]
    """At full capacity."""
    activation: Float[np.ndarray, "time muscle"]
    """At the recording's own samples, on the model's clock."""


@dataclass(frozen=True)
class Shares:
    """Of the person as identified, and of others the recording could be of."""

    time: Float[np.ndarray, "instant"]
    """On the recording's clock, from its first sample on [s]."""
    seen: Float[np.ndarray, "instant free"]
    """1 where there is a demand, 0 elsewhere."""
    everyone: tuple[Share, ...]
    """The identified one first; activation is kept of that one alone."""
    arm: Float[np.ndarray, "free muscle"]
    """Mean moment arm [m]."""
    error: Float[np.ndarray, "instant muscle"]
    """Standard deviation of each muscle's active moment for the error of its EMG, low-passed, relative [-]."""
    recorded: bool
    """Whether the moment was recorded. Demand and active are in N·m then, else in rad/s²."""


def shares(
    model: Model, everyone: Parameters, recording: Recording, levers: Mapping[str, float], noise: EmgNoise | None
) -> Shares:
    """Of people along one leading axis, at about `KEPT` instants a second.

    **Arguments:** `levers`: those that recorded moments are of (`Identification.levers`); `noise`: of envelopes.

    **Raises:** `InputError` if a muscle's force is no line in its activation, or too little was recorded.
    """
    _check_law(model, jax.tree.map(lambda x: x[0], everyone))
    stride = max(1, round(1.0 / (DENSE * model.timestep)))
    sample = np.arange(recording.first, recording.last + 1, stride)
    recorded = bool(recording.moment_weight.any())
    seen = (recording.complete[sample, None] & np.ones(len(model.free), bool)).astype(float)
    moment = np.zeros_like(seen)
    if recorded:
        moment, there = _between(recording, sample)
        seen = seen * there
    rate = 1.0 / (stride * model.timestep)
    seconds = (len(sample) - 1) / rate
    if seconds < SHORTEST:
        raise InputError(f"trial '{recording.name}' has {seconds:.3g} s of motion; fatigue takes minutes")
    keep = slice(None, None, max(1, round(rate / KEPT)))
    weight = _low(seen, rate)
    everybody, noise = [], noise or USUAL_ERROR
    with float64():
        at = _geometry(model, sample, recording, recorded)
        errors = _drawn_errors(noise, model, recording.envelope)
        for k, parameters in enumerate(_each(everyone)):
            needed, active, a = _share(model, parameters, at, recording.envelope, recording.mixing, errors, sample)
            demand = np.asarray(needed) + moment * _lever_ratio(model, parameters, levers)
            columns = np.concatenate([demand[..., None], np.asarray(active)], -1) * seen[..., None]
            smooth = (_low(columns, rate) / np.maximum(weight, 0.5)[..., None])[keep]
            own = np.asarray(a) if k == 0 else np.zeros((0, len(model.muscles)))
            everybody.append(Share(smooth[..., 0], smooth[..., 1:], own))
    return Shares(
        model.timestep * sample[keep],
        (weight[keep] > 0.9).astype(float),
        tuple(everybody),
        np.mean(np.asarray(at[0].moment_arm), axis=0),
        _error(noise, recording, sample, rate)[keep],
        recorded,
    )


def _lever_ratio(model: Model, parameters: Parameters, levers: Mapping[str, float]) -> Float[np.ndarray, "free"]:
    """What a moment that was said to be of a lever is to be multiplied by, for it is of another one."""
    out = np.ones(len(model.free))
    for k, name in enumerate(parameters.names.strap):
        if name in model.free and name in levers:
            out[model.free.index(name)] = np.asarray(parameters.strap.lever)[k] / levers[name]
    return out


def _check_law(model: Model, parameters: Parameters) -> None:
    law = parameters.muscle
    with float64():
        length = jnp.asarray(law.tendon_slack_length) + jnp.asarray(law.optimal_fiber_length)
        zero, half, one = (
            np.asarray(model.muscle.tension(law, a + jnp.zeros_like(length), length, 0.0 * length))
            for a in (0.0, 0.5, 1.0)
        )
    off = np.abs(half - 0.5 * (zero + one)) / np.asarray(law.max_isometric_force)
    if off.max() > LINEAR:
        raise InputError(
            f"muscle model '{type(model.muscle).__name__}': {model.muscles[off.argmax()]}'s force is no line in its "
            "activation, and what fatigue takes of it cannot be told; identify with a rigid tendon"
        )


def _each(everyone: Parameters) -> Iterator[Parameters]:
    count = len(np.asarray(everyone.muscle.max_isometric_force))
    for k in range(count):
        yield jax.tree.map(lambda x, k=k: np.asarray(x)[k], everyone)


def _between(recording: Recording, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The recorded moment, linear between the samples of the recording's own clock, and 1 where it is known."""
    moment, known = (np.zeros((len(sample), recording.moment.shape[1])) for _ in range(2))
    for c, weight in enumerate(recording.moment_weight.T):
        own = np.flatnonzero(weight)
        if len(own) > 1:
            moment[:, c] = np.interp(sample, own, recording.moment[own, c])
            gaps = np.diff(own)
            gap = gaps[np.clip(np.searchsorted(own, sample) - 1, 0, len(gaps) - 1)]
            known[:, c] = (gap <= 3 * np.median(gaps)) & (sample >= own[0]) & (sample <= own[-1])
    return moment, known


def _low(x: np.ndarray, rate: float) -> np.ndarray:
    columns = x.reshape(len(x), -1).T
    return np.stack([zero_phase(c, rate, CUTOFF, order=2, ends="even") for c in columns], -1).reshape(x.shape)


def _error(
    noise: EmgNoise, recording: Recording, sample: np.ndarray, rate: float
) -> Float[np.ndarray, "instant muscle"]:
    """Relative deviation of every muscle's mix of envelopes, of which the filter leaves a part."""
    envelope, mixing = recording.envelope[sample], np.abs(recording.mixing)
    deviation = np.sqrt(noise.deviation(envelope) ** 2 @ (mixing**2).T)
    signal = np.maximum(envelope @ mixing.T, ROOM)
    impulse = np.zeros(int(4 * rate) + 1)
    impulse[len(impulse) // 2] = 1.0
    if noise.band < 0.45 * rate:
        impulse = zero_phase(impulse, rate, noise.band, order=2)
    left = np.sqrt(np.sum(zero_phase(impulse, rate, CUTOFF, order=2) ** 2) / np.sum(impulse**2))
    return left * np.minimum(deviation / signal, 1.0)


def _drawn_errors(
    noise: EmgNoise, model: Model, envelope: Float[np.ndarray, "time channel"]
) -> Float[np.ndarray, "pair time channel"]:
    """That the envelopes could have."""
    deviation, rng = noise.deviation(envelope), np.random.default_rng(0)
    samples, channels = deviation.shape
    made = (smooth_noise(rng, samples, channels, 1.0 / model.timestep, noise.band) for _ in range(PAIRS))
    return np.stack([deviation * one for one in made])


@jit
def _activation_and_rise(
    model: Model,
    parameters: Parameters,
    envelope: Float[AnyArray, "time channel"],
    mixing: Float[Any, "muscle channel"],
    errors: Float[AnyArray, "pair time channel"],
) -> tuple[Float[Array, "time muscle"], Float[Array, "time muscle"]]:
    """Activation, and how much more it is, on average, for errors of the envelopes and their opposites.

    Of this person: for others whose activation is known a priori only it is anything between none and four times that.
    """
    errors = jnp.asarray(errors)
    shifts = jnp.concatenate([jnp.zeros_like(errors[:1]), errors, -errors])
    u = jax.lax.map(lambda shift: excitation(parameters.emg, envelope + shift, mixing, model.timestep), shifts)
    u = jnp.moveaxis(u, 0, 1)

    def told(a: Array) -> tuple[Array, Array]:
        return a[0], a[1:].mean(axis=0) - a[0]

    def step(a: Array, drive: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        a = activation_step(model, parameters.muscle, a, *drive)[1]
        return a, told(a)  # of minutes, activations for every error would be gigabytes

    # side by side: they take hardly longer than one
    first = u[0] + jnp.zeros_like(parameters.muscle.activation_time_constant)
    later = jax.lax.scan(step, first, (u[:-1], u[1:]))[1]
    own, rise = (jnp.concatenate([x[None], y]) for x, y in zip(told(first), later, strict=True))
    return own, rise


def _geometry(
    model: Model, sample: np.ndarray, recording: Recording, recorded: bool
) -> tuple[Instants, tuple[Inertial, ...]]:
    """What no parameter changes: paths; where the motion tells the moment, inertia and columns of the mass matrix."""
    q, v, a = (getattr(recording, f"smooth_{x}")[sample] for x in ("position", "velocity", "acceleration"))
    at = instants(model, sample, np.zeros_like(sample), q, v)
    return at, () if recorded else (inertial(model, q, v, a), *mass_columns(model, q))


@jit
def _share(
    model: Model,
    parameters: Parameters,
    at: tuple[Instants, tuple[Inertial, ...]],
    envelope: Float[AnyArray, "time channel"],
    mixing: Float[Any, "muscle channel"],
    errors: Float[AnyArray, "pair time channel"],
    sample: Any,
) -> tuple[Float[Array, "instant free"], Float[Array, "instant free muscle"], Float[Array, "time muscle"]]:
    """What the motion takes, if it is to tell that, less what is passive; active moments; activation."""
    where, motion = at
    own, rise = _activation_and_rise(model, parameters, envelope, mixing, errors)
    every = jnp.clip(own - rise, 0.0, 1.0)
    a, path = every[sample], (jnp.asarray(where.path_length), jnp.asarray(where.path_velocity))
    passive = model.muscle.tension(parameters.muscle, jnp.zeros_like(a), *path)
    pull = model.muscle.tension(parameters.muscle, a, *path) - passive
    needed, active = -net_moment(model, parameters, where, passive), jnp.asarray(where.moment_arm) * pull[:, None]
    if motion:
        needed = needed + motion[0].force(parameters)
        mass = jnp.stack([column.force(parameters) for column in motion[1:]], -1)
        both = jnp.linalg.solve(mass, jnp.concatenate([needed[..., None], active], -1))
        needed, active = both[..., 0], both[..., 1:]
    return needed, active, every
