"""Whether an interrupted result is of the same problem, and where it had got to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from mjx_msm.common.changed_files import changed_file
from mjx_msm.common.errors import InputError
from mjx_msm.identification.problem import BESIDE, Problem
from mjx_msm.knowledge.records import Outcome, Stage
from mjx_msm.knowledge.result import Identification


def resumed(
    before: Identification, problem: Problem, hashes: Mapping[str, str]
) -> tuple[Float[np.ndarray, "free"], list[Stage], int]:
    """Iterate and completed stages of an earlier result, and the starting points it tried in the stage it was in.

    **Raises:** `InputError` if it is of another problem.
    """
    if tuple(e.path for e in before.estimates) != problem.space.paths:
        raise InputError("the result to resume estimates other parameters; identify from the start")
    changed = changed_file(before.hashes, hashes)
    if changed:
        raise InputError(f"{changed} since the result to resume; identify from the start")
    difference = _difference(before, problem)
    if difference is not None:
        raise InputError(f"the result to resume was made with {difference}; identify from the start")
    known, tried = list(before.stages), 0
    if before.outcome is Outcome.INTERRUPTED or len(known) == len(problem.stages):
        tried = known.pop().starts  # cut short, or complete, and then its last stage settles at once
    return problem.space.clip(np.array(before.z)), known, 0 if known else tried


def _difference(before: Identification, problem: Problem) -> str | None:
    """What a result was made with that is otherwise now, in words."""
    space = problem.space
    for name, now in problem.record().items():
        then = getattr(before, name)
        if name == "emg_map":  # of unmeasured muscles it is a result
            then = {m: {} if m in before.unmeasured else mix for m, mix in then.items()}
        if then != now and name not in BESIDE:
            return f"{_words(name)} ({then}, now {now})"
    stages = [s.name for s in before.stages], [name for name, _ in problem.stages]
    then, now = (", then ".join(names[: len(before.stages)]) for names in stages)
    if then != now:
        return f"other residuals ({then}, now {now})"
    each = (("bounds", space.lower, "lower"), ("bounds", space.upper, "upper"))
    each += (("priors", space.prior_mean, "prior_mean"), ("priors", space.prior_scale, "prior_scale"))
    for words, values, field in each:
        same = np.isclose([getattr(u, field) for u in before.unknowns], values, rtol=1e-9, atol=1e-12)
        if not same.all():
            return f"other {words} of {space.paths[int(np.argmin(same))]}"
    if tuple(u.members for u in before.unknowns) != space.members:
        return "other parameters tied"
    return None


def _words(field: str) -> str:
    """A field of a result that differs: "another rate", "other muscle constants"."""
    words = field.replace("_", " ").replace("emg", "EMG")
    if field in ("free", "prescribed", "locked"):
        return f"other {words} coordinates"
    return f"other {words}" if words.endswith("s") else f"another {words}"
