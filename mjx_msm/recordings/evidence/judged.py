"""A trial as its EMG is judged by: the moment of one coordinate, beside the states that it was recorded in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from mjx_msm.recordings.evidence.states import States
from mjx_msm.recordings.trial import Trial

DELAYS = (0.0, 0.03, 0.06, 0.09, 0.12)
"""From EMG to moment [s]."""


@dataclass(frozen=True)
class Judged:
    """A trial with what is needed to judge the moment of one coordinate."""

    trial: Trial
    at: States
    moment: Float[np.ndarray, "time"]
    """As smooth as the states; NaN where it was not recorded."""
    drive: Float[np.ndarray, "trial muscle"] | None
    """Envelope of every muscle on the trial's clock."""
    k: int
    """Of the free coordinate."""

    @cached_property
    def known(self) -> Bool[np.ndarray, "time"]:
        return np.isfinite(self.moment)

    @property
    def seconds(self) -> float:
        """For which the moment is known."""
        return float(self.known.sum()) * self.at.step

    @cached_property
    def size(self) -> float:
        """Root of the sum of its squares, by which every trial counts alike."""
        return float(np.sqrt(np.sum(self.moment[self.known] ** 2)))

    def early(self, signal: Float[np.ndarray, "trial"], delay: float) -> Float[np.ndarray, "known"]:
        """A signal on the trial's clock, `delay` before the moment [s]."""
        return np.interp(self.at.time[self.known] - delay, self.trial.time, signal)

    def features(self, delay: float) -> Float[np.ndarray, "known muscle"]:
        """Moment of every muscle for a tension of its envelope `delay` earlier."""
        assert self.drive is not None
        early = np.column_stack([self.early(u, delay) for u in self.drive.T])
        return self.at.arms[self.known, :, self.k] * early


def whose(trials: Sequence[Judged]) -> str:
    """One trial by its name, several by their number."""
    return f"trial '{trials[0].trial.name}'" if len(trials) == 1 else f"{len(trials)} trials"
