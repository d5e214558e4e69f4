"""The report of a study says who fits poorly, what bounds hold, and what to do first; nobody was identified."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from results import PATHS, fit, result

from mjx_msm.knowledge.cohort import Cohort, Made, Member
from mjx_msm.knowledge.cohort_belonging import belonging
from mjx_msm.knowledge.cohort_counts import by_knowledge, determined_in, spreads
from mjx_msm.knowledge.cohort_details import cohort_details
from mjx_msm.knowledge.cohort_errors import poorly_fitted
from mjx_msm.knowledge.cohort_next import advice, steps_of_all
from mjx_msm.knowledge.cohort_search import better_found
from mjx_msm.knowledge.cohort_verdict import cohort_verdict
from mjx_msm.knowledge.judged_errors import misfit
from mjx_msm.knowledge.next_step import Matter, steps
from mjx_msm.knowledge.records import Evidence, Outcome, Stage
from mjx_msm.knowledge.verdict import verdict
from mjx_msm.views.replay import Replay
from mjx_msm.views.report.charts import factors
from mjx_msm.views.report.cohort_page import clauses, cohort_report, save_cohort_report
from mjx_msm.views.report.page import report
from mjx_msm.views.report.postures import angles, signs

REPEATS = "not noise: they repeat themselves over 0.2 s, 99 count as 33"
STRENGTH, LENGTH, DAMPING = PATHS


def all_said(cohort):
    """All that a study says, in short and besides."""
    return " ".join((*cohort_verdict(cohort), *cohort_details(cohort)))


def cohort(**people):
    return Cohort("some", tuple(Member(name, f"people/{name}", made) for name, made in people.items()))


@pytest.fixture(scope="module")
def mixed():
    """Good, poor and worse than a constant, of two trials each; a strength that rests on a bound in two of three."""

    def two(error):
        return [replace(fit("identify", error, trial=t), against=(REPEATS,)) for t in ("extension", "flexion")]

    at = ("upper", "", "")
    return cohort(anna=result(*two(2.0)), bob=result(*two(6.0), bounds=at), eve=result(*two(11.0), bounds=at))


class Text(HTMLParser):
    """Of a page, outside scripts; and where its links lead."""

    def __init__(self, page):
        super().__init__()
        self.links, self._seen, self._inside = [], [], False
        self.feed(page)
        self.text = re.sub(r"\s+", " ", " ".join(self._seen))

    def handle_starttag(self, tag, attrs):
        self._inside = tag in ("script", "style")
        self.links += [v for k, v in attrs if k == "href"]

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        if not self._inside:
            self._seen.append(data)


def test_who_fits_poorly_is_counted_and_who_fits_worse_than_a_constant_named(mixed):
    said = all_said(mixed)
    assert list(poorly_fitted(mixed)) == ["eve", "bob"]
    assert "Of eve and bob (2 of 3 people), the model misses what they were identified from by more than 50 %" in said
    assert "of eve (1 of 3 people) by more than all of it" in said
    good = cohort(anna=result(fit("identify"), fit()))
    assert "misses what they were identified from" not in all_said(good)


def test_what_is_left_as_noise_is_no_poor_fit():
    noisy = result(fit("identify", 6.0))
    said = all_said(cohort(anna=noisy, bob=noisy))
    assert "Of everybody, more than 50 % of the spread is left, but as noise" in said
    assert "All 2 people were identified" in said
    assert "poor" not in said
    assert "10 N·m noise" in Text(cohort_report(cohort(anna=noisy))).text


def test_next_comes_the_fit_then_bounds_then_another_trial(mixed):
    said = cohort_verdict(mixed)[-1]
    parts = [
        "search for bob and eve (2 of 3 people) from more places than one (`starts = 10` in [identify] of the subject",
        "eve and bob (2 of 3 people), who fit poorly: check the electrodes",
        f"{STRENGTH} (rests on a bound in 2 of 3 people)",
        "record more of bob and eve (2 of 3 people), whose recordings leave much open: several repetitions",
    ]
    places = [said.index(part) for part in parts]
    assert places == sorted(places)
    assert "; a whole trial more to hold out; until then rely on none of their predictions" in said
    alone = cohort(anna=mixed.results["anna"])
    assert cohort_verdict(alone)[-1].startswith("Next: record another trial of everybody and hold it out")
    assert "none of the 2 trials can be spared" in cohort_verdict(alone)[-1]


def test_the_table_the_reports_and_the_last_sentence_tell_of_the_same_steps(mixed):
    """Whatever is first for somebody is told of them in the study's last sentence, in the same order."""
    narrow, beaten = result(fit("identify"), replace(fit(), band=0.5)), result(fit("identify"), fit(ridge=1.0))
    some = cohort(anna=narrow, bob=beaten, eve=result(fit("identify"), fit(identified=11.0)))
    text = Text(cohort_report(some)).text
    said = cohort_verdict(some)[-1]
    places = []
    for name, made in some.results.items():
        first = steps(made)[0]
        assert f"{first.head}" in text
        assert verdict(made)[-1].startswith(f"Next: {first.said}.")
        places.append(said.index(f"the reports of {name} (1 of 3 people)"))
    assert places == sorted(places, reverse=True)
    assert "on no interval of anna (1 of 3 people), whose band of 95 % holds too little" in cohort_verdict(some)[0]


def test_the_others_help_is_told_and_asked_for_where_it_is_worth_something():
    """Of three whose held-out trial a constant predicts better, two are predicted with what all lead to expect."""
    alone = {
        n: result(fit("identify"), fit(identified=e)) for n, e in zip("abcd", (11.0, 12.0, 13.0, 2.0), strict=True)
    }
    seen = {n: result(fit("identify"), fit(identified=e)) for n, e in zip("abcd", (3.0, 4.0, 14.0, 1.0), strict=True)}
    said = cohort_verdict(replace(cohort(**alone), seen=seen, turns=2))
    helped = (
        "With what all of them lead to expect it misses 35 % in the middle person (alone 115 %), and less than alone"
    )
    assert f"{helped} in 3 of 4" in " ".join(said)
    assert said[-1].startswith("Next: identify everybody with what all of them lead to expect (`prior =")
    assert "misses what was held out by 35 % of its spread in the middle person, alone by 115 %" in said[-1]
    assert "made already (turns/2/NAME, and beside their own in study.csv); population.json leaves" in said[-1]
    assert "What follows is what is left in the way then. Then look at the reports of c (1 of 4 people)" in said[-1]
    page = Text(cohort_report(replace(cohort(**alone), seen=seen, turns=2))).text
    assert (
        "a 2 N·m 10 N·m 11 N·m 10 N·m no: elbow_flex worse than a constant 3 N·m yes (error 30 % of the spread)" in page
    )
    head, rows = replace(cohort(**alone), seen=seen, turns=2).table()
    row = dict(zip(head, rows[0], strict=True))
    assert row["rely"] == "no: elbow_flex worse than a constant"
    assert row["rely with others"] == "yes (error 30 % of the spread)"
    assert (row["unseen_error with others"], row["folder with others"]) == ("3", "turns/2/a")
    assert row[f"{STRENGTH} [N] with others"] == "1.1"
    little = {n: replace(r, estimates=result(shares=(0.1,) * 3).estimates) for n, r in seen.items()}
    open_ = advice(replace(cohort(**alone), seen=little, turns=2))  # beside a narrower prior, recordings tell as much
    assert [step.matter for step in open_["a"]] == [Matter.NOTHING]
    assert {step.matter for step in steps(little["a"])} == {Matter.RECORD}
    worse = {n: result(fit("identify"), fit(identified=14.0)) for n in "abcd"}
    assert "Next: look" in cohort_verdict(replace(cohort(**alone), seen=worse, turns=2))[-1]
    before = cohort_verdict(cohort(**alone))
    assert "lead to expect" not in " ".join(before)
    assert before[-1].startswith("Next: look at the reports of a, b and c (3 of 4 people)")


def test_what_a_bound_holds_is_determined_in_nobody(mixed):
    assert determined_in(mixed) == {STRENGTH: 1, LENGTH: 3, DAMPING: 3}
    assert by_knowledge(mixed) == [LENGTH, DAMPING, STRENGTH]
    assert STRENGTH not in spreads(mixed)
    said = all_said(mixed)
    assert f"determine 2 in everybody ({LENGTH} and {DAMPING})" in said
    assert f"Not counted is what rests on a bound ({STRENGTH} in 2 of 3 people)" in said


def test_what_is_known_only_roughly_is_counted_apart():
    made = result(fit("identify"), fit())
    e, u = (
        replace(made.estimates[0], low=0.1, high=3.1),
        replace(made.unknowns[0], lower=-5.0, upper=5.0, prior_scale=10.0),
    )
    rough = replace(made, estimates=(e, *made.estimates[1:]), unknowns=(u, *made.unknowns[1:]))
    found = cohort(anna=rough, bob=made)
    assert determined_in(found)[STRENGTH] == 1
    assert f"Not counted is what is known only roughly ({STRENGTH} in 1 of 2 people)" in all_said(found)


def test_contractions_that_were_held_are_judged_by_their_size():
    """What varies by 10 N·m and is missed by 6 is much of a walk, and little of 60 N·m that were held."""
    row = replace(fit("identify", 6.0), against=(REPEATS,), held=True, level=60.0)
    held, large = cohort(anna=result(row, fit())), cohort(anna=result(replace(row, identified=16.0), fit()))
    said = all_said(held)
    assert "Of the moment that was held, the model misses 10 % in each trial" in said
    assert "fit poorly" not in said
    assert "anna 6 N·m 60 N·m 10 N·m" in Text(cohort_report(held)).text
    said = all_said(large)
    assert "identified from by more than 20 % of the moment that was held" in said
    assert "constant" not in said
    assert "16 N·m 60 N·m 10 N·m over 20 % of it" in Text(cohort_report(large)).text
    walked = cohort(anna=result(replace(row, held=False), fit()))
    assert "by more than 50 % of its spread" in all_said(walked)
    assert "Contractions that were held" in Text(cohort_report(large)).text
    assert "Contractions that were held" not in Text(cohort_report(walked)).text


def test_a_cross_validation_within_trials_flatters_everybody():
    row = fit("cross-validated", ridge=3.0)
    for within in (False, True, None):
        made = result(fit("identify"), replace(row, within=within))
        said = cohort_verdict(cohort(anna=made, bob=result(fit("identify"), fit()), eve=made))
        assert ("That flatters" in " ".join(said)) == (within is True)
        assert ("Whether that was within trials" in " ".join(said)) == (within is None)
        to_do = {
            False: "use the people",
            True: "record another trial of anna and eve (2 of 3 people)",
            None: "again with",
        }
        assert to_do[within] in said[-1]
        assert ("until then rely on predictions within a trial at most" in said[-1]) == (within is True)


def test_people_who_fit_and_are_predicted_are_to_be_used():
    good = result(fit("identify"), fit())
    said = cohort_verdict(cohort(anna=good, bob=good))
    assert said[-1].startswith("Next: use the people")
    assert said[0].startswith(
        "Rely on the prediction of everybody, to 20 % of the spread in the middle one. Rely on every"
    )


def test_it_begins_with_what_may_be_relied_on(mixed):
    assert cohort_verdict(mixed)[0] == (
        f"Rely on nobody's prediction yet. Rely on {LENGTH} and {DAMPING} of everybody, on another parameter only "
        "where it is determined. All 3 people were identified. Each was searched for from 1 start."
    )
    good = cohort(anna=mixed.results["anna"], bob=mixed.results["anna"])
    assert cohort_verdict(good)[-1].endswith(
        "Then search for everybody from more places than one (`starts = 10` in [identify] of the subject file or "
        "template, and run the study again): a distant person might fit better."
    )
    searched = replace(mixed.results["anna"], stages=(Stage("moment", 1.0, 12, 3.4, {}, starts=10),))
    assert cohort_verdict(cohort(anna=searched))[0].endswith("identified. Each was searched for from 10 starts.")
    assert "more places" not in cohort_verdict(cohort(anna=searched))[-1]
    assert "searched for from 1 to 10 starts." in cohort_verdict(cohort(anna=searched, bob=mixed.results["bob"]))[0]


def test_who_is_predicted_worse_is_counted_as_the_table_and_the_rows_do():
    """One joint of two: it is named in the row, and no person more in the summary."""
    joint, trial = (replace(fit(identified=x, spread=5.0), coordinate="shoulder") for x in (6.0, 16.0))
    found = cohort(anna=result(fit("identify"), fit(), joint), bob=result(fit("identify"), fit(), trial))
    said, text = cohort_verdict(found), Text(cohort_report(found)).text
    assert "look at the reports of bob (1 of 2 people): a trial" in said[-1]
    but = "of 1 on that of all but shoulder; of 1 on none, as a constant does better (whose, says the column “rely” of"
    assert said[0].startswith(f"Rely on nobody's prediction as a whole; {but}")
    more = replace(found, members=(*found.members, Member("eve", "people/eve", result(fit("identify"), fit()))))
    assert cohort_verdict(more)[0].startswith(
        f"Rely on the prediction of 1 of 3 people, to 20 % of the spread in the middle one of these; {but}"
    )
    assert "bob 2 N·m 10 N·m 11.4 N·m 7.91 N·m no: shoulder worse than a constant look at reach" in text
    assert "all but shoulder look at shoulder" in text
    assert "look at shoulder in reach, which it predicts worse than a constant would (though not the joints" in text
    assert "look at reach, which it predicts worse than a constant would" in text


def test_the_page_shows_errors_and_what_was_asked(mixed):
    text = Text(cohort_report(mixed)).text
    assert "Who, and how well each fits Errors are" in text
    assert "extension, flexion" in text
    assert "eve extension 11 N·m 10 N·m worse than a constant" in text
    assert "bob extension 6 N·m 10 N·m over 50 % left flexion 6 N·m 10 N·m over 50 % left" in " ".join(
        text.replace(advice(mixed)["bob"][0].head, "").split()
    )
    assert f"{LENGTH} N 3 of 3" in text
    assert f"{STRENGTH} N 1 of 3 2 of 3" in text
    other = cohort(anna=result(fit("identify"), fit()), bob=result(fit("identify", trial="x"), fit(identified=4.0)))
    text = Text(cohort_report(other)).text
    assert "how well each fits and is predicted" in text
    assert "bob 2 N·m 10 N·m 4 N·m 10 N·m" in text
    assert "identify reach (of 1 people otherwise)" in text


def test_a_link_leads_to_a_report_that_is_there(mixed, tmp_path):
    (tmp_path / "people" / "bob").mkdir(parents=True)
    (tmp_path / "people" / "bob" / "report.html").write_text("")
    page = Text(save_cohort_report(tmp_path / "report.html", mixed).read_text(encoding="utf-8"))
    assert page.links == ["people/bob/report.html"]
    assert "A name leads" in page.text
    assert "A name leads" not in Text(cohort_report(mixed)).text


def test_somebody_who_failed_comes_first(mixed):
    failed = Member("zoe", "", fault="no <moment>")
    found = replace(mixed, members=(*mixed.members, failed))
    said = cohort_verdict(found)[-1]
    assert said.startswith(
        "Next: put right what is wrong with zoe, first zoe (no <moment>); then run it again. Then search for bob and"
    )
    assert "zoe no <moment>" in Text(cohort_report(found)).text


def test_everybody_is_told_what_to_do_or_that_nothing_is_in_the_way():
    """More matters than the sentence tells in full: who is of none of them is sent to the table, or to use."""
    made = dict(
        anna=result(fit("identify"), fit(identified=11.0)),
        bob=result(replace(fit("identify", 6.0), against=(REPEATS,)), fit()),
        eve=result(fit("identify"), fit(ridge=1.0)),
        kim=result(fit("identify"), replace(fit(), band=0.5)),
        lou=result(fit("identify"), fit()),
        max=result(fit("identify"), fit()),
    )
    said = cohort_verdict(cohort(**made))[-1]
    for name in ("anna", "bob", "eve"):
        assert f"look at the reports of {name} (1 of 6 people)" in said
    assert "Then use lou and max (2 of 6 people), in whose way nothing is: `gymnasium.make`" in said
    assert said.endswith(
        "Then see “what first” in the table for kim (1 of 6 people): first comes a band that holds too little (1)."
    )


def test_a_study_goes_on_as_a_study_does():
    stopped = result(fit("identify"), fit(), outcome=Outcome.MAX_EVALUATIONS)
    said = cohort_verdict(cohort(anna=stopped))[-1]
    assert "--resume" not in said
    assert "ran out of evaluations, and may still move; free fewer parameters" in said


def test_the_worst_joint_of_a_band_is_named():
    row, shoulder = replace(fit(), band=0.7), replace(fit(), coordinate="shoulder", band=0.5)
    made = result(fit("identify"), row, shoulder)
    assert "of reach the band of 95 % holds 50 % (of shoulder, the worst joint)" in " ".join(verdict(made))
    assert "look where in the curves of shoulder in reach the recording leaves the band" in verdict(made)[-1]
    assert "(the worst joint: shoulder in 2)" in cohort_verdict(cohort(anna=made, bob=made))[-1]
    one = result(fit("identify"), row)
    assert "worst" not in " ".join((*verdict(one), *cohort_verdict(cohort(anna=one))))


def test_one_count_of_those_who_rest_on_a_bound(mixed):
    """The summary, the table and what to do tell of the same people."""
    assert f"what rests on a bound ({STRENGTH} in 2 of 3 people)" in all_said(mixed)
    assert f"{STRENGTH} (rests on a bound in 2 of 3 people)" in cohort_verdict(mixed)[-1]
    assert f"{STRENGTH} N 1 of 3 2 of 3" in Text(cohort_report(mixed)).text
    e = replace(mixed.results["bob"].estimates[0], low=0.9)  # it holds the generic value, too, and is not asked about
    asked = replace(mixed.results["bob"], estimates=(e, *mixed.results["bob"].estimates[1:]))
    said = cohort_verdict(cohort(anna=mixed.results["anna"], bob=asked, eve=mixed.results["eve"]))
    assert f"{STRENGTH} (rests on a bound in 2 of 3 people)" in said[-1]


def test_how_it_was_made_is_told(mixed):
    made = Made("mjx-msm study 'older people.toml' --out FOLDER", {"study.toml": "ab" * 32}, {"turns": 4}, "0123abcd")
    text = Text(cohort_report(replace(mixed, made=made))).text
    assert "To make it again: mjx-msm study 'older people.toml' --out FOLDER" in text
    assert "starts for each person 1" in text
    assert "3.4 to 3.4, 3.4 in the middle, 10 in all" in text
    assert "turns = 4" in text
    assert "Versions: jax 0.10; digest of the package 0123abcd." in text
    assert "study.toml " + "ab" * 32 in text
    other = replace(mixed.results["bob"], versions={"jax": "0.11"})
    assert "jax 0.10 and 0.11" in Text(cohort_report(cohort(anna=mixed.results["anna"], bob=other))).text
    assert "To make it again" not in Text(cohort_report(mixed)).text


def with_length(made, length):
    """The result with another length, which is known to within a tenth, and nothing at a bound."""
    rows = [replace(e, value=x, low=x - 0.11, high=x + 0.11, bound="") for e, x in
            zip(made.estimates, (1.5, length, 3.0), strict=True)]  # fmt: skip
    return replace(made, estimates=tuple(rows))


def test_the_truth_of_people_who_are_made_up_is_shown(mixed):
    """Intervals are 1.1 ± 0.1, at a bound 1.05 to 1.2."""
    truth = {STRENGTH: 1.1, LENGTH: 2.0, DAMPING: 1.15}
    known = tuple(replace(m, truth=truth) for m in mixed.members[:2])
    found = replace(mixed, members=(*known, mixed.members[2]))
    said = "Of 2 people the truth is known, as they are made up: 95 % intervals hold it in 67 % (4 of 6), of determined"
    assert f"{said} parameters in 60 % (3 of 5)." in all_said(found)
    assert "Rely on the estimate, not the interval, of " in all_said(found)
    assert "not the interval" not in all_said(mixed)
    assert (
        "Take no interval at its word: those of determined parameters hold the truth, which is known, too seldom, in "
        "60 % (3 of 5) and not in 95 %." in cohort_verdict(found)[0]
    )
    others = replace(found, seen={n: with_length(r, 1.9) for n, r in found.results.items()})
    assert "; with what all of them lead to expect in 33 % (2 of 6)." in all_said(others)
    page = cohort_report(found)
    assert "Beside the truth" in page
    assert "determined, the interval leaves the truth out" in page
    assert "Beside the truth" not in cohort_report(mixed)


def with_gain(made, correlation):
    """The result with a gain in the place of the length, which goes with the strength like this, and is as open as
    the prior left it."""
    gain = "emg/biceps/gain"
    e, u = replace(made.estimates[1], path=gain, low=0.75, high=1.6), replace(made.unknowns[1], members=(gain,))
    covariance = [[0.01, 0.01 * correlation, 0.0], [0.01 * correlation, 0.01, 0.0], [0.0, 0.0, 0.01]]
    return replace(
        made, estimates=(made.estimates[0], e, made.estimates[2]), covariance=tuple(map(tuple, covariance)),
        unknowns=(made.unknowns[0], u, made.unknowns[2]),
    )  # fmt: skip


def test_strength_that_is_told_together_with_its_emg_is_said_to_be():
    made = result(fit("identify"), fit())
    apart, both = with_gain(made, -0.6), with_gain(made, -0.9)
    both_ways = "told together with how EMG becomes activation, and not apart from it"
    assert f"{both_ways}: {STRENGTH} with emg/biceps/gain (81 % of what is open of it)." in " ".join(verdict(both))
    assert f"{both_ways}: {STRENGTH} in 1 of 2 people." in all_said(cohort(anna=apart, bob=both))
    for said in (verdict(apart), cohort_verdict(cohort(anna=apart)), verdict(replace(both, emg_map={"BRA": {}}))):
        assert both_ways not in " ".join(said)
    known = replace(both.estimates[1], low=1.0, high=1.2)  # either is told to a quarter of its prior
    each = replace(both, estimates=(both.estimates[0], known, both.estimates[2]))
    assert both_ways not in " ".join(verdict(each))
    few = with_gain(result(fit("identify"), fit(), shares=(0.1, 0.1, 0.9)), -0.9)
    for said in (verdict(few)[-1], cohort_verdict(cohort(anna=few))[-1]):
        assert "strength and EMG gain apart, a maximal effort of which a superimposed twitch" in said


def test_who_had_hardly_more_than_noise_to_predict_is_not_relied_on_nor_blamed():
    """A spread of 2.2 where the noise is 2: a constant does as well."""
    noise = result(fit("identify"), fit(identified=2.3, spread=2.2))
    said = cohort_verdict(cohort(anna=noise, bob=result(fit("identify"), fit())))
    assert said[0].startswith(
        "Rely on the prediction of 1 of 2 people, to 20 % of the spread in the middle one of these; of 1 there was "
        "hardly more than noise to predict (whose"
    )
    assert "predicts worse" not in said[-1]


def test_a_trial_that_was_held_is_judged_by_itself():
    """Of the larger contraction 5 % are missed, of the smaller one a quarter, and no less than its own mean would."""
    long, short = (
        replace(fit("identify", e, trial=t, spread=s), against=(REPEATS,), held=True, level=x)
        for t, e, s, x in (("extension", 3.0, 5.0, 60.0), ("flexion", 2.5, 2.4, 10.0))
    )
    found = cohort(anna=result(long, short))
    said = all_said(found)
    assert "misses 5 % to 25 % in each trial, and of flexion of anna by no less than its own mean would" in said
    assert "look at the reports of everybody, who fit poorly (worst in flexion (1))" in cohort_verdict(found)[-1]
    text = Text(cohort_report(found)).text
    assert "anna extension 3 N·m 60 N·m 5 N·m" in text
    assert "flexion 2.5 N·m 10 N·m 2.4 N·m over 20 % of it; its mean does as well" in text
    assert misfit(found.results["anna"].fits) == 0.25


def test_a_better_estimate_of_a_turn_is_said_where_it_is_one_by_the_measure_of_the_first():
    """A likelihood of e¹⁰ more, at no other place; at a place that the usual prior holds for nothing it is none."""
    own = result(fit("identify"), fit(), evidence=Evidence(100, 1.0, -150.0, 0.0, ()))
    better = replace(own, evidence=replace(own.evidence, fit=-140.0))
    far = replace(better, z=(1.1, 0.1, 0.1))
    alone = cohort(anna=own, bob=own)
    assert better_found(alone) == {}
    found = replace(alone, seen={"anna": better, "bob": far}, turns=1)
    assert list(better_found(found)) == ["anna"]
    first, *_, last = cohort_verdict(found)[-1].split(" Then ")
    search = (
        "identify anna (1 of 2 people) from more places (`starts = 10` in [identify] of the subject file or template"
    )
    assert search in last
    assert "spares 0 % at most of the error on what it was identified from, which is little" in last
    closer = replace(better, fits=(fit("identify", 1.0), fit()))  # the own one misses 2
    first, *_ = cohort_verdict(replace(found, seen={"anna": closer, "bob": far}))[-1].split(" Then ")
    assert search in first
    assert "spares 50 % at most" in first
    page = belonging(found, found.members[0], "report.html")
    assert not belonging(alone, alone.members[0], "report.html").searched
    assert any("A better estimate of this person is known" in s for s in page.told)
    assert not any("A better" in s for s in belonging(found, found.members[1], "report.html").told)


def test_a_turn_that_began_elsewhere_and_found_little_is_a_search():
    """Neither the table nor the page then asks for another one first; without it, or where it found much, they do."""
    poor = replace(fit("identify", 6.0), against=(REPEATS,))
    own = result(poor, fit(), evidence=Evidence(100, 1.0, -150.0, 0.0, ()))
    closer = replace(own, fits=(replace(poor, identified=3.0), fit()), evidence=replace(own.evidence, fit=-140.0))
    alone = cohort(anna=own, bob=own)
    for seen, first in (({}, Matter.STARTS), ({"anna": own}, Matter.FIT), ({"anna": closer}, Matter.STARTS)):
        found = replace(alone, seen=seen, turns=len(seen))
        page = report(own, of=belonging(found, found.members[0], "report.html"))
        assert advice(found)["anna"][0].matter is first
        assert ("earch from more places than one" in Text(page).text) == (first is Matter.STARTS)
        assert ("one from where the others of the study are" in Text(page).text) == (first is Matter.FIT)
        text = Text(cohort_report(found)).text
        assert "--starts" not in text
        assert ("Search for everybody from" in text) == (not seen)
        assert ("Identify anna (1 of 2 people) from more places" in text) == (seen == {"anna": closer})


def test_a_page_tells_what_the_others_make_of_the_person():
    own = result(fit("identify"), fit())
    near = with_length(own, 1.9)
    near = replace(near, z=(own.z[0], own.z[1] + 0.5, own.z[2]))
    found = replace(cohort(anna=own, bob=own), seen={"anna": near}, turns=1)
    told = " ".join(belonging(found, found.members[0], "report.html").told)
    assert f"With what all of them lead to expect, {LENGTH} is 1.9 N (95 % 1.79 to 2.01), alone 1.1; " in told
    assert "With what" not in " ".join(belonging(found, found.members[1], "report.html").told)
    wide = replace(near, estimates=tuple(replace(e, low=0.1, high=9.0) for e in near.estimates))
    open_ = replace(found, seen={"anna": wide})
    assert "With what" not in " ".join(belonging(open_, open_.members[0], "report.html").told)


def test_who_is_first_asked_for_something_that_is_not_told_is_sent_to_the_table():
    """All leave much open, but of one a band that holds too little comes first, which is the fourth matter."""
    shares = (0.1, 0.1, 0.99)
    held = replace(fit("identify", 6.0), against=(REPEATS,))
    made = {
        "poor": result(held, fit(), shares=shares),
        "beaten": result(fit("identify"), fit(ridge=1.0), shares=shares),
        "narrow": result(fit("identify"), replace(fit(), band=0.5), shares=shares),
    }
    some = cohort(**made, **{f"p{k}": result(fit("identify"), fit(), shares=shares) for k in range(12)})
    told = steps_of_all(some)
    assert told[0].startswith("record more of everybody")
    first = {name: found[0].matter for name, found in advice(some).items()}
    assert first["narrow"] is Matter.BAND
    assert not any("look at the reports of narrow" in step for step in told)
    assert any(
        "the table for narrow (1 of 15 people): first comes a band that holds too little (1)" in step for step in told
    )


def test_a_page_knows_its_study():
    """Where it lies, what makes it again, and in whose words more is asked for."""
    own = result(fit("identify"), fit(), stages=(Stage("moment", 1.0, 12, 3.4, {}),))
    made = Made("mjx-msm study study.toml --out FOLDER", {}, {}, "")
    some = replace(cohort(anna=own, bob=own), made=made)
    of = belonging(some, some.members[0], "report.html")
    page = Text(report(own, of=of))
    assert "../../report.html" in page.links
    assert "One of 2 people of the study some ." in page.text
    assert "To make it again, with everybody of the study: mjx-msm study study.toml --out FOLDER" in page.text
    assert "--starts 25" not in page.text
    assert "starts = 10 in [identify] of the subject file or template that the study names" in page.text
    assert "no population was learned" in page.text
    alone = Text(report(own))
    assert "--starts 25" in alone.text
    assert "of the study" not in alone.text


def test_a_page_and_its_study_are_one_about_intervals():
    """They hold the truth in nobody, though bands bear out: the study takes none at its word, nor does a page."""
    own = result(fit("identify"), fit())
    made = cohort(**{f"p{k}": own for k in range(6)})
    off = replace(made, members=tuple(replace(m, truth=dict.fromkeys(PATHS, 2.0)) for m in made.members))
    for some, void in ((made, False), (off, True)):
        page = Text(report(own, of=belonging(some, some.members[0], "report.html"))).text
        assert ("Take no interval at its word" in page) == ("Take no interval at its word" in all_said(some)) == void
        assert ("by its estimate and not by its interval" in page) == void
        assert ("Intervals bear out" in page) == (not void)


def test_where_only_the_others_make_intervals_hold_their_estimates_come_first():
    own = result(fit("identify"), fit())
    near = replace(own, estimates=tuple(replace(e, value=2.0, low=1.9, high=2.1) for e in own.estimates))
    made = cohort(**{f"p{k}": own for k in range(6)})
    members = tuple(replace(m, truth=dict.fromkeys(PATHS, 2.0)) for m in made.members)
    off = replace(made, members=members, seen=dict.fromkeys(made.results, near), turns=1)
    assert steps_of_all(off)[0].startswith("take parameters from the estimates with what all of them lead to expect")
    assert "in 0 % (0 of 18), and with what these people lead to expect in 100 % (18 of 18)" in steps_of_all(off)[0]
    assert "Take parameters from there and not from this page" in " ".join(
        belonging(off, members[0], "report.html").told
    )
    assert "Take parameters from the estimates with what all of them lead to expect" in cohort_verdict(off)[0]
    assert "Take no interval" not in cohort_verdict(off)[0]
    other = replace(off, seen=made.results)
    assert not steps_of_all(other)[0].startswith("take parameters")


def test_what_concerns_many_comes_before_what_concerns_one():
    """Of twelve people one fits poorly and all leave much open; of three, one who fits poorly comes first."""
    open_, poor = (result(fit("identify", x), fit(), shares=(0.1, 0.1, 0.99)) for x in (2.0, 6.0))
    poor = replace(poor, fits=tuple(replace(f, against=(REPEATS,)) for f in poor.fits))
    for people, first in ((11, "record more of everybody"), (2, "search for poor (1 of 3 people)")):
        some = cohort(poor=poor, **{f"p{k}": open_ for k in range(people)})
        assert steps_of_all(some)[0].startswith(first)
        assert any(step.startswith("look at the reports of poor") for step in steps_of_all(some))


def test_a_page_has_a_line_for_every_clause():
    """What to do ends where why and how begin, and what is in brackets is no clause."""
    said = (
        "record more of eve (1: x), whose recordings leave much open: three angles (slow; fast), and swings; until then"
    )
    assert clauses(f"{said} rely: on nobody. It is little") == (
        "Record more of eve (1: x), whose recordings leave much open", "Three angles (slow; fast), and swings",
        "Until then rely: on nobody", "It is little",
    )  # fmt: skip
    assert clauses("take theirs; it is not of them: in 89 %") == ("Take theirs", "It is not of them: in 89 %")
    assert clauses("see the table") == ("See the table",)


def test_angles_and_signs_are_those_of_the_recordings():
    """A knee that was held at 90° was flexed; of one that moved, from where to where."""

    def trial(name, knee):
        position = np.radians(np.stack([knee, np.full(50, -10.0)], axis=1))
        return Replay(name, np.arange(50) / 50, ("knee_angle", "ankle_angle"), ("knee_angle",), ("m",), position,
                      np.zeros((50, 1)), {})  # fmt: skip

    held, moving = trial("extension", np.full(50, 90.0)), trial("squat", np.linspace(5.0, 100.0, 50))
    assert angles([held]) == "knee_angle 90° (held), ankle_angle −10° (held)"
    assert angles([held, moving]).endswith("squat: knee_angle 5° to 100°, ankle_angle −10° (held)")
    assert signs([held]) == "knee_angle and its moment count flexion as positive"
    assert signs([trial("other", np.full(50, -90.0))]) == "knee_angle and its moment count extension as positive"


def test_estimates_that_all_lie_to_one_side_of_the_truth_are_said_to():
    made = {f"p{k}": result(fit("identify"), fit()) for k in range(12)}
    found = cohort(**made)
    found = replace(found, members=tuple(replace(m, truth={STRENGTH: 1.0}) for m in found.members))
    others = replace(found, seen={n: with_length(r, 1.1) for n, r in made.items()}, turns=1)
    assert (
        "Estimates are systematically too high: maximal isometric force is in the middle 1.10 times the true one (12 "
        "of 12 alone lie above it)" in all_said(found)
    )
    assert "1.10 times the true one, with what all of them lead to expect 1.50 times" in all_said(others)


def test_muscles_that_are_all_weaker_than_the_models_are_said_to_be():
    def weaker(made, by):
        return replace(made, estimates=(replace(made.estimates[0], value=by), *made.estimates[1:]))

    made = result(fit("identify"), fit())
    weak = cohort(anna=weaker(made, 0.3), bob=weaker(made, 0.6))
    words = f"Strength over the model's, where the recordings determine it: {STRENGTH} 0.30 to 0.60 times in the 2 of 2"
    words += " in whom it is determined. All of these lie below the model's. Candidates are an effort"
    assert words in all_said(weak)
    assert "age, sex (which the study does not know)" in all_said(weak)
    assert "Candidates" not in all_said(cohort(anna=weaker(made, 0.3), bob=made))
    open_ = result(fit("identify"), fit(), shares=(0.1, 0.99, 0.99))
    said = all_said(cohort(anna=weaker(open_, 0.3), bob=weaker(open_, 0.6)))
    assert "The recordings determine the strength of no muscle in anybody: there is none to report." in said
    assert "0.30" not in said
    assert "0.30 times in the 1 of 2" in all_said(cohort(anna=weaker(made, 0.3), bob=weaker(open_, 0.6)))


def test_what_contractions_that_were_held_cannot_tell_is_no_question_of_a_bound():
    row = replace(fit("identify", 6.0), held=True, level=60.0)
    made = result(row, bounds=("", "", "upper"), shares=(0.1, 0.1, 0.9))
    said = cohort_verdict(cohort(anna=made, bob=made))[-1]
    assert said.startswith("Next: record more of everybody")
    assert f"contractions held at one angle hardly tell {DAMPING} (at a bound in 2)" in said
    assert "ask whether" not in said


def test_words_of_the_page_have_a_legend():
    text = Text(cohort_report(cohort(anna=result(fit("identify"), fit())))).text
    assert "What the words for parameters mean determined the recordings leave at most half" in text
    assert "“prior-dominated”, or “hardly narrower”" in text


def test_factors_near_one_have_ticks_near_one():
    import plotly.graph_objects as go

    def ticks(*x):
        figure = go.Figure(go.Scatter(x=list(x), y=["a"] * len(x)))
        figure.add_trace(go.Bar(base=[x[0]], x=[0.1], y=["a"], orientation="h"))
        factors(figure, "over truth")
        return figure.layout.xaxis.ticktext

    assert {"0.8", "0.9", "1", "1.1", "1.25", "1.5", "2"} <= set(ticks(0.7, 1.9))
    assert "1.1" not in ticks(0.1, 1.9)
    assert {"0.3", "0.7", "1.5"} <= set(ticks(0.1, 1.9))
    assert "0.001" in ticks(0.001, 1.0)
