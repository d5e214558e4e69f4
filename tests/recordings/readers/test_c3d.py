"""C3D files: what is written is read, and a real recording."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers import confined
from mjx_msm.recordings.readers.c3d import read_c3d
from mjx_msm.recordings.readers.c3d_sizes import DEC, INTEL, MIPS, check_sizes
from mjx_msm.recordings.readers.reading import read_table


def synthetic_c3d(path: Path, *, first_frame: int = 0) -> np.ndarray:
    """Two markers at 50 Hz in millimetres, two analog channels at 200 Hz; returns the analogs."""
    import ezc3d

    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [50.0]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["LABELS"]["value"] = ("knee", "hip")
    file["parameters"]["ANALOG"]["RATE"]["value"] = [200.0]
    file["parameters"]["ANALOG"]["LABELS"]["value"] = ("vastus", " biceps ")
    file["parameters"]["ANALOG"]["UNITS"]["value"] = ("V", "V")
    points = np.ones((4, 2, 30))
    points[:3, 0] = 250.0
    points[:3, 1, 4] = np.nan
    file["data"]["points"] = points
    analogs = np.random.default_rng(1).normal(size=(1, 2, 120)).astype(np.float32)
    file["data"]["analogs"] = analogs
    file["header"]["points"]["first_frame"] = first_frame
    file.write(str(path))
    return analogs[0].T.astype(float)


def test_c3d_round_trip(tmp_path):
    analogs = synthetic_c3d(tmp_path / "x.c3d")
    file = read_c3d(tmp_path / "x.c3d")
    assert file.analogs is not None
    assert file.markers is not None
    assert file.analogs.columns == ("vastus", "biceps")
    assert file.analogs.units == ("V", "V")
    np.testing.assert_array_equal(file.analogs.values, analogs)
    np.testing.assert_allclose(file.analogs.time, np.arange(120) / 200, atol=1e-12)
    np.testing.assert_allclose(file.markers.time, np.arange(30) / 50, atol=1e-12)
    np.testing.assert_allclose(file.markers.position[:, 0], 0.25)
    assert np.isnan(file.markers.position[4, 1]).all()
    assert np.isfinite(file.markers.position[5, 1]).all()
    np.testing.assert_array_equal(read_table(tmp_path / "x.c3d").values, analogs)


def test_c3d_recording(data_dir):
    file = read_c3d(data_dir / "arm_lift" / "markers_analogs.c3d")
    assert file.analogs is not None
    assert file.markers is not None
    assert file.markers.position.shape == (580, 51, 3)
    assert file.analogs.values.shape == (11600, 38)
    assert file.analogs.rate == pytest.approx(2000)
    assert "Biceps.EMG4" in file.analogs.columns
    assert set(file.analogs.units) == {"V"}
    # The box stands on its support before it is lifted
    box = [file.markers.labels.index(n) for n in file.markers.labels if n.startswith("boite:")]
    height = np.nanmean(file.markers.position[:, box, 2], axis=1)
    np.testing.assert_allclose(height[:150], height[0], atol=2e-3)
    assert height[300] - height[0] > 0.2
    # Both marker and analog clocks cover the same span
    assert abs(file.markers.time[-1] - file.analogs.time[-1]) < 0.011


# Damage --------------------------------------------------------------------------------------------------


def changed(path: Path, group: bytes, name: bytes, skip: int, data: bytes) -> None:
    """Overwrite bytes of a parameter, `skip` bytes after its name."""
    content = bytearray(path.read_bytes())
    at = content.index(name, content.index(group)) + len(name) + skip
    content[at : at + len(data)] = data
    path.write_bytes(content)


def refused(path: Path, match: str) -> None:
    before = time.monotonic()
    with pytest.raises(InputError, match=match) as error:
        read_c3d(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert time.monotonic() - before < 5


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_said_to_be(tmp_path, part):
    synthetic_c3d(tmp_path / "x.c3d")
    content = (tmp_path / "x.c3d").read_bytes()
    start = 1536  # of the data
    (tmp_path / "x.c3d").write_bytes(content[: start + int(part * 30 * 4 * (2 * 4 + 2 * 4))])
    held = int(part * 30)
    refused(tmp_path / "x.c3d", rf"is cut off: it announces 30 frames of 2 markers and 2 .* and holds {held}")


@pytest.mark.parametrize(
    ("group", "name", "value", "match"),
    [
        (b"ANALOG", b"RATE", 2e9, "2e.09 Hz does not go with POINT:RATE"),  # took 8 GB and 20 s
        (b"ANALOG", b"RATE", np.nan, "does not go with"),
        (b"POINT", b"RATE", 1e-30, "does not go with"),
        (b"POINT", b"RATE", 0.0, "does not go with"),
        (b"ANALOG", b"RATE", 200 * 400.0, "more than the file has room for"),
    ],
)
def test_a_corrupt_rate_is_refused_before_it_is_believed(tmp_path, group, name, value, match):
    synthetic_c3d(tmp_path / "x.c3d")
    changed(tmp_path / "x.c3d", group, name, 4, np.float32(value).tobytes())
    refused(tmp_path / "x.c3d", match)


@pytest.mark.slow
def test_what_breaks_its_reader_down_does_not_break_the_caller_down(tmp_path, monkeypatch):
    """Whatever ezc3d does to its process: a crash, no end, memory without bounds."""
    path = tmp_path / "x.c3d"
    synthetic_c3d(path)
    script = tmp_path / "c3d.py"
    own = (confined.PARSERS / "c3d.py").read_text(encoding="utf-8")
    (tmp_path / "process.py").write_bytes((confined.PARSERS / "process.py").read_bytes())
    monkeypatch.setattr(confined, "PARSERS", tmp_path)
    for body, match, wait in (
        ("import os; os.kill(os.getpid(), 11)", "its reader broke down", 60),
        ("raise MemoryError", r"\(MemoryError\)", 60),
        ("x = bytearray(20 * 2**30)", r"\(MemoryError\)", 60),
        ("while True: pass", "its reader broke down", 60),  # ended by the limit on processor time, however busy it is
        ("import time; time.sleep(60)", "does not come to an end", 4),
    ):
        script.write_text(own.replace("    file = ", f"    {body}\n    file = ", 1), encoding="utf-8")
        monkeypatch.setattr(confined, "PROCESSOR_SECONDS", 1)
        monkeypatch.setattr(confined, "WAIT", wait)
        refused(path, match)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("import no_such_library", r"could not start \(No module named 'no_such_library'\); install ezc3d"),
        ("import os; os.kill(os.getpid(), 11)", r"could not start \(its reader broke down\)"),
        ("import time; time.sleep(60)", "could not start"),
    ],
)
def test_a_reader_that_does_not_start_is_not_the_files_fault(tmp_path, monkeypatch, body, match):
    synthetic_c3d(tmp_path / "x.c3d")
    own = (confined.PARSERS / "c3d.py").read_text(encoding="utf-8")
    (tmp_path / "process.py").write_bytes((confined.PARSERS / "process.py").read_bytes())
    monkeypatch.setattr(confined, "PARSERS", tmp_path)
    monkeypatch.setattr(confined, "PROCESSOR_SECONDS", 1)
    monkeypatch.setattr(confined, "WAIT", 3)
    script = own.replace("LIBRARY = ", f"{body}\nLIBRARY = ")
    (tmp_path / "c3d.py").write_text(script, encoding="utf-8")
    refused(tmp_path / "x.c3d", match)


CONFINED = """
import resource, sys
which, most = getattr(resource, sys.argv[2]), int(sys.argv[3])
resource.setrlimit(which, (most, most))
from mjx_msm.recordings.readers.c3d import read_c3d
print(read_c3d(sys.argv[1]).analogs.values.shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits on address space are a thing of Linux")
@pytest.mark.parametrize(("which", "most"), [("RLIMIT_AS", 2**31 - 2**20), ("RLIMIT_CPU", 4), ("RLIMIT_AS", 2**40)])
def test_a_limit_on_the_caller_does_not_damage_the_file(tmp_path, which, most):
    """`ulimit -v` and `-t` cannot be raised; what is below them can be read."""
    synthetic_c3d(tmp_path / "x.c3d")
    command = [sys.executable, "-c", CONFINED, str(tmp_path / "x.c3d"), which, str(most)]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert done.stdout == "(120, 2)\n", done.stderr


@pytest.mark.parametrize("processor", [INTEL, DEC, MIPS])
def test_sizes_are_those_announced_on_every_processor(tmp_path, processor):
    """A file made by hand after the C3D User Guide."""
    order = ">" if processor == MIPS else "<"

    def real(x: float) -> bytes:
        if processor != DEC:
            return struct.pack(f"{order}f", x)
        plain = struct.pack("<f", 4 * x)
        return plain[2:] + plain[:2]

    def entry(number: int, name: bytes, data: bytes = b"") -> bytes:
        return struct.pack("bb", len(name), number) + name + struct.pack(f"{order}h", 2 + len(data)) + data

    def word(value: int) -> bytes:
        return b"\x02\x00" + struct.pack(f"{order}H", value)

    parameters = entry(-1, b"POINT", b"\0") + entry(-2, b"ANALOG", b"\0")
    parameters += entry(1, b"USED", word(3)) + entry(1, b"RATE", b"\x04\x00" + real(60.0))
    parameters += entry(1, b"SCALE", b"\x04\x00" + real(-0.1)) + entry(1, b"DATA_START", word(3))
    parameters += entry(1, b"LABELS", b"\xff\x02\x04\x03" + b"a   b   c   ")
    parameters += entry(2, b"USED", word(5)) + entry(2, b"RATE", b"\x04\x00" + real(1200.0)) + bytes(4)
    header = struct.pack(f"{order}10H", 0x5002 if order == "<" else 0x0250, 3, 100, 1, 7, 0, 0, 0, 3, 20)
    header = header[:12] + real(-0.1) + header[16:20] + real(60.0)
    content = header.ljust(512, b"\0") + (bytes([1, 0x50, 1, processor]) + parameters).ljust(512, b"\0")
    frame = 4 * (4 * 3 + 5 * 20)
    check_sizes(tmp_path, content + bytes(7 * frame))
    with pytest.raises(InputError, match="7 frames of 3 markers and 5 analog channels and holds 6"):
        check_sizes(tmp_path, content + bytes(7 * frame - 1))
