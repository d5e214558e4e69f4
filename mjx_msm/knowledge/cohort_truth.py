"""Of people who were made up, the truth beside what was found of them."""

from __future__ import annotations

from dataclasses import dataclass

from mjx_msm.knowledge.cohort import Cohort, Told


@dataclass(frozen=True)
class Against:
    """An estimate and the truth."""

    told: Told
    truth: float

    @property
    def held(self) -> bool:
        """Whether the 95 % interval holds it."""
        return self.told.estimate.low <= self.truth <= self.told.estimate.high


def against_truth(c: Cohort) -> tuple[Against, ...]:
    """Every estimate of somebody whose truth is known, beside it; of what stands for several there is no one truth."""
    known = {m.name: m.truth for m in c.identified}
    out = []
    for found in c.told.values():
        for t in found:
            members = t.unknown.members if t.unknown is not None else (t.estimate.path,)
            if len(members) == 1 and members[0] in known[t.who]:
                out.append(Against(t, known[t.who][members[0]]))
    return tuple(out)


def truth_words(c: Cohort) -> tuple[str, ...]:
    """How often intervals hold the truth, of what is determined and of the rest."""
    found = against_truth(c)
    if not found:
        return ()
    parts = []
    for known, what in ((True, "determined parameters"), (False, "the others")):
        held = [a.held for a in found if a.told.determined is known]
        if held:
            parts.append(f"of {what} {100 * sum(held) / len(held):.0f} % ({sum(held)} of {len(held)})")
    people = len({a.told.who for a in found})
    return (
        f"Of {'everybody' if people == len(c.identified) else f'{people} people'} the truth is known, as they are made "
        f"up: the 95 % interval holds it {'; '.join(parts)}.",
    )
