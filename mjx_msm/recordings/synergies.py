"""EMG of muscles that no electrode reached: synergies of the measured envelopes, extended to the unmeasured muscles.

Measured envelopes are a product of few non-negative courses over time and weights (Lee & Seung 1999, doi
10.1038/44565). An unmeasured muscle is taken to be driven by the same courses, with weights of its own that are
identified with everything else (Ao et al. 2020, doi 10.3389/fncom.2020.588943). So its excitation is a mix of further
"channels", one a synergy, whose gains are those weights: nothing else of an identification changes.

A new recording's courses are the non-negative least-squares solution, instant by instant, for the weights that were
found in the trials to identify from. A result holds these weights, so that any recording, and a stream, gets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.recordings.trial import Trial

UNMEASURED = "unmeasured"
"""In a muscle's place in ``[emg.muscles]``."""
MARK = "~"
"""Between a muscle and the number of a synergy in the name of a channel."""
ITERATIONS, STARTS = 500, 4
FORETOLD_BY = 500
"""Instants of all recordings that say how well measured channels are foretold: what is said has two digits."""
UNLIKE = 0.25
"""Part of a channel's variance, below which channels are said to have little to do with each other. Of muscles driven
at random the median channel has none of its variance foretold, of arms that do what a motion takes 0.4 to 0.6, of
recorded walks 0.7."""
PRIOR = {"mean": 0.3, "relative_sd": 1.0}
"""Of a weight: courses have a greatest value of 1."""


@dataclass(frozen=True)
class Synergies:
    """Weights of the measured channels on every synergy."""

    channels: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    """(synergy, channel)."""
    explained: float
    """Part of the envelopes' squares that the synergies account for."""

    @property
    def matrix(self) -> Float[np.ndarray, "synergy channel"]:
        """The weights."""
        return np.array(self.weights)

    def courses(self, envelope: Float[np.ndarray, "time channel"]) -> Float[np.ndarray, "time synergy"]:
        """How active the synergies are; channels without a sample (NaN) have no say."""
        weights = self.matrix
        out = np.zeros((len(envelope), len(weights)))
        for k, row in enumerate(envelope):
            known = np.isfinite(row)
            if known.any():
                out[k] = nnls(weights[:, known].T, row[known])[0]
        return out

    def made(self, channels: Sequence[str]) -> dict[str, int]:
        """Which of some channels are courses, and of which synergy, counted from 0."""
        parts = {c: c.rpartition(MARK)[2] for c in channels if MARK in c and c not in self.channels}
        return {c: int(k) - 1 for c, k in parts.items() if k.isdigit() and 1 <= int(k) <= len(self.weights)}

    def completed(self, trial: Trial, channels: Sequence[str]) -> Trial:
        """A trial with those of `channels` that are courses, by these weights, whatever it had in their place.

        **Raises:** `InputError` if it lacks a channel that the synergies are of.
        """
        made = self.made(channels)
        missing = [c for c in self.channels if c not in trial.channels]
        if made and missing:
            raise InputError(
                f"trial '{trial.name}' has no channel '{missing[0]}', of whose synergies muscles without EMG are "
                f"made{suggest(missing[0], trial.channels)}"
            )
        if not made:
            return trial
        own = [k for k, c in enumerate(trial.channels) if c not in made]
        courses = self.courses(trial.emg[:, [trial.channels.index(c) for c in self.channels]])
        emg = np.concatenate([trial.emg[:, own], courses[:, list(made.values())]], axis=1)
        return replace(trial, channels=(*(trial.channels[k] for k in own), *made), emg=emg)


def synergies(
    channels: Sequence[str], envelopes: Sequence[Float[np.ndarray, "time channel"]], count: int, seed: int = 0
) -> Synergies:
    """Factors of recorded envelopes, the best of some starts of hierarchical alternating least squares.

    Weights are scaled so that every synergy's course has a greatest value of 1.

    **Raises:** `InputError` if there are not more channels than synergies, or nothing was recorded.
    """
    if not 1 <= count < len(channels):
        raise InputError(f"{count} synergies of {len(channels)} EMG channels; give 1 to {len(channels) - 1}")
    x = np.concatenate([e[np.isfinite(e).all(axis=1)] for e in envelopes])
    if not len(x) or not x.any():
        raise InputError("no EMG to find synergies in: the measured channels are silent")
    found = min((_factored(x, count, seed + k) for k in range(STARTS)), key=lambda f: f[2])
    course, weights, left = found
    peak = np.maximum(course.max(axis=0), 1e-12)
    order = np.argsort(-(peak * np.linalg.norm(weights, axis=1)))
    scaled = (weights * peak[:, None])[order].tolist()
    return Synergies(tuple(channels), tuple(map(tuple, scaled)), 1.0 - left / float((x**2).sum()))


def _factored(x: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Courses, weights, and the squares that are left (Cichocki & Phan 2009, doi 10.1587/transfun.E92.A.708)."""
    rng, scale = np.random.default_rng(seed), np.sqrt(x.mean() / count)
    a, w = scale * rng.uniform(0.1, 1, (len(x), count)), scale * rng.uniform(0.1, 1, (count, x.shape[1]))
    before = np.inf
    for k in range(ITERATIONS):
        for one, other, data in ((a, w.T, x), (w.T, a, x.T)):
            gram, cross = other.T @ other, data @ other
            for j in range(count):
                one[:, j] = np.maximum(one[:, j] + (cross[:, j] - one @ gram[:, j]) / max(gram[j, j], 1e-12), 1e-12)
        if k % 10 == 9:
            left = float(((x - a @ w) ** 2).sum())
            if before - left < 1e-7 * before:
                break
            before = left
    return a, w, float(((x - a @ w) ** 2).sum())


def foretold(
    channels: Sequence[str], envelopes: Sequence[Float[np.ndarray, "time channel"]], count: int
) -> dict[str, float]:
    """How well synergies make a channel that they are not of: the part of its variance that the best mix of the others'
    courses accounts for, 0 to 1.

    What synergies of measured muscles tell of unmeasured ones cannot be seen; what they tell of each other can. Empty
    where there are too few channels to leave one out.
    """
    x = np.concatenate([e[np.isfinite(e).all(axis=1)] for e in envelopes])
    x, out = x[:: -(-len(x) // FORETOLD_BY)], {}
    fewer = min(count, len(channels) - 2)
    for k, name in enumerate(channels if fewer >= 1 else ()):
        own, others = x[:, k], np.delete(x, k, axis=1)
        if not np.std(own) > 0 or not others.any():
            continue
        course = _factored(others, fewer, 0)[0]
        left = nnls(course, own)[1] ** 2
        out[name] = max(0.0, 1.0 - float(left / np.sum((own - own.mean()) ** 2)))
    return out


@dataclass(frozen=True)
class Extended:
    """Recordings with the unmeasured muscles' channels."""

    trials: tuple[tuple[Trial, ...], ...]
    """As they were given, in groups."""
    emg_map: Mapping[str, Mapping[str, float]]
    free: tuple[str, ...]
    """Patterns of what is to be identified besides: the weights."""
    priors: Mapping[str, Mapping[str, float]]
    synergies: Synergies
    foretold: Mapping[str, float]
    """How well the measured channels are foretold by each other, see `foretold`."""

    @property
    def note(self) -> str:
        """In words: what drives the unmeasured muscles, and how far that may be believed."""
        muscles = ", ".join(m for m, mix in self.emg_map.items() if any(MARK in c for c in mix))
        about = (
            f"{muscles}: without EMG; driven by {len(self.synergies.weights)} synergies, which account for "
            f"{100 * self.synergies.explained:.1f} % of the measured EMG"
        )
        if not self.foretold:
            return about
        usual, least = float(np.median(list(self.foretold.values()))), min(self.foretold, key=self.foretold.__getitem__)
        about += (
            f"; of a measured channel left out, those of the others foretell {100 * usual:.0f} % of the variance "
            f"(median; least {100 * self.foretold[least]:.0f} %, {least})"
        )
        if usual >= UNLIKE:
            return about
        return (
            f"{about}: the measured muscles are not driven alike, so synergies cannot be expected to make what drives "
            'the others, and parameters make up for it; choose unmeasured = "projected", or measure these muscles'
        )


def channel_of(muscle: str, synergy: int) -> str:
    """The name of an unmeasured muscle's channel for one synergy, counted from 1."""
    return f"{muscle}{MARK}{synergy}"


def extended(
    learnt_from: Sequence[Trial],
    groups: Sequence[Sequence[Trial]],
    emg_map: Mapping[str, Any],
    count: int,
) -> Extended:
    """Give muscles that `emg_map` calls "unmeasured" the synergies of the measured channels.

    **Arguments:** `learnt_from`: trials whose envelopes the synergies are those of; `groups`: trials to extend;
    `count`: how many synergies.

    **Raises:** `InputError` if no muscle is measured, or there are too many synergies.
    """
    missing = [m for m, mix in emg_map.items() if mix == UNMEASURED]
    measured = {m: dict(mix) for m, mix in emg_map.items() if mix != UNMEASURED}
    channels = tuple(dict.fromkeys(c for mix in measured.values() for c in mix))
    if not channels:
        raise InputError(f"no muscle has EMG: nothing to learn of {', '.join(missing)} from; measure some")

    def of(trial: Trial) -> np.ndarray:
        return trial.emg[:, [trial.channels.index(c) for c in channels]]

    found = synergies(channels, [of(t) for t in learnt_from], count)
    names = {m: tuple(channel_of(m, k + 1) for k in range(count)) for m in missing}

    every = tuple(n for m in missing for n in names[m])
    free = tuple(f"emg/{n}/gain" for n in every)
    return Extended(
        tuple(tuple(found.completed(t, every) for t in group) for group in groups),
        {m: measured[m] if m in measured else dict.fromkeys(names[m], 1.0) for m in emg_map},
        free,
        {pattern: dict(PRIOR) for pattern in free},
        found,
        foretold(channels, [of(t) for t in learnt_from], count),
    )
