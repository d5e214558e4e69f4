"""What a fresh process needs for one identification: run by speed.py and recordings.py, prints one JSON line.

python examples/benchmarks/one_process.py {ours|sysid|memory|strides} [CACHE FOLDER]
"""

from __future__ import annotations

import time

BEGAN = time.perf_counter()  # before the imports, which are part of the wait

import json  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

import jax  # noqa: E402

import mjx_msm as msm  # noqa: E402
from mjx_msm.person.inspection import muscle_and_bone  # noqa: E402

SEED = 1
"""Of the start of what is compared cold: the first from which `mujoco.sysid` finds the truth (from seed 0 it crawls
into a far minimum, 65 % off after 240 s)."""


def main(what: str, cache: str | None) -> dict[str, Any]:
    if cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    if what == "memory":
        return memory()
    if what == "strides":
        return eight_strides()
    from peers import SOLVED, SYSID_VARIANTS, mujoco_sysid, synthetic_problem

    model = msm.load_model("arm")
    trials = load_trials()
    problem = synthetic_problem(model, trials, free=muscle_and_bone(model), seed=SEED)
    began = time.perf_counter()
    if what == "sysid":
        name = "mujoco.sysid, tuned, our segments"
        attempt = mujoco_sysid(problem, 120, **SYSID_VARIANTS[name])
        return {"seconds": attempt.seconds_to(SOLVED), "setup": began - BEGAN}
    from ours import ours

    first: list[float] = []
    attempt = ours(problem, 300, listener=lambda iteration: first.append(time.perf_counter()))
    done = time.perf_counter()
    return {
        "seconds": done - began,
        "first_iteration": first[0] - BEGAN,
        "error": attempt.error,
        "again": ours(problem, 300).seconds,
    }


def load_trials() -> Any:
    """The benchmark's recordings, made by speed.py beforehand and handed over on standard input."""
    import pickle

    return pickle.load(sys.stdin.buffer)


def memory() -> dict[str, Any]:
    """60 s of motion at 1 kHz with 50 unknowns: one identification from near the truth."""
    model = msm.load_model("arm", timestep=0.001)
    trials = msm.synthetic_trials(model, model.nominal, count=30, duration=2.0, seed=0, angle_noise=0.005)
    free = [f"muscle/*/{f}" for f in ("max_isometric_force", "optimal_fiber_length", "tendon_slack_length")]
    free += [
        "muscle/*/passive_force_scale",
        "muscle/*/max_contraction_velocity",
        "body/*/mass",
        "body/*/com",
        "body/*/inertia",
    ]
    result = msm.identify(model, trials, free=free, held="exact")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"gigabytes": peak, "unknowns": len(result.estimates), "seconds": time.perf_counter() - BEGAN}


def eight_strides() -> dict[str, Any]:
    """The strides of recordings.py, from the start of Python to the result."""
    from treadmill import strides

    from mjx_msm.study.identification import identify_study
    from mjx_msm.study.settings import study_model

    study = strides()
    result = identify_study(study, study_model(study))
    return {"seconds": time.perf_counter() - BEGAN, "outcome": result.outcome.name}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)))
