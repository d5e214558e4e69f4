"""What a file is, told from its first bytes and its name; and what takes it, where something else was wanted.

Recordings are read, and recognised exactly, in `mjx_msm.recordings.readers`; here it is only told that a file is one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from mjx_msm.common.errors import InputError

RECORDING, MJCF, OSIM, SUBJECT, RESULT, PERSON = (
    "a recording", "a model (MJCF)", "an OpenSim model (.osim)", "a subject file (TOML)",
    "the folder of a result (of mjx-msm identify)", "a folder with a person's model.xml",
)  # fmt: skip
"""What commands and functions want; a kind with none of these roles is wanted by nobody."""

RECORDINGS = (
    ".c3d", ".mat", ".h5", ".hdf5", ".npz", ".npy", ".xlsx", ".xlsm", ".parquet", ".pq", ".edf", ".bdf", ".trc", ".mot",
    ".sto", ".csv", ".tsv", ".txt",
)  # fmt: skip
"""Suffixes of recordings; a test holds them to those of the readers, which this may not import."""
HEAD = 64 * 1024
"""Bytes by which a file is told."""
LISTED = 3
"""Files of a folder that a message names."""
_RESULT_FILE, _PERSON_FILE = "identification.json", "model.xml"


@dataclass(frozen=True)
class FileKind:
    """What a file is, in words."""

    name: str
    """As after "is"."""
    use: str
    """What takes it, or what to do; ends a message."""
    role: str = ""


def kind_of(path: str | Path) -> FileKind | None:
    """What a file or folder is; None if it is not there, cannot be read, or is nothing of these."""
    path = Path(path)
    try:
        if path.is_dir():
            return _folder(path)
        with path.open("rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError):
        return None
    if not head.strip():
        return FileKind("an empty file", "save or export it again")
    suffix = path.suffix.lower()
    return _binary(path, head, suffix) or _xml(path, head, suffix) or _text(path, head, suffix)


def refuse_other(path: str | Path, *wanted: str) -> None:
    """Refuse a file that is certainly something else than is wanted.

    **Arguments:** `wanted`: roles.

    **Raises:** `InputError` with what it is, and what takes it.
    """
    found = kind_of(path)
    if found is not None and found.role not in wanted:
        raise InputError(f"{path}: is {found.name}, and {' or '.join(wanted)} is wanted here; {found.use}")


def refuse_swapped(command: str, first: tuple[Path, str], second: tuple[Path, str]) -> None:
    """Refuse two arguments, each with its role, that stand in each other's place.

    **Raises:** `InputError` with the command as it should be.
    """
    kinds = [kind_of(path) for path, _ in (first, second)]
    if [k.role if k else "" for k in kinds] == [second[1], first[1]]:
        raise InputError(
            f"{first[0]} is {second[1]}, {second[0]} {first[1]}: they are the other way round; mjx-msm {command} "
            f"{second[0]} {first[0]}"
        )


def xml_root(head: bytes) -> str:
    """Name of the first XML element; "" where the text is no XML."""
    text = re.sub(r"<!--.*?(-->|\Z)", "", head.decode("utf-8", "replace"), flags=re.DOTALL).lstrip("\ufeff \t\r\n")
    text = re.sub(r"\A<\?.*?\?>\s*", "", text, flags=re.DOTALL)
    found = re.match(r"\s*(?:<!DOCTYPE[^>]*>\s*)?<([A-Za-z_][\w.-]*)", text, re.IGNORECASE)
    return found.group(1) if found else ""


def _folder(path: Path) -> FileKind:
    if (path / _RESULT_FILE).is_file():
        return FileKind(
            "the folder of a result", f"mjx-msm predict {path} subject.toml, render and info take it", RESULT
        )
    if (path / _PERSON_FILE).is_file():
        return FileKind(
            "a folder with a person's model", "environments take it; the folder of a result has more in it", PERSON
        )
    inside = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
    if not inside:
        return FileKind("an empty folder", "correct the path")
    listed = ", ".join(inside[:LISTED]) + (", …" if len(inside) > LISTED else "")
    return FileKind("a folder", f"give what is meant in it ({listed})")


_SIGNATURES: tuple[tuple[bytes, FileKind], ...] = (
    (b"\x89PNG", picture := FileKind("a picture", "give the file with the numbers that it was drawn from")),
    (b"\xff\xd8\xff", picture),
    (b"GIF8", picture),
    (b"BM", picture),
    (b"II*\0", picture),
    (b"MM\0*", picture),
    (b"%PDF", FileKind("a PDF", "export the numbers that it shows as .csv")),
    (b"\xd0\xcf\x11\xe0", FileKind("a document of an old Office", "save its table as .xlsx or .csv")),
    (b"{\\rtf", FileKind("a text document", "save its table as .csv")),
    (b"7z\xbc\xaf", archive := FileKind("an archive", "unpack it, and give the files in it")),
    (b"Rar!", archive),
    (b"\x1f\x8b", archive),
    (b"RIFF", film := FileKind("a film or sound", "give the file with the numbers of that trial")),
    (b"\x1aE\xdf\xa3", film),
)
"""Beginnings of files that nothing here takes."""
_MJB = (54321).to_bytes(4, "little")
"""First integer of MuJoCo's own files."""
_MESHES = (".stl", ".obj", ".ply", ".vtp", ".msh")


def _binary(path: Path, head: bytes, suffix: str) -> FileKind | None:
    if suffix == ".mjb" or head.startswith(_MJB):
        return FileKind(
            "a compiled MuJoCo model, which parameters cannot be written back to",
            "take the MJCF it was compiled from",
        )
    if suffix == ".gz" and Path(path.stem).suffix.lower() in RECORDINGS:
        return _recording(path)
    if head.startswith(b"PK"):
        return _zipped(path, head, suffix)
    if head[4:8] == b"ftyp":
        return film
    for start, kind in _SIGNATURES:
        # two letters begin a table as well as a bitmap, which holds zeros
        if head.startswith(start) and (len(start) > 2 or b"\0" in head[:64]):
            return kind
    if suffix in _MESHES:
        return FileKind("a mesh", "give the model that it is a part of")
    return None


def _zipped(path: Path, head: bytes, suffix: str) -> FileKind | None:
    if suffix in RECORDINGS or b".npy" in head[:300]:
        return _recording(path)
    if b"word/" in head or b"ppt/" in head or suffix in (".docx", ".pptx", ".odt", ".odp"):
        return FileKind("a text document", "save its table as .csv or .xlsx")
    if b"xl/" in head:
        return _recording(path)
    if suffix == ".mjz":
        return FileKind("a packed MuJoCo model", "unpack it, and give the MJCF in it")
    if suffix == ".ods":
        return FileKind("a spreadsheet of another kind", "save it as .xlsx or .csv")
    return FileKind(
        "an archive (ZIP)", "unpack it, and give the files in it (a policy is for --controller of mjx-msm verify)"
    )


def _xml(path: Path, head: bytes, suffix: str) -> FileKind | None:
    root = xml_root(head)
    if root == "mujoco" or (suffix == ".mjcf" and root != "mujocoinclude"):
        return FileKind("a MuJoCo model (MJCF)", f"mjx-msm info {path} shows it, --model {path} takes it", MJCF)
    if root == "OpenSimDocument" or suffix == ".osim":
        return FileKind(
            "an OpenSim model",
            f"mjx-msm info {path} shows it, mjx-msm import {path} --out person.xml converts it",
            OSIM,
        )
    if root == "mujocoinclude":
        return FileKind("a part of a model (<mujocoinclude>)", "give the file that includes it")
    if suffix == ".urdf" or (root == "robot" and suffix == ".xml"):
        return FileKind(
            "a URDF, which holds no muscles",
            "let MuJoCo convert it (mujoco.MjSpec.from_file, to_xml) and add tendons and muscles to that MJCF",
        )
    if root.lower() == "html":
        return FileKind("a page (HTML)", "if it is a result's report, give the folder that it lies in")
    if root and suffix == ".xml":
        return FileKind(f"an XML file of <{root}>, no model of MuJoCo or OpenSim", "correct the path")
    return None


def _text(path: Path, head: bytes, suffix: str) -> FileKind | None:
    if re.search(rb"^\s*\[\[trials\]\]", head, re.MULTILINE):
        return FileKind("a subject file", f"mjx-msm identify {path} --out FOLDER takes it", SUBJECT)
    if suffix == ".toml":  # what else it may be is for the reader of its keys
        return FileKind("a TOML file", "correct the path", SUBJECT)
    if suffix == ".json":
        if re.search(rb'"kind"\s*:\s*"population"', head):  # a large one says "schema" far below
            return FileKind("a population", f'as a prior it stands in [identify]: prior = "{path.name}"', RESULT)
        if path.name == _RESULT_FILE or b'"muscle_model"' in head:  # among the first fields
            return FileKind("the file of a result", f"mjx-msm predict {path.parent} subject.toml takes it", RESULT)
        if len(head) < HEAD and not _is_json(head):  # what is wrong with it, its own reader says
            return None
        return FileKind("a JSON file", "give the recording that it lies beside")
    if suffix in RECORDINGS or re.search(rb"^\s*endheader\s*$", head, re.MULTILINE | re.IGNORECASE):
        return _recording(path)
    if b"\0" in head or suffix in (".xml", ".mjcf"):  # what is wrong with it, its own reader says
        return None
    return FileKind("a text file", f"mjx-msm look {path} shows the table in it, if it is one", RECORDING)


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _recording(path: Path) -> FileKind:
    return FileKind(
        "a recording", f"mjx-msm look {path} shows it, mjx-msm new {path} … drafts a subject file", RECORDING
    )
