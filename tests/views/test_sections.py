"""Reports made of sections: one file that a browser opens without a network, and whose sentences the numbers bear."""

from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import opened
from results import PATHS, fit, result

from mjx_msm.cli.app import run as command
from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.comparison import compare
from mjx_msm.knowledge.design.forecast import Expectation, Forecast
from mjx_msm.knowledge.design.session import Design
from mjx_msm.knowledge.design.task import Task
from mjx_msm.knowledge.profile_likelihood import Profile
from mjx_msm.knowledge.records import Likelihood
from mjx_msm.recordings.trial import Trial
from mjx_msm.views.report import comparison_page, design_page, profile_page
from mjx_msm.views.report.sections import Section, Table, sections_report

NASTY = "<script>alert(1)</script>"
SD = 0.05
"""Of what a recording alone says, in z."""


class References(HTMLParser):
    """What a page refers to."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found += [v for k, v in attributes if k in ("src", "href", "action") and not (v or "").startswith("data:")]


def person(name, off=(0.0, 0.0, 0.0), *, files="a", fits=(), **changed):
    """A result whose recordings alone put z at 0.1 and `off` standard deviations from it."""
    z = 0.1 + SD * np.sqrt(2) * np.array(off)  # a difference of two people has twice the variance
    precision = np.eye(3) / SD**2
    told = Likelihood(tuple(map(tuple, precision.tolist())), tuple((precision @ z).tolist()))
    made = result(*fits, subject=name, likelihood=told, hashes={"subject.toml": "0", f"{files}.csv": files})
    return replace(made, **changed)


def said_of(*results):
    found = compare(results)
    return comparison_page.verdict(found, [found.differences(k) for k in range(1, len(results))])


def wanted(*fits):
    return [fit("held-out", 2.0), *fits]


# Comparison ------------------------------------------------------------------------------------------------


def test_a_difference_is_that_of_the_recordings_alone():
    """Independent of each other in z, and of equal precision: the difference over its standard deviation is given."""
    (a, b, c) = compare([person("anna"), person("bob", (4.0, 0.0, -2.3), files="b")]).differences()
    assert [d.sigmas for d in (a, b, c)] == pytest.approx([4.0, 0.0, -2.3], abs=1e-6)
    assert [d.certain for d in (a, b, c)] == [True, False, True]  # Holm: of three, the second needs 2.24
    (_, _, c) = compare([person("anna"), person("bob", (0.0, 0.0, -2.3), files="b")]).differences()
    assert not c.certain  # the first of three needs 2.39


def test_chance_alone_differs_in_five_of_a_hundred_pairs():
    rng = np.random.default_rng(0)
    found = [
        any(d.certain for d in compare([person("a"), person("b", rng.normal(size=3), files="b")]).differences())
        for _ in range(400)
    ]
    assert 0.02 < np.mean(found) < 0.085  # 5 %, and three standard deviations of 400


def test_of_one_recording_no_difference_is_judged():
    found = compare([person("rigid"), person("elastic", (9.0, 0.0, 0.0))])
    assert found.same_recordings()
    assert all(np.isnan(d.sigmas) and not d.certain for d in found.differences())
    assert "same recording" in comparison_page.comparison_report(found, "")


def test_what_a_recording_does_not_tell_cannot_differ():
    blind = Likelihood(tuple(map(tuple, np.diag([400.0, 400.0, 0.0]).tolist())), (40.0, 40.0, 0.0))
    (_, _, c) = compare([person("anna"), person("bob", files="b", likelihood=blind)]).differences()
    assert np.isnan(c.sigmas)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (person("anna"), person("bob", files="b"), "hold a trial out of each"),
        (person("anna", fits=wanted()), person("bob", files="b", fits=wanted()), "report that no difference was found"),
        (person("anna", fits=wanted()), person("bob", (5, 0, 0), files="b", fits=wanted()), f"{PATHS[0]} differs, ask"),
        (person("anna", fits=wanted()), person("bob", fits=wanted()), "settings that predict better"),
    ],
)
def test_what_to_do_next(a, b, words):
    assert words in said_of(a, b)[-1]


def test_the_better_prediction_is_named():
    said = " ".join(said_of(person("anna", fits=[fit(identified=2.0)]), person("bob", fits=[fit(identified=3.0)])))
    assert "anna 2 N·m, bob 3 N·m; anna predicts better" in said


@pytest.mark.parametrize("other", [{"files": "b"}, {"files": "a", "spread": 9.0}])
def test_of_different_recordings_none_predicts_better(other):
    """Two people's trials are called the same, and are not the same samples."""
    rows = [fit(identified=2.0)], [fit(identified=3.0, spread=other.get("spread", 10.0))]
    said = " ".join(said_of(person("anna", fits=rows[0]), person("bob", files=other["files"], fits=rows[1])))
    assert "predicts better is not known" in said
    assert f"anna the moment by 2 N·m of 10 N·m, bob the moment by 3 N·m of {rows[1][0].spread:.3g} N·m" in said


def test_a_model_file_and_a_prior_are_no_shared_recording():
    both = {"leg.xml": "m", "population.json": "p", "static.c3d": "s"}
    anna, ben, anna_again = (
        replace(made, hashes={**made.hashes, **both}, recordings={"reach": (f"{files}.csv",)})
        for made, files in ((person("anna"), "a"), (person("ben", (4, 0, 0), files="b"), "b"), (person("anna"), "a"))
    )
    found = compare([anna, ben, anna_again])
    assert (found.same_recordings(1), found.same_recordings(2)) == (False, True)
    first, second = comparison_page.verdict(found, [found.differences(1), found.differences(2)])[:2]
    assert "differs from" in first
    assert "made from the same recording" in second


def test_it_is_said_why_no_parameter_is_compared():
    blind = Likelihood(tuple(map(tuple, np.zeros((3, 3)).tolist())), (0.0, 0.0, 0.0))
    assert (
        "told by both recordings (anna tells 3, ben tells none)"
        in said_of(person("anna"), person("ben", files="b", likelihood=blind))[0]
    )
    old = said_of(person("anna"), person("ben", files="b", likelihood=None))
    assert "what the recording of ben says; identify again" in old[0]


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([person("anna")], "1 results cannot be compared"),
        ([person("anna"), replace(person("bob"), estimates=())], "no parameter in common"),
    ],
)
def test_what_cannot_be_compared_is_one_line(results, words):
    with pytest.raises(InputError, match=words):
        compare(results)


def test_the_command_writes_the_report(tmp_path, capsys):
    folders = []
    for name, files in (("before", "a"), ("after", "b")):
        (tmp_path / name).mkdir()
        made = person("anna", files=files)
        replace(made, directions=3 * made.directions, parameters=dict.fromkeys(PATHS, 1.1)).save(
            tmp_path / name / "identification.json"
        )
        folders.append(str(tmp_path / name))
    assert command(["compare", *folders, "--out", str(tmp_path / "both.html")]) == 0
    assert "after and before: of 3 parameters" in " ".join(capsys.readouterr().out.split())
    assert "before and after" in (tmp_path / "both.html").read_text(encoding="utf-8")
    assert command(["compare", *folders, "--out", str(tmp_path / "both.pdf")]) == 2
    assert "end its name in .html" in capsys.readouterr().err
    assert not (tmp_path / "both.pdf").exists()


# Profile ---------------------------------------------------------------------------------------------------

VALUES = np.linspace(-2.3, 2.3, 11)


def profile(**changed):
    """Of a normal posterior with mean 1 and standard deviation 0.1: the profile is its parabola."""
    drop = 0.5 * VALUES**2
    made = Profile(
        PATHS[0], "N", 1.0, 1.0 + 0.1 * VALUES, drop, 0.9 * drop, np.zeros((11, 3)), 0.804, 1.196, False, False,
        (0.804, 1.196),
    )  # fmt: skip
    return replace(made, **changed)


@pytest.mark.parametrize(
    ("made", "sentence", "words"),
    [
        (profile(), "outside 0.804 … 1.196 N are contradicted, as the result’s own", "both ways to find it agree"),
        (profile(high=2.0), "3.1 times", "profile likelihood; the result’s own is too narrow"),
        (profile(high_open=True), "below 0.804 N are contradicted; to the other side none", "do not report"),
        (profile(low_open=True, high_open=True), "no value between its bounds", "do not report"),
        (profile(data_drop=0.1 * VALUES**2), "mostly by the prior", "do not report"),
        (profile(better=True), "", "more starts"),
        (profile(interrupted=True), "interrupted", "to the end"),
    ],
)
def test_a_profile_in_words(made, sentence, words):
    page = profile_page.profile_report([made], "anna", "mjx-msm profile …")
    assert sentence in page
    assert words in profile_page.next_step([made])


# Design ----------------------------------------------------------------------------------------------------


def design(**changed):
    time = np.linspace(0.0, 1.0, 51)
    rows = (
        Expectation(PATHS[0], "N", 900.0, 900.0, 0.6, 0.08, 0.98),
        Expectation(PATHS[1], "m", 0.09, 0.09, 0.3, 0.28, 0.2),
    )
    wave = 0.2 + 0.1 * np.sin(6 * time)[:, None]
    task = Task("reach", {"elbow_flex": 0.5}, 1.0, ("BRA",), time, wave)
    trial = Trial("reach", time, ("elbow_flex",), wave, ("BRA",), wave)
    made = Design(
        (trial,), (task,), None, Forecast(np.eye(2), np.eye(2), rows, ("optimal fiber length of BRA",)),
        np.ones((1, 2, 2)), (PATHS[0],), "worst", ((64, 1.0), (128, 2.5)), 0.005, 100.0,
    )  # fmt: skip
    return replace(made, **changed)


def test_a_design_in_words():
    said = design_page.verdict(design())
    assert said[0].startswith("Record 1 trials of 1 s, with 1 kg in the hand")
    assert "determine 1 of 2 parameters, 1 of them to ±10 %" in said[1]
    assert said[2] == f"The widest interval will be that of {PATHS[0]}: ±8 %, ±60 % known before."
    assert said[-1].startswith("Next: record it")
    assert "let the search go to its end" in design_page.verdict(design(interrupted=True))[-1]


# In a browser ----------------------------------------------------------------------------------------------


def pages():
    found = compare([person("anna", fits=[fit()]), person(NASTY, (4.0, 0.0, 0.0), files="b", fits=[fit()])])
    return {
        "comparison": (comparison_page.comparison_report(found, "mjx-msm compare a b"), 1),
        "profile": (profile_page.profile_report([profile(), profile(path=NASTY)], "anna", "mjx-msm profile"), 2),
        "design": (design_page.design_report(design()), 4),
    }


@pytest.mark.parametrize("name", ["comparison", "profile", "design"])
def test_a_browser_draws_every_chart_without_a_network(name, browser, tmp_path):
    page, charts = pages()[name]
    assert References(page).found == []
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    seen = opened(tmp_path / "report.html", tmp_path / "profile")
    assert seen.complaints == []
    assert seen.charts == charts
    assert "Next: " in seen.text
    assert NASTY not in page


def test_a_film_is_in_the_page_or_named(tmp_path):
    film = tmp_path / "worst.mp4"
    film.write_bytes(b"film")
    page = sections_report("t", "u", ["Next: x"], [Section("The worst", film=film)])
    assert 'src="data:video/mp4;base64,ZmlsbQ=="' in page
    assert "beside this file: gone.mp4" in sections_report("t", "u", [], [Section("w", film=tmp_path / "gone.mp4")])


def test_cells_are_text_and_long_tables_are_folded():
    table = Table(["a"], [[NASTY]] * 41)
    page = sections_report("t", "u", [], [Section("s", table=table)])
    assert NASTY not in page
    assert page.count(escape(NASTY)) == 41
    assert "all 41 rows" in page
