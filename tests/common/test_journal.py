"""Lines that are whole or not there, whatever the disk does, from one process at a time."""

import subprocess
import sys

import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.common.journal import Journal, read_journal

SMALL_DISK = """
import errno, resource, sys
from pathlib import Path
from mjx_msm.common.journal import Journal

path, hard = Path(sys.argv[1]), resource.getrlimit(resource.RLIMIT_FSIZE)[1]
with Journal(path) as journal:
    journal.add({"n": 1})
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.size + 20, hard))
    try:
        journal.add({"n": 2, "long": "y" * 100})
    except OSError as error:
        assert error.errno == errno.EFBIG
        print("said", path.stat().st_size == journal.size)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    journal.add({"n": 3})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_a_disk_that_takes_half_a_line_leaves_no_hole(tmp_path):
    path = tmp_path / "j.jsonl"
    done = subprocess.run([sys.executable, "-c", SMALL_DISK, str(path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("said True\n", "")
    assert read_journal(path) == ([{"n": 1}, {"n": 3}], path.stat().st_size, path.stat().st_size)


def test_a_line_that_goes_out_in_parts_is_whole(tmp_path):
    class InParts:
        """A file that takes seven bytes at a time, as any may."""

        def __init__(self, file):
            self.file = file

        def write(self, data):
            return self.file.write(data[:7])

        def __getattr__(self, name):
            return getattr(self.file, name)

    with Journal(tmp_path / "j") as journal:
        journal._file = InParts(journal._file)  # type: ignore[assignment]
        journal.add({"long": "y" * 50})
        journal.add(2)
    assert read_journal(tmp_path / "j")[0] == [{"long": "y" * 50}, 2]


def test_what_is_cut_off_does_not_come_back(tmp_path):
    path = tmp_path / "j"
    path.write_bytes(b"1\n2\n{")
    with Journal(path) as journal:
        journal.cut(read_journal(path)[1])
        journal.add(3)
    assert path.read_bytes() == b"1\n2\n3\n"


HOLD = """
import sys, time
from pathlib import Path
from mjx_msm.common.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    journal.add("mine")
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "j"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(InputError, match=r"j: another process is at work here; wait"):
            Journal(path)
        assert path.read_bytes() == b'"mine"\n'
    finally:
        holder.kill()
        holder.wait()
    with Journal(path) as journal:  # whoever was killed holds nothing
        journal.add("another's")
    assert read_journal(path)[0] == ["mine", "another's"]
