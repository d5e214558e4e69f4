"""How well an identified person predicts recordings that were not seen: knee moments of twenty recorded people.

    python examples/benchmarks/people.py [--quick] [--json FILE]

Beside every error stand those of regressions that learnt from the same samples, and of the model with its discrepancy.
Settings are those of the subject files. The treadmill's were chosen by predicting each walk from the other: the run had
no say in them, the rows of a walk from the other are a little too good.
"""

from __future__ import annotations

import csv
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.knowledge.records import Fit
from mjx_msm.recordings.emg import EmgProcessing, envelope, zero_phase
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.study.settings import settings, study_model

EXAMPLES = Path(__file__).resolve().parents[1]
RUN = 18.0
"""Wanted of the run, predicted from the walks [N·m]."""
WALKS = {"walk36": 3.8, "walk45": 4.6}
"""Wanted of a walk, predicted from the other: what kernel ridge regression on angles and rates has [N·m]."""
HALVES = {"walk36": 4.0, "walk45": 4.0, "run81": 9.0}
"""Wanted of the second half of a task, predicted from the first halves of all [N·m]."""
HELD_CHANNELS = ("vastus_lateralis", "biceps_femoris", "tibialis_anterior", "gastrocnemius_lateralis")
GRAVITY = 9.80665
"""[N/kgf]."""
STRAP = 0.9
"""Where the strap is on the shank: not recorded. It scales recorded and predicted moments alike."""
THINNED = 20
"""Of 2000 samples a second."""


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
    """Another person's walk, in blocks over time; as the command line has it, blocks go on from what all tell."""
    study = loaded("knee_walk")
    asked = settings(study) if starts is None else replace(settings(study), starts=starts)
    model = study_model(study)
    result = msm.identify(model, study.trials, settings=asked)
    yield row("3D walk in sample: identified model", result.fits[0].identified, result.fits[0].unit)
    (fit,) = msm.cross_validate(model, study.trials, settings=asked, around=result)
    yield from errors("3D walk in blocks", fit, 9.0, 0.95)


def held_postures(most: int | None) -> Iterator[Row]:
    """Isometric extension and flexion of older people: the second half of a contraction from the first.

    A posture tells of no length: gains, one curve from EMG to excitation, and a constant (strap and leg pull at the
    cell before anyone does), which the regressions have, too. `most`: people at most.
    """
    files = sorted(held_folder().glob("person*_knee_extension.csv.gz"))[:most]
    model = msm.load_model("knee", muscle="degroote", free=["knee_angle"], prescribed=["hip_flexion", "ankle_angle"])
    ours, ridge = [], []
    for file in files:
        errors, others = [], []
        for task, sign in (("extension", -1.0), ("flexion", 1.0)):
            fit = held(model, file.with_name(file.name.replace("extension", task)), sign)
            errors.append(fit.identified / fit.spread)
            others.append(fit.beside["ridge"] / fit.spread)
            yield row(f"{fit.trial}: identified model", fit.identified, fit.unit)
            yield row(f"{fit.trial}: ridge", fit.beside["ridge"], fit.unit)
        ours, ridge = [*ours, *errors], [*ridge, *others]
    yield row("held postures, median error over spread: identified model", float(np.median(ours)), "-", n=len(ours))
    yield row("held postures, median error over spread: ridge", float(np.median(ridge)), "-", n=len(ridge))
    better = np.mean(np.array(ours) <= np.array(ridge))
    yield row("held postures no worse than ridge", 100 * float(better), "%", at_least=50.0, n=len(ours))


def held_folder() -> Path:
    folder = Path(os.environ.get("MJX_MSM_DATA", "")) / "elderly_dynamometry"
    if not os.environ.get("MJX_MSM_DATA") or not folder.is_dir():
        raise msm.InputError("set MJX_MSM_DATA to the folder that holds elderly_dynamometry/")
    return folder


def held(model: msm.Model, file: Path, sign: float) -> Fit:
    """One contraction, `sign` of its moment about the knee; the error of its second half."""
    table = np.genfromtxt(file, delimiter=",", names=True)
    with (file.parent / "people.csv").open(encoding="utf-8") as people:
        height = {int(p["person"]): 0.01 * float(p["Height"]) for p in csv.DictReader(people)}
    lever = STRAP * 0.2493 * height[int(file.name[6:8])]  # shank over height: de Leva 1996
    raw = np.stack([table[c] for c in HELD_CHANNELS], -1)
    seen = envelope(raw, 1.0 / float(table["time"][1]), EmgProcessing(high_pass=20.0, low_pass=3.0))
    half = len(seen) // 2
    seen = np.clip(seen / np.nanmax(seen[:half], axis=0), 0.0, 1.0)[::THINNED]
    moment = sign * lever * GRAVITY * zero_phase(table["force"], 1.0 / float(table["time"][1]), 3.0)[::THINNED]
    trial = msm.Trial(
        name=file.name.split(".")[0].replace("_knee_", " "), time=table["time"][::THINNED],
        coordinates=("hip_flexion", "knee_angle", "ankle_angle"),
        position=np.tile(np.radians([90.0, 90.0, 0.0]), (len(seen), 1)), channels=HELD_CHANNELS, emg=seen,
        moment_coordinates=("knee_angle",), moment=moment[:, None],
    )  # fmt: skip
    front, back, shin, calf = HELD_CHANNELS
    muscles = dict.fromkeys(("bflh", "bfsh", "semimem", "semiten"), back) | {"tibant": shin}
    muscles |= dict.fromkeys(("gasmed", "gaslat", "soleus"), calf)
    result = msm.identify(
        model, part(trial, 0, 0.5), held_out=replace(part(trial, 0.5, 1), name=trial.name), residuals=["moment"],
        rate=50.0, emg_map={m: {muscles.get(m, front): 1.0} for m in model.muscles}, tied=["emg/*/delay"],
        free=["emg/*/gain", "emg/*/shape", "emg/*/delay", "joint/knee_angle/stiffness"],
        bounds={"emg/*/gain": [0.005, 5.0], "joint/knee_angle/stiffness": [-50.0, 50.0]},
        priors={"joint/knee_angle/stiffness": {"mean": 0.0, "sd": 20.0}},
    )  # fmt: skip
    (fit,) = [f for f in result.fits if f.role == "held-out"]
    return fit


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
