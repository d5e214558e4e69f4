"""A campaign from beginning to end: on every core, with a journal, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError
from mjx_msm.common.executors.by_name import executor_of
from mjx_msm.common.executors.executor import Executor, Lost
from mjx_msm.verification.campaign import Campaign, prepare
from mjx_msm.verification.episode import rehearsed
from mjx_msm.verification.journal import journal
from mjx_msm.verification.result import Verification

Listener = Callable[[int, int], None]
"""Told how many episodes are done, of how many."""


def verify(
    environment: str,
    *,
    subject: str | Path,
    controller: str | Callable[[Any], Any],
    out: str | Path,
    people: int = 200,
    scenarios: str | Path | None = None,
    seed: int = 0,
    workers: int | None = None,
    executor: str | Executor | None = None,
    resume: bool = False,
    trust: bool = False,
    listener: Listener | None = None,
) -> Verification:
    """What can go wrong between a robot and a person who is known only so well.

    Draws from the subject's posterior meet every scenario's disturbance, and so does the point estimate.

    **Arguments:**

    - `environment`: one of ours, e.g. "KneeExo-v0".
    - `subject`: a folder written by ``mjx-msm identify``.
    - `controller`: the name of one, see `mjx_msm.envs.controllers`, or a function of the environment that makes one
      (of a module, so that other processes find it).
    - `out`: a folder for the journal; what is in it is kept, `resume` goes on from it.
    - `people`: how many to draw.
    - `scenarios`: a scenario file, see `mjx_msm.verification.scenario_file`; by default the environment's own.
    - `seed`: of everything random.
    - `workers`: processes; by default one for every core. With 1 it is this one. Others are spawned, so they import
      the script that calls this: keep the call under ``if __name__ == "__main__":``, or give 1.
    - `executor`: who runs them instead: "ray", the address of a cluster, or see `mjx_msm.common.executors.by_name`.
    - `trust`: a policy of stable-baselines3 (``.zip``) is unpickled, which runs whatever code its file holds: say that
      you trust whoever made it.
    - `listener`: told of every finished episode.

    **Raises:** `InputError` for anything that cannot be used; `KeyboardInterrupt` after an interrupt, with every
    finished episode in the journal.
    """
    campaign = prepare(
        environment,
        subject=subject,
        controller=controller,
        people=people,
        scenarios=scenarios,
        seed=seed,
        trust=trust,
    )
    return run(campaign, out, workers=workers, executor=executor, resume=resume, listener=listener)


def run(
    campaign: Campaign,
    out: str | Path,
    *,
    workers: int | None = None,
    executor: str | Executor | None = None,
    resume: bool = False,
    listener: Listener | None = None,
) -> Verification:
    """Run what is left of a campaign, and say what came of all of it."""
    who = executor_of(executor, workers)
    with journal(Path(out), campaign.configuration, resume) as (done, add):
        left = [e for e in campaign.episodes if e.number not in done]
        total = len(campaign.episodes)
        if listener is not None:
            listener(len(done), total)
        for _, course in who.run(rehearsed, campaign.stage, left):
            if isinstance(course, Lost):
                raise InputError(f"an episode: {course.reason}; make room, then --resume")
            add(course)
            if listener is not None:
                listener(len(done), total)
    return Verification.of(campaign, [done[e.number] for e in campaign.episodes])
