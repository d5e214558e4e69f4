"""What is printed in the README and offered in examples/ runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def run(script: Path, folder: Path, *arguments: str) -> str:
    """Run a script as a user would, from another folder; its output."""
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_python_examples_of_the_readme(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len(blocks) == 2
    script, robots = tmp_path / "example.py", tmp_path / "robots.py"
    script.write_text(blocks[0], encoding="utf-8")
    robots.write_text(blocks[1], encoding="utf-8")
    run(robots, tmp_path)
    out = run(script, tmp_path)
    assert "muscle/BRA/max_isometric_force" in out
    assert "converged" in out
    assert (tmp_path / "someone" / "identification.json").is_file()
    import mujoco

    assert mujoco.MjModel.from_xml_path(str(tmp_path / "someone" / "model.xml")).nu == 6


def test_readme_is_short_and_its_links_exist():
    assert len(README.splitlines()) <= 200
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        file, _, heading = target.partition("#")
        assert (ROOT / file).exists(), target
        titles = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(encoding="utf-8"), re.M) if heading else []
        assert not heading or heading in [re.sub(r"[^a-z0-9]+", "-", t.lower()).strip("-") for t in titles], target


def test_commands_of_the_readme_exist():
    from typer.testing import CliRunner

    from mjx_msm.cli.app import app

    names = {re.split(r"\s", c)[0] for c in re.findall(r"mjx-msm (\w+)", README)}
    assert {"demo", "identify", "render", "simulate", "info"} <= names
    for name in names:
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0, name


# tests/test_training.py runs the one that needs more than these tests, and what 06 is made of has tests of its own.
ELSEWHERE = ("05_train_robot", "06_muscle_space")
NUMBERED = [p for p in sorted((ROOT / "examples").glob("[0-9]*.py")) if p.stem not in ELSEWHERE]


@pytest.mark.slow
@pytest.mark.parametrize("script", NUMBERED, ids=lambda p: p.stem)
def test_numbered_examples(script, tmp_path):
    out = run(script, tmp_path)
    assert out.strip()
    if script.stem == "03_exoskeleton":
        off, on = (float(x) for x in re.findall(r"knee ([0-9.]+)° RMS", out))
        assert on < 0.6 * off
        assert (tmp_path / "runs" / "exoskeleton.mp4").stat().st_size > 10_000
    if script.stem == "01_identify_arm":
        assert out.count("inside the 95 %") >= 18  # of 22, each covered about 95 times in 100
    if script.stem == "04_design_experiment":
        wider = [float(x) for x in re.findall(r"(?:by hand|random excitation) .*: ([0-9.]+) times as wide", out)]
        assert len(wider) == 4
        assert min(wider) > 3
