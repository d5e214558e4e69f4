"""The report needs no network, shows what the result holds, and lets no name of a trial act as its code."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import opened
from results import PATHS, fit, result

from mjx_msm.knowledge.next_step import first_steps
from mjx_msm.knowledge.records import Direction, MuscleUse, Unseen
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.knowledge.verdict import verdict
from mjx_msm.recordings.cycles import by_cycle
from mjx_msm.views.replay import Replay
from mjx_msm.views.report.charts import correlation_chart, parameter_chart
from mjx_msm.views.report.directions import away, toward
from mjx_msm.views.report.from_emg import muscle_rows, steps_of
from mjx_msm.views.report.page import asked, in_short, report, save_report
from mjx_msm.views.report.trial_charts import _beyond, _range, _thinned, outlines, trial_charts, with_gaps

TIME = np.linspace(0.0, 2.0, 101)


def replay(name="reach", **changed):
    wave = np.sin(3 * TIME)[:, None]
    made = Replay(
        name, TIME, ("elbow_flex",), ("elbow_flex",), ("BRA", "BIC"), wave, 0.5 + 0.1 * np.hstack([wave, -wave]),
        {"generic": 2 * wave, "identified": 1.1 * wave}, 10 * wave, {"generic": 30 * wave, "identified": 11 * wave},
    )  # fmt: skip
    return replace(made, **changed)


class Page(HTMLParser):
    """Its text outside scripts, its tags, and what they refer to."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tags, self.referred, self._inside = "", [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._inside = [tag] if tag in ("script", "style") else []
        self.referred += [v for k, v in attributes if k in ("src", "href", "action")]

    def handle_endtag(self, tag):
        self._inside = []

    def handle_data(self, data):
        self.text += "" if self._inside else data


@pytest.fixture(scope="module")
def page():
    return report(result(fit("identify"), fit(ridge=3.0)), [replay()])


def test_it_refers_to_nothing_outside(page):
    assert Page(page).referred == []


def test_a_browser_draws_it(page, browser, tmp_path):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    seen = opened(tmp_path / "report.html", tmp_path / "profile")
    assert seen.complaints == []
    assert seen.charts == 5  # as below
    assert "What to do next" in seen.text
    assert "Use the person" in seen.text


def test_an_unseen_moment_has_its_band_and_says_what_it_holds():
    low = 11 * np.sin(3 * TIME)[:, None] - 2.0
    high = np.where(TIME[:, None] <= 1.5, low + 4.0, low + 0.5)  # 1.5 above what was recorded is outside
    unseen = replay("run", band=(low, high))
    text = report(result(fit("held-out", trial="run")), [unseen])
    said = re.sub(r"\s+", " ", Page(text).text)
    assert "run, held out" in said
    assert f"the band of 95 % holds {100 * unseen.band_holds(0):.0f} % of what was measured" in said
    assert said.index("What it had not seen: measured and predicted") < said.index("run, held out")
    assert text.count('"fill":"toself"') == 1
    assert '"fill":"toself"' not in report(result(fit("held-out", trial="run")), [replay("run")])


def test_a_band_is_not_filled_across_gaps():
    """Each piece of it is outlined by itself, and long signals are thinned without losing the gaps between."""
    time, low = np.arange(8.0), np.zeros(8)
    low[3] = np.nan
    x, y = outlines(time, low, low + 1.0)
    np.testing.assert_array_equal(x, [0, 1, 2, 2, 1, 0, np.nan, 4, 5, 6, 7, 7, 6, 5, 4, np.nan])
    np.testing.assert_array_equal(y, [0, 0, 0, 1, 1, 1, np.nan, 0, 0, 0, 0, 1, 1, 1, 1, np.nan])
    long = np.ones(9001)
    long[4000] = np.nan
    thinned = _thinned(long)
    assert len(thinned) <= 3000
    assert np.isnan(thinned).sum() == 1


def test_an_axis_shows_the_generic_model_or_says_that_it_goes_on():
    measured = np.sin(np.arange(20.0))
    curves = {"measured": measured, "identified": measured, "generic": 2.5 * measured}
    low, high = _range(curves)
    assert low < 2.5 * measured.min()
    assert high > 2.5 * measured.max()
    assert not _beyond(curves)
    wild = curves | {"generic": 40.0 * measured}
    low, high = _range(wild)
    assert high - low < 4.0 * np.ptp(measured)
    assert _beyond(wild) == "; the generic model goes on beyond the axis"
    repeated = np.sin(2 * np.pi * TIME / 0.25)[:, None]
    for times, says in ((2.0, False), (40.0, True)):
        moments = {"generic": times * repeated, "identified": repeated}
        titles = [title for title, _ in trial_charts(replay(position=repeated, moment=repeated, predicted=moments))]
        assert [title.endswith("beyond the axis") for title in titles if "moment" in title] == [says, says], titles
    band = {"measured": measured, "predicted": measured, "lower end": measured - 1.0, "upper end": measured + 1.0}
    low, high = _range(band)
    assert low < measured.min() - 1.0
    assert high > measured.max() + 1.0


def test_it_shows_what_the_result_holds(page):
    text = re.sub(r"\s+", " ", Page(page).text)
    made = result(fit("identify"), fit(ridge=3.0))
    for part in (*verdict(made)[:-1], *PATHS, made.directions[0].text, "3 N·m", "ab" * 32):
        assert part.replace("`", "") in text
    assert "<code>--starts 25</code>" in page, "names are set as code"
    assert "mjx-msm identify subject.toml --out FOLDER --muscle mujoco --starts 1 --seed 7 --no-cv" in text
    crossed = report(replace(result(fit("cross-validated")), folds="task"), [])
    assert "--seed 7 --cv-by task</code>" in crossed


def test_what_speaks_against_the_model_is_in_it():
    text = Page(report(result(replace(fit(), against=("not noise: they repeat themselves",))))).text
    assert "reach, elbow_flex: not noise: they repeat themselves" in text


def test_curves_are_those_of_the_trial(page):
    """Read back from the page: what plotly is given is the recorded moment, to five digits."""
    traces = traces_of(page)
    assert len(traces) == 5  # angle, moment, activations, parameters, correlations
    moments = {t["name"]: t["y"] for t in traces[1]}
    np.testing.assert_allclose(moments["measured"], 10 * np.sin(3 * TIME), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(moments["predicted"], 11 * np.sin(3 * TIME), rtol=1e-4, atol=1e-9)
    angles = {t["name"]: t["y"] for t in traces[0]}
    np.testing.assert_allclose(angles["measured"], np.degrees(np.sin(3 * TIME)), rtol=1e-4, atol=1e-9)
    known = {t.get("name"): t for t in traces[3]}["estimate, 95 %"]
    np.testing.assert_allclose(known["x"], 1.1)
    np.testing.assert_allclose(traces[4][0]["z"], 0.5 * np.eye(3) + 0.5, rtol=1e-4)


def test_names_are_text():
    name = "<script>alert(1)</script>\"'&"
    made = result(fit(trial=name), subject=name, channels=(name,), directions=())
    page = report(made, [replay(name), replay("other", coordinates=(name,), free=(name,))])
    assert "<script>alert" not in page
    assert Page(page).tags.count("script") == Page(report(made, [replay(), replay("other")])).tags.count("script")


def test_gaps_are_gaps():
    moment = np.full((101, 1), np.nan)
    page = report(result(fit()), [replay(moment=moment, predicted={}), replay("other", simulated={})])
    assert "NaN" not in re.sub(r"<script>.*?</script>", "", page, count=1, flags=re.S)


def test_what_the_band_holds_of_the_unseen_is_said_first():
    low = 10 * np.sin(3 * TIME)[:, None] - np.where(TIME[:, None] <= 1.5, 1.0, -1.0)  # a quarter is outside
    made, unseen = result(fit("identify"), fit("held-out", trial="run")), replay("run", band=(low, low + 2.0))
    text = re.sub(r"\s+", " ", Page(report(made, [replay(), unseen])).text)
    said = f"of run the band of 95 % holds {100 * unseen.band_holds(0):.0f} %"
    assert text.index("In short") < text.index(said) < text.index("What was asked")


def test_what_to_do_next_is_a_list_of_what_to_do_and_why_below_it():
    """And is told once: every step of the page is one of `first_steps`, with its details in lines of their own."""
    made = result(fit("identify"), shares=(0.1, 0.1, 0.9), bounds=("", "", "upper"))
    page = report(made)
    listed = page[page.index("What to do next") : page.index("What was asked")]
    lines = [
        html.unescape(re.sub(r"<[^>]+>", "", x))
        for x in re.findall(r"<b>(.*?)</b>|<li>([^\n]*)</li>", listed)
        for x in x
        if x
    ]
    steps = first_steps(made)
    assert [x.lower() for x in lines] == [
        x.replace("`", "").lower() for step in steps for x in (step.head, *step.details)
    ]
    assert len(steps) > 1
    assert "Next: " not in page


def test_who_stands_behind_a_row_and_what_only_its_range_holds():
    made = result(fit())
    strength, *others = made.estimates
    path, members = "muscle/B*/max_isometric_force", (PATHS[0], "muscle/BIC/max_isometric_force")
    wide = replace(strength, path=path, low=0.3, high=2.8)
    tied = replace(made.unknowns[0], members=members)
    made = replace(made, estimates=(wide, *others), unknowns=(tied, *made.unknowns[1:]))
    text = re.sub(r"\s+", " ", Page(report(made)).text)
    assert "maximal isometric force of BRA and BIC" in text
    assert path not in text
    assert text.count("as wide as all that was allowed") == 2, "in short, and in its row"


def test_what_reads_alike_is_alike_bold():
    page = report(result(fit(identified=2.001, ridge=2.002, mean_cycle=3.0)))
    assert re.findall(r'<td class="n best">(.*?)</td>', page) == ["2 N·m", "2 N·m"]


def test_a_correction_that_corrects_nothing_is_not_bold():
    page = report(result(fit(identified=2.001, with_discrepancy=2.002, ridge=3.0)))
    assert re.findall(r'<td class="n best">(.*?)</td>', page) == ["2 N·m"]
    page = report(result(fit(identified=2.001, with_discrepancy=1.5, ridge=3.0)))
    assert re.findall(r'<td class="n best">(.*?)</td>', page) == ["1.5 N·m"]


def test_what_was_held_is_among_what_was_asked():
    parameters = {
        **dict.fromkeys(PATHS, 1.0), "muscle/BIC/max_isometric_force": 2.0, "muscle/BRA/pennation_angle": 0.1,
        "muscle/BIC/pennation_angle": 0.0, "emg/biceps/gain": 0.4, "emg/biceps/delay": 0.04,
    }  # fmt: skip
    said = dict(asked(result(fit(), parameters=parameters, emg_map={"BRA": {"biceps": 1.0}, "BIC": {}})))
    held = "maximal isometric force of BIC, pennation angle, EMG gain (0.4), EMG delay (0.04 s)"
    assert said["held as they are"] == held
    assert said["held silent"] == "BIC"
    assert "held as they are" not in dict(asked(result(fit())))


def traces_of(page):
    """What plotly is given, chart by chart."""
    found = re.findall(r"Plotly\.newPlot\(\s*\"[^\"]+\",\s*(\[.*?\]),\s*\{\"template", page, re.S)
    return [json.loads(m) for m in found]


def test_what_folds_predict_of_the_unseen_is_drawn_with_its_band():
    time = tuple(TIME.tolist())
    recorded = 10 * np.sin(3 * TIME)
    predicted = recorded + np.where(TIME <= 1.5, 0.5, 3.0)
    curves = [tuple(x.tolist()) for x in (recorded, predicted, predicted - 1.0, predicted + 1.0)]
    unseen = Unseen("reach", "elbow_flex", time, *curves)
    made = result(fit("identify"), replace(fit("cross-validated"), within=True), unseen=(unseen,))
    page = report(made, [replay()])
    said = re.sub(r"\s+", " ", Page(page).text)
    assert "reach, each part predicted from the others" in said
    assert f"holds {100 * np.mean(TIME <= 1.5):.0f} % of what was measured" in said
    chart = {t["name"]: t["y"] for t in traces_of(page)[0] if "name" in t}
    np.testing.assert_allclose(chart["measured"], recorded, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(chart["predicted"], predicted, rtol=1e-4, atol=1e-9)
    nothing = re.sub(r"\s+", " ", Page(report(result(fit("identify")), [replay()])).text)
    assert "no trial was held out, and there was no cross-validation" in nothing


def test_a_movement_that_repeats_itself_is_drawn_over_its_cycle():
    """Strides of 1.25 s whose moments differ by a factor: their mean, and their standard deviation about it."""
    time = np.arange(0.0, 40.0, 0.0125)
    phase = time / 1.25
    size = 1.0 + 0.2 * (np.floor(phase) % 2)
    angle = np.cos(2 * np.pi * phase)[:, None]
    moment = (size * np.sin(2 * np.pi * phase))[:, None]
    walk = replay("walk", time=time, position=angle, activation=np.zeros((len(time), 2)), simulated={},
                  moment=moment, predicted={"identified": 1.5 * moment})  # fmt: skip
    page = report(result(fit("identify", trial="walk")), [walk])
    cycle, course = (
        {t["name"]: t for t in chart if t.get("line", {}).get("width") != 0}
        for chart in traces_of(page)[:3:2]  # activations are between them
    )
    at = np.array(cycle["measured"]["x"])
    np.testing.assert_allclose(cycle["measured"]["y"], 1.1 * np.sin(2 * np.pi * at / 100), atol=0.03)
    np.testing.assert_allclose(cycle["identified"]["y"], 1.65 * np.sin(2 * np.pi * at / 100), atol=0.05)
    low, high = (np.array(t["y"]) for t in traces_of(page)[0][:2])
    np.testing.assert_allclose(high - low, 0.2 * np.abs(np.sin(2 * np.pi * at / 100)), atol=0.03)
    assert len(course["measured"]["x"]) == len(time) / 2, "as many as a screen can show"
    assert "the first 5 of 40 s, the rest by the slider below" in page
    assert '"rangeslider"' in page


def test_a_correction_is_explained_where_it_is_shown():
    assert "plus a smooth correction" in report(result(fit(with_discrepancy=1.0)))
    assert "plus a smooth correction" not in report(result(fit(ridge=1.0)))


def test_the_weakest_directions_are_unfolded_and_the_others_folded():
    many = tuple(Direction(f"direction {k}", Knowledge.PRIOR, 0.01 * k, {}) for k in range(9))
    page = report(result(fit(), directions=many))
    assert page.index("direction 4") < page.index("<summary>4 more</summary>") < page.index("direction 5")
    assert "(3 % of this combination from the data)" in page


def test_noise_has_its_unit():
    assert "moment/elbow_flex 1.5 N·m" in Page(report(result(fit("identify")))).text


def test_no_path_of_a_machine_is_passed_on():
    note = "/home/anna/data/walk/emg.sto: EMG channel 'vas' dips to -0.1; taken as 0"
    page = report(result(fit(), notes=(note,), hashes={"../../../data/walk/ik.sto": "ab" * 32}))
    text = Page(page).text
    assert "walk/emg.sto: EMG channel" in text
    assert "walk/ik.sto" in text
    assert "anna/data" not in text
    assert ".." not in text
    assert in_short("body/forearm/inertia/xx and emg/*/gain") == "body/forearm/inertia/xx and emg/*/gain"


def test_what_was_noticed_and_doubted_is_in_it():
    doubtful = replace(fit(), doubted=0.012)
    text = Page(report(result(doubtful, notes=("knee: 2 % of <EMG> masked",)))).text
    assert "knee: 2 % of <EMG> masked" in text
    assert "1.2 %" in text
    assert "doubted" not in Page(report(result(fit()))).text


def test_a_result_without_trials_has_a_report(tmp_path):
    assert "In short" in save_report(tmp_path / "report.html", result()).read_text(encoding="utf-8")


def test_nothing_is_drawn_across_samples_that_were_left_out():
    """A third of every other cycle is masked: where it is, the mean is that of the other cycles."""
    time = np.arange(0.0, 8.0, 0.02)
    signal = 50.0 * np.sin(np.pi * (time % 1.0))
    kept = (time % 2.0 < 0.35) | (time % 2.0 > 0.65)
    cycles = by_cycle(*with_gaps(time[kept], signal[kept]))
    middle = np.linspace(0.0, 1.0, 101)[10:90]
    np.testing.assert_allclose(np.nanmean(cycles, axis=0)[10:90], 50.0 * np.sin(np.pi * middle), atol=0.1)
    assert np.isnan(cycles[0, 50])
    np.testing.assert_array_equal(with_gaps(time, signal)[1], signal)
    assert [len(x) for x in with_gaps(time[:1], signal[:1])] == [1, 1]


def test_the_truth_of_somebody_who_is_made_up_is_drawn():
    made = result(fit("identify"), fit())
    path = made.estimates[0].path
    assert '"name":"truth"' in report(made, truth={path: 1.3})
    assert '"name":"truth"' not in report(made)


def test_where_a_coordinate_goes():
    bent = np.array([-0.1, 0.2, 1.1])
    assert (toward("knee_angle", bent), toward("knee_angle_r", -bent)) == ("flexion", "extension")
    assert toward("knee_angle", np.full(3, np.nan)) == toward("knee_angle", np.zeros(3)) == ""  # nothing is told
    assert (toward("hip_flexion", -bent), toward("elbow_flex", bent)) == ("flexion", "flexion")
    assert (toward("ankle_angle", bent), toward("slide", bent)) == ("dorsiflexion", "")
    assert (away("flexion"), away("extension"), away("")) == ("extension", "flexion", "")


def test_how_emg_becomes_activation_is_in_it():
    used = MuscleUse("reach", "BRA", 0.9, 1.0, 0.26, 0.004)
    parameters = {"emg/biceps/gain": 5.0, "emg/biceps/delay": 0.018, "emg/biceps/shape": -1.0}
    made = result(
        fit("identify"), parameters=parameters, emg_map={"BRA": {"biceps": 1.0}, "BIC": {}}, use=(used,),
        processing="high-pass 30 Hz, rectified", silenced={"reach": ("triceps",)},
    )  # fmt: skip
    steps = dict(steps_of(made, [replay()]))
    assert steps["envelope"] == "high-pass 30 Hz, rectified"
    assert steps["silent by the subject file"] == "triceps in reach"
    assert (steps["delay"], steps["shape"]) == ("18 ms", "-1 (0 is straight)")
    assert steps["muscle law"] == "mujoco, tendons rigid"
    assert "tendons yield" in dict(steps_of(replace(made, muscle_model="degroote-compliant"), []))["muscle law"]
    assert steps["signs"] == "elbow_flex and its moment count flexion as positive"
    head, rows = muscle_rows(made)
    assert head[3:] == ["greatest activation, reach", "greatest force, of F0"]
    assert rows[0] == ["BRA", "biceps", "5", "100 % (26 % of it full)", "0.40 %"]
    assert rows[1] == ["BIC", "silent", "", "", "not across a free joint"]
    text = re.sub(r"\s+", " ", Page(report(made, [replay()])).text)
    assert "high-pass 30 Hz, rectified" in text
    assert "100 % (26 % of it full)" in text
    assert "greatest activation" not in Page(report(replace(made, use=()), [replay()])).text


def test_charts_of_a_trial_say_what_is_positive_and_share_their_axis():
    phase = np.arange(0.0, 12.5, 0.02)
    bend = (0.6 + 0.5 * np.cos(2 * np.pi * phase))[:, None]
    walk = replay(
        "walk", time=phase, coordinates=("knee_angle",), free=("knee_angle",), position=bend, simulated={},
        muscles=("recfem", "bflh", "soleus"), activation=np.hstack([0.1 * bend, 0.5 * bend, 0.3 * bend]),
        moment=bend, predicted={"identified": 1.1 * bend},
    )  # fmt: skip
    (title, cycle), (heat_title, heat), (_, course) = trial_charts(walk)
    assert "mean of" in title
    assert heat_title == "activation of every muscle, mean cycle"
    assert cycle.layout.xaxis.title.text == "% of the cycle (0 % = greatest knee_angle: of a stride, mid-swing)"
    assert (cycle.layout.yaxis.title.text, course.layout.yaxis.title.text) == ("+ flexion", "+ flexion")
    assert list(heat.data[0].y) == ["recfem", "bflh", "soleus"]  # in the model's order
    assert (heat.layout.xaxis.range, heat.layout.margin.l) == (cycle.layout.xaxis.range, cycle.layout.margin.l)
    (_, moved), (_, once) = trial_charts(replay(simulated={}))
    assert moved.layout.margin.l == once.layout.margin.l


def test_a_band_that_the_axis_cuts_is_said_to_go_on():
    measured = np.sin(TIME)
    wide = {"measured": measured, "predicted": measured, "lower end": measured - 9.0, "upper end": measured + 9.0}
    assert _beyond(wide) == "; the band goes on beyond the axis"
    assert _beyond({**wide, "generic": 50.0 * measured}) == "; the generic model and the band go on beyond the axis"
    assert _beyond({**wide, "lower end": measured - 0.1, "upper end": measured + 0.1}) == ""


def test_bounds_are_marked_and_ends_of_a_joint_named():
    made = result(fit("identify"), fit())
    path, u = "joint/elbow_flex/lower_passive_moment", made.unknowns[0]
    first = replace(made.estimates[0], path=path, low=float(np.exp(u.lower)))
    made = replace(
        made, estimates=(first, *made.estimates[1:]), unknowns=(replace(u, members=(path,)), *made.unknowns[1:])
    )
    text = re.sub(r"\s+", " ", Page(report(made, [replay()])).text)
    assert "joint/elbow_flex/lower_passive_moment (end of extension)" in text
    assert "‖ 0.368 … 1.2" in text
    joint = parameter_chart(replace(made, unknowns=result().unknowns), {}, {"elbow_flex": "flexion"})
    assert joint is not None
    assert "joint/elbow_flex/lower_passive_moment (end of extension)" in joint.data[0].y
    assert text.count("‖") == 2  # and where it is explained
    assert "‖" not in Page(report(result(), [])).text.replace("‖ is an end at a bound", "")


def test_what_is_determined_is_not_shown_as_such_while_intervals_fail():
    made = result(fit("identify"), replace(fit(), band=0.4))
    text = report(made)
    assert text.count("not to be used: intervals are too narrow") == 3
    assert text.count('<tr class="open">') == 3
    names = [trace.name for trace in parameter_chart(made, {}).data]
    assert names == ["prior, 95 %", "not determined, or intervals too narrow"]
    assert "not to be used: intervals" not in report(result(fit("identify"), fit()))


def test_what_the_text_says_moves_together_is_in_the_picture():
    open_ = result(fit(), shares=(0.1, 0.1, 0.1))
    weights = {PATHS[0]: 0.7, PATHS[1]: -0.7, PATHS[2]: 0.05}
    direction = Direction("force and length of BRA move together", Knowledge.PRIOR, 0.0, weights)
    drawn = correlation_chart(replace(open_, directions=(direction,)))
    assert drawn is not None
    assert list(drawn.data[0].x) == list(PATHS[:2])
    assert drawn.layout.margin.b > 5 * max(map(len, PATHS[:2]))  # its labels have room
    assert correlation_chart(replace(open_, directions=())) is None


def test_where_it_is_off_every_time_and_without_the_other_foot_are_in_it():
    row = replace(fit(), apart=1.4, deviates="on average 12 N·m too low from 50 to 70 % of the cycle")
    text = re.sub(r"\s+", " ", Page(report(result(fit("identify"), row))).text)
    assert "reach, elbow_flex: predicted on average 12 N·m too low" in text
    assert "without the other foot's" in text
    assert "1.4 N·m" in text
    assert "other foot" not in Page(report(result(fit("identify"), fit()))).text
