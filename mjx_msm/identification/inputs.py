"""What predictions beside the model's read at the instants of a term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.recordings.cycles import cycle_phase
from mjx_msm.recordings.model_clock import Recording

DELAYS = (0.0, 0.04, 0.08)
"""Of the envelopes, to choose from [s]: from none to an electromechanical delay and slow activation."""


@dataclass(frozen=True)
class Inputs:
    """What predictions beside the model's may read at every instant of a term."""

    envelope: Float[np.ndarray, "delay instant channel"]
    """One for each of `DELAYS`."""
    position: Float[np.ndarray, "instant coordinate"]
    velocity: Float[np.ndarray, "instant coordinate"]
    phase: Float[np.ndarray, "instant"] | None
    """None unless every trial repeats itself."""
    trial: Int[np.ndarray, "instant"]
    tasks: tuple[str, ...]
    """Of every trial; empty for none."""

    @staticmethod
    def of(term: MomentTerm, recordings: Sequence[Recording]) -> Inputs:
        """At the instants of `term`, which is of `recordings`."""
        h, free = term.model.timestep, int(term.model.host.free_index[0])
        envelope = np.empty((len(DELAYS), len(term.sample), recordings[0].envelope.shape[1]))
        phases = []
        for i, r in enumerate(recordings):
            rows = term.trial == i
            for k, delay in enumerate(DELAYS):
                envelope[k, rows] = r.envelope[np.maximum(term.sample[rows] - round(delay / h), 0)]
            span = np.arange(r.first, r.last + 1)
            phase = cycle_phase(h * span, r.smooth_position[span, free])
            phases.append(None if phase is None else phase[term.sample[rows] - r.first])
        known = [p for p in phases if p is not None]
        phase = np.concatenate(known) if len(known) == len(phases) else None
        return Inputs(envelope, term.position, term.velocity, phase, term.trial, tuple(r.task for r in recordings))

    def task(self) -> np.ndarray:
        """Of every instant."""
        return np.array(self.tasks)[self.trial]

    def state(self) -> Float[np.ndarray, "instant state"]:
        """Angles and their rates."""
        return np.concatenate([self.position, self.velocity], axis=1)

    def features(self, delay: int, coordinate: int) -> Float[np.ndarray, "instant feature"]:
        envelope = self.envelope[delay]
        angle = self.position[:, coordinate, None]
        return np.concatenate([envelope, envelope * angle, self.position], axis=1)
