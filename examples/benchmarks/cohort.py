"""What people tell of each other: a cohort that is made up, and eighteen older people who were recorded.

    python examples/benchmarks/cohort.py [--quick] [--json FILE]

Of 64 people that are made up, truths are known: every one is recorded for half a second, with noisy moments, which
leaves most parameters open. They are weaker than the model, the heavier the stronger, and otherwise differ by
`SPREAD`. Their usual posteriors are set beside those that the population leads to, and beside what no population can
better: those with the true mean, slope and spread given.

Eighteen older people pulled at a load cell (`examples/elderly`). The first halves of their contractions are set
beside the second ones, and what the other seventeen lead to expect of a person, from age, weight and height, beside
what the person's own recording determines; ridge regression is given the same inputs. What they
are judged by is uncertain itself: its standard deviation is the error of who foretells the truth. Set MJX_MSM_DATA to
the folder that holds elderly_dynamometry/. `--quick`: twelve people, and six.

Throughput is of the first people that are made up: one after the other, side by side in one process, and in processes
of their own, which compile each for itself.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
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
from mjx_msm.person.expectation import Expectation
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.trial import Trial
from mjx_msm.study.cohort_file import load_cohort
from mjx_msm.study.cohort_run import load_study, run_study
from mjx_msm.study.result_folder import load_result

STRENGTHS = ("muscle/*/max_isometric_force",)
LENGTHS = (*STRENGTHS, "muscle/*/optimal_fiber_length")
WEAKER, HEAVIER, SPREAD = -0.8, 0.4, 0.3
"""Of a made-up cohort, in usual priors' standard deviations: its shift, its slope on the mass, how people differ."""
ASKED: Any = {"residuals": ["moment"], "rate": 100.0, "held": "exact"}
"""Of the identifications: the made-up people differ from the model in nothing else."""
NOISE = 2.0
"""Of the moments of a made-up person [N·m]."""
ELDERLY = Path(__file__).resolve().parents[1] / "elderly" / "study.toml"
STRENGTH = {"quadriceps": "muscle/[rv]*/max_isometric_force", "hamstrings": "muscle/[bs]*/max_isometric_force"}
GAIN = {"quadriceps": "emg/vastus_lateralis/gain", "hamstrings": "emg/biceps_femoris/gain"}
RIDGE = (0.1, 1.0, 10.0, 100.0)


# Made up ----------------------------------------------------------------------------------------------------


def made_up(people: int, what: str, free: Sequence[str], *, wanted: bool) -> Iterator[Row]:
    """A cohort whose truth is known; `wanted`: whether there are targets."""
    model, rng = msm.load_model("arm"), np.random.default_rng(0)
    space = msm.parameter_space(model.nominal, free)
    cohort: dict[str, tuple[Trial, ...]] = {}
    traits: dict[str, dict[str, float | str]] = {}
    truths: dict[str, np.ndarray] = {}
    for k in range(people):
        size = rng.normal()
        deviation = WEAKER + HEAVIER * size + SPREAD * rng.normal(size=space.size)
        name = f"person {k + 1}"
        truths[name] = space.clip(space.prior_mean + space.prior_scale * deviation)
        traits[name] = {"mass": 70.0 * float(np.exp(0.15 * size))}
        cohort[name] = (recorded(model, free, truths[name], rng, seed=k),)
    found = msm.identify_many(model, cohort, **ASKED, free=free)
    usual = {name: r for name, r in found.items() if isinstance(r, msm.Identification)}
    _, both = msm.identify_population(model, cohort, traits, name="made up", **ASKED, free=free)
    hyper: Any = {name: {"prior": true_prior(space, float(traits[name]["mass"]))} for name in cohort}
    told = msm.identify_many(model, cohort, each=hyper, **ASKED, free=free)
    best = {name: r for name, r in told.items() if isinstance(r, msm.Identification)}
    ours = {name: r for name, r in both.items() if isinstance(r, msm.Identification)}
    open_ = {name: np.array([not e.determined for e in r.estimates]) for name, r in usual.items()}

    def errors(results: Mapping[str, msm.Identification]) -> float:
        every = [((np.array(r.z) - truths[n]) / space.prior_scale)[open_[n]] for n, r in results.items()]
        return rms(np.concatenate(every))

    def inside(results: Mapping[str, msm.Identification]) -> float:
        sd = {n: np.sqrt(np.diag(np.array(r.covariance))) for n, r in results.items()}
        return 100 * float(np.mean([np.abs(np.array(r.z) - truths[n]) < 1.96 * sd[n] for n, r in results.items()]))

    count = int(sum(o.sum() for o in open_.values()))
    before = errors(usual)
    yield row(f"{what}: left open by their own recordings, of {people * space.size}", count, "", n=people)
    yield row(f"{what}: error of these with the usual prior", before, "prior sd", n=count)
    yield row(f"{what}: the bound, mean, slope and spread given", errors(best), "prior sd", n=count)
    after = errors(ours)
    yield row(f"{what}: with the population", after, "prior sd", at_most=0.5 * before if wanted else None, n=count)
    yield row(f"{what}: truths in 95 % intervals, usual prior", inside(usual), "%", n=people * space.size)
    yield row(f"{what}: mean, slope and spread given", inside(best), "%", n=people * space.size)
    share = inside(ours)
    yield row(f"{what}: with the population", share, "%", at_least=90.0 if wanted else None, n=people * space.size)
    yield row(
        f"{what}: and no wider than they are", share, "%", at_most=98.0 if wanted else None, n=people * space.size
    )
    pairs = [errors_of(usual[n], e) for n, e in left_out(usual, traits).items()]
    for k, name in enumerate(("the others", "the usual prior")):
        off = 100 * rms([x for pair in pairs for x in pair[k]])
        yield row(f"{what}: what somebody left out determines, foretold by {name}", off, "%", n=people)


def true_prior(space: ParameterSpace, mass: float) -> Expectation:
    """What somebody of this mass is expected to be, as the made-up people were drawn."""
    shift = (WEAKER + HEAVIER * np.log(mass / 70.0) / 0.15) * space.prior_scale
    covariance = np.diag(np.square(SPREAD * space.prior_scale))
    return Expectation("made up", tuple(space.paths), tuple(shift.tolist()), tuple(map(tuple, covariance.tolist())))


def throughput(people: int) -> Iterator[Row]:
    """People a minute by ways to use the cores, each after everything is compiled here."""
    model, rng = msm.load_model("arm"), np.random.default_rng(0)
    space = msm.parameter_space(model.nominal, STRENGTHS)
    cohort = {f"person {k + 1}": (recorded(model, STRENGTHS, space.prior_mean, rng, seed=k),) for k in range(people)}
    msm.identify_many(model, dict(list(cohort.items())[:1]), **ASKED, free=STRENGTHS)
    ways: dict[str, dict[str, Any]] = {
        "one after the other": {"workers": 1},
        "side by side in one process": {},
        "in processes": {"executor": "processes"},
    }
    alone, here = math.nan, f"throughput on {os.cpu_count()} cores"
    for name, way in ways.items():
        begin = time.perf_counter()
        msm.identify_many(model, cohort, **ASKED, free=STRENGTHS, **way)
        rate = 60 * people / (time.perf_counter() - begin)
        yield row(f"{here}, {name}", rate, "people a minute", n=people)
        if math.isfinite(alone):
            yield row(f"{here}, {name}, over one after the other", rate / alone, n=people)
        else:
            alone = rate


def recorded(model: msm.Model, free: Sequence[str], z: np.ndarray, rng: np.random.Generator, *, seed: int) -> Trial:
    """Half a second of a made-up person: their own motion, EMG and noisy moments."""
    with float64():
        truth = msm.parameter_space(model.nominal, free).unpack(z)
    (trial,) = msm.synthetic_trials(model, truth, count=1, duration=0.5, rate=250, seed=seed)
    blank = replace(trial, moment_coordinates=model.coordinates, moment=np.zeros_like(trial.position))
    own = {m: {m: 1.0} for m in model.muscles}
    fine = msm.parameter_space(model.nominal.with_channels(model.muscles), free)
    term = moment_term(model, fine, [record(model, blank, own)], 250.0)
    moment = term.evaluate(z, np.ones(len(model.free)))
    return replace(blank, moment=moment + NOISE * rng.standard_normal(moment.shape))


# Recorded ---------------------------------------------------------------------------------------------------


def older_people(people: int | None) -> Iterator[Row]:
    """`examples/elderly`; its results are kept in $MJX_MSM_STUDY, if that is set."""
    if not os.environ.get("MJX_MSM_DATA"):
        raise msm.InputError("set MJX_MSM_DATA to the folder that holds elderly_dynamometry/")
    study = load_cohort(ELDERLY)
    study = replace(study, people=study.people[:people], turns=0)  # everybody is judged by their own result
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(os.environ.get("MJX_MSM_STUDY") or temporary)
        run_study(study, out / "whole", executor="here")
        yield from strengths(load_study(study, out / "whole"))
        halves = replace(study, people=tuple(replace(p, document=halved(p.document)) for p in study.people))
        run_study(halves, out / "halves", executor="here")
        yield from second_halves(load_study(halves, out / "halves"), out / "halves")


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
        squares = np.square(ours - own) - np.square(theirs - own)
        apart = float(squares.mean() / (squares.std() / np.sqrt(len(names))))
        yield row(f"{part} strength left out: its squares over ridge's, in standard errors", apart, "", n=len(names))
        yield row(f"{part} strength: standard deviation of what it is judged by", 100 * rms(noise), "%", n=len(names))
        hits = np.abs(ours - own) < 1.96 * np.sqrt(sd**2 + noise**2)
        yield row(f"{part} strength left out: in the 95 % interval", 100 * float(np.mean(hits)), "%", n=len(names))


def halved(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """A person's subject file that holds out the second halves of their ten seconds."""
    assert document is not None
    trials = [{**t, "stop": 5.0} for t in document["trials"]]
    trials += [{**t, "name": f"{t['name']}, second half", "start": 5.0, "role": "held-out"} for t in document["trials"]]
    return {**document, "trials": trials}


def second_halves(cohort: Cohort, out: Path) -> Iterator[Row]:
    """What a person's first halves say of their second ones, beside regressions on the same samples, and beside the
    first half's own mean, which of a contraction that is held is hard to beat."""
    fits = [f for r in cohort.results.values() for f in r.fits if f.role == "held-out"]
    ours, means = np.array([f.identified for f in fits]), []
    for m in cohort.members:
        _, trials = load_result(out / m.folder)
        moments = {t.name: t.moment[np.isfinite(t.moment)] for t in trials if t.moment is not None}
        means += [rms(x - moments[n.split(",")[0]].mean()) for n, x in moments.items() if "," in n]
    others = {name: np.array([f.beside[name] for f in fits]) for name in ("ridge", "kernel ridge")}
    others["the first half's mean"] = np.array(means)
    what = "second halves from first"
    yield row(f"{what}: identified model, error in the middle", float(np.median(ours)), "N·m", n=len(fits))
    for name, theirs in others.items():
        wanted = None if name == "the first half's mean" else 50.0
        yield row(f"{what}: {name}, error in the middle", float(np.median(theirs)), "N·m", n=len(fits))
        better = 100 * float(np.mean(ours <= theirs))
        yield row(f"{what}: the model no worse than {name}", better, "%", at_least=wanted, n=len(fits))
    spread = float(np.median([f.spread for f in fits]))
    yield row(f"{what}: their spread, the error of a constant known afterwards", spread, "N·m", n=len(fits))


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
    yield from made_up(12 if quick else 64, "strengths", STRENGTHS, wanted=not quick)
    yield from made_up(12 if quick else 64, "strengths and fiber lengths", LENGTHS, wanted=not quick)
    yield from throughput(8 if quick else 32)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notes on the recordings are in their reports
            yield from older_people(6 if quick else None)
    except msm.InputError as error:
        print(f"left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    run(__doc__, rows, {"throughput": lambda quick: throughput(8 if quick else 32)})
