"""Several starting points: which of them go on."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mjx_msm.estimation.least_squares import Solution
from mjx_msm.identification.search import APART, GO_ON, _basins

COUNT = 100.0


def term() -> Any:
    space = SimpleNamespace(prior_mean=np.zeros(1), prior_scale=np.ones(1))
    return SimpleNamespace(weight=np.ones((int(COUNT), 1)), space=space)


def came_to(value: float) -> Solution:
    """A solution with this negative log posterior."""
    return Solution(np.zeros(1), [np.exp(np.full(1, value / COUNT))], cost=value)


def test_the_best_basins_go_on_each_once():
    values = [3.0, -5.0, 7.0, -5.0 + 0.1 * APART, -1.0, np.inf, 5.0]
    found = [came_to(v) if np.isfinite(v) else Solution(np.zeros(1), [np.ones(1)]) for v in values]
    kept = _basins([term()], found)
    assert [s.cost for s in kept] == pytest.approx([-5.0, -1.0, 3.0])
    assert len(kept) == GO_ON


def test_where_nothing_was_found_one_goes_on_all_the_same():
    lost = Solution(np.zeros(1), [np.ones(1)])
    assert _basins([term()], [lost, lost]) == [lost]
