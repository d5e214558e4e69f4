"""Static optimisation against SciPy's active-set and SQP solvers, on loads that muscles can carry and cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import lsq_linear, minimize

from mjx_msm.common.errors import InputError
from mjx_msm.envs.human.load_sharing import share

DOFS = (1, 2, 3)


def random_load(rng, dofs: int, feasible: bool, muscles: int = 9):
    """Moments [N·m] of muscles of very different strength, a third of them without arm; a load; weights; tops."""
    moments = rng.normal(size=(dofs, muscles)) * (rng.random((dofs, muscles)) > 0.3) * rng.uniform(1, 60, muscles)
    weight, top = rng.uniform(0.5, 2, muscles), rng.uniform(0.3, 1, muscles)
    wanted = moments @ (top * rng.uniform(0, 1, muscles) * (rng.random(muscles) < 0.6))
    if not feasible:
        wanted = wanted + 0.3 * rng.normal(size=dofs) * np.abs(moments).sum()
    return moments, wanted, weight, top


def nearest(moments, wanted, weight, top, stiffness=1e9):
    """The activations by an active-set method, moments wanted so much more than little effort."""
    stiff = np.sqrt(stiffness / np.mean(np.sum(moments**2, axis=1)))
    rows = np.vstack((stiff * moments, np.diag(np.sqrt(weight))))
    right = np.concatenate((stiff * wanted, np.zeros(len(weight))))
    return lsq_linear(rows, right, (0, top), method="bvls", tol=1e-15).x


@pytest.mark.parametrize("dofs", DOFS)
def test_a_load_that_can_be_carried_is(dofs):
    rng = np.random.default_rng(dofs)
    for _ in range(300):
        moments, wanted, weight, top = random_load(rng, dofs, True)
        activation, _ = share(moments, wanted, weight, top)
        assert activation.min() >= 0
        assert (activation <= top).all()
        np.testing.assert_allclose(moments @ activation, wanted, atol=1e-5 * np.abs(moments).max())
        # As little effort as an active-set method finds. It misses the moments by a little, at a little less effort.
        theirs = nearest(moments, wanted, weight, top)
        assert weight @ activation**2 <= weight @ theirs**2 * (1 + 1e-5) + 1e-9
        np.testing.assert_allclose(activation, theirs, atol=1e-4)


@pytest.mark.parametrize("dofs", DOFS)
def test_the_same_as_a_general_solver(dofs):
    """SciPy's SQP, which knows nothing of the dual."""
    rng = np.random.default_rng(10 + dofs)
    for _ in range(8):
        moments, wanted, weight, top = random_load(rng, dofs, True)
        ours = share(moments, wanted, weight, top).activation
        theirs = minimize(
            lambda a, w=weight: w @ a**2,
            0.5 * top,
            jac=lambda a, w=weight: 2 * w * a,
            bounds=[(0, t) for t in top],
            constraints={"type": "eq", "fun": lambda a, m=moments, t=wanted: m @ a - t, "jac": lambda a, m=moments: m},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert theirs.success
        np.testing.assert_allclose(ours, theirs.x, atol=1e-5)


@pytest.mark.parametrize("dofs", DOFS)
def test_a_load_that_cannot_be_carried_is_come_near(dofs):
    rng = np.random.default_rng(20 + dofs)
    beyond = 0
    for _ in range(300):
        moments, wanted, weight, top = random_load(rng, dofs, False)
        activation, _ = share(moments, wanted, weight, top)
        closest = lsq_linear(moments, wanted, (0, top), method="bvls", tol=1e-15).x
        missed, least = (np.linalg.norm(moments @ a - wanted) for a in (activation, closest))
        beyond += least > 1e-3 * np.linalg.norm(wanted)
        assert missed <= least * (1 + 1e-6) + 1e-5 * np.abs(moments).max()
        assert ((activation >= 0) & (activation <= top)).all()
    assert beyond > 100


@pytest.mark.parametrize("dofs", DOFS)
@pytest.mark.parametrize("feasible", [True, False])
def test_where_one_starts_does_not_matter(dofs, feasible):
    rng = np.random.default_rng(30 + dofs)
    for _ in range(100):
        moments, wanted, weight, top = random_load(rng, dofs, feasible)
        cold = share(moments, wanted, weight, top)
        for start in (share(moments, 0.9 * wanted, weight, top).multiplier, rng.normal(size=dofs), np.zeros(dofs)):
            warm = share(moments, wanted, weight, top, start).activation
            np.testing.assert_allclose(warm, cold.activation, atol=1e-5)


def test_two_muscles_by_hand():
    """Of two muscles with the same arm the lighter weight carries twice as much, until it is at its top."""
    moments, weight = np.array([[10.0, 10.0, -10.0]]), np.array([1.0, 2.0, 1.0])
    for load, expected in (
        (0.0, [0, 0, 0]),
        (9.0, [0.6, 0.3, 0]),
        (18.0, [1, 0.8, 0]),
        (30.0, [1, 1, 0]),
        (-4, [0, 0, 0.4]),
    ):
        found = share(moments, np.array([load]), weight).activation
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("dofs", DOFS)
def test_muscles_without_an_arm_stay_still(dofs):
    found = share(np.zeros((dofs, 4)), np.ones(dofs)).activation
    np.testing.assert_array_equal(found, 0)
    found = share(np.ones((dofs, 4)), np.zeros(dofs)).activation
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("dofs", DOFS)
def test_jax_gives_the_same_over_many_people(dofs, x64):
    rng = np.random.default_rng(40 + dofs)
    loads = [random_load(rng, dofs, k % 2 == 0) for k in range(200)]
    ours = jax.jit(jax.vmap(lambda *load: share(*load).activation))(*(jnp.stack(x) for x in zip(*loads, strict=True)))
    for load, activation in zip(loads, ours, strict=True):
        np.testing.assert_allclose(activation, share(*load).activation, atol=2e-6)


@pytest.mark.parametrize("dofs", DOFS)
def test_single_precision_is_near(dofs):
    rng = np.random.default_rng(50 + dofs)
    loads = [random_load(rng, dofs, True) for _ in range(100)]
    stacked = (jnp.asarray(np.stack(x), jnp.float32) for x in zip(*loads, strict=True))
    ours = np.asarray(jax.jit(jax.vmap(lambda *load: share(*load).activation))(*stacked))
    for (moments, wanted, _, _), activation in zip(loads, ours, strict=True):
        assert np.abs(moments @ activation - wanted).max() < 1e-3 * np.abs(moments).sum()


@pytest.mark.parametrize("dofs", DOFS)
@pytest.mark.parametrize("feasible", [True, False])
def test_derivatives_are_finite_differences(dofs, feasible, x64):
    rng = np.random.default_rng(60 + dofs)
    step = 1e-6 if feasible else 2e-5  # beyond reach λ is large, and activation is exact to 1e-8 only
    probe = rng.normal(size=9)
    slopes = jax.jit(jax.grad(lambda *load: share(*load).activation @ probe, argnums=(0, 1, 2, 3)))
    close = []
    for _ in range(12):
        load = random_load(rng, dofs, feasible)
        found = slopes(*(jnp.asarray(x) for x in load))
        assert not np.any(found[0][:, ~load[0].any(axis=0)])
        for k, slope in enumerate(found):
            way = rng.normal(size=slope.shape) * (load[k] != 0)  # no arm at all is a kink
            h = step * np.abs(load[k]).max()
            ends = [share(*load[:k], load[k] + s * h * way, *load[k + 1 :]).activation @ probe for s in (1, -1)]
            difference = (ends[0] - ends[1]) / (2 * h)
            close.append(abs(np.sum(slope * way) - difference) < 100 * step * (1 + abs(difference)))
    assert np.mean(close) > (0.95 if feasible else 0.9)  # now and then a muscle meets its end within the step


def test_no_more_than_three():
    with pytest.raises(InputError, match="4 degrees of freedom"):
        share(np.ones((4, 6)), np.ones(4))
