"""What an episode comes to: peak, root mean square and integral of its measures."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float


class Summary(NamedTuple):
    """Running peak, square and integral of the measures that an episode is summarised by."""

    peak: Float[Any, "measure"]
    square: Float[Any, "measure"]
    total: Float[Any, "measure"]
    periods: Any

    @staticmethod
    def empty(xp: Any, count: int) -> Summary:
        zero = xp.zeros(count)
        return Summary(zero, zero, zero, 0)

    def add(self, xp: Any, values: Float[Any, "measure"]) -> Summary:
        """With one more period."""
        return Summary(
            xp.maximum(self.peak, xp.abs(values)),
            self.square + values * values,
            self.total + values,
            self.periods + 1,
        )

    def report(self, names: tuple[str, ...], period: float) -> dict[str, float]:
        """``<measure>_peak``, ``_rms`` and ``_integral`` (over seconds)."""
        count = max(int(self.periods), 1)
        out: dict[str, float] = {}
        for i, name in enumerate(names):
            out[f"{name}_peak"] = float(self.peak[i])
            out[f"{name}_rms"] = float(np.sqrt(self.square[i] / count))
            out[f"{name}_integral"] = float(self.total[i] * period)
        return out
