"""What the moments that a person was identified from say against the model: tests of fit, influence of each trial."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.identification.problem import Problem
from mjx_msm.knowledge.goodness_of_fit import fit_tests

INFLUENTIAL = 2.0
"""Standard deviations by which an estimate would move without a trial that are worth words."""


def against_the_model(
    problem: Problem,
    term: MomentTerm,
    scale: Float[np.ndarray, "coordinate"],
    z: Float[np.ndarray, "free"],
    covariance: Float[np.ndarray, "free free"],
) -> dict[tuple[str, str], tuple[str, ...]]:
    """In words, by trial and free coordinate."""
    residual, out = term.evaluate(z, scale), {}
    moved = _influence(problem, term, scale, z, covariance)
    for i, recording in enumerate(problem.recordings):
        for c, free in enumerate(term.model.free):
            rows = np.flatnonzero((term.trial == i) & (term.weight[:, c] > 0))
            if not len(rows):
                continue
            sample = term.sample[rows]
            beside = {f"the angle of {q}": term.position[rows, k] for k, q in enumerate(term.model.coordinates)}
            beside |= {f"the speed of {q}": term.velocity[rows, k] for k, q in enumerate(term.model.coordinates)}
            beside |= {f"EMG of {e}": recording.envelope[sample, k] for k, e in enumerate(problem.channels)}
            interval = float(np.median(np.diff(sample))) * term.model.timestep if len(sample) > 1 else 0.0
            out[recording.name, free] = (*fit_tests(residual[rows, c], interval, beside), *moved.get(i, ()))
    return out


def _influence(
    problem: Problem,
    term: MomentTerm,
    scale: Float[np.ndarray, "coordinate"],
    z: Float[np.ndarray, "free"],
    covariance: Float[np.ndarray, "free free"],
) -> dict[int, tuple[str, ...]]:
    """Where one trial alone decides: the estimate that would move most without it.

    One Newton step from the estimate with the trial left out, which needs one expansion a trial and no search; a step
    over a bound ends there.
    """
    space, count = problem.space, len(problem.recordings)
    if count < 2:
        return {}
    each = [term.only(i).expand(z).reduce(scale) for i in range(count)]
    weight = scale[:, None, None] ** -2.0
    information = [(q.hessian * weight).sum(axis=0) for q in each]
    gradients = [(q.gradient * weight[:, :, 0]).sum(axis=0) for q in each]
    sd = np.sqrt(np.diag(covariance))
    margin = 1e-6 * (space.upper - space.lower)
    inside = (z > space.lower + margin) & (z < space.upper - margin)  # what rests on a bound stays
    out = {}
    for i in range(count):
        rest = sum(h for k, h in enumerate(information) if k != i) + np.diag(space.prior_scale**-2.0)
        step = np.zeros(space.size)
        free = np.ix_(inside, inside)
        step[inside] = np.linalg.lstsq(rest[free], gradients[i][inside], rcond=None)[0]
        step = np.clip(z + step, space.lower, space.upper) - z
        by = np.abs(step) / np.where(sd > 0, sd, np.inf)
        most = int(np.argmax(by))
        if np.isfinite(by[most]) and by[most] > INFLUENTIAL:
            out[i] = (f"without this trial {space.paths[most]} would move by about {by[most]:.1f} standard deviations",)
    return out
