"""What forecasts that have come true teach of those to come: a few weights, renewed as errors show.

What is said of later is compared with what is said of now when its time has come, and ridge regressions with fading
memory (recursive least squares, e.g. Ljung 1999, System Identification, 11.2) foretell the next errors: of torque from
how far it is said to change, so that a change which does not come is believed less; of angle from where it is, where it
is said to be and how fast it goes. Nothing recorded is needed.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

MEMORY = 10.0
"""Over which errors are remembered [s]."""
RIDGE = 0.03
"""Of the regressions, relative to the mean square of a feature."""
BELIEVED = 1.0
"""How long it takes until half of what errors teach is believed [s]."""


class OwnErrors:
    """Of one quantity of every free coordinate.

    **Arguments:** `features`: how many; `every`: how often it is taught [s].
    """

    def __init__(self, coordinates: int, features: int, every: float):
        self._share, self._every = every / MEMORY, every
        self._inside = np.zeros((coordinates, features, features))
        self._onto = np.zeros((coordinates, features))
        self._weights = np.zeros((coordinates, features))
        self._taught = 0

    def teach(self, feature: Float[np.ndarray, "free feature"], missed: Float[np.ndarray, "free"]) -> None:
        """By how much a forecast was too low, which was made with these features."""
        self._taught += 1
        share = max(self._share, 1.0 / self._taught)
        self._inside += share * (feature[:, :, None] * feature[:, None, :] - self._inside)
        self._onto += share * (feature * missed[:, None] - self._onto)
        own = np.arange(feature.shape[1])
        matrix = self._inside.copy()
        matrix[:, own, own] = matrix[:, own, own] * (1.0 + RIDGE) + 1e-12
        believed = self._taught / (self._taught + BELIEVED / self._every)
        self._weights = believed * np.linalg.solve(matrix, self._onto[..., None])[..., 0]

    def expected(self, feature: Float[np.ndarray, "free feature"]) -> Float[np.ndarray, "free"]:
        """By how much a forecast with these features will be too low."""
        return np.vecdot(self._weights, feature)
