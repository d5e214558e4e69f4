"""A study's estimators: identification, cross-validation and profile likelihood with what its file says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from mjx_msm.common.changed_files import changed_file
from mjx_msm.common.errors import InputError
from mjx_msm.identification.cross_validation import cross_validation, groups_of
from mjx_msm.identification.identify import Listener, identify
from mjx_msm.knowledge.profile_likelihood import Listener as ProfileListener
from mjx_msm.knowledge.profile_likelihood import Profile, profile
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model
from mjx_msm.recordings.settings import Options, Settings, with_options
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.study.settings import settings, study_model


@with_options()
def identify_study(
    study: Study,
    model: Model | None = None,
    *,
    listener: Listener | None = None,
    resume: Identification | None = None,
    checkpoint: str | Path | None = None,
    **options: Unpack[Options],
) -> Identification:
    """`mjx_msm.identification.identify.identify` on a loaded subject file; `options` override what it says."""
    model = study_model(study) if model is None else model
    result = identify(
        model,
        study.trials,
        settings=settings(study, model),
        held_out=study.held_out,
        subject=study.subject.name,
        hashes=study.hashes,
        listener=listener,
        resume=resume,
        checkpoint=checkpoint,
        **options,
    )
    notes = tuple(dict.fromkeys((*study.notes, *result.notes)))
    own = (*study.trials, *study.held_out)
    crossed: list[Any] = [t.metadata.get("other_foot") for t in own]
    silent: dict[str, Any] = {t.name: t.metadata.get("silent") for t in own}
    return replace(
        result,
        notes=notes,
        recordings=study.recordings,
        processing=study.processing,
        silenced={name: tuple(channels) for name, channels in silent.items() if channels},
        other_foot=tuple(x for x in crossed if x is not None),
    )


def can_cross_validate(study: Study, by: str = "block") -> bool:
    """Whether a cross-validation applies: by block where moments are what is fitted, and every trial has them; by trial
    or task where there are several, and what is left without any one of them has moments if they are fitted."""
    residuals = study.identify.residuals
    has = [t.moment is not None and bool(np.isfinite(t.moment).any()) for t in study.trials]
    if by == "block":
        return residuals == ("moment",) and all(has)
    groups = groups_of(study.trials, by)
    with_moments = {group for group, some in zip(groups, has, strict=True) if some}
    return len(set(groups)) > 1 and ("moment" not in residuals or len(with_moments) > 1)


@with_options()
def cross_validated(
    study: Study,
    model: Model,
    result: Identification,
    *,
    by: str = "block",
    blocks: int = 10,
    folds: int = 5,
    search: bool = False,
    listener: Listener | None = None,
    checkpoint: str | Path | None = None,
    **options: Unpack[Options],
) -> Identification:
    """The result with the error rows of a cross-validation added, see `mjx_msm.cross_validate`, and what its folds
    predict.

    **Arguments:** `search`: whether every fold searches from all starting points, not from the result and a few others.
    """
    asked = Settings.of(settings(study, model), options)
    found = cross_validation(
        model, study.trials, asked, around=None if search else result, by=by, blocks=blocks, folds=folds,
        listener=listener, checkpoint=checkpoint,
    )  # fmt: skip
    return replace(result.with_fits(found.fits, found.unseen), folds=by)


def profile_study(
    study: Study,
    result: Identification,
    path: str,
    *,
    model: Model | None = None,
    listener: ProfileListener | None = None,
) -> Profile:
    """`mjx_msm.profile` of one parameter of a result, on the recordings of its subject file and under its own muscle
    law, whatever the file says.

    **Raises:** `InputError` if one of the files has changed since, or the result is of other recordings.
    """
    changed = changed_file(result.hashes, study.hashes)
    if changed:
        law = "" if result.muscle_model == study.model.muscle else f" with --muscle {result.muscle_model}"
        raise InputError(f"{changed} since the result; identify again{law}")
    model = study_model(study.under(result.muscle_model)) if model is None else model
    return profile(model, study.trials, result, path, listener=listener)
