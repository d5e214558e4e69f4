"""TOML tables: what a key holds is checked where it is read, with its place in the file; and mappings written out."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mjx_msm.common.errors import Faults, InputError, in_one_line, misspelt, suggest
from mjx_msm.common.files import read_text

# Reading -------------------------------------------------------------------------------------------------


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """What a TOML file holds.

    **Arguments:** `kind`: what the file should be, for messages ("subject file").

    **Raises:** `InputError` if there is no such file, or it is not TOML.
    """
    text = read_text(path, kind)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply; give a {kind}") from None
    except (
        ValueError
    ) as error:  # besides what TOML forbids: numbers of more digits, and dates that Python does not know
        raise InputError(f"{path}: is not valid TOML: {in_one_line(error)}{_backslash(text, str(error))}") from None


def _backslash(text: str, error: str) -> str:
    """What to do where a path of Windows is why a text is not TOML."""
    place = re.search(r"line (\d+)", error)
    line = text.splitlines()[int(place[1]) - 1] if place and int(place[1]) <= len(text.splitlines()) else ""
    if "\\" not in line or not re.search(r"escape|backslash|\\|hex", error, re.IGNORECASE):
        return ""
    return "; a backslash is a special character in double quotes: write the path with / instead, or in single quotes"


class Section:
    """A TOML table that knows its place in the file and which keys it may have.

    With `faults`, what is wrong is kept there, and a value that is wrong reads as if it were not given; without, it is
    raised. A key that is misspelt reads as the one that is meant, so that only the spelling is said to be wrong.
    """

    def __init__(
        self,
        data: Any,
        where: str,
        allowed: Sequence[str] | None,
        *,
        faults: Faults | None = None,
        at: tuple[str | int, ...] = (),
    ) -> None:
        self.where, self.faults, self.at = where, faults, at
        self.is_table = isinstance(data, Mapping)
        self.data: Mapping[str, Any] = data if self.is_table else {}
        self._spelt: dict[str, str] = {}
        """Keys that are read, where the file spells them otherwise."""
        own = Faults() if faults is None else faults
        with own.gathered(at):
            if not isinstance(data, Mapping):
                raise InputError(f"{where}: must be a table of key = value, got {show(data)}")
        for key in self.data:
            with own.gathered((*at, key)):
                if allowed is not None and key not in allowed:
                    raise InputError(f"{where}: unknown key '{key}'{suggest(key, allowed, limit=20)}")
        if faults is None:
            own.raise_any()
        for key in () if allowed is None else [k for k in self.data if k not in allowed]:
            self._read_as_meant(key, allowed or ())

    def _read_as_meant(self, key: str, allowed: Sequence[str]) -> None:
        """A key that is misspelt; of a table, also where others of its tables are under the right one."""
        value = self.data[key]

        def free(name: str) -> bool:
            if name not in self.data:
                return True
            tables = [x for x in (value, self.data[name]) if isinstance(x, Mapping)]
            return len(tables) == 2 and not {*tables[0]} & {*tables[1]}

        meant = misspelt(key, filter(free, allowed))
        if meant is not None:
            self._spelt[meant] = key
            whole = {**value, **self.data[meant]} if meant in self.data else value
            self.data = {**{k: v for k, v in self.data.items() if k != key}, meant: whole}

    def _place(self, keys: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """Where keys lead to from the top of the file, as the file spells them."""
        return (*self.at, *(self._spelt.get(k, k) if isinstance(k, str) else k for k in keys[:1]), *keys[1:])

    def refuse(self, error: InputError, *keys: str) -> None:
        """Keep or raise an error; `keys` lead to where it is, from here."""
        if self.faults is None:
            raise error
        self.faults.add(error, self._place(keys))

    @contextmanager
    def gathered(self, *keys: str) -> Iterator[None]:
        """Inside, an `InputError` ends what is done; it is kept or raised, as by `refuse`."""
        try:
            yield
        except InputError as error:
            if self.faults is None:
                raise
            self.refuse(error, *keys)

    def fail(self, key: str, wanted: str) -> InputError:
        value = self.data.get(key)
        hint = (
            "; remove the quotes"
            if isinstance(value, str) and wanted.startswith("a number") and _numeric(value)
            else ""
        )
        return InputError(f"{self.where}: {key} must be {wanted}, got {show(value)}{hint}")

    def require(self, key: str, wanted: str) -> None:
        if key not in self.data and self.is_table:
            self.refuse(InputError(f"{self.where}: '{key}' is missing; give {wanted}"), key)

    def text(
        self,
        key: str,
        default: str | None = None,
        *,
        options: Sequence[str] | None = None,
        required: bool = False,
    ) -> str | None:
        wanted = "one of " + ", ".join(f"'{o}'" for o in options) if options else "a text in quotes"
        if required:
            self.require(key, wanted)
        value = self.data.get(key, default)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.refuse(self.fail(key, wanted), key)
            return default
        if options and value not in options:
            self.refuse(InputError(f"{self.where}: {key} = '{value}' is unknown{suggest(value, options)}"), key)
            return default
        return value

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        unit: str = "",
        required: bool = False,
    ) -> float | None:
        wanted = "a number" + (f" [{unit}]" if unit else "")
        if required:
            self.require(key, wanted)
        if key not in self.data:
            return default
        value = self.data[key]
        if not is_number(value):
            self.refuse(self.fail(key, wanted), key)
            return default
        if not low <= value <= high:
            implausible = InputError(
                f"{self.where}: {key} = {value:g}{' ' + unit if unit else ''} is implausible, expected "
                f"{low:g} to {high:g}{' ' + unit if unit else ''}; correct it"
            )
            self.refuse(implausible, key)
            return default
        return float(value)

    def names(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        wanted = f'a list of texts, like {key} = ["…"]'
        if required:
            self.require(key, wanted)
        value = self.data.get(key, [])
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v for v in value):
            self.refuse(self.fail(key, wanted), key)
            return ()
        for name in dict.fromkeys(value):
            if value.count(name) > 1:
                self.refuse(InputError(f"{self.where}: {key} lists '{name}' twice; remove one"), key)
        return tuple(value)

    def section(self, key: str, allowed: Sequence[str] | None) -> Section:
        inside = f"{self.where.removesuffix(']')}.{key}]" if self.where.endswith("]") else f"{self.where} [{key}]"
        return self.inside(self.data.get(key, {}), inside, allowed, key)

    def inside(self, data: Any, where: str, allowed: Sequence[str] | None, *keys: str | int) -> Section:
        """A table in this one; `keys` lead to it."""
        return Section(data, where, allowed, faults=self.faults, at=self._place(keys))


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; true and false are not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def show(value: Any) -> str:
    """A value as a message shows it."""
    if value is None:
        return "nothing"
    kind = {str: "the text", bool: "", int: "", float: "", list: "the list", dict: "the table"}.get(type(value), "")
    try:
        shown = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
        shown = "…"
    return f"{kind} {shown[:60]}{'…' if len(shown) > 60 else ''}".strip()


# Writing -------------------------------------------------------------------------------------------------


def to_toml(document: Mapping[str, Any]) -> str:
    """A mapping as TOML: values, then tables, then lists of tables; what lies deeper is written inline."""
    document = plain(document)
    lines: list[str] = []

    def table(data: Mapping[str, Any], path: tuple[str, ...]) -> None:
        deep = [k for k, v in data.items() if isinstance(v, dict) and len(path) < 2]
        deep += [
            k for k, v in data.items() if not path and isinstance(v, list) and v and all(isinstance(x, dict) for x in v)
        ]
        for key, value in data.items():
            if key not in deep:
                lines.append(f"{_key(key)} = {_value(value)}")
        for key in deep:
            name = ".".join(map(_key, (*path, key)))
            if isinstance(data[key], dict):
                lines.extend(["", f"[{name}]"])
                table(data[key], (*path, key))
            else:
                for entry in data[key]:
                    lines.extend(["", f"[[{name}]]"])
                    lines.extend(f"{_key(k)} = {_value(v)}" for k, v in entry.items())

    table(document, ())
    return "\n".join(lines).lstrip("\n") + "\n"


def plain(value: Any) -> Any:
    """NumPy numbers, paths, tuples and None as what TOML knows."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value.as_posix() if isinstance(value, Path) else value


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }" if value else "{}"
    raise InputError(f"TOML cannot hold {type(value).__name__} ({value!r}); convert it to text or a number")
