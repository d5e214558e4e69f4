"""How close the estimate comes: synthetic arms and knees with known truth, and a recorded walk.

    python examples/benchmarks/accuracy.py [--quick] [--json FILE]

Unknown together: strength, optimal fiber and tendon slack length of every muscle; mass, centre of mass and inertia of
every segment that moves; damping of every joint that moves. Four trials of 2 s at 500 Hz (knee: 1 kHz), whose motion
plain C MuJoCo made in steps of 0.1 ms, excitation linear between its samples (`truth.py`): nothing is identified with
the integrator that made the data. `identify` steps by RK4 from sample to sample.

*Without noise* the start is N(truth, error · truth), cut off at 0.3 and 2.5 times the truth. Bounds are those of a user
who knows nothing but the start: 0.4 to 3.4 times it, a centre of mass within 30 cm; they hold the truth. A recording
leaves combinations open, whatever the method: all strengths, masses and dampings scale together, an inertia out of
the plane does nothing. Reported is therefore the distance from the estimate to the nearest parameters that a recording
with 0.3° of noise could not tell from the truth: see `Indistinguishable`.

*With noise* of 0.3° on the angles the reference is the Cramér–Rao bound, initial states unknown. Noise on the EMG is
an error in variables: the true envelopes are unknowns, too, known up to their noise. With J the sensitivity of the
angles to the parameters, Jᵤ to the envelopes and Σᵤ the envelopes' covariance, the information is
Jᵀ(σ²I + JᵤΣᵤJᵤᵀ)⁻¹J. That bound is some fifty times the one of exact EMG: of the 23 unknowns such a recording
determines seven (more than the default prior does), and only those count. It is evaluated for the noise as `identify`
models it (`mjx_msm.estimation.envelope_error`), 2 to 6 % below the bound for the noise as it is drawn here.

The rest of these people is as the model has it, so it counts as exact; where it is not, `trouble.py` says what becomes
of the intervals.

All 100 noisy recordings of a person are identified; of starts without noise there are as many as half an hour on two
cores takes (`SEEDS`). Two processes share the work and what is compiled.

The walk needs the recorded data (examples/knee_walk/subject.toml) and is left out, by name, where they are absent.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float
from table import Row, row, run
from threadpoolctl import threadpool_limits
from truth import recorded

import mjx_msm as msm
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.common.compiled import float64
from mjx_msm.estimation.least_squares import weighted
from mjx_msm.estimation.residuals.motion import MotionTerm, motion_term
from mjx_msm.person.inspection import moving_bodies
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.synthetic import NOISE_BAND, smooth_noise
from mjx_msm.study.settings import settings, study_model

WALK = Path(__file__).resolve().parents[1] / "knee_walk" / "subject.toml"
ERRORS = {0.1: 1.0, 0.2: 1.0, 0.3: 0.99, 0.5: 0.95}
"""Initial error and the part of the seeds that shall converge."""
CONVERGED = 0.02
"""Mean error [%]: what RK4 may get wrong between the samples."""
START = (0.3, 2.5)
"""Between these multiples of the truth the start lies."""
BOUNDS = (0.4, 3.4)
"""Bounds, in multiples of the start."""
NOISE = np.deg2rad(0.3)
SAME = 1e-4
"""Squared difference over that of the noise, summed over a recording, that is none."""
EMG_NOISE = (0.05, 0.02)
STARTS = 10
DRAWS = 100
"""Noisy recordings: of 95 % intervals 2.2 % more or fewer hold the truth by chance."""
SEEDS = {"arm": 50, "knee": 25}
"""Starts for every initial error."""


@dataclass(frozen=True)
class Case:
    """A model that is its own truth, and recordings of it."""

    model: msm.Model
    trials: tuple[msm.Trial, ...]
    free: tuple[str, ...]
    space: ParameterSpace
    """Default priors."""
    truth: Float[np.ndarray, "free"]


@cache
def case(name: str) -> Case:
    """The arm, or the knee between prescribed hip and ankle."""
    prescribed = () if name == "arm" else ("hip_flexion", "ankle_angle")
    model = msm.load_model(name, prescribed=prescribed)
    free = [f"muscle/*/{f}" for f in ("max_isometric_force", "optimal_fiber_length", "tendon_slack_length")]
    free += [f"joint/{c}/damping" for c in model.free]
    free += [f"body/{b}/{f}" for b in moving_bodies(model) for f in ("mass", "com", "inertia")]
    trials = recorded(model, model.nominal, count=4, duration=2.0, seed=0)
    nominal = model.nominal.with_channels(model.muscles)
    space = msm.parameter_space(nominal, free)
    with float64():
        truth = np.asarray(space.pack(nominal))
    return Case(model, trials, tuple(free), space, truth)


def motion_of(
    c: Case, trials: tuple[msm.Trial, ...], space: ParameterSpace, emg_noise: msm.EmgNoise | None = None
) -> MotionTerm:
    emg_map = {m: {m: 1.0} for m in c.model.muscles}
    recordings = [record(c.model, t, emg_map) for t in trials]
    return motion_term(c.model, space, recordings, max(len(t.time) for t in trials), emg_noise)


class Indistinguishable:
    """The parameters that these recordings, with 0.3° of noise, cannot tell from the truth.

    A direction counts as determined if the data hold at least as much information on it as the default prior. From the
    truth we walk towards an estimate in the other directions, and after every step return to motion equal to the
    truth's in the determined ones; from the estimate we go straight to such motion. Both ends have the truth's motion,
    and the nearer one's distance from the estimate is its error. (The first way alone may end before a bend in what
    cannot be told apart: of 100 knees started 50 % off, 14 with motion exact to 1e-9 rad would count as 1 to 5 % off.)
    """

    def __init__(self, c: Case) -> None:
        self.case = c
        term = motion_of(c, c.trials, c.space)
        exact, _ = term.simulate(c.truth, np.ones(len(c.model.free)))
        self.term = replace(term, target=term.target + exact, latest={})

    def from_truth(self, z: Float[np.ndarray, "free"]) -> Float[np.ndarray, "free"] | None:
        """Where the walk from the truth towards an estimate ends; None if it loses the truth's motion."""
        return self._walk(self.case.truth, z)

    def from_estimate(self, z: Float[np.ndarray, "free"]) -> Float[np.ndarray, "free"] | None:
        """Parameters near an estimate with the truth's motion; None if that is not reached."""
        return self._walk(z, None)

    def _walk(self, at: Float[np.ndarray, "free"], towards: Any) -> Float[np.ndarray, "free"] | None:
        unit, states, misfit = self.case.space.prior_scale, None, np.inf
        for _ in range(60):
            expansion = self.term.expand(at, states)
            quadratic = expansion.reduce(np.ones(len(self.case.model.free)))
            information = unit[:, None] * quadratic.hessian.sum(0) * unit / NOISE**2
            value, vector = np.linalg.eigh(information)
            known, misfit = value > 1.0, float(quadratic.squares.sum()) / NOISE**2
            back = (
                -(vector[:, known] / value[known])
                @ (vector[:, known].T @ (unit * quadratic.gradient.sum(0)))
                / NOISE**2
            )
            wanted = np.zeros(len(at)) if towards is None else (towards - at) / unit
            step = back + vector[:, ~known] @ (vector[:, ~known].T @ wanted)
            size = float(np.abs(step).max())
            step *= unit * min(1.0, 0.3 / max(size, 1e-300))
            at, states = at + step, expansion.follow(step)
            if size < 1e-9:
                break
        return at if misfit < SAME else None

    def error(self, z: Float[np.ndarray, "free"]) -> float:
        """Mean error over all parameters [%]: of ln x for positive ones, in 10 cm of a centre of mass."""
        scale = np.array([0.1 if k.unit == "m" and k.offset else 1.0 for k in self.case.space.kinds])
        ends = [end for end in (self.from_truth(z), self.from_estimate(z)) if end is not None]
        return min((100 * float(np.mean(np.abs(z - end) / scale)) for end in ends), default=np.inf)


@cache
def indistinguishable(name: str) -> Indistinguishable:
    return Indistinguishable(case(name))


def bounds_of(c: Case, start: msm.Model) -> dict[str, dict[str, Any]]:
    """About the start: 0.4 to 3.4 times, a centre of mass within 30 cm."""
    values, out = start.nominal.to_dict(), {}
    for path, kind in zip(c.space.paths, c.space.kinds, strict=True):
        if kind.unit == "m" and kind.offset:
            out[path] = {"range": [values[path] - 0.3, values[path] + 0.3]}
        elif kind.transform != "inertia":
            out[path] = {"range": [BOUNDS[0] * values[path], BOUNDS[1] * values[path]]}
    return out


def start_of(c: Case, error: float, seed: int) -> msm.Model:
    """A person whose every parameter is N(truth, error · truth); of an inertia, the principal lengths of its factor."""
    rng, z = np.random.default_rng(seed), c.truth.copy()
    for k, (path, kind) in enumerate(zip(c.space.paths, c.space.kinds, strict=True)):
        factor = float(np.clip(1 + error * rng.standard_normal(), 1.01 * START[0], 0.99 * START[1]))
        if kind.transform == "log":
            z[k] += np.log(factor)
        elif kind.transform == "inertia":
            z[k] += 0.5 * np.log(factor) if path[-1] == path[-2] else 0.1 * (factor - 1)
        elif kind.unit == "m":
            z[k] += np.clip((factor - 1) * (z[k] or 0.1), -0.29, 0.29)
        else:
            z[k] *= factor
    with float64():
        return eqx.tree_at(lambda m: m.nominal, c.model, c.space.unpack(z))


def one_seed(job: tuple[str, float, int]) -> tuple[float, float]:
    """Error [%] and time [s] of one identification without noise."""
    name, error, seed = job
    c = case(name)
    model, began = start_of(c, error, seed), time.perf_counter()
    result = msm.identify(
        model,
        c.trials,
        free=c.free,
        bounds=bounds_of(c, model),
        priors=dict.fromkeys(c.free, "none"),
        starts=STARTS,
        held="exact",
        seed=seed,
    )
    seconds = time.perf_counter() - began
    return indistinguishable(name).error(np.array(result.z)), seconds


def workers() -> ProcessPoolExecutor:
    """One process a core; started afresh, because JAX does not survive a fork."""
    return ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=get_context("spawn"), initializer=begin)


def begin() -> None:
    """What a process does first: find what was compiled before, and leave the other core to the other process."""
    prepare_jax()
    threadpool_limits(1)


def robustness(pool: ProcessPoolExecutor, seeds: dict[str, int]) -> Iterator[Row]:
    """How many of the seeds converge, by initial error."""
    jobs = [(name, error, seed) for name, count in seeds.items() for error in ERRORS for seed in range(count)]
    results = iter(pool.map(one_seed, jobs))
    for name, count in seeds.items():
        unknowns = case(name).space.size
        for error, part in ERRORS.items():
            found = [next(results) for _ in range(count)]
            good = [e <= CONVERGED for e, _ in found]
            label = f"{name}, no noise, {100 * error:.0f} % initial error, {unknowns} unknowns"
            within = f"within {CONVERGED:g} %"
            yield row(f"{label}: {within}", 100 * float(np.mean(good)), "%", at_least=100 * part, n=count)
            yield row(f"{label}: median error", float(np.median([e for e, _ in found])), "%", n=count)
            yield row(f"{label}: median time", float(np.median([s for _, s in found])), "s", n=count)


# Noise -----------------------------------------------------------------------------------------------------


def noisy(trials: tuple[msm.Trial, ...], angles: float, emg: tuple[float, float], seed: int) -> tuple[msm.Trial, ...]:
    """The same recordings with white noise on the angles and an envelope's noise on the EMG; velocities left out."""
    rng = np.random.default_rng(seed)
    out = []
    for t in trials:
        samples, channels = t.emg.shape
        relative, absolute = (sd * smooth_noise(rng, samples, channels, 1 / t.timestep, NOISE_BAND) for sd in emg)
        out.append(
            replace(
                t,
                position=t.position + angles * rng.standard_normal(t.position.shape),
                emg=np.clip(t.emg * (1 + relative) + absolute, 0.0, 1.0),
                velocity=None,
            )
        )
    return tuple(out)


def practical(c: Case) -> tuple[str, ...]:
    """What a planar arm recording can determine: muscles, damping, forearm mass, centres of mass along the segments.

    The upper arm's mass is taken as known: it sets the scale of everything else.
    """
    muscle = [p for p in c.free if p.startswith(("muscle", "joint"))]
    return (*muscle, "body/forearm/mass", "body/humerus/com/z", "body/forearm/com/z")


def noise(pool: ProcessPoolExecutor, draws: int) -> Iterator[Row]:
    """Scatter of the estimate over noise draws against the bound, and how often the intervals hold the truth."""
    c = case("arm")
    free = practical(c)
    no_priors = dict.fromkeys(free, "none")
    nominal = c.model.nominal.with_channels(c.model.muscles)
    space = msm.parameter_space(nominal, free, priors=no_priors)
    with float64():
        truth = np.asarray(space.pack(nominal))
    for label, emg in (("0.3° on the angles", (0.0, 0.0)), ("0.3° and EMG 5 % + 0.02", EMG_NOISE)):
        scale = np.full(len(c.model.free), NOISE)
        about = motion_of(c, c.trials, space, emg_noise(emg)).expand(truth).reduce(scale)
        bound = np.sqrt(np.diag(np.linalg.inv(weighted([about], [scale])[1])))
        determined = bound < np.array([k.prior_scale for k in space.kinds])
        found = list(pool.map(one_draw, [(free, emg, seed) for seed in range(draws)]))
        off = np.array([z for z, _ in found]) - truth
        ratio = (np.sqrt(np.mean(off**2, axis=0)) / bound)[determined]
        hits = 100 * np.mean(np.abs(off) <= 1.96 * np.array([sd for _, sd in found]), axis=0)[determined]
        name = f"arm, {label}, {int(determined.sum())} of {space.size} determined"
        what = "RMS error / Cramér–Rao bound"
        yield row(f"{name}: {what}, median", float(np.median(ratio)), at_most=1.1, n=draws)
        yield row(f"{name}: {what}, worst parameter", float(ratio.max()), at_most=1.1, n=draws)
        yield row(f"{name}: 95 % intervals that hold the truth", float(hits.mean()), "%", at_least=90, n=draws)
        yield row(f"{name}: the same, best parameter", float(hits.max()), "%", at_most=98, n=draws)
        yield row(f"{name}: the same, worst parameter", float(hits.min()), "%", at_least=90, n=draws)


def emg_noise(emg: tuple[float, float]) -> msm.EmgNoise | None:
    return msm.EmgNoise(*emg) if any(emg) else None


def one_draw(job: tuple[tuple[str, ...], tuple[float, float], int]) -> tuple[np.ndarray, np.ndarray]:
    """Estimate and standard deviations from one noisy recording."""
    free, emg, seed = job
    c = case("arm")
    trials = noisy(c.trials, NOISE, emg, seed)
    result = msm.identify(
        c.model,
        trials,
        free=free,
        priors=dict.fromkeys(free, "none"),
        emg_noise=emg_noise(emg),
        held="exact",
        seed=seed,
    )
    return np.array(result.z), np.sqrt(np.diag(np.array(result.covariance)))


# A recording -----------------------------------------------------------------------------------------------


def recorded_walk(starts: int | None) -> Iterator[Row]:
    """EMG-driven knee moment of a recorded walk: in sample, and in blocked cross-validation over time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes on the recording, printed by the command line
        study = msm.load_subject(WALK)
    model = study_model(study)
    asked = settings(study) if starts is None else replace(settings(study), starts=starts)
    fit = msm.identify(model, study.trials, settings=asked).fits[0]
    cross = msm.cross_validate(model, study.trials, settings=asked)[0]
    yield row("walk, knee moment: generic model", fit.generic, "N·m")
    yield row("walk, knee moment: in sample", fit.identified, "N·m")
    yield row("walk, knee moment: cross-validated", cross.identified, "N·m", at_most=9.0, n=5)
    yield row("walk, knee moment: cross-validated correlation", cross.correlation, "-", at_least=0.95, n=5)


def rows(quick: bool) -> Iterator[Row]:
    """All of it, or few seeds and draws."""
    begin()
    with workers() as pool:
        yield from noise(pool, 8 if quick else DRAWS)
        yield from robustness(pool, dict.fromkeys(SEEDS, 4) if quick else SEEDS)
    try:
        yield from recorded_walk(4 if quick else None)
    except msm.InputError as error:
        print(f"walk left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    run(__doc__, rows)
