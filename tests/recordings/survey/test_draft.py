"""What columns seem to be, and drafts of subject files: they load, and say what they doubt."""

import re
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.person.model import load_model
from mjx_msm.recordings.evidence.contradictions import contradictions
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.readers.timing import Timing
from mjx_msm.recordings.readers.units import Unit, spelt, unit_of
from mjx_msm.recordings.subject_file.loading import load_subject
from mjx_msm.recordings.survey.draft import drafted
from mjx_msm.recordings.survey.draft_writing import written
from mjx_msm.recordings.survey.files import survey
from mjx_msm.recordings.survey.mistaken import with_mistaken
from mjx_msm.study.settings import study_model, study_space
from mjx_msm.views.recording_figures import recordings_figure

TIME = np.arange(0, 4, 0.01)
FAST = np.arange(0, 4, 0.001)


def walk(folder: Path, *, sign: float = 1.0, unit: float = 180 / np.pi, names: str = "{}_r") -> list[Path]:
    """Angles, raw EMG and moments of a made-up walk."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    angles = {
        "hip_flexion": 0.1 + 0.4 * np.cos(6 * TIME),
        "knee_angle": sign * (0.6 + 0.5 * np.sin(6 * TIME)),
        "ankle_angle": 0.2 * np.sin(6 * TIME),
    }
    write_csv(folder / "ik.csv", TIME, {names.format(k): unit * x for k, x in angles.items()})
    drive = {"RF": 1 + np.sin(6 * FAST), "VL": 1 + np.sin(6 * FAST), "BF": 1 - np.sin(6 * FAST), "TA": 1 + 0 * FAST}
    write_csv(folder / "emg.csv", FAST, {f"R {m}": 1e-4 * d * rng.normal(size=len(FAST)) for m, d in drive.items()})
    write_csv(folder / "id.csv", TIME, {f"{names.format('knee_angle')}_moment": -20 * sign * np.sin(6 * TIME)})
    return [folder / f"{kind}.csv" for kind in ("ik", "emg", "id")]


def draft(model, source, files, out, **options):
    made = drafted(model, source, [survey(f, None, model.coordinates, model.muscles) for f in files], out, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        written(made)
    return made, tomllib.loads(out.read_text(encoding="utf-8"))


def loaded(path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        study = load_subject(path)
    return study, study_model(study)


def test_columns_seem_what_they_are(tmp_path):
    ik, emg, moments = walk(tmp_path)
    assert [(c.kind, c.unit) for c in survey(ik).columns] == [("angle", "deg")] * 3
    assert [(c.kind, c.unit) for c in survey(emg).columns] == [("raw EMG", "V")] * 4
    assert [(c.kind, c.unit) for c in survey(moments).columns] == [("moment", "Nm")]
    ik, *_ = walk(tmp_path, unit=1.0)
    assert [(c.kind, c.unit) for c in survey(ik).columns] == [("angle", "rad")] * 3
    smooth = np.abs(np.sin(FAST))
    gappy = np.where(np.abs(FAST - 2) < 0.1, np.nan, smooth)
    write_csv(tmp_path / "e.csv", FAST, {"soleus": smooth, "VM": 100 * smooth, "force": 500 * smooth, "x": gappy})
    found = survey(tmp_path / "e.csv").columns
    assert [c.kind for c in found] == ["EMG envelope", "EMG envelope", "force", "other"]
    assert "per cent" in found[1].doubts[0]
    assert found[3].gaps == 1
    assert found[3].missing == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize(("sign", "unit"), [(1.0, 180 / np.pi), (-1.0, 180 / np.pi), (-1.0, 1.0)])
def test_a_draft_loads_and_is_right(tmp_path, knee, sign, unit):
    files = walk(tmp_path / "data", sign=sign, unit=unit)
    made, document = draft(knee, "knee", files, tmp_path / "subject.toml")
    study, model = loaded(tmp_path / "subject.toml")
    (trial,) = study.trials
    knee_angle = trial.position[:, trial.coordinates.index("knee_angle")]
    expected = 0.6 + 0.5 * np.sin(6 * trial.time)
    known = np.isfinite(knee_angle)
    np.testing.assert_allclose(knee_angle[known], expected[known], atol=1e-3)
    assert document["data"] == "data"
    assert document["model"]["prescribed"] == ["hip_flexion", "ankle_angle"]
    assert document["emg"]["kind"] == "raw"
    assert document["emg"]["muscles"]["vaslat"] == "vastus_lateralis"
    assert document["emg"]["channels"]["vastus_lateralis"] == "R VL"
    assert document["emg"]["muscles"]["soleus"] == 0.0
    text = (tmp_path / "subject.toml").read_text()
    assert text.count("DOUBT") == made.doubts + 1
    assert ("turned, it fits" in text) is (sign < 0)
    assert "the mass of the person" in text
    assert contradictions(model, study.trials, study.emg_map) == ()


def trial_of(path: Path):
    """The only trial of a subject file, without compiling its model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        (trial,) = load_subject(path).trials
    assert trial.moment is not None
    return trial


def test_moments_of_every_unit_are_read_right(tmp_path, knee):
    """25 N·m in the file's unit are 25 N·m in the trial, whatever the draft adds; one spelling of every unit."""
    ik, emg, moments = walk(tmp_path / "data")
    others = [survey(ik), survey(emg)]
    units = {unit_of(u): u for kind in ("moment", "moment per mass") for u in spelt(kind)}
    assert len(units) == 10
    for known, unit in units.items():
        factor = known.factor * (75.0 if known.kind == "moment per mass" else 1.0)
        rows = [f"{t:.3f},{25 / factor * np.sin(6 * t):.9g}" for t in TIME]
        moments.write_text("\n".join([f"time,knee_angle_r_moment [{unit}]", *rows]) + "\n", encoding="utf-8")
        made = drafted(knee, "knee", [*others, survey(moments)], tmp_path / "subject.toml", mass=75.0)
        (tmp_path / "subject.toml").write_text("\n".join(made.lines) + "\n", encoding="utf-8")
        trial = trial_of(tmp_path / "subject.toml")
        np.testing.assert_allclose(trial.moment[:, 0], 25 * np.sin(6 * trial.time), atol=0.05, err_msg=unit)


@pytest.mark.parametrize("unit", ["N·m/kg", "[Nm/kg]", "Nm/(kg)", "N·m·kg⁻¹", "Nm kg^-1"])
def test_spellings_of_moments_per_mass(unit):
    assert unit_of(unit) == Unit("moment per mass", 1.0)


def test_a_moment_of_newton_millimetres_by_its_size_alone(tmp_path, knee):
    ik, emg, moments = walk(tmp_path / "data")
    write_csv(moments, TIME, {"knee_angle_r_moment": 25e3 * np.sin(6 * TIME)})
    draft(knee, "knee", [ik, emg, moments], tmp_path / "subject.toml")
    trial = trial_of(tmp_path / "subject.toml")
    np.testing.assert_allclose(trial.moment[:, 0], 25 * np.sin(6 * trial.time), atol=0.05)
    assert "its size suggests Nmm" in (tmp_path / "subject.toml").read_text()


@pytest.mark.parametrize("unit", ["", "Nmm", "ftlb"])
def test_a_dynamometers_moment_of_another_unit(tmp_path, knee, unit):
    rng = np.random.default_rng(0)
    band = signal.butter(2, [30, 180], "bandpass", fs=1000, output="sos")
    factor = {"": 1e-3, "Nmm": 1e-3, "ftlb": 1.3558179}[unit]
    columns = [FAST, *signal.sosfilt(band, rng.normal(size=(2, 4000))), 25 / factor * np.sin(0.5 * FAST)]
    name = f"torque [{unit}]" if unit else "torque"
    rows = [",".join(f"{x:.9g}" for x in row) for row in np.transpose(columns)]
    path = tmp_path / "knee_flexion.csv"
    path.write_text("\n".join([f"time,vastus_lateralis,biceps_femoris,{name}", *rows]) + "\n", encoding="utf-8")
    draft(knee, "knee", [path], tmp_path / "s.toml")
    trial = trial_of(tmp_path / "s.toml")
    np.testing.assert_allclose(np.nanmax(trial.moment), 25 * np.sin(0.5 * FAST).max(), rtol=0.01)


def test_files_make_trials_by_folder_or_by_name(tmp_path, knee):
    files = walk(tmp_path / "slow") + walk(tmp_path / "fast")
    _, document = draft(knee, "knee", files, tmp_path / "a.toml")
    assert [t["name"] for t in document["trials"]] == ["slow", "fast"]
    flat = tmp_path / "flat"
    flat.mkdir()
    for trial in ("slow", "fast"):
        for kind in ("ik", "emg", "id"):
            (flat / f"{trial}_{kind}.csv").write_bytes((tmp_path / trial / f"{kind}.csv").read_bytes())
    _, document = draft(knee, "knee", sorted(flat.iterdir()), tmp_path / "b.toml")
    assert [t["name"] for t in document["trials"]] == ["fast", "slow"]
    assert document["trials"][0]["motion"] == "fast_ik.csv"
    (flat / "slow_angles.csv").write_bytes((flat / "slow_ik.csv").read_bytes())
    with pytest.raises(InputError, match="both hold motion"):
        draft(knee, "knee", sorted(flat.iterdir()), tmp_path / "c.toml")


def test_what_else_a_sensor_of_emg_measures_is_no_emg(tmp_path):
    sensors = ["ACC.X 1", "Gyro Z 2", "Mag Y 3", "IMU X 4"]
    others = {f"R GASTROCNEMIUS MEDIAL HEAD: {s}": np.sin(FAST) for s in sensors} | {"knee_acc_x": np.cos(FAST)}
    write_csv(tmp_path / "e.csv", FAST, others)
    found = survey(tmp_path / "e.csv").columns
    assert [c.kind for c in found] == ["other"] * 5
    assert {c.why for c in found} == {"its name says an inertial sensor's"}
    assert found[0].called.muscles == ("gastrocnemius_medialis",)


@pytest.mark.parametrize("name", ["add_mag", "R_ADD_MAG", "R Adductor Magnus"])
def test_the_magnus_is_no_magnetometer(tmp_path, name):
    write_csv(tmp_path / "e.csv", FAST, {name: np.random.default_rng(0).normal(0, 1e-4, len(FAST))})
    (column,) = survey(tmp_path / "e.csv").columns
    assert (column.kind, column.called.muscles) == ("raw EMG", ("adductors",))


@pytest.mark.parametrize(
    "name", ["knee_angle_imu", "imu_knee_flexion", "IMU/knee_angle_r", "gyro_knee_angle", "imu_knee"]
)
def test_angles_of_inertial_sensors_are_angles(tmp_path, name):
    write_csv(tmp_path / "k.csv", TIME, {name: 30 - 30 * np.cos(6 * TIME)})
    (column,) = survey(tmp_path / "k.csv").columns
    assert (column.kind, column.unit, column.called.coordinate) == ("angle", "deg", "knee_angle")


def test_a_structure_says_what_is_in_it(tmp_path):
    np.savez(tmp_path / "x.npz", **{"angles/knee": 30 + FAST[:40], "moments/knee": 9 * FAST[:40], "fs": 100.0})
    angle, moment = survey(tmp_path / "x.npz").columns
    assert (angle.name, angle.kind, moment.name, moment.kind) == ("angles/knee", "angle", "moments/knee", "moment")


def test_a_legs_moment_per_kilogram_by_its_size(tmp_path, knee):
    ik, emg, moments = walk(tmp_path / "data")
    write_csv(moments, TIME, {"knee_angle_r_moment": 25 / 75 * np.sin(6 * TIME)})
    draft(knee, "knee", [ik, emg, moments], tmp_path / "s.toml", mass=75.0)
    trial = trial_of(tmp_path / "s.toml")
    np.testing.assert_allclose(trial.moment[:, 0], 25 * np.sin(6 * trial.time), atol=0.05)
    assert "its size suggests Nm/kg" in (tmp_path / "s.toml").read_text()


def test_a_rate_is_of_what_has_none(tmp_path, knee):
    """Angles and moments without time, EMG with one: what a user says leaves the EMG's alone."""
    ik, emg, moments = walk(tmp_path / "data")
    for path in (ik, moments):
        rows = [line.split(",", 1)[1] for line in path.read_text().splitlines()]
        path.write_text("\n".join(rows) + "\n")
    found = [survey(f, None, knee.coordinates, knee.muscles, rate=100.0) for f in (ik, emg, moments)]
    written(drafted(knee, "knee", found, tmp_path / "s.toml", rate=100.0))
    assert "sampling_rate = { motion = 100, moments = 100 }" in (tmp_path / "s.toml").read_text()
    trial = trial_of(tmp_path / "s.toml")
    known = np.isfinite(trial.position[:, 0])
    expected = 0.6 + 0.5 * np.sin(6 * trial.time[known])
    np.testing.assert_allclose(trial.position[known, 0], expected, atol=1e-3)
    assert trial.time[-1] == pytest.approx(4.0, abs=0.1)


def storage(path: Path, columns: dict[str, np.ndarray], degrees: str) -> Path:
    rows = "".join("\t".join(f"{x:.6f}" for x in row) + "\n" for row in zip(TIME, *columns.values(), strict=True))
    head = f"x\nversion=1\nnRows={len(TIME)}\nnColumns={1 + len(columns)}\ninDegrees={degrees}\nendheader\n"
    path.write_text(head + "\t".join(["time", *columns]) + "\n" + rows)
    return path


def test_angles_in_a_file_taken_for_moments(tmp_path, knee):
    """Under the names of moments by their numbers, and by the header; under their own by the file's name."""
    ik, emg, moments = walk(tmp_path / "data")
    angle = np.rad2deg(0.6 + 0.5 * np.sin(6 * TIME))
    write_csv(moments, TIME, {"knee_angle_r_moment": angle})
    draft(knee, "knee", [ik, emg, moments], tmp_path / "s.toml")
    doubt = "its numbers are those of the angle 'knee_angle_r' in ik.csv: the moments were not exported"
    assert doubt in (tmp_path / "s.toml").read_text()
    assert not [c for c in with_mistaken([survey(moments)])[0].columns if "its numbers" in str(c.doubts)]
    (column,) = survey(storage(tmp_path / "id.sto", {"knee_angle_r_moment": angle}, "yes")).columns
    assert "its file says degrees, as one of angles does" in column.doubts
    alone = storage(tmp_path / "data" / "walk_moments.sto", {"knee_angle_r": angle}, "yes")
    said = r"called like a file of moments and holds angles \('knee_angle_r' from 5.7.* to 63 deg\); export the moments"
    assert re.search(said, " ".join(with_mistaken([survey(alone)])[0].notes))
    with pytest.raises(InputError, match=rf"walk_moments.sto: it is {said}"):
        draft(knee, "knee", [ik, emg, alone], tmp_path / "t.toml")
    assert with_mistaken([survey(ik)])[0].notes == ()
    for name in ("torque_off.csv", "no_torque_1.csv"):  # a condition of the motor's, not what the file holds
        assert with_mistaken([survey(ik.rename(ik.with_name(name)))])[0].notes == ()
        ik = ik.with_name(name)


def test_what_makes_no_trial_is_refused_by_name(tmp_path, knee):
    ik, _, moments = walk(tmp_path)
    write_csv(tmp_path / "odd.csv", TIME, {"temperature": 20 + TIME})
    with pytest.raises(InputError, match=r"odd.csv: no column is called like an angle or moment of hip_flexion"):
        draft(knee, "knee", [ik, tmp_path / "odd.csv"], tmp_path / "a.toml")
    with pytest.raises(InputError, match="no file has EMG"):
        draft(knee, "knee", [ik, moments], tmp_path / "a.toml")


def test_a_dynamometer_is_held_still(tmp_path, knee):
    rng = np.random.default_rng(0)
    noise = signal.sosfilt(signal.butter(2, [30, 180], "bandpass", fs=1000, output="sos"), rng.normal(size=(2, 4000)))
    force = 10 + 8 * np.sin(TIME[:, None].repeat(10, 1).ravel() * 0.5) ** 2
    columns = {"vastus_lateralis": noise[0], "biceps_femoris": noise[1], "force": force}
    write_csv(tmp_path / "knee_extension.csv", FAST, columns)
    made, _ = draft(knee, "knee", [tmp_path / "knee_extension.csv"], tmp_path / "s.toml", posture={"hip_flexion": 80})
    assert [p.name for p in made.beside] == ["s_knee_extension_posture.csv"]
    study, _ = loaded(tmp_path / "s.toml")
    (trial,) = study.trials
    np.testing.assert_allclose(np.rad2deg(trial.position[-5]), [90, 80, 0], atol=1e-9)
    assert trial.coordinates == ("knee_angle", "hip_flexion", "ankle_angle")
    # extension is against the coordinate, kgf by its size, 0.3 m
    np.testing.assert_allclose(np.nanmin(trial.moment), -force.max() * 9.80665 * 0.3, rtol=0.02)
    assert "kgf, by its size" in (tmp_path / "s.toml").read_text()


def limb(tmp_path: Path, joint: str, muscles=("rect_fem_r", "bifemlh_r", "soleus_r"), low: float = -120.0):
    """A leg with one knee, whose last muscle does not cross it, as MJCF; degrees."""
    text = "".join(
        f'<muscle name="{m}" tendon="{m}" ctrlrange="0 1" lengthrange="0.3 0.4" force="1000"/>' for m in muscles
    )
    sites = "".join(
        f'<tendon><spatial name="{m}"><site site="hip"/><site site="{end}"/></spatial></tendon>'
        for m, end in zip(muscles, ("front", "back", "thigh"), strict=True)
    )
    path = tmp_path / "models" / "limb.xml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"""<mujoco><worldbody><body><geom type="capsule" fromto="0 0 0 0 0 -.4" size=".05"/><site name="hip"/>
        <site name="thigh" pos="0 0 -.3"/><body pos="0 0 -.4"><joint name="{joint}" axis="0 1 0"
        range="{low} {low + 130}"/><geom type="capsule" fromto="0 0 0 0 0 -.4" size=".04"/>
        <site name="front" pos=".05 0 -.05"/><site name="back" pos="-.05 0 -.05"/></body></body></worldbody>
        {sites}<actuator>{text}</actuator></mujoco>"""
    )
    return path


@pytest.mark.parametrize("joint", ["knee_angle_r", "knee_angle"])
def test_models_that_are_not_bundled_match_by_name_or_but_for_the_side(tmp_path, joint, monkeypatch):
    """Columns are called as in OpenSim; the draft lies elsewhere than model, recording and working directory."""
    path = limb(tmp_path, joint)
    ik, emg, moments = walk(tmp_path / "data", sign=-1.0)
    rng = np.random.default_rng(0)
    noise = 1e-4 * (1 + np.sin(6 * FAST)) * rng.normal(size=(3, len(FAST)))
    write_csv(emg, FAST, dict(zip(("rect_fem_r", "bifemlh_r", "soleus_r"), noise, strict=True)))
    monkeypatch.chdir(tmp_path)
    _, document = draft(load_model(path), "models/limb.xml", [ik, emg, moments], Path("drafts/s.toml"))
    assert document["columns"][joint] == {"column": "knee_angle_r", "units": "deg"}
    assert document["moment_columns"][joint] == "knee_angle_r_moment"
    assert document["emg"]["muscles"] == {m: m for m in ("rect_fem_r", "bifemlh_r", "soleus_r")}
    assert document["model"]["source"] == "../models/limb.xml"
    assert document["data"] == "../data"
    freed = document["identify"]["free"]
    assert "muscle/rect_fem_r/tendon_slack_length" in freed
    assert "emg/bifemlh_r/gain" in freed
    assert not [f for f in freed if "soleus" in f or "*" in f], "the soleus does not cross the knee"
    monkeypatch.chdir(tmp_path / "data")
    study, model = loaded(tmp_path / "drafts" / "s.toml")
    unknowns = study_space(model, study)
    assert "emg/bifemlh_r/gain" in [path for tied in unknowns.members for path in tied]


def test_a_left_leg_drives_a_model_of_the_right_if_asked(tmp_path):
    model = load_model(limb(tmp_path, "knee_angle_r"))
    write_csv(tmp_path / "ik.csv", TIME, {"knee_angle_r": 0 * TIME - 50 + TIME, "knee_angle_l": -20 - TIME})
    drive = {"rect_fem_l": np.abs(np.sin(FAST)), "soleus_r": np.abs(np.cos(FAST))}
    write_csv(tmp_path / "emg.csv", FAST, drive)
    write_csv(tmp_path / "id.csv", TIME, {"knee_angle_l_moment": np.sin(TIME)})
    files = [tmp_path / f"{k}.csv" for k in ("ik", "emg", "id")]
    _, document = draft(model, str(tmp_path / "models/limb.xml"), files, tmp_path / "s.toml", side="left")
    assert document["columns"]["knee_angle_r"]["column"] == "knee_angle_l"
    assert document["emg"]["muscles"]["rect_fem_r"] == "rect_fem_l"
    assert document["emg"]["muscles"]["soleus_r"] == 0.0


def test_a_posture_of_a_slide_is_in_metres(tmp_path):
    path = limb(tmp_path, "knee_angle_r")
    slide = '<joint name="pelvis_ty" type="slide" axis="0 0 1" range="-2 2"/>'
    path.write_text(path.read_text().replace("<worldbody><body>", f"<worldbody><body>{slide}"))
    write_csv(tmp_path / "ik.csv", TIME, {"knee_angle_r": -50 + TIME})
    write_csv(tmp_path / "emg.csv", TIME, {"rect_fem_r": 1 + np.sin(TIME), "soleus_r": 1 + np.cos(TIME)})
    files = [tmp_path / "ik.csv", tmp_path / "emg.csv"]
    _, document = draft(load_model(path), str(path), files, tmp_path / "s.toml", posture={"pelvis_ty": 0.95})
    assert document["model"]["locked"] == {"pelvis_ty": 0.95}
    assert "held at 0.95 m [rad, m] (--posture" in (tmp_path / "s.toml").read_text()


def test_a_draft_without_a_muscle_it_knows_is_refused_with_the_names(tmp_path):
    path = limb(tmp_path, "knee_angle_r", muscles=("one", "two", "three"))
    ik, emg, moments = walk(tmp_path / "data")
    with pytest.raises(InputError, match=r"no channel of EMG \(R RF, .*is called like a muscle \(one, two, three\)"):
        draft(load_model(path), str(path), [ik, emg, moments], tmp_path / "s.toml")
    assert not (tmp_path / "s.toml").exists()


def test_a_posture_goes_the_models_way_and_paths_are_relative(tmp_path):
    """A knee that flexes downwards sits at −90°, and extension drives it up; rectus femoris borrows from its vastus."""
    path = limb(tmp_path, "knee_angle_r")
    rng = np.random.default_rng(0)
    noise = signal.sosfilt(signal.butter(2, [30, 180], "bandpass", fs=1000, output="sos"), rng.normal(size=(2, 4000)))
    columns = {"vastus_lateralis": noise[0] * FAST, "biceps_femoris": noise[1] * FAST, "force": 10 + FAST}
    (tmp_path / "data").mkdir()
    write_csv(tmp_path / "data" / "knee_extension.csv", FAST, columns)
    _, document = draft(load_model(path), str(path), [tmp_path / "data" / "knee_extension.csv"], tmp_path / "s.toml")
    assert document["emg"]["muscles"]["rect_fem_r"] == "vastus_lateralis"
    (entry,) = document["trials"]
    assert entry["motion"] == "../s_knee_extension_posture.csv"
    study, _ = loaded(tmp_path / "s.toml")
    np.testing.assert_allclose(np.rad2deg(study.trials[0].position[-5]), [-90], atol=1e-9)
    assert np.nanmin(study.trials[0].moment) > 0
    text = (tmp_path / "s.toml").read_text()
    assert "offset = …" in text
    assert 'gravity = "included"' in text


def test_what_a_draft_says_of_emg(tmp_path, knee):
    """A noisy channel is named where its muscle goes without; envelopes that dip; one unit a file; EMG alone."""
    ik, emg, moments = walk(tmp_path / "data")
    rng = np.random.default_rng(0)
    sos = signal.butter(2, [30, 180], "bandpass", fs=1000, output="sos")
    drive = {"VL": 1 + np.sin(6 * FAST), "BF": 1 - np.sin(6 * FAST), "RF": 1 + np.sin(6 * FAST)}
    bursts = {m: 60 * d * signal.sosfilt(sos, rng.normal(size=len(FAST))) for m, d in drive.items()}
    write_csv(emg, FAST, {**bursts, "RF": 0.05 * bursts["RF"], "gaslat": 1e1 * rng.normal(size=len(FAST))})
    assert {c.unit for c in survey(emg).columns} == {"µV"}
    assert "like most channels" in " ".join(survey(emg).columns[2].doubts)
    draft(knee, "knee", [ik, emg, moments], tmp_path / "s.toml")
    assert "gaslat = 0.0  # DOUBT" in (tmp_path / "s.toml").read_text()
    assert "its channel 'gaslat' is set aside as noise; it counts as silent" in (tmp_path / "s.toml").read_text()
    write_csv(emg, FAST, {"RF": np.abs(np.sin(FAST)) - 0.003, "VL": np.abs(np.cos(FAST))})
    draft(knee, "knee", [ik, emg, moments], tmp_path / "s.toml")
    assert "hardly ever negative (down to -0.003)" in (tmp_path / "s.toml").read_text()
    with pytest.raises(InputError, match=r"emg.csv: EMG alone; give the file with the angles"):
        draft(knee, "knee", [emg], tmp_path / "t.toml")


def test_a_draft_that_does_not_read_back_leaves_no_file(tmp_path, knee):
    files = walk(tmp_path / "data")
    out = tmp_path / "s.toml"
    out.write_text("mine")
    made = drafted(knee, "knee", [survey(f) for f in files], out)
    made.lines.append("[nonsense]")
    made.beside[tmp_path / "posture.csv"] = (TIME, {"knee_angle": TIME})
    with pytest.raises(InputError, match=r"no draft is written, .*s.toml"):
        written(made)

    def refuse(study):
        raise InputError(f"{study.path}: recordings of two people")

    made.lines.pop()
    with pytest.raises(InputError, match=r"no draft is written, .*s.toml: recordings of two people"):
        written(made, refuse)
    assert out.read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "s.toml"]


def test_one_export_of_nexus_is_a_trial(tmp_path, knee):
    """Angles and moments of Plug-in Gait and raw EMG in one file, the file's own units, left and right."""
    rng = np.random.default_rng(0)
    angles = np.stack([20 * np.cos(6 * TIME), 30 + 25 * np.sin(6 * TIME), 8 * np.sin(6 * TIME)], axis=1)
    moment = -300 * np.sin(6 * TIME)
    sos = signal.butter(2, [30, 180], "bandpass", fs=1000, output="sos")
    emg = signal.sosfilt(sos, rng.normal(size=(len(FAST), 2)), axis=0) * (1.1 + np.sin(6 * FAST[:, None] * [1, 1]))
    text = "Devices\n1000\n,,Trigno EMG - Voltage,\nFrame,Sub Frame,L VL,L BF\n,,mV,mV\n"
    text += "".join(f"{1 + i // 10},{i % 10},{a:.6f},{b:.6f}\n" for i, (a, b) in enumerate(emg))
    joints = ("LHipAngles", "LKneeAngles", "LAnkleAngles", "LKneeMoment", "RKneeAngles")
    text += "\nModel Outputs\n100\n,," + "".join(f"Anna:{j},,," for j in joints) + "\nFrame,Sub Frame" + ",X,Y,Z" * 5
    text += "\n,," + "deg,deg,deg," * 3 + "N.mm/kg,N.mm/kg,N.mm/kg,deg,deg,deg\n"
    for i, (row, m) in enumerate(zip(angles, moment, strict=True)):
        text += f"{1 + i},0," + "".join(f"{x:.6f},0,0," for x in row) + f"{m:.6f},0,0,{row[1]:.6f},0,0\n"
    (tmp_path / "walk.csv").write_text(text)
    made, document = draft(knee, "knee", [tmp_path / "walk.csv"], tmp_path / "s.toml", mass=60.0)
    (entry,) = document["trials"]
    assert entry["motion"] == entry["emg"] == entry["moments"] == "walk.csv"
    assert document["columns"]["knee_angle"].endswith("LKneeAngles/X")
    assert document["emg"]["muscles"]["vaslat"] in document["emg"]["channels"]
    study, _ = loaded(tmp_path / "s.toml")
    (trial,) = study.trials
    known = np.isfinite(trial.position[:, 0])
    at = trial.time[known]
    np.testing.assert_allclose(np.rad2deg(trial.position[known, 0]), 30 + 25 * np.sin(6 * at), atol=0.05)
    np.testing.assert_allclose(trial.moment[known, 0], -300e-3 * 60 * np.sin(6 * at), atol=0.2)
    assert made.side == "left"


def test_recordings(data_dir, tmp_path, arm, knee):
    """Every set of recordings: the draft loads as it is, and nothing contradicts it."""
    sets = {
        "knee_walk": (knee, "knee", sorted((data_dir / "knee_walk").glob("[cei]*.sto"))),
        "treadmill": (knee, "knee", sorted((data_dir / "treadmill").glob("*/*.sto"))),
        "arm_lift": (arm, "arm", sorted((data_dir / "arm_lift").iterdir())),
        "dynamometry": (knee, "knee", sorted((data_dir / "elderly_dynamometry").glob("person03*"))),
    }
    for name, (model, source, files) in sets.items():
        draft(model, source, files, tmp_path / f"{name}.toml")
        study, own = loaded(tmp_path / f"{name}.toml")
        assert len(study.trials) == {"treadmill": 3, "dynamometry": 2}.get(name, 1)
        assert study.identify.residuals == ("moment",)
        said = contradictions(own, study.trials, study.emg_map)
        assert sorted(s.split("'")[1] for s in said) == {"treadmill": ["run81", "walk36"]}.get(name, [])
        assert all("unlike that of other cycles" in line for line in said)  # strides that are at fault, see evidence
    text = (tmp_path / "treadmill.toml").read_text()
    assert 'knee_angle = { column = "knee_angle_r", scale = -1.0 }' in text
    assert 'knee_angle = { column = "knee_angle_r_moment", scale = -1.0 }' in text
    assert 'BIClong = "biceps_brachii"' in (tmp_path / "arm_lift.toml").read_text()
    assert "gastrocnemius_lateralis looks like an amplifier's noise" in (tmp_path / "dynamometry.toml").read_text()


def test_a_workbook_of_one_sheet_a_signal(tmp_path, knee):
    """No header, no time, several columns a sheet: nothing is judged without a rate; with one, the draft loads."""
    openpyxl = pytest.importorskip("openpyxl")
    rng = np.random.default_rng(3)
    book = openpyxl.Workbook()
    book.remove(book.active)
    effort = 1 + np.sin(np.arange(4000) / 300)
    loud = {"EMG_VL": (4.0, 0.6), "EMG_BF": (0.2, 3.0)}  # an extension, then a flexion
    for name in ("DNM", "EMG_VL", "EMG_BF"):
        sheet = book.create_sheet(name)
        band = signal.butter(2, [30, 180], "bandpass", fs=1000, output="sos")
        emg = [k * 20 * effort * signal.sosfilt(band, rng.normal(size=4000)) for k in loud.get(name, (1, 1))]
        for values in zip(*([12 + 5 * effort, 3 + effort] if name == "DNM" else emg), strict=True):
            sheet.append([float(x) for x in values])
    book.save(tmp_path / "ID 1.xlsx")
    unjudged = survey(tmp_path / "ID 1.xlsx")
    assert [c.kind for c in unjudged.columns] == ["force", "force", *4 * ["EMG"]]
    assert not any(c.faults for c in unjudged.columns)
    recordings_figure([unjudged])
    found = survey(tmp_path / "ID 1.xlsx", Timing(rate=1000.0), knee.coordinates, knee.muscles)
    made = drafted(knee, "knee", [found], tmp_path / "s.toml", rate=1000.0)
    study = written(made)
    text = (tmp_path / "s.toml").read_text()
    assert study.emg_map["vaslat"] == {"vastus_lateralis": 1.0}
    assert 'vastus_lateralis = "EMG_VL/column 1"' in text
    assert 'column = "DNM/column 1", units = "kgf", lever = 0.3, scale = -1.0' in text
    assert "extension, as vastus lateralis is" in text
    # the other attempts wait as comments; taken in, the file reads
    start = text.index("# column 2 of every sheet: if it is of this joint, take it in (flexion, as biceps femoris is")
    stop = text.index("[identify]")
    taken = re.sub(r"^# ", "", text[start:stop].partition("\n")[2], flags=re.MULTILINE)
    (tmp_path / "both.toml").write_text(text[:start] + taken + text[stop:])
    both, model = loaded(tmp_path / "both.toml")
    assert [t.name for t in both.trials] == ["ID 1", "ID 1 column 2"]
    first, second = (t.moment for t in both.trials)
    assert first is not None
    assert second is not None
    assert first[:, 0].mean() < 0 < second[:, 0].mean()
    assert contradictions(model, both.trials, both.emg_map) == ()
    assert "# not used: EMG_VL/column 2, EMG_BF/column 2  # DOUBT" in text
    assert text.count("in its stead vastus lateralis") == 1  # three muscles, one doubt
    assert made.doubts + 1 >= text.count("DOUBT")


def test_a_workbooks_sheets_at_two_rates(tmp_path, knee):
    """What the draft takes together is of one attempt, and lasts as long as what it does not take."""
    openpyxl = pytest.importorskip("openpyxl")
    rng = np.random.default_rng(4)
    book = openpyxl.Workbook()
    book.remove(book.active)
    band = signal.butter(2, [30, 180], "bandpass", fs=1000, output="sos")
    t = np.arange(4000) / 1000
    effort = 1 + np.sin(3 * t)
    loud = {"EMG_VL": (4.0, 0.6), "EMG_BF": (0.2, 3.0)}  # an extension, then a flexion
    for name in ("DNM", "EMG_VL", "EMG_BF"):
        sheet = book.create_sheet(name)
        if name == "DNM":  # the first attempt's force was stored at half the rate: the second's is read before it
            rows = list(zip([*(12 + 5 * effort[::2]), *[None] * 2000], 3 + effort, strict=True))
        else:
            emg = [k * 20 * effort * signal.sosfilt(band, rng.normal(size=4000)) for k in loud[name]]
            rows = list(zip(*emg, strict=True))
        for row in rows:
            sheet.append([None if x is None else float(x) for x in row])
    book.save(tmp_path / "ID 6.xlsx")
    found = survey(tmp_path / "ID 6.xlsx", Timing(rate=1000.0), knee.coordinates, knee.muscles)
    assert [c.name for c in found.of("force")] == ["DNM/column 2", "DNM/column 1"]
    with pytest.warns(InputWarning, match="'DNM' has 2000 samples, 1/2 of others' 4000; taken as 500 Hz"):
        study = written(drafted(knee, "knee", [found], tmp_path / "s.toml", rate=1000.0))
    text = (tmp_path / "s.toml").read_text()
    assert 'vastus_lateralis = "EMG_VL/column 1"' in text
    assert re.search(r'^moment_columns = .*"DNM/column 1".*scale = -1.0 .*extension, as vastus', text, re.MULTILINE)
    assert re.search(r'^# moment_columns = .*"DNM/column 2"', text, re.MULTILINE)
    (trial,) = study.trials
    assert trial.moment is not None
    known = np.isfinite(trial.moment[:, 0])
    assert known.mean() > 0.95
    expected = -0.3 * 9.80665 * (12 + 5 * (1 + np.sin(3 * trial.time[known])))
    np.testing.assert_allclose(trial.moment[known, 0], expected, atol=0.3)


def test_a_left_leg_is_a_mirrored_model(tmp_path, knee):
    files = walk(tmp_path / "left", names="{}_l")
    emg = np.abs(np.sin(TIME))
    write_csv(files[1], TIME, {"L VL": emg, "L BF": 1 - emg})
    draft(knee, "knee", files, tmp_path / "s.toml")
    _, model = loaded(tmp_path / "s.toml")
    assert model.host.part.side == "left"
    assert model.muscles == knee.muscles


def test_a_coordinate_below_the_ground_is_no_force(tmp_path):
    write_csv(tmp_path / "states.csv", TIME, {"/jointset/ground_pelvis/pelvis_tilt/value": 0.1 * np.sin(TIME)})
    (column,) = survey(tmp_path / "states.csv").columns
    assert column.kind == "angle"
