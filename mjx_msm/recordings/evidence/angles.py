"""Angles against the range of their joint, and recorded velocities against the angles' derivative."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from mjx_msm.person.inspection import coordinate_range
from mjx_msm.person.model import Model
from mjx_msm.recordings.evidence.states import States
from mjx_msm.recordings.evidence.wording import Change, line_of, reading_of
from mjx_msm.recordings.readers.units import Unit, unit_of
from mjx_msm.recordings.trial import Trial

MARGIN = math.radians(12.0)
"""Beyond a joint's stops, which are those of a usual person in one convention of zero."""
OUTSIDE = 0.05
"""Share of a trial outside its joint's range that contradicts it."""
FIT = 0.01
"""Share that may be outside once a sign or unit is changed."""
CONTRADICTS = 0.5
"""Of a recorded velocity's root mean square: its difference from the derivative of the angles."""
MOVES = math.radians(10.0)
"""Root mean square of a velocity that can be compared [rad/s]."""


def out_of_range(model: Model, trial: Trial) -> Iterator[str]:
    """Coordinates that leave the range of their joint in the model."""
    for name in (*model.free, *model.prescribed):
        low, high = coordinate_range(model, name)
        if name not in trial.coordinates or not math.isfinite(high - low):
            continue
        x = trial.position[:, trial.coordinates.index(name)]
        x = x[np.isfinite(x)]
        share = _outside(x, low, high)
        if not len(x) or share <= OUTSIDE:
            continue
        said = (
            f"trial '{trial.name}': '{name}' runs from {math.degrees(x.min()):.3g} to {math.degrees(x.max()):.3g}°, "
            f"{100 * share:.0f} % of it outside the joint's range in the model ({math.degrees(low):.0f} to "
            f"{math.degrees(high):.0f}°)"
        )
        changes = {
            "with the opposite sign it would fit": Change(turned=True),
            "in degrees it would fit": Change(units="deg"),
            "in degrees, with the opposite sign, it would fit": Change(turned=True, units="deg"),
            "less a full turn it would fit": Change(plus=-math.tau),
            "plus a full turn it would fit": Change(plus=math.tau),
            "as 180° less it would fit": Change(turned=True, plus=math.pi),
            "less 90° it would fit": Change(plus=-math.pi / 2),
        }
        read = unit_of(reading_of(trial, "columns", name).unit)
        radians = read is None or read == Unit("angle", 1.0)
        for words, change in changes.items():
            if change.units and not radians:
                continue
            y = (-x if change.turned else x) * (math.radians(1.0) if change.units else 1.0) + change.plus
            # what is degrees in truth moves by some of them
            if _outside(y, low, high) <= FIT and not (change.units and np.ptp(y) < math.radians(3.0)):
                yield f"{said}; {words}: if that is so, write {line_of(trial, 'columns', name, change)}"
                break
        else:
            yield f"{said}; check its units, its sign and its zero"


def _outside(x: np.ndarray, low: float, high: float) -> float:
    return float(np.mean((x < low - MARGIN) | (x > high + MARGIN))) if len(x) else 0.0


def wrong_velocities(model: Model, trial: Trial, at: States) -> Iterator[str]:
    """Recorded velocities that are not the derivative of the recorded angles."""
    if trial.velocity is None:
        return
    for i, name in enumerate(model.coordinates):
        if name not in trial.coordinates:
            continue
        said = at.of(trial, trial.velocity[:, trial.coordinates.index(name)])
        known = np.isfinite(said)
        if known.sum() < 20:
            continue
        said, real = said[known], at.velocity[known, i]
        size = float(np.sqrt(np.mean(real**2)))
        if max(size, float(np.sqrt(np.mean(said**2)))) < MOVES:
            continue
        off = float(np.sqrt(np.mean((said - real) ** 2)))
        if off <= CONTRADICTS * max(size, 1e-9):
            continue
        slope = float(said @ real / max(real @ real, 1e-12))
        r = float(np.corrcoef(said, real)[0, 1]) if np.ptp(said) > 0 and np.ptp(real) > 0 else 0.0
        guess = "are they of another trial, or late?"
        if abs(r) > 0.9 and 40 < abs(slope) < 80:
            guess = "they seem to be in degrees a second; convert them"
        elif r < -0.9 and 0.7 < -slope < 1.4:
            guess = "their sign seems to be the opposite one; turn them"
        yield (
            f"trial '{trial.name}': the recorded velocity of '{name}' contradicts its angles: it is {slope:.3g} times "
            f"their derivative (r = {r:.2f}), {math.degrees(off):.3g} of {math.degrees(size):.3g} °/s apart; {guess} "
            "Leave velocities out, and angles are differentiated"
        )
