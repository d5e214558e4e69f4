"""The discrepancy: finds what depends on the state, keeps out of states it does not know, is not fooled by noise."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm.identification.discrepancy import _held_out, _mean, correction
from mjx_msm.identification.inputs import DELAYS, Inputs

INSTANTS = 1200


@pytest.fixture(scope="module")
def inputs():
    """Two trials in which two coordinates swing, never quite alike."""
    t = np.linspace(0, 24, INSTANTS)
    angle = np.stack([np.sin(5 * t), np.sin(7 * t)], -1)
    return Inputs(
        envelope=np.zeros((len(DELAYS), INSTANTS, 1)),
        position=angle,
        velocity=np.stack([5 * np.cos(5 * t), 7 * np.cos(7 * t)], -1),
        phase=None,
        trial=np.repeat([0, 1], INSTANTS // 2),
        tasks=("walk", "run"),
    )


@pytest.fixture(scope="module")
def later(inputs):
    """The last fifth of every trial, which is to be predicted."""
    return np.arange(INSTANTS) % (INSTANTS // 2) >= 0.8 * INSTANTS / 2


def test_what_depends_on_the_state_is_found(inputs, later):
    left = 4 * np.exp(inputs.position[:, 0]) + 0.5 * inputs.velocity[:, 1]
    noisy = left + np.random.default_rng(1).normal(0, 1, INSTANTS)
    found = correction(inputs, noisy, ~later, inputs)
    assert np.sqrt(np.mean((found - left)[later] ** 2)) < 0.15 * np.sqrt(np.mean(left[later] ** 2))


def test_white_noise_is_left_alone(inputs, later):
    noise = np.random.default_rng(2).normal(0, 1, INSTANTS)
    found = correction(inputs, noise, ~later, inputs)
    assert np.sqrt(np.mean(found[later] ** 2)) < 0.25


def test_states_far_from_all_known_ones_are_not_corrected(inputs, later):
    far = replace(inputs, position=inputs.position + 50.0)
    assert np.abs(correction(inputs, np.full(INSTANTS, 10.0), ~later, far)).max() < 1e-9


def test_what_is_held_out_has_no_say(inputs, later):
    left = inputs.position[:, 0]
    a, b = (correction(inputs, x, ~later, inputs) for x in (left, np.where(later, 1e6, left)))
    assert np.array_equal(a, b)


def test_a_coordinate_that_never_moves_does_no_harm(inputs, later):
    still = replace(inputs, position=inputs.position * [1, 0], velocity=inputs.velocity * [1, 0])
    assert np.isfinite(correction(still, inputs.position[:, 0], ~later, still)).all()


def test_what_holds_within_trials_alone_is_not_used_for_a_new_one(inputs, later):
    """Opposite in the two trials: each part tells of the next of its own trial, no trial of the other."""
    sign = np.where(inputs.trial == 0, 1.0, -1.0)
    apart = replace(inputs, position=inputs.position + 0.5 * sign[:, None])  # states tell the trials apart
    left = 5.0 * sign + np.sin(inputs.position[:, 0])
    known, new = (correction(apart, left, ~later, replace(apart, tasks=t)) for t in (("walk", "run"), ("jump", "hop")))
    assert np.sqrt(np.mean((known - left)[later] ** 2)) < 2.0
    assert not new.any()


def test_what_holds_in_every_trial_is_used_for_a_new_one(inputs, later):
    left = 4 * np.exp(inputs.position[:, 0]) + 0.5 * inputs.velocity[:, 1]
    found = correction(inputs, left, ~later, replace(inputs, tasks=("jump", "hop")))
    assert np.sqrt(np.mean((found - left)[later] ** 2)) < 0.15 * np.sqrt(np.mean(left[later] ** 2))


def test_parts_are_missed_by_what_the_others_miss_them_by():
    """Without solving for each of them."""
    rng = np.random.default_rng(0)
    state, part = rng.normal(size=(60, 3)), np.arange(60) * 4 // 60
    left = np.sin(state[:, 0]) + 0.1 * rng.normal(size=60)
    square = ((state[:, None] - state[None]) ** 2).sum(-1)
    found = _held_out(np.exp(-0.5 * square / 2.0**2), 0.3, left, part)
    for p in range(4):
        expected = left[part == p] - _mean(state, left, part != p, part == p, 2.0, 0.3)
        np.testing.assert_allclose(found[part == p], expected, rtol=0, atol=1e-12)
