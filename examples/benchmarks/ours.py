"""`mjx_msm.identify` as one more method on a peer's problem."""

from __future__ import annotations

import time
from typing import Any

import equinox as eqx
import numpy as np
from peers import Attempt, Problem

import mjx_msm as msm

STARTS = 8


def ours(problem: Problem, seconds: float, *, starts: int = STARTS, listener: Any = None) -> Attempt:
    """Identify from the problem's start within its bounds; no priors, as the peers know none.

    **Arguments:** `seconds`: the peers' time limit; not needed here, `identify` ends by itself.
    """
    model = eqx.tree_at(
        lambda m: m.nominal,
        problem.model,
        problem.model.nominal.updated(dict(zip(problem.paths, problem.start, strict=True))),
    )
    ends = zip(problem.paths, problem.lower, problem.upper, strict=True)
    began = time.perf_counter()
    result = msm.identify(
        model,
        problem.trials,
        free=problem.paths,
        bounds={path: {"range": sorted((low, high))} for path, low, high in ends},
        priors=dict.fromkeys(problem.paths, "none"),
        starts=starts,
        held="exact",  # for all of them the rest is as the model has it
        listener=listener,
    )
    spent = time.perf_counter() - began
    values = np.array([result[path].value for path in problem.paths])
    error = problem.error(values)
    return Attempt(
        name="mjx_msm",
        estimate=dict(zip(problem.paths, map(float, values), strict=True)),
        seconds=spent,
        error=error,
        evaluations=sum(s.evaluations for s in result.stages),
        trace=((spent, error),),
    )
