"""What a subject file calls the parts of its model, held against the model's own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mjx_msm.common.errors import Faults, InputError, suggest
from mjx_msm.common.patterns import matches
from mjx_msm.recordings.subject_file.emg import channels_of
from mjx_msm.recordings.subject_file.identify import FIELDS, IdentifySpec
from mjx_msm.recordings.subject_file.model import ModelSpec


@dataclass(frozen=True)
class ModelNames:
    """What the parts of a model are called."""

    muscles: Sequence[str]
    coordinates: Sequence[str]
    bodies: Sequence[str] | None = None
    """None: they are not checked."""


def check_names(
    path: Path,
    model: ModelSpec,
    emg_map: Mapping[str, Mapping[str, float]] | None,
    identify: IdentifySpec | None,
    levers: Sequence[str],
    names: ModelNames,
    faults: Faults,
) -> None:
    """Check what the sections of a subject file name in the model; None for a section that is wrong anyhow.

    Added to `faults`: coordinates that the model does not have or that have no role, muscles without an entry in
    ``[emg.muscles]``, entries for muscles and bodies that it does not have, patterns that match nothing.
    """
    of = f"model '{model.source}'"
    muscles, coordinates = names.muscles, names.coordinates
    roles = {"free": model.free, "prescribed": model.prescribed, "locked": tuple(model.locked)}

    def add(what: str, *at: str) -> None:
        faults.add(InputError(f"{path} {what}"), at)

    for role, own in roles.items():
        for name in own:
            if name not in coordinates:
                add(f"[model] {role}: {of} has no coordinate '{name}'{suggest(name, coordinates)}", "model", role)
    known = [c for own in roles.values() for c in own]
    strange = not set(known) <= set(coordinates)  # one that is misspelt is said already
    for name in () if strange else coordinates:
        if name not in known:
            add(f"[model]: coordinate '{name}' of {of} has no role; list it in free, prescribed or locked", "model")
    if emg_map is not None:
        _check_muscles(emg_map, muscles, of, add)
    if identify is None or emg_map is None:
        return
    owners = {"muscle": muscles, "joint": coordinates, "emg": channels_of(emg_map), "strap": levers}
    if names.bodies is not None:
        owners["body"] = names.bodies
        for name in identify.segments:
            if name not in names.bodies:
                what = f"[model.segments]: {of} has no moving body '{name}'{suggest(name, names.bodies)}"
                add(what, "model", "segments")
    for key in ("free", "tied", "bounds", "priors"):
        vain: dict[tuple[str, str], list[str]] = {}
        for pattern in getattr(identify, key):
            group, _, rest = pattern.partition("/")
            if group not in owners:
                continue
            paths = [f"{n}/{f}" for n in owners[group] for f in FIELDS[group]]
            forms = (rest, rest.rpartition("/")[0], f"{rest}/*")
            if not any(matches(p, form) for p in paths for form in forms):
                vain.setdefault((group, rest.split("/")[0]), []).append(pattern)
        for (group, owner), patterns in vain.items():  # one misspelt name may be in several
            listed = ", ".join(f"'{p}'" for p in patterns)
            what = f"pattern {listed} matches" if len(patterns) == 1 else f"patterns {listed} match"
            add(f"[identify] {key}: {what} nothing{suggest(owner, owners[group])}", "identify", key)


def _check_muscles(emg_map: Mapping[str, object], muscles: Sequence[str], of: str, add: Callable[..., None]) -> None:
    unmapped = [m for m in muscles if m not in emg_map]
    strange = [name for name in emg_map if name not in muscles]
    for name in strange:
        what = f"[emg.muscles]: {of} has no muscle '{name}'{suggest(name, unmapped or muscles)}"
        add(what, "emg", "muscles", name)
    if len(unmapped) > len(strange):  # those that are misspelt are said already
        more = f" (and {len(unmapped) - 1} more: {', '.join(unmapped[1:])})" if len(unmapped) > 1 else ""
        what = (
            f"[emg.muscles]: muscle '{unmapped[0]}' is not mapped{more}; give it a channel, a mix of channels, or 0.0 "
            "if it is silent"
        )
        add(what, "emg", "muscles")
