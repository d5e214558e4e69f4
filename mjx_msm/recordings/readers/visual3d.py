"""Visual3D's export (``.txt``): five rows of header, over every column its file, name, type, folder and component."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import Block, Contents
from mjx_msm.recordings.readers.formats import Format
from mjx_msm.recordings.readers.sections import padded_numbers
from mjx_msm.recordings.readers.text import decoded, lines_of

ROWS = 5
"""Of the header; the last begins with this word, and counts frames below."""
COUNTED = "ITEM"


def contents_of_visual3d(path: Path) -> Contents:
    """Signals as ``<name>/<component>``, a block of each file that was exported; frames are counted from 1. Where
    folders hold signals of one name (``ORIGINAL``, ``PROCESSED``), these are ``<folder>/<name>/<component>``.

    **Raises:** `InputError` if its rows do not fit its header.
    """
    lines = lines_of(path)
    files, names, _, folders, parts = ([cell.strip() for cell in line.split("\t")] for line in lines[:ROWS])
    count = len(parts)
    if (short := min(len(files), len(names), len(folders))) < count:
        raise InputError(f"{path}: its header has {short} names over {count} columns; export it again")
    columns = ["frame"]
    signals = list(zip(files[1:count], folders[1:count], names[1:count], parts[1:], strict=True))
    held = Counter((file, name, part) for file, _, name, part in signals)
    for file, folder, name, part in signals:
        whole = f"{folder}/{name}" if held[file, name, part] > 1 and folder else name
        columns.append("time" if name.upper() == "TIME" else f"{whole}/{part}" if part else whole)
    values, numbers = padded_numbers(path, lines, ROWS, columns, "\t")
    blocks = []
    for file in dict.fromkeys(files[1:count]):
        own = [0, *(i for i in range(1, count) if files[i] == file)]
        stem = Path(file.replace("\\", "/")).stem
        blocks.append(Block(tuple(columns[i] for i in own), values[:, own], name=stem, lines=numbers))
    if not blocks:
        raise InputError(f"{path}: its header names no signals; export it again")
    return Contents(path, tuple(blocks))


def _recognised(head: bytes) -> str | None:
    rows = decoded(head).splitlines()[:ROWS]
    if len(rows) < ROWS or not rows[-1].startswith(f"{COUNTED}\t") or any(row[:1] != "\t" for row in rows[:-1]):
        return None
    return f"because '{COUNTED}' stands below four rows of names"


FORMAT = Format("Visual3D's export", (), _recognised, contents_of_visual3d)
