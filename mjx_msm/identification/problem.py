"""Recordings, free set and stages of one identification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError
from mjx_msm.estimation.residuals.acceleration import acceleration_term
from mjx_msm.estimation.residuals.freed import with_unknown_courses
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.estimation.residuals.motion import MotionTerm, motion_term
from mjx_msm.estimation.residuals.stepped_motion import (
    SteppedMotionTerm,
    is_stepped,
    stepped_motion_term,
    window_steps,
)
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.knowledge.population import expectation_of
from mjx_msm.person.compliant_tendon import CompliantTendon
from mjx_msm.person.model import Model, muscle_constants, muscle_name, refuse_memory
from mjx_msm.person.obstacles import TREE
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.space import ParameterSpace, parameter_space, with_expectation
from mjx_msm.person.stability import warn_if_too_fast
from mjx_msm.recordings.model_clock import Recording, record
from mjx_msm.recordings.settings import Settings
from mjx_msm.recordings.trial import Trial, reordered
from mjx_msm.recordings.unknown_channels import filled_in

EVALUATIONS = 300
"""Of a stage, at most."""
BESIDE = ("held", "synergies")
"""Settings that change no estimate."""


@dataclass(frozen=True)
class Problem:
    """Recordings, free set and stages of one identification."""

    model: Model
    settings: Settings
    space: ParameterSpace
    usual: tuple[Float[np.ndarray, "free"], Float[np.ndarray, "free"]] | None
    """Means and standard deviations of the priors without the population that the settings name; None without one."""
    nominal: Float[np.ndarray, "free"]
    """z of the model as it was loaded."""
    start: Float[np.ndarray, "free"]
    recordings: tuple[Recording, ...]
    emg_map: Mapping[str, Mapping[str, float]]
    """That of the settings, or every muscle's channel of its own name."""
    channels: tuple[str, ...]
    steps: int
    """Of a motion window."""
    stages: tuple[tuple[str, Callable[[], list[AbstractTerm]]], ...]
    motion: Callable[[], MotionTerm | SteppedMotionTerm]
    """The term of the motion stage, made once."""

    @staticmethod
    def build(model: Model, trials: Sequence[Trial], settings: Settings) -> Problem:
        """The problem that settings pose on trials.

        **Raises:** `InputError` naming the trial, channel or parameter that does not fit.
        """
        residuals, rate = settings.residuals, settings.rate
        if not trials:
            raise InputError("no trials to identify from; give at least one")
        if model.host.engine == TREE and model.integrator != "RK4":
            warn_if_too_fast(model.host.mj_model, model.free, model.host.source)
            model = model.by_rk4
        if not model.free:
            raise InputError("no coordinate is free; leave at least one neither prescribed nor locked")
        if model.muscle.remembers and not isinstance(model.muscle, CompliantTendon):
            refuse_memory(model, "identification")
        emg_map, channels = channels_of(model, settings)
        recordings = tuple(record(model, reordered(t, channels), emg_map) for t in trials)
        if "moment" in residuals and not any(r.moment_weight.any() for r in recordings):
            raise InputError(f"residual 'moment' needs recorded moments of {', '.join(model.free)}; no trial has them")
        levers = _levers(trials)
        nominal = model.nominal.with_channels(channels).with_levers(levers)
        space = parameter_space(
            nominal, settings.free, tied=settings.tied, bounds=settings.bounds, priors=settings.priors
        )
        usual = None
        if settings.prior is not None:
            expectation = expectation_of(settings.prior)
            usual, space = (space.prior_mean, space.prior_scale), with_expectation(space, expectation)
            settings = replace(settings, prior=expectation)  # what a file holds may change
        with float64():
            centre = np.asarray(_packed(space, nominal))
        start = space.clip(space.prior_mean)  # the nominal value, unless a prior says better
        centre = np.where(np.isfinite(centre), centre, start)  # a slack length that the file gives as negative

        def direct(kinds: Sequence[str]) -> list[AbstractTerm]:
            out: list[AbstractTerm] = []
            if "moment" in kinds:
                out.append(moment_term(model, space, recordings, rate))
            if "acceleration" in kinds:
                out.append(acceleration_term(model, space, recordings, rate))
            return [with_unknown_courses(model, t, settings.unmeasured) for t in out]

        if model.host.engine != TREE:
            return Problem._stepped(model, settings, space, usual, centre, start, recordings, emg_map, channels)
        longest = max(r.last - r.first for r in recordings)
        steps = min(settings.horizon or longest, longest)
        with_moment = [k for k in residuals if k == "moment"]
        stepped = is_stepped(model)
        if stepped and "motion" in residuals:
            if settings.emg_noise is not None:
                refuse_memory(model, "a noise of the EMG")
            steps = min(steps, window_steps(model))
        motion = cache(
            lambda: (
                stepped_motion_term(model, space, recordings, steps)
                if stepped
                else motion_term(model, space, recordings, steps, settings.emg_noise)
            )
        )
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
            model, settings, space, usual, centre, start, recordings, emg_map, channels, steps, tuple(stages), motion
        )

    @staticmethod
    def _stepped(
        model: Model,
        settings: Settings,
        space: ParameterSpace,
        usual: tuple[np.ndarray, np.ndarray] | None,
        centre: np.ndarray,
        start: np.ndarray,
        recordings: tuple[Recording, ...],
        emg_map: Mapping[str, Mapping[str, float]],
        channels: tuple[str, ...],
    ) -> Problem:
        """Of a model that MJX steps: its motion, in short windows, which start as recorded at first."""
        if tuple(settings.residuals) != ("motion",) or settings.emg_noise is not None:  # nor unmeasured muscles
            model.host.only_tree("another residual than the motion, or a noise of the EMG,")
        steps = min(settings.horizon or window_steps(model), window_steps(model))
        term = cache(lambda: stepped_motion_term(model, space, recordings, steps))

        over = f"motion over {steps * model.timestep:g} s"
        stages: tuple[tuple[str, Callable[[], list[AbstractTerm]]], ...] = (
            (f"{over} from recorded states, by MJX", lambda: [term().predicted()]),
            (f"{over}, by MJX", lambda: [term()]),
        )
        return Problem(model, settings, space, usual, centre, start, recordings, emg_map, channels, steps, stages, term)

    def record(self) -> dict[str, Any]:
        """What a result keeps of the problem it solved, by the names of its fields; problems that differ in it are
        not the same. Bounds, priors and what is free are kept with the unknowns."""
        model = self.model
        return {
            "muscle_model": muscle_name(model),
            "muscle_constants": muscle_constants(model),
            "timestep": model.timestep,
            "integrator": model.integrator,
            "part": model.host.part,
            "scaling": {body: tuple(factors) for body, factors in model.host.scaling.items()},
            "free": model.host.free,
            "prescribed": model.host.prescribed,
            "locked": dict(model.host.locked),
            "passive": tuple(dict.fromkeys(c.name for c in model.host.passive)),
            "channels": self.channels,
            "levers": dict(zip(self.space.nominal.names.strap, self.space.nominal.strap.lever.tolist(), strict=True)),
            "emg_map": {m: dict(self.emg_map[m]) for m in model.muscles},
            "unmeasured": dict(self.settings.unmeasured),
            "synergies": self.settings.synergies,
            "rate": self.settings.rate,
            "horizon": self.steps,
            "emg_noise": self.settings.emg_noise,
            "loss": self.settings.loss,
            "held": self.settings.held,
        }


def channels_of(model: Model, settings: Settings) -> tuple[Mapping[str, Mapping[str, float]], tuple[str, ...]]:
    """What drives every muscle, and the channels of EMG that do."""
    emg_map = settings.emg_map if settings.emg_map is not None else {m: {m: 1.0} for m in model.muscles}
    return emg_map, tuple(dict.fromkeys(c for m in model.muscles for c in emg_map.get(m, {})))


def complete(
    model: Model, trials: Sequence[Trial], held_out: Sequence[Trial], settings: Settings
) -> tuple[tuple[Trial, ...], tuple[Trial, ...], tuple[str, ...]]:
    """Trials to identify from and held-out ones, with channels of EMG that were dead, missing or cut off in some of
    them filled in; what was done, in words."""
    channels = channels_of(model, settings)[1]
    instants = settings.residuals == ("moment",)
    found, said = filled_in(trials, channels, instants=instants)
    judged, more = filled_in(held_out, channels, trials, instants=instants)
    return found, judged, (*said, *more)


def deciding(settings: Settings) -> dict[str, Any]:
    """The settings that an estimate depends on: what is allowed for beside it, its intervals alone."""
    return {name: value for name, value in asdict(settings).items() if name not in BESIDE}


def _levers(trials: Sequence[Trial]) -> dict[str, float]:
    """Distances at which forces were measured instead of moments, where they are not well known [m], by coordinate.

    **Raises:** `InputError` if trials do not agree: one strap has one place.
    """
    levers: dict[str, float] = {}
    for trial in trials:
        said: Any = trial.metadata.get("levers") or {}
        for name, lever in said.items():
            if levers.setdefault(name, float(lever)) != float(lever):
                raise InputError(
                    f"trial '{trial.name}': the lever at '{name}' is {lever:g} m, that of another trial "
                    f"{levers[name]:g} m; give the same mean, or identify them apart"
                )
    for trial in trials:
        said = trial.metadata.get("levers") or {}
        for name in levers:
            if trial.moment is not None and name in trial.moment_coordinates and name not in said:
                raise InputError(
                    f"trial '{trial.name}': the moment of '{name}' has no lever, that of another trial has one which "
                    "is to be estimated; identify them apart, or give the lever without"
                )
    return levers


@jit
def _packed(space: ParameterSpace, parameters: Parameters) -> Float[Array, "free"]:
    return space.pack(parameters)
