"""Strength, and the gain and shape that make EMG activation: moments tell them together, and whether also apart.

Half the gain with twice the strength makes nearly the same moments, whatever the posture. What tells them apart is how
much of the muscle was active (a superimposed twitch shows what of a maximal effort was missing: Merton 1954, doi
10.1113/jphysiol.1954.sp005070) or how large the muscle is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing

HALF = 0.5
"""Part of what is open of a strength that goes with its EMG, from which on it counts as told together with that."""
TELLS_APART = (
    "a maximal effort of which a superimposed twitch shows that it is one, or the muscle's size by ultrasound or MRI"
)
"""What to record, in words."""
TOGETHER = "Strength is told together with how EMG becomes activation, and not apart from it"
EITHER = (
    "Half the EMG gain with twice the strength makes nearly the same moments: either leans on what was expected of the "
    f"other, till it is known what of the muscle was active. {TELLS_APART[0].upper()}{TELLS_APART[1:]} tells."
)


@dataclass(frozen=True)
class Exchange:
    """A strength, and the gains and shapes of the channels that drive the muscle, for which it can be exchanged."""

    strength: str
    """Path of the estimate."""
    emg: tuple[str, ...]
    share: float
    """Part of the strength's variance in the posterior that goes with them: their squared multiple correlation."""


def exchanges(result: Identification) -> tuple[Exchange, ...]:
    """Strengths that the recordings leave to be exchanged for how EMG becomes activation.

    What is determined can go with what is determined, too: then the recordings tell both, and what is left open is
    little. They cannot both be where only their product is told: each then keeps at least what the narrower one of the
    two priors leaves, over √2, and one of them more than half of its own.
    """
    known = [s is Standing.DETERMINED for s in result.standing]
    covariance, members = np.array(result.covariance), [u.members for u in result.unknowns]
    out = []
    for s, muscles in enumerate(members):
        if not all(fnmatchcase(m, "muscle/*/max_isometric_force") for m in muscles):
            continue
        channels = {channel for m in muscles for channel in _driving(result.emg_map, m.split("/")[1])}
        own = [k for k, m in enumerate(members) if any(x in _emg(channels) for x in m)]
        own = [k for k in own if not (known[s] and known[k])]
        share = _share(covariance, s, own)
        if share >= HALF:
            out.append(Exchange(result.estimates[s].path, tuple(result.estimates[k].path for k in own), share))
    return tuple(out)


def _driving(emg_map: Mapping[str, Mapping[str, float]], muscle: str) -> set[str]:
    return {channel for channel, part in emg_map.get(muscle, {}).items() if part}


def _emg(channels: set[str]) -> set[str]:
    return {f"emg/{channel}/{field}" for channel in channels for field in ("gain", "shape")}


def _share(covariance: np.ndarray, of: int, among: list[int]) -> float:
    """Squared multiple correlation of one with others; 0 with none, or where nothing is open."""
    if not among or not covariance[of, of] > 0:
        return 0.0
    across = covariance[of, among]
    inside = covariance[np.ix_(among, among)]
    return float(across @ np.linalg.pinv(inside, hermitian=True) @ across / covariance[of, of])
