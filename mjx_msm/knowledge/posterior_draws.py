"""Draws of the posterior that go through the recorded moments, where those of the Laplace approximation miss them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.estimation.checkpoint import Descents, computed_from, digest, kept_descents
from mjx_msm.estimation.residuals.freed import with_unknown_courses
from mjx_msm.estimation.residuals.instants import InstantTerm
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.knowledge.log_posterior import Posterior, posterior_of
from mjx_msm.knowledge.posterior import rounded_draws
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model
from mjx_msm.recordings.trial import Trial, trials_of

EVALUATIONS = 60
"""Of one draw, at most."""
NEAR = 1e-4
"""Damping to begin with: a draw is not far from where it goes."""
SETTLED = 0.1
"""Promised gain in log posterior that is worth no further step of a draw."""
APART = 1e-3
"""Part of the way to a draw over which the residuals' derivative is taken."""
NEARER = 0.9
"""By which part of its distance a draw may come nearer to a bound."""


@one_blas_thread
def completed_draws(
    model: Model,
    trials: Trial | Sequence[Trial],
    result: Identification,
    listener: Callable[[int], None] = lambda done: None,
    *,
    checkpoint: str | Path | None = None,
) -> Identification:
    """The result with draws that predict the recordings as well as its covariance promises.

    Far along a direction that the data leave open, the model is curved: a draw z_s of the normal distribution about the
    estimate ẑ is off the recordings by much more than J (z_s − ẑ), the change that the distribution stands for. In its
    place come the nearest parameters that make this change,

        argmin_z  ½ ‖(r(z) − r(ẑ) − J (z_s − ẑ))/σ‖² + ½ ‖(z − z_s)/s‖²,

    r the residuals, J their derivative at ẑ, σ the noise and s the standard deviations of the priors. Where the model
    is linear that is z_s itself, at whichever instants r is compared: of long recordings some pieces stand for all
    (`MomentTerm.in_pieces`), and weigh as much. A draw comes nearer to a bound by at most nine tenths, so that draws do
    not pile up there.

    Where muscles had no EMG, J is that with their courses following, and r has them driven by what they were found to
    go with: people whose unmeasured muscles are those of the estimate.

    This is a map of every draw of the Laplace approximation, with that one's spread, which counts residuals that repeat
    each other as fewer. Like randomised maximum likelihood, which draws the noise and the prior instead (Bardsley et
    al. 2014, doi 10.1137/140964023; Ba et al. 2021, arXiv 2101.03612), it is exact for a linear model only; draws are
    neither weighted nor rejected.

    **Arguments:** `model`, `trials`: those that `result` was identified from. `listener`: called after every draw with
    how many are done. `checkpoint`: a file to keep the draws in, as they come; where it exists, those in it are done.

    **Returns:** `result` itself if it has completed draws already, did not end, was fitted to motion, whose Laplace
    approximation has been found right by MCMC (``examples/benchmarks/posterior.py``), or learnt nothing because unknown
    courses of unmeasured muscles explain all that was recorded: its draws are the prior's, and bands are as wide.

    **Raises:** `InputError` if the recordings do not fit the result, it was made with another integrator, or the
    checkpoint is of another.
    """
    if not result.misses_recording:
        return result
    trials = trials_of(trials)
    posterior = posterior_of(model, trials, result)

    def configuration() -> dict[str, Any]:
        about = digest(*(np.array(x) for x in (result.z, result.covariance, result.samples)))
        what = {"what": "posterior draws", "hashes": dict(result.hashes), "result": about}
        return {**what, **computed_from(model, trials)}

    with kept_descents(checkpoint, configuration) as descents:
        done = _completed(posterior, result, descents, listener)
    space = posterior.space
    return replace(result, samples=rounded_draws(np.array(done), space.lower, space.upper), completed=True)


def _completed(
    posterior: Posterior, result: Identification, descents: Descents, listener: Callable[[int], None]
) -> list[Float[np.ndarray, "free"]]:
    """Every draw, taken through the recording."""
    z, space = np.array(result.z), posterior.space
    weighed, scales = posterior.weighed(z)
    terms, scales = _standing_for(weighed, scales)
    freed = [with_unknown_courses(t.model, t, result.unmeasured) for t in terms]
    at_estimate = [t.evaluate(z, s) for t, s in zip(terms, scales, strict=True)]
    anchored, done = np.isfinite(space.prior_scale), []
    for draw in np.array(result.samples):
        known = descents.known(draw)
        if known is not None:
            done.append(known.z)
            listener(len(done))
            continue
        there, here = z + APART * (draw - z), z - APART * (draw - z)
        wanted = [
            r + (t.evaluate(there, s) - t.evaluate(here, s)) / (2 * APART)
            for t, s, r in zip(freed, scales, at_estimate, strict=True)
        ]
        shifted = [replace(t, target=t.target + r) for t, r in zip(terms, wanted, strict=True)]
        about = eqx.tree_at(
            lambda s: (s.prior_mean, s.lower, s.upper),
            space,
            (
                np.where(anchored, draw, space.prior_mean),
                draw + NEARER * (space.lower - draw),
                draw + NEARER * (space.upper - draw),
            ),
        )
        solution = descents.minimise(
            shifted, about, draw, limit=EVALUATIONS, tolerance=SETTLED, damping=NEAR, scales=scales
        )
        if solution.interrupted:
            raise KeyboardInterrupt
        done.append(solution.z)
        listener(len(done))
    return done


def _standing_for(
    terms: Sequence[AbstractTerm], scales: Sequence[Float[np.ndarray, "coordinate"]]
) -> tuple[list[InstantTerm], list[Float[np.ndarray, "coordinate"]]]:
    """Of long recordings some pieces, and the noise with which they weigh as much as all."""
    out, weighing = [], []
    for term, scale in zip(terms, scales, strict=True):
        if not isinstance(term, InstantTerm):
            continue
        some = term.in_pieces() if isinstance(term, MomentTerm) else term
        part = some.weight.sum(axis=0) / np.maximum(term.weight.sum(axis=0), 1.0)
        out.append(some)
        weighing.append(scale * np.sqrt(np.where(part > 0, part, 1.0)))
    return out, weighing
