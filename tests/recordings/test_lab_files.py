"""From the files a laboratory has to trials, without editing data: what the subject file can say, and what is asked."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.common.toml_tables import to_toml
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.readers.units import FOOT, GRAVITY, POUND
from mjx_msm.recordings.subject_file.loading import load_subject
from mjx_msm.recordings.subject_file.model_check import check_against_model
from mjx_msm.recordings.trial import Trial

TIME = np.arange(200) / 100
KNEE = 30 + 20 * np.sin(3 * TIME)
"""[deg]."""
MOMENT = 40 * np.cos(2 * TIME)
"""[N·m]."""
MASS = 70.0


def envelope(time):
    return 0.5 + 0.4 * np.sin(5 * time)


def document(**changes) -> dict:
    """One free coordinate, one channel, everything from `all.csv`."""
    trial = {"name": "one", "motion": "all.csv", "emg": "all.csv", "moments": "all.csv"}
    return {
        "units": "deg",
        "subject": {"name": "s", "mass": MASS},
        "model": {"source": "knee", "free": ["knee"]},
        "emg": {"muscles": {"vas": "RF"}, "processing": {"normalise": False}},
        "trials": [trial | changes.pop("trial", {})],
        "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["moment"], "rate": 100},
        **changes,
    }


def load(folder: Path, doc: dict) -> tuple[Trial, list[str]]:
    (folder / "s.toml").write_text(to_toml(doc))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        study = load_subject(folder / "s.toml")
    return study.trials[0], [str(w.message) for w in caught]


def refused(folder: Path, doc: dict) -> str:
    with pytest.raises(InputError) as error:
        load(folder, doc)
    assert "\n" not in str(error.value)
    return str(error.value)


def check(trial: Trial, *, knee=KNEE, moment=MOMENT) -> None:
    """Whether a trial is the recorded one, whatever file it came from."""
    live = np.isfinite(trial.position[:, 0])
    at = trial.time[live] - trial.time[live][0]
    np.testing.assert_allclose(trial.position[live, 0], np.deg2rad(np.interp(at, TIME, knee)), atol=1e-3)
    assert trial.moment is not None
    np.testing.assert_allclose(trial.moment[live, 0], np.interp(at, TIME, moment), atol=0.1)
    np.testing.assert_allclose(trial.emg[live, 0], envelope(at), atol=0.01)


# Vicon, Plug-in Gait ---------------------------------------------------------------------------------------


def test_everything_from_one_export_of_nexus(tmp_path):
    fast = np.arange(2000) / 1000
    text = "Devices\n1000\n,,Trigno - EMG\nFrame,Sub Frame,VL\n,,V\n"
    text += "".join(f"{1 + i // 10},{i % 10},{x:.9f}\n" for i, x in enumerate(envelope(fast)))
    text += "\nModel Outputs\n100\n,,A:LKneeAngles,,,A:LKneeMoment,,\nFrame,Sub Frame,X,Y,Z,X,Y,Z\n"
    text += ",,deg,deg,deg,N.mm/kg,N.mm/kg,N.mm/kg\n"
    rows = zip(KNEE, 1000 * MOMENT / MASS, strict=True)
    text += "".join(f"{1 + i},0,{k:.9f},0,0,{m:.9f},0,0\n" for i, (k, m) in enumerate(rows))
    (tmp_path / "all.csv").write_text(text)
    doc = document(columns={"knee": "LKneeAngles/X"}, moment_columns={"knee": "LKneeMoment/X"})
    doc["emg"]["channels"] = {"RF": "VL"}
    del doc["units"]  # the file says them
    check(load(tmp_path, doc)[0])
    _, notes = load(tmp_path, doc | {"units": "rad", "columns": {"knee": {"column": "LKneeAngles/X", "scale": 0.01}}})
    assert any('says that angles are in deg, units = "rad" overrides it' in note for note in notes)
    doc["columns"] = {"knee": "LKneeAngles"}
    assert "'LKneeAngles' may be 'Model Outputs/A:LKneeAngles/X', " in refused(tmp_path, doc)


def write_c3d(path: Path, *, first: int = 1, analogs: dict[str, tuple[str, np.ndarray]] | None = None) -> None:
    """As Nexus saves it: angles and moments of Plug-in Gait as points, named in groups, EMG and others as analogs."""
    import ezc3d

    file = ezc3d.c3d()
    points = np.zeros((4, 3, len(TIME)))
    points[0, 0], points[0, 1], points[1, 2] = KNEE, 1000 * MOMENT / MASS, 400.0
    points[3] = 1
    labels = ("LKneeAngles", "LKneeMoment", "LKNE")
    channels = {"RF": ("V", envelope(np.arange(2000) / 1000)), **(analogs or {})}
    for group, name, value in (
        ("POINT", "RATE", [100.0]), ("POINT", "UNITS", ["mm"]), ("POINT", "LABELS", labels),
        ("ANALOG", "RATE", [1000.0]), ("ANALOG", "LABELS", tuple(channels)),
        ("ANALOG", "UNITS", tuple(u for u, _ in channels.values())),
    ):  # fmt: skip
        file["parameters"][group][name]["value"] = value
    for name, value in (("ANGLES", ["LKneeAngles"]), ("ANGLE_UNITS", ["deg"]), ("MOMENTS", ["LKneeMoment"])):
        file.add_parameter("POINT", name, value)
    file.add_parameter("POINT", "MOMENT_UNITS", ["Nmm/kg"])
    file["data"]["points"] = points
    file["data"]["analogs"] = np.stack([x for _, x in channels.values()])[None]
    file["header"]["points"]["first_frame"] = first - 1
    file.write(str(path))


C3D = {"motion": "w.c3d", "emg": "w.c3d", "moments": "w.c3d"}


def test_angles_and_moments_of_plug_in_gait_in_a_c3d(tmp_path):
    write_c3d(tmp_path / "w.c3d", first=353)
    doc = document(trial=C3D, columns={"knee": "LKneeAngles/x"}, moment_columns={"knee": "LKneeMoment/x"})
    del doc["units"]
    trial, notes = load(tmp_path, doc)
    check(trial)
    assert trial.time[0] == pytest.approx(3.52)
    assert not notes
    doc["columns"] = {"knee": "LKNE/x"}
    assert "column 'LKNE/x' is in mm" not in refused(tmp_path, document(trial=C3D, columns={"knee": "LKNEx"}))


def test_a_capture_that_was_cropped_and_the_motion_made_from_it(tmp_path):
    """The C3D begins at frame 353, the .mot at 0, and both last equally long: they begin together, and that is said."""
    write_c3d(tmp_path / "w.c3d", first=353)
    write_csv(tmp_path / "ik.csv", TIME, {"knee": KNEE, "knee_moment": MOMENT})
    doc = document(trial={"motion": "ik.csv", "emg": "w.c3d", "moments": "ik.csv"})
    trial, notes = load(tmp_path, doc)
    check(trial)
    (note,) = notes
    assert (
        "w.c3d: begins at frame 353 of its capture (3.52 s), ik.csv at 0, and both last 1.99 s; taken to begin" in note
    )
    doc["trials"][0]["time_offset"] = {"emg": -3.52}
    trial, notes = load(tmp_path, doc)
    check(trial)
    assert not notes
    write_csv(tmp_path / "ik.csv", TIME[:150], {"knee": KNEE[:150], "knee_moment": MOMENT[:150]})
    del doc["trials"][0]["time_offset"]
    assert "set time_offset = { emg = -3.52 } in " in refused(tmp_path, doc)


def test_analog_volts_need_a_scale(tmp_path):
    torque = {"Torque": ("V", np.interp(np.arange(2000) / 1000, TIME, 0.5 + MOMENT / 50))}
    write_c3d(tmp_path / "w.c3d", analogs=torque)
    doc = document(trial=C3D, columns={"knee": "LKneeAngles/x"}, moment_columns={"knee": "Torque"})
    assert "column 'Torque' is in V; give its scale (N·m per V), and offset" in refused(tmp_path, doc)
    doc["moment_columns"] = {"knee": {"column": "Torque", "scale": 50.0, "offset": -25.0}}
    check(load(tmp_path, doc)[0])


# Time ------------------------------------------------------------------------------------------------------


def test_every_file_has_its_own_time(tmp_path):
    fast = np.arange(2000) / 1000
    for name, stamp, time, columns in (
        ("m.csv", "Frame", np.arange(200) + 1, {"knee": KNEE}),
        ("e.csv", "stamp", fast * 1000, {"RF": envelope(fast)}),
    ):
        write_csv(tmp_path / name, time, columns)
        (tmp_path / name).write_text((tmp_path / name).read_text().replace("time", stamp, 1))
    np.savetxt(tmp_path / "f.txt", MOMENT[:, None])
    doc = document(
        trial={"motion": "m.csv", "emg": "e.csv", "moments": "f.txt", "time_unit": {"emg": "ms"}},
        time_column={"emg": "stamp"},
        sampling_rate={"motion": 100.0, "moments": 100.0},
        moment_columns={"knee": "column 1"},
    )
    check(load(tmp_path, doc)[0])
    doc["trials"][0]["sampling_rate"] = {"moments": 50.0}  # a trial's own comes first
    trial, _ = load(tmp_path, doc)
    assert trial.moment is not None
    assert trial.moment[50, 0] == pytest.approx(np.interp(0.25, TIME, MOMENT), abs=0.05)


def test_raw_emg_in_milliseconds_is_not_told_to_be_an_envelope(tmp_path):
    raw = np.random.default_rng(0).normal(size=2000)
    write_csv(tmp_path / "m.csv", TIME, {"knee": KNEE, "knee_moment": MOMENT})
    write_csv(tmp_path / "e.csv", np.arange(2000.0), {"RF": raw})
    doc = document(trial={"motion": "m.csv", "emg": "e.csv", "moments": "m.csv"})
    doc["emg"] |= {"kind": "raw", "processing": {}}
    assert 'its samples are 1 s apart; is the time in milliseconds or frames? Set time_unit = "ms"' in refused(
        tmp_path, doc
    )
    doc["time_unit"] = {"emg": "ms"}
    assert load(tmp_path, doc)[0].emg.max() <= 1


def test_channels_at_rates_of_their_own_are_one_recording(tmp_path):
    """Trigno: each envelope is made at its channel's rate, then they meet on one clock."""
    rng = np.random.default_rng(0)
    rates = {"RF": 1925.926, "BF": 1111.111}
    noise = {c: rng.normal(size=int(2 * r)) for c, r in rates.items()}
    raw = {c: noise[c] * envelope(np.arange(len(noise[c])) / r) for c, r in rates.items()}
    columns = [[f"{i / rates[c]:.6f},{x:.6f}" for i, x in enumerate(v)] for c, v in raw.items()]
    rows = [",".join(c[i] if i < len(c) else "," for c in columns) for i in range(max(map(len, columns)))]
    (tmp_path / "e.csv").write_text("X[s],RF: EMG 1 [V],X[s],BF: EMG 2 [V]\n" + "\n".join(rows))
    write_csv(tmp_path / "m.csv", TIME, {"knee": KNEE, "knee_moment": MOMENT})
    doc = document(trial={"motion": "m.csv", "emg": "e.csv", "moments": "m.csv"})
    doc["emg"] = {"kind": "raw", "muscles": {"vas": "RF: EMG 1 [V]", "ham": "BF: EMG 2 [V]"}}
    trial, _ = load(tmp_path, doc)
    assert trial.channels == ("RF: EMG 1 [V]", "BF: EMG 2 [V]")
    for i in range(2):
        assert np.corrcoef(trial.emg[20:-20, i], envelope(trial.time[20:-20]))[0, 1] > 0.9


# Dynamometers ----------------------------------------------------------------------------------------------


def test_a_dynamometers_export_is_asked_whether_the_limbs_weight_is_in_it(tmp_path):
    foot_pounds = MOMENT / (POUND * FOOT)
    text = (
        "BIODEX\n"
        + "".join(f"line {i}: x\n" for i in range(50))
        + "  mSec    TORQUE    POSITION\n          FT-LBS    DEGREES\n"
    )
    text += "".join(
        f"{10 * i:6d}  {m:10.5f}  {k:10.5f}\n" for i, (m, k) in enumerate(zip(foot_pounds, KNEE, strict=True))
    )
    (tmp_path / "all.txt").write_text(text)
    write_csv(tmp_path / "e.csv", TIME, {"RF": envelope(TIME)})
    doc = document(
        trial={"motion": "all.txt", "emg": "e.csv", "moments": "all.txt"},
        columns={"knee": "POSITION"},
        moment_columns={"knee": "TORQUE"},
    )
    assert "is of a dynamometer (BIODEX), and nothing says whether the weight of the limb" in refused(tmp_path, doc)
    for said in ("corrected", "included"):
        doc["gravity"] = said
        trial, _ = load(tmp_path, doc)
        check(trial)
        assert trial.metadata["gravity"] == said


def test_a_force_at_a_strap_is_a_moment_at_its_lever(tmp_path):
    force = MOMENT / (0.35 * GRAVITY)
    write_csv(tmp_path / "all.csv", TIME, {"knee": KNEE, "RF": envelope(TIME), "cell [kgf]": 2.0 - force})
    doc = document(moment_columns={"knee": "cell [kgf]"})
    assert "is in kgf, a force; give its lever [m]" in refused(tmp_path, doc)
    doc["moment_columns"] = {"knee": {"column": "cell [kgf]", "lever": 0.35, "scale": -1.0, "offset": 2.0}}
    check(load(tmp_path, doc)[0])
    doc["moment_columns"]["knee"] = {"column": "cell [kgf]", "units": "kgf"}
    assert "units = 'kgf' is unknown; choose from: Nm, Nm/kg; is it a force? Give its lever" in refused(tmp_path, doc)


def test_a_spike_of_a_moment_is_masked_and_told(tmp_path):
    """147 N·m for 20 ms, more than a joint could bear for its mass or not."""
    for size in (147.0, 5000.0):
        spiked = MOMENT + size * ((TIME > 0.995) & (TIME < 1.015))
        write_csv(tmp_path / "all.csv", TIME, {"knee": KNEE, "RF": envelope(TIME), "knee_moment": spiked})
        trial, said = load(tmp_path, document())
        (line,) = [s for s in said if "spike" in s]
        assert "trial 'one': the moment of 'knee' (" in line
        assert "has 1 spike that no joint makes" in line
        assert "at 1 s" in line or "at 1.01 s" in line
        assert line.endswith('; masked, unless spikes = "kept"')
        check(trial)
        assert line in trial.metadata["notes"] or any(line in n for n in said)
    for doc in (document(spikes="kept"), document(spikes="masked", trial={"spikes": "kept"})):
        trial, said = load(tmp_path, doc)
        assert not [s for s in said if "spike" in s]
        assert np.nanmax(trial.moment) > 1000
    _, said = load(tmp_path, document(trial={"time_offset": {"motion": 7.0, "moments": 7.0, "emg": 7.0}}))
    assert any("at 8 s" in s or "at 8.01 s" in s for s in said)


def test_stretches_are_left_out_as_the_file_says(tmp_path):
    wrong = MOMENT + 60 * ((TIME > 0.5) & (TIME < 0.9))
    write_csv(tmp_path / "all.csv", TIME, {"knee": KNEE, "RF": envelope(TIME), "knee_moment": wrong})
    doc = document(trial={"mask": {"moments": [[0.5, 0.9]]}, "time_offset": {"moments": 0.0}})
    trial, said = load(tmp_path, doc)
    assert any("mask: moments leaves out 0.5 to 0.9 s of" in line for line in said)
    assert trial.moment is not None
    at = trial.time - trial.time[trial.motion_start]
    gone = np.isnan(trial.moment[:, 0]) & (at >= 0)
    assert (at[gone].min(), at[gone].max()) == pytest.approx((0.5, 0.9), abs=0.011)
    known = np.isfinite(trial.moment[:, 0])
    np.testing.assert_allclose(trial.moment[known, 0], np.interp(at[known], TIME, MOMENT), atol=0.1)
    doc["trials"][0]["mask"] = {"moments": [[7.0, 8.0]]}
    assert "mask: moments from 7 to 8 s holds no sample of" in refused(tmp_path, doc)
    doc["trials"][0]["mask"] = {"moments": [[2.0, 1.0]]}
    assert "mask: moments must be stretches from and to [s], like [[28.4, 28.7]], got" in refused(tmp_path, doc)
    doc["trials"][0]["mask"] = {"emg": [[0.5, 0.9]]}
    assert "unknown key 'emg'" in refused(tmp_path, doc)


def test_what_was_not_recorded_cannot_be_left_out(tmp_path):
    write_csv(tmp_path / "all.csv", TIME, {"knee": KNEE, "RF": envelope(TIME), "knee_moment": MOMENT})
    doc = document(trial={"mask": {"moments": [[0.5, 0.9]]}, "role": "predict"})
    doc["trials"].append({**document()["trials"][0], "name": "two"})
    del doc["trials"][0]["moments"]
    assert "'one' mask: the trial has no file of its moments; remove 'moments' from it" in refused(tmp_path, doc)
    doc["trials"][0] |= {"role": "normalise", "moments": "all.csv"}
    assert 'mask: a trial of role "normalise" is used from start to stop; remove' in refused(tmp_path, doc)


def test_a_trial_has_its_own_columns_of_emg(tmp_path):
    """A plug that was moved, or attempts side by side in one table."""
    columns = {"knee": KNEE, "RF": 0 * TIME + 0.2, "RF 2": envelope(TIME), "knee_moment": MOMENT}
    write_csv(tmp_path / "all.csv", TIME, columns)
    doc = document(trial={"channels": {"RF": "RF 2"}})
    check(load(tmp_path, doc)[0])
    doc["trials"][0]["channels"] = {"BF": "RF 2"}
    assert "channels: channel 'BF' is used by no muscle" in refused(tmp_path, doc)
    doc["trials"][0]["channels"] = {"RF": "RF 3"}
    assert "no column 'RF 3'" in refused(tmp_path, doc)


def test_a_lever_that_is_not_well_known_is_an_unknown_with_a_prior(tmp_path):
    force = MOMENT / (0.35 * GRAVITY)
    write_csv(tmp_path / "all.csv", TIME, {"knee": KNEE, "RF": envelope(TIME), "cell": force})
    column = {"column": "cell", "units": "kgf", "lever": {"mean": 0.35, "sd": 0.03}}
    doc = document(moment_columns={"knee": column})
    (tmp_path / "s.toml").write_text(to_toml(doc))
    study = load_subject(tmp_path / "s.toml")
    check(study.trials[0])
    assert study.levers == {"knee": 0.35}
    assert study.identify.free == ("muscle/*/max_isometric_force", "strap/knee/lever")
    assert study.identify.priors["strap/knee/lever"] == {"mean": 0.35, "sd": 0.03}
    check_against_model(study, ["vas"], ["knee"])
    column["lever"] = {"mean": 0.35}
    assert "lever: 'sd' is missing; give a number [m]" in refused(tmp_path, document(moment_columns={"knee": column}))


def test_a_sheet_a_signal(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, values in {"DNM": MOMENT / (0.35 * GRAVITY), "EMG_RF": envelope(TIME), "angle": KNEE}.items():
        sheet = book.create_sheet(name)
        for value in values:
            sheet.append([value])
    book.save(tmp_path / "ID 1.xlsx")
    doc = document(
        trial=dict.fromkeys(("motion", "emg", "moments"), "ID 1.xlsx"),
        sampling_rate=100.0,
        columns={"knee": "angle"},
        moment_columns={"knee": {"column": "DNM", "units": "kgf", "lever": 0.35}},
    )
    doc["emg"]["channels"] = {"RF": "EMG_RF"}
    check(load(tmp_path, doc)[0])


# Names, paths, all faults ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    ["emg/RF [mV]/gain", "emg/RF [mV]", "emg/RF [mV]/*", "emg/*[mV]/gain", "emg/*/gain", "emg/?F [[]mV]/gain"],
)
def test_channel_names_with_brackets_and_blanks_in_patterns(tmp_path, pattern):
    from mjx_msm.person.model import load_model
    from mjx_msm.person.space import parameter_space

    write_csv(tmp_path / "all.csv", TIME, {"knee": KNEE, "knee_moment": MOMENT, "RF [mV]": envelope(TIME)})
    doc = document()
    doc["emg"]["muscles"] = {"vas": "RF [mV]"}
    doc["identify"]["free"] = [pattern]
    (tmp_path / "s.toml").write_text(to_toml(doc))
    study = load_subject(tmp_path / "s.toml")
    check_against_model(study, ["vas"], ["knee"])
    space = parameter_space(load_model("arm").nominal.with_channels(study.channels), [pattern])
    assert "emg/RF [mV]/gain" in space.paths


def test_paths_of_windows(tmp_path):
    (tmp_path / "data").mkdir()
    write_csv(tmp_path / "data" / "all.csv", TIME, {"knee": KNEE, "knee_moment": MOMENT, "RF": envelope(TIME)})
    text = to_toml(document(trial=dict.fromkeys(("motion", "emg", "moments"), "NAME")))
    path = tmp_path / "s.toml"
    for written, match in (
        (r'"data\all.csv"', r"holds a control character|is not valid TOML.*write the path with / instead"),
        (r'"C:\Users\anna\all.csv"', r"is not valid TOML.*a backslash is a special character.*write the path with /"),
        (r'"data\nall.csv"', r"= 'data.{1,4}nall.csv' holds a control character.*write the path with / instead"),
    ):
        path.write_text(text.replace('"NAME"', written))
        with pytest.raises(InputError, match=match) as error:
            load_subject(path)
        assert "\n" not in str(error.value)
    path.write_text(text.replace('"NAME"', r"'data\all.csv'"))
    check(load_subject(path).trials[0])
