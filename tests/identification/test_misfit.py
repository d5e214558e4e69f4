"""Influence of a trial: exact where the moments are linear in what is unknown."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from results import fit

from mjx_msm.estimation.residuals.term import Quadratic
from mjx_msm.identification.misfit import INFLUENTIAL, _without, influence
from mjx_msm.knowledge.pulled_apart import pulled_apart
from mjx_msm.knowledge.wording import called


class Linear:
    """What `influence` asks of a term: sums over every trial."""

    def __init__(self, a, y, trial):
        self.a, self.y, self.trial, self.weight = a, y, trial, np.ones((len(y), 1))

    def expand(self, z):
        each = []
        for i in np.unique(self.trial):
            a, r = self.a[self.trial == i], self.a[self.trial == i] @ z - self.y[self.trial == i]
            each.append(([r @ r], [a.T @ r], [a.T @ a]))
        squares, gradient, hessian = (np.array(x) for x in zip(*each, strict=True))
        return SimpleNamespace(by_trial=Quadratic(squares, gradient, hessian))


def three_dampings(prior: np.ndarray) -> Any:
    """Three unknowns, far from their bounds."""
    paths = tuple(f"joint/{name}/damping" for name in ("hip", "knee", "ankle"))
    return SimpleNamespace(
        size=3, prior_scale=prior, lower=np.full(3, -9.0), upper=np.full(3, 9.0), paths=paths, members=((),) * 3
    )


def three_trials(space: Any) -> Any:
    """A problem of one joint."""
    return SimpleNamespace(
        space=space, recordings=tuple(SimpleNamespace(name=x) for x in "abc"), model=SimpleNamespace(free=("knee",)),
        settings=SimpleNamespace(unmeasured={}),
    )  # fmt: skip


def test_influence_is_what_leaving_a_trial_out_does():
    rng, scale, prior = np.random.default_rng(1), np.array([0.5]), np.array([2.0, 2.0, 2.0])
    a, trial = rng.normal(size=(90, 3)), np.repeat([0, 1, 2], 30)
    y = a @ [1.0, -0.5, 0.3] + rng.normal(0, 0.5, 90)
    y[trial == 2] += a[trial == 2] @ [0.0, 1.5, 0.0]  # one trial has another opinion of one unknown

    def best(rows):
        h = a[rows].T @ a[rows] / scale**2 + np.diag(prior**-2.0)
        return np.linalg.solve(h, a[rows].T @ y[rows] / scale**2), np.linalg.inv(h)

    z, covariance = best(trial >= 0)
    space = three_dampings(prior)
    term: Any = Linear(a, y, trial)
    found = influence(three_trials(space), term, scale, z, covariance)
    for i, name in enumerate("abc"):
        away = best(trial != i)[0] - z
        moved = np.abs(away) / np.sqrt(np.diag(covariance))
        assert ((name, "knee") in found) == (moved.max() > INFLUENTIAL)
        if (name, "knee") in found:
            said = found[name, "knee"]
            assert said.name == called(space.paths[int(np.argmax(moved))])
            assert said.by == pytest.approx(moved.max(), rel=1e-6)
            assert said.signal == pytest.approx(np.sqrt(np.mean((a[trial == i] @ away) ** 2)), rel=1e-6)
    assert ("c", "knee") in found
    both = [replace(fit("identify", trial=t), without=found["c", "knee"]) for t in ("slow", "fast")]
    (apart,) = pulled_apart(both)
    assert apart.name == called(space.paths[1])
    assert set(apart.by) == {"slow", "fast"}


def test_of_what_a_trial_alone_tells_it_contradicts_nobody():
    """The others say nothing of the first unknown: without it that goes back to its prior, which is no news."""
    rng, prior = np.random.default_rng(0), np.array([2.0, 2.0, 2.0])
    a, trial = rng.normal(size=(90, 3)), np.repeat([0, 1, 2], 30)
    a[trial != 0, 0] *= 0.01
    y = a @ [5.0, -0.5, 0.3] + rng.normal(0, 0.5, 90)
    h = a.T @ a / 0.25 + np.diag(prior**-2.0)
    z = np.linalg.solve(h, a.T @ y / 0.25)
    term: Any = Linear(a, y, trial)
    assert abs(z[0]) > 10.0 * np.sqrt(np.linalg.inv(h)[0, 0])
    found = influence(three_trials(three_dampings(prior)), term, np.array([0.5]), z, np.linalg.inv(h))
    assert ("a", "knee") not in found


def test_kinds_are_compared_by_what_chance_makes_of_the_move():
    """Hausman: without one of two kinds that agree, an estimate moves by its chance move as often as a normal does."""
    rng, prior, sigma = np.random.default_rng(0), np.full(3, 50.0), 0.5
    a = [rng.normal(size=(40, 3)) for _ in range(2)]
    information = [x.T @ x / sigma**2 for x in a]
    whole = np.linalg.inv(sum(information) + np.diag(prior**-2.0))
    rest = np.linalg.inv(information[1] + np.diag(prior**-2.0))
    space = three_dampings(prior)
    problem: Any = SimpleNamespace(space=space)
    y = [x @ [1.0, -0.5, 0.3] for x in a]
    y[0] = y[0] + a[0] @ [0.0, 1.0, 0.0]  # the first kind has another opinion of one unknown
    z = whole @ sum(x.T @ v / sigma**2 for x, v in zip(a, y, strict=True))
    gradients = [x.T @ (x @ z - v) / sigma**2 for x, v in zip(a, y, strict=True)]
    moved = _without(problem, information, gradients, z, whole, by_chance=True)
    step = rest @ (a[1].T @ y[1]) / sigma**2 - z
    expected = np.abs(step) / np.sqrt(np.diag(rest) - np.diag(whole))
    assert moved[0].name == called(space.paths[int(np.argmax(expected))])
    assert moved[0].by == pytest.approx(expected.max(), rel=1e-6)
