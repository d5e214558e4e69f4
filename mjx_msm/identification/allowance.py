"""What estimates may be off by because of what was taken as known: parameters that were held, and the geometry.

Strengths that answer for a fiber length which is another in this person fit as well: no residual shows it. So what is
known of an estimate is what would be known with everything else unknown, too, as far as its default prior goes. That
takes no second estimate: about the one there is, one expansion in all of the parameters has the information on them
together, and one Newton step in it says where the estimate would have gone (a consider analysis, Schmidt 1966, that
lets the residuals speak against what they exclude).

The geometry comes in through muscles' parameters. A path whose moment arm about every joint is (1 + ε) times the
model's stretches its fiber by as much more: with a rigid tendon that is exactly a muscle (1 + ε) times as strong, whose
optimal fiber length is that much less and whose slack length takes up the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from mjx_msm.common.compiled import float64
from mjx_msm.dynamics.activation_expansion import lanes_of
from mjx_msm.estimation.least_squares import Solution
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.motion import MotionTerm
from mjx_msm.estimation.residuals.term import AbstractTerm, Quadratic
from mjx_msm.estimation.robust import told
from mjx_msm.identification.problem import Problem
from mjx_msm.identification.repetition import autocorrelation_times
from mjx_msm.knowledge.uncertainty import Uncertainty, allowing, uncertainty
from mjx_msm.person.inspection import moving_bodies
from mjx_msm.person.obstacles import TREE
from mjx_msm.person.parameters import Parameters, matching
from mjx_msm.person.space import ParameterSpace, parameter_space

MOMENT_ARM = 0.05
"""Standard deviation of a muscle's moment arm about the model's [parts]: scaled generic models are some millimetres off
arms of two to five centimetres (Scheys et al. 2008, doi 10.1016/j.gaitpost.2007.12.003)."""
PATH = 0.01
"""Of a path's length [parts of the tendon slack length]."""
HALF = 0.5
"""Of a damping or stiffness that is held: standard deviation in parts of it."""
CONTRADICTED = 3.0
"""Standard deviations, of what is left once the recordings have spoken, from which they speak against a held value."""
MOST_NAMED = 3
_MUSCLE = (
    "max_isometric_force",
    "optimal_fiber_length",
    "tendon_slack_length",
    "max_contraction_velocity",
    "passive_force_scale",
    "activation_time_constant",
    "deactivation_time_constant",
)


@dataclass(frozen=True)
class Allowed:
    """What is known of the estimates with the rest of the person unknown."""

    known: Uncertainty
    """Covariance, shares and knowledge of theirs; its modes and draws are those with the rest as it is held."""
    contradicted: tuple[str, ...]
    """Held parameters that the recordings speak against, in words."""


def allowed(problem: Problem, terms: Sequence[AbstractTerm], solution: Solution, known: Uncertainty) -> Allowed:
    """What is known of the estimates, over people who differ from the model in what was not estimated.

    **Arguments:** `known`: with everything else as it is held.

    Only where our own engine steps the model, and the estimate can be simulated; else that is `known` itself.
    """
    model, space, z = problem.model, problem.space, solution.z
    if problem.settings.held == "exact" or model.host.engine != TREE or not np.isfinite(solution.cost):
        return Allowed(known, ())
    with float64():
        person = space.unpack(z)
    every, at = _everything(problem, person, moving=any(not isinstance(t, MomentTerm) for t in terms))
    with float64():
        there = np.asarray(every.pack(person))
    data, score, gradient = *(np.zeros((every.size, every.size)) for _ in range(2)), np.zeros(every.size)
    for term, scale, nuisance in zip(terms, solution.scales, solution.nuisance or [None] * len(terms), strict=True):
        about = _in(term, every).expand(there, nuisance).reduce(scale)
        samples, slope, square = told(term, term.evaluate(z, scale))
        information = about.hessian / scale[:, None, None] ** 2
        data += np.einsum("cij,c->ij", information, slope) + _of(about, "hessian")
        score += np.einsum("cij,c->ij", information, square * autocorrelation_times(term, samples))
        score += _of(about, "hessian")
        gradient += (about.gradient / scale[:, None] ** 2).sum(axis=0) + _of(about, "gradient")
    gradient += (there - every.prior_mean) / every.prior_scale**2
    if not (np.isfinite(data).all() and np.isfinite(gradient).all()):
        return Allowed(known, ())
    width = every.upper - every.lower
    # without second derivatives: away from the mode of all, they may open the quadratic, which then says nothing
    whole = uncertainty(data, every.prior_scale, score=score, width=width)
    step = -uncertainty(data, every.prior_scale, width=width).spread @ gradient
    step = np.clip(step, *(s * np.where(np.isfinite(every.prior_scale), every.prior_scale, width) for s in (-1, 1)))
    sd = np.sqrt(np.diag(whole.spread))
    beyond = np.square(step[at]) + np.square(_geometry(space, person))
    own = replace(
        known, covariance=whole.covariance[np.ix_(at, at)], data_share=whole.data_share[at],
        knowledge=tuple(whole.knowledge[k] for k in at),
    )  # fmt: skip
    held = np.setdiff1d(np.arange(every.size), at)
    return Allowed(
        allowing(own, beyond, space.prior_scale, space.upper - space.lower), _contradicted(every, held, step, sd)
    )


def _everything(problem: Problem, person: Parameters, *, moving: bool) -> tuple[ParameterSpace, np.ndarray]:
    """The space of what was estimated and of what else matters, about a person; where the former's entries are.

    What was estimated has its bounds and priors, the rest its default ones about the value that is held.
    """
    space, settings, model = problem.space, problem.settings, problem.model
    patterns = [f"muscle/*/{f}" for f in _MUSCLE]
    patterns += [f"joint/{c}/{f}" for c in model.free for f in ("damping", "stiffness")]
    if moving:
        patterns += [f"body/{b}/{f}" for b in moving_bodies(model) for f in ("mass", "com")]
    free, values = {s.path for s in space.scalars}, person.to_dict()
    others = [p for p in matching(person, tuple(patterns)) if p not in free and (values[p] > 0 or "/com/" in p)]
    every = parameter_space(person, [*settings.free, *others], tied=settings.tied)
    at = np.array([every.paths.index(p) for p in space.paths])
    scale = every.prior_scale.copy()
    for k, (kind, mean) in enumerate(zip(every.kinds, every.prior_mean, strict=True)):
        if kind.transform == "linear" and not kind.offset:
            scale[k] = min(kind.prior_scale, HALF * mean) if mean > 0 else kind.prior_scale
    own = {}
    for name, value in {"prior_scale": scale, **{n: getattr(every, n).copy() for n in _OWN}}.items():
        value[at] = getattr(space, name)
        own[name] = value
    return replace(every, **own), at


_OWN = ("lower", "upper", "prior_mean")


def _in(term: AbstractTerm, space: ParameterSpace) -> AbstractTerm:
    """The term in a larger space."""
    if isinstance(term, MomentTerm):
        acting = np.abs(np.asarray(term.at.moment_arm)).max((0, 1)) > 0
        return replace(term, space=space, lanes=lanes_of(term.model, space, np.asarray(term.mixing), acting))
    if isinstance(term, MotionTerm):
        error = term.error and replace(term.error, space=space, latest={})
        return replace(term, space=space, error=error, latest={})
    return replace(term, space=space)


def _of(about: Quadratic, what: str) -> np.ndarray | float:
    """Of nuisance unknowns with a prior."""
    return 0.0 if about.nuisance is None else getattr(about.nuisance, what)[0]


def _geometry(space: ParameterSpace, person: Parameters) -> Float[np.ndarray, "free"]:
    """Standard deviations of what stands for another geometry."""
    fiber, slack = (np.asarray(getattr(person.muscle, f)) for f in ("optimal_fiber_length", "tendon_slack_length"))
    arm = np.full(len(fiber), MOMENT_ARM)
    by = dict(zip(_MUSCLE[:3], (arm, arm, np.hypot(PATH, MOMENT_ARM * fiber / slack)), strict=True))
    out = np.zeros(space.size)
    for s, k in zip(space.scalars, space.owner, strict=True):
        if s.group == "muscle" and s.field in by:
            out[k] = max(out[k], by[s.field][s.index[0]])
    return out


def _contradicted(
    space: ParameterSpace,
    held: np.ndarray,
    step: Float[np.ndarray, "everything"],
    sd: Float[np.ndarray, "everything"],
) -> tuple[str, ...]:
    clearly = [k for k in held if abs(step[k]) > CONTRADICTED * sd[k]]
    clearly.sort(key=lambda k: -abs(step[k]) / sd[k])
    return tuple(
        f"{space.paths[k]} is held where the recordings speak against it, by {abs(step[k]) / sd[k]:.0f} standard "
        f"deviations for a {'larger' if step[k] > 0 else 'smaller'} one: free it"
        for k in clearly[:MOST_NAMED]
    )
