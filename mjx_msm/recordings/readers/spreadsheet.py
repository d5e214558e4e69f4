"""Workbooks of Excel (``.xlsx``): every sheet is read as a table of text is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
            blocks.append(replace(block, name=name, columns=(name,) if alone else block.columns))
    if not blocks:
        raise InputError(in_all(path, faults) if faults else f"{path}: its sheets are empty; save it again")
    notes += [f"{fault}; the sheet is left out" for fault in faults]
    if len(blocks) == 1 and len(sheets) == 1:
        blocks = [replace(blocks[0], name="")]
    return Contents(path, tuple(blocks), header=header, notes=tuple(notes))


def _recognised(head: bytes) -> str | None:
    book = head.startswith(b"PK") and (b"xl/" in head or b"[Content_Types].xml" in head[:200])
    return "because it is an archive with a workbook" if book else None


FORMAT = Format("a workbook of Excel", (".xlsx", ".xlsm"), _recognised, contents_of_spreadsheet)
