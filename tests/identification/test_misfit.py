"""Influence of a trial: exact where the moments are linear in what is unknown."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from results import fit

from mjx_msm.estimation.residuals.term import Quadratic
from mjx_msm.identification.misfit import INFLUENTIAL, _influence, _without
from mjx_msm.knowledge.pulled_apart import pulled_apart
from mjx_msm.knowledge.wording import called


class Linear:
    """What `_influence` asks of a term: sums over every trial."""

    def __init__(self, a, y, trial):
        self.a, self.y, self.trial = a, y, trial

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
    problem: Any = SimpleNamespace(space=space, recordings=(None, None, None))
    term: Any = Linear(a, y, trial)
    found = _influence(problem, term, scale, z, covariance)
    for i in range(3):
        moved = np.abs(best(trial != i)[0] - z) / np.sqrt(np.diag(covariance))
        assert (i in found) == (moved.max() > INFLUENTIAL)
        if i in found:
            (said,) = found[i]
            assert called(space.paths[int(np.argmax(moved))]) in said
            assert f"{moved.max():.1f} standard deviations" in said
    assert 2 in found
    both = [replace(fit("identify", trial=t), against=(found[2][0],)) for t in ("slow", "fast")]
    (apart,) = pulled_apart(both)  # which reads these words
    assert apart.name == called(space.paths[1])
    assert apart.by["slow"] == pytest.approx(np.abs(best(trial != 2)[0] - z)[1] / np.sqrt(covariance[1, 1]), abs=0.06)


def test_of_what_a_trial_alone_tells_it_contradicts_nobody():
    """The others say nothing of the first unknown: without it that goes back to its prior, which is no news."""
    rng, prior = np.random.default_rng(0), np.array([2.0, 2.0, 2.0])
    a, trial = rng.normal(size=(90, 3)), np.repeat([0, 1, 2], 30)
    a[trial != 0, 0] *= 0.01
    y = a @ [5.0, -0.5, 0.3] + rng.normal(0, 0.5, 90)
    h = a.T @ a / 0.25 + np.diag(prior**-2.0)
    z, term = np.linalg.solve(h, a.T @ y / 0.25), Linear(a, y, trial)
    problem: Any = SimpleNamespace(space=three_dampings(prior), recordings=(None, None, None))
    assert abs(z[0]) > 10.0 * np.sqrt(np.linalg.inv(h)[0, 0])
    assert 0 not in _influence(problem, cast(Any, term), np.array([0.5]), z, np.linalg.inv(h))


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
    path, by = moved[0]
    assert path == called(space.paths[int(np.argmax(expected))])
    assert by == pytest.approx(expected.max(), rel=1e-6)
