"""What goes wrong in an episode, and what counts as a violation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.envs.robots.sensing import MAX_EXTRA_DELAY
from mjx_msm.envs.tasks.disturbance import Disturbance

SECONDS = 6.0
"""Longest episode, where a scenario file does not say."""
POSSIBLE: Mapping[str, tuple[float, float]] = {
    "onset": (0.0, 1e9),
    "duration": (0.0, 1e9),
    "tremor": (0.0, 1.0),
    "tremor_frequency": (0.1, 20.0),
    "emg_dropout": (0.0, 1.0),
    "stall": (0.0, 1.0),
    "delay": (0.0, MAX_EXTRA_DELAY),
    "slip": (0.0, 1.0),
    "payload": (0.0, 100.0),
}
"""What a number of a disturbance can be; tremor is slower than 20 Hz, which 50 actions a second still show."""
UNITS: Mapping[str, str] = {"onset": "s", "duration": "s", "tremor_frequency": "Hz", "delay": "s", "payload": "kg"}
"""Of the numbers of a disturbance that have one."""
FAILED = "failed"
BEYOND = 1e9
"""Margin of what is not a number."""


@dataclass(frozen=True)
class Quantity:
    """A number, or how it is drawn."""

    kind: str
    """"fixed", "uniform", "log", "normal" or "choice"."""
    numbers: tuple[float, ...]

    def draw(self, random: np.random.Generator) -> float:
        first, last = self.numbers[0], self.numbers[-1]
        if self.kind == "uniform":
            return float(random.uniform(first, last))
        if self.kind == "log":
            return math.exp(random.uniform(math.log(first), math.log(last)))
        if self.kind == "normal":
            return float(random.normal(first, last))
        if self.kind == "choice":
            return float(random.choice(self.numbers))
        return first

    @property
    def text(self) -> str:
        """In words."""
        numbers = [f"{x:g}" for x in self.numbers]
        if self.kind == "uniform":
            return f"evenly from {numbers[0]} to {numbers[1]}"
        if self.kind == "log":
            return f"evenly in its logarithm from {numbers[0]} to {numbers[1]}"
        if self.kind == "normal":
            return f"normal with mean {numbers[0]} and SD {numbers[1]}"
        return f"one of {', '.join(numbers)}" if self.kind == "choice" else numbers[0]

    def largest(self, name: str) -> float:
        """The most that can be drawn for a field of a disturbance."""
        return POSSIBLE[name][1] if self.kind == "normal" else max(self.numbers)

    def plain(self) -> Any:
        """As a scenario file writes it."""
        if self.kind == "fixed":
            return self.numbers[0]
        return list(self.numbers) if self.kind == "uniform" else {self.kind: list(self.numbers)}


@dataclass(frozen=True)
class Scenario:
    """A disturbance whose numbers are drawn for every episode."""

    name: str
    quantities: Mapping[str, Quantity]
    probability: float | None = None

    @property
    def random(self) -> bool:
        """Whether two episodes can differ in it."""
        return any(q.kind != "fixed" for q in self.quantities.values())

    def draw(self, random: np.random.Generator) -> dict[str, float]:
        """The fields of a `Disturbance` that it sets."""
        order = [name for name in Disturbance._fields if name in self.quantities]
        return {name: float(np.clip(self.quantities[name].draw(random), *POSSIBLE[name])) for name in order}

    @property
    def text(self) -> str:
        """In words."""
        units = {name: f" {UNITS[name]}" if name in UNITS else "" for name in self.quantities}
        return "; ".join(f"{name} {q.text}{units[name]}" for name, q in self.quantities.items()) or "no disturbance"

    def plain(self) -> dict[str, Any]:
        out = {name: q.plain() for name, q in self.quantities.items()}
        return out if self.probability is None else {**out, "probability": self.probability}


@dataclass(frozen=True)
class Violation:
    """A limit on a measure. Its *margin* is 1 at the limit and grows by 1 with every `scale` beyond."""

    name: str
    measure: str
    above: float | None = None
    below: float | None = None
    longer: float = 0.0
    """How long without a break [s]."""
    scale: float | None = None
    """By default the limit itself: the margin is then measure over limit."""
    unit: str = ""

    @property
    def text(self) -> str:
        """In words."""
        limits = [f"{sign} {x:g}" for sign, x in ((">", self.above), ("<", self.below)) if x is not None]
        unit = f" {self.unit}" if self.unit else ""
        time = f" for {1000 * self.longer:g} ms" if self.longer else ""
        return f"{self.measure} {' or '.join(limits)}{unit}{time}"

    def worst(self, values: Float[np.ndarray, "period"], period: float) -> tuple[float, float, bool]:
        """Largest margin, the value it belongs to, and whether the limit was exceeded.

        A value counts if it was held: for `longer` = T, the lowest of those samples that span T.
        """
        samples = math.ceil(self.longer / period - 1e-9) + 1 if self.longer > 0 else 1
        short = len(values) < samples
        x = np.where(np.isnan(values), math.inf, values)
        found = []
        for limit, sign in ((self.above, 1.0), (self.below, -1.0)):
            if limit is None:
                continue
            held = sign * np.lib.stride_tricks.sliding_window_view(sign * x, min(samples, len(x))).min(axis=1)
            value = float(sign * np.max(sign * held))
            scale = abs(limit) if self.scale is None else self.scale
            margin = float(np.clip(1.0 + sign * (value - limit) / scale, -BEYOND, BEYOND))
            # An episode shorter than that cannot have held it.
            found.append((min(margin, 1.0) if short else margin, value, not short and sign * (value - limit) > 0))
        return max(found)

    def plain(self) -> dict[str, Any]:
        given = {"measure": self.measure, "above": self.above, "below": self.below, "scale": self.scale}
        given |= {"longer": self.longer or None, "unit": self.unit or None}
        return {k: v for k, v in given.items() if v is not None}


FAILURE = Violation("state not finite", FAILED, above=0.5)


@dataclass(frozen=True)
class Plan:
    """A scenario file."""

    scenarios: tuple[Scenario, ...]
    violations: tuple[Violation, ...]
    environment: Mapping[str, Any]
    """Arguments of the environment."""
    seconds: float = SECONDS

    @property
    def mixed(self) -> bool:
        """Whether every person goes through one scenario, which is drawn."""
        return self.scenarios[0].probability is not None

    def plain(self) -> dict[str, Any]:
        """As a scenario file would say it."""
        return {
            "seconds": self.seconds,
            "environment": dict(self.environment),
            "scenarios": {s.name: s.plain() for s in self.scenarios},
            "violations": {v.name: v.plain() for v in self.violations},
        }
