"""The bytes of a file a user named, or one line that says why there are none."""

from __future__ import annotations

from pathlib import Path

from mjx_msm.common.errors import InputError, suggest


def content_of(path: Path, size: int = -1) -> bytes:
    """The first `size` bytes, by default all.

    **Raises:** `InputError` if the file is not there or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(size)
    except FileNotFoundError:
        raise InputError(_missing(path)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a readable file") from None
    except ValueError:
        raise InputError(f"{str(path)!r} cannot name a file, it holds a NUL character; correct the path") from None


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"{path}: no such file, nor its folder; correct the path"
    return f"{path}: no such file{suggest(path.name, sorted(p.name for p in folder.iterdir()))}"
