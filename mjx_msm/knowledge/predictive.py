"""What people drawn from a posterior would have had recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.errors import InputError
from mjx_msm.estimation.residuals.instants import InstantTerm
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.estimation.residuals.windows import WindowTerm
from mjx_msm.estimation.robust import FREEDOM
from mjx_msm.knowledge.log_posterior import identified_from, posterior_of
from mjx_msm.knowledge.predicted_signal import PredictedSignal
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model
from mjx_msm.recordings.trial import Trial


def posterior_predictive(
    model: Model, trials: Trial | Sequence[Trial], result: Identification, *, draws: int = 50
) -> tuple[PredictedSignal, ...]:
    """The signals that a result was identified from, simulated by people drawn from its posterior.

    **Arguments:** `model`, `trials`: those that `result` was identified from. `draws`: how many of the draws saved with
    the result, taken evenly; all of them if there are fewer.

    **Returns:** a signal a kind of residual.

    **Raises:** `InputError` if `draws` is below 1, the result holds none, or the recordings do not fit it.

    Source: Gelman, Meng & Stern 1996, Statistica Sinica 6:733.
    """
    if draws < 1:
        raise InputError(f"draws = {draws} must be at least 1")
    if not result.samples:
        raise InputError("the result holds no draws of its posterior; identify again")
    posterior, used = posterior_of(model, trials, result), identified_from(trials, result)
    chosen = np.unique(np.linspace(0, len(result.samples) - 1, draws).round().astype(int))
    people = np.array(result.samples)[chosen]
    scales = posterior.scales(np.array(result.z))
    return tuple(
        _signal(term, scale, people, used, model, FREEDOM if posterior.student and term.kind == "moment" else math.inf)
        for term, scale in zip(posterior.terms, scales, strict=True)
    )


def _signal(
    term: AbstractTerm,
    scale: Float[np.ndarray, "coordinate"],
    people: Float[np.ndarray, "draw free"],
    trials: Sequence[Trial],
    model: Model,
    freedom: float,
) -> PredictedSignal:
    assert isinstance(term, InstantTerm | WindowTerm)
    measured = term.weight > 0
    recorded = np.where(measured, term.signal(), np.nan)
    sample: Int[np.ndarray, "sample"] = term.sample
    used = measured.any(axis=1)
    errors = np.stack([term.evaluate(z, scale)[used] for z in people])
    relative = term.relative if isinstance(term, MomentTerm) else None
    noise = np.broadcast_to(scale, recorded.shape) * (1.0 if relative is None else relative)
    begin = np.array([trial.time[0] for trial in trials])
    return PredictedSignal(
        term.kind,
        term.unit,
        tuple(model.free),
        tuple(trials[k].name for k in term.trial[used]),
        begin[term.trial[used]] + sample[used] * model.timestep,
        recorded[used],
        errors + recorded[used],
        noise[used],
        freedom,
    )
