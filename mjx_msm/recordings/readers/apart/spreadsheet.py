"""A workbook of Excel (``.xlsx``), by openpyxl: every sheet as lines of text, its cells separated by tabs."""

from typing import Any

LIBRARY = "openpyxl"


def parse(path: str) -> dict[str, Any]:
    import datetime
    import io

    import numpy as np
    import openpyxl

    def cell(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(int(value))
        if isinstance(value, int | float):
            return repr(float(value))
        if isinstance(value, datetime.timedelta):
            return repr(value.total_seconds())
        if isinstance(value, datetime.time):
            return repr(value.hour * 3600 + value.minute * 60 + value.second + value.microsecond * 1e-6)
        return " ".join(str(value).split())

    out: dict[str, Any] = {}
    with open(path, "rb") as file:  # by its name, it would be asked for the ending
        content = io.BytesIO(file.read())
    book = openpyxl.load_workbook(content, read_only=True, data_only=True)
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # what the file says of its own size is not to be trusted
        lines = []
        width = 0  # of the numbers above: columns that ended before have blanks, which files leave out
        for row in sheet.iter_rows(values_only=True):
            cells = [cell(value) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            numbers = bool(cells) and all(v is None or type(v) in (int, float) for v in row)
            cells += [""] * (width - len(cells) if numbers else 0)
            width = len(cells) if numbers else 0
            lines.append("\t".join(cells))
        out[sheet.title] = np.frombuffer("\n".join(lines).encode("utf-8", "replace"), dtype=np.uint8)
    return out
