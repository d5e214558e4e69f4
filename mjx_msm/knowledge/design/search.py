"""The search for the best set of trials: random candidates, greedy choice, exchange, refinement."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.design.bench import Bench, Run
from mjx_msm.knowledge.design.criterion import Criterion
from mjx_msm.knowledge.design.information import BATCH

POOL = 0.4
"""Part of the budget that goes into random candidates."""


@dataclass(frozen=True)
class Progress:
    """What a progress display is told after every batch."""

    stage: str
    """"pool" or "refine"."""
    evaluations: int
    """Candidates simulated so far."""
    budget: int
    score: float
    """Of the best set so far; NaN while the pool is made."""


Listener = Callable[[Progress], None]


@dataclass(eq=False)
class Search:
    """The best set so far."""

    bench: Bench
    criterion: str
    count: int
    known: Float[np.ndarray, "free free"]
    budget: int
    rng: np.random.Generator
    listener: Listener
    chosen: list[Run] = field(default_factory=list)
    history: list[tuple[int, float]] = field(default_factory=list)
    evaluations: int = 0
    interrupted: bool = False

    def run(self) -> None:
        self.score = Criterion(self.bench.space, self.bench.z, self.criterion)
        pool: list[Run] = []
        try:
            self._fill(pool)
        except KeyboardInterrupt:
            self.interrupted = True
            if not pool:
                raise
        self.score.judge(self.known + sum(r.information for r in pool))
        self._greedy(pool)
        while self._exchange(pool):
            pass
        if self.interrupted:
            return
        try:
            self._refine()
        except KeyboardInterrupt:
            self.interrupted = True

    def _fill(self, pool: list[Run]) -> None:
        """Random candidates; calmer ones if few stay within comfort."""
        level = 1.0
        while self.evaluations < POOL * self.budget or (not pool and self.evaluations < self.budget):
            fine = self.bench.perform(self.bench.random(self.rng, level))
            pool += fine
            self.evaluations += BATCH
            level *= 0.85 if len(fine) < BATCH / 4 else 1.1 if level < 1.0 and len(fine) > BATCH / 2 else 1.0
            self.listener(Progress("pool", self.evaluations, self.budget, math.nan))
        if not pool:
            raise InputError(
                f"none of {self.evaluations} candidates stays within comfort for {self.bench.duration:g} s; choose a "
                "shorter duration, wider comfort, or prescribe more coordinates"
            )

    def _greedy(self, pool: list[Run]) -> None:
        matrices = np.array([r.information for r in pool])
        total = self.known
        for _ in range(self.count):
            best = int(np.argmax(self.score(total + matrices)))
            self.chosen.append(pool[best])
            total = total + matrices[best]
        self._note()

    @property
    def total(self) -> Float[np.ndarray, "free free"]:
        return self.known + sum(r.information for r in self.chosen)

    def _note(self) -> None:
        self.history.append((self.evaluations, float(self.score(self.total))))

    def _exchange(self, others: Sequence[Run]) -> tuple[int, int] | None:
        """The one swap that gains most, if any gains."""
        if not others:
            return None
        matrices = np.array([r.information for r in others])
        total, now = self.total, self.history[-1][1]
        value = np.array([self.score(total - r.information + matrices) for r in self.chosen])
        slot, best = np.unravel_index(int(np.argmax(value)), value.shape)
        if not value[slot, best] > now + 1e-9:
            return None
        before = self.chosen[slot]
        self.chosen[slot] = others[int(best)]
        if float(self.score(self.total)) <= now:  # round-off
            self.chosen[slot] = before
            return None
        self._note()
        return int(slot), int(best)

    def _refine(self) -> None:
        """Random search about every trial, with a step that follows its success."""
        step = np.full(self.count, 0.3)
        slot = 0
        while self.evaluations + BATCH <= self.budget:
            slots = [(slot + k) % self.count for k in range(BATCH)]
            slot = (slot + BATCH) % self.count
            children = [
                self.bench.mutated(self.chosen[s].candidate, step[s] * self.rng.uniform(0.3, 1.7), self.rng)
                for s in slots
            ]
            fine = self.bench.perform(children)
            self.evaluations += BATCH
            hit = set()
            while swap := self._exchange(fine):
                hit.add(swap[0])
            for s in set(slots):
                step[s] = min(step[s] * 1.25, 1.0) if s in hit else max(step[s] * 0.93, 0.01)
            self.listener(Progress("refine", self.evaluations, self.budget, self.history[-1][1]))
