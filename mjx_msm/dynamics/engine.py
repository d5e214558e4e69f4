"""What steps a model: the interface of an engine.

There are two. `mjx_msm.dynamics.simulation.TreeEngine` is made for trees of hinges and slides: no solver, closed-form
derivatives, every estimator. `mjx_msm.dynamics.mjx_engine.MjxEngine` is MJX itself on the personalised model, for what
needs its constraint solver: free and ball joints, contacts, limits, equalities, dry friction. Loading chooses by what
the file holds (`Host.engine`), or as it is told.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from jaxtyping import Array, Float, Int

from mjx_msm.person.model import Model
from mjx_msm.person.muscle import Memory
from mjx_msm.person.parameters import Parameters


class Trajectory(NamedTuple):
    """A motion; after a failure the last finite state is repeated."""

    position: Float[Array, "*lane step_plus_1 coordinate"]
    velocity: Float[Array, "*lane step_plus_1 dof"]
    activation: Float[Array, "*lane step_plus_1 muscle"]
    failed_step: Int[Array, "*lane"]
    """First step whose result was not finite, -1 if none."""
    failed_coordinate: Int[Array, "*lane"]
    memory: Memory = ()
    """What the muscle law remembered before every sample; empty for a law without a state."""


class AbstractEngine(ABC):
    """One way to step a model. Pure: jit, vmap and forward mode apply."""

    name: ClassVar[str]
    reverse: ClassVar[bool]
    """Whether reverse mode applies, too."""

    @abstractmethod
    def motion(
        self,
        model: Model,
        parameters: Parameters,
        position: Float[Array, "*lane coordinate"],
        velocity: Float[Array, "*lane dof"],
        activation: Float[Array, "*lane muscle"],
        excitation: Float[Array, "*lane step_plus_1 muscle"],
        held: Float[Array, "*lane step_plus_1 held"],
        applied: Float[Array, "*lane step dof"] | None,
        capacity: Float[Array, "*lane step muscle"] | None = None,
        memory: Memory = (),
    ) -> Trajectory:
        """Simulate from a state, under excitation at every sample.

        **Arguments:** `held`: positions of prescribed and locked coordinates; `applied`: additional generalised forces
        during every step, those of known inputs at their controls among them; `capacity`: what is left of each
        muscle's active force during every step (`mjx_msm.dynamics.fatigue`), None: all; `memory`: what the muscle law
        remembers, empty where muscles begin with a tension that does not change.
        """
