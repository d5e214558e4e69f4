"""``[emg]``: how EMG becomes envelopes, how far they may be off, and which muscles they drive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section, is_number
from mjx_msm.recordings.emg import EmgNoise, EmgProcessing
from mjx_msm.recordings.settings import UNMEASURED_BY
from mjx_msm.recordings.synergies import UNMEASURED

BY_SYNERGIES = "synergies"
"""How unmeasured muscles do without EMG, unless the file says otherwise: the least held-out error on recorded walks
(``examples/benchmarks/unmeasured.py``)."""
SYNERGIES = 4
"""Unless the file says otherwise; three to five account for most of a leg's EMG in walking."""


RAW_ONLY = ("high_pass", "low_pass", "order", "notch", "rectify")
"""Steps of processing that an envelope has behind it."""


def channels_of(emg_map: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """The EMG channels that muscles use, in order."""
    return tuple(dict.fromkeys(channel for mix in emg_map.values() for channel in mix))


def parse_emg(top: Section) -> tuple[str, EmgProcessing, dict[str, str], dict[str, dict[str, float]]]:
    section = top.section("emg", ("kind", "processing", "noise", "channels", "muscles", "unmeasured", "synergies"))
    kind = section.text("kind", "envelope", options=("envelope", "raw")) or ""
    keys = ("high_pass", "low_pass", "order", "notch", "rectify", "normalise", "clip")
    steps = section.section("processing", keys)
    processing = _processing(steps, kind)
    channels = section.section("channels", None)
    aliases = {name: channels.text(name) or "" for name in channels.data}
    muscles = section.section("muscles", None)
    emg_map = {muscle: mix for muscle in muscles.data if (mix := _mix(muscles, muscle)) is not None}
    if not muscles.data:
        what = f"{top.where} [emg.muscles]: is missing or empty; give every muscle of the model a channel, or "
        section.refuse(InputError(f"{what}0.0 if it is silent"), "muscles")
        return kind, processing, aliases, emg_map
    for alias in aliases:
        if alias not in channels_of(emg_map):
            what = f"channel '{alias}' is used by no muscle{suggest(alias, channels_of(emg_map))}"
            channels.refuse(InputError(f"{channels.where}: {what}"), alias)
    if isinstance(processing.normalise, Mapping):
        for name in processing.normalise:
            if name not in channels_of(emg_map):
                what = f"normalise names channel '{name}', which no muscle uses{suggest(name, channels_of(emg_map))}"
                steps.refuse(InputError(f"{steps.where}: {what}"), "normalise", name)
        for name in channels_of(emg_map):
            if name not in processing.normalise:
                what = f"{steps.where}: normalise has no reference for channel '{name}'; add it"
                steps.refuse(InputError(what), "normalise")
    return kind, processing, aliases, emg_map


def _processing(steps: Section, kind: str) -> EmgProcessing:
    """``[emg.processing]``; the usual, where that is wrong."""
    if kind == "envelope":
        for key in steps.data:
            if key in RAW_ONLY:
                what = f'{steps.where}: {key} is for raw EMG; set kind = "raw" in [emg], or remove it'
                steps.refuse(InputError(what), key)
    usual: dict[str, Any] = {} if kind == "raw" else {"normalise": None, "clip": False}
    settings = dict(usual)
    for key in ("high_pass", "low_pass"):
        if steps.data.get(key) is False:
            settings[key] = None
        elif key in steps.data and (value := steps.number(key, unit="Hz")) is not None:
            settings[key] = value
    for key in ("rectify", "clip"):
        if isinstance(steps.data.get(key), bool):
            settings[key] = steps.data[key]
        elif key in steps.data:
            steps.refuse(steps.fail(key, "true or false"), key)
    if "order" in steps.data:
        if not isinstance(steps.data["order"], int) or isinstance(steps.data["order"], bool):
            steps.refuse(steps.fail("order", "a whole number"), "order")
        else:
            settings["order"] = steps.data["order"]
    if "notch" in steps.data:
        notch = steps.data["notch"]
        notch = notch if isinstance(notch, list | tuple) else [notch]
        if not all(is_number(f) for f in notch):
            steps.refuse(steps.fail("notch", "a frequency or a list of frequencies [Hz]"), "notch")
        else:
            settings["notch"] = tuple(map(float, notch))
    if "normalise" in steps.data:
        rule = steps.data["normalise"]
        numbers = rule.values() if isinstance(rule, Mapping) else [rule]
        if rule is not False and rule != "max" and not all(map(is_number, numbers)):
            wrong = steps.fail("normalise", 'a number, "max", false, or a number per channel')
            steps.refuse(wrong, "normalise")
        else:
            settings["normalise"] = None if rule is False else rule
    try:
        return EmgProcessing(**settings)
    except InputError as error:
        steps.refuse(InputError(f"{steps.where}: {error}"))
    return EmgProcessing(**usual)


def in_words(kind: str, processing: EmgProcessing, by_efforts: bool) -> str:
    """How EMG becomes envelopes.

    **Arguments:** `kind`: "raw" or "envelope". `by_efforts`: whether trials of greatest effort say what counts as 1.
    """
    steps = ["envelopes as they are in the file"]
    if kind == "raw":
        filters = {"high-pass": processing.high_pass, "low-pass": processing.low_pass}
        high, low = (f"{name} {x:g} Hz" if x is not None else "" for name, x in filters.items())
        notch = f"notch {', '.join(f'{x:g}' for x in processing.notch)} Hz" if processing.notch else ""
        rectified = "rectified" if processing.rectify else ""
        order = f"Butterworth of order {processing.order}, forwards and backwards"
        steps = [x for x in (high, notch, rectified, low, order) if x]
    rule = processing.normalise
    if by_efforts:
        one = "1 is each channel's greatest in the trials of greatest effort"
    elif rule == "max":
        one = "1 is each channel's greatest in the trials it was made from"
    elif rule is None:
        one = "not normalised again" if kind == "envelope" else "not normalised"
    elif isinstance(rule, Mapping):
        one = f"1 is {', '.join(f'{x:g} of {name}' for name, x in rule.items())}"
    else:
        one = f"1 is {rule:g} of every channel"
    return ", ".join([*steps, one, *(["cut off at 1"] if processing.clip else [])])


def _mix(muscles: Section, muscle: str) -> dict[str, float] | None:
    """Channels that drive a muscle, each with its weight; None where that is wrong."""
    value = muscles.data[muscle]
    if value == UNMEASURED:
        return {}  # for reading: what drives it comes from the others' EMG, see `parse_unmeasured`
    if isinstance(value, str) and value and value != "none":
        return {value: 1.0}
    if value == "none" or (is_number(value) and value == 0):
        return {}
    if isinstance(value, Mapping) and value and all(is_number(w) and w > 0 for w in value.values()):
        return {channel: float(w) for channel, w in value.items()}
    wanted = 'a channel in quotes, positive weights like { a = 0.5 }, "unmeasured", or 0.0 for a silent muscle'
    muscles.refuse(muscles.fail(muscle, wanted), muscle)
    return None


def parse_unmeasured(top: Section) -> tuple[tuple[str, ...], str, int]:
    """Muscles without EMG, the method by which they do without, and of how many synergies they may be made."""
    section = top.section("emg", None)
    muscles = tuple(m for m, value in section.section("muscles", None).data.items() if value == UNMEASURED)
    count = section.number("synergies", SYNERGIES, low=1, high=20) or SYNERGIES
    if count != int(count):
        raise section.fail("synergies", "a whole number")
    method = section.text("unmeasured", BY_SYNERGIES, options=(BY_SYNERGIES, *UNMEASURED_BY)) or BY_SYNERGIES
    for key in ("unmeasured", "synergies"):
        if key in section.data and not muscles:
            raise InputError(f'{section.where}: {key} is for muscles that are "unmeasured", and none is; remove it')
    if "synergies" in section.data and method != BY_SYNERGIES:
        raise InputError(f'{section.where}: unmeasured = "{method}" has no synergies; remove one of the two')
    return muscles, method, int(count)


def parse_emg_noise(top: Section) -> EmgNoise | None:
    section = top.section("emg", None).section("noise", ("relative", "absolute", "band"))
    if not section.data:
        return None
    given = {key: section.number(key) for key in section.data}
    try:
        return EmgNoise(**{key: float(value) for key, value in given.items() if value is not None})
    except InputError as error:
        section.refuse(InputError(f"{section.where}: {error}"))
    return None
