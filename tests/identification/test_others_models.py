"""People of models that others built are found again: the benchmark `bodies.py` in its reduced form."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

import mjx_msm as msm

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
@pytest.mark.parametrize("name", ["MyoElbow"])  # the knee of MyoLegs needs the benchmark's longer trials
def test_a_person_of_a_model_of_myosim(name, bodies):
    source, part = bodies.BODIES[name]
    model = msm.load_model(source, **part)
    person = bodies.somebody(model, seed=1)
    trials = msm.synthetic_trials(model, person, count=3, duration=1.5, seed=1)
    error, unknowns = bodies.worst(model, person, trials)
    assert unknowns >= 20
    assert error < bodies.TARGET
