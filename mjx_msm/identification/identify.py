"""The staged estimator: from recordings to a person's parameters, with their uncertainty.

Two stages, from robust to efficient: the acceleration residual (smooth, cheap, biased by the differentiation of noise)
finds the basin, from several starting points if need be; the motion residual is the answer. Within a stage
`mjx_msm.estimation.least_squares` finds the maximum a posteriori estimate inside the bounds, with the noise scale of
every coordinate at its own best value.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from jaxtyping import Float

from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.common.errors import InputWarning
from mjx_msm.common.interrupts import held_interrupts, repeated_interrupts
from mjx_msm.estimation.checkpoint import Descents, computed_from, digest, kept_descents
from mjx_msm.estimation.least_squares import BOLD, CAREFUL, Solution
from mjx_msm.estimation.residuals.moment import at_their_scales
from mjx_msm.estimation.residuals.motion import MotionTerm
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.estimation.robust import robust
from mjx_msm.identification.ahead import compiled_ahead
from mjx_msm.identification.assembly import assembled
from mjx_msm.identification.coarse_start import descend
from mjx_msm.identification.problem import BESIDE, EVALUATIONS, Problem, complete, deciding
from mjx_msm.identification.resume import resumed
from mjx_msm.identification.search import SEARCH_TOLERANCE, search
from mjx_msm.knowledge.records import Outcome, Stage
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model, check_model
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.evidence.contradictions import contradictions
from mjx_msm.recordings.settings import Options, Settings, with_options
from mjx_msm.recordings.trial import Trial, trials_of

TOLERANCE = 1e-4
"""Gain in log posterior worth no further step: it moves no estimate by more than 1.5 % of its standard deviation."""
EMG_NOISE_TOLERANCE = 1e-3
"""Gain in log posterior worth no further step where the EMG has errors: a twentieth of a standard deviation."""
RECENTRINGS = 1
"""How often activations are made linear anew about the errors of the EMG that were found."""


@dataclass(frozen=True)
class Iteration:
    """What a progress display is told after every iteration."""

    stage: str
    stages: int
    index: int
    iteration: int
    cost: float
    noise: Mapping[str, tuple[float, str]]
    """Scale of what is left of the residuals, per degree of freedom, and its unit, by residual kind."""
    z: Float[np.ndarray, "free"]


Listener = Callable[[Iteration], None]


@with_options()
@one_blas_thread
def identify(
    model: Model,
    trials: Trial | Sequence[Trial],
    *,
    settings: Settings | None = None,
    held_out: Trial | Sequence[Trial] = (),
    subject: str = "",
    hashes: Mapping[str, str] | None = None,
    listener: Listener | None = None,
    resume: Identification | None = None,
    checkpoint: str | Path | None = None,
    **options: Unpack[Options],
) -> Identification:
    """Estimate a person's parameters from recordings.

    **Arguments:**

    - `model`: the generic model; its nominal parameters are the start and the centre of the default priors.
    - `trials`: what was recorded, one or several. The clocks may differ from the model's timestep.
    - `options`: what to estimate and how: the fields of `Settings`, which says what each means. `free` is needed.
    - `settings`: all of them as one value, of which `options` then override some.
    - `held_out`: trials that only judge the result.
    - `subject`: name, for the result. `hashes`: of the input files, to be kept in it.
    - `listener`: called after every iteration. A `KeyboardInterrupt` at any point keeps the last iterate.
    - `resume`: an interrupted result of the same problem, to go on from its stage and iterate, and with the starting
      points it has not tried. A search that had ended is not taken up again.
    - `checkpoint`: a file to keep what is done in, as it goes. Where it exists, the run goes on from it, however the
      one before ended, to the same result to the bit, but for the seconds its stages took. Nothing removes it.

    **Returns:** an `Identification`; its `outcome` says how the solver ended.

    **Raises:** `InputError` naming the trial, channel or parameter that does not fit, or what is not the same as in
    the result or checkpoint to go on from.
    """
    check_model(model)
    trials, held_out = trials_of(trials), trials_of(held_out)
    settings = Settings.of(settings, options)
    trials, held_out, filled = complete(model, trials, held_out, settings)
    problem, starts = Problem.build(model, trials, settings), settings.starts
    notes = _notes(problem, (*trials, *held_out), filled)
    space, z, tried = problem.space, problem.start, 0
    stages: list[Stage] = []
    if resume is not None:
        z, stages, tried = resumed(resume, problem, hashes or {})
    reached: dict[str, _Reached] = {}
    try:
        with (
            repeated_interrupts(),
            kept_descents(checkpoint, lambda: _configuration(problem, trials, hashes, resume)) as descents,
            compiled_ahead(problem, len(stages)) as compiled,
        ):
            for index, (name, make) in enumerate(problem.stages):
                if index < len(stages):
                    continue
                began, count, terms = time.perf_counter() - descents.earlier, itertools.count(1), make()
                compiled(index, terms)

                def seconds(began: float = began) -> float:
                    return time.perf_counter() + descents.earlier - began

                def report(
                    at: Solution,
                    terms: list[AbstractTerm] = terms,
                    name: str = name,
                    index: int = index,
                    seconds: Callable[[], float] = seconds,
                    count: Iterator[int] = count,
                ) -> None:
                    reached[name] = _Reached(terms, at, seconds())
                    if listener is not None:
                        noise = noise_of(terms, at)
                        listener(Iteration(name, len(problem.stages), index, next(count), at.cost, noise, at.z))

                tolerance = TOLERANCE if settings.emg_noise is None else EMG_NOISE_TOLERANCE
                tolerance = tolerance if index + 1 == len(problem.stages) else SEARCH_TOLERANCE
                by_trial = settings.loss == "normal"
                if index == 0 and starts > 1:
                    solution = search(
                        terms, problem, z, starts, tried, settings.seed, tolerance, descents, report, by_trial=by_trial
                    )
                elif index == 0:
                    solution = descend(
                        terms, space, z, descents, limit=EVALUATIONS, tolerance=tolerance, report=report,
                        by_trial=by_trial, resumed=resume is not None,
                    )  # fmt: skip
                else:
                    solution = descents.minimise(
                        terms,
                        space,
                        z,
                        limit=EVALUATIONS,
                        tolerance=tolerance,
                        damping=BOLD if index else CAREFUL,
                        report=report,
                        by_trial=by_trial,
                    )
                    terms, solution = _recentred(terms, space, solution, tolerance, descents, report, by_trial)

                def again(
                    terms: list[AbstractTerm],
                    before: Solution,
                    tolerance: float = tolerance,
                    report: Callable[[Solution], None] = report,
                ) -> Solution:
                    return descents.minimise(
                        terms, space, before.z, limit=EVALUATIONS, tolerance=tolerance, damping=BOLD,
                        nuisance=before.nuisance, report=report,
                    )  # fmt: skip

                if settings.loss == "student":
                    terms, solution = robust(terms, solution, again)
                if solution.interrupted and not np.isfinite(solution.cost):
                    raise KeyboardInterrupt  # before this stage's first iterate: what there is, is the last stage's
                reached[name] = _Reached(terms, solution, seconds())
                z = solution.z
                if solution.interrupted:
                    break
    except KeyboardInterrupt:
        if not reached:
            raise
        *_, last = reached.values()
        last.solution.interrupted = True
    with held_interrupts() as interrupts:
        stages += [r.stage(name, model.free) for name, r in reached.items()]
        *_, last = reached.values()
        terms = at_their_scales(last.terms, last.solution.relative)
        result = assembled(problem, terms, last.solution, stages, held_out, subject, hashes or {})
        for line in result.notes:  # of unmeasured muscles
            warnings.warn(line, InputWarning, stacklevel=3)
        result = replace(result, notes=(*notes, *result.notes))
    return replace(result, outcome=Outcome.INTERRUPTED) if interrupts else result


def _notes(problem: Problem, trials: Sequence[Trial], filled: Sequence[str]) -> tuple[str, ...]:
    """What was said of the trials when they were read, what was filled in, and what contradicts them in the model; the
    latter are warnings here."""
    found = [*filled, *contradictions(problem.model, trials, problem.emg_map)]
    for line in found:
        warnings.warn(line, InputWarning, stacklevel=4)
    read = [note for t in trials for note in t.metadata.get("notes", ())]  # type: ignore[attr-defined]
    return tuple(dict.fromkeys((*read, *found)))


def _configuration(
    problem: Problem, trials: Sequence[Trial], hashes: Mapping[str, str] | None, resume: Identification | None
) -> dict[str, Any]:
    """All that an estimate depends on."""
    return {
        "what": "identification",
        "hashes": dict(hashes or {}),
        "settings": deciding(problem.settings),
        **problem.record(),
        **dict.fromkeys(("emg_noise", "loss", *BESIDE)),  # they are among the settings, or decide nothing
        "resumed from": "nothing" if resume is None else digest(np.array(resume.z), resume.outcome.name),
        **computed_from(problem.model, trials),
    }


def _recentred(
    terms: list[AbstractTerm],
    space: ParameterSpace,
    solution: Solution,
    tolerance: float,
    descents: Descents,
    report: Callable[[Solution], None],
    by_trial: bool,
) -> tuple[list[AbstractTerm], Solution]:
    """Where EMG has errors: solved again with activations linear about the errors that were found."""
    for _ in range(RECENTRINGS if any(isinstance(t, MotionTerm) and t.error for t in terms) else 0):
        if solution.interrupted or solution.nuisance is None or not np.isfinite(solution.cost):
            break
        pairs = zip(terms, solution.nuisance, strict=True)
        terms = [t.recentred(n) if isinstance(t, MotionTerm) else t for t, n in pairs]
        again = descents.minimise(
            terms, space, solution.z, limit=EVALUATIONS, tolerance=tolerance, damping=BOLD,
            nuisance=solution.nuisance, report=report, by_trial=by_trial,
        )  # fmt: skip
        solution = replace(again, evaluations=solution.evaluations + again.evaluations)
    return terms, solution


@dataclass
class _Reached:
    """What a stage has come to."""

    terms: list[AbstractTerm]
    solution: Solution
    seconds: float

    def stage(self, name: str, coordinates: Sequence[str]) -> Stage:
        scales = {
            f"{t.kind}/{c}": float(s)
            for t, scale in zip(self.terms, self.solution.scales, strict=True)
            for c, s in zip(coordinates, scale, strict=True)
        }
        at = self.solution
        return Stage(name, at.cost, at.evaluations, self.seconds, scales, at.starts)


def noise_of(terms: Sequence[AbstractTerm], at: Solution) -> dict[str, tuple[float, str]]:
    """`Iteration.noise` of a solution."""
    return {t.kind: (_rms(s, t), t.unit) for t, s in zip(terms, at.scales, strict=True)}


def _rms(scale: Float[np.ndarray, "coordinate"], term: AbstractTerm) -> float:
    weight = term.weight.sum(axis=0)
    return float(np.sqrt((scale**2 * weight).sum() / max(weight.sum(), 1.0)))
