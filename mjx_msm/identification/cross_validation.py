"""How well a part of what was recorded is predicted from the rest of it: a part of every trial, a trial, or a task."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.common.errors import InputError, one_of
from mjx_msm.estimation.checkpoint import computed_from, digest, kept_descents
from mjx_msm.estimation.least_squares import BOLD, NOISE_FLOOR, Solution
from mjx_msm.estimation.residuals.freed import FreedTerm, with_unknown_courses
from mjx_msm.estimation.residuals.instants import InstantTerm
from mjx_msm.estimation.residuals.moment import MomentTerm, at_their_scales, moment_term
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.estimation.robust import robust
from mjx_msm.identification import baselines
from mjx_msm.identification.assembly import expanded, fit_row, is_held
from mjx_msm.identification.coarse_start import descend
from mjx_msm.identification.discrepancy import WITH_DISCREPANCY, correction
from mjx_msm.identification.identify import TOLERANCE, Iteration, Listener, identify, noise_of
from mjx_msm.identification.inputs import Inputs
from mjx_msm.identification.problem import EVALUATIONS, Problem, complete, deciding
from mjx_msm.identification.search import search
from mjx_msm.identification.unmeasured import driven_by, mixes_of, simulated_term
from mjx_msm.knowledge.judged_errors import banded
from mjx_msm.knowledge.moment_band import DRAWS, ENDS, moment_noise, moment_spread
from mjx_msm.knowledge.posterior import draws_of
from mjx_msm.knowledge.records import Fit, Outcome, Unseen
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model, check_model
from mjx_msm.recordings.model_clock import Recording, record
from mjx_msm.recordings.settings import Options, Settings, with_options
from mjx_msm.recordings.trial import Trial, reordered, trials_of

BY = ("block", "trial", "task")
"""What is held out at a time."""
ROLE = "cross-validated"
"""Of the error rows."""
STARTS = 3
"""Starting points of a fold beside the result of all trials. On the recorded walk its error is then 8.76 N·m, that of a
search from 25 in every fold 9.11, for seven times the work: what the result knows of a fold flatters it by so much."""


@dataclass(frozen=True)
class CrossValidation:
    """What came of predicting what was left out."""

    fits: tuple[Fit, ...]
    """As `cross_validate` returns them."""
    unseen: tuple[Unseen, ...]
    """The predicted moments: one for every trial and coordinate that has them."""

    @staticmethod
    def of(fits: Sequence[Fit], unseen: Sequence[Unseen], trials: Sequence[Trial]) -> CrossValidation:
        """In the order of the trials, what the bands hold with the errors."""
        held = {(u.trial, u.coordinate): u.holds for u in unseen}
        order = {t.name: k for k, t in enumerate(trials)}
        return CrossValidation(
            tuple(sorted(banded(fits, ROLE, held), key=lambda f: order[f.trial])),
            tuple(sorted(unseen, key=lambda u: order[u.trial])),
        )


@with_options(residuals=("moment",))
def cross_validate(
    model: Model,
    trials: Trial | Sequence[Trial],
    *,
    by: str = "block",
    blocks: int = 10,
    folds: int = 5,
    settings: Settings | None = None,
    around: Identification | None = None,
    held_out: object = (),
    listener: Listener | None = None,
    checkpoint: str | Path | None = None,
    **options: Unpack[Options],
) -> tuple[Fit, ...]:
    """Errors of predictions of what was not identified from.

    **Arguments:**

    - `by`: what is held out at a time.
      "block": every trial's recorded moments are cut into `blocks` contiguous blocks; fold k holds out the blocks k,
      k + folds, …. For the moment residual alone: another would see the motion of the held-out blocks. It says how well
      the model interpolates: a stride is predicted from its neighbours. Channels of EMG that a trial lacks are filled
      in once, from motion and EMG of all blocks: a prediction is given both, and moments have no say in it.
      "trial": one trial; "task": all trials of one `Trial.task`. For any residuals. They say what an unseen recording
      of the same person can expect.
    - `settings`, `options`: of `identify`, but residuals are "moment" by default. `held_out` is ignored.
    - `around`: the result of all trials. Where there are several starting points, folds by block then begin from it
      and `STARTS` of them; without it each searches from all, which takes many times as long.
    - `checkpoint`: of `identify`; every fold has a file of its own, its number added to the name.

    **Returns:** one error row per trial, coordinate and kind of residual, over all held-out samples together; beside
    those of moments, the errors of the model with its `mjx_msm.identification.discrepancy`, and of
    `mjx_msm.identification.baselines`, from the same samples.

    **Raises:** `InputError` if there is nothing to hold out.
    """
    asked = Settings.of(settings, {"residuals": ("moment",), **options} if settings is None else options)
    return cross_validation(
        model, trials, asked, by=by, blocks=blocks, folds=folds, around=around, listener=listener, checkpoint=checkpoint
    ).fits


@one_blas_thread
def cross_validation(
    model: Model,
    trials: Trial | Sequence[Trial],
    settings: Settings,
    *,
    by: str = "block",
    blocks: int = 10,
    folds: int = 5,
    around: Identification | None = None,
    listener: Listener | None = None,
    checkpoint: str | Path | None = None,
) -> CrossValidation:
    """`cross_validate` with the moments that the folds predict of what they left out.

    The band about them is what a fold's own posterior and noise leave open: by draws of the Laplace approximation,
    which are not completed (`mjx_msm.knowledge.posterior_draws`). On the recorded walk that makes bands 10 % wider, and
    to complete 40 of them takes a third of a fold's time.
    """
    check_model(model)
    trials = trials_of(trials)
    if one_of("by", by, BY) == "block":
        return _by_block(model, trials, blocks, folds, settings, around, listener, checkpoint)
    groups = groups_of(trials, by)
    names = tuple(dict.fromkeys(groups))
    if len(names) < 2:
        raise InputError(
            f"cross-validation by {by} needs two {by}s or more, there is '{', '.join(n for _, n in names)}' alone; "
            'record more, or hold out a part of every trial: by = "block"'
        )
    rows: list[Fit] = []
    curves: list[Unseen] = []
    for fold, name in enumerate(names):
        rest = [t for t, group in zip(trials, groups, strict=True) if group != name]
        held = [t for t, group in zip(trials, groups, strict=True) if group == name]
        rest, held, _ = complete(model, rest, held, settings)
        result = _identified(model, rest, held, settings, listener, checkpoint, fold, len(names))
        rows += [replace(fit, role=ROLE) for fit in result.fits if fit.role == "held-out"]
        if "moment" in settings.residuals:
            curves += _predicted(model, result, held, settings.rate)
    return CrossValidation.of(rows, curves, trials)


def groups_of(trials: Sequence[Trial], by: str) -> list[tuple[str, str]]:
    """Of every trial, what it is held out with: its task, where that is asked for and it has one, or it alone."""
    return [("task", t.task) if by == "task" and t.task else ("trial", t.name) for t in trials]


def _identified(
    model: Model,
    trials: Sequence[Trial],
    held_out: Sequence[Trial],
    settings: Settings,
    listener: Listener | None,
    checkpoint: str | Path | None,
    fold: int,
    folds: int,
) -> Identification:
    def report(iteration: Iteration) -> None:
        if listener is not None:
            listener(replace(iteration, stage=f"cross-validation {fold + 1}/{folds}"))

    file, settings = _of_fold(checkpoint, fold), replace(settings, held="exact")  # nobody asks a fold's intervals
    result = identify(model, trials, held_out=held_out, settings=settings, listener=report, checkpoint=file)
    if result.outcome is Outcome.INTERRUPTED:
        raise KeyboardInterrupt
    return result


def _predicted(model: Model, result: Identification, trials: Sequence[Trial], rate: float) -> list[Unseen]:
    """Moments of trials that a result was not made from."""
    recordings = tuple(record(model, reordered(t, result.channels), result.emg_map) for t in trials)
    if not any(r.moment_weight.any() for r in recordings):
        return []
    term, z = moment_term(model, result.space(model), recordings, rate), np.array(result.z)
    spread = moment_spread(term, np.array(result.samples[:DRAWS]), moment_noise(result))
    return _unseen(term, recordings, term.target + term.evaluate(z, np.ones(len(model.free))), spread)


def _unseen(
    term: MomentTerm,
    recordings: Sequence[Recording],
    predicted: Float[np.ndarray, "instant free"],
    spread: Float[np.ndarray, "instant free"],
) -> list[Unseen]:
    """By trial and coordinate, what was predicted where it was measured; `spread`: standard deviation about it."""
    out = []
    for i, recording in enumerate(recordings):
        for c, coordinate in enumerate(term.model.free):
            rows = (term.trial == i) & (term.weight[:, c] > 0) & np.isfinite(predicted[:, c] + spread[:, c])
            if rows.any():
                time = recording.start + term.model.timestep * term.sample[rows]
                ends = [predicted[rows, c] + side * ENDS * spread[rows, c] for side in (-1, 1)]
                curves = [time, term.target[rows, c], predicted[rows, c], *ends]
                out.append(Unseen(recording.name, coordinate, *(tuple(_rounded(x)) for x in curves)))
    return out


def _rounded(values: Float[np.ndarray, "instant"]) -> list[float]:
    """Six digits: what a file of a result needs."""
    return [float(f"{x:.6g}") for x in values]


def _by_block(
    model: Model,
    trials: Sequence[Trial],
    blocks: int,
    folds: int,
    settings: Settings,
    around: Identification | None,
    listener: Listener | None,
    checkpoint: str | Path | None,
) -> CrossValidation:
    if settings.residuals != ("moment",):
        raise InputError(
            "blocked cross-validation is for residuals = ['moment'] alone: another residual would see the motion of "
            'the held-out blocks; hold out whole trials instead: by = "trial"'
        )
    whole = Problem.build(model, complete(model, trials, (), settings)[0], settings)
    if around is not None and tuple(e.path for e in around.estimates) != whole.space.paths:
        raise InputError("the result to cross-validate around estimates other parameters; give that of these trials")
    near = [] if around is None else [whole.space.clip(np.array(around.z))]
    block = [_blocks(t, blocks) for t in trials]  # as recorded: one whose moments do not count is a trial, too
    judge = moment_term(model, whole.space, whole.recordings, settings.rate)
    one = np.ones(len(model.free))
    generic, predicted = judge.evaluate(whole.start, one), np.zeros_like(judge.weight)
    spread = np.zeros_like(judge.weight)
    inputs = Inputs.of(judge, whole.recordings)
    beside: list[dict[str, np.ndarray]] = [{} for _ in model.free]
    of_instant = _block_of_instants(judge, whole, trials, block)
    for fold in range(folds):
        held = of_instant % folds == fold
        rest = replace(judge, mask=judge.mask * ~held[:, None])
        if not rest.mask.any():
            raise InputError(f"fold {fold + 1} of {folds} leaves no recorded moments to identify from; use more blocks")
        term = with_unknown_courses(model, rest, settings.unmeasured)
        term, found = _from_the_rest(whole, term, settings, near, listener, checkpoint, fold, folds)
        z = found.z
        made = _simulated(whole, judge, term, z)
        missed = made.evaluate(z, one)
        predicted[held] = missed[held]
        noise = _noise(missed, judge.weight * ~held[:, None], judge.trial)
        spread[held] = moment_spread(made, _people(whole, term, found), noise)[held]
        for c, index in enumerate(model.host.free_index):
            learnt = ~held & (judge.weight[:, c] > 0)
            corrected = judge.target[:, c] + missed[:, c] + correction(inputs, -missed[:, c], learnt, inputs)
            guesses = {WITH_DISCREPANCY: corrected}
            guesses |= baselines.predictions(inputs, judge.target[:, c], learnt, int(index), inputs)
            for name, guess in guesses.items():
                beside[c].setdefault(name, np.zeros(len(held)))[held] = guess[held]
    rows = []
    for i, recording in enumerate(whole.recordings):
        for c, coordinate in enumerate(model.free):
            where = (judge.trial == i) & (judge.weight[:, c] > 0)
            if where.any():
                recorded = judge.target[where, c]
                row = fit_row(
                    recording.name, ROLE, judge, coordinate, generic[where, c], predicted[where, c], recorded
                )  # fmt: skip
                others = baselines.errors(beside[c], judge.target[:, c], where)
                rows.append(replace(row, beside=others, held=is_held(recording, c), within=True))
    return CrossValidation.of(rows, _unseen(judge, whole.recordings, judge.target + predicted, spread), trials)


def _people(problem: Problem, term: InstantTerm, found: Solution) -> Float[np.ndarray, "draw free"]:
    """Draws from a fold's posterior."""
    space, terms = problem.space, at_their_scales([term], found.relative)
    known = expanded(space, terms, found)[1]
    return draws_of(found.z, known.spread, space.lower, space.upper, DRAWS, problem.settings.seed)


def _noise(
    missed: Float[np.ndarray, "instant free"],
    weight: Float[np.ndarray, "instant free"],
    trial: Int[np.ndarray, "instant"],
) -> Float[np.ndarray, "instant free"]:
    """At every instant, the root mean square of what is missed at those of its trial that count; of all trials where
    none of it does."""
    squares, counts = np.square(np.where(weight > 0, missed, 0.0)), weight > 0
    whole = squares.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    out = np.zeros_like(missed)
    for own in (trial == i for i in np.unique(trial)):
        count = counts[own].sum(axis=0)
        out[own] = np.sqrt(np.where(count > 0, squares[own].sum(axis=0) / np.maximum(count, 1), whole))
    return out


def _of_fold(checkpoint: str | Path | None, fold: int) -> Path | None:
    """The file of one fold."""
    if checkpoint is None:
        return None
    path = Path(checkpoint)
    return path.with_name(f"{path.stem}_{fold + 1}{path.suffix}")


def _from_the_rest(
    problem: Problem,
    term: InstantTerm,
    settings: Settings,
    near: Sequence[Float[np.ndarray, "free"]],
    listener: Listener | None,
    checkpoint: str | Path | None,
    fold: int,
    folds: int,
) -> tuple[InstantTerm, Solution]:
    """What `identify` would come to without the moments of a fold, and the term as it weighs them.

    Folds share what holds no moments: geometry, and what is compiled. Without `near` each searches from all starting
    points by itself, and none knows what the others, or all of the recording, came to. With it they know where one
    solution of all of it is, but not that it is one: that start competes with others by the fold's own moments, and
    where it leads is a minimum without what is held out.
    """
    count = itertools.count(1)

    def report(at: Solution) -> None:
        if listener is not None:
            stage = f"cross-validation {fold + 1}/{folds}"
            listener(Iteration(stage, 1, 0, next(count), at.cost, noise_of([term], at), at.z))

    def configuration() -> dict[str, Any]:
        recorded = term.mask, term.target, term.position, term.velocity, term.acceleration, term.envelope, term.mixing
        what = {"what": f"fold {fold + 1} of {folds}", "settings": deciding(settings), "moments": digest(*recorded)}
        return {**what, "around": digest(*near), **computed_from(problem.model, ())}

    by_trial = settings.loss == "normal"
    with kept_descents(_of_fold(checkpoint, fold), configuration) as descents:
        if settings.starts > 1:
            starts = min(settings.starts, STARTS) if near else settings.starts
            found = search(
                [term], problem, problem.start, starts, 0, settings.seed, TOLERANCE, descents, report, near, by_trial
            )  # fmt: skip
        else:
            found = descend(
                [term], problem.space, problem.start, descents, limit=EVALUATIONS, tolerance=TOLERANCE, report=report,
                by_trial=by_trial,
            )  # fmt: skip

        def again(terms: list[AbstractTerm], before: Solution) -> Solution:
            return descents.minimise(
                terms, problem.space, before.z, limit=EVALUATIONS, tolerance=TOLERANCE, damping=BOLD, report=report
            )

        terms: list[AbstractTerm] = [term]
        if settings.loss == "student":
            terms, found = robust(terms, found, again)
    if found.interrupted:
        raise KeyboardInterrupt
    (weighed,) = terms
    assert isinstance(weighed, InstantTerm)
    return weighed, found


def _simulated(problem: Problem, judge: MomentTerm, term: InstantTerm, z: Float[np.ndarray, "free"]) -> InstantTerm:
    """The term that predicts: with unmeasured muscles driven by what their courses go with in what was not held out."""
    if not isinstance(term, FreedTerm):
        return judge
    count = np.maximum(term.weight.sum(axis=0), 1.0)
    spread = np.sqrt(np.sum(term.evaluate(z, np.ones(len(count))) ** 2, axis=0) / count)
    mixes = mixes_of(problem, term, z, np.maximum(spread, NOISE_FLOOR[term.kind]))
    return simulated_term(problem, term.kind, driven_by(problem, mixes, problem.recordings))


def _block_of_instants(
    judge: MomentTerm, whole: Problem, trials: Sequence[Trial], block: Sequence[np.ndarray]
) -> np.ndarray:
    """Block of every instant of a term: that of the nearest sample of its trial."""
    out = np.zeros(len(judge.sample), dtype=int)
    for i, (recording, trial, b) in enumerate(zip(whole.recordings, trials, block, strict=True)):
        rows = np.flatnonzero(judge.trial == i)
        times = recording.start + judge.model.timestep * judge.sample[rows]
        nearest = np.clip(np.rint((times - trial.time[0]) / trial.timestep).astype(int), 0, len(b) - 1)
        out[rows] = b[nearest]
    return out


def _blocks(trial: Trial, blocks: int) -> np.ndarray:
    """Block of every sample: contiguous over the part with recorded moments."""
    if trial.moment is None or not np.isfinite(trial.moment).any():
        raise InputError(f"trial '{trial.name}' has no recorded moments to cross-validate")
    recorded = np.flatnonzero(np.isfinite(trial.moment).any(axis=1))
    first, last = recorded[0], recorded[-1]
    position = (np.arange(len(trial.time)) - first) / max(last - first + 1, 1)
    return np.clip((position * blocks).astype(int), 0, blocks - 1)
