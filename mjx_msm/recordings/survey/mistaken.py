"""Files taken for another kind: angles under the names of moments, by their numbers and by the file's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mjx_msm.recordings.quality.moment_faults import angle_again
from mjx_msm.recordings.readers.units import unit_of
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.files import Clock, Survey
from mjx_msm.recordings.survey.spellings import words_of

OF_MOMENTS = {"moment", "moments", "torque", "torques", "kinetics"}
"""Words in the name of a file of moments."""
WITHOUT = {"no", "off", "without", "zero", "free", "ohne"}
"""Words beside those in the name of a file of something else: of what was done without a motor's torque."""


def with_mistaken(found: Sequence[Survey]) -> list[Survey]:
    """Files seen together: moments that are an angle of one of them are doubtful; files that hold angles and are called
    like moments are told of."""
    out = []
    for one in found:
        clocks = tuple(
            replace(clock, columns=tuple(_doubtful(c, one, clock, found) for c in clock.columns))
            for clock in one.clocks
        )
        said = called_otherwise(one)
        out.append(replace(one, clocks=clocks, notes=(*one.notes, said) if said else one.notes))
    return out


def called_otherwise(found: Survey) -> str:
    """What to say of a file that is called like one of moments and holds angles instead; "" of another."""
    words = words_of(found.path.name.split(".")[0])
    told = OF_MOMENTS & {*words} or words[-1:] == ["id"] or {"inverse", "dynamics"} <= {*words}
    angles = found.of("angle")
    if not told or WITHOUT & {*words} or not angles or found.of("moment", "force", "raw EMG", "EMG envelope"):
        return ""
    one = angles[0]
    return (
        f"it is called like a file of moments and holds angles ('{one.name}' from {one.low:.3g} to {one.high:.3g} "
        f"{one.unit}); export the moments, or leave it out"
    )


def _doubtful(column: Seen, own: Survey, clock: Clock, found: Sequence[Survey]) -> Seen:
    """A moment, with a doubt where its numbers are an angle's."""
    if column.kind != "moment" or not column.called.coordinate:
        return column
    values = clock.table.values[:, clock.table.columns.index(column.name)]
    for path, angle, time, x in _angles(column, found):
        known = np.isfinite(x)
        if known.sum() < 2:
            continue
        inside = (clock.table.time >= time[known][0]) & (clock.table.time <= time[known][-1])
        there = np.where(inside, np.interp(clock.table.time, time[known], x[known]), np.nan)
        if angle_again(values, there) is not None:
            place = "here" if path == own.path else f"in {path.name}"
            doubt = f"its numbers are those of the angle '{angle.name}' {place}: the moments were not exported"
            return replace(column, doubts=(doubt, *column.doubts))
    return column


def _angles(column: Seen, found: Sequence[Survey]) -> Iterator[tuple[Path, Seen, np.ndarray, np.ndarray]]:
    """The angles of a moment's joint, with their time [s] and values [rad]."""
    for one in found:
        for clock in one.clocks:
            for i, c in enumerate(clock.columns):
                unit = unit_of(c.unit)
                same = (c.called.coordinate, c.called.side) == (column.called.coordinate, column.called.side)
                if c.kind == "angle" and same and unit is not None:
                    yield one.path, c, clock.table.time, clock.table.values[:, i] * unit.factor
