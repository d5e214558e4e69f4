"""A trial as the checks of its units, signs and clocks read it: smooth angles, and what the model makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from mjx_msm.person.couplings import spread, whole_motion
from mjx_msm.person.inspection import path_slope
from mjx_msm.person.model import Model
from mjx_msm.person.obstacles import TREE
from mjx_msm.recordings.emg import finite_runs, zero_phase
from mjx_msm.recordings.trial import Trial

CUTOFF = 6.0
"""Of angles, moments and envelopes [Hz], so that accelerations and moments are as smooth as each other."""
RATE, MOST = 100.0, 4000
"""Samples a second that are looked at, and samples in all."""
LEAST = 0.5
"""Seconds of complete motion that can be judged."""


@dataclass(frozen=True)
class States:
    """The longest stretch of a trial in which every coordinate of the model is known."""

    time: Float[np.ndarray, "time"]
    position: Float[np.ndarray, "time coordinate"]
    velocity: Float[np.ndarray, "time coordinate"]
    rows: slice
    """Of the trial, that it was taken from."""
    needed: Float[np.ndarray, "time coordinate"]
    """Joint moments that the motion takes in the model without contact: inertia, gravity [N·m]."""
    arms: Float[np.ndarray, "time muscle free"]
    """Moment arms about the free coordinates [m]."""

    @property
    def step(self) -> float:
        return float(self.time[1] - self.time[0])

    def of(self, trial: Trial, column: Float[np.ndarray, "trial"]) -> Float[np.ndarray, "time"]:
        """Another signal of the trial, as smooth, at these times; NaN where it was not recorded."""
        own = column[self.rows]
        clock = trial.time[self.rows]
        out = np.full(len(self.time), np.nan)
        for start, stop in finite_runs(own):
            if stop - start < 20:
                continue
            inside = (self.time >= clock[start]) & (self.time <= clock[stop - 1])
            out[inside] = np.interp(self.time[inside], clock[start:stop], _smooth(own[start:stop], trial.timestep))
        return out


def states(model: Model, trial: Trial) -> States | None:
    """The states of a trial; None if too little of it is complete."""
    names = [c for c in model.coordinates if c not in model.host.locked]
    if model.host.engine != TREE:  # what the ground does to it is not known
        return None
    if any(c not in trial.coordinates for c in names):
        return None
    own = trial.position[:, [trial.coordinates.index(c) for c in names]]
    runs = finite_runs(own.sum(axis=1))
    if not runs:
        return None
    start, stop = max(runs, key=lambda run: run[1] - run[0])
    if (stop - start) * trial.timestep < LEAST or stop - start < 20:
        return None
    clock = trial.time[start:stop]
    rate = min(RATE, 1 / trial.timestep)
    time = clock[0] + np.arange(int((clock[-1] - clock[0]) * rate + 1e-6) + 1) / rate
    time = time[:MOST]
    arrays = np.zeros((3, len(time), len(model.coordinates)))
    for i, name in enumerate(model.coordinates):
        if name in model.host.locked:
            arrays[0, :, i] = model.host.locked[name]
            continue
        spline = CubicSpline(clock, _smooth(own[start:stop, names.index(name)], trial.timestep))
        for k in range(3):
            arrays[k, :, i] = spline(time, k)
    m = model.host.mj_model
    d = mujoco.MjData(m)
    needed = np.zeros_like(arrays[0])
    arms = np.zeros((len(time), len(model.muscles), len(model.free)))
    for i in range(len(time)):
        d.qpos[:], d.qvel[:], d.qacc[:] = whole_motion(m, *arrays[:, i])
        mujoco.mj_inverse(m, d)
        needed[i] = spread(m, arrays[0, i]).T @ (d.qfrc_inverse + d.qfrc_passive + d.qfrc_constraint)
        for k, c in enumerate(model.host.free_index):
            arms[i, :, k] = -path_slope(m, d, arrays[0, i], int(c))
    return States(time, arrays[0], arrays[1], slice(start, stop), needed, arms)


def _smooth(x: np.ndarray, step: float) -> np.ndarray:
    return zero_phase(x, 1 / step, CUTOFF, 2) if 1 / step > 2.5 * CUTOFF else x
