"""What a user gets: both built artefacts, installed into clean environments and used from another folder."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("arm", "knee")

# Run in a clean environment from an empty folder: everything that has to be found next to the code is.
SMOKE = """
import json, pathlib
import mjx_msm
import gymnasium, mujoco

def stepped(name):
    model = mujoco.MjModel.from_xml_path(str(mjx_msm.assets.path(name)))
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data)
    return data.time == model.opt.timestep and all(abs(q) < 10 for q in data.qpos)

print(json.dumps({
    "package": str(pathlib.Path(mjx_msm.__file__).parent),
    "version": mjx_msm.__version__,
    "models": {name: stepped(name) for name in mjx_msm.assets.names()},
    "environments": [name for name in gymnasium.registry if name.startswith("mjx_msm/")],
}))
"""


def python(code: str, cwd: Path, executable: Path | str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter that sees only what is installed: not the checkout, not this process's path."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV_"))}
    command = [str(executable), "-c", code]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def hatch(source: Path, target: str, into: Path) -> Path:
    """Build `source` with the backend that `pyproject.toml` names; it needs no network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (artefact,) = into.iterdir()
    return artefact


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hatch(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return source


@pytest.fixture(scope="module")
def wheels(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of the checkout, and the wheel that pip would build of the sdist."""
    return {
        "wheel": hatch(ROOT, "wheel", tmp_path_factory.mktemp("wheel")),
        "sdist": hatch(unpacked, "wheel", tmp_path_factory.mktemp("wheel-of-sdist")),
    }


def members(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.parametrize("origin", ["wheel", "sdist"])
def test_wheel_holds_the_package_and_nothing_else(wheels: dict[str, Path], origin: str):
    names = members(wheels[origin])
    assert len(set(names)) == len(names)
    for asset in (p.stem for p in (ROOT / "assets").glob("*/*.xml")):
        assert [n for n in names if n.endswith(f"/{asset}.xml")] == [f"mjx_msm/assets/{asset}/{asset}.xml"]
    for model in MODELS:
        assert f"mjx_msm/assets/{model}/README.md" in names, "the model's credit and licence note travels with it"
    needed = {
        "mjx_msm/__init__.py",
        "mjx_msm/py.typed",
        "mjx_msm/envs/__init__.py",
        "mjx_msm/views/report/cohort.html.j2",
        "mjx_msm/views/report/frame.html.j2",
        "mjx_msm/views/report/page.html.j2",
    }
    assert needed <= set(names)
    assert any(n.endswith(".dist-info/licenses/LICENSE") for n in names)
    assert {n.split("/")[0].split("-")[0] for n in names} == {"mjx_msm"}
    assert not [n for n in names if "__pycache__" in n or "test" in n or n.endswith((".log", ".mp4"))]


def test_what_gymnasiums_recorder_imports_comes_with_the_package(wheels: dict[str, Path]):
    """RecordVideo would otherwise refuse with a line about an extra of Gymnasium's; see test_video for its films."""
    with zipfile.ZipFile(wheels["wheel"]) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        required = [line for line in archive.read(name).decode().splitlines() if line.startswith("Requires-Dist: ")]
    assert [line for line in required if "moviepy" in line] == ["Requires-Dist: moviepy>=2"]


def test_both_roads_lead_to_the_same_wheel(wheels: dict[str, Path]):
    assert sorted(members(wheels["wheel"])) == sorted(members(wheels["sdist"]))


def test_wheel_holds_every_module_of_the_checkout(wheels: dict[str, Path]):
    held = {n for n in members(wheels["wheel"]) if n.endswith(".py")}
    package = [p for p in (ROOT / "mjx_msm").rglob("*.py") if not any(q.is_symlink() for q in p.parents)]
    here = {p.relative_to(ROOT).as_posix() for p in package}
    here |= {
        f"mjx_msm/{p.relative_to(ROOT).as_posix()}" for room in ("envs", "assets") for p in (ROOT / room).rglob("*.py")
    }
    assert held == here


def test_sdist_can_be_tested(unpacked: Path):
    for wanted in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "tests/conftest.py",
        "envs/__init__.py",
        "assets/arm/arm.xml",
    ):
        assert (unpacked / wanted).is_file()
    assert not (unpacked / "mjx_msm" / "envs").exists(), "a link would be a second copy of envs/"


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def installed(
    request: pytest.FixtureRequest, wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of the executables of a new environment in which pip has installed one of the wheels.

    The dependencies are those of the running environment, reached through a `.pth` file; the environment's own
    packages come first, and the `.pth` files of the running environment (an editable install's) are not read.
    """
    home = tmp_path_factory.mktemp("clean")
    venv.create(home, with_pip=True, symlinks=os.name != "nt")
    places = {"base": str(home), "platbase": str(home)}
    scripts = Path(sysconfig.get_path("scripts", scheme="venv", vars=places))
    interpreter = scripts / ("python.exe" if os.name == "nt" else "python")
    command = [str(interpreter), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, str(wheels[request.param])], check=True, cwd=home, stdin=subprocess.DEVNULL)
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    own = Path(sysconfig.get_path("purelib", scheme="venv", vars=places))
    (own / "dependencies.pth").write_text("\n".join(sorted(packages)))
    return scripts


@pytest.mark.slow
def test_installed_package_works_from_another_folder(installed: Path, tmp_path: Path):
    done = python(SMOKE, tmp_path, installed / "python")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["package"]).is_relative_to(installed.parent)
    assert found["models"] == dict.fromkeys(MODELS, True)
    assert "mjx_msm/KneeExo-v0" in found["environments"]


@pytest.fixture(scope="module")
def without_links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as git makes it on Windows (core.symlinks=false): each link is a text file with the link's target."""
    folder = tmp_path_factory.mktemp("windows")
    for part in ("envs", "assets"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    links = shutil.ignore_patterns("__pycache__", "envs", "assets")
    shutil.copytree(ROOT / "mjx_msm", folder / "mjx_msm", ignore=links)
    for part in ("envs", "assets"):
        (folder / "mjx_msm" / part).write_text(f"../{part}")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_a_checkout_without_links_builds_the_same_wheel(without_links: Path, wheels: dict[str, Path], tmp_path: Path):
    """`pip install .` there."""
    assert sorted(members(hatch(without_links, "wheel", tmp_path))) == sorted(members(wheels["wheel"]))


@pytest.mark.parametrize("source", ["without_links", "unpacked"])
def test_code_is_used_in_place_without_links(source: str, request: pytest.FixtureRequest, tmp_path: Path):
    """`pip install -e .` puts the checkout on the path, and so does this, in an environment of its own."""
    checkout: Path = request.getfixturevalue(source)
    home = tmp_path / "venv"
    venv.create(home, symlinks=os.name != "nt")
    places = {"base": str(home), "platbase": str(home)}
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    own = Path(sysconfig.get_path("purelib", scheme="venv", vars=places))
    (own / "here.pth").write_text("\n".join([str(checkout), *sorted(packages)]))
    (own / "mjx_msm-0.dist-info").mkdir()
    (own / "mjx_msm-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mjx-msm\nVersion: 0\n")
    interpreter = Path(sysconfig.get_path("scripts", scheme="venv", vars=places)) / "python"
    done = python(SMOKE, tmp_path, interpreter)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["package"]) == checkout / "mjx_msm"
    assert found["models"] == dict.fromkeys(MODELS, True)
    assert "mjx_msm/KneeExo-v0" in found["environments"]
    step = "import gymnasium, mjx_msm; e = gymnasium.make('mjx_msm/ArmReach-v0'); e.reset(seed=0); print(mjx_msm.envs)"
    done = python(step, tmp_path, interpreter)
    assert done.returncode == 0, done.stderr
    assert str(checkout / "envs") in done.stdout


def test_installed_command_line_answers(installed: Path, tmp_path: Path):
    done = subprocess.run(
        [str(installed / "mjx-msm"), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for command in ("identify", "simulate", "render", "info", "demo"):
        assert command in done.stdout


def test_import_is_light_and_silent(tmp_path: Path):
    """The wall time of the import is a benchmark's business; what makes it long is not: the libraries it loads."""
    heavy = ("jax", "jaxlib", "equinox", "mujoco", "scipy", "pandas", "matplotlib", "ezc3d", "imageio", "typer", "rich")
    done = python(f"import mjx_msm, sys; sys.exit(' '.join(m for m in {heavy} if m in sys.modules))", tmp_path)
    assert (done.stdout, done.stderr.strip()) == ("", "")


def test_every_public_name_is_there(tmp_path: Path):
    """Whatever was imported before it: no module hides a function, and each name is the object its module defines."""
    code = """
import pkgutil, importlib, inspect, mjx_msm
before = {name: getattr(mjx_msm, name) for name in mjx_msm.__all__}
for module in pkgutil.iter_modules(mjx_msm.__path__):
    if module.name != "cli":
        importlib.import_module(f"mjx_msm.{module.name}")
after = {name: getattr(mjx_msm, name) for name in mjx_msm.__all__}
assert all(after[name] is before[name] for name in before)
assert [name for name in after if inspect.ismodule(after[name])] == ["assets", "envs"]
assert set(mjx_msm.__all__) <= set(dir(mjx_msm))
try:
    mjx_msm.identfy
except AttributeError as error:
    assert "identfy" in str(error)
else:
    raise AssertionError("a misspelled name was found")
"""
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr
