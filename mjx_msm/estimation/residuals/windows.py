"""What terms have in common that compare a motion, simulated piece by piece, with the recorded one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.estimation.residuals.term import AbstractTerm


@dataclass(frozen=True, eq=False)
class WindowTerm(AbstractTerm):
    """Pieces of recordings, all of as many steps, and what was recorded at their samples [rad]."""

    recording: Int[np.ndarray, "piece"]
    start: Int[np.ndarray, "piece"]
    """First sample of the recording."""
    target: Float[np.ndarray, "piece step_plus_1 n"]
    mask: Float[np.ndarray, "piece step_plus_1 n"]
    kind: ClassVar[str] = "motion"
    unit: ClassVar[str] = "rad"

    @property
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.mask.reshape(-1, self.mask.shape[-1])

    @property
    def trial(self) -> Int[np.ndarray, "sample"]:
        return np.repeat(self.recording, self.mask.shape[1])

    @property
    def sample(self) -> Int[np.ndarray, "sample"]:
        """Which sample of its recording a row is compared with."""
        return (self.start[:, None] + np.arange(self.mask.shape[1])).ravel()

    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        return self.target.reshape(-1, self.target.shape[-1])
