"""What an engine shows of a world at one instant, whichever engine it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Float

from mjx_msm.dynamics.metabolics import Muscles


class Kinetics(NamedTuple):
    """A world at the end of a control period; NumPy arrays of C MuJoCo, or JAX arrays of the functional twin."""

    position: Float[Any, "coordinate"]
    """Of every joint of person and robot, in the world's order [rad or m]."""
    velocity: Float[Any, "coordinate"]
    activation: Float[Any, "muscle"]
    """0..1."""
    motor: Float[Any, "motor"]
    """Torque of every motor at its joint [N·m]."""
    fiber_length: Float[Any, "muscle"]
    """[optimal fiber lengths]; tendons are rigid."""
    fiber_velocity: Float[Any, "muscle"]
    """[optimal fiber lengths / s], positive when lengthening."""
    isometric: Float[Any, "muscle"]
    """Tension at this length and full activation, at rest, without the passive part [N]."""
    passive_tension: Float[Any, "muscle"]
    """[N]."""
    tension: Float[Any, "muscle"]
    """[N]."""
    actuation: Float[Any, "coordinate"]
    """Of muscles and motors together about every joint [N·m]."""
    tendon_length: Float[Any, "tendon"]
    """[m]."""
    tendon_velocity: Float[Any, "tendon"]
    """[m/s]."""
    point: Float[Any, "point 3"]
    """Where the world's tracked points are [m]."""
    contact: Float[Any, ""]
    """Greatest normal force between robot's load and obstacle during the last period [N]; 0 where nothing can touch."""
    muscles: Muscles
    """The person's, which do not change during an episode."""


class Dynamics(NamedTuple):
    """What a controller of muscles has to know of its own body, at the same instant."""

    mass_matrix: Float[Any, "coordinate coordinate"]
    """[kg·m²]."""
    bias: Float[Any, "coordinate"]
    """Gravitational, centrifugal and Coriolis terms [N·m]."""
    passive: Float[Any, "coordinate"]
    """Springs and dampers in the joints themselves [N·m]."""
    moment_arm: Float[Any, "muscle coordinate"]
    """−∂L/∂q [m]: positive where tension drives the coordinate up."""
    capacity: Float[Any, "muscle"]
    """Tension per unit of activation at this length and velocity [N]."""


class Drive(NamedTuple):
    """What holds during one control period."""

    excitation: Float[Any, "muscle"]
    """0..1."""
    control: Float[Any, "motor"]
    """Input of every motor, in its own unit."""
    applied: Float[Any, "coordinate"]
    """Further generalised forces [N·m or N]."""
