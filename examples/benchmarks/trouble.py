"""Trouble on purpose: whether the intervals hold the truth where the model or the recording is wrong.

    python examples/benchmarks/trouble.py [--quick] [--json FILE]

A synthetic arm, 0.3° of noise on its angles throughout, 23 unknowns (muscles, damping, forearm mass, centres of mass).
What is wrong is not declared: `identify` is given the model as it is, and has the EMG's gain and delay to find in the
one row that says so. Of every row, over people or recordings drawn anew:

- the part of the 95 % intervals of what is called determined that hold the truth (90 % are wanted),
- the median error of those estimates, and the median half width of their intervals,
- the part of the runs in which something speaks against the model or the recording in words.

A gain and delay that are freed are those of the EMG, and not counted. Another muscle law has parameters of the same
names that are not the same thing: its lengths and strengths are the truth here all the same.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import NOISE, case, practical
from table import Row, row, run
from truth import recorded

import mjx_msm as msm

HALF = ("muscle/*/max_isometric_force", "joint/*/damping", "body/forearm/mass")
"""What is estimated where the other half is wrong."""
EMG = ("emg/*/gain", "emg/*/delay")


@dataclass(frozen=True)
class Trouble:
    """What is wrong, with the truth it is wrong about."""

    truth: Callable[[int], tuple[msm.Model, msm.Parameters]]
    """Model and person that the recordings are of, by draw."""
    spoil: Callable[[msm.Trial, int], msm.Trial] = lambda trial, index: trial
    free: tuple[str, ...] = ()
    """What is estimated; by default all 23."""
    more: tuple[str, ...] = ()


def reshaped(model: msm.Model, folder: Path, name: str, edit: Any) -> msm.Model:
    """The model with its geometry edited."""
    spec = model.host.spec.copy()
    edit(spec)
    spec.compile()
    path = folder / f"{name}.xml"
    path.write_text(spec.to_xml(), encoding="utf-8")
    return msm.load_model(path)


def longer_forearm(spec: Any) -> None:
    for site in spec.body("forearm").sites:
        site.pos *= 1.05


def other_moment_arms(spec: Any) -> None:
    for geom in spec.geoms:
        if geom.classname.name == "wrap":
            geom.size[0] *= 1.05


def delayed(t: msm.Trial, gain: float, delay: float) -> msm.Trial:
    """What the electrodes see when EMG is `gain` times the excitation and runs `delay` [s] ahead of it; the end of the
    motion, of which there would be none, is left out."""
    shift, stop = round(delay / t.timestep), len(t.time) - round(delay / t.timestep)
    velocity = None if t.velocity is None else t.velocity[:stop]
    return replace(t, time=t.time[:stop], position=t.position[:stop], velocity=velocity, emg=gain * t.emg[shift:])


def dropped(t: msm.Trial, index: int) -> msm.Trial:
    gone = np.random.default_rng(index).random(len(t.time)) < 0.2
    gone[[0, -1]] = False
    return replace(t, position=np.where(gone[:, None], np.nan, t.position))


def saturated(t: msm.Trial, index: int) -> msm.Trial:
    """The long head's channel cut off at 0.15 in the first trial."""
    channel, emg = t.channels.index("BIClong"), t.emg.copy()
    if index == 0:
        emg[:, channel] = np.minimum(emg[:, channel], 0.15)
    return replace(t, emg=emg)


def troubles(folder: Path) -> dict[str, Trouble]:
    model = case("arm").model
    longer, wider = (reshaped(model, folder, e.__name__, e) for e in (longer_forearm, other_moment_arms))
    other = msm.load_model("arm", muscle="degroote")

    def of(world: msm.Model) -> Callable[[int], tuple[msm.Model, msm.Parameters]]:
        return lambda draw: (world, world.nominal)

    return {
        "nothing": Trouble(of(model)),
        "EMG gain and delay unknown": Trouble(of(model), lambda t, _: delayed(t, 0.7, 0.03), more=EMG),
        "forearm attachments 5 % off": Trouble(of(longer)),
        "wrapping radii 5 % off": Trouble(of(wider)),
        "another muscle law": Trouble(of(other)),
        "half of the parameters fixed, up to 10 % off": Trouble(
            lambda draw: (model, msm.synthetic_subject(model, seed=draw)), free=HALF
        ),
        "20 % of the samples dropped": Trouble(of(model), dropped),
        "biceps channel saturated in one trial": Trouble(of(model), saturated),
    }


@dataclass(frozen=True)
class Found:
    """Of one identification: errors, half widths, whether an interval holds the truth; whether something was said."""

    off: np.ndarray
    half: np.ndarray
    inside: np.ndarray
    determined: np.ndarray
    said: bool


def one(trouble: Trouble, draw: int, *, count: int = 3, duration: float = 1.5, held: str = "uncertain") -> Found:
    """Identify from `count` trials with the trouble in them."""
    c = case("arm")
    world, person = trouble.truth(draw)
    asked: Any = {"count": count, "duration": duration, "seed": 3 + draw, "angle_noise": NOISE}
    own = isinstance(world.muscle, msm.MujocoMuscle)  # another law is none of C's
    trials = (recorded if own else msm.synthetic_trials)(world, person, **asked)
    trials = tuple(trouble.spoil(t, i) for i, t in enumerate(trials))
    tied = ("emg/*/delay",) if trouble.more else ()
    free = (*(trouble.free or practical(c)), *trouble.more)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = msm.identify(c.model, trials, free=free, tied=tied, held=held)
    values = person.to_dict()
    chosen = [e for e in result.estimates if e.path in values]
    truth = np.array([values[e.path] for e in chosen])
    return Found(
        off=np.array([abs(e.value - x) / abs(x) for e, x in zip(chosen, truth, strict=True)]),
        half=np.array([(e.high - e.low) / 2 / abs(x) for e, x in zip(chosen, truth, strict=True)]),
        inside=np.array([e.low <= x <= e.high for e, x in zip(chosen, truth, strict=True)]),
        determined=np.array([e.determined for e in chosen]),
        said=bool(result.contradicted or result.notes or any(f.against for f in result.fits)),
    )


def rows(quick: bool) -> Iterator[Row]:
    """Every trouble, with intervals that allow for what was held, and without."""
    draws = 2 if quick else 20
    with tempfile.TemporaryDirectory() as folder:
        for name, trouble in troubles(Path(folder)).items():
            for held in ("uncertain", "exact"):
                found = [one(trouble, draw, held=held) for draw in range(draws)]
                off, half, inside, known = (
                    np.concatenate([getattr(f, field) for f in found])
                    for field in ("off", "half", "inside", "determined")
                )
                label = f"arm, trouble: {name}" + ("" if held == "uncertain" else ", the rest taken as exact")
                wanted = 90.0 if held == "uncertain" else None
                share = 100 * float(inside[known].mean()) if known.any() else np.nan
                yield row(f"{label}: intervals that hold the truth", share, "%", at_least=wanted, n=int(known.sum()))
                if held == "uncertain":
                    yield row(
                        f"{label}: all of them, determined or not", 100 * float(inside.mean()), "%", n=len(inside)
                    )
                    yield row(f"{label}: median error", 100 * float(np.median(off[known])), "%", n=draws)
                    yield row(f"{label}: median half width", 100 * float(np.median(half[known])), "%", n=draws)
                    yield row(f"{label}: runs with something said", 100 * float(np.mean([f.said for f in found])), "%")


if __name__ == "__main__":
    run(__doc__, rows)
