"""What recordings tell about the unknowns: Fisher information of the motion, the initial state eliminated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.estimation.residuals.motion import motion_term
from mjx_msm.person.model import Model, check_model, refuse_memory
from mjx_msm.person.payload import Grip, space_with_payload, with_payload
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording, record
from mjx_msm.recordings.trial import Trial, trials_of

ANGLE_NOISE = math.radians(0.3)
"""Standard deviation of a measured joint angle [rad]: optical motion capture."""
BATCH = 16
"""Candidates simulated side by side; a compiled function is made for this number once."""


def information(
    model: Model,
    space: ParameterSpace,
    trials: Trial | Sequence[Trial],
    *,
    angle_noise: float = ANGLE_NOISE,
    rate: float | None = None,
    emg_map: Mapping[str, Mapping[str, float]] | None = None,
    z: Float[np.ndarray, "free"] | None = None,
    grip: Grip | None = None,
) -> Float[np.ndarray, "trial free free"]:
    """What recordings tell about the unknowns, about the motion that was recorded.

    **Arguments:** as of `design_experiment`. `rate`: samples to count [Hz]; None: all. A trial with a payload names its
    mass under ``metadata["payload"]`` [kg].

    **Returns:** F = JᵀJ/σ² of every trial, its initial state eliminated.
    """
    check_model(model)
    check_noise(angle_noise)
    model = model.by_rk4
    trials = trials_of(trials)
    mapping = emg_map or {m: {m: 1.0} for m in model.muscles}
    masses = [float(t.metadata.get("payload", 0.0)) for t in trials]  # type: ignore[arg-type]
    variant, spaces = variants(model, space, tuple(dict.fromkeys(masses)), grip)
    out = np.zeros((len(trials), space.size, space.size))
    for mass, own in spaces.items():
        rows = [k for k, m in enumerate(masses) if m == mass]
        recordings = [record(variant, trials[k], mapping) for k in rows]
        own = with_channels(own, trials[rows[0]].channels)
        at = own.prior_mean if z is None else np.asarray(z, dtype=float)
        if rate is not None:
            recordings = [thinned(r, max(1, round(1 / (rate * model.timestep)))) for r in recordings]
        out[rows] = informations(variant, own, recordings, at, angle_noise)
    return out


def check_noise(angle_noise: float) -> None:
    if not 0 < angle_noise < np.inf:
        raise InputError(f"angle_noise {angle_noise:g} rad must be positive; motion capture has about 0.005")


def variants(
    model: Model, space: ParameterSpace, masses: tuple[float, ...], grip: Grip | None
) -> tuple[Model, dict[float, ParameterSpace]]:
    """One model for all payloads, 0 included, so that everything is compiled once; and a space for each."""
    if not any(masses):
        return model, dict.fromkeys(masses, space)
    loaded = with_payload(model, 1.0, grip)  # the spaces say how much
    return loaded, {m: space_with_payload(space, loaded, m) for m in masses}


def with_channels(space: ParameterSpace, channels: Sequence[str]) -> ParameterSpace:
    """The space, with neutral EMG parameters where it has none."""
    if space.nominal.names.emg:
        return space
    nominal = space.nominal.with_channels(channels)
    return ParameterSpace(
        nominal, space.lower, space.upper, space.prior_mean, space.prior_scale, space.offset, space.scalars,
        space.owner, space.paths,
    )  # fmt: skip


def thinned(recording: Recording, stride: int) -> Recording:
    """Only every so many samples measured."""
    weight = np.zeros_like(recording.weight)
    own = np.flatnonzero(recording.weight.any(axis=1))
    kept = own[:: max(1, round(stride / max(1.0, float(np.median(np.diff(own))))))]
    weight[kept] = recording.weight[kept]
    values = {f: getattr(recording, f) for f in recording.__dataclass_fields__}
    return Recording(**{**values, "weight": weight})


def informations(
    model: Model, space: ParameterSpace, recordings: Sequence[Recording], z: np.ndarray, angle_noise: float
) -> Float[np.ndarray, "recording free free"]:
    """JᵀJ/σ² of every recording about its motion, its initial state eliminated."""
    refuse_memory(model, "designing an experiment")
    term = motion_term(model, space, recordings, max(len(r.position) for r in recordings))
    short = BATCH - len(term.envelope)
    if short > 0:  # one shape for any number of recordings; rows that no window reads
        term = replace(term, envelope=np.concatenate([term.envelope, np.repeat(term.envelope[-1:], short, axis=0)]))
    out = term.expand(z).information(np.full(len(model.free), angle_noise))
    recording = term.recording[term.place == 0]
    sums = np.zeros((len(recordings), *out.shape[1:]))
    np.add.at(sums, recording, 0.5 * (out + np.swapaxes(out, 1, 2)))
    return sums
