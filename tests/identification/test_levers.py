"""A force at a strap whose place is not well known: the lever is found where strength is known."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.identification.identify import identify
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.synthetic import synthetic_subject, synthetic_trials

SAID, TRUE = 0.30, 0.33
FREE = ["strap/elbow_flex/lever", "muscle/BRA/max_isometric_force"]


@pytest.fixture(scope="module")
def pushed(arm):
    """Elbow moments as a load cell has them that is at 0.33 m and said to be at 0.30 m."""
    rng, own = np.random.default_rng(0), {m: {m: 1.0} for m in arm.muscles}
    space = parameter_space(arm.nominal.with_channels(arm.muscles), ["muscle/BRA/max_isometric_force"])
    out = []
    for trial in synthetic_trials(arm, synthetic_subject(arm, seed=2), count=1, duration=0.8, seed=2):
        blank = replace(trial, moment_coordinates=arm.coordinates, moment=np.zeros_like(trial.position))
        moment = moment_term(arm, space, [record(arm, blank, own)], 500.0).evaluate(space.prior_mean, np.ones(2))
        moment = moment[:, [1]] * SAID / TRUE
        noise = 0.1 * rng.standard_normal(moment.shape)
        metadata = {**trial.metadata, "levers": {"elbow_flex": SAID}}
        out.append(replace(blank, moment=moment + noise, moment_coordinates=("elbow_flex",), metadata=metadata))
    return arm, out


@pytest.mark.slow
def test_a_lever_is_found_and_kept(pushed, tmp_path):
    model, trials = pushed
    priors = {FREE[0]: {"mean": SAID, "sd": 0.05}, FREE[1]: {"relative_sd": 0.001}}
    result = identify(model, trials, free=FREE, residuals=["moment"], priors=priors, rate=100)
    found = result[FREE[0]]
    assert found.value == pytest.approx(TRUE, rel=0.01)
    assert found.low < TRUE < found.high
    again = Identification.load(result.save(tmp_path / "r.json"))
    assert again.levers == {"elbow_flex": SAID}
    assert float(np.asarray(again.personalised(model).strap.lever)[0]) == pytest.approx(found.value)


def test_trials_that_disagree_about_a_strap_are_refused(pushed):
    model, (trial,) = pushed
    other = replace(trial, name="two", metadata={**trial.metadata, "levers": {"elbow_flex": 0.4}})
    with pytest.raises(InputError, match=r"the lever at 'elbow_flex' is 0.4 m, that of another trial 0.3 m"):
        identify(model, [trial, other], free=FREE, residuals=["moment"])
    plain = replace(trial, name="three", metadata={})
    with pytest.raises(InputError, match="the moment of 'elbow_flex' has no lever, that of another trial has one"):
        identify(model, [trial, plain], free=FREE, residuals=["moment"])
