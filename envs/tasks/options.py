"""What `reset(options=...)` can be told of an episode, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.envs.tasks.disturbance import LARGEST, NOTHING, WHEN, Disturbance
from mjx_msm.envs.tasks.task import Task


def as_options(options: Any) -> dict[str, Any]:
    """By name, of the caller's own.

    **Raises:** `InputError` if they are not named.
    """
    if options is not None and not isinstance(options, Mapping):
        raise InputError(f"reset options = {options!r}; give a mapping, such as {{'disturbance': {{'tremor': 0.1}}}}")
    return dict(options or {})


def as_disturbance(value: Any, task: Task) -> Disturbance:
    """A `Disturbance` of a task, from a mapping of its fields.

    **Raises:** `InputError` naming a field that there is not, that is out of its range, or that would disturb nothing
    in this task.
    """
    if value is None:
        return NOTHING
    if isinstance(value, Disturbance):
        value = value._asdict()
    if not isinstance(value, Mapping):
        raise InputError(f"disturbance {value!r}: give a Disturbance or a mapping of its fields")
    numbers = {}
    for name, number in value.items():
        if name not in Disturbance._fields:
            raise InputError(f"disturbance has no '{name}'; it has {', '.join(Disturbance._fields)}")
        most = LARGEST.get(name, np.inf)
        if not isinstance(number, int | float | np.number) or not (0 <= number <= most and np.isfinite(number)):
            words = "a finite number, zero or more" if np.isinf(most) else f"a number between 0 and {most:g}"
            raise InputError(f"disturbance {name} = {number!r}; give {words}")
        if name == "tremor_frequency" and number >= 0.5 / task.period:
            words = f"give less than {0.5 / task.period:g} Hz, half of the actions a second"
            raise InputError(f"disturbance {name} = {number!r}; {words}")
        if name not in (*WHEN, *task.disturbances) and number != getattr(NOTHING, name):
            raise InputError(f"disturbance {name} disturbs nothing here; there is {', '.join(task.disturbances)}")
        numbers[name] = float(number)
    return Disturbance(**numbers)


def as_draws(values: Any, count: int) -> Float[np.ndarray, "draw"]:
    """The random numbers of an episode, checked."""
    try:
        draws = np.asarray(values, float)
    except (TypeError, ValueError):
        raise InputError(f"reset option draws = {values!r}: give {count} numbers between 0 and 1") from None
    if draws.shape != (count,) or not ((draws >= 0) & (draws <= 1)).all():
        raise InputError(f"reset option draws: give {count} numbers between 0 and 1")
    return draws


def as_excitation(values: Any, muscles: int) -> Float[np.ndarray, "period muscle"]:
    try:
        table = np.asarray(values, float)
    except (TypeError, ValueError):
        table = np.empty((0, 0))
    if table.ndim != 2 or not len(table) or table.shape[1] != muscles or not np.all((table >= 0) & (table <= 1)):
        raise InputError(f"reset option recorded: give numbers from 0 to 1 of shape (period, {muscles})")
    return table
