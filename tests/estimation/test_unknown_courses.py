"""Courses that nobody measured: at their best, followed by what is left, and counted; against dense algebra."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear, nnls

from mjx_msm.estimation.unknown_courses import ActivationCourses, ForceCourses, non_negative

SCALE = np.array([2.0, 0.5])


@pytest.fixture(scope="module")
def drawn():
    """Residuals of two coordinates at instants of two trials, what two muscles do to them, and three parameters."""
    rng = np.random.default_rng(1)
    trial, time = np.repeat([0, 1], [30, 20]), np.concatenate([0.02 * np.arange(30), 5 + 0.02 * np.arange(20)])
    return trial, time, *(rng.normal(size=(50, 2, *n)) for n in ((), (2,), (3,)))


def dense(courses, push, scale):
    """The unknowns' Jacobian of what is left, over the noise, and of their prior."""
    columns = []
    for k in range(courses.none.size):
        unit = (np.arange(courses.none.size) == k).astype(float).reshape(courses.none.shape)
        columns.append((np.einsum("tcd,td->tc", push, courses.at_instants(unit)) / scale).ravel())
    return np.stack(columns, -1), np.eye(courses.none.size) / courses.spread


def test_activations_are_the_non_negative_least_squares(drawn):
    trial, time, residual, push, slope = drawn
    courses = ActivationCourses.over(trial, time, 2)
    data, prior = dense(courses, push, SCALE)
    whole = np.concatenate([data, prior])
    found = courses.best(residual, push, SCALE)
    wanted = nnls(whole, np.concatenate([-(residual / SCALE).ravel(), np.zeros(len(prior))]))[0]
    assert 0 < (wanted > 0).sum() < len(wanted)
    np.testing.assert_allclose(found.ravel(), wanted, atol=1e-9)
    for near in (found, np.where(found > 0, 0.0, 1.0), courses.none):  # wherever it begins
        np.testing.assert_allclose(courses.best(residual, push, SCALE, near), found, atol=1e-9)

    step, free = 1e-6, found.ravel() > 0
    moved = courses.best(residual + step * slope[..., 0], push, SCALE)
    following = courses.following(found, push, slope, SCALE)
    left = slope[..., 0] + np.einsum("tcd,td->tc", push, courses.at_instants((moved - found) / step))
    np.testing.assert_allclose(following.slope[..., 0], left, atol=1e-6)
    np.testing.assert_allclose(following.of_prior[:, 0], ((moved - found) / step).ravel() / courses.spread, atol=1e-6)

    hat = data[:, free] @ np.linalg.solve(whole[:, free].T @ whole[:, free], data[:, free].T)
    np.testing.assert_allclose(courses.used(found, push, SCALE), np.diag(hat).reshape(-1, 2).sum(0), rtol=1e-9)


def test_forces_leave_what_no_tension_explains(drawn):
    _, _, residual, push, slope = drawn
    courses = ForceCourses(len(residual), 2)
    found = courses.best(residual, push, SCALE)
    for t in range(3):
        wanted = lsq_linear(push[t] / SCALE[:, None], -residual[t] / SCALE, bounds=(0, np.inf), tol=1e-14).x
        np.testing.assert_allclose(found[t], wanted, atol=1e-6)
    pulling = (found > 0).sum(axis=1)
    np.testing.assert_allclose(courses.used(found, push, SCALE).sum(), pulling.sum())
    following = courses.following(found, push, slope, SCALE).slope
    np.testing.assert_allclose(following[pulling == 0], slope[pulling == 0])
    np.testing.assert_allclose(following[pulling == 2], 0.0, atol=1e-9)


def test_two_antagonists_of_one_joint_leave_nothing():
    rng = np.random.default_rng(2)
    residual, slope = rng.normal(size=(40, 1)), rng.normal(size=(40, 1, 2))
    push = np.broadcast_to(np.array([30.0, -20.0]), (40, 1, 2))
    courses, one = ForceCourses(40, 2), np.ones(1)
    found = courses.best(residual, push, one)
    np.testing.assert_allclose(courses.following(found, push, slope, one).slope, 0.0, atol=1e-12)
    assert courses.used(found, push, one) == pytest.approx(40)
    alone = ForceCourses(40, 1)  # one of them cannot push: half of it is left
    pulls = alone.best(residual, push[..., :1], one)[:, 0] > 0
    np.testing.assert_array_equal(pulls, residual[:, 0] < 0)


def test_block_pivoting_ends_where_its_exchanges_go_in_circles():
    rng = np.random.default_rng(3)
    for _ in range(20):
        half = np.triu(np.tril(rng.normal(size=(25, 25)), 3), -3)
        h = half @ half.T + 1e-3 * np.eye(25)
        h = np.triu(np.tril(h, 3), -3) + 40 * np.eye(25)
        g = 30 * rng.normal(size=25)
        banded = np.stack([np.pad(np.diag(h, -k), (0, k)) for k in range(4)])
        x = non_negative(banded, g)
        assert (x >= 0).all()
        slope = h @ x + g
        np.testing.assert_allclose(slope[x > 0], 0.0, atol=1e-8)
        assert (slope[x == 0] > -1e-6).all()
