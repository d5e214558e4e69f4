"""What happens in an environment, apart from the engine: pure functions of arrays, written once for both engines.

A control period is

    drive   from what is seen and the action: what holds during the period
    (engine)  one period of mechanics
    observe  what is then seen, the measures of it, and their reward

Everything that varies between episodes is in the *plan*, everything that is remembered within one in the *memory*;
both are tuples of arrays. `xp` is NumPy or `jax.numpy`.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.common.remade import Remade
from mjx_msm.envs.engines.kinetics import Drive, Dynamics, Kinetics
from mjx_msm.envs.engines.world import TIMESTEP, World
from mjx_msm.envs.human.people import People
from mjx_msm.envs.human.recording import Recording
from mjx_msm.envs.tasks.disturbance import Disturbance

ACTION_MODES = ("robot", "human", "both")
"""Who may be acted for where there are two."""
FAILURE_REWARD = -100.0
"""Where a task does not have its own."""
CONTROL_RATE = 50
"""Actions a second, unless an environment is told otherwise."""


@dataclass(frozen=True)
class Channel:
    """One number of an action or an observation."""

    name: str
    low: float
    high: float
    noise: float = 0.0
    """Standard deviation of the sensor's noise, in the same unit."""


class Outcome(NamedTuple):
    """What a control period led to."""

    observation: Float[Any, "observation"]
    """With the sensors' delay and noise; the adapters take it to the channels' bounds."""
    reward: Float[Any, ""]
    terminated: Any
    """Whether the episode is over: failed, or at its goal."""
    measures: Mapping[str, Any]
    """Name to number, for `info`."""


class Task(Remade, ABC):
    """A world, the person in it, and what is asked of both."""

    people: People
    world: World
    actions: tuple[Channel, ...]
    observations: tuple[Channel, ...]
    draws: int
    """Uniform random numbers that an episode's plan takes."""
    length: int | None = None
    """Control periods until the plan ends; None if it never does."""
    led: tuple[str, ...] = ()
    """The person's coordinates that are moved from outside, and not by muscles or the robot."""
    summarised: tuple[str, ...] = ()
    """Measures whose peak, root mean square and integral over time are given at the end of an episode."""

    disturbances: tuple[str, ...] = ()
    """What can go wrong here: fields of `Disturbance` apart from its times."""
    recording: Recording | None = None
    """Whose excitation the person's muscles get, where they replay one."""

    camera: str = "sagittal"
    """What pictures are taken with."""

    substeps: int = round(1.0 / (CONTROL_RATE * TIMESTEP))
    """Steps of the engine in a control period."""
    period: float = 1.0 / CONTROL_RATE
    """Of control [s]."""

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # nothing in it changes once it is made

    def _act_at(self, rate: int) -> None:
        """Choose how many actions there are in a second.

        **Raises:** `InputError` if a period is not a whole number of the engine's steps.
        """
        steps = 1.0 / (rate * TIMESTEP) if isinstance(rate, int | np.integer) and rate > 0 else 0.0
        if not 1 <= steps <= 100 or abs(steps - round(steps)) > 1e-9:
            raise InputError(f"rate = {rate!r}; give actions a second that divide {1 / TIMESTEP:g}, from 10 to 1000")
        self.substeps, self.period = round(steps), 1.0 / rate

    @abstractmethod
    def plan(
        self,
        xp: Any,
        uniform: Float[Any, "draw"],
        disturbance: Disturbance,
        recorded: Float[Any, "period muscle"] | None = None,
    ) -> Any:
        """Everything that varies between episodes, from random numbers between 0 and 1.

        **Arguments:** `recorded`: the excitation recorded of this episode's person, where it is not the nominal one's.
        """

    @abstractmethod
    def initial(self, xp: Any, plan: Any) -> tuple[Any, Any, Any, Any]:
        """Position and velocity of every coordinate, activation of every muscle, input that every motor holds."""

    @abstractmethod
    def begin(self, xp: Any, plan: Any, kinetics: Kinetics) -> Any:
        """The memory at the start of an episode."""

    @abstractmethod
    def drive(
        self,
        xp: Any,
        plan: Any,
        memory: Any,
        kinetics: Kinetics,
        dynamics: Callable[[], Dynamics],
        action: Float[Any, "action"],
    ) -> tuple[Drive, Any]:
        """What holds during the next period, and the memory after it.

        **Arguments:** `dynamics`: asked for only by those who need it.
        """

    @abstractmethod
    def observe(
        self,
        xp: Any,
        plan: Any,
        memory: Any,
        kinetics: Kinetics,
        action: Float[Any, "action"],
        noise: Float[Any, "observation"] | float,
    ) -> tuple[Outcome, Any]:
        """What is seen after a period, and the memory with it.

        **Arguments:** `noise`: what the sensors add to the observation.
        """

    def failure_reward(self, step: Any) -> Any:
        """Of the control period, counted from 1, whose state is not finite."""
        return FAILURE_REWARD

    @cached_property
    def recorded(self) -> Float[np.ndarray, "person period muscle"] | None:
        """The recorded excitation of everybody drawn from the subject's posterior.

        None where all get the nominal person's: nothing is replayed, or EMG was not estimated.
        """
        if self.recording is None:
            return None
        from mjx_msm.envs.human.own_emg import own_excitation

        result = self.people.identification
        own = own_excitation(result, np.array(result.samples), self.recording, self.world.muscles, self.period)
        if own.note:
            warnings.warn(f"{self.people.source}: {own.note}", stacklevel=2)
        return own.table

    def spots(self, plan: Any, step: int) -> Float[np.ndarray, "spot 3"]:
        """Places to be marked in pictures [m]; none by default."""
        return np.empty((0, 3))

    def bounds(self, channels: tuple[Channel, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of channels."""
        return np.array([c.low for c in channels], np.float32), np.array([c.high for c in channels], np.float32)
