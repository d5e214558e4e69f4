"""What a study says besides its verdict: how people fit, what is not counted as known, how they differ, and what they
lead to expect of others."""

from __future__ import annotations

from collections import Counter

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_counts import counted, differs, spreads
from mjx_msm.knowledge.cohort_errors import poorly_fitted
from mjx_msm.knowledge.cohort_population import population_words
from mjx_msm.knowledge.judged_errors import (
    POOR,
    POOR_HELD,
    TrialError,
    is_noise,
    per_trial,
    was_held,
    worse_than_constant,
)
from mjx_msm.knowledge.standing import Standing
from mjx_msm.knowledge.strength_or_gain import EITHER, TOGETHER, exchanges
from mjx_msm.knowledge.wording import percent, some, whom

NOT_COUNTED = {
    Standing.BOUND: "what rests on a bound",
    Standing.FULL: "what is held where the EMG is full",
    Standing.RANGE: "what is as wide as all that was allowed",
    Standing.PARTLY: "what is known partly from the prior",
    Standing.ROUGH: "what is known only roughly",
}
"""Why an estimate is not counted as determined although the recordings tell of it."""


def cohort_details(cohort: Cohort) -> tuple[str, ...]:
    """How people fit, what is not counted as known, what can be exchanged, how people differ, and the population."""
    said = (
        _fits(cohort), _not_counted(cohort), _exchanged(cohort), _differ(cohort), *population_words(cohort),
    )  # fmt: skip
    return tuple(s for s in said if s)


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
            (moved, f"{percent(POOR)} of its spread{more}"),
            (held, f"{percent(POOR_HELD)} of the moment that was held"),
        ):
            if names:
                said.append(
                    f"Of {whom(names, people)}, the model misses what they were identified from by more than {part}"
                )
    if c.results and all(was_held(result.fits) for result in c.results.values()):
        each = {(name, t.trial): t for name, r in c.results.items() for t in per_trial(r.fits)}
        parts = [t.part for t in each.values()]
        between = percent(min(parts)) if len(parts) == 1 else f"{percent(min(parts))} to {percent(max(parts))}"
        said.append(f"Of the moment that was held, the model misses {between} in each trial{_no_better(each)}")
    if noisy:
        said.append(
            f"Of {whom(noisy, people, 3)}, more than {percent(POOR)} of the spread is left, but as noise: it "
            "does not repeat itself"
        )
    return " ".join(f"{s}." for s in said)


def _no_better(each: dict[tuple[str, str], TrialError]) -> str:
    """Trials whose own mean would do as well, by whom."""
    by: dict[str, list[str]] = {}
    for (who, trial), t in each.items():
        if t.no_better:
            by.setdefault(trial, []).append(who)
    which = [f"{trial} of {some(names, 4)}" for trial, names in by.items()]
    return f", and of {some(which)} by no less than its own mean would" if which else ""


def _not_counted(c: Cohort) -> str:
    not_counted = [
        f"{what} ({some([f'{c.called(path)} in {n}' for path, n in found.items()], 4)} of {len(c.identified)} people)"
        for standing, what in NOT_COUNTED.items()
        if (found := counted(c, standing))
    ]
    return f"Not counted is {'; nor '.join(not_counted)}." if not_counted else ""


def _exchanged(c: Cohort) -> str:
    """Strengths that go with how EMG becomes activation, and in how many people."""
    found = Counter(x.strength for r in c.results.values() for x in exchanges(r))
    if not found:
        return ""
    which = [f"{c.called(path)} in {n}" for path, n in found.most_common()]
    return f"{TOGETHER}: {some(which, 4)} of {len(c.identified)} people. {EITHER}"


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
