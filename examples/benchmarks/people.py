"""How well an identified person predicts recordings that were not seen: knee moments of twenty recorded people.

    python examples/benchmarks/people.py [--quick] [--json FILE]

Beside every error stand those of regressions that learnt from the same samples, and of the model with its discrepancy.
Settings are those of the subject files. The treadmill's were chosen by predicting each walk from the other: the run had
no say in them, the rows of a walk from the other are a little too good. The older people's were chosen by predicting
parts of first halves; second halves were printed beside.
"""

from __future__ import annotations

import csv
import os
import sys
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cohort import ELDERLY, halved
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.identification import baselines
from mjx_msm.identification.inputs import DELAYS, Inputs
from mjx_msm.knowledge.records import Fit
from mjx_msm.recordings.emg import EmgProcessing, envelope, zero_phase
from mjx_msm.recordings.subject_file.loading import Study, study_of
from mjx_msm.study.cohort_file import Someone, load_cohort
from mjx_msm.study.settings import settings, study_model

EXAMPLES = Path(__file__).resolve().parents[1]
RUN = 18.0
"""Wanted of the run, predicted from the walks [N·m]."""
WALKS = {"walk36": 3.8, "walk45": 4.6}
"""Wanted of a walk, predicted from the other: what kernel ridge regression on angles and rates has [N·m]."""
HALVES = {"walk36": 4.0, "walk45": 4.0, "run81": 9.0}
"""Wanted of the second half of a task, predicted from the first halves of all [N·m]."""
WITHOUT = ", without the other foot's force"
"""Of samples at which both ankles push (`other_foot = "masked"`)."""
ALONE, CONSTANT = "ridge of that contraction alone", "the first half's mean"
HELD_CHANNELS = ("vastus_lateralis", "biceps_femoris", "tibialis_anterior", "gastrocnemius_lateralis")
GRAVITY = 9.80665
"""[N/kgf]."""
STRAP = 0.9
"""Where the strap is on the shank: not recorded. It scales recorded and predicted moments alike."""
THINNED = 40
"""Of 2000 samples a second."""


def loaded(example: str, **otherwise: Any) -> Study:
    """What a subject file of the examples says; `otherwise`: keys at its top that say something else."""
    path = EXAMPLES / example / "subject.toml"
    return study(tomllib.loads(path.read_text(encoding="utf-8")) | otherwise, path)


def study(document: Mapping[str, Any], path: Path) -> Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes on the recording, printed by the command line
        return study_of(document, path)


def errors(what: str, fit: Fit, at_most: float | None, at_least: float | None = None) -> Iterator[Row]:
    """Our error with its target, then the others' on the same samples."""
    yield row(f"{what}: identified model", fit.identified, fit.unit, at_most=at_most)
    yield row(f"{what}: its correlation", fit.correlation, "-", at_least=at_least)
    for name, error in fit.beside.items():
        yield row(f"{what}: {name}", error, fit.unit, at_most=at_most if name == "with discrepancy" else None)


def part(trial: msm.Trial, first: float, last: float) -> msm.Trial:
    """A share of a trial's samples."""
    rows = slice(round(first * len(trial.time)), round(last * len(trial.time)))
    moment = None if trial.moment is None else trial.moment[rows]
    return replace(trial, time=trial.time[rows], position=trial.position[rows], emg=trial.emg[rows], moment=moment)


def treadmill(share: float) -> Iterator[Row]:
    """One person at three speeds; `share`: of every trial, to begin with.

    Targets are of what was recorded. Beside it stands what is left without the other foot's force, a rule that was made
    after this run had been seen.
    """
    recorded, masked = loaded("treadmill"), loaded("treadmill", other_foot="masked")
    person, clean = ([part(t, 0, share) for t in (*s.trials, *s.held_out)] for s in (recorded, masked))
    model, asked = study_model(recorded), settings(recorded)
    *walks, run = person
    without = replace(clean[-1], name=f"{run.name}{WITHOUT}")
    result = msm.identify(model, walks, held_out=[run, without], settings=asked)
    for fit in (f for f in result.fits if f.role == "held-out"):
        judged = fit.trial == run.name
        yield from errors(f"walks to {fit.trial}", fit, RUN if judged else None, 0.95 if judged else None)
    for fit in msm.cross_validate(model, walks, by="trial", settings=asked):
        yield from errors(f"{fit.trial} from the other walk", fit, WALKS[fit.trial])
    for trials, said in ((person, ""), (clean, WITHOUT)):
        firsts = [replace(part(t, 0, 0.5), task=t.name) for t in trials]
        seconds = [replace(part(t, 0.5, 1), name=f"{t.name}, second half{said}", task=t.name) for t in trials]
        result = msm.identify(model, firsts, held_out=seconds, settings=asked)
        for fit in (f for f in result.fits if f.role == "held-out"):
            wanted = None if said else HALVES[fit.trial.split(",")[0]]
            yield from errors(f"{fit.trial}, from all first halves", fit, wanted)


def walk(starts: int | None) -> Iterator[Row]:
    """Another person's walk, in blocks over time; as the command line has it, blocks go on from what all tell."""
    person = loaded("knee_walk")
    asked = settings(person) if starts is None else replace(settings(person), starts=starts)
    model = study_model(person)
    result = msm.identify(model, person.trials, settings=asked)
    yield row("3D walk in sample: identified model", result.fits[0].identified, result.fits[0].unit)
    (fit,) = msm.cross_validate(model, person.trials, settings=asked, around=result)
    yield from errors("3D walk in blocks", fit, 9.0, 0.95)


def held_postures(most: int | None) -> Iterator[Row]:
    """Isometric extension and flexion of older people (`examples/elderly`): second halves from the first.

    Beside it stand a ridge regression that learns from both contractions, as the model does, and one for every
    contraction by itself, which is the harder one to beat: it needs no one person behind both. `most`: people at most.
    """
    people, model = load_cohort(ELDERLY).people[:most], None
    ours, theirs = [], {name: [] for name in (baselines.RIDGE, ALONE, CONSTANT)}
    for someone in people:
        person = study(halved(someone.document), ELDERLY.with_name("subject.toml"))
        model = study_model(person) if model is None else model  # nobody's size matters to a posture
        result = msm.identify(model, person.trials, held_out=person.held_out, settings=settings(person))
        for fit in (f for f in result.fits if f.role == "held-out"):
            task = fit.trial.split(",")[0]
            what = f"{someone.name} {task}"
            errors = {baselines.RIDGE: fit.beside[baselines.RIDGE], **by_itself(someone, task)}
            yield row(f"{what}: identified model", fit.identified, fit.unit)
            ours.append(fit.identified)
            for name, error in errors.items():
                theirs[name].append(error)
                yield row(f"{what}: {name}", error, fit.unit)
    yield row("held postures, error in the middle: identified model", float(np.median(ours)), "N·m", n=len(ours))
    for name, error in theirs.items():
        better = 100 * float(np.mean(np.array(ours) <= np.array(error)))
        wanted = None if name == CONSTANT else 50.0
        yield row(f"held postures, error in the middle: {name}", float(np.median(error)), "N·m", n=len(error))
        yield row(f"held postures no worse than {name}", better, "%", at_least=wanted, n=len(ours))


def held_folder() -> Path:
    folder = Path(os.environ.get("MJX_MSM_DATA", "")) / "elderly_dynamometry"
    if not os.environ.get("MJX_MSM_DATA") or not folder.is_dir():
        raise msm.InputError("set MJX_MSM_DATA to the folder that holds elderly_dynamometry/")
    return folder


def by_itself(someone: Someone, task: str) -> dict[str, float]:
    """Errors of the second half of one contraction by regressions that learn from its first half alone, all four
    channels at 3 Hz: at 0.5 Hz, which the model has, ridge is worse."""
    folder = held_folder()
    with (folder / "people.csv").open(encoding="utf-8") as people:
        height = {f"person {int(p['person']):02d}": 0.01 * float(p["Height"]) for p in csv.DictReader(people)}
    file = folder / f"{someone.name.replace(' ', '')}_knee_{task}.csv.gz"
    table = np.genfromtxt(file, delimiter=",", names=True)
    rate = 1.0 / float(table["time"][1])
    lever = STRAP * 0.2493 * height[someone.name]  # shank over height: de Leva 1996
    moment = (lever * GRAVITY * zero_phase(table["force"], rate, 3.0))[::THINNED]
    raw = np.stack([table[c] for c in HELD_CHANNELS], -1)
    seen = envelope(raw, rate, EmgProcessing(high_pass=20.0, low_pass=3.0))[::THINNED]
    at, count = np.arange(len(seen)), len(seen)
    early = [np.maximum(at - round(delay * rate / THINNED), 0) for delay in DELAYS]
    still = np.zeros((count, 1))
    inputs = Inputs(np.stack([seen[k] for k in early]), still, still, None, np.zeros(count, int), ("",))
    first = at < count // 2
    guesses = {
        ALONE: baselines.predictions(inputs, moment, first, 0, inputs)[baselines.RIDGE],
        CONSTANT: np.full(count, moment[first].mean()),
    }
    return baselines.errors(guesses, moment, ~first)


def rows(quick: bool) -> Iterator[Row]:
    """All of it; a quarter of the treadmill's recordings, one start and three people in the reduced form."""
    parts = (
        lambda: treadmill(0.25 if quick else 1.0),
        lambda: walk(1 if quick else None),
        lambda: held_postures(3 if quick else None),
    )
    for what in parts:
        try:
            yield from what()
        except msm.InputError as error:
            print(f"left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    run(__doc__, rows)
