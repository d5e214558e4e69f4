"""How fast on recordings of people: time to an estimate, beside other ways to minimise the same residual.

    python examples/benchmarks/recordings.py [--quick] [--json FILE]        (MJX_MSM_DATA names the recordings)

Knee moments from EMG: eight strides on a treadmill (41 unknowns), three recordings of 40 s (50 unknowns), and the walk
of examples/knee_walk with its starting points, draws and cross-validation. The peers minimise what `identify` does, the
negative log posterior with the noise that it found of every trial, from the same start inside the same bounds: scipy's
trust region with finite differences, and simulated annealing, the way CEINMS calibrates (Pizzolato et al. 2015, doi
10.1016/j.jbiomech.2015.09.021). Their residual is the compiled one of this package, so that only the search differs.
An error beside a time says what it is worth: on strides that were not identified from, or cross-validated.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.optimize import dual_annealing, least_squares
from table import Row, row, run
from treadmill import folder, strides, whole

from mjx_msm.estimation.residuals.moment import MomentTerm, moment_term
from mjx_msm.identification.problem import Problem
from mjx_msm.knowledge.posterior_draws import completed_draws
from mjx_msm.knowledge.records import Fit, Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.settings import Options
from mjx_msm.recordings.subject_file.loading import Study, load_subject
from mjx_msm.recordings.trial import reordered
from mjx_msm.study.identification import cross_validated, identify_study
from mjx_msm.study.settings import settings, study_model

HERE = Path(__file__).resolve().parent
STARTS = 8
"""One in four finds the best basin of eight strides that is known: eight do nine times in ten."""
NEAR = 1.0
"""Log posterior below the best one that counts as found."""


def pooled(fits: tuple[Fit, ...], role: str) -> float:
    """Root mean square over the error rows of a role [N·m]; trials are equally long."""
    return float(np.sqrt(np.mean([f.identified**2 for f in fits if f.role == role])))


def timed(job: Callable[[], Identification]) -> tuple[float, Identification]:
    began = time.perf_counter()
    result = job()
    return time.perf_counter() - began, result


# Eight strides ---------------------------------------------------------------------------------------------


class OutOfTime(Exception):
    """A peer's limit."""


@dataclass
class Objective:
    """What `identify` minimises, at the noise it found, and who has come how far after which time."""

    problem: Problem
    term: MomentTerm
    scale: Float[np.ndarray, "coordinate"]
    limit: float

    def __post_init__(self) -> None:
        self.began, self.evaluations = time.perf_counter(), 0
        self.best, self.at = np.inf, self.problem.start
        self.trace: list[tuple[float, float]] = []

    def residuals(self, z: Float[np.ndarray, "free"]) -> Float[np.ndarray, "row"]:
        if time.perf_counter() - self.began > self.limit:
            raise OutOfTime
        space = self.problem.space
        own = np.ravel(self.term.evaluate(z, self.scale) / self.scale)
        out = np.concatenate([own, (z - space.prior_mean) / space.prior_scale])
        self.evaluations += 1
        value = 0.5 * float(out @ out)
        if value < self.best:
            self.best, self.at = value, z.copy()
            self.trace.append((time.perf_counter() - self.began, value))
        return out

    def __call__(self, z: Float[np.ndarray, "free"]) -> float:
        out = self.residuals(z)
        return 0.5 * float(out @ out)

    def reached(self, value: float) -> float:
        """Seconds to it; infinite if it was not."""
        return next((at for at, seen in self.trace if seen <= value), np.inf)


def trust_region(objective: Objective) -> None:
    """scipy.optimize.least_squares with finite differences."""
    space = objective.problem.space
    unit = np.array([kind.prior_scale for kind in space.kinds])
    least_squares(
        objective.residuals, objective.problem.start, bounds=(space.lower, space.upper), x_scale=unit, max_nfev=10_000
    )


def annealing(objective: Objective) -> None:
    """scipy.optimize.dual_annealing."""
    space = objective.problem.space
    bounds = list(zip(space.lower, space.upper, strict=True))
    dual_annealing(objective, bounds, x0=objective.problem.start, maxiter=10**9, rng=0)


def eight_strides(limit: float) -> Iterator[Row]:
    study = strides()
    model = study_model(study)
    identify_study(study, model)  # compiles
    seconds, result = timed(lambda: identify_study(study, model))
    evaluations, count = result.stages[-1].evaluations, len(result.z)
    converged = float(result.outcome is Outcome.CONVERGED)
    yield row(f"8 strides, {count} unknowns: time to the result, compiled", seconds, "s", at_most=2.0)
    yield row(f"8 strides, {count} unknowns: converged", converged, at_least=1.0)
    yield row("8 strides: evaluations", evaluations)
    yield row("8 strides: error on 8 others", pooled(result.fits, "held-out"), "N·m")
    spent, searched = timed(lambda: identify_study(study, model, starts=STARTS))
    yield row(f"8 strides: time with {STARTS} starts, compiled", spent, "s")
    gained = result.stages[-1].cost - searched.stages[-1].cost
    yield row(f"8 strides: log posterior gained by {STARTS} starts", gained)
    yield row(f"8 strides: error on 8 others from {STARTS} starts", pooled(searched.fits, "held-out"), "N·m")
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-W", "ignore", str(HERE / "one_process.py"), "strides", cache]
        cold = json.loads(subprocess.run(command, capture_output=True, check=True).stdout.splitlines()[-1])
    yield row("8 strides, cold process, empty cache: time to the result", cold["seconds"], "s", at_most=12.0)

    problem, judge = problem_of(study, model), held_out_term(study, model)
    (term,) = problem.stages[0][1]()
    assert isinstance(term, MomentTerm)
    term = term.at_own_scales(np.array(result.z))
    scale = np.array([result.stages[-1].noise[f"moment/{c}"] for c in model.free])
    goal = Objective(problem, term, scale, np.inf)(np.array(result.z)) + NEAR
    peers = {
        "scipy.optimize.least_squares, finite differences": trust_region,
        "scipy.optimize.dual_annealing": annealing,
    }
    for name, method in peers.items():
        objective = Objective(problem, term, scale, limit)
        with suppress(OutOfTime):
            method(objective)
        spent = time.perf_counter() - objective.began
        error = np.sqrt(np.sum(judge.evaluate(objective.at, scale) ** 2) / judge.weight.sum())
        yield row(f"8 strides: {name}, time spent", spent, "s", n=objective.evaluations)
        yield row(f"8 strides: {name}, time to a log posterior within {NEAR:g} of ours", objective.reached(goal), "s")
        yield row(f"8 strides: {name}, log posterior below ours", objective.best - goal + NEAR)
        yield row(f"8 strides: {name}, error on 8 others", float(error), "N·m")


def problem_of(study: Study, model: Model) -> Problem:
    return Problem.build(model, study.trials, settings(study, model))


def held_out_term(study: Study, model: Model) -> MomentTerm:
    problem = problem_of(study, model)
    recordings = [record(model, reordered(t, problem.channels), problem.emg_map) for t in study.held_out]
    return moment_term(model, problem.space, recordings, problem.settings.rate)


# Long recordings, and a study from end to end --------------------------------------------------------------


def three_recordings(folds: int) -> Iterator[Row]:
    study = whole()
    model = study_model(study)
    seconds, result = timed(lambda: identify_study(study, model))
    count = len(result.z)
    converged = float(result.outcome is Outcome.CONVERGED)
    yield row(f"3 × 40 s at 100 Hz, {count} unknowns: time to the result, compiling", seconds, "s", at_most=20.0)
    yield row(f"3 × 40 s at 100 Hz, {count} unknowns: converged", converged, at_least=1.0)
    yield row("3 × 40 s: evaluations", result.stages[-1].evaluations)
    yield row("3 × 40 s: error in sample", pooled(result.fits, "identify"), "N·m")
    spent, result = timed(lambda: completed_draws(model, study.trials, result))
    yield row("3 × 40 s: draws of the posterior", spent, "s", at_most=60.0, n=len(result.samples))
    spent, result = timed(lambda: cross_validated(study, model, result, blocks=2 * folds, folds=folds))
    yield row(f"3 × 40 s: cross-validated error, {folds} folds", pooled(result.fits, "cross-validated"), "N·m")
    yield row("3 × 40 s: time of a fold", spent / folds, "s")


def the_walk(options: Options, *, searched: bool) -> Iterator[Row]:
    folder()
    study = load_subject(HERE.parent / "knee_walk" / "subject.toml")
    model = study_model(study)
    whole_time, result = timed(lambda: identify_study(study, model, **options))
    yield row(f"walk, {len(result.z)} unknowns, {result.stages[-1].starts} starts, compiling", whole_time, "s")
    spent, drawn = timed(lambda: completed_draws(model, study.trials, result))
    whole_time += spent
    yield row("walk: draws of the posterior", spent, "s", n=len(result.samples))
    spent, result = timed(lambda: cross_validated(study, model, drawn, **options))
    whole_time += spent
    yield row("walk: cross-validation, 5 folds from the result and three starts", spent, "s")
    yield row("walk: starts, draws and cross-validation, compiling", whole_time, "s", at_most=30.0)
    (fit,) = (f for f in result.fits if f.role == "cross-validated")
    yield row("walk: cross-validated error", fit.identified, "N·m", at_most=9.0)
    yield row("walk: cross-validated correlation", fit.correlation, at_least=0.95)
    if searched:
        spent, result = timed(lambda: cross_validated(study, model, drawn, search=True, **options))
        (fit,) = (f for f in result.fits if f.role == "cross-validated")
        yield row("walk: cross-validation, every fold from all starts", spent, "s")
        yield row("walk: its error", fit.identified, "N·m")


def rows(quick: bool) -> Iterator[Row]:
    """Everything; shorter limits and fewer starts and folds if quick."""
    yield from eight_strides(20.0 if quick else 120.0)
    yield from three_recordings(2 if quick else 5)
    yield from the_walk({"starts": 5} if quick else {}, searched=not quick)


if __name__ == "__main__":
    run(__doc__, rows)
