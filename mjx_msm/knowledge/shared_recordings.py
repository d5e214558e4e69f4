"""What two results have in common: recordings that both were made from, and samples that both are judged by; and what a
recording has in common with those that a result was made from.

Recordings are told apart by what their files hold, whatever trials or files are called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mjx_msm.knowledge.records import Fit
from mjx_msm.knowledge.result import Identification
from mjx_msm.recordings.trial import Trial

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


def made_from(result: Identification, trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Of these trials, those that the estimate was made from; one counts as such where the files of either are not
    known."""
    mine = _made_from(result) if result.recordings else set()
    return tuple(t for t in trials if not (mine and t.digests) or mine & t.digests)


def was_seen(result: Identification, trial: Trial, known: Sequence[Trial]) -> bool | None:
    """Whether the estimate was made from this very recording; None where the files of either are not known.

    **Arguments:** `known`: trials that it was made from, as far as they are at hand: another part of their files is
    another recording. Of which part of a file it was made is not known otherwise, and all of it counts.
    """
    mine = _made_from(result) if result.recordings else set()
    if not (mine and trial.digests):
        return None
    shared = mine & trial.digests
    parts = [t for t in known if t.digests & shared]
    return bool(shared) and (not parts or any(same_recording(t, trial) for t in parts))


def same_recording(one: Trial, other: Trial) -> bool:
    """Whether two trials have a file and time in common; where files are not known, whether they have one name."""
    if not (one.digests and other.digests):
        return one.name == other.name
    spans = [(t.time[min(t.motion_start, len(t.time) - 1)], t.time[-1]) for t in (one, other)]
    return bool(one.digests & other.digests) and spans[0][0] < spans[1][1] and spans[1][0] < spans[0][1]


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
