"""What a result is made of: how the solver ended, and estimates, unknowns, directions, errors, predictions of what
was unseen, and stages."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mjx_msm.knowledge.uncertainty import Knowledge

WITH_DISCREPANCY = "with discrepancy"
"""Among `Fit.beside`, the model itself with a correction."""


class Outcome(enum.Enum):
    """How the solver ended."""

    CONVERGED = "converged"
    MAX_EVALUATIONS = "ran out of evaluations"
    UNSETTLED = "did not settle"
    """It came to ends that are none, in circles, or found no step: to go on from there leads nowhere else."""
    NOT_FINITE = "the simulation of some segments is not finite at the estimate: do not use it"
    INTERRUPTED = "interrupted; the last completed iteration is kept"

    @property
    def usable(self) -> bool:
        """Whether the solver came to an estimate that others may be learned from."""
        return self in (Outcome.CONVERGED, Outcome.MAX_EVALUATIONS, Outcome.UNSETTLED)


@dataclass(frozen=True)
class Estimate:
    """One estimated parameter. Numbers are in `unit`; of an inertia, log-Cholesky coordinates."""

    path: str
    unit: str
    start: float
    value: float
    sd: float
    """Standard deviation of the posterior; infinite if nothing determines the parameter."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    data_share: float
    """Part of the estimate that comes from the data, 0 (all prior) to 1."""
    bound: str = ""
    """"lower" or "upper" where the estimate sits on a bound."""

    @property
    def determined(self) -> bool:
        """Whether the data hold at least as much information on it as the prior."""
        return self.data_share >= 0.5 and math.isfinite(self.sd)


@dataclass(frozen=True)
class Unknown:
    """One entry of z, as the solver saw it: the logarithm of a positive parameter, else the parameter."""

    members: tuple[str, ...]
    """Paths of the parameters behind it, more than one where they are tied."""
    lower: float
    """Bound."""
    upper: float
    prior_mean: float
    prior_scale: float
    """Standard deviation of the prior; infinite where there is none."""
    usual_prior: tuple[float, ...] = ()
    """Mean and standard deviation of the prior that a population's (`mjx_msm.knowledge.population`) stands in for;
    empty where none does."""

    @property
    def reference(self) -> tuple[float, float]:
        """Mean and standard deviation of what was expected of anybody, before a population was asked."""
        mean, scale = self.usual_prior or (self.prior_mean, self.prior_scale)
        return mean, scale


@dataclass(frozen=True)
class Likelihood:
    """What the recordings alone say of z, the prior divided out: a normal distribution that may be endlessly wide.

    Its logarithm is h·z − ½ z·Λ·z, up to a constant; Λ is singular along what they say nothing of.
    """

    precision: tuple[tuple[float, ...], ...]
    """Λ."""
    pull: tuple[float, ...]
    """h = Λ m, m the best z of the recordings alone where there is one."""


@dataclass(frozen=True)
class Evidence:
    """Parts of the marginal likelihood of the recordings, as `mjx_msm.identification.evidence` says."""

    samples: int
    repeated: float
    """Samples per independent one."""
    fit: float
    """Log likelihood of all samples at the estimate."""
    prior: float
    """Log density of the prior there, over that at its mean."""
    information: tuple[float, ...]
    """Eigenvalues of what the samples tell of the unknowns, in units of the prior."""

    def log_marginal_likelihood(self, repeated: float) -> float:
        """ln p(y), of samples of which so many count as one."""
        volume = sum(math.log1p(x / repeated) for x in self.information)
        return self.fit / repeated + self.prior - 0.5 * volume


@dataclass(frozen=True)
class Direction:
    """One of a complete set of combinations of parameters, and where what is known of it comes from."""

    text: str
    knowledge: Knowledge
    share: float
    """Part that comes from the data, 0 to 1."""
    weights: Mapping[str, float]
    """Path to weight of the leading parameters, in standard deviations of their priors (without a prior, of a uniform
    between the bounds); all of them make a unit vector."""


@dataclass(frozen=True)
class Moved:
    """What would move most of an estimate that is made without a trial, of what others tell, too."""

    name: str
    """Of the parameter, as readers are told of it."""
    by: float
    """[standard deviations]."""
    signal: float
    """By how much the estimate without the trial moves its own signal, root mean square, in the unit of its errors."""


@dataclass(frozen=True)
class Fit:
    """Error of one coordinate in one trial, before and after."""

    trial: str
    role: str
    """"identify", "held-out" or "cross-validated"."""
    kind: str
    coordinate: str
    unit: str
    generic: float
    """Root mean square error of the starting model."""
    identified: float
    correlation: float
    """Pearson correlation of identified and recorded signal."""
    spread: float
    """Standard deviation of the recorded signal."""
    beside: Mapping[str, float] = field(default_factory=dict)
    """Root mean square errors of other predictions of the same samples: of regressions on the same inputs, and of the
    model with its discrepancy."""
    doubted: float = 0.0
    """Part of the samples that a robust loss counts for less than half."""
    against: tuple[str, ...] = ()
    """What tests of fit (`mjx_msm.knowledge.goodness_of_fit`) say against the model, of what it was identified from."""
    held: bool = False
    """Whether the coordinate was held where it was: an isometric contraction."""
    level: float = 0.0
    """Root mean square of the recorded signal; 0 in a file of a version that did not keep it."""
    within: bool | None = False
    """Whether other parts of the same trial were learned from: what lies between them is told by its neighbours. None
    of a cross-validation in a file of a version that did not keep it, where it cannot be told."""
    band: float | None = None
    """Part of an unseen recorded moment that its band of 95 % holds; None where there is none, or it is not known."""
    apart: float | None = None
    """`identified` without the samples that may have the other foot's force in them (`OtherFoot`); None where there are
    none, or it is not known."""
    deviates: str = ""
    """Where in its cycle an unseen moment is off on average (`mjx_msm.knowledge.cycle_error`), in words; "" for
    nowhere."""
    without: Moved | None = None
    """What the trial says of the person that the others do not bear out; None where they do, or it is not known."""

    @property
    def objections(self) -> tuple[str, ...]:
        """All that a trial which the estimate was made from says against the model, in words."""
        if self.without is None:
            return self.against
        w = self.without
        return (
            *self.against,
            f"without this trial {w.name} would move by about {w.by:.2g} standard deviations, and the {self.kind} here "
            f"by {w.signal:.2g} {self.unit}",
        )

    @property
    def row(self) -> tuple[str, str, str, str]:
        """What it is the error of: trial, role, kind, coordinate."""
        return self.trial, self.role, self.kind, self.coordinate


@dataclass(frozen=True)
class Unseen:
    """A moment of one trial as people predict it who were identified without it: by the folds of a cross-validation."""

    trial: str
    coordinate: str
    time: tuple[float, ...]
    """Of the samples that a fold left out, on the trial's clock [s]."""
    recorded: tuple[float, ...]
    """[N·m]."""
    predicted: tuple[float, ...]
    low: tuple[float, ...]
    """Lower end of the band that should hold 95 % of what is recorded."""
    high: tuple[float, ...]

    @property
    def holds(self) -> float:
        """Part of what was recorded that lies in the band."""
        inside = [a <= x <= b for x, a, b in zip(self.recorded, self.low, self.high, strict=True)]
        return sum(inside) / max(len(inside), 1)


@dataclass(frozen=True)
class MuscleUse:
    """What the identified person does with a muscle in a trial."""

    trial: str
    muscle: str
    envelope: float
    """Greatest of its channels' envelopes as they are mixed, before their gains [-]."""
    activation: float
    """Greatest, 0 to 1."""
    full: float
    """Part of the samples at which it is fully active."""
    pull: float
    """Greatest tension over the maximal isometric force [-], with a tendon that yields as if it changed slowly."""


@dataclass(frozen=True)
class Stage:
    """One stage of the estimator."""

    name: str
    cost: float
    evaluations: int
    seconds: float
    noise: Mapping[str, float]
    """Estimated noise scale per kind and coordinate."""
    starts: int = 0
    """Starting points tried to their end; 0 where there was one only."""
