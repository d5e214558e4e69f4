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
from mjx_msm.recordings.subject_file.model_check import check_against_model
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
        r"all.csv: no column 'VL'.*\(vas in \[emg.muscles\] of s.toml\)",
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


NAMES = ModelNames(["vas", "ham"], ["knee_angle", "hip_flexion"])
WHOLE = """
data = "data"
[columns]
knee_angle = { column = "knee_r", scale = -1.0 }
hip_flexion = "hip_r"
[moment_columns]
knee_angle = "knee_r_moment"
[subject]
name = "anna"
mass = 64.0
[model]
source = "knee"
free = ["knee_angle"]
prescribed = ["hip_flexion"]
[emg]
kind = "envelope"
[emg.muscles]
vas = "vas_lat_r"
ham = "semimem_r"
[[trials]]
name = "slow"
motion = "slow/ik.csv"
emg = "slow/emg.csv"
moments = "slow/id.csv"
[[trials]]
name = "fast"
motion = "fast/ik.csv"
emg = "fast/emg.csv"
moments = "fast/id.csv"
[identify]
residuals = ["moment"]
free = ["emg/vas_lat_r/gain", "emg/vas_lat_r/delay", "muscle/vas/tendon_slack_length"]
[identify.bounds]
"emg/*/gain" = [0.005, 5.0]
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with two trials of three files each."""
    folder = tmp_path_factory.mktemp("whole")
    for trial in ("slow", "fast"):
        (folder / "data" / trial).mkdir(parents=True)
        write_csv(folder / "data" / trial / "ik.csv", TIME, {"knee_r": -0.5 - 0.3 * np.sin(TIME), "hip_r": 0.1 * TIME})
        write_csv(folder / "data" / trial / "id.csv", TIME, {"knee_r_moment": 40 * np.cos(2 * TIME)})
        channels = {"vas_lat_r": 0.5 + 0.4 * np.sin(5 * TIME), "semimem_r": 0.5 + 0.4 * np.cos(5 * TIME)}
        write_csv(folder / "data" / trial / "emg.csv", TIME, channels)
    return folder


def problems(folder: Path, text: str) -> tuple[str, ...]:
    (folder / "s.toml").write_text(text)
    try:
        study = load_subject(folder / "s.toml", lambda spec: NAMES)
        check_against_model(study, NAMES.muscles, NAMES.coordinates)
    except InputError as error:
        return error.messages if isinstance(error, InputErrors) else (str(error),)
    return ()


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("[columns]", "[colums]", "unknown key 'colums'; did you mean 'columns'"),
        ("[moment_columns]", "[moment_colums]", "unknown key 'moment_colums'; did you mean 'moment_columns'"),
        ("[subject]", "[subjct]", "unknown key 'subjct'; did you mean 'subject'"),
        ("[model]", "[modle]", "unknown key 'modle'; did you mean 'model'"),
        ("[emg.muscles]", "[emg.muscels]", r"\[emg\]: unknown key 'muscels'; did you mean 'muscles'"),
        ("[identify]\n", "[identfy]\n", "unknown key 'identfy'; did you mean 'identify'"),
        ("[[trials]]", "[[trial]]", "unknown key 'trial'; did you mean 'trials'"),
        ("prescribed", "prescibed", r"\[model\]: unknown key 'prescibed'; did you mean 'prescribed'"),
        ('motion = "slow', 'moton = "slow', r"'slow': unknown key 'moton'; did you mean 'motion'"),
        (
            'free = ["knee_angle"]',
            'free = ["knee_angl"]',
            r"\[model\] free: .* no coordinate 'knee_angl'; did you mean",
        ),
        ('["hip_flexion"]', '["hip_flexon"]', r"\[model\] prescribed: .* no coordinate 'hip_flexon'; did you mean"),
        ("hip_flexion = ", "hip_flexon = ", r"\[columns\]: 'hip_flexon' is neither .*; did you mean 'hip_flexion'"),
        ('"hip_r"', '"hip_rr"', r"ik.csv and .*ik.csv: no column 'hip_rr'.*\(hip_flexion in \[columns\] of s.toml\)"),
        ('"knee_r"', '"kne_r"', r"no column 'kne_r'; did you mean 'knee_r'\? \(knee_angle in \[columns\] of s.toml\)"),
        ('"knee_r_moment"', '"knee_moment"', r"'knee_moment'.*\(knee_angle in \[moment_columns\] of s.toml\)"),
        ('vas = "vas_lat_r"', 'vas = "vas_lt_r"', r"no column 'vas_lt_r'.*\(vas in \[emg.muscles\] of s.toml\)"),
        (
            "emg/vas_lat_r/gain",
            "emg/vas_lt_r/gain",
            r"pattern 'emg/vas_lt_r/gain' matches nothing; did you mean 'vas_l",
        ),
        ("emg/vas_lat_r", "emg/vas_lt_r", r"patterns 'emg/vas_lt_r/gain', 'emg/vas_lt_r/delay' match nothing"),
        ('data = "data"', 'data = "dat"', r"data: there is no folder .*dat; did you mean 'data'"),
        ("slow/ik.csv", "slow/iik.csv", r"slow/iik.csv: no such file; did you mean 'ik.csv'"),
    ],
)
def test_one_wrong_name_is_one_line(whole, right, wrong, said):
    assert right in WHOLE
    (line,) = problems(whole, WHOLE.replace(right, wrong))
    assert re.search(said, line), line


def test_channels_and_trials_columns_are_said_where_they_are_named(whole):
    text = WHOLE.replace("[emg.muscles]", '[emg.channels]\nVL = "vas_lt"\n[emg.muscles]').replace(
        'vas = "vas_lat_r"', 'vas = "VL"'
    )
    assert "(VL in [emg.channels] of s.toml)" in problems(whole, text.replace("emg/vas_lat_r", "emg/VL"))[0]
    own = WHOLE.replace(
        'name = "fast"', 'name = "fast"\ncolumns = { hip_flexion = "hip_l" }\nchannels = { vas_lat_r = "VL" }'
    )
    lines = problems(whole, own)
    assert [re.sub(r".*\(", "(", line).replace(str(whole), "") for line in lines] == [
        "(hip_flexion in columns of /s.toml [[trials]] 'fast')",
        "(vas_lat_r in channels of /s.toml [[trials]] 'fast')",
    ]


def test_a_file_of_something_else_is_one_line(whole):
    """None of many columns is there."""
    names = [f"channel_{i}" for i in range(9)]
    text = WHOLE.replace('vas = "vas_lat_r"', f"vas = {{ {', '.join(f'{n} = 0.1' for n in names)} }}")
    text = text.replace('ham = "semimem_r"', "ham = 0.0").replace("emg/vas_lat_r", "emg/channel_0")
    (line,) = problems(whole, text)
    assert "has none of the 9 columns channel_0, channel_1, channel_2, channel_3, … (vas in [emg.muscles]" in line


@pytest.mark.parametrize(
    ("swap", "right"),
    [
        (("ik", "emg"), 'motion = "slow/ik.csv", emg = "slow/emg.csv"'),
        (("ik", "id"), 'motion = "slow/ik.csv", moments = "slow/id.csv"'),
        (("emg", "id"), 'emg = "slow/emg.csv", moments = "slow/id.csv"'),
        (("ik", "emg", "id"), 'motion = "slow/ik.csv", emg = "slow/emg.csv", moments = "slow/id.csv"'),
    ],
)
def test_files_that_are_exchanged_are_one_line(whole, swap, right):
    text = WHOLE
    for old, new in zip(swap, (*swap[1:], swap[0]), strict=True):
        text = text.replace(f'"slow/{old}.csv"', f'"slow/{new}.CSV"')
    (line,) = problems(whole, text.replace(".CSV", ".csv"))
    assert "'slow': the files of" in line
    assert line.endswith(f"each has the columns of the other; write {right}")
