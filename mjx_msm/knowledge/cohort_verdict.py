"""A study in a few plain sentences: on whom to rely, how well people are predicted, what is known, what to do next.

What else there is to say of it is in `mjx_msm.knowledge.cohort_details`.
"""

from __future__ import annotations

import numpy as np

from mjx_msm.knowledge.cohort import TABLE, Cohort
from mjx_msm.knowledge.cohort_counts import determined_in, relied_on, relied_on_but
from mjx_msm.knowledge.cohort_errors import errors_with_others, flattery_of_all, relative_errors
from mjx_msm.knowledge.cohort_next import next_of_all
from mjx_msm.knowledge.cohort_population import strength_words
from mjx_msm.knowledge.cohort_truth import prior_of_others, too_seldom, truth_words
from mjx_msm.knowledge.judged_errors import too_narrow
from mjx_msm.knowledge.reliance import Rely
from mjx_msm.knowledge.wording import CLOSELY, FLATTERS, emg_first, percent, some, whom

WORDS = {Rely.NO: "on none, as a constant does better", Rely.NOISE: "there was hardly more than noise to predict"}
"""Of whom no prediction is to be relied on, why."""


def cohort_verdict(cohort: Cohort) -> tuple[str, ...]:
    """On whom to rely, how well people are predicted, what is known of them, how far that is off, and what to do
    next."""
    beside = truth_words(cohort) or strength_words(cohort)
    said = (_who(cohort), _predicts(cohort), _known(cohort), beside, next_of_all(cohort))
    return tuple(s for s in said if s)


def _who(c: Cohort) -> str:
    done, all_ = len(c.identified), len(c.members)
    open_ = [m.name for m in c.identified if m.result.outcome.name != "CONVERGED"]  # type: ignore[union-attr]
    said = f"All {all_} people were identified" if done == all_ else f"{done} of {all_} people were identified"
    if c.failed:
        said += f"; {some([m.name for m in c.failed], 4)} could not be, each for the reason in the table"
    if open_:
        said += f"; {some(open_, 4)} did not converge"
    seldom = "" if prior_of_others(c) else too_seldom(c)
    return f"{_rely(c)}{seldom and f'{seldom} '}{said}.{_searched(c)}"


def _rely(c: Cohort) -> str:
    """Whose predictions, and which parameters, may be relied on."""
    if not c.identified:
        return ""
    errors, fair, people = relative_errors(c), relied_on(c), len(c.identified)
    rest = _but(c)
    if not fair:
        said = f"Rely on nobody's prediction{' as a whole' if rest else '' if errors else ' yet'}"
    else:
        whose = "everybody" if len(fair) == people else f"{len(fair)} of {people} people"
        within = " within a trial" if flattery_of_all(c) == FLATTERS else ""
        of_these = "" if len(fair) == people else " of these"
        far = percent(np.median([errors[name][0] for name in fair if name in errors]))
        said = f"Rely on the prediction of {whose}{within}, to {far} of the spread in the middle one{of_these}"
    return f"{said}{rest}. {_parameters(c)} "


def _but(c: Cohort) -> str:
    """Of whom a prediction may be relied on in part, or not at all."""
    but, part = relied_on_but(c), len(relied_on(c, Rely.PART))
    said = []
    if but:
        which = [what if len(but) == 1 else f"{what} ({n})" for what, n in but.items()]
        said.append(f"of {part} on that of all but {some(which, 4)}")
    for rely, words in WORDS.items():
        if names := relied_on(c, rely):
            astray = any(c.rely[name].astray for name in names)
            said.append(f"of {len(names)} {words}{', or it is far off and outside its band' if astray else ''}")
    column = " (whose, says the column “rely” of the table)" if said else ""
    return "".join(f"; {x}" for x in said) + column


def _parameters(c: Cohort) -> str:
    if prior_of_others(c):
        return (
            "Take parameters from the estimates with what all of them lead to expect (columns “with others” of "
            f"{TABLE}), and no interval from those alone: the usual prior (what is expected of anybody before a "
            "recording) is not of these people."
        )
    counts, people = determined_in(c), len(c.identified)
    always = [path for path, n in counts.items() if n == people]
    seldom = bool(too_seldom(c))
    what = "the estimate, not the interval, of " if seldom else ""
    if len(always) == len(counts):
        said = f"Rely on {what}every parameter of everybody"
    elif always:
        which = some([c.called(path) for path in emg_first(always)], 4)
        said = f"Rely on {what}{which} of everybody, on another parameter only where it is determined"
    else:
        said = f"Rely on {what}a parameter only of those in whom it is determined, as none is in everybody"
    narrow = [name for name, result in c.results.items() if too_narrow(result.fits)]
    if narrow and not seldom:
        said += f", but on no interval of {whom(narrow, people, 4)}, whose band of 95 % holds too little"
    return f"{said}."


def _searched(c: Cohort) -> str:
    """From how many places the solver began with each of them."""
    starts = sorted({r.starts for r in c.results.values()})
    if not starts:
        return ""
    least, most = starts[0], starts[-1]
    return f" Each was searched for from {f'{least} to ' if least < most else ''}{most} start{'s' if most > 1 else ''}."


def _predicts(c: Cohort) -> str:
    errors = relative_errors(c)
    if not errors:
        return "How well they predict is not known: nothing was held out, and there was no cross-validation."
    ours, theirs = np.array(list(errors.values())).T
    said = (
        f"On what it had not seen, the model misses the recording by {percent(np.median(ours))} of its spread in the "
        f"middle of {'all ' if len(errors) == len(c.identified) else ''}{len(errors)} people, from "
        f"{percent(ours.min())} to {percent(ours.max())}"
    )
    if np.isfinite(theirs).any():
        better, middle = int(np.sum(ours <= theirs)), float(np.nanmedian(theirs))
        said += (
            f"; the best regression on the same inputs by {percent(middle)}: the model is no worse in {better} of "
            f"{int(np.isfinite(theirs).sum())} people"
        )
        if middle > 1.0:  # then that is no rival
            fair = int(np.sum(ours <= 1.0))
            said += (
                f", and a constant, which misses 100 %, is the one to beat: no worse than it in {fair} of {len(ours)}"
            )
    helped = ""
    if both := errors_with_others(c):
        alone, with_others = np.array(list(both.values())).T
        helped = (
            f" With what all of them lead to expect it misses {percent(np.median(with_others))} in the middle person "
            f"(alone {percent(np.median(alone))}), and less than alone in {int(np.sum(with_others < alone))} of "
            f"{len(both)}."
        )
    return f"{said}.{helped} {flattery_of_all(c)}".rstrip()


def _known(c: Cohort) -> str:
    counts, people = determined_in(c), len(c.identified)
    if not counts:
        return ""
    always, never = [p for p, n in counts.items() if n == people], [p for p, n in counts.items() if not n]
    said = f"Of {len(counts)} parameters the recordings determine {len(always) or 'none'} in everybody"
    said += f" ({some([c.called(p) for p in always], 4)})" if always else ""
    said += f" and {len(never)} in nobody ({some([c.called(p) for p in never], 4)})" if never else ""
    part = sorted((p for p, n in counts.items() if 0 < n < people), key=lambda p: -counts[p])
    if part:
        said += f"; {some([f'{c.called(p)} in {counts[p]}' for p in part], 4)} of {people} people"
    return f"{said} {CLOSELY}."
