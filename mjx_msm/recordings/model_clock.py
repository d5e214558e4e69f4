"""A trial on a model's clock: what the residuals read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import solveh_banded
from scipy.optimize import minimize_scalar

from mjx_msm.common.errors import InputError
from mjx_msm.person.couplings import spread, whole_position
from mjx_msm.person.model import Model
from mjx_msm.recordings.trial import Trial

GAP = 0.1
"""A longer pause between the samples of a coordinate leaves open where it was [s]."""


class Recording(eqx.Module):
    """One trial, sampled at the model's timestep. Where nothing was measured, the weight is 0.

    `smooth_*` come from a smoothing spline whose stiffness is chosen by generalised cross-validation (Craven &
    Wahba 1978, doi 10.1007/BF01404567); they stand in for the state where one is needed, `position` is the data.
    """

    envelope: Float[np.ndarray, "time channel"]
    mixing: Float[np.ndarray, "muscle channel"]
    position: Float[np.ndarray, "time free"]
    """Recorded free coordinates [rad]."""
    weight: Float[np.ndarray, "time free"]
    """1 where `position` was measured, 0 elsewhere."""
    smooth_position: Float[np.ndarray, "time coordinate"]
    """Every coordinate of the model [rad]; prescribed and locked ones included."""
    smooth_velocity: Float[np.ndarray, "time coordinate"]
    smooth_acceleration: Float[np.ndarray, "time coordinate"]
    moment: Float[np.ndarray, "time free"]
    """Recorded net moments of the free coordinates [N·m]."""
    moment_weight: Float[np.ndarray, "time free"]
    known: Bool[np.ndarray, "time"]
    """Samples inside the recorded motion: from the first to the last of any free coordinate, as far as every
    prescribed one was recorded."""
    complete: Bool[np.ndarray, "time"]
    """Samples at which every coordinate was recorded, short pauses bridged."""
    clock: Int[np.ndarray, "sample"]
    """The samples nearest to those of the trial's own clock."""
    name: str = eqx.field(static=True)
    start: float = eqx.field(static=True)
    """Clock time of the first sample [s]."""
    task: str = eqx.field(static=True, default="")
    """The trial's; empty for none."""

    @property
    def first(self) -> int:
        """First sample inside the recorded motion."""
        return int(np.flatnonzero(self.known)[0])

    @property
    def last(self) -> int:
        return int(np.flatnonzero(self.known)[-1])


def record(model: Model, trial: Trial, emg_map: Mapping[str, Mapping[str, float]]) -> Recording:
    """Put a trial on the model's clock.

    **Arguments:** `emg_map`: muscle to {EMG channel: weight}; an empty mapping is a silent muscle.

    **Raises:** `InputError` if a coordinate of the model has no column, a muscle no entry, or a channel is missing, and
    if a prescribed coordinate pauses during the motion, or is not recorded while the free ones are.
    """
    h = model.timestep
    samples = int(np.floor((trial.time[-1] - trial.time[0]) / h + 1e-6)) + 1
    time = trial.time[0] + h * np.arange(samples)
    count = len(model.coordinates)
    smooth = [np.zeros((samples, count)) for _ in range(3)]
    position, weight = np.zeros((samples, len(model.free))), np.zeros((samples, len(model.free)))
    inside = np.ones((samples, count), dtype=bool)
    for i, name in enumerate(model.coordinates):
        if name in model.host.locked:
            smooth[0][:, i] = model.host.locked[name]
            continue
        if name not in trial.coordinates:
            raise InputError(f"trial '{trial.name}' has no coordinate '{name}'; add its column, or lock the coordinate")
        column = trial.position[:, trial.coordinates.index(name)]
        for k, values in enumerate(_spline(trial.time, column, time, f"coordinate '{name}' of trial '{trial.name}'")):
            smooth[k][:, i] = values
        inside[:, i] = _inside(trial.time[np.isfinite(column)], time, max(GAP, 1.5 * trial.timestep))
        if trial.velocity is not None:
            measured = trial.velocity[:, trial.coordinates.index(name)]
            if np.any(good := np.isfinite(measured)):
                # its first derivative is nearer the acceleration than the second one of the coordinate
                what = f"velocity of '{name}' of trial '{trial.name}'"
                velocity, acceleration, _ = _spline(trial.time, measured, time, what)
                there = _inside(trial.time[good], time, max(GAP, 1.5 * trial.timestep))
                smooth[1][there, i], smooth[2][there, i] = velocity[there], acceleration[there]
        if name in model.free:
            k = model.free.index(name)
            position[:, k], weight[:, k] = _sampled(trial.time, column, time)
    moment, moment_weight = np.zeros_like(position), np.zeros_like(position)
    for k, name in enumerate(model.free):
        if trial.moment is not None and name in trial.moment_coordinates:
            column = trial.moment[:, trial.moment_coordinates.index(name)]
            moment[:, k], moment_weight[:, k] = _sampled(trial.time, column, time)
    if trial.metadata.get("gravity") == "included":
        moment += weight_moment(model, smooth[0], np.asarray(moment_weight.any(axis=1)))
    envelope = np.stack([np.interp(time, trial.time, _filled(trial.emg[:, c])) for c in range(len(trial.channels))], -1)
    return Recording(
        envelope=envelope,
        mixing=mixing_matrix(model, trial.channels, emg_map),
        position=position,
        weight=weight,
        smooth_position=smooth[0],
        smooth_velocity=smooth[1],
        smooth_acceleration=smooth[2],
        moment=moment,
        moment_weight=moment_weight,
        known=_known(model, trial, weight, inside, time),
        complete=np.asarray(inside.all(axis=1)),
        clock=np.unique(np.clip(np.rint((trial.time - time[0]) / h).astype(int), 0, samples - 1)),
        name=trial.name,
        task=trial.task,
        start=float(trial.time[0]),
    )


def weight_moment(
    model: Model, position: Float[np.ndarray, "time coordinate"], rows: Bool[np.ndarray, "time"]
) -> Float[np.ndarray, "time free"]:
    """What muscles have to bring up against the weight of the model's limb at rest [N·m], 0 outside `rows`.

    A dynamometer, or a load cell at a strap, that holds a limb shows its muscles' moment less this. What the device
    weighs is not in it.
    """
    import mujoco

    m = model.host.mj_model
    d = mujoco.MjData(m)
    out, force = np.zeros((len(position), len(model.free))), np.zeros(m.nv)
    whole = whole_position(m, position)
    for i in np.flatnonzero(rows):
        d.qpos[:] = whole[i]
        mujoco.mj_kinematics(m, d)
        mujoco.mj_comPos(m, d)
        mujoco.mj_comVel(m, d)
        mujoco.mj_rne(m, d, 0, force)
        out[i] = (spread(m, position[i]).T @ force)[model.host.free_index]  # joints that follow weigh on their driver
    return out


def _inside(own: np.ndarray, time: np.ndarray, gap: float) -> Bool[np.ndarray, "time"]:
    """Where `time` lies among samples, to half a step; not in pauses longer than `gap`."""
    slack = 0.5 * (time[1] - time[0]) * (1 + 1e-6)
    out = (time >= own[0] - slack) & (time <= own[-1] + slack)
    for k in np.flatnonzero(np.diff(own) > gap * (1 + 1e-6)):
        out &= (time <= own[k] + slack) | (time >= own[k + 1] - slack)
    return out


def _known(model: Model, trial: Trial, weight: np.ndarray, inside: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Samples inside the recorded motion (`Recording.known`)."""
    measured, held = np.flatnonzero(weight.any(axis=1)), inside[:, model.host.prescribed_index]
    out = np.zeros(len(time), dtype=bool)
    out[measured[0] : measured[-1] + 1] = True
    for name, column in zip(model.prescribed, held.T, strict=True):
        own = np.flatnonzero(column)
        out[: own[0]] = out[own[-1] + 1 :] = False
        if not out.any():
            raise InputError(
                f"trial '{trial.name}': prescribed coordinate '{name}' was not recorded while {', '.join(model.free)} "
                "was; use files of the same time, or set time_offset"
            )
    gone = out & ~held.all(axis=1)
    if gone.any():
        name = model.prescribed[int(np.argmin(held[np.argmax(gone)]))]
        start = int(np.argmax(gone))
        stop = start + int(np.argmin(gone[start:]))
        raise InputError(
            f"trial '{trial.name}': prescribed coordinate '{name}' has a gap from {time[start]:.4g} to "
            f"{time[stop]:.4g} s; fill it, or choose start and stop of the trial"
        )
    return out


def mixing_matrix(
    model: Model, channels: tuple[str, ...], emg_map: Mapping[str, Mapping[str, float]]
) -> Float[np.ndarray, "muscle channel"]:
    """Weights with which the channels drive the muscles."""
    mixing = np.zeros((len(model.muscles), len(channels)))
    for i, muscle in enumerate(model.muscles):
        if muscle not in emg_map:
            raise InputError(f"muscle '{muscle}' has no EMG channel; map it to one, or to 0.0 if it is silent")
        for channel, share in emg_map[muscle].items():
            if channel not in channels:
                raise InputError(
                    f"EMG channel '{channel}' of muscle '{muscle}' was not recorded; there are {', '.join(channels)}"
                )
            mixing[i, channels.index(channel)] = share
    return mixing


def _filled(column: np.ndarray) -> np.ndarray:
    """NaN of a channel bridged linearly, ends held."""
    good = np.isfinite(column)
    if not good.any():
        return np.zeros_like(column)
    return np.interp(np.arange(len(column)), np.flatnonzero(good), column[good])


def _spline(
    source: np.ndarray, column: np.ndarray, time: np.ndarray, what: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, velocity, acceleration on `time` of a GCV smoothing spline; constant outside the data, to half a step."""
    good = np.isfinite(column)
    if good.sum() < 5:
        raise InputError(f"{what} has only {int(good.sum())} samples; at least 5 are needed")
    spline = _Smoother.of(source[good], column[good])
    inside = np.clip(time, source[good][0], source[good][-1])
    moving = np.abs(inside - time) <= 0.5 * (time[1] - time[0]) * (1 + 1e-6)
    value, velocity, acceleration = spline(smoothing(source[good], column[good]), inside)
    return value, np.where(moving, velocity, 0.0), np.where(moving, acceleration, 0.0)


@dataclass(frozen=True)
class _Smoother:
    """Cubic smoothing splines of one signal (Reinsch 1967, doi 10.1007/BF02162161)."""

    time: Float[np.ndarray, "sample"]
    signal: Float[np.ndarray, "sample"]
    bend: Float[np.ndarray, "3 inner"]
    """Second differences Qᵀ: its three diagonals."""
    stiff: Float[np.ndarray, "3 inner"]
    """Qᵀ Q, the lower diagonals."""
    gram: Float[np.ndarray, "3 inner"]
    """Of the hat functions of f'', likewise."""
    second: Float[np.ndarray, "inner"]
    """Qᵀ signal."""

    @staticmethod
    def of(time: Float[np.ndarray, "sample"], signal: Float[np.ndarray, "sample"]) -> _Smoother:
        count, gap = len(time), np.diff(time)
        bend, stiff, gram = np.zeros((3, 3, count - 2))
        bend[0], bend[1], bend[2] = 1 / gap[:-1], -1 / gap[:-1] - 1 / gap[1:], 1 / gap[1:]
        stiff[0] = (bend**2).sum(0)
        stiff[1, :-1] = bend[1, :-1] * bend[0, 1:] + bend[2, :-1] * bend[1, 1:]
        stiff[2, :-2] = bend[2, :-2] * bend[0, 2:]
        gram[0], gram[1, :-1] = (gap[:-1] + gap[1:]) / 3, gap[1:-1] / 6
        second = bend[0] * signal[:-2] + bend[1] * signal[1:-1] + bend[2] * signal[2:]
        return _Smoother(time, signal, bend, stiff, gram, second)

    def fit(self, penalty: float) -> tuple[Float[np.ndarray, "sample"], Float[np.ndarray, "inner"]]:
        """Signal minus spline at the samples, and f'' at the inner ones; it is 0 at the ends."""
        curvature = solveh_banded(self.gram + penalty * self.stiff, self.second, lower=True)
        residual = np.zeros(len(self.time))
        for k in range(3):
            residual[k : len(curvature) + k] += penalty * self.bend[k] * curvature
        return residual, curvature

    def __call__(self, penalty: float, at: Float[np.ndarray, "time"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value, first and second derivative of the spline between the samples."""
        residual, curvature = self.fit(penalty)
        value, bend = self.signal - residual, np.pad(curvature, 1)
        i = np.clip(np.searchsorted(self.time, at, side="right") - 1, 0, len(self.time) - 2)
        gap = self.time[i + 1] - self.time[i]
        b = (at - self.time[i]) / gap
        a = 1.0 - b
        return (
            a * value[i] + b * value[i + 1] + ((a**3 - a) * bend[i] + (b**3 - b) * bend[i + 1]) * gap**2 / 6,
            (value[i + 1] - value[i]) / gap + ((3 * b**2 - 1) * bend[i + 1] - (3 * a**2 - 1) * bend[i]) * gap / 6,
            a * bend[i] + b * bend[i + 1],
        )


def smoothing(time: Float[np.ndarray, "sample"], value: Float[np.ndarray, "sample"]) -> float:
    """Penalty λ of ∫ f''² that generalised cross-validation chooses for a cubic smoothing spline.

    The residual is exact; the trace of the influence matrix is that of a uniform
    grid, from the spectrum of the cubic spline, as in Demmler and Reinsch (1975, doi 10.1007/BF01437406). scipy's own
    search takes the exact trace, in a third of a second for a thousand samples.
    """
    spline, count = _Smoother.of(time, value), len(time)
    h = float(np.diff(time).mean())
    angle = np.pi * (np.arange(2, count) - 0.5) / count
    spectrum = 3 * (2 - 2 * np.cos(angle)) ** 2 / (2 + np.cos(angle)) / h**3

    def score(exponent: float) -> float:
        penalty = h**3 * 10.0**exponent
        residual, _ = spline.fit(penalty)
        left = count - 2.0 - np.sum(1 / (1 + penalty * spectrum))
        return float(np.log(np.sum(residual**2) + 1e-300) - 2 * np.log(left))

    coarse = np.arange(-6.0, 13.0, 1.0)
    best = coarse[int(np.argmin([score(e) for e in coarse]))]
    fine: Any = minimize_scalar(score, bounds=(best - 1, best + 1), method="bounded", options={"xatol": 0.05})
    return float(h**3 * 10.0**fine.x)


def _sampled(source: np.ndarray, column: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column on `time`, and weight 1 at the samples nearest to a measured one: upsampling adds no information."""
    good = np.isfinite(column)
    weight = np.zeros(len(time))
    if not good.any():
        return weight.copy(), weight
    values = np.interp(time, source[good], column[good])
    nearest = np.rint((source[good] - time[0]) / (time[1] - time[0])).astype(int)
    weight[nearest[(nearest >= 0) & (nearest < len(time))]] = 1.0
    return values, weight
