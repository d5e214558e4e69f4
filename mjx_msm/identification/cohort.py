"""Many people, one model: what is compiled for the first serves all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Unpack

from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.common.errors import InputError
from mjx_msm.common.executors.by_name import executor_of
from mjx_msm.common.executors.executor import Executor, Lost
from mjx_msm.identification.identify import Listener, identify
from mjx_msm.knowledge.records import Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model, check_model
from mjx_msm.recordings.settings import Options, Settings, with_options
from mjx_msm.recordings.trial import Trial


@with_options()
@one_blas_thread
def identify_many(
    model: Model,
    cohort: Mapping[str, Trial | Sequence[Trial]],
    *,
    workers: int | None = None,
    executor: str | Executor | None = None,
    each: Mapping[str, Options] | None = None,
    settings: Settings | None = None,
    listener: Listener | None = None,
    **options: Unpack[Options],
) -> dict[str, Identification | InputError]:
    """`identify` for every subject of a cohort.

    Compiled functions have one shape whatever the length of a recording, so only the first subject waits for the
    compiler; after that subjects are worked on side by side, one a core.

    **Arguments:** `cohort`: subject to trials. `workers`: subjects at a time, by default one a core. `executor`: by
    default threads of this process, which share what is compiled; "abreast", which makes one call of a device of what
    all have to compute; "processes", "ray", or another one of `mjx_msm.common.executors`, whose workers compile each
    for itself, and whose death costs only what they were at.
    `settings`, `options`, `listener`: of `mjx_msm.identify`, the same for everyone; the `seed` too, so that a subject's
    result does not depend on the others. `each`: options of some subjects that are their own, e.g. a `prior`.

    **Returns:** subject to result, in the order given (after a `KeyboardInterrupt` those that were done); where a
    subject's recordings cannot be used, the error, so that one bad file does not cost the cohort.

    **Raises:** `InputError` if the cohort is empty, or an option cannot be used for anyone.
    """
    if not isinstance(cohort, Mapping) or not cohort:
        raise InputError("no subjects to identify; give at least one, {name: trials}")
    check_model(model)
    everybody, own = Settings.of(settings, options), each or {}
    asked = {name: Settings.of(everybody, own.get(name, {})) for name in cohort}
    if executor is not None:
        if listener is not None:
            raise InputError("a listener hears this process alone; leave it out, or the executor")
        return _elsewhere(executor_of(executor, workers, threads=True), model, cohort, asked)

    def one(name: str) -> Identification | InputError:
        return _one(model, asked[name], name, cohort[name], listener)

    first, *others = cohort
    done = one(first)
    results = {first: done}
    if isinstance(done, Identification) and done.outcome is Outcome.INTERRUPTED:
        return results
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        jobs = {name: pool.submit(one, name) for name in others}
        try:
            return results | {name: job.result() for name, job in jobs.items()}
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            return results | {name: job.result() for name, job in jobs.items() if job.done() and not job.cancelled()}


def _one(
    model: Model, settings: Settings, name: str, trials: Trial | Sequence[Trial], listener: Listener | None = None
) -> Identification | InputError:
    try:
        return identify(model, trials, settings=settings, subject=name, listener=listener)
    except Exception as error:  # whatever it is, it is this subject's alone
        return InputError(f"subject '{name}': {error}")


def _elsewhere(
    executor: Executor, model: Model, cohort: Mapping[str, Any], settings: Mapping[str, Settings]
) -> dict[str, Identification | InputError]:
    names, results = list(cohort), {}
    try:
        for index, result in executor.run(_prepared, model, [(settings[n], n, cohort[n]) for n in names]):
            name = names[index]
            results[name] = InputError(f"subject '{name}': {result.reason}") if isinstance(result, Lost) else result
    except KeyboardInterrupt:
        pass  # those that were done
    return {name: results[name] for name in names if name in results}


def _prepared(model: Model) -> Callable[[tuple[Settings, str, Any]], Identification | InputError]:
    """What a worker does with a subject."""
    return lambda job: _one(model, *job)
