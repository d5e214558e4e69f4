"""Many people, one model: what is compiled for the first serves all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Unpack

from mjx_msm.common.errors import InputError
from mjx_msm.identification.identify import Listener, identify
from mjx_msm.knowledge.records import Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model, check_model
from mjx_msm.recordings.settings import Options, Settings, with_options
from mjx_msm.recordings.trial import Trial


@with_options()
def identify_many(
    model: Model,
    cohort: Mapping[str, Trial | Sequence[Trial]],
    *,
    workers: int | None = None,
    settings: Settings | None = None,
    listener: Listener | None = None,
    **options: Unpack[Options],
) -> dict[str, Identification | InputError]:
    """`identify` for every subject of a cohort.

    Compiled functions have one shape whatever the length of a recording, so only the first subject waits for the
    compiler; after that subjects are worked on side by side, one a core.

    **Arguments:** `cohort`: subject to trials. `workers`: subjects at a time, by default one a core. `settings`,
    `options`, `listener`: of `mjx_msm.identify`, the same for everyone; the `seed` too, so that a subject's result does
    not depend on the others.

    **Returns:** subject to result, in the order given (after a `KeyboardInterrupt` those that were done); where a
    subject's recordings cannot be used, the error, so that one bad file does not cost the cohort.

    **Raises:** `InputError` if the cohort is empty, or an option cannot be used for anyone.
    """
    if not isinstance(cohort, Mapping) or not cohort:
        raise InputError("no subjects to identify; give at least one, {name: trials}")
    check_model(model)
    asked = Settings.of(settings, options)

    def one(name: str) -> Identification | InputError:
        try:
            return identify(model, cohort[name], settings=asked, subject=name, listener=listener)
        except Exception as error:  # whatever it is, it is this subject's alone
            return InputError(f"subject '{name}': {error}")

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
