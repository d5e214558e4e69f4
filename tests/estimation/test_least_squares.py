"""The solver on problems whose answers are known: closed forms, scipy, bounds, bad luck."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import equinox as eqx
import numpy as np
import pytest
from scipy.optimize import minimize

from mjx_msm.estimation import least_squares
from mjx_msm.estimation.least_squares import (
    NOISE_FLOOR,
    TOLERANCE,
    better,
    freedom,
    minimise,
    noise,
    unknowns_used,
    weighted,
)
from mjx_msm.estimation.residuals.term import AbstractExpansion, AbstractTerm, Quadratic
from mjx_msm.person.space import parameter_space

LIMIT = 200


class Expansion(AbstractExpansion):
    def __init__(self, quadratic):
        self.quadratic = quadratic

    def reduce(self, scale):
        return self.quadratic

    def follow(self, change):
        return None


@dataclass(frozen=True, eq=False)
class Known(AbstractTerm):
    """r(z) = model(z) − data with rows (sample, coordinate), differentiated by complex steps."""

    function: Callable
    data: np.ndarray
    calls: list
    kind: ClassVar[str] = "moment"
    unit: ClassVar[str] = "N·m"

    @property
    def weight(self):
        return np.ones_like(self.data)

    @property
    def trial(self):
        return np.zeros(len(self.data), int)

    def signal(self):
        return self.data

    def evaluate(self, z, scale):
        return self.function(z) - self.data

    def expand(self, z, nuisance=None):
        self.calls.append(np.array(z))
        with np.errstate(all="ignore"):
            r = self.function(z) - self.data
            j = np.stack([self.function(z + 1e-30j * e).imag / 1e-30 for e in np.eye(len(z))], -1)
            squares = np.where(np.isfinite(r).all(), (r**2).sum(axis=0), np.inf)
            return Expansion(Quadratic(squares, np.einsum("rcp,rc->cp", j, r), np.einsum("rcp,rcq->cpq", j, j)))


@pytest.fixture(scope="module")
def box(arm):
    """A parameter space of as many unknowns as wanted, with any bounds and priors."""

    def make(count, lower=-5.0, upper=5.0, mean=0.0, scale=np.inf):
        every = [f"muscle/{m}/{f}" for f in ("max_isometric_force", "optimal_fiber_length") for m in arm.muscles]
        space = parameter_space(arm.nominal, every[:count])
        values = [np.broadcast_to(np.asarray(x, dtype=float), count).copy() for x in (lower, upper, mean, scale)]
        return eqx.tree_at(lambda s: (s.lower, s.upper, s.prior_mean, s.prior_scale), space, tuple(values))

    return make


@pytest.fixture(scope="module")
def term(arm):
    def make(space, function, data):
        data = np.asarray(data, dtype=float)
        return Known(arm, space, np.zeros((1, 1, 0)), np.zeros((6, 0)), function, data[:, None][:, :1]
                     if data.ndim == 1 else data, [])  # fmt: skip

    return make


def column(function):
    return lambda z: function(z)[:, None]


def posterior(terms, space, nu):
    """The negative log posterior with the noise scales at their best, for these degrees of freedom."""

    def cost(z):
        away = (z - space.prior_mean) / space.prior_scale
        out = 0.5 * away @ away
        for t, n in zip(terms, nu, strict=True):
            out += np.sum(0.5 * n * np.log((t.evaluate(z, None) ** 2).sum(axis=0) / n))
        return out

    return cost


def freedoms(terms, space, solution):
    parts = [t.expand(solution.z).reduce(s) for t, s in zip(terms, solution.scales, strict=True)]
    used = unknowns_used(space, parts, solution.scales)
    return [freedom(t, u) for t, u in zip(terms, used, strict=True)], float(sum(u.sum() for u in used))


@dataclass(frozen=True, eq=False)
class Bent(Known):
    """The same, with second derivatives by differences of complex steps."""

    def expand(self, z, nuisance=None):
        def slopes(z):
            return np.stack([self.function(z + 1e-30j * e).imag / 1e-30 for e in np.eye(len(z))], -1)

        plain = super().expand(z).quadratic
        bend = np.stack([(slopes(z + 1e-5 * e) - slopes(z - 1e-5 * e)) / 2e-5 for e in np.eye(len(z))], -1)
        curvature = np.einsum("rcpq,rc->cpq", bend, self.function(z) - self.data)
        return Expansion(Quadratic(plain.squares, plain.gradient, plain.hessian, curvature=curvature))


# Optima ----------------------------------------------------------------------------------------------------

T = np.linspace(0, 2, 60)


def decay(z):
    """Two decaying exponentials, in (ln amplitude, ln rate)."""
    return np.exp(z[0] - np.exp(z[1]) * T) + np.exp(z[2] - np.exp(z[3]) * T)


def test_exact_data_give_the_exact_optimum(box, term):
    truth = np.array([0.3, 1.2, -0.4, -0.5])
    space = box(4)
    data = term(space, column(decay), decay(truth))
    solution = minimise([data], space, np.array([0.0, 0.8, 0.0, 0.0]), limit=LIMIT)
    assert solution.converged
    np.testing.assert_allclose(solution.z, truth, atol=1e-4)
    assert solution.scales[0] == pytest.approx(NOISE_FLOOR["moment"])


@pytest.mark.parametrize("start", [(-1.2, 1.0), (3.0, -2.0)])
def test_a_curved_valley(box, term, start):
    """Rosenbrock."""
    space = box(2)
    valley = term(space, lambda z: np.stack([10 * (z[1] - z[0] ** 2), 1 - z[0]])[:, None], np.zeros(2))
    solution = minimise([valley], space, np.array(start), limit=LIMIT)
    np.testing.assert_allclose(solution.z, 1, atol=1e-3)


def test_noise_scale_is_the_rms_per_degree_of_freedom(box, term):
    """Two coordinates of different noise; the unknowns cost the one that determines them, the precise one."""
    rng, truth = np.random.default_rng(0), np.array([0.5, -0.3, 0.2])
    design = rng.normal(size=(500, 2, 3))
    data = design @ truth + rng.normal(size=(500, 2)) * [0.01, 3.0]
    space = box(3)
    t = term(space, lambda z: design @ z, data)
    solution = minimise([t], space, np.zeros(3), limit=LIMIT)
    assert solution.converged
    r = t.evaluate(solution.z, None)
    np.testing.assert_allclose(solution.scales[0], np.sqrt((r**2).sum(axis=0) / [497, 500]), rtol=1e-6)
    np.testing.assert_allclose(solution.scales[0], [0.01, 3.0], rtol=0.1)
    weights = solution.scales[0] ** -2.0  # weighted least squares, in closed form
    normal = np.einsum("rcp,c,rcq->pq", design, weights, design)
    best = np.linalg.solve(normal, np.einsum("rcp,c,rc->p", design, weights, data))
    sd = np.sqrt(np.diag(np.linalg.inv(normal)))
    assert (np.abs(solution.z - best) < 2e-3 * sd).all()


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e4])
@pytest.mark.parametrize("seed", [0, 1])
def test_priors_pull_as_the_posterior_says(box, term, unit, seed):
    """scipy on the same negative log posterior; hardly determined unknowns; the unit of the data does not matter."""
    rng = np.random.default_rng(seed)
    scale = np.array([0.3, 0.1, 1.0, 0.5])
    space = box(4, mean=rng.normal(size=4) * 0.2, scale=scale)
    design = rng.normal(size=(40, 4)) * [1, 0.3, 0.05, 1]
    data = unit * (design @ rng.normal(size=4) + rng.normal(size=40))
    t = term(space, column(lambda z: unit * (design @ z)), data)
    solution = minimise([t], space, np.zeros(4), limit=LIMIT)
    assert solution.converged
    nu, used = freedoms([t], space, solution)
    assert 0 < used < 4
    best = minimize(posterior([t], space, nu), solution.z, tol=1e-12, method="BFGS", options={"gtol": 1e-9})
    hessian = weighted([t.expand(best.x).reduce(None)], solution.scales)[1] + np.diag(scale**-2.0)
    sd = np.sqrt(np.diag(np.linalg.inv(hessian)))
    assert (np.abs(solution.z - best.x) < 5e-3 * sd).all(), (solution.z - best.x) / sd
    prior = np.linalg.solve(hessian, np.diag(scale**-2.0)) @ space.prior_mean  # its part of the mean, in closed form
    likely = np.linalg.solve(hessian, design.T @ data * unit / solution.scales[0] ** 2)
    np.testing.assert_allclose(solution.z, prior + likely, atol=5e-3 * sd.max())


def test_the_posterior_of_a_nonlinear_problem(box, term):
    rng, truth = np.random.default_rng(3), np.array([0.3, 1.2, -0.4, -0.5])
    space = box(4, mean=0.0, scale=0.7)
    t = term(space, column(decay), decay(truth) + 0.02 * rng.normal(size=60))
    solution = minimise([t], space, np.array([0.0, 0.8, 0.0, 0.0]), limit=LIMIT)
    assert solution.converged
    nu, _ = freedoms([t], space, solution)
    cost = posterior([t], space, nu)
    best = minimize(cost, solution.z, method="BFGS", options={"gtol": 1e-7})
    assert cost(solution.z) - best.fun < 1e-3
    assert solution.scales[0] == pytest.approx(0.02, rel=0.2)


def test_terms_share_the_unknowns(box, term):
    """Two terms of very different noise count as their noise says."""
    rng, truth = np.random.default_rng(4), np.array([0.4, -0.2])
    designs = rng.normal(size=(2, 300, 2))
    noises = (0.01, 5.0)
    space = box(2)
    terms = [term(space, column(lambda z, x=x: x @ z), x @ truth + s * rng.normal(size=300))
             for x, s in zip(designs, noises, strict=True)]  # fmt: skip
    solution = minimise(terms, space, np.zeros(2), limit=LIMIT)
    assert [float(s[0]) for s in solution.scales] == pytest.approx(noises, rel=0.1)
    alone = minimise(terms[:1], space, np.zeros(2), limit=LIMIT)
    np.testing.assert_allclose(solution.z, alone.z, atol=1e-4)


def test_unknowns_cost_the_terms_that_share_them_once(box, term):
    """Two terms of 30 samples each and 10 unknowns: on average over 200 draws, the scales are those of the noise.

    Counted once for every term, the unknowns would leave 20 degrees of freedom instead of 25: 12 % too much noise.
    """
    rng, space, found = np.random.default_rng(8), box(10), []
    for _ in range(200):
        designs = rng.normal(size=(2, 30, 10))
        terms = [term(space, column(lambda z, x=x: x @ z), x @ np.full(10, 0.2) + 0.1 * rng.normal(size=30))
                 for x in designs]  # fmt: skip
        solution = minimise(terms, space, np.zeros(10), limit=LIMIT)
        found.append(np.concatenate(solution.scales) ** 2 / 0.1**2)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(200)
    assert (np.abs(mean - 1) < 3 * error).all(), mean
    assert (error < 0.03).all()


def test_what_the_unknowns_use_up(box, term):
    """Of two coordinates of one term that see different unknowns each pays for its own; a strong prior pays for all."""
    rng = np.random.default_rng(9)
    design = rng.normal(size=(60, 2, 3)) * [[[1, 1, 0], [0, 0, 1]]]
    data = 0.01 * rng.normal(size=(60, 2))
    for scale, expected in ((np.inf, [2, 1]), (1e-6, [0, 0])):
        space = box(3, scale=scale)
        t = term(space, lambda z: design @ z, data)
        (used,) = unknowns_used(space, [t.expand(np.zeros(3)).reduce(None)], [np.full(2, 0.01)])
        np.testing.assert_allclose(used, expected, atol=1e-3)


# Bounds ----------------------------------------------------------------------------------------------------


def test_bounds_hold_exactly_and_the_active_one_is_found(box, term):
    """A correlated problem: clipping the free optimum is not the answer, the quadratic program is."""
    rng = np.random.default_rng(5)
    design = rng.normal(size=(200, 3)) @ np.array([[1, 0.9, 0], [0, 0.3, 0.2], [0, 0, 1.0]])
    data = design @ np.array([0.8, -0.6, 0.3]) + 0.05 * rng.normal(size=200)
    space = box(3, lower=[-1, -0.2, -1], upper=[2.0, 1, 1])
    t = term(space, column(lambda z: design @ z), data)
    solution = minimise([t], space, np.zeros(3), limit=LIMIT)
    for z in t.calls:
        assert (z >= space.lower).all()
        assert (z <= space.upper).all()
    assert solution.z[1] == space.lower[1]
    sides = list(zip(space.lower, space.upper, strict=True))
    expected = minimize(lambda z: ((design @ z - data) ** 2).sum(), np.zeros(3), bounds=sides, tol=1e-14)
    np.testing.assert_allclose(solution.z, expected.x, atol=1e-4)
    free = np.linalg.lstsq(design, data, rcond=None)[0]
    assert np.abs(np.clip(free, space.lower, space.upper) - solution.z).max() > 0.1


def test_a_start_outside_is_brought_in(box, term):
    space = box(2, lower=0.0, upper=1.0)
    t = term(space, column(lambda z: z), np.array([0.5, 2.0]))
    solution = minimise([t], space, np.array([-3.0, 9.0]), limit=LIMIT)
    assert (t.calls[0] >= 0).all()
    assert (t.calls[0] <= 1).all()
    np.testing.assert_allclose(solution.z, [0.5, 1.0], atol=1e-3)
    assert solution.z[1] == 1.0


# Bad luck --------------------------------------------------------------------------------------------------


def test_an_interrupt_returns_the_last_iterate(box, term):
    space, seen = box(4), []
    t = term(space, column(decay), decay(np.array([0.3, 1.2, -0.4, -0.5])))

    def report(solution):
        seen.append(solution.z.copy())
        if len(seen) == 3:
            raise KeyboardInterrupt

    solution = minimise([t], space, np.array([0, 0.8, 0, 0]), limit=LIMIT, report=report)
    assert solution.interrupted
    assert not solution.converged
    np.testing.assert_array_equal(solution.z, seen[-1])


def test_an_interrupt_inside_an_evaluation_returns_the_last_iterate(box, term):
    space, seen = box(4), []
    t = term(space, column(decay), decay(np.array([0.3, 1.2, -0.4, -0.5])))

    def stops(z):
        if len(t.calls) == 4:
            raise KeyboardInterrupt
        return column(decay)(z)

    object.__setattr__(t, "function", stops)
    solution = minimise(
        [t], space, np.array([0.0, 0.8, 0.0, 0.0]), limit=LIMIT, report=lambda s: seen.append(s.z.copy())
    )
    assert solution.interrupted
    np.testing.assert_array_equal(solution.z, seen[-1])


def test_points_that_are_not_finite_are_rejected(box, term):
    """Full steps lead where the model has no value; shorter ones do not."""
    space = box(2)

    def wall(z):
        out = np.stack([np.log(z[0]) * 3 + z[1], z[1] - 0.5, z[0] - 0.05])
        return np.where(z.real[0] > 0, out, np.nan)[:, None]

    t, costs = term(space, wall, np.zeros(3)), []
    solution = minimise([t], space, np.array([4.5, 2.0]), limit=LIMIT, report=lambda s: costs.append(s.cost))
    assert any(z[0] <= 0 for z in t.calls), "the wall was never met"
    assert np.isfinite(costs).all()
    assert (np.diff(costs) < 0).all()
    assert solution.converged
    expected = minimize(lambda z: np.sum(wall(z) ** 2) if z[0] > 0 else 1e9, [0.5, 0.3], method="Nelder-Mead",
                        options={"xatol": 1e-9, "fatol": 1e-14})  # fmt: skip
    np.testing.assert_allclose(solution.z, expected.x, atol=1e-3)


def test_a_start_that_is_not_finite_is_returned_as_it_is(box, term):
    space = box(2)
    t = term(space, lambda z: np.full((3, 1), np.nan) * z[0], np.zeros(3))
    solution = minimise([t], space, np.array([1.0, 2.0]), limit=LIMIT)
    assert not solution.converged
    assert not np.isfinite(solution.cost)
    np.testing.assert_allclose(solution.z, [1, 2])


@pytest.mark.parametrize("scale", [np.inf, 0.3])
def test_unknowns_that_nothing_determines_stay_or_go_to_the_prior(box, term, scale):
    """x0 + x1 is seen, x2 is not: nothing runs away."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=50)
    space = box(3, mean=[0.1, -0.2, 0.4], scale=scale)
    t = term(space, column(lambda z: x * (z[0] + z[1]) + 0 * z[2]), 0.7 * x + 0.01 * rng.normal(size=50))
    start = np.array([0.5, 0.5, 1.5])
    solution = minimise([t], space, start, limit=LIMIT)
    assert solution.converged
    assert solution.evaluations < 30
    assert solution.z[0] + solution.z[1] == pytest.approx(0.7, abs=0.01)
    assert solution.scales[0] == pytest.approx(0.01, rel=0.3)
    if np.isfinite(scale):
        assert solution.z[2] == pytest.approx(0.4, abs=1e-3)
        assert solution.z[0] - solution.z[1] == pytest.approx(0.3, abs=1e-3)
    else:
        assert np.abs(solution.z - start).max() < 0.5
        assert solution.z[2] == pytest.approx(1.5, abs=1e-6)


def test_the_limit_on_evaluations_is_kept(box, term):
    space = box(2)
    for limit in (1, 2, 5):
        valley = term(space, lambda z: np.stack([10 * (z[1] - z[0] ** 2), 1 - z[0]])[:, None], np.zeros(2))
        solution = minimise([valley], space, np.array([-1.2, 1.0]), limit=limit)
        assert len(valley.calls) == solution.evaluations == limit
        assert not solution.converged


def test_every_iterate_is_better_and_reported(box, term):
    space, told = box(4), []
    rng = np.random.default_rng(7)
    t = term(space, column(decay), decay(np.array([0.3, 1.2, -0.4, -0.5])) + 0.05 * rng.normal(size=60))
    solution = minimise(
        [t], space, np.array([0.0, 0.8, 0.0, 0.0]), limit=LIMIT, report=lambda s: told.append((s.cost, *s.z))
    )
    assert told[-1] == (solution.cost, *solution.z)
    assert (np.diff([c for c, *_ in told]) < 0).all()
    assert told[0][0] - told[-1][0] > TOLERANCE


def test_degrees_of_freedom_and_the_floor(box, term):
    space = box(3)
    t = term(space, column(lambda z: np.zeros(4)), np.zeros(4))
    np.testing.assert_allclose(freedom(t, np.array([1.0])), 3.0)
    np.testing.assert_allclose(freedom(t, np.array([3.9])), 1.0)  # never fewer than one
    np.testing.assert_allclose(noise(t, np.array([12.0]), np.array([3.0])), 2.0)
    np.testing.assert_allclose(noise(t, np.zeros(1), np.array([3.0])), NOISE_FLOOR["moment"])


# Second derivatives ----------------------------------------------------------------------------------------


def test_what_the_model_cannot_explain_bends_the_posterior(box, term, monkeypatch):
    """The nearest points of three unit circles to points far outside: what is left is 3 to 40 times the radius, which
    is how far the curvature is from Gauss–Newton's. Where second derivatives are not known they are learnt."""
    angle, distance = np.array([0.3, -0.2, 0.9]), np.array([4.0, 20.0, 41.0])
    space = box(3, lower=-1.5, upper=1.5)

    def circles(z):
        return np.concatenate([np.cos(z), np.sin(z)])

    data = np.concatenate([distance * np.cos(angle), distance * np.sin(angle)])
    flat = term(space, column(circles), data)
    bent = Bent(flat.model, space, flat.envelope, flat.mixing, flat.function, flat.data, [])

    def evaluations(t):
        count = 0
        for start in ([0.0, 0.0, 0.0], [1.4, 1.0, -0.9]):
            found = minimise([t], space, np.array(start), limit=LIMIT)
            assert found.converged
            np.testing.assert_allclose(found.z, angle, atol=0.02)
            count += found.evaluations
        return count

    known, learnt = evaluations(bent), evaluations(flat)
    monkeypatch.setattr(least_squares, "_learnt", lambda *_: None)
    without = evaluations(flat)
    assert without > 2 * known
    assert learnt < 0.7 * without


def test_a_posterior_that_opens_downwards_is_left(box, term):
    """From near a maximum, on the far side of the circle: second derivatives alone would lead back to it."""
    space = box(1, lower=-4.0, upper=4.0)
    flat = term(space, column(lambda z: np.concatenate([np.cos(z), np.sin(z)])), np.array([5.0, 0.0]))
    bent = Bent(flat.model, space, flat.envelope, flat.mixing, flat.function, flat.data, [])
    found = minimise([bent], space, np.array([3.0]), limit=LIMIT)
    assert found.converged
    np.testing.assert_allclose(found.z, 0.0, atol=1e-3)


# Kinks -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Uphill(Known):
    """The same, with the slope of the wrong sign."""

    def expand(self, z, nuisance=None):
        known = super().expand(z).quadratic
        return Expansion(Quadratic(known.squares, -known.gradient, known.hessian))


def test_steps_that_all_lose_are_no_kink(box, term):
    """A twentieth of a standard deviation off the optimum: shorter ones are tried before the solver gives up."""
    line, noise = np.linspace(-1, 1, 60), np.random.default_rng(0).normal(size=60)
    plain = term(box(1), column(lambda z: z[0] * line), noise)
    space, wrong = plain.space, Uphill(plain.model, plain.space, plain.envelope, plain.mixing, plain.function,
                                       plain.data, [])  # fmt: skip
    start = minimise([plain], space, np.zeros(1), limit=LIMIT).z + 0.05 / np.linalg.norm(line)
    minimise([wrong], space, start, limit=LIMIT)
    tried = np.abs(np.concatenate(wrong.calls) - start)
    tried = tried[tried > 0]
    assert len(tried) > least_squares.UNKEPT
    assert tried[-1] < 0.02 * tried[0]


class Foreseen(Expansion):
    """Nuisance unknowns that are never where they were foreseen: at every look on the other of two sides."""

    def __init__(self, quadratic, side):
        super().__init__(quadratic)
        self.side = side

    def follow(self, change):
        return self.side + 1


@dataclass(frozen=True, eq=False)
class Restless(Known):
    def expand(self, z, nuisance=None):
        side = 0 if nuisance is None else int(nuisance)
        moved = Known(self.model, self.space, self.envelope, self.mixing, self.function,
                      self.data * (1.0 + 0.1 * (side % 2)), self.calls)  # fmt: skip
        return Foreseen(moved.expand(z).quadratic, side)


def test_ends_that_never_settle_come_to_an_end(box, term):
    line, noise = np.linspace(-1, 1, 60), np.random.default_rng(0).normal(size=60)
    plain = term(box(1), column(lambda z: z[0] * line), 3 * line + noise)
    restless = Restless(plain.model, plain.space, plain.envelope, plain.mixing, plain.function, plain.data, [])
    found = minimise([restless], plain.space, np.zeros(1), limit=5000)
    assert not found.converged
    assert found.evaluations < 500
    best = float(line @ plain.data[:, 0] / (line @ line))
    assert min(abs(found.z[0] - best), abs(found.z[0] - 1.1 * best)) < 1e-3, "of one side or the other"
    assert found.place is not None
    assert found.place.ends[-1] > least_squares.RETURNS
    assert not found.spent
    assert minimise([restless], plain.space, np.zeros(1), limit=5).spent


def test_ends_that_every_count_brings_nearer_are_no_circle(box, term, monkeypatch):
    """Seven samples of two columns for five unknowns: each count of these changes the noise by which the next one is
    made, and the cost of ends rises for longer than circles are borne with."""
    rng = np.random.default_rng(1)
    lines = rng.normal(size=(2, 7, 5))
    data = (lines @ rng.normal(size=5)).T + rng.normal(size=(7, 2))
    one = term(box(5, scale=1.0), lambda z: (lines @ z).T, data)
    assert minimise([one], one.space, np.zeros(5), limit=LIMIT).converged
    monkeypatch.setattr(least_squares, "NEARER", 0.0)
    assert not minimise([one], one.space, np.zeros(5), limit=LIMIT).converged


def test_points_are_compared_by_one_count_of_unknowns(box, term):
    """Where residuals do not move, no unknown is used up; with it counted, the better of two points seems worse."""
    moves, stays = np.array([1.0, 1.0, -1.0, -1.0]), np.array([1.0, -1.0, 1.0, -1.0])
    one = term(
        box(1, scale=10.0), column(lambda z: 0.01 * (stays + 0.2 * np.cos(2.5 * np.pi * z) * moves)), np.zeros(4)
    )
    still, moving = np.zeros(1), np.ones(1)
    alone = [minimise([one], one.space, z, limit=1).cost for z in (still, moving)]
    assert alone[0] < alone[1]
    for pair in ((still, moving), (moving, still)):
        assert better([one], one.space, *pair) == moving
