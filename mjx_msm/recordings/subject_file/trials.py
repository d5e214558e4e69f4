"""``[[trials]]``: the files of every trial, and the columns in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section, is_number
from mjx_msm.recordings.readers.timing import Timing
from mjx_msm.recordings.subject_file.columns import KINDS, TIMING, Column, parse_columns, parse_timing
from mjx_msm.recordings.subject_file.emg import channels_of
from mjx_msm.recordings.subject_file.identify import IdentifySpec
from mjx_msm.recordings.subject_file.model import UNITS, ModelSpec
from mjx_msm.recordings.subject_file.places import expanded

NORMALISE = "normalise"
ROLES = ("identify", "held-out", "predict", NORMALISE)
"""What a trial is for; one that is only to be predicted needs no moments, one of greatest effort nothing but EMG."""
GRAVITY = ("included", "corrected")
SPIKES = ("masked", "kept")
OTHER_FOOT = ("kept", "masked")
FURTHEST = 1e10
"""That clocks may be apart [s]: one of them may count from 1970; beyond, numbers hold no microseconds."""
MASKED = ("motion", "moments")
"""Kinds of file of which stretches may be left out; muscles cannot be driven through a gap of their EMG."""


@dataclass(frozen=True)
class TrialEntry:
    """One of ``[[trials]]``."""

    name: str
    where: str
    """In the file, for messages."""
    motion: Path | None
    """None for a trial that only says what EMG counts as 1, and for one in a posture that was held."""
    emg: Path | None
    moments: Path | None
    role: str
    task: str
    start: float | None
    stop: float | None
    offsets: Mapping[str, float]
    units: str
    timing: Mapping[str, Timing]
    """By kind of file."""
    columns: Mapping[str, Column]
    moment_columns: Mapping[str, Column]
    gravity: Literal["included", "corrected"] | None
    """Whether the weight of limb and device is in the recorded moment; None: nothing is said."""
    spikes: Literal["masked", "kept"] = "masked"
    """What becomes of samples of a moment that no joint made."""
    other_foot: Literal["kept", "masked"] = "kept"
    """What becomes of samples of a leg's moments while both ankles push: the other foot's force may be in them."""
    posture: Mapping[str, float] | None = None
    """Of every free and prescribed coordinate, where it was held and not recorded [rad, m]."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """EMG channel → column, where that is another one than for all trials."""
    silent: tuple[str, ...] = ()
    """EMG channels that drive nothing in this trial."""
    said: Mapping[str, str] = field(default_factory=dict)
    """Files as the subject file names them, by kind."""
    masked: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    """Stretches of the trial's time that are left out [s], by kind: motion, moments."""


def parse_trial(
    top: Section,
    entry: Any,
    index: int,
    data: Path,
    units: str,
    model: ModelSpec | None,
    emg_map: Mapping[str, Mapping[str, float]],
    identify: IdentifySpec | None,
) -> TrialEntry:
    """**Arguments:** `model`, `identify`: None where that section is wrong; what needs it is not checked then."""
    name = entry.get("name") if isinstance(entry, Mapping) else None
    label = f"'{name}'" if isinstance(name, str) else f"number {index + 1}"
    keys = (
        "name",
        "motion",
        "posture",
        "emg",
        "moments",
        "role",
        "task",
        "start",
        "stop",
        "time_offset",
        "mask",
        "channels",
        "gravity",
        "spikes",
        "units",
        *TIMING,
        "columns",
        "moment_columns",
    )
    section = top.inside(entry, f"{top.where} [[trials]] {label}", keys, "trials", index)

    def file(key: str, required: bool) -> Path | None:
        if required:
            section.require(key, "the name of a file")
        value = section.text(key)
        return None if value is None else data / expanded(value, f"{section.where}: {key}")

    role = section.text("role", "identify", options=ROLES) or ""
    emg = file("emg", bool(channels_of(emg_map)) or role == NORMALISE)
    moments = file("moments", False)
    posture = None
    if "posture" in section.data:
        with section.gathered("posture"):
            posture = _posture(section, model, units)
        if "motion" in section.data:
            what = f"{section.where}: both 'motion' and 'posture' are given; keep the one that is right"
            section.refuse(InputError(what), "posture")
        if moments is None:
            what = f"{section.where}: a posture says nothing of when; give 'moments', or a motion"
            section.refuse(InputError(what), "posture")
    motion = file("motion", role != NORMALISE and "posture" not in section.data)
    needed = identify is not None and "moment" in identify.residuals and role not in ("predict", NORMALISE)
    if needed and "moments" not in section.data and section.is_table:
        what = (
            f"{section.where}: 'moments' is missing, which residuals = [\"moment\"] needs; give the file, or choose "
            "other residuals"
        )
        section.refuse(InputError(what), "moments")
    start, stop = section.number("start", unit="s"), section.number("stop", unit="s")
    if start is not None and stop is not None and start >= stop:
        what = f"{section.where}: start = {start:g} is not before stop = {stop:g}; correct them"
        section.refuse(InputError(what), "start")
    where = f"{section.where} time_offset"
    offsets = section.inside(section.data.get("time_offset", {}), where, ("motion", "emg", "moments"), "time_offset")

    everything = None if model is None else (*model.free, *model.prescribed, *model.locked)
    columns = parse_columns(top, section, "columns", everything, ("angle", "length"))
    free = None if model is None else model.free
    moment_columns = parse_columns(top, section, "moment_columns", free, ("moment", "moment per mass"))
    channels = _channels(section, channels_of(emg_map))
    return TrialEntry(
        name=section.text("name", required=True) or "",
        where=section.where,
        motion=motion,
        emg=emg,
        moments=moments,
        role=role,
        task=section.text("task") or "",
        start=start,
        stop=stop,
        offsets={key: offsets.number(key, low=-FURTHEST, high=FURTHEST, unit="s") or 0.0 for key in offsets.data},
        units=section.text("units", units, options=UNITS) or "",
        timing=parse_timing(top, section),
        columns=columns,
        moment_columns=moment_columns,
        gravity=section.text("gravity", top.text("gravity", options=GRAVITY), options=GRAVITY),  # type: ignore[arg-type]
        spikes=section.text("spikes", top.text("spikes", "masked", options=SPIKES), options=SPIKES),  # type: ignore[arg-type]
        other_foot=section.text("other_foot", top.text("other_foot", "kept", options=OTHER_FOOT), options=OTHER_FOOT),  # type: ignore[arg-type]
        posture=posture,
        channels={c: own for c, own in channels.items() if own},
        silent=tuple(c for c, own in channels.items() if not own),
        said={kind: value for kind in KINDS if isinstance(value := section.data.get(kind), str)},
        masked=_masked(section, role),
    )


def _channels(section: Section, known: tuple[str, ...]) -> dict[str, str]:
    """``channels``: columns of this trial's EMG file; "" for 0.0, a channel that is silent in it."""
    inside = section.inside(section.data.get("channels", {}), f"{section.where} channels", None, "channels")
    for name in inside.data:
        if known and name not in known:
            what = f"{inside.where}: channel '{name}' is used by no muscle{suggest(name, known)}"
            inside.refuse(InputError(what), name)
    out = {}
    for name, own in inside.data.items():
        if not known or name in known:
            out[name] = "" if is_number(own) and own == 0 else inside.text(name) or name
    if known and set(known) == {name for name, own in out.items() if not own}:
        inside.refuse(InputError(f"{inside.where}: every channel is silent; leave one that drives a muscle"))
    return out


def _masked(section: Section, role: str) -> dict[str, tuple[tuple[float, float], ...]]:
    """``mask = { moments = [[28.4, 28.7]] }``: stretches that are left out."""
    inside = section.inside(section.data.get("mask", {}), f"{section.where} mask", MASKED, "mask")
    out: dict[str, tuple[tuple[float, float], ...]] = {}
    for kind, given in inside.data.items():
        right = isinstance(given, list | tuple) and all(
            isinstance(s, list | tuple) and len(s) == 2 and all(map(is_number, s)) and s[0] < s[1] for s in given
        )
        if role == NORMALISE or kind not in section.data:
            greatest = f'a trial of role "{NORMALISE}" is used from start to stop'
            why = greatest if role == NORMALISE else f"the trial has no file of its {kind}"
            inside.refuse(InputError(f"{inside.where}: {why}; remove '{kind}' from it"), kind)
        elif right:
            out[kind] = tuple((float(a), float(b)) for a, b in given)
        else:
            inside.refuse(inside.fail(kind, "stretches from and to [s], like [[28.4, 28.7]]"), kind)
    return out


def _posture(section: Section, model: ModelSpec | None, units: str) -> dict[str, float]:
    """Where every coordinate was held; angles in the trial's `units`, radians where those are "auto"."""
    every = None if model is None else (*model.free, *model.prescribed)
    held = section.section("posture", every)
    degrees = section.text("units", units, options=UNITS) == "deg"
    out = {}
    for name in held.data if every is None else every:
        value = held.number(name, required=True) or 0.0
        if not degrees and abs(value) > 2 * math.pi:
            raise InputError(f'{held.where}: {name} = {value:g} looks like degrees; set units = "deg"')
        out[name] = math.radians(value) if degrees else value
    return out
