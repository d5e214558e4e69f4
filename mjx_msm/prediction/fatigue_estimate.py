"""`FatigueEstimate`: how tired muscle groups are over a recording, in numbers, in words and as files."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.files import write_text
from mjx_msm.common.json_files import plain_json
from mjx_msm.recordings.readers.delimited import write_csv

LEVELS = (0.025, 0.975)
LOSS, SURE, TOLD = 0.1, 0.95, 0.5
"""A group is fatigued if more than `LOSS` of its strength is lost with probability `SURE`; nothing is said where the
recording holds less information than the prior, a `data_share` below `TOLD`."""
UNLIKELY = 0.01
"""Probability of a difference from 3CC-r by chance, below which it is said."""


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    @staticmethod
    def of(draws: Float[np.ndarray, "draw"]) -> Value:
        """The first is the estimate, the others are draws about it."""
        low, high = np.quantile(draws[1:], LEVELS)
        return Value(float(draws[0]), float(min(low, draws[0])), float(max(high, draws[0])))

    @staticmethod
    def shortest(draws: Float[np.ndarray, "draw"]) -> Value:
        """As `of`, with the shortest interval that holds 95 %.

        A capacity cannot be above 1, and that of a rested muscle lies there: an interval that leaves out as much above
        as below would leave the truth out. Chen, Shao 1999, doi 10.1080/10618600.1999.10474802.
        """
        own = np.sort(draws[1:])
        count = math.ceil((LEVELS[1] - LEVELS[0]) * len(own))
        first = int(np.argmin(own[count - 1 :] - own[: len(own) - count + 1]))
        low, high = own[first], own[first + count - 1]
        return Value(float(draws[0]), float(min(low, draws[0])), float(max(high, draws[0])))


@dataclass(frozen=True)
class GroupFatigue:
    """Of one muscle group."""

    name: str
    muscles: tuple[str, ...]
    joint: str
    """Whose rates are the prior, of `mjx_msm.dynamics.fatigue.JOINTS`."""
    capacity: tuple[Value, ...]
    """Part of the rested strength over time [-], muscles weighed by F0."""
    fatigued_at_start: Value
    fatigue_rate: Value
    """F [1/s]."""
    recovery_rate: Value
    """R [1/s]."""
    probability: float
    """That more than `LOSS` of its strength is lost in the end."""
    data_share: float
    """Of what is known of the capacity in the end, the part that the recording tells, 0 to 1."""
    blocks: tuple[float, ...]
    """Capacities in parts of the recording, estimated without 3CC-r."""
    blocks_sd: tuple[float, ...]
    effort: float
    """Mean activation [-]."""
    contradiction: float
    """Probability that the parts differ as much from 3CC-r's curve by chance."""

    @property
    def now(self) -> Value:
        """Capacity in the end."""
        return self.capacity[-1]

    @property
    def verdict(self) -> str:
        """ "fatigued", "not fatigued" or "open"."""
        if self.data_share < TOLD:
            return "open"
        if self.probability >= SURE:
            return "fatigued"
        return "not fatigued" if self.probability <= 1.0 - SURE else "open"

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        left, low, high = (f"{100 * x:.0f}" for x in (self.now.value, self.now.low, self.now.high))
        left = f"{left} % of its strength is left ({low} to {high} %)"
        if self.data_share < TOLD:
            why = "it hardly works" if self.effort < 0.05 else "what it does is lost among what is not known"
            return f"{self.name}: the recording cannot tell, {why} (mean activation {self.effort:.2f})"
        if self.verdict == "fatigued":
            first = self.capacity[0]
            if first.high < 1.0 - LOSS and first.value < self.now.value + LOSS:
                left += (
                    f", {100 * first.value:.0f} % at the first second already: of somebody who came rested that says"
                )
                left += " that their strength was identified too high, not that they tire"
            return f"{self.name}: fatigued, {left}"
        if self.verdict == "not fatigued":
            return f"{self.name}: not fatigued, {left}"
        perhaps = "perhaps" if self.probability >= 0.5 else "probably not"
        return f"{self.name}: {perhaps} fatigued ({100 * self.probability:.0f} % probable), {left}"


@dataclass(frozen=True)
class FatigueEstimate:
    """Of all muscle groups of a person in one recording."""

    subject: str
    trial: str
    groups: tuple[GroupFatigue, ...]
    time: tuple[float, ...]
    """Of the capacities, the recording's own [s]."""
    blocks_time: tuple[float, ...]
    """Middle of the parts [s]."""
    recorded: bool
    """Whether joint moments were recorded; else they are those that the motion takes."""
    free: tuple[str, ...]
    noise: tuple[float, ...]
    """What muscles do not explain of every free coordinate's moment, root mean square [N·m]."""
    independent: float
    """How many independent samples the recording counts as."""
    converged: bool
    instants: Float[np.ndarray, "instant"] = field(repr=False)
    """[s]."""
    demand: Float[np.ndarray, "instant free"] = field(repr=False)
    """What muscles have to bring up by their active force, low-passed [N·m]; NaN where it is not known."""
    explained: Float[np.ndarray, "instant free"] = field(repr=False)
    """What they do with the capacities found [N·m]."""

    def __getitem__(self, name: str) -> GroupFatigue:
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(f"no muscle group '{name}'; there are {', '.join(g.name for g in self.groups)}")

    @property
    def notes(self) -> tuple[str, ...]:
        """What speaks against the figures."""
        said = []
        if not self.converged:
            said.append("the estimate has not converged; its figures are not to be relied on")
        said += [
            f"{g.name}: its capacity does not go as 3CC-r says (probability {g.contradiction:.1g}); see the figure"
            for g in self.groups
            if g.contradiction < UNLIKELY and g.data_share >= TOLD
        ]
        return tuple(said)

    def save(self, folder: str | Path) -> list[Path]:
        """Write `fatigue.json` and `fatigue.csv`, capacities over time with their bands."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        columns = {}
        for g in self.groups:
            for part in ("value", "low", "high"):
                title = f"capacity/{g.name}" + ("" if part == "value" else f"/{part}")
                columns[title] = np.array([getattr(c, part) for c in g.capacity])
        write_csv(folder / "fatigue.csv", np.array(self.time), columns)
        kept: dict[str, Any] = asdict(self)
        for name in ("instants", "demand", "explained", "time"):
            del kept[name]
        for own, g in zip(kept["groups"], self.groups, strict=True):
            own |= {"capacity": asdict(g.now), "verdict": g.verdict, "words": g.words}
        write_text(folder / "fatigue.json", json.dumps(plain_json(kept), indent=1, ensure_ascii=False) + "\n")
        return [folder / "fatigue.json", folder / "fatigue.csv"]
