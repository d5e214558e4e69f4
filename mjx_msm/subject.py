"""The one file a user writes: ``subject.toml`` → `Study`.

It says who was recorded, which model stands for them, where the recordings are, and what to estimate. Paths
are relative to the file; ``${NAME}`` and ``${NAME:-default}`` take environment variables. Unknown keys are
errors.

```toml
data = "recordings"          # folder of the files below; default: the folder of this file
units = "deg"                # of angles: "deg", "rad", or "auto" (default: as each file says, else rad)

[columns]                    # model coordinate -> column; needed only where the names differ
knee_angle = "knee_angle_r"
hip_flexion = { column = "hip_r", scale = -1.0, units = "rad", offset = 0.0 }

[moment_columns]             # default: "<coordinate>_moment", else "<coordinate>", for every free coordinate
knee_angle = { column = "knee_moment", units = "Nm/kg" }

[subject]
name = "walker"
mass = 85.3                  # [kg]
height = 1.80                # [m], optional
sex = "male"                 # or "female", optional

[model]
source = "knee"              # "arm", "knee", or an MJCF file
muscle = "mujoco"            # or "degroote"
free = ["knee_angle"]        # simulated
prescribed = ["hip_flexion"] # follow the recording
locked = { ankle_angle = 0.0 }  # held, in `units` (rad if "auto")
[model.segments]             # optional, for segment_priors below: body of your own MJCF file -> what it stands for,
tibia = "shank"              # upper_arm, forearm, hand, thigh, shank or foot; or ["forearm", "hand"], stiff as one

[emg]
kind = "raw"                 # or "envelope" (default), used as it is
[emg.processing]             # also high_pass, order, notch, rectify, clip; of an envelope: normalise, clip
low_pass = 6.0
normalise = "max"            # over all trials to identify; or a number; or { channel = number }
[emg.channels]               # optional short names: channel -> column
biceps = "Biceps.EMG4"
[emg.muscles]                # every muscle of the model -> channel, weighted channels, or 0.0 if it is silent
BIClong = "biceps"
BRA = { biceps = 0.5, triceps = 0.5 }

[sampling]                   # all optional
lead_in = 0.3                # EMG to keep before the motion [s]
max_gap = 0.05               # longest run of missing samples to interpolate [s]
motion_cutoff = 6.0          # zero-phase low-pass of the angles [Hz]; default: none

[[trials]]
name = "walk"
motion = "coordinates.sto"   # .mot, .sto or .csv
emg = "emg.c3d"              # also .c3d
moments = "id.sto"           # needed by the "moment" residual
role = "identify"            # or "held-out"
start = 0.5                  # [s], optional, like stop
time_offset = { emg = 0.02 } # added to a file's time [s], optional
# columns, moment_columns, units, time_column: as above, for this trial

[identify]
free = ["muscle/*/max_isometric_force", "emg/*/gain", "emg/*/delay"]
residuals = ["moment"]       # "acceleration", "moment", "motion"
tied = ["emg/*/delay"]       # optional: patterns whose members share one unknown
starts = 4                   # optional: starting points, all but the first drawn from the prior
rate = 200.0                 # of the common clock [Hz]
bounds = { "muscle/*/tendon_slack_length" = { factor = [0.9, 1.1] } }  # or { range = [lo, hi] }
priors = { "emg/*/gain" = { mean = 0.5, sd = 0.2 } }                   # or { relative_sd = 0.1 }, or "none"
segment_priors = true        # the default where height and sex are given; false: bodies are like the model's
```

With `segment_priors`, the mass, centre of mass and inertia of every free body that stands for a segment are expected to
be those of a person of this mass, height and sex (`mjx_msm.anthropometry`); the bodies of "arm" and "knee" are known.
`priors` come after them: a pattern there overrides what it says. Bounds that are not given follow the prior's mean.
The prior mean of an inertia, for "body/<name>/inertia", is a list of six numbers: xx, yy, zz, xy, xz, yz.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import math
import os
import re
import tomllib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mjx_msm import emg as emg_signals
from mjx_msm.emg import EmgProcessing
from mjx_msm.errors import InputError
from mjx_msm.files import write_text
from mjx_msm.readers import InputWarning, Table, read_table, suggest
from mjx_msm.trial import Trial, build_trial

# What the data model -------------------------------------------------------------------------------------


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
    """Whether free bodies that stand for a segment get the priors of `mjx_msm.anthropometry`, before `priors`."""
    segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Body → segments it stands for, beyond what is known of the bundled models; empty for none."""


@dataclass(frozen=True)
class Study:
    """A subject file with its recordings loaded."""

    subject: Person
    model: ModelSpec
    emg_map: Mapping[str, Mapping[str, float]]
    """Muscle → {channel: weight}; empty for a muscle taken as silent."""
    trials: tuple[Trial, ...]
    """To identify from."""
    held_out: tuple[Trial, ...]
    """To judge the result by; same channels and coordinates."""
    identify: IdentifySpec
    path: Path
    hashes: Mapping[str, str]
    """SHA-256 of the subject file and every file it uses, by path relative to the subject file."""
    notes: tuple[str, ...] = ()
    """What deserves a look; each was also issued as an `InputWarning`."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The EMG channels in use, in the order of every trial's `emg`."""
        return _channels(self.emg_map)


def load_subject(path: str | Path) -> Study:
    """Read a subject file and the recordings it names.

    **Raises:** `InputError`, one line with file, key or column, and the fix.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such subject file; correct the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a text file ({error}); give a subject file in TOML") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: is not valid TOML: {error}") from None
    study = _load(parse_subject(document, path))
    for note in study.notes:
        warnings.warn(note, InputWarning, stacklevel=2)
    return study


def write_subject(path: str | Path, document: Mapping[str, Any]) -> None:
    """Write a subject file, after checking its keys and types (not yet that its files exist).

    **Arguments:** `document`: the TOML file as nested mappings; `Trial.save` makes the entries of ``trials``.
    """
    path = Path(path)
    document = _plain(document)
    parse_subject(document, path)
    write_text(path, to_toml(document))


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
    owners = {"muscle": muscles, "joint": coordinates, "emg": list(study.channels)}
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
            paths = [f"{n}/{f}" for n in owners[group] for f in _FIELDS[group]]
            if not any(fnmatch.fnmatchcase(p, rest) or fnmatch.fnmatchcase(p, rest.rpartition("/")[0]) for p in paths):
                raise InputError(
                    f"{where} [identify] {key}: pattern '{pattern}' matches "
                    f"nothing{suggest(rest.split('/')[0], owners[group])}"
                )


# The file's grammar --------------------------------------------------------------------------------------

_FIELDS: Mapping[str, tuple[str, ...]] = {
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
_SEGMENTS = ("upper_arm", "forearm", "hand", "thigh", "shank", "foot")
_UNITS = ("auto", "rad", "deg")
_BUNDLED = ("arm", "knee")
IMPLAUSIBLE_MOMENT = 15.0
"""Net joint moments of landing and jumping stay below about 5 N·m per kg of body mass."""


@dataclass(frozen=True)
class _Column:
    """Where a coordinate's numbers come from."""

    column: str
    units: str | None = None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class _Trial:
    name: str
    where: str
    motion: Path
    emg: Path | None
    moments: Path | None
    role: str
    start: float | None
    stop: float | None
    offsets: Mapping[str, float]
    units: str
    time_column: str | None
    columns: Mapping[str, _Column]
    moment_columns: Mapping[str, _Column]


@dataclass(frozen=True)
class _Document:
    """A subject file that has been checked but not followed."""

    path: Path
    subject: Person
    model: ModelSpec
    kind: str
    processing: EmgProcessing
    aliases: Mapping[str, str]
    emg_map: Mapping[str, Mapping[str, float]]
    sampling: Mapping[str, float]
    trials: tuple[_Trial, ...]
    identify: IdentifySpec


class _Section:
    """A TOML table that knows its place in the file and which keys it may have."""

    def __init__(self, data: Any, where: str, allowed: Sequence[str] | None) -> None:
        if not isinstance(data, Mapping):
            raise InputError(f"{where}: must be a table of key = value, got {_show(data)}")
        self.data, self.where = data, where
        for key in data:
            if allowed is not None and key not in allowed:
                raise InputError(f"{where}: unknown key '{key}'{suggest(key, allowed, limit=20)}")

    def fail(self, key: str, wanted: str) -> InputError:
        value = self.data.get(key)
        hint = (
            "; remove the quotes"
            if isinstance(value, str) and wanted.startswith("a number") and _numeric(value)
            else ""
        )
        return InputError(f"{self.where}: {key} must be {wanted}, got {_show(value)}{hint}")

    def require(self, key: str, wanted: str) -> None:
        if key not in self.data:
            raise InputError(f"{self.where}: '{key}' is missing; give {wanted}")

    def text(
        self,
        key: str,
        default: str | None = None,
        *,
        options: Sequence[str] | None = None,
        required: bool = False,
    ) -> str | None:
        wanted = "one of " + ", ".join(f"'{o}'" for o in options) if options else "a text in quotes"
        if required:
            self.require(key, wanted)
        value = self.data.get(key, default)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.fail(key, wanted)
        if options and value not in options:
            raise InputError(f"{self.where}: {key} = '{value}' is unknown{suggest(value, options)}")
        return value

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        unit: str = "",
        required: bool = False,
    ) -> float | None:
        wanted = "a number" + (f" [{unit}]" if unit else "")
        if required:
            self.require(key, wanted)
        if key not in self.data:
            return default
        value = self.data[key]
        if not _is_number(value):
            raise self.fail(key, wanted)
        if not low <= value <= high:
            raise InputError(
                f"{self.where}: {key} = {value:g}{' ' + unit if unit else ''} is implausible, expected "
                f"{low:g} to {high:g}{' ' + unit if unit else ''}; correct it"
            )
        return float(value)

    def names(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        wanted = f'a list of texts, like {key} = ["…"]'
        if required:
            self.require(key, wanted)
        value = self.data.get(key, [])
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v for v in value):
            raise self.fail(key, wanted)
        for name in value:
            if value.count(name) > 1:
                raise InputError(f"{self.where}: {key} lists '{name}' twice; remove one")
        return tuple(value)

    def section(self, key: str, allowed: Sequence[str] | None) -> _Section:
        inside = f"{self.where.removesuffix(']')}.{key}]" if self.where.endswith("]") else f"{self.where} [{key}]"
        return _Section(self.data.get(key, {}), inside, allowed)


def parse_subject(document: Mapping[str, Any], path: str | Path) -> _Document:
    """Check keys, types and ranges of a subject file, without opening any file it names."""
    path = Path(path)
    top = _Section(
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
    data = folder / _expand(top.text("data", ".") or ".", f"{path}: data")

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
    return _Document(path, subject, model, kind, processing, aliases, emg_map, sampling, trials, identify)


def _parse_model(top: _Section, folder: Path, units: str) -> ModelSpec:
    section = top.section("model", ("source", "muscle", "free", "prescribed", "locked", "units", "segments"))
    source = section.text("source", required=True) or ""
    if source not in _BUNDLED:
        source = _expand(source, f"{section.where}: source")
        if "/" not in source and not source.endswith((".xml", ".mjcf")):
            raise InputError(
                f"{section.where}: source = '{source}' is neither a bundled model nor an MJCF "
                f"file{suggest(source, _BUNDLED)}"
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


def _parse_emg(top: _Section) -> tuple[str, EmgProcessing, dict[str, str], dict[str, dict[str, float]]]:
    section = top.section("emg", ("kind", "processing", "channels", "muscles"))
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
        if not all(_is_number(f) for f in notch):
            raise steps.fail("notch", "a frequency or a list of frequencies [Hz]")
        settings["notch"] = tuple(map(float, notch))
    if "normalise" in steps.data:
        rule = steps.data["normalise"]
        numbers = rule.values() if isinstance(rule, Mapping) else [rule]
        if rule is not False and rule != "max" and not all(map(_is_number, numbers)):
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
        elif value == "none" or (_is_number(value) and value == 0):
            emg_map[muscle] = {}
        elif isinstance(value, Mapping) and value and all(_is_number(w) and w > 0 for w in value.values()):
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
        if alias not in _channels(emg_map):
            raise InputError(
                f"{channels.where}: channel '{alias}' is used by no muscle{suggest(alias, _channels(emg_map))}"
            )
    if isinstance(processing.normalise, Mapping):
        for name in processing.normalise:
            if name not in _channels(emg_map):
                raise InputError(
                    f"{steps.where}: normalise names channel '{name}', which no muscle "
                    f"uses{suggest(name, _channels(emg_map))}"
                )
        for name in _channels(emg_map):
            if name not in processing.normalise:
                raise InputError(f"{steps.where}: normalise has no reference for channel '{name}'; add it")
    return kind, processing, aliases, emg_map


def _parse_identify(top: _Section, subject: Person) -> IdentifySpec:
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
            and all(map(_is_number, pair))
        ):
            raise InputError(
                f"{section.where} bounds: '{pattern}' must be {{ factor = [lo, hi] }} or "
                f"{{ range = [lo, hi] }}, got {_show(value)}"
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
            and all(_is_number(x) or (key == "mean" and _is_inertia(x)) for key, x in value.items())
        ):
            priors[pattern] = {
                key: [float(v) for v in x] if isinstance(x, list | tuple) else float(x) for key, x in value.items()
            }
        elif value == "none":
            priors[pattern] = "none"
        else:
            raise InputError(
                f"{section.where} priors: '{pattern}' must have mean, sd or relative_sd, or be \"none\", "
                f"got {_show(value)}"
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
    return IdentifySpec(free, residuals, tied, int(starts), rate, bounds, priors, asked, segments)


def _parse_segments(top: _Section, identify: _Section, subject: Person) -> tuple[bool, dict[str, tuple[str, ...]]]:
    """Whether there are segment priors, and what bodies stand for."""
    section = top.section("model", None).section("segments", None)
    segments: dict[str, tuple[str, ...]] = {}
    for body, value in section.data.items():
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise section.fail(body, 'a segment in quotes, a list like ["forearm", "hand"], or [] for none')
        for name in names:
            if name not in _SEGMENTS:
                raise InputError(f"{section.where}: {body} = '{name}' is unknown{suggest(name, _SEGMENTS, limit=10)}")
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
    if group not in _FIELDS and not re.search(r"[*?\[]", group):
        raise InputError(f"{where}: '{pattern}' begins with unknown group '{group}'{suggest(group, _FIELDS)}")
    fields = [f for g, names in _FIELDS.items() if fnmatch.fnmatchcase(g, group) for f in names]
    last = rest.split("/")[1:] if "/" in rest else [rest]
    # A wildcard may span the slash, so a last part that holds one is left to the model to judge
    if not any(re.search(r"[*?\[]", part) for part in last) and not any(part in fields for part in last):
        raise InputError(
            f"{where}: '{pattern}' ends in unknown parameter '{last[-1]}'{suggest(last[-1], fields, limit=10)}"
        )


def _parse_trial(
    top: _Section,
    entry: Any,
    index: int,
    data: Path,
    units: str,
    model: ModelSpec,
    emg_map: Mapping[str, Mapping[str, float]],
    identify: IdentifySpec,
) -> _Trial:
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
    section = _Section(entry, f"{top.where} [[trials]] {label}", keys)

    def file(key: str, required: bool) -> Path | None:
        if required:
            section.require(key, "the name of a file")
        value = section.text(key)
        return None if value is None else data / _expand(value, f"{section.where}: {key}")

    emg = file("emg", bool(_channels(emg_map)))
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
    offsets = _Section(
        section.data.get("time_offset", {}), f"{section.where} time_offset", ("motion", "emg", "moments")
    )

    everything = (*model.free, *model.prescribed, *model.locked)
    columns = _columns(top, section, "columns", everything, (*_UNITS[1:], "m"))
    moment_columns = _columns(top, section, "moment_columns", model.free, ("Nm", "Nm/kg"))
    return _Trial(
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
    top: _Section, trial: _Section, key: str, coordinates: Sequence[str], units: Sequence[str]
) -> dict[str, _Column]:
    out: dict[str, _Column] = {}
    for data, where in (
        (top.data.get(key, {}), f"{top.where} [{key}]"),
        (trial.data.get(key, {}), f"{trial.where} {key}"),
    ):
        section = _Section(data, where, None)
        for coordinate, value in section.data.items():
            if coordinate not in coordinates:
                role = "neither free, prescribed nor locked" if key == "columns" else "not free"
                raise InputError(f"{where}: '{coordinate}' is {role} in [model]{suggest(coordinate, coordinates)}")
            if isinstance(value, str):
                out[coordinate] = _Column(value)
                continue
            detail = _Section(value, f"{where} {coordinate}", ("column", "units", "scale", "offset"))
            scale, offset = detail.number("scale", 1.0), detail.number("offset", 0.0)
            assert scale is not None
            assert offset is not None
            if scale == 0:
                raise InputError(f"{detail.where}: scale is 0; give 1, -1 or another factor")
            out[coordinate] = _Column(
                detail.text("column", required=True) or "", detail.text("units", options=units), scale, offset
            )
    return out


def _channels(emg_map: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(channel for mix in emg_map.values() for channel in mix))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_inertia(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 6 and all(map(_is_number, value))


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    kind = {str: "the text", bool: "", int: "", float: "", list: "the list", dict: "the table"}.get(type(value), "")
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return f"{kind} {shown[:60]}{'…' if len(shown) > 60 else ''}".strip()


def _folder(path: Path) -> Path:
    """The folder of `path`, as short as it can be said from here."""
    folder = path.resolve().parent
    relative = os.path.relpath(folder)
    return Path(relative if len(relative) < len(str(folder)) else folder)


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

    return os.path.expanduser(re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", value, text))


# Following it --------------------------------------------------------------------------------------------


def _load(document: _Document) -> Study:
    cache: dict[tuple[Path, str | None], Table] = {}

    def read(path: Path, time_column: str | None) -> Table:
        path = Path(os.path.normpath(path))
        key = (path, time_column)
        if key not in cache:
            cache[key] = read_table(path, time_column=time_column)
        return cache[key]

    notes: list[str] = []
    channels = _channels(document.emg_map)
    signals: dict[str, Table] = {}
    for trial in document.trials:
        if trial.emg is not None and channels:
            table = read(trial.emg, trial.time_column)
            signals[trial.name] = _emg(document, trial, table, channels, notes)
    training = [signals[t.name].values for t in document.trials if t.role == "identify" and t.name in signals]
    if training:
        try:
            reference = emg_signals.references(training, channels, document.processing)
        except InputError as error:
            raise InputError(f"{document.path} [emg]: {error}") from None
        for name, table in signals.items():
            values = emg_signals.normalise(table.values, reference, clip=False)
            peak = np.nanmax(values, axis=0)
            if document.processing.clip:
                for channel, top in zip(channels, peak, strict=True):
                    if top > 1.05:
                        notes.append(
                            f"trial '{name}': EMG channel '{channel}' exceeds its reference by "
                            f"{100 * (top - 1):.0f} %; cut off at 1"
                        )
                values = np.clip(values, 0.0, 1.0)
            elif np.max(peak) > 3:
                channel = channels[int(np.argmax(peak))]
                notes.append(
                    f"{table.path}: EMG channel '{channel}' reaches {np.max(peak):.3g}, an envelope is "
                    'nominally 0 to 1; in percent? Set normalise = 100 in [emg.processing], or "max"'
                )
            signals[name] = replace(table, values=values)

    trials = []
    for trial in document.trials:
        motion = _motion(document, trial, read(trial.motion, trial.time_column), notes)
        moments = (
            _moments(document, trial, read(trial.moments, trial.time_column)) if trial.moments is not None else None
        )
        used = {"motion": trial.motion, "emg": trial.emg, "moments": trial.moments}
        metadata = {key: Path(os.path.normpath(p)).name for key, p in used.items() if p is not None}
        built = build_trial(
            trial.name,
            motion,
            rate=document.identify.rate,
            emg=signals.get(trial.name),
            moments=moments,
            prescribed=document.model.prescribed,
            start=trial.start,
            stop=trial.stop,
            metadata={**metadata, "role": trial.role},
            **document.sampling,  # type: ignore[arg-type]
        )
        notes += [n for n in built.metadata["notes"] if n not in notes]  # type: ignore[attr-defined]
        trials.append((trial.role, built))

    folder = document.path.resolve().parent
    files = [document.path, *(path for path, _ in cache)]
    if document.model.source not in _BUNDLED:
        model = Path(document.model.source)
        if not model.is_file():
            raise InputError(f"{document.path} [model]: source: no file {model}; correct the path")
        files.append(model)
    hashes = {
        Path(os.path.relpath(p.resolve(), folder)).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }
    return Study(
        subject=document.subject,
        model=document.model,
        emg_map=document.emg_map,
        trials=tuple(t for role, t in trials if role == "identify"),
        held_out=tuple(t for role, t in trials if role == "held-out"),
        identify=document.identify,
        path=document.path,
        hashes=hashes,
        notes=tuple(notes),
    )


def _emg(document: _Document, trial: _Trial, table: Table, channels: Sequence[str], notes: list[str]) -> Table:
    """The channels in use as envelopes, not yet normalised."""
    try:
        table = table.select({c: document.aliases.get(c, c) for c in channels})
    except InputError as error:
        raise InputError(f"{error} ([emg] of {document.path.name})") from None
    table = table.shifted(trial.offsets.get("emg", 0.0))
    raw = document.kind == "raw"
    for channel, values in zip(channels, table.values.T, strict=True):
        if not np.any(np.isfinite(values)):
            raise InputError(
                f"{table.path}: EMG channel '{channel}' holds no numbers (all NaN or empty); map another "
                "one, or set its muscles to 0.0"
            )
        notes += [f"{table.path}: EMG channel '{channel}' {fault}" for fault in emg_signals.inspect(values, raw=raw)]
    if raw:
        table = _evenly(table, document.sampling["max_gap"])
        try:
            return replace(table, values=emg_signals.envelope(table.values, table.rate, document.processing))
        except InputError as error:
            raise InputError(f"{table.path}: {error}") from None
    values = table.values.copy()
    for i, channel in enumerate(channels):
        low, high = float(np.nanmin(values[:, i])), float(np.nanmax(values[:, i]))
        if low < -0.05 * max(high, 0.0):
            raise InputError(
                f"{table.path}: EMG channel '{channel}' goes down to {low:.3g}, an envelope cannot be "
                'negative; set kind = "raw" in [emg] if it is raw EMG'
            )
        if low < 0:
            notes.append(f"{table.path}: EMG channel '{channel}' dips to {low:.3g}; taken as 0")
        values[:, i] = np.maximum(values[:, i], 0.0)
    return replace(table, values=values)


def _evenly(table: Table, max_gap: float) -> Table:
    """Raw EMG on an even clock, which filters need; short gaps interpolated, long ones NaN."""
    step = np.diff(table.time)
    even = np.ptp(step) < 0.01 * np.median(step)
    if even and np.all(np.isfinite(table.values)):
        return table
    count = round((table.time[-1] - table.time[0]) * table.rate) + 1
    time = table.time if even else np.linspace(table.time[0], table.time[-1], count)
    columns = []
    for values in table.values.T:
        known = np.isfinite(values)
        at = table.time[known]
        column = np.interp(time, at, values[known], left=np.nan, right=np.nan)
        for i in np.flatnonzero(np.diff(at) > max(max_gap, 1.5 / table.rate)):
            column[(time > at[i]) & (time < at[i + 1])] = np.nan
        columns.append(column)
    return replace(table, time=time, values=np.column_stack(columns))


def _motion(document: _Document, trial: _Trial, table: Table, notes: list[str]) -> Table:
    """The recorded coordinates under the model's names [rad, m]."""
    coordinates = (*document.model.free, *document.model.prescribed)
    columns = {c: trial.columns.get(c) or _Column(_find(table, c, (c,), trial.where, "columns")) for c in coordinates}
    table = table.select({c: column.column for c, column in columns.items()}).shifted(trial.offsets.get("motion", 0.0))
    declared = {None: "auto", True: "deg", False: "rad"}[table.in_degrees]
    if trial.units != "auto" and table.in_degrees is not None and trial.units != declared:
        notes.append(
            f'{table.path}: says inDegrees={"yes" if table.in_degrees else "no"}, units = "{trial.units}" overrides it'
        )
    values = table.values.copy()
    small: list[str] = []
    largest = 0.0
    for i, column in enumerate(columns.values()):
        unit = column.units or (trial.units if trial.units != "auto" else declared)
        x = values[:, i] * column.scale + column.offset
        size = float(np.nanmax(np.abs(x))) if np.any(np.isfinite(x)) else 0.0
        if unit == "deg":
            x = np.deg2rad(x)
            small.append(column.column)
            largest = max(largest, size)
        elif unit != "m" and size > 2 * math.pi:
            said = "the file says radians" if unit == "rad" else "no unit is given"
            raise InputError(
                f"{table.path}: column '{column.column}' reaches {size:.4g}, which looks like degrees "
                f'({said}); set units = "deg" (or "m" for a length) in {trial.where}'
            )
        values[:, i] = x
    if small and 0 < largest < math.pi:
        notes.append(
            f"{table.path}: angles declared in degrees stay within {largest:.3g}° ({', '.join(small)}), "
            'which looks like radians; set units = "rad" if they are'
        )
    return replace(table, values=values)


def _moments(document: _Document, trial: _Trial, table: Table) -> Table:
    """Joint moments under the coordinates' names [N·m]."""
    columns = dict(trial.moment_columns)
    needed = "moment" in document.identify.residuals
    if not columns:
        for c in document.model.free:
            if needed or c in table.columns or f"{c}_moment" in table.columns:
                columns[c] = _Column(_find(table, c, (f"{c}_moment", c), trial.where, "moment_columns"))
    if needed:
        for coordinate in document.model.free:
            if coordinate not in columns:
                raise InputError(
                    f"{trial.where}: moment_columns has no entry for the free coordinate '{coordinate}'; "
                    f"add it{suggest(coordinate, table.columns)}"
                )
    table = table.select({c: column.column for c, column in columns.items()}).shifted(trial.offsets.get("moments", 0.0))
    values = table.values.copy()
    for i, column in enumerate(columns.values()):
        per_kilogram = document.subject.mass if column.units == "Nm/kg" else 1.0
        values[:, i] = (values[:, i] * column.scale + column.offset) * per_kilogram
        peak = float(np.nanmax(np.abs(values[:, i]), initial=0.0)) / document.subject.mass
        if peak > IMPLAUSIBLE_MOMENT:
            fix = "the column seems to hold N·m already: remove units" if per_kilogram != 1.0 else "check its units"
            raise InputError(
                f"{table.path}: column '{column.column}' reaches {peak:.3g} N·m per kg of body mass, more than a joint "
                f"can bear; {fix}"
            )
    return replace(table, values=values)


def _find(table: Table, coordinate: str, names: Sequence[str], where: str, key: str) -> str:
    """The column of a coordinate that was not mapped: its own name, also as OpenSim's path."""
    for name in names:
        if name in table.columns:
            return name
    ends = [c for c in table.columns if c.endswith(f"/{coordinate}/value")]
    if len(ends) == 1 and key == "columns":
        return ends[0]
    raise InputError(
        f"{table.path}: no column for coordinate '{coordinate}'{suggest(coordinate, table.columns)} (map "
        f"it in {key} of {where})"
    )


# Writing TOML --------------------------------------------------------------------------------------------


def to_toml(document: Mapping[str, Any]) -> str:
    """A mapping as TOML: values, then tables, then lists of tables; what lies deeper is written inline."""
    document = _plain(document)
    lines: list[str] = []

    def table(data: Mapping[str, Any], path: tuple[str, ...]) -> None:
        deep = [k for k, v in data.items() if isinstance(v, dict) and len(path) < 2]
        deep += [
            k for k, v in data.items() if not path and isinstance(v, list) and v and all(isinstance(x, dict) for x in v)
        ]
        for key, value in data.items():
            if key not in deep:
                lines.append(f"{_key(key)} = {_value(value)}")
        for key in deep:
            name = ".".join(map(_key, (*path, key)))
            if isinstance(data[key], dict):
                lines.extend(["", f"[{name}]"])
                table(data[key], (*path, key))
            else:
                for entry in data[key]:
                    lines.extend(["", f"[[{name}]]"])
                    lines.extend(f"{_key(k)} = {_value(v)}" for k, v in entry.items())

    table(document, ())
    return "\n".join(lines).lstrip("\n") + "\n"


def _plain(value: Any) -> Any:
    """NumPy numbers, paths, tuples and None as what TOML knows."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value.as_posix() if isinstance(value, Path) else value


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }" if value else "{}"
    raise InputError(f"a subject file cannot hold {type(value).__name__} ({value!r}); convert it to text or a number")
