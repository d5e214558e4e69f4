"""The staged estimator: from recordings to a person's parameters, with their uncertainty.

Stages go from robust to efficient: the acceleration residual (smooth, biased) finds the basin, the motion residual
over growing horizons is the answer. Within a stage scipy's trust-region reflective least squares works on
the whitened residuals, the prior and box bounds; the noise scale of every coordinate is estimated along with the
parameters by alternation, which is the maximum a posteriori estimate with the noise scales free.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from mjx_msm.compiled import float64
from mjx_msm.errors import InputError
from mjx_msm.identification import Estimate, Fit, Identification, Outcome, Stage
from mjx_msm.model import MUSCLES, Model
from mjx_msm.parameters import ParameterSpace, parameter_space
from mjx_msm.recording import Recording, record
from mjx_msm.residuals import AbstractTerm, MotionTerm, acceleration_term, moment_term, motion_term
from mjx_msm.trial import Trial
from mjx_msm.uncertainty import Uncertainty, autocorrelation_time, uncertainty

RESIDUALS = ("acceleration", "moment", "motion")
# Segment lengths of the motion stages [steps]; None is the whole trial.
HORIZONS: tuple[int | None, ...] = (20, 100, 500, None)
# Below this a residual is round-off, not noise.
NOISE_FLOOR = {"acceleration": 1e-7, "moment": 1e-7, "motion": 1e-9}


# Alternations of parameters and noise scales, at most; in a stage that only opens the way for the next, fewer do.
SWEEPS, OPENING_SWEEPS = 12, 3
# Evaluations that a further starting point gets to show what its basin is worth.
SEARCH_EVALUATIONS = 25


@dataclass(frozen=True)
class Iteration:
    """What a progress display is told after every iteration."""

    stage: str
    stages: int
    index: int
    iteration: int
    cost: float
    errors: Mapping[str, tuple[float, str]]
    """Root mean square error and unit by residual kind."""
    z: Float[np.ndarray, "free"]


Listener = Callable[[Iteration], None]


@dataclass
class _Solution:
    z: Float[np.ndarray, "free"]
    scales: list[Float[np.ndarray, "coordinate"]]
    cost: float = np.inf
    evaluations: int = 0
    converged: bool = True
    interrupted: bool = False


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
    horizons: Sequence[int | None] = HORIZONS,
    starts: int = 1,
    seed: int = 0,
    subject: str = "",
    hashes: Mapping[str, str] | None = None,
    listener: Listener | None = None,
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
    - `horizons`: segment lengths of the motion stages in steps; None is the whole trial.
    - `starts`: number of starting points; all but the first are drawn from the prior, and the best by the first
      stage goes on.
    - `listener`: called after every iteration. A `KeyboardInterrupt` at any point keeps the last iterate.

    **Returns:** an `Identification`; its `outcome` says how the solver ended.

    **Raises:** `InputError` naming the trial, channel or parameter that does not fit.
    """
    if starts < 1:
        raise InputError(f"starts = {starts} must be at least 1")
    problem = _Problem.build(model, trials, free, emg_map, residuals, tied, bounds, priors, rate, horizons)
    space = problem.space
    listener = listener or (lambda iteration: None)
    candidates = [problem.start]
    rng = np.random.default_rng(seed)
    for _ in range(starts - 1):
        spread = np.where(np.isfinite(space.prior_scale), space.prior_scale, 0.25 * (space.upper - space.lower))
        candidates.append(space.clip(candidates[0] + spread * rng.standard_normal(space.size), 1e-3))

    stages: list[Stage] = []
    solution = _Solution(candidates[0], [])
    terms: list[AbstractTerm] = []
    for index, (name, make) in enumerate(problem.stages):
        began = time.perf_counter()
        counter = itertools.count(1)

        def report(
            cost: float, errors: Any, z: Any, name: str = name, index: int = index, count: Any = counter
        ) -> None:
            listener(Iteration(name, len(problem.stages), index, next(count), cost, errors, z))

        try:
            stage_terms = make()
        except KeyboardInterrupt:
            if not terms:
                raise
            solution = replace(solution, interrupted=True)
            break
        terms = stage_terms
        opening = index + 1 < len(problem.stages)  # finds the basin; the stages after it find the answer
        solution = _solve(terms, space, solution.z, report, sweeps=OPENING_SWEEPS if opening else SWEEPS)
        searched = 0
        if index == 0 and starts > 1 and not solution.interrupted:
            solution, searched = _search(terms, space, solution, candidates[1:], report)
        noise = {
            f"{t.kind}/{c}": float(s)
            for t, scale in zip(terms, solution.scales, strict=True)
            for c, s in zip(model.free, scale, strict=True)
        }
        seconds = time.perf_counter() - began
        stages.append(Stage(name, solution.cost, searched + solution.evaluations, seconds, noise))
        if solution.interrupted:
            break
    return _result(problem, terms, solution, stages, trials, held_out, seed, subject, hashes or {})


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
    stages: tuple[tuple[str, Callable[[], list[AbstractTerm]]], ...]

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
        horizons: Sequence[int | None],
    ) -> _Problem:
        if not trials:
            raise InputError("no trials to identify from; give at least one")
        if not model.free:
            raise InputError("no coordinate is free; leave at least one neither prescribed nor locked")
        if not rate > 0:
            raise InputError(f"rate {rate} must be positive [samples/s]")
        if "motion" in residuals and (not horizons or any(h is not None and h < 1 for h in horizons)):
            raise InputError(f"horizons {tuple(horizons)} must be one or more positive numbers of steps, or None")
        unknown = [r for r in residuals if r not in RESIDUALS]
        if unknown or not residuals:
            raise InputError(f"residuals {', '.join(unknown) or 'are empty'}; choose from {', '.join(RESIDUALS)}")
        emg_map = emg_map if emg_map is not None else {m: {m: 1.0} for m in model.muscles}
        channels = tuple(dict.fromkeys(c for m in model.muscles for c in emg_map.get(m, {})))
        recordings = tuple(record(model, reordered(t, channels), emg_map) for t in trials)
        if "moment" in residuals and not any(r.moment_weight.any() for r in recordings):
            raise InputError(f"residual 'moment' needs recorded moments of {', '.join(model.free)}; no trial has them")
        nominal = model.nominal.with_channels(channels)
        space = parameter_space(nominal, free, tied=tied, bounds=bounds, priors=priors)
        with float64():
            centre = np.asarray(space.pack(nominal))
        start = space.clip(space.prior_mean)  # the nominal value, unless a prior says better

        def direct(kinds: Sequence[str]) -> list[AbstractTerm]:
            out: list[AbstractTerm] = []
            if "moment" in kinds:
                out.append(moment_term(model, space, recordings, rate))
            if "acceleration" in kinds:
                out.append(acceleration_term(model, space, recordings, rate))
            return out

        with_moment = [k for k in residuals if k == "moment"]
        stages: list[tuple[str, Callable[[], list[AbstractTerm]]]] = []
        if "motion" not in residuals:
            stages.append((" and ".join(residuals), lambda: direct(residuals)))
        else:
            opening = [*with_moment, "acceleration"]
            stages.append((" and ".join(opening), lambda: direct(opening)))
            longest = max(r.last - r.first for r in recordings)
            for horizon in dict.fromkeys(min(h or longest, longest) for h in horizons):
                stages.append((
                    f"motion over {horizon * model.timestep:g} s",
                    lambda horizon=horizon: [*direct(with_moment), motion_term(model, space, recordings, horizon)],
                ))  # fmt: skip
        return _Problem(model, space, centre, start, recordings, emg_map, channels, rate, tuple(stages))


def reordered(trial: Trial, channels: tuple[str, ...]) -> Trial:
    """The trial with exactly these channels, in this order."""
    missing = [c for c in channels if c not in trial.channels]
    if missing:
        raise InputError(f"trial '{trial.name}' has no EMG channel '{missing[0]}'; it has {', '.join(trial.channels)}")
    return replace(trial, channels=channels, emg=trial.emg[:, [trial.channels.index(c) for c in channels]])


def _solve(
    terms: list[AbstractTerm],
    space: ParameterSpace,
    z: Float[np.ndarray, "free"],
    report: Callable[..., None],
    scales: list[Float[np.ndarray, "coordinate"]] | None = None,
    sweeps: int = SWEEPS,
    evaluations: int | None = None,
) -> _Solution:
    """One stage: least squares for z and the noise scales in turn, until the scales settle.

    **Arguments:** `scales`: noise scales to begin with; by default what the starting point leaves unexplained.
    `evaluations`: at most, per sweep.
    """
    ones = np.ones(len(terms[0].model.free))
    solution = _Solution(z, scales or [ones for _ in terms])
    try:
        if scales is None:
            residuals = [t.evaluate(z, ones) for t in terms]
            solution.scales = [_noise(t, r, 0.0) for t, r in zip(terms, residuals, strict=True)]
        for sweep in range(sweeps):
            before = solution.scales
            limit = evaluations or (15 if scales is None and sweep < 2 else 60)
            used = _least_squares(terms, space, solution, report, limit)
            residuals = [t.evaluate(solution.z, s) for t, s in zip(terms, before, strict=True)]
            solution.scales = [_noise(t, r, used) for t, r in zip(terms, residuals, strict=True)]
            change = max(np.max(np.abs(np.log(a / b))) for a, b in zip(solution.scales, before, strict=True))
            at_floor = all(np.all(s <= 1.01 * NOISE_FLOOR[t.kind]) for t, s in zip(terms, solution.scales, strict=True))
            if change < 0.05 or at_floor:
                break
        else:
            solution.converged = False
    except KeyboardInterrupt:
        solution.interrupted = True
    return solution


def _search(
    terms: list[AbstractTerm],
    space: ParameterSpace,
    first: _Solution,
    starts: Sequence[Float[np.ndarray, "free"]],
    report: Callable[..., None],
) -> tuple[_Solution, int]:
    """The best of several starting points, and the evaluations it took to find it.

    The others begin with the first one's noise scales: with scales as large as their own first residuals the prior
    would pull all of them into the basin around its mean.
    """
    tried = [first]
    for z in starts:
        tried.append(_solve(terms, space, z, report, first.scales, sweeps=1, evaluations=SEARCH_EVALUATIONS))
        if tried[-1].interrupted:
            break
    best = min(tried, key=lambda s: _evidence(s, terms))
    if tried[-1].interrupted:
        return replace(best, interrupted=True), sum(t.evaluations for t in tried) - best.evaluations
    searched = sum(t.evaluations for t in tried)
    if best is first:
        return first, searched - first.evaluations
    return _solve(terms, space, best.z, report, best.scales), searched


def _noise(
    term: AbstractTerm, residual: Float[np.ndarray, "sample coordinate"], unknowns: float
) -> Float[np.ndarray, "coordinate"]:
    """Noise scale per coordinate: root mean square of its residuals per degree of freedom.

    **Arguments:** `unknowns`: how many the data have used up, which is fewer than there are where a prior holds some.
    """
    squares, count = (residual**2).sum(axis=0), term.weight.sum(axis=0)
    freedom = np.maximum(count - term.eliminated - unknowns / residual.shape[1], np.maximum(0.2 * count, 1.0))
    return np.maximum(np.sqrt(squares / freedom), NOISE_FLOOR[term.kind])


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


def _least_squares(
    terms: list[AbstractTerm],
    space: ParameterSpace,
    solution: _Solution,
    report: Callable[..., None],
    max_evaluations: int,
) -> float:
    """scipy's trust-region reflective solver on whitened residuals and prior; `solution.z` follows the iterates.

    **Returns:** the number of unknowns that the data determined: the trace of (F + P)⁻¹ F.
    """
    has_prior = np.isfinite(space.prior_scale)
    prior_scale = np.where(has_prior, space.prior_scale, 1.0)

    def jacobian(z: np.ndarray) -> np.ndarray:
        parts = [t.linearise(z, s)[1].reshape(-1, len(z)) for t, s in zip(terms, solution.scales, strict=True)]
        return np.nan_to_num(np.concatenate([*parts, np.diag(1.0 / prior_scale)[has_prior]]))

    def values(z: np.ndarray) -> np.ndarray:
        solution.evaluations += 1
        parts = [t.evaluate(z, s) / s for t, s in zip(terms, solution.scales, strict=True)]
        r = np.concatenate([*(p.ravel() for p in parts), ((z - space.prior_mean) / prior_scale)[has_prior]])
        return np.nan_to_num(r, nan=1e6, posinf=1e6, neginf=-1e6)

    def follow(intermediate_result: Any) -> None:
        solution.z, solution.cost = np.array(intermediate_result.x), float(intermediate_result.cost)
        errors = {}
        r = intermediate_result.fun
        offset = 0
        for term, scale in zip(terms, solution.scales, strict=True):
            block = r[offset : offset + term.weight.size].reshape(term.weight.shape) * scale
            offset += term.weight.size
            errors[term.kind] = (float(np.sqrt((block**2).sum() / max(term.weight.sum(), 1.0))), term.unit)
        report(solution.cost, errors, solution.z)

    result = least_squares(
        values,
        space.clip(solution.z),
        jac=jacobian,  # type: ignore[arg-type]
        bounds=(space.lower, space.upper),
        x_scale=np.where(has_prior, prior_scale, space.upper - space.lower),
        method="trf",
        ftol=1e-6,
        xtol=1e-9,
        gtol=1e-7,
        max_nfev=max_evaluations,
        callback=follow,
    )
    solution.z, solution.cost = result.x, float(result.cost)
    solution.converged = result.status > 0
    data = len(result.fun) - int(has_prior.sum())
    return float(np.square(np.linalg.qr(result.jac)[0][:data]).sum())


def _evidence(solution: _Solution, terms: list[AbstractTerm]) -> float:
    """Negative log posterior with the noise scales at their estimates, up to a constant: ranks starting points."""
    data = sum(float((t.weight.sum(axis=0) * np.log(s)).sum()) for t, s in zip(terms, solution.scales, strict=True))
    space = terms[0].space
    return data + 0.5 * float((((solution.z - space.prior_mean) / space.prior_scale) ** 2).sum())


def _result(
    problem: _Problem,
    terms: list[AbstractTerm],
    solution: _Solution,
    stages: list[Stage],
    trials: Sequence[Trial],
    held_out: Sequence[Trial],
    seed: int,
    subject: str,
    hashes: Mapping[str, str],
) -> Identification:
    model, space, z = problem.model, problem.space, solution.z
    fisher, score = np.zeros((space.size, space.size)), np.zeros((space.size, space.size))
    for term, scale in zip(terms, solution.scales, strict=True):
        repetition = _repetition(term, term.evaluate(z, scale))  # residuals that repeat each other count as fewer
        jacobian = term.linearise(z, scale)[1]
        repeated = jacobian * np.sqrt(repetition)[:, None]
        for total, columns in ((fisher, jacobian), (score, repeated)):
            columns = columns.reshape(-1, space.size)
            total += columns.T @ columns
    known = uncertainty(fisher, space.prior_scale, score=score, width=space.upper - space.lower)
    estimates = _estimates(problem, z, known)
    undetermined = tuple(
        " with ".join(
            f"{space.paths[i]}{'' if k == 0 else (' (together)' if w > 0 else ' (opposed)')}"
            for k, (i, w) in enumerate(direction)
        )
        for direction in known.directions
    )
    fits = list(_fits(terms, problem.recordings, z, problem.start, solution.scales, "identify"))
    if held_out:
        recordings = tuple(record(model, reordered(t, problem.channels), problem.emg_map) for t in held_out)
        kinds = [t.kind for t in terms]
        judges: list[AbstractTerm] = []
        if "moment" in kinds and any(r.moment_weight.any() for r in recordings):
            judges.append(moment_term(model, space, recordings, problem.rate))
        if "motion" in kinds:
            judges.append(motion_term(model, space, recordings, max(r.last - r.first for r in recordings)))
        if "acceleration" in kinds:
            judges.append(acceleration_term(model, space, recordings, problem.rate))
        scales = [solution.scales[kinds.index(t.kind)] for t in judges]
        fits += _fits(judges, recordings, z, problem.start, scales, "held-out")
    with float64():
        parameters = space.unpack(z).to_dict()
    host = model.host
    return Identification(
        subject=subject,
        source=host.source,
        muscle_model=_muscle_name(model),
        timestep=model.timestep,
        free=host.free,
        prescribed=host.prescribed,
        locked=dict(host.locked),
        channels=problem.channels,
        emg_map={m: dict(problem.emg_map[m]) for m in model.muscles},
        outcome=_outcome(terms, solution),
        parameters=parameters,
        estimates=estimates,
        undetermined=undetermined,
        z=tuple(map(float, z)),
        covariance=tuple(tuple(map(float, row)) for row in known.covariance),
        fits=tuple(fits),
        stages=tuple(stages),
        seed=seed,
        versions=_versions(),
        hashes=dict(hashes),
    )


def _outcome(terms: Sequence[AbstractTerm], solution: _Solution) -> Outcome:
    if solution.interrupted:
        return Outcome.INTERRUPTED
    motions = [(t, s) for t, s in zip(terms, solution.scales, strict=True) if isinstance(t, MotionTerm)]
    if any(t.failed_segments(solution.z, s) for t, s in motions):
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
        "horizons": HORIZONS,
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
            times = recording.start + model.timestep * judge.at.sample[rows]
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
