"""The file of a result: JSON, every field of it checked when it is read.

Whatever is in the file, reading gives a result whose parts have the right kind, agree with each other and describe a
possible body, or one line that says what is wrong.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.common.file_kinds import RESULT, refuse_other
from mjx_msm.common.files import write_text
from mjx_msm.common.json_files import finite, list_of, plain_json, read_json, record_of, table_of, word
from mjx_msm.knowledge.records import (
    Direction,
    Estimate,
    Evidence,
    Fit,
    Likelihood,
    Moved,
    MuscleUse,
    Outcome,
    Stage,
    Unknown,
    Unseen,
)
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.person.kinds import KINDS
from mjx_msm.person.mjcf import INTEGRATORS
from mjx_msm.person.model import MUSCLES, law_constants
from mjx_msm.person.parameters import INERTIA_COMPONENTS
from mjx_msm.person.reduction import Part
from mjx_msm.recordings.emg import EmgNoise
from mjx_msm.recordings.quality.crossed_steps import OtherFoot
from mjx_msm.recordings.synergies import Synergies

NAME = "identification.json"
COMPONENTS = {"com": ("x", "y", "z"), "inertia": INERTIA_COMPONENTS}
POSSIBLY_ZERO = ("tendon_slack_length", "passive_force_scale")
"""Positive parameters that a model may switch off."""


def write_result(path: Path, fields: Mapping[str, Any]) -> Path:
    """Write the fields of an `Identification`, whole or not at all."""
    write_text(path, _one_line_lists(json.dumps(fields_in_file(fields), indent=1, ensure_ascii=False)) + "\n")
    return path


def fields_in_file(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an `Identification` as its file has them: one that holds nothing is left out, never null."""
    return plain_json(_without_none(fields))


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value


NEWER = (
    "completed",
    "muscle_constants",
    "emg_noise",
    "passive",
    "levers",
    "loss",
    "part",
    "scaling",
    "integrator",
    "notes",
    "likelihood",
    "held",
    "contradicted",
    "unmeasured",
    "synergies",
    "evidence",
    "recordings",
    "unseen",
    "processing",
    "silenced",
    "peaks",
    "other_foot",
    "use",
    "folds",
)
"""Fields that files of schema 2 may lack: they came later."""
FOLDS = ("block", "trial", "task")
"""What a cross-validation may hold out at a time."""


def read_result(path: Path, cls: type[Any], schema: int) -> Any:
    """Read an `Identification`, which is `cls`, from its file or the folder that holds it.

    **Raises:** `InputError` if it is not one, or one of another `schema`.
    """
    refuse_other(path, RESULT)
    if os.path.isdir(path):
        path = path / NAME
    data = read_json(path, "result of `mjx-msm identify`", "it was not written by `mjx-msm identify`, or it was edited")
    if isinstance(data, dict) and data.get("kind") == "population":
        data = data.get("person")  # somebody of it, whom nobody recorded
    if not isinstance(data, dict) or data.get("schema") != schema:
        found = data.get("schema") if isinstance(data, dict) else None
        raise InputError(f"{path}: schema {found} is not {schema}; identify again with this version")
    readers = {
        "outcome": _member_of(Outcome),
        "estimates": list_of(record_of(Estimate)),
        "fits": _fits,
        "stages": list_of(record_of(Stage)),
        "unknowns": list_of(record_of(Unknown, optional=("usual_prior",))),
        "directions": list_of(record_of(Direction, {"knowledge": _member_of(Knowledge)})),
        "muscle_constants": table_of(_constant),
        "part": record_of(Part, optional=("side",)),
        "scaling": table_of(_factors),
        "levers": table_of(_lever),
        "recordings": table_of(list_of(word)),
        "emg_noise": _noise,
        "likelihood": record_of(Likelihood),
        "evidence": record_of(Evidence),
        "unseen": list_of(record_of(Unseen)),
        "synergies": _synergies,
        "silenced": table_of(list_of(word)),
        "peaks": table_of(finite),
        "other_foot": list_of(record_of(OtherFoot, {"spans": list_of(_span)})),
        "use": list_of(record_of(MuscleUse)),
    }
    try:
        result = record_of(cls, readers, optional=NEWER)(data)
        _check(result)
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error}); identify again") from None
    return result


def _fits(value: Any) -> tuple[Fit, ...]:
    """Error rows. Whether a cross-validation was within trials came later than cross-validations: of one trial there is
    no other one, of several the file does not say."""
    fits = list_of(
        record_of(
            Fit,
            {"without": record_of(Moved)},
            ("beside", "doubted", "against", "held", "level", "within", "band", "apart", "deviates", "without"),
        )
    )(value)
    trials = {f.trial for f in fits if f.role == "identify"}
    return tuple(
        replace(f, within={f.trial} == trials or None) if f.role == "cross-validated" and "within" not in row else f
        for f, row in zip(fits, value, strict=True)
    )


def _one_line_lists(text: str) -> str:
    """A row of numbers on one line, for readers of the file."""
    number = r'(?:-?[\d.]+(?:e[-+]?\d+)?|"-?inf"|"nan")'
    return re.sub(rf"\[\s+({number}(?:,\s+{number})*)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)


def _member_of(kind: Any) -> Any:
    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in kind.__members__:
            raise ValueError(f"{value!r:.60} is none of {', '.join(kind.__members__)}")
        return kind[value]

    return read


def _constant(value: Any) -> float | tuple[float, ...]:
    return list_of(finite)(value) if isinstance(value, list) else finite(value)


def _factors(value: Any) -> tuple[float, ...]:
    three = list_of(finite)(value)
    if len(three) != 3 or min(three) <= 0:
        raise ValueError(f"{value!r:.60} is no three positive factors")
    return three


def _span(value: Any) -> tuple[float, float]:
    ends = list_of(finite)(value)
    if len(ends) != 2 or ends[0] > ends[1]:
        raise ValueError(f"{value!r:.60} is no beginning and end")
    return ends[0], ends[1]


def _lever(value: Any) -> float:
    if not finite(value) > 0:
        raise ValueError(f"a lever is {value:g}")
    return float(value)


def _noise(value: Any) -> EmgNoise | None:
    """Null in files of versions that wrote what a result does not hold."""
    return None if value is None else record_of(EmgNoise)(value)


def _synergies(value: Any) -> Synergies:
    read = record_of(Synergies)(value)
    if not read.weights or {len(row) for row in read.weights} != {len(read.channels)}:
        raise ValueError("weights are not one a synergy and channel")
    if not np.isfinite(read.matrix).all() or read.matrix.min() < 0:
        raise ValueError("a weight is negative or not finite")
    return read


def _check(result: Any) -> None:
    """Whether the parts of a result agree with each other and are possible.

    **Raises:** `ValueError` naming the part that does not.
    """
    _check_sizes(result)
    _check_unseen(result)
    _check_posterior(result)
    _check_body(result.parameters, {m for u in result.unknowns for m in u.members})
    for path, value in (("timestep", result.timestep), *result.locked.items(), ("rate", result.rate)):
        if not math.isfinite(value):
            raise ValueError(f"{path} is {value:g}")
    if result.timestep <= 0 or result.rate < 0 or result.horizon < 0:
        raise ValueError("timestep, rate or horizon is negative")
    if result.integrator not in INTEGRATORS:
        raise ValueError(f"integrator '{result.integrator}' is none of {', '.join(INTEGRATORS)}")
    if result.folds not in ("", *FOLDS):
        raise ValueError(f"folds '{result.folds}' is none of {', '.join(FOLDS)}")
    missing = [m for u in result.unknowns for m in u.members if m not in result.parameters]
    if missing:
        raise ValueError(f"parameters lack {missing[0]}")
    known = law_constants(MUSCLES[result.muscle_model]()) if result.muscle_model in MUSCLES else {}
    unknown = [k for k in result.muscle_constants if k not in known]
    if unknown:
        raise ValueError(f"muscle model '{result.muscle_model}' has no constant '{unknown[0]}'")
    driven = {channel for mix in result.emg_map.values() for channel in mix}
    if len(set(result.channels)) < len(result.channels) or not driven <= set(result.channels):
        raise ValueError("emg_map and channels do not agree")
    if not all(math.isfinite(w) for mix in result.emg_map.values() for w in mix.values()):
        raise ValueError("emg_map holds a weight that is not finite")


def _check_sizes(result: Any) -> None:
    size = len(result.estimates)
    sizes = [(name, len(getattr(result, name))) for name in ("z", "covariance", "unknowns", "directions")]
    sizes += [(name, len(row)) for name in ("covariance", "samples") for row in getattr(result, name)]
    if result.likelihood is not None:
        sizes += [("likelihood", len(row)) for row in (result.likelihood.pull, *result.likelihood.precision)]
    for name, count in sizes:
        if count != size:
            raise ValueError(f"{name} holds {count} numbers for {size} estimates")


def _check_unseen(result: Any) -> None:
    for f in result.fits:
        if f.band is not None and not 0 <= f.band <= 1:
            raise ValueError(f"the band of {f.trial} holds {f.band:g} of it")
    for u in result.unseen:
        if len({len(x) for x in (u.time, u.recorded, u.predicted, u.low, u.high)}) > 1:
            raise ValueError(f"the unseen moment of {u.coordinate} in {u.trial} has curves of different lengths")
        if not np.isfinite([*u.time, *u.recorded, *u.predicted, *u.low, *u.high]).all():
            raise ValueError(f"the unseen moment of {u.coordinate} in {u.trial} is not finite")


def _check_posterior(result: Any) -> None:
    for e in result.estimates:
        if not all(map(math.isfinite, (e.start, e.value))) or math.isnan(e.sd) or e.sd < 0:
            raise ValueError(f"estimate {e.path} is not a number and its deviation")
        if math.isnan(e.low) or math.isnan(e.high) or e.low > e.high or not 0 <= e.data_share <= 1:
            raise ValueError(f"estimate {e.path} has an interval or a share of the data that is none")
        if e.bound not in ("", "lower", "upper"):
            raise ValueError(f"estimate {e.path} is at the {e.bound} bound, which there is not")
    if not all(0 <= d.share <= 1 and all(map(math.isfinite, d.weights.values())) for d in result.directions):
        raise ValueError("a direction has a share of the data or a weight that is none")
    if not np.isfinite([result.z, *result.samples]).all():
        raise ValueError("a number of z or samples is not finite")
    size = len(result.z)
    covariance = np.array(result.covariance).reshape(size, size)
    if np.isnan(covariance).any() or np.any(np.diag(covariance) < 0) or not np.allclose(covariance, covariance.T):
        raise ValueError("covariance is not one")
    lower, upper, mean = (np.array([getattr(u, n) for u in result.unknowns]) for n in ("lower", "upper", "prior_mean"))
    if not np.isfinite([lower, upper, mean]).all():
        raise ValueError("a bound or the mean of a prior is not finite")
    if any(len(u.usual_prior) not in (0, 2) for u in result.unknowns):
        raise ValueError("a usual prior is not a mean and a deviation")
    if not np.all(lower < upper) or not all(u.prior_scale > 0 for u in result.unknowns):
        raise ValueError("bounds or priors are empty")
    if np.any(np.array([result.z, *result.samples]) < lower) or np.any(np.array([result.z, *result.samples]) > upper):
        raise ValueError("z or samples lie outside the bounds")


def _check_body(parameters: Mapping[str, float], estimated: set[str]) -> None:
    """Whether parameters can be those of a person; a slack length that was not estimated is as the model's file has
    it, which may be below zero."""
    inertias: dict[str, dict[str, float]] = {}
    for path, value in parameters.items():
        group, _, rest = path.partition("/")
        ends = rest.split("/")
        component = ends.pop() if len(ends) > 1 and (group, ends[-1]) not in KINDS else ""
        kind = KINDS.get((group, ends[-1]))
        if kind is None or component not in COMPONENTS.get(ends[-1], ("",)):
            raise ValueError(f"parameter {path} is unknown")
        if not math.isfinite(value):
            raise ValueError(f"parameter {path} is {value:g}, not finite")
        low = 0.0 if kind.transform == "log" else -math.inf
        if ends[-1] == "tendon_slack_length" and path not in estimated:
            low = -math.inf
        if value < low or (value == low and ends[-1] not in POSSIBLY_ZERO):
            raise ValueError(f"parameter {path} is {value:g}; it must be positive")
        if kind.transform == "inertia":
            inertias.setdefault(path.rpartition("/")[0], {})[component] = value
    for path, entries in inertias.items():
        if set(entries) != set(INERTIA_COMPONENTS):
            raise ValueError(f"{path} is not six numbers")
        moments = _principal_moments([entries[c] for c in INERTIA_COMPONENTS])
        if np.min(moments) < 0 or 2 * np.max(moments) > np.sum(moments) * (1 + 1e-6):
            raise ValueError(f"{path} is not one that a body can have")


def _principal_moments(inertia: list[float]) -> np.ndarray:
    return np.linalg.eigvalsh(np.array(inertia)[[[0, 3, 4], [3, 1, 5], [4, 5, 2]]])
