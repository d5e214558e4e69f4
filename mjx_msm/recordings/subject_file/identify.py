"""``[identify]``: what to estimate, from what."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import Section
from mjx_msm.recordings.settings import HELD, LOSSES, Settings
from mjx_msm.recordings.subject_file.emg import BY_SYNERGIES, parse_emg_noise, parse_unmeasured
from mjx_msm.recordings.subject_file.model import parse_segments
from mjx_msm.recordings.subject_file.person import Person
from mjx_msm.recordings.subject_file.places import expanded

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
        "passive_fiber_strain",
        "tendon_strain",
    ),
    "body": ("mass", "com", "inertia"),
    "joint": (
        "damping",
        "stiffness",
        "lower_passive_moment",
        "lower_passive_steepness",
        "upper_passive_moment",
        "upper_passive_steepness",
        "biarticular_passive_moment",
        "biarticular_passive_steepness",
    ),
    "emg": ("gain", "delay", "shape"),
    "strap": ("lever",),
}


ANY = ("muscle/*/max_isometric_force",)
"""Stands for a free set that cannot be read, while the rest is checked."""


@dataclass(frozen=True, kw_only=True)
class IdentifySpec(Settings):
    """What a file asks `identify` for, and whether anthropometry has a say in its priors.

    `mjx_msm.study.settings.settings` turns it into `Settings`, once there is a model.
    """

    segment_priors: bool = False
    """Whether free bodies that stand for a segment get the priors of `mjx_msm.person.anthropometry` before `priors`."""
    segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Body → segments it stands for, beyond what is known of the bundled models; empty for none."""


def parse_identify(
    top: Section, subject: Person, emg_map: Mapping[str, Mapping[str, float]], folder: Path = Path()
) -> IdentifySpec:
    """**Arguments:** `folder`: of the subject file, which a path is relative to."""
    keys = (
        "free",
        "residuals",
        "tied",
        "starts",
        "rate",
        "loss",
        "held",
        "bounds",
        "priors",
        "prior",
        "segment_priors",
    )
    section = top.section("identify", keys)
    free, residuals = (section.names(key, required=True) for key in ("free", "residuals"))
    tied = section.names("tied")
    bounds, priors = (section.section(key, None).data for key in ("bounds", "priors"))
    rate = section.number("rate", Settings.rate, low=20, high=5000, unit="Hz") or Settings.rate
    starts = section.number("starts", Settings.starts, low=1, high=1000) or Settings.starts
    if starts != int(starts):
        section.refuse(section.fail("starts", "a whole number"), "starts")
    loss = section.text("loss", Settings.loss, options=LOSSES) or ""
    held = section.text("held", Settings.held, options=HELD) or ""
    prior = section.text("prior")
    if prior is not None:
        prior = os.path.normpath(folder / expanded(prior, f"{section.where}: prior"))
    noise = parse_emg_noise(top)
    for key, patterns in (("free", free), ("tied", tied), ("bounds", bounds), ("priors", priors)):
        for pattern in patterns:
            with section.gathered(key):
                _check_pattern(pattern, f"{section.where} {key}")
    segments = parse_segments(top)
    muscles, method, _ = parse_unmeasured(top)
    unmeasured = {} if method == BY_SYNERGIES else dict.fromkeys(muscles, method)
    try:  # what is missing, or no list, has been said already
        asked = Settings(
            free=free or (() if section.data.get("free") == [] else ANY), emg_map=emg_map, tied=tied, bounds=bounds,
            residuals=residuals or (() if section.data.get("residuals") == [] else ("moment",)), priors=priors,
            rate=rate, emg_noise=noise, loss=loss, held=held, starts=int(starts), prior=prior,
            unmeasured=unmeasured,
        )  # fmt: skip
    except InputError as error:
        raise InputError(f"{section.where}: {error}") from None
    wanted = _segment_priors(top, section, subject, segments)
    return IdentifySpec(**vars(asked), segment_priors=wanted, segments=segments)


def _segment_priors(top: Section, identify: Section, subject: Person, segments: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether there are segment priors: by default where what they need is given."""
    missing = [key for key in ("height", "sex") if getattr(subject, key) is None]
    asked = identify.data.get("segment_priors", not missing or bool(segments))
    if not isinstance(asked, bool):
        identify.refuse(identify.fail("segment_priors", "true or false"), "segment_priors")
    elif asked and missing:
        what = f"'{missing[0]}' is missing, which segment priors need; give it, or set segment_priors = false in "
        top.refuse(InputError(f"{top.where} [subject]: {what}[identify]"), "subject")
    return bool(asked)


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
