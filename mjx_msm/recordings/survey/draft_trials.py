"""Trials in a draft: their files, the posture of those held still, a dynamometer's lever and sign."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mjx_msm.person.inspection import coordinate_range
from mjx_msm.person.model import Model
from mjx_msm.recordings.readers.units import unit_of
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.draft_moments import moment_unit
from mjx_msm.recordings.survey.draft_text import Draft, column_entry, key, path_from, quoted
from mjx_msm.recordings.survey.files import Survey
from mjx_msm.recordings.survey.spellings import called
from mjx_msm.recordings.survey.trials import Group

SEATED = {"hip_flexion": 90.0, "knee_angle": 90.0, "ankle_angle": 0.0, "shoulder_elev": 0.0, "elbow_flex": 90.0}
"""Posture at a dynamometer [°], where no file says another."""
LEVER = 0.30
"""From the joint to a dynamometer's strap [m], where nothing says another."""
WEIGHT = 'is the limb\'s weight in it? Then gravity = "included" below, "corrected" if it was weighed out'


def write_trial(d: Draft, g: Group, folder: Path, posture: Mapping[str, float], studied: Sequence[str]) -> None:
    """One trial.

    **Arguments:** `folder`: from which paths go. `posture`: of what no file moves [°]. `studied`: coordinates whose
    moments there are.
    """
    d.say()
    d.say("[[trials]]")
    d.say(f"name = {quoted(g.name)}")

    def relative(found: Survey) -> str:
        return quoted(Path(os.path.relpath(found.path.resolve(), folder)).as_posix())

    if g.motion is not None:
        d.say(f"motion = {relative(g.motion)}")
    else:
        _still(d, g, folder, posture)
    if g.emg is not None:
        d.say(f"emg = {relative(g.emg)}")
    if g.moments is not None:
        d.say(f"moments = {relative(g.moments)}")
        force = [c for c in g.moments.of("force", "moment") if not c.called.coordinate]
        if g.motion is None and force:
            _dynamometer(d, g, force[0], studied[0])


def _still(d: Draft, g: Group, folder: Path, posture: Mapping[str, float]) -> None:
    """A trial without motion: its posture is written beside the draft, as a file of angles that stay."""
    like = g.emg or g.moments
    assert like is not None
    first, last = like.clocks[0].span
    time = np.arange(first, last + 0.05, 0.1)
    values = {c: np.full(len(time), math.radians(_seated(d.model, c, posture))) for c in d.model.coordinates}
    path = d.out.with_name(f"{d.out.stem}_{g.name}_posture.csv")
    d.beside[path] = time, values
    said = ", ".join(f"{c} {math.degrees(v[0]):.0f}°" for c, v in values.items())
    d.say(
        f"motion = {quoted(path_from(folder, path))}", doubt=f"no motion: held still at {said} (--posture changes it)"
    )


def _dynamometer(d: Draft, g: Group, column: Seen, name: str) -> None:
    """A force at a lever, or a moment without a joint's name."""
    extends = any(w in g.name.casefold() for w in ("extension", "ext", "extensor"))
    sign = -1.0 if extends is not _turned(d.model, name) else 1.0
    why = (
        f"{'extension' if extends else 'flexion'}, by the trial's name"
        if extends or "flex" in g.name.casefold()
        else "which way?"
    )
    if column.kind == "moment":
        keys, doubt = moment_unit(column)
        d.say(
            f"moment_columns = {{ {key(name)} = {column_entry(column.name, {**keys, 'scale': sign})} }}",
            doubt=f"{why}; {WEIGHT}{f'; {doubt}' if doubt else ''}",
        )
        return
    known = unit_of(column.unit)
    said, guess = column.unit if known is not None and known.kind == "force" else "N", ""
    if column.unit and said != column.unit:
        guess = f", as its unit '{column.unit}' is no force that is known"
    elif not column.unit and column.high * LEVER < 30:  # newtons at a strap would be a child's
        said, guess = "kgf", ", by its size"
    keys = f"column = {quoted(column.name)}, units = {quoted(said)}, lever = {LEVER}"
    keys += ", scale = -1.0" if sign < 0 else ""
    d.say(
        f"moment_columns = {{ {key(name)} = {{ {keys} }} }}",
        doubt=f"force [{said}{guess}] at {LEVER:g} m from the joint, {why}; its zero is in it: offset = … in the "
        f"braces takes it out; {WEIGHT}",
    )


def _seated(model: Model, coordinate: str, posture: Mapping[str, float]) -> float:
    """Where a coordinate of any model stays [°]."""
    usual = SEATED.get(coordinate, SEATED.get(called(coordinate).coordinate, 0.0))
    return posture.get(coordinate, -usual if _turned(model, coordinate) else usual)


def _turned(model: Model, coordinate: str) -> bool:
    """Whether a joint goes the other way than in the bundled models, as OpenSim's older knees do: by its range."""
    low, high = coordinate_range(model, coordinate)
    usual = math.radians(SEATED.get(called(coordinate).coordinate, 0.0))
    return not low <= usual <= high and low <= -usual <= high
