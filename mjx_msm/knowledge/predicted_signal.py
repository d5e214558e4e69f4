"""A recorded signal beside what people drawn from a posterior make of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class PredictedSignal:
    """One kind of residual, over the samples that the estimate was made from, trial after trial."""

    kind: str
    """"moment", "acceleration" or "motion"."""
    unit: str
    coordinates: tuple[str, ...]
    trial: tuple[str, ...]
    """Of every sample."""
    time: Float[np.ndarray, "sample"]
    """On the trial's clock [s]."""
    observed: Float[np.ndarray, "sample coordinate"]
    """NaN where nothing was measured."""
    simulated: Float[np.ndarray, "draw sample coordinate"]
    """By the model, without noise."""
    noise: Float[np.ndarray, "coordinate"]
    """Standard deviation of what is left, as the estimate has it."""

    def replicated(self, seed: int) -> Float[np.ndarray, "draw sample coordinate"]:
        """What another recording of the same movement would hold: simulated, with independent normal noise."""
        noise = np.random.default_rng(seed).standard_normal(self.simulated.shape)
        return self.simulated + self.noise * noise
