"""The gallery of laboratories' files: every piece of TOML reads what the system it is for writes."""

import json
import re
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from mjx_msm.common.errors import InputWarning
from mjx_msm.common.toml_tables import to_toml
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.subject_file.loading import Study, load_subject
from mjx_msm.recordings.trial import Trial

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pages" / "bring" / "lab_files.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMON, *REST = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
SYSTEMS = dict(
    zip(("vicon", "qualisys", "opensim", "biodex", "bids", "workbook", "arrays", "effort"), REST, strict=True)
)
TIME, FAST = np.arange(300) / 100, np.arange(3000) / 1000
HIP, KNEE, ANKLE, MOMENT = (
    20 * np.cos(4 * TIME),
    40 + 25 * np.sin(4 * TIME),
    8 * np.sin(4 * TIME),
    -30 * np.sin(4 * TIME),
)
"""[deg], [N·m], signs as in the model."""


def emg() -> np.ndarray:
    sos = signal.butter(2, [30, 180], "bandpass", fs=1000, output="sos")
    raw = signal.sosfilt(sos, np.random.default_rng(0).normal(size=(len(FAST), 2)), axis=0)
    return raw * (1.2 + np.sin(4 * FAST[:, None]))


def vicon(folder: Path) -> None:
    text = "Devices\n1000\n,,Trigno EMG - Voltage,\nFrame,Sub Frame,R VL,R BF\n,,V,V\n"
    text += "".join(f"{1 + i // 10},{i % 10},{a:.9f},{b:.9f}\n" for i, (a, b) in enumerate(emg()))
    text += "\nModel Outputs\n100\n,," + "".join(f"A:R{j},,," for j in ("HipAngles", "KneeAngles", "AnkleAngles"))
    text += (
        "A:RKneeMoment,,\nFrame,Sub Frame" + ",X,Y,Z" * 4 + "\n,," + "deg,deg,deg," * 3 + "N.mm/kg,N.mm/kg,N.mm/kg\n"
    )
    for i, row in enumerate(zip(HIP, KNEE, ANKLE, -1e3 * MOMENT / 64, strict=True)):
        text += f"{1 + i},0," + ",".join(f"{x:.6f},0,0" for x in row) + "\n"
    (folder / "walk.csv").write_text(text)


def qualisys(folder: Path) -> None:
    import ezc3d

    names = ("HIP_ANGLE", "KNEE_ANGLE", "ANKLE_ANGLE", "KNEE_MOMENT")
    rows = zip(HIP, -KNEE, ANKLE, -MOMENT / 64, strict=True)
    above = ["C:\\walk.c3d"] * 4, [f"RIGHT_{n}" for n in names], ["LINK_MODEL_BASED"] * 4, ["ORIGINAL"] * 4
    head = "".join("".join(f"\t{x}" for x in row) + "\n" for row in above) + "ITEM\tX\tX\tX\tX\n"
    text = "".join("\t".join([str(i + 1), *(f"{x:.6f}" for x in row)]) + "\n" for i, row in enumerate(rows))
    (folder / "walk_v3d.txt").write_text(head + text)
    file = ezc3d.c3d()
    for group, name, value in (
        ("POINT", "RATE", [100.0]), ("POINT", "UNITS", ["mm"]), ("POINT", "LABELS", ("knee",)),
        ("ANALOG", "RATE", [1000.0]), ("ANALOG", "LABELS", ("EMG_VL", "EMG_BF")), ("ANALOG", "UNITS", ("V", "V")),
    ):  # fmt: skip
        file["parameters"][group][name]["value"] = value
    file["data"]["points"] = np.ones((4, 1, len(TIME)))
    file["data"]["analogs"] = emg().T[None]
    file.write(str(folder / "walk.c3d"))


def opensim(folder: Path) -> None:
    def storage(name: str, time: np.ndarray, columns: dict[str, np.ndarray], degrees: str) -> None:
        rows = "".join("\t".join(f"{x:.8f}" for x in row) + "\n" for row in zip(time, *columns.values(), strict=True))
        head = f"x\nversion=1\nnRows={len(time)}\nnColumns={1 + len(columns)}\ninDegrees={degrees}\nendheader\n"
        (folder / name).write_text(head + "\t".join(["time", *columns]) + "\n" + rows)

    storage("ik.mot", TIME, {"hip_flexion_r": HIP, "knee_angle_r": -KNEE, "ankle_angle_r": ANKLE}, "yes")
    storage("id.sto", TIME, {"knee_angle_r_moment": -MOMENT}, "no")
    storage(
        "emg.sto", TIME, {"vas_lat_r": 0.5 + 0.4 * np.sin(4 * TIME), "bifemlh_r": 0.5 - 0.4 * np.sin(4 * TIME)}, "no"
    )


def biodex(folder: Path) -> None:
    text = "BIODEX\n" + "".join(f"line {i}: x\n" for i in range(50))
    text += "  mSec    TORQUE    POSITION\n          N-M    DEGREES\n"
    rows = enumerate(zip(-MOMENT, KNEE, strict=True))
    (folder / "biodex.txt").write_text(text + "".join(f"{10 * i:6d}  {m:10.5f}  {k:10.5f}\n" for i, (m, k) in rows))
    names = '"X[s]","R VASTUS LATERALIS: EMG 1 [V]","X[s]","R BICEPS FEMORIS: EMG 2 [V]"\n'
    lines = (f"{t:.6f},{a:.9f},{t:.6f},{b:.9f}\n" for t, (a, b) in zip(FAST, emg(), strict=True))
    (folder / "emgworks.csv").write_text(names + "".join(lines))


def bids(folder: Path) -> None:
    def table(name: str, names: list[str], rows: np.ndarray, rate: float) -> None:
        text = "\t".join(names) + "\n" if names else ""  # those of a motion are in the table of channels
        text += "".join("\t".join(f"{x:.9f}" for x in row) + "\n" for row in rows)
        (folder / f"sub-01_task-walk_{name}.tsv").write_text(text)
        (folder / f"sub-01_task-walk_{name}.json").write_text(json.dumps({"SamplingFrequency": rate}))

    table("emg", ["VL", "BF"], emg(), 1000.0)
    table("motion", [], np.stack([HIP, KNEE, ANKLE, MOMENT], axis=1), 100.0)
    channels = "name\ttype\tunits\n" + "".join(f"{n}\tJNTANG\tdeg\n" for n in ("RHIP", "RKNEE", "RANKLE"))
    channels += "RKNEE_MOMENT\tMISC\tN*m\n"
    (folder / "sub-01_task-walk_channels.tsv").write_text(channels)


@pytest.mark.parametrize("make", [vicon, qualisys, opensim, biodex, bids], ids=lambda f: f.__name__)
def test_ten_lines_read_what_the_system_wrote(tmp_path, make):
    make(tmp_path)
    lines = SYSTEMS[make.__name__]
    assert len(lines.splitlines()) <= 20
    document = tomllib.loads(COMMON) | tomllib.loads(lines)
    document["subject"]["name"] = make.__name__
    if make is biodex:
        document["model"] |= {"prescribed": [], "locked": {"hip_flexion": 1.4, "ankle_angle": 0.0}}
        assert "locked = { hip_flexion = 1.4, ankle_angle = 0.0 }" in TEXT
    muscles = {"vasmed": "VL", "vasint": "VL", "vaslat": "VL", "bflh": "BF", "bfsh": "BF"}
    silent = ("recfem", "semimem", "semiten", "gasmed", "gaslat", "soleus", "tibant")
    document["emg"]["muscles"] = muscles | dict.fromkeys(silent, 0.0)
    (tmp_path / "s.toml").write_text(to_toml(document))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        (trial,) = load_subject(tmp_path / "s.toml").trials
    known = np.isfinite(trial.position[:, 0])
    at = trial.time[known]
    angle = np.rad2deg(trial.position[known, trial.coordinates.index("knee_angle")])
    np.testing.assert_allclose(angle, np.interp(at, TIME, KNEE), atol=0.1)
    assert trial.moment is not None
    np.testing.assert_allclose(trial.moment[known, 0], np.interp(at, TIME, MOMENT), atol=0.3)
    strong = np.interp(trial.time, TIME, np.sin(4 * TIME))
    assert np.corrcoef(trial.emg[:, trial.channels.index("VL")], strong)[0, 1] > 0.8


def trial_of(folder: Path, document: dict) -> tuple[Trial, Study]:
    """The only trial of a subject file whose vastus lateralis alone has a channel."""
    document["emg"]["muscles"] = {"vaslat": "VL"}
    (folder / "s.toml").write_text(to_toml(document))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        study = load_subject(folder / "s.toml")
    return study.trials[0], study


def test_a_workbook_of_one_sheet_a_signal(tmp_path):
    """Two attempts a sheet, of 2000 Hz; a force at a strap."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    time, raw = np.arange(4000) / 2000, emg()[:, 0].repeat(2)[:4000]
    for name, values in {"DNM": 10 + 5 * np.sin(4 * time), "EMG_VL": raw}.items():
        sheet = book.create_sheet(name)
        for x in values:
            sheet.append([float(x), 0.5 * float(x)])
    book.save(tmp_path / "ID 1.xlsx")
    document = tomllib.loads(COMMON) | tomllib.loads(SYSTEMS["workbook"])
    document["identify"]["free"] = ["muscle/vas*/*_length"]
    document["identify"]["tied"] = []
    trial, study = trial_of(tmp_path, document)
    assert trial.moment is not None
    expected = 9.80665 * 0.35 * (10 + 5 * np.sin(4 * trial.time))
    known = np.isfinite(trial.moment[:, 0])
    np.testing.assert_allclose(trial.moment[known, 0], expected[known], atol=0.3)
    np.testing.assert_allclose(trial.position[-5], [1.2, 1.4, 0.0])
    assert study.identify.priors["strap/knee_angle/lever"] == {"mean": 0.35, "sd": 0.03}


def test_arrays_and_tables_without_time(tmp_path):
    from scipy.io import savemat

    columns = {"hip_flexion": HIP, "knee_angle": KNEE, "ankle_angle": ANKLE, "knee_angle_moment": MOMENT}
    write_csv(tmp_path / "walk.csv", TIME, columns)
    (tmp_path / "walk.csv").write_text((tmp_path / "walk.csv").read_text().replace("time", "t", 1))
    strong = 0.5 + 0.4 * np.sin(4 * FAST)
    savemat(tmp_path / "walk.mat", {"emg": np.stack([strong, 0.2 + 0 * strong], axis=1), "labels": ["VL", "BF"]})
    files = {"motion": "walk.csv", "emg": "walk.mat", "moments": "walk.csv"}
    document = tomllib.loads(COMMON) | tomllib.loads(SYSTEMS["arrays"])
    document |= {"units": "deg", "trials": [{"name": "walk", **files, "time_column": {"moments": "t"}}]}
    document["identify"] |= {"free": ["muscle/vas*/*_length"], "tied": []}
    trial, _ = trial_of(tmp_path, document)
    np.testing.assert_allclose(trial.emg[:-40, 0], 0.5 + 0.4 * np.sin(4 * trial.time[:-40]), atol=0.01)
    angle = np.rad2deg(trial.position[:-40, trial.coordinates.index("knee_angle")])
    known = np.isfinite(angle)
    np.testing.assert_allclose(angle[known], np.interp(trial.time[:-40][known], TIME, KNEE), atol=0.1)


def test_greatest_effort(tmp_path):
    opensim(tmp_path)
    write_csv(tmp_path / "mvc_quadriceps.csv", np.arange(0, 6, 0.01), {
        "vas_lat_r": 1.8 + 0.0 * np.arange(600), "bifemlh_r": 1.2 + 0.1 * np.sin(np.arange(600))
    })  # fmt: skip
    document = tomllib.loads(COMMON) | tomllib.loads(SYSTEMS["opensim"])
    document["emg"]["muscles"] = {"vaslat": "VL", "bflh": "BF"}
    document["trials"] += tomllib.loads(SYSTEMS["effort"])["trials"]
    (tmp_path / "s.toml").write_text(to_toml(document))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        (trial,) = load_subject(tmp_path / "s.toml").trials
    assert trial.emg.max(axis=0) == pytest.approx([0.5, 0.9 / 1.3], rel=0.01)
