"""How far a recorded moment may lie from a predicted one: what people drawn from a posterior and noise leave open."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.residuals.instants import InstantTerm
from mjx_msm.estimation.robust import FREEDOM
from mjx_msm.knowledge.result import Identification

DRAWS = 40
"""People of the posterior from whom a band is made."""
ENDS = 1.96
"""Standard deviations from its middle to an end of the 95 % band."""
TAILS = math.sqrt(FREEDOM / (FREEDOM - 2.0))
"""Standard deviation of Student's noise over its scale."""


def moment_noise(result: Identification) -> Float[np.ndarray, "free"]:
    """Standard deviation of what the estimate leaves of the moments it was made from [N·m], 0 where there were none."""
    noise = result.stages[-1].noise if result.stages else {}
    scale = np.array([noise.get(f"moment/{c}", 0.0) for c in result.free])
    return scale * (TAILS if result.loss == "student" else 1.0)


def moment_spread(
    moments: InstantTerm, people: Float[np.ndarray, "draw unknown"], noise: Float[np.ndarray, "*instant free"]
) -> Float[np.ndarray, "instant free"]:
    """Standard deviation of what would be recorded of these people, with this noise [N·m] of all or of each."""
    one = np.ones(noise.shape[-1])
    each = np.stack([moments.evaluate(z, one) for z in people])
    return np.sqrt(each.var(axis=0) + noise**2)
