"""Drafts as they are, given to `identify`: of recordings cut short, and of a dynamometer's export."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.person.model import Model
from mjx_msm.recordings.evidence.contradictions import contradictions
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.readers.timing import Timing
from mjx_msm.recordings.subject_file.loading import Study, load_subject
from mjx_msm.recordings.survey.draft import drafted
from mjx_msm.recordings.survey.draft_writing import written
from mjx_msm.recordings.survey.dynamometers import named_in
from mjx_msm.recordings.survey.files import survey
from mjx_msm.study.identification import identify_study
from mjx_msm.study.settings import study_model

TIME, FAST = np.arange(0, 4, 0.01), np.arange(0, 4, 0.001)
KNEE = 50 + 35 * np.sin(1.5 * TIME)
"""[deg]."""


def draft(knee: Model, files: list[Path], out: Path, rate: float | None = None) -> str:
    found = [survey(f, Timing(rate=rate), knee.coordinates, knee.muscles) for f in files]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        written(drafted(knee, "knee", found, out, rate=rate))
    return out.read_text(encoding="utf-8")


def loaded(path: Path) -> tuple[Study, Model]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        study = load_subject(path)
    return study, study_model(study)


def identified(path: Path, *, seconds: float) -> float:
    """Root mean square error of a draft's fit over that of its moments; the first of them, cut short."""
    text = path.read_text(encoding="utf-8")
    head, trial, *others = re.split(r"(?=\[\[trials\]\])", text)
    others[-1:] = [re.split(r"(?=\[identify\])", (others or [trial])[-1])[1]]
    if not others[:-1]:
        trial = re.split(r"(?=\[identify\])", trial)[0]
    path.write_text(f"{head}{trial.rstrip()}\nstop = {seconds}\n\n{others[-1]}", encoding="utf-8")
    study, model = loaded(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        result = identify_study(study, model, starts=1)
    (fit,) = (f for f in result.fits if f.role == "identify")
    moment = study.trials[0].moment
    assert moment is not None
    return fit.identified / float(np.sqrt(np.nanmean(moment**2)))


def dynamometer(folder: Path, maker: str, direction: str) -> list[Path]:
    """An export of a dynamometer, and of Trigno: the muscles of one side, that side's moment without a sign."""
    effort = 0.5 + 0.5 * np.sin(2 * FAST)
    band = signal.butter(2, [30, 180], "bandpass", fs=1000, output="sos")
    raw = signal.sosfilt(band, np.random.default_rng(0).normal(size=(len(FAST), 2)), axis=0)
    loud = [effort, 0.1 + 0 * effort]
    raw *= np.stack(loud if direction == "extension" else loud[::-1], axis=1)
    torque = 60 * np.interp(TIME - 0.05, FAST, effort)
    rows = [(10 * i, m, k) for i, (m, k) in enumerate(zip(torque, KNEE, strict=True))]
    if maker == "biodex":
        text = "BIODEX\n" + "".join(f"line {i}: x\n" for i in range(50))
        text += "  mSec    TORQUE    POSITION    POS (ANAT)\n          FT-LBS    DEGREES    DEGREES\n"
        text += "".join(f"{t:6d}  {m / 1.3558:10.5f}  {k - 20:10.5f}  {k:10.5f}\n" for t, m, k in rows)
    else:
        text = "HUMAC NORM\nPatient:\tX\n\nTime (msec)\tTorque (Nm)\tPosition (deg)\n"
        text += "".join(f"{t}\t{m:.5f}\t{k:.5f}\n" for t, m, k in rows)
    names = '"X[s]","R VASTUS LATERALIS: EMG 1 [V]","X[s]","R BICEPS FEMORIS: EMG 2 [V]"\n'
    emg = "".join(f"{t:.6f},{a:.12f},{t:.6f},{b:.12f}\n" for t, (a, b) in zip(FAST, 1e-3 * raw, strict=True))
    (folder / f"{maker}_1.txt").write_text(text)
    (folder / "emg_1.csv").write_text(names + emg)
    return [folder / f"{maker}_1.txt", folder / "emg_1.csv"]


@pytest.mark.parametrize("direction", ["extension", "flexion"])
@pytest.mark.parametrize("maker", ["biodex", "humac"])
def test_a_dynamometers_draft_is_right(tmp_path, knee, maker, direction):
    text = draft(knee, dynamometer(tmp_path, maker, direction), tmp_path / "s.toml")
    assert "locked = { hip_flexion = 1.5708, ankle_angle = 0.0 }  # DOUBT" in text
    assert re.search(rf'gravity = "corrected"  # DOUBT \d+: {maker.upper()} takes the limb', text)
    assert f": {direction}, as " in text
    study, model = loaded(tmp_path / "s.toml")
    (trial,) = study.trials
    known = np.isfinite(trial.position[:, 0])
    at = trial.time[known]
    np.testing.assert_allclose(np.rad2deg(trial.position[known, 0]), np.interp(at, TIME, KNEE), atol=0.1)
    sign = -1 if direction == "extension" else 1
    assert trial.moment is not None
    np.testing.assert_allclose(trial.moment[known, 0], sign * 60 * (0.5 + 0.5 * np.sin(2 * (at - 0.05)))[:], atol=3.5)
    assert contradictions(model, study.trials, study.emg_map) == ()


def enveloped(folder: Path, direction: str, dip: float = 0.0) -> list[Path]:
    """The same export beside envelopes of 80 Hz; with a `dip` they swing about zero, as raw EMG does."""
    found = dynamometer(folder, "humac", direction)
    time = np.arange(0, 4, 1 / 80)
    loud = 0.5 + 0.4 * np.sin(2 * time)
    vl, bf = (loud, 0.2 * loud) if direction == "extension" else (0.2 * loud, loud)
    write_csv(found[1], time, {"R VASTUS LATERALIS": vl - dip, "R BICEPS FEMORIS": bf - dip})
    return found


@pytest.mark.parametrize("direction", ["extension", "flexion"])
def test_a_dynamometers_sign_by_envelopes(tmp_path, knee, direction):
    text = draft(knee, enveloped(tmp_path, direction), tmp_path / "s.toml")
    assert f"{direction}, as " in text
    assert "5 times as loud as" in text
    assert ("scale = -1.0" in text) is (direction == "extension")


def test_a_loudness_that_cannot_be_told_gives_no_sign(tmp_path, knee):
    text = draft(knee, enveloped(tmp_path, "extension", dip=0.3), tmp_path / "s.toml")
    assert "which way? How loud biceps femoris is cannot be told" in text
    assert "times as loud" not in text


def test_another_joints_export_is_not_drafted_as_the_knees(tmp_path, knee):
    for name in ("ankle", "knee"):
        (tmp_path / name).mkdir()
        enveloped(tmp_path / name, "extension")
    files = sorted(tmp_path.glob("*/*"))
    with pytest.raises(InputError, match=r"ankle/humac_1.txt: its moment is of ankle_angle, and the draft of knee_an"):
        draft(knee, files, tmp_path / "s.toml")
    force = {"vastus_lateralis": 1 + np.sin(TIME), "biceps_femoris": 1 + np.cos(TIME), "force": 10 + TIME}
    write_csv(tmp_path / "ankle_flexion.csv", TIME, force)
    with pytest.raises(InputError, match=r"ankle_flexion.csv: its force is of ankle_angle, and the draft of knee_an"):
        draft(knee, [tmp_path / "ankle_flexion.csv"], tmp_path / "s.toml")


def test_an_angle_that_is_called_otherwise_in_a_trial(tmp_path, knee):
    for name, maker in (("one", "humac"), ("two", "biodex")):
        (tmp_path / name).mkdir()
        dynamometer(tmp_path / name, maker, "extension")
    text = draft(knee, sorted(tmp_path.glob("*/*.*")), tmp_path / "s.toml")
    assert 'knee_angle = { column = "Position (deg)"' in text or 'knee_angle = "Position (deg)"' in text
    assert 'columns = { knee_angle = "POS (ANAT)" }  # called so' in text
    study, _ = loaded(tmp_path / "s.toml")
    for trial in study.trials:
        known = np.isfinite(trial.position[:, 0])
        here = np.interp(trial.time[known], TIME, KNEE)
        np.testing.assert_allclose(np.rad2deg(trial.position[known, 0]), here, atol=0.1)


def test_the_joint_that_a_files_name_says_best():
    every = ("hip_flexion_r", "hip_adduction_r", "hip_flexion_l", "knee_angle_r", "knee_angle_l")
    assert named_in("hip_adduction.txt", every, "") == ["hip_adduction_r"]
    assert named_in("left_hip_flexion_60.txt", every, "right") == ["hip_flexion_l"]
    assert named_in("knee extension", every, "left") == ["knee_angle_l"]
    assert named_in("knee extension", every, "") == ["knee_angle_r", "knee_angle_l"]
    assert named_in("subject 3", every, "left") == []


def test_a_knees_muscles_drive_no_arm(tmp_path, arm):
    files = dynamometer(tmp_path, "biodex", "extension")
    found = [survey(f, None, arm.coordinates, arm.muscles) for f in files]
    with pytest.raises(InputError, match=r"no channel of EMG \(R VASTUS.* that moves elbow_flex; .*another --model"):
        drafted(arm, "arm", found, tmp_path / "s.toml")


@pytest.mark.slow
def test_a_dynamometers_draft_identifies(tmp_path, knee):
    draft(knee, dynamometer(tmp_path, "biodex", "extension"), tmp_path / "s.toml")
    assert identified(tmp_path / "s.toml", seconds=2.0) < 0.3


@pytest.mark.slow
def test_the_treadmills_draft_identifies(tmp_path, knee, data_dir):
    files = sorted((data_dir / "treadmill" / "walk36").glob("*.sto"))
    draft(knee, files, tmp_path / "s.toml")
    assert identified(tmp_path / "s.toml", seconds=2.0) < 0.5


@pytest.mark.slow
def test_the_workbooks_draft_identifies(tmp_path, knee, data_dir):
    draft(knee, [data_dir / "elderly_dynamometry" / "ID 1.xlsx"], tmp_path / "s.toml", rate=2000.0)
    assert identified(tmp_path / "s.toml", seconds=2.0) < 0.3
