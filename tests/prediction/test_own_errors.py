"""What forecasts that came true teach of the next."""

import numpy as np

from mjx_msm.prediction.own_errors import MEMORY, OwnErrors

EVERY = 0.01


def taught(errors, rng, seconds, weights, noise=0.0):
    """Features of two coordinates, the first of which is 1, and what is left of errors that these weights make."""
    left = []
    for _ in range(round(seconds / EVERY)):
        feature = np.concatenate([np.ones((2, 1)), rng.normal(size=(2, 2))], axis=1)
        missed = (feature * weights).sum(axis=1) + noise * rng.normal(size=2)
        left.append(missed - errors.expected(feature))
        errors.teach(feature, missed)
    return np.array(left)


def test_errors_that_go_with_what_was_said_are_foretold():
    weights, rng = np.array([[0.5, 1.0, 0.0], [0.0, -2.0, 1.0]]), np.random.default_rng(0)
    left = taught(OwnErrors(2, 3, EVERY), rng, 30.0, weights)
    usual = np.sqrt((weights**2).sum(axis=1))
    assert (np.abs(left[0]) > 0).all()
    assert (np.sqrt((left[-200:] ** 2).mean(axis=0)) < 0.1 * usual).all()


def test_nothing_is_foretold_of_chance_and_the_first_errors_are_not_believed():
    rng, errors = np.random.default_rng(1), OwnErrors(2, 3, EVERY)
    assert not errors.expected(np.ones((2, 3))).any()
    errors.teach(np.ones((2, 3)), np.ones(2))
    assert (np.abs(errors.expected(np.ones((2, 3)))) < 0.02).all()
    left = taught(errors, rng, 30.0, np.zeros((2, 3)), noise=1.0)
    assert np.sqrt((left[100:] ** 2).mean()) < 1.03


def test_what_is_no_longer_so_is_forgotten():
    errors, rng = OwnErrors(2, 3, EVERY), np.random.default_rng(2)
    taught(errors, rng, 20.0, np.full((2, 3), 1.0))
    left = taught(errors, rng, 5 * MEMORY, np.full((2, 3), -1.0))
    assert np.sqrt((left[-200:] ** 2).mean()) < 0.1
