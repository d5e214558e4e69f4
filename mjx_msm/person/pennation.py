"""Fibers at an angle to their tendon, which laws with pennation share: how long they are, and what of their force is
along the tendon.

The muscle keeps its thickness h = l_opt sin(pennation_angle); with x the length along the tendon over l_opt

    l = sqrt(x² + sin(pennation_angle)²),    cos α = x/l.

Source: Zajac 1989 (Crit Rev Biomed Eng 17:359); the bend of x below 0.2 is ours.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from mjx_msm.person.muscle import AbstractMuscle, MujocoMuscle, MuscleParameters

MIN_FIBER_LENGTH = 0.2
"""[l_opt], OpenSim's shortest fiber."""
FLOOR_FIBER_LENGTH = 0.1
"""[l_opt], what a slack fiber tends to."""


def taken_up(length: Array) -> tuple[Array, Array]:
    """Length along the tendon that the fiber takes up, and its derivative, both over l_opt [-].

    The identity from 0.2 upwards; below, with s = (0.2 - length)/0.1, it is 0.1 + 0.1/(1 + s + s**2), which
    meets the identity with two continuous derivatives and tends to 0.1.
    """
    room = MIN_FIBER_LENGTH - FLOOR_FIBER_LENGTH
    s = jnp.where(length < MIN_FIBER_LENGTH, (MIN_FIBER_LENGTH - length) / room, 0)
    inverse = 1 / (1 + s + s * s)
    below = FLOOR_FIBER_LENGTH + room * inverse
    slope = (1 + 2 * s) * inverse * inverse
    return jnp.where(length < MIN_FIBER_LENGTH, below, length), slope


class PennateMuscle(AbstractMuscle):
    """A law whose fibers meet a tendon at an angle; the module's docstring has the equations.

    Activation dynamics are those of MuJoCo's muscle (Millard et al. 2013, doi 10.1115/1.4023390), unless a law has its
    own.
    """

    def activation_rate(
        self,
        parameters: MuscleParameters,
        excitation: Float[Array, "*batch muscle"],
        activation: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """That of `MujocoMuscle` [1/s]."""
        return MujocoMuscle().activation_rate(parameters, excitation, activation)

    def fibers(
        self, parameters: MuscleParameters, path_length: Float[Array, "*batch muscle"]
    ) -> tuple[Float[Array, "*batch muscle"], Float[Array, "*batch muscle"], Float[Array, "*batch muscle"]]:
        """Length l [-], cos α [-], and what x follows of the path, dx/d(path/l_opt) [-]; `path_length` in m."""
        x, slope = taken_up((path_length - parameters.tendon_slack_length) / parameters.optimal_fiber_length)
        length = jnp.sqrt(x**2 + jnp.sin(parameters.pennation_angle) ** 2)
        return length, x / length, slope

    def moving_fibers(
        self,
        parameters: MuscleParameters,
        path_length: Float[Array, "*batch muscle"],
        path_velocity: Float[Array, "*batch muscle"],
    ) -> tuple[Float[Array, "*batch muscle"], Float[Array, "*batch muscle"], Float[Array, "*batch muscle"]]:
        """Length l [-], velocity over l_opt vmax [-] and cos α [-]; of the path in m and m/s."""
        length, cos, slope = self.fibers(parameters, path_length)
        fastest = parameters.optimal_fiber_length * parameters.max_contraction_velocity
        return length, slope * path_velocity / fastest * cos, cos

    def normalized_fiber_length(
        self, parameters: MuscleParameters, path_length: Float[Array, "*batch muscle"]
    ) -> Float[Array, "*batch muscle"]:
        """Fiber length l over the optimal one [-], at least 0.1; `path_length` in m."""
        return self.fibers(parameters, path_length)[0]

    def cosine(
        self, parameters: MuscleParameters, path_length: Float[Array, "*batch muscle"]
    ) -> Float[Array, "*batch muscle"]:
        """cos α [-]: tension along the path over the force along the fibers."""
        return self.fibers(parameters, path_length)[1]
