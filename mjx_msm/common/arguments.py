"""Arguments of public functions: of the right kind, or one line that names the argument."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.common.toml_tables import show

Kind = TypeVar("Kind")


def number(what: str, value: Any) -> float:
    """A number that is not NaN; true and false are none.

    **Raises:** `InputError` if it is something else.
    """
    scalar = isinstance(value, Real) or (getattr(value, "ndim", None) == 0 and value.dtype.kind in "iuf")
    if scalar and not isinstance(value, bool) and not math.isnan(value):
        return float(value)
    raise InputError(f"{what} must be a number, got {_shown(value)}")


def whole(what: str, value: Any, low: int = 0) -> int:
    """A whole number from `low` on.

    **Raises:** `InputError` if it is something else.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise InputError(f"{what} must be a whole number, got {_shown(value)}")
    if value < low:
        raise InputError(f"{what} = {value} must be at least {low}")
    return int(value)


def words(what: str, value: Any) -> tuple[str, ...]:
    """Several words; a single one is refused, since its letters would be taken for them.

    **Raises:** `InputError` if it is something else.
    """
    given: tuple[Any, ...] = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (None,)
    if not all(isinstance(name, str) for name in given):
        raise InputError(f"{what} must be a list of texts, got {_shown(value)}")
    return given


def table(what: str, value: Any) -> Mapping[str, Any]:
    """A mapping from words.

    **Raises:** `InputError` if it is something else.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{what} must be a dictionary with texts as keys, got {_shown(value)}")
    return value


def array(what: str, value: Any, shape: tuple[int, ...], meaning: str) -> np.ndarray:
    """Numbers of a shape.

    **Raises:** `InputError` if they are something else; `meaning` says what the shape is made of.
    """
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{what} must be numbers of shape {shape}, {meaning}; got {_shown(value)}") from None
    if numbers.shape != shape:
        raise InputError(f"{what} has shape {numbers.shape}, expected {shape}, {meaning}")
    return numbers


def of_kind(what: str, value: Any, kind: type[Kind], source: str) -> Kind:
    """An object of this package.

    **Raises:** `InputError` if it is something else; `source` says where to get one ("load_model makes one").
    """
    if not isinstance(value, kind):
        raise InputError(f"{what} must be {kind.__name__}, got {_shown(value)}; {source}")
    return value


def path_of(what: str, value: Any) -> Path:
    """A path.

    **Raises:** `InputError` if it is something else.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{what} must be a path, got {_shown(value)}")
    return Path(value)


def _shown(value: Any) -> str:
    plain = value is None or isinstance(value, bool | int | float | str | list | dict)
    return show(value) if plain else type(value).__name__
