"""What was recorded of a leg, as a result folder holds it: excitation, motion, and the knee's moment."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.errors import InputError
from mjx_msm.envs.human.leg import JOINTS, KNEE
from mjx_msm.envs.motions.goal import Goal
from mjx_msm.envs.motions.leg_motions import Recorded

EXCITATION_FILE = "excitation.csv"
GAP = 0.1
"""Longest pause in a recorded moment that is bridged [s]."""


@dataclass(frozen=True)
class Recording:
    """What a result folder's ``excitation.csv`` holds."""

    time: Float[np.ndarray, "time"]
    """[s]."""
    muscles: tuple[str, ...]
    excitation: Float[np.ndarray, "time muscle"]
    """0..1."""
    position: Float[np.ndarray, "time joint"]
    """Hip, knee and ankle [rad]."""
    source: str = "recording"
    moment: Float[np.ndarray, "time"] | None = None
    """Of muscles and passive joint about the knee [N·m]; None: it was not recorded."""

    def __post_init__(self) -> None:
        n = len(self.time)
        if n < 2 or np.any(np.diff(self.time) <= 0):
            raise InputError(f"{self.source}: its time has to increase over two samples at least; write it again")
        for what, values, names in (("excitation", self.excitation, self.muscles), ("position", self.position, JOINTS)):
            if values.shape != (n, len(names)):
                raise InputError(f"{self.source}: {what} has shape {values.shape}, expected {(n, len(names))}")
            bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
            if len(bad):
                raise InputError(f"{self.source}: {what} at {self.time[bad[0]]:g} s is not finite; fill or cut the gap")
        if self.moment is not None and (self.moment.shape != (n,) or not np.isfinite(self.moment).all()):
            raise InputError(f"{self.source}: moment has to be {n} finite numbers; fill or cut the gap")

    def at(self, clock: Float[np.ndarray, "instant"]) -> Goal:
        """The motion at times of the recording [s], from a cubic spline."""
        from scipy.interpolate import CubicSpline

        spline = CubicSpline(self.time, self.position)
        return Goal(spline(clock), spline(clock, 1), spline(clock, 2))

    def motion(self, step: float = 0.005) -> Recorded:
        """The motion on an even grid."""
        count = int((self.time[-1] - self.time[0]) / step + 1e-6)
        return Recorded(*self.at(self.time[0] + step * np.arange(count + 1)), step)

    def middles(self, period: float) -> Float[np.ndarray, "period"]:
        """Times of the middle of every control period [s]."""
        count = int((self.time[-1] - self.time[0]) / period + 1e-6)
        return self.time[0] + period * (np.arange(max(count, 1)) + 0.5)

    def table(self, muscles: tuple[str, ...], period: float) -> Float[np.ndarray, "period muscle"]:
        """Excitation in the middle of every control period.

        **Raises:** `InputError` for a muscle that was not recorded.
        """
        missing = [name for name in muscles if name not in self.muscles]
        if missing:
            raise InputError(f"{self.source}: no excitation of {', '.join(missing)}; add the column or identify again")
        clock = self.middles(period)
        columns = [self.muscles.index(name) for name in muscles]
        return np.stack([np.interp(clock, self.time, self.excitation[:, c]) for c in columns], axis=-1)

    @staticmethod
    def read(path: str | Path) -> Recording:
        """Read the ``excitation.csv`` of a result folder.

        Columns ``time`` [s], ``excitation/<muscle>`` 0..1, ``position/<coordinate>`` [rad] of hip_flexion, knee_angle
        and ankle_angle, and ``moment/knee_angle`` [N·m] where it was recorded. Rows before the first and after the last
        complete position are left out; with a moment, all but the longest stretch in which it was recorded, pauses
        of `GAP` bridged; a warning says so.

        **Raises:** `InputError` naming file and column.
        """
        from mjx_msm.recordings.readers.delimited import read_csv

        table = read_csv(path)
        groups: dict[str, dict[str, int]] = {"excitation": {}, "position": {}}
        for i, column in enumerate(table.columns):
            group, _, name = column.partition("/")
            if group in groups and name:
                groups[group][name] = i
        missing = [f"position/{name}" for name in JOINTS if name not in groups["position"]]
        if not groups["excitation"]:
            missing.append("excitation/<muscle>")
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}; let `mjx-msm identify` write it again")
        position = table.values[:, [groups["position"][name] for name in JOINTS]]
        complete = np.flatnonzero(np.isfinite(position).all(axis=1))
        if len(complete) < 2:
            raise InputError(f"{path}: hip, knee and ankle are nowhere recorded together; record all three")
        part, moment = slice(complete[0], complete[-1] + 1), None
        if f"moment/{KNEE}" in table.columns:
            measured = complete[np.isfinite(table[f"moment/{KNEE}"][complete])]
            stretch = _longest(measured, table.time)
            if len(stretch) > 1:
                if stretch[0] > part.start or stretch[-1] + 1 < part.stop:
                    whole, walked = (f"{table.time[s][0]:g}–{table.time[s][-1]:g} s" for s in (part, stretch))
                    warnings.warn(f"{path}: moment/{KNEE} has pauses; of {whole}, {walked} are walked", stacklevel=2)
                part = slice(stretch[0], stretch[-1] + 1)
                moment = np.interp(table.time[part], table.time[stretch], table[f"moment/{KNEE}"][stretch])
        return Recording(
            time=table.time[part],
            muscles=tuple(groups["excitation"]),
            excitation=table.values[part][:, list(groups["excitation"].values())],
            position=position[part],
            source=str(path),
            moment=moment,
        )


def _longest(rows: Int[np.ndarray, "row"], time: Float[np.ndarray, "time"]) -> Int[np.ndarray, "row"]:
    """Those of the longest stretch without a pause of more than `GAP`."""
    stretches = np.split(rows, np.flatnonzero(np.diff(time[rows]) > GAP + 1e-9) + 1)
    return max(stretches, key=lambda s: np.ptp(time[s]) if len(s) else 0.0)
