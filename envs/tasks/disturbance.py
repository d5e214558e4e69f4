"""What can go wrong in an episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mjx_msm.envs.robots.sensing import MAX_EXTRA_DELAY


class Disturbance(NamedTuple):
    """What goes wrong in an episode, between `onset` and `onset + duration`; nothing by default."""

    onset: Any = 0.0
    """[s]."""
    duration: Any = 1e9
    """[s]."""
    tremor: Any = 0.0
    """Amplitude of what tremor adds to every excitation, 0..1."""
    tremor_frequency: Any = 5.0
    """[Hz]."""
    emg_dropout: Any = 0.0
    """1: electrodes read nothing."""
    stall: Any = 0.0
    """1: the robot stops: torque drives give nothing, position drives hold what they were last told
    and afterwards take the path up where it then is."""
    delay: Any = 0.0
    """By which commands (where there is a robot, its own) come late, in addition [s]; whole control periods."""
    slip: Any = 0.0
    """Part of its grip that a strap loses, 0..1."""
    payload: Any = 0.0
    """What hangs, unexpected, on shank, hand or beam [kg]; its weight alone, as if on a long soft spring."""

    def active(self, time: Any) -> Any:
        """Whether it is on at a time [s]: 0 or 1."""
        return 1.0 * ((time >= self.onset) & (time < self.onset + self.duration))


NOTHING = Disturbance()
WHEN = ("onset", "duration")
"""Fields of a disturbance that every environment has."""
TREMOR = ("tremor", "tremor_frequency")
LARGEST: Mapping[str, float] = {"tremor": 1.0, "emg_dropout": 1.0, "stall": 1.0, "delay": MAX_EXTRA_DELAY, "slip": 1.0}
"""What a disturbance can be at most."""
