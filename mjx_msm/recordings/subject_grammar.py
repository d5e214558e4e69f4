"""The grammar of ``subject.toml``: which keys it may have, of what type, in what range. No file is opened.

`mjx_msm.recordings.subject` says what the keys mean.
"""

from __future__ import annotations

import fnmatch
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section, is_number, show
from mjx_msm.recordings.emg import EmgNoise, EmgProcessing

# Names that a file may use; a test holds them to those of the physics, which this does not import.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "muscle": (
        "max_isometric_force",
        "optimal_fiber_length",
        "tendon_slack_length",
        "max_contraction_velocity",
        "passive_force_scale",
        "pennation_angle",
        "activation_time_constant",
        "deactivation_time_constant",
    ),
    "body": ("mass", "com", "inertia"),
    "joint": ("damping", "stiffness"),
    "emg": ("gain", "delay", "shape"),
}
_RESIDUALS = ("acceleration", "moment", "motion")
SEGMENTS = ("upper_arm", "forearm", "hand", "thigh", "shank", "foot")
_UNITS = ("auto", "rad", "deg")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
BUNDLED = ("arm", "knee")

# What it says --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """Who was recorded."""

    name: str
    mass: float
    """[kg]."""
    height: float | None = None
    """[m]."""
    sex: Literal["male", "female"] | None = None


@dataclass(frozen=True)
class ModelSpec:
    """Which model stands for the subject; ``load_model(**vars(spec))``."""

    source: str
    """Name of a bundled model, or an absolute path."""
    muscle: str
    free: tuple[str, ...]
    prescribed: tuple[str, ...]
    locked: Mapping[str, float]
    """[rad] (or [m])."""


@dataclass(frozen=True)
class IdentifySpec:
    """What to estimate, from what."""

    free: tuple[str, ...]
    """Parameter patterns, as `parameter_space` takes them."""
    residuals: tuple[str, ...]
    tied: tuple[str, ...]
    """Patterns whose members share one unknown."""
    starts: int
    """Number of starting points."""
    rate: float
    """Of the trials' common clock [Hz]."""
    bounds: Mapping[str, Mapping[str, list[float]]]
    priors: Mapping[str, Mapping[str, float | list[float]] | str]
    segment_priors: bool = False
    """Whether free bodies that stand for a segment get the priors of `mjx_msm.person.anthropometry` before `priors`."""
    segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Body → segments it stands for, beyond what is known of the bundled models; empty for none."""
    emg_noise: EmgNoise | None = None
    """Error of the envelopes; None: they count as exact."""


@dataclass(frozen=True)
class Column:
    """Where a coordinate's numbers come from."""

    column: str
    units: str | None = None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class TrialEntry:
    """One of ``[[trials]]``."""

    name: str
    where: str
    """In the file, for messages."""
    motion: Path
    emg: Path | None
    moments: Path | None
    role: str
    start: float | None
    stop: float | None
    offsets: Mapping[str, float]
    units: str
    time_column: str | None
    columns: Mapping[str, Column]
    moment_columns: Mapping[str, Column]


@dataclass(frozen=True)
class Document:
    """A subject file that has been checked but not followed."""

    path: Path
    subject: Person
    model: ModelSpec
    kind: str
    processing: EmgProcessing
    aliases: Mapping[str, str]
    emg_map: Mapping[str, Mapping[str, float]]
    sampling: Mapping[str, float]
    trials: tuple[TrialEntry, ...]
    identify: IdentifySpec


def channels_of(emg_map: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """The EMG channels that muscles use, in order."""
    return tuple(dict.fromkeys(channel for mix in emg_map.values() for channel in mix))


# Reading it ----------------------------------------------------------------------------------------------


def parse_subject(document: Mapping[str, Any], path: str | Path) -> Document:
    """Check keys, types and ranges of a subject file, without opening any file it names."""
    path = Path(path)
    top = Section(
        document,
        str(path),
        (
            "data",
            "units",
            "time_column",
            "columns",
            "moment_columns",
            "subject",
            "model",
            "emg",
            "sampling",
            "trials",
            "identify",
        ),
    )
    for key in ("subject", "model", "trials", "identify"):
        if key not in document:
            raise InputError(
                f"{path}: section [{key}] is missing; add it"
                if key != "trials"
                else f"{path}: no [[trials]]; add at least one"
            )
    units = top.text("units", "auto", options=_UNITS) or "auto"
    folder = _folder(path)
    data = _data_folder(folder, top.text("data", ".") or ".", f"{path}: data")

    who = top.section("subject", ("name", "mass", "height", "sex"))
    height = who.data.get("height")
    if isinstance(height, int | float) and 40 <= height <= 250:
        raise InputError(f"{who.where}: height = {height:g} looks like centimetres; write {height / 100:g} [m]")
    subject = Person(
        name=who.text("name", required=True) or "",
        mass=who.number("mass", low=2, high=400, unit="kg", required=True) or 0.0,
        height=who.number("height", low=0.4, high=2.6, unit="m"),
        sex=who.text("sex", options=("male", "female")),  # type: ignore[arg-type]
    )
    model = _parse_model(top, folder, units)
    kind, processing, aliases, emg_map = _parse_emg(top)

    sampling_section = top.section("sampling", ("lead_in", "max_gap", "motion_cutoff"))
    sampling = {
        "lead_in": sampling_section.number("lead_in", 0.3, low=0, high=5, unit="s"),
        "max_gap": sampling_section.number("max_gap", 0.05, low=0, high=1, unit="s"),
        "motion_cutoff": sampling_section.number("motion_cutoff", low=0.5, high=500, unit="Hz"),
    }
    sampling = {k: v for k, v in sampling.items() if v is not None}

    identify = _parse_identify(top, subject)
    entries = document["trials"]
    if not isinstance(entries, list | tuple) or not entries:
        raise InputError(f"{path}: trials must be a list of tables; write [[trials]] in double brackets")
    trials = tuple(
        _parse_trial(top, entry, i, data, units, model, emg_map, identify) for i, entry in enumerate(entries)
    )
    for trial in trials:
        if sum(t.name == trial.name for t in trials) > 1:
            raise InputError(f"{path} [[trials]]: the name '{trial.name}' appears twice; rename one")
    if all(t.role == "held-out" for t in trials):
        raise InputError(f'{path} [[trials]]: every trial is held out; give at least one the role "identify"')
    return Document(path, subject, model, kind, processing, aliases, emg_map, sampling, trials, identify)


def _parse_model(top: Section, folder: Path, units: str) -> ModelSpec:
    section = top.section("model", ("source", "muscle", "free", "prescribed", "locked", "units", "segments"))
    source = section.text("source", required=True) or ""
    if source not in BUNDLED:
        source = _expand(source, f"{section.where}: source")
        if "/" not in source and not source.endswith((".xml", ".mjcf")):
            raise InputError(
                f"{section.where}: source = '{source}' is neither a bundled model nor an MJCF "
                f"file{suggest(source, BUNDLED)}"
            )
        source = os.path.normpath(folder / source)
    roles = {key: section.names(key, required=key == "free") for key in ("free", "prescribed")}
    if not roles["free"]:
        raise InputError(f"{section.where}: free is empty; name at least one coordinate to simulate")
    own = section.text("units", units, options=_UNITS)
    factor = math.pi / 180 if own == "deg" else 1.0
    locked_section = section.section("locked", None)
    locked = {}
    for name in locked_section.data:
        value = locked_section.number(name)
        assert value is not None
        if own != "deg" and abs(value) > 2 * math.pi:
            raise InputError(
                f'{locked_section.where}: {name} = {value:g} looks like degrees; set units = "deg" in '
                "[model], or give radians"
            )
        locked[name] = value * factor
    everything = [*roles["free"], *roles["prescribed"], *locked]
    for name in everything:
        if everything.count(name) > 1:
            raise InputError(
                f"{section.where}: coordinate '{name}' has two roles; keep it in one of free, prescribed, locked"
            )
    muscle = section.text("muscle", "mujoco", options=("mujoco", "degroote")) or ""
    return ModelSpec(source, muscle, roles["free"], roles["prescribed"], locked)


def _parse_emg(top: Section) -> tuple[str, EmgProcessing, dict[str, str], dict[str, dict[str, float]]]:
    section = top.section("emg", ("kind", "processing", "noise", "channels", "muscles"))
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
        if isinstance(value, str) and value and value != "none":
            emg_map[muscle] = {value: 1.0}
        elif value == "none" or (is_number(value) and value == 0):
            emg_map[muscle] = {}
        elif isinstance(value, Mapping) and value and all(is_number(w) and w > 0 for w in value.values()):
            emg_map[muscle] = {channel: float(w) for channel, w in value.items()}
        else:
            raise muscles.fail(
                muscle,
                "a channel in quotes, positive weights like { a = 0.5, b = 0.5 }, or 0.0 for a silent muscle",
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


def _parse_identify(top: Section, subject: Person) -> IdentifySpec:
    keys = ("free", "residuals", "tied", "starts", "rate", "bounds", "priors", "segment_priors")
    section = top.section("identify", keys)
    free = section.names("free", required=True)
    if not free:
        raise InputError(f'{section.where}: free is empty; name what to estimate, e.g. "muscle/*/max_isometric_force"')
    residuals = section.names("residuals", required=True)
    for name in residuals:
        if name not in _RESIDUALS:
            raise InputError(f"{section.where}: residuals = '{name}' is unknown{suggest(name, _RESIDUALS)}")
    if not residuals:
        raise InputError(f"{section.where}: residuals is empty; choose from {', '.join(_RESIDUALS)}")
    bounds: dict[str, Any] = {}
    for pattern, value in section.section("bounds", None).data.items():
        value = {"range": value} if isinstance(value, list | tuple) else value
        pair = next(iter(value.values()), None) if isinstance(value, Mapping) and len(value) == 1 else None
        if not (
            isinstance(value, Mapping)
            and set(value) <= {"factor", "range"}
            and isinstance(pair, list | tuple)
            and len(pair) == 2
            and all(map(is_number, pair))
        ):
            raise InputError(
                f"{section.where} bounds: '{pattern}' must be {{ factor = [lo, hi] }} or "
                f"{{ range = [lo, hi] }}, got {show(value)}"
            )
        if not pair[0] < pair[1]:
            raise InputError(
                f"{section.where} bounds: '{pattern}' is empty ({pair[0]:g} to {pair[1]:g}); put the lower bound first"
            )
        bounds[pattern] = {key: [float(x) for x in pair] for key in value}
    priors: dict[str, Any] = {}
    for pattern, value in section.section("priors", None).data.items():
        if (
            isinstance(value, Mapping)
            and value
            and set(value) <= {"mean", "sd", "relative_sd"}
            and all(is_number(x) or (key == "mean" and _is_inertia(x)) for key, x in value.items())
        ):
            priors[pattern] = {
                key: [float(v) for v in x] if isinstance(x, list | tuple) else float(x) for key, x in value.items()
            }
        elif value == "none":
            priors[pattern] = "none"
        else:
            raise InputError(
                f"{section.where} priors: '{pattern}' must have mean, sd or relative_sd, or be \"none\", "
                f"got {show(value)}"
            )
    tied = section.names("tied")
    for key, patterns in (("free", free), ("tied", tied), ("bounds", bounds), ("priors", priors)):
        for pattern in patterns:
            _check_pattern(pattern, f"{section.where} {key}")
    rate = section.number("rate", 200.0, low=20, high=5000, unit="Hz") or 200.0
    starts = section.number("starts", 1, low=1, high=1000) or 1
    if starts != int(starts):
        raise section.fail("starts", "a whole number")
    asked, segments = _parse_segments(top, section, subject)
    noise = _parse_emg_noise(top, residuals)
    return IdentifySpec(free, residuals, tied, int(starts), rate, bounds, priors, asked, segments, noise)


def _parse_emg_noise(top: Section, residuals: tuple[str, ...]) -> EmgNoise | None:
    section = top.section("emg", None).section("noise", ("relative", "absolute", "band"))
    if not section.data:
        return None
    if residuals != ("motion",):
        raise InputError(
            f'{section.where}: EMG noise is modelled in the motion residual alone; choose residuals = ["motion"], or '
            "leave the section out"
        )
    given = {key: section.number(key) for key in section.data}
    try:
        return EmgNoise(**{key: float(value) for key, value in given.items() if value is not None})
    except InputError as error:
        raise InputError(f"{section.where}: {error}") from None


def _parse_segments(top: Section, identify: Section, subject: Person) -> tuple[bool, dict[str, tuple[str, ...]]]:
    """Whether there are segment priors, and what bodies stand for."""
    section = top.section("model", None).section("segments", None)
    segments: dict[str, tuple[str, ...]] = {}
    for body, value in section.data.items():
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise section.fail(body, 'a segment in quotes, a list like ["forearm", "hand"], or [] for none')
        for name in names:
            if name not in SEGMENTS:
                raise InputError(f"{section.where}: {body} = '{name}' is unknown{suggest(name, SEGMENTS, limit=10)}")
        segments[body] = tuple(names)
    missing = [key for key in ("height", "sex") if getattr(subject, key) is None]
    asked = identify.data.get("segment_priors", not missing or bool(segments))
    if not isinstance(asked, bool):
        raise identify.fail("segment_priors", "true or false")
    if asked and missing:
        raise InputError(
            f"{top.where} [subject]: '{missing[0]}' is missing, which segment priors need; give it, or set "
            "segment_priors = false in [identify]"
        )
    return asked, segments


def _check_pattern(pattern: str, where: str) -> None:
    group, _, rest = pattern.partition("/")
    if not rest:
        raise InputError(
            f"{where}: '{pattern}' is not a parameter; write group/name/parameter, e.g. muscle/*/max_isometric_force"
        )
    if group not in FIELDS and not re.search(r"[*?\[]", group):
        raise InputError(f"{where}: '{pattern}' begins with unknown group '{group}'{suggest(group, FIELDS)}")
    fields = [f for g, names in FIELDS.items() if fnmatch.fnmatchcase(g, group) for f in names]
    last = rest.split("/")[1:] if "/" in rest else [rest]
    # A wildcard may span the slash, so a last part that holds one is left to the model to judge
    if not any(re.search(r"[*?\[]", part) for part in last) and not any(part in fields for part in last):
        raise InputError(
            f"{where}: '{pattern}' ends in unknown parameter '{last[-1]}'{suggest(last[-1], fields, limit=10)}"
        )


def _parse_trial(
    top: Section,
    entry: Any,
    index: int,
    data: Path,
    units: str,
    model: ModelSpec,
    emg_map: Mapping[str, Mapping[str, float]],
    identify: IdentifySpec,
) -> TrialEntry:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    label = f"'{name}'" if isinstance(name, str) else f"number {index + 1}"
    keys = (
        "name",
        "motion",
        "emg",
        "moments",
        "role",
        "start",
        "stop",
        "time_offset",
        "units",
        "time_column",
        "columns",
        "moment_columns",
    )
    section = Section(entry, f"{top.where} [[trials]] {label}", keys)

    def file(key: str, required: bool) -> Path | None:
        if required:
            section.require(key, "the name of a file")
        value = section.text(key)
        return None if value is None else data / _expand(value, f"{section.where}: {key}")

    emg = file("emg", bool(channels_of(emg_map)))
    moments = file("moments", False)
    motion = file("motion", True)
    assert motion is not None
    if moments is None and "moment" in identify.residuals:
        raise InputError(
            f"{section.where}: 'moments' is missing, which residuals = [\"moment\"] needs; give the file, "
            "or choose other residuals"
        )
    start, stop = section.number("start", unit="s"), section.number("stop", unit="s")
    if start is not None and stop is not None and start >= stop:
        raise InputError(f"{section.where}: start = {start:g} is not before stop = {stop:g}; correct them")
    offsets = Section(section.data.get("time_offset", {}), f"{section.where} time_offset", ("motion", "emg", "moments"))

    everything = (*model.free, *model.prescribed, *model.locked)
    columns = _columns(top, section, "columns", everything, (*_UNITS[1:], "m"))
    moment_columns = _columns(top, section, "moment_columns", model.free, ("Nm", "Nm/kg"))
    return TrialEntry(
        name=section.text("name", required=True) or "",
        where=section.where,
        motion=motion,
        emg=emg,
        moments=moments,
        role=section.text("role", "identify", options=("identify", "held-out")) or "",
        start=start,
        stop=stop,
        offsets={key: offsets.number(key, unit="s") or 0.0 for key in offsets.data},
        units=section.text("units", units, options=_UNITS) or "",
        time_column=section.text("time_column", top.text("time_column")),
        columns=columns,
        moment_columns=moment_columns,
    )


def _columns(
    top: Section, trial: Section, key: str, coordinates: Sequence[str], units: Sequence[str]
) -> dict[str, Column]:
    out: dict[str, Column] = {}
    for data, where in (
        (top.data.get(key, {}), f"{top.where} [{key}]"),
        (trial.data.get(key, {}), f"{trial.where} {key}"),
    ):
        section = Section(data, where, None)
        for coordinate, value in section.data.items():
            if coordinate not in coordinates:
                role = "neither free, prescribed nor locked" if key == "columns" else "not free"
                raise InputError(f"{where}: '{coordinate}' is {role} in [model]{suggest(coordinate, coordinates)}")
            if isinstance(value, str):
                out[coordinate] = Column(value)
                continue
            detail = Section(value, f"{where} {coordinate}", ("column", "units", "scale", "offset"))
            scale, offset = detail.number("scale", 1.0), detail.number("offset", 0.0)
            assert scale is not None
            assert offset is not None
            if scale == 0:
                raise InputError(f"{detail.where}: scale is 0; give 1, -1 or another factor")
            out[coordinate] = Column(
                detail.text("column", required=True) or "", detail.text("units", options=units), scale, offset
            )
    return out


def _is_inertia(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 6 and all(map(is_number, value))


def _folder(path: Path) -> Path:
    """The folder of `path`, as short as it can be said from here."""
    folder = path.resolve().parent
    relative = os.path.relpath(folder)
    return Path(relative if len(relative) < len(str(folder)) else folder)


def _data_folder(folder: Path, text: str, where: str) -> Path:
    """Where the recordings are; `text` may name it by an environment variable."""
    data = folder / _expand(text, where)
    named = _VARIABLE.search(text)
    if named and not data.is_dir():
        raise InputError(f'{where} = "{text}": there is no folder {data}; set {named[1]}')
    return data


def _expand(text: str, where: str) -> str:
    """Fill in ``${NAME}`` and ``${NAME:-default}``; a relative path in NAME is relative to the caller."""

    def value(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        found = os.environ.get(name)
        if found:
            return os.path.abspath(os.path.expanduser(found))
        if default is None:
            raise InputError(f"{where}: environment variable {name} is not set; set it, or write ${{{name}:-default}}")
        return default

    return os.path.expanduser(_VARIABLE.sub(value, text))
