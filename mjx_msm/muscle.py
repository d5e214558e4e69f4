"""Hill-type muscle models: curves, activation dynamics, tension.

A muscle model is a value. It maps (activation, path length, path velocity) to tension; the path itself, its
length and its moment arms are MuJoCo's.
"""

from __future__ import annotations

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Float


class MuscleParameters(eqx.Module):
    """What distinguishes one person's muscles from another's; one entry per muscle."""

    max_isometric_force: Float[Array, "*batch muscle"]
    """F0 [N]."""
    optimal_fiber_length: Float[Array, "*batch muscle"]
    """Fiber length of greatest active force [m]."""
    tendon_slack_length: Float[Array, "*batch muscle"]
    """Tendon length at which it starts to carry load [m]."""
    max_contraction_velocity: Float[Array, "*batch muscle"]
    """[optimal fiber lengths / s]."""
    passive_force_scale: Float[Array, "*batch muscle"]
    """Multiple of the muscle model's standard passive curve [-]."""
    pennation_angle: Float[Array, "*batch muscle"]
    """Angle between fibers and tendon at optimal fiber length [rad]."""
    activation_time_constant: Float[Array, "*batch muscle"]
    """[s]."""
    deactivation_time_constant: Float[Array, "*batch muscle"]
    """[s]."""


class AbstractMuscle(eqx.Module):
    """Interface of a muscle model; implementations are final and stateless."""

    @abstractmethod
    def tension(
        self,
        parameters: MuscleParameters,
        activation: Float[Array, "*batch muscle"],
        path_length: Float[Array, "*batch muscle"],
        path_velocity: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """Tension along the path [N], positive when it pulls.

        `path_length` is the whole muscle-tendon path [m], `path_velocity` its rate of change [m/s],
        positive when lengthening.
        """

    @abstractmethod
    def activation_rate(
        self,
        parameters: MuscleParameters,
        excitation: Float[Array, "*batch muscle"],
        activation: Float[Array, "*batch muscle"],
    ) -> Float[Array, "*batch muscle"]:
        """Time derivative of activation [1/s]; excitation outside 0..1 is clipped."""
