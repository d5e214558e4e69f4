"""A subject file with misspelt names as they are meant, so that one wrong name is said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mjx_msm.common.errors import InputError, misspelt
from mjx_msm.recordings.readers.contents import ends_in
from mjx_msm.recordings.subject_file.emg import channels_of
from mjx_msm.recordings.subject_file.grammar import Parts
from mjx_msm.recordings.subject_file.sources import Files


def channels_as_meant(given: Parts, files: Files) -> dict[str, dict[str, float]] | None:
    """Muscle → {channel: weight}, channels that no file has called as the column that they are near to.

    What else names the channel has it right, then, and only its misspelt name is to be said.
    """
    if given.emg is None:
        return None
    _, _, aliases, emg_map = given.emg
    there: list[str] = []
    for trial in given.trials:
        try:
            there += files.contents(trial.emg).columns if trial.emg is not None else ()
        except InputError:
            continue
    meant = {
        c: misspelt(c, there) or c
        for c in channels_of(emg_map)
        if c not in aliases and there and not any(ends_in(x, c) for x in there)
    }
    return {m: {meant.get(c, c): weight for c, weight in mix.items()} for m, mix in emg_map.items()}


def coordinates_as_meant(document: Mapping[str, Any], coordinates: Sequence[str]) -> Mapping[str, Any] | None:
    """A subject file whose ``[model]`` calls coordinates as the model does; None where it does so already.

    The rest of the file is read by it, so that of a misspelt name only that is said.
    """
    model = document.get("model")
    if not isinstance(model, Mapping):
        return None
    roles = {k: model[k] for k in ("free", "prescribed", "locked") if isinstance(model.get(k), list | tuple | Mapping)}
    said = [name for own in roles.values() for name in own]
    left = [c for c in coordinates if c not in said]
    meant: dict[str, str] = {}
    for name in said:
        near = misspelt(name, left) if isinstance(name, str) and name not in coordinates else None
        if near is not None:
            meant[name] = near
            left.remove(near)
    if not meant:
        return None
    spelt: dict[str, Any] = {
        k: {meant.get(n, n): x for n, x in own.items()} if isinstance(own, Mapping) else [meant.get(n, n) for n in own]
        for k, own in roles.items()
    }
    return {**document, "model": {**model, **spelt}}
