"""Where the files are that a subject file names: relative to it, with environment variables filled in."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mjx_msm.common.errors import InputError, misspelt

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def folder_of(path: Path) -> Path:
    """The folder of `path`, as short as it can be said from here."""
    folder = path.resolve().parent
    relative = os.path.relpath(folder)
    return Path(relative if len(relative) < len(str(folder)) else folder)


def data_folder(folder: Path, text: str, where: str) -> Path:
    """Where the recordings are; `text` may name it by an environment variable."""
    data = folder / expanded(text, where)
    named = _VARIABLE.search(text)
    if named and not data.is_dir():
        raise InputError(f'{where} = "{text}": there is no folder {data}; set {named[1]}')
    return data


def check_folder(data: Path, where: str) -> None:
    """**Raises:** `InputError` if there is no such folder, with the one beside it that is called nearly so."""
    if data.is_dir():
        return
    beside = [p.name for p in data.parent.iterdir() if p.is_dir()] if data.parent.is_dir() else []
    near = misspelt(data.name, beside)
    fix = f"did you mean '{near}'?" if near else "correct the path"
    raise InputError(f"{where}: there is no folder {data}; {fix}")


def expanded(text: str, where: str) -> str:
    """Fill in ``${NAME}`` and ``${NAME:-default}``; a relative path in NAME is relative to the caller."""

    def value(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        found = os.environ.get(name)
        if found:
            return os.path.abspath(os.path.expanduser(found))
        if default is None:
            raise InputError(f"{where}: environment variable {name} is not set; set it, or write ${{{name}:-default}}")
        return default

    if any(c in text for c in "\b\t\n\f\r"):
        raise InputError(
            f"{where} = {text!r} holds a control character, as a backslash is with what follows it; write the path "
            "with / instead, or in single quotes"
        )
    filled = _VARIABLE.sub(value, text)
    if os.sep == "/" and "\\" in filled and not os.path.exists(filled):
        filled = filled.replace("\\", "/")  # a path of Windows, in single quotes
    return os.path.expanduser(filled)
