"""A recorded trial as the samples of a stream: on an even clock, where all of it is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.trial import Trial


class Played(NamedTuple):
    """Samples of a stream."""

    time: Float[np.ndarray, "sample"]
    emg: Float[np.ndarray, "sample channel"]
    angle: Float[np.ndarray, "sample coordinate"]


def played(trial: Trial, channels: Sequence[str], coordinates: Sequence[str], step: float) -> Played:
    """EMG of these channels, linear between samples, and angles of these coordinates, which are splines.

    **Arguments:** `step`: of the clock [s].

    **Raises:** `InputError` if fewer than four samples are complete.
    """
    known = np.isfinite(trial.position).all(axis=1) & np.isfinite(trial.emg).all(axis=1)
    recorded = trial.time[known]
    if len(recorded) < 4:
        raise InputError(f"trial '{trial.name}' has {len(recorded)} complete samples; there is nothing to play")
    time = np.arange(recorded[0], recorded[-1], step)
    emg = [np.interp(time, recorded, trial.emg[known][:, trial.channels.index(c)]) for c in channels]
    place = [trial.coordinates.index(c) for c in coordinates]
    return Played(time, np.stack(emg, axis=1), CubicSpline(recorded, trial.position[known][:, place])(time))
