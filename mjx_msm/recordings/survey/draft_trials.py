"""Trials in a draft: their files, the posture of those held still, a dynamometer's lever and sign."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.person.inspection import coordinate_range, coordinate_unit
from mjx_msm.person.model import Model
from mjx_msm.recordings.emg import zero_phase
from mjx_msm.recordings.readers.units import unit_of
from mjx_msm.recordings.survey.attempts import attempt_of, in_order, sheet_of, sibling
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.draft_emg import Drive
from mjx_msm.recordings.survey.draft_moments import moment_unit
from mjx_msm.recordings.survey.draft_text import Draft, column_entry, key, path_from, quoted
from mjx_msm.recordings.survey.dynamometers import maker_of, named_in
from mjx_msm.recordings.survey.files import Survey
from mjx_msm.recordings.survey.matching import coordinate_column
from mjx_msm.recordings.survey.spellings import called
from mjx_msm.recordings.survey.trials import Group

SEATED = {"hip_flexion": 90.0, "knee_angle": 90.0, "ankle_angle": 0.0, "shoulder_elev": 0.0, "elbow_flex": 90.0}
"""Posture at a dynamometer [°], where no file says another."""
LEVER = 0.30
"""From the joint to a dynamometer's strap [m], where nothing says another."""
LOUDER = 3.0
"""Times as loud as the other side's EMG, that says which way a joint was moved."""
LOUD = 0.3
"""Of its loudest attempt, which a channel has to be in one that it tells something of."""
WEIGHT = 'is the limb\'s weight in it? Then gravity = "included" below, "corrected" if it was weighed out'


def write_trial(
    d: Draft,
    g: Group,
    folder: Path,
    posture: Mapping[str, float],
    studied: Sequence[str],
    drive: Drive,
    columns: Mapping[str, str],
) -> None:
    """One trial.

    **Arguments:** `folder`: from which paths go. `posture`: of what no file moves [°, m]. `studied`: coordinates whose
    moments there are. `columns`: what the file should say of angles that are called otherwise in this trial.

    **Raises:** `InputError` if its moment, or force, is of another joint.
    """
    d.say()
    d.say("[[trials]]")
    d.say(f"name = {quoted(g.name)}")

    def relative(found: Survey) -> str:
        return quoted(Path(os.path.relpath(found.path.resolve(), folder)).as_posix())

    still = ""
    if g.motion is not None:
        d.say(f"motion = {relative(g.motion)}")
        if columns:
            own = ", ".join(f"{key(name)} = {entry}" for name, entry in columns.items())
            d.say(f"columns = {{ {own} }}", why="called so in this file")
    else:
        still = _still(d, g, folder, posture)
    if g.emg is not None:
        d.say(f"emg = {relative(g.emg)}")
    if g.moments is None:
        return
    d.say(f"moments = {relative(g.moments)}")
    if maker_of(g.moments):
        own = next(c for c in g.moments.of("moment") if c.called.coordinate or c.called.plain)
        _dynamometer(d, g, own, _joint(d, g, own, studied), drive)
        d.say(
            'gravity = "corrected"',
            doubt=f'{maker_of(g.moments)} takes the limb\'s weight out if the limb was weighed; else write "included"',
        )
        return
    force = [c for c in g.moments.of("force", "moment") if not c.called.coordinate]
    if g.motion is None and force:
        force = in_order(force, drive.attempt)
        name = _joint(d, g, force[0], studied)
        _dynamometer(d, g, force[0], name, drive)
        if g.emg is not None:
            _attempts(d, g, force, relative(g.emg), relative(g.moments), still, name, drive)


def _joint(d: Draft, g: Group, column: Seen, studied: Sequence[str]) -> str:
    """The coordinate that a dynamometer measured: as its column says, else its name, else the only one there is.

    **Raises:** `InputError` if the draft is not of that one.
    """
    assert g.moments is not None
    every = d.model.coordinates
    told = [c for c in every if coordinate_column(column, c, every, d.side) is not None]
    told = told or named_in(f"{g.name} {g.moments.path.name}", every, d.side)
    own = [c for c in studied if c in told] if told else list(studied)
    if len(own) != 1:
        raise InputError(
            f"{g.moments.path}: its {column.kind} is of {' or '.join(told) or 'a joint that nothing names'}, and the "
            f"draft of {' and '.join(studied) or 'no moment'}; draft one joint at a time: leave it out, or rename it"
        )
    return own[0]


def _still(d: Draft, g: Group, folder: Path, posture: Mapping[str, float]) -> str:
    """A trial without motion: its posture is written beside the draft, as a file of angles that stay."""
    like = g.emg or g.moments
    assert like is not None
    first, last = like.clocks[0].span
    time = np.arange(first, last + 0.05, 0.1)
    places = {c: place(d.model, c, seated(d.model, c, posture)) for c in d.model.coordinates}
    values = {c: np.full(len(time), x) for c, (x, _) in places.items()}
    path = d.out.with_name(f"{d.out.stem}_{g.name}_posture.csv")
    d.beside[path] = time, values
    said = ", ".join(f"{c} {words}" for c, (_, words) in places.items())
    motion = quoted(path_from(folder, path))
    d.say(f"motion = {motion}", doubt=f"no motion: held still at {said} (--posture changes it)")
    return motion


def _dynamometer(d: Draft, g: Group, column: Seen, name: str, drive: Drive) -> None:
    """A force at a lever, or a moment without a joint's name."""
    extends = any(w in g.name.casefold() for w in ("extension", "ext", "extensor"))
    why = f"{'extension' if extends else 'flexion'}, by the trial's name"
    if not extends and "flex" not in g.name.casefold():
        extends, why = _extends(d, g, column, name, drive)
    sign = -1.0 if extends is not _turned(d.model, name) else 1.0
    if column.kind == "moment":
        keys, doubt = moment_unit(column)
        assert g.moments is not None
        d.say(
            f"moment_columns = {{ {key(name)} = {column_entry(column.name, {**keys, 'scale': sign})} }}",
            doubt=f"{why}{'' if maker_of(g.moments) else f'; {WEIGHT}'}{f'; {doubt}' if doubt else ''}",
        )
        return
    keys, said, guess = _force(column, sign)
    d.say(
        f"moment_columns = {{ {key(name)} = {{ {keys} }} }}",
        doubt=f"force [{said}{guess}] at {LEVER:g} m from the joint, {why}; its zero is in it: offset = … in the "
        f"braces takes it out; {WEIGHT}",
    )


def _force(column: Seen, sign: float) -> tuple[str, str, str]:
    """What the file should say of a force; its unit, and how that was guessed."""
    known = unit_of(column.unit)
    said, guess = column.unit if known is not None and known.kind == "force" else "N", ""
    if column.unit and said != column.unit:
        guess = f", as its unit '{column.unit}' is no force that is known"
    elif not column.unit and column.high * LEVER < 30:  # newtons at a strap would be a child's
        said, guess = "kgf", ", by its size"
    keys = f"column = {quoted(column.name)}, units = {quoted(said)}, lever = {LEVER}"
    keys += ", scale = -1.0" if sign < 0 else ""
    return keys, said, guess


def _attempts(
    d: Draft, g: Group, force: Sequence[Seen], emg: str, moments: str, motion: str, name: str, drive: Drive
) -> None:
    """Other columns of a workbook's sheets, each an attempt or a test: trials to take in, as comments.

    Which of them are of this joint no file says.
    """
    assert g.emg is not None
    others = [c for c in force[1:] if attempt_of(c.name) not in (None, attempt_of(force[0].name))]
    for column in others:
        number = attempt_of(column.name)
        own = {c.name: sibling(g.emg.columns, c.name, number) for c in drive.columns if c.name in drive.taken}
        if not all(own.values()):
            continue
        extends, why = _extends(d, g, column, name, drive)
        keys, _, _ = _force(column, -1.0 if extends is not _turned(d.model, name) else 1.0)
        channels = ", ".join(f"{key(drive.alias(c))} = {quoted(o.name)}" for c, o in own.items() if o is not None)
        d.say(f"# column {number} of every sheet: if it is of this joint, take it in ({why})")
        for line in (
            "[[trials]]",
            f"name = {quoted(f'{g.name} column {number}')}",
            f"motion = {motion}",
            f"emg = {emg}",
            f"channels = {{ {channels} }}",
            f"moments = {moments}",
            f"moment_columns = {{ {key(name)} = {{ {keys} }} }}",
        ):
            d.say(f"# {line}")


def _extends(d: Draft, g: Group, force: Seen, name: str, drive: Drive) -> tuple[bool, str]:
    """Whether a force is an extension's, by which side's main mover is the louder; and why, in words.

    Muscles of two joints are loud where the other joint works. Loud is what is near a channel's
    greatest over the attempts there are; of one attempt, its size in the file's unit.
    """
    level: dict[int, tuple[float, float, str]] = {}
    number = attempt_of(force.name)
    for column in drive.columns:
        strength = drive.moves(column, name)
        side = (strength > 0) - (strength < 0)
        if side == 0 or column.name not in drive.taken or g.emg is None:
            continue
        own = sibling(g.emg.columns, column.name, number) if number is not None else column
        if own is None:
            continue
        sheet = sheet_of(column.name)
        every = [c for c in g.emg.columns if number is not None and sheet_of(c.name) == sheet]
        loud = {c.name: _loudness(g.emg, c.name, drive.raw) for c in (*every, own)}
        greatest = max(loud[c.name] for c in every) if len(every) > 1 else 1.0
        if greatest > 0 and (side not in level or abs(strength) > level[side][0]):
            called = column.called.muscles[0].replace("_", " ")
            level[side] = abs(strength), loud[own.name] / greatest, called
    if len(level) < 2:
        return False, "which way?"
    (_, along, flexor), (_, against, extensor) = level[1], level[-1]
    if not min(along, against) > 0:
        return False, f"which way? How loud {flexor if along <= against else extensor} is cannot be told"
    several = number is not None and any((attempt_of(c.name) or 0) > 1 for c in drive.columns)
    least = LOUD if several else 0.0
    if max(along, against) < max(least, LOUDER * min(along, against)):
        return False, f"which way? Neither {flexor} nor {extensor} is clearly the louder"
    extends = (against > along) is not _turned(d.model, name)
    loud, quiet = (extensor, flexor) if against > along else (flexor, extensor)
    times = max(along, against) / min(along, against)
    return extends, f"{'extension' if extends else 'flexion'}, as {loud} is {times:.2g} times as loud as {quiet}"


def _loudness(found: Survey, name: str, raw: bool) -> float:
    """Of raw EMG, without offset and slow artefacts: the root mean square. Of an envelope: its mean. 0: unknown."""
    for clock in found.clocks:
        if name in clock.table.columns:
            x = clock.table.values[:, clock.table.columns.index(name)]
            x = x[np.isfinite(x)]
            if len(x) < 50 or (raw and clock.table.rate < 100):
                return 0.0
            if not raw:
                return float(np.mean(x))
            return float(np.std(zero_phase(x, clock.table.rate, 20.0, 2, "highpass")))
    return 0.0


def place(model: Model, coordinate: str, value: float) -> tuple[float, str]:
    """Where a coordinate is [rad, m] that a posture says in degrees, or metres; and in words."""
    unit = coordinate_unit(model, coordinate)
    return (math.radians(value), f"{value:.0f}°") if unit == "rad" else (value, f"{value:g} {unit}".rstrip())


def seated(model: Model, coordinate: str, posture: Mapping[str, float]) -> float:
    """Where a coordinate of any model stays [°, m]."""
    usual = SEATED.get(coordinate, SEATED.get(called(coordinate).coordinate, 0.0))
    return posture.get(coordinate, -usual if _turned(model, coordinate) else usual)


def _turned(model: Model, coordinate: str) -> bool:
    """Whether a joint goes the other way than in the bundled models, as OpenSim's older knees do: by its range."""
    low, high = coordinate_range(model, coordinate)
    usual = math.radians(SEATED.get(called(coordinate).coordinate, 0.0))
    return not low <= usual <= high and low <= -usual <= high
