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
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.readers.units import Unit, unit_of
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.draft_emg import write_emg
from mjx_msm.recordings.survey.draft_text import Draft, quoted
from mjx_msm.recordings.survey.files import Survey
from mjx_msm.recordings.survey.trials import Group, grouped

STUDIED = {"knee": ("knee_angle",), "arm": ("elbow_flex",)}
"""Coordinates of a bundled model whose muscles it has all; others follow the recording."""
SEATED = {"hip_flexion": 90.0, "knee_angle": 90.0, "ankle_angle": 0.0, "shoulder_elev": 0.0, "elbow_flex": 90.0}
"""Posture at a dynamometer [°], where no file says another."""
LEVER = 0.30
"""From the joint to a dynamometer's strap [m], where nothing says another."""
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
    "left" or "right"; by default the one that more columns are of. `mass` [kg]. `posture`: of what no file moves [°].
    `rate`: of files without a time, with which they were looked at [Hz].

    **Raises:** `InputError` if the files do not make trials of this model.
    """
    groups = grouped(found, model.coordinates)
    own_side, about_side = _side(found, side)
    d = Draft(model, source, out, own_side)
    d.say(f"# Drafted from {len(found)} files. Look at every DOUBT; what is certain has no comment or a reason.")
    if about_side:
        d.say(f"# {about_side}")
    folder = Path(os.path.commonpath([str(s.path.resolve().parent) for s in found]))
    here = out.resolve().parent
    data = Path(os.path.relpath(folder, here)) if folder.is_relative_to(here) else folder
    d.say(f"data = {quoted(data.as_posix())}")
    if rate is not None:
        d.say(f"sampling_rate = {rate:g}", why="of files without a time [Hz]")
    lead = next((g for g in groups if g.motion), None)
    angles = _angles(d, groups, lead)
    moments = _moments(d, groups, angles)
    d.say()
    d.say("[subject]")
    d.say(f"name = {quoted(name or folder.name or 'subject')}")
    if mass is None:
        d.say(f"mass = {MASS}", doubt="no file says the mass of the person [kg]")
    else:
        d.say(f"mass = {mass:g}")
    d.say('# height = 1.75  # [m]; with sex = "male" or "female", segments start from de Leva\'s tables')
    free = _model(d, angles, moments)
    driven = write_emg(d, groups, free)
    for g in groups:
        _trial(d, g, folder, posture or {}, bool(moments))
    _identify(d, free, bool(moments), driven)
    return d


def _side(found: Sequence[Survey], asked: str | None) -> tuple[str, str]:
    """The side to study, and what to say of it."""
    if asked is not None:
        return asked, ""
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


def _best(columns: Sequence[Seen], coordinate: str, side: str) -> Seen | None:
    """The column of a coordinate, of the side that is studied or of none."""
    own = [
        c
        for c in columns
        if c.called.coordinate == coordinate and c.called.side in (side, "") and not c.called.quantity
    ]
    return min(own, key=lambda c: (c.called.side != side, len(c.name)), default=None)


def _angles(d: Draft, groups: Sequence[Group], lead: Group | None) -> dict[str, tuple[Seen, dict[str, object]]]:
    """Columns of the coordinates, with what the file should say of them; written out."""
    if lead is None or lead.motion is None:
        return {}
    out: dict[str, tuple[Seen, dict[str, object]]] = {}
    files = [g.motion for g in groups if g.motion is not None]
    for name in d.model.coordinates:
        column = _best(lead.motion.of("angle"), name, d.side)
        if column is None:
            continue
        keys: dict[str, object] = {}
        declared = lead.motion.clocks[0].table.in_degrees
        if not column.told and (column.unit == "deg") is not (declared is True):
            keys["units"] = column.unit
        unit = unit_of(column.unit)
        factor = unit.factor if unit is not None else 1.0
        values = np.concatenate([_values(f, column.name) for f in files]) * factor
        low, high = coordinate_range(d.model, name)
        turned = _outside(-values, low, high)
        if _outside(values, low, high) > 0.05 and turned < 0.01:
            keys["scale"] = -1.0
        out[name] = column, keys
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
        d.say(f"{name} = {_column(column.name, keys)}", doubt=doubt, why=why)
    return out


def _outside(x: np.ndarray, low: float, high: float) -> float:
    x = x[np.isfinite(x)]
    return float(np.mean((x < low - MARGIN) | (x > high + MARGIN))) if len(x) and math.isfinite(high - low) else 0.0


def _values(found: Survey, column: str) -> np.ndarray:
    for clock in found.clocks:
        if column in clock.table.columns:
            return clock.table.values[:, clock.table.columns.index(column)]
    return np.zeros(0)


def _column(name: str, keys: Mapping[str, object]) -> str:
    if not keys:
        return quoted(name)
    inside = ", ".join(f"{k} = {quoted(v) if isinstance(v, str) else v}" for k, v in keys.items())
    return f"{{ column = {quoted(name)}, {inside} }}"


def _moments(
    d: Draft, groups: Sequence[Group], angles: Mapping[str, tuple[Seen, dict[str, object]]]
) -> dict[str, Seen]:
    """Columns of moments, or a dynamometer's force; written out."""
    lead = next((g.moments for g in groups if g.moments is not None), None)
    if lead is None:
        return {}
    studied = [c for c in STUDIED.get(d.source, d.model.coordinates) if c in angles or not angles]
    out: dict[str, Seen] = {}
    lines: list[tuple[str, str, str]] = []
    for name in studied:
        own = [c for c in lead.of("moment") if c.called.coordinate == name and c.called.side in (d.side, "")]
        column = min(own, key=lambda c: (c.called.side != d.side, len(c.name)), default=None)
        if column is None:
            continue
        keys, doubt = _moment_unit(column)
        if name in angles and "scale" in angles[name][1]:
            keys["scale"] = -1.0
            doubt = f"turned like its angle{'; ' + doubt if doubt else ''}"
        out[name] = column
        lines.append((f"{name} = {_column(column.name, keys)}", doubt, column.why))
    dynamometer = [c for c in lead.of("force", "moment") if not c.called.coordinate]
    if not out and not angles and len(studied) == 1 and dynamometer:
        out[studied[0]] = dynamometer[0]
        return out  # its sign differs from trial to trial
    if lines:
        d.say()
        d.say("[moment_columns]")
        for line, doubt, why in lines:
            d.say(line, doubt=doubt, why=why)
    return out


def _moment_unit(column: Seen) -> tuple[dict[str, object], str]:
    """The unit of a moment as a key, where the file does not tell it, and what is doubtful; reading converts both."""
    unit, doubts = unit_of(column.unit), list(column.doubts)
    if column.told and unit is None:
        doubts.append(f"its unit '{column.unit}' is not known, so that it counts as N·m: give units, or scale")
    keys: dict[str, object] = {}
    if not column.told and unit is not None and unit != Unit("moment", 1.0):
        keys["units"] = column.unit
    return keys, "; ".join(doubts)


def _model(d: Draft, angles: Mapping[str, object], moments: Mapping[str, Seen]) -> tuple[str, ...]:
    d.say()
    d.say("[model]")
    d.say(f"source = {quoted(d.source)}")
    wanted = STUDIED.get(d.source) or tuple(moments) or tuple(angles)
    names = d.model.coordinates
    free = tuple(c for c in names if c in wanted and (c in angles or not angles))
    if not free:
        raise InputError(
            f"no file has an angle of {' or '.join(wanted or names)}; give the file with the motion, or call its "
            "columns like the model's coordinates"
        )
    held = tuple(c for c in names if c not in free and (c in angles or not angles))
    locked = [c for c in names if c not in free and c not in held]
    d.say(f"free = [{', '.join(map(quoted, free))}]")
    if held:
        d.say(f"prescribed = [{', '.join(map(quoted, held))}]", why="follow the recording")
    if locked:
        values = ", ".join(f"{c} = 0.0" for c in locked)
        d.say(f"locked = {{ {values} }}", doubt="no file tells of these; held at 0")
    return free


def _trial(d: Draft, g: Group, folder: Path, posture: Mapping[str, float], moments: bool) -> None:
    d.say()
    d.say("[[trials]]")
    d.say(f"name = {quoted(g.name)}")

    def relative(found: Survey) -> str:
        return quoted(Path(os.path.relpath(found.path.resolve(), folder)).as_posix())

    if g.motion is not None:
        d.say(f"motion = {relative(g.motion)}")
    else:
        _still(d, g, posture)
    if g.emg is not None:
        d.say(f"emg = {relative(g.emg)}")
    if g.moments is not None:
        d.say(f"moments = {relative(g.moments)}")
        force = [c for c in g.moments.of("force", "moment") if not c.called.coordinate]
        if g.motion is None and force:
            _dynamometer(d, g, force[0])


def _still(d: Draft, g: Group, posture: Mapping[str, float]) -> None:
    """A trial without motion: its posture is written beside the draft, as a file of angles that stay."""
    like = g.emg or g.moments
    assert like is not None
    first, last = like.clocks[0].span
    time = np.arange(first, last + 0.05, 0.1)
    values = {c: np.full(len(time), math.radians({**SEATED, **posture}.get(c, 0.0))) for c in d.model.coordinates}
    path = d.out.with_name(f"{d.out.stem}_{g.name}_posture.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, time, values)
    d.written.append(path)
    said = ", ".join(f"{c} {math.degrees(v[0]):.0f}°" for c, v in values.items())
    d.say(
        f"motion = {quoted(path.resolve().as_posix())}", doubt=f"no motion: held still at {said} (--posture changes it)"
    )


def _dynamometer(d: Draft, g: Group, column: Seen) -> None:
    """A force at a lever, or a moment without a joint's name."""
    (name,) = STUDIED[d.source]
    extends = any(w in g.name.casefold() for w in ("extension", "ext", "extensor"))
    sign = -1.0 if extends else 1.0
    why = (
        f"{'extension' if extends else 'flexion'}, by the trial's name"
        if extends or "flex" in g.name.casefold()
        else "which way?"
    )
    if column.kind == "moment":
        keys, doubt = _moment_unit(column)
        d.say(
            f"moment_columns = {{ {name} = {_column(column.name, {**keys, 'scale': sign})} }}",
            doubt=f"{why}; is the limb's weight in it?{f' {doubt}' if doubt else ''}",
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
        f"moment_columns = {{ {name} = {{ {keys} }} }}",
        doubt=f"force [{said}{guess}] at {LEVER:g} m from the joint, {why}; its zero and the limb's weight are in it",
    )


def _identify(d: Draft, free: Sequence[str], moments: bool, driven: Sequence[str]) -> None:
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
    d.say('  "emg/*/gain", "emg/*/shape", "emg/*/delay",')
    d.say(f"  {', '.join(quoted(f'joint/{c}/damping') for c in free)},")
    d.say("]")
    d.say('tied = ["emg/*/delay"]')
    d.say()
    d.say("[identify.bounds]")
    d.say('"emg/*/gain" = [0.005, 5.0]')
    d.say()
    d.say("[identify.priors]")
    d.say('"emg/*/gain" = { mean = 0.5, sd = 0.5 }')
    d.say('"emg/*/shape" = { mean = -1.0, sd = 0.5 }')
