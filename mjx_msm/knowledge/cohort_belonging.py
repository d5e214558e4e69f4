"""What a study knows of one of its people and their own result does not: told on top of their page."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from statistics import median

from mjx_msm.knowledge.belonging import AGAIN, STARTS, Belonging
from mjx_msm.knowledge.cohort import TABLE, Cohort, Member
from mjx_msm.knowledge.cohort_errors import errors_with_others, others_help
from mjx_msm.knowledge.cohort_next import advice
from mjx_msm.knowledge.cohort_search import better_found, gained
from mjx_msm.knowledge.cohort_truth import prior_of_others, too_seldom
from mjx_msm.knowledge.next_step import steps
from mjx_msm.knowledge.wording import percent


def belonging(cohort: Cohort, member: Member, page: str) -> Belonging:
    """Of one of the people to the study.

    **Arguments:** `page`: the study's report, relative to its folder.
    """
    told = (
        _population(cohort, member), _usual_prior(cohort, member), _better(cohort, member), _first(cohort, member)
    )  # fmt: skip
    link = PurePosixPath(os.path.relpath(page, member.folder or ".")).as_posix()
    command = "" if cohort.made is None else cohort.made.command
    return Belonging(
        cohort.name, len(cohort.members), link, tuple(s for s in told if s), too_seldom(cohort), command
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
        return f"The usual prior is not of these people: {why}. What follows leans on it."
    return ""


def _better(c: Cohort, m: Member) -> str:
    """That the estimate is not the best one, and what a better one would gain."""
    found = better_found(c)
    if m.name not in found:
        return ""
    return (
        f"A better estimate of this person is known, by the measure of this page's own: begun from where the others "
        f"are, the search found one that {gained(c, m.name)}. To have it on this page, put `starts = {STARTS}` in "
        f"[identify] of the subject file or template that the study names, {AGAIN}."
    )


def _first(c: Cohort, m: Member) -> str:
    """What the study advises first where that is not what the person's own page does."""
    told = advice(c).get(m.name)
    if m.result is None or told is None or told[0].matter is steps(m.result)[0].matter:
        return ""
    return f"With what the others lead to expect, what comes first is: {told[0].head}."
