"""Results are not lost: to a disk, to another result, to a name, to the output's end, to an encoding."""

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mjx_msm.cli import app as cli
from mjx_msm.cli import identify
from mjx_msm.knowledge.result import Identification
from mjx_msm.study import result_folder
from mjx_msm.study.result_folder import load_result

COMMAND = [sys.executable, "-c", "from mjx_msm.cli import main; main()"]


@pytest.fixture
def disk_fails_after(monkeypatch, disk):
    """The disk is fine until a result is written; from then on what is below these folders fails."""

    def arrange(number: int, *folders: Path) -> None:
        write = result_folder.write_result

        def failing(*args, **kwargs):
            for folder in folders:
                disk.fail(folder, number)
            write(*args, **kwargs)

        monkeypatch.setattr(result_folder, "write_result", failing)

    return arrange


@pytest.fixture
def estimated(result, monkeypatch):
    """Where only what becomes of a result matters, it is had at once."""
    found = Identification.load(result)

    def at_once(console, study, *_, **__):
        return replace(found, subject=study.subject.name), False

    monkeypatch.setattr(identify, "identify_shown", at_once)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "there"), [(errno.ENOSPC, False), (errno.EROFS, True), (errno.EIO, True)])
@pytest.mark.usefixtures("estimated")
def test_a_result_that_cannot_be_written_is_kept_elsewhere(
    synthetic, tmp_path, monkeypatch, capsys, disk_fails_after, number, there
):
    out, here = tmp_path / "full" / "anna", tmp_path / "here"
    here.mkdir()
    (tmp_path / "full").mkdir()
    if there:
        out.mkdir()
    monkeypatch.chdir(here)
    disk_fails_after(number, tmp_path / "full")
    assert cli.run(["identify", str(synthetic / "quick.toml"), "--out", str(out), "--no-cv"]) == 2
    printed, error = capsys.readouterr()
    assert error == (
        f"mjx-msm: {out}: cannot be written ({os.strerror(number)}); the result is kept in {here / 'anna-kept'}\n"
    )
    assert f"written to {here / 'anna-kept'}" in printed
    found, trials = load_result(here / "anna-kept")
    assert found.subject
    assert len(trials) == 2
    assert [p for p in (tmp_path / "full").rglob("*") if p.is_file()] == []


@pytest.mark.usefixtures("estimated")
def test_home_is_the_next_place_and_nothing_there_is_replaced(
    synthetic, tmp_path, monkeypatch, capsys, disk_fails_after
):
    full, home = tmp_path / "full", tmp_path / "home"
    full.mkdir()
    (home / "anna-kept").mkdir(parents=True)
    monkeypatch.chdir(full)
    monkeypatch.setenv("HOME" if sys.platform != "win32" else "USERPROFILE", str(home))
    disk_fails_after(errno.ENOSPC, full)
    assert cli.run(["identify", str(synthetic / "quick.toml"), "--out", "anna", "--quiet", "--no-cv"]) == 2
    assert f"kept in {home / 'anna-kept-2'}" in capsys.readouterr().err
    assert Identification.load(home / "anna-kept-2").subject
    assert list((home / "anna-kept").iterdir()) == []


def test_a_full_disk_is_noticed_before_the_work(synthetic, tmp_path, disk, refused):
    disk.fail(tmp_path, errno.ENOSPC)
    error = refused(["identify", str(synthetic / "quick.toml"), "--out", str(tmp_path / "r")])
    assert "No space left" in error
    assert str(tmp_path / "r") in error


@pytest.mark.parametrize("command", [["simulate", "--trials", "1", "--duration", "0.5"], ["demo"]])
def test_other_commands_say_it_in_one_line(tmp_path, disk, refused, command):
    disk.fail(tmp_path, errno.EROFS)
    assert "Read-only file system" in refused([*command, "--out", str(tmp_path / "r")])


@pytest.mark.usefixtures("estimated")
def test_another_subjects_result_is_not_replaced_unasked(synthetic, result, tmp_path, refused):
    other = synthetic / "other.toml"
    text = (synthetic / "quick.toml").read_text()
    other.write_text(re.sub(r'name = "synthetic arm"', 'name = "Berta"', text, count=1))
    assert other.read_text() != text
    out = tmp_path / "r"
    out.mkdir()
    before = (result / "identification.json").read_bytes()
    (out / "identification.json").write_bytes(before)
    error = refused(["identify", str(other), "--out", str(out)])
    for word in ("'synthetic arm'", "'Berta'", "--overwrite"):
        assert word in error
    assert (out / "identification.json").read_bytes() == before
    assert cli.run(["identify", str(synthetic / "quick.toml"), "--out", str(out), "--quiet", "--no-cv"]) == 0
    assert cli.run(["identify", str(other), "--out", str(out), "--quiet", "--no-cv", "--overwrite"]) == 0
    assert Identification.load(out).subject == "Berta"
    (out / "identification.json").write_text("{")
    assert "--overwrite" in refused(["identify", str(other), "--out", str(out)])


@pytest.mark.slow
def test_a_subject_file_that_somebody_wrote_is_not_replaced_unasked(tmp_path, refused):
    (tmp_path / "subject.toml").write_text("# hours of work")
    simulate = ["simulate", "--trials", "1", "--duration", "0.5", "--out", str(tmp_path)]
    assert "--overwrite" in refused(simulate)
    assert (tmp_path / "subject.toml").read_text() == "# hours of work"
    assert cli.run([*simulate, "--overwrite", "--rate", "200"]) == 0
    assert cli.run(simulate) == 0, "its own it replaces"


@pytest.mark.slow
def test_any_name_of_a_trial_makes_a_file_of_its_own(synthetic, tmp_path, capsys):
    """Slashes, a name too long for a file, control sequences: nothing is overwritten, cut or obeyed."""
    names = ["a/b", "a_b", "w" * 300, "\x1b[31mred"]
    text = (synthetic / "quick.toml").read_text()
    head, _, tail = text.partition("[[trials]]")
    first = "[[trials]]" + tail.split("[[trials]]")[0].split("\n[identify]")[0]
    rest = text[text.index("[identify]") :] if "[identify]" in text.split("[[trials]]")[-1] else ""
    entries = [first.replace('name = "trial1"', f"name = {json.dumps(n)}") for n in names]
    odd = synthetic / "odd.toml"
    odd.write_text(head + "\n".join(entries) + "\n" + rest)
    assert cli.run(["identify", str(odd), "--out", str(tmp_path / "r"), "--no-cv"]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"\x1b[31mred" in printed
    _, trials = load_result(tmp_path / "r")
    assert sorted(t.name for t in trials) == sorted(names)
    assert (
        cli.run(["render", str(tmp_path / "r"), "--trial", "a/b", "--out", str(tmp_path / "a.gif"), "--fps", "2"]) == 0
    )


def broken_output(arguments: list[str], folder: Path, stdout: int) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=600
    )


@pytest.mark.slow
def test_nobody_has_to_listen(synthetic, tmp_path):
    """A reader who leaves, as `head` does, ends the printing and not the work."""
    reader, writer = os.pipe()
    os.close(reader)
    done = broken_output(["identify", str(synthetic / "quick.toml"), "--out", "r", "--no-cv"], tmp_path, writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert Identification.load(tmp_path / "r").subject


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a full device is a thing of Linux")
def test_a_log_on_a_full_disk_ends_the_printing_only(tmp_path):
    with open("/dev/full", "w") as full:
        done = broken_output(["info", "arm"], tmp_path, full.fileno())
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_output_that_is_not_utf_8(synthetic, tmp_path, encoding):
    arguments = ["identify", str(synthetic / "quick.toml"), "--out", "r", "--no-cv"] if encoding == "cp1252" else []
    done = subprocess.run(
        [*COMMAND, *(arguments or ["info", "arm"])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    printed = done.stdout.decode(encoding)
    if encoding == "ascii":
        assert "-70 ... 150 deg" in printed
    else:
        assert "0.1°" in printed or "°/s" in printed
        assert "95 % interval" in printed
        assert Identification.load(tmp_path / "r").subject
        assert "mujoco" in (tmp_path / "r" / "model.xml").read_bytes().decode("utf-8")


def test_what_the_help_and_version_say(capsys):
    assert cli.run(["--version"]) == 0
    assert re.fullmatch(r"mjx-msm \d+\.\d+\S*\n", capsys.readouterr().out)
    assert cli.run(["identify", "--help"]) == 0
    assert "--overwrite" in capsys.readouterr().out


def test_a_device_that_is_not_there_is_one_line(tmp_path):
    done = subprocess.run(
        [*COMMAND, "simulate", "--out", str(tmp_path / "r"), "--trials", "1"],
        env={**os.environ, "JAX_PLATFORMS": "tpu"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "mjx-msm: JAX_PLATFORMS=tpu: JAX finds no such device here; unset it, or set it to cpu\n"
