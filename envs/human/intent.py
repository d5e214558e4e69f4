"""What the person wants: a recording replayed, a goal followed, or what an external policy says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.arrays import indices, namespace
from mjx_msm.common.errors import InputError
from mjx_msm.envs.engines.kinetics import Dynamics, Kinetics
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.computed_muscle_control import Memory, Sensed, Tracker, gains
from mjx_msm.envs.motions.goal import Goal

DELAY = 0.04
"""Of nerves, there and back, with transduction [s]; 30 to 60 ms in the literature."""


class Sight(NamedTuple):
    """What an intent can go by in a control period."""

    step: Any
    """Of the episode, from 0."""
    goal: Goal
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

    def _reference(self, goal: Any) -> Goal:
        """The controlled part of a goal that is over all of the person's joints."""
        j = self.joints
        return Goal(goal.position[j], goal.velocity[j], goal.acceleration[j])
