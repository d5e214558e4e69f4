"""A few mutated inputs of every kind; `python tests/fuzz_inputs.py` reads thousands, in processes with limits."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from fuzz_inputs import KINDS, SUFFIX, damaged, good_inputs, input_of, outcome

COUNT = {"c3d": 8, "binary": 10, "mjcf": 30}


@pytest.mark.parametrize("kind", KINDS)
def test_every_input_ends_in_a_reading_or_in_one_line(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    good = good_inputs(tmp_path, kind)
    path = tmp_path / f"input{SUFFIX.get(kind, '.json')}"
    for content in good:
        path.write_bytes(content)
        assert outcome(kind, path) == "reading"
    found = []
    for index in range(COUNT.get(kind, 60)):
        path.write_bytes(input_of(tmp_path, kind, 1, index, good))
        found.append(outcome(kind, path))
    assert [said for said in found if said.startswith("other")] == []
    assert "error" in found


def test_other_outcomes_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The harness on readers that break each promise."""
    path = tmp_path / "x.csv"
    path.write_text("time,a\n0,1\n1,2\n")

    def broken(error: BaseException):
        def read(kind: str, path: Path) -> None:
            raise error

        return read

    from mjx_msm.common.errors import InputError

    monkeypatch.setattr("fuzz_inputs.read", broken(InputError("x.csv: no column")))
    assert outcome("csv", path) == "error"
    for error in (TypeError("float"), AssertionError(), MemoryError(), InputError("")):
        monkeypatch.setattr("fuzz_inputs.read", broken(error))
        assert outcome("csv", path).startswith("other")

    def endless(kind: str, path: Path) -> None:
        while True:
            pass

    monkeypatch.setattr("fuzz_inputs.read", endless)
    monkeypatch.setattr("fuzz_inputs.SECONDS", 0.1)
    assert "TimeoutError" in outcome("csv", path)

    def elsewhere(kind: str, path: Path) -> None:
        subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)

    monkeypatch.setattr("fuzz_inputs.read", elsewhere)
    assert "of a processor, and ended in: reading" in outcome("csv", path)

    def waiting(kind: str, path: Path) -> None:
        time.sleep(60)

    monkeypatch.setattr("fuzz_inputs.read", waiting)
    assert "TimeoutError" in outcome("csv", path)


def test_damage_is_repeatable_and_real(tmp_path: Path):
    import random

    (content, *_) = good_inputs(tmp_path, "storage")
    first = [damaged("storage", content, random.Random(k)) for k in range(20)]
    assert first == [damaged("storage", content, random.Random(k)) for k in range(20)]
    assert sum(x != content for x in first) > 15
