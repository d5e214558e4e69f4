"""Fixtures for the command line: a synthetic study, its result, and what a refusal looks like."""

import contextlib
import io
from pathlib import Path

import pytest

from mjx_msm.cli import app as cli


@pytest.fixture(autouse=True, scope="session")
def _no_compile_cache():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MJX_MSM_CACHE", "off")
        yield


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory) -> Path:
    """A synthetic study, cut down to a quick identification."""
    folder = tmp_path_factory.mktemp("cli") / "made" / "arm"
    code = cli.run(["simulate", "--out", str(folder), "--trials", "1", "--duration", "0.5", "--noise-angle", "0.1"])
    assert code == 0
    file = folder / "subject.toml"
    lines = file.read_text().splitlines()
    lines = ['free = ["muscle/B*/max_isometric_force"]' if x.startswith('free = ["muscle') else x for x in lines]
    quick = folder / "quick.toml"
    quick.write_text("\n".join(lines).replace('["motion"]', '["acceleration"]'))
    return folder


@pytest.fixture(scope="session")
def identified(synthetic: Path) -> tuple[Path, str]:
    """A result folder, and what was printed on the way to it."""
    out, said = synthetic / "result", io.StringIO()
    with contextlib.redirect_stdout(said):
        assert cli.run(["identify", str(synthetic / "quick.toml"), "--out", str(out)]) == 0
    return out, said.getvalue()


@pytest.fixture(scope="session")
def result(identified: tuple[Path, str]) -> Path:
    return identified[0]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]):
    def refused(arguments: list[str], problems: int = 1) -> str:
        """The one line on stderr of a call that must exit with 2; for several problems, one more for each."""
        capsys.readouterr()
        assert cli.run(arguments) == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert error.count("\n") == (1 if problems == 1 else problems + 1)
        assert error.startswith("mjx-msm: ")
        return error

    return refused
