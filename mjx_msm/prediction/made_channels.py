"""Channels of muscles without EMG in a stream: how active synergies are, from one sample of the measured envelopes.

A compiled function has no solver that takes as many turns as it needs. But there are few synergies: of every subset of
them the least-squares solution is a matrix times the envelopes, known in advance, and the non-negative solution is that
of the subset which has no negative course and leaves least. So it is exact, and its derivative by the envelopes, which
says what a channel that dropped out leaves open, is the matrix itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.arrays import AnyArray, indices, namespace
from mjx_msm.common.errors import InputError
from mjx_msm.recordings.synergies import Synergies

MOST = 8
"""Synergies, which have 256 subsets."""
NEGATIVE = 1e-9
"""A course this far below zero is round-off [-]."""


@dataclass(frozen=True, eq=False)
class MadeChannels:
    """All channels of a person, of which some are courses of synergies."""

    measured: Int[np.ndarray, "measured"]
    """Places among all channels."""
    made: Int[np.ndarray, "made"]
    solutions: Float[np.ndarray, "subset synergy measured"]
    """From envelopes to courses."""
    weights: Float[np.ndarray, "synergy measured"]
    synergy: Int[np.ndarray, "made"]
    """Of which synergy a channel is the course."""

    @staticmethod
    def of(channels: tuple[str, ...], synergies: Synergies | None) -> MadeChannels:
        """**Raises:** `InputError` if there are more synergies than `MOST`, or the person lacks a channel of theirs."""
        made = {} if synergies is None else synergies.made(channels)
        measured = [c for c in channels if c not in made]
        places = indices([channels.index(c) for c in measured]), indices([channels.index(c) for c in made])
        if synergies is None or not made:
            nothing = np.zeros((0, len(measured)))
            return MadeChannels(*places, nothing[None], nothing, indices([]))
        count = len(synergies.weights)
        if count > MOST:
            raise InputError(f"live prediction is made of {MOST} synergies at most, not {count}; identify with fewer")
        missing = [c for c in synergies.channels if c not in measured]
        if missing:
            raise InputError(f"synergies are of channel '{missing[0]}', which drives no muscle; identify again")
        weights = np.zeros((count, len(measured)))
        weights[:, [measured.index(c) for c in synergies.channels]] = synergies.matrix
        solutions = np.zeros((2**count, count, len(measured)))
        for solution, chosen in zip(solutions, product((False, True), repeat=count), strict=True):
            solution[list(chosen)] = np.linalg.pinv(weights[list(chosen)]).T
        return MadeChannels(*places, solutions, weights, indices(list(made.values())))

    @property
    def count(self) -> int:
        """Of all channels."""
        return len(self.measured) + len(self.made)

    def __call__(
        self, envelope: Float[AnyArray, "measured"]
    ) -> tuple[Float[AnyArray, "channel"], Float[AnyArray, "made measured"]]:
        """Envelopes of all channels, and the derivative of those that are made."""
        xp = namespace(envelope)
        if not len(self.made):
            return envelope, xp.zeros((0, len(self.measured)))
        solutions = xp.asarray(self.solutions)
        course = solutions @ envelope
        left = xp.sum((envelope - course @ xp.asarray(self.weights)) ** 2, -1)
        best = xp.argmin(xp.where(xp.all(course >= -NEGATIVE, -1), left, xp.inf))
        made = xp.maximum(course[best], 0.0)[self.synergy]
        return self.all_of(envelope, made), solutions[best][self.synergy]

    def all_of(
        self, measured: Float[AnyArray, "measured"], made: Float[AnyArray, "*made"]
    ) -> Float[AnyArray, "channel"]:
        """Values of the measured channels and of those that are made, or of all these alike, each in its place."""
        if not len(self.made):
            return measured
        xp = namespace(measured)
        both = xp.concatenate([measured, xp.broadcast_to(made, self.made.shape)])
        return both[indices(np.argsort(np.concatenate([self.measured, self.made])))]
