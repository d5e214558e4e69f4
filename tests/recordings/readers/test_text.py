"""Text formats against OpenSim's own reader, round trips, and files that are broken in ordinary ways."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.recordings.readers.delimited import read_csv, write_csv
from mjx_msm.recordings.readers.reading import read_table
from mjx_msm.recordings.readers.storage import read_storage
from mjx_msm.recordings.readers.table import Table

STORAGE = "Coordinates\nversion=1\nnRows=3\nnColumns=3\ninDegrees=yes\nendheader\n"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def attempt(reader: Callable[[Path], Table], path: Path) -> Table | str:
    """What the reader returns, or its error message."""
    try:
        return reader(path)
    except InputError as error:
        return str(error)


# Against OpenSim -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "data/knee_walk/coordinates.sto",
        "data/knee_walk/electromyography.sto",
        "data/knee_walk/id_walk.sto",
        "data/knee_walk/grf_walk.mot",
        "reference/arm26_golden/arm26_InverseKinematics.mot",
        "reference/arm26_golden/std_arm26_InverseDynamics.sto",
    ],
)
def test_storage_equals_opensim(data_dir, name):
    import opensim

    path = data_dir.parent / name
    if not path.is_file():
        pytest.skip(f"{path} not found")
    ours, theirs = read_storage(path), opensim.TimeSeriesTable(str(path))
    assert ours.columns == tuple(theirs.getColumnLabels())
    np.testing.assert_array_equal(ours.time, theirs.getIndependentColumn())
    np.testing.assert_array_equal(ours.values, theirs.getMatrix().to_numpy())
    said = theirs.getTableMetaDataString("inDegrees") if theirs.hasTableMetaDataKey("inDegrees") else None
    assert ours.in_degrees == {None: None, "yes": True, "no": False}[said]


def test_comma_separated_storage_with_padded_header_and_false_row_count(data_dir):
    motion = read_storage(data_dir / "arm_lift" / "inverse_kin.mot")
    assert motion.values.shape == (88, 25)
    assert motion.in_degrees is True
    assert motion["elbow_flexion"][0] == 42.06628447
    assert motion.notes == (f"{motion.path}: header announces 250 rows, the file has 88; using those it has",)
    moments = read_storage(data_dir / "arm_lift" / "inverse_dyn.sto")
    assert moments.in_degrees is False
    assert moments["elbow_flexion_moment"][0] == 2.36539107


# Forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", ["\t", " ", "   ", ",", ";"])
def test_storage_separators(tmp_path, separator):
    rows = [["time", "a", "b"], ["0", "1", "-2e-1"], ["0.1", "3", "4"], ["0.2", "5", "6"]]
    text = STORAGE + "".join(separator.join(r) + "\n" for r in rows)
    table = read_storage(write(tmp_path, "x.mot", text))
    assert table.columns == ("a", "b")
    np.testing.assert_array_equal(table.values, [[1, -0.2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(table.time, [0, 0.1, 0.2])
    assert table.notes == ()


def test_tab_header_with_blank_separated_numbers_and_windows_line_ends(tmp_path):
    text = (STORAGE + "time\ta\tb\n  0.0   1.0   2.0\n  0.1   3.0   4.0\n\n").replace("\n", "\r\n")
    table = read_storage(write(tmp_path, "x.sto", text))
    np.testing.assert_array_equal(table.values, [[1, 2], [3, 4]])
    assert "announces 3 rows, the file has 2" in table.notes[0]


def test_old_simm_header(tmp_path):
    text = "motion\nnRows=2\n\n# SIMM Motion File Header:\nname m\ndatarows 2\nrange 0 1\nendheader\n"
    text += "time\ta\n0\t1\n1\t2\n"
    table = read_storage(write(tmp_path, "x.mot", text))
    assert table.in_degrees is None
    assert table.columns == ("a",)


@pytest.mark.parametrize(
    "text",
    [
        "time,a,b\n0,1,\n0.5,,4\n",
        "# a comment\nTime;a;b\n0;1,0;\n0,5;NaN;4,0\n",
        "b,t,a\n,0,1\n4,0.5,NA\n",
        '"time","a","b"\n0,"1",\n0.5,"",4\n,,\n',
        "\ufefftime\ta\tb\n0\t1\t\n0.5\t\t4\n",
    ],
)
def test_csv_forms(tmp_path, text):
    table = read_csv(write(tmp_path, "x.csv", text))
    np.testing.assert_array_equal(table.time, [0, 0.5])
    np.testing.assert_array_equal(table["a"], [1, np.nan])
    np.testing.assert_array_equal(table["b"], [np.nan, 4])


def test_csv_with_a_named_time_column(tmp_path):
    path = write(tmp_path, "x.csv", "stamp,a\n0,1\n1,2\n")
    np.testing.assert_array_equal(read_table(path, time_column="stamp").time, [0, 1])
    with pytest.raises(InputError, match=r"no time column 'time'.*set time_column"):
        read_table(path)


def test_csv_round_trip_is_exact(tmp_path):
    rng = np.random.default_rng(3)
    time = np.cumsum(rng.uniform(0.001, 0.1, 200))
    columns = {"a": rng.normal(size=200) * 1e-9, 'odd, "name"': rng.normal(size=200)}
    columns["a"][17] = np.nan
    write_csv(tmp_path / "x.csv", time, columns)
    table = read_csv(tmp_path / "x.csv")
    np.testing.assert_array_equal(table.time, time)
    for name, values in columns.items():
        np.testing.assert_array_equal(table[name], values)


# Broken files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.mot", "Coordinates\nnRows=1\ntime\ta\n0\t1\n", "no 'endheader' line"),
        ("x.mot", STORAGE, "nothing follows 'endheader'"),
        ("x.mot", STORAGE + "time\ta\n", "has 0 rows of data"),
        ("x.mot", STORAGE + "t\ta\n0\t1\n1\t2\n", "first column is 't', expected 'time' on line 7"),
        ("x.mot", STORAGE.replace("yes", "maybe") + "time\ta\n0\t1\n1\t2\n", "inDegrees=maybe is neither"),
        ("x.sto", "DataType=Vec3\n" + STORAGE + "time\ta\n0\t1,2,3\n", "DataType=Vec3 holds vectors"),
        ("x.mot", STORAGE + "time\ta\n0\t1\n1\t2\n1\t3\n", "time 1 s is duplicated .lines 9 and 10."),
        ("x.mot", STORAGE + "time\ta\n0\t1\n2\t2\n1\t3\n", "time runs backwards on line 10 .from 2 to 1 s."),
        ("x.mot", STORAGE + "time\ta\n0\t1\nnan\t2\n1\t3\n", "line 9 has no time"),
        ("x.mot", STORAGE + "time\ta\tb\n0\t1\t2\n1\t2\t3\n2\t3", "line 10 has 2 cells.*cut off"),
        ("x.mot", STORAGE + "time\ta\n0\t1\n1\t2\t7\n2\t3\n", "line 9 has 3 cells, the 2 columns"),
        ("x.csv", "time,a\n0,1\n1,#DIV/0!\n", "line 3, column 'a': '#DIV/0!' is not a number"),
        ("x.csv", "time,a\n0,1\n1,inf\n", "line 3, column 'a': infinite"),
        ("x.csv", "time,a\n0,0,5\n1,0,6\n", "decimal comma"),
        ("x.csv", "0,1\n1,2\n2,3\n", "no time column 'time'; choose from: column 1, column 2"),
        ("x.csv", "time,Time,a\n0,0,1\n1,1,2\n", "several time columns"),
        ("x.csv", "", "is an empty file"),
        ("x.csv", b"time,a\n0,1\x00\x00\n", "binary file"),
        ("x.xlsx", b"PK", "cannot be read as a workbook"),
        ("x.bin", b"\0\1\2", "unknown kind of file '.bin'; supported are"),
        ("x.c3d", b"\x02\x50" + bytes(20), "is not a C3D file"),
        ("x.c3d", b"\x02\x50" + bytes(2000), "cannot be read as C3D"),
        ("x.c3d", b"time,a\n" * 200, "is not a C3D file"),
    ],
)
def test_broken_file(tmp_path, name, text, message):
    path = write(tmp_path, name, text)
    with pytest.raises(InputError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_file_suggests_a_neighbour(tmp_path):
    write(tmp_path, "coordinates.sto", STORAGE)
    with pytest.raises(InputError, match=r"cordinates.sto: no such file; did you mean 'coordinates.sto'"):
        read_table(tmp_path / "cordinates.sto")
    with pytest.raises(InputError, match="nor its folder"):
        read_table(tmp_path / "nowhere" / "x.c3d")


def test_column_lookup(tmp_path):
    table = read_csv(write(tmp_path, "x.csv", "time,knee_angle_r,emg,emg\n0,1,2,3\n1,2,3,4\n"))
    with pytest.raises(InputError, match=r"x.csv: no column 'knee_angle'; did you mean 'knee_angle_r'"):
        table["knee_angle"]
    with pytest.raises(InputError, match="column 'emg' appears 2 times"):
        table["emg"]
    assert suggest("x", []) == "; there are none"
    assert suggest("Knee", ["hip", "knee"]) == "; did you mean 'knee'?"


def test_cut_storage_never_escapes_as_another_exception(tmp_path):
    """Cut a good file at every place: it reads, or says in one line why not."""
    text = STORAGE + "time\ta\tb\n0.0\t1.0\t2.0\n0.1\t3.0\t4.0\n0.2\t5.0\t6.0\n"
    outcomes = [attempt(read_storage, write(tmp_path, "x.sto", text[:end])) for end in range(len(text))]
    assert {len(o.time) for o in outcomes if isinstance(o, Table)} == {2, 3}
    assert not any("\n" in o for o in outcomes if isinstance(o, str))


def test_damaged_bytes_never_escape_as_another_exception(tmp_path):
    good = (STORAGE + "time\ta\tb\n0.0\t1.0\t2.0\n0.1\t3.0\t4.0\n0.2\t5.0\t6.0\n").encode()
    rng = np.random.default_rng(0)
    for _ in range(300):
        bad = bytearray(good)
        for i in rng.integers(len(bad), size=rng.integers(1, 6)):
            bad[i] = rng.integers(256)
        path = write(tmp_path, "x.mot", bytes(bad))
        for reader in (read_storage, read_csv):
            outcome = attempt(reader, path)
            if isinstance(outcome, str):
                assert "\n" not in outcome
            else:
                assert np.all(np.diff(outcome.time) > 0)
