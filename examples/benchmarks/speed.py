"""How fast: time to solution beside what people would use instead, Jacobians, compile time, cohort, memory.

    python examples/benchmarks/speed.py [--quick] [--json FILE]        (needs pip install ".[bench]")

The problem is the arm: strength, optimal fiber and tendon slack length of six muscles, mass and centre of mass of two
segments (22 unknowns), four trials of 2 s at 500 Hz without noise, start 10 % off. The motion is C's in steps of 0.1 ms
(`truth.py`), and every method steps from sample to sample by RK4; see `peers.py`. Solved means a mean error of at most
0.02 %. Time to solution is the time of all attempts over the number of those that solve it: a method that fails
half the time needs twice the time. All methods run here, one after the other, in one process; what is measured cold
has a process of its own and an empty compile cache.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ours import ours
from peers import (
    INTEGRATORS,
    SOLVED,
    SYSID_VARIANTS,
    Attempt,
    CFiniteDifference,
    Problem,
    adam,
    bones_then_muscles,
    cma_es,
    mujoco_sysid,
    synthetic_problem,
)
from table import Row, row, run
from truth import recorded

import mjx_msm as msm
from mjx_msm.common.compiled import float64
from mjx_msm.estimation.residuals.motion import MotionTerm, motion_term
from mjx_msm.identification.cohort import identify_many
from mjx_msm.person.inspection import muscle_and_bone
from mjx_msm.recordings.model_clock import record

HERE = Path(__file__).resolve().parent


def best_of(job: Callable[[], Any], repeats: int = 7) -> float:
    """Least time of several calls after a first one [s]."""
    job()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        job()
        times.append(time.perf_counter() - began)
    return min(times)


# Time to solution ------------------------------------------------------------------------------------------


def to_solution(attempts: Sequence[Attempt]) -> float:
    """Seconds per solved problem; infinite if none was."""
    solved = [a for a in attempts if a.solved(SOLVED)]
    spent = sum(a.seconds_to(SOLVED) if a.solved(SOLVED) else a.seconds for a in attempts)
    return spent / len(solved) if solved else np.inf


def peers_of(limit: float) -> dict[str, tuple[Callable[[Problem], Attempt], int]]:
    """Method by name, and the most seeds it gets: the slow ones show what they are on few."""
    out: dict[str, tuple[Callable[[Problem], Attempt], int]] = {
        name: (lambda p, name=name, settings=settings: mujoco_sysid(p, limit, name=name, **settings), 10)
        for name, settings in SYSID_VARIANTS.items()
    }
    out["mujoco.sysid, as documented"] = (out["mujoco.sysid, as documented"][0], 2)
    out["Adam through the rollout (optax)"] = (lambda p: adam(p, limit), 1)
    out["CMA-ES"] = (lambda p: cma_es(p, limit), 1)
    out["bones, then muscles"] = (lambda p: bones_then_muscles(p, limit), 1)
    return out


def solution(model: msm.Model, trials: tuple[msm.Trial, ...], seeds: int, limit: float) -> Iterator[Row]:
    """Warm time to solution of every method."""
    problems = [synthetic_problem(model, trials, free=muscle_and_bone(model), seed=s) for s in range(seeds)]
    ours(problems[0], limit)
    mine = [ours(p, limit) for p in problems]
    own = to_solution(mine)
    yield row("arm, time to solution: mjx_msm; RK4, 2 ms", own, "s", n=seeds)
    yield row("arm, solved: mjx_msm", 100 * float(np.mean([a.solved(SOLVED) for a in mine])), "%", n=seeds)
    for name, (method, most) in peers_of(limit).items():
        if name.startswith("Adam"):
            adam(problems[0], 0.0)  # compiles
        attempts = [method(p) for p in problems[:most]]
        theirs = to_solution(attempts)
        count = len(attempts)
        yield row(f"arm, time to solution: {name}; {INTEGRATORS.get(name, 'RK4, 2 ms')}", theirs, "s", n=count)
        yield row(f"arm, solved: {name}", 100 * float(np.mean([a.solved(SOLVED) for a in attempts])), "%", n=count)
        if name in SYSID_VARIANTS:
            yield row(f"arm, mjx_msm's time over that of {name}", own / theirs, at_most=0.1, n=count)


def in_a_process(what: str, trials: Any, cache: str | None = None) -> dict[str, Any]:
    """One job of one_process.py."""
    command = [sys.executable, "-W", "ignore", str(HERE / "one_process.py"), what, *([cache] if cache else [])]
    done = subprocess.run(command, input=pickle.dumps(trials), capture_output=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def cold(trials: tuple[msm.Trial, ...]) -> Iterator[Row]:
    """A fresh process with an empty compile cache, then a second one with the cache of the first."""
    with tempfile.TemporaryDirectory() as cache:
        first, second = (in_a_process("ours", trials, cache) for _ in range(2))
    theirs = in_a_process("sysid", trials)
    yield row("arm, cold process, empty cache: time to solution", first["seconds"], "s")
    yield row("arm, cold process: mujoco.sysid, tuned, our segments", theirs["seconds"], "s")
    yield row("arm, cold: mjx_msm's time over mujoco.sysid's", first["seconds"] / theirs["seconds"], at_most=1.0)
    yield row("arm, tracing and compiling, empty cache", first["seconds"] - first["again"], "s", at_most=15.0)
    yield row("arm, second process: from start to first iteration", second["first_iteration"], "s", at_most=4.0)


# Jacobians -------------------------------------------------------------------------------------------------


def term_of(model: msm.Model, trials: Sequence[msm.Trial], free: Sequence[str]) -> tuple[MotionTerm, np.ndarray]:
    """Motion over whole trials, and the nominal point."""
    nominal = model.nominal.with_channels(model.muscles)
    space = msm.parameter_space(nominal, free)
    recordings = [record(model, t, {m: {m: 1.0} for m in model.muscles}) for t in trials]
    with float64():
        z = np.asarray(space.pack(nominal))
    return motion_term(model, space, recordings, max(len(t.time) for t in trials)), z


def many_muscles(copies: int) -> msm.Model:
    """The arm with every muscle split into `copies` parallel ones."""
    base = msm.load_model("arm")
    spec = base.host.spec.copy()
    for k in range(1, copies):
        for actuator in list(base.host.spec.actuators):
            twin = spec.add_actuator(name=f"{actuator.name}_{k}", target=actuator.target, trntype=actuator.trntype)
            for field in ("gainprm", "biasprm", "dynprm", "dyntype", "gaintype", "biastype", "lengthrange"):
                setattr(twin, field, getattr(actuator, field))
            twin.ctrllimited, twin.ctrlrange = actuator.ctrllimited, actuator.ctrlrange
    for actuator in spec.actuators:
        actuator.gainprm[2] /= copies
        actuator.biasprm[2] /= copies
    spec.compile()
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(spec.to_xml())
        file.flush()
        return msm.load_model(file.name)


def jacobians(model: msm.Model, trials: tuple[msm.Trial, ...]) -> Iterator[Row]:
    """Cost of all derivatives against the primal, against C, and as parameters grow."""
    free = muscle_and_bone(model)
    term, z = term_of(model, trials, free)
    primal, full = best_of(lambda: term.intervals(z)), best_of(lambda: term.expand(z))
    yield row("arm, all intervals simulated once", 1e3 * primal, "ms")
    yield row(f"arm, Jacobian of {len(z)} unknowns and normal equations over the primal", full / primal, at_most=6.0)
    difference = CFiniteDifference(synthetic_problem(model, trials, free=free, seed=0), 50, threads=2)
    try:
        start = synthetic_problem(model, trials, free=free, seed=0).start
        theirs = best_of(lambda: difference(start))
    finally:
        difference.rollouts.close()
    yield row("arm, C finite differences on two threads", 1e3 * theirs, "ms")
    yield row(f"arm, Jacobian of {len(z)} unknowns over C's", full / theirs, at_most=0.5)

    big = many_muscles(4)
    emg = {m: model.muscles.index(m.split("_")[0]) for m in big.muscles}
    copied = [
        msm.Trial(
            name=t.name, time=t.time, coordinates=t.coordinates, position=t.position, velocity=t.velocity,
            channels=big.muscles, emg=t.emg[:, list(emg.values())],
        )
        for t in trials
    ]  # fmt: skip
    fields = ("max_isometric_force", "optimal_fiber_length", "tendon_slack_length", "max_contraction_velocity")
    some = ["muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length", "body/*/mass"]
    every = [f"muscle/*/{f}" for f in (*fields, "passive_force_scale", "activation_time_constant",
             "deactivation_time_constant")] + ["body/*/mass", "body/*/com", "body/*/inertia", "joint/*/damping",
             "joint/*/stiffness"]  # fmt: skip
    times = {}
    for patterns in (some, every):
        term, z = term_of(big, copied, patterns)
        times[len(z)] = best_of(lambda term=term, z=z: term.expand(z))
    (few, least), (many, most) = times.items()
    yield row(f"24 muscles, Jacobian of {many} unknowns over that of {few}", most / least, at_most=1.5)


# Cohort and memory -----------------------------------------------------------------------------------------


def cohort(model: msm.Model, count: int) -> Iterator[Row]:
    """Many subjects against one alone, all warm."""
    people = {}
    for k in range(count):
        person = msm.synthetic_subject(model, seed=k)
        people[f"s{k}"] = msm.synthetic_trials(model, person, count=2, duration=1.0, seed=k, angle_noise=0.005)
    free = muscle_and_bone(model)
    first = next(iter(people))
    alone = best_of(lambda: msm.identify(model, people[first], free=free), 3)
    began = time.perf_counter()
    identify_many(model, people, free=free)
    each = (time.perf_counter() - began) / count
    yield row("arm, one subject alone", alone, "s")
    yield row(f"arm, cohort of {count}: time per subject over one alone", each / alone, at_most=1.0, n=count)


def rows(quick: bool) -> Iterator[Row]:
    """Everything; fewer seeds and shorter limits if quick."""
    model = msm.load_model("arm")
    trials = recorded(model, model.nominal, count=4, duration=2.0, seed=0)
    yield from jacobians(model, trials)
    yield from cold(trials)
    yield from cohort(model, 8 if quick else 64)
    yield from solution(model, trials, 4 if quick else 10, 20.0 if quick else 60.0)
    used = in_a_process("memory", None)
    yield row(f"60 s at 1 kHz, {used['unknowns']} unknowns: peak memory", used["gigabytes"], "GiB", at_most=4.0)


if __name__ == "__main__":
    run(__doc__, rows)
