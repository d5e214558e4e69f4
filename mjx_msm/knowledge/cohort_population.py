"""What a study says of its population: its average person, of whom it is learned, what it foretells, of whom not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_counts import counted, determined, determined_in
from mjx_msm.knowledge.population import STOPPED, Population, errors_of, in_z, stopped
from mjx_msm.knowledge.records import Estimate
from mjx_msm.knowledge.result_table import CLEARLY
from mjx_msm.knowledge.wording import FIELDS, emg_first, some

SURPRISING = 2.5
"""Standard deviations by which somebody is unlike what the others lead to expect."""
MOST_SURPRISES = MOST_APART = MOST_NAMED = 4
OFTEN = 0.5
"""Part of the people in whom a parameter has to be determined for an average of it to be theirs, not the priors'."""
DRAWN = (
    " Each person's prior draws it towards the model, so that these intervals are too narrow (`turns = 4` in [run] "
    "mends that)."
)
"""What to think of an average of people who were identified one by one."""
UNDRAWN = (
    " That is without the usual prior, which draws estimates towards the model: those of the table are nearer to it "
    "than their average."
)
"""Why an average of people who took turns with their population is none of the table's estimates."""
SIDE = (
    "So the average does not lean away from people who are beyond a bound. One that was reached far from where the "
    "others are counts for little: a channel that clips, or what the model lacks, does that."
)
"""What comes of telling a population of a side only."""


def population_words(c: Cohort) -> tuple[str, ...]:
    """The population's average person, of whom it is learned, what it foretells, and whom it did not expect."""
    return _average(c), _learned(c), _unheard(c), _foretold(c), _unlike(c)


def _learned(c: Cohort) -> str:
    """What stood in the way of the population, if anything did."""
    said = [f"There is no population: {c.no_population}"] if c.no_population else []
    if c.apart:
        why = "; ".join(f"{who} ({reason})" for who, reason in list(c.apart.items())[:MOST_APART])
        more = f"; and {len(c.apart) - MOST_APART} more" if len(c.apart) > MOST_APART else ""
        said.append(f"The population is not learned from {why}{more}")
    if c.population is not None:
        said += [note[0].upper() + note[1:] for note in c.population.notes]
    return " ".join(f"{s}." for s in said)


def _unheard(c: Cohort) -> str:
    """Of whose parameters it is told a side only, as a bound is all that is known of them there."""
    by: dict[str, list[str]] = {}
    for who, result in c.learned_from.items():
        for e, held in zip(result.estimates, stopped(result), strict=True):
            if held:
                by.setdefault(e.path, []).append(who)
    if not by:
        return ""
    alone = Counter(path for standing in STOPPED for path, n in counted(c, standing).items() for _ in range(n))
    which = [
        f"{c.called(path)} of {some(by[path], MOST_NAMED)}"
        + (f" ({len(by[path])} there, {alone[path]} when each was alone)" if c.turns else "")
        for path in emg_first(sorted(by, key=lambda path: -len(by[path])))
    ]
    more = f"; and {len(which) - MOST_NAMED} parameters more" if len(which) > MOST_NAMED else ""
    there = " in the last turn, from which it is learned" if c.turns else ""
    return (
        f"Of what rests on a bound{there}, or is held where the EMG is full, the population is told only on which side "
        f"it is: as much as that at least, or at most: {'; '.join(which[:MOST_NAMED])}{more}. {SIDE}"
    )


def foretold_errors(c: Cohort) -> tuple[float, float]:
    """Root mean square, over people and what their recordings determine, of what the others lead to expect of them, and
    of the usual priors [z]; NaN without a population."""
    both = [errors_of(c.results[who], e, c.seen.get(who)) for who, e in c.foretold.items()]
    if not both:
        return math.nan, math.nan
    ours, usual = (np.array([x for pair in both for x in pair[i]]) for i in (0, 1))
    if not len(ours):
        return math.nan, math.nan
    return float(np.sqrt(np.mean(ours**2))), float(np.sqrt(np.mean(usual**2)))


def foretell(c: Cohort) -> bool:
    """Whether the others foretell what recordings determine of somebody left out clearly better than the usual priors,
    as far as that can be checked."""
    ours, usual = foretold_errors(c)
    return c.population is not None and (math.isnan(ours) or ours < CLEARLY * usual)


def _average(c: Cohort) -> str:
    """What the muscles of the average person are beside the model's, kind by kind, and how far to believe that: of what
    is determined in half of the people at least, as what the others add is their priors' alone."""
    if c.population is None:
        return ""
    among = replace(c, members=tuple(m for m in c.identified if m.name not in c.apart))
    counts, people = determined_in(among), len(among.members)
    kinds: dict[str, list[int]] = {}
    left: list[str] = []
    for k, path in enumerate(c.population.paths):
        group, *_, field = path.split("/")
        if group != "muscle" or not c.positive(path):
            continue
        if counts[path] >= OFTEN * people:
            kinds.setdefault(field, []).append(k)
        else:
            left.append(path)
    said = []
    if kinds:
        each = [f"{FIELDS.get(f, f)} {_times(c, c.population, members, counts)}" for f, members in kinds.items()]
        care = f" {_of_strength(c)}" if "max_isometric_force" in kinds else ""
        drawn = UNDRAWN if c.turns else DRAWN
        said.append(f"Their average person has, of the model's, {'; '.join(each)}.{drawn}{care}")
    if left:
        which = [
            f"{c.called(path)} ({counts[path]} of {people})" for path in sorted(left, key=lambda path: -counts[path])
        ]
        said.append(
            f"No average is given of what the recordings determine in fewer than half of the people: {some(which, 4)}."
        )
    return " ".join(said)


def _times(c: Cohort, population: Population, members: list[int], counts: Mapping[str, int]) -> str:
    """The factor of every member of a kind, or of their middle where there are many, with its 95 % interval, and in how
    many people it is determined."""
    paths = [population.paths[k] for k in members]
    if len(members) <= MOST_APART:
        return " and ".join(
            [
                f"{_factor(population, [k])} in {c.called(path)}, determined in {counts[path]} "
                f"of {population.people} people"
                for k, path in zip(members, paths, strict=True)
            ]
        )
    least, most = min(n := [counts[path] for path in paths]), max(n)
    many = f"{least} to {most}" if least < most else f"{least}"
    return (
        f"{_factor(population, members)} in the middle of {len(members)} muscles, each determined in {many} of "
        f"{population.people} people"
    )


def _factor(population: Population, members: list[int]) -> str:
    """Of the average person, the middle of some parameters over the model's."""
    size, scale = len(population.paths), np.array(population.scale)[members]
    shift = scale * np.array(population.weights[0])[members]
    covariance = np.array(population.weights_covariance)[:size, :size][np.ix_(members, members)]
    middle, sd = shift.mean(), math.sqrt(scale @ covariance @ scale) / len(members)
    low, high = (math.exp(middle + x * sd) for x in (-1.96, 1.96))
    return f"{math.exp(middle):.2f} times (95 % {low:.2f} to {high:.2f})"


def _of_strength(c: Cohort) -> str:
    """What a strength beside the model's leans on."""
    gains = any(path.endswith("/gain") for path in c.paths())
    leans = "the EMG gains that the priors expect, for which strength can be exchanged" if gains else (
        "the EMG gains as they were held: had they been half, strengths would be twice"
    )  # fmt: skip
    levers = ", and the levers of the strap that were assumed" if any(r.levers for r in c.results.values()) else ""
    return (
        "Strengths are no measure of weakness yet: the model's are those of the adults its source measured, not a norm "
        f"for these people, and the factor leans on {leans}{levers}."
    )


def _foretold(c: Cohort) -> str:
    if c.population is None:
        return ""
    ours, usual = foretold_errors(c)
    if math.isnan(ours):
        return "What the others foretell of somebody left out cannot be checked: nobody's recordings determine enough."
    by = f", by {some([t.name for t in c.population.traits], 4)}," if c.population.traits else ""
    counts = determined_in(c)
    known = [path for path in counts if counts[path] and c.positive(path)]
    never = [path for path in counts if not counts[path] and c.positive(path)]
    which = some([f"{c.called(path)} in {counts[path]}" for path in sorted(known, key=lambda p: -counts[p])], 4)
    unchecked = (
        f" Of {some([c.called(p) for p in never], 2)}, which the recordings determine in nobody, that says nothing."
        if never
        else ""
    )
    return (
        f"Of somebody left out, the others foretell{by} what the recordings determine of positive parameters ({which} "
        f"of {len(c.identified)} people) to within {100 * ours:.0f} % (root mean square); the usual priors are "
        f"{100 * usual:.0f} % off{'' if foretell(c) else ', so that the others add nothing'}.{unchecked}"
    )


def strength_words(c: Cohort) -> str:
    """What is known of people's strengths beside the model's, where it is determined, and what it may be that all of
    them are weaker or stronger; "" where the truth is known, or there is nobody to compare."""
    paths = [path for path in c.paths() if path.endswith("/max_isometric_force")]
    if len(c.identified) < 2 or not paths or any(m.truth for m in c.members):
        return ""
    known = {path: [e for e in determined(c, path) if e.start > 0] for path in paths}
    people = len(c.identified)
    told = sorted((path for path in paths if known[path]), key=lambda path: -len(known[path]))
    never = [c.called(path) for path in paths if not known[path]]
    if not told:
        return "The recordings determine the strength of no muscle in anybody: there is none to report."
    each = [f"{c.called(path)} {_beside_model(known[path], people)}{_of_average(c, path)}" for path in told]
    more = f"; and {len(each) - MOST_NAMED} more" if len(each) > MOST_NAMED else ""
    said = (
        f"Strength over the model's, where the recordings determine it: {'; '.join(each[:MOST_NAMED])}{more}"
        f"{f'; {some(never, 4)} in nobody' if never else ''}."
    )
    factors = [e.value / e.start for path in told for e in known[path]]
    sides = {x < 1.0 for x in factors}
    return f"{said}{_candidates(c, weaker=sides == {True})}" if len(sides) == 1 and len(factors) > 1 else said


def _beside_model(found: Sequence[Estimate], people: int) -> str:
    """Least to greatest determined estimate over the model's, and in how many people."""
    factors = [e.value / e.start for e in found]
    least, most = min(factors), max(factors)
    one = f"{least:.2f} times" if f"{least:.2f}" == f"{most:.2f}" else f"{least:.2f} to {most:.2f} times"
    return f"{one} in the {len(found)} of {people} in whom it is determined"


def _of_average(c: Cohort, path: str) -> str:
    """The average person's, to which everybody's recordings add; "" without a population that knows the path."""
    if c.population is None or path not in c.population.paths:
        return ""
    return f" (the average of all {c.population.people}: {_factor(c.population, [c.population.paths.index(path)])})"


def _candidates(c: Cohort, *, weaker: bool) -> str:
    """Why all who are determined may lie to one side of the model."""
    which, effort = ("below", "an effort that was less than maximal, ") if weaker else ("above", "")
    sex = "" if any("sex" in m.traits for m in c.members) else " (which the study does not know)"
    lever = ", the lever of the strap, which was assumed" if any(r.levers for r in c.results.values()) else ""
    return (
        f" All of these lie {which} the model's. Candidates are {effort}age, sex{sex}, the EMG gain that was "
        f"expected{lever}; the recordings do not tell which."
    )


def surprises(c: Cohort) -> list[tuple[float, str, str, float]]:
    """What recordings determine of somebody, and the others would not have expected: by how many standard deviations,
    who, what, by which factor, or how much, it is more; the furthest first."""
    out, expected = [], {who: in_z(c.results[who], expectation) for who, expectation in c.foretold.items()}
    for path, found in c.told.items():
        for t in found:
            if t.determined and t.who in expected:
                (mean, covariance), result, k = expected[t.who], c.results[t.who], t.index
                off = result.z[k] - mean[k]
                sd = math.sqrt(covariance[k, k] + result.covariance[k][k])
                out.append((off / sd, t.who, path, math.exp(off) if c.positive(path) else off))
    return sorted((x for x in out if abs(x[0]) > SURPRISING), key=lambda x: -abs(x[0]))


def _unlike(c: Cohort) -> str:
    found = surprises(c)[:MOST_SURPRISES]
    if not found:
        return ""
    words = [
        f"{who}'s {c.called(path)}, {factor:.2f} times what they expect"
        if c.positive(path)
        else f"{who}'s {c.called(path)}"
        for _, who, path, factor in found
    ]
    return f"Unlike what the others foretell, by more than {SURPRISING:g} standard deviations: {'; '.join(words)}."
