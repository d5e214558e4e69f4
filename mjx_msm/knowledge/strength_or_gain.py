"""Strength and EMG gain, which moments tell as a product: whether recordings have told the two apart.

Half the gain with twice the strength makes nearly the same moments, whatever the posture. What tells them apart is how
much of the muscle was active (a superimposed twitch shows what of a maximal effort was missing: Merton 1954, doi
10.1113/jphysiol.1954.sp005070) or how large the muscle is.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from mjx_msm.knowledge.result import Identification

EXCHANGED = -0.7
"""Correlation in the posterior, of logarithms, from which down one makes up for half of what is open of the other."""
TELLS_APART = (
    "a maximal effort of which a superimposed twitch shows that it is one, or the muscle's size by ultrasound or MRI"
)
"""What to record, in words."""


@dataclass(frozen=True)
class Exchange:
    """A strength and the gain that can be exchanged for it."""

    strength: str
    """Path of the estimate."""
    gain: str
    correlation: float


def exchanges(result: Identification) -> tuple[Exchange, ...]:
    """Strengths that the recordings leave to be exchanged for the gain of a channel that drives the muscle."""
    members = [u.members for u in result.unknowns]
    strengths = [k for k, m in enumerate(members) if _is(m, "muscle/*/max_isometric_force")]
    gains = [k for k, m in enumerate(members) if _is(m, "emg/*/gain")]
    covariance = np.array(result.covariance)
    out = []
    for s in strengths:
        driven_by = {channel for m in members[s] for channel, part in _drives(result, m).items() if part}
        for g in gains:
            if driven_by & {m.split("/")[1] for m in members[g]}:
                both = np.sqrt(covariance[s, s] * covariance[g, g])
                correlation = float(covariance[s, g] / both) if both > 0 else 0.0
                if correlation <= EXCHANGED:
                    out.append(Exchange(result.estimates[s].path, result.estimates[g].path, correlation))
    return tuple(out)


def _is(members: tuple[str, ...], pattern: str) -> bool:
    return all(fnmatchcase(m, pattern) for m in members)


def _drives(result: Identification, strength: str) -> dict[str, float]:
    return dict(result.emg_map.get(strength.split("/")[1], {}))
