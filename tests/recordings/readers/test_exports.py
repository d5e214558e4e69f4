"""What the programs of laboratories export as text: files as they write them, small, and what is found in them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.reading import read_contents, read_table, read_tables
from mjx_msm.recordings.readers.timing import Timing, tables_of


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


VICON = (
    "Devices\n1000\n,,Trigno EMG - Voltage,,Force Plate - Force,,\n"
    "Frame,Sub Frame,VL,BF,Fx,Fy,Fz\n,,mV,mV,N,N,N\n"
    + "".join(f"{353 + i // 10},{i % 10},{i},{-i},1,2,3\n" for i in range(40))
    + "\nModel Outputs\n100\n,,Anna:LKneeAngles,,,Anna:LKneeMoment,,\n"
    "Frame,Sub Frame,X,Y,Z,X,Y,Z\n,,deg,deg,deg,N.mm/kg,N.mm/kg,N.mm/kg\n"
    + "".join(f"{353 + i},0,{60 + i},1,2,{300 * i},,\n" for i in range(4))
    + "\nTrajectories\n100\n,,Anna:LKNE,,\nFrame,Sub Frame,X,Y,Z\n,,mm,mm,mm\n"
    + "".join(f"{353 + i},0,1,2,3\n" for i in range(4))
)


@pytest.mark.parametrize("separator", [",", "\t"])
def test_vicon_sections_each_on_its_clock(tmp_path, separator):
    path = write(tmp_path, "walk.csv", VICON.replace(",", separator))
    contents = read_contents(path)
    assert contents.taken_for == "Vicon Nexus' export"
    assert [b.name for b in contents.blocks] == ["Devices", "Model Outputs", "Trajectories"]
    assert contents.trimmed == 3.52
    assert contents.notes == ()
    devices, others = read_tables(path)
    assert (devices.rate, others.rate) == pytest.approx((1000, 100))
    assert devices.time[0] == others.time[0] == 3.52  # frame 353 at 100 Hz
    np.testing.assert_array_equal(devices["VL"], np.arange(40))
    np.testing.assert_array_equal(others["LKneeAngles/X"], 60 + np.arange(4))
    np.testing.assert_array_equal(others["LKneeMoment/X"], 300 * np.arange(4))
    assert np.isnan(others["LKneeMoment/Y"]).all()
    assert (devices.unit("VL"), others.unit("LKneeAngles/X"), others.unit("LKneeMoment/X")) == ("mV", "deg", "N.mm/kg")
    with pytest.raises(InputError, match=r"'LKneeAngles' may be 'Anna:LKneeAngles/X', .*write which"):
        others["LKneeAngles"]
    with pytest.raises(InputError, match="holds columns on 2 clocks"):
        read_table(path)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("Devices\n1000", "Devices\nfast", r"section 'Devices' \(line 1\) has 'fast' where its rate"),
        ("353,3,3,-3,1,2,3\n", "", "frames do not follow each other on line 9"),
        ("353,3,3,-3", "353,3,x,-3", r"line 9, column 'Trigno EMG - Voltage/VL': 'x' is not a number"),
    ],
)
def test_what_is_wrong_with_a_section_leaves_the_others(tmp_path, old, new, match):
    assert old in VICON
    contents = read_contents(write(tmp_path, "walk.csv", VICON.replace(old, new, 1)))
    assert [b.name for b in contents.blocks] == ["Model Outputs", "Trajectories"]
    (note,) = contents.notes
    assert re.search(match, note)


def test_rows_below_the_empty_line_that_ends_a_section_are_said(tmp_path):
    split = VICON.replace("355,3,23", "\n355,3,23", 1)
    assert split != VICON
    contents = read_contents(write(tmp_path, "walk.csv", split))
    assert [len(b.values) for b in contents.blocks] == [23, 4, 4]
    (note,) = contents.notes
    assert "section 'Devices' ends at the empty line 29, but rows go on from line 30; 17 are left out" in note


def test_emgworks_has_a_time_before_every_channel(tmp_path):
    rows = []
    for i in range(100):
        imu = f"{i / 50:.6f},{i * 0.1}" if i < 4 else ","
        rows.append(f"{i / 2000:.6f},{i * 1e-6:.9f},{i / 2000:.6f},{-i * 1e-6:.9f},{imu}")
    names = '"X[s]","L RECTUS FEMORIS: EMG 1 [V]","X[s]","L BICEPS FEMORIS: EMG 2 [V]"'
    names += ',"X[s]","L RECTUS FEMORIS: ACC.X 1 [g]"'
    path = write(tmp_path, "emg.csv", names + "\n" + "\n".join(rows) + "\n")
    emg, imu = read_tables(path)
    assert read_contents(path).taken_for == "Delsys' export"
    assert emg.columns == ("L RECTUS FEMORIS: EMG 1 [V]", "L BICEPS FEMORIS: EMG 2 [V]")
    assert emg.units == ("V", "V")
    assert (len(emg.time), len(imu.time)) == (100, 4)
    assert (emg.rate, imu.rate) == pytest.approx((2000, 50))
    np.testing.assert_allclose(emg["L RECTUS FEMORIS: EMG 1 [V]"], np.arange(100) * 1e-6)


def test_trigno_discover_names_sensors_above_their_channels(tmp_path):
    head = (
        "Application:,Trigno Discover (1.7.0)\nDate/Time:,7/3/2024\nCollection Length (seconds):,0.1\n"
        "VL (81234),,,,BF (81235),,\nsensor mode: 40,,,,sensor mode: 40,,\n"
        "EMG 1 Time Series (s),EMG 1 (mV),ACC X Time Series (s),ACC X (G),EMG 1 Time Series (s),EMG 1 (mV)\n"
        ",2000 Hz,,100 Hz,,1000 Hz\n"
    )
    rows = []
    for i in range(40):
        cells = [f"{i / 2000}", f"{i}"]
        cells += [f"{i / 100}", "1"] if i < 3 else ["", ""]
        cells += [f"{i / 1000}", f"{-i}"] if i < 20 else ["", ""]
        rows.append(",".join(cells).rstrip(","))  # as a spreadsheet that was saved again would
    tables = read_tables(write(tmp_path, "t.csv", head + "\n".join(rows)))
    assert [t.columns for t in tables] == [
        ("VL (81234)/EMG 1 (mV)",), ("VL (81234)/ACC X (G)",), ("BF (81235)/EMG 1 (mV)",)
    ]  # fmt: skip
    assert [round(t.rate) for t in tables] == [2000, 100, 1000]
    np.testing.assert_array_equal(tables[2]["BF (81235)/EMG 1 (mV)"], -np.arange(20))


def test_motive(tmp_path):
    text = (
        "Format Version,1.23,Take Name,walk,Capture Frame Rate,120.000000,Rotation Type,XYZ,Length Units,Meters\n\n"
        ",Type,Rigid Body,Rigid Body,Marker,Marker,Marker\n,Name,Shank,Shank,Leg:Knee,Leg:Knee,Leg:Knee\n"
        ",ID,1,1,2,2,2\n,,Rotation,Rotation,Position,Position,Position\nFrame,Time (Seconds),X,Y,X,Y,Z\n"
        "0,0.000000,1,2,3,4,5\n1,0.008333,1,2,,,\n2,0.016667,1,2,3,4,5\n"
    )
    table = read_table(write(tmp_path, "take.csv", text))
    assert table.columns[0] == "Shank/Rotation/X"
    assert table.rate == pytest.approx(120, rel=1e-3)
    assert table.unit("Knee/Position/Z") == "m"
    assert table.unit("Shank/Rotation/Y") == "deg"
    np.testing.assert_array_equal(table["Leg:Knee/Position/Z"], [5, np.nan, 5])


@pytest.mark.parametrize("named", [False, True])
def test_qualisys(tmp_path, named):
    head = "NO_OF_FRAMES\t3\nNO_OF_MARKERS\t2\nFREQUENCY\t200\nDATA_INCLUDED\t3D\nMARKER_NAMES\tknee\tankle\n"
    rows = [[1, 2, 3, 4, 5, 6], [0, 0, 0, 4, 5, 6], [1, 2, 3, 4, 5, 7]]
    if named:
        head += "Frame\tTime\tknee X\tknee Y\tknee Z\tankle X\tankle Y\tankle Z\n"
        rows = [[i + 1, i / 200, *row] for i, row in enumerate(rows)]
    path = write(tmp_path, "q.tsv", head + "".join("\t".join(map(str, r)) + "\n" for r in rows))
    table = read_table(path)
    assert table.columns == ("knee/X", "knee/Y", "knee/Z", "ankle/X", "ankle/Y", "ankle/Z")
    assert set(table.units) == {"mm"}
    np.testing.assert_allclose(table.time, [0, 0.005, 0.01])
    np.testing.assert_array_equal(table["knee/X"], [1, np.nan, 1])
    np.testing.assert_array_equal(table["ankle/Z"], [6, 6, 7])


def test_visual3d_has_four_rows_of_names_and_counts_frames(tmp_path):
    head = "\tC:\\a\\w1.c3d\tC:\\a\\w1.c3d\tC:\\a\\w2.c3d\n\tR_KNEE\tR_KNEE\tR_KNEE\n" + "\tLINK\tLINK\tLINK\n" * 2
    rows = "".join(f"{i + 1}\t{i}\t{-i}\t{2 * i}\n" if i < 15 else f"{i + 1}\t{i}\t{-i}\t\n" for i in range(20))
    path = write(tmp_path, "v3d.txt", f"{head}ITEM\tX\tY\tX\n{rows}")
    contents = read_contents(path)
    assert contents.taken_for == "Visual3D's export"
    assert contents.columns == ("w1/frame", "w1/R_KNEE/X", "w1/R_KNEE/Y", "w2/frame", "w2/R_KNEE/X")
    with pytest.raises(InputError, match=r"'frame' counts frames, and nothing says how many .*set sampling_rate"):
        read_tables(path)
    (table, *_) = tables_of(contents, Timing(rate=200.0), columns=["w1/R_KNEE/Y"], full_names=True)
    np.testing.assert_allclose(table["w1/R_KNEE/Y"], -np.arange(20))
    np.testing.assert_allclose(table.time, np.arange(20) / 200)
    timed = head.replace("\tR_KNEE", "\tTIME", 1)
    rows = "".join(f"{i + 1}\t{i / 50}\t{-i}\t{2 * i}\n" for i in range(20))
    own = read_tables(write(tmp_path, "v3d.txt", f"{timed}ITEM\tX\tY\tX\n{rows}".replace("w2", "w1")))
    assert own[0].rate == pytest.approx(50)
    folders = "\tw1.c3d\tw1.c3d\tw1.c3d\n\tTIME\tRF\tRF\n\tF\tA\tA\n\tORIGINAL\tORIGINAL\tPROCESSED\n"
    (both,) = read_tables(write(tmp_path, "folders.txt", f"{folders}ITEM\tX\tX\tX\n{rows}"))
    assert both.columns == ("frame", "ORIGINAL/RF/X", "PROCESSED/RF/X")
    with pytest.raises(InputError, match="its header has 2 names over 4 columns; export it again"):
        read_contents(write(tmp_path, "v3d.txt", f"\ta\n\tb\n\tc\n\td\nITEM\tX\tY\tX\n{rows}"))


def test_trc_equals_opensim(tmp_path):
    import opensim

    text = (
        "PathFileType\t4\t(X/Y/Z)\tm.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\t"
        "OrigDataStartFrame\tOrigNumFrames\n100\t100\t4\t2\tmm\t100\t1\t4\n"
        "Frame#\tTime\tR.Knee\t\t\tR.Ankle\t\t\n\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n\n"
        + "".join(f"{i + 1}\t{i / 100}\t{i}\t2\t3\t4\t5\t{6 * i}\n" for i in range(4))
    )
    path = write(tmp_path, "m.trc", text)
    ours, theirs = read_table(path), opensim.TimeSeriesTableVec3(str(path))
    np.testing.assert_array_equal(ours.time, theirs.getIndependentColumn())
    for name in theirs.getColumnLabels():
        column = theirs.getDependentColumn(name)
        for k, axis in enumerate("xyz"):
            expected = [column.getElt(i, 0)[k] for i in range(column.nrow())]
            np.testing.assert_array_equal(ours[f"{name}/{axis}"], expected)
    assert ours.unit("R.Knee/x") == "mm"


def _rows(count: int, blank: int, line) -> str:
    """Rows with an empty line after `blank` of them, and two at the end."""
    rows = [line(i) for i in range(count)]
    return "\n".join([*rows[:blank], "", *rows[blank:], "", ""])


def _trc(said: int, count: int) -> str:
    return (
        "PathFileType\t4\t(X/Y/Z)\tm.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n"
        f"100\t100\t{said}\t1\tmm\nFrame#\tTime\tKnee\t\t\n\t\tX1\tY1\tZ1\n\n"
    ) + _rows(count, 50, lambda i: f"{i + 1}\t{i / 100}\t{i}\t2\t3")


def _qualisys(said: int, count: int) -> str:
    head = f"NO_OF_FRAMES\t{said}\nNO_OF_MARKERS\t1\nFREQUENCY\t100\nMARKER_NAMES\tKnee\n"
    return head + "Frame\tTime\tKnee X\tKnee Y\tKnee Z\n" + _rows(count, 50, lambda i: f"{i + 1}\t{i / 100}\t{i}\t2\t3")


def _motive(said: int, count: int) -> str:
    head = f"Format Version,1.23,Capture Frame Rate,100.0,Total Exported Frames,{said},Length Units,Millimeters\n\n"
    head += ",Type,Marker,Marker,Marker\n,Name,Knee,Knee,Knee\n,ID,1,1,1\n,,Position,Position,Position\n"
    return head + "Frame,Time (Seconds),X,Y,Z\n" + _rows(count, 50, lambda i: f"{i},{i / 100},{i},2,3")


@pytest.mark.parametrize(
    ("name", "text", "column"),
    [("m.trc", _trc, "Knee/x"), ("q.tsv", _qualisys, "Knee/X"), ("t.csv", _motive, "Knee/Position/X")],
)
def test_rows_go_on_below_an_empty_line_and_are_counted(tmp_path, name, text, column):
    table = read_table(write(tmp_path, name, text(200, 200)))
    np.testing.assert_array_equal(table[column][1:], np.arange(1, 200))
    np.testing.assert_allclose(table.time, np.arange(200) / 100)
    assert table.notes == ()
    (note,) = read_table(write(tmp_path, name, text(200, 120))).notes
    assert "header announces 200 rows, the file has 120" in note


def test_frames_of_qualisys_without_a_marker_keep_their_time(tmp_path):
    """Without a column of frames or times, an empty row is a frame in which nothing was seen."""
    head = "NO_OF_FRAMES\t5\nNO_OF_MARKERS\t1\nFREQUENCY\t100\nMARKER_NAMES\tKnee\n"
    table = read_table(write(tmp_path, "q.tsv", head + "1\t2\t3\n1\t2\t3\n\t\t\n\n5\t2\t3\n\n"))
    np.testing.assert_array_equal(table["Knee/X"], [1, 1, np.nan, np.nan, 5])
    assert table.time[-1] == pytest.approx(0.04)
    assert table.notes == ()


def test_noraxon_has_a_preamble_and_a_line_of_units(tmp_path):
    text = (
        "Name,walking trial\nMeasurement type,EMG\nFrequency,1500\n\n"
        '"time","Ultium EMG.LT VLO","Ultium EMG.LT BIC. FEM.","Activity"\n"s","uV","uV",""\n'
        + "".join(f"{i / 1500:.7f},{i},{-i},walk\n" for i in range(20))
    )
    table = read_table(write(tmp_path, "n.csv", text))
    assert table.columns == ("Ultium EMG.LT VLO", "Ultium EMG.LT BIC. FEM.")
    assert table.units == ("uV", "uV")
    assert table.rate == pytest.approx(1500, rel=1e-4)
    assert table.header["Measurement type"] == "EMG"
    assert "column 'Activity' hold words" in table.notes[0]


BIODEX = (
    "BIODEX ADVANTAGE SOFTWARE\n"
    + "".join(f"Header line {i}: something\n" for i in range(48))
    + "Gravity effect torque: 9.5 FT-LBS\n"
    + "  mSec     TORQUE   POSITION   POS (ANAT)   VELOCITY\n"
    + "           FT-LBS   DEGREES    DEGREES      DEG/SEC\n\n"
    + "".join(
        f"  {10 * i:5d}   {10.0 + i:8.1f}   {80.0 - i:8.1f}   {90.0 - i:8.1f}   {-60.0:8.1f}\n" for i in range(30)
    )
)


def test_biodex_has_52_lines_above_milliseconds_and_foot_pounds(tmp_path):
    assert BIODEX.split("\n").index("") == 52
    table = read_table(write(tmp_path, "biodex.txt", BIODEX))
    assert table.columns == ("TORQUE", "POSITION", "POS (ANAT)", "VELOCITY")
    assert table.units == ("FT-LBS", "DEGREES", "DEGREES", "DEG/SEC")
    assert table.rate == pytest.approx(100)
    np.testing.assert_allclose(table["TORQUE"], 10 + np.arange(30))
    np.testing.assert_allclose(table["POS (ANAT)"], 90 - np.arange(30))


def test_humac_has_tabs_and_units_in_brackets(tmp_path):
    text = (
        "HUMAC NORM\nPatient:\tX\nTest:\tCON/CON 60/60\n\nTime (msec)\tTorque (Nm)\tPosition (deg)\tSpeed (deg/sec)\n"
    )
    text += "".join(f"{10 * i}\t{5 + i},5\t{90 - i}\t60\n" for i in range(20))
    table = read_table(write(tmp_path, "humac.txt", text))
    assert table.columns == ("Torque (Nm)", "Position (deg)", "Speed (deg/sec)")
    assert table.units == ("Nm", "deg", "deg/sec")
    assert table.rate == pytest.approx(100)
    assert table["Torque (Nm)"][0] == 5.5


# Plain tables ------------------------------------------------------------------------------------------------


def test_names_in_a_comment_and_a_rate_that_is_known(tmp_path):
    """The UCI's lower limb data, MATLAB dumps: no time."""
    path = write(tmp_path, "x.txt", "# subject 3\n# RF BF VM\n" + "".join(f"{i} {2 * i} {-i}\n" for i in range(10)))
    (table,) = read_tables(path, Timing(rate=1000.0))
    assert table.columns == ("RF", "BF", "VM")
    np.testing.assert_allclose(table.time, np.arange(10) / 1000)
    with pytest.raises(InputError, match=r"no time column 'time'.*set sampling_rate"):
        read_tables(path)


def test_neither_names_nor_time(tmp_path):
    path = write(tmp_path, "x.dat", "".join(f"{i},{2 * i}\n" for i in range(10)))
    (table,) = read_tables(path, Timing(rate=100.0))
    assert table.columns == ("column 1", "column 2")
    assert table.notes == (f"{path}: taken for a table of text, because it is text",)
    (named,) = read_tables(path, Timing("column 1", "ms"))
    np.testing.assert_allclose(named.time, np.arange(10) / 1000)


@pytest.mark.parametrize(("first", "expected"), [(0, 0.0), (1, 0.0), (353, 3.52)])
def test_frame_numbers_instead_of_time(tmp_path, first, expected):
    path = write(tmp_path, "x.csv", "Frame,knee\n" + "".join(f"{first + i},{i}\n" for i in range(10)))
    (table,) = read_tables(path, Timing(rate=100.0))
    assert table.columns == ("knee",)
    np.testing.assert_allclose(table.time, expected + np.arange(10) / 100)
    with pytest.raises(InputError, match=r"'Frame' counts frames, and nothing says how many.*sampling_rate"):
        read_tables(path)


def test_frames_that_jump_are_said(tmp_path):
    path = write(tmp_path, "x.csv", "Frame,knee\n1,0\n2,0\n2,0\n4,0\n")
    with pytest.raises(InputError, match=r"lines 3 and 4"):
        read_tables(path, Timing(rate=100.0))


@pytest.mark.parametrize("name", ["Time (ms)", "mSec", "time_ms", "t [ms]", "Time [msec]"])
def test_milliseconds(tmp_path, name):
    path = write(tmp_path, "x.csv", f"{name},RF\n" + "".join(f"{i},{i}\n" for i in range(10)))
    table = read_table(path)
    np.testing.assert_allclose(table.time, np.arange(10) / 1000)
    assert table.columns == ("RF",)


def test_a_user_says_the_unit_of_time(tmp_path):
    path = write(tmp_path, "x.csv", "time,RF\n0,1\n1,2\n2,3\n")
    (table,) = read_tables(path, Timing(unit="ms"))
    np.testing.assert_allclose(table.time, [0, 0.001, 0.002])


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\ntime;Kniewinkel [°];b\n0;1,5;2\n0,5;;3,5\n1;2;4\n".encode("cp1252"),
        "time\tKniewinkel [°]\tb\n0\t1,5\t2\n0,5\t\t3,5\n1\t2\t4\n".encode("utf-16"),
        "time\tKniewinkel [°]\tb\n0\t1,5\t2\n0,5\t\t3,5\n1\t2\t4\n".encode("utf-16-le"),
        "time\tKniewinkel [°]\tb\n0\t1,5\t2\n0,5\t\t3,5\n1\t2\t4\n".encode("utf-16-be"),
        '"sep=,"\ntime,Kniewinkel [°],b\n0,1.5,2\n0.5,,3.5\n1,2,4\n'.encode("utf-8-sig"),
        "time;Kniewinkel [°];b\r\n0,0;1,5;2\r\n0,5;;3,5\r\n1,0;2;4\r\n".encode(),
    ],
)
def test_what_a_german_spreadsheet_saves(tmp_path, content):
    table = read_table(write(tmp_path, "x.csv", content))
    assert table.columns == ("Kniewinkel [°]", "b")
    assert table.units[0] == "°"
    np.testing.assert_array_equal(table.time, [0, 0.5, 1])
    np.testing.assert_array_equal(table["Kniewinkel [°]"], [1.5, np.nan, 2])
    np.testing.assert_array_equal(table["b"], [2, 3.5, 4])


def test_stamps_that_repeat_from_rounding_are_spread_evenly(tmp_path):
    true = np.arange(400) / 1925.93
    path = write(tmp_path, "x.csv", "time,a\n" + "".join(f"{t:.3f},{i}\n" for i, t in enumerate(true)))
    table = read_table(path)
    np.testing.assert_allclose(table.time, true, atol=2e-3)
    assert np.ptp(np.diff(table.time)) < 1e-12
    assert table.rate == pytest.approx(1925.93, rel=2e-3)
    assert "time stamps repeat, as they are rounded to 0.001 s; taken as 192" in table.notes[0]


def test_a_row_that_is_there_twice_is_not_rounding(tmp_path):
    rows = [f"{i / 100:.2f},{i}" for i in range(100)]
    path = write(tmp_path, "x.csv", "time,a\n" + "\n".join([*rows[:50], rows[49], *rows[50:70], rows[69], *rows[70:]]))
    with pytest.raises(InputError, match=r"time 0.49 s is duplicated \(lines 51 and 52, and 1 more\)"):
        read_table(path)


@pytest.mark.parametrize("head", ["time,a,b\n", "name,Anna\n\ntime,a,b\ns,mV,mV\n", ""])
def test_a_first_row_that_is_wrong_is_not_taken_for_a_header(tmp_path, head):
    path = write(tmp_path, "x.csv", head + "0,x,y\n" + "".join(f"{i},1,2\n" for i in range(1, 9)))
    with pytest.raises(InputError, match=r"column '(a|column 2)': 'x' is not a number \(and 1 more cells\)"):
        read_table(path)


def test_names_may_be_numbers(tmp_path):
    table = read_table(write(tmp_path, "x.csv", "time,1,2,3\n" + "".join(f"{i},1,2,3\n" for i in range(9))))
    assert table.columns == ("1", "2", "3")


def test_all_faults_of_a_file_at_once(tmp_path):
    rows = [f"{i / 100:.2f},{i}" for i in range(20)]
    rows[3], rows[7], rows[9] = "0.03,x", "0.07,#N/A!", "0.09,inf"
    with pytest.raises(InputError, match=r"line 5, column 'a': 'x' is not a number \(and 1 more cells\)"):
        read_table(write(tmp_path, "x.csv", "time,a\n" + "\n".join(rows)))
    rows = [f"{i / 100:.2f},{i}" for i in range(20)]
    rows[4], rows[8] = "0.02,4", ",8"
    with pytest.raises(InputError, match=r"line 10 has no time.*; time runs backwards on line 6"):
        read_table(write(tmp_path, "y.csv", "time,a\n" + "\n".join(rows)))


def test_bids_keeps_the_names_of_a_motion_in_its_table_of_channels(tmp_path):
    path = write(tmp_path, "sub-01_tracksys-imu_motion.tsv", "".join(f"{i}\t{-i}\n" for i in range(20)))
    write(tmp_path, "sub-01_tracksys-imu_motion.json", json.dumps({"SamplingFrequency": 50}))
    beside = "name\tcomponent\ttype\tunits\nknee\tx\tJNTANG\tdeg\nhip\tx\tJNTANG\tn/a\n"
    channels = write(tmp_path, "sub-01_tracksys-imu_channels.tsv", beside)
    table = read_table(path)
    assert (table.columns, table.units, table.rate) == (("knee", "hip"), ("deg", ""), pytest.approx(50))
    with pytest.raises(InputError, match=r"is a table of channels, .*give that \(sub-01_tracksys-imu_motion.tsv\)$"):
        read_table(channels)


def test_a_recording_may_be_called_channels(tmp_path):
    path = write(tmp_path, "emg_channels.tsv", "time\tVL\tBF\n" + "".join(f"{i / 100}\t{i}\t1\n" for i in range(20)))
    assert read_table(path).columns == ("VL", "BF")
    alone = write(tmp_path, "x_channels.tsv", "name\ttype\tunits\nRF\tEMG\tmV\n")
    with pytest.raises(InputError, match=r"read beside its recording; give that$"):
        read_table(alone)


def test_the_rate_of_rounded_stamps_is_their_mean(tmp_path):
    time = np.round(np.arange(4000) / 1925.926, 6)
    path = write(tmp_path, "x.csv", "time,a\n" + "".join(f"{t:.6f},{i}\n" for i, t in enumerate(time)))
    assert read_table(path).rate == pytest.approx(1925.926, rel=1e-6)
    time = np.concatenate([np.arange(100), 150 + np.arange(100)]) / 100  # a pause is no step
    path = write(tmp_path, "y.csv", "time,a\n" + "".join(f"{t:.6f},{i}\n" for i, t in enumerate(time)))
    assert read_table(path).rate == pytest.approx(100, rel=1e-9)


@pytest.mark.parametrize("header", [True, False])
def test_bids_says_in_a_sidecar_what_a_table_does_not(tmp_path, header):
    names = ["RF", "BF"]
    text = ("\t".join(names) + "\n" if header else "") + "".join(f"{i}\t{-i}\n" for i in range(20))
    path = write(tmp_path, "sub-01_task-walk_emg.tsv", text)
    side = {"SamplingFrequency": 1000, "StartTime": 0.5, "Columns": names, "RF": {"Units": "mV"}}
    write(tmp_path, "sub-01_task-walk_emg.json", json.dumps(side))
    write(tmp_path, "sub-01_task-walk_channels.tsv", "name\ttype\tunits\nRF\tEMG\tmV\nBF\tEMG\tuV\n")
    table = read_table(path)
    assert table.columns == ("RF", "BF")
    assert table.units == ("mV", "uV")
    np.testing.assert_allclose(table.time, 0.5 + np.arange(20) / 1000)


def test_a_sidecar_that_cannot_be_used_is_said(tmp_path):
    path = write(tmp_path, "x_emg.tsv", "RF\tBF\n1\t2\n2\t3\n")
    write(tmp_path, "x_emg.json", "{")
    with pytest.raises(InputError, match=r"x_emg.json: is not valid JSON"):
        read_table(path)


def test_gzip_is_unpacked(tmp_path):
    import gzip

    path = write(tmp_path, "x.csv.gz", gzip.compress(b"time,a\n0,1\n1,2\n"))
    np.testing.assert_array_equal(read_table(path)["a"], [1, 2])
    write(tmp_path, "x.csv.gz", gzip.compress(b"time,a\n0,1\n1,2\n" * 500)[:-20])
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_table(path)
