"""What the site is built with beyond Markdown: equations as MathML, and the commands from the program itself."""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert
from typer.main import get_command

COMMANDS = "reference/commands.md"
_EQUATION = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$([^$\n]+)\$(?!\w)", re.S)
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.S | re.M)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by MkDocs for every page."""
    if page.file.src_uri == COMMANDS:
        markdown += _commands()
    parts = _CODE.split(markdown)
    parts[::2] = [_EQUATION.sub(_mathml, text) for text in parts[::2]]
    return "".join(parts)


def _mathml(found: re.Match[str]) -> str:
    """Browsers draw it without a script. In a span, Markdown takes it for a part of its line."""
    display, inline = found.groups()
    if display:
        return convert(" ".join(display.split()), display="block")
    return f"<span>{convert(inline)}</span>"


def _commands() -> str:
    from mjx_msm.cli.app import app

    program: Any = get_command(app)
    return "".join(_command(name, command) for name, command in sorted(program.commands.items()))


def _command(name: str, command: Any) -> str:
    described, _, example = (command.help or "").partition("Example:")
    out = f"\n## {name}\n\n{_paragraphs(described)}\n\n```bash\n{example.strip()}\n```\n\n"
    rows = [(", ".join((*p.opts, *p.secondary_opts)), p.help or "", p.default) for p in command.params]
    rows = [f"| `{names}` | {_cell(text)}{_default(value)} |\n" for names, text, value in rows if "--help" not in names]
    return out + "".join(("| | |\n|---|---|\n", *rows))


def _default(value: Any) -> str:
    shown = isinstance(value, str | int | float) and not isinstance(value, bool)
    return f" Default: `{value}`." if shown else ""


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.replace("\b", "").split("\n\n")).strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
