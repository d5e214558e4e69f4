"""How commands speak: the console, notes, one line for a failure, and the exit codes they end with."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from mjx_msm.common.printable import PLAIN, printable, register_plain

BAD_INPUT, INTERRUPTED = 2, 130
"""Exit codes."""


def speak_any_encoding() -> None:
    """Let this process print where the output's encoding lacks a character: a result must not fail on "°"."""
    register_plain()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN)


def fail(message: str, *several: str) -> int:
    """One line on the error stream, and one more for each of several; the exit code that belongs to it."""
    print("mjx-msm: " + printable(" ".join(message.split())), file=sys.stderr)
    for number, line in enumerate(several, 1):
        print(f"  ({number}) {printable(' '.join(line.split()))}", file=sys.stderr)
    return BAD_INPUT


def make_console(quiet: bool = False) -> Console:
    """The console a command prints on."""
    # a pipe or a file gets lines as wide as they are, so that nothing is cut
    width = None if sys.stdout.isatty() else 132
    out: Any = _Outlet(sys.stdout)
    return _SafeConsole(file=out, quiet=quiet, highlight=False, width=width, soft_wrap=False)


class _SafeConsole(Console):
    """Names come from files: what in them would steer the terminal is written out."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


class _Outlet:
    """A stream that goes silent when it breaks: a reader who has left, or a full disk, must not end the work."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._broken = False

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], Any]) -> None:
        if self._broken:
            return
        try:
            action()
        except OSError:
            self._broken = True
            silence(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def silence(stream: Any) -> None:
    """Send what a broken stream still holds nowhere, so that closing it does not fail, too."""
    with contextlib.suppress(OSError, io.UnsupportedOperation):  # not a file of the system
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
