"""Samples of two streams, each with its own time and delay on the way, as samples of a predictor.

An EMG sample and the angle of its time belong together, and either may arrive later. EMG that an angle is due for waits
a little; an angle whose EMG has gone is too old to be taken for now, and is left out. Both are said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

HELD = 0.1
"""EMG waits for its angle at most as long [s]; encoders that are later than this are as good as silent."""
SILENT = 0.25
"""Without EMG for as long, angles go on alone [s]; EMG often comes in chunks."""
LATE = 0.02
"""A wait that is worth a word [s]."""
GAPS = 16
"""Of an encoder without a nominal rate: its interval is the mean of so many."""

Arrived = tuple[float, Float[np.ndarray, "channel"]]
"""A sample and its own time [s]."""


@dataclass(frozen=True)
class Sample:
    """What is known of one instant; NaN where nothing is."""

    time: float
    emg: Float[np.ndarray, "channel"]
    angle: Float[np.ndarray, "coordinate"]
    faults: tuple[str, ...]


class Pairing:
    """Of a stream of EMG and one of angles.

    **Arguments:** `channels`, `coordinates`: how many. `emg_rate`, `encoder_rate`: nominal [Hz]; 0: not known.
    """

    def __init__(self, channels: int, coordinates: int, emg_rate: float, encoder_rate: float):
        self._no_emg, self._no_angle = np.full(channels, np.nan), np.full(coordinates, np.nan)
        self._interval = 1.0 / encoder_rate if encoder_rate else 0.0
        self._oldest = max(1.5 / emg_rate, 0.002) if emg_rate else 0.01
        self._gaps: deque[float] | None = None if encoder_rate else deque(maxlen=GAPS)
        self._emg: deque[tuple[float, np.ndarray, float]] = deque()  # time, sample, arrival
        self._angles: deque[Arrived] = deque()
        self._latest, self._done = -np.inf, -np.inf
        self._heard: float | None = None
        self._lost = False
        self._left_out = 0.0

    @property
    def held(self) -> int:
        """Samples that wait; never more than arrive within `SILENT`."""
        return len(self._emg) + len(self._angles)

    def silence(self, now: float) -> tuple[str, ...]:
        """What to say where nothing comes out for lack of EMG."""
        quiet = 0.0 if self._heard is None else now - self._heard
        return (f"no EMG for {quiet:.2g} s",) if quiet > SILENT else ()

    def came(self, now: float, emg: Iterable[Arrived], angles: Iterable[Arrived]) -> list[Sample]:
        """Take what has arrived by `now` [s]; give what is complete, or has waited long enough, in order of time."""
        if self._heard is None:
            self._heard = now
        for time, x in emg:
            self._emg.append((time, x, now))
            self._heard = now
        for time, q in angles:
            self._take(time, q)
        out: list[Sample] = []
        while self._emg:
            time, x, since = self._emg[0]
            if self._due(time) and not self._lost:
                if now - since < HELD:
                    return out
                self._lost = True
            self._emg.popleft()
            out.append(self._sample(time, x, self._angle(time), now - since, ()))
        silent = self.silence(now)
        while silent and self._angles:
            time, q = self._angles.popleft()
            out.append(self._sample(time, self._no_emg, q, 0.0, silent))
        return out

    @property
    def _slack(self) -> float:
        return 0.25 * self._interval  # clocks of two streams agree to less than that

    def _due(self, time: float) -> bool:
        """Whether an angle of this time is still to come."""
        return self._latest + self._interval <= time + self._slack

    def _take(self, time: float, q: np.ndarray) -> None:
        age = self._done - time
        self._lost = self._lost and age > HELD
        if self._gaps is not None and 0 < time - self._latest < np.inf:
            self._gaps.append(time - self._latest)
            self._interval = float(np.mean(self._gaps))
        self._latest = max(self._latest, time)
        if age > self._oldest:
            self._left_out = age
        else:
            self._angles.append((time, q))

    def _angle(self, time: float) -> np.ndarray:
        """The last one that is not later, if it is of now."""
        found, at = self._no_angle, -np.inf
        while self._angles and self._angles[0][0] <= time + self._slack:
            at, found = self._angles.popleft()
        if np.isfinite(at) and time - at > max(self._oldest, self._interval):
            self._left_out, found = time - at, self._no_angle
        return found

    def _sample(self, time: float, x: np.ndarray, q: np.ndarray, waited: float, said: tuple[str, ...]) -> Sample:
        if waited > LATE:
            said = (*said, f"EMG waits {1000 * waited:.0f} ms for angles")
        if self._left_out:
            said, self._left_out = (*said, f"angles {1000 * self._left_out:.0f} ms old are left out"), 0.0
        self._done = max(self._done, time)
        return Sample(time, x, q, said)
