"""A study in plain sentences: who was identified, how well it fits and predicts, what is known, how people differ."""

from __future__ import annotations

import math

import numpy as np

from mjx_msm.knowledge.between_bounds import determined_between_bounds, held_by_bounds
from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_errors import poorly_fitted, relative_errors
from mjx_msm.knowledge.cohort_next import next_of_all
from mjx_msm.knowledge.judged_errors import POOR, is_noise
from mjx_msm.knowledge.population import errors_of, in_z
from mjx_msm.knowledge.wording import FIELDS, some, with_members

SURPRISING = 2.5
"""Standard deviations by which somebody is unlike what the others lead to expect."""
MOST_SURPRISES = MOST_APART = 4


def cohort_verdict(cohort: Cohort) -> tuple[str, ...]:
    """Who was identified, how well it fits and predicts, what is known, how people differ, and what to do next."""
    said = (
        _who(cohort), _fits(cohort), _predicts(cohort), *_known(cohort), _differ(cohort), _average(cohort),
        _learned(cohort), _foretold(cohort), _unlike(cohort), next_of_all(cohort),
    )  # fmt: skip
    return tuple(s for s in said if s)


def _who(c: Cohort) -> str:
    done, all_ = len(c.identified), len(c.members)
    open_ = [m.name for m in c.identified if m.result.outcome.name != "CONVERGED"]  # type: ignore[union-attr]
    said = f"{done} of {all_} people were identified"
    if c.failed:
        said += f"; {some([m.name for m in c.failed], 4)} could not be, each for the reason in the table"
    if open_:
        said += f"; {some(open_, 4)} did not converge"
    return said + "."


def _fits(c: Cohort) -> str:
    poor, people = poorly_fitted(c), len(c.identified)
    noisy = sum(is_noise(result.fits) for result in c.results.values())
    said = []
    if poor:
        worse = [name for name, x in poor.items() if x > 1.0]
        more = f"; in {some(worse, 8)} by more than all of it, where a constant does better" if worse else ""
        said.append(
            f"{len(poor)} of {people} fit poorly: on the trials they were identified from, the model misses the "
            f"recording by more than {_percent(POOR)} of its spread{more}"
        )
    if noisy:
        said.append(
            f"Of {noisy} of {people} more than {_percent(POOR)} of the spread is left, but as noise: it does not "
            "repeat itself"
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
        better = int(np.sum(ours <= theirs))
        said += (
            f"; the best regression on the same inputs by {_percent(np.nanmedian(theirs))}: the model is no worse in "
            f"{better} of {int(np.isfinite(theirs).sum())} people"
        )
    return said + "."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def determined_in(c: Cohort) -> dict[str, int]:
    """By parameter, in how many people the recordings determine it between its bounds."""
    out = dict.fromkeys(c.paths(), 0)
    for result in c.results.values():
        for e, clear in zip(result.estimates, determined_between_bounds(result), strict=True):
            out[e.path] += clear
    return out


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
    said += f" ({some(always, 4)})" if always else ""
    said += f" and {len(never)} in nobody ({some(never, 4)})" if never else ""
    held: dict[str, int] = {}
    for result in c.results.values():
        for path in held_by_bounds(result):
            held[path] = held.get(path, 0) + 1
    if not held:
        return (f"{said}.",)
    most = sorted(held.items(), key=lambda x: -x[1])
    which = some([f"{path} in {n}" for path, n in most], 4)
    return (f"{said}.", f"Not counted is what rests on a bound, or is as wide as all that was allowed: {which} people.")


def spreads(c: Cohort) -> dict[str, tuple[float, float, float]]:
    """By positive parameter that is determined in two people or more: least, middle and greatest estimate of those."""
    out = {}
    for path in filter(c.positive, c.paths()):
        values = [
            e.value
            for result in c.results.values()
            for e, clear in zip(result.estimates, determined_between_bounds(result), strict=True)
            if e.path == path and clear
        ]
        if len(values) > 1:
            out[path] = min(values), float(np.median(values)), max(values)
    return out


def _differ(c: Cohort) -> str:
    found = sorted(spreads(c).items(), key=lambda x: -x[1][2] / x[1][0])[:3]
    if not found:
        return ""
    return "Where they are determined, people differ most in " + "; ".join(
        f"{with_members(path, c.members_of(path))} ({low:.3g} to {high:.3g}{_unit(c, path)}, {high / low:.1f}-fold)"
        for path, (low, _, high) in found
    ) + "."  # fmt: skip


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
    both = [errors_of(c.results[who], e) for who, e in c.foretold.items()]
    if not both:
        return math.nan, math.nan
    ours, usual = (np.array([x for pair in both for x in pair[i]]) for i in (0, 1))
    return float(np.sqrt(np.mean(ours**2))), float(np.sqrt(np.mean(usual**2)))


def _average(c: Cohort) -> str:
    """What the average person is beside the model, kind by kind."""
    if c.population is None:
        return ""
    anybody, kinds = c.population.expected(), {}
    for path, shift in zip(anybody.paths, anybody.shift, strict=True):
        if c.positive(path):
            kinds.setdefault((path.split("/")[0], path.split("/")[-1]), []).append(shift)
    said = [
        f"{FIELDS.get(field, field)} {np.exp(np.mean(x)):.2f} times"
        for (group, field), x in kinds.items()
        if group == "muscle"
    ]
    return f"Their average person has, of the model's, {', '.join(said)} in the middle of all muscles." if said else ""


def _foretold(c: Cohort) -> str:
    if c.population is None:
        return ""
    ours, usual = foretold_errors(c)
    if math.isnan(ours):
        return ""
    by = f", by {some([t.name for t in c.population.traits], 4)}" if c.population.traits else ""
    return (
        f"Of somebody left out, the others foretell{by} what the recordings determine of positive parameters to within "
        f"{_percent(ours)} (root mean square of the logarithm); the usual priors are {_percent(usual)} off."
    )


def surprises(c: Cohort) -> list[tuple[float, str, str, float]]:
    """What recordings determine of somebody, and the others would not have expected: by how many standard deviations,
    who, what, by which factor, or how much, it is more; the furthest first."""
    out = []
    for who, expectation in c.foretold.items():
        result = c.results[who]
        mean, covariance = in_z(result, expectation)
        for k, e in enumerate(result.estimates):
            if e.determined:
                off = result.z[k] - mean[k]
                sd = math.sqrt(covariance[k, k] + result.covariance[k][k])
                out.append((off / sd, who, e.path, math.exp(off) if c.positive(e.path) else off))
    return sorted((x for x in out if abs(x[0]) > SURPRISING), key=lambda x: -abs(x[0]))


def _unlike(c: Cohort) -> str:
    found = surprises(c)[:MOST_SURPRISES]
    if not found:
        return ""
    words = [
        f"{who}'s {path}, {factor:.2f} times what they expect" if c.positive(path) else f"{who}'s {path}"
        for _, who, path, factor in found
    ]
    return f"Unlike what the others foretell, by more than {SURPRISING:g} standard deviations: {'; '.join(words)}."
