"""The stretch reflex: what a stretched muscle adds to its own excitation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import AnyArray, namespace
from mjx_msm.common.delay_line import DelayLine, delay_steps


@dataclass(frozen=True)
class StretchReflex:
    """Excitation of a muscle by its own stretch, from spindles that feel length and velocity.

    With l and v the fiber's length and velocity, l0 the length the reflex is set to, δ the delay::

        u = G_l (l − l0 − θ_l)₊ + G_v (v − θ_v)₊    of δ ago

    Gains: Geyer and Herr 2010, doi 10.1109/TNSRE.2010.2047592: 1.1 per optimal fiber length (tibialis anterior); of
    velocity in the proportion of their hip's reflex, 0.2 s to 1.91. Their nerves take 5 to 20 ms there and back; the
    default delay has part of the electromechanical one too (about 50 ms, of which activation dynamics is the rest;
    Cavanagh and Komi 1979, doi 10.1007/BF00431022).
    """

    length_gain: float = 1.1
    """G_l [-]."""
    velocity_gain: float = 0.115
    """G_v [s]."""
    length_threshold: float = 0.0
    """θ_l, beyond the length it is set to [optimal fiber lengths]."""
    velocity_threshold: float = 0.0
    """θ_v [optimal fiber lengths / s]."""
    delay: float = 0.04
    """δ [s]."""

    def start(self, muscles: int, period: float) -> DelayLine:
        """Its memory at rest, for a control period [s]."""
        return DelayLine.holding(np.zeros(muscles), delay_steps(self.delay, period))

    def excitation(
        self,
        memory: DelayLine,
        fiber_length: Float[AnyArray, "muscle"],
        fiber_velocity: Float[AnyArray, "muscle"],
        set_length: Float[AnyArray, "muscle"] | Any,
    ) -> tuple[Float[AnyArray, "muscle"], DelayLine]:
        """What the reflex adds to excitation now [-], at least 0, and its memory.

        Lengths in optimal fiber lengths, velocity in these per s, positive when lengthening.
        """
        xp = namespace(fiber_length)
        stretch = xp.maximum(fiber_length - (set_length + self.length_threshold), 0.0)
        speed = xp.maximum(fiber_velocity - self.velocity_threshold, 0.0)
        return memory.push(self.length_gain * stretch + self.velocity_gain * speed)
