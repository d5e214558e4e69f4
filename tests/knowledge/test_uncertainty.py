"""Fisher information to covariance, shares and directions; autocorrelation times: closed forms as oracles."""

import numpy as np
import pytest
from scipy.signal import lfilter

from mjx_msm.knowledge.uncertainty import autocorrelation_time, uncertainty


def information(seed=0, rows=40, columns=4):
    jacobian = np.random.default_rng(seed).standard_normal((rows, columns))
    return jacobian.T @ jacobian


def test_linear_gaussian_posterior():
    fisher, sd = information(), np.array([0.3, 0.02, 5.0, 1.0])
    known = uncertainty(fisher, sd)
    covariance = np.linalg.inv(fisher + np.diag(sd**-2.0))
    np.testing.assert_allclose(known.covariance, covariance, rtol=1e-10)
    np.testing.assert_allclose(known.data_share, np.diag(covariance @ fisher), rtol=1e-10)


def test_the_share_of_the_data_is_that_of_an_average_with_the_prior():
    """n samples of noise σ against a prior of width τ: n τ² / (n τ² + σ²)."""
    n, noise, prior = np.array([1, 10, 400]), 0.5, np.array([0.1, 0.5, 2.0])
    known = uncertainty(np.diag(n / noise**2), prior)
    np.testing.assert_allclose(known.data_share, n * prior**2 / (n * prior**2 + noise**2), rtol=1e-12)
    np.testing.assert_allclose(np.diag(known.covariance), 1 / (n / noise**2 + 1 / prior**2), rtol=1e-12)
    assert [d[0][0] for d in known.directions] == [0]  # only there the prior holds more than the data


def test_without_priors_the_covariance_is_the_inverse_information():
    fisher = information(1)
    known = uncertainty(fisher, np.full(4, np.inf))
    np.testing.assert_allclose(known.covariance, np.linalg.inv(fisher), rtol=1e-9)
    np.testing.assert_allclose(known.data_share, 1.0)
    assert known.directions == ()


def test_information_that_outweighs_the_prior_leaves_nothing_open():
    known = uncertainty(1e6 * information(2), np.ones(4))
    assert known.directions == ()
    assert np.all(known.data_share > 0.999)


def test_a_difference_that_the_data_do_not_see_is_named():
    """The data see x0 + x1 and x2: of x0 − x1 only the prior says anything."""
    rows = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    known = uncertainty(1e8 * rows.T @ rows, np.full(3, 0.1))
    (direction,) = known.directions
    assert {i for i, _ in direction} == {0, 1}
    assert direction[0][1] == pytest.approx(np.sqrt(0.5))
    assert direction[1][1] == pytest.approx(-np.sqrt(0.5))
    np.testing.assert_allclose(known.data_share, [0.5, 0.5, 1.0], rtol=1e-6)
    # x0 and x1 each keep half the prior's variance, tied by perfect anticorrelation
    np.testing.assert_allclose(known.covariance[:2, :2], 0.005 * np.array([[1, -1], [-1, 1]]), rtol=1e-5)


def test_without_a_prior_an_unseen_direction_is_infinite_and_taints_nothing_else():
    rows = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    known = uncertainty(rows.T @ rows, np.array([np.inf, np.inf, 1.0]))
    assert np.all(np.isinf(np.diag(known.covariance)[:2]))
    assert known.covariance[2, 2] == pytest.approx(1 / (4 + 1))
    np.testing.assert_allclose(known.data_share, [0, 0, 0.8], atol=1e-9)
    assert [{i for i, _ in d} for d in known.directions] == [{0, 1}]


def test_no_data_at_all():
    known = uncertainty(np.zeros((2, 2)), np.array([0.2, np.inf]))
    np.testing.assert_allclose(known.data_share, 0.0)
    assert known.covariance[0, 0] == pytest.approx(0.04)
    assert np.isinf(known.covariance[1, 1])
    assert {i for d in known.directions for i, _ in d} == {0, 1}


@pytest.mark.parametrize("strength", [1e4, 1e12, 1e18, 1e24])
def test_near_exact_data_leave_the_prior_where_they_say_nothing(strength):
    """x1 is seen by nothing, x2 and x3 only as a sum; what the data know of x0 must not drown their priors."""
    rows = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 1.0]])
    known = uncertainty(strength * rows.T @ rows, np.array([1.0, 0.1, 1.0, 1.0]))
    sd = np.sqrt(np.diag(known.covariance))
    np.testing.assert_allclose(sd, [(strength + 1) ** -0.5, 0.1, np.sqrt(0.5), np.sqrt(0.5)], rtol=2e-4)
    np.testing.assert_allclose(known.data_share, [1, 0, 0.5, 0.5], atol=2e-4)
    assert {frozenset(i for i, _ in d) for d in known.directions} == {frozenset({1}), frozenset({2, 3})}


@pytest.mark.parametrize("strength", [1e4, 1e18])
def test_parameters_with_and_without_a_prior_side_by_side(strength):
    fisher, sd = strength * information(6), np.array([0.1, np.inf, 1.0, np.inf])
    known = uncertainty(fisher, sd)
    np.testing.assert_allclose(known.covariance, np.linalg.inv(fisher + np.diag(sd**-2.0)), rtol=1e-6)
    np.testing.assert_allclose(known.data_share, 1.0, atol=1e-3)
    assert known.directions == ()


def test_units_do_not_matter():
    """The same problem in other units: shares and directions stay, the covariance scales."""
    rows = np.random.default_rng(3).standard_normal((3, 4))  # rank 3: one direction is open
    fisher, sd, unit = 1e6 * rows.T @ rows, np.array([0.3, 1.0, 0.1, 0.5]), np.array([1e3, 1e-4, 1.0, 30.0])
    one = uncertainty(fisher, sd)
    other = uncertainty(fisher / np.outer(unit, unit), sd * unit)
    np.testing.assert_allclose(other.data_share, one.data_share, rtol=1e-6)
    np.testing.assert_allclose(other.covariance, one.covariance * np.outer(unit, unit), rtol=1e-6)
    assert [[i for i, _ in d] for d in other.directions] == [[i for i, _ in d] for d in one.directions]
    assert len(one.directions) == 1


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_autocorrelation_time_of_a_first_order_process(phi):
    """(1 + φ)/(1 − φ)."""
    e = np.random.default_rng(4).standard_normal(200_000)
    x = lfilter([1.0], [1.0, -phi], e)
    assert autocorrelation_time(x) == pytest.approx((1 + phi) / (1 - phi), rel=0.12)


def test_autocorrelation_time_stays_between_one_sample_and_a_quarter_of_the_recording():
    n = 400
    assert autocorrelation_time(np.ones(n)) == n / 4  # a constant error is hardly more than one sample
    assert autocorrelation_time((-1.0) ** np.arange(n)) == 1.0
    assert autocorrelation_time(np.zeros(n)) == 1.0
    assert autocorrelation_time(np.ones(3)) == 1.0
    x = np.random.default_rng(5).standard_normal(n)
    assert autocorrelation_time(1e-9 * x) == pytest.approx(autocorrelation_time(x))
