"""The site builds without a warning, and what it prints runs: Python blocks page by page, TOML, commands."""

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
def test_the_site_builds_strictly(tmp_path):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(DOCS / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))
    page = (tmp_path / "understand" / "identification" / "index.html").read_text(encoding="utf-8")
    assert "<math" in page
    assert "$" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)
    reference = (tmp_path / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    assert "A `KeyboardInterrupt`" not in reference  # docstrings are rendered as Markdown
    for site in tmp_path.glob("**/*.html"):
        assert not re.search(r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)', site.read_text(encoding="utf-8")), site


@pytest.mark.slow
@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = "\n".join(blocks(page, "python"))
    exec(compile(script, page, "exec"), {"__name__": "__page__"})


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
