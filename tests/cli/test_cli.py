"""The command line: what it writes, what it says, and how it refuses."""

import json
import os
import subprocess
import sys
import warnings

import imageio.v3 as iio
import mujoco
import numpy as np
import pytest

from mjx_msm.cli import app as cli
from mjx_msm.cli.progress import Progress
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.fatigue import Fatigue
from mjx_msm.knowledge.posterior import SAMPLES
from mjx_msm.knowledge.records import Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import load_model
from mjx_msm.recordings.readers.delimited import read_csv
from mjx_msm.recordings.subject_file.loading import load_subject
from mjx_msm.recordings.synthetic_effort import synthetic_effort
from mjx_msm.study.result_folder import load_result
from mjx_msm.study.synthetic_study import load_truth

COMMANDS = ("identify", "look", "new", "simulate", "render", "info", "demo", "fatigue")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, capsys):
    assert cli.run([command, "--help"]) == 0
    assert f"mjx-msm {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["identify", "nowhere.toml", "--out", "x"], "nowhere.toml"),
        (["identify", "nowhere.toml"], "--out"),
        (["identify", "a.toml", "--out", "x", "--starts", "0"], "--starts"),
        (["invent"], "invent"),
        (["info", "leg"], "leg"),
        (["simulate", "--model", "leg", "--out", "x"], "leg"),
        (["simulate", "--out", "x", "--free", "wrist"], "wrist"),
        (["simulate", "--out", "x", "--rate", "900"], "900"),
        (["simulate", "--out", "x", "--rate", "fast"], "--rate"),
        (["simulate", "--out", "x", "--truth-spread", "2"], "spread"),
        (["fatigue", "nowhere", "nowhere.toml"], "nowhere"),
        (["fatigue", "nowhere", "nowhere.toml", "--group", "calf"], "NAME=MUSCLE"),
        (["fatigue", "nowhere", "nowhere.toml", "--group", "a=b", "--group", "a=c"], "a is given twice"),
        (["render", "nowhere", "--out", "x.mp4"], "nowhere"),
        (["render", ".", "--out", "x.mp4", "--size", "big"], "--size"),
    ],
)
def test_bad_input_is_one_line(arguments, word, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    assert word in refused(arguments)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "word", "problems"),
    [
        ("[subject]", "[subject", "TOML", 1),
        ('BRA = "BRA"', 'BRACHIALIS = "BRA"', "BRACHIALIS", 1),
        ('BRA = "BRA"', 'BRA = "trapezius"', "trapezius", 1),  # of both trials' files
        ("muscle/B*/max", "muscle/X*/max", "muscle/X*", 1),
        ('"elbow_flex"', '"elbow"', "elbow", 1),
        ("trial1_motion.csv", "gone.csv", "gone.csv", 1),
    ],
)
def test_a_bad_subject_file_is_one_line_a_problem(old, new, word, problems, synthetic, tmp_path, refused):
    text = (synthetic / "quick.toml").read_text()
    assert old in text
    bad = synthetic / "bad.toml"
    bad.write_text(text.replace(old, new))
    error = refused(["identify", str(bad), "--out", str(tmp_path / "out")], problems)
    assert word in error
    assert "bad.toml" in error or new in error
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_no_traceback_from_the_installed_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from mjx_msm.cli.app import main; main()", "identify", "nowhere.toml", "--out", "x"],
        cwd=tmp_path,
        env={**os.environ, "MJX_MSM_CACHE": "off"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "mjx-msm: nowhere.toml: no such subject file; correct the path\n"


def test_look_and_new_on_what_simulate_wrote(synthetic, tmp_path, capsys, refused):
    files = [str(synthetic / f"trial1_{kind}.csv") for kind in ("motion", "emg")]
    assert cli.run(["look", *files, "--picture", str(tmp_path / "p.png")]) == 0
    out = capsys.readouterr().out
    assert "angle [rad]" in out
    assert "elbow flex" in out
    assert "EMG envelope" in out
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert cli.run(["look", *files, "--sampling-rate", "100"]) == 0
    assert "--sampling-rate is for those without" in capsys.readouterr().out
    assert cli.run(["new", *files, "--model", "arm", "--out", str(tmp_path / "s.toml"), "--mass", "70"]) == 0
    assert "doubts, each a comment" in capsys.readouterr().out
    study = load_subject(tmp_path / "s.toml")
    assert study.model.free == ("elbow_flex",)
    assert study.subject.mass == 70
    assert "is there already" in refused(["new", *files, "--out", str(tmp_path / "s.toml")])
    assert "no such file" in refused(["look", str(tmp_path / "none.csv")])
    assert "none.csv: no such file" in refused(["new", str(tmp_path / "none.csv"), "--out", str(tmp_path / "s.toml")])
    assert "pictures are .png" in refused_after_output(["look", *files, "--picture", str(tmp_path / "p.txt")], capsys)
    assert "wrist" in refused(
        ["new", *files, "--model", "arm", "--out", str(tmp_path / "t.toml"), "--posture", "wrist=3"]
    )


@pytest.mark.slow
def test_fatigue_of_a_new_recording(result, synthetic, tmp_path, capsys):
    model = load_model("arm")
    made = synthetic_effort(
        model,
        model.nominal,
        Fatigue.of(model.muscles),
        duration=6.0,
        posture={"shoulder_elev": -0.4, "elbow_flex": 1.0},
    )
    files = made.trial.save(tmp_path)
    new = ",".join(str(tmp_path / str(files[kind])) for kind in ("motion", "emg"))
    given = ["fatigue", str(result), str(synthetic / "quick.toml"), new, "--out", str(tmp_path / "out"), "--draws", "5"]
    assert cli.run([*given, "--group", "flexors=B*"]) == 0
    out = capsys.readouterr().out
    assert "if nothing touches the person" in " ".join(out.split())
    assert "flexors: " in out
    (folder,) = (tmp_path / "out").iterdir()
    assert {p.name for p in folder.iterdir()} == {"fatigue.json", "fatigue.csv", "fatigue.png"}


def refused_after_output(arguments, capsys):
    capsys.readouterr()
    assert cli.run(arguments) == 2
    return capsys.readouterr().err


def test_simulate_writes_a_study(synthetic):
    study = load_subject(synthetic / "subject.toml")
    assert [t.name for t in study.trials] == ["trial1"]
    assert [t.name for t in study.held_out] == ["trial2"]
    assert study.identify.residuals == ("motion",)
    truth = load_truth(study.path)
    assert truth is not None
    assert len(truth) == 22
    trial = study.trials[0]
    assert trial.timestep == pytest.approx(0.002)
    motion = read_csv(synthetic / "trial1_motion.csv")
    np.testing.assert_allclose(trial.position[:, 0], motion[trial.coordinates[0]], atol=1e-12)


@pytest.mark.slow
def test_identify_writes_a_result(result):
    names = {str(p.relative_to(result)) for p in result.rglob("*") if p.is_file()}
    assert names == {
        "identification.json",
        "model.xml",
        "excitation.csv",
        "parameters.png",
        "report.html",
        "trials/trial1.csv",
        "trials/trial2.csv",
    }
    found, trials = load_result(result)
    assert found.outcome is Outcome.CONVERGED
    assert [t.name for t in trials] == ["trial1", "trial2"]
    assert {u.trial for u in found.use} == {"trial1", "trial2"}
    assert set(found.peaks) == set(found.channels)
    assert all(0.0 < x <= 1.0 for x in found.peaks.values())
    assert found.processing == "envelopes as they are in the file, not normalised again"
    assert trials[0].coordinates == ("shoulder_elev", "elbow_flex")
    assert np.isfinite(trials[0].position).all()
    assert ((trials[0].activation >= 0) & (trials[0].activation <= 1)).all()
    model = mujoco.MjModel.from_xml_path(str(result / "model.xml"))
    drive = read_csv(result / "excitation.csv")
    assert drive.columns[: model.nu] == tuple(f"excitation/{model.actuator(i).name}" for i in range(model.nu))
    assert np.median(np.diff(drive.time)) == pytest.approx(model.opt.timestep)
    force = model.actuator("BRA").gainprm[2]
    assert force == pytest.approx(found["muscle/BRA/max_isometric_force"].value)


def test_identify_says_what_it_found(identified):
    for word in ("stage 1/1 acceleration", "°/s²", "muscle/BRA/max_isometric_force", "truth", "identification.json"):
        assert word in identified[1]


@pytest.mark.slow
def test_quiet_is_quiet_and_other_files_stay(synthetic, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("a note of the user's")
    capsys.readouterr()
    assert cli.run(["identify", str(synthetic / "quick.toml"), "--out", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "mine.txt").is_file()
    assert (tmp_path / "identification.json").is_file()


def test_an_interrupt_keeps_what_there_is(synthetic, tmp_path, monkeypatch, capsys):
    def stop(self, iteration):
        if iteration.iteration >= 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", stop)
    assert cli.run(["identify", str(synthetic / "quick.toml"), "--out", str(tmp_path / "r")]) == 130
    assert "interrupted" in capsys.readouterr().out
    assert Identification.load(tmp_path / "r").outcome is Outcome.INTERRUPTED


@pytest.mark.slow
@pytest.mark.parametrize(
    "failed", ["knowledge.posterior_draws.completed_draws", "study.identification.cross_validated"]
)
def test_what_fails_after_the_estimate_does_not_cost_it(synthetic, tmp_path, monkeypatch, capsys, failed):
    def fail(*_, **__):
        raise InputError("no trial has moments")

    monkeypatch.setattr(f"mjx_msm.{failed}", fail)
    monkeypatch.setattr("mjx_msm.study.identification.can_cross_validate", lambda *_: "cross" in failed)
    assert cli.run(["identify", str(synthetic / "quick.toml"), "--out", str(tmp_path / "r")]) == 0
    missing = "the cross-validated error is missing" if "cross" in failed else "people drawn from it miss the recording"
    assert f"note: {missing}: no trial has moments" in capsys.readouterr().out
    assert Identification.load(tmp_path / "r").outcome is Outcome.CONVERGED


@pytest.mark.slow
def test_an_interrupt_among_the_draws_keeps_the_estimate(synthetic, tmp_path, monkeypatch, capsys):
    def stop(self, done, count):
        assert count == SAMPLES
        if done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "drawn", stop)
    assert cli.run(["identify", str(synthetic / "quick.toml"), "--out", str(tmp_path / "r")]) == 130
    assert "interrupted during the posterior's draws" in capsys.readouterr().out
    kept = Identification.load(tmp_path / "r")
    assert kept.outcome is Outcome.CONVERGED
    assert not kept.completed
    monkeypatch.undo()
    assert cli.run(["identify", str(synthetic / "quick.toml"), "--out", str(tmp_path / "s")]) == 0
    assert "posterior draws: 200 taken through the recording" in capsys.readouterr().out
    assert Identification.load(tmp_path / "s").completed


def test_render_writes_a_video(result, tmp_path, refused):
    film = tmp_path / "arm.gif"
    arguments = ["render", str(result), "--out", str(film), "--size", "160x120", "--fps", "10", "--trial", "trial2"]
    assert cli.run(arguments) == 0
    assert film.stat().st_size > 1000
    assert "trial9" in refused(["render", str(result), "--out", str(film), "--trial", "trial9"])
    assert ".avi" in refused(["render", str(result), "--out", str(tmp_path / "arm.avi")])


def test_render_shows_people_side_by_side_within_a_limit(result, tmp_path):
    both = tmp_path / "both.gif"
    how = ["--size", "160x120", "--fps", "4", "--camera", "oblique", "--largest", "0.1"]
    assert cli.run(["render", str(result), str(result), "--out", str(both), *how]) == 0
    assert both.stat().st_size <= 100_000
    height, width, _ = next(iter(iio.imiter(both))).shape
    assert width > height  # two scenes and their traces


def test_render_refuses_a_broken_folder(result, tmp_path, refused):
    (tmp_path / "identification.json").write_text((result / "identification.json").read_text())
    assert "no trials" in refused(["render", str(tmp_path), "--out", "x.mp4"])


def test_info(capsys):
    assert cli.run(["info", "arm"]) == 0
    out = capsys.readouterr().out
    for word in ("shoulder_elev", "-70 … 150", "BIClong", "624.3", "l_opt (mm)", "forearm", "Holzbaur", "engine: tree"):
        assert word in out


def test_what_is_odd_about_a_model_is_a_note_of_info(capsys, tmp_path):
    path = tmp_path / "limb.xml"
    path.write_text("""<mujoco><worldbody><body name="limb"><joint name="bend"/><geom size="0.1"/></body></worldbody>
<tendon><fixed name="t"><joint joint="bend" coef="0.05"/></fixed></tendon><actuator><muscle name="short" tendon="t"
force="10" lengthrange="-0.1 0.1" range="0.75 1.05"/></actuator></mujoco>""")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cli.run(["info", str(path)]) == 0
    said = capsys.readouterr()
    assert "note: model" in said.out
    assert "tendon slack length below zero" in " ".join(said.out.split())
    assert "Warning" not in said.out + said.err


def test_info_of_a_part_draws_its_moment_arms(capsys, tmp_path):
    picture = tmp_path / "arms.png"
    assert cli.run(["info", "arm", "--joint", "elbow_flex", "--picture", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "1 coordinates" in out
    assert "note: reduced to the joints elbow_flex" in out
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_truth_of_another_make_is_refused(synthetic, tmp_path, refused):
    for file in synthetic.glob("*.*"):
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "truth.json").write_text(json.dumps({"parameters": 3}))
    error = refused(["identify", str(tmp_path / "quick.toml"), "--out", str(tmp_path / "out")])
    assert "truth.json" in error
