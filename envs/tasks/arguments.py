"""What a task can be told when it is made, and a word on what it cannot."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mjx_msm.common.errors import InputError, suggest


def arguments_of(kind: Callable[..., Any]) -> dict[str, Any]:
    """Names of the arguments of a task's class, or of an adapter's, and what they are if they are not given."""
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def check_arguments(what: str, kind: Callable[..., Any], given: Iterable[str], adapter: Mapping[str, Any]) -> None:
    """Refuse an argument that neither a task nor the adapter that steps it has.

    **Arguments:** `what`: the environment, as the message calls it. `adapter`: the adapter's own, by name.

    **Raises:** `InputError` naming the argument and those that there are.
    """
    known = [*arguments_of(kind), *adapter]
    for name in given:
        if name not in known:
            raise InputError(f"{what} has no argument '{name}'{suggest(name, known, limit=40)}")
