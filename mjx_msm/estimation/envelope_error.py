"""Errors of EMG envelopes as unknowns of a motion, so that its parameters are not bent to explain them.

An envelope is measured, too: the true one is envelope + σ(t) w(t) with w smooth noise of unit variance. Along every
window w is the line through unknown knots, one where each interval meets the next; a knot is the standardised normal a
priori. Knots 2/3 of a correlation time apart with variance 3/2 have the error's variance and its spectral density at
low frequencies, which is what moves a segment. Before its window the error keeps the value of the first knot.

That is regression with errors in variables (Boggs, Byrd, Schnabel 1987, doi 10.1137/0908085). What the recording then
tells of the parameters is what the residual's full covariance says: with Jᵤ the sensitivity to the envelope, Σᵤ its
error's covariance and σ² the angles' noise,

    F = Jᵀ (σ² I + Jᵤ Σᵤ Jᵤᵀ)⁻¹ J.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mjx_msm.common.compiled import jit
from mjx_msm.dynamics.activation_sensitivities import Pairs, activation_derivatives, activation_slopes
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.emg import EmgNoise

LEAD = 1.0
"""EMG before a window that its activation remembers [s]: ten time constants."""


def knot_spacing(noise: EmgNoise, timestep: float) -> int:
    """Steps from one knot to the next."""
    return max(1, round(2.0 / 3.0 * noise.correlation_time / timestep))


@dataclass(frozen=True, eq=False)
class EnvelopeError:
    """The envelopes of all windows, from up to `LEAD` before each, and what their errors do to activations."""

    model: Model
    space: ParameterSpace
    mixing: Float[np.ndarray, "muscle channel"]
    envelope: Float[np.ndarray, "window time channel"]
    deviation: Float[np.ndarray, "window time channel"]
    """Of the error for a knot of 1."""
    before: Int[np.ndarray, "window"]
    """Samples before the window."""
    steps: int
    """From one knot to the next."""
    reference: Float[np.ndarray, "window knot channel"]
    """Knots about which activations are linear in them: activation dynamics have a kink between rising and falling,
    over which undamped steps would jump back and forth."""
    latest: dict[bytes, tuple[np.ndarray, ...]] = field(default_factory=dict, repr=False)
    """What is known about the reference, for the last z or, where activations do not depend on it, for all."""

    @property
    def channels(self) -> int:
        return self.envelope.shape[-1]

    def standardised(self, knots: Float[np.ndarray, "window knot channel"]) -> Float[np.ndarray, "window time channel"]:
        """The lines through the knots."""
        place = (np.arange(self.envelope.shape[1]) - self.before[:, None]) / self.steps
        place = np.clip(place, 0.0, knots.shape[1] - 1.0)
        index = np.minimum(place.astype(int), knots.shape[1] - 2)
        window = np.arange(len(knots))[:, None]
        fraction = (place - index)[..., None]
        return (1.0 - fraction) * knots[window, index] + fraction * knots[window, index + 1]

    def activations(
        self,
        z: Float[np.ndarray, "free"],
        pairs: Pairs,
        knots: Float[np.ndarray, "window knot channel"],
        window: Int[np.ndarray, "interval"],
        place: Int[np.ndarray, "interval"],
    ) -> tuple[
        Float[np.ndarray, "interval step muscle"],
        Float[np.ndarray, "interval step pair"],
        Float[np.ndarray, "interval step_plus_1 muscle unknown"],
    ]:
        """Activations of intervals with the envelopes corrected, and their derivatives.

        **Returns:** activation; its derivative by pair; and by (activation at the interval's start, knot at its start,
        knot at its end), where the first interval of a window has no activation of its own: the knot's error came
        before it.
        """
        every, by_pair, keep, push, held = self._about_reference(z, pairs)
        every = every + np.asarray(_changes(keep, push, held[:, 0], self.standardised(knots - self.reference)))
        start = self.before[window] + self.steps * place
        index = np.minimum(start[:, None] + np.arange(self.steps), every.shape[1] - 2)
        where = window[:, None], index
        first = held[window, np.minimum(start, every.shape[1] - 1)]
        columns = _columns(keep[where], push[where], first, place == 0)
        return every[where], by_pair[where], np.asarray(columns)

    def _about_reference(self, z: Float[np.ndarray, "free"], pairs: Pairs) -> tuple[np.ndarray, ...]:
        key = np.asarray(z, dtype=float).tobytes() if pairs else b""
        if key not in self.latest:
            error = self.deviation * self.standardised(self.reference)
            lead = self.model, self.space, z, self.envelope, self.mixing
            about = *activation_derivatives(*lead, pairs, error), *_slopes(*lead, error, self.deviation)
            self.latest.clear()
            self.latest[key] = tuple(map(np.asarray, about))
        return self.latest[key]


@jit
def _slopes(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "window time channel"],
    mixing: Float[Any, "muscle channel"],
    error: Float[AnyArray, "window time channel"],
    deviation: Float[AnyArray, "window time channel"],
) -> tuple[Array, Array, Array]:
    """How activation changes in a step with itself, and with the channels' standardised errors; and with all of them
    up to now together."""
    parameters = space.unpack(jnp.asarray(z))
    channels = jnp.eye(envelope.shape[-1])

    def one(envelope: Array, error: Array, deviation: Array) -> tuple[Array, Array, Array]:
        def drive(e: Array) -> Array:
            return excitation(parameters.emg, envelope, mixing, model.timestep, e)

        by_channel = jax.vmap(lambda c: jax.jvp(drive, (error,), (deviation * c,))[1], out_axes=-1)(channels)
        keep, gain = activation_slopes(model, parameters, drive(error))
        push = gain[..., None] * by_channel[:-1]

        def step(d: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            d = inputs[0][:, None] * d + inputs[1]
            return d, d

        _, later = jax.lax.scan(step, by_channel[0], (keep, push))
        return keep, push, jnp.concatenate([by_channel[:1], later])

    return jax.vmap(one)(jnp.asarray(envelope), jnp.asarray(error), jnp.asarray(deviation))


@jit
def _changes(
    keep: Float[AnyArray, "window step muscle"],
    push: Float[AnyArray, "window step muscle channel"],
    first: Float[AnyArray, "window muscle channel"],
    change: Float[AnyArray, "window time channel"],
) -> Float[Array, "window time muscle"]:
    """Changes of activation with the standardised errors."""

    def one(keep: Array, push: Array, first: Array, change: Array) -> Array:
        def step(d: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            d = inputs[0] * d + inputs[1]
            return d, d

        start = first @ change[0]
        _, later = jax.lax.scan(step, start, (keep, jnp.einsum("tmc,tc->tm", push, change[:-1])))
        return jnp.concatenate([start[None], later])

    return jax.vmap(one)(jnp.asarray(keep), jnp.asarray(push), jnp.asarray(first), jnp.asarray(change))


@jit
def _columns(
    keep: Float[AnyArray, "interval step muscle"],
    push: Float[AnyArray, "interval step muscle channel"],
    first: Float[AnyArray, "interval muscle channel"],
    opening: Bool[AnyArray, "interval"],
) -> Float[Array, "interval step_plus_1 muscle unknown"]:
    _, steps, muscles, _ = push.shape
    ahead = jnp.arange(steps) / steps

    def one(keep: Array, push: Array, first: Array, opening: Array) -> Array:
        none, own = jnp.zeros((muscles, muscles)), jnp.eye(muscles)
        start = jnp.concatenate([jnp.where(opening, none, own), jnp.where(opening, first, 0.0), 0.0 * first], 1)
        source = jnp.concatenate([(1 - ahead)[:, None, None] * push, ahead[:, None, None] * push], -1)

        def step(d: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            d = (inputs[0][:, None] * d).at[:, muscles:].add(inputs[1])
            return d, d

        _, later = jax.lax.scan(step, start, (keep, source))
        return jnp.concatenate([start[None], later])

    return jax.vmap(one)(jnp.asarray(keep), jnp.asarray(push), jnp.asarray(first), jnp.asarray(opening))


def envelope_error(
    model: Model,
    space: ParameterSpace,
    noise: EmgNoise,
    mixing: Float[np.ndarray, "muscle channel"],
    windows: Sequence[tuple[Float[np.ndarray, "time channel"], int, int]],
    steps: int,
) -> EnvelopeError:
    """Unknown errors of the envelopes of some windows.

    **Arguments:** `windows`: a recording's envelopes, first and last sample of the window. `steps`: between knots.
    """
    lead = round(LEAD / model.timestep)
    before = np.array([min(start, lead) for _, start, _ in windows])
    cut = [e[start - b : stop + 1] for (e, start, stop), b in zip(windows, before, strict=True)]
    length = max(map(len, cut))
    envelope = np.stack([np.concatenate([e, np.repeat(e[-1:], length - len(e), axis=0)]) for e in cut])
    size = np.sqrt(noise.correlation_time / (steps * model.timestep))
    most = max(-(-(stop - start) // steps) for _, start, stop in windows)
    none = np.zeros((len(windows), most + 1, envelope.shape[-1]))
    return EnvelopeError(model, space, mixing, envelope, size * noise.deviation(envelope), before, steps, none)
