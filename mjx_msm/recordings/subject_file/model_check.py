"""Whether a subject file and a model fit together."""

from __future__ import annotations

from collections.abc import Iterable

from mjx_msm.common.errors import Faults
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.recordings.subject_file.model_names import ModelNames, check_names


def check_against_model(
    study: Study, muscles: Iterable[str], coordinates: Iterable[str], *, bodies: Iterable[str] | None = None
) -> None:
    """Check that a subject file and a model fit together.

    **Raises:** `InputError` for a muscle without an entry in ``[emg.muscles]``, an entry for a muscle the
    model does not have, a coordinate it does not have or which has no role, a pattern that matches nothing;
    `InputErrors` for several.
    """
    names = ModelNames(tuple(muscles), tuple(coordinates), None if bodies is None else tuple(bodies))
    faults = Faults()
    check_names(study.path, study.model, study.emg_map, study.identify, tuple(study.levers), names, faults)
    faults.raise_any()
