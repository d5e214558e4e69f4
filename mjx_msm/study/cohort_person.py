"""One person of a study, from subject file to result folder, as a worker of an executor does it."""

from __future__ import annotations

import hashlib
import json
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mjx_msm.common.compiled import called_by
from mjx_msm.common.computed_by import code_digest, versions
from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.common.files import hash_of, read_text, write_text
from mjx_msm.knowledge.posterior_draws import completed_draws
from mjx_msm.knowledge.records import Outcome
from mjx_msm.person.expectation import Expectation
from mjx_msm.person.model import Model
from mjx_msm.recordings.subject_file.loading import Study, load_subject
from mjx_msm.recordings.subject_file.model import BUNDLED
from mjx_msm.recordings.subject_file.model_check import check_against_model
from mjx_msm.study.identification import can_cross_validate, cross_validated, identify_study
from mjx_msm.study.result_folder import RESULT, result_folder, write_result
from mjx_msm.study.settings import passive_joints, study_model
from mjx_msm.study.synthetic_study import load_truth
from mjx_msm.study.unfinished import Unfinished

MADE_FROM = "made_from.json"
"""Of a result in a study: everything it depends on. It comes last: a folder that has it is whole."""

_WRITING = threading.Lock()
"""Figures are drawn by one thread at a time. Who holds it computes by themselves: others, who wait for it, would be
waited for."""


@dataclass(frozen=True)
class Asked:
    """What is asked of everybody."""

    cross_validation: bool
    draws: bool
    seed: int
    compiled: str | None = None
    """Folder in which JAX keeps what it compiled."""

    def made_with(self) -> dict[str, Any]:
        """What a result depends on besides the person's files."""
        asked = {"cross_validation": self.cross_validation, "draws": self.draws, "seed": self.seed}
        return {"asked": asked, "code": code_digest(), "versions": versions()}


@dataclass(frozen=True)
class Job:
    """A person to identify."""

    subject: Path
    folder: Path
    """For the result."""
    expected: Expectation | None = None
    """What the others lead to expect of them: then this is a turn (`mjx_msm.study.cohort_turns`), and there is no more
    to it than the estimate."""

    def made_with(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What the result depends on besides the person's files."""
        return dict(asked) | ({} if self.expected is None else {"expected": _digest(self.expected)})


def _digest(expected: Expectation) -> str:
    """Of an expectation to six digits: the last ones are of the order in which threads add."""
    numbers = [expected.shift, *expected.covariance]
    text = json.dumps([expected.paths, [[f"{x:.6g}" for x in row] for row in numbers]])
    return hashlib.sha256(text.encode()).hexdigest()


def up_to_date(job: Job, made_with: Mapping[str, Any]) -> bool:
    """Whether the result is there, of the same files by their contents, settings and versions."""
    asked = job.made_with(made_with)
    try:
        made_from = json.loads((job.folder / MADE_FROM).read_text(encoding="utf-8"))
        files: Mapping[str, str] = made_from["files"]
        same = {key: made_from[key] for key in asked} == json.loads(json.dumps(asked))
        return same and (job.folder / RESULT).is_file() and files.items() == _digests(job.subject, files).items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _digests(subject: Path, files: Mapping[str, str]) -> dict[str, str]:
    folder = subject.resolve().parent
    return {name: hash_of(folder / name) for name in files}


def identifier(asked: Asked) -> Callable[[Job], str]:
    """What a worker does with a person: their result folder. It returns "", or in one line why there is none.

    Warnings are silenced from here on, for all of a worker's threads: the person's report says what they do.
    """
    import jax

    warnings.simplefilter("ignore")
    if asked.compiled:
        jax.config.update("jax_compilation_cache_dir", asked.compiled)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    made_with, models = asked.made_with(), _Models()

    def one(job: Job) -> str:
        try:
            _identify(job, asked, made_with, models)
        except (Exception, MemoryError) as error:  # whatever it is, it is this person's alone
            return in_one_line(error) or type(error).__name__
        return ""

    return one


def _identify(job: Job, asked: Asked, made_with: Mapping[str, Any], models: _Models) -> None:
    study, truth = load_subject(job.subject), load_truth(job.subject)  # what is wrong with either, before all the work
    model, made_from = models.of(study), {**job.made_with(made_with), "files": dict(study.hashes)}
    if (job.folder / MADE_FROM).exists():
        (job.folder / MADE_FROM).unlink()  # from here on the folder is not whole
    if job.expected is not None:
        result = identify_study(study, model, seed=asked.seed, prior=job.expected)
        if result.outcome is Outcome.INTERRUPTED:
            raise KeyboardInterrupt
        with result_folder(job.folder) as filled:
            result.save(filled / RESULT)
        write_text(job.folder / MADE_FROM, json.dumps(made_from, indent=1) + "\n")
        return
    again = (job.folder / "checkpoint").is_dir() and _begun(job, made_from)
    with Unfinished.at(job.folder, resume=again, overwrite=not again) as unfinished:
        write_text(unfinished.folder / MADE_FROM, json.dumps(made_from))
        result = identify_study(study, model, checkpoint=unfinished.identification, seed=asked.seed)
        if result.outcome is Outcome.INTERRUPTED:
            raise KeyboardInterrupt
        if asked.draws:
            result = completed_draws(model, study.trials, result, checkpoint=unfinished.draws)
        if asked.cross_validation and can_cross_validate(study):
            result = cross_validated(study, model, result, checkpoint=unfinished.folds, seed=asked.seed)
        with _WRITING, called_by(None), result_folder(job.folder) as filled:
            write_result(filled, study, model, result, truth=truth)
        write_text(job.folder / MADE_FROM, json.dumps(made_from, indent=1) + "\n")
        unfinished.ended()


def _begun(job: Job, made_from: Mapping[str, Any]) -> bool:
    """Whether what was begun is of the same files, settings and code."""
    try:
        return json.loads(read_text(job.folder / "checkpoint" / MADE_FROM, "file")) == json.loads(json.dumps(made_from))
    except (InputError, ValueError):
        return False


class _Models:
    """The model of the last person, which serves the next one if theirs is the same: it is compiled for but once."""

    def __init__(self) -> None:
        self._key, self._model, self._one = "", None, threading.Lock()

    def of(self, study: Study) -> Model:
        key = _model_key(study)
        with self._one:
            if self._model is None or key != self._key:
                self._key, self._model = key, study_model(study)
            model = self._model
        check_against_model(study, model.muscles, model.coordinates, bodies=model.nominal.names.body)
        return model


def _model_key(study: Study) -> str:
    who = study.subject
    size = (who.height, who.mass, who.sex, who.static) if who.scales(study.model.source in BUNDLED) else None
    return repr((study.model, size, passive_joints(study.identify.free, study.model.free), study.identify.segments))
