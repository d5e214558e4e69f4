"""What a file is taken for, and why."""

from pathlib import Path

import numpy as np
import pytest

from mjx_msm.recordings.readers.reading import FORMATS, read_table, recognise

STORAGE = "Coordinates\nnRows=2\nendheader\ntime\ta\n0\t1\n1\t2\n"
TABLE = "time,a\n0,1\n1,2\n"
C3D = b"\x02\x50" + bytes(600)


@pytest.mark.parametrize(
    ("name", "content", "format", "reason", "as_named"),
    [
        ("x.sto", STORAGE, "an OpenSim storage file", "'endheader'", True),
        ("x.csv", STORAGE, "an OpenSim storage file", "'endheader'", False),
        ("x.CSV", TABLE, "a table of text", "ends in .csv", True),
        ("x.mot", TABLE, "an OpenSim storage file", "ends in .mot", True),
        ("x.c3d", C3D, "a C3D file", "second byte is 0x50", True),
        ("x.dat", C3D, "a C3D file", "second byte is 0x50", False),
        ("x.txt", "EP,time\n0,1\n" * 200, "a table of text", "ends in .txt", True),
    ],
)
def test_content_comes_before_the_name(tmp_path: Path, name, content, format, reason, as_named):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = recognise(path)
    assert found.format.name == format
    assert reason in found.reason
    assert found.as_named == as_named


def test_a_file_that_is_not_what_its_name_says_is_told_of(tmp_path: Path):
    for name in ("x.sto", "x.csv"):
        (tmp_path / name).write_text(STORAGE)
    plain, odd = read_table(tmp_path / "x.sto"), read_table(tmp_path / "x.csv")
    np.testing.assert_array_equal(odd.values, plain.values)
    assert plain.notes == ()
    assert odd.notes == (f"{tmp_path / 'x.csv'}: taken for an OpenSim storage file, because a line says 'endheader'",)


def test_no_two_formats_share_a_suffix():
    suffixes = [s for f in FORMATS for s in f.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(s == s.lower() and s.startswith(".") for s in suffixes)
