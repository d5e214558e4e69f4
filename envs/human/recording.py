"""Motions that are asked of a leg: hip, knee and ankle over time, drawn anew for every episode."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.errors import InputError
from mjx_msm.envs.worlds.worn_exoskeleton import JOINTS, KNEE

EXCITATION_FILE = "excitation.csv"
GAP = 0.1
"""Longest pause in a recorded moment that is bridged [s]."""


class Goal(NamedTuple):
    """What a motion asks for at an instant, or at several; a leading axis of times."""

    position: Float[Any, "*time joint"]
    """[rad]."""
    velocity: Float[Any, "*time joint"]
    """[rad/s]."""
    acceleration: Float[Any, "*time joint"]
    """[rad/s²]."""


class Reference(Protocol):
    """A motion of hip, knee and ankle."""

    @property
    def draws(self) -> int:
        """Random numbers between 0 and 1 that `plan` takes."""
        ...

    @property
    def seconds(self) -> float | None:
        """How long it lasts; None: it repeats."""
        ...

    def plan(self, xp: Any, uniform: Float[Any, "draw"]) -> Any:
        """What varies from one episode to the next."""
        ...

    def at(self, xp: Any, plan: Any, time: Float[Any, "time"]) -> Goal:
        """The motion at times [s]."""
        ...


@dataclass(frozen=True)
class Harmonics:
    """A motion that repeats: Fourier series of the three joints over the phase of a cycle.

    Cycle frequency and a common factor of the series' size are drawn for every episode; so is the mean of the knee.
    """

    mean: tuple[float, float, float]
    """Hip, knee and ankle [rad]."""
    cosine: tuple[tuple[float, float, float], ...]
    """Coefficients of cos(2πkφ), a row for every k from 1 [rad]."""
    sine: tuple[tuple[float, float, float], ...]
    frequency: tuple[float, float]
    """Range of cycles a second it is drawn from [Hz]."""
    size: tuple[float, float] = (0.8, 1.2)
    """Range of the factor."""
    knee: tuple[float, float] = (0.0, 0.0)
    """Range of what is added to the knee's mean [rad]."""

    draws = 3
    seconds = None

    def plan(self, xp: Any, uniform: Float[Any, "draw"]) -> Float[Any, "3"]:
        """Frequency, factor, and the knee's mean."""
        low = np.array([self.frequency[0], self.size[0], self.knee[0]])
        high = np.array([self.frequency[1], self.size[1], self.knee[1]])
        return low + (high - low) * uniform

    def at(self, xp: Any, plan: Float[Any, "3"], time: Float[Any, "time"]) -> Goal:
        """Position, velocity and acceleration of the series."""
        count = len(self.cosine)
        omega = 2.0 * np.pi * plan[0] * np.arange(1, count + 1)
        phase = time[:, None] * omega
        cosine, sine = xp.cos(phase), xp.sin(phase)
        a, b = plan[1] * np.array(self.cosine), plan[1] * np.array(self.sine)
        mean = np.array(self.mean) + plan[2] * np.array([0.0, 1.0, 0.0])
        return Goal(
            mean + cosine @ a + sine @ b,
            (cosine * omega) @ b - (sine * omega) @ a,
            -((cosine * omega**2) @ a + (sine * omega**2) @ b),
        )


SEATED = Harmonics(
    mean=(0.60, 1.0, 0.0),
    cosine=((0.0, 0.425, 0.0),),
    sine=((0.0, 0.0, 0.0),),
    frequency=(0.2, 0.5),
    size=(0.7, 1.3),
    knee=(-0.05, 0.15),
)
"""Someone leaning back on a bench who extends the knee over and over; beyond 0.6 rad of hip flexion the passive
hamstrings of the model keep it from extending."""

SWING = Harmonics(
    mean=(0.20, 0.52, 0.0),
    cosine=((0.33, -0.03, -0.03), (-0.03, -0.21, 0.03)),
    sine=((-0.02, -0.42, -0.03), (0.02, 0.14, 0.08)),
    frequency=(0.6, 0.9),
    size=(0.85, 1.1),
)
"""A leg that swings as in walking, off the ground: it flexes to about 60° while the hip comes forward, and extends
before the end of the cycle. Two harmonics, our choice, shaped like normal gait; it starts at heel strike."""


@dataclass(frozen=True)
class Recorded:
    """The motion of a recording."""

    position: Float[np.ndarray, "sample joint"]
    velocity: Float[np.ndarray, "sample joint"]
    acceleration: Float[np.ndarray, "sample joint"]
    step: float
    """Between samples [s]."""

    draws = 0

    @property
    def seconds(self) -> float:
        """From the first sample to the last."""
        return self.step * (len(self.position) - 1)

    def plan(self, xp: Any, uniform: Float[Any, "draw"]) -> Float[Any, "0"]:
        """Nothing varies."""
        return xp.zeros(0)

    def at(self, xp: Any, plan: Any, time: Float[Any, "time"]) -> Goal:
        """The nearest sample; after the end, the last one, still."""
        index = xp.clip(xp.round(time / self.step).astype(int), 0, len(self.position) - 1)
        return Goal(
            xp.asarray(self.position)[index], xp.asarray(self.velocity)[index], xp.asarray(self.acceleration)[index]
        )


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


MOTIONS: Mapping[str, Harmonics] = {"seated": SEATED, "swing": SWING}
