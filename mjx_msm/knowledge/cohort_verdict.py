"""A study in plain sentences: who was identified, how well it predicts, what is known, how people differ, what next."""

from __future__ import annotations

import math

import numpy as np

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.population import errors_of, in_z
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.knowledge.wording import FIELDS

SURPRISING = 2.5
"""Standard deviations by which somebody is unlike what the others lead to expect."""
MOST_SURPRISES = MOST_APART = 4


def cohort_verdict(cohort: Cohort) -> tuple[str, ...]:
    """Who was identified, how well it predicts, what is known of them, how they differ, and what to do next."""
    said = (
        _who(cohort), _predicts(cohort), _known(cohort), _differ(cohort), _average(cohort), _learned(cohort),
        _foretold(cohort), _unlike(cohort), _next(cohort),
    )  # fmt: skip
    return tuple(s for s in said if s)


def _who(c: Cohort) -> str:
    done, all_ = len(c.identified), len(c.members)
    open_ = [m.name for m in c.identified if m.result.outcome.name != "CONVERGED"]  # type: ignore[union-attr]
    said = f"{done} of {all_} people were identified"
    if c.failed:
        said += f"; {_named([m.name for m in c.failed])} could not be, each for the reason in the table"
    if open_:
        said += f"; {_named(open_)} did not converge"
    return said + "."


def relative_errors(c: Cohort) -> dict[str, tuple[float, float]]:
    """By person, the error on what was unseen over the recording's spread, ours and the best regression's."""
    out = {}
    for m in c.identified:
        e = c.unseen_error(m)
        if e and isinstance(e["error"], float) and isinstance(e["spread"], float) and e["spread"] > 0:
            theirs = e.get("rival_error", math.nan)
            assert isinstance(theirs, float)
            out[m.name] = e["error"] / e["spread"], theirs / e["spread"]
    return out


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
    """By parameter, in how many people the recordings determine it."""
    out = dict.fromkeys(c.paths(), 0)
    for m in c.identified:
        assert m.result is not None
        for e, k in zip(m.result.estimates, m.result.knowledge, strict=True):
            out[e.path] += k is Knowledge.DETERMINED
    return out


def _known(c: Cohort) -> str:
    counts, people = determined_in(c), len(c.identified)
    if not counts:
        return ""
    always, never = [p for p, n in counts.items() if n == people], [p for p, n in counts.items() if not n]
    said = f"Of {len(counts)} parameters the recordings determine {len(always)} in everybody"
    return said + (f" and {len(never)} in nobody ({_named(never)})." if never else ".")


def spreads(c: Cohort) -> dict[str, tuple[float, float, float]]:
    """By positive parameter that is determined in two people or more: least, middle and greatest estimate of those."""
    out = {}
    for path in filter(c.positive, c.paths()):
        values = []
        for m in c.identified:
            assert m.result is not None
            for e, k in zip(m.result.estimates, m.result.knowledge, strict=True):
                if e.path == path and k is Knowledge.DETERMINED:
                    values.append(e.value)
        if len(values) > 1:
            out[path] = min(values), float(np.median(values)), max(values)
    return out


def _differ(c: Cohort) -> str:
    found = sorted(spreads(c).items(), key=lambda x: -x[1][2] / x[1][0])[:3]
    if not found:
        return ""
    return "Where they are determined, people differ most in " + "; ".join(
        f"{path} ({low:.3g} to {high:.3g}, {high / low:.1f}-fold)" for path, (low, _, high) in found
    ) + "."  # fmt: skip


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
    by = f", by {_named([t.name for t in c.population.traits])}" if c.population.traits else ""
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


def _next(c: Cohort) -> str:
    if c.failed:
        first = c.failed[0]
        everybody = _named([m.name for m in c.failed])
        return f"Next: put right what is wrong with {everybody}, first {first.name} ({first.fault}); then run it again."
    errors = relative_errors(c)
    bad = [name for name, (ours, _) in errors.items() if ours > 1.0]
    if bad:
        return (
            f"Next: look at the reports of {_named(bad)}: what it had not seen of them, the model predicts worse than "
            "the constant that fits best. A sign, a channel at fault, a task that nothing else says anything of; or, "
            "where something was held, hardly anything to predict."
        )
    if not errors:
        return (
            'Next: hold a trial of everybody out (role = "held-out"), or set cross_validation = true in [run], to see '
            "how well it predicts; before that, do not rely on anybody."
        )
    counts, people = determined_in(c), len(c.identified)
    if any(n < people for n in counts.values()) and c.population is not None:
        return (
            "Next: for whom a recording leaves much open, identify again with what the others expect of them "
            '([identify] prior = "population.json"), or record a task that moves it.'
        )
    return "Next: use the people: `gymnasium.make` and `mjx-msm verify` take each of their folders."


def _named(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
