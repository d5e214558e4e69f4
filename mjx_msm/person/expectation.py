"""What is expected of somebody before they are recorded, beyond what everybody's priors say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expectation:
    """A prior of some parameters, relative to what their usual priors expect.

    In the solver's coordinates z: a shift of 0.1 is 10 % of a positive parameter. It is made by
    `mjx_msm.knowledge.population.Population.expected`.
    """

    name: str
    """Of the population it comes from."""
    paths: tuple[str, ...]
    """Of unknowns, as `ParameterSpace.paths` has them; others keep their priors."""
    shift: tuple[float, ...]
    """Mean of the prior minus that of the usual one."""
    covariance: tuple[tuple[float, ...], ...]
    """Of the prior; an estimator that takes priors of single parameters takes its diagonal."""
