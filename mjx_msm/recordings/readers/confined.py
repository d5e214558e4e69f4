"""Binary files, parsed by libraries in a process that may end badly, with limits on its time and memory."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.recordings.readers.content import GZIP, content_of

PROCESSOR_SECONDS, BYTES_PER_SECOND = 5, 500_000
"""Time on a processor that reading may take [s]: so much by itself, and for the bytes of a file at a tenth of the usual
speed."""
WAIT = 12
"""Seconds on the clock for one of the processor, which others may use too."""
MEMORY, MEMORY_PER_BYTE = 2 * 2**30, 60
"""Address space that reading may take [byte]: by itself, and for every byte of the file."""
PARSERS = Path(__file__).with_name("apart")
"""Folder of the process and of the parsers it runs."""


@dataclass(frozen=True)
class Parser:
    """What parses a binary format."""

    file: str
    """Of `PARSERS`, without its ending."""
    kind: str
    """As messages call such files: "C3D"."""
    library: str
    """That it imports."""
    package: str = "mjx-msm[files]"
    """What to install for that."""
    slowness: float = 1.0
    """Of usual files, over that of a C3D file of the same size."""


def parsed(path: Path, parser: Parser) -> Mapping[str, np.ndarray]:
    """What a parser makes of a file: arrays by name.

    **Raises:** `InputError` if the library is not installed, or the file cannot be read.
    """
    if importlib.util.find_spec(parser.library.partition(".")[0]) is None:
        raise InputError(
            f'{path}: reading {parser.kind} needs {parser.library}; pip install "{parser.package}", or save it as .csv'
        )
    content = content_of(path)
    with tempfile.TemporaryDirectory() as folder:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP
        if packed:
            path_of_content = Path(folder, "unpacked")
            path_of_content.write_bytes(content)
        else:
            path_of_content = path.absolute()
        return _run(path, path_of_content, parser, Path(folder, "content.npz"), len(content))


def _run(path: Path, content: Path, parser: Parser, result: Path, size: int) -> Mapping[str, np.ndarray]:
    seconds = int(PROCESSOR_SECONDS + parser.slowness * size / BYTES_PER_SECOND)
    memory = int(MEMORY + max(parser.slowness, 1.0) * MEMORY_PER_BYTE * size)
    script, own = str(PARSERS / "process.py"), str(PARSERS / f"{parser.file}.py")
    command = [sys.executable, "-P", script, own, str(content), str(result), str(seconds), str(memory)]
    alone = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=WAIT * seconds, env={**os.environ, **alone}, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        fault = _fault(path, parser, error.stdout or b"", f"no end after {error.timeout:g} s")
        raise InputError(f"{path}: reading it as {parser.kind} does not come to an end; {fault}") from None
    except OSError as error:
        raise _not_started(path, parser, str(error)) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() if done.returncode == 1 else ""
        reason = (in_one_line(said) or "its reader broke down")[:120]
        raise InputError(
            f"{path}: cannot be read as {parser.kind} ({reason}); {_fault(path, parser, done.stdout, reason)}"
        )
    try:
        with np.load(result, allow_pickle=False) as arrays:
            return {name.removeprefix("/"): arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile, MemoryError) as error:
        raise InputError(
            f"{path}: cannot be read as {parser.kind} ({in_one_line(error)[:120]}); it is damaged, export it again"
        ) from None


def _fault(path: Path, parser: Parser, said: bytes, reason: str) -> str:
    """Whose fault it is that a file was not read, from what the process said when it had started.

    **Raises:** `InputError` if it had not.
    """
    if said.startswith(b"confined"):
        return "it is damaged, or a limit on memory or time is too low (ulimit -v, -t); raise that, or export it again"
    if said.startswith(b"started"):
        return "it is damaged, export it again"
    raise _not_started(path, parser, reason) from None


def _not_started(path: Path, parser: Parser, reason: str) -> InputError:
    return InputError(
        f"{path}: the reader of {parser.kind} files could not start ({in_one_line(reason)}); install {parser.package}, "
        f"and allow {MEMORY / 2**30:g} GiB of memory (ulimit -v)"
    )
