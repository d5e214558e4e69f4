"""A result in words: each sentence says what the numbers say, and the last one names what is most in the way."""

import re
from dataclasses import replace

import pytest
from results import fit, result

import mjx_msm as msm
from mjx_msm.knowledge.records import Outcome, Stage
from mjx_msm.knowledge.verdict import measure, pooled, verdict


def test_a_good_result():
    said = verdict(result(fit("identify", 1.5), fit("held-out", 2.0, ridge=3.0, mean_cycle=2.5)))
    assert len(said) == 5
    assert said[0].startswith("The estimate converged")
    assert "by 1.5 N·m" in said[1]
    assert "On held-out trials, it misses the moment by 2 N·m (spread 10 N·m)" in said[2]
    assert "mean cycle, misses it by 2.5 N·m: the model is the better prediction" in said[2]
    assert said[3] == "The recordings determine all 3 parameters."
    assert said[4] == "Next: use the person: `gymnasium.make` and `mjx-msm verify` take this folder."


@pytest.mark.parametrize(
    ("made", "next_step"),
    [
        (result(fit("identify")), "hold a trial out"),
        (result(fit(identified=11.0)), "look at reach, which it predicts worse than a constant"),
        (result(fit(ridge=1.0)), "worse than a regression"),
        (result(fit(), bounds=("upper", "", "")), "muscle/BRA/max_isometric_force can be believed"),
        (result(fit(), shares=(0.1, 0.1, 0.9)), "record a task that moves them"),
        (result(fit(), outcome=Outcome.INTERRUPTED), "--resume"),
        (result(fit(), outcome=Outcome.MAX_EVALUATIONS), "--resume"),
        (result(fit(), outcome=Outcome.NOT_FINITE), "units and signs"),
        (result(fit("cross-validated", ridge=2.0)), "use the person"),
    ],
)
def test_what_to_do_next(made, next_step):
    assert next_step in verdict(made)[-1]


def test_none_of_a_thing_is_no_bound_to_widen():
    made = result(fit(), bounds=("", "", "lower"))
    none = replace(made.estimates[2], value=0.0, low=0.0)
    said = verdict(replace(made, estimates=(*made.estimates[:2], none)))
    assert "at a bound: joint/elbow_flex/damping" in said[-2]
    assert "use the person" in said[-1]


def test_a_regression_that_is_better_is_said_to_be():
    assert "ridge misses it by only 1 N·m" in verdict(result(fit(ridge=1.0)))[1]
    assert "predicts no worse" in verdict(result(fit(ridge=2.02)))[1]


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


def test_a_poor_fit_is_called_one():
    assert "poor fit" in verdict(result(fit("identify", 6.0), fit()))[1]


def test_one_start_is_said_to_be_one():
    assert "one start" in verdict(result(fit()))[0]
    stages = (Stage("moment", 1.0, 12, 3.4, {}, starts=25),)
    assert "from 25 starts" in verdict(result(fit(), stages=stages))[0]


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
