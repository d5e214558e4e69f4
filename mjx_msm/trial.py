"""A recorded trial on one uniform clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Trial:
    """One recording of a person, resampled to one uniform clock.

    Missing samples are NaN; consumers mask them by weight, never by shape. The clock may start before the
    motion does: EMG that precedes the motion lets activation settle and the electromechanical delay look back.
    """

    name: str
    time: Float[np.ndarray, "time"]
    """Uniform clock [s]."""
    coordinates: tuple[str, ...]
    """Names of the recorded coordinates, as in the model."""
    position: Float[np.ndarray, "time coordinate"]
    """[rad] (or [m] for slides)."""
    channels: tuple[str, ...]
    """Names of the EMG channels (for a trial with known excitations: the muscles' names)."""
    emg: Float[np.ndarray, "time channel"]
    """Envelope, nominally 0..1."""
    moment_coordinates: tuple[str, ...] = ()
    moment: Float[np.ndarray, "time moment_coordinate"] | None = None
    """Net joint moments, e.g. from inverse dynamics [N·m]; positive along the coordinate."""
    velocity: Float[np.ndarray, "time coordinate"] | None = None
    """[rad/s]; None: differentiated from position."""
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def timestep(self) -> float:
        """Sampling interval of the clock [s]."""
        return float(self.time[1] - self.time[0])
