"""Muscles without EMG: what is lost of the others, and what a walk that was not seen says of it.

    python examples/benchmarks/unmeasured.py [--quick] [--json FILE]

Synthetic truth: a recorded treadmill walk's angles and EMG, and moments, with 0.5 N·m of noise, by a person whose
vastus intermedius, semimembranosus and short head are driven by random non-negative mixes of four synergies: errors of
the measured muscles' lengths, of those that all EMG tells, with all EMG and without that of the three. Recorded: a walk
predicted from the other, with neighbours' EMG copied to muscles that no electrode reached, and with synergies instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.common.compiled import float64
from mjx_msm.common.toml_tables import read_toml
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.subject_file.loading import Study, study_of
from mjx_msm.recordings.synergies import extended
from mjx_msm.recordings.trial import reordered
from mjx_msm.study.settings import settings, study_model

FILE = Path(__file__).resolve().parents[1] / "treadmill" / "subject.toml"
HIDDEN = ("vasint", "semimem", "bfsh")
COPIED = ("vasint", "bfsh", "semiten")
"""That the subject file drives by neighbours' EMG."""
COUNT = 4
NOISE = 0.5
"""Of synthetic moments [N·m]."""
LENGTHS = ("optimal_fiber_length", "tendon_slack_length")


def study(unmeasured: tuple[str, ...] = ()) -> Study:
    document = dict(read_toml(FILE, "subject file"))
    emg = dict(document["emg"])
    if unmeasured:
        emg |= {"muscles": {**emg["muscles"], **dict.fromkeys(unmeasured, "unmeasured")}, "synergies": COUNT}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return study_of({**document, "emg": emg}, FILE)


def synthetic(seed: int, seconds: float) -> Iterator[Row]:
    """One person."""
    rng, whole = np.random.default_rng(seed), study()
    model, walk = study_model(whole), whole.trials[0]
    rows = walk.time < walk.time[0] + seconds
    cut = {f: getattr(walk, f)[rows] for f in ("time", "position", "emg")}
    walk = replace(walk, **cut, moment=None, moment_coordinates=())
    mixes = {m: ("unmeasured" if m in HIDDEN else mix) for m, mix in whole.emg_map.items()}
    longer = extended([walk], [[walk]], mixes, COUNT)
    (without,) = longer.trials[0]
    courses = without.emg[:, len(walk.channels) : len(walk.channels) + COUNT]
    driven = np.clip(courses @ rng.uniform(0, 0.3, (COUNT, len(HIDDEN))), 0, 1)
    names = tuple(f"true {m}" for m in HIDDEN)
    with_all = replace(walk, channels=(*walk.channels, *names), emg=np.concatenate([walk.emg, driven], axis=1))
    known = {m: ({f"true {m}": 1.0} if m in HIDDEN else mix) for m, mix in whole.emg_map.items()}
    seen = [m for m in model.muscles if m not in (*HIDDEN, "soleus", "tibant")]
    free = [f"muscle/{m}/{f}" for m in seen for f in LENGTHS]
    channels = tuple(dict.fromkeys(c for mix in known.values() for c in mix))
    gains = [f"emg/{c}/gain" for c in channels if c in walk.channels]
    own_gains = [f"emg/{c}/gain" for c in names]
    nominal = model.nominal.with_channels(channels)
    space = msm.parameter_space(nominal, [*free, *gains, *own_gains])
    values = nominal.to_dict()
    change = {p: values[p] * (1 + (0.1 if "fiber" in p else 0.03) * rng.uniform(-1, 1)) for p in free}
    truth = nominal.updated({**change, **{p: rng.uniform(0.3, 0.7) for p in gains}})
    recording = record(model, reordered(with_all, channels), known)
    term = moment_term(model, space, (recording,), 50.0)
    with float64():
        z = np.asarray(space.pack(truth))
    blank = replace(term, target=np.zeros_like(term.target), mask=np.ones_like(term.mask))
    said = blank.evaluate(z, np.ones(1))[:, 0] + NOISE * rng.normal(size=len(term.sample))
    time = recording.start + model.timestep * term.sample
    moment = np.interp(walk.time, time, said, left=np.nan, right=np.nan)[:, None]
    asked = {"residuals": ("moment",), "rate": 50.0, "priors": {"emg/*/gain": {"mean": 0.5, "relative_sd": 0.5}}}
    errors, determined = {}, None
    for name, trial, mapped, more, priors in (
        ("all EMG", with_all, known, own_gains, {}),
        ("three muscles unmeasured", without, longer.emg_map, longer.free, longer.priors),
    ):
        trial = replace(trial, moment=moment, moment_coordinates=model.free)
        told = {**asked, "priors": {**asked["priors"], **priors}}
        result = msm.identify(model, trial, free=[*free, *gains, *more], emg_map=mapped, **told)
        if determined is None:
            determined = [e.path for e in result.estimates if e.path in free and e.determined]
        off = [result[p].value / change[p] - 1 for p in determined]
        errors[name] = 100 * float(np.sqrt(np.mean(np.square(off))))
        inside = float(np.mean([result[p].low <= change[p] <= result[p].high for p in determined]))
        yield row(f"person {seed}, {name}: error of measured muscles' lengths", errors[name], "%", n=len(determined))
        yield row(f"person {seed}, {name}: 95 % intervals that hold the truth", inside, "-", n=len(determined))
    ratio = errors["three muscles unmeasured"] / errors["all EMG"]
    yield row(f"person {seed}: ratio of the errors", ratio, "×", at_most=2.0)


def recorded(first: int) -> Iterator[Row]:
    """A walk from the other one."""
    for name, unmeasured in (("neighbours' EMG copied", ()), ("synergies", COPIED)):
        own = study(unmeasured)
        model = study_model(own)
        asked = settings(own, model)
        result = msm.identify(model, own.trials[first], held_out=[own.trials[1 - first]], settings=asked)
        (fit,) = (f for f in result.fits if f.role == "held-out")
        yield row(f"{fit.trial} from the other walk, {name}", fit.identified, "N·m")
        yield row(f"{fit.trial} from the other walk, {name}: correlation", fit.correlation, "-")


def rows(quick: bool) -> Iterator[Row]:
    """Five people and both walks; one of each in the reduced form."""
    for seed in range(1 if quick else 5):
        yield from synthetic(seed, 10.0 if quick else 30.0)
    for first in range(1 if quick else 2):
        yield from recorded(first)


if __name__ == "__main__":
    run(__doc__, rows)
