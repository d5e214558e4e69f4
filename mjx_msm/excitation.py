"""From an EMG envelope to muscle excitation: gain, electromechanical delay, shape, and the mix over channels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mjx_msm.parameters import EmgParameters


def delayed(
    envelope: Float[Array, "time channel"], delay: Float[Array, "channel"], timestep: float
) -> Float[Array, "time channel"]:
    """envelope(t − delay) by linear interpolation; before the recording starts, its first sample."""
    last = envelope.shape[0] - 1
    position = jnp.clip(jnp.arange(envelope.shape[0])[:, None] - delay / timestep, 0.0, last)
    index = jnp.clip(jnp.floor(jax.lax.stop_gradient(position)).astype(int), 0, max(last - 1, 0))
    fraction = position - index
    below = jnp.take_along_axis(envelope, index, axis=0)
    above = jnp.take_along_axis(envelope, jnp.minimum(index + 1, last), axis=0)
    return below + fraction * (above - below)


def shaped(signal: Float[Array, "*batch"], shape: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """(exp(A e) − 1)/(exp(A) − 1), linear for A → 0 (Lloyd & Besier 2003, doi 10.1016/S0021-9290(03)00010-1)."""
    small = jnp.abs(shape) < 1e-3
    safe = jnp.where(small, -1.0, shape)
    curved = jnp.expm1(safe * signal) / jnp.expm1(safe)
    # second-order limit, so that the derivative with respect to A is right at A = 0
    return jnp.where(small, signal + 0.5 * shape * signal * (signal - 1.0), curved)


def excitation(
    parameters: EmgParameters,
    envelope: Float[Array, "time channel"],
    mixing: Float[Array, "muscle channel"],
    timestep: float,
) -> Float[Array, "time muscle"]:
    """Excitation of every muscle, 0..1.

    Each channel is amplified, clipped to 0..1, delayed and shaped; a muscle's excitation is its weighted mix.
    """
    signal = jnp.clip(parameters.gain * delayed(envelope, parameters.delay, timestep), 0.0, 1.0)
    return jnp.clip(shaped(signal, jnp.asarray(parameters.shape)) @ mixing.T, 0.0, 1.0)
