"""People of models that others built are found again: the benchmark `bodies.py` in its reduced form."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "examples" / "benchmarks"
myosim = pytest.mark.skipif(importlib.util.find_spec("myo_sim") is None, reason="needs the extra [myosim]")


@pytest.fixture(scope="module")
def bodies():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("bodies")
    finally:
        sys.path.remove(str(BENCHMARKS))


@myosim
@pytest.mark.slow
def test_a_person_of_myoelbow(bodies):
    error, count = bodies.found_again("MyoElbow", 3, 1.5)
    assert count == 20
    assert error < bodies.TARGET


@myosim
@pytest.mark.slow
def test_accelerations_alone_come_near(bodies):
    """The rest, to 0.001 %, is that of the motion, which takes the benchmark's time."""
    error, count = bodies.found_again("knee of MyoLegs with its patella", 4, 2.0, residuals=("acceleration",))
    assert count == 32
    assert error < 0.1
