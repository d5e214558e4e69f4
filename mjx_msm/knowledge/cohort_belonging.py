"""What a study knows of one of its people and their own result does not: told on top of their page."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import PurePosixPath
from statistics import median

from mjx_msm.knowledge.belonging import MORE_STARTS, Belonging
from mjx_msm.knowledge.cohort import TABLE, Cohort, Member
from mjx_msm.knowledge.cohort_errors import errors_with_others, others_help
from mjx_msm.knowledge.cohort_next import advice
from mjx_msm.knowledge.cohort_search import better_found, gained, searched_elsewhere
from mjx_msm.knowledge.cohort_truth import prior_of_others, too_seldom
from mjx_msm.knowledge.next_step import Matter, steps
from mjx_msm.knowledge.records import Estimate
from mjx_msm.knowledge.standing import HALF, beside_prior
from mjx_msm.knowledge.strength_or_gain import exchanges
from mjx_msm.knowledge.wording import number, percent

MOST = 3
"""Estimates with what the others lead to expect that a page tells of."""


def belonging(cohort: Cohort, member: Member, page: str) -> Belonging:
    """Of one of the people to the study.

    **Arguments:** `page`: the study's report, relative to its folder.
    """
    told = (
        _population(cohort, member), _with_others(cohort, member), _usual_prior(cohort, member),
        _better(cohort, member), _first(cohort, member),
    )  # fmt: skip
    link = PurePosixPath(os.path.relpath(page, member.folder or ".")).as_posix()
    command = "" if cohort.made is None else cohort.made.command
    return Belonging(
        cohort.name, len(cohort.members), link, tuple(s for s in told if s), too_seldom(cohort), command,
        searched_elsewhere(cohort, member.name),
    )  # fmt: skip


def _population(c: Cohort, m: Member) -> str:
    """Whether others stand behind the estimate, and where the one lies that they do."""
    if c.population is None:
        return (
            f"This page is of the person's own recordings alone; the people of the study lead to expect nothing of "
            f"each other{f': {c.no_population}' if c.no_population else ', as no population was learned from them'}."
        )
    learned = "without this person" if m.name in c.apart else "with this person among them"
    where = ""
    if m.name in c.seen:
        where = (
            f" The estimate with what all of them lead to expect is beside this one in {TABLE} of the study "
            f"(columns “with others”), and lies in {c.turn_folder(m.name)}."
        )
    return (
        "This page is of the person's own recordings and the usual prior (what is expected of anybody before a "
        "recording) alone. What the people of the study lead to expect in its place (population.json) was learned "
        f"{learned}.{where}"
    )


def _with_others(c: Cohort, m: Member) -> str:
    """The estimates with what all of them lead to expect, of what is known closely then, where it moved furthest."""
    own, other = m.result, c.seen.get(m.name)
    if own is None or other is None:
        return ""
    here = {e.path: (e, own.z[k], own.covariance[k][k]) for k, e in enumerate(own.estimates)}
    open_ = {x.strength for r in (own, other) for x in exchanges(r)}  # which lean on what was expected of a gain
    known: list[tuple[float, Estimate]] = []
    for e, u, z in zip(other.estimates, other.unknowns, other.z, strict=True):
        mean, sd = u.reference  # not the others' expectation, beside which no recording tells much
        if e.path not in here or e.path in open_ or e.bound:
            continue
        if beside_prior(e, replace(u, prior_mean=mean, prior_scale=sd)) <= HALF:
            known.append((abs(z - here[e.path][1]) / math.sqrt(here[e.path][2]), e))
    if not known:
        return ""
    said = []
    for _, e in sorted(known, key=lambda x: -x[0])[:MOST]:
        value, low, high, alone = (
            number(x, e.value, e.low, e.high, digits=3) for x in (e.value, e.low, e.high, here[e.path][0].value)
        )
        unit = {"": "", "-": "", "×": " times the model's"}.get(e.unit, f" {e.unit}")
        said.append(f"{other.names[e.path]} is {value}{unit} (95 % {low} to {high}), alone {alone}")
    more = f"; and {len(known) - MOST} more are known as closely" if len(known) > MOST else ""
    return f"With what all of them lead to expect, {'; '.join(said)}{more}."


def _usual_prior(c: Cohort, m: Member) -> str:
    """That what is usually expected is not of this person, where that shows."""
    if m.name not in c.seen:
        return ""
    both = errors_with_others(c)
    if others_help(c) and m.name in both:
        own, others = both[m.name]
        alone, helped = (median(x) for x in zip(*both.values(), strict=True))
        return (
            f"The usual prior is not of these people: with what they lead to expect instead, the model misses what was "
            f"held out by {percent(helped)} of its spread in the middle person, alone by {percent(alone)} (of this "
            f"person by {percent(others)}, alone by {percent(own)}). What follows leans on the usual prior."
        )
    if why := prior_of_others(c):
        return (
            f"Take parameters from there and not from this page, which leans on the usual prior: that is not of these "
            f"people, {why}."
        )
    return ""


def _better(c: Cohort, m: Member) -> str:
    """That the estimate is not the best one, and what a better one would gain."""
    found = better_found(c)
    if m.name not in found:
        return ""
    little = ", which is little, and comes last" if searched_elsewhere(c, m.name) else ""
    return (
        f"A better estimate of this person is known, by the measure of this page's own: begun from where the others "
        f"are, the search found one that {gained(c, m.name)}{little}. To have it on this page, put {MORE_STARTS}."
    )


def _first(c: Cohort, m: Member) -> str:
    """What the study advises first where that is not what the person's own page does."""
    if m.result is None or m.name not in c.seen or not others_help(c):
        return ""
    told, elsewhere = advice(c)[m.name], searched_elsewhere(c, m.name)
    own = [step.matter for step in steps(m.result) if not (elsewhere and step.matter is Matter.STARTS)]
    if own[:1] == [told[0].matter]:
        return ""
    return f"With what the others lead to expect, what comes first is: {told[0].head}."
