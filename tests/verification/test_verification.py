"""Monte Carlo over people and disturbances: statistics against closed forms, planted violations, resume, repetition."""

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from html import unescape
from math import comb
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from browser import opened
from rich.console import Console
from scipy.stats import binom, spearmanr

import mjx_msm
from mjx_msm import envs
from mjx_msm.cli import app as cli
from mjx_msm.common.computed_by import code_digest
from mjx_msm.common.errors import InputError
from mjx_msm.common.files import alone_with
from mjx_msm.envs.controllers import controller
from mjx_msm.knowledge.result import Identification
from mjx_msm.verification import Verification, Violation, clopper_pearson, load_plan, scenario_file
from mjx_msm.verification.campaign import prepare
from mjx_msm.verification.episode import POINT, Rehearsal, measures_of
from mjx_msm.verification.film import find_episode
from mjx_msm.verification.findings import ANY, _row, mcnemar, separations
from mjx_msm.verification.journal import JOURNAL
from mjx_msm.verification.page import save_verification_report, verdict
from mjx_msm.verification.report import write_report
from mjx_msm.verification.running import run
from mjx_msm.verification.scenario_file import parse_plan
from mjx_msm.verification.scenarios import POSSIBLE, SECONDS, Quantity

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "verification"
WEAK = 2
"""The drawn person who has next to no strength."""
STRENGTH = "muscle/*/max_isometric_force"

SCENARIOS = """
seconds = 1.0

[environment]
task = "seated"
strength = 1.0

[scenarios.undisturbed]

[scenarios.shaking]
onset = [0.0, 0.2]
tremor = [0.1, 0.3]

[violations.behind]
measure = "tracking_error"
above = 0.2
unit = "rad"

[violations.squeezed]
measure = "shank_force"
above = 1e4
"""


@pytest.fixture(scope="module", autouse=True)
def _no_compile_cache():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MJX_MSM_CACHE", "off")
        yield


@pytest.fixture(scope="module")
def subject(tmp_path_factory, knee, result_of) -> Path:
    """An identified leg of known strength, save for one of the four drawn: he was planted."""
    from mjx_msm.person.space import parameter_space

    free = [STRENGTH, "joint/knee_angle/damping"]
    space = parameter_space(knee.nominal, free, bounds={STRENGTH: {"factor": [1e-3, 2.0]}})
    result = result_of(
        space, np.eye(space.size) * 1e6, source="knee", free=knee.free, prescribed=knee.prescribed, seed=1
    )
    draws = np.array(result.samples)[:4].copy()
    draws[WEAK, [path.endswith("force") for path in space.paths]] -= np.log(300.0)
    result = dataclasses.replace(result, samples=tuple(map(tuple, draws.tolist())))
    folder = tmp_path_factory.mktemp("verify") / "leg"
    folder.mkdir()
    result.save(folder / "identification.json")
    result.export(folder / "model.xml")
    return folder


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scenarios") / "scenarios.toml"
    path.write_text(SCENARIOS)
    return path


@pytest.fixture(scope="module")
def campaign(subject, scenarios):
    return prepare("KneeExo", subject=subject, controller="zero", people=4, scenarios=scenarios, seed=7)


@pytest.mark.slow
def test_no_more_people_than_go_through_the_recording(subject, scenarios, tmp_path):
    found = dataclasses.replace(Identification.load(subject), completed=True)
    found.save(tmp_path / "identification.json")
    found.export(tmp_path / "model.xml")
    arguments: dict = {"subject": tmp_path, "controller": "zero", "scenarios": scenarios}
    campaign = prepare("KneeExo", people=4, **arguments)
    assert len(campaign.stage.drawn) == 4
    assert campaign.crowd.notes == ()
    with pytest.raises(InputError, match=r"people = 5: 4 people drawn from .* ask for no more"):
        prepare("KneeExo", people=5, **arguments)
    # draws that were not taken through it are told of, by the environment too
    dataclasses.replace(found, completed=False, residuals=("moment",)).save(tmp_path / "identification.json")
    assert "miss the recorded moments" in prepare("KneeExo", people=4, **arguments).crowd.notes[0]
    env = gymnasium.make("mjx_msm/KneeExo-v0", subject=tmp_path, sample_posterior=True)
    with pytest.warns(UserWarning, match="miss the recorded moments"):
        env.reset(seed=0)


@pytest.fixture(scope="module")
def result(campaign, tmp_path_factory):
    return run(campaign, tmp_path_factory.mktemp("out"), workers=1)


# Statistics ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 200])
def test_clopper_pearson_closed_forms(n):
    assert clopper_pearson(0, n) == (0.0, pytest.approx(1 - 0.025 ** (1 / n), rel=1e-12))
    assert clopper_pearson(n, n) == (pytest.approx(0.025 ** (1 / n), rel=1e-12), 1.0)
    for count in range(n + 1):
        low, high = clopper_pearson(count, n)
        assert (1 - high, 1 - low) == pytest.approx(clopper_pearson(n - count, n), abs=1e-12)
        if count:  # at its ends, what was seen is the most extreme 2.5 %
            assert binom.sf(count - 1, n, low) == pytest.approx(0.025, rel=1e-9)
        if count < n:
            assert binom.cdf(count, n, high) == pytest.approx(0.025, rel=1e-9)


def test_clopper_pearson_covers():
    n = 20
    ends = np.array([clopper_pearson(k, n) for k in range(n + 1)])
    for p in np.linspace(0.001, 0.999, 97):
        inside = (ends[:, 0] <= p) & (p <= ends[:, 1])
        assert binom.pmf(np.arange(n + 1), n, p)[inside].sum() >= 0.95
    with pytest.raises(InputError, match="3 of 2"):
        clopper_pearson(3, 2)


def test_a_violation_has_to_last():
    x = np.array([0.0, 5.0, 5.0, 5.0, 0.0, 9.0, 0.0])
    assert Violation("a", "m", above=4.0).worst(x, 0.02) == (2.25, 9.0, True)
    # three samples in a row span 40 ms, four would span 60
    assert Violation("a", "m", above=4.0, longer=0.04).worst(x, 0.02) == (1.25, 5.0, True)
    assert Violation("a", "m", above=4.0, longer=0.041).worst(x, 0.02) == (0.0, 0.0, False)
    assert Violation("a", "m", above=4.0, longer=1.0).worst(x + 5.0, 0.02)[2] is False, "too short to have lasted"
    assert Violation("a", "m", above=9.0).worst(x, 0.02) == (1.0, 9.0, False), "at the limit is not beyond it"
    assert Violation("a", "m", below=-2.0, above=20.0).worst(-x, 0.02) == (4.5, -9.0, True)
    assert Violation("a", "m", above=0.0, scale=3.0).worst(x, 0.02) == (4.0, 9.0, True)
    margin, _, hit = Violation("a", "m", above=4.0).worst(np.array([0.0, np.nan]), 0.02)
    assert hit
    assert np.isfinite(margin)


def test_parameters_that_matter_are_found_and_others_are_not():
    random = np.random.default_rng(0)
    values = random.normal(size=(100, 30))
    margin = np.exp(values[:, 4]) + 0.1 * random.normal(size=100)
    violated = margin > np.quantile(margin, 0.9)
    names = [f"p{i}" for i in range(30)]

    def search(margin):
        return separations(["v"], names, values, margin[:, None], violated[:, None])

    found = search(margin)
    assert [s.parameter for s in found] == ["p4"]
    assert found[0].correlation > 0.9
    assert found[0].difference == pytest.approx(
        (values[violated, 4].mean() - values[~violated, 4].mean()) / values[:, 4].std()
    )
    assert (found[0].violators, found[0].n) == (10, 100)
    false = [search(random.normal(size=100)) for _ in range(40)]
    assert sum(map(bool, false)) <= 6  # one in twenty is expected


def test_more_violations_are_more_chances():
    """False findings over all violations together stay rare, and a finding's p counts what was tested."""
    random = np.random.default_rng(2)
    values, names = random.normal(size=(20, 10)), [f"p{i}" for i in range(10)]
    hits = 0
    for _ in range(60):
        margins = random.normal(size=(20, 10))
        hits += bool(separations(names, names, values, margins, margins > 0))
    assert hits <= 9, "one in twenty is expected; over parameters alone it would be four in ten"
    margins = np.stack([values[:, 3], *random.normal(size=(2, 20)), values[:, 3]], axis=1) + 1e-3
    margins[:, 0] += 0.8 * random.normal(size=20)
    violated = margins > 1
    violated[:, 3] = False
    (alone,) = separations(["a"], names, values, margins[:, :1], violated[:, :1])
    found = separations(list("abcd"), names, values, margins, violated)
    assert found[0].p == pytest.approx(3 * alone.p), "nobody has the fourth, so it is no test"
    assert alone.p == pytest.approx(10 * spearmanr(values[:, 3], margins[:, 0]).pvalue)


@pytest.mark.parametrize(("people", "listed"), [(5, 0), (19, 0), (20, 1)])
def test_of_few_people_no_parameter_is_named(people, listed):
    x = np.arange(people, dtype=float)[:, None]
    assert len(separations(["v"], ["p"], x, x, x > people / 2)) == listed


def test_mcnemar_closed_form_and_size():
    for n in range(1, 60):
        p = np.array([mcnemar(k, n - k) for k in range(n + 1)])
        for k in range(n // 2 + 1):
            tail = sum(comb(n, j) for j in range(k + 1)) / 2**n
            assert p[k] == p[n - k] == pytest.approx(min(1.0, 2 * tail), rel=1e-9)
        assert binom.pmf(np.arange(n + 1), n, 0.5)[p < 0.05].sum() <= 0.05, "errs in at most one of twenty"
    assert mcnemar(0, 0) == 1.0


@pytest.mark.parametrize(
    ("people", "point", "certain", "verdict"),
    [
        # pairs: (only the person, only the point estimate, both), of 200
        (1, 0, False, "not seen"),
        (5, 0, False, "not seen"),  # 2 / 2^5 = 0.0625
        (6, 0, False, "missed"),  # 2 / 2^6 = 0.031
        (0, 0, False, ""),
        (100, 10, False, "understated"),
        (12, 7, False, ""),
        (10, 100, False, ""),
        (1, 0, True, "missed"),  # it is known never to happen to the point estimate
        (0, 0, True, ""),
        (150, 200, True, ""),
    ],
)
def test_verdicts_are_beyond_chance(people, point, certain, verdict):
    """Nested: whoever is rarer has it only where the other has it too."""
    have, twin_has = np.arange(200) < people, np.arange(200) < point
    assert _row("s", "v", have, twin_has, certain, 1.0).verdict == verdict


def test_pairs_are_compared_and_not_sums():
    """Half of the pairs have it on both sides: unpaired intervals overlap, the pairs tell."""
    both, only = np.arange(200) < 100, np.arange(200) >= 185
    row = _row("s", "v", both | only, both, False, 1.0)
    assert (row.more, row.fewer, row.posterior.hits, row.point.hits) == (15, 0, 115, 100)
    assert row.posterior.interval[0] < row.point.interval[1]
    assert row.verdict == "understated"
    assert row.p == pytest.approx(2 / 2**15)


# Scenario files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "low", "high", "mean"),
    [
        (Quantity("fixed", (2.0,)), 2.0, 2.0, 2.0),
        (Quantity("uniform", (1.0, 3.0)), 1.0, 3.0, 2.0),
        (Quantity("log", (1.0, np.e)), 1.0, np.e, np.e - 1.0),
        (Quantity("choice", (1.0, 5.0)), 1.0, 5.0, 3.0),
        (Quantity("normal", (2.0, 0.5)), -2.0, 6.0, 2.0),
    ],
)
def test_quantities(quantity, low, high, mean):
    random = np.random.default_rng(1)
    x = np.array([quantity.draw(random) for _ in range(4000)])
    assert low <= x.min() <= x.max() <= high
    assert x.mean() == pytest.approx(mean, abs=5 * x.std() / np.sqrt(len(x)) + 1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("second = 3", ["'second'", "'seconds'"]),
        ("seconds = -1", ["seconds"]),
        ("seconds = ", ["not valid TOML"]),
        ("[environment]\nsubject = 'a'", ["[environment]", "subject"]),
        ("[scenarios]", ["[scenarios]", "empty"]),
        ("[scenarios.a]\nstal = 1", ["[scenarios.a]", "'stal'", "'stall'"]),
        ("[scenarios.a]\nstall = 'much'", ["[scenarios.a]", "stall", "much"]),
        ("[scenarios.a]\nstall = 2", ["stall = 2", "0 to 1"]),
        ("[scenarios.a]\ndelay = [0.1, 0.0]", ["delay", "lower number first"]),
        ("[scenarios.a]\ndelay = [0.1]", ["delay", "two to draw between"]),
        ("[scenarios.a]\ndelay = 1.0", ["delay = 1", "0.2"]),
        ("[scenarios.a]\ndelay = {gauss = [0.1, 0.1]}", ["delay", "gauss"]),
        ("[scenarios.a]\nduration = {log = [0.0, 0.1]}", ["duration", "logarithmic"]),
        ("[scenarios.a]\nprobability = 0.5", ["sum to 0.5"]),
        ("[scenarios.a]\nprobability = 1.0\n[scenarios.b]", ["'b'", "probability"]),
        ("[violations.a]\nabove = 1", ["[violations.a]", "measure"]),
        ("[violations.a]\nmeasure = 'slip'", ["[violations.a]", "no limit"]),
        ("[violations.a]\nmeasure = 'slip'\nabove = 0", ["[violations.a]", "scale"]),
        ("[violations.a]\nmeasure = 'slip'\nabove = 0\nbelow = 1\nscale = 1", ["exchange"]),
        ("[violations.a]\nmeasure = 'slip'\nabove = true", ["above"]),
        ("[violations.a]\nmeasure = 'slip'\nover = 1", ["'over'"]),
    ],
)
def test_a_bad_scenario_file_is_one_line(text, words, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_plan(path, envs.KNEE_EXO)
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in ["s.toml", *words]), message


@pytest.mark.parametrize("id", [envs.KNEE_EXO, envs.ARM_CO_TRANSPORT, envs.ARM_REACH, envs.ARM_STRIKE])
def test_every_environment_has_its_own(id):
    plan = load_plan(None, id)
    env = gymnasium.make(id).unwrapped
    known = measures_of(env)
    assert {v.measure for v in plan.violations} <= set(known)
    assert {name for s in plan.scenarios for name in s.quantities} <= set(POSSIBLE)
    assert parse_plan(json.loads(json.dumps(plan.plain())), id, "again") == plan, "what is written is read back"


@pytest.mark.parametrize(("name", "id"), [("knee_exo", envs.KNEE_EXO), ("co_transport", envs.ARM_CO_TRANSPORT)])
def test_examples(name, id):
    plan = load_plan(EXAMPLES / f"{name}.toml", id)
    arguments = {**plan.environment, "task": "seated"} if id == envs.KNEE_EXO else plan.environment
    assert {v.measure for v in plan.violations} <= set(measures_of(gymnasium.make(id, **arguments).unwrapped))


# Episodes --------------------------------------------------------------------------------------------------


def test_the_planted_person_is_found(result):
    hits = {(r.scenario, r.violation): r.posterior for r in result.rows}
    assert hits["undisturbed", "behind"] == (1, 4, False)
    assert result.missed == (), "one of four may be chance"
    assert hits["undisturbed", "squeezed"].hits == 0
    assert result.worst.episode.person == WEAK
    assert result.worst.violation.name == "behind"
    assert result.worst.margin == max(max(c.margins) for c in result.courses)
    (row,) = [r for r in result.rows if (r.scenario, r.violation) == ("undisturbed", "behind")]
    assert (row.verdict, row.point.hits, row.more, row.fewer, row.p) == ("not seen", 0, 1, 0, 1.0)
    (every,) = [r for r in result.overall if r.violation == ANY]
    assert every.posterior.n == 4
    violators = {
        e.person for e, c in zip(result.episodes, result.courses, strict=True) if any(c.violated) and e.person != POINT
    }
    assert every.posterior.hits == len(violators)


@pytest.mark.parametrize("certain", [True, False])
def test_everybody_is_compared_with_the_point_estimate_under_the_same_disturbances(campaign, result, certain):
    """Planted outcomes: the point estimate fails with the disturbances of person 1 only, or always if certain."""
    sure = dataclasses.replace(
        campaign,
        certain=(certain, False),
        episodes=tuple(e for e in campaign.episodes if not certain or e.person != POINT or e.number == 1 or e.scenario),
    )
    by_number = {c.number: c for c in result.courses}
    courses = []
    for e in sure.episodes:
        hit = e.scenario == 0 and (e.person in (0, 1) if e.person != POINT else (certain or e.number // 4 == 1))
        c = by_number[e.number]
        courses.append(c._replace(violated=(hit, *[False] * (len(c.violated) - 1))))
    found = Verification.of(sure, courses)
    (row,) = [r for r in found.rows if (r.scenario, r.violation) == ("undisturbed", "behind")]
    assert row[2:6] == (((2, 4, False), (1, 1, True), 0, 2) if certain else ((2, 4, False), (1, 4, False), 1, 0))
    (total,) = [r for r in found.overall if r.violation == "behind"]
    assert total[2:6] == ((2, 4, False), (4 if certain else 1, 4, False), *row[4:6])


def test_the_point_estimate_meets_the_same_disturbances(campaign):
    by = {(e.person, e.scenario, e.number // 2): e for e in campaign.episodes}
    points = [e for e in campaign.episodes if e.person == POINT]
    assert len(points) == 8, "the motion's pace is random, so each of its episodes is another one"
    for point in points:
        (twin,) = [e for key, e in by.items() if key[2] == point.number // 2 and key[0] != POINT]
        assert (point.seed, point.disturbance, point.scenario) == (twin.seed, twin.disturbance, twin.scenario)
    assert len({e.seed for e in campaign.episodes}) == 8
    assert len({e.disturbance["tremor"] for e in campaign.episodes if e.scenario == 1}) == 4


def test_an_episode_is_what_the_environment_does(campaign, result):
    """By hand, with the environment's own options, to the last bit."""
    env = gymnasium.make(envs.KNEE_EXO, subject=campaign.stage.subject, task="seated", strength=1.0).unwrapped
    act = controller("zero", env)
    episode, course = result.worst.episode, result.worst.course
    options = {"person": episode.person, "disturbance": dict(episode.disturbance)}
    observation, _ = env.reset(seed=episode.seed, options=options)
    act.reset()
    errors, angles = [], []
    for _ in range(50):
        observation, *_, info = env.step(act(observation))
        errors.append(info["tracking_error"])
        angles.append(env.data.qpos[1])
    names = [v.name for v in result.violations]
    assert course.values[names.index("behind")] == max(errors)
    assert course.values[names.index("knee_angle out of range")] in (max(angles), min(angles))
    assert course.summary == env.summary()
    assert course.periods == 50


def test_the_point_estimate_is_the_exported_model(campaign, result):
    """The person of `model.xml`, up to the digits of that file."""
    env = gymnasium.make(envs.KNEE_EXO, subject=campaign.stage.subject, task="seated", strength=1.0).unwrapped
    episode, course = next(
        (e, c) for e, c in zip(result.episodes, result.courses, strict=True) if e.person == POINT and e.scenario == 0
    )
    env.reset(seed=episode.seed)
    for _ in range(50):
        env.step(np.zeros(1))
    for name, x in env.summary().items():
        assert course.summary[name] == pytest.approx(x, rel=1e-5, abs=1e-9), name


# Repetition, processes, interruptions ------------------------------------------------------------------------


@pytest.mark.slow
def test_neither_order_nor_number_of_processes_matters(campaign, result, tmp_path):
    rehearsal = Rehearsal(campaign.stage)
    backwards = [rehearsal.run(e) for e in reversed(campaign.episodes)][::-1]
    assert tuple(backwards) == result.courses
    assert run(campaign, tmp_path / "two", workers=2).courses == result.courses


@pytest.mark.slow
def test_a_cluster_finds_the_same(campaign, result, tmp_path):
    pytest.importorskip("ray", reason='needs the extra "ray"')
    assert run(campaign, tmp_path / "ray", executor="ray", workers=2).courses == result.courses


def test_fewer_people_are_the_first_of_more(campaign, subject, scenarios):
    few = prepare("KneeExo-v0", subject=subject, controller="zero", people=2, scenarios=scenarios, seed=7)
    assert few.episodes == campaign.episodes[: len(few.episodes)]
    other = prepare("KneeExo-v0", subject=subject, controller="zero", people=2, scenarios=scenarios, seed=8)
    assert all(a.seed != b.seed for a, b in zip(few.episodes, other.episodes, strict=True))


def test_other_processes_do_without_jax(subject):
    code = (
        "import sys; from mjx_msm.verification.episode import make_environment\n"
        "import mjx_msm.common.executors.by_name, mjx_msm.envs.controllers\n"
        f"make_environment('{envs.KNEE_EXO}', {str(subject)!r}, {{'task': 'seated'}}).reset(seed=1)\n"
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_killed_run_goes_on(campaign, result, subject, scenarios, tmp_path):
    """SIGKILL in the middle, and the line it was writing torn."""
    out = tmp_path / "out"
    arguments = f"'KneeExo', subject={str(subject)!r}, controller='zero', people=4, scenarios={str(scenarios)!r}"
    code = (
        "import time, mjx_msm\n"
        "if __name__ == '__main__':\n"
        f"    mjx_msm.verify({arguments}, seed=7, out={str(out)!r}, workers=1,\n"
        "                   listener=lambda done, total: time.sleep(0.2))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        journal, deadline = out / JOURNAL, time.monotonic() + 240
        while not (journal.is_file() and journal.read_bytes().count(b"\n") >= 4):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = journal.read_bytes().count(b"\n") - 1
    assert 3 <= kept < len(campaign.episodes)
    with journal.open("ab") as file:
        file.write(b'{"number": 5, "peri')
    before = journal.read_bytes()
    with alone_with(journal), pytest.raises(InputError, match="another process is at work here"):
        run(campaign, out, workers=1, resume=True)
    assert journal.read_bytes() == before
    with pytest.raises(InputError, match="--resume"):
        run(campaign, out, workers=1)
    seen = []
    again = run(campaign, out, workers=1, resume=True, listener=lambda done, total: seen.append((done, total)))
    assert seen[0] == (kept, len(campaign.episodes))
    assert len(seen) == len(campaign.episodes) - kept + 1, "nothing that was finished is repeated"
    assert again.courses == result.courses
    assert run(campaign, out, workers=1, resume=True).courses == result.courses, "a finished one is read"


def test_another_verification_is_not_resumed(campaign, subject, scenarios, tmp_path):
    out = tmp_path / "out"

    def stop(done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(campaign, out, workers=1, listener=stop)
    other = tmp_path / "other.toml"
    other.write_text(SCENARIOS.replace("above = 0.2", "above = 0.3"))
    for change, word in (
        ({"seed": 8}, "seed was 7, now 8"),
        ({"people": 3}, "people was 4, now 3"),
        ({"controller": "tracking"}, "controller"),
        ({"scenarios": other}, "plan.violations.behind.above was 0.2, now 0.3"),
    ):
        given = {"subject": subject, "controller": "zero", "people": 4, "scenarios": scenarios, "seed": 7} | change
        with pytest.raises(InputError, match=word):
            mjx_msm.verify("KneeExo", out=out, workers=1, resume=True, **given)


def test_an_edit_anywhere_in_the_package_is_other_code(campaign, tmp_path):
    package = Path(mjx_msm.__file__).parent
    assert campaign.configuration["code"] == code_digest(package)
    copy = tmp_path / "copy"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert code_digest(copy) == code_digest(package), "where it lies does not matter"
    beside = tmp_path / "checkout" / "mjx_msm"  # as in a checkout without links
    shutil.copytree(copy, beside, ignore=shutil.ignore_patterns("envs", "assets"))
    for part in ("envs", "assets"):
        shutil.copytree(copy / part, beside.parent / part)
    assert code_digest(beside) == code_digest(package)
    for name in (
        "recordings/trial.py",
        "person/model.py",
        "envs/human/reflex.py",
        "verification/crowd.py",
        "assets/exo/exo.xml",
    ):
        path = copy / name
        before, text = code_digest(copy), path.read_bytes()
        path.write_bytes(text + b"\n")
        assert code_digest(copy) != before, name
        path.write_bytes(text)
        assert code_digest(copy) == before


# The report --------------------------------------------------------------------------------------------------


def test_names_do_not_steer_a_terminal(result, tmp_path):
    """Of who made the controller, of the subject's folder, and of scenarios and violations, wherever they come from."""
    bad = "\x1b[31mred\x07"
    named = dataclasses.replace(
        result,
        subject=bad,
        controller=bad,
        rows=tuple(row._replace(scenario=bad, violation=bad) for row in result.rows),
        overall=tuple(row if row.violation == ANY else row._replace(violation=bad) for row in result.overall),
    )
    write_report(tmp_path, named, f"mjx-msm verify --subject '{bad}'", "worst.mp4")
    console = Console(file=io.StringIO(), width=200)
    console.print(named)
    for text in ((tmp_path / "report.md").read_text(), console.file.getvalue()):
        assert r"\x1b[31mred\x07" in text
        assert not set(text) & {"\x1b", "\x07"}


@pytest.mark.parametrize("table", ["scenarios", "violations"])
def test_names_in_a_scenario_file_are_text(table, tmp_path):
    file = tmp_path / "s.toml"
    file.write_text(f'[{table}."a\\u001b[31m"]\n')
    with pytest.raises(InputError, match=rf"s\.toml \[{table}\]: 'a\\x1b\[31m' has characters that are no text"):
        load_plan(file, envs.KNEE_EXO)


def test_the_report_says_what_was_run(result, tmp_path):
    write_report(tmp_path, result, "mjx-msm verify")
    text = (tmp_path / "report.md").read_text()
    said = dict(line[2:-2].split(" | ") for line in text.splitlines() if line.count(" | ") == 1)
    assert said["environment"] == envs.KNEE_EXO
    assert said["argument `task`"] == "seated"
    assert said["argument `strength`"] == "1", "given"
    assert said["argument `rate`"] == "50", "not given"
    assert said["argument `human`"] == "intent Tracking, strength 1, reflex none, fatigue none"
    assert said["argument `sensing`"] == "noise 0, delay 0, command_delay 0"
    assert said["longest episode"] == "1 s; took 1 s"
    assert said["control"] == "50 actions a second, a period of 20 ms"
    assert f"mujoco {mujoco.__version__}" in said["versions"]
    assert said["undisturbed"] == "no disturbance"
    assert said["shaking"] == "onset evenly from 0 to 0.2 s; tremor evenly from 0.1 to 0.3"
    assert "samples, one at the end of every control period (20 ms)" in text
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert parse_plan(summary["plan"], envs.KNEE_EXO, "again") == result.plan
    assert summary["setting"]["strength"] == 1.0
    assert summary["control_period"] == 0.02


def test_a_browser_shows_the_report(result, browser, tmp_path):
    save_verification_report(tmp_path / "report.html", result, "mjx-msm verify KneeExo")
    seen = opened(tmp_path / "report.html", tmp_path / "profile")
    assert seen.complaints == []
    assert seen.charts == 2
    said = verdict(result)
    assert said[0].startswith("Of 4 people who may all be this one, as far as the recording tells, ")
    assert all(sentence in unescape(seen.text) for sentence in said)
    assert "with no disturbance at all" in said[-1]  # "behind" happens to the planted person in any case


def test_the_report_says_what_the_environment_chose_for_itself(subject, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text("[environment]\nrate = 100\nsensing = { noise = 1.0 }")
    found = prepare("KneeExo", subject=subject, controller="zero", people=1, scenarios=path)
    assert found.period == 0.01
    assert found.plan.seconds == SECONDS
    assert f"default {SECONDS:g}." in str(scenario_file.__doc__)
    wanted = {"task": "seated", "strength": 0.6, "rate": 100, "sensing": {"noise": 1, "delay": 0, "command_delay": 0}}
    assert {name: found.setting[name] for name in wanted} == wanted
    assert found.setting["exoskeleton"]["torque_limit"] == 24.0


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"stall": 1}, "stall 1"),
        ({"duration": {"log": [0.05, 0.5]}}, "duration evenly in its logarithm from 0.05 to 0.5 s"),
        ({"payload": {"choice": [1, 2.5]}}, "payload one of 1, 2.5 kg"),
        ({"tremor": {"normal": [0.12, 0.04]}}, "tremor normal with mean 0.12 and SD 0.04"),
    ],
)
def test_scenarios_in_words(written, words):
    (scenario,) = parse_plan({"scenarios": {"a": written}}, envs.KNEE_EXO, "here").scenarios
    assert scenario.text == words


# The command -------------------------------------------------------------------------------------------------


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.run(["verify", *arguments]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    return error


@pytest.mark.slow
def test_the_command(subject, scenarios, result, capsys, tmp_path):
    out = tmp_path / "out"
    given = ["KneeExo", "--subject", str(subject), "--controller", "zero", "--people", "4", "--seed", "7"]
    given += ["--scenarios", str(scenarios), "--out", str(out), "--workers", "1"]
    assert cli.run(["verify", *given]) == 0
    said = capsys.readouterr().out
    number = result.worst.episode.number
    assert f"episode {number}: person {WEAK}" in " ".join(said.split())
    assert {p.name for p in out.iterdir()} == {
        JOURNAL, "report.html", "report.md", "results.csv", "summary.json", "worst.csv", "worst.mp4"
    }  # fmt: skip
    summary = json.loads((out / "summary.json").read_text())
    assert summary["worst"]["person"] == WEAK
    assert summary["worst"]["margin"] == result.worst.margin
    report = (out / "report.md").read_text()
    assert f"--episode {number} " in report
    assert "25.0 [0.6, 80.6] %" in report, "one of four"
    rows = (out / "results.csv").read_text().splitlines()
    assert len(rows) == 1 + len(result.episodes)

    def written():
        """But the film, which differs in what encodes it, and the page that holds it."""
        return {p.name: p.read_bytes() for p in out.iterdir() if p.suffix not in (".mp4", ".html")}

    before = written()
    assert cli.run(["verify", *given, "--resume"]) == 0
    assert written() == before
    assert "--resume" in refused(given, capsys)

    assert cli.run(["verify", *given, "--episode", str(number)]) == 0
    assert (out / f"episode_{number}.csv").read_bytes() == (out / "worst.csv").read_bytes(), "to the last bit"
    assert "1000" in refused([*given, "--episode", "1000"], capsys)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({0: "Elbow"}, ["Elbow", "KneeExo"]),
        ({2: "nowhere"}, ["nowhere"]),
        ({4: "magic"}, ["magic", "tracking"]),
        ({6: "0"}, ["--people"]),
        ({8: "gone.toml"}, ["gone.toml"]),
    ],
)
def test_bad_input_is_one_line(changes, words, subject, scenarios, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["KneeExo", "--subject", str(subject), "--controller", "zero", "--people", "2", "--scenarios"]
    given += [str(scenarios), "--out", "out"]
    for place, value in changes.items():
        given[place] = value
    error = refused(given, capsys)
    assert all(word in error for word in words), error
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"tracking_error"', '"traking_error"', ["[violations.behind]", "'tracking_error'"]),
        ('task = "seated"', 'job = "seated"', ["[environment]", "'job'", "task, "]),
        ('task = "seated"', "max_episode_steps = 3", ["[environment]", "'max_episode_steps'"]),
        ('task = "seated"', 'task = "walk"', ["walk", "recording"]),
    ],
)
def test_scenario_files_are_checked_against_the_environment(old, new, words, subject, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(SCENARIOS.replace(old, new))
    with pytest.raises(InputError) as error:
        prepare("KneeExo", subject=subject, controller="zero", scenarios=path)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_fault_within_an_environment_is_not_blamed_on_the_scenario_file(subject, scenarios, monkeypatch):
    """Only names are the file's: a TypeError of the environment's own code stays what it is."""
    from mjx_msm.envs.tasks.knee_exo import KneeExo

    def faulty(self, recording, action_mode, nerve_delay, tracking):
        raise TypeError("f() got an unexpected keyword argument 'x'")

    monkeypatch.setattr(KneeExo, "_intent", faulty)
    with pytest.raises(TypeError, match="unexpected keyword argument 'x'"):
        prepare("KneeExo", subject=subject, controller="zero", scenarios=scenarios)


def test_led_joints_have_no_range_to_leave(campaign):
    ranges = {v.measure for v in campaign.plan.violations if v.name.endswith("out of range")}
    assert ranges == {"joint/knee_angle"}


def test_an_episode_that_is_not_there_names_those_that_are(campaign):
    numbers = [e.number for e in campaign.episodes]
    missing = campaign.__class__(**{**vars(campaign), "episodes": campaign.episodes[:1] + campaign.episodes[4:]})
    with pytest.raises(InputError) as error:
        find_episode(missing, numbers[2])
    assert f"nearest: {numbers[0]}, {numbers[4]}, {numbers[5]}, {numbers[6]};" in str(error.value)
    assert find_episode(missing, numbers[4]) == campaign.episodes[4]


def test_only_an_identified_subject_has_a_posterior(subject):
    with pytest.raises(InputError, match="only an identified subject has one"):
        prepare("KneeExo", subject=subject / "model.xml", controller="zero")
