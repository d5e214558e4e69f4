"""Who may import whom: imports go down the table of rooms, and each failure names the line that goes up.

Only the text of the files is read, so an import inside a function counts like one at the top.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mjx_msm"

# The rooms of the package from the ground up: each may import those before it.
ROOMS = (
    "common",
    "assets",
    "person",
    "dynamics",
    "recordings",
    "estimation",
    "knowledge",
    "identification",
    "prediction",
    "views",
    "study",
    "envs",
    "verification",
    "cli",
)

# The rooms inside `envs`, likewise; the last two are the files that put ids, tasks and adapters together.
ENVS_ROOMS = (
    "motions",
    "engines",
    "human",
    "robots",
    "worlds",
    "tasks",
    "adapters",
    "controllers",
    "environments",
    "functional",
)

# Files that a caller may use without these libraries, alone or through what they import.
PHYSICS = {"jax", "jaxlib", "equinox", "optax", "mujoco"}
WITHOUT = {
    "common.errors": PHYSICS,
    "common.files": PHYSICS,
    "common.interrupts": PHYSICS,
    "common.printable": PHYSICS,
    "common.toml_tables": PHYSICS,
    "person.muscle": {"mujoco"},
    "person.parameters": {"mujoco"},
    "person.space": {"mujoco"},
    "dynamics.vectors": {"mujoco"},
    "recordings.readers.reading": PHYSICS,
    "recordings.emg": PHYSICS,
    "recordings.quality.emg_cleaning": PHYSICS,
    "recordings.trial": PHYSICS,
    "recordings.settings": PHYSICS,
    "recordings.subject_file.grammar": PHYSICS,
    "recordings.subject_file.recordings": PHYSICS,
    "recordings.subject_file.loading": PHYSICS,
    "recordings.subject_file.model_check": PHYSICS,
    "knowledge.uncertainty": {"jax", "equinox", "mujoco"},
}

# Rooms and files a caller outside the package does not see, besides those that start with an underscore.
PRIVATE = {"files", "interrupts"}


def sources(folder: Path) -> list[Path]:
    """Python files below `folder`, without those that are seen through the package's links to `envs` and `assets`."""
    return sorted(p for p in folder.rglob("*.py") if not any(q.is_symlink() for q in p.parents if q != ROOT))


def rooms() -> dict[str, list[Path]]:
    """Each room of the package with its files; `envs` and `assets` lie beside the package."""
    folders = (*PACKAGE.iterdir(), ROOT / "envs", ROOT / "assets")
    return {f.name: sources(f) for f in folders if f.is_dir() and not f.is_symlink() and f.name != "__pycache__"}


def dotted(path: Path) -> str:
    """Name of a file below the package, `envs` and `assets` included: "recordings.emg", "envs" for its `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "mjx_msm" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def files() -> dict[str, Path]:
    """Every file of every room by its dotted name."""
    return {dotted(p): p for paths in rooms().values() for p in paths}


def own_imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Dotted names of the files of the package that a file imports; importing from a room's `__init__` counts as it."""
    out = set()
    for _, name in imports(path):
        if name[0] == "mjx_msm":
            parts = name[1:]
            while parts and ".".join(parts) not in known:
                parts = parts[:-1]
            out.add(".".join(parts))
    return (out - {dotted(path)}) & known.keys()


def where(path: Path, node: ast.stmt | ast.expr) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def imports(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each module or name that a file imports, absolute and in parts, with the place."""
    package = path.relative_to(ROOT).parent.parts
    if package[:1] in (("envs",), ("assets",)):
        package = ("mjx_msm", *package)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield where(path, node), tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield where(path, node), (*module, alias.name)


def test_every_room_is_in_the_table():
    assert set(rooms()) == set(ROOMS), "give each new room its place in ROOMS"


def test_nothing_lies_outside_the_rooms():
    assert [p.name for p in PACKAGE.glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_says_what_lives_there(room: str):
    folder = ROOT / room if room in ("envs", "assets") else PACKAGE / room
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert text, f"{room}/__init__.py says nothing"
    assert len(text.splitlines()) <= 16, f"{room}/__init__.py says too much"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_go_down(room: str):
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    wrong = []
    for path in rooms()[room]:
        for place, name in imports(path):
            if name[0] in ("envs", "assets"):
                wrong.append(f"{place}: `{name[0]}` is a second copy of mjx_msm.{name[0]}; import that")
            elif name[0] == "mjx_msm" and (len(name) == 1 or name[1] not in ROOMS):
                wrong.append(f"{place}: {'.'.join(name)} is the front door; import the room the name lives in")
            elif name[0] == "mjx_msm" and name[1] not in allowed:
                wrong.append(f"{place}: {room} may not import {name[1]}")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("room", ENVS_ROOMS)
def test_imports_within_envs_go_down(room: str):
    front = ("environments", "functional")
    allowed = set(ENVS_ROOMS[: ENVS_ROOMS.index(room) + 1])
    wrong = []
    for path in sources(ROOT / "envs" / room) or [ROOT / "envs" / f"{room}.py"]:
        for place, name in imports(path):
            if name[:2] != ("mjx_msm", "envs"):
                continue
            if len(name) == 2 or name[2] not in ENVS_ROOMS:
                if room not in front:
                    wrong.append(f"{place}: {'.'.join(name)} is the front door; import the room the name lives in")
            elif name[2] not in allowed:
                wrong.append(f"{place}: {room} may not import {name[2]}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_room_of_envs_is_in_the_table_and_says_what_lives_there():
    folder = ROOT / "envs"
    found = {p.stem for p in folder.iterdir() if p.suffix == ".py" or (p.is_dir() and p.name != "__pycache__")}
    assert found - {"__init__"} == set(ENVS_ROOMS), "give each new room its place in ENVS_ROOMS"
    for room in ENVS_ROOMS:
        if (folder / room).is_dir():
            text = ast.get_docstring(ast.parse((folder / room / "__init__.py").read_text(encoding="utf-8")))
            assert text, f"envs/{room}/__init__.py says nothing"
            assert len(text.splitlines()) <= 6, f"envs/{room}/__init__.py says too much"
            assert "Imports from" in text, f"envs/{room}/__init__.py does not say what it may import"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Names that import each other in a ring, in order; empty if there is none."""
    done: set[str] = set()

    def follow(name: str, road: list[str]) -> list[str]:
        if name in road:
            return [*road[road.index(name) :], name]
        if name in done:
            return []
        for below in sorted(graph[name]):
            found = follow(below, [*road, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := follow(name, []))), [])


def test_no_file_imports_itself_by_a_detour():
    known = files()
    ring = circle({name: own_imports(path, known) for name, path in known.items()})
    assert not ring, " imports ".join(ring)


def test_a_file_without_a_library_imports_none_with_it():
    known = files()
    below = {name: own_imports(path, known) for name, path in known.items()}
    outside = {name: {i[0] for _, i in imports(path)} for name, path in known.items()}
    wrong = []
    for name, libraries in WITHOUT.items():
        seen, left = {name}, [name]
        while left:
            now = left.pop()
            for library in sorted(libraries & outside[now]):
                wrong.append(f"{name} does without {library}, but {now} imports it")
            left += below[now] - seen
            seen |= below[now]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("path", sources(ROOT / "examples"), ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_use_the_public_api_only(path: Path):
    wrong = []
    for place, name in imports(path):
        if name[0] in ("envs", "assets"):
            wrong.append(f"{place}: import mjx_msm.{name[0]}")
        elif name[0] == "mjx_msm" and any(part in PRIVATE or part.startswith("_") for part in name[1:]):
            wrong.append(f"{place}: {'.'.join(name)} is not public")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("room", sorted(set(ROOMS) - {"cli"}))
def test_only_the_command_line_prints(room: str):
    wrong = [
        where(path, node)
        for path in rooms()[room]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not wrong, f"print in {', '.join(wrong)}"


# What changes a list, dict or set in place.
MUTATORS = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "remove", "discard", "clear"}


def state_changes(path: Path) -> Iterator[str]:
    """Places where code that runs after the import changes a variable of its module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    shared = {
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        if isinstance(target, ast.Name)
    }
    for function in (f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)):
        own = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        own |= {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}
        for node in ast.walk(function):
            if isinstance(node, ast.Global):
                yield f"{where(path, node)}: global {', '.join(node.names)}"
            held = None
            if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
                held = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
                held = node.func.value
            if isinstance(held, ast.Name) and held.id in shared - own:
                yield f"{where(path, node)}: changes {held.id}"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_no_room_keeps_state(room: str):
    wrong = [change for path in rooms()[room] for change in state_changes(path)]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_checks_find_what_they_look_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The readers above, on a file that breaks every rule they serve."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    bad = tmp_path / "mjx_msm" / "bad.py"
    bad.parent.mkdir()
    bad.write_text(
        "import jax.numpy as jnp\n"
        "from mjx_msm import cli\n"
        "from . import render\n"
        "from .study import run\n"
        "seen = {}\n"
        "def f(x):\n"
        "    import envs\n"
        "    seen[x] = 1\n"
        "    seen.update(y=2)\n"
        "    global count\n"
        "    count = 1\n"
        "def g(seen):\n"
        "    seen['local'] = 1\n"
    )
    assert sorted(imports(bad)) == [
        ("mjx_msm/bad.py:1", ("jax", "numpy")),
        ("mjx_msm/bad.py:2", ("mjx_msm", "cli")),
        ("mjx_msm/bad.py:3", ("mjx_msm", "render")),
        ("mjx_msm/bad.py:4", ("mjx_msm", "study", "run")),
        ("mjx_msm/bad.py:7", ("envs",)),
    ]
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert sorted(state_changes(bad)) == [
        "mjx_msm/bad.py:10: global count",
        "mjx_msm/bad.py:8: changes seen",
        "mjx_msm/bad.py:9: changes seen",
    ]


def test_the_front_door():
    """`mjx_msm/__init__.py` names every public object three times: for readers, for type checkers and for Python."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    values = {
        s.targets[0].id: ast.literal_eval(s.value)
        for s in tree.body
        if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name)
    }
    homes, public = values["_HOME"], values["__all__"]
    checked = {
        alias.name: node.module.removeprefix("mjx_msm.")
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    assert checked == homes
    assert set(public) == {*homes, "assets", "envs"}
    # Importing mjx_msm.x sets the attribute x of the package to the module, over any function of that name.
    assert set(homes) & set(rooms()) == set(), "a public name that is a module's name too"
