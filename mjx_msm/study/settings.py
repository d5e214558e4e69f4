"""The model and the settings that a subject file asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any

from mjx_msm.common.errors import InputError
from mjx_msm.common.patterns import matches
from mjx_msm.knowledge.population import expectation_of
from mjx_msm.person.anthropometry import segment_priors
from mjx_msm.person.model import Model, load_model
from mjx_msm.person.passive_curves import SIDES, fields_of, knows
from mjx_msm.person.scaling import scale
from mjx_msm.person.space import ParameterSpace, parameter_space, with_expectation
from mjx_msm.recordings.settings import Settings
from mjx_msm.recordings.static_trial import segment_lengths, static_trial
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.recordings.subject_file.model import BUNDLED, ModelSpec
from mjx_msm.recordings.subject_file.model_check import check_against_model
from mjx_msm.recordings.subject_file.model_names import ModelNames


def study_model(study: Study) -> Model:
    """The model a subject file names, checked against it and at the person's size where the file asks for that.

    **Raises:** `InputError` naming the muscle, coordinate or pattern that does not fit.
    """
    spec, passive = study.model, passive_joints(study.identify.free, study.model.free)
    everything = load_model(spec.source, **spec.part, muscle=spec.muscle, passive=passive)
    check_against_model(
        study, everything.muscles, everything.coordinates, bodies=everything.nominal.names.body
    )  # names the line of the file, which load_model cannot
    model = load_model(
        spec.source,
        **spec.part,
        muscle=spec.muscle,
        free=spec.free,
        prescribed=spec.prescribed,
        locked=spec.locked,
        integrator="RK4",
        passive=passive,
    )
    return _at_size(study, model) if study.subject.scales(spec.source in BUNDLED) else model


def model_names(spec: ModelSpec) -> ModelNames:
    """What the parts of the model of a subject file are called.

    **Raises:** `InputError` if there is no such model.
    """
    model = load_model(spec.source, **spec.part)
    return ModelNames(model.muscles, model.coordinates, model.nominal.names.body)


def _at_size(study: Study, model: Model) -> Model:
    """The model at the person's size."""
    person, where = study.subject, f"{study.path} [subject]"
    markers, segments = {}, {}
    if person.static is not None:
        markers = static_trial(person.static.file)
        segments = segment_lengths(markers, person.static.segments, f"{where} static")
    sites = {model.host.mj_model.site(i).name for i in range(model.host.mj_model.nsite)}
    try:
        return scale(
            model,
            height=person.height,
            mass=person.mass,
            sex=person.sex,
            segments=segments,
            markers={} if segments and not sites & set(markers) else markers,
            bodies=study.identify.segments,
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def passive_joints(free: Iterable[str], joints: Iterable[str]) -> tuple[str, ...]:
    """Joints whose passive curves a free set names: they get those of the literature to begin with."""
    passive = [p for p in free if "_passive_" in p]
    fields = [f for side in SIDES for f in fields_of(side)]
    found = (j for j in joints if knows(j) and any(matches(f"joint/{j}/{f}", p) for f in fields for p in passive))
    return tuple(found)


def settings(study: Study, model: Model | None = None) -> Settings:
    """What a subject file asks `identify` and `cross_validate` for.

    **Arguments:** `model`: that of the study; without it, it is loaded again where priors depend on it.
    """
    asked: dict[str, Any] = {f.name: getattr(study.identify, f.name) for f in fields(Settings)}
    asked["priors"] = _priors(study, model)
    if study.identify.prior is not None:
        asked["prior"] = expectation_of(study.identify.prior, study.subject.traits)
    return Settings(**asked)


def _priors(study: Study, model: Model | None) -> dict[str, Any]:
    """What anthropometry expects of the free bodies, then what the file says."""
    spec, person = study.identify, study.subject
    bodies = any(fnmatchcase("body", pattern.split("/")[0]) for pattern in spec.free)
    if not spec.segment_priors or not bodies or person.height is None or person.sex is None:
        return dict(spec.priors)
    model = study_model(study) if model is None else model
    try:
        expected = segment_priors(
            model, mass=person.mass, height=person.height, sex=person.sex, segments=spec.segments, free=spec.free
        )
    except InputError as error:
        raise InputError(f"{study.path} [model.segments]: {error}") from None
    # a key of both keeps its place among the file's, whose later patterns override its earlier ones
    return {path: prior for path, prior in expected.items() if path not in spec.priors} | dict(spec.priors)


def study_space(model: Model, study: Study) -> ParameterSpace:
    """The unknowns of a study, with their bounds and priors."""
    spec = study.identify
    nominal = model.nominal.with_channels(study.channels).with_levers(study.levers)
    space = parameter_space(nominal, spec.free, tied=spec.tied, bounds=spec.bounds, priors=_priors(study, model))
    if spec.prior is None:
        return space
    return with_expectation(space, expectation_of(spec.prior, study.subject.traits))
