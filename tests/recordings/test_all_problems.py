"""Everything that is wrong with a subject file is said at once, in its order: keys, units, files, columns, names."""

import re
from pathlib import Path

import numpy as np
import pytest

from mjx_msm.common.errors import InputError, InputErrors
from mjx_msm.common.file_kinds import RECORDINGS
from mjx_msm.common.toml_tables import to_toml
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.readers.reading import FORMATS
from mjx_msm.recordings.subject_file.loading import load_subject
from mjx_msm.recordings.subject_file.model_names import ModelNames

TIME = np.arange(200) / 100
ALL = {"knee": 30 + 20 * np.sin(3 * TIME), "knee_moment": 40 * np.cos(2 * TIME), "RF": 0.5 + 0.4 * np.sin(5 * TIME)}


def document(**changes) -> dict:
    """One free coordinate, one channel, everything from `all.csv`."""
    return {
        "units": "deg",
        "subject": {"name": "s", "mass": 70.0},
        "model": {"source": "arm", "free": ["knee"]},
        "emg": {"muscles": {"vas": "RF"}, "processing": {"normalise": False}},
        "trials": [{"name": "one", "motion": "all.csv", "emg": "all.csv", "moments": "all.csv"}],
        "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["moment"], "rate": 100},
        **changes,
    }


def refused(folder: Path, doc: dict) -> str:
    (folder / "s.toml").write_text(to_toml(doc))
    with pytest.raises(InputError) as error:
        load_subject(folder / "s.toml")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_all_problems_of_a_subject_file_at_once(tmp_path):
    write_csv(tmp_path / "all.csv", TIME, ALL)
    doc = document(colums={}, unit="deg")
    message = refused(tmp_path, doc)
    assert "2 problems: (1) " in message
    assert "unknown key 'colums'; did you mean 'columns'" in message
    assert "unknown key 'unit'; did you mean 'units'" in message
    doc = document(columns={"knie": "knee"})
    doc["subject"]["mass"] = "70"
    doc["identify"]["residuals"] = ["moments"]
    doc["sampling"] = {"lead_in": 50}
    message = refused(tmp_path, doc)
    for part in ("mass must be a number", "residuals = 'moments' is unknown", "lead_in = 50 s is implausible"):
        assert part in message


def test_all_problems_of_the_recordings_at_once(tmp_path):
    write_csv(tmp_path / "all.csv", TIME, {k: ALL[k] for k in ("knee", "RF")})
    doc = document(moment_columns={"knee": "torque"})
    doc["emg"]["muscles"] = {"vas": "VL", "ham": "BF"}
    doc["trials"].append({"name": "two", "motion": "gone.csv", "emg": "all.csv", "moments": "all.csv"})
    message = refused(tmp_path, doc)
    assert "no column 'VL'" in message
    assert "no column 'BF'" in message
    assert "no column 'torque'" in message
    assert "gone.csv: no such file" in message


def test_six_faults_in_six_sections_in_the_order_of_the_file(tmp_path):
    write_csv(tmp_path / "all.csv", TIME, ALL)
    (tmp_path / "s.toml").write_text("""
[moment_columns]
knee = { column = "knee_moment", units = "Nm/stone" }
[subject]
name = "anna"
mass = "64"
[model]
source = "knee"
free = ["knee"]
prescibed = []
[emg]
kind = "envelope"
[emg.muscles]
vas = "VL"
[[trials]]
name = "walk"
motion = "gone.csv"
emg = "all.csv"
moments = "all.csv"
[identify]
free = ["muscle/vas/strength"]
residuals = ["moment"]
""")
    with pytest.raises(InputErrors) as raised:
        load_subject(tmp_path / "s.toml")
    expected = [
        r"\[moment_columns\] knee: units = 'Nm/stone' is unknown",
        r"\[subject\]: mass must be a number \[kg\], got the text .64.; remove the quotes",
        r"\[model\]: unknown key 'prescibed'; did you mean 'prescribed'",
        r"gone.csv: no such file",
        r"all.csv: no column 'VL'.*\(\[emg\] of s.toml\)",
        r"\[identify\] free: 'muscle/vas/strength' ends in unknown parameter",
    ]
    said = raised.value.messages
    assert len(said) == len(expected)
    for line, pattern in zip(said, expected, strict=True):
        assert re.search(pattern, line), line
    assert str(raised.value).startswith("6 problems: (1) ")
    assert "\n" not in str(raised.value)


def test_names_in_the_model_are_among_all_problems(tmp_path):
    write_csv(tmp_path / "all.csv", TIME, ALL)
    doc = document()
    doc["model"]["free"] = ["kne"]
    doc["emg"]["muscles"] = {"vass": "RF"}
    doc["subject"]["mass"] = 1.0
    (tmp_path / "s.toml").write_text(to_toml(doc))
    with pytest.raises(InputErrors) as raised:
        load_subject(tmp_path / "s.toml", lambda spec: ModelNames(["vas"], ["knee"]))
    text = str(raised.value)
    assert "[model] free: model 'arm' has no coordinate 'kne'; did you mean 'knee'?" in text
    assert "[emg.muscles]: model 'arm' has no muscle 'vass'; did you mean 'vas'?" in text
    assert "mass = 1 kg is implausible" in text
    assert "has no role" not in text  # 'knee' is what 'kne' should have been
    assert "is not mapped" not in text


def test_suffixes_of_recordings_are_those_of_the_readers():
    assert sorted(RECORDINGS) == sorted(s for format in FORMATS for s in format.suffixes)
