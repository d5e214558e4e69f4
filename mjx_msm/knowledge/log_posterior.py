"""The posterior whose mode a result is, as a function of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.estimation.least_squares import (
    BOLD,
    Solution,
    bending,
    freedom,
    minimise,
    reweighed,
    rough_scales,
    unknowns_used,
    weighted,
)
from mjx_msm.estimation.residuals.acceleration import acceleration_term
from mjx_msm.estimation.residuals.freed import with_unknown_courses
from mjx_msm.estimation.residuals.moment import MomentTerm, moment_term
from mjx_msm.estimation.residuals.motion import motion_term
from mjx_msm.estimation.residuals.stepped_motion import is_stepped, stepped_motion_term
from mjx_msm.estimation.residuals.term import AbstractExpansion, AbstractTerm, Quadratic
from mjx_msm.estimation.robust import robust, told, weighed_at
from mjx_msm.knowledge.records import Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.uncertainty import Uncertainty, uncertainty
from mjx_msm.person.model import Model, check_model, muscle_name
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.trial import Trial, trials_of
from mjx_msm.recordings.unknown_channels import filled_in

EVALUATIONS = 100
"""Of one search for a mode, at most."""
SETTLED = 1e-6
"""Change of an initial state [rad, rad/s] that matters no more: the posterior changes with its square."""


class Posterior:
    """Negative log posterior of a set of residuals as a function of z, up to a constant.

    Every coordinate's noise scale is at its own best value, as in `mjx_msm.estimation.least_squares`; degrees of
    freedom are those at the point it is made at, so that values at different z compare. For ν degrees of freedom that
    is the posterior with the scales integrated out under Jeffreys' prior.

    `student`: moments are of Student's distribution (`mjx_msm.estimation.robust`), their weights those of every z.
    """

    def __init__(
        self,
        terms: Sequence[AbstractTerm],
        space: ParameterSpace,
        z: Float[np.ndarray, "free"],
        nuisance: list[Any] | None = None,
        *,
        student: bool = False,
    ):
        self.terms, self.space, self.student = tuple(terms), space, student
        self.freedom = [freedom(t, np.zeros(t.weight.shape[1])) for t in terms]
        for _ in range(3):  # scales and the unknowns that the data use up depend on each other, weakly
            at = self._reduced(z, nuisance, 1)
            used = zip(terms, unknowns_used(space, at.parts, at.scales), at.expansions, at.scales, strict=True)
            self.freedom = [freedom(t, u + e.absorbed(s)) for t, u, e, s in used]

    def __call__(
        self, z: Float[np.ndarray, "free"], nuisance: list[Any] | None = None, *, settle: int = 1
    ) -> tuple[float, Float[np.ndarray, "free"], list[Any]]:
        """Value, gradient and nuisance unknowns at z.

        **Arguments:** `nuisance`: to begin with, e.g. those of a point nearby. `settle`: Gauss–Newton steps of the
        nuisance unknowns; one is enough where they have converged.
        """
        at = self._reduced(z, nuisance, settle)
        away = (z - self.space.prior_mean) / self.space.prior_scale
        gradient = weighted(at.parts, at.scales)[0] + away / self.space.prior_scale
        return self._data(at) + 0.5 * float(away @ away), gradient, at.nuisance

    def minimise(
        self, z: Float[np.ndarray, "free"], nuisance: list[Any] | None = None, space: ParameterSpace | None = None
    ) -> Solution:
        """The mode, from a point nearby; in another space, e.g. with an entry held."""
        space = self.space if space is None else space

        def solve(terms: Sequence[AbstractTerm], z: np.ndarray, nuisance: list[Any] | None) -> Solution:
            return minimise(terms, space, z, limit=EVALUATIONS, damping=BOLD, nuisance=nuisance)

        if not self.student:
            return solve(self.terms, z, nuisance)
        found = solve(self._reduced(z, nuisance, 1).terms, z, nuisance)
        return robust(self.terms, found, lambda terms, at: solve(terms, at.z, at.nuisance))[1]

    def information(
        self, z: Float[np.ndarray, "free"], nuisance: list[Any] | None = None
    ) -> Float[np.ndarray, "free free"]:
        """Gauss–Newton matrix of the data at z."""
        at = self._reduced(z, nuisance, 1)
        parts = [
            replace(p, hessian=p.hessian * told(t, t.evaluate(z, s))[1][:, None, None])
            for t, p, s in zip(at.terms, at.parts, at.scales, strict=True)
        ]
        return weighted(parts, at.scales)[1]

    def known(self, z: Float[np.ndarray, "free"], nuisance: list[Any] | None = None) -> Uncertainty:
        """Laplace approximation about z, as of independent residuals."""
        at = self._reduced(z, nuisance, 1)
        width, bend = self.space.upper - self.space.lower, bending(at.parts, at.scales)
        return uncertainty(self.information(z, nuisance), self.space.prior_scale, bend=bend, width=width)

    def scales(self, z: Float[np.ndarray, "free"]) -> list[Float[np.ndarray, "coordinate"]]:
        """Noise of every term's coordinates at z, in their units; of Student's distribution its scale."""
        return self._reduced(z, None, 1).scales

    def weighed(self, z: Float[np.ndarray, "free"]) -> tuple[list[AbstractTerm], list[Float[np.ndarray, "coordinate"]]]:
        """The terms with every sample weighed as at z, and the noise of their coordinates, in their units, that a
        normal distribution would have which tells as much."""
        at = self._reduced(z, None, 1)
        slopes = [told(t, t.evaluate(z, s))[1] for t, s in zip(at.terms, at.scales, strict=True)]
        return at.terms, [s / np.sqrt(slope) for s, slope in zip(at.scales, slopes, strict=True)]

    def _data(self, at: _Reduced) -> float:
        out = 0.0
        for v, p, s, tails in zip(self.freedom, at.parts, at.scales, at.tails, strict=True):
            own = v * np.log(s) + 0.5 * (p.squares / s**2 - v) if tails is None else tails
            out += float(np.sum(own)) + (0.5 * float(p.nuisance.squares[0]) if p.nuisance is not None else 0.0)
        return out

    def _reduced(self, z: Float[np.ndarray, "free"], nuisance: list[Any] | None, settle: int) -> _Reduced:
        """The terms about z, with the nuisance unknowns after `settle` steps, or once they settle."""
        z, none = np.asarray(z, dtype=float), np.zeros(self.space.size)
        terms: list[AbstractTerm] = list(self.terms)
        tails: list[Any] = [None] * len(terms)
        if self.student:
            for k, (term, v) in enumerate(zip(self.terms, self.freedom, strict=True)):
                if isinstance(term, MomentTerm):
                    terms[k], tails[k] = weighed_at(term, z, v)
        steps = 0
        scales: list[np.ndarray] = []
        while True:
            guesses = [None] * len(terms) if nuisance is None else nuisance
            expansions = [t.expand(z, guess) for t, guess in zip(terms, guesses, strict=True)]
            scales = scales or rough_scales(terms, expansions)
            parts = [e.reduce(s) for e, s in zip(expansions, scales, strict=True)]
            for _ in range(2):  # what weighs the elimination of the nuisance are the scales themselves
                parts, scales = reweighed(terms, expansions, parts, self.freedom)
            before, nuisance = nuisance, [e.follow(none) for e in expansions]
            steps += 1
            if steps >= settle or _settled(before, nuisance):
                return _Reduced(terms, expansions, parts, scales, nuisance, tails)


@dataclass(frozen=True)
class _Reduced:
    """Terms about a point."""

    terms: list[AbstractTerm]
    """With the weights of their samples."""
    expansions: list[AbstractExpansion]
    parts: list[Quadratic]
    """Sums of squares."""
    scales: list[Float[np.ndarray, "coordinate"]]
    """Of the noise."""
    nuisance: list[Any]
    tails: list[Any]
    """−ln of Student's likelihood of every coordinate, where that is what a term has; else None."""


def _settled(before: list[Any] | None, after: list[Any]) -> bool:
    pairs = zip(before or [None] * len(after), after, strict=True)
    return all(b is None if a is None else b is not None and np.abs(a - b).max() < SETTLED for b, a in pairs)


def identified_from(trials: Trial | Sequence[Trial], result: Identification) -> tuple[Trial, ...]:
    """Of the trials that a result was made from, what its estimate saw: channels that were dead, missing or cut off in
    one are filled in, moments that do not count are NaN, and trials that do not are left out.

    **Raises:** `InputError` if a channel is missing that no trial has recorded.
    """
    return filled_in(trials_of(trials), result.channels, instants=result.residuals == ("moment",))[0]


def posterior_of(
    model: Model, trials: Trial | Sequence[Trial], result: Identification, *, freed: bool = False
) -> Posterior:
    """The posterior whose mode a result is, on the recordings it was made from.

    **Arguments:** `freed`: with the courses of unmeasured muscles unknown, as the estimate had them; else with what
    they were found to go with, as a person is simulated. Trials weigh as they did in the estimate: by their own noise,
    or where muscles are unmeasured all alike.

    **Raises:** `InputError` if the result does not say how it was made or was made with another integrator or muscle
    law, or the recordings do not fit it.
    """
    check_model(model)
    if not result.residuals:
        raise InputError("the result does not say which residuals it was made with; identify again")
    if result.outcome is Outcome.NOT_FINITE:
        raise InputError("the result cannot be simulated (see its outcome), so there is nothing to profile")
    model = model.by_rk4  # as every identification
    if result.integrator != model.integrator:
        raise InputError(
            f"the result was made with another integrator ({result.integrator}, now {model.integrator}); identify again"
        )
    if result.muscle_model != muscle_name(model):
        raise InputError(
            f"the result was made with another muscle law ({result.muscle_model}, now {muscle_name(model)}); give the "
            "model it was identified on"
        )
    space = result.space(model)
    recordings = tuple(record(model, result.heard(t), result.emg_map) for t in identified_from(trials, result))
    make: dict[str, Callable[[], AbstractTerm]] = {
        "moment": lambda: moment_term(model, space, recordings, result.rate),
        "acceleration": lambda: acceleration_term(model, space, recordings, result.rate),
        "motion": lambda: (
            stepped_motion_term(model, space, recordings, result.horizon)
            if is_stepped(model)
            else motion_term(model, space, recordings, result.horizon, result.emg_noise)
        ),
    }
    z, terms = np.array(result.z), [make[kind]() for kind in result.residuals]
    if freed and result.unmeasured:
        terms = [with_unknown_courses(model, t, result.unmeasured) for t in terms]
    if result.loss == "normal" and not result.unmeasured:  # beside unknown courses all trials weigh alike
        terms = [t.at_own_scales(z) if isinstance(t, MomentTerm) else t for t in terms]
    return Posterior(terms, space, z, student=result.loss == "student")
