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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mjx_msm.common.compiled import jit
from mjx_msm.dynamics.activation_sensitivities import Pairs, Slopes, activation_derivatives, activation_slopes
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
    latest: dict[bytes, _Reference] = field(default_factory=dict, repr=False)
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
        Float[np.ndarray, "interval step_plus_1 muscle"],
        Float[np.ndarray, "interval step stage muscle"],
        Float[np.ndarray, "interval step_plus_1 pair"],
        Float[np.ndarray, "interval step_plus_1 muscle unknown"],
    ]:
        """Activations of intervals with the envelopes corrected, and their derivatives.

        **Returns:** activation at the samples, and at the stages of the steps; the derivative of that at the samples by
        pair; and by (activation at the interval's start, knot at its start,
        knot at its end), where the first interval of a window has no activation of its own: the knot's error came
        before it.
        """
        about = self._about_reference(z, pairs)
        change = _changes(about, self.standardised(knots - self.reference))
        every, stages = (np.asarray(x) + np.asarray(d) for x, d in zip(about[:2], change, strict=True))
        start = self.before[window] + self.steps * place
        index = start[:, None] + np.arange(self.steps + 1)
        sample = window[:, None], np.minimum(index, every.shape[1] - 1)
        step = window[:, None], np.minimum(index[:, :-1], every.shape[1] - 2)
        first = about.held[window, np.minimum(start, every.shape[1] - 1)]
        slopes = Slopes(*(x[step] for x in about.after))
        columns = _columns(slopes, about.by_channel[sample], first, place == 0)
        return every[sample], stages[step], about.by_pair[sample], np.asarray(columns)

    def _about_reference(self, z: Float[np.ndarray, "free"], pairs: Pairs) -> _Reference:
        key = np.asarray(z, dtype=float).tobytes() if pairs else b""
        if key not in self.latest:
            error = self.deviation * self.standardised(self.reference)
            lead = self.model, self.space, z, self.envelope, self.mixing
            about = *activation_derivatives(*lead, pairs, error), *_slopes(*lead, error, self.deviation)
            self.latest.clear()
            self.latest[key] = _Reference(*jax.tree.map(np.asarray, about))
        return self.latest[key]


class _Reference(NamedTuple):
    """Activations for some errors, and how they change with more."""

    every: Float[np.ndarray, "window time muscle"]
    stages: Float[np.ndarray, "window step stage muscle"]
    by_pair: Float[np.ndarray, "window time pair"]
    of_stages: Slopes
    after: Slopes
    by_channel: Float[np.ndarray, "window time muscle channel"]
    """Of the excitation, by the channels' standardised errors."""
    held: Float[np.ndarray, "window time muscle channel"]
    """Of the activation, by all errors up to now together."""


@jit
def _slopes(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "window time channel"],
    mixing: Float[Any, "muscle channel"],
    error: Float[AnyArray, "window time channel"],
    deviation: Float[AnyArray, "window time channel"],
) -> tuple[Slopes, Slopes, Array, Array]:
    """The last four of `_Reference`."""
    parameters = space.unpack(jnp.asarray(z))
    channels = jnp.eye(envelope.shape[-1])

    def one(envelope: Array, error: Array, deviation: Array) -> tuple[Slopes, Slopes, Array, Array]:
        def drive(e: Array) -> Array:
            return excitation(parameters.emg, envelope, mixing, model.timestep, e)

        by_channel = jax.vmap(lambda c: jax.jvp(drive, (error,), (deviation * c,))[1], out_axes=-1)(channels)
        of_stages, after = activation_slopes(model, parameters, drive(error))
        keep, start, end = (x[..., None] for x in after)

        def step(d: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            d = inputs[0] * d + inputs[1]
            return d, d

        _, later = jax.lax.scan(step, by_channel[0], (keep, start * by_channel[:-1] + end * by_channel[1:]))
        return of_stages, after, by_channel, jnp.concatenate([by_channel[:1], later])

    return jax.vmap(one)(jnp.asarray(envelope), jnp.asarray(error), jnp.asarray(deviation))


@jit
def _changes(about: _Reference, change: Float[AnyArray, "window time channel"]) -> tuple[Array, Array]:
    """Changes of activation at the samples and at the stages with the standardised errors."""

    def one(after: Slopes, of_stages: Slopes, by_channel: Array, change: Array) -> tuple[Array, Array]:
        def step(d: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            d = inputs[0] * d + inputs[1]
            return d, d

        drive = jnp.einsum("tmc,tc->tm", by_channel, change)
        begin, end = drive[:-1], drive[1:]
        _, later = jax.lax.scan(step, drive[0], (after.keep, after.start * begin + after.end * end))
        every = jnp.concatenate([drive[:1], later])
        each = zip(of_stages, (every[:-1], begin, end), strict=True)
        return every, sum((slope * x[:, None] for slope, x in each), jnp.zeros(()))

    parts = jax.tree.map(jnp.asarray, (about.after, about.of_stages, about.by_channel, change))
    return jax.vmap(one)(*parts)


@jit
def _columns(
    after: Slopes,
    by_channel: Float[AnyArray, "interval step_plus_1 muscle channel"],
    first: Float[AnyArray, "interval muscle channel"],
    opening: Bool[AnyArray, "interval"],
) -> Float[Array, "interval step_plus_1 muscle unknown"]:
    _, samples, muscles, _ = by_channel.shape
    ahead = (jnp.arange(samples) / (samples - 1))[:, None, None]

    def one(after: Slopes, by_channel: Array, first: Array, opening: Array) -> Array:
        keep, start, end = (x[..., None] for x in after)
        none, own = jnp.zeros((muscles, muscles)), jnp.eye(muscles)
        begin = jnp.concatenate([jnp.where(opening, none, own), jnp.where(opening, first, 0.0), 0.0 * first], 1)
        drive = jnp.concatenate([(1 - ahead) * by_channel, ahead * by_channel], -1)

        def step(d: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            d = (inputs[0] * d).at[:, muscles:].add(inputs[1])
            return d, d

        _, later = jax.lax.scan(step, begin, (keep, start * drive[:-1] + end * drive[1:]))
        return jnp.concatenate([begin[None], later])

    return jax.vmap(one)(*jax.tree.map(jnp.asarray, (after, by_channel, first, opening)))


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
