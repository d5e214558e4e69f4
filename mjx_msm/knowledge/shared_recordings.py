"""What two results have in common: recordings that both were made from, and samples that both are judged by."""

from __future__ import annotations

import math

from mjx_msm.knowledge.records import Fit
from mjx_msm.knowledge.result import Identification

NO_RECORDING = (".toml", ".xml", ".mjcf", ".osim", ".json")
"""Endings of subject files, models and populations, for results that do not say which files are recordings."""


def share_recordings(one: Identification, other: Identification) -> bool:
    """Whether there is a file that both were made from, so that their errors have it in common.

    Of results whose files are not known, whether they are judged by the same samples.
    """
    mine, theirs = _made_from(one), _made_from(other)
    if mine and theirs:
        return bool(mine & theirs)
    return any(same_samples(one, f, other, g) for f in one.fits for g in other.fits)


def same_samples(one: Identification, f: Fit, other: Identification, g: Fit) -> bool:
    """Whether rows of two results are errors of the same samples: of one file, with one standard deviation."""
    if f.row != g.row:
        return False
    mine, theirs = _of_trial(one, f.trial), _of_trial(other, g.trial)
    return (not (mine and theirs) or bool(mine & theirs)) and same_spread(f, g)


def same_spread(f: Fit, g: Fit) -> bool:
    """Whether what was recorded has one standard deviation in both."""
    return math.isclose(f.spread, g.spread, rel_tol=1e-6, abs_tol=1e-12)


def _made_from(result: Identification) -> set[str]:
    """Digests of the recordings that the estimate was made from."""
    held_out = {f.trial for f in result.fits if f.role == "held-out"}
    files = {name for trial, names in result.recordings.items() if trial not in held_out for name in names}
    return _digests(result, files)


def _of_trial(result: Identification, trial: str) -> set[str]:
    return _digests(result, set(result.recordings.get(trial, ())))


def _digests(result: Identification, files: set[str]) -> set[str]:
    """Of these files; where it is not known which are recordings, of all that can be one."""
    if not result.recordings:
        files = {name for name in result.hashes if not name.endswith(NO_RECORDING)}
    return {result.hashes[name] for name in files if name in result.hashes}
