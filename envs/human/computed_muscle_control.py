"""A person who follows a motion with their muscles: computed muscle control with the delay of nerves.

Feedback on what was felt a neural delay ago corrects the wanted acceleration, inverse dynamics turns it into joint
moments, static optimisation into activations, and the inverse of activation dynamics into excitations. What the body
is and can do now (inertia, gravity, capacity of the muscles) is known: the internal model is exact, and only what
corrects it is late. Weakness, fatigue and reflexes come after it, unknown to it.

Sources:
    Thelen, Anderson, Delp 2003, doi 10.1016/S0021-9290(02)00432-3 (computed muscle control)
    Millard, Uchida, Seth, Delp 2013, doi 10.1115/1.4023390 (activation dynamics, as in MuJoCo)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import AnyArray, namespace
from mjx_msm.common.delay_line import DelayLine, delay_steps
from mjx_msm.common.errors import InputError
from mjx_msm.envs.human.load_sharing import share
from mjx_msm.envs.motions.goal import Goal


class Sensed(NamedTuple):
    """The body now, in the free human coordinates."""

    position: Float[AnyArray, "dof"]
    """[rad]."""
    velocity: Float[AnyArray, "dof"]
    """[rad/s]."""
    mass_matrix: Float[AnyArray, "dof dof"]
    bias: Float[AnyArray, "dof"]
    """Coriolis, centrifugal and gravitational moments, on the side of the inertia [N·m]."""
    passive: Float[AnyArray, "dof"]
    """Moments of springs and dampers in the joints [N·m]."""
    activation: Float[AnyArray, "muscle"]
    capacity: Float[AnyArray, "muscle"]
    """Tension per activation at this length and velocity [N]."""
    slack_tension: Float[AnyArray, "muscle"]
    """Tension at no activation [N]."""
    moment_arm: Float[AnyArray, "muscle dof"]
    """[m], positive where tension drives the coordinate up."""


class Memory(NamedTuple):
    """What the person carries from one control period to the next."""

    errors: DelayLine
    """Of position and velocity (2, dof), on their way."""
    expected: Goal
    """What was wanted for now."""
    multiplier: Float[AnyArray, "dof"]
    """λ of the last load that was shared."""


def gains(delay: float, period: float) -> tuple[float, float]:
    """Stiffness [1/s²] and damping [1/s] of a well-damped loop at this neural delay and control period [s].

    A corrected acceleration comes δ = delay + period late: half a period it is held, half a period activation takes.
    With damping 0.6/δ and stiffness (damping/2)² the loop (damping s + stiffness) e^(−δ s)/s² has a phase margin of
    41° and a gain margin of 7.7 dB; its lateness could be 2.2 δ.

    **Raises:** `InputError` for a negative delay or a period that is not positive.
    """
    delay_steps(delay, period)
    damping = 0.6 / (delay + period)
    return damping**2 / 4.0, damping


@dataclass(frozen=True)
class Tracker:
    """Follows a reference with muscles: `start` gives the memory, `excitation` what to do in a control period.

    With q the position, q* the reference, δ the delay, A the moment of each muscle per activation, T the period::

        q̈  = q̈* + damping (q̇* − q̇)(t − δ) + stiffness (q* − q)(t − δ)
        τ  = M q̈ + bias − passive − moments of the slack tensions
        a* = argmin Σ w a²   subject to   A a = τ,  tone ≤ a ≤ 1
        u  = a + (a* − a)/(1 − e^(−T/τ_a)),  clipped to 0..1
        τ_a = t_rise (1/2 + 3/2 a) while rising, t_fall/(1/2 + 3/2 a) while falling

    so that a*, if u can bring it about, is there at the end of the period.
    """

    delay: float = 0.04
    """δ, of nerves [s]; in effect the nearest multiple of the period."""
    stiffness: float = 36.0
    """[1/s²]. What `gains` gives for 40 ms and 100 excitations a second."""
    damping: float = 12.0
    """[1/s]."""
    tone: float = 0.01
    """Activation that no muscle is let below."""
    rise_time: Float[AnyArray, "#muscle"] | float = 0.01
    """Activation time constant [s]."""
    fall_time: Float[AnyArray, "#muscle"] | float = 0.04
    """Deactivation time constant [s]."""
    weight: Float[AnyArray, "#muscle"] | float = 1.0
    """w, of each muscle's effort."""

    def __post_init__(self) -> None:
        if not 0 <= self.tone < 1:
            raise InputError(f"tone {self.tone!r}: give the least activation, 0 to below 1")

    def start(self, reference: Goal, period: float) -> Memory:
        """At an instant at which this is wanted, with no error under way.

        **Raises:** `InputError` for a negative delay or a period [s] that is not positive.
        """
        nothing = np.zeros((2, len(reference.position)))
        return Memory(DelayLine.holding(nothing, delay_steps(self.delay, period)), reference, nothing[0])

    def excitation(
        self, memory: Memory, reference: Goal, sensed: Sensed, period: float
    ) -> tuple[Float[AnyArray, "muscle"], Memory]:
        """Of every muscle for the next control period, 0..1; and the memory after it.

        **Arguments:** `reference` at the end of this `period` [s], which is what excitation can still bring about.
        """
        xp = namespace(sensed.position)
        expected = memory.expected
        error = xp.array((expected.position - sensed.position, expected.velocity - sensed.velocity))
        felt, errors = memory.errors.push(error)
        acceleration = reference.acceleration + self.damping * felt[1] + self.stiffness * felt[0]
        tension = sensed.slack_tension + self.tone * sensed.capacity
        moment = sensed.mass_matrix @ acceleration + sensed.bias - sensed.passive - tension @ sensed.moment_arm
        moments = (sensed.moment_arm * sensed.capacity[:, None]).T
        above, multiplier = share(moments, moment, self.weight, 1.0 - self.tone, memory.multiplier)
        activation = sensed.activation
        change = self.tone + above - activation
        slowness = 0.5 + 1.5 * activation
        rate = xp.where(change > 0.0, 1.0 / (self.rise_time * slowness), slowness / self.fall_time)
        excitation = activation - change / xp.expm1(-period * rate)
        return xp.minimum(xp.maximum(excitation, 0.0), 1.0), Memory(errors, reference, multiplier)
