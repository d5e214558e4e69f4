"""A result in words: each sentence says what the numbers say, and the last one names what is most in the way."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from results import fit, result

import mjx_msm as msm
from mjx_msm.knowledge.belonging import Belonging
from mjx_msm.knowledge.goodness_of_fit import fit_tests, independent_samples
from mjx_msm.knowledge.judged_errors import measure, pooled, too_narrow, trial_predicted_worst
from mjx_msm.knowledge.muscle_checks import without_effect
from mjx_msm.knowledge.next_step import Matter, steps
from mjx_msm.knowledge.records import MuscleUse, Outcome, Stage
from mjx_msm.knowledge.standing import Standing, beside_default, beside_prior, remark, spans, width_text
from mjx_msm.knowledge.verdict import verdict
from mjx_msm.knowledge.wording import CLOSELY, called
from mjx_msm.person.kinds import kind_of

REPEATS = "not noise: they repeat themselves over 0.2 s, 99 count as 33"


def held(made, **parts):
    """The result with the parts of its unseen trials' moments that their bands hold."""
    rows = (replace(f, band=parts[f.trial]) if f.role != "identify" and f.trial in parts else f for f in made.fits)
    return replace(made, fits=tuple(rows))


def test_a_good_result():
    said = verdict(result(fit("identify", 1.5), fit("held-out", 2.0, ridge=3.0, mean_cycle=2.5)))
    assert len(said) == 6
    assert said[0].startswith(
        "Use its prediction of the moment as good to about 2 N·m (a typical error: root mean square, 20 % of the "
        "spread); every parameter is known by itself. The estimate converged"
    )
    assert "by 1.5 N·m" in said[1]
    assert "On held-out trials, it misses the moment by 2 N·m (spread 10 N·m)" in said[2]
    assert "mean cycle, misses it by 2.5 N·m: the model is the better prediction" in said[2]
    assert said[3] == "Intervals bear out: of reach the band of 95 % holds 95 %."
    assert said[4] == f"The recordings determine all 3 parameters {CLOSELY}."
    assert said[5] == "Next: use the person: `gymnasium.make` and `mjx-msm verify` take this folder."


def test_whose_error_is_whose():
    """Of a held-out trial, and of trials like those the person was made from; and no parameter by intervals that
    failed."""
    made = result(fit("cross-validated", 1.0), fit("held-out", 3.0, trial="run"))
    assert (
        "about 3 N·m (a typical error: root mean square, 30 % of the spread) of run, and 1 N·m (10 % of the "
        "spread) of trials like those it was made from; every" in (verdict(made)[0])
    )
    assert "no interval of a parameter is to be used yet" in verdict(held(made, run=0.35))[0]


@pytest.mark.parametrize(
    ("made", "next_step"),
    [
        (result(fit("identify")), "record another trial of the person and hold it out"),
        (result(*(fit("identify", trial=t) for t in "abc")), "hold a trial of the person out"),
        (
            result(replace(fit("identify", 6.0), against=(REPEATS,)), fit()),
            "find out why it fits poorly: check the electrodes",
        ),
        (result(fit(identified=11.0)), "look at reach, which it predicts worse than a constant"),
        (result(fit(ridge=1.0)), "worse than a regression lacks something, a muscle without EMG, passive tissue"),
        (
            replace(result(fit(ridge=1.0)), unmeasured={"BRA": "effort"}),
            "lacks something, EMG of BRA (its notes say what stands for that), passive tissue",
        ),
        (
            result(fit(), bounds=("upper", "", "")),
            "max_isometric_force can be believed, since only a bound holds it: check elec",
        ),
        (result(fit(), shares=(0.1, 0.1, 0.9)), "record more of the person (2 of 3 parameters are open)"),
        (result(fit(), outcome=Outcome.INTERRUPTED), "--resume"),
        (result(fit(), outcome=Outcome.MAX_EVALUATIONS), "--resume"),
        (result(fit(), outcome=Outcome.UNSETTLED), "begin from more places (`starts` in [identify]), or free fewer"),
        (result(fit(), outcome=Outcome.NOT_FINITE), "units and signs"),
        (result(fit("cross-validated", ridge=2.0)), "use the person"),
        (
            replace(result(fit(identified=11.0), shares=(0.1, 0.1, 0.1)), unmeasured={"BRA": "projected"}),
            "Next: measure one of BRA, record another joint that the measured muscles cross, or take synergies",
        ),
    ],
)
def test_what_to_do_next(made, next_step):
    assert next_step in verdict(made)[-1]


def test_what_one_start_found_and_looks_like_another_person_is_searched_for_again_first():
    """Nothing of the lab is to be checked before that."""
    poor = result(replace(fit("identify", 6.0), against=(REPEATS,)), fit())
    pushed = result(fit(), bounds=("upper", "upper", "lower"))
    away = tuple(replace(e, start=100.0) for e in pushed.estimates)
    for made in (poor, replace(pushed, estimates=away)):
        once, often = (steps(replace(made, stages=(replace(made.stages[0], starts=n),))) for n in (1, 25))
        assert once[0].matter is Matter.STARTS
        assert once[1:] == often
    assert steps(result(fit(), bounds=("upper", "", "")))[0].matter is not Matter.STARTS
    assert "`--starts 25`" in verdict(poor)[-1]
    of_study = verdict(poor, Belonging("walks", 6, "../../report.html"))[-1]
    assert "`starts = 10` in [identify] of the subject file or template that the study names" in of_study
    assert "--starts" not in of_study


def test_none_of_a_thing_is_no_bound_to_widen():
    made = result(fit(), bounds=("", "", "lower"))
    none = replace(made.estimates[2], value=0.0, low=0.0)
    said = verdict(replace(made, estimates=(*made.estimates[:2], none)))
    assert said[-2].endswith("Not counted, at a bound: joint/elbow_flex/damping.")
    assert "use the person" in said[-1]


def test_a_regression_that_is_better_is_said_to_be():
    assert "ridge misses it by only 1 N·m" in verdict(result(fit(ridge=1.0)))[1]
    assert "predicts no worse" in verdict(result(fit(ridge=2.02)))[1]


def test_a_regression_that_is_worse_than_a_constant_gives_way_to_it():
    said = verdict(result(fit(ridge=12.0)))[1]
    assert (
        "ridge regression on the same signals, misses it by 12 N·m, more than a constant does (10 N·m): beside the "
        "constant, the" in said
    )
    assert said.endswith("model is the better prediction.")
    assert "no better than a constant" in verdict(result(fit(identified=9.9, ridge=12.0)))[1]
    assert "constant" not in verdict(result(fit(ridge=9.0)))[1]


def test_what_stands_for_several_is_told_in_words():
    made = result(fit("identify"), bounds=("upper", "", ""))
    members = ("muscle/recfem/max_isometric_force", "muscle/vasmed/max_isometric_force")
    path, words = "muscle/[rv]*/max_isometric_force", "maximal isometric force of recfem and vasmed"
    tied = replace(made.estimates[0], path=path), replace(made.unknowns[0], members=members)
    made = replace(made, estimates=(tied[0], *made.estimates[1:]), unknowns=(tied[1], *made.unknowns[1:]))
    said = verdict(made)
    assert f"at a bound: {words}." in said[-2]
    assert f"ask whether {words} can be believed" in said[-1]
    assert "[rv]" not in " ".join(said)
    assert called("emg/*/delay", ("emg/a/delay", "emg/b/delay")) == "EMG delay of all channels"
    assert called(members[0], members[:1]) == members[0]


def test_the_model_with_its_discrepancy_is_no_rival():
    assert "by 2 N·m (spread 10 N·m)." in verdict(result(fit(with_discrepancy=0.1)))[1]


def test_held_out_trials_count_before_a_cross_validation():
    assert "by 3 N·m" in verdict(result(fit("cross-validated", 1.0), fit("held-out", 3.0)))[1]


def test_moments_are_judged_before_motions_and_trials_are_pooled():
    rows = (fit(identified=3.0), fit(identified=4.0), fit(identified=9.0, kind="motion"))
    assert measure(rows) == "moment"
    assert pooled(rows, kind="moment") == pytest.approx((12.5) ** 0.5)
    assert "by 3.54 N·m" in verdict(result(*rows))[1]


def test_angles_are_said_in_degrees():
    assert "the motion by 1.1°" in verdict(result(fit(identified=0.02, kind="motion")))[1]


def test_a_poor_fit_is_called_one_and_from_where_on_it_is():
    def said(error, *against):
        return verdict(result(replace(fit("identify", error), against=against), fit()))[1]

    assert said(4.9, REPEATS).endswith(
        "generic model by 8 N·m, and a constant by its spread, 10 N·m (the standard deviation of what was recorded)."
    )
    assert "poor fit: the error is more than 50 % of the spread" in said(6.0, REPEATS)
    assert "poor" not in said(6.0)
    assert said(6.0).endswith("does not repeat itself: noise of the recording.")
    assert "a constant would do better" in said(11.0)


def test_what_a_bound_holds_is_not_determined():
    made = result(fit(), bounds=("upper", "", ""))
    assert made.standing == (Standing.BOUND, Standing.DETERMINED, Standing.DETERMINED)
    assert "determine 2 of 3 parameters" in verdict(made)[-2]
    assert f"Not counted, at a bound: {made.estimates[0].path}." in verdict(made)[-2]


def test_an_interval_as_wide_as_what_was_allowed_determines_nothing():
    """Bounds are in the solver's coordinates: logarithms of a strength, a damping as it is."""
    made = result(fit())
    made = replace(made, unknowns=tuple(replace(u, prior_scale=10.0) for u in made.unknowns))
    strength, _, damping = made.estimates
    log, linear = made.unknowns[0], made.unknowns[2]
    wide = replace(strength, low=math.exp(log.lower), high=math.exp(log.upper))
    narrower = replace(strength, low=math.exp(log.lower + 0.01), high=math.exp(log.lower + 0.5))
    assert replace(made, estimates=(wide, *made.estimates[1:])).standing[0] is Standing.RANGE
    assert replace(made, estimates=(narrower, *made.estimates[1:])).standing[0] is Standing.DETERMINED
    wide = replace(damping, low=linear.lower, high=linear.upper)
    said = verdict(replace(made, estimates=(*made.estimates[:2], wide)))
    assert said[-2].endswith(f"Not counted, as wide as all that was allowed: {damping.path}.")


@pytest.mark.parametrize("ends", [(-1.0, -0.5), (0.6, 1.0)])
def test_an_interval_that_only_a_bound_ends_is_none(ends):
    """The gain of a channel that clips all along: any that is large enough does as well."""
    made = result(fit())
    e, u = made.estimates[0], replace(made.unknowns[0], prior_scale=10.0)
    e = replace(e, low=math.exp(ends[0]), high=math.exp(ends[1]))
    made = replace(made, estimates=(e, *made.estimates[1:]), unknowns=(u, *made.unknowns[1:]))
    assert made.standing[0] is Standing.ROUGH
    assert remark(e, u, Standing.ROUGH) == "only roughly: up to a bound"
    assert f"known only roughly: {e.path} (up to a bound)" in verdict(made)[-2]


@pytest.mark.parametrize(
    ("part", "standing", "said"),
    [
        (0.45, Standing.DETERMINED, ""),
        (0.55, Standing.PARTLY, "partly the prior's"),
        (0.75, Standing.PRIOR, "hardly narrower"),
        (1.2, Standing.PRIOR, "hardly narrower"),
    ],
)
def test_what_the_prior_had_told_is_not_told_by_the_recording(part, standing, said):
    """A slack length of 5 % before: to ±10 % it was known of anybody, whatever part of it is said to be the data's."""
    made = result(fit(), shares=(0.99, 0.99, 0.99))
    u = replace(made.unknowns[0], members=("muscle/BRA/tendon_slack_length",), prior_scale=0.05)
    half = part * 1.96 * 0.05
    e = replace(made.estimates[0], value=1.0, low=math.exp(-half), high=math.exp(half))
    assert beside_prior(e, u) == pytest.approx(part)
    assert width_text(e, u) == f"{100 * part:.0f} %"
    made = replace(made, estimates=(e, *made.estimates[1:]), unknowns=(u, *made.unknowns[1:]))
    assert made.standing[0] is standing
    assert remark(e, u, standing) == said
    assert ("partly from the prior" in verdict(made)[-2]) == (standing is Standing.PARTLY)


@pytest.mark.parametrize("wider", [1.0, 3.0, 100.0, math.inf])
def test_a_wider_prior_buys_nothing(wider):
    """Of a strength 30 % are usual: an interval of more than half of that is none, whatever was asked for."""
    made = result(fit(), shares=(0.99, 0.99, 0.99))
    u = replace(made.unknowns[0], lower=-9.0, upper=9.0, prior_scale=0.3 * wider)

    def standing(part):
        half = part * 1.96 * 0.3
        e = replace(made.estimates[0], value=1.0, low=math.exp(-half), high=math.exp(half))
        of = replace(made, estimates=(e, *made.estimates[1:]), unknowns=(u, *made.unknowns[1:]))
        return of.standing[0], remark(e, u, of.standing[0])

    assert standing(0.45) == (Standing.DETERMINED, "")
    said = (Standing.PARTLY, "partly the prior's"), (Standing.ROUGH, "only roughly: 55 % of the usual prior")
    assert standing(0.55) == said[wider > 1]
    narrower = replace(u, prior_scale=0.1)  # what is known of somebody beforehand counts, as ever
    assert beside_default(made.estimates[0], narrower) == beside_prior(made.estimates[0], narrower)


@pytest.mark.parametrize(("times", "standing"), [(1.9, Standing.DETERMINED), (2.1, Standing.ROUGH)])
def test_what_may_be_twice_as_much_is_known_only_roughly(times, standing):
    made = result(fit())
    e, u = made.estimates[0], replace(made.unknowns[0], lower=-5.0, upper=5.0, prior_scale=10.0)
    u = replace(u, members=("emg/BRA/gain",))
    e = replace(e, low=e.value / times, high=e.value * times)
    made = replace(made, estimates=(e, *made.estimates[1:]), unknowns=(u, *made.unknowns[1:]))
    assert made.standing[0] is standing
    rough = standing is Standing.ROUGH
    assert ("Not counted, known only roughly" in verdict(made)[-2]) == rough
    assert (remark(e, u, standing) == "only roughly: 4.4-fold") == rough


@pytest.mark.parametrize(
    ("low", "standing", "roughly"),
    [
        (0.4, Standing.DETERMINED, ""),
        (0.25, Standing.ROUGH, "4.8-fold"),
        (0.01, Standing.ROUGH, "120-fold"),
        (1e-9, Standing.ROUGH, "may be none"),
        (0.0, Standing.ROUGH, "may be none"),
    ],
)
def test_a_damping_is_positive_as_a_strength_is_and_may_be_none(low, standing, roughly):
    made = result(fit())
    unknown = replace(made.unknowns[2], lower=0.0, upper=20.0, prior_scale=10.0)
    damping = replace(made.estimates[2], low=low, high=1.2)
    found = replace(made, estimates=(*made.estimates[:2], damping), unknowns=(*made.unknowns[:2], unknown))
    assert found.standing[2] is standing
    assert (f"known only roughly: joint/elbow_flex/damping ({roughly})" in verdict(found)[-2]) == bool(roughly)


def test_what_has_a_sign_or_is_around_its_prior_is_told_in_its_unit():
    made = result(fit())
    for path in ("emg/biceps/shape", "body/forearm/com/x"):
        of = replace(made.unknowns[2], members=(path,), lower=-3.0, upper=3.0, prior_scale=10.0)
        half = 0.4 * 1.96 * kind_of(path).prior_scale
        e = replace(made.estimates[2], path=path, low=-half, high=half)
        assert spans(e, of) == 1.0
        assert remark(e, of, Standing.DETERMINED) == ""
        found = replace(made, estimates=(*made.estimates[:2], e), unknowns=(*made.unknowns[:2], of))
        assert found.standing[2] is Standing.DETERMINED


def test_a_cross_validation_that_a_regression_wins_is_told_beside_a_held_out_trial():
    unseen, folds = fit(ridge=3.0), fit("cross-validated", trial="walk", ridge=1.5)
    both = (
        "the model is the better prediction there, but cross-validated among walk, ridge is better (1.5 N·m, the model"
    )
    assert f"{both} 2 N·m)." in verdict(result(unseen, folds))[1]
    both = "the better prediction there, but its band of 95 % holds only 40 % and cross-validated among walk, ridge is"
    assert both in verdict(result(replace(unseen, band=0.4), folds))[1]
    assert "ridge is better" not in verdict(result(unseen, replace(folds, beside={"ridge": 2.5})))[1]


def test_what_rests_on_a_bound_is_asked_about_before_more_is_recorded():
    said = verdict(result(fit("identify"), shares=(0.1, 0.1, 0.9), bounds=("", "", "upper")))[-1]
    assert said.index("damping can be believed") < said.index("Then record more of the person")
    assert "a whole trial more to hold out" in said
    assert "hold out" not in verdict(result(fit(), shares=(0.1, 0.1, 0.9)))[-1]


def test_more_strides_are_no_advice_for_contractions_that_were_held():
    row = replace(fit("identify"), level=60.0)
    walked, held = (result(replace(row, held=h), shares=(0.1, 0.1, 0.9)) for h in (False, True))
    assert "strides" in verdict(walked)[-1]
    assert "strides" not in verdict(held)[-1]
    assert "contractions at three angles" in verdict(held)[-1]


def test_contractions_that_were_held_are_judged_by_their_size():
    row = replace(fit("identify", 11.0), against=(REPEATS,), held=True, level=60.0)
    said = verdict(result(row, fit()))
    assert "held at 60 N·m with a spread of 10 N·m (the standard deviation of what was recorded), it miss" in said[1]
    assert "poor" not in " ".join(said)
    said = verdict(result(replace(row, identified=13.0), fit()))
    assert said[1].endswith("That is a poor fit: more than 20 % of what was held.")
    assert "find out why it fits poorly" in said[-1]
    assert "a constant would do better" in verdict(result(replace(row, held=False), fit()))[1]
    unseen = replace(fit(identified=11.0), held=True)
    assert "worse than a constant" not in verdict(result(row, unseen))[-1]


def test_a_cross_validation_within_trials_is_said_to_flatter():
    row = fit("cross-validated", ridge=3.0)
    for made, flatters in ((row, False), (replace(row, within=True), True)):
        said = verdict(result(fit("identify"), made))
        assert ("That flatters" in said[2]) == flatters
        assert ("parts of the same trial" in said[2]) == flatters
        assert ("record another trial" in said[-1]) == flatters


def test_what_a_file_does_not_say_of_its_cross_validation_is_not_claimed():
    row = replace(fit("cross-validated", ridge=3.0), within=None)
    said = verdict(result(fit("identify"), fit("identify", trial="other"), row))
    assert said[2].startswith("Cross-validated, it misses")
    assert "Whether that was within trials, which flatters, a file of that version does not say." in said[2]
    assert "cross-validate again with `--cv-by trial`" in said[-1]


def test_none_of_a_thing_is_asked_about_where_much_is_to_be_recorded():
    made = result(fit(), shares=(0.1, 0.1, 0.9), bounds=("", "", "lower"))
    none = replace(made.estimates[2], value=0.0, low=0.0, high=0.9)
    said = verdict(replace(made, estimates=(*made.estimates[:2], none)))[-1]
    assert "damping can be believed" in said
    as_usual = replace(none, high=1.1)  # the recordings say too little to tell it from the generic one
    said = verdict(replace(made, estimates=(*made.estimates[:2], as_usual)))
    assert "damping can be believed" not in said[-1]
    assert "at a bound: joint/elbow_flex/damping" in said[-2]


def test_few_independent_samples_are_said_to_be_few():
    against = ("not noise: they repeat themselves over 0.2 s, 68 count as 2",)
    said = verdict(result(replace(fit("identify"), against=against), fit()))[-1]
    assert "its 68 samples repeat themselves and count as 2, fewer than its parameters" in said
    enough = ("not noise: they repeat themselves over 0.2 s, 68 count as 9",)
    assert "use the person" in verdict(result(replace(fit("identify"), against=enough), fit()))[-1]


def test_samples_are_counted_as_the_test_of_fit_says_it():
    slow = np.repeat(np.random.default_rng(0).normal(size=40), 10)
    made = [replace(fit("identify", trial=t), against=fit_tests(slow, 0.01, {})) for t in "ab"]
    counted = independent_samples(made)
    assert counted is not None
    samples, independent = counted
    assert samples == 800
    assert 40 < independent < 160
    assert independent_samples([*made, fit("identify", trial="white")]) is None


def test_a_band_that_holds_too_little_says_what_that_means():
    made = result(fit(trial="run"))
    assert "of run the band of 95 % holds 79 %. Something that the model lacks" in " ".join(
        verdict(held(made, run=0.79))
    )
    assert "Intervals bear out: of run the band of 95 % holds 94 %." in verdict(held(made, run=0.94))


def test_few_independent_samples_may_leave_a_band_by_chance():
    few = replace(fit("identify"), against=("not noise: they repeat themselves over 0.1 s, 68 count as 10",))
    said = " ".join(verdict(result(few, replace(fit(), band=0.85))))
    assert (
        "Intervals bear out, as far as so few independent samples tell: of reach the band of 95 % holds 85 %." in said
    )
    assert "till it is found intervals are not to be used" not in said
    assert "Intervals are too narrow" in " ".join(verdict(result(few, replace(fit(), band=0.8))))
    many = replace(few, against=("not noise: they repeat themselves over 0.1 s, 680 count as 100",))
    assert "Intervals are too narrow" in " ".join(verdict(result(many, replace(fit(), band=0.85))))


def test_of_many_bands_one_may_be_narrow_by_chance():
    """Ten trials to judge by, from ten whose samples count as forty each: 0.95 less 2.8 standard deviations."""
    made = [
        replace(
            fit("identify", trial=f"a{k}"), against=("not noise: they repeat themselves over 0.1 s, 400 count as 40",)
        )
        for k in range(10)
    ]
    unseen = [fit(trial=f"b{k}") for k in range(9)]
    assert not too_narrow([*made, *unseen, replace(fit(trial="worst"), band=0.86)])
    assert too_narrow([*made, *unseen, replace(fit(trial="worst"), band=0.84)])
    assert too_narrow([made[0], replace(fit(), band=0.87)])
    assert not too_narrow(made)


def test_one_start_is_said_to_be_one():
    assert "one start" in verdict(result(fit()))[0]
    stages = (Stage("moment", 1.0, 12, 3.4, {}, starts=25),)
    assert "from 25 starts" in verdict(result(fit(), stages=stages))[0]


def test_the_first_sentence_says_what_may_be_used():
    def first(*rows, **made):
        return verdict(result(*rows, **made))[0].partition(" The estimate")[0]

    open_ = {"shares": (0.1, 0.1, 0.9)}
    assert first(fit(), **open_).endswith(
        "(a typical error: root mean square, 20 % of the spread); no single parameter but "
        "joint/elbow_flex/damping is known."
    )
    assert first(fit(), shares=(0.1,) * 3).endswith("; no single parameter is known.")
    assert first(fit("identify")).startswith("Use it for no prediction yet, as nothing tells how good one is; ")
    assert first(fit(identified=11.0)).startswith(
        "Do not use its prediction of the moment: a constant would do better; "
    )
    assert ", 20 % of the spread), for which a regression is the better; " in first(fit(ridge=1.0))
    assert ", 20 % of the spread), but not the band of 95 % about it; " in first(replace(fit(), band=0.4))
    folds = replace(fit("cross-validated"), within=True)
    assert "2 N·m (a typical error: root mean square, 20 % of the spread), between parts of reach only; " in first(
        folds
    )


def test_a_joint_that_is_worse_than_a_constant_is_named_where_the_trial_is_not():
    good, bad = fit(identified=2.0), replace(fit(identified=6.0, spread=5.0), coordinate="shoulder")
    said = verdict(result(good, bad))[-1]
    assert "look at shoulder in reach, which it predicts worse than a constant would (though not the joints tog" in said
    assert trial_predicted_worst((good, bad)) == ""
    far = replace(bad, identified=16.0)
    assert "Next: look at reach, which it predicts worse than a constant would" in verdict(result(good, far))[-1]
    assert trial_predicted_worst((fit(), replace(far, trial="other"))) == "other"
    assert trial_predicted_worst((good, replace(far, held=True))) == ""
    assert "the generic model" not in said
    beaten = replace(bad, generic=5.5)
    assert "not the joints together; the generic model predicts it better" in verdict(result(good, beaten))[-1]


def test_where_a_signal_is_hardly_more_than_noise_no_prediction_is_worse_than_another():
    """Half a second with an arm's small moments: 1.2 N·m vary, 1.1 of them are noise."""
    noise, unseen = fit("identify", identified=1.1, spread=3.0), fit(identified=1.25, spread=1.2)
    assert trial_predicted_worst((noise, unseen)) == ""
    assert trial_predicted_worst((noise, replace(unseen, identified=1.6, spread=1.5))) == "reach"
    wrong = replace(noise, against=(REPEATS,))
    assert trial_predicted_worst((wrong, unseen)) == "reach"


def test_nobody_is_to_be_used_whose_band_or_joint_fails():
    made = result(fit(ridge=3.0))
    assert steps(held(made, reach=0.94))[0].matter is Matter.NOTHING
    assert steps(held(made, reach=0.78))[0].said.startswith(
        "look where in the curves of reach the recording leaves the band of 95 %"
    )
    assert steps(held(made, reach=None))[0].said.startswith(
        "see in the report whether the band holds what was held out"
    )
    other = replace(fit(ridge=1.0), coordinate="shoulder")
    assert steps(result(fit(ridge=30.0), other))[0].said.startswith(
        "look at shoulder in the curves of the report, which a"
    )


def test_delay_and_gain_of_the_emg_are_named_first_of_what_a_bound_holds():
    paths = ("muscle/A/max_isometric_force", "muscle/B/max_isometric_force", "joint/elbow_flex/damping", "emg/a/gain",
             "emg/*/delay")  # fmt: skip
    made = result(fit())
    bound = tuple(replace(made.estimates[0], path=path, low=1.05, bound="upper") for path in paths)
    made = replace(made, estimates=bound, unknowns=(made.unknowns[0],) * 5, z=made.z[:1] * 5)
    said = verdict(made)
    assert "at a bound: EMG delay of all channels, emg/a/gain, muscle/A/max_isometric_force and 2 more" in said[-2]
    assert (
        "ask whether EMG delay of all channels (1100 ms), emg/a/gain, muscle/A/max_isometric_force and 2 more"
        in said[-1]
    )
    assert "check whether EMG, motion and moment share a clock" in said[-1]
    assert "too narrow" not in said[-1]


def test_a_delay_at_its_upper_bound_comes_before_what_is_predicted_badly():
    """A clock that is wrong explains bad prediction everywhere; no delay at all is nothing impossible."""
    made = result(fit("identify"), fit(identified=11.0), bounds=("", "", "upper"))
    delay = replace(made.estimates[2], path="emg/*/delay", value=0.1, low=0.09, high=0.1, start=0.0)
    late = replace(made, estimates=(*made.estimates[:2], delay))
    assert [step.matter for step in steps(late)][:2] == [Matter.BOUND, Matter.TRIAL]
    assert "EMG delay of all channels (100 ms) can be believed" in steps(late)[0].said
    none = replace(delay, bound="lower", value=0.0, low=0.0, high=0.01, start=0.05)
    assert steps(replace(made, estimates=(*made.estimates[:2], none)))[0].matter is Matter.TRIAL


def test_a_fault_is_named_only_where_the_prediction_points_to_one():
    def said(r):
        return steps(result(replace(fit(identified=11.0), correlation=r)))[0].said

    assert said(-0.9).endswith("it goes against the recording (correlation -0.90), as with a wrong sign")
    assert said(0.95).endswith("but in another size: a unit, or a zero")
    assert said(0.3).endswith("constant would: a task that the others say nothing of, or else a muscle without EMG")
    assert said(math.nan) == said(0.3)


def test_channels_whose_muscles_cross_no_free_joint_are_not_counted():
    """soleus drives nothing that pulls at a free joint; a channel that drives one that does, too, stays."""
    made = result(fit(), channels=("soleus", "biceps"), shares=(0.1, 0.99, 0.99))
    gain = replace(made.estimates[0], path="emg/soleus/gain")
    made = replace(
        made,
        estimates=(gain, *made.estimates[1:]),
        unknowns=(replace(made.unknowns[0], members=(gain.path,)), *made.unknowns[1:]),
        emg_map={"BRA": {"biceps": 1.0}, "SOL": {"soleus": 1.0}},
        use=(MuscleUse("reach", "BRA", 0.6, 0.5, 0.0, 0.3),),
    )
    assert "determine all 2 parameters" in verdict(made)[-2]
    assert "soleus drives no muscle that crosses a free joint: the 1 EMG parameters of it cannot" in verdict(made)[-2]
    assert steps(made)[0].matter is Matter.NOTHING
    shared = replace(made, emg_map={"BRA": {"biceps": 1.0, "soleus": 0.5}})
    assert "determine 2 of 3 parameters" in verdict(shared)[-2]
    assert without_effect(replace(made, use=())) == {}


def test_a_joint_that_is_held_still_is_no_failure():
    held = fit(identified=0.007, spread=0.0035, kind="motion")
    assert "use the person" in verdict(result(held))[-1]


def test_what_it_names_exists():
    made = [result(fit(), shares=(0.1, 0.1, 0.9)), result(fit())]
    for name in re.findall(r"`msm\.(\w+)`", " ".join(verdict(made[0]) + verdict(made[1]))):
        assert hasattr(msm, name)


def test_a_notebook_shows_the_table():
    html = result(fit(trial="<i>"))._repr_html_()
    assert html.startswith("<pre")
    assert "muscle/BRA/max_isometric_force" in html
    assert "&lt;i&gt;" in html
    assert "<i>" not in html


def test_how_much_more_is_to_be_recorded_is_said_where_it_is_known():
    """Of two samples that count as such, three parameters take twice as many."""
    row = replace(fit("identify"), against=("not noise: they repeat themselves over 0.2 s, 99 count as 2",))
    assert "more of the person (its 99 samples repeat" in verdict(result(row, fit()))[-1]
    assert ": 2 times as many repetitions (strides, reaches)" in verdict(result(row, fit()))[-1]
    assert ": several repetitions (strides" in verdict(result(fit(), shares=(0.1, 0.1, 0.9)))[-1]
