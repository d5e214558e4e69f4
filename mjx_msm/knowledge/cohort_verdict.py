"""A study in plain sentences: who was identified, how well it fits and predicts, what is known, how people differ."""

from __future__ import annotations

from collections import Counter

import numpy as np

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_counts import (
    counted,
    determined_in,
    differs,
    hardly_more_than_noise,
    relied_on,
    relied_on_but,
    spreads,
)
from mjx_msm.knowledge.cohort_errors import errors_with_others, flattery_of_all, poorly_fitted, relative_errors
from mjx_msm.knowledge.cohort_next import next_of_all
from mjx_msm.knowledge.cohort_population import population_words
from mjx_msm.knowledge.cohort_truth import truth_words
from mjx_msm.knowledge.judged_errors import (
    POOR,
    POOR_HELD,
    is_noise,
    misfit,
    too_narrow,
    was_held,
    worse_than_constant,
)
from mjx_msm.knowledge.standing import Standing
from mjx_msm.knowledge.strength_or_gain import EITHER, TOGETHER, exchanges
from mjx_msm.knowledge.wording import CLOSELY, FLATTERS, emg_first, some, whom

NOT_COUNTED = {
    Standing.BOUND: "what rests on a bound",
    Standing.FULL: "what is held where the EMG is full",
    Standing.RANGE: "what is as wide as all that was allowed",
    Standing.PARTLY: "what is known partly from the prior",
    Standing.ROUGH: "what is known only roughly",
}
"""Why an estimate is not counted as determined although the recordings tell of it."""


def cohort_verdict(cohort: Cohort) -> tuple[str, ...]:
    """Who was identified, how well it fits and predicts, what is known, how people differ, and what to do next."""
    said = (
        _who(cohort), _fits(cohort), _predicts(cohort), *_known(cohort), _exchanged(cohort), truth_words(cohort),
        _differ(cohort), *population_words(cohort), next_of_all(cohort),
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
    errors, fair, but = relative_errors(c), relied_on(c), f"{_but_a_joint(c)}{_but_noise(c)}"
    if not fair:
        whole = " as a whole" if but else "" if errors else " yet"
        return f"Rely on nobody's prediction{whole}{but}, and {parameters}. "
    whole = _percent(np.median([errors[name][0] for name in fair]))
    within = " within a trial" if flattery_of_all(c) == FLATTERS else ""
    everybody = len(fair) == people
    whose = "everybody" if everybody else f"{len(fair)} of {people} people"
    of_these = "" if everybody else " of these"
    return (
        f"Rely on the prediction of {whose}{within}, to {whole} of the spread in the middle one{of_these}{but}, and "
        f"{parameters}. "
    )


def _but_a_joint(c: Cohort) -> str:
    """Of whom not all joints are predicted better than by a constant, and which is not."""
    joints = Counter(relied_on_but(c).values())
    if not joints:
        return ""
    which = [joint if len(joints) == 1 else f"{joint} (of {n})" for joint, n in joints.most_common()]
    others = f"{joints.total()} other{'s' if joints.total() > 1 else ''}"
    return f"; of {others} only on that of other joints than {some(which, 4)}, which a constant beats"


def _but_noise(c: Cohort) -> str:
    """Of whom there was nothing to predict."""
    noise = hardly_more_than_noise(c)
    return f"; of {len(noise)} there was hardly more than noise to predict" if noise else ""


def _who(c: Cohort) -> str:
    done, all_ = len(c.identified), len(c.members)
    open_ = [m.name for m in c.identified if m.result.outcome.name != "CONVERGED"]  # type: ignore[union-attr]
    said = f"All {all_} people were identified" if done == all_ else f"{done} of {all_} people were identified"
    if c.failed:
        said += f"; {some([m.name for m in c.failed], 4)} could not be, each for the reason in the table"
    if open_:
        said += f"; {some(open_, 4)} did not converge"
    return f"{_rely(c)}{said}.{_searched(c)}"


def _searched(c: Cohort) -> str:
    """From how many places the solver began with each of them."""
    starts = sorted({r.starts for r in c.results.values()})
    if not starts:
        return ""
    least, most = starts[0], starts[-1]
    many = f"{least} to {most} starts" if least < most else f"{most} start{'s' if most > 1 else ''}"
    distant = " (a distant person might fit better: `starts = 25` in [identify])" if least == 1 else ""
    return f" Each was searched for from {many}{distant}."


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
        f"middle of {'all ' if len(errors) == len(c.identified) else ''}{len(errors)} people, from "
        f"{_percent(ours.min())} to {_percent(ours.max())}"
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


def _known(c: Cohort) -> tuple[str, ...]:
    counts, people = determined_in(c), len(c.identified)
    if not counts:
        return ()
    always, never = [p for p, n in counts.items() if n == people], [p for p, n in counts.items() if not n]
    said = f"Of {len(counts)} parameters the recordings determine {len(always) or 'none'} in everybody"
    said += f" ({some([c.called(p) for p in always], 4)})" if always else ""
    said += f" and {len(never)} in nobody ({some([c.called(p) for p in never], 4)})" if never else ""
    not_counted = [
        f"{what} ({some([f'{c.called(path)} in {n}' for path, n in found.items()], 4)} of {people} people)"
        for standing, what in NOT_COUNTED.items()
        if (found := counted(c, standing))
    ]
    more = (f"Not counted is {'; nor '.join(not_counted)}.",) if not_counted else ()
    return f"{said} {CLOSELY}.", *more


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
