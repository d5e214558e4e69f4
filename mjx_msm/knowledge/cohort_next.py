"""What to do next with a study: what is in the way of relying on its people, the first thing first.

It is what is in the way of each of them (`mjx_msm.knowledge.next_step`), told of all whom it concerns; what can be done
for several at a time, with what the others lead to expect, comes with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from mjx_msm.knowledge.belonging import AGAIN, STARTS
from mjx_msm.knowledge.cohort import TABLE, Cohort
from mjx_msm.knowledge.cohort_counts import counted
from mjx_msm.knowledge.cohort_errors import errors_with_others, others_help, poorly_fitted
from mjx_msm.knowledge.cohort_population import foretell
from mjx_msm.knowledge.cohort_search import WORTH, better_found, searched_elsewhere, spared
from mjx_msm.knowledge.cohort_truth import prior_of_others
from mjx_msm.knowledge.judged_errors import (
    bands,
    fitted,
    flattery,
    joints_predicted_worst,
    per_trial,
    unseen,
    was_held,
)
from mjx_msm.knowledge.muscle_checks import MVC, is_relative_to_itself
from mjx_msm.knowledge.next_step import (
    EFFORTS,
    REPETITIONS,
    SWINGS,
    WITHIN,
    Matter,
    Step,
    checks,
    hold_out,
    is_pushed,
    many,
    steps,
    times_as_many,
    untold_by_holding,
)
from mjx_msm.knowledge.reliance import Rely
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing
from mjx_msm.knowledge.strength_or_gain import TELLS_APART, exchanges
from mjx_msm.knowledge.wording import emg_first, percent, some, whom

FIRST = 3
"""Steps that are told in full."""
USE = "`gymnasium.make` and `mjx-msm verify` take each of their folders"
OFTEN = 0.5
"""Part of the people in whom a parameter rests on a bound, from which it is no matter of one recording."""
FEW = 0.25
"""Part of the people, below which what concerns them comes after what concerns more."""
OTHERS = '`prior = "population.json"` in [identify]'
AMONG = "population.json leaves nobody out, so that a person's own recording counts a little twice"
NOTHING_LEFT = Step(Matter.NOTHING, "use the person, once identified with what the others lead to expect")
NAMED = 4
"""People who are named of whom a step is."""
OF_RECORDINGS = (Matter.OTHER_FOOT, Matter.MUSCLE, Matter.APART, Matter.RECORD, Matter.HOLD_OUT, Matter.FOLDS)
"""What is a matter of somebody's recordings, and not of what the others lead to expect."""
WHY = {
    Matter.TRIAL: "a trial that it had not seen of them, the model predicts worse than its best constant; a task "
    "that nothing else says anything of, or a muscle without EMG",
    Matter.INTERRUPTED: "their identification was interrupted; run the study again, which goes on with it",
    Matter.EVALUATIONS: "the solver ran out of evaluations, and may still move; free fewer parameters, or begin from "
    "more places (`starts` in [identify]), and run the study again",
    Matter.UNSETTLED: "the solver came to no end that stays one; begin from more places (`starts` in [identify]), or "
    "free fewer parameters",
    Matter.JOINT: "a joint of a trial that it had not seen, the model predicts worse than a constant; a task that "
    "nothing else says anything of, or a muscle without EMG",
    Matter.REGRESSION: "what it had not seen, a regression predicts better than the model, which lacks something: a "
    "muscle without EMG, passive tissue, a right delay",
    Matter.BEATEN_JOINT: "a joint of what it had not seen, a regression predicts better than the model, which lacks "
    "something there",
    Matter.OTHER_FOOT: "the other foot's force may be in the moments that are missed; leave it out "
    '(`other_foot = "masked"`)',
    Matter.MUSCLE: "a muscle does what hardly anybody's does; check electrode and normalisation of its EMG",
    Matter.APART: "its trials pull a parameter apart; look which of them is unlike the others",
    Matter.BAND: "the band of 95 % holds too little of what it had not seen; till it is found what the model lacks "
    "there, their intervals are not to be used",
    Matter.NO_BAND: "whether the band of 95 % holds what was held out",
}
"""What is to be looked at in a person's report."""
ASKS_NOTHING = "it takes little and asks nothing of the lab: another person may fit these recordings better"
LEFT = {
    Matter.INTERRUPTED: "an identification that was interrupted",
    Matter.NOT_FINITE: "an estimate that is not finite",
    Matter.UNMEASURED: "muscles without EMG that explain all",
    Matter.OTHER_FOOT: "the other foot's force that may be in their moments",
    Matter.TRIAL: "a trial that a constant predicts better",
    Matter.JOINT: "a joint that a constant predicts better",
    Matter.EVALUATIONS: "a solver that ran out of evaluations",
    Matter.UNSETTLED: "a solver that did not settle",
    Matter.STARTS: "a search from one place that may have missed them",
    Matter.FIT: "a poor fit",
    Matter.REGRESSION: "a regression that predicts better",
    Matter.BEATEN_JOINT: "a joint that a regression predicts better",
    Matter.BOUND: "a parameter that only a bound holds",
    Matter.MUSCLE: "a muscle that does what hardly anybody's does",
    Matter.APART: "trials that disagree",
    Matter.BAND: "a band that holds too little",
    Matter.RECORD: "much that is open till more is recorded",
    Matter.HOLD_OUT: "no whole trial that was held out",
    Matter.FOLDS: "folds that may be parts of the same trials",
    Matter.NO_BAND: "a band of which it is not known what it holds",
}
"""What is in the way of people whom none of the first steps concerns."""


@dataclass(frozen=True)
class _Told:
    """A step of a study."""

    said: str
    names: Collection[str]
    """Of whom it is."""
    matter: Matter | None
    """None of those who could not be identified."""


def advice(cohort: Cohort) -> Mapping[str, tuple[Step, ...]]:
    """By person, what is in the way, the first thing first: of those whom what all of them lead to expect helps, what
    is left in the way with it. The sentences and the table of a study tell of these, in the words of its files."""
    helped = cohort.seen if others_help(cohort) else {}
    return {
        name: _left(_alone(cohort, name), steps(helped[name])) if name in helped else _alone(cohort, name)
        for name in cohort.results
    }


def _alone(c: Cohort, name: str) -> tuple[Step, ...]:
    """What is in somebody's way; not a search from one place, where a turn began elsewhere and found little."""
    found = steps(c.results[name])
    if searched_elsewhere(c, name):
        found = tuple(step for step in found if step.matter is not Matter.STARTS) or found
    head = f"search from more places than one (`starts = {STARTS}` in [identify])"
    return tuple(replace(step, head=head) if step.matter is Matter.STARTS else step for step in found)


def _left(alone: tuple[Step, ...], helped: tuple[Step, ...]) -> tuple[Step, ...]:
    """What is in the way with the others' help: of the estimate with it, but what the recordings hold and leave open is
    theirs alone, whatever is expected beside them. (A turn makes no band; a report of somebody identified so does.)"""
    found = [step for step in alone if step.matter in OF_RECORDINGS]
    found += [step for step in helped if step.matter not in (*OF_RECORDINGS, Matter.NO_BAND, Matter.NOTHING)]
    order = list(Matter)
    return tuple(sorted(found, key=lambda step: order.index(step.matter))) or (NOTHING_LEFT,)


def next_of_all(cohort: Cohort) -> str:
    """`steps_of_all` in a line."""
    first, *rest = steps_of_all(cohort)
    return f"Next: {first}." + "".join(f" Then {step}." for step in rest)


def steps_of_all(cohort: Cohort) -> tuple[str, ...]:
    """The first three things that are in the way of relying on the people, what to do about whom none of them concerns,
    and what to use them for where nothing is."""
    each, everybody = advice(cohort), [m.name for m in cohort.members]
    said, told = list(_of_all(cohort)), _first(_of_many_first(cohort, tuple(_in_the_way(cohort, each))))
    said += [step.said for step in told]
    matters = {step.matter for step in told}
    named = {name for step in told if step.matter is None for name in step.names}
    named |= {name for name, found in each.items() if found[0].matter in matters}
    others = [name for name in everybody if name not in named]
    free = [name for name in others if each[name][0].matter is Matter.NOTHING]
    if free:
        whose = "" if len(free) == len(everybody) else f" {whom(free, len(everybody), NAMED)}"
        said.append(f"use{whose or ' the people'}, in whose way nothing is: {USE}")
    if len(others) > len(free):
        left = [name for name in others if name not in free]
        counts = Counter(LEFT[each[name][0].matter] for name in left)
        why = ", ".join(f"{what} ({n})" for what, n in counts.most_common())
        said.append(f"see “what first” in the table for {whom(left, len(everybody), NAMED)}: first comes {why}")
    last = _better(cohort) if better_found(cohort) else "" if Matter.STARTS in matters else _started_once(cohort)
    if last and last not in said:
        said.append(last)
    return tuple(said)


def _first(told: Sequence[_Told]) -> tuple[_Told, ...]:
    """The first three for the lab, with a search among them that asks nothing of it."""
    lab = [step for step in told if step.matter is not Matter.STARTS]
    return tuple(step for step in told if step.matter is Matter.STARTS or step in lab[:FIRST])


def _of_many_first(c: Cohort, told: Sequence[_Told]) -> tuple[_Told, ...]:
    """What concerns somebody here and there comes after what concerns many, and of that what concerns most of them
    first; but for those who could not be identified."""

    def few(step: _Told) -> int:
        count = len(step.names)
        return 0 if step.matter is None or count >= FEW * len(c.members) else len(c.members) - count

    return tuple(sorted(told, key=few))


def _of_all(c: Cohort) -> Iterator[str]:
    """What is to be done of everybody at once: with each other's help, and from more places."""
    if others_help(c):
        alone, helped = zip(*(both := errors_with_others(c)).values(), strict=True)
        less = sum(b < a for a, b in zip(alone, helped, strict=True))
        yield (
            f"identify {whom(list(c.seen), len(c.members), NAMED)} with what all of them lead to expect ({OTHERS}): so "
            f"the model misses what was held out by {percent(median(helped))} of its spread in the middle person, "
            f"alone by {percent(median(alone))}, and less than alone in {less} of {len(both)}. Those estimates are "
            f"made already ({c.turn_folder()}, and beside their own in {TABLE}); {AMONG}. "
            "What follows is what is left in the way then"
        )
    elif why := prior_of_others(c):
        yield (
            "take parameters from the estimates with what all of them lead to expect (columns “with others” of "
            f"{TABLE}, made already in {c.turn_folder()}); the usual prior (what is expected of anybody before a "
            f"recording) is not of these people: {why}"
        )
    if max(spared(c, better_found(c)), default=0.0) >= WORTH:
        yield _better(c)


def _better(c: Cohort) -> str:
    """To search for those again whose estimate is not the best, and what that would gain."""
    names = list(better_found(c))
    found, gain = spared(c, names), ""
    if found:
        most, whose = max(0.0, found[-1]), "it was" if len(names) == 1 else "they were"
        little = "" if most >= WORTH else ", which is little"
        gain = f". It spares {percent(most)} at most of the error on what {whose} identified from{little}"
    return (
        f"identify {whom(names, len(c.identified), NAMED)} from more places ({_more_places()}): begun once more, from "
        f"where the others are, the search found a better estimate of them, so that theirs is not the best{gain}"
    )


def _more_places() -> str:
    return f"`starts = {STARTS}` in [identify] of the subject file or template, {AGAIN}"


def _search(c: Cohort, names: Sequence[str]) -> str:
    return f"search for {whom(names, len(c.identified), NAMED)} from more places than one ({_more_places()})"


def _started_once(c: Cohort) -> str:
    once = [name for name, r in c.results.items() if r.starts == 1]
    return f"{_search(c, once)}: a distant person might fit better" if once else ""


def _in_the_way(c: Cohort, advised: Mapping[str, tuple[Step, ...]]) -> Iterator[_Told]:
    """Steps, the first first."""
    if c.failed:
        first, names = c.failed[0], [m.name for m in c.failed]
        yield _Told(
            f"put right what is wrong with {some(names, NAMED)}, first {first.name} ({first.fault}); then run it again",
            names,
            None,
        )
    each = {name: {step.matter: step for step in found} for name, found in advised.items()}
    for matter in _order(c):
        concerned = {name: found[matter] for name, found in each.items() if matter in found}
        if matter is Matter.STARTS:  # of whom a better estimate is known it is told what that gains
            concerned = {name: step for name, step in concerned.items() if name not in better_found(c)}
        if concerned and matter is not Matter.NOTHING:
            for step in _of(c, matter, concerned):
                yield _Told(step, concerned, matter)


def _order(c: Cohort) -> list[Matter]:
    """As `steps` has it: of contractions that were held, what to record comes before what bounds hold, which they
    hardly tell."""
    order = list(Matter)
    if c.results and all(was_held(r.fits) for r in c.results.values()):
        order.remove(Matter.RECORD)
        order.insert(order.index(Matter.BOUND), Matter.RECORD)
    return order


def _of(c: Cohort, matter: Matter, concerned: Mapping[str, Step]) -> Iterator[str]:
    """One matter, of all whom it concerns."""
    people, names = len(c.identified), list(concerned)
    who = whom(names, people, NAMED)
    if matter is Matter.STARTS:
        yield f"{_search(c, names)}: {ASKS_NOTHING}"
    elif matter is Matter.FIT:
        worst = [n for n in poorly_fitted(c) if n in concerned]
        worst += [n for n in names if n not in worst]
        yield (
            f"look at the reports of {whom(worst, people, NAMED)}, who fit poorly{_worst_trials(c, worst)}: check the "
            "electrodes, the normalisation of the EMG, and scale, sign and clock of the moment"
        )
    elif matter is Matter.BOUND:
        yield _pushed(c, names)
    elif matter in (Matter.RECORD, Matter.HOLD_OUT):
        yield _to_record(c, matter, names)
    elif matter in WHY:
        yield f"look at the reports of {who}: {WHY[matter]}{_where(c, matter, names)}"
    else:  # in its own words
        for said in dict.fromkeys(step.said for step in concerned.values()):
            yield f"of {whom([n for n, step in concerned.items() if step.said == said], people, NAMED)}: {said}"


def _where(c: Cohort, matter: Matter, names: Sequence[str]) -> str:
    """Which joints a matter is of, that of most people first; "" of what is no joint's, or where there is one only."""
    joints: Counter[str] = Counter()
    for fits in (_judged(c, name).fits for name in names):
        if matter is Matter.JOINT:
            joints[joints_predicted_worst(fits)[0].coordinate] += 1
        elif matter is Matter.BAND:
            joints[min(bands(fits).values())[1]] += 1
    which = [f"{joint} in {n}" for joint, n in joints.most_common() if joint]
    return f" (the worst joint: {some(which)})" if which else ""


def _worst_trials(c: Cohort, names: Sequence[str]) -> str:
    """In which of the contractions that were held; "" of others, or where there was one of each."""
    fits = [_judged(c, name).fits for name in names]
    if not all(was_held(f) and len(per_trial(f)) > 1 for f in fits):
        return ""
    worst = Counter(max(per_trial(f), key=lambda t: t.part).trial for f in fits)
    return f" (worst in {some([f'{trial} ({n})' for trial, n in worst.most_common()])})"


def _judged(c: Cohort, name: str) -> Identification:
    """The estimate of somebody that `advice` is about."""
    return c.seen.get(name, c.results[name]) if others_help(c) else c.results[name]


def _pushed(c: Cohort, names: Sequence[str]) -> str:
    """What only a bound holds: of many, or of some."""
    counts, people = counted(c, Standing.BOUND), len(c.identified)
    held = all(was_held(c.results[name].fits) for name in names)
    asked = {
        path
        for path, found in c.told.items()
        if any(is_pushed(t.estimate) for t in found) and not (held and untold_by_holding(path))
    }
    often = [path for path in counts if path in asked and counts[path] >= OFTEN * people]
    paths = emg_first(often or [path for path in counts if path in asked])
    which = some([f"{c.called(path)} (rests on a bound in {counts[path]} of {people} people)" for path in paths])
    whose = ": what many share comes from the recordings or the model rather than from them" if often else (
        f", of {some(names, NAMED)}"
    )  # fmt: skip
    return f"ask whether {which} can be believed{whose}; check {checks(paths)}"


def _to_record(c: Cohort, matter: Matter, names: Sequence[str]) -> str:
    """More of whom recordings leave much open, or a trial to judge by."""
    fits = [c.results[name].fits for name in names]
    who = whom(names, len(c.identified), NAMED)
    whole = "on nobody's prediction" if len(names) == len(c.identified) else "on none of their predictions"
    judged, flatters = any(unseen(f) for f in fits), any(not unseen(f) or flattery(f) for f in fits)
    none = "" if judged else f" ({WITHIN}: `cross_validation = true` in [run])"
    rely = (
        "on predictions within a trial at most" if judged and any(c.rely[n].rely is Rely.YES for n in names) else whole
    )
    until = f"; until then rely {rely}{none}" if flatters else ""
    untold = _untold(c) if all(was_held(f) for f in fits) else ""
    if matter is Matter.HOLD_OUT:
        trials = round(median(len({x.trial for x in fitted(f)}) for f in fits))
        return f"{hold_out(trials, who)}{until}"
    times = max(times_as_many(c.results[name]) for name in names)
    efforts = EFFORTS if all(was_held(f) for f in fits) else f"{many(times)} {REPETITIONS}"
    others = (
        f"; or identify them with what all of them lead to expect ({OTHERS}; {AMONG})"
        if foretell(c) and not others_help(c) and not prior_of_others(c)
        else ""
    )
    together = any(exchanges(c.results[name]) for name in names)
    what = [
        efforts,
        SWINGS,
        *([f"as these do not tell strength and EMG gain apart, {TELLS_APART}"] if together else []),
        *([MVC] if any(is_relative_to_itself(c.results[name]) for name in names) else []),
        *(["a whole trial more to hold out"] if flatters else []),
    ]
    return f"record more of {who}, whose recordings leave much open: {'; '.join(what)}{untold}{others}{until}"


def _untold(c: Cohort) -> str:
    """What contractions that were held hardly tell, and in how many people only a bound holds it."""
    counts = counted(c, Standing.BOUND)
    found = [path for path in c.paths() if untold_by_holding(path)]
    if not found:
        return ""
    which = [c.called(path) + (f" (at a bound in {counts[path]})" if path in counts else "") for path in found]
    return (
        f"; contractions held at one angle hardly tell {some(which, 4)}, as a stiffness is a constant moment there and "
        "an EMG that hardly changes shows neither delay nor shape: where a bound holds one of them, it is no finding"
    )
