"""What lies between a world and a robot's controller: noise and delay of sensors, delay of commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.delay_line import delay_steps
from mjx_msm.common.errors import InputError

MAX_EXTRA_DELAY = 0.2
"""Longest delay that a disturbance can add to commands [s]."""


@dataclass(frozen=True)
class Sensing:
    """An ideal robot by default."""

    noise: float = 0.0
    """Factor on the standard deviation that every observation's sensor typically has [-]; 1: as usual."""
    delay: float = 0.0
    """By which observations come late [s]; whole control periods."""
    command_delay: float = 0.0
    """By which actions take effect late [s]; whole control periods."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, int | float) or not np.isfinite(value) or value < 0:
                raise InputError(f"sensing {item.name} = {value!r}; give a finite number, zero or more")

    @staticmethod
    def of(values: Mapping[str, float] | Sensing | None) -> Sensing:
        """With some of its numbers replaced by name."""
        if isinstance(values, Sensing):
            return values
        if values is not None and not isinstance(values, Mapping):
            raise InputError(f"sensing = {values!r}; give a Sensing or a mapping of its numbers")
        known = [item.name for item in fields(Sensing)]
        for name in values or {}:
            if name not in known:
                raise InputError(f"sensing has no '{name}'; it has {', '.join(known)}")
        return Sensing(**dict(values or {}))

    def begin(self, xp: Any, count: int, period: float) -> Float[Any, "delay observation"]:
        """Observations on their way; none yet."""
        return xp.zeros((delay_steps(self.delay, period), count))

    def delayed(
        self, xp: Any, under_way: Float[Any, "delay observation"], observation: Float[Any, "observation"], step: Any
    ) -> tuple[Float[Any, "observation"], Float[Any, "delay observation"]]:
        """What arrives now, and what is on its way then; before the first arrives, it is what was first seen."""
        if not len(under_way):
            return observation, under_way
        everything = xp.concatenate([under_way, observation[None]])
        everything = xp.where(step == 0, observation, everything)
        return everything[0], everything[1:]


@dataclass(frozen=True)
class Commands:
    """Actions on their way to the motors."""

    delay: float
    """[s]."""
    count: int
    """Numbers in a command."""
    period: float
    """Of control [s]."""

    def begin(self, xp: Any, first: Float[Any, "command"] | float = 0.0) -> Float[Any, "past command"]:
        """Nothing but `first` was asked for yet."""
        return xp.zeros((delay_steps(self.delay + MAX_EXTRA_DELAY, self.period), self.count)) + first

    def pass_on(
        self, xp: Any, past: Float[Any, "past command"], command: Float[Any, "command"], extra: Any
    ) -> tuple[Float[Any, "command"], Float[Any, "past command"]]:
        """The command that takes effect now, and what is remembered.

        **Arguments:** `extra`: by which commands are later than usual [s], at most `MAX_EXTRA_DELAY`.
        """
        known = xp.concatenate([command[None], past])  # the newest first
        late = xp.round((self.delay + extra) / self.period)
        which = xp.minimum(xp.asarray(late, int), len(past))
        return known[which], known[:-1]
