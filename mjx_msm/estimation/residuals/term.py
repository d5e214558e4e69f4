"""The interface of a residual: a term over all trials, and its quadratic about a point."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.dynamics.activation_sensitivities import Pairs, activation_derivatives, activation_pairs
from mjx_msm.person.model import Model
from mjx_msm.person.space import ParameterSpace


@dataclass(frozen=True)
class Quadratic:
    """Sums of squared residuals per coordinate about a point: S + 2 gᵀδ + δᵀ(H + C)δ for a change δ of z."""

    squares: Float[np.ndarray, "coordinate"]
    gradient: Float[np.ndarray, "coordinate free"]
    hessian: Float[np.ndarray, "coordinate free free"]
    nuisance: Quadratic | None = None
    """The same, of one 'coordinate', for nuisance unknowns over the standard deviations of their priors."""
    curvature: Float[np.ndarray, "coordinate free free"] | None = None
    """C = Σ r ∂²r, where it is known; H = Σ ∂r ∂r is what the data tell of z."""


class AbstractExpansion(ABC):
    """A term about one z: nuisance unknowns are eliminated once the weights of the coordinates are known."""

    @property
    def about(self) -> Any:
        """Nuisance unknowns about which the term is linearised; None if there are none."""
        return None

    @property
    def settled(self) -> bool:
        """Whether the gradient is that with nuisance unknowns at their best, not where the linearisation sees them."""
        return self.about is None

    @abstractmethod
    def reduce(self, scale: Float[np.ndarray, "coordinate"]) -> Quadratic:
        """The quadratic with nuisance unknowns at their best for residuals weighted by 1/scale."""

    @abstractmethod
    def follow(self, change: Float[np.ndarray, "free"]) -> Any:
        """Nuisance unknowns to go with z + change; None if there are none."""

    def spread(self) -> Any:
        """How noise differs between trials; None where that is not asked."""
        return None

    def at_own_noise(self, spread: Any) -> tuple[AbstractExpansion, Float[np.ndarray, "coordinate"] | float]:
        """The same with every trial weighed by its own noise, which goes with the parameters, and what that costs or
        saves of the negative log likelihood of every coordinate, per sample."""
        return self, 0.0

    def absorbed(self, scale: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "coordinate"]:
        """Nuisance unknowns with a prior that the samples of every coordinate use up."""
        return np.zeros(len(scale))


@dataclass(frozen=True, eq=False)
class AbstractTerm(ABC):
    """One kind of residual over all trials."""

    model: Model
    space: ParameterSpace
    envelope: Float[np.ndarray, "recording time channel"]
    mixing: Float[np.ndarray, "muscle channel"]
    kind: ClassVar[str]
    unit: ClassVar[str]

    @property
    @abstractmethod
    def weight(self) -> Float[np.ndarray, "sample coordinate"]:
        """1 where measured, 0 elsewhere."""

    @property
    @abstractmethod
    def trial(self) -> Int[np.ndarray, "sample"]:
        """Which recording a sample belongs to."""

    @abstractmethod
    def signal(self) -> Float[np.ndarray, "sample coordinate"]:
        """What was recorded, in physical units."""

    @property
    def eliminated(self) -> int:
        """Number of nuisance unknowns fitted per coordinate."""
        return 0

    @abstractmethod
    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> AbstractExpansion:
        """Linearise about z; `nuisance` as `AbstractExpansion.follow` of an earlier expansion gave it."""

    @abstractmethod
    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        """Simulated minus recorded, in physical units; `scale` weighs coordinates where a nuisance is eliminated."""

    def compile_jobs(self, z: Float[np.ndarray, "free"]) -> Iterator[Callable[[], None]]:
        """Trace what `expand` needs, if anything; what is yielded compiles it, and may run in other threads."""
        return iter(())

    @cached_property
    def pairs(self) -> Pairs:
        return activation_pairs(self.space, np.asarray(self.mixing))

    def activations(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Activation at the samples (recording, time, muscle) and the stages of the steps, its derivative by pair."""
        return self._activations_at(z) if self.pairs else self._constant_activations

    @cached_property
    def _constant_activations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._activations_at(0.5 * (self.space.lower + self.space.upper))  # nothing free moves an activation

    def _activations_at(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        lead = self.model, self.space, z, self.envelope, self.mixing
        every, stages, by_pair = map(np.asarray, activation_derivatives(*lead, self.pairs))
        return every, stages, by_pair
