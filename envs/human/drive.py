"""The human half of an environment: what the muscles are excited with, from intent to the neuromuscular junction.

intent     a recording replayed, a controller that follows a goal, or an external policy
strength   the part of it that arrives
reflex     what stretched muscles add on their own
tremor     what a disturbance adds
fatigue    what tired muscles cannot follow
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import namespace
from mjx_msm.common.delay_line import DelayLine
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.fatigue import Compartments, Fatigue
from mjx_msm.envs.human.intent import DELAY, Intent, Sight
from mjx_msm.envs.human.reflex import StretchReflex

RESETTING = 0.1
"""Time in which the fusimotor system sets the spindles to a new length [s]; our choice."""
MAX_DELAY = 0.3
"""Longest that is taken for a nerve's [s]."""
LIMB_REFLEX = {"length_gain": 0.2, "velocity_gain": 0.02, "velocity_threshold": 1.0}
"""Of a whole limb that moves on purpose, all muscles at once [-, s, l_opt/s]; our choice. The gains measured for single
muscles, at 20 ms, make a knee with 40 to 60 ms of delay shake at about 3 Hz."""


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


def as_human(
    value: Human | Mapping[str, Any] | None,
    intent: Callable[[float, bool], Intent],
    muscles: Sequence[str],
    strength: float = 1.0,
) -> Human:
    """The human half from what an environment was given.

    **Arguments:** `value`: a `Human`, which is taken as it is; or some of ``nerve_delay`` [s], ``tracking`` (to follow
    the goal, whatever else there is to go by), ``reflex`` and ``fatigue`` (true or false). `intent`: makes the intent,
    from the nerve's delay and whether to track. `muscles`: by name. `strength`: as in `Human`.

    **Raises:** `InputError` for an option that is not known or not of its kind.
    """
    if isinstance(value, Human):
        return value
    if value is not None and not isinstance(value, Mapping):
        raise InputError(f"human = {value!r}; give a Human or a mapping of nerve_delay, tracking, reflex and fatigue")
    options = {"nerve_delay": DELAY, "tracking": False, "reflex": False, "fatigue": False}
    for name, choice in (value or {}).items():
        if name not in options:
            raise InputError(f"human has no '{name}'; it has {', '.join(options)}")
        if name != "nerve_delay" and not isinstance(choice, bool):
            raise InputError(f"human {name} = {choice!r}; give true or false")
        options[name] = choice
    delay = options["nerve_delay"]
    if not isinstance(delay, int | float) or not 0 <= delay <= MAX_DELAY:
        raise InputError(f"human nerve_delay = {delay!r}; give seconds from 0 to {MAX_DELAY:g}")
    return Human(
        intent(delay, options["tracking"]),
        strength,
        StretchReflex(delay=delay, **LIMB_REFLEX) if options["reflex"] else None,
        Fatigue.of(muscles) if options["fatigue"] else None,
    )
