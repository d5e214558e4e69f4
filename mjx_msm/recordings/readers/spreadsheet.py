"""Workbooks of Excel (``.xlsx``): every sheet is read as a table of text is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.confined import Parser, parsed
from mjx_msm.recordings.readers.contents import Block, Contents, in_all
from mjx_msm.recordings.readers.delimited import blocks_of_lines
from mjx_msm.recordings.readers.formats import Format

PARSER = Parser("spreadsheet", "a workbook", "openpyxl", slowness=8.0)


def contents_of_spreadsheet(path: Path) -> Contents:
    """The sheets of a workbook. A single column without a name has that of its sheet."""
    blocks: list[Block] = []
    header: dict[str, str] = {}
    notes: list[str] = []
    faults: list[str] = []
    sheets = parsed(path, PARSER)
    for title, text in sheets.items():
        name = title.strip()
        lines = text.tobytes().decode("utf-8", "replace").split("\n")
        if not any(line.strip() for line in lines):
            continue
        try:
            found, said = blocks_of_lines(f"{path}, sheet '{name}'", lines, notes, separator="\t")
        except InputError as error:
            faults.append(str(error))
            continue
        header |= said
        for block in found:
            alone = len(block.columns) == 1 and block.columns[0] == "column 1"
            named = replace(block, name=name, columns=(name,) if alone else block.columns)
            blocks += [named] if alone else _by_length(named)
    if not blocks:
        raise InputError(in_all(path, faults) if faults else f"{path}: its sheets are empty; save it again")
    notes += [f"{fault}; the sheet is left out" for fault in faults]
    if len(blocks) == 1 and len(sheets) == 1:
        blocks = [replace(blocks[0], name="")]
    return Contents(path, tuple(blocks), header=header, notes=tuple(notes))


def _by_length(block: Block) -> list[Block]:
    """Nameless columns that end at a whole fraction of the others' rows, apart: they were sampled more slowly.

    Others that end early paused, or were stopped; they stay where they are.
    """
    count, nameless = len(block.values), all(c.startswith("column ") for c in block.columns)
    if block.time is not None or not nameless or count < 20:
        return [block]
    known = np.isfinite(block.values)
    ends = np.where(known.any(axis=0), count - np.argmax(known[::-1], axis=0), count)
    of = {int(n): round(count / n) for n in ends}
    slow = [n for n, ratio in of.items() if ratio > 1 and abs(count - ratio * n) <= ratio]
    groups = sorted(set(np.where(np.isin(ends, slow), ends, count).tolist()), reverse=True)
    out = []
    for n in groups:
        own = [i for i, end in enumerate(ends) if (int(end) if int(end) in slow else count) == n]
        units = tuple(block.units[i] for i in own) if block.units else ()
        out.append(
            replace(
                block, columns=tuple(block.columns[i] for i in own), values=block.values[:n, own], units=units,
                lines=block.lines[:n],
            )
        )  # fmt: skip
    return out


def _recognised(head: bytes) -> str | None:
    book = head.startswith(b"PK") and (b"xl/" in head or b"[Content_Types].xml" in head[:200])
    return "because it is an archive with a workbook" if book else None


FORMAT = Format("a workbook of Excel", (".xlsx", ".xlsm"), _recognised, contents_of_spreadsheet)
