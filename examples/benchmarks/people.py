"""How well an identified person predicts recordings that were not seen: knee moments of two recorded people.

    python examples/benchmarks/people.py [--quick] [--json FILE]

Beside every error stand those of regressions that learnt from the same samples, and of the model with its discrepancy.
Settings are those of the subject files. The treadmill's were chosen by predicting each walk from the other: the run had
no say in them, the rows of a walk from the other are a little too good.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from table import Row, row, run

import mjx_msm as msm
from mjx_msm.knowledge.records import Fit
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.study.settings import settings, study_model

EXAMPLES = Path(__file__).resolve().parents[1]
RUN = 18.0
"""Wanted of the run, predicted from the walks [N·m]."""
WALKS = {"walk36": 3.8, "walk45": 4.6}
"""Wanted of a walk, predicted from the other: what kernel ridge regression on angles and rates has [N·m]."""
HALVES = {"walk36": 4.0, "walk45": 4.0, "run81": 9.0}
"""Wanted of the second half of a task, predicted from the first halves of all [N·m]."""


def loaded(example: str) -> Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes on the recording, printed by the command line
        return msm.load_subject(EXAMPLES / example / "subject.toml")


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
    """One person at three speeds; `share`: of every trial, to begin with."""
    study = loaded("treadmill")
    model, asked = study_model(study), settings(study)
    walks, (running,) = [part(t, 0, share) for t in study.trials], [part(t, 0, share) for t in study.held_out]
    (fit,) = [f for f in msm.identify(model, walks, held_out=[running], settings=asked).fits if f.role == "held-out"]
    yield from errors("walks to run", fit, RUN, 0.95)
    for fit in msm.cross_validate(model, walks, by="trial", settings=asked):
        yield from errors(f"{fit.trial} from the other walk", fit, WALKS[fit.trial])
    everything = [replace(t, task=t.name) for t in (*walks, running)]
    firsts, seconds = [part(t, 0, 0.5) for t in everything], [part(t, 0.5, 1) for t in everything]
    seconds = [replace(t, name=f"{t.name}, second half") for t in seconds]
    result = msm.identify(model, firsts, held_out=seconds, settings=asked)
    for fit, wanted in zip([f for f in result.fits if f.role == "held-out"], HALVES.values(), strict=True):
        yield from errors(f"{fit.trial} from all first halves", fit, wanted)


def walk(starts: int | None) -> Iterator[Row]:
    """Another person's walk, in blocks over time."""
    study = loaded("knee_walk")
    asked = settings(study) if starts is None else replace(settings(study), starts=starts)
    (fit,) = msm.cross_validate(study_model(study), study.trials, settings=asked)
    yield from errors("3D walk in blocks", fit, 9.0, 0.95)


def rows(quick: bool) -> Iterator[Row]:
    """All of it; a quarter of the treadmill's recordings and one start in the reduced form."""
    parts = (lambda: treadmill(0.25 if quick else 1.0), lambda: walk(1 if quick else None))
    for what in parts:
        try:
            yield from what()
        except msm.InputError as error:
            print(f"left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    run(__doc__, rows)
