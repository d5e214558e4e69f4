"""Delays of whole control periods: how many, and the values that are on their way."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import AnyArray, namespace
from mjx_msm.common.errors import InputError


def delay_steps(delay: float, period: float) -> int:
    """How many control periods come nearest to a delay; both in s.

    **Raises:** `InputError` for a negative delay or a period that is not positive.
    """
    if not (delay >= 0 and period > 0):
        raise InputError(f"delay {delay:g} s at a period of {period:g} s: give a delay of 0 or more, a period above 0")
    return math.floor(delay / period + 0.5 + 1e-9)


class DelayLine(NamedTuple):
    """What was said last, oldest first: a shift register, as a value that a scan can carry."""

    samples: Float[AnyArray, "delay *shape"]

    @staticmethod
    def holding(value: Float[np.ndarray, "*shape"], steps: int) -> DelayLine:
        """A line in which nothing but this value was ever said."""
        return DelayLine(np.repeat(np.asarray(value, dtype=float)[None], steps, axis=0))

    def push(self, value: Float[AnyArray, "*shape"]) -> tuple[Float[AnyArray, "*shape"], DelayLine]:
        """Say a value, and hear what was said as many pushes ago as the line is long."""
        if len(self.samples) == 0:  # a shape, known when tracing
            return value, self
        shifted = namespace(self.samples).concatenate((self.samples[1:], value[None]))
        return self.samples[0], DelayLine(shifted)
