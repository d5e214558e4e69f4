"""The accuracy claims of the README on few seeds, by the benchmark's own code."""

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "examples" / "benchmarks"


@pytest.fixture(scope="module")
def accuracy():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import accuracy
    finally:
        sys.path.remove(str(BENCHMARKS))
    return accuracy


@pytest.mark.parametrize(("name", "error"), [("arm", 0.1), ("arm", 0.5), ("knee", 0.3), ("knee", 0.5)])
def test_muscles_and_bones_together_from_far_away(accuracy, name, error):
    found, _ = accuracy.one_seed((name, error, 1))
    assert found <= accuracy.CONVERGED


def test_the_yardstick(accuracy):
    """An error in what is determined counts in full, one along what is not does not count."""
    judge = accuracy.indistinguishable("arm")
    space, truth = judge.case.space, judge.case.truth
    assert judge.error(truth) < 1e-8
    off = truth.copy()
    off[space.paths.index("muscle/BRA/optimal_fiber_length")] += 0.1
    assert judge.error(off) > 100 * 0.03 / space.size
    scaled = truth.copy()
    for k, path in enumerate(space.paths):  # everything that carries force or mass, together
        if path.endswith(("max_isometric_force", "mass")):
            scaled[k] += np.log(1.05)
        if path.endswith(("l11", "l22", "l33")):
            scaled[k] += 0.5 * np.log(1.05)
        if path.endswith("damping"):
            scaled[k] *= 1.05
    assert judge.error(scaled) < 1e-3
