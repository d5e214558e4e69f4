"""Text files: read as a user names them, written whole or not at all; names that every file system takes."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mjx_msm.common.errors import InputError

LONGEST = 120
"""Of a file's name [bytes]. File systems take 255, of which temporary names and endings need some."""
YOUNG = 60.0
"""Age [s] below which a temporary file may not be locked yet."""
ABANDONED = 7 * 24 * 3600.0
"""Age [s] at which a temporary file is given up where there are no locks."""


def read_text(path: Path, kind: str) -> str:
    """The text of a file that a user named.

    **Arguments:** `kind`: what it should be, for messages ("subject file").

    **Raises:** `InputError` if it is not there, cannot be read, or is not text in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such {kind}; correct the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text in UTF-8; give a {kind}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a {kind}") from None
    except ValueError:
        raise InputError(f"{str(path)!r} cannot name a file, it holds a NUL character; give a {kind}") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) so that readers see the old one or the whole new one, never a part.

    **Raises:** `InputError` if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
            os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror}); choose another folder") from error


# Beside the file that is to be ------------------------------------------------------------------------------


@contextmanager
def beside(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """A new file, or folder, in the folder of `path` and with its ending; gone at the end, if it was not moved.

    Its rights are those of the file it is to replace, or else those that this process gives to what it makes.
    It is locked as long as this process lives. What killed processes have left beside `path` goes first.

    **Raises:** `OSError` if it cannot be made.
    """
    _remove_leftovers(path)
    made = _made(path, folder)
    lock = None
    try:
        lock = _locked(made)
        yield made
    finally:
        if lock is not None:
            os.close(lock)
        _remove(made)


def _made(path: Path, folder: bool) -> Path:
    """Not by `tempfile`: what that makes is for its owner alone, and only the system knows what is left out (umask)."""
    rights = stat.S_IMODE(path.stat().st_mode) & 0o777 if not folder and path.is_file() else None
    parent = path.parent.absolute()  # also where the process changes its directory
    while True:
        made = parent / f"{_prefix(path)}{secrets.token_hex(4)}{'' if folder else path.suffix.lower()}"
        with suppress(FileExistsError):
            if folder:
                made.mkdir()
                return made
            os.close(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if rights is None else 0o600))
            break
    if rights is not None:
        made.chmod(rights | stat.S_IWUSR)
    return made


def _prefix(path: Path) -> str:
    return f".{path.name[:40]}.mjx_msm-"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # a disk that cannot be written: there is nothing more to lose
            path.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Remove what `beside` made in processes that were killed."""
    ours = re.compile(re.escape(_prefix(path)) + f"[a-z0-9_]{{8}}({re.escape(path.suffix.lower())})?$")
    try:
        found = [p for p in path.parent.iterdir() if ours.match(p.name)]
    except OSError:
        return
    for old in found:
        try:
            age = time.time() - old.lstat().st_mtime
            if age < YOUNG:
                continue
            lock = _locked(old)
        except OSError:
            continue  # its process lives, or it is gone already
        if lock is not None:
            os.close(lock)
        if lock is not None or age > ABANDONED:
            _remove(old)


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Inside, no other process that asks can be at work with a file or folder; where there are no locks, any can.

    **Raises:** `InputError` if another one is; `OSError` if it cannot be opened.
    """
    try:
        lock = _locked(path)
    except BlockingIOError:
        raise InputError(f"{path}: another process is at work here; wait for it, or choose another place") from None
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _locked(path: Path) -> int | None:
    """A handle that locks a file or folder until it is closed, or its process ends; None where there are no locks.

    **Raises:** `BlockingIOError` if another process holds it.
    """
    if sys.platform == "win32":  # an open file could not be moved there
        return None
    import fcntl

    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # some network file systems
        os.close(handle)
        return None
    return handle


# Names ------------------------------------------------------------------------------------------------------

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Devices of Windows, with any ending."""


def file_name(name: str) -> str:
    """A name, of a trial say, as that of a file without its ending: no separators, not too long.

    Where it had to be changed it ends in a hash of the whole, so that "a/b" and "a_b" stay apart.
    """
    plain = "".join(c if c.isalnum() or c in " ._-+" else "_" for c in name).strip(" .") or "unnamed"
    if _RESERVED.match(plain):
        plain = f"_{plain}"
    if plain == name and len(plain.encode()) <= LONGEST:
        return plain
    cut = plain.encode()[: LONGEST - 9].decode(errors="ignore")
    return f"{cut}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Names as those of files, every one another, also where upper and lower case are the same."""
    out: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        plain = chosen = file_name(name)
        number = 2
        while chosen.casefold() in taken:
            chosen, number = f"{plain}_{number}", number + 1
        taken.add(chosen.casefold())
        out[name] = chosen
    return out


def relative_to(beside: Path, file: Path) -> str:
    """The path of a file relative to the folder that another one is in."""
    return Path(os.path.relpath(file.resolve(), beside.resolve().parent)).as_posix()


def hash_of(file: Path) -> str:
    """SHA-256 of what a file holds."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def hashes_of(beside: Path, files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files, by path relative to the folder that one of them is in."""
    return {relative_to(beside, file): hash_of(file) for file in files}
