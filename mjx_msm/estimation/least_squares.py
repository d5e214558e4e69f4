"""Bounded nonlinear least squares with unknown noise scales: Gauss–Newton in a box.

Minimised is the negative log posterior with every coordinate's noise scale at its own best value,

    Σ ν ln σ(z) + ½ Σ ((z − prior mean)/prior scale)² + ½ Σ w²,        σ² = (sum of squared residuals)/ν,

w the nuisance unknowns that have a prior, over its standard deviation, and ν the degrees of freedom that the data of a
coordinate leave (see `unknowns_used`). Its Gauss–Newton matrix is that of ordinary least squares with weights 1/σ², so
that a step costs nothing extra and the scales need no alternation. Steps (`mjx_msm.estimation.bounded_step`) are damped
by Nielsen's update (IMM-REP-1999-05).

A model of a person leaves residuals that are not small, and then Gauss–Newton crawls: on recorded walks the curvature
of the posterior is up to 17 times that of its matrix. Where a term knows its second derivatives, Σ r ∂²r is added.
Where residuals vanish at the solution Gauss–Newton is the better model from far away: there it comes first, and each
step uses the one that foretold the last step better (Dennis, Gay, Welsch 1981, doi 10.1145/355958.355965). Where no
term knows them, they are learnt from how the gradient changes from iterate to iterate, as there; but not beside
nuisance unknowns that have not `settled`: until then the gradient is that of the linearisation, and of an arm with half
of its parameters held wrongly the solver was led astray, to a motion 1.4 rad off. A step that lost is shortened to
where the parabola through its slope and its loss is least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.bounded_step import bounded_step
from mjx_msm.estimation.residuals.term import AbstractExpansion, AbstractTerm, Quadratic
from mjx_msm.person.space import ParameterSpace

# Below this a residual is round-off, not noise.
NOISE_FLOOR = {"acceleration": 1e-7, "moment": 1e-7, "motion": 1e-9}
TOLERANCE = 1e-6
"""A promised gain in log posterior that is worth no further step by default: it moves nothing by a thousandth of its
standard deviation."""
CAREFUL, BOLD, LARGEST_DAMPING = 1e-2, 1e-6, 1e6
"""Damping to begin with far from a solution and near it, and at most, relative to the trace of the matrix."""
CLEARLY = 1.2
"""By which factor the other of two models has to foretell a step better to be taken instead."""
SHORTER, SHORTEST, LONGEST = 2.0, 0.1, 0.7
"""Factor by which damping grows until a step is short enough, and parts of a step that lost something to try next."""
KINKED, KEPT, UNKEPT = 5e-3, 0.25, 3
"""Promised gains of a tenth of a standard deviation at most, of which no more than this part was kept by so many steps
in a row, the first of which gained something: what is left are kinks, where samples of EMG meet 1 or a delay meets
samples. Where none gains, it is the slope that is wrong, and no kink."""
RETURNS = 5
"""How often in a row an end that was looked at again may be neither better than the best one before nor nearer to what
was foreseen of it: then the solver goes in circles, as where nuisance unknowns do not settle (a foot that meets the
ground at every look at another time)."""
NEARER = 0.9
"""Part of the least surprise so far that one has to be below to be nearer. Of few samples, where every count of the
unknowns changes the noise that the next one goes by, costs of ends rise on the way and surprises fall."""
COUNTED_ANEW = 0.1
"""Gain of a step after which the unknowns that the samples use up are counted anew."""


@dataclass(frozen=True)
class Place:
    """Where `minimise` is after an iterate: all it needs to go on from there, to the bit."""

    z: Float[np.ndarray, "free"]
    nuisance: list[Any]
    """About which the terms are linearised."""
    scales: list[Float[np.ndarray, "coordinate"]]
    """That the nuisance unknowns are weighed by."""
    used: list[Float[np.ndarray, "coordinate"]] | None
    """Degrees of freedom that were taken over; None: counted."""
    spreads: list[Any] | None
    """How noise differs between trials, of every term, where that was taken over; None: found anew."""
    damping: float
    bent: bool
    """Whether the next step is by the model with second derivatives."""
    unkept: int
    """Steps in a row that kept little of what they promised, from one that gained something."""
    evaluations: int
    learnt: Float[np.ndarray, "free free"] | None = None
    """Second derivatives learnt on the way; None where terms know them, or nothing was learnt yet."""
    ends: tuple[float, float, int] = (np.inf, np.inf, 0)
    """Of ends that were looked at again the least cost, the least change of it by that, and how many in a row had
    neither."""


@dataclass
class Solution:
    """Where the solver is, and in the end where it came to."""

    z: Float[np.ndarray, "free"]
    scales: list[Float[np.ndarray, "coordinate"]]
    """Noise scale per term and coordinate."""
    cost: float = np.inf
    """Negative log posterior, up to a constant."""
    evaluations: int = 0
    converged: bool = False
    spent: bool = False
    """Whether it ended for want of evaluations."""
    interrupted: bool = False
    starts: int = 0
    """Starting points tried to their end, where it is the best of several."""
    nuisance: list[Any] | None = None
    """Nuisance unknowns of every term at z."""
    relative: list[Float[np.ndarray, "trial coordinate"] | None] | None = None
    """Noise of every trial over that of all, of every term where it differs."""
    place: Place | None = None
    """Where to go on from, if need be."""


@dataclass
class _Point:
    """The problem linearised at one z."""

    z: Float[np.ndarray, "free"]
    expansions: list[AbstractExpansion]
    scales: list[Float[np.ndarray, "coordinate"]]
    used: list[Float[np.ndarray, "coordinate"]]
    """Unknowns that the samples of every term and coordinate use up."""
    spreads: list[Any]
    """How noise differs between trials, of every term."""
    given: tuple[list[Float[np.ndarray, "coordinate"]], list[Float[np.ndarray, "coordinate"]] | None, list[Any] | None]
    """Scales, unknowns used up and spreads that it was assessed with."""
    cost: float
    gradient: Float[np.ndarray, "free"]
    data: Float[np.ndarray, "free free"]
    """Gauss–Newton matrix of the data alone."""
    bend: Float[np.ndarray, "free free"] | None
    """What the residuals' second derivatives add to it, as far as terms know them."""


def minimise(
    terms: Sequence[AbstractTerm],
    space: ParameterSpace,
    z: Float[np.ndarray, "free"],
    *,
    limit: int,
    tolerance: float = TOLERANCE,
    damping: float = CAREFUL,
    nuisance: list[Any] | None = None,
    scales: list[Float[np.ndarray, "coordinate"]] | None = None,
    by_trial: bool = False,
    place: Place | None = None,
    report: Callable[[Solution], None] = lambda solution: None,
) -> Solution:
    """From z to the nearest local minimum.

    **Arguments:**

    - `limit`: of evaluations.
    - `damping`: of the first step.
    - `nuisance`: of the terms, to begin with.
    - `scales`: noise scales to keep as they are; without them a start far off takes its misfit for noise and lets the
      prior pull it away.
    - `by_trial`: whether noise differs between trials, see `mjx_msm.estimation.noise_by_trial`.
    - `place`: of an iterate that an earlier call with the same arguments reported, to go on from.
    - `report`: called with every new iterate.

    **Returns:** the best point seen; a `KeyboardInterrupt` at any time returns it too. It is `converged` where no step
    promises more than the tolerance, or where residuals are round-off; or beside kinks of the cost, where three steps
    in a row, the first of which gained something, promised less than 0.005 and kept less than a quarter of that. Where
    it comes to ends that are none, one after another and none better than the best nor nearer to being one, it is the
    last of them, and not `converged`.

    Nuisance unknowns are not damped with z: they go all the way to where the linearisation sees them at their best,
    which makes convergence quadratic near a solution. Far from one the states of a motion may run away, and the solver
    then ends without `converged`: so did 8 of 12 arms started 50 % off in all of muscle and bone with no acceleration
    stage before (states of 100 rad/s and more; started 2 % and 10 % off, none of 4). That stage is the remedy: damping
    the states too, by half with every rejected step, brought back none of the five of them that were tried again.
    """
    solution = Solution(space.clip(z), [np.ones(t.weight.shape[1]) for t in terms], nuisance=nuisance)
    problem = _Problem(terms, space, scales, by_trial and scales is None)
    try:
        if place is None:
            point = problem.linearise(solution.z, solution.nuisance)
            solution.evaluations = 1
        else:
            about = [t.expand(place.z, n) for t, n in zip(terms, place.nuisance, strict=True)]
            point = problem.assess(place.z, about, place.scales, place.used, place.spreads)
            solution.evaluations, damping = place.evaluations, place.damping
        if not np.isfinite(point.cost):
            return solution
        growth, reach = 2.0, np.inf
        bent, unkept = (damping < CAREFUL, 0) if place is None else (place.bent, place.unkept)
        learnt, ends = (None, (np.inf, np.inf, 0)) if place is None else (place.learnt, place.ends)
        _accept(solution, point, damping, bent, unkept, learnt, ends)
        report(solution)
        while solution.evaluations < limit:
            if _at_floor(terms, point.scales):
                solution.converged = True
                break
            bend = learnt if point.bend is None else point.bend
            step, promised = bounded_step(space, point.z, point.gradient, point.data, bend if bent else None, damping)
            if not np.isfinite(promised):  # no step was found
                if damping > LARGEST_DAMPING:
                    break
                damping = max(damping, BOLD) * growth
                growth *= 2
                continue
            refused = growth > 2.0  # larger steps from here
            if _length(space, step) > reach and damping <= LARGEST_DAMPING:
                damping = max(damping, BOLD) * SHORTER
                continue
            if promised <= tolerance and not refused and damping > 1e-12:
                damping *= 0.1  # a small step because it was damped, not because there is nothing to gain
                continue
            if promised <= tolerance or unkept >= UNKEPT or damping > LARGEST_DAMPING:
                again, evaluations = problem.again(point)
                solution.evaluations += evaluations
                surprise = abs(again.cost - point.cost)
                if not surprise > (KINKED if unkept >= UNKEPT else tolerance):
                    solution.converged = True
                    break
                if not np.isfinite(again.cost):
                    break
                point, damping, growth, reach, unkept = again, min(damping, BOLD), 2.0, np.inf, 0
                least, nearest, vain = ends
                vain = 0 if again.cost < least - tolerance or surprise < NEARER * nearest else vain + 1
                ends = min(least, again.cost), min(nearest, surprise), vain
                _accept(solution, point, damping, bent, unkept, learnt, ends)
                if vain > RETURNS:
                    break
                continue
            guess = [e.follow(step) for e in point.expansions]
            trial = problem.linearise(point.z + step, guess, point)
            solution.evaluations += 1
            gained = point.cost - trial.cost
            bent = _bends(space, point, bend, step, gained, bent)
            kinked = promised < KINKED and gained < KEPT * promised
            unkept = unkept + 1 if kinked and (unkept or gained > 0) else 0
            if np.isfinite(trial.cost) and gained > 0:
                ratio = gained / promised
                damping *= max(1 / 10, 1 - (2 * min(ratio, 1.5) - 1) ** 3)
                growth, reach = 2.0, np.inf
                # the count of unknowns changes what is minimised: it stays once steps gain little
                known = (None, None) if gained > COUNTED_ANEW else (trial.used, trial.spreads)
                last, point = point, problem.assess(trial.z, trial.expansions, trial.scales, *known)
                if point.bend is None and all(e.settled for e in point.expansions):
                    learnt = _learnt(space, learnt, last, point)
                _accept(solution, point, damping, bent, unkept, learnt, ends)
                report(solution)
            else:
                growth, reach = growth * 2, _length(space, step) * _part(point, step, gained)
        else:
            solution.spent = True
    except KeyboardInterrupt:
        solution.interrupted = True
    return solution


def better(
    terms: Sequence[AbstractTerm],
    space: ParameterSpace,
    one: Float[np.ndarray, "free"],
    other: Float[np.ndarray, "free"],
    *,
    by_trial: bool = False,
) -> Float[np.ndarray, "free"]:
    """The better one of two points, with the unknowns that samples use up, and how noise differs between trials, as at
    the first: what is counted anew at each is another cost. Takes two evaluations."""
    problem = _Problem(terms, space, None, by_trial)
    begin = problem.linearise(space.clip(one), None)
    end = problem.linearise(space.clip(other), None, begin)
    return end.z if end.cost < begin.cost or not np.isfinite(begin.cost) else begin.z


def _accept(
    solution: Solution,
    point: _Point,
    damping: float,
    bent: bool,
    unkept: int,
    learnt: Float[np.ndarray, "free free"] | None,
    ends: tuple[float, float, int],
) -> None:
    nuisance = [e.follow(np.zeros_like(point.z)) for e in point.expansions]
    about = [e.about for e in point.expansions]
    solution.place = Place(point.z, about, *point.given, damping, bent, unkept, solution.evaluations, learnt, ends)
    # at once: an interrupt must not leave half of it
    relative = [getattr(e, "relative", None) for e in point.expansions]
    solution.z, solution.scales, solution.cost = point.z, point.scales, point.cost
    solution.nuisance, solution.relative = nuisance, relative


def _length(space: ParameterSpace, step: Float[np.ndarray, "free"]) -> float:
    """Of a step, in the unit of each unknown's usual spread."""
    return float(np.linalg.norm(step / [kind.prior_scale for kind in space.kinds]))


def _part(point: _Point, step: Float[np.ndarray, "free"], gained: float) -> float:
    """Which part of a step that lost something gains most: where the parabola through slope and loss is least."""
    slope = -float(point.gradient @ step)
    part = slope / (2 * (slope - gained)) if np.isfinite(gained) and slope > 0 else 0.0
    return float(np.clip(part, SHORTEST, LONGEST))


def _at_floor(terms: Sequence[AbstractTerm], scales: Sequence[np.ndarray]) -> bool:
    return all(np.all(s <= 1.01 * NOISE_FLOOR[t.kind]) for t, s in zip(terms, scales, strict=True))


@dataclass(frozen=True)
class _Problem:
    terms: Sequence[AbstractTerm]
    space: ParameterSpace
    scales: list[Float[np.ndarray, "coordinate"]] | None
    """Noise scales, if they are known."""
    by_trial: bool
    """Whether trials have their own."""

    def linearise(
        self, z: Float[np.ndarray, "free"], nuisance: list[Any] | None, beside: _Point | None = None
    ) -> _Point:
        """Expand every term at z.

        **Arguments:** `beside`: a point to compare with; its degrees of freedom are taken over, since the cost would
        jump with them, and its scales weigh the elimination of nuisance unknowns.
        """
        guesses = [None] * len(self.terms) if nuisance is None else nuisance
        expansions = [t.expand(z, n) for t, n in zip(self.terms, guesses, strict=True)]
        if beside is not None:
            return self.assess(z, expansions, beside.scales, beside.used, beside.spreads)
        scales = rough_scales(self.terms, expansions) if self.scales is None else self.scales
        return self.assess(z, expansions, scales)

    def again(self, point: _Point) -> tuple[_Point, int]:
        """The point with its unknowns counted, and looked at again with nuisance unknowns where it foresaw them.

        Until then its cost is that of an earlier count, and a prediction as long as nuisance unknowns have not settled.
        **Returns:** also how many evaluations that took.
        """
        follow = [e.follow(np.zeros_like(point.z)) for e in point.expansions]
        if all(f is None for f in follow):
            return self.assess(point.z, point.expansions, point.scales), 0
        return self.linearise(point.z, follow, point), 1

    def assess(
        self,
        z: Float[np.ndarray, "free"],
        expansions: list[AbstractExpansion],
        scales: list[Float[np.ndarray, "coordinate"]],
        used: list[Float[np.ndarray, "coordinate"]] | None = None,
        spreads: list[Any] | None = None,
    ) -> _Point:
        """Noise scales, cost and Gauss–Newton system.

        **Arguments:** `used`: unknowns used up, None to count them. `spreads`: of the trials' noise, None to find them.
        """
        terms, space, given = self.terms, self.space, (scales, used, spreads)
        saved: list[Any] = [0.0] * len(terms)
        if self.by_trial:
            spreads = [e.spread() for e in expansions] if spreads is None else spreads
            weighed = [(e, 0.0) if d is None else e.at_own_noise(d) for e, d in zip(expansions, spreads, strict=True)]
            expansions, saved = map(list, zip(*weighed, strict=True))
        parts = [e.reduce(s) for e, s in zip(expansions, scales, strict=True)]
        if used is None and self.scales is not None:
            used = [0.0 * s for s in self.scales]  # they say nothing new of known scales
        if used is None:
            shared = unknowns_used(space, parts, scales)
            used = [u + e.absorbed(s) for u, e, s in zip(shared, expansions, scales, strict=True)]
        cost = sum(0.5 * float(p.nuisance.squares[0]) for p in parts if p.nuisance is not None)
        if self.scales is None:
            left = [freedom(t, u) for t, u in zip(terms, used, strict=True)]
            parts, scales = reweighed(terms, expansions, parts, left)
            cost += sum(float(np.sum(v * (np.log(s) + e))) for v, s, e in zip(left, scales, saved, strict=True))
        else:
            cost += sum(0.5 * float(np.sum(p.squares / s**2)) for p, s in zip(parts, scales, strict=True))
        gradient, data = weighted(parts, scales)
        bend = bending(parts, scales)
        away = (z - space.prior_mean) / space.prior_scale
        cost += 0.5 * float(away @ away)
        gradient += away / space.prior_scale
        return _Point(z, expansions, scales, used, spreads or [], given, cost, gradient, data, bend)


# Noise scales ----------------------------------------------------------------------------------------------


def rough_scales(
    terms: Sequence[AbstractTerm], expansions: Sequence[AbstractExpansion]
) -> list[Float[np.ndarray, "coordinate"]]:
    """Noise scales to begin with: coordinates weigh alike, and no unknown is counted."""
    ones = [np.ones(t.weight.shape[1]) for t in terms]
    rows = zip(terms, expansions, ones, strict=True)
    return [noise(t, e.reduce(o).squares, freedom(t, 0 * o)) for t, e, o in rows]


def reweighed(
    terms: Sequence[AbstractTerm],
    expansions: Sequence[AbstractExpansion],
    parts: Sequence[Quadratic],
    freedoms: Sequence[Float[np.ndarray, "coordinate"]],
) -> tuple[list[Quadratic], list[Float[np.ndarray, "coordinate"]]]:
    """Quadratics with nuisance unknowns eliminated anew, and the noise scales for that, from those before."""
    scales = [noise(t, p.squares, v) for t, p, v in zip(terms, parts, freedoms, strict=True)]
    return [e.reduce(s) for e, s in zip(expansions, scales, strict=True)], scales


def weighted(
    parts: Sequence[Quadratic], scales: Sequence[Float[np.ndarray, "coordinate"]]
) -> tuple[Float[np.ndarray, "free"], Float[np.ndarray, "free free"]]:
    """Gradient and Gauss–Newton matrix of ½ Σ (residual/scale)² + ½ Σ w²."""
    pairs = list(zip(parts, scales, strict=True))
    pairs += [(p.nuisance, np.ones(1)) for p in parts if p.nuisance is not None]
    gradient = sum(np.einsum("ci,c->i", p.gradient, s**-2.0) for p, s in pairs)
    hessian = sum(np.einsum("cij,c->ij", p.hessian, s**-2.0) for p, s in pairs)
    return np.asarray(gradient), np.asarray(hessian)


def bending(
    parts: Sequence[Quadratic], scales: Sequence[Float[np.ndarray, "coordinate"]]
) -> Float[np.ndarray, "free free"] | None:
    """Σ r ∂²r of residuals over their scales, as far as terms know it; None if none does."""
    bends = [(p.curvature, s) for p, s in zip(parts, scales, strict=True) if p.curvature is not None]
    return np.sum([np.einsum("cij,c->ij", b, s**-2.0) for b, s in bends], axis=0) if bends else None


def unknowns_used(
    space: ParameterSpace, parts: Sequence[Quadratic], scales: Sequence[Float[np.ndarray, "coordinate"]]
) -> list[Float[np.ndarray, "coordinate"]]:
    """Unknowns that the samples of every term and coordinate use up: tr((F + P)⁻¹ F_c), where F = Σ F_c.

    F_c is the information of one coordinate of one term, P the prior's precision. All of them are fitted together by
    the same unknowns, so that what they use up adds up to what the data determine, tr((F + P)⁻¹ F), once. With the
    unknowns integrated out, minus the log likelihood of the scales is Σ (n_c ln σ_c + S_c/(2σ_c²)) + ½ ln det(F + P)
    for n_c samples with S_c their sum of squares, and the derivative by ln σ_c is zero where
    σ_c² = S_c/(n_c − tr((F + P)⁻¹ F_c)) (Patterson and Thompson 1971, doi 10.1093/biomet/58.3.545; MacKay 1992,
    doi 10.1162/neco.1992.4.3.415).
    """
    data = weighted(parts, scales)[1]
    if not np.isfinite(data).all():
        return [np.zeros(len(s)) for s in scales]
    unit = np.where(np.isfinite(space.prior_scale), space.prior_scale, space.upper - space.lower)
    scaled = unit[:, None] * data * unit
    held = 1.0 if np.isfinite(space.prior_scale).any() else 1e-10 * max(np.linalg.norm(scaled, 2), 1e-300)
    inverse = unit[:, None] * np.linalg.inv(scaled + held * np.eye(len(unit))) * unit
    return [
        np.maximum(np.einsum("ij,cij->c", inverse, p.hessian), 0.0) / s**2 for p, s in zip(parts, scales, strict=True)
    ]


def freedom(term: AbstractTerm, used: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "coordinate"]:
    """Degrees of freedom that a coordinate's samples leave for its noise, of which the unknowns use up `used`."""
    count = term.weight.sum(axis=0)
    return np.maximum(count - term.eliminated - used, np.maximum(0.2 * count, 1.0))


def noise(
    term: AbstractTerm, squares: Float[np.ndarray, "coordinate"], freedom: Float[np.ndarray, "coordinate"]
) -> Float[np.ndarray, "coordinate"]:
    """Noise scale per coordinate: root mean square of its residuals per degree of freedom."""
    return np.maximum(np.sqrt(squares / freedom), NOISE_FLOOR[term.kind])


def _learnt(
    space: ParameterSpace, known: Float[np.ndarray, "free free"] | None, before: _Point, after: _Point
) -> Float[np.ndarray, "free free"] | None:
    """Σ r ∂²r from what a step made of the gradient: NL2SOL's sized secant update of Davidon, Fletcher and Powell."""
    step, turned = after.z - before.z, after.gradient - before.gradient
    along = float(turned @ step)
    if not along > 0:
        return known
    wanted = turned - after.data @ step - step / space.prior_scale**2  # what Gauss–Newton's matrix leaves of it
    known = np.zeros_like(after.data) if known is None else known
    had = float(step @ known @ step)
    known = known * (min(1.0, abs(float(step @ wanted) / had)) if had else 1.0)
    missed = wanted - known @ step
    pair = np.outer(missed, turned) / along
    return known + pair + pair.T - float(missed @ step) * np.outer(turned, turned) / along**2


def _bends(
    space: ParameterSpace,
    point: _Point,
    bend: Float[np.ndarray, "free free"] | None,
    step: Float[np.ndarray, "free"],
    gained: float,
    bent: bool,
) -> bool:
    """Whether the model with second derivatives foretold the gain of a step better than the one without. Of a step
    that lost, neither knew much: it is no reason to leave it again."""
    if bend is None or not np.isfinite(gained) or (bent and gained <= 0):
        return bent
    prior = step / space.prior_scale
    flat = -float(point.gradient @ step + 0.5 * (step @ point.data @ step + prior @ prior))
    without, with_them = abs(flat - gained), abs(flat - 0.5 * float(step @ bend @ step) - gained)
    return with_them < without / CLEARLY if not bent else with_them < without * CLEARLY
