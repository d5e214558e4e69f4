"""How many people of a study, and who: each of these is counted here, and told everywhere as it is counted here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_errors import relative_errors
from mjx_msm.knowledge.judged_errors import joints_predicted_worst, trial_predicted_worst
from mjx_msm.knowledge.records import Estimate
from mjx_msm.knowledge.standing import Standing


def counted(c: Cohort, standing: Standing) -> dict[str, int]:
    """By parameter, in how many people it stands so, as far as there are any; the most first."""
    counts = {path: sum(t.standing is standing for t in found) for path, found in c.told.items()}
    return {path: n for path, n in sorted(counts.items(), key=lambda x: -x[1]) if n}


def determined_in(c: Cohort) -> dict[str, int]:
    """By parameter of anybody, in how many people the recordings determine it."""
    return dict.fromkeys(c.paths(), 0) | counted(c, Standing.DETERMINED)


def by_knowledge(c: Cohort) -> list[str]:
    """Paths of all parameters, those first that are determined in most people."""
    counts = determined_in(c)
    return sorted(counts, key=lambda path: -counts[path])


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


def relied_on(c: Cohort) -> tuple[str, ...]:
    """People whose prediction beats a constant: of all that was unseen, of every trial of it, and of every joint."""
    return tuple(
        n
        for n, (ours, _) in relative_errors(c).items()
        if ours <= 1.0 and not (trial_predicted_worst(fits := c.results[n].fits) or joints_predicted_worst(fits))
    )


def relied_on_but(c: Cohort) -> Mapping[str, str]:
    """The joint that is predicted worse than a constant, by person of whom every unseen trial is predicted better as a
    whole; of several joints the worst."""
    out = {}
    for name in relative_errors(c):
        fits = c.results[name].fits
        worst = joints_predicted_worst(fits)
        if worst and not trial_predicted_worst(fits):
            out[name] = worst[0].coordinate
    return out


def hardly_more_than_noise(c: Cohort) -> tuple[str, ...]:
    """People of whom a constant does as well only because what was unseen is hardly more than noise."""
    told = {*relied_on(c), *relied_on_but(c)}
    return tuple(n for n in relative_errors(c) if n not in told and not trial_predicted_worst(c.results[n].fits))
