"""What to do next with a study: what is in the way of relying on its people, the first thing first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_errors import flattery_of_all, poorly_fitted, relative_errors
from mjx_msm.knowledge.judged_errors import fitted, trial_predicted_worst
from mjx_msm.knowledge.next_step import WITHIN, checks, hold_out, is_pushed
from mjx_msm.knowledge.records import Estimate
from mjx_msm.knowledge.standing import Standing
from mjx_msm.knowledge.wording import emg_first, some, whom

OFTEN = 0.5
"""Part of the people in whom a parameter rests on a bound, from which it is no matter of one recording."""


OTHERS = '`[identify] prior = "population.json"`'


def next_of_all(cohort: Cohort) -> str:
    """The first two things that are in the way of relying on the people; what to use them for where nothing is."""
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
    errors, poor = relative_errors(c), poorly_fitted(c)
    bad = [name for name, result in c.results.items() if trial_predicted_worst(result.fits)]
    helped = [name for name in bad if name in c.seen and not trial_predicted_worst(c.seen[name].fits)]
    if with_others := len(helped) > len(bad) / 2:
        yield (
            f"identify {whom(helped, len(c.identified), 4)} again with what the others expect of them "
            f"({OTHERS}): alone their recordings say too little to predict a held-out trial better than its best "
            "constant, with the others' help they do"
        )
        bad = [name for name in bad if name not in helped]
    if bad:
        yield (
            f"look at the reports of {whom(bad, len(c.identified), 4)}: a trial that it had not seen of them, the "
            "model predicts worse than its best constant; a sign, a channel at fault, or a task that nothing else "
            "says anything of"
        )
    if poor:
        yield (
            f"look at the reports of {some(list(poor))}, who fit poorly: check the electrodes, the normalisation of "
            "the EMG, and scale, sign and clock of the moment"
        )
    often = {path: n for path, n in _pushed(c).items() if n >= OFTEN * len(c.identified)}
    if often:
        which = some([f"{path} (pushed against a bound in {often[path]} people)" for path in emg_first(often)])
        yield (
            f"ask whether {which} can be believed: what many share comes from the recordings or the model rather than "
            f"from them; check {checks(emg_first(often))}"
        )
    if not errors or flattery_of_all(c):
        trials = round(median(len({f.trial for f in fitted(m.result.fits)}) for m in c.identified if m.result))
        until = "" if errors else f" ({WITHIN}: `cross_validation = true` in [run])"
        yield f"{hold_out(trials, 'everybody')}; until then rely on nobody's prediction{until}"
        return
    clear = all(s is Standing.DETERMINED for result in c.results.values() for s in result.standing)
    if not clear and not with_others and c.population is not None:
        yield (
            f"for whom a recording leaves much open, identify again with what the others expect of them ({OTHERS}), or "
            "record a task that moves it"
        )


def at_bounds(c: Cohort) -> dict[str, int]:
    """By parameter that rests on a bound in somebody, in how many people."""
    return _counted(c, lambda e: bool(e.bound))


def _pushed(c: Cohort) -> dict[str, int]:
    """By parameter that recordings push against a bound, in how many people."""
    return _counted(c, is_pushed)


def _counted(c: Cohort, which: Callable[[Estimate], bool]) -> dict[str, int]:
    counts = Counter(e.path for result in c.results.values() for e in result.estimates if which(e))
    return dict(counts.most_common())
