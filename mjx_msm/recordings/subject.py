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
# [emg.noise]                # for residuals = ["motion"]: how far envelopes may be from what drives the muscles, see
# relative = 0.05            # mjx_msm.EmgNoise; default: they count as exact
# absolute = 0.02
# band = 6.0                 # [Hz]; use the envelope's low-pass
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
be those of a person of this mass, height and sex (`mjx_msm.person.anthropometry`); the bodies of "arm" and "knee" are
known.
`priors` come after them: a pattern there overrides what it says. Bounds that are not given follow the prior's mean.
The prior mean of an inertia, for "body/<name>/inertia", is a list of six numbers: xx, yy, zz, xy, xz, yz.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import tomllib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError, InputWarning, suggest
from mjx_msm.common.files import write_text
from mjx_msm.common.toml_tables import plain, to_toml
from mjx_msm.recordings.subject_grammar import (
    BUNDLED,
    FIELDS,
    IdentifySpec,
    ModelSpec,
    Person,
    channels_of,
    parse_subject,
)
from mjx_msm.recordings.subject_recordings import read_recordings
from mjx_msm.recordings.trial import Trial


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
        return channels_of(self.emg_map)


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
    checked = parse_subject(document, path)
    recordings = read_recordings(checked)
    for note in recordings.notes:
        warnings.warn(note, InputWarning, stacklevel=2)
    return Study(
        subject=checked.subject,
        model=checked.model,
        emg_map=checked.emg_map,
        trials=tuple(t for role, t in recordings.trials if role == "identify"),
        held_out=tuple(t for role, t in recordings.trials if role == "held-out"),
        identify=checked.identify,
        path=path,
        hashes=_hashes(path, checked.model.source, recordings.files),
        notes=recordings.notes,
    )


def _hashes(path: Path, source: str, recordings: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of the subject file and all it uses, by path relative to its folder."""
    files, folder = [path, *recordings], path.resolve().parent
    if source not in BUNDLED:
        model = Path(source)
        if not model.is_file():
            raise InputError(f"{path} [model]: source: no file {model}; correct the path")
        files.append(model)
    return {
        Path(os.path.relpath(p.resolve(), folder)).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def write_subject(path: str | Path, document: Mapping[str, Any]) -> None:
    """Write a subject file, after checking its keys and types (not yet that its files exist).

    **Arguments:** `document`: the TOML file as nested mappings; `Trial.save` makes the entries of ``trials``.
    """
    path = Path(path)
    document = plain(document)
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
            paths = [f"{n}/{f}" for n in owners[group] for f in FIELDS[group]]
            if not any(fnmatch.fnmatchcase(p, rest) or fnmatch.fnmatchcase(p, rest.rpartition("/")[0]) for p in paths):
                raise InputError(
                    f"{where} [identify] {key}: pattern '{pattern}' matches "
                    f"nothing{suggest(rest.split('/')[0], owners[group])}"
                )
