"""What a set of trials is worth."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.design.forecast import NORMAL, relative_size
from mjx_msm.knowledge.uncertainty import uncertainty
from mjx_msm.person.space import ParameterSpace

LOOSE = 30.0
"""Without a prior, the criterion takes the bounds for one, widened by this factor: it then weighs what the data
determine and is constant in what they do not."""
CRITERIA = ("D", "worst")


class Criterion:
    """What a set of trials is worth, as a function of its information."""

    def __init__(self, space: ParameterSpace, z: np.ndarray, name: str) -> None:
        loose = LOOSE * (space.upper - space.lower) / math.sqrt(12)
        self.unit = np.where(np.isfinite(space.prior_scale), space.prior_scale, loose)
        self.name = name
        self.size = relative_size(space, z)
        self.judged = np.ones(space.size, dtype=bool)
        self.space = space

    def judge(self, everything: Float[np.ndarray, "free free"]) -> None:
        """Leave out of the widest interval what not even all candidates together determine."""
        width = self.space.upper - self.space.lower
        result = uncertainty(everything, self.space.prior_scale, width=width)
        known = (result.data_share >= 0.5) & np.isfinite(np.diag(result.covariance))
        if not known.any():
            raise InputError(
                "no candidate says anything about the unknowns; choose other parameters, a longer duration, or lower "
                "angle_noise"
            )
        self.judged = known

    def __call__(self, information: Float[np.ndarray, "*batch free free"]) -> Float[np.ndarray, "*batch"]:
        scaled = self.unit[:, None] * information * self.unit + np.eye(len(self.unit))
        root = np.sqrt(np.diagonal(scaled, axis1=-2, axis2=-1))
        scaled = scaled / (root[..., :, None] * root[..., None, :])
        if self.name == "D":
            return 0.5 * np.linalg.slogdet(scaled)[1] + np.log(root).sum(-1)
        sd = self.unit * np.sqrt(np.abs(np.diagonal(np.linalg.inv(scaled), axis1=-2, axis2=-1))) / root
        return -np.log((NORMAL * sd / self.size)[..., self.judged].max(-1))
