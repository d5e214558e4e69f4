"""Everything in a model's trials that contradicts what is said of them, one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mjx_msm.person.model import Model
from mjx_msm.recordings.evidence.angles import out_of_range, wrong_velocities
from mjx_msm.recordings.evidence.moments import channel_lines, contradicted_moments
from mjx_msm.recordings.evidence.states import States, states
from mjx_msm.recordings.trial import Trial


def contradictions(
    model: Model, trials: Iterable[Trial], emg_map: Mapping[str, Mapping[str, float]] | None = None
) -> tuple[str, ...]:
    """What deserves a look before anything is estimated from `trials`.

    **Arguments:** `emg_map`: muscle to {EMG channel: weight}; None: every muscle has a channel of its own name.
    """
    mapping = {m: {m: 1.0} for m in model.muscles} if emg_map is None else emg_map
    said: list[str] = []
    moving: list[tuple[Trial, States]] = []
    for trial in trials:
        angles = list(out_of_range(model, trial))
        said += angles
        at = None if angles else states(model, trial)  # in angles that are wrong, moments and velocities say nothing
        if at is not None:
            said += wrong_velocities(model, trial, at)
            moving.append((trial, at))
    return (*said, *contradicted_moments(model, moving, mapping))


def channels_and_joints(
    model: Model, trials: Iterable[Trial], emg_map: Mapping[str, Mapping[str, float]]
) -> tuple[str, ...]:
    """One line a channel of EMG: which way its muscles pull, and how it goes with the moment that they should make."""
    known = [(trial, at) for trial in trials if (at := states(model, trial)) is not None]
    return tuple(channel_lines(model, known, emg_map))
