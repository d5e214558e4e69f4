"""Delays to the sample, and the stretch reflex against its equation and against what it is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm.common.delay_line import DelayLine, delay_steps
from mjx_msm.common.errors import InputError
from mjx_msm.envs.human.reflex import StretchReflex


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("shape", [(3,), (2, 5)])
def test_a_line_says_what_it_heard_so_many_pushes_ago(steps, shape):
    said = np.random.default_rng(0).normal(size=(20, *shape))
    line, heard = DelayLine.holding(np.full(shape, 7.0), steps), []
    for value in said:
        now, line = line.push(value)
        heard.append(now)
    before = np.full((steps, *shape), 7.0)
    np.testing.assert_array_equal(heard, np.concatenate((before, said[: len(said) - steps])))


def test_a_line_in_a_scan_over_many():
    said = np.random.default_rng(0).normal(size=(20, 6, 3)).astype(np.float32)

    def run(values):
        return jax.lax.scan(lambda line, x: line.push(x)[::-1], DelayLine(jnp.zeros((4, 3), jnp.float32)), values)[1]

    heard = jax.jit(jax.vmap(run, in_axes=1, out_axes=1))(said)
    np.testing.assert_array_equal(heard[4:], said[:-4])
    np.testing.assert_array_equal(heard[:4], 0)


def test_pushing_leaves_the_old_line_as_it_was():
    line = DelayLine.holding(np.zeros(2), 3)
    line.push(np.ones(2))
    assert not line.samples.any()


@pytest.mark.parametrize(
    ("delay", "period", "steps"), [(0.04, 0.01, 4), (0.03, 0.02, 2), (0.0, 0.01, 0), (0.06, 0.02, 3)]
)
def test_delay_in_periods(delay, period, steps):
    assert delay_steps(delay, period) == steps


@pytest.mark.parametrize(("delay", "period"), [(-0.01, 0.01), (0.04, 0.0), (float("nan"), 0.01)])
def test_no_such_delay(delay, period):
    with pytest.raises(InputError, match="delay"):
        delay_steps(delay, period)


def test_the_reflex_answers_stretch_after_its_delay():
    reflex = StretchReflex(
        length_gain=2.0, velocity_gain=0.1, length_threshold=0.05, velocity_threshold=0.3, delay=0.03
    )
    memory = reflex.start(4, 0.01)
    length = np.array([1.15, 1.04, 0.8, 1.15])
    velocity = np.array([1.3, 0.2, -2.0, -1.0])
    answers = []
    for _ in range(5):
        answer, memory = reflex.excitation(memory, length, velocity, np.ones(4))
        answers.append(answer)
    np.testing.assert_array_equal(answers[:3], 0)
    np.testing.assert_allclose(answers[3], [2 * 0.1 + 0.1 * 1.0, 0, 0, 2 * 0.1])
    np.testing.assert_array_equal(answers[4], answers[3])


def test_the_reflex_of_jax_is_the_same(x64):
    reflex, rng = StretchReflex(), np.random.default_rng(0)
    length, velocity = rng.uniform(0.8, 1.2, (30, 5)), rng.normal(size=(30, 5))
    memory, expected = reflex.start(5, 0.01), []
    for row in zip(length, velocity, strict=True):
        answer, memory = reflex.excitation(memory, *row, 1.0)
        expected.append(answer)
    start = jax.tree.map(jnp.asarray, reflex.start(5, 0.01))
    _, ours = jax.lax.scan(lambda m, x: reflex.excitation(m, *x, 1.0)[::-1], start, (length, velocity))
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    assert np.max(expected) > 0.1


def test_the_reflex_stiffens_a_limb_and_a_long_delay_unsettles_it():
    """10 kg on two opposed muscles of 100 mm and 1 kN, whose passive stiffness is 400 N/m, pushed by 50 N.

    The reflex adds 1000 N · G_l/0.1 m = 400 N/m. Its lag behind the swing of 9 rad/s takes damping away.
    """

    def pushed(gain: float, delay: float) -> tuple[float, float]:
        reflex = StretchReflex(length_gain=gain, velocity_gain=0.0, delay=delay)
        h, stretch, speed = 0.002, 0.0, 0.0
        memory, path, activation = reflex.start(2, h), [], np.zeros(2)
        for _ in range(3000):
            fibers = np.array([stretch, -stretch]) / 0.1
            answer, memory = reflex.excitation(memory, 1 + fibers, 0 * fibers, 1.0)
            activation = activation + h / 0.02 * (np.clip(answer, 0, 1) - activation)
            force = 50.0 - 400.0 * stretch - 45.0 * speed - 1000.0 * (activation[0] - activation[1])
            speed += h * force / 10.0
            stretch += h * speed
            path.append(stretch)
        return path[-1], float(np.ptp(path[-1000:]))

    loose, _ = pushed(0.0, 0.03)
    stiff, calm = pushed(0.04, 0.03)
    assert loose == pytest.approx(50 / 400, rel=1e-2)
    assert stiff == pytest.approx(50 / 800, rel=1e-2)
    assert calm < 1e-3
    assert pushed(0.04, 0.2)[1] > 0.02
