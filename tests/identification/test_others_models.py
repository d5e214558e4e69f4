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
@pytest.mark.parametrize(("name", "unknowns"), [("MyoElbow", 20), ("knee of MyoLegs with its patella", 32)])
def test_a_person_of_a_model_of_myosim(name, unknowns, bodies):
    error, count = bodies.found_again(name, 3, 1.5)
    assert count == unknowns
    assert error < bodies.TARGET


@myosim
@pytest.mark.slow
def test_a_person_of_myoarm_by_accelerations(bodies):
    """They are exact enough where they are derivatives of exact velocities."""
    error, count = bodies.found_again("shoulder elevation and elbow of MyoArm", 4, 2.0)
    assert count == 28
    assert error < bodies.TARGET


@pytest.mark.skipif(importlib.util.find_spec("opensim") is None, reason="needs the extra [opensim]")
@pytest.mark.slow
def test_a_person_of_an_imported_leg(bodies, data_dir, monkeypatch):
    """Rolling knee, fitted paths and all, as a file of OpenSim brings it."""
    monkeypatch.setenv("MJX_MSM_DATA", str(data_dir))
    error, count = bodies.found_again("leg of gait2392", 3, 1.5)
    assert count == 33
    assert error < bodies.TARGET


@pytest.mark.slow
def test_a_person_of_a_leg_that_meets_the_ground(bodies):
    """By MJX: in the first of four landings the foot touches it four times, and leaves it three."""
    error, count = bodies.found_again(bodies.LANDING, 4, 1.0)
    assert count == 11
    assert error < bodies.TARGET
