"""Recordings, free set and stages of one identification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError
from mjx_msm.estimation.residuals.acceleration import acceleration_term
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.estimation.residuals.motion import MotionTerm, motion_term
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.person.model import Model
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.space import ParameterSpace, parameter_space
from mjx_msm.recordings.emg import EmgNoise
from mjx_msm.recordings.model_clock import Recording, record
from mjx_msm.recordings.trial import Trial, reordered

EVALUATIONS = 300
"""Of a stage, at most."""
RESIDUALS = ("acceleration", "moment", "motion")


@dataclass(frozen=True)
class Problem:
    """Recordings, free set and stages of one identification."""

    model: Model
    space: ParameterSpace
    nominal: Float[np.ndarray, "free"]
    """z of the model as it was loaded."""
    start: Float[np.ndarray, "free"]
    recordings: tuple[Recording, ...]
    emg_map: Mapping[str, Mapping[str, float]]
    channels: tuple[str, ...]
    rate: float
    steps: int
    """Of a motion window."""
    emg_noise: EmgNoise | None
    stages: tuple[tuple[str, Callable[[], list[AbstractTerm]]], ...]
    motion: Callable[[], MotionTerm]
    """The term of the motion stage, made once."""

    @staticmethod
    def build(
        model: Model,
        trials: Sequence[Trial],
        free: Iterable[str],
        emg_map: Mapping[str, Mapping[str, float]] | None,
        residuals: Sequence[str],
        tied: Iterable[str],
        bounds: Any,
        priors: Any,
        rate: float,
        horizon: int | None,
        emg_noise: EmgNoise | None = None,
    ) -> Problem:
        if not trials:
            raise InputError("no trials to identify from; give at least one")
        if not model.free:
            raise InputError("no coordinate is free; leave at least one neither prescribed nor locked")
        if not rate > 0:
            raise InputError(f"rate {rate} must be positive [samples/s]")
        if horizon is not None and horizon < 1:
            raise InputError(f"horizon {horizon} must be a positive number of steps, or None for the whole trial")
        unknown = [r for r in residuals if r not in RESIDUALS]
        if unknown or not residuals:
            raise InputError(f"residuals {', '.join(unknown) or 'are empty'}; choose from {', '.join(RESIDUALS)}")
        if emg_noise is not None and tuple(residuals) != ("motion",):
            raise InputError(
                f"EMG noise is modelled in the motion residual alone, not with {', '.join(residuals)}; leave it out, "
                "or choose residuals = ['motion']"
            )
        emg_map = emg_map if emg_map is not None else {m: {m: 1.0} for m in model.muscles}
        channels = tuple(dict.fromkeys(c for m in model.muscles for c in emg_map.get(m, {})))
        recordings = tuple(record(model, reordered(t, channels), emg_map) for t in trials)
        if "moment" in residuals and not any(r.moment_weight.any() for r in recordings):
            raise InputError(f"residual 'moment' needs recorded moments of {', '.join(model.free)}; no trial has them")
        nominal = model.nominal.with_channels(channels)
        space = parameter_space(nominal, free, tied=tied, bounds=bounds, priors=priors)
        with float64():
            centre = np.asarray(_packed(space, nominal))
        start = space.clip(space.prior_mean)  # the nominal value, unless a prior says better

        def direct(kinds: Sequence[str]) -> list[AbstractTerm]:
            out: list[AbstractTerm] = []
            if "moment" in kinds:
                out.append(moment_term(model, space, recordings, rate))
            if "acceleration" in kinds:
                out.append(acceleration_term(model, space, recordings, rate))
            return out

        longest = max(r.last - r.first for r in recordings)
        steps = min(horizon or longest, longest)
        with_moment = [k for k in residuals if k == "moment"]
        motion = cache(lambda: motion_term(model, space, recordings, steps, emg_noise))
        stages: list[tuple[str, Callable[[], list[AbstractTerm]]]] = []
        if "motion" not in residuals:
            stages.append((" and ".join(residuals), lambda: direct(residuals)))
        else:
            opening = [*with_moment, "acceleration"]
            stages.append((" and ".join(opening), lambda: direct(opening)))
            stages.append((
                f"motion over {steps * model.timestep:g} s",
                lambda: [*direct(with_moment), motion()],
            ))  # fmt: skip
        return Problem(
            model, space, centre, start, recordings, emg_map, channels, rate, steps, emg_noise, tuple(stages), motion
        )


@jit
def _packed(space: ParameterSpace, parameters: Parameters) -> Float[Array, "free"]:
    return space.pack(parameters)
