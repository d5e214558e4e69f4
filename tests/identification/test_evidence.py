"""The marginal likelihood of moments against its integral."""

from typing import Any

import equinox as eqx
import numpy as np
import pytest

from mjx_msm.estimation.least_squares import Solution
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.term import Quadratic
from mjx_msm.identification.evidence import evidence
from mjx_msm.person.space import parameter_space

NOISE, SAMPLES = 2.0, 40


class Lines(MomentTerm):
    """Moments Xz − y of one recording."""

    def evaluate(self, z, scale):
        return (rows() @ z - data())[:, None]


def rows():
    """The second unknown moves nothing."""
    x = np.linspace(-1, 1, SAMPLES)
    return np.stack([1 + 0 * x, 0 * x, x], 1)


def data():
    return rows() @ [0.4, 0.0, 1.5] + NOISE * np.random.default_rng(0).normal(size=SAMPLES)


@pytest.mark.parametrize("bounded", [[1], [1, 2], [0, 1, 2], []])
def test_it_is_the_integral_over_the_unknowns(arm, bounded):
    """Of an even density between bounds what no data tell of counts for nothing, however wide these are."""
    space = parameter_space(arm.nominal, [f"muscle/{m}/max_isometric_force" for m in arm.muscles[:3]])
    sd = np.array([1.5, 0.7, 2.0])
    sd[bounded] = np.inf
    given = np.array([-60.0, -9.0, -40.0]), np.array([50.0, 3.0, 70.0]), np.array([0.1, 0.0, -0.2]), sd
    space = eqx.tree_at(lambda s: (s.lower, s.upper, s.prior_mean, s.prior_scale), space, given)
    width, precision, x, y = given[1] - given[0], np.diag(sd**-2.0), rows() / NOISE, data() / NOISE
    pull = x.T @ y + precision @ given[2]
    z = np.linalg.lstsq(x.T @ x + precision, pull, rcond=None)[0]

    term: Any = object.__new__(Lines)
    one = np.ones((SAMPLES, 1))
    for name, value in (("mask", one), ("recording", np.zeros(SAMPLES, int)), ("envelope", np.zeros((1, 1, 0))),
                        ("trust", None), ("relative", None)):  # fmt: skip
        object.__setattr__(term, name, value)
    left = rows() @ z - data()
    part = Quadratic(np.array([left @ left]), (rows().T @ left)[None], (rows().T @ rows())[None])
    found = evidence(space, [term], [part], Solution(z, [np.array([NOISE])]))
    assert found is not None

    # each even unknown that the data tell of has one over its width; the others are normal, and drop out where unseen
    even, seen = [k for k in bounded if k != 1], [0, 2]
    exact = -0.5 * np.sum((x @ z - y) ** 2) - SAMPLES * np.log(NOISE * np.sqrt(2 * np.pi))
    exact -= sum(np.log(width[k] / np.sqrt(2 * np.pi)) for k in even)
    usual = [k for k in range(3) if k not in bounded]
    exact -= sum(np.log(sd[k]) + 0.5 * ((z[k] - given[2][k]) / sd[k]) ** 2 for k in usual if k in seen)
    exact -= 0.5 * np.linalg.slogdet((x.T @ x + precision)[np.ix_(seen, seen)])[1]
    assert found.log_marginal_likelihood(1.0) == pytest.approx(exact, abs=0.01)
