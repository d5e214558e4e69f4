"""Muscle fatigue: the three-compartment controller with faster recovery at rest, 3CC-r.

A muscle's motor units are active, fatigued or resting; the three parts add up to 1. A controller activates resting
units until the active ones carry the target load, active ones tire, fatigued ones recover. What is not fatigued is the
residual capacity: the part of its rested strength that the muscle has now.

Load and effort are two sides of one contraction. A load is a part of the rested strength; the effort that it takes,
which is what EMG shows, is the load over the capacity, and cannot be more than all. So a tired muscle needs more EMG
for the same force, and force is capacity times what its activation says (`tiring`); a muscle that is told a load
carries it up to its capacity (`Compartments.limit`).

Sources:
    Xia, Frey Law 2008, doi 10.1016/j.jbiomech.2008.07.013 (the model)
    Frey-Law, Looft, Heitsman 2012, doi 10.1016/j.jbiomech.2012.04.018, table 1 (F and R of each joint)
    Looft, Herkert, Frey-Law 2018, doi 10.1016/j.jbiomech.2018.06.005 (r)
    Looft, Frey-Law 2020, doi 10.1016/j.jbiomech.2020.109762 (r of the shoulder)
    Rakshit, Xiang, Yang 2021, doi 10.1016/j.jbiomech.2021.110695 (F and R of muscle groups apart)
    Sih, Ng, Stuhmiller 2012, doi 10.1055/s-0031-1297958 (spread of F and R between people)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arrays import AnyArray, namespace

CONTROLLER_RATE = 10.0
"""How fast units are activated and released, LD = LR [1/s], as in Xia and Frey Law 2008."""
REST = 0.01
"""Largest target load at which a muscle counts as resting [-]: a rest commanded in floating point is not quite 0."""

JOINTS: Mapping[str, tuple[float, float, float]] = {
    "ankle": (0.00589, 0.00058, 15.0),
    "knee": (0.01500, 0.00149, 15.0),
    "trunk": (0.00755, 0.00075, 15.0),
    "shoulder": (0.01820, 0.00168, 15.0),
    "elbow": (0.00912, 0.00094, 15.0),
    "grip": (0.00980, 0.00064, 30.0),
    "general": (0.00970, 0.00091, 15.0),
}
"""Fatigue F [1/s], recovery R [1/s] and its multiple at rest r [-], by joint. r of the trunk was not fitted."""

SPREAD = (1.0, 1.0)
"""Standard deviation of log F and log R about a joint's [-]. Muscle groups of a joint are 0.6 and more from its values
(elbow flexors F 0.017, R 0.005: Rakshit 2021), people differ by 0.15 to 0.45 in F, by up to 1 in R (Sih 2012), and the
values are of efforts held still, not of motion: a group that hardly tires is no exception."""

MUSCLES: Mapping[str, str] = {
    **dict.fromkeys(("TRIlong", "TRIlat", "TRImed", "BIClong", "BICshort", "BRA"), "elbow"),
    **dict.fromkeys(("recfem", "vasmed", "vasint", "vaslat", "bflh", "bfsh", "semimem", "semiten"), "knee"),
    **dict.fromkeys(("gasmed", "gaslat", "soleus", "tibant"), "ankle"),
}
"""The joint whose fatigue a muscle of the bundled models has."""


class Compartments(NamedTuple):
    """Parts of each muscle's motor units, 0..1; the rest of them rests."""

    active: Float[AnyArray, "*batch muscle"]
    fatigued: Float[AnyArray, "*batch muscle"]

    @property
    def resting(self) -> Float[AnyArray, "*batch muscle"]:
        """What is neither active nor fatigued."""
        return 1.0 - self.active - self.fatigued

    @property
    def capacity(self) -> Float[AnyArray, "*batch muscle"]:
        """The part of the rested strength that is there now."""
        return 1.0 - self.fatigued

    def limit(self, excitation: Float[AnyArray, "*batch muscle"]) -> Float[AnyArray, "*batch muscle"]:
        """The excitation that arrives: no more units can follow it than are not fatigued."""
        return namespace(excitation).minimum(excitation, self.capacity)

    @staticmethod
    def fresh(muscles: int) -> Compartments:
        """Of rested muscles."""
        return Compartments(np.zeros(muscles), np.zeros(muscles))


class Fatigue(NamedTuple):
    """3CC-r; numbers, or arrays with one entry per muscle.

    With MA, MR, MF the active, resting and fatigued parts and TL the target load::

        dMA/dt = C − F MA,   dMF/dt = F MA − ρ MF,   dMR/dt = ρ MF − C
        C = LD min(TL − MA, MR),   ρ = r R at rest, R otherwise
    """

    fatigue: Float[AnyArray, "#muscle"] | float
    """F [1/s]."""
    recovery: Float[AnyArray, "#muscle"] | float
    """R [1/s]."""
    rest_multiplier: Float[AnyArray, "#muscle"] | float
    """r [-]."""

    @staticmethod
    def of(muscles: Sequence[str]) -> Fatigue:
        """By the muscles' names; one that is not in `MUSCLES` gets the values of joints in general."""
        values = np.array([JOINTS[MUSCLES.get(name, "general")] for name in muscles])
        return Fatigue(*values.T)

    def advance(
        self, compartments: Compartments, target_load: Float[AnyArray, "*batch muscle"], dt: float
    ) -> Compartments:
        """The compartments dt [s] later, under a target load 0..1.

        The three exchanges follow one another, each exact with the others held: no part leaves 0..1 at any dt.
        """
        xp = namespace(target_load)
        active, fatigued = compartments
        moved = -math.expm1(-CONTROLLER_RATE * dt) * xp.minimum(target_load - active, 1.0 - active - fatigued)
        active = active + moved
        tired = active * -xp.expm1(-dt * self.fatigue)
        recovery = self.recovery * xp.where(target_load > REST, 1.0, self.rest_multiplier)
        recovered = fatigued * -xp.expm1(-dt * recovery)
        return Compartments(active - tired, fatigued + tired - recovered)


def tiring(
    fatigue: Fatigue, start: Compartments, effort: Float[AnyArray, "sample muscle"], dt: float
) -> tuple[Float[AnyArray, "sample_plus_1 muscle"], Compartments]:
    """Capacity before and after every sample of an effort that each lasts dt [s], and the compartments in the end.

    The load is what the effort gives at the capacity of the moment. Differentiable by all but dt.
    """
    import jax
    import jax.numpy as jnp

    def step(now: Compartments, given: AnyArray) -> tuple[Compartments, AnyArray]:
        then = fatigue.advance(now, given * now.capacity, dt)
        return then, then.capacity

    effort = jnp.asarray(effort)
    first = Compartments(*(jnp.asarray(x) + jnp.zeros_like(effort[0]) for x in start))
    last, later = jax.lax.scan(step, first, effort)
    return jnp.concatenate([first.capacity[None], later]), last
