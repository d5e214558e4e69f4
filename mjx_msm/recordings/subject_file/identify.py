"""``[identify]``: what to estimate, from what."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section, is_number, show
from mjx_msm.recordings.emg import EmgNoise
from mjx_msm.recordings.subject_file.emg import parse_emg_noise
from mjx_msm.recordings.subject_file.model import parse_segments
from mjx_msm.recordings.subject_file.person import Person

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
RESIDUALS = ("acceleration", "moment", "motion")


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


def parse_identify(top: Section, subject: Person) -> IdentifySpec:
    keys = ("free", "residuals", "tied", "starts", "rate", "bounds", "priors", "segment_priors")
    section = top.section("identify", keys)
    free = section.names("free", required=True)
    if not free:
        raise InputError(f'{section.where}: free is empty; name what to estimate, e.g. "muscle/*/max_isometric_force"')
    residuals = section.names("residuals", required=True)
    for name in residuals:
        if name not in RESIDUALS:
            raise InputError(f"{section.where}: residuals = '{name}' is unknown{suggest(name, RESIDUALS)}")
    if not residuals:
        raise InputError(f"{section.where}: residuals is empty; choose from {', '.join(RESIDUALS)}")
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
    segments = parse_segments(top)
    asked = _segment_priors(top, section, subject, segments)
    noise = parse_emg_noise(top, residuals)
    return IdentifySpec(free, residuals, tied, int(starts), rate, bounds, priors, asked, segments, noise)


def _segment_priors(top: Section, identify: Section, subject: Person, segments: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether there are segment priors: by default where what they need is given."""
    missing = [key for key in ("height", "sex") if getattr(subject, key) is None]
    asked = identify.data.get("segment_priors", not missing or bool(segments))
    if not isinstance(asked, bool):
        raise identify.fail("segment_priors", "true or false")
    if asked and missing:
        raise InputError(
            f"{top.where} [subject]: '{missing[0]}' is missing, which segment priors need; give it, or set "
            "segment_priors = false in [identify]"
        )
    return asked


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


def _is_inertia(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 6 and all(map(is_number, value))
