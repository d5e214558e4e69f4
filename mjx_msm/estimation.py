"""The staged estimator: from recordings to a person's parameters, with their uncertainty.

Two stages, from robust to efficient: the acceleration residual (smooth, cheap, biased by the differentiation of noise)
finds the basin, from several starting points if need be; the motion residual is the answer. Within a stage
`mjx_msm.least_squares` finds the maximum a posteriori estimate inside the bounds, with the noise scale of every
coordinate at its own best value.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from mjx_msm.compiled import float64, jit
from mjx_msm.emg import EmgNoise
from mjx_msm.errors import InputError
from mjx_msm.identification import Estimate, Fit, Identification, Outcome, Stage, posterior_record
from mjx_msm.interrupts import held_interrupts
from mjx_msm.least_squares import BOLD, CAREFUL, TOLERANCE, Solution, minimise
from mjx_msm.model import MUSCLES, Model, muscle_constants
from mjx_msm.parameters import Parameters, ParameterSpace, parameter_space
from mjx_msm.recording import Recording, record
from mjx_msm.relaxation import can_relax, relaxed_start
from mjx_msm.residuals import (
    AbstractTerm,
    AccelerationTerm,
    MotionTerm,
    acceleration_term,
    moment_term,
    motion_term,
    window_steps,
)
from mjx_msm.sensitivities import factors
from mjx_msm.trial import Trial
from mjx_msm.uncertainty import Uncertainty, autocorrelation_time, uncertainty

RESIDUALS = ("acceleration", "moment", "motion")
EVALUATIONS = 300
"""Of a stage, at most."""
EMG_NOISE_TOLERANCE = 1e-3
"""Gain in log posterior worth no further step where the EMG has errors: a twentieth of a standard deviation."""
RECENTRINGS = 1
"""How often activations are made linear anew about the errors of the EMG that were found."""
SEARCH_EVALUATIONS, SEARCH_TOLERANCE = 60, 1e-2
"""What a starting point gets to show what its basin is worth."""
EXPLAINED = 0.02
"""Once residuals are below this part of the signal's spread in every coordinate, no other basin can be much better."""


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


def identify(
    model: Model,
    trials: Sequence[Trial],
    *,
    free: Iterable[str],
    emg_map: Mapping[str, Mapping[str, float]] | None = None,
    residuals: Sequence[str] = ("motion",),
    tied: Iterable[str] = (),
    bounds: Mapping[str, Mapping[str, Any]] | None = None,
    priors: Mapping[str, Mapping[str, Any] | str] | None = None,
    held_out: Sequence[Trial] = (),
    rate: float = 200.0,
    horizon: int | None = None,
    emg_noise: EmgNoise | None = None,
    starts: int = 1,
    seed: int = 0,
    subject: str = "",
    hashes: Mapping[str, str] | None = None,
    listener: Listener | None = None,
    resume: Identification | None = None,
) -> Identification:
    """Estimate a person's parameters from recordings.

    **Arguments:**

    - `model`: the generic model; its nominal parameters are the start and the centre of the default priors.
    - `trials`: what was recorded. The clocks may differ from the model's timestep.
    - `free`: parameter patterns to estimate, see `mjx_msm.parameters.parameter_space`.
    - `emg_map`: muscle to {channel: weight}; by default every muscle has a channel of its own name.
    - `residuals`: any of "acceleration", "moment" (needs recorded moments), "motion".
    - `tied`: patterns whose members share one unknown, e.g. one electromechanical delay ``["emg/*/delay"]``.
    - `bounds`, `priors`: overrides by pattern.
    - `held_out`: trials that only judge the result.
    - `rate`: samples per second at which acceleration and moment residuals are formed.
    - `horizon`: steps of motion that are simulated from one initial state; None is the whole trial. Shorter where a
      model cannot follow for long, e.g. without ground contact.
    - `emg_noise`: how far the envelopes may be from what drove the muscles. Without it they count as exact, and their
      errors bend the estimate; with it they are unknowns beside the initial states. For the motion residual alone.
    - `starts`: most starting points. The first is the model itself (or its priors' mean); the best by the first stage
      goes on. The search ends early once nothing is left to explain.
    - `listener`: called after every iteration. A `KeyboardInterrupt` at any point keeps the last iterate.
    - `resume`: an interrupted result of the same problem, to go on from its stage and iterate, and with the starting
      points it has not tried. A search that had ended is not taken up again.

    **Returns:** an `Identification`; its `outcome` says how the solver ended.

    **Raises:** `InputError` naming the trial, channel or parameter that does not fit, or what is not the same as in
    the result to resume.
    """
    if starts < 1:
        raise InputError(f"starts = {starts} must be at least 1")
    problem = _Problem.build(model, trials, free, emg_map, residuals, tied, bounds, priors, rate, horizon, emg_noise)
    space, z, tried = problem.space, problem.start, 0
    stages: list[Stage] = []
    if resume is not None:
        z, stages, tried = _resumed(resume, problem, hashes or {})
    reached: dict[str, _Reached] = {}
    try:
        with _compiled_ahead(problem, len(stages)) as compiled:
            for index, (name, make) in enumerate(problem.stages):
                if index < len(stages):
                    continue
                began, count, terms = time.perf_counter(), itertools.count(1), make()
                compiled(index, terms)

                def report(
                    at: Solution,
                    terms: list[AbstractTerm] = terms,
                    name: str = name,
                    index: int = index,
                    began: float = began,
                    count: Iterator[int] = count,
                ) -> None:
                    reached[name] = _Reached(terms, at, time.perf_counter() - began)
                    if listener is not None:
                        noise = {t.kind: (_rms(s, t), t.unit) for t, s in zip(terms, at.scales, strict=True)}
                        listener(Iteration(name, len(problem.stages), index, next(count), at.cost, noise, at.z))

                tolerance = TOLERANCE if emg_noise is None else EMG_NOISE_TOLERANCE
                tolerance = tolerance if index + 1 == len(problem.stages) else SEARCH_TOLERANCE
                if index == 0 and starts > 1:
                    solution = _search(terms, problem, z, starts, tried, seed, tolerance, report)
                else:
                    damping = BOLD if index else CAREFUL
                    solution = minimise(
                        terms, space, z, limit=EVALUATIONS, tolerance=tolerance, damping=damping, report=report
                    )
                    terms, solution = _recentred(terms, space, solution, tolerance, report)
                if solution.interrupted and not np.isfinite(solution.cost):
                    raise KeyboardInterrupt  # before this stage's first iterate: what there is, is the last stage's
                reached[name] = _Reached(terms, solution, time.perf_counter() - began)
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
        result = _result(problem, last.terms, last.solution, stages, trials, held_out, seed, subject, hashes or {})
    return replace(result, outcome=Outcome.INTERRUPTED) if interrupts else result


def _recentred(
    terms: list[AbstractTerm],
    space: ParameterSpace,
    solution: Solution,
    tolerance: float,
    report: Callable[[Solution], None],
) -> tuple[list[AbstractTerm], Solution]:
    """Where EMG has errors: solved again with activations linear about the errors that were found."""
    for _ in range(RECENTRINGS if any(isinstance(t, MotionTerm) and t.error for t in terms) else 0):
        if solution.interrupted or solution.nuisance is None or not np.isfinite(solution.cost):
            break
        pairs = zip(terms, solution.nuisance, strict=True)
        terms = [t.recentred(n) if isinstance(t, MotionTerm) else t for t, n in pairs]
        again = minimise(
            terms, space, solution.z, limit=EVALUATIONS, tolerance=tolerance, damping=BOLD,
            nuisance=solution.nuisance, report=report,
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


def _rms(scale: Float[np.ndarray, "coordinate"], term: AbstractTerm) -> float:
    weight = term.weight.sum(axis=0)
    return float(np.sqrt((scale**2 * weight).sum() / max(weight.sum(), 1.0)))


def _resumed(
    before: Identification, problem: _Problem, hashes: Mapping[str, str]
) -> tuple[Float[np.ndarray, "free"], list[Stage], int]:
    """Iterate and completed stages of an earlier result, and the starting points it tried in the stage it was in.

    **Raises:** `InputError` if it is of another problem.
    """
    if tuple(e.path for e in before.estimates) != problem.space.paths:
        raise InputError("the result to resume estimates other parameters; identify from the start")
    if before.hashes and hashes and dict(before.hashes) != dict(hashes):
        changed = sorted(k for k in {*hashes, *before.hashes} if hashes.get(k) != before.hashes.get(k))
        raise InputError(f"{changed[0]} has changed since the result to resume; identify from the start")
    difference = _difference(before, problem)
    if difference is not None:
        raise InputError(f"the result to resume was made with {difference}; identify from the start")
    known, tried = list(before.stages), 0
    if before.outcome is Outcome.INTERRUPTED or len(known) == len(problem.stages):
        tried = known.pop().starts  # cut short, or complete, and then its last stage settles at once
    return problem.space.clip(np.array(before.z)), known, 0 if known else tried


def _difference(before: Identification, problem: _Problem) -> str | None:
    """What a result was made with that is otherwise now, in words."""
    host, space = problem.model.host, problem.space
    stages = [s.name for s in before.stages], [name for name, _ in problem.stages]
    pairs = {
        "another muscle model": (before.muscle_model, _muscle_name(problem.model)),
        "other muscle constants": (dict(before.muscle_constants), muscle_constants(problem.model)),
        "another timestep": (before.timestep, problem.model.timestep),
        "other free coordinates": (before.free, host.free),
        "other prescribed coordinates": (before.prescribed, host.prescribed),
        "other locked coordinates": (dict(before.locked), dict(host.locked)),
        "other EMG channels": (before.channels, problem.channels),
        "another EMG map": (before.emg_map, {m: dict(problem.emg_map[m]) for m in problem.model.muscles}),
        "another rate": (before.rate, problem.rate),
        "another horizon": (before.horizon, problem.steps),
        "another EMG noise": (before.emg_noise, problem.emg_noise),
        "other residuals": tuple(", then ".join(names[: len(before.stages)]) for names in stages),
    }
    for words, (then, now) in pairs.items():
        if then != now:
            return f"{words} ({then}, now {now})"
    each = (("bounds", space.lower, "lower"), ("bounds", space.upper, "upper"))
    each += (("priors", space.prior_mean, "prior_mean"), ("priors", space.prior_scale, "prior_scale"))
    for words, values, field in each:
        same = np.isclose([getattr(u, field) for u in before.unknowns], values, rtol=1e-9, atol=1e-12)
        if not same.all():
            return f"other {words} of {space.paths[int(np.argmin(same))]}"
    if tuple(u.members for u in before.unknowns) != space.members:
        return "other parameters tied"
    return None


@contextmanager
def _compiled_ahead(problem: _Problem, first: int) -> Iterator[Callable[[int, Sequence[AbstractTerm]], None]]:
    """Compile what the motion stage needs while the first stage is at work: compilers leave Python's lock alone.

    Tracing does not, so the first stage's comes before. Yields a function to call with a stage and its terms: it waits
    until what that needs is there.
    """
    motion = [k for k, (name, _) in enumerate(problem.stages) if name.startswith("motion")]
    if first > 0 or not motion or motion[0] == 0:
        yield lambda index, terms: None
        return
    pool, tracer = ThreadPoolExecutor(2), ThreadPoolExecutor(1)
    later: list[Future[Any]] = []

    def trace() -> None:
        for job in problem.motion().compile_jobs(problem.start):
            later.append(pool.submit(job))

    def compiled(index: int, terms: Sequence[AbstractTerm]) -> None:
        # what goes wrong here goes wrong again where it is used
        if index == 0:
            now = [pool.submit(job) for term in terms for job in term.compile_jobs(problem.start)]
            later.append(tracer.submit(trace))
            wait(now)
        elif index >= motion[0]:
            wait(later[:1])
            wait(later)

    try:
        yield compiled
    finally:
        tracer.shutdown(wait=False, cancel_futures=True)
        pool.shutdown(wait=False, cancel_futures=True)


def _search(
    terms: list[AbstractTerm],
    problem: _Problem,
    z: Float[np.ndarray, "free"],
    starts: int,
    tried: int,
    seed: int,
    tolerance: float,
    report: Callable[[Solution], None],
) -> Solution:
    """The best of several starting points.

    Where an acceleration residual sees fiber or tendon lengths, further starts come from the convex relaxation, else
    from the prior.

    **Arguments:** `z`: the first starting point, or the best that was found from the `tried` ones before.
    """
    space, centre = problem.space, problem.start
    drawn = np.random.default_rng(seed).standard_normal((starts - 1, space.size))
    spread = np.where(np.isfinite(space.prior_scale), space.prior_scale, 0.25 * (space.upper - space.lower))
    accelerations = [t for t in terms if isinstance(t, AccelerationTerm)]
    relaxes = bool(accelerations) and can_relax(space)
    found: list[Solution] = []
    best, used = Solution(z, []), 0
    settings: dict[str, Any] = {"limit": SEARCH_EVALUATIONS, "tolerance": SEARCH_TOLERANCE}
    try:
        for k in (0, *range(max(tried, 1), starts)):
            guess = z
            if k and relaxes:
                guess = relaxed_start(accelerations[0], centre, seed + k)
            elif k:
                guess = space.clip(centre + spread * drawn[k - 1], 1e-3)
                # first with the best one's noise, or the prior would pull all of them to itself
                there = minimise(terms, space, guess, scales=best.scales, **settings)
                guess, used = there.z, used + there.evaluations
                if there.interrupted:
                    raise KeyboardInterrupt
            found.append(minimise(terms, space, guess, report=report, **settings))
            used += found[-1].evaluations
            best = min(found, key=lambda s: _evidence(terms, s))
            if found[-1].interrupted:
                raise KeyboardInterrupt
            tried = max(tried, k + 1)
            if _explained(terms, best):
                break
        if not best.converged or tolerance < SEARCH_TOLERANCE:
            final = minimise(terms, space, best.z, limit=EVALUATIONS, tolerance=tolerance, damping=BOLD, report=report)
            used += final.evaluations
            best = final if np.isfinite(final.cost) else replace(best, interrupted=final.interrupted)
    except KeyboardInterrupt:
        if not found:
            raise
        best = replace(best, interrupted=True)
    return replace(best, evaluations=used, starts=tried)


def _evidence(terms: Sequence[AbstractTerm], solution: Solution) -> float:
    """Negative log posterior for ranking starts: with all samples counted, whatever each one's unknowns used up."""
    if not np.isfinite(solution.cost):
        return np.inf
    data = sum(float(t.weight.sum(axis=0) @ np.log(s)) for t, s in zip(terms, solution.scales, strict=True))
    space = terms[0].space
    return data + 0.5 * float(np.sum(((solution.z - space.prior_mean) / space.prior_scale) ** 2))


def _explained(terms: Sequence[AbstractTerm], solution: Solution) -> bool:
    """Whether residuals are small beside the signals' spread."""
    for term, scale in zip(terms, solution.scales, strict=True):
        for signal, weight, left in zip(term.signal().T, term.weight.T, scale, strict=True):
            if weight.any() and left > EXPLAINED * np.std(signal[weight > 0]):
                return False
    return True


@dataclass(frozen=True)
class _Problem:
    """Recordings, free set and stages of one identification."""

    model: Model
    space: ParameterSpace
    nominal: Float[np.ndarray, "free"]
    """z of the model as it was loaded."""
    start: Float[np.ndarray, "free"]
    recordings: tuple[Recording, ...]
    emg_map: Mapping[str, Mapping[str, float]]
    channels: tuple[str, ...]
    rate: float
    steps: int
    """Of a motion window."""
    emg_noise: EmgNoise | None
    stages: tuple[tuple[str, Callable[[], list[AbstractTerm]]], ...]
    motion: Callable[[], MotionTerm]
    """The term of the motion stage, made once."""

    @staticmethod
    def build(
        model: Model,
        trials: Sequence[Trial],
        free: Iterable[str],
        emg_map: Mapping[str, Mapping[str, float]] | None,
        residuals: Sequence[str],
        tied: Iterable[str],
        bounds: Any,
        priors: Any,
        rate: float,
        horizon: int | None,
        emg_noise: EmgNoise | None = None,
    ) -> _Problem:
        if not trials:
            raise InputError("no trials to identify from; give at least one")
        if not model.free:
            raise InputError("no coordinate is free; leave at least one neither prescribed nor locked")
        if not rate > 0:
            raise InputError(f"rate {rate} must be positive [samples/s]")
        if horizon is not None and horizon < 1:
            raise InputError(f"horizon {horizon} must be a positive number of steps, or None for the whole trial")
        unknown = [r for r in residuals if r not in RESIDUALS]
        if unknown or not residuals:
            raise InputError(f"residuals {', '.join(unknown) or 'are empty'}; choose from {', '.join(RESIDUALS)}")
        if emg_noise is not None and tuple(residuals) != ("motion",):
            raise InputError(
                f"EMG noise is modelled in the motion residual alone, not with {', '.join(residuals)}; leave it out, "
                "or choose residuals = ['motion']"
            )
        emg_map = emg_map if emg_map is not None else {m: {m: 1.0} for m in model.muscles}
        channels = tuple(dict.fromkeys(c for m in model.muscles for c in emg_map.get(m, {})))
        recordings = tuple(record(model, reordered(t, channels), emg_map) for t in trials)
        if "moment" in residuals and not any(r.moment_weight.any() for r in recordings):
            raise InputError(f"residual 'moment' needs recorded moments of {', '.join(model.free)}; no trial has them")
        nominal = model.nominal.with_channels(channels)
        space = parameter_space(nominal, free, tied=tied, bounds=bounds, priors=priors)
        with float64():
            centre = np.asarray(_packed(space, nominal))
        start = space.clip(space.prior_mean)  # the nominal value, unless a prior says better

        def direct(kinds: Sequence[str]) -> list[AbstractTerm]:
            out: list[AbstractTerm] = []
            if "moment" in kinds:
                out.append(moment_term(model, space, recordings, rate))
            if "acceleration" in kinds:
                out.append(acceleration_term(model, space, recordings, rate))
            return out

        longest = max(r.last - r.first for r in recordings)
        steps = min(horizon or longest, longest)
        with_moment = [k for k in residuals if k == "moment"]
        motion = cache(lambda: motion_term(model, space, recordings, steps, emg_noise))
        stages: list[tuple[str, Callable[[], list[AbstractTerm]]]] = []
        if "motion" not in residuals:
            stages.append((" and ".join(residuals), lambda: direct(residuals)))
        else:
            opening = [*with_moment, "acceleration"]
            stages.append((" and ".join(opening), lambda: direct(opening)))
            stages.append((
                f"motion over {steps * model.timestep:g} s",
                lambda: [*direct(with_moment), motion()],
            ))  # fmt: skip
        return _Problem(
            model, space, centre, start, recordings, emg_map, channels, rate, steps, emg_noise, tuple(stages), motion
        )


@jit
def _packed(space: ParameterSpace, parameters: Parameters) -> Float[Array, "free"]:
    return space.pack(parameters)


def reordered(trial: Trial, channels: tuple[str, ...]) -> Trial:
    """The trial with exactly these channels, in this order."""
    if trial.metadata.get("payload"):
        raise InputError(
            f"trial '{trial.name}' was recorded with a payload of {trial.metadata['payload']} kg, which the model does "
            "not hold; identify from the trials with an empty hand, or see mjx_msm.payload"
        )
    missing = [c for c in channels if c not in trial.channels]
    if missing:
        raise InputError(f"trial '{trial.name}' has no EMG channel '{missing[0]}'; it has {', '.join(trial.channels)}")
    return replace(trial, channels=channels, emg=trial.emg[:, [trial.channels.index(c) for c in channels]])


def _repetition(
    term: AbstractTerm, residual: Float[np.ndarray, "sample coordinate"]
) -> Float[np.ndarray, "coordinate"]:
    """Samples per independent sample, per coordinate: the mean over trials of their autocorrelation times."""
    out = np.ones(residual.shape[1])
    for c in range(residual.shape[1]):
        rows = [(term.trial == i) & (term.weight[:, c] > 0) for i in np.unique(term.trial)]
        times = [(autocorrelation_time(residual[r, c]), r.sum()) for r in rows if r.any()]
        out[c] = sum(t * n for t, n in times) / sum(n for _, n in times) if times else 1.0
    return out


def _result(
    problem: _Problem,
    terms: list[AbstractTerm],
    solution: Solution,
    stages: list[Stage],
    trials: Sequence[Trial],
    held_out: Sequence[Trial],
    seed: int,
    subject: str,
    hashes: Mapping[str, str],
) -> Identification:
    model, space, z = problem.model, problem.space, solution.z
    scales = solution.scales
    fisher, score = np.zeros((space.size, space.size)), np.zeros((space.size, space.size))
    for term, scale, nuisance in zip(terms, scales, solution.nuisance or [None] * len(terms), strict=True):
        if isinstance(term, MotionTerm):
            term.simulate(z, scale, nuisance)  # from where the solver left the states; kept for what follows
        about = term.expand(z, nuisance).reduce(scale)
        information = about.hessian / scale[:, None, None] ** 2
        repetition = _repetition(term, term.evaluate(z, scale))  # residuals that repeat each other count as fewer
        fisher += information.sum(axis=0)
        score += np.einsum("cij,c->ij", information, repetition)
        if about.nuisance is not None:
            fisher, score = fisher + about.nuisance.hessian[0], score + about.nuisance.hessian[0]
    known = uncertainty(fisher, space.prior_scale, score=score, width=space.upper - space.lower)
    estimates = _estimates(problem, z, known)
    terms = [t.with_exact_emg() if isinstance(t, MotionTerm) else t for t in terms]
    fits = list(_fits(terms, problem.recordings, z, problem.start, solution.scales, "identify"))
    if held_out:
        recordings = tuple(record(model, reordered(t, problem.channels), problem.emg_map) for t in held_out)
        kinds = [t.kind for t in terms]
        judges: list[AbstractTerm] = []
        if "moment" in kinds and any(r.moment_weight.any() for r in recordings):
            judges.append(moment_term(model, space, recordings, problem.rate))
        if "motion" in kinds:
            steps = window_steps(problem.steps, problem.recordings, recordings)
            judges.append(motion_term(model, space, recordings, steps, problem.emg_noise).with_exact_emg())
        if "acceleration" in kinds:
            judges.append(acceleration_term(model, space, recordings, problem.rate))
        scales = [solution.scales[kinds.index(t.kind)] for t in judges]
        fits += _fits(judges, recordings, z, problem.start, scales, "held-out")
    with float64():
        parameters = factors(space, z).parameters.to_dict()
    host = model.host
    return Identification(
        subject=subject,
        source=host.source,
        muscle_model=_muscle_name(model),
        muscle_constants=muscle_constants(model),
        timestep=model.timestep,
        free=host.free,
        prescribed=host.prescribed,
        locked=dict(host.locked),
        channels=problem.channels,
        emg_map={m: dict(problem.emg_map[m]) for m in model.muscles},
        outcome=_outcome(terms, solution),
        parameters=parameters,
        estimates=estimates,
        fits=tuple(fits),
        stages=tuple(stages),
        seed=seed,
        versions=_versions(),
        hashes=dict(hashes),
        residuals=tuple(t.kind for t in terms),
        rate=problem.rate,
        horizon=problem.steps,
        emg_noise=problem.emg_noise,
        **posterior_record(space, z, known, seed),
    )


def _outcome(terms: Sequence[AbstractTerm], solution: Solution) -> Outcome:
    if solution.interrupted:
        return Outcome.INTERRUPTED
    if not np.isfinite(solution.cost):
        return Outcome.NOT_FINITE
    motions = [(t, s) for t, s in zip(terms, solution.scales, strict=True) if isinstance(t, MotionTerm)]
    if any(not t.simulate(solution.z, s)[1] for t, s in motions):
        return Outcome.NOT_FINITE
    return Outcome.CONVERGED if solution.converged else Outcome.MAX_EVALUATIONS


def _muscle_name(model: Model) -> str:
    return next((name for name, cls in MUSCLES.items() if type(model.muscle) is cls), type(model.muscle).__name__)


def _versions() -> dict[str, str]:
    out = {}
    for name in ("mjx-msm", "mujoco", "mujoco-mjx", "jax", "scipy", "numpy"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed"
    return out


def _estimates(problem: _Problem, z: Float[np.ndarray, "free"], known: Uncertainty) -> tuple[Estimate, ...]:
    space = problem.space
    sd = np.sqrt(np.diag(known.covariance))
    start, value = space.physical(problem.start), space.physical(z)
    low, high = (
        space.physical(np.maximum(z - 1.96 * sd, space.lower)),
        space.physical(np.minimum(z + 1.96 * sd, space.upper)),
    )
    margin = 1e-4 * (space.upper - space.lower)
    out = []
    for k, (path, kind) in enumerate(zip(space.paths, space.kinds, strict=True)):
        bound = "lower" if z[k] <= space.lower[k] + margin[k] else "upper" if z[k] >= space.upper[k] - margin[k] else ""
        unit, one = ("-", 1.0) if kind.transform == "inertia" else (kind.unit, 1.0)
        members = [m for m, owner in enumerate(space.owner) if owner == k]
        if np.any(space.offset[members]):  # a common factor of different nominal values is shown as one
            unit, one = "×", float(space.physical(problem.nominal)[k])
        spread = float(value[k] * sd[k]) if kind.transform == "log" else float(sd[k])
        out.append(
            Estimate(
                path=path,
                unit=unit,
                start=float(start[k]) / one,
                value=float(value[k]) / one,
                sd=spread / one,
                low=float(low[k]) / one,
                high=float(high[k]) / one,
                data_share=float(known.data_share[k]),
                bound=bound,
            )
        )
    return tuple(out)


def _fits(
    terms: Sequence[AbstractTerm],
    recordings: Sequence[Recording],
    z: Float[np.ndarray, "free"],
    start: Float[np.ndarray, "free"],
    scales: Sequence[Float[np.ndarray, "coordinate"]],
    role: str,
) -> Iterable[Fit]:
    for term, scale in zip(terms, scales, strict=True):
        generic, identified = term.evaluate(start, scale), term.evaluate(z, scale)
        signal = term.signal()
        for i, recording in enumerate(recordings):
            for c, coordinate in enumerate(term.model.free):
                rows = (term.trial == i) & (term.weight[:, c] > 0)
                if rows.any():
                    yield fit_row(
                        recording.name,
                        role,
                        term,
                        coordinate,
                        generic[rows, c],
                        identified[rows, c],
                        signal[rows, c],
                    )


def fit_row(
    trial: str,
    role: str,
    term: AbstractTerm,
    coordinate: str,
    generic: np.ndarray,
    identified: np.ndarray,
    recorded: np.ndarray,
) -> Fit:
    """Error row of one coordinate from residuals (simulated minus recorded) and the recorded signal."""
    simulated = recorded + identified
    varies = np.std(recorded) > 0 and np.std(simulated) > 0
    correlation = float(np.corrcoef(simulated, recorded)[0, 1]) if varies and len(recorded) > 2 else float("nan")
    rms_generic, rms_identified = (float(np.sqrt(np.mean(r**2))) for r in (generic, identified))
    spread = float(np.std(recorded))
    return Fit(trial, role, term.kind, coordinate, term.unit, rms_generic, rms_identified, correlation, spread)


# Cross-validation ------------------------------------------------------------------------------------------


def cross_validate(
    model: Model,
    trials: Sequence[Trial],
    *,
    blocks: int = 10,
    folds: int = 5,
    listener: Listener | None = None,
    **settings: Any,
) -> tuple[Fit, ...]:
    """Blocked cross-validation over time of the moment residual.

    Every trial's recorded moments are cut into `blocks` contiguous blocks; fold k holds out the blocks k,
    k + folds, …, identifies from the rest, and predicts what it held out.

    **Arguments:** `settings`: as `identify`; `held_out` is ignored.

    **Returns:** one error row per trial and coordinate, over all held-out samples together.

    **Raises:** `InputError` if no trial has recorded moments.
    """
    for name in ("held_out", "subject", "hashes"):
        settings.pop(name, None)
    search = {"starts": settings.pop("starts", 1), "seed": settings.pop("seed", 0)}
    arguments = {
        "emg_map": None,
        "residuals": ("moment",),
        "tied": (),
        "bounds": None,
        "priors": None,
        "rate": 200.0,
        "horizon": None,
        "emg_noise": None,
    } | settings
    if tuple(arguments["residuals"]) != ("moment",):
        raise InputError(
            "blocked cross-validation is for residuals = ['moment'] alone: another residual would see the motion of "
            "the held-out blocks; hold out a whole trial instead"
        )
    free = arguments.pop("free")
    whole = _Problem.build(model, trials, free, **arguments)
    judge = moment_term(model, whole.space, whole.recordings, whole.rate)
    one = np.ones(len(model.free))
    generic, predicted = judge.evaluate(whole.start, one), np.zeros_like(judge.weight)
    block = [_blocks(t, blocks) for t in trials]
    for fold in range(folds):
        masked = [_without(t, b % folds == fold) for t, b in zip(trials, block, strict=True)]

        def report(iteration: Iteration, fold: int = fold) -> None:
            if listener is not None:
                listener(replace(iteration, stage=f"cross-validation {fold + 1}/{folds}"))

        result = identify(model, masked, free=free, listener=report, **search, **arguments)
        if result.outcome is Outcome.INTERRUPTED:
            raise KeyboardInterrupt
        residual = judge.evaluate(np.array(result.z), one)
        for i, (recording, b) in enumerate(zip(whole.recordings, block, strict=True)):
            rows = np.flatnonzero(judge.trial == i)
            times = recording.start + model.timestep * judge.sample[rows]
            nearest = np.clip(np.rint((times - trials[i].time[0]) / trials[i].timestep).astype(int), 0, len(b) - 1)
            held = rows[b[nearest] % folds == fold]
            predicted[held] = residual[held]
    rows = []
    for i, recording in enumerate(whole.recordings):
        for c, coordinate in enumerate(model.free):
            where = (judge.trial == i) & (judge.weight[:, c] > 0)
            if where.any():
                rows.append(
                    fit_row(
                        recording.name,
                        "cross-validated",
                        judge,
                        coordinate,
                        generic[where, c],
                        predicted[where, c],
                        judge.target[where, c],
                    )
                )
    return tuple(rows)


def _without(trial: Trial, rows: np.ndarray) -> Trial:
    """The trial with the recorded moments of some samples taken out."""
    assert trial.moment is not None
    return replace(trial, moment=np.where(rows[:, None], np.nan, trial.moment))


def _blocks(trial: Trial, blocks: int) -> np.ndarray:
    """Block of every sample: contiguous over the part with recorded moments."""
    if trial.moment is None or not np.isfinite(trial.moment).any():
        raise InputError(f"trial '{trial.name}' has no recorded moments to cross-validate")
    recorded = np.flatnonzero(np.isfinite(trial.moment).any(axis=1))
    first, last = recorded[0], recorded[-1]
    position = (np.arange(len(trial.time)) - first) / max(last - first + 1, 1)
    return np.clip((position * blocks).astype(int), 0, blocks - 1)
