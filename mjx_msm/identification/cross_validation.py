"""How well parts of a recording are predicted from the rest of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.identification.assembly import fit_row
from mjx_msm.identification.identify import Iteration, Listener, identify
from mjx_msm.identification.problem import Problem
from mjx_msm.knowledge.result import Fit, Outcome
from mjx_msm.person.model import Model, check_model
from mjx_msm.recordings.settings import Options, Settings, with_options
from mjx_msm.recordings.trial import Trial, trials_of


@with_options(residuals=("moment",))
def cross_validate(
    model: Model,
    trials: Trial | Sequence[Trial],
    *,
    blocks: int = 10,
    folds: int = 5,
    settings: Settings | None = None,
    held_out: object = (),
    listener: Listener | None = None,
    **options: Unpack[Options],
) -> tuple[Fit, ...]:
    """Blocked cross-validation over time of the moment residual.

    Every trial's recorded moments are cut into `blocks` contiguous blocks; fold k holds out the blocks k,
    k + folds, …, identifies from the rest, and predicts what it held out.

    **Arguments:** `settings`, `options`: of `identify`, but residuals are "moment" by default. `held_out` is ignored.

    **Returns:** one error row per trial and coordinate, over all held-out samples together.

    **Raises:** `InputError` if no trial has recorded moments.
    """
    check_model(model)
    trials = trials_of(trials)
    asked = Settings.of(settings, {"residuals": ("moment",), **options} if settings is None else options)
    if asked.residuals != ("moment",):
        raise InputError(
            "blocked cross-validation is for residuals = ['moment'] alone: another residual would see the motion of "
            "the held-out blocks; hold out a whole trial instead"
        )
    whole = Problem.build(model, trials, asked)
    judge = moment_term(model, whole.space, whole.recordings, asked.rate)
    one = np.ones(len(model.free))
    generic, predicted = judge.evaluate(whole.start, one), np.zeros_like(judge.weight)
    block = [_blocks(t, blocks) for t in trials]
    for fold in range(folds):
        masked = [_without(t, b % folds == fold) for t, b in zip(trials, block, strict=True)]

        def report(iteration: Iteration, fold: int = fold) -> None:
            if listener is not None:
                listener(replace(iteration, stage=f"cross-validation {fold + 1}/{folds}"))

        result = identify(model, masked, settings=asked, listener=report)
        if result.outcome is Outcome.INTERRUPTED:
            raise KeyboardInterrupt
        residual = judge.evaluate(np.array(result.z), one)
        for i, (recording, b) in enumerate(zip(whole.recordings, block, strict=True)):
            rows = np.flatnonzero(judge.trial == i)
            times = recording.start + model.timestep * judge.sample[rows]
            nearest = np.clip(np.rint((times - trials[i].time[0]) / trials[i].timestep).astype(int), 0, len(b) - 1)
            held = rows[b[nearest] % folds == fold]
            predicted[held] = residual[held]
    rows = []
    for i, recording in enumerate(whole.recordings):
        for c, coordinate in enumerate(model.free):
            where = (judge.trial == i) & (judge.weight[:, c] > 0)
            if where.any():
                rows.append(
                    fit_row(
                        recording.name,
                        "cross-validated",
                        judge,
                        coordinate,
                        generic[where, c],
                        predicted[where, c],
                        judge.target[where, c],
                    )
                )
    return tuple(rows)


def _without(trial: Trial, rows: np.ndarray) -> Trial:
    """The trial with the recorded moments of some samples taken out."""
    assert trial.moment is not None
    return replace(trial, moment=np.where(rows[:, None], np.nan, trial.moment))


def _blocks(trial: Trial, blocks: int) -> np.ndarray:
    """Block of every sample: contiguous over the part with recorded moments."""
    if trial.moment is None or not np.isfinite(trial.moment).any():
        raise InputError(f"trial '{trial.name}' has no recorded moments to cross-validate")
    recorded = np.flatnonzero(np.isfinite(trial.moment).any(axis=1))
    first, last = recorded[0], recorded[-1]
    position = (np.arange(len(trial.time)) - first) / max(last - first + 1, 1)
    return np.clip((position * blocks).astype(int), 0, blocks - 1)
