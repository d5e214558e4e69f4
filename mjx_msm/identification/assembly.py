"""From a solution to the result: estimates, how much the data tell of each, errors of every trial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from jaxtyping import Float

from mjx_msm.common.compiled import float64
from mjx_msm.dynamics.sensitivities import factors
from mjx_msm.estimation.least_squares import Solution, bending, weighted
from mjx_msm.estimation.residuals.acceleration import acceleration_term
from mjx_msm.estimation.residuals.instants import InstantTerm
from mjx_msm.estimation.residuals.moment import MomentExpansion, MomentTerm, moment_term
from mjx_msm.estimation.residuals.motion import MotionTerm, motion_term, window_steps
from mjx_msm.estimation.residuals.motion_expansion import MotionExpansion
from mjx_msm.estimation.residuals.stepped_motion import is_stepped, stepped_motion_term
from mjx_msm.estimation.residuals.term import AbstractTerm, Quadratic
from mjx_msm.estimation.residuals.windows import WindowTerm
from mjx_msm.estimation.robust import DOUBTED, told
from mjx_msm.identification import baselines
from mjx_msm.identification.allowance import allowed
from mjx_msm.identification.discrepancy import WITH_DISCREPANCY, correction
from mjx_msm.identification.evidence import evidence
from mjx_msm.identification.inputs import Inputs
from mjx_msm.identification.misfit import against_the_model, disagreement, influence
from mjx_msm.identification.problem import Problem
from mjx_msm.identification.repetition import autocorrelation_times, times_by_trial
from mjx_msm.identification.unmeasured import simulated
from mjx_msm.knowledge.posterior import posterior_record, unknowns_of
from mjx_msm.knowledge.records import Estimate, Fit, Outcome, Stage
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing, standings
from mjx_msm.knowledge.uncertainty import Uncertainty, uncertainty
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording, record
from mjx_msm.recordings.trial import Trial, reordered

HELD = np.deg2rad(5.0)
"""How far a coordinate may move in a contraction that counts as held [rad]: a dynamometer's frame yields."""


def assembled(
    problem: Problem,
    terms: list[AbstractTerm],
    solution: Solution,
    stages: list[Stage],
    held_out: Sequence[Trial],
    subject: str,
    hashes: Mapping[str, str],
) -> Identification:
    model, space, z = problem.model, problem.space, solution.z
    scales = solution.scales
    parts, known = expanded(space, terms, solution)
    gradient = weighted(parts, scales)[0]
    rest, told_of_model = allowed(problem, terms, solution, known), evidence(space, terms, parts, solution)
    estimates = _estimates(problem, z, rest.known)
    notes: tuple[str, ...] = ()
    recorded = problem.recordings
    if problem.settings.unmeasured:  # from here on the person as they can be simulated
        stands = standings(estimates, unknowns_of(space))
        made = simulated(problem, terms, solution, [s is Standing.DETERMINED for s in stands])
        problem, terms, notes = made.problem, made.terms, made.notes
        solution = replace(solution, scales=made.scales)
        stages = [*stages[:-1], replace(stages[-1], noise=_noise(terms, made.scales, model.free))]
    terms = [t.with_exact_emg() if isinstance(t, MotionTerm) else t for t in terms]
    fits = list(fits_of(terms, problem.recordings, z, problem.start, solution.scales, "identify"))
    apart = disagreement(problem, [t.kind for t in terms], parts, scales, z, known.covariance)
    for term, scale in zip(terms, scales, strict=True):
        if isinstance(term, InstantTerm | WindowTerm):
            said, more = against_the_model(problem, term, scale, z), apart.get(term.kind, ())
            own = influence(problem, term, scale, z, known.covariance) if isinstance(term, MomentTerm) else {}
            fits = [
                replace(
                    f, against=(*said[f.trial, f.coordinate], *more), without=own.get((f.trial, f.coordinate))
                ) if f.kind == term.kind else f
                for f in fits
            ]  # fmt: skip
    if held_out:
        recordings = tuple(record(model, reordered(t, problem.channels), problem.emg_map) for t in held_out)
        kinds = [t.kind for t in terms]
        judges: list[AbstractTerm] = []
        if "moment" in kinds and any(r.moment_weight.any() for r in recordings):
            judges.append(moment_term(model, space, recordings, problem.settings.rate))
        if "motion" in kinds and is_stepped(model):
            judges.append(stepped_motion_term(model, space, recordings, problem.steps))
        elif "motion" in kinds:
            steps = window_steps(problem.steps, problem.recordings, recordings)
            judges.append(motion_term(model, space, recordings, steps, problem.settings.emg_noise).with_exact_emg())
        if "acceleration" in kinds:
            judges.append(acceleration_term(model, space, recordings, problem.settings.rate))
        scales = [solution.scales[kinds.index(t.kind)] for t in judges]
        rows = list(fits_of(judges, recordings, z, problem.start, scales, "held-out"))
        learnt = [(t, problem.recordings) for t in terms if isinstance(t, MomentTerm)]
        asked = [(t, recordings) for t in judges if isinstance(t, MomentTerm)]
        fits += [*with_others(rows, z, *learnt[0], *asked[0])] if learnt and asked else rows
    with float64():
        parameters = factors(space, z).parameters.to_dict()
    return Identification(
        subject=subject,
        source=model.host.source,
        outcome=_outcome(terms, solution),
        parameters=parameters,
        estimates=estimates,
        fits=tuple(fits),
        stages=tuple(stages),
        seed=problem.settings.seed,
        versions=_versions(),
        hashes=dict(hashes),
        residuals=tuple(t.kind for t in terms),
        contradicted=rest.contradicted,
        notes=notes,
        evidence=told_of_model,
        peaks={c: max(float(r.envelope[:, k].max()) for r in recorded) for k, c in enumerate(problem.channels)},
        **{**problem.record(), "held": rest.held},
        **posterior_record(space, z, known, problem.settings.seed, problem.usual, gradient),
    )


def expanded(
    space: ParameterSpace, terms: Sequence[AbstractTerm], solution: Solution
) -> tuple[list[Quadratic], Uncertainty]:
    """Every term about a solution, and what they tell of it: the Laplace approximation, in which what repeats itself
    counts as fewer."""
    z, scales = solution.z, solution.scales
    fisher, score, parts = np.zeros((space.size, space.size)), np.zeros((space.size, space.size)), []
    for term, scale, nuisance in zip(terms, scales, solution.nuisance or [None] * len(terms), strict=True):
        there = term.expand(z, nuisance)
        if isinstance(term, MotionTerm):
            assert isinstance(there, MotionExpansion)
            term.simulate(z, scale, nuisance, there)  # from where the solver left the states; kept for what follows
        about = there.reduce(scale)
        parts.append(about)
        information = about.hessian / scale[:, None, None] ** 2
        samples, slope, square = told(term, term.evaluate(z, scale))
        fisher += np.einsum("cij,c->ij", information, slope)
        if isinstance(there, MomentExpansion):
            own = there.by_trial.hessian / scale[:, None, None] ** 2
            score += np.einsum("tcij,tc,c->ij", own, times_by_trial(term, samples), square)
        else:
            score += np.einsum("cij,c->ij", information, square * autocorrelation_times(term, samples))
        if about.nuisance is not None:
            fisher, score = fisher + about.nuisance.hessian[0], score + about.nuisance.hessian[0]
    bend, width = bending(parts, scales), space.upper - space.lower
    return parts, uncertainty(fisher, space.prior_scale, score=score, bend=bend, width=width)


def _noise(
    terms: Sequence[AbstractTerm], scales: Sequence[Float[np.ndarray, "coordinate"]], coordinates: Sequence[str]
) -> dict[str, float]:
    rows = zip(terms, scales, strict=True)
    return {f"{t.kind}/{c}": float(s) for t, each in rows for c, s in zip(coordinates, each, strict=True)}


def _outcome(terms: Sequence[AbstractTerm], solution: Solution) -> Outcome:
    if solution.interrupted:
        return Outcome.INTERRUPTED
    if not np.isfinite(solution.cost):
        return Outcome.NOT_FINITE
    motions = [(t, s) for t, s in zip(terms, solution.scales, strict=True) if isinstance(t, MotionTerm)]
    if any(not t.simulate(solution.z, s)[1] for t, s in motions):
        return Outcome.NOT_FINITE
    if solution.converged:
        return Outcome.CONVERGED
    return Outcome.MAX_EVALUATIONS if solution.spent else Outcome.UNSETTLED


def _versions() -> dict[str, str]:
    out = {}
    for name in ("mjx-msm", "mujoco", "mujoco-mjx", "jax", "scipy", "numpy"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed"
    return out


def _estimates(problem: Problem, z: Float[np.ndarray, "free"], known: Uncertainty) -> tuple[Estimate, ...]:
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


def fits_of(
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
                    errors = generic[rows, c], identified[rows, c]
                    fit = fit_row(recording.name, role, term, coordinate, *errors, signal[rows, c])
                    trust = term.trust if isinstance(term, MomentTerm) else None
                    doubted = 0.0 if trust is None else float(np.mean(trust[rows, c] < DOUBTED))
                    yield replace(fit, doubted=doubted, held=is_held(recording, c))


def is_held(recording: Recording, c: int) -> bool:
    """Whether a free coordinate hardly moved in a trial."""
    position = recording.position[recording.weight[:, c] > 0, c]
    return bool(np.ptp(position) < HELD) if len(position) else False


def with_others(
    fits: Iterable[Fit],
    z: Float[np.ndarray, "free"],
    term: MomentTerm,
    recordings: Sequence[Recording],
    judge: MomentTerm,
    judged: Sequence[Recording],
) -> Iterator[Fit]:
    """Error rows of moments, with those of baselines, and of the model with its discrepancy, beside."""
    inputs, asked = Inputs.of(term, recordings), Inputs.of(judge, judged)
    names, free, one = [r.name for r in judged], term.model.free, np.ones(len(term.model.free))
    known, missed = term.evaluate(z, one), judge.evaluate(z, one)
    predicted = []
    for c, index in enumerate(term.model.host.free_index):
        learnt = term.weight[:, c] > 0
        guesses = baselines.predictions(inputs, term.target[:, c], learnt, int(index), asked)
        corrected = judge.target[:, c] + missed[:, c] + correction(inputs, -known[:, c], learnt, asked)
        predicted.append({WITH_DISCREPANCY: corrected, **guesses})
    for fit in fits:
        if fit.kind == judge.kind:
            c = free.index(fit.coordinate)
            rows = (judge.trial == names.index(fit.trial)) & (judge.weight[:, c] > 0)
            fit = replace(fit, beside=baselines.errors(predicted[c], judge.target[:, c], rows))
        yield fit


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
    rms_generic, rms_identified, level = (float(np.sqrt(np.mean(r**2))) for r in (generic, identified, recorded))
    errors = rms_generic, rms_identified
    return Fit(
        trial, role, term.kind, coordinate, term.unit, *errors, correlation, float(np.std(recorded)), level=level
    )
