"""Text files: read as a user names them, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mjx_msm.common.errors import InputError


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
    """Write a text file so that readers see the old one or the whole new one, never a part.

    **Raises:** `InputError` if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as e:
        raise InputError(f"cannot write {path}: {e.strerror}; choose another folder") from e
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as e:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(e, OSError):
            raise InputError(f"cannot write {path}: {e.strerror}; choose another file") from e
        raise
