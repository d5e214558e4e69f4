"""What was not estimated: intervals as wide as if it had been, and it is named where the recordings contradict it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mjx_msm import InputError, Settings, identify
from mjx_msm.estimation.least_squares import Solution
from mjx_msm.estimation.residuals.freed import with_unknown_courses
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.identification import allowance
from mjx_msm.identification.allowance import _MUSCLE, MOMENT_ARM, TOGETHER, _contradicted, _geometry
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.synthetic import synthetic_trials

STRENGTH = ("muscle/*/max_isometric_force",)
EVERYTHING = (*(f"muscle/*/{f}" for f in _MUSCLE), "joint/*/damping")
RATE = 100.0

pytestmark = pytest.mark.filterwarnings("ignore::mjx_msm.common.errors.InputWarning")


def recorded(arm, person, noise=1.0):
    """Two seconds of motion, and the moments that a person would have in it."""
    (trial,) = synthetic_trials(arm, arm.nominal, count=1, duration=2.0, rate=RATE, seed=4)
    blank = replace(trial, moment_coordinates=arm.coordinates, moment=np.zeros_like(trial.position))
    space = parameter_space(person.with_channels(arm.muscles), STRENGTH)
    term = moment_term(arm, space, [record(arm, blank, {m: {m: 1.0} for m in arm.muscles})], RATE)
    exact = term.evaluate(space.prior_mean, np.ones(2))
    return replace(blank, moment=exact + noise * np.random.default_rng(0).standard_normal(exact.shape))


def of(arm, trial, free=STRENGTH, **settings):
    return identify(arm, trial, free=free, residuals=("moment",), rate=RATE, **settings)


@pytest.fixture(scope="module")
def trial(arm):
    return recorded(arm, arm.nominal)


@pytest.fixture(scope="module")
def strengths(arm, trial):
    return of(arm, trial)


@pytest.mark.slow
def test_intervals_are_as_wide_as_if_everything_had_been_estimated(arm, trial, strengths):
    """But for what is curved between the two estimates, and the moment arms."""
    everything, exact = of(arm, trial, EVERYTHING, held="exact"), of(arm, trial, held="exact")
    ratio, before = [], []
    for e, narrow in zip(strengths.estimates, exact.estimates, strict=True):
        k = [u.members for u in everything.unknowns].index((e.path,))
        shift = np.log(e.value / everything.estimates[k].value)
        expected = np.sqrt(everything.covariance[k][k] + MOMENT_ARM**2 + shift**2)
        ratio.append(e.sd / e.value / expected)
        before.append(narrow.sd / narrow.value / expected)
    assert 0.8 < np.median(ratio) < 1.5
    assert min(ratio) > 0.6
    assert np.median(before) < 0.5


def test_what_is_exact_is_not_allowed_for(arm, trial, strengths, tmp_path):
    exact = of(arm, trial, held="exact")
    assert exact.z == strengths.z
    assert exact.covariance == strengths.covariance
    assert exact.samples == strengths.samples
    for k, (narrow, wide) in enumerate(zip(exact.estimates, strengths.estimates, strict=True)):
        assert narrow.sd / narrow.value == pytest.approx(np.sqrt(exact.covariance[k][k]), rel=1e-6)
        assert wide.low < narrow.low < narrow.high < wide.high
        assert wide.data_share < narrow.data_share
    assert "intervals allow for what was not estimated" in str(strengths)
    assert "intervals allow for what was not estimated" not in str(exact)
    assert Identification.load(strengths.save(tmp_path / "r.json")) == strengths


def test_what_the_recordings_contradict_is_named(arm):
    """Of what is held, what would have gone further than its own uncertainty; what was estimated is not meant."""
    space = parameter_space(arm.nominal, EVERYTHING)
    step, sd = np.zeros(space.size), np.full(space.size, 0.1)
    step[1:4] = -0.5, 1.0, 0.4
    said = _contradicted(space, step, sd)
    assert [line.split(" ")[0] for line in said] == [space.paths[k] for k in (2, 1, 3)]
    assert "by 10 standard deviations for a larger one: free it" in said[0]
    assert "for a smaller one" in said[1]
    assert _contradicted(space, 0.2 * step, sd) == ()


def test_moment_arms_that_are_off_together_are_resistance_unless_moments_were_recorded(arm):
    """A motion is the same where all moments, and all masses and damping, are as much larger."""
    space = parameter_space(arm.nominal, (*STRENGTH, "body/forearm/mass", "body/forearm/com/z", "joint/*/damping"))
    z = space.prior_mean
    motion, moments = (_geometry(space, z, arm.nominal, scaled=s) for s in (False, True))
    strength = np.array([p.endswith("force") for p in space.paths])
    np.testing.assert_allclose(motion[strength], np.hypot(MOMENT_ARM, TOGETHER))
    np.testing.assert_allclose(moments[strength], MOMENT_ARM)
    parts = {"body/forearm/mass": 1.0, "body/forearm/com/z": abs(z[space.paths.index("body/forearm/com/z")])}
    for k in np.flatnonzero(~strength):
        assert motion[k] == pytest.approx(TOGETHER * parts.get(space.paths[k], z[k]))
        assert moments[k] == 0.0


def test_moments_beside_unmeasured_muscles_are_moments(arm, trial, monkeypatch):
    """Of which no mass is found, and which say how large everything is."""
    asked: list[Any] = []

    def rest(problem, person, *, moving):
        asked.append(moving)
        return parameter_space(person, ["joint/elbow_flex/damping"])

    def geometry(*given, scaled):
        asked.append(scaled)
        return np.zeros(space.size)

    monkeypatch.setattr(allowance, "_rest", rest)
    monkeypatch.setattr(allowance, "_geometry", geometry)
    space = parameter_space(arm.nominal.with_channels(arm.muscles), ["muscle/TRIlong/max_isometric_force"])
    own = {m: {} if m == "BRA" else {m: 1.0} for m in arm.muscles}
    term = with_unknown_courses(arm, moment_term(arm, space, [record(arm, trial, own)], 25.0), {"BRA": "projected"})
    problem: Any = SimpleNamespace(model=arm, space=space, settings=Settings(free=STRENGTH))
    z = space.prior_mean
    known = allowance.uncertainty(np.eye(1), space.prior_scale, score=np.eye(1), width=space.upper - space.lower)
    allowance.allowed(problem, [term], Solution(z, [np.ones(2)], cost=1.0), known)
    assert asked == [False, True]


def test_how_well_the_rest_is_known_is_one_of_two():
    with pytest.raises(InputError, match="held = 'known' is unknown"):
        Settings(free=STRENGTH, held="known")
