"""``[emg]``: how EMG becomes envelopes, how far they may be off, and which muscles they drive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section, is_number
from mjx_msm.recordings.emg import EmgNoise, EmgProcessing
from mjx_msm.recordings.synergies import UNMEASURED

SYNERGIES = 4
"""Unless the file says otherwise; three to five account for most of a leg's EMG in walking."""


def channels_of(emg_map: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """The EMG channels that muscles use, in order."""
    return tuple(dict.fromkeys(channel for mix in emg_map.values() for channel in mix))


def parse_emg(top: Section) -> tuple[str, EmgProcessing, dict[str, str], dict[str, dict[str, float]]]:
    section = top.section("emg", ("kind", "processing", "noise", "channels", "muscles", "synergies"))
    kind = section.text("kind", "envelope", options=("envelope", "raw")) or ""
    keys = ("high_pass", "low_pass", "order", "notch", "rectify", "normalise", "clip")
    steps = section.section("processing", keys)
    if kind == "envelope":
        for key in steps.data:
            if key not in ("normalise", "clip"):
                raise InputError(f'{steps.where}: {key} is for raw EMG; set kind = "raw" in [emg], or remove it')
    settings: dict[str, Any] = {} if kind == "raw" else {"normalise": None, "clip": False}
    for key in ("high_pass", "low_pass"):
        if steps.data.get(key) is False:
            settings[key] = None
        elif key in steps.data:
            settings[key] = steps.number(key, unit="Hz")
    for key in ("rectify", "clip"):
        if key in steps.data:
            if not isinstance(steps.data[key], bool):
                raise steps.fail(key, "true or false")
            settings[key] = steps.data[key]
    if "order" in steps.data:
        if not isinstance(steps.data["order"], int) or isinstance(steps.data["order"], bool):
            raise steps.fail("order", "a whole number")
        settings["order"] = steps.data["order"]
    if "notch" in steps.data:
        notch = steps.data["notch"]
        notch = notch if isinstance(notch, list | tuple) else [notch]
        if not all(is_number(f) for f in notch):
            raise steps.fail("notch", "a frequency or a list of frequencies [Hz]")
        settings["notch"] = tuple(map(float, notch))
    if "normalise" in steps.data:
        rule = steps.data["normalise"]
        numbers = rule.values() if isinstance(rule, Mapping) else [rule]
        if rule is not False and rule != "max" and not all(map(is_number, numbers)):
            raise steps.fail("normalise", 'a number, "max", false, or a number per channel')
        settings["normalise"] = None if rule is False else rule
    try:
        processing = EmgProcessing(**settings)
    except InputError as error:
        raise InputError(f"{steps.where}: {error}") from None

    channels = section.section("channels", None)
    aliases = {name: channels.text(name) or "" for name in channels.data}
    muscles = section.section("muscles", None)
    emg_map: dict[str, dict[str, float]] = {}
    for muscle, value in muscles.data.items():
        if value == UNMEASURED:
            emg_map[muscle] = {}  # for reading: what drives it comes from the others' EMG, see `parse_unmeasured`
        elif isinstance(value, str) and value and value != "none":
            emg_map[muscle] = {value: 1.0}
        elif value == "none" or (is_number(value) and value == 0):
            emg_map[muscle] = {}
        elif isinstance(value, Mapping) and value and all(is_number(w) and w > 0 for w in value.values()):
            emg_map[muscle] = {channel: float(w) for channel, w in value.items()}
        else:
            raise muscles.fail(
                muscle,
                'a channel in quotes, positive weights like { a = 0.5 }, "unmeasured", or 0.0 for a silent muscle',
            )
    if not emg_map:
        raise InputError(
            f"{top.where} [emg.muscles]: is missing or empty; give every muscle of the model a channel, or "
            "0.0 if it is silent"
        )
    for alias in aliases:
        if alias not in channels_of(emg_map):
            raise InputError(
                f"{channels.where}: channel '{alias}' is used by no muscle{suggest(alias, channels_of(emg_map))}"
            )
    if isinstance(processing.normalise, Mapping):
        for name in processing.normalise:
            if name not in channels_of(emg_map):
                raise InputError(
                    f"{steps.where}: normalise names channel '{name}', which no muscle "
                    f"uses{suggest(name, channels_of(emg_map))}"
                )
        for name in channels_of(emg_map):
            if name not in processing.normalise:
                raise InputError(f"{steps.where}: normalise has no reference for channel '{name}'; add it")
    return kind, processing, aliases, emg_map


def parse_unmeasured(top: Section) -> tuple[tuple[str, ...], int]:
    """Muscles without EMG, and of how many synergies they may be made."""
    section = top.section("emg", None)
    muscles = tuple(m for m, value in section.section("muscles", None).data.items() if value == UNMEASURED)
    count = section.number("synergies", SYNERGIES, low=1, high=20) or SYNERGIES
    if count != int(count):
        raise section.fail("synergies", "a whole number")
    if "synergies" in section.data and not muscles:
        raise InputError(f'{section.where}: synergies are for muscles that are "unmeasured", and none is; remove it')
    return muscles, int(count)


def parse_emg_noise(top: Section) -> EmgNoise | None:
    section = top.section("emg", None).section("noise", ("relative", "absolute", "band"))
    if not section.data:
        return None
    given = {key: section.number(key) for key in section.data}
    try:
        return EmgNoise(**{key: float(value) for key, value in given.items() if value is not None})
    except InputError as error:
        raise InputError(f"{section.where}: {error}") from None
