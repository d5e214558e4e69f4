"""What recordings say against the model a person was identified with: tests of fit, what a trial or a kind of residual
decides alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.residuals.instants import InstantTerm
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.term import Quadratic
from mjx_msm.estimation.residuals.windows import WindowTerm
from mjx_msm.identification.problem import Problem
from mjx_msm.knowledge.goodness_of_fit import fit_tests
from mjx_msm.knowledge.records import Moved
from mjx_msm.knowledge.wording import called

INFLUENTIAL = 2.0
"""Standard deviations by which an estimate would move without a trial that are worth words."""
SHARED = 0.05
"""Of what a part tells of a parameter, the least that the others do: of what it alone tells, it contradicts nothing."""


@dataclass(frozen=True)
class _Move:
    """Of the estimate, without a part of the data."""

    name: str
    """Of what moves most."""
    by: float
    """How far it does [standard deviations]."""
    step: Float[np.ndarray, "free"]


def against_the_model(
    problem: Problem,
    term: InstantTerm | WindowTerm,
    scale: Float[np.ndarray, "coordinate"],
    z: Float[np.ndarray, "free"],
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Tests of fit in words, by trial and free coordinate."""
    residual, out = term.evaluate(z, scale), {}
    for i, recording in enumerate(problem.recordings):
        for c, free in enumerate(term.model.free):
            rows = np.flatnonzero((term.trial == i) & (term.weight[:, c] > 0))
            if not len(rows):
                continue
            sample = term.sample[rows]
            position, velocity = recording.smooth_position[sample], recording.smooth_velocity[sample]
            beside = {f"the angle of {q}": position[:, k] for k, q in enumerate(term.model.coordinates)}
            beside |= {f"the speed of {q}": velocity[:, k] for k, q in enumerate(term.model.coordinates)}
            beside |= {f"EMG of {e}": recording.envelope[sample, k] for k, e in enumerate(problem.channels)}
            interval = float(np.median(np.diff(sample))) * term.model.timestep if len(sample) > 1 else 0.0
            out[recording.name, free] = fit_tests(residual[rows, c], interval, beside)
    return out


def disagreement(
    problem: Problem,
    kinds: Sequence[str],
    parts: Sequence[Quadratic],
    scales: Sequence[Float[np.ndarray, "coordinate"]],
    z: Float[np.ndarray, "free"],
    covariance: Float[np.ndarray, "free free"],
) -> dict[str, tuple[str, ...]]:
    """Whether kinds of residual, such as motion and moment, agree: by kind, what would move most without it.

    Measured by what that move is by chance, whose variance is the estimate's without the kind less that with it: what
    both rest on moves neither (Hausman 1978, doi 10.2307/1913827).

    **Arguments:** `parts`: every kind about z.
    """
    weight = [s[:, None, None] ** -2.0 for s in scales]
    information = [(p.hessian * w).sum(axis=0) for p, w in zip(parts, weight, strict=True)]
    gradients = [(p.gradient * w[:, :, 0]).sum(axis=0) for p, w in zip(parts, weight, strict=True)]
    moved = _without(problem, information, gradients, z, covariance, by_chance=True)
    return {
        kinds[i]: (
            f"without its {kinds[i]} residuals {move.name} would move by about {move.by:.1f} times what chance "
            "moves it",
        )
        for i, move in moved.items()
    }


def influence(
    problem: Problem,
    term: MomentTerm,
    scale: Float[np.ndarray, "coordinate"],
    z: Float[np.ndarray, "free"],
    covariance: Float[np.ndarray, "free free"],
) -> dict[tuple[str, str], Moved]:
    """Where a trial has an opinion of its own of what others tell, too: the estimate that would move most without it,
    and by how much all that move then changes its moments, by trial and free coordinate.

    One Newton step from the estimate with the trial left out, which needs no search; a step over a bound ends there.
    """
    if len(problem.recordings) < 2 or problem.settings.unmeasured:  # then it is not the term that was solved
        return {}
    each, weight = term.expand(z).by_trial, scale[:, None, None] ** -2.0
    information = list((each.hessian * weight).sum(axis=1))
    gradients = list((each.gradient * weight[:, :, 0]).sum(axis=1))
    out = {}
    for i, move in _without(problem, information, gradients, z, covariance).items():
        for c, free in enumerate(problem.model.free):
            count = np.count_nonzero((term.trial == i) & (term.weight[:, c] > 0))
            if count:
                change = np.sqrt(max(float(move.step @ each.hessian[i, c] @ move.step), 0.0) / count)
                out[problem.recordings[i].name, free] = Moved(move.name, move.by, float(change))
    return out


def _without(
    problem: Problem,
    information: Sequence[Float[np.ndarray, "free free"]],
    gradients: Sequence[Float[np.ndarray, "free"]],
    z: Float[np.ndarray, "free"],
    covariance: Float[np.ndarray, "free free"],
    *,
    by_chance: bool = False,
) -> dict[int, _Move]:
    """Of data in parts, what would move most without each of them.

    **Arguments:** `by_chance`: those of the move, not of the estimate.
    """
    space = problem.space
    if len(information) < 2:
        return {}
    sd = np.sqrt(np.diag(covariance))
    margin = 1e-6 * (space.upper - space.lower)
    inside = (z > space.lower + margin) & (z < space.upper - margin)  # what rests on a bound stays
    out = {}
    for i in range(len(information)):
        rest = sum(h for k, h in enumerate(information) if k != i) + np.diag(space.prior_scale**-2.0)
        step = np.zeros(space.size)
        free = np.ix_(inside, inside)
        step[inside] = np.linalg.lstsq(rest[free], gradients[i][inside], rcond=None)[0]
        step = np.clip(z + step, space.lower, space.upper) - z
        moves = sd.copy()
        if by_chance:
            with_it = rest + information[i]
            faint = 1e-10 * np.diag(np.diag(with_it))  # what nothing else determines moves anywhere
            both = [np.diag(np.linalg.pinv((m + faint)[free], hermitian=True)) for m in (rest, with_it)]
            moves[inside] *= np.sqrt(np.maximum(both[0] / both[1] - 1.0, 0.0))
        by = np.abs(step) / np.where(moves > 1e-6 * sd, moves, np.inf)
        others = sum(np.diag(h) for k, h in enumerate(information) if k != i)
        by[others < SHARED * np.diag(information[i])] = 0.0
        most = int(np.argmax(by))
        if np.isfinite(by[most]) and by[most] > INFLUENTIAL:
            out[i] = _Move(called(space.paths[most], space.members[most]), float(by[most]), step)
    return out
