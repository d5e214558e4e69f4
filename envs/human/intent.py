"""The intent to follow a goal, a tracking controller in the place of a brain; and the human half made of an intent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.arrays import indices
from mjx_msm.common.errors import InputError
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.computed_muscle_control import Memory, Reference, Sensed, Tracker, gains
from mjx_msm.envs.human.drive import Human, Intent, Sight
from mjx_msm.envs.human.fatigue import Fatigue
from mjx_msm.envs.human.reflex import StretchReflex

DELAY = 0.04
"""Of nerves, there and back, with transduction [s]; 30 to 60 ms in the literature."""
MAX_DELAY = 0.3
"""Longest that is taken for a nerve's [s]."""


LIMB_REFLEX = {"length_gain": 0.2, "velocity_gain": 0.02, "velocity_threshold": 1.0}
"""Of a whole limb that moves on purpose, all muscles at once [-, s, l_opt/s]; our choice. The gains measured for single
muscles, at 20 ms, make a knee with 40 to 60 ms of delay shake at about 3 Hz."""


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


@dataclass(frozen=True)
class Tracking:
    """Follows the goal with the muscles, of the joints that are free to move."""

    joints: Int[np.ndarray, "dof"]
    """Coordinates that are controlled."""
    tracker: Tracker

    @staticmethod
    def of(world: World, joints: Sequence[str], period: float, delay: float = DELAY) -> Tracking:
        """A controller for a world's nominal person.

        **Arguments:** `joints`: by name. `period`: of control [s]. `delay`: of nerves [s].
        """
        count = len(world.muscles)
        stiffness, damping = gains(delay, period)
        rise, fall = world.model.actuator_dynprm[:count, 0].copy(), world.model.actuator_dynprm[:count, 1].copy()
        tracker = Tracker(delay=delay, stiffness=stiffness, damping=damping, rise_time=rise, fall_time=fall)
        return Tracking(world.among(joints), tracker)

    def begin(self, sight: Sight, period: float) -> Memory:
        return self.tracker.start(self._reference(sight.goal), period)

    def excitation(self, memory: Memory, sight: Sight, period: float) -> tuple[Float[Any, "muscle"], Memory]:
        j, seen, known = self.joints, sight.kinetics, sight.dynamics()
        # The other joints of the goal move too, and their acceleration pulls on these.
        others = indices(np.setdiff1d(np.arange(sight.goal.acceleration.shape[0]), j))
        pull = known.mass_matrix[j[:, None], others] @ sight.goal.acceleration[others]
        sensed = Sensed(
            position=seen.position[j],
            velocity=seen.velocity[j],
            mass_matrix=known.mass_matrix[j[:, None], j],
            bias=known.bias[j] + pull,
            passive=known.passive[j],
            activation=seen.activation,
            capacity=known.capacity,
            slack_tension=seen.passive_tension,
            moment_arm=known.moment_arm[:, j],
        )
        return self.tracker.excitation(memory, self._reference(sight.goal), sensed, period)

    def _reference(self, goal: Any) -> Reference:
        """The controlled part of a goal that is over all of the person's joints."""
        j = self.joints
        return Reference(goal.position[j], goal.velocity[j], goal.acceleration[j])
