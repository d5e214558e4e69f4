"""What to do next with a study: what is in the way of relying on its people, the first thing first.

It is what is in the way of each of them (`mjx_msm.knowledge.next_step`), told of all whom it concerns; what can be done
for several at a time, with what the others lead to expect, comes with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_errors import poorly_fitted
from mjx_msm.knowledge.judged_errors import fitted, flattery, trial_predicted_worst, unseen, was_held
from mjx_msm.knowledge.next_step import (
    HOLDING,
    MOVING,
    ONE_MORE,
    WITHIN,
    Matter,
    Step,
    checks,
    hold_out,
    is_pushed,
    steps,
)
from mjx_msm.knowledge.records import Estimate
from mjx_msm.knowledge.wording import emg_first, some, whom

OFTEN = 0.5
"""Part of the people in whom a parameter rests on a bound, from which it is no matter of one recording."""
OTHERS = '`[identify] prior = "population.json"`'
NAMED = 4
"""People who are named of whom a step is."""
WHY = {
    Matter.JOINT: "a joint of a trial that it had not seen, the model predicts worse than a constant; a sign, or a "
    "muscle without EMG",
    Matter.REGRESSION: "what it had not seen, a regression predicts better than the model, which lacks something: a "
    "muscle without EMG, passive tissue, a right delay",
    Matter.BEATEN_JOINT: "a joint of what it had not seen, a regression predicts better than the model, which lacks "
    "something there",
    Matter.BAND: "the band of 95 % holds too little of what it had not seen; till it is found what the model lacks "
    "there, their intervals are not to be used",
    Matter.NO_BAND: "whether the band of 95 % holds what was held out",
}
"""What is to be looked at in a person's report."""


def next_of_all(cohort: Cohort) -> str:
    """The first three things that are in the way of relying on the people; what to use them for where nothing is."""
    first, *others = tuple(_in_the_way(cohort)) or (
        "use the people, as far as the table has nothing against them: `gymnasium.make` and `mjx-msm verify` take each "
        "of their folders",
    )
    return f"Next: {first}." + "".join(f" Then {step}." for step in others[:2])


def _in_the_way(c: Cohort) -> Iterator[str]:
    if c.failed:
        first = c.failed[0]
        everybody = some([m.name for m in c.failed], 4)
        yield f"put right what is wrong with {everybody}, first {first.name} ({first.fault}); then run it again"
        return
    each = {name: {step.matter: step for step in steps(result)} for name, result in c.results.items()}
    for matter in Matter:
        concerned = {name: found[matter] for name, found in each.items() if matter in found}
        if concerned and matter is not Matter.NOTHING:
            yield from _of(c, matter, concerned)


def _of(c: Cohort, matter: Matter, concerned: Mapping[str, Step]) -> Iterator[str]:
    """One matter, of all whom it concerns."""
    people, names = len(c.identified), list(concerned)
    who = whom(names, people, NAMED)
    if matter is Matter.TRIAL:
        yield from _predicted_worst(c, names)
    elif matter is Matter.FIT:
        yield (
            f"look at the reports of {whom(list(poorly_fitted(c)), people, NAMED)}, who fit poorly: check the "
            "electrodes, the normalisation of the EMG, and scale, sign and clock of the moment"
        )
    elif matter is Matter.BOUND:
        yield _pushed(c, who)
    elif matter in (Matter.RECORD, Matter.HOLD_OUT):
        yield _to_record(c, matter, names)
    elif matter in WHY:
        yield f"look at the reports of {who}: {WHY[matter]}"
    else:  # the estimate did not end, or its folds are not known
        for said in dict.fromkeys(step.said for step in concerned.values()):
            yield f"of {whom([n for n, step in concerned.items() if step.said == said], people, NAMED)}: {said}"


def _predicted_worst(c: Cohort, bad: Sequence[str]) -> Iterator[str]:
    helped = [name for name in bad if name in c.seen and not trial_predicted_worst(c.seen[name].fits)]
    if len(helped) > len(bad) / 2:
        yield (
            f"identify {whom(helped, len(c.identified), NAMED)} again with what the others expect of them "
            f"({OTHERS}): alone their recordings say too little to predict a held-out trial better than its best "
            "constant, with the others' help they do"
        )
        bad = [name for name in bad if name not in helped]
    if bad:
        yield (
            f"look at the reports of {whom(bad, len(c.identified), NAMED)}: a trial that it had not seen of them, the "
            "model predicts worse than its best constant; a sign, a channel at fault, or a task that nothing else "
            "says anything of"
        )


def _pushed(c: Cohort, who: str) -> str:
    """What recordings push against a bound: of many, or of some."""
    counts = _counted(c, is_pushed)
    often = {path: n for path, n in counts.items() if n >= OFTEN * len(c.identified)}
    paths = emg_first(often or counts)
    people = len(c.identified)
    which = some([f"{c.called(path)} (pushed against a bound in {counts[path]} of {people} people)" for path in paths])
    many = ": what many share comes from the recordings or the model rather than from them" if often else f", of {who}"
    return f"ask whether {which} can be believed{many}; check {checks(paths)}"


def _to_record(c: Cohort, matter: Matter, names: Sequence[str]) -> str:
    """More of whom recordings leave much open, or a trial to judge by."""
    fits = [c.results[name].fits for name in names]
    who = whom(names, len(c.identified), NAMED)
    rely = "on nobody's prediction" if len(names) == len(c.identified) else "on none of their predictions"
    judged, flatters = any(unseen(f) for f in fits), any(not unseen(f) or flattery(f) for f in fits)
    none = "" if judged else f" ({WITHIN}: `cross_validation = true` in [run])"
    until = f"; until then rely {rely}{none}" if flatters else ""
    if matter is Matter.HOLD_OUT:
        trials = round(median(len({x.trial for x in fitted(f)}) for f in fits))
        return f"{hold_out(trials, who)}{until}"
    what = HOLDING if all(was_held(f) for f in fits) else MOVING
    others = (
        f"; or identify them again with what the others expect of them ({OTHERS})" if c.population is not None else ""
    )
    more = ONE_MORE if flatters else ""
    return f"record more of {who}, whose recordings leave much open: {what}{more}{others}{until}"


def at_bounds(c: Cohort) -> dict[str, int]:
    """By parameter that rests on a bound in somebody, in how many people."""
    return _counted(c, lambda e: bool(e.bound))


def _counted(c: Cohort, which: Callable[[Estimate], bool]) -> dict[str, int]:
    counts = Counter({path: sum(which(t.estimate) for t in found) for path, found in c.told.items()})
    return {path: n for path, n in counts.most_common() if n}
