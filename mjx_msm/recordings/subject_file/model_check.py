"""Whether a subject file and a model fit together."""

from __future__ import annotations

from collections.abc import Iterable

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.patterns import matches
from mjx_msm.recordings.subject_file.identify import FIELDS
from mjx_msm.recordings.subject_file.loading import Study


def check_against_model(
    study: Study, muscles: Iterable[str], coordinates: Iterable[str], *, bodies: Iterable[str] | None = None
) -> None:
    """Check that a subject file and a model fit together.

    **Raises:** `InputError` for a muscle without an entry in ``[emg.muscles]``, an entry for a muscle the
    model does not have, a coordinate it does not have or which has no role, a pattern that matches nothing.
    """
    muscles, coordinates = list(muscles), list(coordinates)
    where, model = study.path, f"model '{study.model.source}'"
    roles = {
        "free": study.model.free,
        "prescribed": study.model.prescribed,
        "locked": tuple(study.model.locked),
    }
    for role, names in roles.items():
        for name in names:
            if name not in coordinates:
                raise InputError(
                    f"{where} [model] {role}: {model} has no coordinate '{name}'{suggest(name, coordinates)}"
                )
    given = [c for names in roles.values() for c in names]
    for name in coordinates:
        if name not in given:
            raise InputError(
                f"{where} [model]: coordinate '{name}' of {model} has no role; list it in free, prescribed or locked"
            )
    unmapped = [m for m in muscles if m not in study.emg_map]
    for name in study.emg_map:
        if name not in muscles:
            raise InputError(
                f"{where} [emg.muscles]: {model} has no muscle '{name}'{suggest(name, unmapped or muscles)}"
            )
    if unmapped:
        more = f" (and {len(unmapped) - 1} more: {', '.join(unmapped[1:])})" if len(unmapped) > 1 else ""
        raise InputError(
            f"{where} [emg.muscles]: muscle '{unmapped[0]}' is not mapped{more}; give it a channel, a mix "
            "of channels, or 0.0 if it is silent"
        )
    owners = {"muscle": muscles, "joint": coordinates, "emg": list(study.channels), "strap": list(study.levers)}
    if bodies is not None:
        owners["body"] = list(bodies)
    spec = study.identify
    if bodies is not None:
        for name in spec.segments:
            if name not in owners["body"]:
                raise InputError(
                    f"{where} [model.segments]: {model} has no moving body '{name}'{suggest(name, owners['body'])}"
                )
    for key, patterns in (("free", spec.free), ("tied", spec.tied), ("bounds", spec.bounds), ("priors", spec.priors)):
        for pattern in patterns:
            group, _, rest = pattern.partition("/")
            if group not in owners:
                continue
            paths = [f"{n}/{f}" for n in owners[group] for f in FIELDS[group]]
            forms = (rest, rest.rpartition("/")[0], f"{rest}/*")
            if not any(matches(p, form) for p in paths for form in forms):
                raise InputError(
                    f"{where} [identify] {key}: pattern '{pattern}' matches "
                    f"nothing{suggest(rest.split('/')[0], owners[group])}"
                )
