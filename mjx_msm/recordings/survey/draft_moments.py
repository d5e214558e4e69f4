"""Moments in a draft: the column of every joint's, its unit where the file is silent, its sign like the angle's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mjx_msm.recordings.readers.units import Unit, unit_of
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.draft_text import Draft, column_entry, key
from mjx_msm.recordings.survey.dynamometers import maker_of
from mjx_msm.recordings.survey.matching import coordinate_column
from mjx_msm.recordings.survey.trials import Group


def write_moments(
    d: Draft,
    groups: Sequence[Group],
    angles: Mapping[str, tuple[Seen, dict[str, object]]],
    studied: Sequence[str],
) -> dict[str, Seen]:
    """Columns of moments, or a dynamometer's force; written out."""
    lead = next((g.moments for g in groups if g.moments is not None), None)
    if lead is None:
        return {}
    out: dict[str, Seen] = {}
    lines: list[tuple[str, str, str]] = []
    for name in studied:
        columns = lead.of("moment")
        own = [
            (far, c.called.side != d.side, len(c.name), i)
            for i, c in enumerate(columns)
            if (far := coordinate_column(c, name, d.model.coordinates, d.side)) is not None
        ]
        if not own:
            continue
        column = columns[min(own)[-1]]
        keys, doubt = moment_unit(column)
        if name in angles and "scale" in angles[name][1]:
            keys["scale"] = -1.0
            doubt = f"turned like its angle{'; ' + doubt if doubt else ''}"
        out[name] = column
        lines.append((f"{key(name)} = {column_entry(column.name, keys)}", doubt, column.why))
    dynamometer = [c for c in lead.of("force", "moment") if not c.called.coordinate]
    if not out and not angles and len(studied) == 1 and dynamometer:
        out[studied[0]] = dynamometer[0]
        return out  # its sign differs from trial to trial
    if lines and not maker_of(lead):  # of a dynamometer its sign differs from trial to trial
        d.say()
        d.say("[moment_columns]")
        for line, doubt, why in lines:
            d.say(line, doubt=doubt, why=why)
    return out


def moment_unit(column: Seen) -> tuple[dict[str, object], str]:
    """The unit of a moment as a key, where the file does not tell it, and what is doubtful; reading converts both."""
    unit, doubts = unit_of(column.unit), list(column.doubts)
    if column.told and unit is None:
        doubts.append(f"its unit '{column.unit}' is not known, so that it counts as N·m: give units, or scale")
    keys: dict[str, object] = {}
    if not column.told and unit is not None and unit != Unit("moment", 1.0):
        keys["units"] = column.unit
    return keys, "; ".join(doubts)
