"""JSON files: read whatever they hold without another exception than `InputError`, and records restored from them.

A record is a frozen dataclass of words, numbers, and lists and tables of them. What each field may hold is read from
its annotation, so that a new field is written once. JSON has no word for infinity and NaN: they are written as texts.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import read_text
from mjx_msm.common.toml_tables import show

Reader = Callable[[Any], Any]
"""From what JSON holds to a field; a `ValueError` says what is wrong."""


def read_json(path: Path, kind: str, fix: str) -> Any:
    """What a JSON file holds.

    **Arguments:** `kind`: what the file should be. `fix`: what to do if it is not, ends the message.

    **Raises:** `InputError` if there is no such file, or it is not JSON.
    """
    text = read_text(path, kind)

    def no_number(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(text, parse_constant=no_number)
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply; {fix}") from None
    except ValueError as error:
        raise InputError(f"{path}: is not valid JSON ({error}); {fix}") from None


def plain_json(value: Any) -> Any:
    """A value as JSON knows it: infinities and NaN as texts, enumerations by name."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        return {k: plain_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(v) for v in value]
    return value


# What a field may hold -------------------------------------------------------------------------------------


def word(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not a text")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(f"{value!r} is half a character")
    return value


def number(value: Any) -> float:
    """A number, also infinite or NaN."""
    if isinstance(value, str) and value in ("inf", "-inf", "nan"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{show(value)} is not a number")
    try:
        if math.isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise ValueError(f"{show(value)} is too large a number")  # JSON has no infinity but 1e999


def finite(value: Any) -> float:
    if not math.isfinite(number(value)):
        raise ValueError(f"{show(value)} is not a finite number")
    return number(value)


def whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{show(value)} is not a whole number")
    if abs(value) > 2**63:
        raise ValueError(f"{show(value)} is too large a number")
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{show(value)} is not true or false")
    return value


def list_of(reader: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"{show(value)} is not a list")
        return tuple(map(reader, value))

    return read


def table_of(reader: Reader) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"{show(value)} is not a table")
        return {word(k): _under(k, reader, v) for k, v in value.items()}

    return read


def record_of(
    cls: type[Any], readers: Mapping[str, Reader] | None = None, optional: tuple[str, ...] = ()
) -> Callable[[Any], Any]:
    """Reader of one dataclass.

    **Arguments:** `readers`: of the fields whose annotation is not in `READERS`. `optional`: fields that may be absent.
    """
    chosen: dict[str, Reader] = {}
    for name, f in cls.__dataclass_fields__.items():
        chosen[name] = (readers or {}).get(name) or READERS[f.type]

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"{show(value)} is not a table")
        missing = [name for name in chosen if name not in value and name not in optional]
        if missing:
            raise ValueError(f"'{missing[0]}' is missing")
        unknown = [name for name in value if name not in chosen]
        if unknown:
            raise ValueError(f"'{unknown[0]}' is unknown")
        return cls(**{name: _under(name, chosen[name], v) for name, v in value.items()})

    return read


def _under(name: str, reader: Reader, value: Any) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


READERS: Mapping[str, Reader] = {
    "str": word,
    "float": number,
    "float | None": number,  # absent where it is not known
    "int": whole,
    "bool": flag,
    "bool | None": flag,  # absent where it is not known
    "tuple[str, ...]": list_of(word),
    "tuple[float, ...]": list_of(number),
    "tuple[tuple[float, ...], ...]": list_of(list_of(number)),
    "Mapping[str, str]": table_of(word),
    "Mapping[str, float]": table_of(number),
    "Mapping[str, Mapping[str, float]]": table_of(table_of(number)),
}
"""By annotation."""
