"""What a campaign comes to: probabilities with their intervals, what the point estimate misses, who violates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mjx_msm.errors import InputError
from mjx_msm.verification.episode import POINT, Course, Episode
from mjx_msm.verification.scenarios import Violation

if TYPE_CHECKING:
    from mjx_msm.verification.campaign import Campaign

LEVEL = 0.95
"""Of confidence."""
ANY = "any of these"
SIGNIFICANT = 0.05
"""Probability of listing a parameter that has nothing to do with a violation, over all parameters together."""
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


class Row(NamedTuple):
    """One violation in one scenario, or over all of them."""

    scenario: str
    violation: str
    posterior: Proportion
    """Of drawn people."""
    point: Proportion
    """Of the point estimate, under the same disturbances."""
    worst: float
    """Largest margin of the drawn people; above 1 it is a violation."""

    @property
    def verdict(self) -> str:
        """What the point estimate alone says wrongly: "missed", "understated" or nothing."""
        if self.posterior.hits and not self.point.hits:
            return "missed"
        return "understated" if self.posterior.interval[0] > self.point.interval[1] else ""


class Separation(NamedTuple):
    """How a parameter differs between those who violate and the rest."""

    violation: str
    parameter: str
    correlation: float
    """Spearman's, of the parameter with the person's largest margin over all scenarios."""
    p: float
    """Probability of one as large by chance, times the number of parameters."""
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
class Verification:
    """What came of it."""

    environment: str
    subject: str
    controller: str
    people: int
    seed: int
    mixed: bool
    """Whether every person went through one scenario that was drawn, and not through all."""
    violations: tuple[Violation, ...]
    scenarios: tuple[str, ...]
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

    @staticmethod
    def of(campaign: Campaign, courses: Sequence[Course]) -> Verification:
        """Of a campaign that has been run; `courses` in the order of its episodes."""
        plan, episodes = campaign.plan, campaign.episodes
        names = tuple(s.name for s in plan.scenarios)
        margins = np.array([c.margins for c in courses])
        violated = np.array([c.violated for c in courses], bool)
        person = np.array([e.person for e in episodes])
        scenario = np.array([e.scenario for e in episodes])
        drawn = np.asarray(person != POINT)
        chosen = [(v.name, [i]) for i, v in enumerate(plan.violations)]
        chosen.append((ANY, list(range(len(plan.violations)))))

        rows, overall = [], []
        for k, name in enumerate(names):
            here, there = (np.asarray(x & (scenario == k)) for x in (drawn, ~drawn))
            if not here.any():
                continue
            for label, columns in chosen:
                hit = np.asarray(violated[:, columns].any(axis=1))
                rows.append(
                    Row(
                        name,
                        label,
                        Proportion(int(hit[here].sum()), int(here.sum())),
                        Proportion(int(hit[there].sum()), int(there.sum()), campaign.certain[k] and not plan.mixed),
                        float(margins[here][:, columns].max()),
                    )
                )
        count = len(campaign.crowd.drawn)
        for label, columns in chosen:
            hit = np.asarray(violated[:, columns].any(axis=1))
            overall.append(
                Row(
                    "drawn scenario" if plan.mixed else "any scenario",
                    label,
                    Proportion(len(set(person[drawn & hit].tolist())), count),
                    _point_overall(campaign, hit, ~drawn, scenario),
                    float(margins[drawn][:, columns].max()),
                )
            )
        at = int(np.flatnonzero(drawn)[np.argmax(margins[drawn].max(axis=1))])
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
        np.maximum.at(extreme, person[drawn], margins[drawn])
        broken = np.zeros((count, len(plan.violations)), bool)
        np.logical_or.at(broken, person[drawn], violated[drawn])
        return Verification(
            environment=campaign.stage.environment,
            subject=campaign.stage.subject,
            controller=str(campaign.configuration["controller"]),
            people=count,
            seed=campaign.seed,
            mixed=plan.mixed,
            violations=plan.violations,
            scenarios=names,
            episodes=episodes,
            courses=tuple(courses),
            rows=tuple(rows),
            overall=tuple(overall),
            separations=tuple(
                s
                for i, v in enumerate(plan.violations)
                for s in separations(
                    v.name, campaign.crowd.parameters, campaign.crowd.values, extreme[:, i], broken[:, i]
                )
            ),
            worst=worst,
            notes=campaign.crowd.notes,
        )

    @property
    def missed(self) -> tuple[Row, ...]:
        """What the point estimate alone says wrongly."""
        return tuple(r for r in self.rows if r.verdict and r.violation != ANY)

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from mjx_msm.verification.report import tables

        yield from tables(self)


def _point_overall(
    campaign: Campaign,
    hit: Bool[np.ndarray, "episode"],
    points: Bool[np.ndarray, "episode"],
    scenario: Int[np.ndarray, "episode"],
) -> Proportion:
    """Of the point estimate over all scenarios: draws of the disturbances with a violation in any scenario."""
    if campaign.plan.mixed:
        return Proportion(int(hit[points].sum()), int(points.sum()))
    if all(campaign.certain):
        return Proportion(int(hit[points].any()), 1, certain=True)
    count = len(campaign.crowd.drawn)
    ever = np.zeros(count, bool)
    for k, sure in enumerate(campaign.certain):
        here = hit[points & (scenario == k)]
        ever |= here.any() if sure else here  # one episode stands for all
    return Proportion(int(ever.sum()), count)


def separations(
    violation: str,
    parameters: Sequence[str],
    values: Float[np.ndarray, "person parameter"],
    margin: Float[np.ndarray, "person"],
    violated: Bool[np.ndarray, "person"],
) -> list[Separation]:
    """Parameters that tell who violates, the strongest first: those beyond chance (Spearman, Bonferroni).

    Nothing is said of a violation that nobody has.
    """
    from scipy.stats import spearmanr

    n, count = len(margin), int(violated.sum())
    if not count or n < 5 or np.ptp(margin) == 0:
        return []
    found = []
    for name, x in zip(parameters, values.T, strict=True):
        spread = float(np.std(x))
        if spread <= 1e-12 * max(1e-300, float(np.abs(x).max())):
            continue
        test: Any = spearmanr(x, margin)
        correlation, p = float(test.statistic), min(1.0, float(test.pvalue) * len(parameters))
        if p < SIGNIFICANT:
            gap = float(x[violated].mean() - x[~violated].mean()) / spread if count < n else float("nan")
            found.append(Separation(violation, name, correlation, p, gap, count, n))
    return sorted(found, key=lambda s: -abs(s.correlation))[:LISTED]
