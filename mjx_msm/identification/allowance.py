"""What estimates may be off by because of what was taken as known: parameters that were held, and the geometry.

Strengths that answer for a fiber length which is another in this person fit as well: no residual shows it. So what is
known of an estimate is what would be known with the rest unknown, too, as far as its default prior goes. That takes no
second estimate: about the one there is, how residuals change with all of the parameters has the information on them
together, and one Newton step says where the estimate would have gone (a consider analysis, Schmidt 1966, that lets the
residuals speak against what they exclude).

The geometry comes in through muscles' parameters. A path whose moment arm about every joint is (1 + ε) times the
model's stretches its fiber by as much more: with a rigid tendon that is exactly a muscle (1 + ε) times as strong, whose
optimal fiber length is that much less and whose slack length takes up the difference. A segment of another size moves
the moment arms of all muscles about its joint together. Where moments were recorded, that is again as many muscles. Of
motion it is not: all that resists about the joint seems as much larger, masses, their distances and damping, and what
moves these at the next joint, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from mjx_msm.common.compiled import float64
from mjx_msm.dynamics.activation_sensitivities import TIME_CONSTANTS
from mjx_msm.estimation.least_squares import Solution
from mjx_msm.estimation.residuals.freed import FreedTerm
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.motion import MotionTerm
from mjx_msm.estimation.residuals.motion_differences import motion_slopes
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.estimation.robust import told
from mjx_msm.identification.problem import Problem
from mjx_msm.identification.repetition import times_by_trial
from mjx_msm.knowledge.uncertainty import Uncertainty, allowing, uncertainty
from mjx_msm.person.inspection import moving_bodies
from mjx_msm.person.kinds import KINDS
from mjx_msm.person.obstacles import TREE
from mjx_msm.person.parameters import Parameters, matching, with_arrays
from mjx_msm.person.space import ParameterSpace, parameter_space

MOMENT_ARM = 0.05
"""Standard deviation of a muscle's moment arm about the model's [parts]: a choice, two millimetres in four centimetres;
a generic model of a limb of another shape may be further off."""
TOGETHER = 0.05
"""The same of what all moment arms about a joint have in common: a choice, too, a segment 5 % longer or shorter."""
PATH = 0.01
"""Of a path's length [parts of the tendon slack length]."""
HALF = 0.5
"""Of a damping or stiffness that is held: standard deviation in parts of it."""
PART = 0.1
"""Of a prior's standard deviation, over which residuals are differenced."""
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
_RESISTING = ("mass", "com", "damping", "stiffness")
"""A motion that is known tells of them in proportion to the moments that made it."""


@dataclass(frozen=True)
class Allowed:
    """What is known of the estimates with the rest of the person unknown."""

    known: Uncertainty
    """Covariance, shares and knowledge of theirs; its modes and draws are those with the rest as it is held."""
    contradicted: tuple[str, ...]
    """Held parameters that the recordings speak against, in words."""
    held: str
    """"uncertain", or "exact" where it was not allowed for."""


def allowed(problem: Problem, terms: Sequence[AbstractTerm], solution: Solution, known: Uncertainty) -> Allowed:
    """What is known of the estimates, over people who differ from the model in what was not estimated.

    Muscles' other parameters, and damping and stiffness that are not zero; of motion masses and centres of mass, too.
    EMG is taken as it was said to be, and so are passive curves.

    **Arguments:** `known`: with everything else as it is held.

    Only where our own engine steps the model, envelopes are exact and the estimate can be simulated.
    """
    model, space, z = problem.model, problem.space, solution.z
    unable = model.host.engine != TREE or problem.settings.emg_noise is not None or not np.isfinite(solution.cost)
    unable = unable or any(e.of_prior for e in terms if isinstance(e, FreedTerm))  # which residuals do not show
    if problem.settings.held == "exact" or unable:
        return Allowed(known, (), "exact")
    with float64():
        person = space.unpack(z)
    scaled, moving = (any((t.kind == "moment") is is_moment for t in terms) for is_moment in (True, False))
    rest = _rest(problem, person, moving=moving)
    both = [np.concatenate(x) for x in ((space.prior_scale, _scales(rest)), (_width(space), _width(rest)))]
    prior_scale, width = both
    size, own = len(prior_scale), np.arange(space.size)
    data, score, gradient = *(np.zeros((size, size)) for _ in range(2)), np.zeros(size)
    for term, scale, states in zip(terms, solution.scales, solution.nuisance or [None] * len(terms), strict=True):
        residual, slopes, weight = _differences(term, space, rest, z, person, scale, states, prior_scale, width)
        samples, slope, square = told(term, residual)
        repeated = weight * times_by_trial(term, samples)[term.trial]
        for c in range(residual.shape[1]):
            rows = slopes[:, c]
            data += rows.T @ (rows * weight[:, c : c + 1]) * slope[c]
            score += rows.T @ (rows * repeated[:, c : c + 1]) * square[c]
        gradient += np.einsum("rci,rc,rc->i", slopes, weight, residual)
    gradient[own] += (z - space.prior_mean) / space.prior_scale**2
    if not (np.isfinite(data).all() and np.isfinite(gradient).all()):
        return Allowed(known, (), "exact")
    # without second derivatives: away from the mode of all, they may open the quadratic, which then says nothing
    whole = uncertainty(data, prior_scale, score=score, width=width)
    step = _newton_step(data, gradient, prior_scale, width, np.append(_free(space, z), np.ones(rest.size, bool)))
    beyond = np.square(step[own]) + np.square(_geometry(space, z, person, scaled=scaled))
    estimated = replace(
        known, covariance=whole.covariance[: space.size, : space.size], data_share=whole.data_share[own],
        knowledge=tuple(whole.knowledge[k] for k in own),
    )  # fmt: skip
    sd = np.sqrt(np.diag(whole.spread))
    return Allowed(
        allowing(estimated, beyond, space.prior_scale, _width(space)),
        _contradicted(rest, step[space.size :], sd[space.size :]),
        "uncertain",
    )


def _rest(problem: Problem, person: Parameters, *, moving: bool) -> ParameterSpace:
    """The space of what was not estimated, with its default bounds and priors about the value that is held."""
    model = problem.model
    patterns = [f"muscle/*/{f}" for f in (*_MUSCLE, *(["tendon_strain"] if model.muscle.remembers else []))]
    patterns += [f"joint/{c}/{f}" for c in model.free for f in ("damping", "stiffness")]
    if moving:
        patterns += [f"body/{b}/{f}" for b in moving_bodies(model) for f in ("mass", "com")]
    free, values = {s.path for s in problem.space.scalars}, person.to_dict()
    others = [p for p in matching(person, tuple(patterns)) if p not in free and (values[p] > 0 or "/com/" in p)]
    return parameter_space(person, others)


def _scales(rest: ParameterSpace) -> Float[np.ndarray, "held"]:
    """Standard deviations of what was held; a damping or stiffness is known to a part of itself."""
    scale = rest.prior_scale.copy()
    for k, (kind, mean) in enumerate(zip(rest.kinds, rest.prior_mean, strict=True)):
        if kind.transform == "linear" and not kind.offset:
            scale[k] = min(kind.prior_scale, HALF * mean)
    return scale


def _width(space: ParameterSpace) -> Float[np.ndarray, "free"]:
    return space.upper - space.lower


def _free(space: ParameterSpace, z: Float[np.ndarray, "free"]) -> Bool[np.ndarray, "free"]:
    """What does not rest on a bound."""
    margin = 1e-6 * _width(space)
    return (z > space.lower + margin) & (z < space.upper - margin)


def _differences(
    term: AbstractTerm,
    space: ParameterSpace,
    rest: ParameterSpace,
    z: Float[np.ndarray, "free"],
    person: Parameters,
    scale: Float[np.ndarray, "coordinate"],
    states: Any,
    prior_scale: Float[np.ndarray, "everything"],
    width: Float[np.ndarray, "everything"],
) -> tuple[Float[np.ndarray, "row coordinate"], Float[np.ndarray, "row coordinate everything"], np.ndarray]:
    """Residuals, how they change with every parameter, estimated or held, and the weight of their squares.

    By differences over a tenth of what is thought possible: what is held enters compiled functions as a value, so that
    no expansion in all of the parameters has to be compiled, which would take longer than the estimate.
    """
    person = jax.tree.map(np.asarray, person)
    others = list(_others(space, rest, z, person, PART * np.where(np.isfinite(prior_scale), prior_scale, width)))

    def of(person: Parameters) -> AbstractTerm:
        own = eqx.tree_at(lambda s: s.nominal, space, person)
        return replace(term, space=own, **({"latest": {}} if isinstance(term, MotionTerm) else {}))

    if isinstance(term, MotionTerm):
        moved = [(cast(MotionTerm, of(o.person)), o.z, o.step) for o in others]
        about, slopes = motion_slopes(term, z, scale, states, moved)
        about, slopes = (x.reshape(-1, *x.shape[2:]) for x in (about, slopes))
    else:
        if isinstance(term, MomentTerm) and term.course is None:
            active = term.activations_of(z)
            about, moving = term.evaluate_by(z, active), _moving(term, person, z, others, active)
            moved = (
                cast(MomentTerm, of(o.person)).evaluate_by(o.z, moving.get(k, active)) for k, o in enumerate(others)
            )
        else:
            about, moved = of(person).evaluate(z, scale), (of(o.person).evaluate(o.z, scale) for o in others)
        slopes = np.stack([(there - about) / o.step for there, o in zip(moved, others, strict=True)], axis=-1)
    weight = np.broadcast_to(scale**-2.0, about.shape).copy()
    if isinstance(term, MomentTerm):
        weight *= 1.0 if term.relative is None else term.relative**-2.0
        weight *= 1.0 if term.trust is None else term.trust
    return about, slopes, weight


@dataclass(frozen=True)
class _Other:
    """A person of whom one parameter has another value."""

    z: Float[np.ndarray, "free"]
    person: Parameters
    step: float
    drives: frozenset[tuple[str, int]]
    """What activations depend on and is another: ("emg", channel) and ("muscle", muscle)."""


def _others(
    space: ParameterSpace, rest: ParameterSpace, z: Float[np.ndarray, "free"], person: Parameters, over: np.ndarray
) -> Iterator[_Other]:
    """One for every parameter, estimated or held, `over` away from z and `person`."""
    with float64():
        held = np.asarray(rest.pack(person))
    for k, h in enumerate(over[: space.size]):
        step = h if z[k] + h <= space.upper[k] else -h
        yield _Other(z + step * (np.arange(space.size) == k), person, step, _drives(space, k))
    for k, h in enumerate(over[space.size :]):
        yield _Other(z, _other(rest, person, k, held[k] + h), h, _drives(rest, k))


def _drives(space: ParameterSpace, entry: int) -> frozenset[tuple[str, int]]:
    """What of an entry of z activations depend on."""
    own = (s for s, owner in zip(space.scalars, space.owner, strict=True) if owner == entry)
    return frozenset((s.group, s.index[0]) for s in own if s.group == "emg" or s.field in TIME_CONSTANTS)


def _moving(
    term: MomentTerm,
    person: Parameters,
    z: Float[np.ndarray, "free"],
    others: Sequence[_Other],
    active: Sequence[Float[np.ndarray, "instant lane"]],
) -> dict[int, list[Float[np.ndarray, "instant lane"]]]:
    """Activations of those of whom they differ, by their place in `others`.

    What moves different lanes moves together, in one recursion over all samples, which takes nearly all of the time.
    """
    behind = [{("muscle", lane.muscle), *(("emg", c) for c in lane.channels)} for lane in term.lanes.each]
    lanes = [{n for n, known in enumerate(behind) if o.drives & known} for o in others]
    groups: list[list[int]] = []
    for k in (k for k, own in enumerate(lanes) if own):
        apart = (group for group in groups if not any(lanes[k] & lanes[j] for j in group))
        group = next(apart, None)
        if group is None:
            groups.append([k])
        else:
            group.append(k)
    out = {}
    for group in groups:
        people = [others[k].person for k in group]
        whole = jax.tree.map(lambda x, *there: x + sum(y - x for y in there), person, *people)
        there = replace(term, space=eqx.tree_at(lambda s: s.nominal, term.space, whole))
        moved = there.activations_of(z + sum(others[k].z - z for k in group))
        for k in group:
            own = np.isin(np.arange(len(behind)), list(lanes[k]))
            out[k] = [np.where(own, x, a) for x, a in zip(moved, active, strict=True)]
    return out


def _other(rest: ParameterSpace, person: Parameters, entry: int, value: float) -> Parameters:
    """A person of whom one entry of what is held has another value; by `ParameterSpace.unpack`, which is made to be
    compiled, each takes twenty milliseconds."""
    arrays: dict[tuple[str, str], np.ndarray] = {}
    for s, owner, offset in zip(rest.scalars, rest.owner, rest.offset, strict=True):
        if owner == entry:
            own = arrays.setdefault((s.group, s.field), np.array(getattr(getattr(person, s.group), s.field)))
            own[s.index] = np.exp(value + offset) if KINDS[s.group, s.field].transform == "log" else value + offset
    return with_arrays(person, arrays)


def _newton_step(
    data: Float[np.ndarray, "everything everything"],
    gradient: Float[np.ndarray, "everything"],
    prior_scale: Float[np.ndarray, "everything"],
    width: Float[np.ndarray, "everything"],
    moves: Bool[np.ndarray, "everything"],
) -> Float[np.ndarray, "everything"]:
    """Where the estimate would have gone with everything unknown, at most a standard deviation of the prior; what rests
    on a bound stays there."""
    step, some = np.zeros(len(gradient)), np.ix_(moves, moves)
    known = uncertainty(data[some], prior_scale[moves], width=width[moves])
    step[moves] = -known.spread @ gradient[moves]
    most = np.where(np.isfinite(prior_scale), prior_scale, width)
    return np.clip(step, -most, most)


def _geometry(
    space: ParameterSpace, z: Float[np.ndarray, "free"], person: Parameters, *, scaled: bool
) -> Float[np.ndarray, "free"]:
    """Standard deviations of what stands for another geometry; `scaled`: by recorded moments."""
    fiber, slack = (np.asarray(getattr(person.muscle, f)) for f in ("optimal_fiber_length", "tendon_slack_length"))
    shared = 0.0 if scaled else TOGETHER
    arm = np.full(len(fiber), np.hypot(MOMENT_ARM, shared))
    by = dict(zip(_MUSCLE[:3], (arm, arm, np.hypot(PATH, arm * fiber / slack)), strict=True))
    out = np.zeros(space.size)
    for s, k in zip(space.scalars, space.owner, strict=True):
        if s.group == "muscle" and s.field in by:
            out[k] = max(out[k], by[s.field][s.index[0]])
        elif s.field in _RESISTING:  # in parts of itself: ln of a mass, a distance or a damping
            out[k] = shared * (1.0 if space.kinds[k].transform == "log" else abs(z[k]))
    return out


def _contradicted(
    rest: ParameterSpace, step: Float[np.ndarray, "held"], sd: Float[np.ndarray, "held"]
) -> tuple[str, ...]:
    clearly = [k for k in range(rest.size) if abs(step[k]) > CONTRADICTED * sd[k]]
    clearly.sort(key=lambda k: -abs(step[k]) / sd[k])
    return tuple(
        f"{rest.paths[k]} is held where the recordings speak against it, by {abs(step[k]) / sd[k]:.0f} standard "
        f"deviations for a {'larger' if step[k] > 0 else 'smaller'} one: free it"
        for k in clearly[:MOST_NAMED]
    )
