"""From a subject file to its result folder: the road that the command line and Python users share.

    study = load_subject("subject.toml")
    model = study_model(study)
    result = identify_study(study, model)
    result = completed_draws(model, study.trials, result)
    with result_folder("runs/anna") as folder:
        write_result(folder, study, model, result)

A result folder holds `identification.json`, `model.xml` (the person as an ordinary MJCF file), `excitation.csv` (the
first trial's excitations, coordinates and recorded moments on the model's clock, which an environment can replay),
`trials/*.csv` (every trial as recorded and as simulated: a `Replay` each) and figures.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError
from mjx_msm.common.interrupts import held_interrupts
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.dynamics.simulation import activate
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.estimation.residuals.motion import motion_term, window_steps
from mjx_msm.identification.cross_validation import cross_validate
from mjx_msm.identification.identify import Listener, identify
from mjx_msm.knowledge.profile_likelihood import Listener as ProfileListener
from mjx_msm.knowledge.profile_likelihood import Profile, profile
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.anthropometry import segment_priors
from mjx_msm.person.model import Model, load_model
from mjx_msm.person.parameters import ParameterSpace, parameter_space
from mjx_msm.recordings.model_clock import Recording, record
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.recordings.subject_file.model_check import check_against_model
from mjx_msm.recordings.trial import Trial, reordered
from mjx_msm.views.plot import Replay, save_figures

RESULT = "identification.json"

# Identification ------------------------------------------------------------------------------------------


def study_model(study: Study) -> Model:
    """The generic model a subject file names, checked against it.

    **Raises:** `InputError` naming the muscle, coordinate or pattern that does not fit.
    """
    spec = study.model
    everything = load_model(spec.source, muscle=spec.muscle)
    check_against_model(
        study, everything.muscles, everything.coordinates, bodies=everything.nominal.names.body
    )  # names the line of the file, which load_model cannot
    return load_model(
        spec.source, muscle=spec.muscle, free=spec.free, prescribed=spec.prescribed, locked=spec.locked
    )  # fmt: skip


def settings(study: Study, model: Model | None = None) -> dict[str, Any]:
    """What `identify` and `cross_validate` take from a subject file, as keyword arguments.

    **Arguments:** `model`: that of the study; without it, it is loaded again where priors depend on it.
    """
    spec = study.identify
    return {
        "free": spec.free,
        "emg_map": study.emg_map,
        "residuals": spec.residuals,
        "tied": spec.tied,
        "starts": spec.starts,
        "bounds": spec.bounds,
        "priors": _priors(study, model),
        "rate": spec.rate,
        "emg_noise": spec.emg_noise,
    }


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


def identify_study(
    study: Study,
    model: Model | None = None,
    *,
    horizon: int | None = None,
    starts: int | None = None,
    seed: int = 0,
    listener: Listener | None = None,
    resume: Identification | None = None,
) -> Identification:
    """`mjx_msm.identification.identify.identify` on a loaded subject file; `starts` overrides the file's."""
    model = study_model(study) if model is None else model
    return identify(
        model,
        study.trials,
        held_out=study.held_out,
        horizon=horizon,
        seed=seed,
        subject=study.subject.name,
        hashes=study.hashes,
        listener=listener,
        resume=resume,
        **_with_starts(study, model, starts),
    )


def _with_starts(study: Study, model: Model, starts: int | None) -> dict[str, Any]:
    return settings(study, model) | ({} if starts is None else {"starts": starts})


def can_cross_validate(study: Study) -> bool:
    """Whether blocked cross-validation applies: moments are what is fitted, and every trial has them."""
    return study.identify.residuals == ("moment",) and all(t.moment is not None for t in study.trials)


def cross_validated(
    study: Study,
    model: Model,
    result: Identification,
    *,
    blocks: int = 10,
    folds: int = 5,
    horizon: int | None = None,
    starts: int | None = None,
    seed: int = 0,
    listener: Listener | None = None,
) -> Identification:
    """The result with the error rows of a blocked cross-validation over time added."""
    rows = cross_validate(
        model,
        study.trials,
        blocks=blocks,
        folds=folds,
        horizon=horizon,
        seed=seed,
        listener=listener,
        **_with_starts(study, model, starts),
    )
    return result.with_fits(rows)


def profile_study(
    study: Study,
    result: Identification,
    path: str,
    *,
    model: Model | None = None,
    listener: ProfileListener | None = None,
) -> Profile:
    """`mjx_msm.profile` of one parameter of a result, on the recordings of its subject file.

    **Raises:** `InputError` if one of the files has changed since, or the result is of other recordings.
    """
    changed = sorted(k for k in {*result.hashes, *study.hashes} if result.hashes.get(k) != study.hashes.get(k))
    if result.hashes and changed:
        raise InputError(f"{changed[0]} has changed since the result, or was not part of it; identify again")
    return profile(study_model(study) if model is None else model, study.trials, result, path, listener=listener)


# What was recorded and what is simulated -------------------------------------------------------------------


def replays(model: Model, result: Identification, study: Study) -> tuple[Replay, ...]:
    """Every trial of the study, the ones to identify from first, as recorded and as simulated.

    Motions are simulated where the "motion" residual was used, over windows of its horizon with their initial states
    fitted, as in the error table; moments are predicted along the recorded motion where they were recorded.
    """
    space = _space(model, study)
    start = space.clip(space.prior_mean)  # where the estimator starts
    rate = study.identify.rate
    noise = result.stages[-1].noise if result.stages else {}
    scale = np.array([noise.get(f"motion/{c}", 1.0) for c in model.free])  # weighs the fit of the initial states
    versions = {"generic": start, "identified": np.array(result.z)}
    identified, held_out = (
        tuple(record(model, reordered(t, study.channels), study.emg_map) for t in group)
        for group in (study.trials, study.held_out)
    )
    out: list[Replay] = []
    for trials, recordings in ((study.trials, identified), (study.held_out, held_out)):
        if trials:
            steps = window_steps(result.horizon, identified, recordings)
            out += _replays(model, space, versions, study, trials, recordings, steps, rate, scale)
    return tuple(out)


def _space(model: Model, study: Study) -> ParameterSpace:
    spec = study.identify
    nominal = model.nominal.with_channels(study.channels)
    return parameter_space(nominal, spec.free, tied=spec.tied, bounds=spec.bounds, priors=_priors(study, model))


def _replays(
    model: Model,
    space: ParameterSpace,
    versions: Mapping[str, np.ndarray],
    study: Study,
    trials: Sequence[Trial],
    recordings: Sequence[Recording],
    steps: int,
    rate: float,
    scale: Float[np.ndarray, "free"],
) -> list[Replay]:
    moments = positions = None
    if "motion" in study.identify.residuals:
        positions = motion_term(model, space, recordings, steps)
    if any(r.moment_weight.any() for r in recordings):
        moments = moment_term(model, space, recordings, rate)
    simulated = {v: positions.evaluate(z, scale) for v, z in versions.items()} if positions is not None else {}
    predicted = {v: moments.evaluate(z, scale) for v, z in versions.items()} if moments is not None else {}
    out = []
    for i, (recording, trial) in enumerate(zip(recordings, trials, strict=True)):
        if moments is not None:
            picks = moments.sample[moments.trial == i]
        else:
            stride = max(1, round(1.0 / (rate * model.timestep)))
            picks = np.arange(recording.first, recording.last + 1, stride)
        q = recording.smooth_position[picks].copy()
        q[:, model.host.free_index] = _measured(recording.position, recording.weight, trial, model)[picks]
        motion, moment, torque = {}, None, None
        if positions is not None:
            rows = positions.trial == i
            seen = positions.weight[rows] > 0
            for version, residual in simulated.items():
                # where nothing was measured the residual is masked: bridge the simulated curve between samples
                values, at = positions.signal()[rows] + residual[rows], positions.sample[rows]
                motion[version] = np.stack(
                    [np.interp(picks, at[s], x[s]) for x, s in zip(values.T, seen.T, strict=True)], -1
                )
        if moments is not None and recording.moment_weight.any():
            rows = moments.trial == i
            gone = moments.weight[rows] == 0
            moment = np.where(gone, np.nan, moments.signal()[rows])
            torque = {v: np.where(gone, np.nan, moment + r[rows]) for v, r in predicted.items()}
        out.append(
            Replay(
                recording.name,
                recording.start + model.timestep * picks,
                model.coordinates,
                model.free,
                model.muscles,
                q,
                _drive(model, space, versions["identified"], recording)[1][picks],
                motion,
                moment,
                torque,
            )
        )
    return out


def _measured(values: np.ndarray, weight: np.ndarray, trial: Trial, model: Model) -> np.ndarray:
    """Values between measured samples of one stretch; NaN in gaps."""
    reach = max(1, math.ceil(trial.timestep / model.timestep - 1e-6))
    out = np.full(values.shape, np.nan)
    for c in range(values.shape[1]):
        seen = np.flatnonzero(weight[:, c] > 0)
        for a, b in zip(seen, np.append(seen[1:], seen[-1:]), strict=True):
            out[a, c] = values[a, c]
            if b - a <= reach:
                out[a : b + 1, c] = values[a : b + 1, c]
    return out


@jit
def _drive_on_device(model: Model, emg: Any, activation_of: Any, envelope: Any, mixing: Any) -> Any:
    u = excitation(emg, envelope, mixing, model.timestep)
    return u, activate(model, activation_of, u[0], u[:-1])


def _drive(
    model: Model, space: ParameterSpace, z: np.ndarray, recording: Recording
) -> tuple[Float[np.ndarray, "time muscle"], Float[np.ndarray, "time muscle"]]:
    """Excitation and activation of a recording over its whole clock, EMG lead-in included."""
    with float64():
        parameters = space.unpack(jnp.asarray(z))
        u, a = _drive_on_device(
            model, parameters.emg, parameters, jnp.asarray(recording.envelope), jnp.asarray(recording.mixing)
        )
        return np.asarray(u), np.asarray(a)


# The folder ------------------------------------------------------------------------------------------------


@contextmanager
def result_folder(path: str | Path) -> Iterator[Path]:
    """A folder to fill, which appears under `path` when it is complete.

    Where `path` exists, only files of the same names are replaced, `identification.json` last; nothing else in it
    is touched, but trials of an earlier result go when a new one comes. On an error nothing appears.

    **Raises:** `InputError` if it cannot be written.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: is a file; name a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None
    try:
        os.chmod(temporary, 0o755)
        yield temporary
        try:
            with held_interrupts():
                _move(temporary, path)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    if not target.exists():
        os.rename(source, target)
        return
    if (source / RESULT).is_file() and (target / RESULT).is_file():
        for old in (target / "trials").glob("*.csv"):
            old.unlink()
    files = sorted((p for p in source.rglob("*") if p.is_file()), key=lambda p: p.name == RESULT)
    for file in files:
        to = target / file.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, to)


def write_result(
    folder: str | Path,
    study: Study,
    model: Model,
    result: Identification,
    *,
    truth: Mapping[str, float] | None = None,
) -> None:
    """Fill a result folder: see the module's head. `truth` marks the true parameters in the figures."""
    folder = Path(folder)
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    result.export(folder / "model.xml")
    _save_excitation(folder / "excitation.csv", study, model, result)
    signals = replays(model, result, study)
    for signal in signals:
        signal.save(folder / "trials" / f"{_file_name(signal.name)}.csv")
    save_figures(folder, signals, result, truth)
    result.save(folder / RESULT)


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in " ._-+" else "_" for c in name) or "trial"


def _save_excitation(path: Path, study: Study, model: Model, result: Identification) -> None:
    """The first trial on the model's clock, from its first to its last motion sample: excitations [0..1], coordinates
    [rad], and recorded moments of free coordinates [N·m], blank where there was none."""
    trial = study.trials[0]
    recording = record(model, reordered(trial, study.channels), study.emg_map)
    u, _ = _drive(model, _space(model, study), np.array(result.z), recording)
    rows = slice(recording.first, recording.last + 1)
    time = recording.start + model.timestep * np.arange(len(u))
    columns = {f"excitation/{m}": u[rows, i] for i, m in enumerate(model.muscles)}
    columns |= {f"position/{c}": recording.smooth_position[rows, i] for i, c in enumerate(model.coordinates)}
    moment = _measured(recording.moment, recording.moment_weight, trial, model)[rows]
    seen = np.flatnonzero(np.isfinite(moment).any(axis=0))
    columns |= {f"moment/{model.free[i]}": moment[:, i] for i in seen}
    write_csv(path, time[rows], columns)


def load_result(path: str | Path) -> tuple[Identification, tuple[Replay, ...]]:
    """A result folder's identification and trials, the ones to identify from first."""
    path = Path(path)
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


# Truth -----------------------------------------------------------------------------------------------------


def load_truth(study: Study) -> dict[str, float] | None:
    """The true parameters of a synthetic subject: `truth.json` next to its subject file, if there is one."""
    path = study.path.parent / "truth.json"
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["parameters"]
        return {str(k): float(v) for k, v in data.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not a truth file of `mjx-msm simulate` ({error}); remove it") from None
