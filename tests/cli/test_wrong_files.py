"""Whatever file a command is handed in place of what it takes, it says in one line what that is, and what takes it."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from mjx_msm.cli import app as cli


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


STORAGE = b"ik\nversion=1\nnRows=2\nnColumns=2\ninDegrees=yes\nendheader\ntime\tknee_angle\n0\t1\n0.01\t2\n"
RECORDING, MODEL, OSIM, SUBJECT, RESULT, NOTHING = "recording", "model", "osim", "subject", "result", "nothing"
KINDS = {  # name: (content, what it is, what its message says)
    "model.xml": (b"<!-- mine -->\n<mujoco><worldbody/></mujoco>", MODEL, "is a MuJoCo model (MJCF)"),
    "model.osim": (b"<?xml version='1.0'?>\n<OpenSimDocument/>", OSIM, "is an OpenSim model"),
    "renamed.xml": (b"<?xml version='1.0'?>\n<OpenSimDocument/>", OSIM, "is an OpenSim model"),
    "ik.sto": (STORAGE, RECORDING, "is a recording"),
    "table.csv": (b"time,knee_angle\n0,1\n0.01,2\n", RECORDING, "is a recording"),
    "subject.toml": (b"[subject]\nmass = 1\n[[trials]]\n", SUBJECT, "is a subject file"),
    "runs": ("identification.json", RESULT, "is the folder of a result"),
    "folder": ("ik.sto", NOTHING, "is a folder, and"),
    "empty.sto": (b"", NOTHING, "is an empty file"),
    "empty.csv": (b"\n", NOTHING, "is an empty file"),
    "empty.xml": (b"", NOTHING, "is an empty file"),
    "empty.toml": (b"", NOTHING, "is an empty file"),
    "model.mjb": (struct.pack("<4i", 54321, 8, 1, 1), NOTHING, "is a compiled MuJoCo model"),
    "model.urdf": (b"<robot name='r'/>", NOTHING, "is a URDF"),
    "ceinms.xml": (b"<subject/>", NOTHING, "is an XML file of <subject>"),
    "all.zip": (zipped("walk/ik.sto"), NOTHING, "is an archive"),
    "notes.docx": (zipped("[Content_Types].xml", "word/document.xml"), NOTHING, "is a text document"),
    "old.xls": (b"\xd0\xcf\x11\xe0" + bytes(600), NOTHING, "is a document of an old Office"),
    "plot.png": (b"\x89PNG\r\n\x1a\n" + bytes(99), NOTHING, "is a picture"),
    "photo.jpg": (b"\xff\xd8\xff\xe0" + bytes(99), NOTHING, "is a picture"),
    "paper.pdf": (b"%PDF-1.4\n", NOTHING, "is a PDF"),
    "film.mp4": (b"\0\0\0\x18ftypmp42", NOTHING, "is a film"),
    "report.html": (b"<!doctype html><html></html>", NOTHING, "is a page (HTML)"),
    "bone.stl": (b"solid a\nendsolid\n", NOTHING, "is a mesh"),
    "channels.json": (b'{"SamplingFrequency": 1000}', NOTHING, "is a JSON file"),
}
COMMANDS = {  # arguments, FILE for the file in question, OUT for where to write, and what it takes
    "look": (["look", "FILE"], RECORDING),
    "look --picture": (["look", "FILE", "--picture", "OUT.png"], RECORDING),
    "new": (["new", "FILE", "--out", "OUT.toml"], RECORDING),
    "new --model": (["new", "SOME", "--model", "FILE", "--out", "OUT.toml"], MODEL),
    "identify": (["identify", "FILE", "--out", "OUT"], SUBJECT),
    "predict": (["predict", "FILE", "SUBJECT", "--out", "OUT"], RESULT),
    "profile": (["profile", "SUBJECT", "FILE", "--parameter", "x"], RESULT),
    "live": (["live", "FILE", "--emg", "a", "--encoder", "b"], RESULT),
    "render": (["render", "FILE", "--out", "OUT.mp4"], RESULT),
    "verify": (["verify", "ArmReach-v0", "--subject", "FILE", "--controller", "tracking", "--out", "OUT"], RESULT),
    "simulate": (["simulate", "--model", "FILE", "--out", "OUT"], MODEL),
    "info": (["info", "FILE"], MODEL),
    "import": (["import", "FILE", "--out", "OUT.xml"], OSIM),
}
ALSO = {MODEL: (OSIM, RESULT), RESULT: (MODEL,)}
"""What some of the commands for a kind take as well: an imported model, the person of a result, an exported person."""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    for name, (content, *_) in KINDS.items():
        if isinstance(content, str):
            (folder / name).mkdir()
            (folder / name / content).write_text("{}")
        else:
            (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_of_another_kind_is_named(command, files, tmp_path, refused):
    arguments, takes = COMMANDS[command]
    for name, (_, kind, says) in KINDS.items():
        if kind == takes or kind in ALSO.get(takes, ()):
            continue
        places = {"FILE": files / name, "SOME": files / "table.csv", "SUBJECT": files / "gone.toml"}
        given = [str(places[a]) if a in places else a.replace("OUT", str(tmp_path / "out")) for a in arguments]
        said = refused(given)
        assert f"{name}: " in said, said
        assert says in said, said
        assert "; " in said, said
        assert "wanted here" in said, said
    assert not list(tmp_path.iterdir())


def test_a_text_that_is_no_table_or_model(files, tmp_path, refused):
    file = tmp_path / "script.py"
    file.write_text("import os\n")
    assert "script.py: is a text file, and a model (MJCF)" in refused(["info", str(file)])
    assert "script.py: is a text file, and an OpenSim model" in refused(["import", str(file), "--out", "x.xml"])
    assert "script.py: has 0 rows of data" in refused(["look", str(file)])


def test_several_problems_are_a_line_each(synthetic, tmp_path, capsys):
    text = (synthetic / "quick.toml").read_text().replace("BIClong = ", "BICLong = ").replace("mass = ", "mas = ", 1)
    text = text.replace('motion = "', 'motion = "gone_', 1)
    (synthetic / "wrong.toml").write_text(text)
    assert cli.run(["identify", str(synthetic / "wrong.toml"), "--out", str(tmp_path / "out")]) == 2
    out, error = capsys.readouterr()
    first, *lines = error.splitlines()
    assert out == ""
    assert first == f"mjx-msm: {len(lines)} problems"
    for number, (line, says) in enumerate(
        zip(
            lines,
            [
                "unknown key 'mas'; did you mean 'mass'?",
                "has no muscle 'BICLong'; did you mean 'BIClong'?",
                "no such file; did you mean",
            ],
            strict=True,
        ),
        1,
    ):
        assert line.startswith(f"  ({number}) "), line
        assert says in line, line


@pytest.mark.parametrize("command", ["predict", "profile"])
def test_result_and_subject_the_other_way_round(command, files, refused):
    result, subject = str(files / "runs"), str(files / "subject.toml")
    right = [result, subject] if command == "predict" else [subject, result]
    extra = ["--parameter", "x"] if command == "profile" else []
    said = refused([command, *reversed(right), *extra])
    assert f"they are the other way round; mjx-msm {command} {' '.join(right)}" in said
