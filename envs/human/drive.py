"""The human half of an environment: what the muscles are excited with, from intent to the neuromuscular junction.

intent     a recording replayed, a controller that follows a goal, or an external policy
strength   the part of it that arrives
reflex     what stretched muscles add on their own
tremor     what a disturbance adds
fatigue    what tired muscles cannot follow
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import namespace
from mjx_msm.common.errors import InputError
from mjx_msm.envs.engines.kinetics import Dynamics, Kinetics
from mjx_msm.envs.human.fatigue import Compartments, Fatigue
from mjx_msm.envs.human.reflex import DelayLine, StretchReflex

RESETTING = 0.1
"""Time in which the fusimotor system sets the spindles to a new length [s]; our choice."""


class Sight(NamedTuple):
    """What an intent can go by in a control period."""

    step: Any
    """Of the episode, from 0."""
    goal: Any
    """Position, velocity and acceleration that are asked of the person's joints at the period's end."""
    kinetics: Kinetics
    dynamics: Callable[[], Dynamics]
    action: Float[Any, "muscle"]
    """What an external policy wants, 0..1; zeros without one."""
    recorded: Float[Any, "period muscle"] | None = None
    """The excitation recorded of this person, where it is not the nominal one's."""


def not_yet() -> Dynamics:
    """In place of the dynamics at the start of an episode, where nothing is to be decided yet."""
    raise InputError("an intent asked for the dynamics before the first step")


class Intent(Protocol):
    """A way to decide on excitation."""

    def begin(self, sight: Sight, period: float) -> Any:
        """Its memory at the start of an episode."""
        ...

    def excitation(self, memory: Any, sight: Sight, period: float) -> tuple[Float[Any, "muscle"], Any]:
        """Of every muscle, for the next control period, 0..1; and the memory after it."""
        ...


@dataclass(frozen=True)
class Replay:
    """A recording's excitation; a row for every control period. After the last row it stays."""

    table: Float[np.ndarray, "period muscle"]
    """Of the nominal person; in place of it comes the person's own, see `Sight`."""

    def begin(self, sight: Sight, period: float) -> tuple[()]:
        return ()

    def excitation(self, memory: tuple[()], sight: Sight, period: float) -> tuple[Float[Any, "muscle"], tuple[()]]:
        xp = namespace(sight.kinetics.position)
        table = xp.asarray(self.table if sight.recorded is None else sight.recorded)
        return xp.take(table, xp.minimum(sight.step, len(table) - 1), axis=0), ()


@dataclass(frozen=True)
class Policy:
    """Whoever gives the actions moves the muscles."""

    def begin(self, sight: Sight, period: float) -> tuple[()]:
        return ()

    def excitation(self, memory: tuple[()], sight: Sight, period: float) -> tuple[Float[Any, "muscle"], tuple[()]]:
        return sight.action, ()


class HumanMemory(NamedTuple):
    """What a person carries from one control period to the next."""

    intent: Any
    reflex: DelayLine | None
    set_length: Float[Any, "muscle"]
    """Fiber length the reflex is set to, which follows the fibers' [l_opt]."""
    fatigue: Compartments | None
    excitation: Float[Any, "muscle"]
    """Of the last period."""


@dataclass(frozen=True)
class Human:
    """The human half, as a value."""

    intent: Intent
    strength: float = 1.0
    """Part of the intended excitation that arrives, 0 to 2."""
    reflex: StretchReflex | None = None
    fatigue: Fatigue | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.strength, int | float | np.number) or not 0 <= self.strength <= 2:
            raise InputError(f"strength {self.strength!r}: give the part of the needed excitation that arrives, 0 to 2")

    def begin(self, sight: Sight, period: float) -> HumanMemory:
        """At the start of an episode."""
        seen = sight.kinetics
        count = seen.activation.shape[0]
        return HumanMemory(
            self.intent.begin(sight, period),
            None if self.reflex is None else self.reflex.start(count, period),
            seen.fiber_length,
            None if self.fatigue is None else Compartments.fresh(count),
            seen.activation,
        )

    def excite(
        self,
        memory: HumanMemory,
        sight: Sight,
        period: float,
        tremor: Any = 0.0,
        tremor_frequency: Any = 5.0,
        antagonists: Float[Any, "muscle"] | float = 1.0,
    ) -> tuple[Float[Any, "muscle"], HumanMemory]:
        """Excitation of every muscle during the next control period, 0..1.

        **Arguments:** `tremor`: amplitude of what is added, at `tremor_frequency` [Hz], in turn to those muscles whose
        `antagonists` is 1 and those where it is −1.
        """
        seen = sight.kinetics
        xp = namespace(seen.position)
        wanted, intent = self.intent.excitation(memory.intent, sight, period)
        wanted = self.strength * wanted
        reflex, fatigue = memory.reflex, memory.fatigue
        set_length = memory.set_length
        if self.reflex is not None and reflex is not None:
            added, reflex = self.reflex.excitation(reflex, seen.fiber_length, seen.fiber_velocity, set_length)
            wanted = wanted + added
            # Spindles are set anew as one moves, or they would hold on to the start.
            set_length = set_length + (seen.fiber_length - set_length) * -math.expm1(-period / RESETTING)
        shake = tremor * xp.sin(2.0 * math.pi * tremor_frequency * period * sight.step)
        excitation = xp.minimum(xp.maximum(wanted + shake * antagonists, 0.0), 1.0)
        if self.fatigue is not None and fatigue is not None:
            fatigue = self.fatigue.advance(fatigue, excitation, period)
            excitation = fatigue.limit(excitation)
        return excitation, HumanMemory(intent, reflex, set_length, fatigue, excitation)
