"""Files that appear whole or not at all, whatever the disk does; what killed processes leave is cleared."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import LONGEST, YOUNG, beside, file_name, file_names, write_text
from mjx_msm.study.result_folder import result_folder

HOLD = """
import sys, time
from pathlib import Path
from mjx_msm.common.files import beside
with beside(Path(sys.argv[1]), folder=sys.argv[2] == "folder") as made:
    print(made, flush=True)
    time.sleep(600)
"""


def holder(path: Path, kind: str) -> tuple[subprocess.Popen[str], Path]:
    """A process that is in the middle of writing `path`, and its temporary file, made older than it is."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), kind], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    made = Path(process.stdout.readline().strip())
    assert made.exists()
    before = time.time() - 2 * YOUNG
    os.utime(made, (before, before))
    return process, made


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path, kind):
    target = tmp_path / "anna.csv"
    killed, left = holder(target, kind)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    living, held = holder(target, kind)
    try:
        others = [tmp_path / n for n in (".anna.csv.abcd1234.csv", ".bob.csv.mjx_msm-abcd1234.csv", "anna.csv")]
        for other in others:
            other.write_text("mine")
            os.utime(other, (0, 0))
        with beside(target, folder=kind == "folder"):
            pass
        assert not left.exists()
        assert held.exists()
        assert all(o.exists() for o in others)
    finally:
        living.kill()
        living.wait()


def test_a_folder_that_was_just_made_is_not_taken_for_a_leftover(tmp_path):
    young = tmp_path / ".anna.mjx_msm-abcd1234"
    young.mkdir()
    with beside(tmp_path / "anna", folder=True) as made:
        assert young.is_dir()
        assert made.is_dir()
    assert not made.exists()


def test_a_file_is_whole_or_not_there(tmp_path, disk):
    path = tmp_path / "a.json"
    write_text(path, "µ\n")
    assert path.read_bytes() == "µ\n".encode()
    disk.fail(tmp_path, errno.ENOSPC)
    with pytest.raises(InputError, match=r"a\.json .*No space left"):
        write_text(path, "new")
    disk.broken.clear()
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text(encoding="utf-8") == "µ\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no such rights there")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_rights_are_those_of_what_is_replaced_or_the_processs(tmp_path, mask):
    def rights(path):
        return stat.S_IMODE(path.stat().st_mode)

    mine, theirs = tmp_path / "mine.json", tmp_path / "theirs.json"
    theirs.write_text("old")
    theirs.chmod(0o640)
    before = os.umask(mask)
    try:
        write_text(mine, "{}")
        write_text(theirs, "{}")
        with result_folder(tmp_path / "r") as made:
            write_text(made / "a.json", "{}")
        (tmp_path / "r" / "a.json").chmod(0o604)
        with result_folder(tmp_path / "r") as made:
            write_text(made / "a.json", "new")
    finally:
        os.umask(before)
    assert rights(mine) == 0o666 & ~mask
    assert rights(theirs) == 0o640
    assert rights(tmp_path / "r") == 0o777 & ~mask
    assert rights(tmp_path / "r" / "a.json") == 0o604
    assert (tmp_path / "r" / "a.json").read_text() == "new"


def test_names_of_files_are_short_plain_and_apart():
    names = [
        "walk 1",
        "a/b",
        "a_b",
        "a\\b",
        "Walk 1",
        "..",
        "CON",
        "aux.1",
        "ö" * 300,
        "ö" * 301,
        "\x1b[2J",
        "",
        "\udcff",
    ]
    files = file_names(names)
    assert files["walk 1"] == "walk 1"
    assert len({f.casefold() for f in files.values()}) == len(names)
    for file in files.values():
        assert len(file.encode()) <= LONGEST + 4
        assert not set(file) & set('/\\:*?"<>|\x1b')
        assert file.split(".")[0].casefold() not in ("con", "aux", "")
    assert file_name("a/b") == files["a/b"], "the same without the others"
