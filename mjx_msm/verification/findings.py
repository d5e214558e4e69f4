"""What a campaign comes to: probabilities with their intervals, what the point estimate misses, who violates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from mjx_msm.common.errors import InputError
from mjx_msm.verification.campaign import Campaign
from mjx_msm.verification.episode import POINT, Course, Episode
from mjx_msm.verification.scenarios import Plan, Violation

LEVEL = 0.95
"""Of confidence."""
ANY = "any of these"
SIGNIFICANT = 0.05
"""Of a row: probability of calling people and point estimate different if they are not. Of parameters: probability of
listing one that has nothing to do with its violation, over all parameters and violations together."""
FEWEST = 20
"""People below whom no parameter is listed: a rank correlation's p is far too small for few."""
LISTED = 5
"""Most parameters that are listed for a violation."""


class Proportion(NamedTuple):
    """How often something happened."""

    hits: int
    n: int
    certain: bool = False
    """Whether nothing in it was random, so that one episode says it all."""

    @property
    def estimate(self) -> float:
        return self.hits / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the probability behind it."""
        return (self.estimate, self.estimate) if self.certain else clopper_pearson(self.hits, self.n)


def clopper_pearson(count: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Exact confidence interval of a binomial probability (Clopper and Pearson 1934, doi 10.1093/biomet/26.4.404).

    It covers the probability in at least `level` of all experiments, whatever the probability.

    **Arguments:** `count` of `n` independent trials had it.
    """
    from scipy.stats import beta

    if not 0 <= count <= n or n < 1:
        raise InputError(f"{count} of {n}: give a count between 0 and n")
    rest = (1.0 - level) / 2.0
    low = 0.0 if count == 0 else float(beta.ppf(rest, count, n - count + 1))
    high = 1.0 if count == n else float(beta.ppf(1.0 - rest, count + 1, n - count))
    return low, high


def mcnemar(more: int, fewer: int) -> float:
    """Exact two-sided p of paired yes-or-no outcomes (McNemar 1947, doi 10.1007/BF02295996).

    If both of a pair are equally likely to have it, each of the pairs that differ is a fair coin.

    **Arguments:** pairs in which only the first has it, and in which only the second.
    """
    from scipy.stats import binomtest

    return float(binomtest(more, more + fewer, 0.5).pvalue) if more + fewer else 1.0


class Row(NamedTuple):
    """One violation in one scenario, or over all of them."""

    scenario: str
    violation: str
    posterior: Proportion
    """Of drawn people."""
    point: Proportion
    """Of the point estimate, under the same disturbances."""
    more: int
    """Drawn people who have it where the point estimate under the same disturbances has not."""
    fewer: int
    """The other way round."""
    worst: float
    """Largest margin of the drawn people; above 1 it is a violation."""

    @property
    def p(self) -> float:
        """Of the drawn people being no other than the point estimate.

        Where the point estimate is certain, its probability is known: it is 0 or 1, and no longer a sample. A single
        person on the other side then settles that people's is another one, as 0 and 1 are outside of every
        Clopper-Pearson interval but those of none and of all.
        """
        if self.point.certain:
            low, high = self.posterior.interval
            return 1.0 if low <= self.point.estimate <= high else 0.0
        return mcnemar(self.more, self.fewer)

    @property
    def verdict(self) -> str:
        """What the point estimate alone says wrongly ("missed" or "understated"), "not seen" by it, or nothing.

        "Not seen": people have it and the point estimate never, but so few that it may be chance.
        """
        significant = self.more > self.fewer and self.p < SIGNIFICANT
        if self.posterior.hits and not self.point.hits:
            return "missed" if significant else "not seen"
        return "understated" if significant else ""


class Separation(NamedTuple):
    """How a parameter differs between those who violate and the rest."""

    violation: str
    parameter: str
    correlation: float
    """Spearman's, of the parameter with the person's largest margin over all scenarios."""
    p: float
    """Probability of one as large by chance, times the number of parameters and violations that were tested."""
    difference: float
    """Mean of the violators less that of the rest, in standard deviations of everybody; nan where all are one."""
    violators: int
    n: int


class Worst(NamedTuple):
    """The drawn person's episode with the largest margin."""

    episode: Episode
    course: Course
    violation: Violation
    scenario: str
    margin: float
    value: float
    seed: int


@dataclass(frozen=True, eq=False)
class Findings:
    """What came of a campaign."""

    environment: str
    subject: str
    controller: str
    people: int
    seed: int
    plan: Plan
    """Scenarios, violations and the longest episode."""
    setting: Mapping[str, Any]
    """Arguments of the environment, also those left at their defaults."""
    period: float
    """Of control [s]; measures are seen at its end."""
    versions: Mapping[str, str]
    episodes: tuple[Episode, ...]
    courses: tuple[Course, ...]
    """In the order of `episodes`."""
    rows: tuple[Row, ...]
    """By scenario and violation."""
    overall: tuple[Row, ...]
    """By violation: people with it in any scenario; where scenarios are drawn, episodes with it."""
    separations: tuple[Separation, ...]
    worst: Worst
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, campaign: Campaign, courses: Sequence[Course]) -> Self:
        """Of a campaign that has been run; `courses` in the order of its episodes."""
        plan, episodes = campaign.plan, campaign.episodes
        names = tuple(s.name for s in plan.scenarios)
        margins = np.array([c.margins for c in courses])
        violated = np.array([c.violated for c in courses], bool)
        person = np.array([e.person for e in episodes])
        scenario = np.array([e.scenario for e in episodes])
        drawn = np.flatnonzero(person != POINT)
        twins = _twins(episodes, drawn)
        who, where = person[drawn], scenario[drawn]
        chosen = [(v.name, [i]) for i, v in enumerate(plan.violations)]
        chosen.append((ANY, list(range(len(plan.violations)))))

        rows, overall = [], []
        count = len(campaign.crowd.drawn)
        for label, columns in chosen:
            hit = np.asarray(violated[:, columns].any(axis=1))
            have, twin_has = hit[drawn], hit[twins]
            for k, name in enumerate(names):
                here = np.asarray(where == k)
                if here.any():
                    worst = float(margins[drawn][here][:, columns].max())
                    rows.append(_row(name, label, have[here], twin_has[here], campaign.certain[k], worst))
            # Over all scenarios: whether a person ever has it, and whether the point estimate under that person's
            # disturbances.
            ever, twin_ever = np.zeros(count, bool), np.zeros(count, bool)
            np.logical_or.at(ever, who, have)
            np.logical_or.at(twin_ever, who, twin_has)
            name = "drawn scenario" if plan.mixed else "any scenario"
            sure = all(campaign.certain) and not plan.mixed
            overall.append(_row(name, label, ever, twin_ever, sure, float(margins[drawn][:, columns].max())))
        rows.sort(key=lambda r: names.index(r.scenario))
        at = int(drawn[np.argmax(margins[drawn].max(axis=1))])
        which = int(np.argmax(margins[at]))
        worst = Worst(
            episodes[at],
            courses[at],
            plan.violations[which],
            names[episodes[at].scenario],
            float(margins[at, which]),
            courses[at].values[which],
            episodes[at].seed,
        )
        # Each person's largest margin, over the scenarios.
        extreme = np.full((count, len(plan.violations)), -np.inf)
        np.maximum.at(extreme, who, margins[drawn])
        broken = np.zeros((count, len(plan.violations)), bool)
        np.logical_or.at(broken, who, violated[drawn])
        return cls(
            environment=campaign.stage.environment,
            subject=campaign.stage.subject,
            controller=str(campaign.configuration["controller"]),
            people=count,
            seed=campaign.seed,
            plan=plan,
            setting=campaign.setting,
            period=campaign.period,
            versions={**campaign.configuration["versions"], "code": campaign.configuration["code"]},
            episodes=episodes,
            courses=tuple(courses),
            rows=tuple(rows),
            overall=tuple(overall),
            separations=tuple(
                separations(
                    [v.name for v in plan.violations],
                    campaign.crowd.parameters,
                    campaign.crowd.values,
                    extreme,
                    broken,
                )
            ),
            worst=worst,
            notes=campaign.crowd.notes,
        )

    @property
    def mixed(self) -> bool:
        """Whether every person went through one scenario that was drawn, and not through all."""
        return self.plan.mixed

    @property
    def violations(self) -> tuple[Violation, ...]:
        return self.plan.violations

    @property
    def scenarios(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.plan.scenarios)

    @property
    def missed(self) -> tuple[Row, ...]:
        """What the point estimate alone says wrongly."""
        return tuple(r for r in self.rows if r.verdict in ("missed", "understated") and r.violation != ANY)


def _twins(episodes: Sequence[Episode], drawn: Int[np.ndarray, "pair"]) -> Int[np.ndarray, "pair"]:
    """Place of the point estimate's episode under the same disturbances, for every drawn person's.

    It has the next number; where it is certain there may be only one, which stands for all of its scenario.
    """
    place = {e.number: i for i, e in enumerate(episodes)}
    only = {e.scenario: i for i, e in enumerate(episodes) if e.person == POINT}
    return np.array([place.get(episodes[i].number + 1, only[episodes[i].scenario]) for i in drawn])


def _row(
    scenario: str,
    violation: str,
    have: Bool[np.ndarray, "pair"],
    twin_has: Bool[np.ndarray, "pair"],
    certain: bool,
    worst: float,
) -> Row:
    """Of drawn people, and of the point estimate under the disturbances of each."""
    return Row(
        scenario,
        violation,
        Proportion(int(have.sum()), len(have)),
        Proportion(int(twin_has[0]), 1, certain=True) if certain else Proportion(int(twin_has.sum()), len(twin_has)),
        int((have & ~twin_has).sum()),
        int((twin_has & ~have).sum()),
        worst,
    )


def separations(
    violations: Sequence[str],
    parameters: Sequence[str],
    values: Float[np.ndarray, "person parameter"],
    margins: Float[np.ndarray, "person violation"],
    violated: Bool[np.ndarray, "person violation"],
) -> list[Separation]:
    """Parameters that tell who violates, by violation, the strongest first: those beyond chance.

    Spearman's correlation; p by Student's t, Bonferroni over every parameter and violation that is tested. Nothing is
    said of a violation that nobody has, nor of fewer people than `FEWEST`.
    """
    from scipy.stats import spearmanr

    n = len(values)
    if n < FEWEST:
        return []
    spread = np.std(values, axis=0)
    vary = np.flatnonzero(spread > 1e-12 * np.maximum(1e-300, np.abs(values).max(axis=0)))
    tested = [i for i in range(len(violations)) if violated[:, i].any() and np.ptp(margins[:, i]) > 0]
    found = []
    for i in tested:
        hit, count = violated[:, i], int(violated[:, i].sum())
        for k in vary.tolist():
            x = values[:, k]
            test: Any = spearmanr(x, margins[:, i])
            p = min(1.0, float(test.pvalue) * len(vary) * len(tested))
            if p < SIGNIFICANT:
                gap = float(x[hit].mean() - x[~hit].mean()) / spread[k] if count < n else float("nan")
                separation = Separation(violations[i], parameters[k], float(test.statistic), p, float(gap), count, n)
                found.append((i, -abs(separation.correlation), separation))
    found.sort(key=lambda entry: entry[:2])
    return [s for i in tested for s in [s for j, _, s in found if i == j][:LISTED]]
