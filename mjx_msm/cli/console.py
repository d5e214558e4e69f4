"""How commands speak: the console, notes, and the exit codes they end with."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

BAD_INPUT, INTERRUPTED = 2, 130
"""Exit codes."""


def make_console(quiet: bool = False) -> Console:
    """The console a command prints on."""
    # a pipe or a file gets lines as wide as they are, so that nothing is cut
    return Console(quiet=quiet, highlight=False, width=None if sys.stdout.isatty() else 132, soft_wrap=False)


@contextmanager
def notes_on(console: Console) -> Iterator[None]:
    """Warnings as one calm line each instead of Python's two."""
    with warnings.catch_warnings():
        seen: set[str] = set()

        def show(message: Any, *_: Any, **__: Any) -> None:
            text = " ".join(str(message).split())
            if text not in seen:
                seen.add(text)
                console.print(f"note: {text}", style="dim", markup=False)

        warnings.simplefilter("default")
        for chatty in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", chatty)
        # OpenGL is probed and ffmpeg run in other processes, which is safe: they exec at once
        warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
        warnings.showwarning = show
        yield


def contents(folder: Path) -> list[str]:
    """What lies in a folder, as a command lists it."""
    return sorted(f"{p.name}/" if p.is_dir() else p.name for p in folder.iterdir() if not p.name.startswith("."))
