"""A population: what is expected of somebody whom nobody recorded, learned from people who were.

    population = learned(results, traits)              # of `mjx_msm.identify_many`, or of a study's folder
    population.save("population.json")
    identify(model, trials, prior="population.json")   # or [identify] prior in subject.toml
    gymnasium.make("mjx_msm/KneeExo-v0", subject="population.json", sample_posterior=True)
    mjx_msm.verify("KneeExo", subject="population.json", …)   # people that were never recorded

Every person's recordings enter with what they alone say (`Identification.likelihood`), so that nobody's prior counts
as something that was seen; of what rests on a bound, as a gain that clips, they tell "as much as that at least"
(`heard`). Parameters are relative to what the usual priors expected of
each person: those of a body that was scaled to its height are relative to that body.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mjx_msm.common.arguments import path_of
from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.files import write_text
from mjx_msm.common.json_files import list_of, plain_json, read_json, record_of
from mjx_msm.knowledge.hierarchy import ITERATIONS, Hierarchy, hierarchy, standardised
from mjx_msm.knowledge.moved import moved
from mjx_msm.knowledge.one_sided import OneSided, censored
from mjx_msm.knowledge.records import Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.result_file import fields_in_file
from mjx_msm.knowledge.standing import Standing
from mjx_msm.person.expectation import Expectation
from mjx_msm.person.kinds import kind_of
from mjx_msm.recordings.subject_file.person import TRAITS

FEWEST = 4
"""People that make a population."""
OF_SIZE = ("height", "mass", "sex")
"""Traits by which a model is scaled."""
SEXES = {"male": 0.5, "female": -0.5}
KIND = "population"
STOPPED = (Standing.BOUND, Standing.FULL)
"""What holds an estimate where the recordings tell "as much as that at least"."""


@dataclass(frozen=True)
class Trait:
    """Something known of people besides recordings, as the linear model takes it: (value − centre)/spread."""

    name: str
    centre: float
    spread: float


@dataclass(frozen=True)
class Population:
    """What is expected of people, by their traits. One value, one JSON file."""

    name: str
    people: int
    paths: tuple[str, ...]
    """Of unknowns."""
    scale: tuple[float, ...]
    """Standard deviations of the usual priors in z, the unit of all that follows."""
    traits: tuple[Trait, ...]
    weights: tuple[tuple[float, ...], ...]
    """The average person, then a row a trait."""
    weights_covariance: tuple[tuple[float, ...], ...]
    """Of `weights`, row after row."""
    spread: tuple[tuple[float, ...], ...]
    """Covariance of people of the same traits."""
    told: tuple[float, ...]
    """Of every parameter, how many people's worth of information the recordings hold."""
    person: Identification
    """Somebody of the population of whom nothing is known: what environments take in the place of an identified one.
    Their body is that of whoever of it is nearest to the average."""
    notes: tuple[str, ...] = ()
    """What deserves a look in how it was learned."""

    def expected(self, **traits: float | str) -> Expectation:
        """The prior of a person: `height` [m], `mass` [kg], `age` [years] and `sex`, as far as they are known.

        **Raises:** `InputError` for a trait that there is not, or that is not a number.
        """
        for name in traits:
            if name not in TRAITS:
                raise InputError(f"trait '{name}' is unknown{suggest(name, TRAITS)}")
        x = np.array([(_coded(t.name, traits.get(t.name)) - t.centre) / t.spread for t in self.traits])
        mean, covariance = self._hierarchy.expected(x)
        scale = np.array(self.scale)
        rows = (np.outer(scale, scale) * covariance).tolist()
        return Expectation(self.name, self.paths, tuple((scale * mean).tolist()), tuple(map(tuple, rows)))

    def somebody(self, **traits: float | str) -> Identification:
        """A person of these traits whom nobody recorded, as a result: its draws are virtual people.

        **Raises:** `InputError` for a trait that `expected` refuses; for a size, if the people's models were scaled to
        theirs: the body of the result would not be of it.
        """
        size = [name for name in OF_SIZE if traits.get(name) is not None]
        if size and self.person.scaling:
            raise InputError(
                f"somebody of the population '{self.name}' has the body of an average person, not one of another "
                f"{' and '.join(size)}; leave that out, or scale a model (mjx_msm.scale) and take "
                "Population.expected as its prior"
            )
        return _somebody(self.person, self.expected(**traits), self.name, self.people)

    def shrunk(self, result: Identification, **traits: float | str) -> Identification:
        """A person as their own recordings and everybody else's see them.

        Their recordings' likelihood times the population's prior in the place of the usual one: the estimate,
        its covariance, intervals and draws are those of the product. Errors of the fit are not computed anew, and left
        out.

        **Raises:** `InputError` if the result does not say what its recordings alone tell.
        """
        expectation = self.expected(**traits)
        mean, covariance = in_z(result, expectation)
        precision, pull = _likelihood(result)
        inverse = np.linalg.inv(covariance)
        both = np.linalg.inv(precision + inverse)
        z = both @ (pull + inverse @ mean)
        share = np.clip(1.0 - np.diag(both) / np.diag(covariance), 0.0, 1.0)
        note = f"shrunk towards the population '{self.name}' of {self.people} people"
        new = moved(result, z, both, share, prior=(mean, np.sqrt(np.diag(covariance))))
        return replace(new, fits=(), completed=False, notes=(*result.notes, note, *self.notes))

    @property
    def _hierarchy(self) -> Hierarchy:
        weights = np.array(self.weights)
        shape = (*weights.shape, *weights.shape)
        return Hierarchy(weights, np.array(self.weights_covariance).reshape(shape), np.array(self.spread))

    def save(self, path: str | Path) -> Path:
        """Write as JSON, whole or not at all."""
        path = Path(path)
        person = fields_in_file(asdict(self.person))
        content = plain_json({"kind": KIND, "version": 1, **asdict(self), "person": person})
        write_text(path, json.dumps(content, ensure_ascii=False) + "\n")
        return path

    @staticmethod
    def load(path: str | Path) -> Population:
        """Read a saved population.

        **Raises:** `InputError` if it is not one.
        """
        path = path_of("the population", path)
        fix = "it was not written by Population.save or `mjx-msm study`"
        data = read_json(path, "population", fix)
        if not isinstance(data, dict) or data.get("kind") != KIND or data.get("version") != 1:
            raise InputError(f"{path}: is not a population; {fix}")
        rest = {key: value for key, value in data.items() if key not in ("kind", "version", "person")}
        readers = {"traits": list_of(record_of(Trait)), "person": lambda x: x}
        try:
            found = record_of(Population, readers, optional=("notes",))({**rest, "person": Identification.load(path)})
            sizes = {len(found.scale), len(found.told), *map(len, found.weights), *map(len, found.spread)}
            if sizes != {len(found.paths)} or len(found.weights) != 1 + len(found.traits):
                raise ValueError("its parts do not agree")
        except ValueError as error:
            raise InputError(f"{path}: is damaged ({error}); learn it again") from None
        return found


def learned(
    results: Mapping[str, Identification],
    traits: Mapping[str, Mapping[str, float | str]] | None = None,
    *,
    name: str = "population",
) -> Population:
    """The population of identified people.

    **Arguments:** `results`: by person, of the same kind of model and unknowns. `traits`: by person, any of height [m],
    mass [kg], age [years] and sex ("male", "female"), as far as they are known.

    **Raises:** `InputError` if they are too few, or somebody's result does not say what its recordings alone tell.
    """
    used = {who: r for who, r in results.items() if r.outcome.usable}
    if len(used) < FEWEST:
        raise InputError(f"{len(used)} people make no population; identify {FEWEST} at least")
    paths = tuple(dict.fromkeys(e.path for r in used.values() for e in r.estimates))
    scale = _scales(used.values(), paths)
    given = [(traits or {}).get(who, {}) for who in used]
    chosen = _traits(given)
    x = np.array([[(_coded(t.name, g.get(t.name)) - t.centre) / t.spread for t in chosen] for g in given])
    x = np.where(np.isfinite(x), x, 0.0).reshape(len(used), len(chosen))
    size = len(paths)
    precision, pull, beyond = np.zeros((len(used), size, size)), np.zeros((len(used), size)), []
    for i, r in enumerate(used.values()):
        at = np.array([paths.index(e.path) for e in r.estimates])
        own, push, side = heard(r)
        usual = np.array([u.reference[0] for u in r.unknowns])
        precision[i][np.ix_(at, at)] = np.outer(scale[at], scale[at]) * own
        pull[i][at] = scale[at] * (push - own @ usual)
        direction = np.zeros((len(side.offset), size))
        direction[:, at] = side.direction * scale[at]
        beyond.append(OneSided(direction, side.offset - side.direction @ usual))
    found = hierarchy(precision, pull, x, [_kind(path) for path in paths], beyond)
    inverse = np.linalg.inv(found.spread)
    share = [1.0 - np.diag(np.linalg.inv(p + inverse)) / np.diag(found.spread) for p in precision]
    body = _nearest(list(used.values()), paths, scale, x, found)
    notes = () if found.settled else (
        f"the population '{name}' has not settled after {ITERATIONS} iterations: how people differ is "
        "rough; free fewer parameters, or add people",
    )  # fmt: skip
    draft = Population(
        name, len(used), paths, tuple(scale.tolist()), chosen, _rows(found.weights),
        _rows(found.weights_covariance.reshape(found.weights.size, found.weights.size)), _rows(found.spread),
        tuple(np.sum(share, axis=0).tolist()), body, notes,
    )  # fmt: skip
    return replace(draft, person=_somebody(body, draft.expected(), name, len(used)))


def moved_between(before: Population, after: Population) -> float:
    """By how many of its standard deviations the average person of two turns moved, in the parameter that moved most;
    infinite where they are not of the same parameters."""
    if before.paths != after.paths:
        return math.inf
    size = len(after.paths)
    sd = np.sqrt(np.diag(np.array(after.weights_covariance))[:size])
    return float(np.max(np.abs(np.subtract(after.weights[0], before.weights[0])) / sd))


def left_out(
    results: Mapping[str, Identification],
    traits: Mapping[str, Mapping[str, float | str]] | None = None,
    *,
    most: int = 24,
) -> dict[str, Expectation]:
    """What others expect of every person, by their traits: the population without them, or, of more than `most` people,
    without them and those who share their turn."""
    names = list(results)
    out: dict[str, Expectation] = {}
    for turn in range(min(most, len(names))):
        absent = names[turn::most]
        rest = learned({n: r for n, r in results.items() if n not in absent}, traits)
        out |= {who: rest.expected(**(traits or {}).get(who, {})) for who in absent}
    return {who: out[who] for who in names}


def errors_of(
    result: Identification, expectation: Expectation, told: Identification | None = None
) -> tuple[list[float], list[float]]:
    """By how much an expectation, and the usual priors, miss what a person's recordings determine: the logarithms of
    positive parameters.

    **Arguments:** `told`: another estimate of the same recordings by which to judge; None: the result. Of either, the
    pull of its own prior on each parameter is taken away, as that is one of those that are judged; where the prior is
    half of what is known or more, nothing is left to judge by, nor where a bound is all that is known.
    """
    mean, _ = in_z(result, expectation)
    seen = result if told is None else told
    ours, usual = [], []
    for k, u in enumerate(result.unknowns):
        value = _without_prior(seen, k)
        known = result.standing[k] is Standing.DETERMINED and seen.standing[k] not in STOPPED
        if known and kind_of(u.members[0]).transform == "log" and math.isfinite(value):
            ours.append(float(value - mean[k]))
            usual.append(value - u.reference[0])
    return ours, usual


def _without_prior(result: Identification, k: int) -> float:
    """A parameter's estimate without its own prior; NaN where that is half of what is known or more."""
    u, total = result.unknowns[k], 1.0 / result.covariance[k][k]
    prior = 1.0 / u.prior_scale**2
    return (total * result.z[k] - prior * u.prior_mean) / (total - prior) if 2.0 * prior < total else math.nan


def stopped(result: Identification) -> Bool[np.ndarray, "free"]:
    """Where a bound stopped an estimate, or an EMG that is full, while the recordings still pulled."""
    return np.array([stands in STOPPED for stands in result.standing])


def heard(result: Identification) -> tuple[Float[np.ndarray, "free free"], Float[np.ndarray, "free"], OneSided]:
    """What a person's recordings tell a population of z: precision and pull of their likelihood, and, of what rests on
    a bound, or is held where the EMG is full, that it is as much as that at least.

    There the solver stopped where the data still pulled. A normal distribution about that place would have a population
    believe that people are where bounds were put, and whatever the recordings can exchange for it with them; to leave
    them out, that nobody is there.

    **Raises:** `InputError` if the result does not say what its recordings alone tell.
    """
    precision, pull = _likelihood(result)
    ends = zip(result.estimates, stopped(result), strict=True)
    outwards = np.array([0.0 if not held else -1.0 if e.bound == "lower" else 1.0 for e, held in ends])
    return censored(precision, pull, np.array(result.z), outwards)


def expectation_of(prior: Expectation | str | Path, traits: Mapping[str, float | str] | None = None) -> Expectation:
    """What an option `prior` means: it, or what the population of that file expects of a person of some traits."""
    return prior if isinstance(prior, Expectation) else Population.load(prior).expected(**(traits or {}))


def in_z(
    result: Identification, expectation: Expectation
) -> tuple[Float[np.ndarray, "free"], Float[np.ndarray, "free free"]]:
    """Mean and covariance of an expectation in a result's z; its usual prior where nothing else is expected."""
    mean, sd = (np.array(x) for x in zip(*(u.reference for u in result.unknowns), strict=True))
    sd = np.where(np.isfinite(sd), sd, [u.upper - u.lower for u in result.unknowns])
    covariance = np.diag(np.square(sd))
    paths = [e.path for e in result.estimates]
    pairs = [(k, expectation.paths.index(p)) for k, p in enumerate(paths) if p in expectation.paths]
    if not pairs:
        raise InputError(
            f"the population '{expectation.name}' knows none of the result's parameters; give one of the same model"
        )
    own, theirs = (np.array(x) for x in zip(*pairs, strict=True))
    mean[own] += np.array(expectation.shift)[theirs]
    covariance[np.ix_(own, own)] = np.array(expectation.covariance)[np.ix_(theirs, theirs)]
    return mean, covariance


def _likelihood(result: Identification) -> tuple[np.ndarray, np.ndarray]:
    if result.likelihood is None:
        raise InputError(
            f"the result of '{result.subject}' does not say what its recordings alone tell; identify again with this "
            "version"
        )
    return np.array(result.likelihood.precision), np.array(result.likelihood.pull)


def _somebody(of: Identification, expectation: Expectation, name: str, people: int) -> Identification:
    mean, covariance = in_z(of, expectation)
    new = moved(of, mean, covariance, np.zeros(len(mean)), prior=(mean, np.sqrt(np.diag(covariance))))
    note = f"nobody's recording: what {people} people of the population '{name}' lead to expect"
    return replace(
        new, subject=f"somebody of {name}", outcome=Outcome.CONVERGED, fits=(), stages=(), hashes={}, recordings={},
        residuals=(), completed=False, likelihood=None, notes=(note,),
    )  # fmt: skip


def _nearest(
    results: Sequence[Identification], paths: Sequence[str], scale: np.ndarray, x: np.ndarray, found: Hierarchy
) -> Identification:
    """Of those with every unknown, if there are any, the one nearest to the average person, in traits as in z."""
    inverse = np.linalg.inv(found.spread)

    def distance(k: int) -> float:
        r = results[k]
        at = np.array([paths.index(e.path) for e in r.estimates])
        off = np.zeros(len(paths))
        off[at] = (np.array(r.z) - [u.reference[0] for u in r.unknowns]) / scale[at] - found.weights[0][at]
        return float(x[k] @ x[k] + off @ inverse @ off)

    complete = [k for k, r in enumerate(results) if len(r.estimates) == len(paths)]
    return results[min(complete or range(len(results)), key=distance)]


def _kind(path: str) -> tuple[str, ...]:
    """What a path's parameter is, of whichever muscle, segment, joint or channel. Places in a segment's own frame have
    signs that mean something else in every segment: each is a kind of its own."""
    group, *_, field = path.split("/")
    return (path,) if kind_of(path).offset else (group, field)


def _scales(results: Any, paths: Sequence[str]) -> Float[np.ndarray, "free"]:
    """The usual priors' standard deviations, of the bounds where there is none; in the middle of those that have it."""
    every: dict[str, list[float]] = {path: [] for path in paths}
    for r in results:
        for e, u in zip(r.estimates, r.unknowns, strict=True):
            sd = u.reference[1]
            every[e.path].append(sd if math.isfinite(sd) else (u.upper - u.lower) / math.sqrt(12.0))
    return np.array([float(np.median(every[path])) for path in paths])


def _traits(given: Sequence[Mapping[str, float | str]]) -> tuple[Trait, ...]:
    out = []
    for name in TRAITS:
        values = [_coded(name, g.get(name)) for g in given]
        if np.isfinite(values).sum() >= max(FEWEST, len(given) / 2):
            centre, spread = standardised(values)
            if spread > 1e-6:
                out.append(Trait(name, centre, spread))
    return tuple(out)


def _coded(name: str, value: Any) -> float:
    """A trait as a number, sizes in logarithms; NaN where it is not known."""
    if value is None:
        return math.nan
    if name == "sex":
        if value not in SEXES:
            raise InputError(f"sex = {value!r} is unknown; give 'male' or 'female', or leave it out")
        return SEXES[str(value)]
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} = {value!r} must be a positive number")
    return float(value) if name == "age" else math.log(value)


def _rows(x: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, x.tolist()))
