"""Baselines: exact where their own law holds, chosen by what they had not seen, blind to what is held out."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm.identification.baselines import KERNEL_RIDGE, MEAN_CYCLE, RIDGE, predictions
from mjx_msm.identification.inputs import DELAYS, Inputs

INSTANTS = 600


@pytest.fixture(scope="module")
def inputs():
    """Two trials of two channels and two coordinates; the envelopes at every delay are unrelated."""
    rng = np.random.default_rng(1)
    return Inputs(
        envelope=rng.uniform(0, 1, (len(DELAYS), INSTANTS, 2)),
        position=rng.normal(0, 0.3, (INSTANTS, 2)),
        velocity=rng.normal(0, 2, (INSTANTS, 2)),
        phase=np.linspace(0, 12, INSTANTS) % 1.0,
        trial=np.repeat([0, 1], INSTANTS // 2),
        tasks=("walk", "run"),
    )


def bilinear(inputs, delay):
    e, q = inputs.envelope[delay], inputs.position
    return 3.0 + 40 * e[:, 0] - 25 * e[:, 1] * q[:, 1] + 7 * q[:, 0]


@pytest.mark.parametrize("delay", range(len(DELAYS)))
@pytest.mark.parametrize("trials", [1, 2])
def test_ridge_finds_a_bilinear_law_and_its_delay(inputs, delay, trials):
    inputs = replace(inputs, trial=inputs.trial * (trials - 1))
    moment = bilinear(inputs, delay)
    learnt = np.arange(INSTANTS) % 3 > 0
    found = predictions(inputs, moment, learnt, 1, inputs)[RIDGE]
    assert np.sqrt(np.mean((found - moment)[~learnt] ** 2)) < 0.01 * np.std(moment)


def test_the_mean_cycle_is_the_mean_over_cycles(inputs):
    inputs = replace(inputs, tasks=("walk", "walk"))
    curve = 20 * np.sin(2 * np.pi * inputs.phase)
    noise = np.random.default_rng(2).normal(0, 1, INSTANTS)
    found = predictions(inputs, curve + noise, np.ones(INSTANTS, bool), 0, inputs)[MEAN_CYCLE]
    assert np.sqrt(np.mean((found - curve) ** 2)) < 1.3 / np.sqrt(INSTANTS / 50)  # 12 samples a bin


def test_the_mean_cycle_is_of_the_same_task_and_of_all_for_a_new_one(inputs):
    size = np.where(inputs.trial == 0, 10.0, 30.0)
    curve = np.sin(2 * np.pi * inputs.phase)
    everything = np.ones(INSTANTS, bool)
    found = predictions(inputs, size * curve, everything, 0, inputs)[MEAN_CYCLE]
    assert np.abs(found - size * curve).max() < 3.0  # bins are 1/50 of a cycle wide
    new = predictions(inputs, size * curve, everything, 0, replace(inputs, tasks=("jump", "jump")))[MEAN_CYCLE]
    assert np.abs(new - 20.0 * curve).max() < 3.0
    unsaid = predictions(inputs, size * curve, everything, 0, replace(inputs, tasks=("", "")))[MEAN_CYCLE]
    np.testing.assert_array_equal(unsaid, new)


def test_trials_without_a_task_are_not_of_one(inputs):
    """A trial of no task is predicted from all, not from others without one."""
    size = np.where(inputs.trial == 0, 10.0, 30.0)
    curve = np.sin(2 * np.pi * inputs.phase)
    some = replace(inputs, tasks=("walk", ""))
    found = predictions(some, size * curve, np.ones(INSTANTS, bool), 0, some)[MEAN_CYCLE]
    first = inputs.trial == 0
    assert np.abs(found - 10.0 * curve)[first].max() < 3.0
    assert np.abs(found - 20.0 * curve)[~first].max() < 3.0


def test_without_cycles_there_is_no_mean_cycle(inputs):
    moment, learnt = bilinear(inputs, 0), np.ones(INSTANTS, bool)
    assert list(predictions(replace(inputs, phase=None), moment, learnt, 1, inputs)) == [RIDGE, KERNEL_RIDGE]
    assert list(predictions(inputs, moment, learnt, 1, replace(inputs, phase=None))) == [RIDGE, KERNEL_RIDGE]


def test_what_is_held_out_has_no_say(inputs):
    moment, learnt = bilinear(inputs, 0), np.arange(INSTANTS) < 400
    wrong = np.where(learnt, moment, 1e6)
    a, b = (predictions(inputs, m, learnt, 1, inputs) for m in (moment, wrong))
    assert all(np.array_equal(a[name], b[name]) for name in (RIDGE, KERNEL_RIDGE, MEAN_CYCLE))


def test_a_channel_that_is_silent_tells_nothing(inputs):
    envelope = inputs.envelope.copy()
    envelope[..., 0] = 0.0
    found = predictions(replace(inputs, envelope=envelope), bilinear(inputs, 0), np.ones(INSTANTS, bool), 1, inputs)
    assert np.isfinite(found[RIDGE]).all()
