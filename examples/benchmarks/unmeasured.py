"""Muscles without EMG: what is lost of the others, and what a walk that was not seen says of it.

    python examples/benchmarks/unmeasured.py [--quick] [--only knees|arms|walks] [--json FILE]

Knees: a recorded treadmill walk's angles and EMG, and moments, with 0.5 N·m of noise, by a person whose vastus
intermedius, semimembranosus and short head are driven by random non-negative mixes of four synergies: errors of the
measured muscles' lengths, of those that all EMG tells, with all EMG and without that of the three. Arms: strengths,
lengths and masses, with BRA and TRImed unmeasured, which are driven at random as all others are (with the noise of a
laboratory, and with hardly any, where all EMG leaves next to no error to compare with), or as a motion takes. Walks:
one predicted from the other, with neighbours' EMG copied to muscles that no electrode reached, and with synergies
instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.common.compiled import float64
from mjx_msm.common.toml_tables import read_toml
from mjx_msm.dynamics.fatigue import Fatigue
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.settings import UNMEASURED_BY
from mjx_msm.recordings.subject_file.emg import BY_SYNERGIES
from mjx_msm.recordings.subject_file.loading import Study, study_of
from mjx_msm.recordings.synergies import UNMEASURED, extended
from mjx_msm.recordings.synthetic_effort import synthetic_effort
from mjx_msm.recordings.trial import reordered
from mjx_msm.study.settings import settings, study_model

FILE = Path(__file__).resolve().parents[1] / "treadmill" / "subject.toml"
HIDDEN = ("vasint", "semimem", "bfsh")
COPIED = ("vasint", "bfsh", "semiten")
"""That the subject file drives by neighbours' EMG."""
COUNT = 4
OF_THE_ARM = ("BRA", "TRImed")
NOISES = {"0.3° and 5 % of the EMG off": (np.deg2rad(0.3), 0.05), "hardly any noise": (5e-4, 0.0)}
"""Of an arm's angles [rad], and of its EMG, relative."""
LIGHT, POSTURES = 0.08, {"shoulder_elev": (-0.2, 1.0), "elbow_flex": (0.2, 1.4)}
"""Effort of an arm that does what a motion takes, and about which postures it moves [rad]."""
TIRELESS = 1e-9
"""[1/s]."""
NOISE = 0.5
"""Of synthetic moments [N·m]."""
LENGTHS = ("optimal_fiber_length", "tendon_slack_length")


def study(method: str = "") -> Study:
    """Of the treadmill; by a method, its copies unmeasured."""
    document = dict(read_toml(FILE, "subject file"))
    emg = dict(document["emg"])
    if method:
        emg |= {"muscles": {**emg["muscles"], **dict.fromkeys(COPIED, UNMEASURED)}, "unmeasured": method}
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
    mixes = {m: (UNMEASURED if m in HIDDEN else mix) for m, mix in whole.emg_map.items()}
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
    silent = {m: {} if m in HIDDEN else mix for m, mix in whole.emg_map.items()}
    ways = [
        ("all EMG", with_all, known, own_gains, {}),
        ("synergies", without, longer.emg_map, longer.free, {"priors": {**asked["priors"], **longer.priors}}),
        *((by, walk, silent, (), {"unmeasured": dict.fromkeys(HIDDEN, by)}) for by in UNMEASURED_BY),
    ]

    def found(way: Any) -> tuple[str, msm.Identification]:
        name, trial, mapped, more, others = way
        trial = replace(trial, moment=moment, moment_coordinates=model.free)
        told = {**asked, **others, "emg_map": mapped}
        return name, msm.identify(model, trial, free=[*free, *gains, *more], **told)

    yield from compared(f"knee of person {seed}", map(found, ways), change, free)


def compared(
    who: str, results: Iterable[tuple[str, msm.Identification]], truth: Mapping[str, float], paths: Sequence[str]
) -> Iterator[Row]:
    """Errors of what all EMG, which comes first, determines: of all of it, and of what another result determines."""
    first: msm.Identification | None = None
    for name, result in results:
        first = first or result
        all_emg = [e.path for e in first.estimates if e.path in paths and e.determined]
        still = [p for p in all_emg if result[p].determined]
        inside = float(np.mean([result[p].low <= truth[p] <= result[p].high for p in all_emg]))
        yield row(f"{who}, {name}: error", error_of(result, truth, all_emg), "%", n=len(all_emg))
        yield row(f"{who}, {name}: 95 % intervals that hold the truth", inside, "-", n=len(all_emg))
        if result is first:
            continue
        every = error_of(result, truth, all_emg) / error_of(first, truth, all_emg)
        yield row(f"{who}, {name}: error over that with all EMG", every, "×", at_most=2.0)
        yield row(f"{who}, {name}: parameters that it determines, too", len(still), f"of {len(all_emg)}")
        if still:
            own = error_of(result, truth, still) / error_of(first, truth, still)
            yield row(f"{who}, {name}: their error over that with all EMG", own, "×", at_most=2.0)
        elif any("nothing is left" in note for note in result.notes):
            yield row(f"{who}, {name}: says that nothing is left to learn from", 1, "")


def error_of(result: msm.Identification, truth: Mapping[str, float], paths: Sequence[str]) -> float:
    """Root mean square [%]."""
    return 100 * float(np.sqrt(np.mean([np.square(result[p].value / truth[p] - 1) for p in paths])))


def person_of(seed: int) -> tuple[msm.Model, list[str], dict[str, float], msm.Parameters]:
    """An arm, what is to be found of it, the truth of that, and of everything."""
    model = msm.load_model("arm")
    free = [f"muscle/{m}/{f}" for m in model.muscles if m not in OF_THE_ARM for f in ("max_isometric_force", *LENGTHS)]
    free += [f"body/{b}/mass" for b in ("humerus", "forearm")]
    values, rng = model.nominal.to_dict(), np.random.default_rng(seed)
    change = {p: values[p] * (1 + (0.03 if "slack" in p else 0.1) * rng.uniform(-1, 1)) for p in free}
    return model, free, change, model.nominal.updated(change)


def arm(seed: int, noise: str) -> Iterator[Row]:
    """Muscles and bones of an arm, of accelerations, with two antagonists of the elbow unmeasured; the six muscles'
    excitations have nothing to do with each other: no method can know those of the two."""
    model, free, change, truth = person_of(seed)
    angle, emg = NOISES[noise]
    about = {"count": 4, "duration": 2.0, "rate": 250, "seed": seed}
    trials = msm.synthetic_trials(model, truth, **about, angle_noise=angle, emg_noise=(emg, 0.0))
    yield from without_two(f"arm of person {seed}, {noise}", model, trials, free, change)


def striving(seed: int) -> Iterator[Row]:
    """An arm that moves as it is asked to, by the least effort in relative entropy: muscles of one action are driven
    alike. What such a recording tells is little, whatever was measured."""
    model, free, change, truth = person_of(seed)
    noise, rng, trials = next(iter(NOISES)), np.random.default_rng(seed), []
    angle, emg = NOISES[noise]
    for k in count():
        about = {c: float(rng.uniform(*POSTURES[c])) for c in model.free}
        asked = {"posture": about, "duration": 4.0, "rate": 250, "seed": 100 * seed + k, "name": f"lift {k}"}
        least = {"usual": LIGHT, "wandering": (0.0, 0.0), "angle_noise": angle, "emg_noise": (emg, 0.0)}
        try:
            made = synthetic_effort(model, truth, Fatigue(TIRELESS, TIRELESS, 1.0), **asked, **least)
        except msm.InputError:  # about another posture, then
            continue
        trials.append(made.trial)
        if len(trials) == 4:
            break
    yield from without_two(f"striving arm of person {seed}, {noise}", model, trials, free, change)


def without_two(
    who: str, model: msm.Model, trials: Sequence[msm.Trial], free: Sequence[str], truth: Mapping[str, float]
) -> Iterator[Row]:
    """An arm with all EMG, and without that of two muscles, by every method."""
    silent = {m: {} if m in OF_THE_ARM else {m: 1.0} for m in model.muscles}
    mixes = {m: UNMEASURED if m in OF_THE_ARM else mix for m, mix in silent.items()}
    longer = extended(trials, [trials], mixes, 3)
    courses = recorded_emg(longer.trials[0], tuple(longer.emg_map[OF_THE_ARM[0]]))
    for muscle, course in zip(OF_THE_ARM, recorded_emg(trials, OF_THE_ARM).T, strict=True):
        part = 1.0 - nnls(courses, course)[1] ** 2 / float(course @ course)
        yield row(f"{who}: squares of {muscle}'s EMG that synergies of the others have", part, "-")
    asked = {"residuals": ("acceleration",), "held": "exact"}
    ways = [
        ("all EMG", trials, {}),
        ("synergies", longer.trials[0], {"emg_map": longer.emg_map, "priors": longer.priors}),
        *((by, trials, {"emg_map": silent, "unmeasured": dict.fromkeys(OF_THE_ARM, by)}) for by in UNMEASURED_BY),
    ]
    results = (
        (name, msm.identify(model, own, free=[*free, *(longer.free if name == "synergies" else ())], **asked, **more))
        for name, own, more in ways
    )
    yield from compared(who, results, truth, free)


def recorded_emg(trials: Sequence[msm.Trial], channels: Sequence[str]) -> np.ndarray:
    """Of all trials, one after another."""
    return np.concatenate([t.emg[:, [t.channels.index(c) for c in channels]] for t in trials])


def recorded(first: int) -> Iterator[Row]:
    """A walk from the other one; the methods against copies."""
    copied: float | None = None
    for name in ("neighbours' EMG copied", BY_SYNERGIES, *UNMEASURED_BY):
        own = study("" if copied is None else name)
        model = study_model(own)
        asked = settings(own, model)
        result = msm.identify(model, own.trials[first], held_out=[own.trials[1 - first]], settings=asked)
        (fit,) = (f for f in result.fits if f.role == "held-out")
        yield row(f"{fit.trial} from the other walk, {name}", fit.identified, "N·m", at_most=copied)
        yield row(f"{fit.trial} from the other walk, {name}: correlation", fit.correlation, "-")
        copied = fit.identified if copied is None else copied


def both_walks(quick: bool) -> Iterator[Row]:
    """Each from the other; one in the reduced form."""
    for first in range(1 if quick else 2):
        yield from recorded(first)


def of_arms(quick: bool) -> Iterator[Row]:
    """Three, with two noises, and one that strives; one each in the reduced form."""
    for seed in range(1 if quick else 3):
        for noise in NOISES:
            yield from arm(seed, noise)
    yield from striving(0)


def of_knees(quick: bool) -> Iterator[Row]:
    """Three; one in the reduced form."""
    for seed in range(1 if quick else 3):
        yield from synthetic(seed, 10.0)


PARTS = {"knees": of_knees, "arms": of_arms, "walks": both_walks}


def rows(quick: bool) -> Iterator[Row]:
    """Everything."""
    return chain.from_iterable(part(quick) for part in PARTS.values())


if __name__ == "__main__":
    run(__doc__, rows, PARTS)
