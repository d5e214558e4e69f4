"""A study in plain sentences: who was identified, how well it fits and predicts, what is known, how people differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_errors import errors_with_others, flattery_of_all, poorly_fitted, relative_errors
from mjx_msm.knowledge.cohort_next import next_of_all
from mjx_msm.knowledge.judged_errors import (
    POOR,
    POOR_HELD,
    is_noise,
    misfit,
    too_narrow,
    trial_predicted_worst,
    was_held,
    worse_than_constant,
)
from mjx_msm.knowledge.population import Population, errors_of, in_z
from mjx_msm.knowledge.records import Estimate
from mjx_msm.knowledge.standing import HELD, Standing
from mjx_msm.knowledge.wording import CLOSELY, FIELDS, FLATTERS, emg_first, some, whom

SURPRISING = 2.5
"""Standard deviations by which somebody is unlike what the others lead to expect."""
MOST_SURPRISES = MOST_APART = 4
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


def cohort_verdict(cohort: Cohort) -> tuple[str, ...]:
    """Who was identified, how well it fits and predicts, what is known, how people differ, and what to do next."""
    said = (
        _who(cohort), _fits(cohort), _predicts(cohort), *_known(cohort), _differ(cohort), _average(cohort),
        _learned(cohort), _foretold(cohort), _unlike(cohort), next_of_all(cohort),
    )  # fmt: skip
    return tuple(s for s in said if s)


def _rely(c: Cohort) -> str:
    """Whose predictions, and which parameters, may be relied on."""
    if not c.identified:
        return ""
    counts, people = determined_in(c), len(c.identified)
    always = [path for path, n in counts.items() if n == people]
    if len(always) == len(counts):
        parameters = "on every parameter of everybody"
    elif always:
        which = some([c.called(path) for path in emg_first(always)], 4)
        parameters = f"on {which} of everybody, on another parameter only where it is determined"
    else:
        parameters = "on a parameter only of those in whom it is determined, as none is in everybody"
    if narrow := [name for name, result in c.results.items() if too_narrow(result.fits)]:
        parameters += f", but on no interval of {whom(narrow, people, 4)}, whose band of 95 % holds too little"
    errors = relative_errors(c)
    fair = [name for name in errors if not trial_predicted_worst(c.results[name].fits)]
    if not fair:
        return f"Rely on nobody's prediction{'' if errors else ' yet'}, and {parameters}. "
    whole = _percent(np.median([errors[name][0] for name in fair]))
    within = " within a trial" if flattery_of_all(c) == FLATTERS else ""
    whose = "everybody" if len(fair) == people else f"{len(fair)} of {people} people"
    return f"Rely on the prediction of {whose}{within}, to {whole} of the spread in the middle one, and {parameters}. "


def _who(c: Cohort) -> str:
    done, all_ = len(c.identified), len(c.members)
    open_ = [m.name for m in c.identified if m.result.outcome.name != "CONVERGED"]  # type: ignore[union-attr]
    said = f"All {all_} people were identified" if done == all_ else f"{done} of {all_} people were identified"
    if c.failed:
        said += f"; {some([m.name for m in c.failed], 4)} could not be, each for the reason in the table"
    if open_:
        said += f"; {some(open_, 4)} did not converge"
    return f"{_rely(c)}{said}."


def _fits(c: Cohort) -> str:
    poor, people = poorly_fitted(c), len(c.identified)
    noisy = [name for name, result in c.results.items() if is_noise(result.fits)]
    said = []
    if poor:
        held = [name for name in poor if was_held(c.results[name].fits)]
        moved = [name for name in poor if name not in held]
        worse = [name for name in poor if worse_than_constant(c.results[name].fits)]
        more = f"; of {whom(worse, people)} by more than all of it, where a constant does better" if worse else ""
        for names, part in (
            (moved, f"{_percent(POOR)} of its spread{more}"),
            (held, f"{_percent(POOR_HELD)} of the moment that was held"),
        ):
            if names:
                said.append(
                    f"Of {whom(names, people)}, the model misses what they were identified from by more than {part}"
                )
    elif c.results and all(was_held(result.fits) for result in c.results.values()):
        least, most = min(x := [misfit(r.fits) for r in c.results.values()]), max(x)
        part = _percent(least) if len(x) == 1 else f"{_percent(least)} to {_percent(most)}"
        said.append(f"Of the moment that was held, the model misses {part} in each of them")
    if noisy:
        said.append(
            f"Of {whom(noisy, people, 3)}, more than {_percent(POOR)} of the spread is left, but as noise: it "
            "does not repeat itself"
        )
    return " ".join(f"{s}." for s in said)


def _predicts(c: Cohort) -> str:
    errors = relative_errors(c)
    if not errors:
        return "How well they predict is not known: nothing was held out, and there was no cross-validation."
    ours, theirs = np.array(list(errors.values())).T
    said = (
        f"On what it had not seen, the model misses the recording by {_percent(np.median(ours))} of its spread in the "
        f"middle person, from {_percent(ours.min())} to {_percent(ours.max())}"
    )
    if np.isfinite(theirs).any():
        better, middle = int(np.sum(ours <= theirs)), float(np.nanmedian(theirs))
        said += (
            f"; the best regression on the same inputs by {_percent(middle)}: the model is no worse in {better} of "
            f"{int(np.isfinite(theirs).sum())} people"
        )
        if middle > 1.0:  # then that is no rival
            fair = int(np.sum(ours <= 1.0))
            said += (
                f", and a constant, which misses 100 %, is the one to beat: no worse than it in {fair} of {len(ours)}"
            )
    if both := errors_with_others(c):
        alone, with_others = np.array(list(both.values())).T
        said += (
            f". With what all of them lead to expect it misses {_percent(np.median(with_others))} in the middle person "
            f"(alone {_percent(np.median(alone))}), and less than alone in {int(np.sum(with_others < alone))} of "
            f"{len(both)}"
        )
    return f"{said}. {flattery_of_all(c)}".rstrip()


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def determined_in(c: Cohort) -> dict[str, int]:
    """By parameter, in how many people the recordings determine it."""
    return _counted(c, Standing.DETERMINED)


def _counted(c: Cohort, *standings: Standing) -> dict[str, int]:
    """By parameter, in how many people it stands so."""
    return {path: sum(t.standing in standings for t in found) for path, found in c.told.items()}


def by_knowledge(c: Cohort) -> list[str]:
    """Paths of all parameters, those first that are determined in most people."""
    counts = determined_in(c)
    return sorted(counts, key=lambda path: -counts[path])


def _known(c: Cohort) -> tuple[str, ...]:
    counts, people = determined_in(c), len(c.identified)
    if not counts:
        return ()
    always, never = [p for p, n in counts.items() if n == people], [p for p, n in counts.items() if not n]
    said = f"Of {len(counts)} parameters the recordings determine {len(always) or 'none'} in everybody"
    said += f" ({some([c.called(p) for p in always], 4)})" if always else ""
    said += f" and {len(never)} in nobody ({some([c.called(p) for p in never], 4)})" if never else ""
    kinds = (
        (HELD, "what rests on a bound, or is as wide as all that was allowed"),
        ((Standing.PARTLY,), "what is known partly from the prior"),
        ((Standing.ROUGH,), "what is known only roughly"),
    )
    not_counted = []
    for stands, what in kinds:
        most = sorted(_counted(c, *stands).items(), key=lambda x: -x[1])
        if which := [f"{c.called(path)} in {n}" for path, n in most if n]:
            not_counted.append(f"{what} ({some(which, 4)} of {people} people)")
    more = (f"Not counted is {'; nor '.join(not_counted)}.",) if not_counted else ()
    return f"{said} {CLOSELY}.", *more


def determined(c: Cohort, path: str) -> list[Estimate]:
    """A parameter's estimates in those of whom it is determined, the least first."""
    return sorted((t.estimate for t in c.told[path] if t.determined), key=lambda e: e.value)


def spreads(c: Cohort) -> dict[str, tuple[float, float, float]]:
    """By positive parameter that is determined in two people or more: least, middle and greatest estimate of those."""
    every = {path: [e.value for e in determined(c, path)] for path in filter(c.positive, c.paths())}
    return {path: (x[0], float(np.median(x)), x[-1]) for path, x in every.items() if len(x) > 1}


def differs(c: Cohort, path: str) -> bool:
    """Whether the intervals of the least and the greatest estimate, of those who have it determined, are apart."""
    found = determined(c, path)
    return len(found) > 1 and found[0].high < found[-1].low


def _differ(c: Cohort) -> str:
    apart = {path: values for path, values in spreads(c).items() if differs(c, path)}
    found = sorted(apart.items(), key=lambda x: -x[1][2] / x[1][0])[:3]
    if not found:
        return ""
    return "Where they are determined, people differ most in " + "; ".join(
        f"{c.called(path)} ({_plain(a)} to {_plain(b)}{_unit(c, path)}, {b / a:.1f}-fold)"
        for path, (a, _, b) in found
    ) + "."  # fmt: skip


def _plain(x: float) -> str:
    """Three digits, and no power of ten beside a unit."""
    return f"{x:.3g}" if abs(x) < 999.5 else f"{x:.0f}"


def _unit(c: Cohort, path: str) -> str:
    unit = c.units()[path]
    return {"-": "", "": "", "×": " times the model's"}.get(unit, f" {unit}")


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


def foretold_errors(c: Cohort) -> tuple[float, float]:
    """Root mean square, over people and what their recordings determine, of what the others lead to expect of them, and
    of the usual priors [z]; NaN without a population."""
    both = [errors_of(c.results[who], e, c.seen.get(who)) for who, e in c.foretold.items()]
    if not both:
        return math.nan, math.nan
    ours, usual = (np.array([x for pair in both for x in pair[i]]) for i in (0, 1))
    return float(np.sqrt(np.mean(ours**2))), float(np.sqrt(np.mean(usual**2)))


def _average(c: Cohort) -> str:
    """What the muscles of the average person are beside the model's, kind by kind, and how far to believe that: of what
    is determined in half of the people at least, as what the others add is their priors' alone."""
    if c.population is None:
        return ""
    learned_from = replace(c, members=tuple(m for m in c.identified if m.name not in c.apart))
    counts, people = determined_in(learned_from), len(learned_from.members)
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
        return ""
    by = f", by {some([t.name for t in c.population.traits], 4)}" if c.population.traits else ""
    return (
        f"Of somebody left out, the others foretell{by} what the recordings tell of positive parameters to within "
        f"{_percent(ours)} (root mean square); the usual priors are {_percent(usual)} off."
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
