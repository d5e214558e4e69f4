"""What speaks against a result before its numbers are used: muscles that do what nobody's do, trials that disagree, the
other foot's force, a gain that saturation holds, and a prediction far off outside its band."""

from dataclasses import replace

import numpy as np
import pytest
from results import estimate, fit, result

from mjx_msm.knowledge.muscle_checks import Doubt, doubtful_muscles, muscle_doubts
from mjx_msm.knowledge.next_step import Matter, steps
from mjx_msm.knowledge.pulled_apart import pulled_apart
from mjx_msm.knowledge.records import Moved, MuscleUse, Unknown
from mjx_msm.knowledge.reliance import Rely, reliance
from mjx_msm.knowledge.standing import Standing, remark, standings
from mjx_msm.knowledge.verdict import verdict
from mjx_msm.recordings.quality.crossed_steps import OtherFoot
from mjx_msm.views.replay import Replay, with_bands

MAP = {"vaslat": {"vastus": 1.0}, "vasmed": {"vastus": 1.0}}
USUAL = MuscleUse("walk", "vaslat", envelope=0.8, activation=0.4, full=0.0, pull=0.3)


def used(*changes):
    return tuple(replace(USUAL, **change) for change in changes)


@pytest.mark.parametrize(
    ("changed", "doubt", "said"),
    [
        ({"full": 0.26, "activation": 1.0}, Doubt.FULL, "vaslat is at full activation in 26 % of walk"),
        (
            {"pull": 0.004},
            Doubt.NOTHING,
            "vaslat pulls with less than 1 % of its strength throughout, although its EMG",
        ),
        (
            {"activation": 0.03},
            Doubt.FAINT,
            "the gain of vastus lets vaslat reach no more than 3 % activation, although that EMG reaches 80",
        ),
    ],
)
def test_what_hardly_anybody_does_is_told(changed, doubt, said):
    (found,) = doubtful_muscles(used(changed), MAP, efforts=False)
    assert found.doubt is doubt
    assert said in found.said
    made = replace(result(fit()), use=used(changed), emg_map=MAP)
    assert said in " ".join(verdict(made)[:-1])
    assert (said in verdict(made)[-1]) == (doubt is not Doubt.FAINT)  # a gain may be small as long as little is known


def test_an_active_muscle_that_hardly_pulls_is_told_with_its_slack_length():
    path = "muscle/vaslat/tendon_slack_length"
    weak = used({"activation": 0.43, "pull": 0.05})
    (found,) = doubtful_muscles(weak, MAP, efforts=False, bounds={path: "upper"})
    assert found.doubt is Doubt.SLACK
    assert found.said == (
        "vaslat is up to 43 % active yet pulls with 5 % of its strength at most: its tendon slack length is at its "
        "bound"
    )
    assert "slack" not in doubtful_muscles(weak, MAP, efforts=False)[0].said
    for less in ({"activation": 0.4, "pull": 0.05}, {"activation": 0.43, "pull": 0.06}):
        assert doubtful_muscles(used(less), MAP, efforts=False) == ()


def test_a_held_contraction_that_is_full_tells_no_more_than_that():
    row = replace(fit("identify"), held=True, level=60.0)
    full = {"full": 0.2, "activation": 1.0}
    (found,) = doubtful_muscles(used(full), MAP, efforts=True)
    assert found.doubt is Doubt.SATURATED
    said = verdict(replace(result(row, fit()), use=used(full), emg_map=MAP))
    assert "The EMG is full: vaslat is at full activation in 20 % of walk. What is beyond full" in " ".join(said)
    assert "Hardly plausible" not in " ".join(said)
    assert "full activation" not in said[-1]
    assert doubtful_muscles(used({**full, "full": 0.19}), MAP, efforts=True) == ()


def test_where_every_channel_is_relative_to_itself_no_gain_is_faint():
    made = replace(result(fit()), use=used({"activation": 0.03, "envelope": 1.0}), emg_map=MAP)
    assert [d.doubt for d in muscle_doubts(made)] == []
    assert "Record a maximal voluntary contraction (MVC) for every channel" in " ".join(verdict(made))
    told = replace(made, use=used({"activation": 0.03, "envelope": 0.9}))  # not at its own greatest
    assert [d.doubt for d in muscle_doubts(told)] == [Doubt.FAINT]
    open_ = replace(result(fit(), shares=(0.1, 0.1, 0.9)), use=made.use, emg_map=MAP)
    assert " ".join(verdict(open_)).count("(MVC)") == 1  # once, where more is to be recorded


def test_a_muscle_that_is_always_full_comes_before_the_other_foot_s_force():
    foot = OtherFoot("reach", ("elbow_flex",), ((0.4, 0.6),), 0.2)
    far = replace(fit(identified=11.0), apart=3.0)
    made = replace(result(far, other_foot=(foot,)), use=used({"full": 0.26, "activation": 1.0}), emg_map=MAP)
    assert [s.matter for s in steps(made)][:3] == [Matter.MUSCLE, Matter.OTHER_FOOT, Matter.TRIAL]
    weak = replace(made, use=used({"pull": 0.004}))
    assert steps(weak)[0].matter is Matter.OTHER_FOOT


def test_muscles_of_one_gain_are_told_of_together():
    faint = {"activation": 0.12}
    (found,) = doubtful_muscles(used(faint, {**faint, "muscle": "vasmed"}), MAP, efforts=False)
    assert "the gain of vastus lets vaslat and vasmed reach no more than 12 % activation" in found.said
    assert doubtful_muscles(used(faint, {"muscle": "vasmed"}), MAP, efforts=False) == ()


def test_muscles_of_one_channel_that_are_full_alike_are_told_of_together():
    full = {"activation": 1.0, "full": 0.3}
    alike = used(full, {**full, "muscle": "vasmed"})
    assert doubtful_muscles(alike, MAP, efforts=False)[0].said == (
        "vaslat and vasmed are at full activation in 30 % of walk"
    )
    assert len(doubtful_muscles(used(full, {**full, "muscle": "vasmed", "full": 0.4}), MAP, efforts=False)) == 2
    apart = {"vaslat": {"vastus": 1.0}, "vasmed": {"medial": 1.0}}
    assert len(doubtful_muscles(alike, apart, efforts=False)) == 2


def test_what_people_do_is_not():
    assert doubtful_muscles(used({}), MAP, efforts=False) == ()
    quiet = {"activation": 0.02, "pull": 0.0, "envelope": 0.1}
    assert doubtful_muscles(used(quiet), MAP, efforts=False) == ()  # a muscle at rest
    assert (
        doubtful_muscles(used({"pull": 0.0}, {"trial": "run"}), MAP, efforts=False) == ()
    )  # it pulls in another trial
    assert doubtful_muscles(used({"full": 0.1, "activation": 1.0}), MAP, efforts=True) == ()  # greatest effort


def moved(name, by, trial, signal=2.5):
    return replace(fit("identify", trial=trial), without=Moved(name, by, signal))


def test_trials_that_pull_a_parameter_apart_are_told_and_one_s_own_is_not():
    rows = moved("joint/knee/damping", 12.3, "slow"), moved("joint/knee/damping", 15.9, "fast", 4.0)
    (found,) = pulled_apart(rows)
    assert {trial: m.by for trial, m in found.by.items()} == {"slow": 12.3, "fast": 15.9}
    made = result(*rows, fit())
    assert (
        "Trials disagree: joint/knee/damping would move without slow by about 12 and without fast by about 16 standard "
        "deviations, and with it the moment by 2.5 N·m in slow and 4 N·m in fast."
    ) in " ".join(verdict(made))
    assert "identify once without each of slow and fast" in verdict(made)[-1]
    assert "their own moments move by 2.5 N·m in slow and 4 N·m in fast" in verdict(made)[-1]
    assert pulled_apart((rows[0], moved("emg/a/gain", 15.9, "fast"))) == ()
    assert pulled_apart((rows[0], moved("joint/knee/damping", 2.5, "fast"))) == ()
    hip = replace(moved("joint/knee/damping", 15.9, "fast", 9.0), coordinate="hip")
    assert "9 N·m in fast" in pulled_apart((*rows, hip))[0].said  # of two joints, the one that moves most
    assert rows[0].objections == (
        "without this trial joint/knee/damping would move by about 12 standard deviations, and the moment here by "
        "2.5 N·m",
    )


def test_the_other_foot_s_force_is_left_out_first_and_both_errors_are_told():
    """The replay tells the error without the samples in doubt: 1 N·m, beside 5 with them."""
    time = np.linspace(0.0, 1.0, 101)
    doubt = (time >= 0.4) & (time <= 0.6)
    recorded, predicted = np.zeros((101, 1)), np.where(doubt, 10.0, 1.0)[:, None]
    replay = Replay(
        "run", time, ("elbow_flex",), ("elbow_flex",), ("BRA",), time[:, None], np.full((101, 1), 0.1), {}, recorded,
        {"identified": predicted}, (predicted - 0.5, predicted + 0.5),
    )  # fmt: skip
    foot = OtherFoot("run", ("elbow_flex",), ((0.4, 0.6),), 0.2)
    made = result(fit("identify"), fit(identified=4.7, trial="run"), other_foot=(foot,))
    told = with_bands(made, [replay])
    assert told.fits[1].apart == pytest.approx(1.0)
    assert told.fits[0].apart is None
    assert steps(told)[0].matter is Matter.OTHER_FOOT
    assert '`other_foot = "masked"`' in verdict(told)[-1]
    assert "model lacks, or the other foot's force in what was recorded, shows there" in " ".join(verdict(told))
    assert "20 % of run are in doubt; without them the error is 1 N·m, with them 4.7 N·m" in verdict(told)[-1]
    good = replace(told, fits=(told.fits[0], replace(told.fits[1], band=0.95)))
    assert steps(good)[0].matter is not Matter.OTHER_FOOT  # nothing is missed
    alike = replace(told, fits=(told.fits[0], replace(told.fits[1], apart=4.7)))
    assert steps(alike)[0].matter is not Matter.OTHER_FOOT  # what is missed lies elsewhere
    few = replace(told, other_foot=(replace(foot, share=0.01),))
    assert steps(few)[0].matter is not Matter.OTHER_FOOT


def test_a_gain_where_the_emg_is_full_is_held_as_by_a_bound():
    path = "emg/vas/gain"
    gain, unknown = estimate(path, 1.0004), Unknown((path,), -3.0, 2.0, 0.0, 0.5)
    assert standings([gain], [unknown], {"vas": 1.0}) == (Standing.FULL,)
    assert remark(gain, unknown, Standing.FULL) == "where the EMG is full"
    assert standings([gain], [unknown]) == (Standing.DETERMINED,)
    assert standings([gain], [unknown], {"vas": 0.8}) == (Standing.DETERMINED,)
    assert standings([replace(gain, value=1.25)], [unknown], {"vas": 0.8}) == (Standing.FULL,)
    strength = replace(gain, path="muscle/vas/max_isometric_force")
    assert standings([strength], [replace(unknown, members=(strength.path,))], {"vas": 1.0}) == (Standing.DETERMINED,)


def test_what_is_far_off_outside_its_band_is_not_to_be_used():
    far = replace(fit(identified=5.4, trial="run"), band=0.34)
    made = result(fit("identify"), far, fit("cross-validated", 1.0, trial="walk"))
    assert (reliance(made.fits).rely, reliance(made.fits).astray) == (Rely.NO, ("run",))
    assert reliance(made.fits).words == "no: run far off and outside its band"
    assert verdict(made)[0].startswith(
        "Do not use its prediction of the moment for run, nor for movements like it: off by 5.4 N·m (a typical "
        "error: root mean square, 54 % of the spread), while the band of 95 % holds 34 %; "
        "of trials like those it was made from it is good to "
        "about 1 N·m (10 % of the spread); no interval"
    )
    beaten = replace(made, fits=(*made.fits[:2], replace(made.fits[2], beside={"kernel ridge": 0.6})))
    assert (
        "(10 % of the spread), where kernel ridge, without a model, is the better (0.6 N·m); no" in verdict(beaten)[0]
    )
    assert "which are not to be used either while intervals are too narrow" in " ".join(verdict(made))
    for row in (replace(far, band=0.95), replace(far, identified=4.0), replace(far, band=0.7)):
        assert reliance((row,)).rely is Rely.YES


def test_where_in_the_cycle_it_is_off_is_said_with_the_band():
    off = replace(fit(), band=0.4, deviates="on average 12 N·m too low from 50 to 70 % of the cycle")
    said = verdict(result(off))[-1]
    assert "holds 40 % of it (predicted on average 12 N·m too low from 50 to 70 % of the cycle); the model" in said
