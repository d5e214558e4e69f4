"""From an EMG envelope to excitation: closed forms, limits and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm.dynamics.excitation import delayed, excitation, shaped
from mjx_msm.person.parameters import EmgParameters

pytestmark = pytest.mark.usefixtures("x64")

H = 0.01


def emg(gain, delay, shape) -> EmgParameters:
    return EmgParameters(*(jnp.asarray(x, dtype=float) for x in (gain, delay, shape)))


def test_delay_shifts_a_ramp():
    """Linear interpolation is exact on a ramp, for any delay; before the start the first sample holds."""
    t = H * np.arange(40)[:, None]
    delay = np.array([0.0, 0.013, 0.05, 0.0701])
    got = delayed(jnp.asarray(2 + 3 * t + 0 * delay), jnp.asarray(delay), H)
    np.testing.assert_allclose(got, 2 + 3 * np.maximum(t - delay, 0), rtol=1e-13)


@pytest.mark.slow
def test_no_delay_changes_no_bit():
    envelope = np.random.default_rng(0).uniform(size=(50, 3))
    np.testing.assert_array_equal(delayed(jnp.asarray(envelope), jnp.zeros(3), H), envelope)
    np.testing.assert_array_equal(delayed(jnp.asarray(envelope[:1]), jnp.full(3, 0.02), H), envelope[:1])
    shifted = delayed(jnp.asarray(envelope), jnp.full(3, 4 * H), H)
    np.testing.assert_allclose(shifted[4:], envelope[:-4], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.0137])
def test_derivative_with_respect_to_delay(delay):
    """Inside an interval the slope; at a sample, and so at the lower bound 0, the side of longer delays."""
    envelope = jnp.asarray(np.random.default_rng(1).uniform(size=(30, 1)))

    def f(d):
        return delayed(envelope, d[None], H)[:, 0]

    step = 1e-7
    ahead = (f(jnp.array(delay + step)) - f(jnp.array(delay))) / step
    np.testing.assert_allclose(jax.jacfwd(f)(jnp.array(delay)), ahead, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(jax.jacrev(f)(jnp.array(delay)), ahead, rtol=1e-5, atol=1e-5)


def test_shape_is_the_exponential_curve():
    e = np.linspace(0, 1, 11)
    for a in (-3.0, -1.0, -0.02, 0.5):
        np.testing.assert_allclose(shaped(e, a), (np.exp(a * e) - 1) / (np.exp(a) - 1), rtol=1e-12)
        np.testing.assert_allclose(shaped(np.array([0.0, 1.0]), a), [0, 1], atol=1e-15)
    np.testing.assert_array_equal(shaped(jnp.asarray(e), jnp.zeros(11)), e)


@pytest.mark.parametrize("a", [0.0, -5e-4, -0.00099, -0.00101, -0.5, -3.0])
def test_derivative_with_respect_to_shape(a):
    """Also at the limit, e (e − 1)/2, and on both sides of the switch to the series."""
    e = np.linspace(0.05, 0.95, 7)
    got = jax.vmap(jax.grad(lambda x, s: shaped(x, s), argnums=1), (0, None))(jnp.asarray(e), a)
    # exact derivative in extended precision
    x, s = e.astype(np.longdouble), np.longdouble(a)
    if a == 0:
        exact = x * (x - 1) / 2
    else:
        exact = (x * np.exp(s * x) * np.expm1(s) - np.expm1(s * x) * np.exp(s)) / np.expm1(s) ** 2
    np.testing.assert_allclose(got, exact.astype(float), rtol=1e-7)


def test_value_is_continuous_where_the_series_takes_over():
    e = np.linspace(0, 1, 11)
    below, above = (np.asarray(shaped(jnp.asarray(e), a)) for a in (-1e-3 * (1 - 1e-12), -1e-3 * (1 + 1e-12)))
    np.testing.assert_allclose(below, above, rtol=0, atol=1e-11)


@pytest.mark.slow
def test_mixing_gain_and_clipping():
    envelope = jnp.asarray([[0.2, 0.5], [0.4, 0.9], [0.0, 1.0]])
    mixing = jnp.asarray([[1.0, 0.0], [0.25, 0.5], [0.0, 0.0]])
    got = excitation(emg([2, 1.5], [0, 0], [0, 0]), envelope, mixing, H)
    signal = np.clip(np.asarray(envelope) * [2, 1.5], 0, 1)
    np.testing.assert_allclose(got, signal @ np.asarray(mixing).T, rtol=1e-14)
    over = excitation(emg([2, 1.5], [0, 0], [0, 0]), envelope, 3 * mixing, H)
    assert np.max(over) == 1
    assert np.min(over) == 0


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_derivative_at_full_scale_is_the_one_from_inside(gain):
    """An envelope normalised to its maximum meets the clip exactly; half of a derivative would serve neither side."""
    envelope, mixing = jnp.asarray([[0.0], [0.5], [1.0]]), jnp.ones((1, 1))

    def f(g):
        return excitation(EmgParameters(g[None], jnp.zeros(1), jnp.zeros(1)), envelope, mixing, H)[:, 0]

    np.testing.assert_array_equal(jax.jacfwd(f)(jnp.array(gain)), envelope[:, 0])
    np.testing.assert_array_equal(jax.jacrev(f)(jnp.array(gain)), envelope[:, 0])


def test_second_derivatives_are_those_of_the_signal_that_was_sampled(x64):
    """A recording's weighted sum of a clipped channel, by gain and delay: their mean over a range is the change of the
    first derivatives over it. At one point they are right but for a sample, since a crossing of 1 counts whole ones.
    """
    step = 0.001
    t = step * jnp.arange(4000)
    envelope = (0.55 + 0.5 * jnp.sin(7 * t) * jnp.cos(2.3 * t))[:, None]
    weight = jnp.sin(1.7 * t + 0.4)

    def total(x):
        at = EmgParameters(jnp.exp(x[:1]), x[1:], jnp.zeros(1))
        return jnp.sum(weight * excitation(at, envelope, jnp.ones((1, 1)), step)[:, 0])

    slope, curvature = jax.jit(jax.jacfwd(total)), jax.jit(jax.jacfwd(jax.jacfwd(total)))
    at = np.array([0.3, 0.0502])
    signal = np.exp(0.3) * np.asarray(envelope)
    assert 0.1 < (signal > 1).mean() < 0.9
    for k, d in enumerate((np.array([0.2, 0.0]), np.array([0.0, 0.02]))):
        change = (np.asarray(slope(at + d)) - np.asarray(slope(at - d))) / (2 * np.max(d))
        between = [curvature(at + part * d) for part in np.linspace(-1, 1, 201)[:-1] + 0.005]
        np.testing.assert_allclose(np.mean(between, axis=0)[k], change, rtol=0.06, atol=0.01 * np.abs(change).max())
    there = np.asarray(curvature(at))
    np.testing.assert_allclose(there, there.T)
