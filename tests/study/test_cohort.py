"""Studies of many people: files in, a folder each, nothing lost and nothing twice however a run ends."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohort_jobs import cheap
from moment_recording import moved

from mjx_msm import Identification, InputError, synthetic_subject, synthetic_trials
from mjx_msm.cli.app import run as command
from mjx_msm.common.errors import InputWarning
from mjx_msm.common.executors.executor import InProcess
from mjx_msm.common.executors.processes import Processes
from mjx_msm.common.executors.ray_cluster import Ray
from mjx_msm.knowledge import posterior
from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_details import cohort_details
from mjx_msm.knowledge.cohort_verdict import cohort_verdict
from mjx_msm.knowledge.population import Population, learned
from mjx_msm.recordings.subject_file.loading import load_subject, write_subject
from mjx_msm.study.cohort_file import load_cohort
from mjx_msm.study.cohort_person import MADE_FROM
from mjx_msm.study.cohort_run import load_study, run_study

TESTS = Path(__file__).resolve().parents[1]
MUSCLES = ("TRIlong", "TRIlat", "TRImed", "BIClong", "BICshort", "BRA")


def all_said(cohort):
    """All that a study says, in short and besides."""
    return " ".join((*cohort_verdict(cohort), *cohort_details(cohort)))


@pytest.fixture(scope="module")
def recorded(arm, tmp_path_factory):
    """A short recording, and the subject file of whoever made it, but for their name and size."""
    folder = tmp_path_factory.mktemp("recorded")
    truth = synthetic_subject(arm, seed=1)
    trials = synthetic_trials(arm, truth, count=2, duration=0.5, rate=250, seed=1, angle_noise=0.005)
    entries = [t.save(folder) for t in trials]
    entries[1]["role"] = "held-out"
    document = {
        "units": "rad",
        "subject": {"name": "{id}", "mass": 70.0},
        "model": {"source": "arm", "free": list(arm.free), "prescribed": []},
        "emg": {"kind": "envelope", "muscles": {m: m for m in MUSCLES}},
        "trials": entries,
        "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["motion"], "rate": 250.0},
    }
    write_subject(folder / "subject.toml", document)
    return folder


@pytest.fixture
def study(recorded, tmp_path):
    """`study(12)`: a study of so many people, in a folder of its own."""

    def make(people: int, rows: str = "", more: str = "", turns: int = 0) -> Path:
        lines = [f"p{k:02d},{60 + k},{150 + k}" for k in range(people)]
        (tmp_path / "people.csv").write_text("id,subject.mass,cm\n" + "\n".join(lines) + "\n" + rows)
        file = tmp_path / "study.toml"
        file.write_text(
            f'name = "arms"\ntemplate = "{(recorded / "subject.toml").as_posix()}"\ntable = "people.csv"\n{more}\n'
            f'[run]\nturns = {turns}\n[columns]\n"subject.height" = {{ column = "cm", factor = 0.01 }}\n'
        )
        return file

    return make


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """How often everybody was begun."""
    folder = tmp_path / "begun"
    folder.mkdir()
    monkeypatch.setenv("MADE_BY", str(folder))
    return lambda: {p.name: len(p.read_text()) for p in folder.iterdir()}


@pytest.fixture
def restored(monkeypatch):
    """What `cheap` puts in the place of an identification goes when the test ends, where it runs in this process."""
    from mjx_msm.study import cohort_person

    for name in ("identify_study", "completed_draws", "write_result"):
        monkeypatch.setattr(cohort_person, name, getattr(cohort_person, name))


def whole(out: Path) -> set[str]:
    """Whose results are there; nobody's is half there."""
    found = set()
    for folder in (out / "people").iterdir():
        if folder.name.startswith(".") or not (folder / MADE_FROM).is_file():
            continue
        assert Identification.load(folder).subject == (folder / "extra.txt").read_text() == folder.name
        found.add(folder.name)
    return found


# The study file ---------------------------------------------------------------------------------------------


def test_a_table_fills_a_template(study, recorded, tmp_path):
    asked = load_cohort(study(3))
    assert [p.name for p in asked.people] == ["p00", "p01", "p02"]
    document = asked.people[1].document
    assert document["subject"] == {"name": "p01", "mass": 61, "height": pytest.approx(1.51)}
    assert document["data"] == str(recorded)


def test_rows_can_be_chosen_and_empty_cells_leave_the_template(study):
    asked = load_cohort(study(2, "p99,,n/a\n", 'only = { id = ["p01", "p99"] }'))
    assert [p.name for p in asked.people] == ["p01", "p99"]
    assert asked.people[1].document["subject"] == {"name": "p99", "mass": 70.0}


def test_placeholders_take_formats_and_leave_environment_variables(tmp_path, recorded):
    text = (recorded / "subject.toml").read_text().replace("{id}", "n{id:03d}")
    (tmp_path / "subject.toml").write_text(f'data = "${{NOWHERE:-{recorded.as_posix()}}}"\n' + text)
    (tmp_path / "t.tsv").write_text("id\tage\n7\t70\n")
    (tmp_path / "study.toml").write_text(
        'template = "subject.toml"\ntable = "t.tsv"\n[columns]\n"subject.age" = "age"\n'
    )
    (one,) = load_cohort(tmp_path / "study.toml").people
    assert one.name == "n007"
    assert one.document["data"] == str(recorded)
    assert one.document["subject"]["age"] == 70


def test_a_bids_tree(tmp_path, recorded):
    root = tmp_path / "dataset"
    text = (recorded / "subject.toml").read_text().replace('name = "{id}"\n', 'name = ""\n', 1)
    (tmp_path / "subject.toml").write_text(text.replace("trial1_", "emg/{participant_id}_"))
    root.mkdir()
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tweight\nsub-01\t70\tF\t61.5\nsub-02\tn/a\tM\t80\n"
    )
    (tmp_path / "study.toml").write_text('template = "subject.toml"\nbids = "dataset"\n')
    first, second = load_cohort(tmp_path / "study.toml").people
    assert first.document["subject"] == {"name": "sub-01", "mass": 61.5, "age": 70, "sex": "female"}
    assert second.document["subject"] == {"name": "sub-02", "mass": 80, "sex": "male"}
    assert first.document["data"] == str(root / "sub-01")
    assert first.document["trials"][0]["emg"] == "emg/sub-01_emg.csv"


@pytest.mark.parametrize(
    ("units", "note"),
    [({}, "height is taken for centimetres"), ({"height": {"Units": "cm"}}, "height is in cm, and is converted")],
)
def test_heights_and_ages_as_bids_has_them(units, note, tmp_path, recorded):
    root = tmp_path / "dataset"
    root.mkdir()
    (tmp_path / "subject.toml").write_text((recorded / "subject.toml").read_text().replace('"{id}"', '""'))
    (root / "participants.tsv").write_text("participant_id\tage\theight\nsub-01\t89+\t175\nsub-02\t70\tn/a\n")
    (root / "participants.json").write_text(json.dumps(units))
    (tmp_path / "study.toml").write_text('template = "subject.toml"\nbids = "dataset"\n')
    with pytest.warns(InputWarning) as notes:
        first, second = load_cohort(tmp_path / "study.toml").people
    said = "; ".join(str(n.message) for n in notes)
    assert note in said
    assert "row 2: age 89+ is taken as 89" in said
    assert first.document["subject"] == {"name": "sub-01", "mass": 70.0, "age": 89, "height": pytest.approx(1.75)}
    assert first.traits == {"mass": 70.0, "age": 89, "height": pytest.approx(1.75)}
    assert second.traits == {"mass": 70.0, "age": 70}
    (root / "participants.json").write_text('{"height": {"Units": "ell"}}')
    with pytest.raises(InputError, match=r"height is in 'ell', which is not known; say .* factor"):
        load_cohort(tmp_path / "study.toml")
    more = '[columns]\n"subject.height" = { column = "height", factor = 0.01 }\n"subject.age" = "years"\n'
    (root / "participants.tsv").write_text("participant_id\tyears\theight\nsub-01\t60\t175\n")
    (tmp_path / "study.toml").write_text(f'template = "subject.toml"\nbids = "dataset"\n{more}')
    (one,) = load_cohort(tmp_path / "study.toml").people  # what the study file says goes first
    assert one.traits == {"mass": 70.0, "age": 60, "height": pytest.approx(1.75)}
    (root / "participants.tsv").write_text("id\theight\nsub-01\t175\n")
    with pytest.raises(InputError, match="no column 'participant_id'"):
        load_cohort(tmp_path / "study.toml")


def test_a_column_with_a_point_is_a_key_only_if_it_begins_like_one(tmp_path, recorded):
    (tmp_path / "subject.toml").write_text((recorded / "subject.toml").read_text())
    (tmp_path / "people.csv").write_text("id,subject.mass,subjct.age,Grip.max\np1,61,70,300\n")
    (tmp_path / "study.toml").write_text(ROWS)
    with pytest.warns(InputWarning) as notes:
        (one,) = load_cohort(tmp_path / "study.toml").people
    assert one.document["subject"] == {"name": "p1", "mass": 61}
    assert "Grip" not in one.document
    assert "'subjct.age' is no key of a subject file, which has no [subjct]" in str(notes[0].message)
    assert "did you mean 'subject'" in str(notes[0].message)
    assert "'Grip.max' is no key" in str(notes[1].message)


def test_subject_files_by_pattern(tmp_path, recorded):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        text = (recorded / "subject.toml").read_text()
        (tmp_path / name / "subject.toml").write_text(text.replace("{id}", name.upper()))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "subject.toml").write_text("subject = [")
    (tmp_path / "study.toml").write_text('subjects = "*/subject.toml"\n')
    asked = load_cohort(tmp_path / "study.toml")
    assert [(p.name, bool(p.fault)) for p in asked.people] == [("A", False), ("B", False), ("bad", True)]
    assert "is not valid TOML" in asked.people[2].fault


ROWS = 'template = "subject.toml"\ntable = "people.csv"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "give either subjects"),
        ('subjects = "*/none.toml"', "no file fits"),
        ('template = "subject.toml"', "a template needs a table, or bids"),
        (f'{ROWS}[columns]\n"subject.mass" = "Wieght"', "no column 'Wieght'; did"),
        ('template = "subject.toml"\ntable = "people.csv"\nonly = { who = ["1"] }', "no column 'who'"),
        ('template = "subject.toml"\ntable = "people.csv"\n[run]\ndraws = 1', "draws must be true or false"),
        ('template = "subject.toml"\ntable = "people.csv"\nsubject = 1', "unknown key 'subject'; did you mean"),
        ('template = "other.toml"\ntable = "people.csv"', "there is no column 'nobody'"),
        ('template = "subject.toml"\ntable = "twice.csv"', "2 people are called 'p1'"),
        ('template = "subject.toml"\ntable = "short.csv"', "row 2: has not as many cells"),
        (
            ROWS.replace("people", "words") + '[columns]\n"subject.mass" = { column = "Weight", factor = 2.0 }',
            "column 'Weight' is 'heavy', which is not a number",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(text, words, tmp_path, recorded):
    (tmp_path / "subject.toml").write_text((recorded / "subject.toml").read_text())
    (tmp_path / "other.toml").write_text((recorded / "subject.toml").read_text().replace("{id}", "{nobody}"))
    (tmp_path / "people.csv").write_text("id,Weight\np1,70\n")
    (tmp_path / "twice.csv").write_text("id\np1\np1\n")
    (tmp_path / "short.csv").write_text("id,Weight\np1\n")
    (tmp_path / "words.csv").write_text("id,Weight\np1,heavy\n")
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(InputError, match=words) as error:
        load_cohort(tmp_path / "study.toml")
    assert "\n" not in str(error.value)


# Nothing lost, nothing twice --------------------------------------------------------------------------------


def test_a_second_run_does_only_what_is_missing_or_changed(study, begun, restored, tmp_path):
    file, out = study(4), tmp_path / "out"
    first = run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap)
    assert [m.name for m in first.identified] == ["p00", "p01", "p02", "p03"]
    assert begun() == dict.fromkeys(whole(out), 1)
    assert run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap).anew == 0
    assert begun() == dict.fromkeys(whole(out), 1)
    table = tmp_path / "people.csv"
    table.write_text(table.read_text().replace("p02,62", "p02,92") + "p04,64,154\n")
    (out / "people" / "p00" / "identification.json").unlink()
    before = load_study(load_cohort(study(4)), out).results
    table.write_text(table.read_text().replace("p02,62", "p02,92") + "p04,64,154\n")
    again = run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap)
    assert begun() == {"p00": 2, "p01": 1, "p02": 2, "p03": 1, "p04": 1}
    assert again.anew == 3
    assert again.results["p02"].z[0] == pytest.approx(before["p02"].z[0] + 0.3)
    with (out / "study.csv").open() as held:
        rows = list(csv.DictReader(held))
    assert [r["person"] for r in rows] == ["p00", "p01", "p02", "p03", "p04"]
    force = "muscle/BRA/max_isometric_force [N]"
    assert float(rows[2][force]) == pytest.approx(
        again.results["p02"]["muscle/BRA/max_isometric_force"].value, rel=1e-5
    )
    assert rows[2]["mass"] == "92"


def test_what_another_run_left_is_not_of_this_one(study, begun, restored, tmp_path):
    file, out = study(6), tmp_path / "out"
    found = run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap)
    assert found.population is not None
    assert [t.name for t in found.population.traits] == ["height", "mass"]
    assert (out / "population.json").is_file()
    assert run_study(load_cohort(study(3)), out, executor=InProcess(), prepare=cheap).population is None
    assert not (out / "population.json").exists(), "it is of people who are not in the study"


def test_people_and_population_take_turns(study, begun, restored, monkeypatch, tmp_path):
    """Whose estimate moves with what is expected of them: the last turn is what the population is of, nothing is done
    twice, who changes has everybody's turn anew, and who fails in a turn is left out by name."""
    file, out = study(6, turns=2), tmp_path / "out"
    monkeypatch.setenv("BENDS", "0.5")
    told = []
    found = run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap,
                      listener=lambda *progress: told.append(progress))  # fmt: skip
    assert found.turns == 2
    assert told == [(done, 6, turn) for turn in (0, 1, 2) for done in range(7)]
    assert begun() == {f"p{k:02d}": 3 for k in range(6)}
    assert found.results == load_study(load_cohort(file), out).results, "everybody's own result stays as it is"
    last = {p.name: Identification.load(p) for p in sorted((out / "turns" / "2").iterdir())}
    traits = {m.name: m.traits for m in found.members}
    assert found.population == learned(last, traits, name="arms") == Population.load(out / "population.json")
    own = learned(found.results, traits, name="arms")
    assert found.population.weights[0][0] < own.weights[0][0] - 0.1
    assert "draws it towards the model" in all_said(replace(found, turns=0))
    assert "draws it towards the model" not in all_said(found)
    run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap)
    assert set(begun().values()) == {3}
    table = tmp_path / "people.csv"
    table.write_text(table.read_text().replace("p02,62", "p02,92"))
    run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap)
    assert begun() == {f"p{k:02d}": 5 + (k == 2) for k in range(6)}
    monkeypatch.setenv("FAILS", "p05")
    table.write_text(table.read_text().replace("p01,61", "p01,91"))
    left = run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap)
    assert "no more" in left.apart["p05"]
    assert left.population.people == 5
    assert "not learned from p05 (no more" in all_said(left)


def test_an_error_of_the_work_is_not_taken_for_one_of_writing(study, begun, restored, tmp_path):
    def broken(done, total, turn):
        raise OSError("the listener's own")

    with pytest.raises(OSError, match="the listener's own"):
        run_study(load_cohort(study(2)), tmp_path / "out", executor=InProcess(), prepare=cheap, listener=broken)


def test_one_who_fails_is_a_row(study, begun, restored, tmp_path):
    file, out = study(3), tmp_path / "out"
    table = tmp_path / "people.csv"
    table.write_text(table.read_text().replace("p01,61", "p01,6100"))
    found = run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap)
    (failed,) = found.failed
    assert failed.name == "p01"
    assert "mass = 6100 kg is implausible" in failed.fault
    assert whole(out) == {"p00", "p02"}
    assert "2 of 3 people were identified; p01 could not be" in cohort_verdict(found)[0]
    assert "mass = 6100 kg is implausible" in cohort_verdict(found)[-1]
    report = (out / "report.html").read_text()
    assert "mass = 6100 kg is implausible" in report
    assert 'href="people' not in report, "these people have no reports"
    (out / "people" / "p00" / "report.html").touch()
    run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap)
    assert 'href="people/p00/report.html"' in (out / "report.html").read_text()


@pytest.mark.slow
def test_a_worker_that_dies_costs_nobody(study, begun, monkeypatch, tmp_path):
    monkeypatch.setenv("DIES", "p02,p09")
    out = tmp_path / "out"
    found = run_study(load_cohort(study(12)), out, executor=Processes(2), prepare=cheap)
    assert len(found.identified) == len(whole(out)) == 12
    assert begun() == {f"p{k:02d}": 1 + (k in (2, 9)) for k in range(12)}, "again only who was at work in it"


@pytest.mark.slow
def test_ray_does_it_too(study, begun, monkeypatch, tmp_path):
    pytest.importorskip("ray", reason='needs the extra "ray"')
    monkeypatch.setenv("DIES", "p02")
    found = run_study(load_cohort(study(6)), tmp_path / "out", executor=Ray(workers=2), prepare=cheap)
    assert len(found.identified) == 6
    assert begun() == {f"p{k:02d}": 1 + (k == 2) for k in range(6)}


@pytest.mark.slow
def test_the_driver_is_killed_half_way_through_64(study, begun, tmp_path):
    file, out = study(64), tmp_path / "out"
    code = (
        "from cohort_jobs import cheap; from mjx_msm.common.executors.processes import Processes\n"
        "from mjx_msm.study.cohort_file import load_cohort; from mjx_msm.study.cohort_run import run_study\n"
        "if __name__ == '__main__':\n"
        f"    run_study(load_cohort({str(file)!r}), {str(out)!r}, executor=Processes(2), prepare=cheap)"
    )
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    driver = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path, "PAUSE": "0.1"})
    try:
        deadline = time.monotonic() + 200
        while not (out / "people").is_dir() or len(list((out / "people").glob(f"*/{MADE_FROM}"))) < 30:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(InputError, match="another process is at work here"):
            run_study(load_cohort(file), out, executor=Processes(2), prepare=cheap)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    time.sleep(1.0)  # its workers end
    kept = whole(out)
    assert 30 <= len(kept) < 64
    inodes = {name: (out / "people" / name / MADE_FROM).stat().st_ino for name in kept}
    found = run_study(load_cohort(file), out, executor=Processes(2), prepare=cheap)
    assert len(found.identified) == len(whole(out)) == 64
    assert found.anew == 64 - len(kept)
    assert {name: (out / "people" / name / MADE_FROM).stat().st_ino for name in kept} == inodes
    twice = {name for name, times in begun().items() if times > 1}
    assert not twice & kept, "nothing that was finished is repeated"
    assert len(twice) <= 2, "only who was at work"


def test_a_full_disk_half_way(study, begun, restored, disk, tmp_path):
    file, out = study(8), tmp_path / "out"
    run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap, listener=_fills(disk, out, 4))
    disk.broken.clear()
    kept = whole(out)
    assert kept == {f"p{k:02d}" for k in range(4)}
    found = run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap)
    assert len(found.identified) == len(whole(out)) == 8
    assert all(begun()[name] == 1 for name in kept)


def _fills(disk, out, after):
    def listen(done, total, turn):
        if done == after:
            disk.fail(out / "people", errno.ENOSPC)

    return listen


def test_a_disk_that_is_full_for_the_table_is_said(study, begun, restored, disk, tmp_path):
    file, out = study(2), tmp_path / "out"

    def listen(done, total, turn):
        if done == total:
            disk.fail(out, errno.ENOSPC)

    with pytest.raises(InputError, match="No space left on device"):
        run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap, listener=listen)
    disk.broken.clear()
    again = run_study(load_cohort(file), out, executor=InProcess(), prepare=cheap)
    assert again.anew == 0
    assert (out / "report.html").is_file()


@pytest.mark.slow
def test_people_whose_calls_are_made_as_one_come_to_the_same_folders(arm, recorded, tmp_path, monkeypatch):
    """Of moments, which are what is computed side by side; files are written, and warnings heard, as ever."""
    monkeypatch.setattr(posterior, "SAMPLES", 20)
    entries = [moved(arm, k, 0.6).save(tmp_path / f"p{k}") for k in range(3)]
    document = {
        **tomllib.loads((recorded / "subject.toml").read_text()),
        "data": "{id}",
        "trials": entries[:1],
        "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["moment"], "rate": 50.0},
    }
    write_subject(tmp_path / "subject.toml", document)
    (tmp_path / "people.csv").write_text("id\n" + "".join(f"p{k}\n" for k in range(3)))
    (tmp_path / "study.toml").write_text(ROWS + "[run]\ncross_validation = false\n")
    asked, filters = load_cohort(tmp_path / "study.toml"), list(warnings.filters)
    together = run_study(asked, tmp_path / "together", executor="abreast")
    assert warnings.filters == filters
    alone = run_study(asked, tmp_path / "alone", executor="here")
    assert [m.fault for m in together.members] == [""] * 3
    for name, r in alone.results.items():
        sd = np.sqrt(np.diag(np.array(r.covariance)))
        np.testing.assert_allclose(np.array(together.results[name].z) / sd, np.array(r.z) / sd, atol=1e-5)
    files = [{p.relative_to(out) for p in out.rglob("*")} for out in (tmp_path / "together", tmp_path / "alone")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_real_people_from_a_study_file_to_a_report(study, recorded, capsys, tmp_path):
    file, out = study(2, "p99,6100,150\n"), tmp_path / "out"
    given = ["study", str(file), "--out", str(out), "--executor", "here"]
    assert command(given) == 1, "somebody could not be identified"
    said = " ".join(capsys.readouterr().out.split())
    assert "p99:" in said
    assert "2 of 3 people were identified; p99 could not be" in said
    study(2)
    assert command(given) == 0
    assert "written to" in capsys.readouterr().out
    found = load_study(load_cohort(file), out)
    assert isinstance(found, Cohort)
    one, two = found.results.values()
    np.testing.assert_array_equal(one.z, two.z)  # of the same recording
    alone = load_subject(out / "subjects" / "p01.toml")
    assert alone.subject.mass == 61
    assert set(found.unseen_error(found.members[0])) >= {"error", "spread", "unit"}
    assert {p.name for p in (out / "people" / "p00").iterdir()} >= {"identification.json", "model.xml", "report.html"}
    report = (out / "report.html").read_text()
    assert "All 2 people were identified" in report
    page = out / "people" / "p00" / "report.html"
    assert "of the study <a href=" in page.read_text()
    assert (page.parent / "../../report.html").resolve() == (out / "report.html").resolve()
    before = page.stat().st_mtime_ns
    assert run_study(load_cohort(file), out, executor=InProcess()).anew == 0
    assert page.stat().st_mtime_ns == before, "it says already what the study knows"
    file.write_text(file.read_text().replace('name = "arms"', 'name = "other arms"'))
    run_study(load_cohort(file), out, executor=InProcess())
    assert "other arms" in page.read_text()
