"""What a live run came to, for whoever did not watch it: how soon, how far off, and what was wrong with the streams."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

from mjx_msm.prediction.predictor import Forecast
from mjx_msm.prediction.streams import Report

FINEST, LONGEST = 1e-4, 0.2
"""Of how late forecasts are: what is told apart, and what counts as later than all [s]."""
LONGEST_STEP = 0.05
"""Between two samples, within which angles are judged [s]."""
TOLD = 4
"""Kinds of faults, the most frequent ones."""
_HOW_MUCH = re.compile(r"\d[\d.e+-]*(?= m?s\b)")


class Account:
    """Hears every report, keeps sums.

    **Arguments:** `coordinates`: the free ones. `horizon` [s].
    """

    def __init__(self, coordinates: Sequence[str], horizon: float):
        self._coordinates, self._horizon = tuple(coordinates), horizon
        self.samples = 0
        self._late = np.zeros(round(LONGEST / FINEST) + 1, int)
        self._due: deque[tuple[float, np.ndarray]] = deque()
        self._missed, self._judged = np.zeros(len(self._coordinates)), 0
        self._last: Forecast | None = None
        self._faults: Counter[str] = Counter()
        self._faulty = 0
        self._silence: tuple[str, ...] = ()

    def __call__(self, report: Report) -> None:
        """Of one sample, or of silence, which is none."""
        forecast = report.forecast
        if report.samples == self.samples:
            self._silence = forecast.faults
            return
        self.samples, self._silence = report.samples, ()
        self._late[min(max(round(report.late / FINEST), 0), len(self._late) - 1)] += 1
        if forecast.faults:
            self._faulty += 1
            self._faults.update(list(dict.fromkeys(_HOW_MUCH.sub("…", f) for f in forecast.faults)))
        before, step = self._last or forecast, forecast.time - (self._last or forecast).time
        self._last = forecast
        while self._due and self._due[0][0] <= forecast.time:
            due, said = self._due.popleft()
            if due >= before.time and 0.0 < step < LONGEST_STEP:
                then = before.angle + (due - before.time) / step * (forecast.angle - before.angle)
                self._missed += (then - said) ** 2
                self._judged += 1
        if step < 0:  # begun anew by another clock
            self._due.clear()
        if step or not self._due:
            self._due.append((forecast.time + self._horizon, forecast.angle_ahead))

    def sentences(self) -> list[str]:
        """In words; the angle is judged by what was measured when its time had come."""
        if not self.samples:
            return ["no samples"]
        shares = np.cumsum(self._late) / self.samples
        usual, most = (_milliseconds(FINEST * int(np.argmax(shares >= s))) for s in (0.5, 0.99))
        out = [f"{self.samples} samples; forecasts {usual} after their sample, 99 of 100 within {most}"]
        if self._judged:
            off = np.degrees(np.sqrt(self._missed / self._judged))
            each = ", ".join(f"{c} {x:.2g}°" for c, x in zip(self._coordinates, off, strict=True))
            out.append(f"angle {1000 * self._horizon:.0f} ms ahead was off by {each} (RMS)")
        told = [f"{f} ({_percent(n / self.samples)})" for f, n in self._faults.most_common(TOLD)]
        more = [f"{len(self._faults) - TOLD} more kinds"] if len(self._faults) > TOLD else []
        more += [f"at the end {f}" for f in self._silence]
        said = f"faults in {_percent(self._faulty / self.samples)} of them: {'; '.join([*told, *more])}"
        return [*out, said if told or more else "no faults"]


def _milliseconds(late: float) -> str:
    return f"{1000 * late:.1f} ms" if late < LONGEST else f"{1000 * LONGEST:.0f} ms or more (too slow for the rate)"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
