"""How many people of a study, and who: each of these is counted here, and told everywhere as it is counted here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.records import Estimate
from mjx_msm.knowledge.reliance import Rely
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


def relied_on(c: Cohort, rely: Rely = Rely.YES) -> tuple[str, ...]:
    """People whose prediction is to be relied on so."""
    return tuple(name for name, found in c.rely.items() if found.rely is rely)


def relied_on_but(c: Cohort) -> Mapping[str, int]:
    """What a constant predicts better of people whose prediction is to be relied on otherwise, trials or joints, and of
    how many; the most first."""
    each = [c.rely[name] for name in relied_on(c, Rely.PART)]
    return dict(Counter((r.trials or r.joints)[0] for r in each).most_common())
