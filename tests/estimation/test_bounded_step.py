"""Steps between bounds by a model that may open downwards: Newton's along the bounds, and never over them."""

import equinox as eqx
import numpy as np
import pytest
from scipy.optimize import lsq_linear

from mjx_msm.estimation.bounded_step import LEAST_CURVATURE, bounded_step
from mjx_msm.person.space import parameter_space

COUNT = 6


@pytest.fixture(scope="module")
def box(arm):
    """Six unknowns without priors, each of another usual spread."""
    paths = [f"muscle/{m}/{f}" for f in ("max_isometric_force", "optimal_fiber_length") for m in arm.muscles[:3]]
    space = parameter_space(arm.nominal, paths)
    nothing = np.zeros(COUNT)

    def make(lower, upper):
        values = np.asarray(lower), np.asarray(upper), nothing, np.full(COUNT, np.inf)
        return eqx.tree_at(lambda s: (s.lower, s.upper, s.prior_mean, s.prior_scale), space, values)

    return make


def matrices(rng, downwards):
    """Gauss–Newton's matrix, and what makes the whole open downwards in some unknowns, coupled to all."""
    root = rng.normal(size=(COUNT, COUNT))
    data = root @ root.T + np.eye(COUNT)
    bend = rng.normal(size=(COUNT, COUNT)) * 0.1
    bend = bend + bend.T
    bend[downwards, downwards] -= 3 * np.diag(data)[downwards]
    return data, bend


def test_ill_conditioned_boxes_are_solved_to_their_least(box):
    """Condition 1e10, directions turned or units apart, against SciPy's active set in the units as they are; MuJoCo's
    method alone misses up to half of the gain."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        turn = np.linalg.qr(rng.normal(size=(COUNT, COUNT)))[0]
        data = (turn * np.logspace(0, -10 if seed % 2 else -2, COUNT)) @ turn.T
        unit = np.ones(COUNT) if seed % 2 else rng.permutation(np.logspace(0, -4, COUNT))
        data = unit[:, None] * (data + data.T) / 2 * unit
        gradient = unit * rng.normal(size=COUNT) * 10.0 ** rng.uniform(-3, 0)
        lower, upper = -rng.uniform(0.01, 3, COUNT) / unit, rng.uniform(0.01, 3, COUNT) / unit
        step, promised = bounded_step(box(lower, upper), np.zeros(COUNT), gradient, data, None, 0.0)
        root = np.linalg.cholesky(data)
        target = -np.linalg.solve(root, gradient)
        best = lsq_linear(root.T, target, (lower, upper), method="bvls", tol=1e-300, max_iter=1000).x
        gain = -(gradient @ best + 0.5 * best @ data @ best)
        assert promised >= (1 - 2e-3) * gain - 1e-9
        assert (step >= lower).all()
        assert (step <= upper).all()


def test_without_a_least_there_is_no_step(box):
    """Not a step of zero, which would read as a solution."""
    wide = box(np.full(COUNT, -9.0), np.full(COUNT, 9.0))
    for data in (np.full((COUNT, COUNT), np.nan), -np.eye(COUNT)):
        step, promised = bounded_step(wide, np.zeros(COUNT), np.ones(COUNT), data, None, 0.0)
        assert np.isnan(step).all()
        assert np.isnan(promised)


@pytest.mark.parametrize("seed", range(5))
def test_along_bounds_that_hold_the_step_is_newtons(box, seed):
    """Two unknowns are on bounds across which the posterior opens downwards: nothing of that is in the others' step."""
    rng, held, free = np.random.default_rng(seed), np.array([0, 3]), np.array([1, 2, 4, 5])
    data, bend = matrices(rng, held)
    whole = data + bend
    assert np.linalg.eigvalsh(whole)[0] < 0 < np.linalg.eigvalsh(whole[np.ix_(free, free)])[0]
    gradient = 0.01 * rng.normal(size=COUNT)
    gradient[held] = 5.0, -5.0
    space = box(np.where(np.arange(COUNT) == 0, 0.0, -9.0), np.where(np.arange(COUNT) == 3, 0.0, 9.0))
    step, promised = bounded_step(space, np.zeros(COUNT), gradient, data, bend, 0.0)
    newton = -np.linalg.solve(whole[np.ix_(free, free)], gradient[free])
    np.testing.assert_array_equal(step[held], 0.0)
    np.testing.assert_allclose(step[free], newton, rtol=1e-9)
    assert promised == pytest.approx(-0.5 * gradient[free] @ newton)


def test_what_meets_a_bound_stays_there_and_the_others_go_on(box):
    """Where the model opens upwards for those that meet none, it is at its least for them."""
    met = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        data, bend = matrices(rng, rng.choice(COUNT, 1))
        whole, gradient = data + bend, 10.0 * rng.normal(size=COUNT)
        lower, upper = -rng.uniform(0.05, 0.5, COUNT), rng.uniform(0.05, 0.5, COUNT)
        step, promised = bounded_step(box(lower, upper), np.zeros(COUNT), gradient, data, bend, 0.0)
        assert promised > 0
        assert (step >= lower).all()
        assert (step <= upper).all()
        inside = np.flatnonzero((step > lower + 1e-9) & (step < upper - 1e-9))
        if 0 < len(inside) < COUNT:
            own = np.ix_(inside, inside)
            if np.linalg.eigvalsh((1 - LEAST_CURVATURE) * data[own] + bend[own])[0] > 0:
                met += 1
                np.testing.assert_allclose((gradient + whole @ step)[inside], 0.0, atol=1e-8)
    assert met > 15


def test_where_it_opens_downwards_the_step_goes_down(box):
    """Near a maximum: away from it, not to it."""
    data, bend = np.eye(COUNT), -3.0 * np.eye(COUNT)
    gradient = np.full(COUNT, 0.1)
    step, promised = bounded_step(
        box(-9.0 * np.ones(COUNT), 9.0 * np.ones(COUNT)), np.zeros(COUNT), gradient, data, bend, 0.0
    )
    np.testing.assert_allclose(step, -0.05)
    assert promised > 0
