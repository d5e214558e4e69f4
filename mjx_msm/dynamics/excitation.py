"""From an EMG envelope to muscle excitation: gain, electromechanical delay, shape, and the mix over channels.

Between samples an envelope is a line, and where a channel is full it is cut: both bend in single points, which second
derivatives do not see. Over all samples of a recording that adds up to a curvature like any other, and without it a
solver by second derivatives crawls. So second derivatives are those of the signal that was sampled: by the delay the
ones of the curve through the samples, and where it passes 1 their mean between neighbours. Values and first derivatives
are untouched.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mjx_msm.person.muscle import AnyArray, _clip_unit
from mjx_msm.person.parameters import EmgParameters

ROOM = 0.01
"""Of a corrected signal, to either end at least [-]."""


def delayed(
    envelope: Float[Array, "time *recording channel"], delay: Float[Array, "channel"], timestep: float
) -> Float[Array, "time *recording channel"]:
    """envelope(t − delay) by linear interpolation; before the recording starts, its first sample.

    Where the delayed instant meets a sample the derivative is the one towards longer delays: 0 is the lower bound. The
    second derivative is that of the curve through the samples.
    """
    last = envelope.shape[0] - 1
    time = jnp.arange(envelope.shape[0]).reshape(-1, *[1] * (envelope.ndim - 1))
    late = time - delay / timestep
    position = jnp.where(late > 0, jnp.where(late > last, last, late), 0.0)
    index = jnp.clip(jnp.ceil(jax.lax.stop_gradient(position)).astype(int) - 1, 0, max(last - 1, 0))
    fraction = position - index
    below = jnp.take_along_axis(envelope, index, axis=0)
    above = jnp.take_along_axis(envelope, jnp.minimum(index + 1, last), axis=0)
    turns = jnp.diff(envelope, 2, axis=0, prepend=envelope[:1], append=envelope[-1:])
    turn = (1 - fraction) * jnp.take_along_axis(turns, index, axis=0)
    turn = turn + fraction * jnp.take_along_axis(turns, jnp.minimum(index + 1, last), axis=0)
    begins = jnp.maximum(1 + late, 0.0) * turns[:1]  # the kink at the first sample, seen from before it
    turn = jax.lax.stop_gradient(jnp.where(late > 0, jnp.where(late < last, turn, 0.0), begins))
    return (1 - fraction) * below + fraction * above + 0.5 * turn * _none(delay / timestep) ** 2


def _none(x: Array) -> Array:
    """Zero, with the derivative of x."""
    return x - jax.lax.stop_gradient(x)


def spacing(signal: Float[Array, "time *batch"]) -> Float[Array, "time *batch"]:
    """Half of how far apart the samples before and after are, of every sample."""
    ends = jnp.concatenate([signal[:1], signal, signal[-1:]])
    return 0.5 * jnp.abs(ends[2:] - ends[:-2])


def filled(signal: Float[Array, "*batch"], apart: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Clip to 0..1.

    For its second derivative a sample stands for all values up to half of `apart` away, the distance to its neighbours:
    if 1 is among them, the cut, which bends by −1 there, does so by −1/apart on average.
    """
    meets = jnp.abs(signal - 1.0) < 0.5 * apart
    bend = jax.lax.stop_gradient(jnp.where(meets, 1.0 / jnp.where(meets, apart, 1.0), 0.0))
    return _clip_unit(signal) - 0.5 * bend * _none(signal) ** 2


def shaped(signal: Float[Array, "*batch"], shape: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """(exp(A e) − 1)/(exp(A) − 1), linear for A → 0 (Lloyd & Besier 2003, doi 10.1016/S0021-9290(03)00010-1)."""
    small = jnp.abs(shape) < 1e-3
    safe = jnp.where(small, -1.0, shape)
    curved = jnp.expm1(safe * signal) / jnp.expm1(safe)
    # the series to A², so that the derivative with respect to A is right at 0 and continuous where the two meet
    bend = 0.5 * signal * (signal - 1.0)
    return jnp.where(small, signal + shape * bend * (1.0 + shape * (2.0 * signal - 1.0) / 6.0), curved)


def shape_derivatives(
    signal: Float[Array, "*batch"], shape: Float[Array, "*batch"]
) -> tuple[Float[Array, "*batch"], dict[str, Array], dict[tuple[str, str], Array]]:
    """`shaped`, and its first and second derivatives by "signal" and "shape": all from one exponential."""
    small = jnp.abs(shape) < 1e-3
    a = jnp.where(small, -1.0, shape)
    full, part = jax.lax.optimization_barrier((jnp.exp(a), 1.0 / jnp.expm1(a)))  # of channels, not of their samples
    value = shaped(signal, shape)
    power = (1.0 + value / part) * part  # exp(A e)/(exp(A) − 1)
    by_shape = signal * power - value * full * part
    near = {  # the series' own
        "signal": 1.0 + shape * ((signal - 0.5) + shape * (6.0 * signal * (signal - 1.0) + 1.0) / 12.0),
        "shape": 0.5 * signal * (signal - 1.0) * (1.0 + shape * (2.0 * signal - 1.0) / 3.0),
        ("signal", "signal"): shape * (1.0 + shape * (2.0 * signal - 1.0) / 2.0),
        ("signal", "shape"): (signal - 0.5) + shape * (6.0 * signal * (signal - 1.0) + 1.0) / 6.0,
        ("shape", "shape"): signal * (signal - 1.0) * (2.0 * signal - 1.0) / 6.0,
    }
    far = {
        "signal": a * power,
        "shape": by_shape,
        ("signal", "signal"): a * a * power,
        ("signal", "shape"): power * (1.0 + a * signal - a * full * part),
        ("shape", "shape"): signal * signal * power - (2.0 * by_shape + value) * full * part,
    }
    found: dict[Any, Array] = {k: jnp.where(small, near[k], far[k]) for k in near}
    return value, {k: found.pop(k) for k in ("signal", "shape")}, found


def corrected(signal: Float[Array, "*batch"], error: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """signal + error, bent to stay inside 0..1 in the outer half of what is left to either end.

    Clipped, an error that is to be found would vanish from sight once it is too large. For a signal within 1 % of an
    end that end counts as 1 % off.
    """
    low, high = 0.5 * jnp.maximum(signal, ROOM), 0.5 * jnp.maximum(1.0 - signal, ROOM)
    value = signal + error
    bent_up = low * jnp.exp(jnp.minimum(value - low, 0.0) / low)
    bent_down = 1.0 - high * jnp.exp(jnp.minimum(1.0 - high - value, 0.0) / high)
    return jnp.where(value < low, bent_up, jnp.where(value > 1.0 - high, bent_down, value))


def channel_signal(
    parameters: EmgParameters,
    envelope: Float[Array, "time *recording channel"],
    timestep: float,
    error: Float[Array, "time *recording channel"] | None = None,
) -> Float[Array, "time *recording channel"]:
    """Every channel delayed, amplified, clipped to 0..1 and shaped: it acts on each channel and instant by itself."""
    gain, delay = jnp.asarray(parameters.gain), jnp.asarray(parameters.delay)
    amplified = gain * delayed(envelope, delay, timestep)
    signal = filled(amplified, spacing(amplified))
    if error is not None:
        signal = corrected(signal, gain * error)
    return shaped(signal, jnp.asarray(parameters.shape))


def mixed(
    signal: Float[Array, "time *recording channel"], mixing: Float[AnyArray, "muscle channel"]
) -> tuple[Float[Array, "time *recording muscle"], Float[Array, "time *recording muscle"]]:
    """A muscle's weighted mix of channels, clipped to 0..1, and the derivative of the clip."""
    total = signal @ jnp.asarray(mixing).T
    return jax.jvp(_clip_unit, (total,), (jnp.ones_like(total),))


def excitation(
    parameters: EmgParameters,
    envelope: Float[Array, "time *recording channel"],
    mixing: Float[AnyArray, "muscle channel"],
    timestep: float,
    error: Float[Array, "time *recording channel"] | None = None,
) -> Float[Array, "time *recording muscle"]:
    """Excitation of every muscle, 0..1: its weighted mix of `channel_signal`.

    At exactly 0 and 1 the derivative is the one from inside the interval.

    **Arguments:** `error`: added to the delayed envelope, see `corrected`.
    """
    return mixed(channel_signal(parameters, envelope, timestep, error), mixing)[0]
