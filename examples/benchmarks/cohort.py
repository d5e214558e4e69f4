"""What people tell of each other: a cohort that is made up, and eighteen older people who were recorded.

    python examples/benchmarks/cohort.py [--quick] [--json FILE]

Of 64 people that are made up, truths are known: every one is recorded for half a second, with noisy moments, which
leaves most parameters open. They are weaker than the model, the heavier the stronger, and otherwise differ by
`SPREAD`. Their usual posteriors are set beside those that the population leads to.

Eighteen older people pulled at a load cell (`examples/elderly`). The first halves of their contractions are set
beside the second ones, and what the other seventeen lead to expect of a person, from age, weight and height, beside
what the person's own recording determines; ridge regression is given the same inputs. Set MJX_MSM_DATA to the folder
that holds elderly_dynamometry/. `--quick`: twelve people, and six.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.common.compiled import float64
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.population import errors_of, in_z, learned, left_out
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.trial import Trial
from mjx_msm.study.cohort_file import load_cohort
from mjx_msm.study.cohort_run import load_study, run_study

FREE = ("muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length")
WEAKER, HEAVIER, SPREAD = -0.8, 0.4, 0.3
"""Of a made-up cohort, in usual priors' standard deviations: its shift, its slope on the mass, how people differ."""
NOISE = 2.0
"""Of the moments of a made-up person [N·m]."""
ELDERLY = Path(__file__).resolve().parents[1] / "elderly" / "study.toml"
STRENGTH = {"quadriceps": "muscle/[rv]*/max_isometric_force", "hamstrings": "muscle/[bs]*/max_isometric_force"}
GAIN = {"quadriceps": "emg/vastus_lateralis/gain", "hamstrings": "emg/biceps_femoris/gain"}
RIDGE = (0.1, 1.0, 10.0, 100.0)


# Made up ----------------------------------------------------------------------------------------------------


def made_up(people: int) -> Iterator[Row]:
    """A cohort whose truth is known."""
    model, rng = msm.load_model("arm"), np.random.default_rng(0)
    space = msm.parameter_space(model.nominal, FREE)
    cohort: dict[str, tuple[Trial, ...]] = {}
    traits: dict[str, dict[str, float | str]] = {}
    truths: dict[str, np.ndarray] = {}
    for k in range(people):
        size = rng.normal()
        deviation = WEAKER + HEAVIER * size + SPREAD * rng.normal(size=space.size)
        name = f"person {k + 1}"
        truths[name] = space.clip(space.prior_mean + space.prior_scale * deviation)
        traits[name] = {"mass": 70.0 * float(np.exp(0.15 * size))}
        cohort[name] = (recorded(model, space, truths[name], rng, seed=k),)
    found = msm.identify_many(model, cohort, free=FREE, residuals=["moment"], rate=100.0)
    results = {name: r for name, r in found.items() if isinstance(r, msm.Identification)}
    population = learned(results, traits, name="made up")
    usual, ours, inside, usual_inside = [], [], [], []
    for name, result in results.items():
        shrunk = population.shrunk(result, **traits[name])
        open_ = np.array([not e.determined for e in result.estimates])
        for r, errors, hits in ((result, usual, usual_inside), (shrunk, ours, inside)):
            error = np.array(r.z) - truths[name]
            errors += list((error / space.prior_scale)[open_])
            hits += list(np.abs(error) < 1.96 * np.sqrt(np.diag(np.array(r.covariance))))
    before, after = (float(np.sqrt(np.mean(np.square(x)))) for x in (usual, ours))
    yield row("made up: parameters that nobody's own recording determines", len(ours), "", n=len(results))
    yield row("made up: their error with the usual prior", before, "prior sd", n=len(usual))
    yield row("made up: their error with the population's", after, "prior sd", at_most=0.5 * before, n=len(ours))
    yield row(
        "made up: truths in 95 % intervals, usual prior", 100 * float(np.mean(usual_inside)), "%", n=len(usual_inside)
    )
    yield row("made up: truths in 95 % intervals", 100 * float(np.mean(inside)), "%", at_least=90.0, n=len(inside))
    yield row("made up: and not in too wide ones", 100 * float(np.mean(inside)), "%", at_most=98.0, n=len(inside))
    errors = [errors_of(results[n], e) for n, e in left_out(results, traits).items()]
    left, none = (float(np.sqrt(np.mean(np.square([x for pair in errors for x in pair[i]])))) for i in (0, 1))
    yield row("made up: somebody left out, what they determine, by the others", 100 * left, "%", n=len(results))
    yield row("made up: by the usual prior", 100 * none, "%", n=len(results))


def recorded(model: msm.Model, space: ParameterSpace, z: np.ndarray, rng: np.random.Generator, *, seed: int) -> Trial:
    """Half a second of a made-up person: their own motion, EMG and noisy moments."""
    with float64():
        truth = space.unpack(z)
    (trial,) = msm.synthetic_trials(model, truth, count=1, duration=0.5, rate=250, seed=seed)
    blank = replace(trial, moment_coordinates=model.coordinates, moment=np.zeros_like(trial.position))
    own = {m: {m: 1.0} for m in model.muscles}
    fine = msm.parameter_space(model.nominal.with_channels(model.muscles), FREE)
    term = moment_term(model, fine, [record(model, blank, own)], 250.0)
    moment = term.evaluate(z, np.ones(len(model.free)))
    return replace(blank, moment=moment + NOISE * rng.standard_normal(moment.shape))


# Recorded ---------------------------------------------------------------------------------------------------


def older_people(people: int | None) -> Iterator[Row]:
    """`examples/elderly`; its results are kept in $MJX_MSM_STUDY, if that is set."""
    if not os.environ.get("MJX_MSM_DATA"):
        raise msm.InputError("set MJX_MSM_DATA to the folder that holds elderly_dynamometry/")
    study = load_cohort(ELDERLY)
    study = replace(study, people=study.people[:people])
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(os.environ.get("MJX_MSM_STUDY") or temporary)
        run_study(study, out / "whole", executor="here")
        yield from strengths(load_study(study, out / "whole"))
        halves = replace(study, people=tuple(replace(p, document=halved(p.document)) for p in study.people))
        run_study(halves, out / "halves", executor="here")
        yield from second_halves(load_study(halves, out / "halves"))


def strengths(cohort: Cohort) -> Iterator[Row]:
    """Everybody's strength and gain, and what the others foretell of it."""
    results, traits = cohort.results, {m.name: m.traits for m in cohort.members}
    expected = left_out(results, traits)
    population = learned(results, traits, name=cohort.name)
    for who, result in results.items():
        shrunk = population.shrunk(result, **traits[who])
        for part, path in (
            *((f"{k} strength", v) for k, v in STRENGTH.items()),
            *((f"{k} gain", v) for k, v in GAIN.items()),
        ):
            e, s = result[path], shrunk[path]
            print(f"{who}, {part}: {e.value:.2f} [{e.low:.2f}, {e.high:.2f}], with the others {s.value:.2f} "
                  f"[{s.low:.2f}, {s.high:.2f}]", file=sys.stderr)  # fmt: skip
    names = list(results)
    inputs = np.array([[np.log(float(traits[n][t])) for t in ("age", "mass", "height")] for n in names])
    for part, path in STRENGTH.items():
        at = {n: [e.path for e in results[n].estimates].index(path) for n in names}
        own = np.array([results[n].z[at[n]] for n in names])
        usual = np.array([results[n].unknowns[at[n]].reference[0] for n in names])
        ours = np.array([in_z(results[n], expected[n])[0][at[n]] for n in names])
        sd = np.array([np.sqrt(in_z(results[n], expected[n])[1][at[n], at[n]]) for n in names])
        noise = np.array([np.sqrt(results[n].covariance[at[n]][at[n]]) for n in names])
        theirs = np.array([ridge(np.delete(inputs, k, 0), np.delete(own, k), inputs[k]) for k in range(len(names))])
        mean = np.array([np.mean(np.delete(own, k)) for k in range(len(names))])
        yield row(
            f"older people, {part} strength: spread of their own estimates", 100 * float(np.std(own)), "%", n=len(names)
        )
        for name, guess in (
            ("the usual prior", usual),
            ("the others' mean", mean),
            ("ridge on age, weight, height", theirs),
        ):
            yield row(f"{part} strength left out: {name}", 100 * rms(guess - own), "%", n=len(names))
        yield row(f"{part} strength left out: the population of the others", 100 * rms(ours - own), "%", n=len(names))
        hits = np.abs(ours - own) < 1.96 * np.sqrt(sd**2 + noise**2)
        yield row(f"{part} strength left out: in the 95 % interval", 100 * float(np.mean(hits)), "%", n=len(names))


def halved(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """A person's subject file that holds out the second halves of their ten seconds."""
    assert document is not None
    trials = [{**t, "stop": 5.0} for t in document["trials"]]
    trials += [{**t, "name": f"{t['name']}, second half", "start": 5.0, "role": "held-out"} for t in document["trials"]]
    return {**document, "trials": trials}


def second_halves(cohort: Cohort) -> Iterator[Row]:
    """What a person's first halves say of their second ones, beside regressions on the same samples."""
    fits = [f for r in cohort.results.values() for f in r.fits if f.role == "held-out"]
    relative = np.array([f.identified / f.spread for f in fits])
    yield row(
        "second halves from first: identified model, error in the middle",
        float(np.median([f.identified for f in fits])),
        "N·m",
        n=len(fits),
    )
    for name in ("ridge", "kernel ridge"):
        theirs = np.array([f.beside[name] for f in fits])
        yield row(
            f"second halves from first: {name}, error in the middle", float(np.median(theirs)), "N·m", n=len(fits)
        )
        better = np.mean(np.array([f.identified for f in fits]) <= theirs)
        yield row(
            f"second halves where the model is no worse than {name}",
            100 * float(better),
            "%",
            at_least=50.0,
            n=len(fits),
        )
    yield row("second halves: error over their spread, in the middle", float(np.median(relative)), "-", n=len(fits))


def ridge(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> float:
    """Ridge regression whose strength its own leave-one-out error chooses."""
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-12
    a = (x - centre) / scale
    best = min(RIDGE, key=lambda s: _left_out_error(a, y - y.mean(), s))
    weights = np.linalg.solve(a.T @ a + best * np.eye(a.shape[1]), a.T @ (y - y.mean()))
    return float(y.mean() + (asked - centre) / scale @ weights)


def _left_out_error(a: np.ndarray, y: np.ndarray, strength: float) -> float:
    hat = a @ np.linalg.solve(a.T @ a + strength * np.eye(a.shape[1]), a.T)
    return rms((y - hat @ y) / (1.0 - np.diag(hat)))


def rms(x: Sequence[float] | np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def rows(quick: bool) -> Iterator[Row]:
    """Both; a few people each in the reduced form."""
    yield from made_up(12 if quick else 64)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notes on the recordings are in their reports
            yield from older_people(6 if quick else None)
    except msm.InputError as error:
        print(f"left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    run(__doc__, rows)
