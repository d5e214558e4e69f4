"""Objects that are copied and pickled by being made again from the arguments they were made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self


class Remade:
    """For objects that hold what cannot be pickled, such as compiled models of MuJoCo."""

    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        made = super().__new__(cls)
        made._made_with = (arguments, named)
        return made

    def remembered(self) -> Mapping[str, Any]:
        """Attributes that have changed since it was made, and are to be carried over."""
        return {}

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        return _made, (type(self), *self._made_with), dict(self.remembered())


def _made(kind: type, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    return kind(*arguments, **named)
