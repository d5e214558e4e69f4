"""Fisher information to covariance, shares and directions; autocorrelation times: closed forms as oracles."""

import numpy as np
import pytest
from scipy.signal import lfilter

from mjx_msm.estimation.autocorrelation import autocorrelation_time
from mjx_msm.knowledge.uncertainty import LEAST_CURVATURE, Knowledge, uncertainty


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


# Residuals that are not small ------------------------------------------------------------------------------


def curved(slope, bend, missed, prior):
    """Residuals r = (slope x, missed + ½ xᵀ bend x) at x = 0: F, B and P in closed form."""
    return slope.T @ slope, missed * bend, np.diag(np.asarray(prior) ** -2.0)


def test_curvature_is_that_of_the_posterior_where_residuals_are_large():
    """½ (s x)² + ½ (m + ½ b x²)² + ½ (x/τ)² has the second derivative s² + m b + 1/τ² at its least, x = 0."""
    s, b, m, prior = 0.7, 3.0, 5.0, 0.4
    known = uncertainty(np.array([[s**2]]), np.array([prior]), bend=np.array([[m * b]]), width=np.array([1e6]))

    def density(x):
        return 0.5 * (s * x) ** 2 + 0.5 * (m + 0.5 * b * x**2) ** 2 + 0.5 * (x / prior) ** 2

    h = 1e-3
    curvature = (density(h) - 2 * density(0.0) + density(-h)) / h**2
    assert known.covariance[0, 0] == pytest.approx(1 / curvature, rel=1e-5)
    assert known.spread[0, 0] == pytest.approx(1 / curvature, rel=1e-5)
    assert known.data_share[0] == pytest.approx(1 - prior**-2 / curvature, rel=1e-5)
    assert known.modes[0].share == pytest.approx(known.data_share[0], rel=1e-12)
    assert known.knowledge == (Knowledge.DETERMINED,)
    assert uncertainty(np.array([[s**2]]), np.array([prior])).knowledge == (Knowledge.PRIOR,)


def test_the_bread_of_the_sandwich_has_the_curvature_and_its_filling_has_not():
    rng = np.random.default_rng(7)
    slope, half = rng.standard_normal((6, 3)), rng.standard_normal((3, 3))
    prior = np.array([0.5, 2.0, 0.1])
    fisher, bend, precision = curved(slope, half + half.T, 0.3, prior)
    bread = np.linalg.inv(fisher + bend + precision)
    known = uncertainty(fisher, prior, score=5 * fisher, bend=bend, width=np.full(3, 10.0))
    np.testing.assert_allclose(known.covariance, bread @ (5 * fisher + precision) @ bread, rtol=1e-10)
    np.testing.assert_allclose(known.spread, known.covariance, rtol=1e-10)
    np.testing.assert_allclose(known.data_share, 1 - np.diag(bread @ precision), rtol=1e-10)


def test_the_spread_of_an_average_is_that_of_repeated_experiments():
    """Mean direction of angles that are spread by 1 rad: residuals (cos x − cos a, sin x − sin a) cannot vanish."""
    rng, n = np.random.default_rng(8), 400
    angle = rng.normal(0.0, 1.0, (4000, n))
    estimate = np.arctan2(np.sin(angle).mean(1), np.cos(angle).mean(1))
    a = angle[0] - estimate[0]
    fisher, bend = np.array([[float(n)]]), np.array([[np.cos(a).sum() - n]])  # Σ |∂r|², Σ r·∂²r
    score = np.array([[np.square(np.sin(a)).sum()]])  # variance of Σ ∂r·r
    known = uncertainty(fisher, np.array([np.inf]), score=score, bend=bend, width=np.array([20.0]))
    assert np.sqrt(known.covariance[0, 0]) == pytest.approx(estimate.std(), rel=0.1)
    flat = uncertainty(fisher, np.array([np.inf]), score=score, width=np.array([20.0]))
    assert np.sqrt(flat.covariance[0, 0]) < 0.7 * estimate.std()


def test_where_the_posterior_opens_downwards_little_is_known_and_nothing_elsewhere_changes():
    fisher, prior = np.diag([4.0, 9.0, 0.0]), np.array([0.5, 1.0, np.inf])
    known = uncertainty(fisher, prior, bend=np.diag([-50.0, 2.0, -1.0]), width=np.full(3, 2.0))
    assert known.covariance[0, 0] == pytest.approx(1 / (LEAST_CURVATURE * 8.0), rel=1e-6)
    assert known.covariance[1, 1] == pytest.approx(1 / 12, rel=1e-6)
    np.testing.assert_allclose(known.data_share, [0, 11 / 12, 0], atol=1e-6)
    assert np.all(np.linalg.eigvalsh(known.spread) > 0)
    assert [m.share for m in known.modes] == pytest.approx([0, 0, 11 / 12], abs=1e-6)


def test_second_derivatives_of_straight_residuals_change_nothing():
    fisher, sd, width = information(9), np.array([0.3, np.inf, 5.0, 1.0]), np.full(4, 3.0)
    one = uncertainty(fisher, sd, score=2.5 * fisher, width=width)
    other = uncertainty(fisher, sd, score=2.5 * fisher, bend=np.zeros((4, 4)), width=width)
    for a, b in ((one.covariance, other.covariance), (one.spread, other.spread), (one.data_share, other.data_share)):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("strength", [1e4, 1e12, 1e18])
def test_near_exact_data_with_second_derivatives_leave_the_prior_where_they_say_nothing(strength):
    rows = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 1.0]])
    bend = 1e-3 * np.sqrt(strength) * rows.T @ rows
    known = uncertainty(strength * rows.T @ rows, np.array([1.0, 0.1, 1.0, 1.0]), bend=bend)
    sd = np.sqrt(np.diag(known.covariance))
    np.testing.assert_allclose(sd, [(strength + 1) ** -0.5, 0.1, np.sqrt(0.5), np.sqrt(0.5)], rtol=2e-4)
    np.testing.assert_allclose(known.data_share, [1, 0, 0.5, 0.5], atol=2e-4)
