"""The result folder of a study: filled, put in its place whole, and loaded.

It holds `identification.json`, `model.xml` (the person as an ordinary MJCF file), `excitation.csv` (the first trial's
excitations, coordinates and recorded moments on the model's clock, which an environment can replay), `trials/*.csv`
(every trial as recorded and as simulated: a `Replay` each), figures, and `report.html`, all of it for a reader.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError, InputWarning, in_one_line
from mjx_msm.common.file_kinds import RESULT as RESULT_FOLDER
from mjx_msm.common.file_kinds import refuse_other
from mjx_msm.common.files import beside, file_name, file_names
from mjx_msm.common.interrupts import held_interrupts
from mjx_msm.knowledge.log_posterior import identified_from
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.recordings.trial import reordered
from mjx_msm.study.muscle_use import muscle_use
from mjx_msm.study.replays import drive, measured, replays
from mjx_msm.study.settings import study_space
from mjx_msm.views.figures import save_figures
from mjx_msm.views.replay import Replay, with_bands
from mjx_msm.views.report.page import REPORT, save_report

RESULT = "identification.json"
OF_A_RESULT = (
    "model.xml", "model_muscles.py", "model_files/*", "excitation.csv", "trials/*.csv", "motion.png", "moment.png",
    "parameters.png", REPORT, "profile.html", "profile_*.csv", "profile_*.png",
)  # fmt: skip
"""What of a folder is made from its result, so that nothing of it may outlive this."""


@dataclass(frozen=True)
class Kept:
    """Where a result has come to lie."""

    folder: Path
    reason: str = ""
    """Why it is not the folder that was asked for; empty if it is."""


@contextmanager
def result_folder(path: str | Path) -> Iterator[Path]:
    """A folder to fill, which appears under `path` when it is complete.

    Where `path` exists, only files of the same names are replaced, `identification.json` last; nothing else in it
    is touched, but what was made from an earlier result (`OF_A_RESULT`) goes when a new one comes. On an error nothing
    appears.

    **Raises:** `InputError` if it cannot be written.
    """
    path = Path(path)
    try:
        _check_place(path)
        with beside(path, folder=True) as temporary:
            yield temporary
            with held_interrupts():
                _move(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _check_place(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; name a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _cannot_write(path: Path, error: OSError) -> InputError:
    """What to say where `path` cannot be written."""
    return InputError(f"{path}: cannot be written ({error.strerror or error}); choose another folder")


def check_result_folder(path: str | Path, subject: str, *, overwrite: bool = False) -> None:
    """Before minutes of work: whether the result of this subject can go to `path`, and may.

    **Raises:** `InputError` if it cannot be written, or holds the result of another subject and not `overwrite`.
    """
    path = Path(path)
    try:
        _check_place(path)
        with beside(path / RESULT if path.is_dir() else path) as probe:
            probe.write_bytes(bytes(4096))  # a full disk still makes empty files
    except OSError as error:
        raise _cannot_write(path, error) from error
    if overwrite or not (path / RESULT).exists():
        return
    try:
        before = Identification.load(path).subject
    except InputError:
        raise InputError(
            f"{path}: holds a result that this version cannot read; choose another folder, or replace it with "
            "--overwrite"
        ) from None
    if before != subject:
        raise InputError(
            f"{path}: holds the result of '{before}', not of '{subject}'; choose another folder, or replace it with "
            "--overwrite"
        )


def _move(source: Path, target: Path) -> None:
    if not target.exists():
        os.rename(source, target)
        return
    if (source / RESULT).is_file() and (target / RESULT).is_file():
        for old in {p for pattern in OF_A_RESULT for p in target.glob(pattern) if p.is_file()}:
            if not (source / old.relative_to(target)).is_file():
                old.unlink()
    files = sorted((p for p in source.rglob("*") if p.is_file()), key=lambda p: p.name == RESULT)
    for file in files:
        to = target / file.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        if to.is_file():
            shutil.copymode(to, file)
        os.replace(file, to)


def save_result(
    path: str | Path,
    study: Study,
    model: Model,
    result: Identification,
    *,
    truth: Mapping[str, float] | None = None,
) -> Kept:
    """Write the result folder `path`; where that fails, another one, so that minutes of work are not lost.

    Tried are, after `path`: the working directory, the home directory and that for temporary files.

    **Returns:** where it is.

    **Raises:** `InputError` if none of them can be written.
    """
    path = Path(path)
    reason = ""
    for folder in (path, *_refuges(path)):
        try:
            with result_folder(folder) as filled:
                write_result(filled, study, model, result, truth=truth)
        except InputError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            reason = reason or error.__cause__.strerror or str(error.__cause__)
        else:
            return Kept(folder, reason)
    raise InputError(f"{path}: cannot be written ({reason}), and no other place can; make room and identify again")


def _refuges(path: Path) -> Iterator[Path]:
    """New folders where a result may be kept that cannot go to `path`."""
    name = file_name(f"{path.resolve().name}-kept")
    for parent in (Path.cwd(), Path.home(), Path(tempfile.gettempdir())):
        yield next(p for k in itertools.count(1) if not (p := parent / (name if k == 1 else f"{name}-{k}")).exists())


def write_result(
    folder: str | Path,
    study: Study,
    model: Model,
    result: Identification,
    *,
    truth: Mapping[str, float] | None = None,
) -> None:
    """Fill a result folder: see this file's head. `truth` marks the true parameters in the figures.

    The estimate and the model come first. Where what only shows them fails, a warning says what is missing.
    """
    folder = Path(folder)
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    result.save(folder / RESULT)
    with _or_without("model.xml"):
        result.export(folder / "model.xml")
    with _or_without("excitation.csv"):
        save_excitation(folder / "excitation.csv", study, model, result)
    signals: tuple[Replay, ...] = ()
    with _or_without("trials"):
        signals = tuple(replays(model, result, study))
        files = file_names(s.name for s in signals)
        for signal in signals:
            signal.save(folder / "trials" / f"{files[signal.name]}.csv")
    with _or_without("bands about held-out moments"):
        banded = with_bands(result, signals)
        banded.save(folder / RESULT)
        result = banded
    with _or_without("use of muscles"):
        if signals:
            used = replace(result, use=tuple(muscle_use(model, result, study, signals)))
            used.save(folder / RESULT)
            result = used
    with _or_without("figures"):
        save_figures(folder, signals, result, truth)
    with _or_without("report"):
        save_report(folder / REPORT, result, signals, truth=truth)


@contextmanager
def _or_without(part: str) -> Iterator[None]:
    """A part of the folder whose failure must not cost the result; that of the disk is said by whoever chose it."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) or isinstance(error.__cause__, OSError):
            raise
        reason = in_one_line(str(error)) or type(error).__name__
        warnings.warn(f"the result is written without its {part} ({reason})", InputWarning, stacklevel=4)


def save_excitation(path: Path, study: Study, model: Model, result: Identification) -> None:
    """The first trial on the model's clock, from its first to its last motion sample: excitations [0..1], coordinates
    [rad], and recorded moments of free coordinates [N·m], blank where there was none."""
    trial = identified_from(study.trials, result)[0]
    recording = record(model, reordered(trial, study.channels), result.emg_map)
    u, _ = drive(model, study_space(model, study), np.array(result.z), recording)
    rows = slice(recording.first, recording.last + 1)
    time = recording.start + model.timestep * np.arange(len(u))
    columns = {f"excitation/{m}": u[rows, i] for i, m in enumerate(model.muscles)}
    columns |= {f"position/{c}": recording.smooth_position[rows, i] for i, c in enumerate(model.coordinates)}
    moment = measured(recording.moment, recording.moment_weight, trial, model)[rows]
    seen = np.flatnonzero(np.isfinite(moment).any(axis=0))
    columns |= {f"moment/{model.free[i]}": moment[:, i] for i in seen}
    write_csv(path, time[rows], columns)


def load_result(path: str | Path) -> tuple[Identification, tuple[Replay, ...]]:
    """A result folder's identification and trials, the ones to identify from first."""
    path = Path(path)
    refuse_other(path, RESULT_FOLDER)
    if not path.is_dir():
        raise InputError(f"{path}: is not a folder; give one written by `mjx-msm identify`")
    result = Identification.load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [Replay.load(p, result.free) for p in sorted((path / "trials").glob("*.csv"))]
    if not found:
        raise InputError(f"{path}: holds no trials; identify again")
    held = {f.trial for f in result.fits if f.role == "held-out"}
    return result, tuple(sorted(found, key=lambda r: r.name in held))
