"""Readers for the files a laboratory has: OpenSim ``.mot``/``.sto``, CSV, and C3D.

Every reader is tolerant of form (tab, blank, comma and semicolon separators, padded headers, announced row
counts that are wrong, old SIMM headers) and strict about content: a cell that is not a number, a time that
runs backwards or a row that is cut off is an `InputError` which names file, line and column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, suggest


@dataclass(frozen=True)
class Table:
    """Columns of numbers over time, as a file holds them: no unit has been converted."""

    time: Float[np.ndarray, "time"]
    """Strictly increasing [s]."""
    columns: tuple[str, ...]
    values: Float[np.ndarray, "time column"]
    """NaN where the file has no number."""
    in_degrees: bool | None
    """What the file says about its angles; None: it does not say."""
    path: Path
    units: tuple[str, ...] = ()
    """One a column where the file states them, else empty."""
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Oddities worth telling the user, one line each."""

    @property
    def rate(self) -> float:
        """Sampling rate [Hz], from the median interval."""
        return float(1.0 / np.median(np.diff(self.time)))

    def index(self, column: str) -> int:
        """Position of a column.

        **Raises:** `InputError` if the file does not have it, or has it twice.
        """
        hits = [i for i, c in enumerate(self.columns) if c == column]
        if not hits:
            raise InputError(f"{self.path}: no column '{column}'{suggest(column, self.columns)}")
        if len(hits) > 1:
            raise InputError(f"{self.path}: column '{column}' appears {len(hits)} times; rename all but one")
        return hits[0]

    def __getitem__(self, column: str) -> Float[np.ndarray, "time"]:
        return self.values[:, self.index(column)]

    def select(self, columns: Mapping[str, str]) -> Table:
        """The columns ``columns.values()``, renamed to ``columns.keys()``."""
        where = [self.index(c) for c in columns.values()]
        units = tuple(self.units[i] for i in where) if self.units else ()
        return replace(self, columns=tuple(columns), values=self.values[:, where], units=units)

    def shifted(self, offset: float) -> Table:
        """`offset` [s] added to the time."""
        return replace(self, time=self.time + offset) if offset else self


def read_table(path: str | Path, *, time_column: str | None = None) -> Table:
    """Read any supported file as a table over time; of a C3D file, its analog channels.

    **Arguments:**

    - `path`: a ``.mot``, ``.sto``, ``.csv``, ``.tsv``, ``.txt`` or ``.c3d`` file.
    - `time_column`: name of the time column of a CSV file; default: ``time`` or ``t``, in any case.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".c3d":
        analogs = read_c3d(path).analogs
        if analogs is None:
            raise InputError(f"{path}: holds no analog channels; give the file with the EMG")
        return analogs
    if suffix in (".mot", ".sto"):
        return read_storage(path)
    if suffix in (".csv", ".tsv", ".txt"):
        return read_csv(path, time_column=time_column)
    raise InputError(f"{path}: unknown kind of file '{suffix}'; supported are .mot, .sto, .csv, .tsv, .txt and .c3d")


# Text ----------------------------------------------------------------------------------------------------


def read_storage(path: str | Path) -> Table:
    """Read an OpenSim ``.mot`` or ``.sto`` file (also comma-separated, also with an old SIMM header)."""
    path = Path(path)
    lines = _lines(path)
    end = next((i for i, s in enumerate(lines) if _bare(s).casefold() == "endheader"), None)
    if end is None:
        raise InputError(f"{path}: no 'endheader' line; is it an OpenSim file? Save a plain table as .csv")
    header: dict[str, str] = {}
    for line in lines[:end]:
        key, equals, value = _bare(line).partition("=")
        if equals:
            header[key.strip()] = value.strip()
    folded = {k.casefold(): v for k, v in header.items()}
    kind = folded.get("datatype", "double").casefold()
    if kind not in ("double", "float"):
        raise InputError(
            f"{path}: DataType={folded['datatype']} holds vectors, not numbers; export it as plain columns"
        )
    answer = folded.get("indegrees", "").casefold()
    if answer not in ("", "yes", "no", "true", "false", "1", "0", "y", "n"):
        raise InputError(f"{path}: inDegrees={folded['indegrees']} is neither yes nor no; correct the header")
    in_degrees = None if answer == "" else answer in ("yes", "true", "1", "y")

    start = next((i for i in range(end + 1, len(lines)) if _bare(lines[i])), None)
    if start is None:
        raise InputError(f"{path}: nothing follows 'endheader'; the file is cut off, export it again")
    names, rows, numbers = _split(path, lines, start)
    if names[0].casefold() != "time":
        raise InputError(f"{path}: first column is '{names[0]}', expected 'time' on line {start + 1}")
    values = _numbers(path, names, rows, numbers)
    _check_time(path, values[:, 0], numbers)

    notes = []
    announced = folded.get("nrows") or folded.get("datarows")
    if announced and announced.isdigit() and int(announced) != len(values):
        notes.append(f"{path}: header announces {announced} rows, the file has {len(values)}; using those it has")
    return Table(values[:, 0], tuple(names[1:]), values[:, 1:], in_degrees, path, (), header, tuple(notes))


def read_csv(path: str | Path, *, time_column: str | None = None) -> Table:
    """Read a table whose first line names the columns, one of them the time [s].

    The separator is a comma, semicolon (then with decimal commas too), tab or blank; lines that start with
    ``#`` are comments; an empty cell, ``NaN`` or ``NA`` is a missing sample.
    """
    path = Path(path)
    lines = _lines(path)
    if any(_bare(s).casefold() == "endheader" for s in lines[:200]):
        return read_storage(path)
    start = next((i for i, s in enumerate(lines) if _bare(s) and not s.lstrip().startswith("#")), None)
    if start is None:
        raise InputError(f"{path}: is empty; export it again")
    names, rows, numbers = _split(path, lines, start)
    if names and all(_is_number(n) for n in names if n):
        raise InputError(f"{path}: line {start + 1} holds numbers; add a first line with the names of the columns")
    if time_column is not None:
        hits = [i for i, n in enumerate(names) if n == time_column]
    else:
        hits = [i for i, n in enumerate(names) if n.casefold() in ("time", "t", "time_s", "time [s]", "time (s)")]
    if not hits:
        wanted = time_column or "time"
        raise InputError(
            f"{path}: no time column '{wanted}'{suggest(wanted, names)}"
            + ("" if time_column else " (name it 'time', or set time_column)")
        )
    if len(hits) > 1:
        found = ", ".join(f"'{names[i]}'" for i in hits)
        raise InputError(f"{path}: several time columns ({found}); keep one, or set time_column")
    values = _numbers(path, names, rows, numbers)
    t = hits[0]
    _check_time(path, values[:, t], numbers)
    keep = [i for i in range(len(names)) if i != t and (names[i] or not np.all(np.isnan(values[:, i])))]
    return Table(values[:, t], tuple(names[i] for i in keep), values[:, keep], None, path)


def write_csv(
    path: str | Path, time: Float[np.ndarray, "time"], columns: Mapping[str, Float[np.ndarray, "time"]]
) -> None:
    """Write a table that `read_csv` reads back to the last bit; NaN becomes an empty cell."""
    import csv

    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time", *columns])
        for row in zip(time, *columns.values(), strict=True):
            writer.writerow(["" if math.isnan(x) else repr(float(x)) for x in row])


def _bare(line: str) -> str:
    return line.strip().rstrip(",;\t ").strip()


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(_missing(path)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a readable file") from None
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: is a binary file, not text; export it as .csv, .sto or .mot")
    try:
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.splitlines()


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"{path}: no such file, nor its folder; correct the path"
    return f"{path}: no such file{suggest(path.name, sorted(p.name for p in folder.iterdir()))}"


def _split(path: Path, lines: list[str], start: int) -> tuple[list[str], list[list[str]], list[int]]:
    """Names, the rows' cells, and the rows' line numbers (from 1)."""
    head = lines[start]
    separator = next((s for s in ("\t", ";", ",") if s in head.rstrip(s + " ")), None)
    cells = _cells(head, separator)
    while cells and not cells[-1]:
        cells.pop()
    rows, numbers = [], []
    for i in range(start + 1, len(lines)):
        line = lines[i]
        if not _bare(line) or line.lstrip().startswith("#"):
            continue
        row = _cells(line, separator)
        if len(row) != len(cells) and separator == "\t":
            row = line.split()  # OpenSim takes any white space between numbers
        while len(row) > len(cells) and not row[-1]:
            row.pop()
        if len(row) != len(cells):
            fault = (
                "the file is cut off there" if i >= len(lines) - 2 and len(row) < len(cells) else "correct that line"
            )
            hint = " (a decimal comma?)" if separator == "," and len(row) > len(cells) else ""
            raise InputError(
                f"{path}: line {i + 1} has {len(row)} cells, the {len(cells)} columns need one each{hint}; {fault}"
            )
        rows.append(row)
        numbers.append(i + 1)
    if len(rows) < 2:
        raise InputError(f"{path}: has {len(rows)} rows of data; a recording needs at least two")
    return cells, rows, numbers


def _cells(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    if '"' in line:
        import csv

        return [c.strip() for c in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    return [c.strip() for c in line.split(separator)]


_NOT_A_NUMBER = frozenset(
    {"", "nan", "-nan", "na", "n/a", "null", "none", "-nan(ind)", "nan(ind)", "-1.#ind", "1.#qnan"}
)
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return bool(_DECIMAL_COMMA.fullmatch(cell))
    return cell.casefold() not in _NOT_A_NUMBER


def _numbers(path: Path, names: list[str], rows: list[list[str]], lines: list[int]) -> np.ndarray:
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError:
        values = np.empty((len(rows), len(names)))
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                values[i, j] = _number(path, cell, lines[i], names[j])
    if np.any(np.isinf(values)):
        i, j = np.argwhere(np.isinf(values))[0]
        raise InputError(
            f"{path}: line {lines[i]}, column '{names[j]}': infinite; leave the cell empty if it is missing"
        )
    return values


def _number(path: Path, cell: str, line: int, column: str) -> float:
    if cell.casefold() in _NOT_A_NUMBER:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        if _DECIMAL_COMMA.fullmatch(cell):
            return float(cell.replace(",", "."))
        raise InputError(
            f"{path}: line {line}, column '{column}': '{cell[:30]}' is not a number; correct the cell, or "
            "leave it empty if it is missing"
        ) from None


def _check_time(path: Path, time: np.ndarray, lines: list[int]) -> None:
    if np.any(np.isnan(time)):
        i = int(np.flatnonzero(np.isnan(time))[0])
        raise InputError(f"{path}: line {lines[i]} has no time; fill it in or remove the line")
    step = np.diff(time)
    if np.any(step <= 0):
        i = int(np.flatnonzero(step <= 0)[0])
        if step[i] == 0:
            raise InputError(
                f"{path}: time {time[i]:g} s is duplicated (lines {lines[i]} and {lines[i + 1]}); remove one of them"
            )
        raise InputError(
            f"{path}: time runs backwards on line {lines[i + 1]} (from {time[i]:g} to {time[i + 1]:g} s); "
            "sort the rows, or split the recording"
        )


# C3D -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Markers:
    """Marker positions over time."""

    time: Float[np.ndarray, "time"]
    """[s]."""
    labels: tuple[str, ...]
    position: Float[np.ndarray, "time marker 3"]
    """In the laboratory's axes [m]; NaN where the marker was not seen."""


@dataclass(frozen=True)
class C3D:
    """What a C3D file holds; time 0 is the first frame of the capture, also in a file trimmed later."""

    path: Path
    markers: Markers | None
    analogs: Table | None


_LENGTH = {"mm": 1e-3, "cm": 1e-2, "dm": 1e-1, "m": 1.0, "": 1e-3}


def read_c3d(path: str | Path) -> C3D:
    """Read markers and analog channels of a C3D file."""
    import ezc3d

    path = Path(path)
    try:
        with path.open("rb") as file:
            magic = file.read(512)
    except FileNotFoundError:
        raise InputError(_missing(path)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a readable file") from None
    if len(magic) < 512 or magic[1] != 0x50:
        raise InputError(f"{path}: is not a C3D file (its second byte is not 0x50); export it again")
    try:
        file = ezc3d.c3d(str(path))
        parameters = file["parameters"]
        header = file["header"]
        points = np.asarray(file["data"]["points"], dtype=float)
        analogs = np.asarray(file["data"]["analogs"], dtype=float)[0]
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: cannot be read as C3D ({reason}); export it again") from None

    point_rate = float(header["points"]["frame_rate"])
    first = int(header["points"]["first_frame"])
    origin = first / point_rate if point_rate > 0 else 0.0

    markers = None
    labels = _labels(parameters, "POINT", points.shape[1])
    if points.shape[1] and points.shape[2] and point_rate > 0:
        unit = str((_parameter(parameters, "POINT", "UNITS") or [""])[0]).strip().casefold()
        if unit not in _LENGTH:
            raise InputError(f"{path}: POINT:UNITS is '{unit}', expected mm, cm, dm or m")
        position = np.moveaxis(points[:3], 0, -1).swapaxes(0, 1) * _LENGTH[unit]
        residual = np.asarray(file["data"]["meta_points"]["residuals"], dtype=float)[0].T
        unseen = (residual < 0) | np.all(position == 0, axis=-1)
        position = np.where(unseen[..., None], np.nan, position)
        markers = Markers(origin + np.arange(len(position)) / point_rate, labels, position)

    table = None
    if analogs.size:
        rate = float(header["analogs"]["frame_rate"])
        if not rate > 0:
            raise InputError(f"{path}: ANALOG:RATE is {rate:g}; correct it in the C3D file")
        names = _labels(parameters, "ANALOG", len(analogs))
        units = [str(u).strip() for u in _parameter(parameters, "ANALOG", "UNITS")]
        units = tuple((units + [""] * len(names))[: len(names)])
        time = origin + np.arange(analogs.shape[1]) / rate
        table = Table(time, names, np.ascontiguousarray(analogs.T), None, path, units)
    if markers is None and table is None:
        raise InputError(f"{path}: holds neither markers nor analog channels; export it again")
    return C3D(path, markers, table)


def _parameter(parameters: Any, group: str, name: str) -> list[Any]:
    try:
        return list(parameters[group][name]["value"])
    except KeyError:
        return []


def _labels(parameters: Any, group: str, count: int) -> tuple[str, ...]:
    labels: list[str] = []
    for suffix in ("", *map(str, range(2, 20))):  # LABELS2, LABELS3 … hold what does not fit into 255
        labels += [str(x).strip() for x in _parameter(parameters, group, f"LABELS{suffix}")]
    labels = (labels + [""] * count)[:count]
    return tuple(label or f"{group.lower()}_{i + 1}" for i, label in enumerate(labels))
