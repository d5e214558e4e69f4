"""A recorded signal beside what people drawn from a posterior make of it."""

from __future__ import annotations

import math
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
    noise: Float[np.ndarray, "sample coordinate"]
    """Scale of what is left, as the estimate has it, trials with their own: the standard deviation, if it is normal."""
    freedom: float = math.inf
    """Of Student's t distribution, which what is left follows under a robust loss; infinite: normal."""

    def replicated(self, seed: int) -> Float[np.ndarray, "draw sample coordinate"]:
        """What another recording of the same movement would hold: simulated, with independent noise."""
        rng, shape = np.random.default_rng(seed), self.simulated.shape
        normal = math.isinf(self.freedom)
        noise = rng.standard_normal(shape) if normal else rng.standard_t(self.freedom, shape)
        return self.simulated + self.noise * noise
