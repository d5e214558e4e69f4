"""A trial as its EMG is judged by: the moment of one coordinate, beside the states that it was recorded in."""

from __future__ import annotations

from dataclasses import dataclass

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

    @property
    def known(self) -> Bool[np.ndarray, "time"]:
        return np.isfinite(self.moment)

    def features(self, delay: float) -> Float[np.ndarray, "known muscle"]:
        """Moment of every muscle for a tension of its envelope `delay` earlier."""
        assert self.drive is not None
        times = self.at.time[self.known] - delay
        early = np.column_stack([np.interp(times, self.trial.time, u) for u in self.drive.T])
        return self.at.arms[self.known, :, self.k] * early
