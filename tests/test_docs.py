"""The site builds without a warning, and what it prints runs: Python blocks page by page, TOML, commands."""

import inspect
import re
import tomllib
from pathlib import Path

import gymnasium as gym
import pytest

from mjx_msm.recordings.subject_file.grammar import parse_subject

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {str(p.relative_to(DOCS / "pages")): p.read_text(encoding="utf-8") for p in DOCS.glob("pages/**/*.md")}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.S | re.M)


def with_blocks(language):
    return sorted(page for page in PAGES if blocks(page, language))


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path, monkeypatch):
    monkeypatch.setenv("MJX_MSM_DOCS_EXECUTE", "false")  # below
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(DOCS / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))
    page = (tmp_path / "understand" / "identification" / "index.html").read_text(encoding="utf-8")
    assert "<math" in page
    assert "$" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)
    reference = (tmp_path / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    assert "A `KeyboardInterrupt`" not in reference  # docstrings are rendered as Markdown
    notebook = (tmp_path / "notebooks" / "person" / "index.html").read_text(encoding="utf-8")
    assert "NotebookProgress" in notebook
    for site in tmp_path.glob("**/*.html"):
        assert not re.search(r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)', site.read_text(encoding="utf-8")), site


@pytest.mark.slow
@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = "\n".join(blocks(page, "python"))
    exec(compile(script, page, "exec"), {"__name__": "__page__"})


@pytest.mark.slow
@pytest.mark.parametrize("notebook", sorted(DOCS.glob("pages/notebooks/*.py")), ids=lambda p: p.stem)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch):
    """Its cells, one after the other; what it asserts of its figures is in them."""
    monkeypatch.chdir(tmp_path)
    script = notebook.read_text(encoding="utf-8")
    assert script.count("# %%") >= 6
    exec(compile(script, str(notebook), "exec"), {"__name__": "__notebook__"})
    assert not list(tmp_path.iterdir()), "it leaves nothing where it is run"


WHOLE = tomllib.loads(blocks("bring/recording.md", "toml")[0])
"""The complete subject file that the pages show."""


@pytest.mark.parametrize("page", with_blocks("toml"))
def test_toml_of_a_page_is_a_subject_files(page):
    """What a page leaves out is taken from the complete one; a study's file is another grammar."""
    for block in blocks(page, "toml"):
        document = tomllib.loads(block)
        if "table" in document:
            continue
        sections = {k: {**WHOLE[k], **v} if isinstance(v, dict) and k in WHOLE else v for k, v in document.items()}
        own = document.get("trials", [])
        trials = [*own, *(t for t in WHOLE["trials"] if t["name"] not in [o["name"] for o in own])]
        parse_subject({**WHOLE, **sections, "trials": trials}, page)


def named_in(text, words):
    return {word for word in words if re.search(rf"(?<![\w-]){re.escape(word)}(?!\w)", text)}


def test_every_key_of_a_subject_file_is_documented(monkeypatch):
    """The grammar itself is asked: all keys it would take while it reads complete files."""
    from mjx_msm.common.toml_tables import Section
    from mjx_msm.recordings import subject_file

    asked, made = set(), Section.__init__

    def noted(self, data, where, allowed, **place):
        asked.update(allowed or ())
        made(self, data, where, allowed, **place)

    monkeypatch.setattr(Section, "__init__", noted)
    raw = {"emg": {**WHOLE["emg"], "kind": "raw", "processing": {"low_pass": 6.0}}}
    envelope = {"emg": {**WHOLE["emg"], "kind": "envelope", "processing": {}, "noise": {}}}
    for changed in (raw, envelope):
        parse_subject({**WHOLE, **changed}, "complete.toml")
    assert {"moment_columns", "lead_in", "static", "segment_priors", "notch", "time_offset", "band"} <= asked
    assert asked - named_in(subject_file.__doc__, asked) == set()


def test_every_kind_of_parameter_is_documented():
    from mjx_msm.person import muscle, parameters
    from mjx_msm.person.kinds import KINDS

    shown = re.findall(r"^::: (mjx_msm\.person\.\w+)\.(\w+)$", PAGES["reference/parameters.md"], re.M)
    said = "".join((getattr(m, name).__doc__ or "") + inspect.getsource(getattr(m, name))
                   for m in (muscle, parameters) for _, name in shown if hasattr(m, name))  # fmt: skip
    fields = {field for _, field in KINDS}
    assert fields - named_in(said, fields) == set()


@pytest.mark.parametrize("task", ["KneeExo", "ArmCoTransport", "ArmReach", "ArmStrike"])
def test_every_measure_and_argument_of_an_environment_is_documented(task):
    from mjx_msm.verification.episode import FAILED, JOINT, measures_of

    env = gym.make(f"mjx_msm/{task}-v0").unwrapped
    env.reset(seed=0)
    doc = inspect.getdoc(type(env.task)) or ""  # pyright: ignore[reportAttributeAccessIssue]
    assert f"::: {type(env.task).__module__}.{task}" in PAGES["reference/environments.md"]
    measures = {m for m in measures_of(env) if m != FAILED and not m.startswith(JOINT)}
    arguments = {a for a in inspect.signature(type(env.task).__init__).parameters if a != "self"}
    env.close()
    assert (measures | arguments) - named_in(doc, measures | arguments) == set()


def test_commands_of_the_pages_exist():
    from typer.main import get_command

    from mjx_msm.cli.app import app
    from mjx_msm.envs.controllers import names

    commands = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    for page, text in PAGES.items():
        for line in re.findall(r"^mjx-msm .*$", text, re.M):
            name, *words = line.split("#")[0].split()[1:]
            assert name in commands, f"{page}: {line}"
            if "--controller" in words:
                task = words[0].removesuffix("-v0")
                assert words[words.index("--controller") + 1] in names(gym.make(f"mjx_msm/{task}-v0")), line
            known = {option for p in commands[name].params for option in (*p.opts, *p.secondary_opts)}
            assert {w for w in words if w.startswith("--")} <= known, f"{page}: {line}"


def test_every_public_name_has_its_place_in_the_reference():
    import mjx_msm

    named = set(re.findall(r"^::: mjx_msm\.(\w+)$", PAGES["reference/api.md"], re.M))
    assert named == set(mjx_msm.__all__) - {"assets", "envs"}
