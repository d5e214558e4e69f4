"""The first draft of a subject file, from what files seem to hold: every guess with its reason, every doubt marked.

Nothing in the draft is left to a default that nobody sees, and what was guessed against the file's own word says so.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.person.inspection import coordinate_range
from mjx_msm.person.model import Model
from mjx_msm.recordings.evidence.angles import MARGIN
from mjx_msm.recordings.readers.units import unit_of
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.draft_emg import Drive, drive_of, write_emg
from mjx_msm.recordings.survey.draft_moments import write_moments
from mjx_msm.recordings.survey.draft_text import Draft, column_entry, key, path_from, quoted
from mjx_msm.recordings.survey.draft_trials import place, seated, write_trial
from mjx_msm.recordings.survey.dynamometers import maker_of, of_joint
from mjx_msm.recordings.survey.files import Survey
from mjx_msm.recordings.survey.matching import coordinate_column, sides_of
from mjx_msm.recordings.survey.mistaken import with_mistaken
from mjx_msm.recordings.survey.spellings import called, exactly, words_of
from mjx_msm.recordings.survey.trials import Group, grouped

STUDIED = {"knee": ("knee_angle",), "arm": ("elbow_flex",)}
"""Coordinates of a bundled model whose muscles it has all; others follow the recording."""
MASS = 75.0
"""[kg], likewise."""


def drafted(
    model: Model,
    source: str,
    found: Sequence[Survey],
    out: Path,
    *,
    side: str | None = None,
    name: str | None = None,
    mass: float | None = None,
    posture: Mapping[str, float] | None = None,
    rate: float | None = None,
) -> Draft:
    """Draft a subject file.

    **Arguments:** `source`: the model's name or path, as the file will say it. `out`: where it will lie. `side`:
    "left" or "right"; by default the one that more columns are of. `mass` [kg]. `posture`: of what no file moves [°,
    m]. `rate`: of files without a time, with which they were looked at [Hz].

    **Raises:** `InputError` if the files do not make trials of this model.
    """
    usual = STUDIED.get(source, model.coordinates)
    found = [of_joint(one, model.coordinates, usual, side or "") for one in with_mistaken(found)]
    groups = grouped(found, model.coordinates)
    for g in groups:
        if g.motion is None and g.moments is None:
            raise InputError(
                f"{g.emg.path if g.emg else g.name}: EMG alone; give the file with the angles of that trial, too (or "
                "with a dynamometer's force or moment), named like the model's coordinates, see mjx-msm look"
            )
    own_side, about_side = _side(found, side, (*model.coordinates, *model.muscles))
    d = Draft(model, source, out, own_side)
    d.say(f"# Drafted from {len(found)} files. Look at every DOUBT; what is certain has no comment or a reason.")
    if about_side:
        d.say(f"# {about_side}")
    folder = Path(os.path.commonpath([str(s.path.resolve().parent) for s in found]))
    d.say(f"data = {quoted(path_from(out.parent, folder))}")
    head = len(d.lines)
    angles = _angles(d, groups, usual)
    drive = drive_of(d, groups)
    studied = _studied(d, groups, angles, drive)
    moments = write_moments(d, groups, angles, studied)
    d.say()
    d.say("[subject]")
    d.say(f"name = {quoted(name or folder.name or 'subject')}")
    if mass is None:
        d.say(f"mass = {MASS}", doubt="no file says the mass of the person [kg]")
    else:
        d.say(f"mass = {mass:g}")
    d.say('# height = 1.75  # [m]; with sex = "male" or "female", segments start from de Leva\'s tables')
    held = {c: seated(model, c, posture or {}) for c in model.coordinates} if any(map(maker_of, found)) else {}
    free = _model(d, angles, moments, studied, drive, {**held, **(posture or {})})
    write_emg(d, drive)
    for g in groups:
        write_trial(d, g, folder, posture or {}, tuple(moments) or studied, drive, _other_columns(d, g, angles))
    _identify(d, free, bool(moments), drive)
    if rate is not None:
        kinds = _clockless(groups, [c.name for c, _ in angles.values()], moments, drive)
        said = f"{{ {', '.join(f'{k} = {rate:g}' for k in kinds if kinds[k])} }}"
        if any(kinds.values()):
            value = f"{rate:g}" if all(kinds.values()) else said
            d.lines.insert(head, f"sampling_rate = {value}  # of what has no time in its file [Hz]")
    return d


def _clockless(
    groups: Sequence[Group], angles: Sequence[str], moments: Mapping[str, Seen], drive: Drive
) -> dict[str, bool]:
    """Whether columns of a kind of file have no clock, of the kinds that there are."""
    names = {"motion": angles, "emg": [c.name for c in drive.columns], "moments": [c.name for c in moments.values()]}
    out: dict[str, bool] = {}
    for g in groups:
        for kind, found in (("motion", g.motion), ("emg", g.emg), ("moments", g.moments)):
            if found is not None:
                out[kind] = out.get(kind, False) or bool(found.clockless & {*names[kind]})
    return out


def _side(found: Sequence[Survey], asked: str | None, names: Sequence[str]) -> tuple[str, str]:
    """The side to study, and what to say of it: a model of one side wants its own, where that was recorded."""
    if asked is not None:
        return asked, ""
    (*_, only) = sides_of(names) if len(sides_of(names)) == 1 else {""}
    if only and any(c.called.side == only for f in found for c in f.columns):
        return only, f"The {only} side, as the model's."
    count = {
        s: sum(c.called.side == s and bool(c.called.muscles) for f in found for c in f.columns)
        for s in ("right", "left")
    }
    if not any(count.values()):
        count = {s: sum(c.called.side == s for f in found for c in f.columns) for s in ("right", "left")}
    if not any(count.values()):
        return "", ""
    side = max(count, key=lambda s: count[s])
    if min(count.values()):
        return side, f"DOUBT: columns of both sides are there; this is the {side} one (--side chooses)."
    return side, f"The {side} side, by the names."


def _best(columns: Sequence[Seen], coordinate: str, names: Sequence[str], side: str) -> Seen | None:
    """The column of a coordinate, of the side that is studied or of none."""
    own = [
        (far, c.called.side != side, len(c.name), i)
        for i, c in enumerate(columns)
        if not c.called.quantity and (far := coordinate_column(c, coordinate, names, side)) is not None
    ]
    return columns[min(own)[-1]] if own else None


def _studied(d: Draft, groups: Sequence[Group], angles: Mapping[str, object], drive: Drive) -> tuple[str, ...]:
    """Coordinates that may be free: of the side that is studied, moved, and crossed by a muscle with a channel."""
    names = d.model.coordinates
    if d.source in STUDIED:
        moved = [c for c in STUDIED[d.source] if c in angles or not angles]
        found = tuple(moved)
        silent = bool(found) and not drive.across(found)
    else:
        both = len(sides_of(names)) > 1
        moved = [c for c in names if c in angles or not angles]
        moved = [c for c in moved if not both or called(c).side in (d.side, "")]
        found = tuple(c for c in moved if drive.across([c]))
        silent = not found
    if silent:
        channels, muscles = (", ".join(n[:6]) for n in ([c.name for c in drive.columns], list(d.model.muscles)))
        raise InputError(
            f"no channel of EMG ({channels}) is called like a muscle ({muscles}) that moves "
            f"{' or '.join(moved[:6]) or 'what a file tells of'}; call the columns of the EMG like its muscles, "
            "or choose another --model"
        )
    if d.source in STUDIED:
        return found
    if angles:
        return found
    told = " ".join(w for g in groups for s in (g.emg, g.moments) if s for w in words_of(f"{g.name} {s.path.name}"))
    named = tuple(c for c in found if called(c).plain.split(" ")[0] in told.split(" "))
    return named or found


def _angles(d: Draft, groups: Sequence[Group], usual: Sequence[str]) -> dict[str, tuple[Seen, dict[str, object]]]:
    """Columns of the coordinates, with what the file should say of them; written out.

    As they are called in the first file that tells of a `usual` one; of a dynamometer every file tells of one joint.
    """
    files = [g.motion for g in groups if g.motion is not None]
    lead = next((f for f in files if any(_angle(d, c, [f]) for c in usual)), files[0] if files else None)
    if lead is None:
        return {}
    files = [lead, *(f for f in files if f is not lead)]
    out = {name: found for name in d.model.coordinates if (found := _angle(d, name, files)) is not None}
    if not out:
        return {}
    d.say()
    d.say("[columns]")
    for name, (column, keys) in out.items():
        doubt = "; ".join(column.doubts)
        why = f"{column.why}; {column.low:.3g} to {column.high:.3g}"
        if "scale" in keys:
            low, high = (math.degrees(x) for x in coordinate_range(d.model, name))
            why = (
                f"{column.low:.3g} to {column.high:.3g}, the joint goes from {low:.0f} to {high:.0f}°; turned, it fits"
            )
            doubt = f"{why}{'; ' + doubt if doubt else ''}"
        d.say(f"{key(name)} = {column_entry(column.name, keys)}", doubt=doubt, why=why)
    return out


def _angle(d: Draft, name: str, files: Sequence[Survey]) -> tuple[Seen, dict[str, object]] | None:
    """The column of a coordinate in the first of these files, and what is to be said of it, as all of them have it."""
    lead = files[0]
    slides = [c for c in lead.of("position") if exactly(c.name, name)]
    column = _best([*lead.of("angle"), *slides], name, d.model.coordinates, d.side)
    if column is None:
        return None
    keys: dict[str, object] = {}
    declared = lead.clocks[0].table.in_degrees
    if column.kind == "angle" and not column.told and (column.unit == "deg") is not (declared is True):
        keys["units"] = column.unit
    unit = unit_of(column.unit)
    factor = unit.factor if unit is not None else 1.0
    values = np.concatenate([_values(f, column.name) for f in files]) * factor
    low, high = coordinate_range(d.model, name)
    turned = _outside(-values, low, high)
    if _outside(values, low, high) > 0.05 and turned < 0.01:
        keys["scale"] = -1.0
    return column, keys


def _other_columns(d: Draft, g: Group, angles: Mapping[str, tuple[Seen, dict[str, object]]]) -> dict[str, str]:
    """What the file should say of angles that are called otherwise in one trial's file."""
    if g.motion is None:
        return {}
    own = {name: found for name in angles if (found := _angle(d, name, [g.motion])) is not None}
    return {n: column_entry(c.name, keys) for n, (c, keys) in own.items() if c.name != angles[n][0].name}


def _outside(x: np.ndarray, low: float, high: float) -> float:
    x = x[np.isfinite(x)]
    return float(np.mean((x < low - MARGIN) | (x > high + MARGIN))) if len(x) and math.isfinite(high - low) else 0.0


def _values(found: Survey, column: str) -> np.ndarray:
    for clock in found.clocks:
        if column in clock.table.columns:
            return clock.table.values[:, clock.table.columns.index(column)]
    return np.zeros(0)


def _model(
    d: Draft,
    angles: Mapping[str, object],
    moments: Mapping[str, Seen],
    studied: Sequence[str],
    drive: Drive,
    posture: Mapping[str, float],
) -> tuple[str, ...]:
    d.say()
    d.say("[model]")
    source = d.source
    if source not in STUDIED and Path(source).is_file():
        source = path_from(d.out.parent, Path(source))
    d.say(f"source = {quoted(source)}")
    if d.source in STUDIED and d.side == "left":
        d.say('side = "left"', why="the model is of the right side: it is mirrored")
    wanted = STUDIED.get(d.source) or tuple(moments) or studied
    names = d.model.coordinates
    free = tuple(c for c in names if c in wanted and (c in angles or not angles))
    if not free:
        raise InputError(
            f"no file has an angle of {' or '.join(wanted or names)}; give the file with the motion, or call its "
            "columns like the model's coordinates"
        )
    held = tuple(c for c in names if c not in free and (c in angles or not angles))
    locked = [c for c in names if c not in free and c not in held]
    silent = drive.silent(free) if d.source not in STUDIED else ()
    doubt = f"no channel for {', '.join(silent)}, which move them: prescribe what hangs on those" if silent else ""
    d.say(f"free = [{', '.join(map(quoted, free))}]", doubt=doubt)
    if held:
        d.say(f"prescribed = [{', '.join(map(quoted, held))}]", why="follow the recording")
    if locked:
        where = {c: place(d.model, c, posture.get(c, 0.0)) for c in locked}
        values = ", ".join(f"{key(c)} = {round(x, 4)}" for c, (x, _) in where.items())
        said = " and ".join(dict.fromkeys(words for _, words in where.values()))
        units = "rad" if all("°" in words for _, words in where.values()) else "rad, m"
        doubt = f"no file tells of these; held at {said} [{units}] (--posture changes it)"
        d.say(f"locked = {{ {values} }}", doubt=doubt)
    return free


def _identify(d: Draft, free: Sequence[str], moments: bool, drive: Drive) -> None:
    driven = drive.across(free)
    channels = drive.used(driven)
    # of a channel whose muscles all end elsewhere these trials tell nothing
    every = ("*",) if set(channels) == set(drive.used(d.model.muscles)) else channels
    d.say()
    d.say("[identify]")
    if moments:
        d.say('residuals = ["moment"]')
    else:
        d.say(
            'residuals = ["motion"]',
            doubt="no moments; the motion tells of the muscles only where nothing else touches",
        )
    d.say("rate = 50.0")
    d.say("starts = 4", why="25 for a final answer")
    d.say("free = [", why="strength is left to the channels' gains: one kind of recording cannot tell the two apart")
    for m in driven:
        d.say(f'  "muscle/{m}/optimal_fiber_length", "muscle/{m}/tendon_slack_length",')
    for c in every:
        d.say(f'  "emg/{c}/gain", "emg/{c}/shape", "emg/{c}/delay",')
    d.say(f"  {', '.join(quoted(f'joint/{c}/damping') for c in free)},")
    d.say("]")
    d.say('tied = ["emg/*/delay"]')
    d.say()
    d.say("[identify.bounds]")
    d.say('"emg/*/gain" = [0.005, 1.0]', why="a peak, or a maximal contraction, is full excitation at most")
    d.say()
    d.say("[identify.priors]")
    d.say('"emg/*/gain" = { mean = 0.5, sd = 0.5 }')
    d.say('"emg/*/shape" = { mean = -1.0, sd = 0.5 }')
