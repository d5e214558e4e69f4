"""Muscles without EMG, by unknown courses: found beside them, said, predicted with, kept, and gone on with."""

from dataclasses import replace

import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.estimation.residuals.moment import MomentTerm, moment_term
from mjx_msm.identification.problem import Problem
from mjx_msm.identification.resume import resumed
from mjx_msm.knowledge.log_posterior import posterior_of
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.settings import Settings

DEEP = ("BRA", "TRImed")
PATH = "muscle/TRIlong/max_isometric_force"


@pytest.fixture(scope="module")
def recorded(arm):
    """Moments with 0.2 N·m of noise by an arm whose TRIlong is 20 % stronger."""
    truth = arm.nominal.updated({PATH: 1.2 * arm.nominal.to_dict()[PATH]})
    space = parameter_space(truth.with_channels(arm.muscles), [PATH])
    out, rng = [], np.random.default_rng(0)
    for trial in msm.synthetic_trials(arm, truth, count=2, duration=1.0, rate=100, seed=5):
        blank = replace(trial, moment_coordinates=arm.free, moment=np.zeros_like(trial.position))
        term = moment_term(arm, space, [record(arm, blank, {m: {m: 1.0} for m in arm.muscles})], 100.0)
        moment = term.evaluate(space.prior_mean, np.ones(2))
        out.append(replace(blank, moment=moment + 0.2 * rng.standard_normal(moment.shape)))
    return out


def asked(method, free=(PATH,)):
    mixes = {m: {} if m in DEEP else {m: 1.0} for m in ("TRIlong", "TRIlat", "TRImed", "BIClong", "BICshort", "BRA")}
    return Settings(
        free=free, residuals=("moment",), rate=50.0, held="exact", emg_map=mixes, unmeasured=dict.fromkeys(DEEP, method)
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["projected", "effort"])
def test_a_biarticular_muscle_is_found_beside_unknown_ones(arm, recorded, method, tmp_path):
    """It crosses the shoulder, which neither of the unmeasured does."""
    first, second = recorded
    with pytest.warns(InputWarning, match="determine 1 of 1 parameters") as said:
        result = msm.identify(arm, first, held_out=[second], settings=asked(method))
    assert {warning.filename for warning in said} == {__file__}
    found = result[PATH]
    truth = 1.2 * arm.nominal.to_dict()[PATH]
    assert found.determined
    assert found.low < truth < found.high
    assert abs(found.value / truth - 1) < 0.05
    stand_ins = [note for note in result.notes if "no EMG; in another recording" in note]
    assert {note.partition(":")[0] for note in stand_ins} == set(DEEP)
    for note in stand_ins:
        assert ("no more than a guess" in note) == (float(note.rpartition("r = ")[2][:4]) < 0.5)
    assert result.unmeasured == dict.fromkeys(DEEP, method)
    assert set(result.emg_map["BRA"]) <= set(arm.muscles) - set(DEEP)
    assert {f.role for f in result.fits} == {"identify", "held-out"}
    assert result.stages[-1].noise["moment/elbow_flex"] == pytest.approx(
        next(f.identified for f in result.fits if f.role == "identify" and f.coordinate == "elbow_flex"), rel=1e-6
    )
    posterior = posterior_of(arm, [first], result)  # in which trials weigh as they did in the estimate
    assert isinstance(posterior.terms[0], MomentTerm)
    assert posterior.terms[0].relative is None
    again = msm.Identification.load(result.save(tmp_path / "r.json"))
    assert again == replace(result, samples=again.samples)
    z, stages, _ = resumed(again, Problem.build(arm, [first], asked(method)), {})
    np.testing.assert_allclose(z, result.z)
    assert stages == []  # it settles at once
    other = Problem.build(arm, [first], asked("effort" if method == "projected" else "projected"))
    with pytest.raises(InputError, match="another unmeasured"):
        resumed(again, other, {})
    predicted = msm.predict(again, replace(second, moment=None, moment_coordinates=()), draws=3)
    assert all(np.isfinite(curves.value).all() for curves in predicted.curves.values())


@pytest.mark.slow
def test_nothing_to_learn_from_is_said(arm, recorded):
    """Of the elbow alone, which an unmeasured flexor and an unmeasured extensor cross; draws are the prior's, then."""
    trial = replace(recorded[0], moment=np.where([False, True], recorded[0].moment, np.nan))
    with pytest.warns(InputWarning, match="nothing is left to learn from: unknown courses of TRImed, BRA"):
        result = msm.identify(arm, trial, settings=asked("projected"))
    assert not result[PATH].determined
    assert msm.completed_draws(arm, trial, result) is result
    blank = replace(recorded[1], moment=None, moment_coordinates=())
    band = msm.predict(result, blank, draws=100).curves["moment"]
    width = (band.high - band.low)[:, list(arm.free).index("elbow_flex")]
    assert width.max() > 5.0  # [N·m]: of TRIlong, by as much as nobody knows how strong it is


def test_settings_say_what_does_not_go_together():
    with pytest.raises(InputError, match=r"'BRA' by .*guess.* is unknown.*synergies are channels"):
        replace(asked("effort"), unmeasured={"BRA": "guess"})
    with pytest.raises(InputError, match="choose one for all"):
        replace(asked("effort"), unmeasured={"BRA": "effort", "TRImed": "projected"})
    with pytest.raises(InputError, match="'BIClong' has EMG in emg_map"):
        replace(asked("effort"), unmeasured={"BIClong": "effort"})
    with pytest.raises(InputError, match=r"need residuals = \['moment'\].*not motion"):
        replace(asked("effort"), residuals=("motion",))
    with pytest.raises(InputError, match='need loss = "normal"'):
        replace(asked("effort"), loss="student")
