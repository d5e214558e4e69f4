"""What a user names and what a file holds, where nobody looks: control characters, depth, length, kinds."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mjx_msm.common.errors import ENDING, LONGEST, InputError
from mjx_msm.common.toml_tables import is_number, read_toml, show
from mjx_msm.envs import KNEE_EXO
from mjx_msm.knowledge.design.session import Design
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import load_model
from mjx_msm.recordings.readers.c3d import read_c3d
from mjx_msm.recordings.readers.reading import read_table
from mjx_msm.recordings.subject_file.loading import load_subject
from mjx_msm.verification.scenario_file import load_plan

READERS: dict[str, Callable[[Any], Any]] = {
    "x.toml": load_subject,
    "y.toml": lambda path: load_plan(path, KNEE_EXO),
    "x.json": Identification.load,
    "y.json": Design.load,
    "x.csv": read_table,
    "x.sto": read_table,
    "x.c3d": read_c3d,
    "x.xml": load_model,
}


def refused(read: Callable[[Any], Any], path: Any) -> str:
    with pytest.raises(InputError) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert "\0" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", READERS)
def test_paths_that_no_file_has(name: str, tmp_path: Path):
    refused(READERS[name], tmp_path / f"a\0b{name}")
    refused(READERS[name], tmp_path / ("long" * 100 + name))
    refused(READERS[name], tmp_path / "nowhere" / name)
    (tmp_path / name).mkdir()
    refused(READERS[name], tmp_path / name)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"", b"\0" * 600, b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000])
def test_content_that_is_none(name: str, content: bytes, tmp_path: Path):
    if name == "y.toml" and not content:
        pytest.skip("a scenario file may be empty")
    (tmp_path / name).write_bytes(content)
    refused(READERS[name], tmp_path / name)


def test_a_subject_file_nested_deeply(tmp_path: Path):
    path = tmp_path / "x.toml"
    for text in ("x = " + "[" * 100_000, "x = " + "{a=" * 5_000, ".".join(["a"] * 3_000) + " = 1"):
        path.write_text(text)
        refused(load_subject, path)
    path.write_text("x = " + "[" * 50_000)
    assert "nested too deeply" in refused(load_subject, path)


def test_numbers_that_python_has_and_floats_do_not(tmp_path: Path):
    path = tmp_path / "x.toml"
    path.write_text(f"x = {'9' * 5000}\n")
    refused(lambda p: read_toml(p, "file"), path)
    assert not is_number(10**400)
    assert not is_number(float("nan"))
    assert show(10**5000)


def test_a_message_is_one_harmless_line_of_bounded_length():
    said = str(InputError("no column '\x1b[31mred\r\n\ud800\u2028' at 5°; write ‘é’ – 3 N·m"))
    assert said == "no column '\\x1b[31mred\\r\\n\\ud800\\u2028' at 5°; write ‘é’ – 3 N·m"
    long = str(InputError("x" * 5000 + "; correct the path"))
    assert len(long) <= LONGEST + 3
    assert long.endswith("; correct the path")
    assert long[-ENDING:] in "x" * 5000 + "; correct the path"
    again = pickle.loads(pickle.dumps(InputError("a\nb")))
    assert (type(again), str(again)) == (InputError, "a\\nb")
