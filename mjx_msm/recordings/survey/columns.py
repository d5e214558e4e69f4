"""What a column of a recording seems to be, by its name, its unit and its values; and how it lies in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from mjx_msm.recordings.emg import finite_runs, zero_phase
from mjx_msm.recordings.quality.emg_quality import channel_quality
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.readers.units import unit_of
from mjx_msm.recordings.survey.spellings import Called, called, exactly, words_of

RAW_RATE = 400.0
"""Least samples a second of raw EMG [Hz]."""
FAST = 0.2
"""Share of the variance above 20 Hz, from which a muscle's signal is raw."""
INERTIAL = {"acc", "accel", "acceleration", "gyro"}
"""Words of what else a sensor of EMG measures."""
AT_AN_AXIS, AXES = {"mag", "imu"}, {"x", "y", "z"}
"""Words that mean so beside one of those, or an axis; else a muscle (magnus), or where an angle comes from."""
ANGULAR = {"angle", "angles", "flexion", "flex", "dorsiflexion"}
"""Words of an angle: with a joint's, what an inertial sensor was used for."""
OUT_OF_RADIANS = 2 * math.pi
"""Greater angles are degrees."""
KINDS = (
    "angle", "angular velocity", "moment", "raw EMG", "EMG envelope", "EMG", "force", "marker", "position", "constant",
    "empty", "other",
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """One column: what it seems to be, why, and what is doubtful about that."""

    name: str
    kind: str
    """One of `KINDS`."""
    unit: str
    """As the file says, else as the values suggest; "" where neither does."""
    why: str
    called: Called
    doubts: tuple[str, ...]
    low: float
    high: float
    gaps: int
    """Pauses between samples."""
    missing: float
    """Share of the samples that are no numbers."""
    faults: tuple[str, ...] = ()
    """Of EMG: what is wrong with it."""
    told: bool = False
    """Whether the file itself says the unit."""


def seen(table: Table, index: int, coordinates: Sequence[str] = (), muscles: Sequence[str] = ()) -> Seen:
    """What one column of a table seems to be; names of a model's coordinates and muscles are known as they are."""
    name, x = table.columns[index], table.values[:, index]
    said = table.units[index] if table.units else ""
    good = x[np.isfinite(x)]
    names = called(name)
    if not names.coordinate and not names.muscles:
        joint = next((c for c in coordinates if exactly(name, c)), "")
        own = next((m for m in muscles if not joint and exactly(name, m)), "")
        names = replace(names, coordinate=joint, muscles=(own,) if own else ())
    runs = finite_runs(x)
    about = {
        "gaps": max(len(runs) - 1, 0),
        "missing": float(np.mean(~np.isfinite(x))),
        "low": float(good.min()) if len(good) else math.nan,
        "high": float(good.max()) if len(good) else math.nan,
    }
    if not len(good):
        return Seen(name, "empty", said, "it holds no numbers", names, (), **about)
    kind, unit, why, doubts = _judged(table, name, good, said, names)
    faults: tuple[str, ...] = ()
    if kind in ("raw EMG", "EMG envelope"):
        faults = channel_quality(name, x, table.rate, raw=kind == "raw EMG").faults
    return Seen(name, kind, unit, why, names, doubts, faults=faults, told=unit_of(said) is not None, **about)


def _judged(table: Table, name: str, x: np.ndarray, said: str, names: Called) -> tuple[str, str, str, tuple[str, ...]]:
    """Kind, unit, reason, doubts."""
    unit = unit_of(said) if said else None
    words = words_of(name.replace("/", " ").replace(":", " "))
    # a C3D file's points come as x, y and z in mm; Plug-in Gait's angles and moments are points, too
    point = name.rsplit("/", 1)[-1].casefold() in ("x", "y", "z") and "/" in name
    if np.ptp(x) == 0:
        return "constant", said, f"it is {x[0]:g} throughout", ()
    emg_named = bool(names.muscles) or any(w in ("emg", "electromyography") for w in words)
    if unit is not None and unit.kind in ("angle", "angular velocity"):
        return unit.kind, said, "its unit says so", ()
    if unit is not None and unit.kind in ("moment", "moment per mass"):
        return "moment", said, "its unit says so", ()
    if names.quantity in ("moment",):
        guess = said or _moment_unit(x, names.coordinate)
        doubts = () if said else (f"no unit is given; its size suggests {guess}",)
        if table.in_degrees:
            doubts = ("its file says degrees, as one of angles does", *doubts)
        return "moment", guess, "its name says so", doubts
    if unit is not None and unit.kind == "force" and not point:
        return "force", said, "its unit says so", ()
    if names.quantity in ("force",):
        return "force", said, "its name says so", () if said else ("no unit is given: N, or kgf?",)
    if names.quantity == "velocity":
        return "angular velocity", said, "its name says so", ()
    if names.quantity == "power":
        return "other", said, "its name says power", ()
    if _inertial({*words}) and not (names.coordinate and ANGULAR & {*words}):
        return "other", said, "its name says an inertial sensor's", ()
    if point and unit is not None and unit.kind == "length" and not names.coordinate:
        return "marker", said, "a point in a unit of length", ()
    if emg_named and not names.coordinate:
        return _emg(table, x, said)
    if _translation(name):
        return "position", said or "m", "its name says so", ()
    if unit is not None and unit.kind == "length" and not names.coordinate:
        return "position", said, "its unit says so", ()
    if names.coordinate or _opensim_angle(table, name):
        return _angle(table, x, "its name says so" if names.coordinate else "its file is one of coordinates", said)
    if unit is not None and unit.kind == "voltage":
        kind, own, why, doubts = _emg(table, x, said)
        if kind == "raw EMG" and _like_emg(table, x):
            return kind, own, f"{why}; its spectrum is that of EMG", ("its name says no muscle", *doubts)
        return "other", said, "a voltage without a name that says what it measures", ()
    return "other", said, "neither its name nor its unit says what it is", ()


def _inertial(words: set[str]) -> bool:
    return bool(INERTIAL & words or (AT_AN_AXIS & words and AXES & words))


def _emg(table: Table, x: np.ndarray, said: str) -> tuple[str, str, str, tuple[str, ...]]:
    negative = x.min() < -0.05 * max(x.max(), 0.0)
    if table.rate >= RAW_RATE and _fast(x, table.rate):
        guess = "" if said else _volts(x)
        doubts = () if said else (f"no unit is given; its size suggests {guess}",)
        return "raw EMG", said or guess, f"it swings fast, at {table.rate:.4g} Hz", doubts
    if negative:
        slow = f"it swings about zero, but {table.rate:.4g} Hz are few for raw EMG"
        return "raw EMG", said, slow, ("was it sampled down? Its envelope cannot be told any more",)
    doubts = ()
    if x.max() > 3:
        doubts = (f"it reaches {x.max():.3g}: per cent, or µV?",)
    elif x.max() < 0.01:
        doubts = (f"it reaches only {x.max():.2g}: volts?",)
    below = "never negative" if x.min() >= 0 else f"hardly ever negative (down to {x.min():.2g})"
    return "EMG envelope", said, f"a muscle's name, and it is {below}", doubts


def _fast(x: np.ndarray, rate: float) -> bool:
    """Whether most of a signal is faster than any envelope, an offset left out."""
    if len(x) < 50:
        return False
    return float(np.var(zero_phase(x, rate, 20.0, 2, "highpass"))) > FAST * float(np.var(x))


def _like_emg(table: Table, x: np.ndarray) -> bool:
    """Whether a voltage has the spectrum of EMG and is at least now and then louder than its rest."""
    quality = channel_quality("", x, table.rate, raw=True)
    return quality.colour > 3 and quality.artefact < 1 and quality.peak < 0.05


def _volts(x: np.ndarray) -> str:
    size = float(np.quantile(np.abs(x - np.median(x)), 0.99))
    return "V" if size < 0.01 else "mV" if size < 8 else "µV"


def _moment_unit(x: np.ndarray, coordinate: str) -> str:
    """By the size of net joint moments: below 5 a kilogram, below 500 in all [N·m], and a leg's above 2.5."""
    size = float(np.quantile(np.abs(x), 0.99))
    leg = coordinate.startswith(("hip", "knee", "ankle"))
    return "Nmm" if size > 1500 else "Nm/kg" if leg and size < 2.5 else "Nm"


def _angle(table: Table, x: np.ndarray, why: str, said: str) -> tuple[str, str, str, tuple[str, ...]]:
    top = float(np.max(np.abs(x)))
    if said:
        return "angle", said, why, ()
    if table.in_degrees is not None:
        unit = "deg" if table.in_degrees else "rad"
        whole = float(np.max(np.abs(table.values[np.isfinite(table.values)])))
        if unit == "rad" and top > OUT_OF_RADIANS:
            return "angle", "deg", why, (f"the file says radians, but it reaches {top:.3g}",)
        if unit == "deg" and whole < math.pi:
            return "angle", "deg", why, (f"the file says degrees, but nothing in it exceeds {whole:.3g}: radians?",)
        return "angle", unit, f"{why}, and its header says {'degrees' if unit == 'deg' else 'radians'}", ()
    if top > OUT_OF_RADIANS:
        return "angle", "deg", f"{why}, and it reaches {top:.3g}", ()
    if np.ptp(x) > 3.6:  # no joint in a plane turns so far in radians
        return "angle", "deg", f"{why}, and its range is {np.ptp(x):.3g}", ("no unit is given; degrees by its range",)
    return "angle", "rad", f"{why}, and it stays within {top:.3g}", ("no unit is given; radians by its size",)


def _translation(name: str) -> bool:
    return name.rsplit("/value", 1)[0].endswith(("_tx", "_ty", "_tz")) or "_trans" in name


def _opensim_angle(table: Table, name: str) -> bool:
    return name.endswith("/value") or table.in_degrees is True


def pauses(time: Float[np.ndarray, "time"]) -> int:
    """How often the time between rows is twice the usual or more."""
    step = np.diff(time)
    return int(np.count_nonzero(step > 1.9 * np.median(step)))
