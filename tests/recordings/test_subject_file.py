"""The subject file: what it gives, what it refuses, and one common clock."""

import copy
import math
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest

from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.common.toml_tables import Section, to_toml
from mjx_msm.recordings.emg import EmgNoise, EmgProcessing
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.readers.reading import read_table
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.subject_file.emg import in_words
from mjx_msm.recordings.subject_file.grammar import parse_subject
from mjx_msm.recordings.subject_file.identify import FIELDS
from mjx_msm.recordings.subject_file.loading import load_subject, write_subject
from mjx_msm.recordings.subject_file.model import SEGMENTS, parse_model
from mjx_msm.recordings.subject_file.model_check import check_against_model
from mjx_msm.recordings.trial import Trial, build_trial

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def knee(t):
    return 0.6 + 0.5 * np.sin(2 * np.pi * t)


def document() -> dict:
    return {
        "subject": {"name": "s", "mass": 70, "height": 1.7, "sex": "female"},
        "model": {"source": "knee", "free": ["knee"], "prescribed": ["hip"], "locked": {"ankle": 0.1}},
        "emg": {"muscles": {"vas": "vastus", "ham": {"bf": 0.5, "st": 0.5}, "gas": 0.0}},
        "trials": [{"name": "one", "motion": "motion.csv", "emg": "emg.csv", "moments": "id.csv"}],
        "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["moment"], "rate": 100},
    }


def recordings(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Motion 1 to 3 s at 100 Hz, EMG 0 to 4 s at 1 kHz, moments 1 to 3 s at 1 kHz."""
    t = 1 + np.arange(201) / 100
    e = np.arange(4001) / 1000
    m = 1 + np.arange(2001) / 1000
    files = {
        "motion": {"time": t, "knee": knee(t), "hip": 0.2 * np.cos(t)},
        "emg": {
            "time": e,
            "vastus": 0.5 + 0.4 * np.sin(e),
            "bf": 0.3 + 0.2 * np.cos(e),
            "st": 0.1 + 0 * e + 0.05 * np.sin(e),
        },
        "id": {"time": m, "knee_moment": 30 * np.sin(2 * np.pi * m)},
    }
    for name, columns in files.items():
        store(folder, name, columns)
    return files


def store(folder: Path, name: str, columns: dict[str, np.ndarray]) -> None:
    write_csv(folder / f"{name}.csv", columns["time"], {k: v for k, v in columns.items() if k != "time"})


def load(folder: Path, doc: dict):
    (folder / "subject.toml").write_text(to_toml(doc))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        return load_subject(folder / "subject.toml")


def refusal(folder: Path, doc: dict) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, doc)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What it gives -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["raw", "envelope"])
def test_one_bad_sample_does_not_lower_the_excitation(tmp_path, kind):
    files = recordings(tmp_path)
    emg = dict(files["emg"])
    if kind == "raw":
        rng = np.random.default_rng(0)
        emg |= {c: x * rng.normal(size=len(x)) for c, x in emg.items() if c != "time"}
    doc = document()
    doc["emg"] |= {"kind": kind, "processing": {"normalise": "max"}}
    doc["emg"]["processing"] |= {"high_pass": 20, "low_pass": 4} if kind == "raw" else {}
    store(tmp_path, "emg", emg)
    good = load(tmp_path, doc).trials[0].emg.mean(axis=0)
    emg["vastus"] = emg["vastus"].copy()
    emg["vastus"][2000] = 50.0
    store(tmp_path, "emg", emg)
    study = load(tmp_path, doc)
    np.testing.assert_allclose(study.trials[0].emg.mean(axis=0), good, rtol=0.02)
    (note,) = study.notes
    assert "EMG channel 'vastus' has 1 spike" in note
    assert note in study.trials[0].metadata["notes"]


def test_lost_packets_are_filled_and_a_broken_channel_is_refused(tmp_path):
    files = recordings(tmp_path)
    rng = np.random.default_rng(0)
    emg = {c: x if c == "time" else x * rng.normal(size=len(x)) for c, x in files["emg"].items()}
    doc = document()
    doc["emg"] |= {"kind": "raw", "processing": {"high_pass": 20}}
    store(tmp_path, "emg", emg)
    good = load(tmp_path, doc).trials[0].emg
    emg["bf"][2000:2030] = 0.0
    store(tmp_path, "emg", emg)
    study = load(tmp_path, doc)
    np.testing.assert_allclose(study.trials[0].emg, good, atol=0.15)
    assert "EMG channel 'bf' stands still" in study.notes[0]
    emg["bf"][2000:2100] = 0.0  # longer than max_gap
    store(tmp_path, "emg", emg)
    assert "EMG channel 'bf' has a gap" in refusal(tmp_path, doc)
    emg["bf"][np.arange(len(emg["bf"])) % 40 < 20] = 0.0
    store(tmp_path, "emg", emg)
    assert "of its samples are no EMG" in refusal(tmp_path, doc)


def test_trials_of_greatest_effort_say_what_counts_as_1(tmp_path):
    files = recordings(tmp_path)
    t = files["emg"]["time"]
    store(tmp_path, "mvc1", {"time": t, "vastus": 2.0 * np.exp(-((t - 2) ** 2)), "bf": 0.4 + 0 * t + 0.1 * np.sin(t)})
    store(tmp_path, "mvc2", {"time": t, "vastus": 1.0 + 0.2 * np.sin(t), "bf": 1.5 * np.exp(-((t - 1) ** 2) / 0.1)})
    doc = document()
    doc["trials"] += [{"name": f"mvc{i}", "emg": f"mvc{i}.csv", "role": "normalise"} for i in (1, 2)]
    study = load(tmp_path, doc)
    assert [t.name for t in study.trials] == ["one"]
    assert not study.held_out
    plain = load(tmp_path, document()).trials[0]
    st = float(files["emg"]["st"].max())
    np.testing.assert_allclose(study.trials[0].emg, plain.emg / [2.0, 1.5, st], rtol=1e-3)
    assert any("no trial of the role \"normalise\" has EMG channel 'st'" in n for n in study.notes)
    assert {"mvc1.csv", "mvc2.csv"} <= set(study.hashes)
    doc["trials"][-1]["stop"] = 0.5  # before the burst of bf
    late = load(tmp_path, doc).trials[0].emg
    np.testing.assert_allclose(late[:, 1], plain.emg[:, 1] / 0.5, rtol=1e-2)
    doc["emg"]["processing"] = {"normalise": 3.0}
    assert "normalise gives numbers, and a trial has the role" in refusal(tmp_path, doc)
    del doc["trials"][-1]["emg"]
    assert "'emg' is missing" in refusal(tmp_path, doc)


def test_envelopes_in_volts_are_said(tmp_path):
    files = recordings(tmp_path)
    store(tmp_path, "emg", {c: x if c == "time" else 1e-4 * x for c, x in files["emg"].items()})
    (note,) = load(tmp_path, document()).notes
    assert 'in volts? Set normalise = "max"' in note


def test_loads_everything_onto_one_clock(tmp_path):
    recordings(tmp_path)
    study = load(tmp_path, document())
    (trial,) = study.trials
    assert study.notes == ()
    assert study.channels == trial.channels == ("vastus", "bf", "st")
    assert study.emg_map == {"vas": {"vastus": 1.0}, "ham": {"bf": 0.5, "st": 0.5}, "gas": {}}
    assert (study.subject.mass, study.subject.height, study.subject.sex) == (70.0, 1.7, "female")
    assert study.model.locked == {"ankle": 0.1}
    # 0.3 s of EMG before the motion, then 2 s of both
    np.testing.assert_allclose(trial.time, 0.7 + np.arange(231) / 100, atol=1e-12)
    assert trial.timestep == pytest.approx(0.01)
    assert trial.motion_start == 30
    assert np.isnan(trial.position[:30]).all()
    np.testing.assert_allclose(trial.position[30:, 0], knee(trial.time[30:]), atol=1e-14)
    assert trial.velocity is None  # not measured; a derivative would pass for a measurement
    assert trial.moment is not None
    np.testing.assert_allclose(trial.emg[:, 0], 0.5 + 0.4 * np.sin(trial.time), atol=1e-5)
    assert trial.moment_coordinates == ("knee",)
    np.testing.assert_allclose(trial.moment[32:-2, 0], 30 * np.sin(2 * np.pi * trial.time[32:-2]), atol=0.02)
    assert sorted(study.hashes) == ["emg.csv", "id.csv", "motion.csv", "subject.toml"]
    assert all(len(h) == 64 for h in study.hashes.values())
    assert study.recordings == {trial.name: ("motion.csv", "emg.csv", "id.csv")}
    assert load(tmp_path, document()).hashes == study.hashes


def test_units_signs_offsets_and_normalised_moments(tmp_path):
    files = recordings(tmp_path)
    motion = files["motion"]
    store(
        tmp_path,
        "motion",
        {"time": motion["time"] - 5, "K": -np.rad2deg(motion["knee"]) + 90, "hip": motion["hip"]},
    )
    store(tmp_path, "id", {"time": files["id"]["time"], "M": -files["id"]["knee_moment"] / 70})
    doc = document()
    doc["columns"] = {"knee": {"column": "K", "scale": -1, "offset": 90, "units": "deg"}}
    doc["moment_columns"] = {"knee": {"column": "M", "scale": -1.0, "units": "Nm/kg"}}
    doc["trials"][0]["time_offset"] = {"motion": 5.0}
    other, plain = load(tmp_path, doc).trials[0], None
    recordings(tmp_path)
    plain = load(tmp_path, document()).trials[0]
    np.testing.assert_allclose(other.position, plain.position, atol=1e-12)
    np.testing.assert_allclose(other.moment, plain.moment, atol=1e-9)


@pytest.mark.parametrize("unit", ["%BW*Ht", "Nm/cm"])
def test_a_unit_that_is_not_known_is_said(tmp_path, unit):
    """Taken as N·m it would be silently wrong; a scale, or units, says what it is and ends the note."""
    files = recordings(tmp_path)

    def notes(**keys) -> list[str]:
        rows = zip(files["id"]["time"], files["id"]["knee_moment"], strict=True)
        lines = [f"time,M [{unit}]", *(f"{t:.4f},{x:.6g}" for t, x in rows)]
        (tmp_path / "id.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        doc = document() | {"moment_columns": {"knee": {"column": f"M [{unit}]", **keys}}}
        return [n for n in load(tmp_path, doc).notes if "not known" in n]

    (note,) = notes()
    assert f"id.csv: the unit of column 'M [{unit}]', '{unit}', is not known; taken as N·m" in note
    assert 'set units ("Nm", "Nm/kg"), or scale' in note
    assert len(notes(scale=-1.0)) == 1  # a sign is no unit
    assert notes(scale=11.7) == notes(units="Nm") == []


def test_an_unknown_unit_of_an_angle_is_said(tmp_path):
    files = recordings(tmp_path)
    rows = zip(*(files["motion"][k] for k in ("time", "knee", "hip")), strict=True)
    lines = ["time,knee [gon],hip [rad]", *(",".join(f"{x:.6f}" for x in row) for row in rows)]
    (tmp_path / "motion.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    doc = document() | {"columns": {"knee": "knee [gon]", "hip": "hip [rad]"}}
    said = [n for n in load(tmp_path, doc).notes if "not known" in n]
    assert len(said) == 1
    assert "the unit of column 'knee [gon]', 'gon', is not known; taken as rad" in said[0]


def test_emg_noise(tmp_path):
    doc = document()
    assert parse_subject(doc, tmp_path / "subject.toml").identify.emg_noise is None
    doc["emg"]["noise"] = {"relative": 0.05, "band": 4}
    assert 'choose residuals = ["motion"]' in refusal(tmp_path, doc)
    doc["identify"]["residuals"] = ["motion"]
    assert parse_subject(doc, tmp_path / "subject.toml").identify.emg_noise == EmgNoise(relative=0.05, band=4.0)
    doc["emg"]["noise"]["relative"] = -0.05
    assert "[emg.noise]: EMG noise: relative is -0.05; give a standard deviation" in refusal(tmp_path, doc)


def test_locked_in_degrees(tmp_path):
    doc = document()
    doc["units"] = "deg"
    doc["model"]["locked"] = {"ankle": 90}
    assert parse_subject(doc, tmp_path / "s.toml").model.locked["ankle"] == pytest.approx(np.pi / 2)


@pytest.mark.parametrize(("units", "said"), [("auto", "no unit is given"), ("rad", "subject.toml says radians")])
def test_who_says_radians_is_said(tmp_path, units, said):
    files = recordings(tmp_path)
    store(tmp_path, "motion", {**files["motion"], "knee": np.rad2deg(files["motion"]["knee"])})
    doc = {**document(), "units": units}
    assert f"looks like degrees ({said})" in refusal(tmp_path, doc)


def test_a_static_trial_is_said_once(tmp_path):
    files = recordings(tmp_path)
    store(tmp_path, "emg", {k: v if k == "time" else 0 * v + 0.1 for k, v in files["emg"].items()})
    (note,) = (n for n in load(tmp_path, document()).notes if "flat" in n)
    assert "all EMG channels are flat; is it a static trial" in note


def test_held_out_trial_does_not_set_the_reference(tmp_path):
    files = recordings(tmp_path)
    store(tmp_path, "emg2", {k: v if k == "time" else 2 * v for k, v in files["emg"].items()})
    doc = document()
    doc["emg"]["processing"] = {"normalise": "max", "clip": True}
    doc["trials"].append({**doc["trials"][0], "name": "two", "emg": "emg2.csv", "role": "held-out", "task": "lift"})
    study = load(tmp_path, doc)
    assert [t.name for t in study.trials] == ["one"]
    assert [t.name for t in study.held_out] == ["two"]
    assert [t.task for t in (*study.trials, *study.held_out)] == ["", "lift"]
    vastus = files["emg"]["vastus"]
    expected = 0.5 + 0.4 * np.sin(study.trials[0].time)
    np.testing.assert_allclose(study.trials[0].emg[:, 0], expected / vastus.max(), atol=1e-4)
    assert study.held_out[0].emg.max() == 1
    assert any("'vastus' exceeds its reference by 100 %" in n for n in study.notes)


def test_start_stop_and_sampling(tmp_path):
    recordings(tmp_path)
    doc = document()
    doc["trials"][0] |= {"start": 1.5, "stop": 2.0}
    doc["sampling"] = {"lead_in": 0.1}
    trial = load(tmp_path, doc).trials[0]
    assert trial.time[0] == pytest.approx(1.4)
    assert trial.time[-1] == pytest.approx(2.0)
    assert np.isnan(trial.position[:10]).all()
    assert np.isfinite(trial.position[10:]).all()


def test_motion_cutoff_removes_noise_without_delay(tmp_path):
    files = recordings(tmp_path)
    t = files["motion"]["time"]
    store(tmp_path, "motion", {**files["motion"], "knee": knee(t) + 0.05 * np.sin(2 * np.pi * 31 * t)})
    doc = document()
    doc["sampling"] = {"motion_cutoff": 8.0}
    trial = load(tmp_path, doc).trials[0]
    np.testing.assert_allclose(trial.position[50:-20, 0], knee(trial.time[50:-20]), atol=2e-3)


def test_gap_in_a_free_coordinate_is_left_out_and_a_short_one_filled(tmp_path):
    files = recordings(tmp_path)
    values = files["motion"]["knee"].copy()
    values[50:54] = np.nan  # 40 ms
    values[100:120] = np.nan
    store(tmp_path, "motion", {**files["motion"], "knee": values})
    study = load(tmp_path, document())
    position = study.trials[0].position[30:, 0]
    assert np.flatnonzero(np.isnan(position)).tolist() == list(range(100, 120))
    np.testing.assert_allclose(position[50:54], files["motion"]["knee"][50:54], atol=1e-4)
    assert any("coordinate 'knee' has a gap from 2 to 2.19 s, longer than max_gap = 0.05 s" in n for n in study.notes)
    # Missing rows are the same gap as empty cells
    keep = np.isfinite(values)
    store(tmp_path, "motion", {k: v[keep] for k, v in files["motion"].items()})
    doc = document()
    doc["model"] |= {"free": ["knee", "hip"], "prescribed": []}
    doc["identify"]["residuals"] = ["motion"]
    del doc["trials"][0]["moments"]
    position = load(tmp_path, doc).trials[0].position[30:, 0]
    assert np.flatnonzero(np.isnan(position)).tolist() == list(range(100, 120))


def test_raw_emg_from_the_file(tmp_path):
    files = recordings(tmp_path)
    e = files["emg"]["time"]
    noise = np.random.default_rng(0).normal(size=len(e))
    raw = {k: v if k == "time" else v * noise * 1e-3 for k, v in files["emg"].items()}
    raw["vastus"][1500:1510] = np.nan  # short: interpolated
    store(tmp_path, "emg", raw)
    doc = document()
    doc["emg"] |= {"kind": "raw", "processing": {"low_pass": 4.0, "notch": [50]}}
    trial = load(tmp_path, doc).trials[0]
    assert np.isfinite(trial.emg).all()
    assert trial.emg.min() >= 0
    assert trial.emg.max() <= 1
    doc["emg"]["channels"] = {"left": "vastus"}
    doc["emg"]["muscles"]["vas"] = "left"
    np.testing.assert_array_equal(load(tmp_path, doc).trials[0].emg, trial.emg)


def test_environment_variables_in_paths(tmp_path, monkeypatch):
    (tmp_path / "rec").mkdir()
    recordings(tmp_path / "rec")
    doc = document()
    doc["data"] = "${MSM_TEST_DIR:-rec}"
    monkeypatch.delenv("MSM_TEST_DIR", raising=False)
    assert len(load(tmp_path, doc).trials) == 1
    monkeypatch.chdir(tmp_path / "rec")
    monkeypatch.setenv("MSM_TEST_DIR", ".")  # relative to the caller, not to the file
    assert len(load(tmp_path, doc).trials) == 1
    doc["data"] = "${MSM_TEST_UNSET}"
    assert "environment variable MSM_TEST_UNSET is not set" in refusal(tmp_path, doc)
    doc["data"] = "${MSM_TEST_UNSET:-nowhere}"
    assert refusal(tmp_path, doc).endswith("nowhere; set MSM_TEST_UNSET")


# What it refuses -----------------------------------------------------------------------------------------


def _set(*keys, value):
    def edit(doc):
        for key in keys[:-1]:
            doc = doc[key]
        if value is None:
            del doc[keys[-1]]
        else:
            doc[keys[-1]] = value

    return edit


TRIAL = ("trials", 0)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_set("subjct", value={}), "unknown key 'subjct'; did you mean 'subject'?"),
        (_set("emg", "muscels", value={}), "[emg]: unknown key 'muscels'; did you mean 'muscles'?"),
        (_set(*TRIAL, "moment", value="x"), "[[trials]] 'one': unknown key 'moment'; did you mean 'moments'"),
        (_set("model", value=None), "section [model] is missing"),
        (_set("trials", value=[]), "trials must be a list of tables; write [[trials]]"),
        (_set("trials", value={"name": "a"}), "write [[trials]] in double brackets"),
        (_set("subject", value=3), "[subject]: must be a table of key = value, got 3"),
        (_set("subject", "mass", value=None), "[subject]: 'mass' is missing; give a number [kg]"),
        (
            _set("subject", "mass", value="70"),
            'mass must be a number [kg], got the text "70"; remove the quotes',
        ),
        (_set("subject", "mass", value=True), "mass must be a number [kg], got true"),
        (_set("subject", "mass", value=70000), "mass = 70000 kg is implausible, expected 2 to 400 kg"),
        (_set("subject", "height", value=170), "height = 170 looks like centimetres; write 1.7 [m]"),
        (_set("subject", "height", value=17.0), "height = 17 m is implausible"),
        (_set("subject", "sex", value="f"), "sex = 'f' is unknown"),
        (
            _set("model", "source", value="kne"),
            "'kne' is neither a bundled model nor an MJCF file; did you mean 'knee'",
        ),
        (_set("model", "source", value="my/leg.xml"), "source: no file"),
        (
            _set("model", "muscle", value="hill"),
            "muscle = 'hill' is unknown; choose from: mujoco, degroote, thelen, millard, mujoco-compliant",
        ),
        (_set("model", "free", value=[]), "free is empty"),
        (
            _set("model", "free", value="knee"),
            'free must be a list of texts, like free = ["…"], got the text "knee"',
        ),
        (_set("model", "prescribed", value=["hip", "knee"]), "coordinate 'knee' has two roles"),
        (_set("model", "locked", value={"ankle": 90}), "ankle = 90 looks like degrees"),
        (_set("units", value="degrees"), "units = 'degrees' is unknown; did you mean 'deg'"),
        (_set("emg", "kind", value="rawe"), "kind = 'rawe' is unknown; did you mean 'raw'"),
        (_set("emg", "muscles", value=None), "[emg.muscles]: is missing or empty"),
        (_set("emg", "muscles", "vas", value=0.3), "vas must be a channel in quotes"),
        (
            _set("emg", "muscles", "ham", value={"bf": -1.0}),
            "ham must be a channel in quotes, positive weights",
        ),
        (_set("emg", "processing", value={"low_pass": 6}), 'low_pass is for raw EMG; set kind = "raw"'),
        (_set("emg", "processing", value={"normalise": "mvc"}), 'normalise must be a number, "max", false'),
        (_set("emg", "processing", value={"normalise": {"vastus": 1}}), "no reference for channel 'bf'"),
        (
            _set("emg", "channels", value={"vasti": "x"}),
            "channel 'vasti' is used by no muscle; did you mean 'vastus'",
        ),
        (
            _set("columns", value={"kneee": "x"}),
            "'kneee' is neither free, prescribed nor locked in [model]; did you mean 'knee'",
        ),
        (_set("moment_columns", value={"hip": "x"}), "'hip' is not free in [model]"),
        (
            _set("columns", value={"knee": {"column": "x", "unit": "deg"}}),
            "unknown key 'unit'; did you mean 'units'",
        ),
        (_set(*TRIAL, "role", value="test"), "role = 'test' is unknown; choose from: identify, held-out"),
        (_set(*TRIAL, "role", value="held-out"), "every trial is held out"),
        (_set(*TRIAL, "motion", value=None), "'motion' is missing"),
        (_set(*TRIAL, "emg", value=None), "'emg' is missing"),
        (_set(*TRIAL, "moments", value=None), "'moments' is missing, which residuals = [\"moment\"] needs"),
        (_set(*TRIAL, "start", value=9.0), "start and stop leave nothing of"),
        (_set(*TRIAL, "stop", value=1.05), "only 0.05 s of"),
        (_set("identify", "free", value=["muscle/*/strength"]), "ends in unknown parameter 'strength'"),
        (
            _set("identify", "free", value=["muscle/*/optimal_fibre_length"]),
            "did you mean 'optimal_fiber_length'",
        ),
        (
            _set("identify", "free", value=["muscles/*/max_isometric_force"]),
            "unknown group 'muscles'; did you mean 'muscle'",
        ),
        (_set("identify", "free", value=["gain"]), "'gain' is not a parameter; write group/name/parameter"),
        (_set("identify", "residuals", value=["torque"]), "residuals = 'torque' is unknown"),
        (_set("identify", "rate", value=5), "rate = 5 Hz is implausible"),
        (_set("identify", "bounds", value={"emg/*/gain": [2, 1]}), "'emg/*/gain' is empty (2 to 1)"),
        (_set("identify", "bounds", value={"emg/*/gain": 3}), "must be { factor = [lo, hi] }"),
        (_set("identify", "priors", value={"emg/*/gain": {"sigma": 3}}), "must have mean, sd or relative_sd"),
        (_set("identify", "priors", value={"body/*/inertia": {"mean": [1, 2]}}), "must have mean, sd or relative_sd"),
        (_set("identify", "priors", value={"emg/*/gain": {"sd": [1] * 6}}), "must have mean, sd or relative_sd"),
        (_set("identify", "segment_priors", value="yes"), "[identify]: segment_priors must be true or false"),
        (
            _set("model", "segments", value={"tibia": "toe"}),
            "[model.segments]: tibia = 'toe' is unknown; choose from: upper_arm,",
        ),
        (_set("model", "segments", value={"tibia": ["shanks"]}), "did you mean 'shank'"),
        (_set("model", "segments", value={"tibia": 3}), "[model.segments]: tibia must be a segment in quotes"),
        (_set("model", "segments", value={"tibia": [3]}), "[model.segments]: tibia must be a segment in quotes"),
        (_set("model", "segments", value="shank"), "[model.segments]: must be a table"),
        (
            _set("emg", "muscles", "vas", value="vastus_l"),
            "emg.csv: no column 'vastus_l'; did you mean 'vastus'",
        ),
        (_set("columns", value={"knee": "kne"}), "motion.csv: no column 'kne'; did you mean 'knee'"),
        (_set("model", "free", value=["elbow"]), "motion.csv: no column for coordinate 'elbow'"),
        (_set(*TRIAL, "motion", value="motions.csv"), "no such file; did you mean 'motion.csv'"),
        (_set(*TRIAL, "time_offset", value={"emg": 100}), "no overlap between EMG ("),
        (_set(*TRIAL, "time_offset", value={"moments": 100}), "no overlap between moments ("),
        (_set(*TRIAL, "time_offset", value={"grf": 1}), "unknown key 'grf'"),
        (_set("sampling", value={"motion_cutoff": 60}), "motion_cutoff = 60 Hz must lie between 0 and half"),
        (
            _set("emg", value={**document()["emg"], "kind": "raw", "processing": {"high_pass": 600}}),
            "high_pass = 600 Hz needs more than 1200 samples",
        ),
    ],
)
def test_refuses(tmp_path, edit, message):
    recordings(tmp_path)
    doc = copy.deepcopy(document())
    edit(doc)
    assert message in refusal(tmp_path, doc)


@pytest.mark.parametrize(
    ("name", "column", "change", "message"),
    [
        (
            "motion",
            "knee",
            np.rad2deg,
            "'knee' reaches 63.03, which looks like degrees (no unit is given); set units",
        ),
        ("motion", "knee", lambda x: x * np.nan, "'knee' holds no numbers (all NaN or empty)"),
        (
            "motion",
            "hip",
            lambda x: np.where(np.arange(len(x)) // 20 == 3, np.nan, x),
            "prescribed coordinate 'hip' has a gap from 1.6 to 1.79 s",
        ),
        ("motion", "time", lambda t: np.where(t == t[7], t[6], t), "is duplicated (lines 8 and 9)"),
        ("motion", "time", lambda t: t[::-1], "time runs backwards on line 3"),
        ("motion", "time", lambda t: 1000 * t, "samples are 10 s apart; is the time in milliseconds"),
        ("emg", "bf", lambda x: x * np.nan, "EMG channel 'bf' holds no numbers"),
        (
            "emg",
            "bf",
            lambda x: x - 0.3,
            'goes down to -0.2, an envelope cannot be negative; set kind = "raw"',
        ),
        (
            "emg",
            "bf",
            lambda x: np.where(np.arange(len(x)) // 200 == 8, np.nan, x),
            "EMG channel 'bf' has a gap from 1.6 to 1.79 s",
        ),
        ("id", "knee_moment", lambda x: x * np.nan, "'knee' holds no numbers"),
    ],
)
def test_refuses_recordings(tmp_path, name, column, change, message):
    files = recordings(tmp_path)
    files[name][column] = change(files[name][column])
    store(tmp_path, name, files[name])
    text = refusal(tmp_path, document())
    assert message in text
    assert f"{name}.csv" in text


@pytest.mark.parametrize("rate", [10, 20, 25, 30, 50, 100])
@pytest.mark.parametrize("cadence", [0.25, 1.0, 2.0])
def test_degrees_are_no_full_turns_at_any_rate(tmp_path, rate, cadence):
    """Steps of degrees alias: at 30 Hz those of a knee are up to 6.28, a turn in radians."""
    recordings(tmp_path)
    t = 1 + np.arange(2 * rate + 1) / rate
    angle = 30 - 30 * np.cos(2 * np.pi * cadence * t)
    store(tmp_path, "motion", {"time": t, "knee": angle, "hip": 0.2 * np.cos(t)})
    said = f"column 'knee' reaches {angle.max():.4g}, which looks like degrees (no unit is given)"
    assert said in refusal(tmp_path, document())


@pytest.mark.parametrize("rate", [50, 100])
def test_radians_that_wrap_are_radians(tmp_path, rate):
    """Two wraps a second, as a stride makes; told, and not taken for degrees."""
    recordings(tmp_path)
    t = 1 + np.arange(2 * rate + 1) / rate
    angle = np.mod(0.2 + 0.5 * np.sin(2 * np.pi * t), 2 * np.pi)
    store(tmp_path, "motion", {"time": t, "knee": angle + 0.5, "hip": 0.2 * np.cos(t)})
    assert any("column 'knee' jumps by a full turn 4 times" in note for note in load(tmp_path, document()).notes)


@pytest.mark.parametrize(
    ("name", "column", "change", "settings", "message"),
    [
        ("motion", "knee", lambda x: x, {"units": "deg"}, "angles declared in degrees stay within 1.1°"),
        (
            "motion",
            "knee",
            lambda x: x + np.where(np.arange(len(x)) > 60, math.tau, 0),
            {},
            "jumps by a full turn 1 time",
        ),
        ("motion", "knee", lambda x: x + 0.6 * (np.arange(len(x)) == 50), {}, "has 1 outlier"),
        ("motion", "knee", lambda x: x[np.r_[:40, [40] * 14, 54 : len(x)]], {}, "stands still 1 time while the joint"),
        (
            "emg",
            "bf",
            lambda x: 0 * x + 0.2,
            {},
            "EMG channel 'bf' is flat (constant 0.2); was the sensor on?",
        ),
        ("emg", "bf", lambda x: np.minimum(x, 0.2), {}, "EMG channel 'bf' looks saturated"),
        ("emg", "bf", lambda x: 100 * x, {}, "reaches 50, an envelope is nominally 0 to 1; in percent?"),
        ("emg", "bf", lambda x: x - 0.11, {}, "dips to -0.01; taken as 0"),
        ("emg", "time", lambda t: t + 1.5, {}, "EMG starts at 1.5 s, 0.5 s after the motion"),
        ("emg", "time", lambda t: t - 1.5, {}, "EMG ends at 2.5 s, 0.5 s before the motion"),
        ("id", "time", lambda t: t + 1, {}, "moment of 'knee' is missing from 1 to 1.99 s"),
    ],
)
def test_warns(tmp_path, name, column, change, settings, message):
    files = recordings(tmp_path)
    files[name][column] = change(files[name][column])
    store(tmp_path, name, files[name])
    (tmp_path / "subject.toml").write_text(to_toml({**settings, **document()}))
    with pytest.warns(InputWarning) as caught:
        study = load_subject(tmp_path / "subject.toml")
    assert any(message in n for n in study.notes)
    assert tuple(str(w.message) for w in caught) == study.notes
    assert np.isfinite(study.trials[0].emg).all()


def test_refuses_what_is_not_toml(tmp_path):
    (tmp_path / "s.toml").write_text("[subject\n")
    with pytest.raises(InputError, match=r"s.toml: is not valid TOML: .*line 1"):
        load_subject(tmp_path / "s.toml")
    with pytest.raises(InputError, match="no such subject file"):
        load_subject(tmp_path / "t.toml")
    with pytest.raises(InputError, match="is a folder, and a subject file"):
        load_subject(tmp_path)


def test_check_against_model(tmp_path):
    recordings(tmp_path)
    study = load(tmp_path, document())
    muscles, coordinates = ["vas", "ham", "gas"], ["hip", "knee", "ankle"]
    check_against_model(study, muscles, coordinates)
    with pytest.raises(InputError, match=r"muscle 'sol' is not mapped .and 1 more: tib.; give it a channel"):
        check_against_model(study, [*muscles, "sol", "tib"], coordinates)
    with pytest.raises(InputError, match="has no muscle 'gas'; did you mean 'gastroc'"):
        check_against_model(study, ["vas", "ham", "gastroc"], coordinates)
    with pytest.raises(InputError, match="locked: model 'knee' has no coordinate 'ankle'"):
        check_against_model(study, muscles, ["hip", "knee"])
    with pytest.raises(InputError, match="coordinate 'toe' of model 'knee' has no role"):
        check_against_model(study, muscles, [*coordinates, "toe"])
    for pattern, message in {
        "muscle/vasti/pennation_angle": "matches nothing; did you mean 'vas'",
        "emg/ham/gain": "matches nothing; choose from: vastus, bf, st",
    }.items():
        doc = document()
        doc["identify"]["free"] = [pattern]
        with pytest.raises(InputError, match=message):
            check_against_model(load(tmp_path, doc), muscles, coordinates)
    doc["identify"]["free"] = [
        "emg/*",
        "*/*/damping",
        "body/shank/com/x",
        "muscle/?as/*",
        "body/shank/inertia",
    ]
    check_against_model(load(tmp_path, doc), muscles, coordinates)


def test_segment_priors_need_height_and_sex(tmp_path):
    def parsed(subject: dict, identify: dict, segments: dict | None = None):
        doc = document()
        doc["subject"] = {"name": "s", "mass": 70, **subject}
        doc["identify"] |= identify
        doc["model"] |= {} if segments is None else {"segments": segments}
        return parse_subject(doc, tmp_path / "s.toml").identify

    both = {"height": 1.7, "sex": "female"}
    assert parsed(both, {}).segment_priors
    assert not parsed(both, {"segment_priors": False}).segment_priors
    assert not parsed({"height": 1.7}, {}).segment_priors
    assert not parsed({"sex": "male"}, {}).segment_priors
    given = {"tibia": "shank", "ulna": ("forearm", "hand"), "foot": []}
    segments = {"tibia": ("shank",), "ulna": ("forearm", "hand"), "foot": ()}
    assert parsed(both, {}, given).segments == segments
    assert parsed({}, {"segment_priors": False}, given).segments == segments
    for subject, missing in (({"height": 1.7}, "sex"), ({"sex": "male"}, "height")):
        for asked in ({"identify": {"segment_priors": True}}, {"identify": {}, "segments": given}):
            with pytest.raises(InputError, match=rf"\[subject\]: '{missing}' is missing, which segment priors need"):
                parsed(subject, **asked)


def test_segments_are_bodies_of_the_model(tmp_path):
    recordings(tmp_path)
    doc = document()
    doc["model"]["segments"] = {"shank_r": "shank"}
    study, of_model = load(tmp_path, doc), (["vas", "ham", "gas"], ["hip", "knee", "ankle"])
    check_against_model(study, *of_model, bodies=["shank_r", "foot_r"])
    with pytest.raises(
        InputError, match=r"\[model.segments\]: model 'knee' has no moving body 'shank_r'; did you mean"
    ):
        check_against_model(study, *of_model, bodies=["shank_l", "foot_l"])


def test_parameter_names_are_those_of_the_core():
    from mjx_msm.person.kinds import KINDS

    assert {(g, f) for g, fields in FIELDS.items() for f in fields} == set(KINDS)


def test_segment_names_are_those_of_the_table():
    from mjx_msm.person import anthropometry

    assert all(tuple(table) == SEGMENTS for table in anthropometry.SEGMENTS.values())


# Writing -------------------------------------------------------------------------------------------------


def test_write_subject_and_trial_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    n, lead = 120, 20
    time = 2.0 + np.arange(n) / 250
    position = np.cumsum(rng.normal(size=(n, 2)) * 0.01, axis=0)
    position[:lead] = np.nan
    moment = rng.normal(size=(n, 1))
    moment[:lead] = np.nan
    emg = rng.uniform(size=(n, 3))
    trial = Trial("syn", time, ("hip", "knee"), position, ("a", "b c", "d.1"), emg, ("knee",), moment)
    doc = {
        "subject": {"name": 'the "one"', "mass": np.float64(70), "height": 1.8, "sex": "male"},
        "model": {"source": "knee", "free": ("knee", "hip"), "segments": {"tibia": ("shank",), "foot": ()}},
        "emg": {"muscles": {c: c for c in trial.channels}},
        "trials": [trial.save(tmp_path)],
        "identify": {
            "free": ["emg/*/gain"],
            "residuals": ["motion"],
            "rate": 250,
            "bounds": {"emg/*/gain": {"factor": [0.5, 2]}},
            "priors": {
                "emg/a/gain": "none",
                "emg/d.1/gain": {"mean": 1, "sd": 0.1},
                "body/tibia/inertia": {"mean": np.array([2, 2, 1, 0, 0, 0]), "relative_sd": 0.1},
            },
            "segment_priors": False,
        },
    }
    write_subject(tmp_path / "subject.toml", doc)
    study = load_subject(tmp_path / "subject.toml")
    (back,) = study.trials
    assert study.subject.name == 'the "one"'
    assert study.identify.bounds == {"emg/*/gain": {"factor": [0.5, 2.0]}}
    assert study.identify.priors == {
        "emg/a/gain": "none",
        "emg/d.1/gain": {"mean": 1.0, "sd": 0.1},
        "body/tibia/inertia": {"mean": [2.0, 2.0, 1.0, 0.0, 0.0, 0.0], "relative_sd": 0.1},
    }
    assert not study.identify.segment_priors
    assert study.identify.segments == {"tibia": ("shank",), "foot": ()}
    np.testing.assert_allclose(back.time, time, atol=1e-9)
    np.testing.assert_allclose(back.emg, emg, atol=1e-9)
    order = [back.coordinates.index(c) for c in trial.coordinates]
    np.testing.assert_allclose(back.position[:, order], position, atol=1e-9)
    np.testing.assert_allclose(back.moment, moment, atol=1e-9)
    with pytest.raises(InputError, match="unknown key 'subjects'"):
        write_subject(tmp_path / "x.toml", {**doc, "subjects": {}})
    assert not (tmp_path / "x.toml").exists()


def test_toml_round_trip():
    doc = {
        "a": 1,
        "b": [1.5, -2e-12, 3],
        "t": {"x": True, 'quo"te': "line\nbreak\\ ü", "sub": {"k.1": {"deep": [1, {"y": 2}]}}, "empty": {}},
        "list": [{"n": 1, "m": {"a/b": "c"}}, {"n": 2}],
    }
    assert tomllib.loads(to_toml(doc)) == doc


def test_the_documented_file_is_valid(tmp_path):
    import mjx_msm.recordings.subject_file as module

    assert module.__doc__ is not None
    text = module.__doc__.split("```toml\n")[1].split("```")[0]
    parsed = parse_subject(tomllib.loads(text), tmp_path / "subject.toml")
    assert parsed.emg_map["BRA"] == {"biceps": 0.5, "triceps": 0.5}
    assert parsed.trials[0].columns["hip_flexion"].scale == -1


def test_trial_validates_itself():
    time = np.arange(10) / 10
    with pytest.raises(InputError, match="trial 't': its clock is not uniform"):
        Trial("t", time**2, (), np.zeros((10, 0)), (), np.zeros((10, 0)))
    with pytest.raises(InputError, match=r"position has shape \(9, 1\), expected \(10, 1\)"):
        Trial("t", time, ("a",), np.zeros((9, 1)), (), np.zeros((10, 0)))
    with pytest.raises(InputError, match="names of emg are not unique: a, a"):
        Trial("t", time, (), np.zeros((10, 0)), ("a", "a"), np.zeros((10, 2)))


def test_resampled_position_converges_with_fourth_order():
    errors = []
    for n in (50, 100, 200):
        t = np.linspace(0, 2, 2 * n + 1)
        table = Table(t, ("a",), np.sin(3 * t)[:, None], False, Path("x"))
        trial = build_trial("t", table, rate=170.0)
        errors.append(np.max(np.abs(trial.position[:, 0] - np.sin(3 * trial.time))))
    order = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(order > 3.7)


# Recordings ----------------------------------------------------------------------------------------------


def test_knee_walk_example(data_dir, monkeypatch):
    from mjx_msm.person.model import load_model

    monkeypatch.setenv("MJX_MSM_DATA", str(data_dir))
    with pytest.warns(InputWarning, match="dips to -0.02"):
        study = load_subject(EXAMPLES / "knee_walk" / "subject.toml")
    model = load_model(**vars(study.model))
    check_against_model(study, model.muscles, model.coordinates, bodies=model.nominal.names.body)
    (trial,) = study.trials
    assert trial.coordinates == ("knee_angle", "hip_flexion", "ankle_angle")
    assert trial.timestep == pytest.approx(0.02)
    assert trial.time[trial.motion_start] == pytest.approx(0.45)
    assert trial.time[0] == pytest.approx(0.15)
    assert np.isfinite(trial.emg).all()
    recorded = read_table(data_dir / "knee_walk" / "coordinates.sto")
    here = trial.position[trial.motion_start :, 0]
    np.testing.assert_allclose(
        here, recorded["/jointset/walker_knee_r/knee_angle_r/value"][::20][: len(here)], atol=1e-12
    )
    moments = read_table(data_dir / "knee_walk" / "id_walk.sto")["knee_angle_r_moment"]
    assert trial.moment is not None
    difference = trial.moment[trial.motion_start :, 0] - moments[::20][: len(here)]
    assert np.sqrt(np.mean(difference**2)) < 0.5
    assert np.nanstd(trial.moment) == pytest.approx(27, abs=1)


def test_arm_lift_reads_as_a_study(data_dir, tmp_path):
    """Raw EMG from C3D with angles in degrees from a comma-separated .mot, on one clock."""
    doc = {
        "data": str(data_dir / "arm_lift"),
        "columns": {"elbow_flex": "elbow_flexion"},
        "moment_columns": {"elbow_flex": "elbow_flexion_moment"},
        "subject": {"name": "lifter", "mass": 60},
        "model": {"source": "arm", "free": ["elbow_flex"], "locked": {"shoulder_elev": 0.0}},
        "emg": {
            "kind": "raw",
            "channels": {"biceps": "Biceps.EMG4", "triceps": "Triceps.EMG5"},
            "muscles": {"BIClong": "biceps", "TRIlong": "triceps"},
        },
        "trials": [
            {
                "name": "lift",
                "motion": "inverse_kin.mot",
                "emg": "markers_analogs.c3d",
                "moments": "inverse_dyn.sto",
            }
        ],
        "identify": {"free": ["emg/*/gain"], "residuals": ["moment"], "rate": 100},
    }
    study = load(tmp_path, doc)
    (trial,) = study.trials
    assert trial.time[0] == pytest.approx(1.26)
    assert trial.time[-1] == pytest.approx(2.43)
    assert trial.position[trial.motion_start, 0] == pytest.approx(np.deg2rad(42.06628447))
    assert trial.emg.shape == (118, 2)
    assert 0 <= trial.emg.min() < trial.emg.max() <= 1
    doc["columns"]["elbow_flex"] = {"column": "elbow_flexion", "units": "rad"}
    assert "column 'elbow_flexion' reaches" in refusal(tmp_path, doc)
    assert "looks like degrees" in refusal(tmp_path, doc)


@pytest.mark.parametrize("units", ["rad", "deg"])
def test_a_part_of_a_model(units, tmp_path):
    """Joints, muscles and posture of [model] are those of load_model; its source may be a name of myo-sim."""
    factor = math.pi / 180 if units == "deg" else 1.0
    text = {
        "units": units,
        "model": {"source": "myo_sim:myolegs", "joints": ["knee_angle_r"], "posture": {"hip_flexion_r": 0.3},
                  "free": ["knee_angle_r"]},
    }  # fmt: skip
    spec = parse_model(Section(text, "subject.toml", None), tmp_path, units)
    assert spec.source == "myo_sim:myolegs"
    posture = {"hip_flexion_r": 0.3 * factor}
    assert spec.part == {"joints": ("knee_angle_r",), "muscles": None, "posture": posture, "side": None}
    if units == "rad":
        text["model"]["posture"] = {"hip_flexion_r": 30}
        with pytest.raises(InputError, match=r"posture\]: hip_flexion_r = 30 looks like degrees"):
            parse_model(Section(text, "subject.toml", None), tmp_path, units)


@pytest.mark.parametrize(
    ("kind", "processing", "efforts", "said"),
    [
        (
            "raw",
            EmgProcessing(high_pass=20.0, low_pass=4.0, notch=(50.0,)),
            False,
            "high-pass 20 Hz, notch 50 Hz, rectified, low-pass 4 Hz, Butterworth of order 4, forwards and backwards, "
            "1 is each channel's greatest in the trials it was made from, cut off at 1",
        ),
        (
            "envelope",
            EmgProcessing(normalise=None, clip=False),
            False,
            "envelopes as they are in the file, not normalised again",
        ),
        (
            "envelope",
            EmgProcessing(normalise=100.0, clip=False),
            False,
            "envelopes as they are in the file, 1 is 100 of every channel",
        ),
        (
            "envelope",
            EmgProcessing(normalise={"vas": 0.2}),
            False,
            "envelopes as they are in the file, 1 is 0.2 of vas, cut off at 1",
        ),
        (
            "envelope",
            EmgProcessing(normalise=None, clip=False),
            True,
            "envelopes as they are in the file, 1 is each channel's greatest in the trials of greatest effort",
        ),
    ],
)
def test_how_emg_becomes_envelopes_in_words(kind, processing, efforts, said):
    assert in_words(kind, processing, efforts) == said
