"""From ``subject.toml`` to a `Study`: the file checked, its recordings read; and a subject file written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mjx_msm.common.arguments import path_of
from mjx_msm.common.errors import Faults, InputError, InputWarning
from mjx_msm.common.file_kinds import SUBJECT, refuse_other
from mjx_msm.common.files import hashes_of, relative_to, write_text
from mjx_msm.common.patterns import matches
from mjx_msm.common.toml_tables import Section, plain, read_toml, to_toml
from mjx_msm.recordings.subject_file.as_meant import channels_as_meant, coordinates_as_meant
from mjx_msm.recordings.subject_file.emg import BY_SYNERGIES, channels_of, in_words, parse_unmeasured
from mjx_msm.recordings.subject_file.grammar import Document, Parts, parse_parts, parse_subject
from mjx_msm.recordings.subject_file.identify import IdentifySpec
from mjx_msm.recordings.subject_file.model import BUNDLED, PREFIX, ModelSpec
from mjx_msm.recordings.subject_file.model_names import ModelNames, check_names
from mjx_msm.recordings.subject_file.person import Person
from mjx_msm.recordings.subject_file.places import check_folder
from mjx_msm.recordings.subject_file.recordings import Recordings, check_recordings, read_recordings
from mjx_msm.recordings.subject_file.sources import Files
from mjx_msm.recordings.subject_file.trials import NORMALISE
from mjx_msm.recordings.synergies import UNMEASURED, extended
from mjx_msm.recordings.trial import Trial


@dataclass(frozen=True)
class Study:
    """A subject file with its recordings loaded."""

    subject: Person
    model: ModelSpec
    trials: tuple[Trial, ...]
    """To identify from."""
    held_out: tuple[Trial, ...]
    """To judge the result by; same channels and coordinates."""
    identify: IdentifySpec
    path: Path
    hashes: Mapping[str, str]
    """SHA-256 of the subject file and every file it uses, by path relative to the subject file."""
    notes: tuple[str, ...] = ()
    """What deserves a look; each was also issued as an `InputWarning`."""
    to_predict: tuple[Trial, ...] = ()
    """Of the role "predict": neither to identify from nor to judge by."""
    recordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By trial, the files of `hashes` that hold it: of those to identify from and held out."""
    processing: str = ""
    """How EMG becomes envelopes, in words."""

    @property
    def emg_map(self) -> Mapping[str, Mapping[str, float]]:
        """Muscle → {channel: weight}; empty for a muscle taken as silent."""
        return self.identify.emg_map or {}

    def under(self, law: str) -> Study:
        """The study with another muscle law, of `MUSCLE_LAWS`."""
        return replace(self, model=replace(self.model, muscle=law))

    @property
    def levers(self) -> Mapping[str, float]:
        """Distances at which forces were measured, as said, where they are to be estimated [m], by coordinate."""
        said: list[Any] = [t.metadata.get("levers") or {} for t in self.trials]
        return {name: lever for levers in said for name, lever in levers.items()}

    @property
    def channels(self) -> tuple[str, ...]:
        """The EMG channels in use, in the order of every trial's `emg`."""
        return channels_of(self.emg_map)


def load_subject(path: str | Path, names: Callable[[ModelSpec], ModelNames] | None = None) -> Study:
    """Read a subject file and the recordings it names.

    **Arguments:** `names`: of the model; asked where something is wrong with the file, so that these are checked, too.

    **Raises:** `InputError`, one line with file, key or column, and the fix; `InputErrors` with all that is wrong, in
    the file's order.
    """
    path = path_of("the subject file", path)
    refuse_other(path, SUBJECT)
    return study_of(read_toml(path, "subject file"), path, names)


def study_of(document: Mapping[str, Any], path: Path, names: Callable[[ModelSpec], ModelNames] | None = None) -> Study:
    """The study of a subject file's text as nested mappings; `path`: where it lies, or would.

    **Raises:** `InputError`, as `load_subject`.
    """
    checked, recordings = _read(document, path, names)
    for note in recordings.notes:
        warnings.warn(note, InputWarning, stacklevel=3)
    hashes = _hashes(path, checked.model.source, (*recordings.files, *_other_files(checked)))
    files = {
        t.name: tuple(relative_to(path, file) for file in (t.motion, t.emg, t.moments) if file is not None)
        for t in checked.trials
    }

    def of(role: str) -> tuple[Trial, ...]:
        """Trials that know what their files hold."""
        own = [t for r, t in recordings.trials if r == role]
        known = (tuple(hashes[f] for f in files[t.name]) for t in own)
        return tuple(replace(t, metadata={**t.metadata, "digests": d}) for t, d in zip(own, known, strict=True))

    study = Study(
        subject=checked.subject,
        model=checked.model,
        trials=of("identify"),
        held_out=of("held-out"),
        identify=checked.identify,
        path=path,
        hashes=hashes,
        notes=recordings.notes,
        to_predict=of("predict"),
        recordings={t.name: files[t.name] for t in checked.trials if t.role in ("identify", "held-out")},
        processing=in_words(checked.kind, checked.processing, any(t.role == NORMALISE for t in checked.trials))
        if channels_of(checked.emg_map)
        else "",
    )
    muscles, method, count = parse_unmeasured(Section(document, str(path), None))
    return _with_synergies(study, muscles, count) if muscles and method == BY_SYNERGIES else study


def _read(
    document: Mapping[str, Any], path: Path, names: Callable[[ModelSpec], ModelNames] | None
) -> tuple[Document, Recordings]:
    """A subject file that nothing is wrong with, and its recordings.

    **Raises:** `InputError`, as `load_subject`.
    """
    faults, files, deeper = Faults(), Files(), None
    given = _parsed(document, path, faults)
    if not faults:
        checked = given.document()
        try:
            return checked, read_recordings(checked, files)
        except InputError as error:
            deeper = error
    if names is not None and given.model is not None:
        said = given.model
        try:
            own = names(said)
        except InputError as error:
            faults.add(error, ("model", "source"))
        else:
            meant = coordinates_as_meant(document, own.coordinates)
            if meant is not None:
                faults = Faults()
                given = _parsed(meant, path, faults)
            levers = [n for t in given.trials for n, c in t.moment_columns.items() if c.lever_sd is not None]
            emg_map = channels_as_meant(given, files)
            check_names(path, said, emg_map, given.identify, levers, own, faults)
            if given.model is not None:
                given.model = given.model.only(own.coordinates)  # others have no columns, which is no news
    if faults:
        check_recordings(given, files, faults)
    elif deeper is not None:
        raise deeper
    faults.raise_any(document)
    raise AssertionError("a fault has been found")


def _parsed(document: Mapping[str, Any], path: Path, faults: Faults) -> Parts:
    """The sections of a subject file, whose folder of recordings is there."""
    given = parse_parts(document, path, faults)
    if given.data is not None:
        with faults.gathered(("data",)):
            check_folder(given.data, f"{path}: data")
    return given


def _with_synergies(study: Study, muscles: Sequence[str], count: int) -> Study:
    """The study with channels for muscles that no electrode reached (`mjx_msm.recordings.synergies`)."""
    asked, mixes = study.identify, {**study.emg_map, **dict.fromkeys(muscles, UNMEASURED)}
    groups = study.trials, study.held_out, study.to_predict
    try:
        longer = extended(study.trials, groups, mixes, count)
    except InputError as error:
        raise InputError(f"{study.path} [emg]: {error}") from None
    free = tuple(f for f in longer.free if not any(matches(f, pattern) for pattern in asked.free))
    return replace(
        study,
        trials=longer.trials[0],
        held_out=longer.trials[1],
        to_predict=longer.trials[2],
        identify=replace(
            asked,
            emg_map=longer.emg_map,
            free=(*asked.free, *free),
            priors={**asked.priors, **longer.priors},
            synergies=longer.synergies,
        ),
        notes=(*study.notes, longer.note),
    )


def _other_files(checked: Document) -> tuple[Path, ...]:
    """Files that hold no trial: of standing still, and a population."""
    static, prior = checked.subject.static, checked.identify.prior
    named = [("[subject] static", static.file)] if static is not None else []
    named += [("[identify] prior", Path(prior))] if isinstance(prior, str) else []
    for where, file in named:
        if not file.is_file():
            raise InputError(f"{checked.path} {where}: no file {file}; correct the path")
    return tuple(file for _, file in named)


def _hashes(path: Path, source: str, recordings: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of the subject file and all it uses, by path relative to its folder."""
    files = [path, *sorted(recordings)]
    if source not in BUNDLED and not source.startswith(PREFIX):
        model = Path(source)
        if not model.is_file():
            raise InputError(f"{path} [model]: source: no file {model}; correct the path")
        files.append(model)
    return hashes_of(path, files)


def write_subject(path: str | Path, document: Mapping[str, Any]) -> None:
    """Write a subject file, after checking its keys and types (not yet that its files exist).

    **Arguments:** `document`: the TOML file as nested mappings; `Trial.save` makes the entries of ``trials``.
    """
    path = Path(path)
    document = plain(document)
    parse_subject(document, path)
    write_text(path, to_toml(document))
