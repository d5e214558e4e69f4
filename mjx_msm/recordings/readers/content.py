"""The bytes of a file a user named, or one line that says why there are none."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

from mjx_msm.common.errors import InputError, suggest

GZIP = b"\x1f\x8b"
MOST = 2 * 2**30
"""Bytes of a file that are read, also of what is compressed in it: a recording has less."""


def content_of(path: Path, size: int = -1) -> bytes:
    """The first `size` bytes, by default all; of a file compressed by gzip, of what is in it.

    **Raises:** `InputError` if the file is not there or cannot be read.
    """
    try:
        with path.open("rb") as file:
            if size < 0 and os.fstat(file.fileno()).st_size > MOST:
                raise _too_large(path)
            data = file.read(size)
        if data.startswith(GZIP):
            data = _unpacked(path, size)
    except FileNotFoundError:
        raise InputError(_missing(path)) from None
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cannot be unpacked ({error}); it is damaged or cut off, copy it again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a readable file") from None
    except InputError:
        raise
    except ValueError:
        raise InputError(f"{str(path)!r} cannot name a file, it holds a NUL character; correct the path") from None
    return data


def _unpacked(path: Path, size: int) -> bytes:
    parts, length = [], 0
    with gzip.open(path, "rb") as file:
        while part := file.read(2**20 if size < 0 else size - length):
            parts.append(part)
            length += len(part)
            if length > MOST:
                raise _too_large(path)
    return b"".join(parts)


def _too_large(path: Path) -> InputError:
    return InputError(f"{path}: holds more than {MOST / 2**30:g} GiB; cut the recording into parts")


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"{path}: no such file, nor its folder; correct the path"
    return f"{path}: no such file{suggest(path.name, sorted(p.name for p in folder.iterdir()))}"
